# Most of what a file costs the compiler is the standard library's and other people's headers. With this option
# they are parsed once for each library and test program, and a build from nothing takes about half the time: for
# an image, or a pipeline. Off by default, since ccache then finds nothing that another checkout has built.
option(P2PSYNC_PCH "Parse other people's headers once" OFF)

# Also `headers`, in the form <a.h>, where many files of the target include them.
function(p2psync_precompile target)
  if(P2PSYNC_PCH)
    target_precompile_headers(${target} PRIVATE
      <algorithm> <array> <chrono> <deque> <functional> <map> <memory> <optional> <set> <span> <string> <string_view>
      <tuple> <unordered_map> <utility> <variant> <vector> ${ARGN})
  endif()
endfunction()
