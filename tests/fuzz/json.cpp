// JSON, as whoever may open the control socket sends it. What was read can be asked for anything,
// and written and read.
#include "apps/p2psync/json.h"

#include <string>

#include "tests/fuzz/input.h"

namespace p2psync::fuzz {
namespace {

/// As who expects something else asks.
void ask(const app::Json& value, std::string_view key) {
  std::ignore = value[key].is_null() || value.boolean() || value.integer() == 1;
  std::ignore = value.number();
  require(value.text().empty() || value.items().empty(), "a value is of one kind");
  for (const app::Json& item : value.items()) {
    ask(item, key);
  }
  for (const auto& [name, member] : value.members()) {
    app::Json::Object paths;
    app::add_path(paths, "path", name);
    require(app::is_utf8(app::Json(paths).dump()), "any bytes can be told as a path");
    ask(member, name);
  }
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  const std::string_view text = fuzz::text({data, size});
  fuzz::require(app::is_utf8(app::to_utf8(text)), "any bytes become UTF-8");
  const auto value = app::Json::parse(text);
  if (!value) {
    return 0;
  }
  fuzz::ask(*value, "command");
  for (const bool indent : {false, true}) {
    const std::string written = value->dump(indent);
    fuzz::require(app::is_utf8(written), "what is written is UTF-8");
    const auto again = app::Json::parse(written);
    fuzz::require(again && again->dump(indent) == written, "what was written reads as it was");
  }
  return 0;
}
