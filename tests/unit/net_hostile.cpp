// What strangers, broken programs and hostile members may do to a transport.
#include <doctest/doctest.h>

#include <asio/connect.hpp>
#include <asio/write.hpp>
#include <random>

#include "net/transport.h"
#include "net/wire.h"
#include "tests/unit/net_cluster.h"
#include "tests/unit/net_messages.h"
#include "tests/unit/net_puppet.h"

namespace p2psync::net {
namespace {

using asio::ip::tcp;
using engine::Priority;
using What = Event::What;
using Bytes = std::vector<std::uint8_t>;

/// A plain socket that sends some bytes and waits for the other end to hang up.
class Stranger : public std::enable_shared_from_this<Stranger> {
 public:
  explicit Stranger(asio::io_context& io) : socket_(io) {}
  static std::shared_ptr<Stranger> call(asio::io_context& io, const TestNode& node,
                                        std::string says, const std::string& from = "127.0.0.1") {
    auto self = std::make_shared<Stranger>(io);
    self->says_ = std::move(says);
    self->socket_.open(tcp::v4());
    self->socket_.bind({asio::ip::make_address_v4(from), 0});
    self->socket_.connect(node.endpoint());
    asio::async_write(self->socket_, asio::buffer(self->says_),
                      [self](const asio::error_code&, std::size_t) {});
    self->listen();
    return self;
  }
  bool hung_up = false;

 private:
  void listen() {
    socket_.async_read_some(asio::buffer(heard_), [self = shared_from_this()](
                                                      const asio::error_code& error, std::size_t) {
      if (error) {
        self->hung_up = true;
      } else {
        self->listen();
      }
    });
  }
  tcp::socket socket_;
  std::string says_;
  std::array<char, 4096> heard_{};
};

/// What a TLS 1.3 client that is nobody says first.
std::string client_hello() {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_method()),
                                                                  &SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context.get()), &SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(session.get(), BIO_new(BIO_s_mem()), out);
  SSL_set_connect_state(session.get());
  SSL_do_handshake(session.get());
  char* data = nullptr;
  const auto length = static_cast<std::size_t>(BIO_get_mem_data(out, &data));
  return {data, length};
}

std::vector<std::string> rude_words() {
  std::mt19937 random(7);
  std::string noise(20'000, ' ');
  for (char& byte : noise) {
    byte = static_cast<char>(random());
  }
  const std::string hello = client_hello();
  return {
      "GET / HTTP/1.1\r\nHost: node1\r\n\r\n",
      "hello\n",
      noise,
      std::string(100'000, '\0'),
      std::string("\x16\x03\x01\xff\xff", 5),                       // a record of 64 KiB
      std::string("\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9),       // a ClientHello of 16 MiB
      std::string("\x15\x03\x01\x00\x02\x02\x28", 7),               // an alert
      std::string("\x17\x03\x03\x00\x05\x00\x00\x00\x00\x07", 10),  // data, in the clear
      std::string(1, '\0') + std::string("\0\0\0\7", 4),            // a frame of ours, in the clear
      hello + noise,
      hello.substr(0, hello.size() / 2) + noise,
  };
}

/// A member with one configured peer, that it never dials.
struct Target {
  asio::io_context io;
  TestNode friendly{"friend"};
  TestNode node{"node"};
  explicit Target(std::chrono::nanoseconds handshake_max = std::chrono::seconds(5)) {
    node.options.timing.handshake_max = handshake_max;
    REQUIRE(node.start(io, {friendly.member("")}).has_value());
  }
  [[nodiscard]] bool disturbed() const { return !node.events.empty(); }
};

TEST_CASE("hostile: garbage and plaintext are hung up on, and said in the log") {
  for (const std::string& words : rude_words()) {
    // The last words wait for an answer that never comes: the time limit.
    Target target(std::chrono::milliseconds(300));
    const auto stranger = Stranger::call(target.io, target.node, words);
    CHECK(run_until(target.io, [&] { return stranger->hung_up; }));
    CHECK(
        run_until(target.io, [&] { return target.node.logged("refused a connection from 127."); }));
    CHECK_FALSE(target.disturbed());
  }
  Target target;
  const auto stranger = Stranger::call(target.io, target.node, "GET / HTTP/1.1\r\n\r\n");
  CHECK(run_until(target.io, [&] { return target.node.logged("it does not speak TLS"); }));
}

TEST_CASE("hostile: silence is hung up on") {
  Target target(std::chrono::milliseconds(50));
  const auto stranger = Stranger::call(target.io, target.node, "");
  CHECK(run_until(target.io, [&] { return stranger->hung_up; }));
  CHECK(target.node.logged("it did not say in time who it is"));
}

/// Refused, nothing happened, and the log says why.
void check_refused(Target& target, Puppet& puppet, std::string_view why) {
  puppet.behave(target.io);
  CHECK(run_until(target.io, [&] { return puppet.over && !target.node.log.empty(); }));
  CHECK_FALSE(puppet.open);
  CHECK_FALSE(target.disturbed());
  CAPTURE(target.node.log.front());
  CHECK(target.node.logged(why));
}

TEST_CASE("hostile: a stranger's key, no key, TLS 1.2 and other protocols get nowhere") {
  {
    Target target;
    const auto key = *PrivateKey::generate();
    Puppet puppet(target.io, key, target.node);
    check_refused(target, puppet, "the key with id " + key.id().hex() + " is not another member's");
  }
  {
    Target target;  // its own key, from elsewhere
    Puppet puppet(target.io, target.node.key(), target.node);
    check_refused(target, puppet, "is not another member's");
  }
  {
    Target target;
    Puppet puppet(target.io, target.friendly.key(), target.node, [](SSL_CTX* context) {
      SSL_CTX_set_cert_cb(
          context,
          [](SSL* ssl, void*) {
            SSL_certs_clear(ssl);
            return 1;
          },
          nullptr);
    });
    check_refused(target, puppet, "it has no certificate");
  }
  {
    Target target;
    Puppet puppet(target.io, target.friendly.key(), target.node, [](SSL_CTX* context) {
      SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
      SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
      SSL_CTX_set1_sigalgs_list(context, "ed25519:ECDSA+SHA256:RSA+SHA256");
    });
    check_refused(target, puppet, "it does not speak TLS 1.3");
  }
  {
    Target target;
    Puppet puppet(target.io, target.friendly.key(), target.node, [](SSL_CTX* context) {
      const unsigned char other[] = "\x02h2";
      SSL_CTX_set_alpn_protos(context, other, 3);
    });
    check_refused(target, puppet, "no application protocol");
  }
  {
    Target target;
    Puppet puppet(target.io, target.friendly.key(), target.node,
                  [](SSL_CTX* context) { SSL_CTX_set_alpn_protos(context, nullptr, 0); });
    check_refused(target, puppet, "negotiate protocol p2psync/1");
  }
}

TEST_CASE("hostile: a node that dials a stranger, or another member, says so and sends nothing") {
  TestCluster cluster(2);
  TestNode stranger("stranger");
  REQUIRE(stranger.start(cluster.io, {cluster[0].member(""), cluster[1].member("")}).has_value());
  REQUIRE(cluster[1].start(cluster.io, {cluster[0].member("")}).has_value());

  TestNode absent("absent");
  REQUIRE(cluster[0]
              .start(cluster.io,
                     {cluster[1].member(stranger.address), absent.member(cluster[1].address)})
              .has_value());
  CHECK(run_until(cluster.io, [&] {
    return cluster[0].logged("the key with id " + stranger.key().id().hex()) &&
           cluster[0].logged("cannot reach absent: it is " + cluster[1].name() +
                             " that answers there");
  }));
  CHECK(cluster[0].events.empty());
  CHECK(cluster[1].events.empty());
  CHECK(stranger.events.empty());
}

TEST_CASE("hostile: hundreds of strangers do not disturb members who talk") {
  TestCluster cluster(2);
  for (const auto& node : cluster.nodes) {
    node->options.timing.handshake_max = std::chrono::milliseconds(500);
  }
  cluster.start();
  REQUIRE(run_until(cluster.io, [&] { return cluster.connected(); }));
  std::uint64_t heard = 0;
  for (const auto& node : cluster.nodes) {
    node->on_received = [&heard, raw = node.get()](engine::NodeId peer,
                                                   const engine::Message& message) {
      if (std::holds_alternative<engine::Tick>(message)) {
        ++heard;
        raw->transport->send(peer, engine::Tick{}, Priority::control);
      }
    };
  }
  REQUIRE(cluster[0].transport->send(cluster[1].id(), engine::Tick{}, Priority::control));

  std::vector<std::shared_ptr<Stranger>> strangers;
  const auto words = rude_words();
  for (std::size_t i = 0; i < 400; ++i) {
    strangers.push_back(
        Stranger::call(cluster.io, cluster[i % 2], i % 3 == 0 ? "" : words[i % words.size()]));
    const auto before = heard;
    REQUIRE(run_until(cluster.io, [&] { return heard > before; }));
  }
  CHECK(run_until(cluster.io, [&] {
    return std::ranges::all_of(strangers, [](const auto& stranger) { return stranger->hung_up; });
  }));
  for (const auto& node : cluster.nodes) {
    CHECK(node->count(What::up) == 1);
    CHECK(node->count(What::down) == 0);
    CHECK(node->log.size() < 20);  // a flood is no flood of lines
  }
}

TEST_CASE("hostile: who holds sockets open keeps no member out, nor more than a few of them") {
  Target target;  // with time enough to see that it is the number that counts
  std::vector<std::shared_ptr<Stranger>> silent;
  for (std::size_t i = 0; i < 40; ++i) {
    silent.push_back(Stranger::call(target.io, target.node, ""));
  }
  const auto hung_up = [&] {
    return static_cast<std::size_t>(
        std::ranges::count_if(silent, [](const auto& one) { return one->hung_up; }));
  };
  CHECK(run_until(target.io, [&] { return hung_up() == 40 - half_open_per_address_max; }));
  Puppet member(target.io, target.friendly.key(), target.node);
  member.behave(target.io);
  CHECK(run_until(target.io, [&] { return target.node.count(What::up) == 1; }));
  CHECK(hung_up() == 40 - half_open_per_address_max + 1);
}

TEST_CASE("hostile: of sockets held open from many addresses, the oldest go") {
  Target target;
  std::vector<std::shared_ptr<Stranger>> silent;
  for (std::size_t i = 0; i < half_open_max + 6; ++i) {
    silent.push_back(
        Stranger::call(target.io, target.node, "", "127.0.0." + std::to_string(2 + i / 14)));
  }
  CHECK(run_until(target.io, [&] {
    return std::ranges::count_if(silent, [](const auto& one) { return one->hung_up; }) == 6;
  }));
  CHECK(std::ranges::all_of(silent.begin(), silent.begin() + 6,
                            [](const auto& one) { return one->hung_up; }));
}

TEST_CASE("hostile: a member that says nothing after the handshake is hung up on") {
  Target target(std::chrono::milliseconds(200));
  Puppet puppet(target.io, target.friendly.key(), target.node);
  puppet.opens = false;
  puppet.behave(target.io);
  CHECK(run_until(target.io, [&] { return puppet.over; }));
  CHECK(puppet.shaken);
  CHECK_FALSE(target.disturbed());
}

/// What a member says after ready and welcome, and the reason for which it is disconnected then.
std::string reason_after(const std::vector<Bytes>& words) {
  Target target;
  Puppet puppet(target.io, target.friendly.key(), target.node);
  puppet.behave(target.io);
  REQUIRE(run_until(target.io, [&] { return puppet.open; }));
  for (const Bytes& word : words) {
    puppet.say(word);
  }
  CHECK(run_until(target.io, [&] { return target.node.count(What::down) == 1; }));
  CHECK(target.node.count(What::up) == 1);
  const std::string told = target.node.transport->trouble_with(target.friendly.id());
  CHECK(told.starts_with("cut off "));
  CHECK(told.ends_with(": " + target.node.last_reason()));
  return target.node.last_reason();
}

TEST_CASE("hostile: a member that breaks the protocol loses its connection, with a reason") {
  const Bytes hello = encode_message(engine::Hello{});
  CHECK(reason_after({encode_message(engine::Tick{})}) == "it did not begin with Hello");
  CHECK(reason_after({hello, make_frame(FrameKind::welcome, {})}) ==
        "a ready or welcome out of place");
  CHECK(reason_after({hello, {0, 0, 0, 0, 99}}) == "read frame of unknown kind 99: corrupt");
  CHECK(reason_after({hello, {0xff, 0xff, 0xff, 0xff, 4}}) ==
        "read frame of kind 4 with 4294967295 bytes: corrupt");
  CHECK(reason_after({{0, 0, 0x40, 1, 4}}) == "read frame of kind 4 with 16385 bytes: corrupt");
  const auto ours = static_cast<std::uint8_t>(engine::protocol_version);
  CHECK(reason_after({make_frame(FrameKind::hello, Bytes{ours, 0xff, 0xff})}).contains("decode"));
  // Of a program whose hello says more than this one knows of, or less: the user is told that.
  const auto said = [](const Bytes& hello) {
    return reason_after({make_frame(FrameKind::hello, hello)});
  };
  CHECK(said({200, 1, 0xff, 0xff}).contains("it speaks protocol 200, this node"));
  CHECK(said({200, 1, 0xff, 0xff}).ends_with("its program is newer than this node's"));
  CHECK(said(Bytes(10'000)).ends_with("its program is older than this node's"));
}

TEST_CASE("hostile: flipped bits and cut frames of a member end its connection at the most") {
  Target target;
  target.node.says_hello = false;
  std::mt19937 random(42);
  std::size_t connections = 0;
  auto puppet = std::unique_ptr<Puppet>();
  const auto connected = [&] { return puppet != nullptr && puppet->open && !puppet->over; };
  for (const auto& message : one_of_every_message()) {
    const Bytes frame = encode_message(message);
    for (int round = 0; round < 12; ++round) {
      if (!connected()) {
        puppet = std::make_unique<Puppet>(target.io, target.friendly.key(), target.node);
        puppet->behave(target.io);
        ++connections;
        REQUIRE(run_until(
            target.io, [&] { return puppet->open && target.node.count(What::up) == connections; }));
        puppet->say(encode_message(engine::Hello{}));
      }
      Bytes flipped = frame;
      const std::size_t bit = random() % (frame.size() * 8);
      flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
      if (random() % 4 == 0) {
        flipped.resize(random() % frame.size());
      }
      puppet->say(flipped);
      // Enough behind it to complete whatever it is taken for, and then a header that is none.
      puppet->say(Bytes(control_bytes_max + header_bytes, 0xff));
      REQUIRE(run_until(
          target.io, [&] { return target.node.count(What::down) == connections && puppet->over; }));
    }
  }
  CHECK(target.node.count(What::up) == connections);
}

TEST_CASE("hostile: a connection cut at every byte of a frame is a lost connection") {
  const Bytes frame = encode_message(engine::Tick{});
  Target target;
  for (std::size_t length = 0; length < frame.size(); ++length) {
    target.node.events.clear();
    Puppet puppet(target.io, target.friendly.key(), target.node);
    puppet.behave(target.io);
    REQUIRE(run_until(target.io, [&] { return target.node.count(What::up) == 1; }));
    puppet.say(encode_message(engine::Hello{}));
    puppet.say(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length)));
    REQUIRE(run_until(target.io, [&] {
      return puppet.connection->queue().bytes() == 0 && target.node.count(What::received) == 1;
    }));
    puppet.connection->close("cut");
    REQUIRE(run_until(target.io, [&] { return target.node.count(What::down) == 1; }));
    CHECK(target.node.last_reason() == "closed by the other end");
    CHECK(target.node.count(What::received) == 1);
  }
}

TEST_CASE("hostile: for a member that does not read, data is refused until it does") {
  Target target;
  Puppet puppet(target.io, target.friendly.key(), target.node);
  puppet.reads = false;
  puppet.behave(target.io);
  REQUIRE(run_until(target.io, [&] { return target.node.count(What::up) == 1; }));
  const auto peer = target.friendly.id();
  const engine::Block block{1, engine::Bytes::of(Bytes(engine::block_bytes))};
  std::size_t taken = 0;
  // Until the kernel's buffers are full too: nothing goes though the loop has nothing to do.
  bool refused = false;
  while (!refused) {
    while (target.node.transport->send(peer, block, Priority::data)) {
      ++taken;
    }
    target.io.restart();
    refused = target.io.poll() == 0;
  }
  CHECK(target.node.transport->queued_bytes(peer) >= data_queue_bytes_max);
  CHECK(target.node.transport->queued_bytes(peer) < data_queue_bytes_max + 2 * engine::block_bytes);
  CHECK(target.node.count(What::drained) == 0);
  CHECK(target.node.transport->send(peer, engine::Tick{}, Priority::control));  // always

  puppet.resume(target.io);
  CHECK(run_until(target.io, [&] { return target.node.count(What::drained) == 1; }));
  CHECK(target.node.transport->queued_bytes(peer) <= data_queue_bytes_max / 2 + 1000);
  CHECK(run_until(target.io, [&] { return puppet.frames >= taken + 1; }));
  CHECK(target.node.transport->queued_bytes(peer) == 0);
  CHECK(target.node.count(What::down) == 0);
}

TEST_CASE("hostile: a member that takes next to nothing of what is sent is hung up on") {
  asio::io_context io;
  TestNode friendly("friend");
  TestNode node("node");
  node.options.timing.progress_max = std::chrono::milliseconds(200);
  node.options.timing.beat_after = std::chrono::milliseconds(100);  // it is looked at often
  REQUIRE(node.start(io, {friendly.member("")}).has_value());
  Puppet puppet(io, friendly.key(), node);
  puppet.reads = false;
  puppet.behave(io);
  REQUIRE(run_until(io, [&] { return node.count(What::up) == 1; }));
  const engine::Block block{1, engine::Bytes::of(Bytes(engine::block_bytes))};
  const auto send_on = [&] {
    while (node.transport->queued_bytes(friendly.id()) < 4 * engine::block_bytes &&
           node.transport->send(friendly.id(), block, Priority::data)) {
    }
  };
  CHECK(run_until(io, [&] {
    send_on();
    return node.count(What::down) == 1;
  }));
  CHECK(node.last_reason().starts_with("it takes less than 30 KiB in "));
}

TEST_CASE("hostile: control for a member that does not read ends at a limit") {
  Target target;
  Puppet puppet(target.io, target.friendly.key(), target.node);
  puppet.reads = false;
  puppet.behave(target.io);
  REQUIRE(run_until(target.io, [&] { return target.node.count(What::up) == 1; }));
  const auto peer = target.friendly.id();
  engine::Ranges large;
  large.listed.push_back({"a", "b", std::vector<std::uint64_t>(120'000)});
  std::size_t sent = 0;
  while (target.node.transport->send(peer, large, Priority::control)) {
    REQUIRE(++sent < 200);
  }
  CHECK(sent > 20);
  CHECK(run_until(target.io, [&] { return target.node.count(What::down) == 1; }));
  CHECK(target.node.last_reason() == "it does not read: too much is waiting to be sent");
}

}  // namespace
}  // namespace p2psync::net
