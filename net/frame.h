#pragma once
// Frames: how a stream of bytes is cut into messages. No I/O in here.
//
//   length  4 bytes, big endian: bytes of the body
//   kind    1 byte
//   body    `length` bytes
// Example: a `get` with a body of 3 bytes is  00 00 00 03  07  xx xx xx
//
// The header is judged before anything is allocated for the body: an unknown kind or a length above
// the kind's limit ends the connection. Until the peer has said Hello, no frame may be
// larger than before_hello_bytes_max.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/disk.h"
#include "engine/error.h"

namespace p2psync::net {

/// Numbers on the wire: never reused for another meaning.
enum class FrameKind : std::uint8_t {
  hello = 1,
  tick = 2,
  vectors = 3,
  entries = 4,
  ranges = 5,
  held = 6,
  get = 7,
  block = 8,
  taken = 9,
  have = 10,
  // Of the transport itself, see transport.h.
  ready = 32,
  welcome = 33,
  beat = 34,
  paused = 35,
};

inline constexpr std::size_t header_bytes = 5;
/// A block of at most so many bytes is copied into its frame: it then goes with others in one
/// write.
inline constexpr std::size_t copied_bytes_max = 16 * 1024;
inline constexpr std::size_t control_bytes_max = 1024 * 1024;
/// A block and what stands around it.
inline constexpr std::size_t block_body_bytes_max = engine::block_bytes + 64;
inline constexpr std::size_t before_hello_bytes_max = 16 * 1024;
inline constexpr std::size_t tick_frame_bytes_max = 256;
inline constexpr std::size_t ready_body_bytes = 8;

/// The most that a body of this kind may have; nothing if there is no such kind.
[[nodiscard]] std::optional<std::size_t> body_bytes_max(std::uint8_t kind);

[[nodiscard]] std::array<std::uint8_t, header_bytes> frame_header(FrameKind kind,
                                                                  std::size_t body_bytes);
/// Header and body in one. The caller has kept the limit.
[[nodiscard]] std::vector<std::uint8_t> make_frame(FrameKind kind,
                                                   std::span<const std::uint8_t> body);
/// Whether a receiver that was greeted would take this frame (header and body in one).
[[nodiscard]] bool frame_within_limit(std::span<const std::uint8_t> frame);

/// A frame on its way out, in two parts.
struct OutFrame {
  std::vector<std::uint8_t> head;
  /// Somebody's bytes as they are, and more than copied_bytes_max; null: head is all of it.
  engine::Bytes tail = nullptr;

  [[nodiscard]] std::size_t size() const { return head.size() + (tail ? tail->size() : 0); }
};
[[nodiscard]] bool frame_within_limit(const OutFrame& frame);

/// One that came.
struct Frame {
  FrameKind kind{};
  std::span<const std::uint8_t> body;
  std::shared_ptr<const void> owner = nullptr;  ///< if not null, it keeps the body
};

/// Cuts what arrives into frames, at any split. A read goes straight into its buffer:
///
///   reader.filled(read(reader.space()));
///   while (auto frame = reader.next(); ...) { use(frame.body); }
///
/// A frame's body is good until the next call of space(), or as long as its owner is kept: a frame
/// larger than read_bytes may have memory of its own. After an error nothing more comes.
/// Memory: read_bytes + read_bytes_min, and a larger frame while it is on its way.
class FrameReader {
 public:
  /// Where the next bytes go, once next() gave nothing: at least read_bytes_min.
  [[nodiscard]] std::span<std::uint8_t> space();
  /// So many bytes were put there.
  void filled(std::size_t bytes);
  /// The next complete frame, nothing while it is not complete, or `corrupt`.
  [[nodiscard]] Result<std::optional<Frame>> next();
  /// The peer has said Hello: from now on the limits of each kind hold.
  void greeted() { greeted_ = true; }

  static constexpr std::size_t read_bytes = 64 * 1024;
  static constexpr std::size_t read_bytes_min = 4 * 1024;

 private:
  /// Of the frame that stands at begin_, header and body; judged.
  [[nodiscard]] Result<std::optional<std::size_t>> frame_bytes();
  [[nodiscard]] std::optional<Frame> next_large();

  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  ///< of what was not given out yet
  std::size_t end_ = 0;    ///< of what was filled
  /// Where a large frame comes in once its header was seen, and what comes at once behind it. Null:
  /// the next is in the buffer.
  std::shared_ptr<std::uint8_t[]> large_;
  std::size_t large_end_ = 0;
  std::size_t wanted_ = 0;  ///< bytes of the frame that is next, once its header is here
  bool greeted_ = false;
  std::optional<Error> error_;
};

}  // namespace p2psync::net
