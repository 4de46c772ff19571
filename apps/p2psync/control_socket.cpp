#include "apps/p2psync/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "storage/descriptor.h"

namespace p2psync::app {
namespace {

using Clock = std::chrono::steady_clock;

bool connect_to(int socket, std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof(address.sun_path)) {
    return false;
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), length) == 0;
}

storage::Descriptor new_socket() {
  return storage::Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/// Connected to the node on this folder, or closed.
storage::Descriptor connect_to_node(const std::string& folder) {
  const storage::Descriptor state(
      ::open((folder + "/.p2psync").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (state) {
    storage::Descriptor socket = new_socket();
    if (socket && connect_to(socket.get(), control_path(state.get()))) {
      return socket;
    }
  }
  storage::Descriptor socket = new_socket();
  if (socket && connect_to(socket.get(), abstract_control_name(canonical_folder(folder))) &&
      same_user(socket.get())) {
    return socket;
  }
  return {};
}

/// True when the socket is ready before the deadline.
bool wait_for(int socket, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      return false;
    }
    pollfd poll{socket, events, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (ready > 0) {
      return true;
    }
    if (ready < 0 && errno != EINTR) {
      return false;
    }
  }
}

}  // namespace

std::string control_path(int state_directory) {
  return fmt::format("/proc/self/fd/{}/control.sock", state_directory);
}

std::string abstract_control_name(const std::string& folder) {
  const XXH128_hash_t hash = XXH3_128bits(folder.data(), folder.size());
  return fmt::format("{}p2psync-{}-{:016x}{:016x}", '\0', ::geteuid(), hash.high64, hash.low64);
}

std::string canonical_folder(const std::string& folder) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(folder, error);
  auto canonical = std::filesystem::weakly_canonical(absolute, error);
  if (error) {
    canonical = absolute.lexically_normal();
  }
  std::string text = canonical.string();
  while (text.size() > 1 && text.ends_with('/')) {
    text.pop_back();
  }
  return text;
}

bool same_user(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

Result<Json> ask_node(const std::string& folder, const Json& request,
                      std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  const auto nobody = [&](ErrorCode code) {
    return std::unexpected(Error{code, "ask the node on", folder, 0});
  };
  const storage::Descriptor socket = connect_to_node(folder);
  if (!socket) {
    return nobody(ErrorCode::not_found);
  }
  // Shorter than a socket's buffer: it is taken whole or not at all.
  const std::string line = request.dump() + "\n";
  if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    return nobody(ErrorCode::not_found);
  }
  std::string answer;
  std::array<char, 65536> buffer;
  while (true) {
    if (!wait_for(socket.get(), POLLIN, deadline)) {
      return nobody(ErrorCode::busy);
    }
    const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    answer.append(buffer.data(), static_cast<std::size_t>(got));
    if (answer.size() > response_bytes_max) {
      return nobody(ErrorCode::corrupt);
    }
  }
  auto document = Json::parse(answer);
  if (!document) {
    // It was stopped before it could answer.
    return nobody(answer.empty() ? ErrorCode::not_found : ErrorCode::corrupt);
  }
  return std::move(*document);
}

}  // namespace p2psync::app
