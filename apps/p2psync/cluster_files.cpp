#include "apps/p2psync/cluster_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "apps/p2psync/key_id.h"
#include "net/tls.h"
#include "storage/descriptor.h"

namespace p2psync::app {
namespace {

constexpr std::string_view config_name = "cluster.toml";

bool exists(const std::string& file) {
  return ::access(file.c_str(), F_OK) == 0;
}

Error already_there(const std::string& file) {
  return system_error("write", file, EEXIST);
}

/// Durable, whole or not at all, and only if nothing has the name.
Result<void> write_new(const std::string& file, std::string_view text) {
  const std::string temporary = fmt::format("{}.{}.tmp", file, ::getpid());
  const auto failed = [&](const char* operation) {
    const int number = errno;
    ::unlink(temporary.c_str());
    return std::unexpected(system_error(operation, file, number));
  };
  const storage::Descriptor out(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!out) {
    return std::unexpected(system_error("write", file, errno));
  }
  while (!text.empty()) {
    const ssize_t written = ::write(out.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) {
      return failed("write");
    }
    text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  if (::fsync(out.get()) != 0) {
    return failed("sync");
  }
  if (::link(temporary.c_str(), file.c_str()) != 0) {
    return failed("write");
  }
  ::unlink(temporary.c_str());
  return {};
}

/// The id of the new key, or of the one that is there and may stay.
Result<std::string> make_key(const std::string& file, IfPresent present) {
  if (present == IfPresent::refuse || !exists(file)) {
    const auto key = net::PrivateKey::generate();
    if (!key) {
      return std::unexpected(key.error());
    }
    const auto written = key->write_new(file);
    if (written) {
      return key->id().hex();
    }
    if (present == IfPresent::refuse || written.error().code != ErrorCode::changed) {
      return std::unexpected(written.error());
    }
  }
  return read_key_id(file);
}

constexpr std::string_view head =
    R"(# p2psync: the configuration of one cluster, the same on every node. It holds no secret.
# A node finds out which member it is from its private key. Any single key can be overridden by the
# environment: P2PSYNC_<SECTION>_<KEY>, such as P2PSYNC_NODE_FOLDER=/srv/data. `p2psync check`
# judges all of it.

[cluster]
name = "{}"

# Every member, on every node. Names and ids must agree everywhere; addresses may differ from node
# to node. A name appears in the names of conflict copies (NAME.conflict-node1).
)";

constexpr std::string_view member_text = R"([[member]]
name    = "{}"
{}
id      = "{}"

)";
constexpr std::string_view no_address = "# address = \"HOST:PORT\"   # left out: found on the LAN";

constexpr std::string_view tail = R"([node]
folder = "/data"                      # the synchronised directory; created if absent
key    = "/run/secrets/p2psync_key"   # this node's private key
# listen = "0.0.0.0:7744"             # default: all interfaces, the port of this member's address;
                                      # 7744 if that is left out

# From here on all is optional, and the values are the defaults. Durations: ms, s, m, h,
# d. Sizes: B, KiB, MiB, GiB, TiB.

# [gossip]
# interval = "1s"             # how often digests are compared with one random peer

# [scan]
# watch    = true             # follow the kernel's change events
# interval = "1h"             # and read the whole tree this often
# max_delete = "50%"          # not set: when more of the files are gone at once (ten at least), no
#                             # other node is told before `p2psync confirm-deletes`

# [transfer]
# upload_limit   = 0          # bytes a second, 0 = none
# download_limit = 0

# [versions]
# keep      = "30d"           # how long replaced and deleted files stay restorable; "0" keeps none
# max_bytes = "10GiB"
# thin      = true            # older than a day: one an hour stays; than a week: one a day

# [http]
# listen = "127.0.0.1:7745"   # status page; "" turns it off

# [log]
# level  = "info"             # error warn info debug
# format = "text"             # text json
)";

}  // namespace

std::string cluster_toml(std::string_view cluster, const std::vector<Member>& members) {
  std::string text = fmt::format(head, cluster);
  for (const Member& member : members) {
    const std::string address = member.address
                                    ? fmt::format("address = \"{}\"", member.address->text())
                                    : std::string(no_address);
    text += fmt::format(member_text, member.name, address, member.key_id);
  }
  text += tail;
  return text;
}

Parsed<Member> parse_member(std::string_view text) {
  const std::size_t equals = text.find('=');
  Member member;
  member.name = text.substr(0, equals);
  if (!is_member_name(member.name)) {
    return std::unexpected(fmt::format("{}: the name must be 1 to 32 of a-z 0-9 -", text));
  }
  if (equals == std::string_view::npos) {
    return member;
  }
  auto address = parse_address(text.substr(equals + 1));
  if (!address) {
    return std::unexpected(fmt::format("{}: the address {}", text, address.error()));
  }
  member.address = std::move(*address);
  return member;
}

Result<std::vector<Member>> write_cluster_files(const std::string& directory,
                                                const std::string& cluster,
                                                std::vector<Member> members, IfPresent present) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return std::unexpected(system_error("make directory", directory, error.value()));
  }
  const auto file_of = [&](std::string_view name) { return fmt::format("{}/{}", directory, name); };
  const auto key_file = [&](const Member& member) { return file_of(member.name + ".key"); };

  const std::string config = file_of(config_name);
  const bool configured = exists(config);
  if (configured && present == IfPresent::refuse) {
    return std::unexpected(already_there(config));
  }
  for (const Member& member : members) {
    // Looked at before anything is written, so that a refusal leaves no half of a new cluster.
    if (present == IfPresent::refuse && exists(key_file(member))) {
      return std::unexpected(already_there(key_file(member)));
    }
    if (configured && !exists(key_file(member))) {
      return std::unexpected(Error{ErrorCode::not_found,
                                   fmt::format("{} is there, but its key", config),
                                   key_file(member), 0});
    }
  }
  if (configured) {
    return std::vector<Member>{};
  }
  for (Member& member : members) {
    auto id = make_key(key_file(member), present);
    if (!id) {
      return std::unexpected(id.error());
    }
    member.key_id = std::move(*id);
  }
  if (const auto written = write_new(config, cluster_toml(cluster, members)); !written) {
    return std::unexpected(written.error());
  }
  const storage::Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened || ::fsync(opened.get()) != 0) {
    return std::unexpected(system_error("sync", directory, errno));
  }
  return members;
}

}  // namespace p2psync::app
