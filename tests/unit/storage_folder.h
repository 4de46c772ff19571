#pragma once
// A temporary folder with a PosixFs on it, for the tests of storage. Removed at the end.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "storage/posix_fs.h"

namespace p2psync::tests {

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

struct Folder {
  explicit Folder(storage::Resolution resolution = storage::Resolution::openat2) {
    std::string name = std::filesystem::temp_directory_path().string() + "/p2psync-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    auto opened = resolution == storage::Resolution::openat2
                      ? storage::open_posix_fs(path)
                      : storage::PosixFs::open(path, resolution);
    REQUIRE(opened.has_value());
    fs = std::move(*opened);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  /// Creates the file or overwrites it in place.
  void write(const std::string& name, std::string_view content) const {
    auto file = fs->open_write(name);
    if (!file) {
      file = fs->create(name);
    }
    REQUIRE(file.has_value());
    REQUIRE((*file)->resize(0).has_value());
    REQUIRE((*file)->write(0, bytes_of(content)).has_value());
  }

  [[nodiscard]] std::string content(const std::string& name) const {
    const auto file = fs->open_read(name);
    REQUIRE(file.has_value());
    std::string text((*file)->stat()->signature.size, '\0');
    const std::span<std::uint8_t> into(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    REQUIRE((*file)->read(0, into).value() == text.size());
    return text;
  }

  std::string path;
  std::unique_ptr<storage::PosixFs> fs;
};

}  // namespace p2psync::tests
