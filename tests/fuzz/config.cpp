// The configuration file. Whatever is in it, there is a configuration or a list of what is wrong.
#include "apps/p2psync/config.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  app::ConfigSource source;
  source.file = "/etc/p2psync/p2psync.toml";
  const auto config = app::parse_config(source, fuzz::text({data, size}));
  fuzz::require(config || !config.error().empty(), "what is refused is said");
  return 0;
}
