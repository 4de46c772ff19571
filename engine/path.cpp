#include "engine/path.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace p2psync::engine {
namespace {

std::uint64_t eight_at(std::string_view text, std::size_t at) {
  std::uint64_t eight = 0;
  std::memcpy(&eight, text.data() + at, sizeof eight);
  return eight;
}

/// Which of eight bytes, as they were in memory, is the first that is not 0.
std::size_t first_byte_of(std::uint64_t eight) {
  const bool little = std::endian::native == std::endian::little;
  return static_cast<std::size_t>(little ? std::countr_zero(eight) : std::countl_zero(eight)) / 8;
}

}  // namespace

std::optional<std::string_view> path_problem(std::string_view path) {
  if (path.empty()) {
    return "empty path";
  }
  if (path.size() > path_bytes_max) {
    return "path too long";
  }
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name.empty() || name == "." || name == "..") {
      return "component that is empty, . or ..";
    }
    if (name.size() > name_bytes_max) {
      return "name too long";
    }
    if (name.find('\0') != std::string_view::npos) {
      return "NUL in a name";
    }
    if (depth == 0 && name == own_directory) {
      return "the program's own directory";
    }
    if (++depth > path_depth_max) {
      return "too deep";
    }
    begin = end + 1;
  }
  return std::nullopt;
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

Path child_of(std::string_view directory, std::string_view name) {
  Path path;
  path.reserve(directory.size() + 1 + name.size());
  path += directory;
  if (!directory.empty()) {
    path += '/';
  }
  path += name;
  return path;
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) {
    return !path.empty();
  }
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

bool PathLess::operator()(std::string_view a, std::string_view b) const {
  // Paths next to each other have long beginnings in common: eight bytes at a time.
  const std::size_t both = std::min(a.size(), b.size());
  std::size_t at = 0;
  for (; at + 8 <= both; at += 8) {
    if (const std::uint64_t differ = eight_at(a, at) ^ eight_at(b, at); differ != 0) {
      at += first_byte_of(differ);
      break;
    }
  }
  while (at < both && a[at] == b[at]) {
    ++at;
  }
  if (at == both) {
    return a.size() < b.size();
  }
  if (a[at] == '/' || b[at] == '/') {
    return a[at] == '/';
  }
  return static_cast<unsigned char>(a[at]) < static_cast<unsigned char>(b[at]);
}

}  // namespace p2psync::engine
