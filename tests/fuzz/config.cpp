// The configuration file. Whatever is in it, there is a configuration or a list of what is wrong.
#include "apps/p2psync/config.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  app::ConfigSource source;
  source.file = "/etc/p2psync/cluster.toml";
  source.read_key_id = [](const std::string&) -> Result<std::string> {
    return std::string(64, 'a');
  };
  const auto config = app::parse_config(source, fuzz::text({data, size}));
  fuzz::require(config || !config.error().empty(), "what is refused is said");
  return 0;
}
