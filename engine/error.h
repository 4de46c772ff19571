#pragma once
// Errors of the world (disk, peer, user) as values, and the assertion for errors that are ours.
//
// A Result carries what was attempted, on what, and the errno where a system call said it. Nothing
// in here throws. `invariant` is always on: a node whose own state is wrong must stop, not go on
// writing.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace p2psync {

enum class ErrorCode : std::uint8_t {
  io,           ///< a system call failed; `error_number` says why
  not_found,    ///< the name is not there
  changed,      ///< what stands there is not what was expected: somebody was faster
  no_space,     ///< the disk or the quota is full
  denied,       ///< permission denied
  unsupported,  ///< the file system or kernel cannot do it
  corrupt,      ///< bytes that do not decode, or do not match their hash
  invalid,      ///< the request makes no sense (bad path, bad argument)
  busy,         ///< it changes faster than it can be read, or another process holds it
  newer,        ///< written by a newer version of the program
};

struct Error {
  ErrorCode code = ErrorCode::io;
  std::string operation;  ///< what was attempted: "open", "decode entries"
  std::string object;     ///< on what: a path, a peer; may be any bytes
  int error_number = 0;   ///< errno, or 0

  /// One line for people: "open a/b: permission denied".
  [[nodiscard]] std::string message() const;
  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

/// An Error from an errno, with the code that belongs to it.
[[nodiscard]] Error system_error(std::string_view operation, std::string_view object, int number);

[[noreturn]] void invariant_failed(std::string_view what, const char* file, int line);

/// Aborts when our own state is wrong; on in every build.
inline void invariant(bool holds, std::string_view what, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  if (!holds) [[unlikely]] {
    invariant_failed(what, file, line);
  }
}

}  // namespace p2psync
