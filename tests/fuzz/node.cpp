// A peer that says whatever it likes, to a node that lives: frames, one after the other, in between
// time and lost connections. Nothing that it says may end the process, take memory without bound,
// or leave an index that contradicts itself.
//
// Input: commands. A byte below 240: a frame follows, whose kind is that byte modulo 10, plus 1,
// with two bytes of length and a body. 240-247: time goes on. Above: the connection is lost and
// comes back.
#include "engine/replica.h"
#include "net/wire.h"
#include "tests/fuzz/input.h"
#include "tests/unit/engine_pair.h"

namespace p2psync::fuzz {
namespace {

using namespace engine;

/// Node 1 is real; whatever comes from node 2 is the fuzzer's.
class Victim {
 public:
  Victim() {
    pair_.make(1, "d", Kind::directory, "", 0);
    pair_.make(1, "d/f", Kind::file, "text", 10);
    pair_.make(1, "l", Kind::symlink, "target", 10);
    pair_.start(1, true);
    pair_.lose = [](NodeId from, const Message&) { return from == 1; };
    pair_.drain();
    greet();
  }

  void frame(std::uint8_t kind, View body) {
    auto message = net::decode_message(net::Frame{static_cast<net::FrameKind>(kind), body});
    if (message) {
      pair_.hear(1, Received{2, std::move(*message)});
      pair_.drain();
    }
  }
  void time_goes_on() { pair_.let_time_go_on(1); }
  void lose_connection() {
    pair_.hear(1, PeerDown{2});
    greet();
  }
  void check() {
    const Replica& replica = pair_.host(1).node->replica();
    replica.index().check();
    (void)pair_.host(1).node->status();
    require(!pair_.host(1).disk.contains(Path(own_directory)), "nothing is laid where none may be");
  }

 private:
  void greet() {
    pair_.hear(1, PeerUp{2});
    pair_.hear(
        1, Received{2, Hello{protocol_version, "pair", "", {{1, "alpha"}, {2, "beta"}}, false}});
    pair_.drain();
  }

  Pair pair_;
};

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync::fuzz;
  constexpr int commands_max = 200;
  View bytes(data, size);
  Victim victim;
  for (int commands = 0; !bytes.empty() && commands < commands_max; ++commands) {
    const std::uint8_t what = take_byte(bytes);
    if (what < 240) {
      const std::size_t low = take_byte(bytes);
      const std::size_t length = low | std::size_t{take_byte(bytes)} << 8;
      victim.frame(static_cast<std::uint8_t>(what % 10 + 1), take(bytes, length));
    } else if (what < 248) {
      victim.time_goes_on();
    } else {
      victim.lose_connection();
    }
  }
  victim.check();
  return 0;
}
