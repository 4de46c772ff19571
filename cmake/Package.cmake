# What `cmake --install` lays where.
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
