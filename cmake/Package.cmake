# What `cmake --install` lays where, and the Debian package: `cpack -G DEB` in the build directory.
include(GNUInstallDirs)

set(from ${PROJECT_SOURCE_DIR}/apps/p2psync/package)
set(page ${PROJECT_BINARY_DIR}/p2psync.1)
add_custom_command(TARGET p2psync POST_BUILD VERBATIM
  COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:p2psync> -DIN=${from}/p2psync.1.in -DOUT=${page}
          -DVERSION=${PROJECT_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/ManPage.cmake)
set_property(TARGET p2psync APPEND PROPERTY LINK_DEPENDS
             ${from}/p2psync.1.in ${PROJECT_SOURCE_DIR}/cmake/ManPage.cmake)

install(TARGETS p2psync RUNTIME)
install(FILES LICENSE README.md ${PROJECT_BINARY_DIR}/p2psync.cdx.json TYPE DOC)
install(FILES examples/cluster.toml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${from}/completion.bash RENAME p2psync
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${from}/completion.zsh RENAME _p2psync DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${from}/completion.fish RENAME p2psync.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# Not LIBDIR, which may be lib/x86_64-linux-gnu: systemd looks below lib.
install(FILES ${from}/p2psync@.service DESTINATION lib/systemd/system)
install(FILES ${from}/sysusers.conf RENAME p2psync.conf DESTINATION lib/sysusers.d)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME p2psync)
set(CPACK_PACKAGE_VENDOR p2psync)
set(CPACK_PACKAGE_CONTACT "p2psync <p2psync@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "keeps a directory the same on every member of a small cluster")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Every one of a handful of machines may write, none of them is a server, and
none has to be always on. Two edits that did not know of each other are both
kept, under names that are the same everywhere, and nothing deleted comes
back. Members are a list of public keys; all they say goes over TLS 1.3.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/PackageTime.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/DebianTree.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${from}/postinst ${from}/prerm ${from}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
