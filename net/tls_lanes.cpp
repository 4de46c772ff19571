#include "net/tls_lanes.h"

#include <openssl/err.h>

#include <algorithm>
#include <new>

#include "engine/error.h"

namespace p2psync::net {
namespace {

constexpr std::size_t page_bytes = 4096;  // what addresses are compared within, not the system's

TlsLanes& lanes_of(BIO* bio) {
  return *static_cast<TlsLanes*>(BIO_get_data(bio));
}

int read(BIO* bio, char* into, std::size_t bytes_max, std::size_t* bytes) {
  TlsLanes& lanes = lanes_of(bio);
  const std::span<const std::uint8_t> held = lanes.in.held();
  BIO_clear_retry_flags(bio);
  *bytes = std::min(held.size(), bytes_max);
  if (held.empty()) {
    lanes.in_other = into;
    BIO_set_retry_read(bio);
    return 0;
  }
  std::copy_n(held.data(), *bytes, reinterpret_cast<std::uint8_t*>(into));
  lanes.in.taken(*bytes);
  return 1;
}

int write(BIO* bio, const char* from, std::size_t bytes_max, std::size_t* bytes) {
  TlsLanes& lanes = lanes_of(bio);
  const std::span<std::uint8_t> space = lanes.out.space(from);
  BIO_clear_retry_flags(bio);
  *bytes = std::min(space.size(), bytes_max);
  if (space.empty()) {
    BIO_set_retry_write(bio);
    return 0;
  }
  std::copy_n(reinterpret_cast<const std::uint8_t*>(from), *bytes, space.data());
  lanes.out.filled(*bytes);
  return 1;
}

long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:  // the stream sends what is there before it waits for anything
      return 1;
    case BIO_CTRL_PENDING: return static_cast<long>(lanes_of(bio).in.held().size());
    case BIO_CTRL_WPENDING: return static_cast<long>(lanes_of(bio).out.held().size());
    default: return 0;
  }
}

BIO_METHOD* make_method() {
  BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lanes");
  if (made == nullptr) {
    ERR_clear_error();
    throw std::bad_alloc();
  }
  BIO_meth_set_read_ex(made, &read);
  BIO_meth_set_write_ex(made, &write);
  BIO_meth_set_ctrl(made, &control);
  return made;
}

}  // namespace

Lane::Lane(std::size_t capacity)
    : capacity_(capacity),
      memory_(std::make_unique_for_overwrite<std::uint8_t[]>(capacity + page_bytes)) {}

std::span<const std::uint8_t> Lane::held() const {
  return {memory_.get() + begin_, end_ - begin_};
}

std::size_t Lane::room() const {
  return begin_ == end_ ? capacity_ : front_ + capacity_ - end_;
}

std::span<std::uint8_t> Lane::space(const void* other) {
  if (begin_ == end_) {
    const auto half_off = reinterpret_cast<std::uintptr_t>(other) + page_bytes / 2;
    const auto memory = reinterpret_cast<std::uintptr_t>(memory_.get());
    front_ = begin_ = end_ = (half_off - memory) % page_bytes;
  }
  return {memory_.get() + end_, room()};
}

void Lane::filled(std::size_t bytes) {
  invariant(bytes <= front_ + capacity_ - end_, "what is put in has room");
  end_ += bytes;
}

void Lane::taken(std::size_t bytes) {
  invariant(bytes <= end_ - begin_, "what is taken was there");
  begin_ += bytes;
}

BIO* make_bio(TlsLanes& lanes) {
  static BIO_METHOD* const method = make_method();  // for as long as the process lives
  BIO* made = BIO_new(method);
  if (made == nullptr) {
    ERR_clear_error();
    throw std::bad_alloc();
  }
  BIO_set_data(made, &lanes);
  BIO_set_init(made, 1);
  return made;
}

}  // namespace p2psync::net
