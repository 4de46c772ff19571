// The configuration: the file, the environment and the flags, as `check` and `run` are given them.
// Whatever is in them, there is a configuration that holds together or a list of what is wrong.
//
// Input: the file, and after NUL bytes variables (NAME=value, each on its line), and flags for
// folder, key and address. Without a byte: there is no file.
#include "apps/p2psync/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include <set>
#include <string>

#include "tests/fuzz/input.h"

namespace p2psync::fuzz {
namespace {

std::string_view take_until(std::string_view& text, char end) {
  const std::size_t length = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return taken;
}

app::ConfigSource source_of(std::string_view rest) {
  app::ConfigSource source;
  for (std::string_view lines = take_until(rest, '\0'); !lines.empty();) {
    std::string_view line = take_until(lines, '\n');
    const std::string name(take_until(line, '='));
    source.environment[name] = line;
  }
  for (auto* flag : {&source.flags.folder, &source.flags.key, &source.flags.listen}) {
    if (!rest.empty()) {
      *flag = take_until(rest, '\0');
    }
  }
  source.read_key_id = [](const std::string& file) -> Result<std::string> {
    if (file.ends_with('?')) {
      return std::unexpected(Error{ErrorCode::not_found, "read key", file});
    }
    return std::string(64, file.ends_with('!') ? 'c' : 'a');
  };
  return source;
}

/// The same file each time, with these bytes.
std::string file_with(std::string_view text) {
  static const int file = ::memfd_create("config", 0);
  require(::ftruncate(file, 0) == 0, "it can be emptied");
  require(::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
          "it can be written");
  return "/proc/self/fd/" + std::to_string(file);
}

void check(const app::Config& config) {
  require(config.self < config.members.size(), "it says who this is");
  std::set<std::string> names;
  for (const app::Member& member : config.members) {
    require(app::is_member_name(member.name), "each member has a name");
    require(names.insert(member.name).second, "of its own");
    require(config.name_of(member.node) == member.name, "and is called by it");
    if (member.address) {
      require(app::parse_address(member.address->text()) == *member.address, "addresses come back");
    }
  }
  require(!config.name_of(0).empty(), "who is no member is called something");
  require(config.gossip_interval.count() > 0 && config.scan_interval.count() > 0, "time goes on");
  for (const auto duration : {config.gossip_interval, config.scan_interval, config.keep_versions}) {
    require(!app::duration_text(duration).empty(), "durations can be said");
  }
  require(!app::size_text(config.versions_bytes_max).empty(), "and so can sizes");
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  std::string_view rest = fuzz::text({data, size});
  const std::string_view text = fuzz::take_until(rest, '\0');
  app::ConfigSource source = fuzz::source_of(rest);
  source.file = size == 0 ? "/nonexistent" : fuzz::file_with(text);
  const auto config = app::load_config(source);
  fuzz::require(config || !config.error().empty(), "what is refused is said");
  if (config) {
    fuzz::check(*config);
  }
  return 0;
}
