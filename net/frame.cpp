#include "net/frame.h"

#include <algorithm>
#include <string>
#include <utility>

namespace p2psync::net {
namespace {

std::size_t length_in(std::span<const std::uint8_t> header) {
  return std::size_t{header[0]} << 24U | std::size_t{header[1]} << 16U |
         std::size_t{header[2]} << 8U | std::size_t{header[3]};
}

/// `begin`: of a frame of so many bytes.
bool within_limit(std::span<const std::uint8_t> begin, std::size_t frame_bytes) {
  if (begin.size() < header_bytes || frame_bytes != header_bytes + length_in(begin)) {
    return false;
  }
  const auto limit = body_bytes_max(begin[4]);
  return limit && frame_bytes - header_bytes <= *limit;
}

}  // namespace

std::optional<std::size_t> body_bytes_max(std::uint8_t kind) {
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::hello: return before_hello_bytes_max;
    case FrameKind::tick: return tick_frame_bytes_max - header_bytes;
    case FrameKind::vectors:
    case FrameKind::entries:
    case FrameKind::ranges:
    case FrameKind::held:
    case FrameKind::get:
    case FrameKind::taken:
    case FrameKind::have: return control_bytes_max;
    case FrameKind::block: return block_body_bytes_max;
    case FrameKind::ready: return ready_body_bytes;
    case FrameKind::welcome:
    case FrameKind::beat:
    case FrameKind::paused: return 0;
  }
  return {};
}

std::array<std::uint8_t, header_bytes> frame_header(FrameKind kind, std::size_t body_bytes) {
  invariant(body_bytes <= UINT32_MAX, "a frame's length has 32 bits");
  return {static_cast<std::uint8_t>(body_bytes >> 24U),
          static_cast<std::uint8_t>(body_bytes >> 16U), static_cast<std::uint8_t>(body_bytes >> 8U),
          static_cast<std::uint8_t>(body_bytes), static_cast<std::uint8_t>(kind)};
}

std::vector<std::uint8_t> make_frame(FrameKind kind, std::span<const std::uint8_t> body) {
  std::vector<std::uint8_t> frame;
  frame.reserve(header_bytes + body.size());
  const auto header = frame_header(kind, body.size());
  frame.insert(frame.end(), header.begin(), header.end());
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

bool frame_within_limit(std::span<const std::uint8_t> frame) {
  return within_limit(frame, frame.size());
}

bool frame_within_limit(const OutFrame& frame) {
  return within_limit(frame.head, frame.size());
}

std::span<std::uint8_t> FrameReader::space() {
  if (large_ == nullptr && wanted_ > read_bytes) {
    large_ = engine::uninitialised_bytes(wanted_ + read_bytes_min);
    large_end_ = end_ - begin_;
    std::copy_n(buffer_.data() + begin_, large_end_, large_.get());
  }
  if (large_ != nullptr) {
    invariant(large_end_ < wanted_, "what is complete was taken");
    return {large_.get() + large_end_, wanted_ + read_bytes_min - large_end_};
  }
  // Room for the rest of the frame that has begun, and some more where that is little.
  const std::size_t held = end_ - begin_;
  const std::size_t rest = wanted_ > held ? wanted_ - held : 0;
  invariant(held + rest <= read_bytes, "what is complete was taken");
  if (held == 0 || buffer_.size() - end_ < std::max(rest, read_bytes_min)) {
    buffer_.resize(read_bytes + read_bytes_min);
    std::copy_n(buffer_.data() + begin_, held, buffer_.data());
    begin_ = 0;
    end_ = held;
  }
  return std::span(buffer_).subspan(end_);
}

void FrameReader::filled(std::size_t bytes) {
  if (large_ != nullptr) {
    invariant(bytes <= wanted_ + read_bytes_min - large_end_, "what was read had room");
    large_end_ += bytes;
  } else {
    invariant(bytes <= buffer_.size() - end_, "what was read had room");
    end_ += bytes;
  }
}

Result<std::optional<std::size_t>> FrameReader::frame_bytes() {
  const auto held = std::span<const std::uint8_t>(buffer_).subspan(begin_, end_ - begin_);
  if (held.size() < header_bytes) {
    return std::nullopt;
  }
  const std::size_t length = length_in(held);
  const std::uint8_t kind = held[4];
  auto limit = body_bytes_max(kind);
  if (!limit) {
    return std::unexpected(
        Error{ErrorCode::corrupt, "read frame", "of unknown kind " + std::to_string(kind)});
  }
  if (!greeted_) {
    limit = std::min(*limit, before_hello_bytes_max);
  }
  if (length > *limit) {
    return std::unexpected(
        Error{ErrorCode::corrupt, "read frame",
              "of kind " + std::to_string(kind) + " with " + std::to_string(length) + " bytes"});
  }
  return header_bytes + length;
}

Result<std::optional<Frame>> FrameReader::next() {
  if (error_) {
    return std::unexpected(*error_);
  }
  if (large_ != nullptr) {
    return next_large();
  }
  const auto bytes = frame_bytes();
  if (!bytes) {
    error_ = bytes.error();
    return std::unexpected(*error_);
  }
  wanted_ = bytes->value_or(0);
  if (wanted_ == 0 || end_ - begin_ < wanted_) {
    return std::nullopt;
  }
  const auto whole = std::span<const std::uint8_t>(buffer_).subspan(begin_, wanted_);
  begin_ += wanted_;
  wanted_ = 0;
  return Frame{static_cast<FrameKind>(whole[4]), whole.subspan(header_bytes)};
}

std::optional<Frame> FrameReader::next_large() {
  if (large_end_ < wanted_) {
    return std::nullopt;
  }
  const std::span<const std::uint8_t> whole(large_.get(), wanted_);
  begin_ = 0;
  end_ = large_end_ - wanted_;  // of the frame after it
  std::copy_n(large_.get() + wanted_, end_, buffer_.data());
  wanted_ = 0;
  return Frame{static_cast<FrameKind>(whole[4]), whole.subspan(header_bytes),
               std::exchange(large_, nullptr)};
}

}  // namespace p2psync::net
