#include "apps/p2psync/settings.h"

#include <stdexcept>

namespace p2psync::app {
namespace {

/// The parser's own assertion failed. Some malformed files do that, as `[[ = 1` in a table's place.
struct BeyondParser : std::logic_error {
  BeyondParser() : std::logic_error("this is not TOML") {}
};

}  // namespace
}  // namespace p2psync::app

#undef NDEBUG  // with it the parser assumes what it asserts
#define TOML_ASSERT(holds) ((holds) ? void() : throw ::p2psync::app::BeyondParser())
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

namespace p2psync::app {
namespace {

constexpr std::array<std::string_view, 8> section_names{"cluster",  "node",     "gossip", "scan",
                                                        "transfer", "versions", "http",   "log"};
constexpr std::string_view environment_prefix = "P2PSYNC_";

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::string origin_at(const std::string& file, std::uint32_t line) {
  return line == 0 ? file : fmt::format("{}:{}", file, line);
}

Setting setting_of(const toml::node& node, const std::string& file) {
  Setting setting{OtherType{}, Setting::Source::file, origin_at(file, line_of(node)),
                  line_of(node)};
  if (const auto* boolean = node.as_boolean()) {
    setting.value = boolean->get();
  } else if (const auto* integer = node.as_integer()) {
    setting.value = integer->get();
  } else if (const auto* string = node.as_string()) {
    setting.value = string->get();
  }
  return setting;
}

Section section_of(const toml::table& table, const std::string& file) {
  Section section{origin_at(file, line_of(table)), line_of(table), {}};
  for (const auto& [key, node] : table) {
    section.keys.emplace(std::string(key.str()), setting_of(node, file));
  }
  return section;
}

/// The first line with which the parser's own assertion fails.
std::uint32_t line_beyond_parser(std::string_view text) {
  std::uint32_t line = 1;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', end + 1)) {
    try {
      (void)toml::parse(text.substr(0, end));
    } catch (const BeyondParser&) {
      return line;
    } catch (const toml::parse_error&) {  // it may go on, as a string of several lines does
    }
    ++line;
  }
  return line;
}

std::optional<toml::table> parse(std::string_view text, const std::string& file,
                                 std::vector<ConfigProblem>& problems) {
  const auto complain = [&](std::uint32_t line, std::string_view what) {
    problems.push_back({origin_at(file, line), line, "", std::string(what)});
  };
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    complain(error.source().begin.line, error.description());
  } catch (const BeyondParser& error) {
    complain(line_beyond_parser(text), error.what());
  }
  return std::nullopt;
}

}  // namespace

std::optional<Setting> Section::take(std::string_view key) {
  const auto found = keys.find(key);
  if (found == keys.end()) {
    return std::nullopt;
  }
  Setting setting = std::move(found->second);
  keys.erase(found);
  return setting;
}

std::string ConfigProblem::line_text() const {
  return key.empty() ? fmt::format("{}: {}", origin, text)
                     : fmt::format("{}: {}: {}", origin, key, text);
}

bool is_section(std::string_view name) {
  return std::ranges::find(section_names, name) != section_names.end();
}

Settings parse_settings(std::string_view text, const std::string& file,
                        std::vector<ConfigProblem>& problems) {
  Settings settings;
  const std::optional<toml::table> parsed = parse(text, file, problems);
  if (!parsed) {
    return settings;
  }
  for (const auto& [key, node] : *parsed) {
    const std::string name(key.str());
    const auto complain = [&, &at = node](std::string what) {
      problems.push_back({origin_at(file, line_of(at)), line_of(at), name, std::move(what)});
    };
    if (name == "member") {
      const toml::array* list = node.as_array();
      const bool tables =
          list != nullptr && std::ranges::all_of(*list, [](const auto& n) { return n.is_table(); });
      if (!tables) {
        complain("must be a list of sections, each headed [[member]]");
        continue;
      }
      for (const toml::node& member : *list) {
        settings.members.push_back(section_of(*member.as_table(), file));
      }
    } else if (!is_section(name)) {
      complain(node.is_table() ? "unknown section" : "unknown key");
    } else if (const toml::table* table = node.as_table()) {
      settings.sections.emplace(name, section_of(*table, file));
    } else {
      complain(fmt::format("must be a section, headed [{}]", name));
    }
  }
  return settings;
}

void override_settings(Settings& settings, const Environment& environment, const Flags& flags,
                       std::vector<ConfigProblem>& problems) {
  const auto set = [&](const std::string& section, const std::string& key, Setting setting) {
    settings.sections[section].keys.insert_or_assign(key, std::move(setting));
  };
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(environment_prefix)) {
      continue;
    }
    const std::string_view rest = std::string_view(variable).substr(environment_prefix.size());
    if (rest.starts_with("MEMBER_")) {
      problems.push_back({variable, 0, "member", "members can only be set in the file"});
      continue;
    }
    const auto* const section = std::ranges::find_if(
        section_names, [&](std::string_view name) { return rest.starts_with(upper(name) + "_"); });
    if (section != section_names.end()) {
      set(std::string(*section), lower(rest.substr(section->size() + 1)),
          {value, Setting::Source::environment, variable, 0});
    }
  }
  const auto flag = [&](const char* name, const char* key, const std::optional<std::string>& text) {
    if (text) {
      set("node", key, {*text, Setting::Source::flag, name, 0});
    }
  };
  flag("--folder", "folder", flags.folder);
  flag("--key", "key", flags.key);
  flag("--listen", "listen", flags.listen);
}

}  // namespace p2psync::app
