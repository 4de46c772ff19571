#include "storage/intent.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "engine/path.h"
#include "storage/fields.h"
#include "storage/hash.h"
#include "storage/staging.h"

namespace p2psync::storage {

namespace {

constexpr std::string_view first_line = "p2psync intent 1\n";
constexpr std::string_view last_line = "end\n";

std::unexpected<Error> corrupt() {
  return std::unexpected(Error{ErrorCode::corrupt, "decode intent", ""});
}

Result<IntentItem> decode_item(std::string_view line) {
  Fields fields(line);
  IntentItem item;
  item.name = fields.text();
  item.slot = fields.text();
  item.slot_inode = fields.number<std::uint64_t>();
  item.file = fields.text();
  const auto kind = fields.number<unsigned>();
  item.expected.mode = fields.number<std::uint16_t>(8);
  item.expected.inode = fields.number<std::uint64_t>();
  item.expected.size = fields.number<std::uint64_t>();
  item.expected.mtime = fields.number<std::int64_t>();
  item.expected.ctime = fields.number<std::int64_t>();
  item.content = fields.hash();
  const bool good = fields.all_good() && kind <= static_cast<unsigned>(engine::Kind::symlink) &&
                    !engine::path_problem(item.name) && is_own_or_none(item.slot) &&
                    !engine::path_problem(item.file) && !item.file.contains('/');
  if (!good) {
    return corrupt();
  }
  item.expected.kind = static_cast<engine::Kind>(kind);
  return item;
}

}  // namespace

std::string encode_intent(const std::vector<IntentItem>& items) {
  std::string text(first_line);
  for (const IntentItem& item : items) {
    const engine::Signature& expected = item.expected;
    fmt::format_to(std::back_inserter(text), "{} {} {} {} {} {:o} {} {} {} {} {}\n",
                   escaped(item.name), escaped(item.slot), item.slot_inode, escaped(item.file),
                   static_cast<unsigned>(expected.kind), expected.mode, expected.inode,
                   expected.size, expected.mtime, expected.ctime, to_hex(item.content));
  }
  return text.append(last_line);
}

Result<std::vector<IntentItem>> decode_intent(std::string_view text) {
  if (!text.starts_with(first_line) || !text.ends_with(last_line)) {
    return corrupt();
  }
  text.remove_prefix(first_line.size());
  std::vector<IntentItem> items;
  while (text != last_line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) {
      return corrupt();
    }
    auto item = decode_item(text.substr(0, end));
    if (!item) {
      return std::unexpected(std::move(item.error()));
    }
    items.push_back(std::move(*item));
    text.remove_prefix(end + 1);
  }
  return items;
}

std::string intent_path(std::uint64_t number) {
  return engine::child_of(staging_directory, fmt::format("intent-{}", number));
}

std::optional<std::uint64_t> number_in(std::string_view prefix, std::string_view file) {
  if (!file.starts_with(prefix)) {
    return std::nullopt;
  }
  file.remove_prefix(prefix.size());
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(file.data(), file.data() + file.size(), number);
  return problem == std::errc() ? std::optional(number) : std::nullopt;
}

Result<void> write_intent(Fs& fs, std::uint64_t number, const std::vector<IntentItem>& items,
                          bool sync) {
  const auto file = fs.create(intent_path(number));
  if (!file) {
    return std::unexpected(file.error());
  }
  const std::string text = encode_intent(items);
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  auto done = (*file)->write(0, bytes);
  if (done && sync) {
    done = (*file)->sync();
    if (done) {
      done = fs.sync_directory(staging_directory);
    }
  }
  return done;
}

Result<std::vector<IntentItem>> read_intent(Fs& fs, std::uint64_t number) {
  const auto text = read_text(fs, intent_path(number));
  if (!text) {
    return std::unexpected(text.error());
  }
  return decode_intent(*text);
}

}  // namespace p2psync::storage
