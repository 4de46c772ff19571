// puppet: a member that does not do what members do, with a real key, against a real node.
//
//   puppet KEY-FILE NODE-ID HOST:PORT CLUSTER WHAT [READS [PACE]]
//
// WHAT is what it says, after a hello and for as long as the node listens (`words`, below). READS:
// so many bytes a second it reads of what comes; 0 for none at all, "all" for all. PACE: so many
// messages it says in a second, else as many as it can. It prints a
// line when it is connected, and when it was cut off what it said until then; then it dials anew,
// as often as it can, until somebody ends it.
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "engine/codec.h"
#include "net/address.h"
#include "net/wire.h"
#include "tests/unit/net_puppet.h"

namespace p2psync::net {
namespace {

using namespace engine;
using Words = std::function<Message(std::uint64_t number)>;

/// A path that nobody has, and that no filter could foresee.
PathEntry invented_entry(std::uint64_t number, const Actor& actor) {
  Version version;
  version.kind = Kind::symlink;
  version.mode = 0777;
  version.target = "nowhere";
  version.content = Hash{};
  version.label = "puppet";
  const Dot dot{actor, number + 1};
  version.tag = tag_of(dot);
  return {fmt::format("of the puppet {}", number), Entry{VersionVector{dot}, {{dot, version}}, {}}};
}

/// What it can say, by name.
Words words(std::string_view what, NodeId self) {
  if (what == "old-protocol") {
    return {};
  }
  if (what.starts_with("get:")) {  // the same block again and again: get:<SHA-256 of a small file>
    Get get;
    get.length = block_bytes;
    const auto content = KeyId::parse(what.substr(4));
    if (!content) {
      throw std::runtime_error("no such content");
    }
    get.content.bytes = content->bytes;
    return [get](std::uint64_t number) mutable -> Message {
      get.request = number + 1;
      return get;
    };
  }
  if (what == "vectors") {  // a few bytes, to which all that the node knows is the answer
    return [](std::uint64_t) -> Message { return Vectors{}; };
  }
  if (what == "ticks") {
    return [](std::uint64_t number) -> Message {
      Tick tick;
      tick.root = {number, number};
      tick.echo = number;
      return tick;
    };
  }
  if (what == "entries") {  // thousands of files in each message, faster than any disk
    return [self](std::uint64_t number) -> Message {
      constexpr std::uint64_t entries = 4000;
      Entries message;
      for (std::uint64_t i = 0; i < entries; ++i) {
        message.entries.push_back(invented_entry(number * entries + i, {self, 1}));
        message.knowledge.add(message.entries.back().entry.versions.front().dot);
      }
      return message;
    };
  }
  if (what == "actors") {  // knowledge of events of as many incarnations as a message holds
    return [self](std::uint64_t number) -> Message {
      constexpr std::uint64_t actors = 40'000;
      Entries message;
      message.stream = number + 1;
      for (std::uint64_t i = 0; i < actors; ++i) {
        message.ranges.push_back({{self, number * actors + i + 1}, 0, 1});
      }
      return message;
    };
  }
  if (what == "rows") {  // what members hold whom nobody has heard of
    return [](std::uint64_t number) -> Message {
      constexpr std::uint64_t rows = 20'000;
      Vectors vectors;
      vectors.answer = true;
      for (std::uint64_t i = 0; i < rows; ++i) {
        vectors.rows.push_back({number * rows + i + 1, 1, {}});
      }
      return vectors;
    };
  }
  throw std::runtime_error(fmt::format("it cannot say {}", what));
}

struct Plan {
  PrivateKey key;
  KeyId node;
  asio::ip::tcp::endpoint where;
  std::string cluster;
  std::string what;
  std::optional<std::uint64_t> reads;
  std::optional<std::uint64_t> pace;
};

/// Until it is cut off.
void play(const Plan& plan) {
  constexpr std::size_t ahead_bytes = std::size_t{4} << 20;
  asio::io_context io;
  Puppet puppet(io, plan.key, plan.node, plan.where, {}, plan.reads.value_or(0));
  puppet.reads = !plan.reads || *plan.reads > 0;
  puppet.behave(io);
  while (!puppet.open && !puppet.connection->closed()) {
    io.run_one();
  }
  if (puppet.connection->closed()) {
    return;
  }
  fmt::print("connected\n");
  std::fflush(stdout);
  const std::uint32_t protocol = protocol_version - (plan.what == "old-protocol" ? 1 : 0);
  puppet.say(encode_message(Hello{protocol, plan.cluster, "0.0.1", {}, false}));
  const Words says = words(plan.what, plan.key.id().node());
  std::uint64_t number = 0;
  const auto began = std::chrono::steady_clock::now();
  const auto speak = [&] {
    const std::chrono::duration<double> spoken = std::chrono::steady_clock::now() - began;
    const double most = plan.pace ? spoken.count() * static_cast<double>(*plan.pace) : 1e18;
    while (says && puppet.connection->queue().bytes() < ahead_bytes &&
           static_cast<double>(number) < most && !puppet.connection->closed()) {
      puppet.say(encode_message(says(number++)));
    }
  };
  puppet.connection->on_progress(speak);
  speak();
  while (!puppet.connection->closed()) {
    io.run_one_for(std::chrono::milliseconds(5));
    puppet.connection->tend(std::chrono::steady_clock::now(), {});
    speak();
  }
  fmt::print("cut off after {} messages: {}\n", number, puppet.connection->reason());
  std::fflush(stdout);
}

int run(std::span<char*> arguments) {
  if (arguments.size() < 6 || arguments.size() > 8) {
    fmt::print(stderr, "puppet KEY-FILE NODE-ID HOST:PORT CLUSTER WHAT [READS [PACE]]\n");
    return 2;
  }
  const auto key = PrivateKey::read(arguments[1]);
  const auto node = KeyId::parse(arguments[2]);
  const auto address = parse_address(arguments[3]);
  if (!key || !node || !address) {
    fmt::print(stderr, "puppet: not a key, an id or an address\n");
    return 2;
  }
  Plan plan{*key,         *node,        {asio::ip::make_address(address->host), address->port},
            arguments[4], arguments[5], std::nullopt,
            std::nullopt};
  if (arguments.size() > 6 && std::string_view(arguments[6]) != "all") {
    plan.reads = std::strtoull(arguments[6], nullptr, 10);
  }
  if (arguments.size() > 7) {
    plan.pace = std::strtoull(arguments[7], nullptr, 10);
  }
  while (true) {
    try {
      play(plan);
    } catch (const std::system_error&) {
      // It is not there, or no longer. It will be.
    }
  }
}

}  // namespace
}  // namespace p2psync::net

int main(int argc, char** argv) {
  try {
    return p2psync::net::run({argv, static_cast<std::size_t>(argc)});
  } catch (const std::exception& error) {
    fmt::print(stderr, "puppet: {}\n", error.what());
    return 2;
  }
}
