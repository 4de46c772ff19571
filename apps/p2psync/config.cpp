#include "apps/p2psync/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

namespace p2psync::app {
namespace {

constexpr std::size_t cluster_name_bytes_max = 64;
constexpr std::size_t key_id_digits = 64;

bool is_key_id(std::string_view id) {
  return id.size() == key_id_digits && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

engine::NodeId node_of(std::string_view key_id) {
  engine::NodeId node = 0;
  std::from_chars(key_id.data(), key_id.data() + 16, node, 16);
  return node;
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

/// What a file says may be relative to that file; what a shell says is relative to the shell.
std::string resolved(std::string path, const Setting& setting, const std::string& file) {
  const std::size_t slash = file.rfind('/');
  if (setting.source != Setting::Source::file || path.starts_with('/') ||
      slash == std::string::npos) {
    return path;
  }
  return file.substr(0, slash + 1) + path;
}

/// Reads settings into a Config, collecting what is wrong with them.
class Reader {
 public:
  Reader(const ConfigSource& source, Settings settings, std::vector<ConfigProblem> problems)
      : source_(source), settings_(std::move(settings)), problems_(std::move(problems)) {}

  std::expected<Config, ConfigProblems> read() {
    config_.file = source_.file;
    read_cluster();
    read_members();
    read_node();
    read_tuning();
    read_output();
    report_unknown();
    if (problems_.empty()) {
      return std::move(config_);
    }
    std::multimap<std::uint32_t, std::string> by_line;  // keeps the order of equals
    for (const ConfigProblem& problem : problems_) {
      constexpr auto last = std::numeric_limits<std::uint32_t>::max();
      by_line.emplace(problem.line == 0 ? last : problem.line, problem.line_text());
    }
    ConfigProblems lines;
    for (auto& [line, text] : by_line) {
      lines.push_back(std::move(text));
    }
    return std::unexpected(std::move(lines));
  }

 private:
  struct Taken {
    Setting setting;
    std::string key;  ///< in full: "gossip.interval"
  };

  void complain(const Taken& taken, std::string text) {
    problems_.push_back({taken.setting.origin, taken.setting.line, taken.key, std::move(text)});
  }

  std::optional<Taken> take(Section& section, std::string_view section_name, std::string_view key) {
    auto setting = section.take(key);
    if (!setting) {
      return std::nullopt;
    }
    return Taken{std::move(*setting), fmt::format("{}.{}", section_name, key)};
  }
  std::optional<Taken> take(std::string_view section, std::string_view key) {
    const auto found = settings_.sections.find(section);
    return found == settings_.sections.end() ? std::nullopt : take(found->second, section, key);
  }

  void missing(std::string_view section, std::string_view key) {
    const auto found = settings_.sections.find(section);
    const bool there = found != settings_.sections.end() && !found->second.origin.empty();
    problems_.push_back(
        {there ? found->second.origin : source_.file, there ? found->second.line : 0,
         fmt::format("{}.{}", section, key),
         there ? "is missing" : fmt::format("is missing (there is no section [{}])", section)});
  }

  std::optional<std::string> string(const Taken& taken) {
    if (const auto* text = std::get_if<std::string>(&taken.setting.value)) {
      return *text;
    }
    complain(taken, "must be a string");
    return std::nullopt;
  }

  /// A key whose value is a string that `parse` understands.
  template <class T, class Parse>
  void text(std::string_view section, std::string_view key, Parse parse, T& into) {
    const auto taken = take(section, key);
    const auto value = taken ? string(*taken) : std::nullopt;
    if (!value) {
      return;
    }
    auto parsed = parse(*value);
    if (parsed) {
      into = std::move(*parsed);
    } else {
      complain(*taken, fmt::format("{} (it is {})", parsed.error(), in_quotes(*value)));
    }
  }

  template <class T>
  void choice(std::string_view section, std::string_view key,
              std::initializer_list<std::pair<std::string_view, T>> choices, T& into) {
    text(
        section, key,
        [&](std::string_view value) -> Parsed<T> {
          std::string names;
          for (const auto& [name, meaning] : choices) {
            if (name == value) {
              return meaning;
            }
            names += names.empty() ? std::string(name) : fmt::format(", {}", name);
          }
          return std::unexpected(fmt::format("must be one of {}", names));
        },
        into);
  }

  void interval(std::string_view section, std::string_view key, std::chrono::nanoseconds& into) {
    text(
        section, key,
        [](std::string_view value) -> Parsed<std::chrono::nanoseconds> {
          auto parsed = parse_duration(value);
          if (parsed && parsed->count() == 0) {
            return std::unexpected("must be more than zero");
          }
          return parsed;
        },
        into);
  }

  /// A number of bytes: an integer, or a string with a unit.
  void size(std::string_view section, std::string_view key, std::uint64_t& into) {
    const auto taken = take(section, key);
    if (!taken) {
      return;
    }
    if (const auto* number = std::get_if<std::int64_t>(&taken->setting.value)) {
      if (*number < 0) {
        complain(*taken, "must not be negative");
      } else {
        into = static_cast<std::uint64_t>(*number);
      }
    } else if (const auto* text = std::get_if<std::string>(&taken->setting.value)) {
      const auto parsed = parse_size(*text);
      if (parsed) {
        into = *parsed;
      } else {
        complain(*taken, fmt::format("{} (it is {})", parsed.error(), in_quotes(*text)));
      }
    } else {
      complain(*taken, "must be a size: a string such as \"10GiB\", or a number of bytes");
    }
  }

  void boolean(std::string_view section, std::string_view key, bool& into) {
    const auto taken = take(section, key);
    if (!taken) {
      return;
    }
    const auto* text = std::get_if<std::string>(&taken->setting.value);
    if (const auto* value = std::get_if<bool>(&taken->setting.value)) {
      into = *value;
    } else if (text != nullptr && taken->setting.source == Setting::Source::environment &&
               (*text == "true" || *text == "false")) {
      into = *text == "true";
    } else {
      complain(*taken, "must be true or false");
    }
  }

  void read_cluster() {
    const auto taken = take("cluster", "name");
    if (!taken) {
      missing("cluster", "name");
      return;
    }
    const auto name = string(*taken);
    if (!name) {
      return;
    }
    const bool printable =
        std::ranges::all_of(*name, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
    if (name->empty() || name->size() > cluster_name_bytes_max || !printable) {
      complain(*taken, fmt::format("must be 1 to {} bytes, without control characters",
                                   cluster_name_bytes_max));
    }
    config_.cluster = *name;
  }

  void read_members();
  void read_member(Section& section);
  void read_node();
  void read_self(const Taken& key);

  void read_tuning() {
    interval("gossip", "interval", config_.gossip_interval);
    boolean("scan", "watch", config_.watch);
    interval("scan", "interval", config_.scan_interval);
    text("scan", "max_delete", parse_share, config_.max_delete_percent);
    size("transfer", "upload_limit", config_.upload_limit);
    size("transfer", "download_limit", config_.download_limit);
    text("versions", "keep", parse_duration, config_.keep_versions);
    size("versions", "max_bytes", config_.versions_bytes_max);
    boolean("versions", "thin", config_.thin_versions);
  }

  void read_output() {
    text(
        "http", "listen",
        [](std::string_view value) -> Parsed<std::optional<Address>> {
          if (value.empty()) {
            return std::optional<Address>();
          }
          return parse_address(value);
        },
        config_.http);
    choice<LogLevel>("log", "level",
                     {{"error", LogLevel::error},
                      {"warn", LogLevel::warn},
                      {"info", LogLevel::info},
                      {"debug", LogLevel::debug}},
                     config_.log_level);
    choice<LogFormat>("log", "format", {{"text", LogFormat::text}, {"json", LogFormat::json}},
                      config_.log_format);
  }

  void report_unknown() {
    const auto report = [&](const Section& section, std::string_view name) {
      for (const auto& [key, setting] : section.keys) {
        problems_.push_back(
            {setting.origin, setting.line, fmt::format("{}.{}", name, key), "unknown key"});
      }
    };
    for (const auto& [name, section] : settings_.sections) {
      report(section, name);
    }
    for (const Section& member : settings_.members) {
      report(member, "member");
    }
  }

  const ConfigSource& source_;
  Settings settings_;
  std::vector<ConfigProblem> problems_;
  Config config_;
};

void Reader::read_members() {
  if (settings_.members.empty()) {
    problems_.push_back({source_.file, 0, "member", "there must be at least one [[member]]"});
  }
  for (Section& section : settings_.members) {
    read_member(section);
  }
}

void Reader::read_member(Section& section) {
  Member member;
  const auto required = [&](std::string_view key) -> std::optional<std::pair<Taken, std::string>> {
    auto taken = take(section, "member", key);
    if (!taken) {
      problems_.push_back(
          {section.origin, section.line, fmt::format("member.{}", key), "is missing"});
      return std::nullopt;
    }
    auto value = string(*taken);
    if (!value) {
      return std::nullopt;
    }
    return std::pair(std::move(*taken), std::move(*value));
  };

  if (const auto name = required("name")) {
    member.name = name->second;
    if (!is_member_name(member.name)) {
      complain(name->first,
               fmt::format("must be 1 to 32 of a-z 0-9 - (it is {})", in_quotes(member.name)));
    } else if (std::ranges::find(config_.members, member.name, &Member::name) !=
               config_.members.end()) {
      complain(name->first,
               fmt::format("{} is the name of another member", in_quotes(member.name)));
    }
  }
  if (const auto id = required("id")) {
    const std::string& text = id->second;
    if (!is_key_id(text)) {
      complain(id->first, "must be what `p2psync id` prints: 64 digits of 0-9 a-f");
    } else {
      member.key_id = text;
      member.node = node_of(text);
      const auto same = std::ranges::find_if(config_.members, [&](const Member& other) {
        return !other.key_id.empty() && other.node == member.node;
      });
      if (same != config_.members.end()) {
        complain(id->first,
                 same->key_id == text
                     ? fmt::format("is also the id of {}", in_quotes(same->name))
                     : fmt::format("begins with the same 16 digits as the id of {}: one of the "
                                   "two needs a new key",
                                   in_quotes(same->name)));
      }
    }
  }
  if (const auto taken = take(section, "member", "address")) {
    if (const auto text = string(*taken)) {
      if (auto address = parse_address(*text)) {
        member.address = std::move(*address);
      } else {
        complain(*taken, fmt::format("{} (it is {})", address.error(), in_quotes(*text)));
      }
    }
  }
  config_.members.push_back(std::move(member));
}

void Reader::read_node() {
  const auto path = [&](std::string_view key, std::string& into) -> std::optional<Taken> {
    auto taken = take("node", key);
    if (!taken) {
      missing("node", key);
      return std::nullopt;
    }
    const auto value = string(*taken);
    if (!value) {
      return std::nullopt;
    }
    if (value->empty() || value->contains('\0')) {
      complain(*taken, "must be a path");
      return std::nullopt;
    }
    into = resolved(*value, taken->setting, source_.file);
    return taken;
  };
  const auto folder = path("folder", config_.folder);
  struct stat status{};
  if (source_.read_key_id && folder && ::stat(config_.folder.c_str(), &status) == 0 &&
      !S_ISDIR(status.st_mode)) {
    complain(*folder, fmt::format("{} is not a directory", in_quotes(config_.folder)));
  }
  const auto key = path("key", config_.key_file);

  std::optional<Address> listen;
  text("node", "listen", parse_address, listen);
  if (listen) {
    config_.listen = *listen;
  }
  // A list that is wrong itself would only make a second complaint of the first.
  const bool members_right = std::ranges::none_of(
      config_.members, [](const Member& member) { return member.key_id.empty(); });
  if (source_.read_key_id && key && members_right && !config_.members.empty()) {
    read_self(*key);
  }
}

void Reader::read_self(const Taken& key) {
  const auto id = source_.read_key_id(config_.key_file);
  if (!id) {
    complain(key, id.error().message());
    return;
  }
  const auto self = std::ranges::find(config_.members, *id, &Member::key_id);
  if (self == config_.members.end()) {
    complain(key, fmt::format("{} is the key {}, which belongs to no member",
                              in_quotes(config_.key_file), *id));
    return;
  }
  config_.self = static_cast<std::size_t>(self - config_.members.begin());
  if (config_.listen.port == 0) {
    config_.listen = {"", self->address ? self->address->port : default_port};
  }
}

}  // namespace

std::string Config::name_of(engine::NodeId node) const {
  const auto member = std::ranges::find(members, node, &Member::node);
  return member == members.end() ? fmt::format("{:016x}", node) : member->name;
}

bool is_member_name(std::string_view name) {
  return !name.empty() && name.size() <= engine::label_bytes_max &&
         std::ranges::all_of(name, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
         });
}

std::expected<Config, ConfigProblems> parse_config(const ConfigSource& source,
                                                   std::string_view text) {
  std::vector<ConfigProblem> problems;
  Settings settings = parse_settings(text, source.file, problems);
  if (!problems.empty() && problems.front().key.empty()) {
    // It is no TOML: nothing in it can be judged, and all that is required would seem missing.
    return std::unexpected(ConfigProblems{problems.front().line_text()});
  }
  override_settings(settings, source.environment, source.flags, problems);
  return Reader(source, std::move(settings), std::move(problems)).read();
}

std::expected<Config, ConfigProblems> load_config(const ConfigSource& source) {
  errno = 0;
  std::ifstream file(source.file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    return std::unexpected(ConfigProblems{
        system_error("read configuration", source.file, errno == 0 ? EIO : errno).message()});
  }
  return parse_config(source, text);
}

}  // namespace p2psync::app
