// Checked paths: what passes can lead nowhere but below the root.
#include <algorithm>

#include "engine/path.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  const std::string_view path = fuzz::text({data, size});
  if (engine::path_problem(path)) {
    return 0;
  }
  fuzz::require(!path.empty() && path.size() <= engine::path_bytes_max, "a path has a length");
  fuzz::require(path.find('\0') == std::string_view::npos, "no system call would cut it");
  for (std::string_view rest = path; !rest.empty(); rest = engine::parent_of(rest)) {
    const std::string_view name = engine::name_of(rest);
    fuzz::require(!name.empty() && name != "." && name != "..", "each name is one");
    fuzz::require(name.size() <= engine::name_bytes_max, "each name fits");
    fuzz::require(engine::child_of(engine::parent_of(rest), name) == rest, "a path is its names");
    fuzz::require(engine::is_below(rest, engine::parent_of(rest)), "a path is below its parent");
    fuzz::require(!engine::is_below(rest, rest), "and not below itself");
    fuzz::require(engine::parent_of(rest).empty() ? name != engine::own_directory : true,
                  "the program's own directory is no path");
  }
  return 0;
}
