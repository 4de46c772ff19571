# Read by cpack before it begins: the times in a package are those of its commit, so that the same commit makes the same
# bytes. Whoever gives SOURCE_DATE_EPOCH, or packs what is no checkout, decides for himself.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND git -C ${CMAKE_CURRENT_LIST_DIR} log -1 --format=%ct OUTPUT_VARIABLE time
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed EQUAL 0 AND time)
    set(ENV{SOURCE_DATE_EPOCH} ${time})
  endif()
endif()
