#pragma once
// What TLS has made and the socket is yet to send, and what has come and TLS is yet to take.
//
// OpenSSL writes records into, and reads them from, a BIO; this one is two lanes in memory, one a
// direction. A lane is filled from its front to its end and begins anew when all of it has been
// taken: what it holds is always one piece, for the socket as for TLS.
//
// Where it begins anew is half a page from where OpenSSL has the other copy. A copy whose target
// lies a few bytes ahead of its source *modulo 4,096* waits for itself, as the processor compares
// the lower twelve bits of addresses first. Measured on a Zen 4 with `rep movsb`, which glibc uses
// for a record: 40 GB/s as a rule, 1.3 to 1.5 GB/s for a target 3 to 22 bytes ahead. That is just
// how a record and its place lie where an allocator gives large blocks pages of their own.
#include <openssl/bio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace p2psync::net {

class Lane {
 public:
  /// Throws std::bad_alloc.
  explicit Lane(std::size_t capacity);

  /// What was put in and not yet taken.
  [[nodiscard]] std::span<const std::uint8_t> held() const;
  /// How much can be put in before it has been emptied.
  [[nodiscard]] std::size_t room() const;
  /// That much room, its place chosen for a copy from, or to, `other` where the lane is empty. What
  /// was held, or given out here and filled, stays where it is.
  [[nodiscard]] std::span<std::uint8_t> space(const void* other);
  void filled(std::size_t bytes);
  void taken(std::size_t bytes);

 private:
  std::size_t capacity_;
  std::unique_ptr<std::uint8_t[]> memory_;  ///< a page more than `capacity_`
  std::size_t front_ = 0;                   ///< where it began
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

struct TlsLanes {
  explicit TlsLanes(std::size_t capacity) : in(capacity), out(capacity) {}

  Lane in;                         ///< for TLS to read
  Lane out;                        ///< what TLS has written
  const void* in_other = nullptr;  ///< where TLS goes on to read to
};

/// A BIO for SSL_set_bio(), which reads and writes `lanes`; they outlive it. Asks to be called
/// again where there is nothing to read, or no room. Throws std::bad_alloc.
[[nodiscard]] BIO* make_bio(TlsLanes& lanes);

}  // namespace p2psync::net
