# Run by cpack on the installed tree, before it is packed: what Debian has elsewhere, or in another form.
set(usr ${CPACK_TEMPORARY_DIRECTORY}/usr)
file(RENAME ${usr}/share/doc/p2psync/LICENSE ${usr}/share/doc/p2psync/copyright)
file(RENAME ${usr}/share/zsh/site-functions ${usr}/share/zsh/vendor-completions)
execute_process(COMMAND gzip -9n ${usr}/share/man/man1/p2psync.1 COMMAND_ERROR_IS_FATAL ANY)
# Whatever the umask of whoever packs.
file(CHMOD_RECURSE ${usr} DIRECTORY_PERMISSIONS
     OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
