#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "apps/p2psync/control_server.h"
#include "apps/p2psync/control_socket.h"
#include "storage/descriptor.h"
#include "tests/unit/app_scratch.h"

using namespace p2psync;
using namespace p2psync::app;
using namespace std::chrono_literals;

namespace {

/// A server on a thread of its own, as the daemon's is.
class Running {
 public:
  explicit Running(const std::string& folder)
      : server_(context_, {.status = [this] { return Json(Json::Object{{"looks", looks.load()}}); },
                           .look =
                               [this] {
                                 if (looks++ == 0) {
                                   looked.set_value();
                                 }
                               },
                           .looked = [this] { return settled.load(); },
                           .settled = [this] { return settled.load(); },
                           .paused = [this] { return paused.load(); },
                           .laying = [this] { return laying.load(); },
                           .answer = [this](const Json& request) { return answer(request); },
                           .laid_out = [this](const Json&) { return laid_out.load(); }}) {
    std::filesystem::create_directories(folder + "/.p2psync");
    state_ = storage::Descriptor(::open((folder + "/.p2psync").c_str(), O_PATH | O_DIRECTORY));
    REQUIRE(server_.listen(state_.get(), canonical_folder(folder)).has_value());
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Running() {
    stop();
    thread_.join();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  void settle() {
    asio::post(context_, [this] {
      settled = true;
      server_.changed();
    });
  }
  void stop() {
    asio::post(context_, [this] { server_.stop(); });
  }

  [[nodiscard]] Json answer(const Json& request) {
    if (request["path"].text() == "unknown") {
      return Json::Object{{"error", "nothing is known of it"}};
    }
    acted.set_value();
    return Json::Object{{"did", request["command"].text()}, {"looked", settled.load()}};
  }
  void lay_out() {
    asio::post(context_, [this] {
      laid_out = true;
      laying = false;
      server_.changed();
    });
  }

  std::atomic<int> looks = 0;
  std::promise<void> looked;
  std::promise<void> acted;
  std::atomic<bool> settled = false;
  std::atomic<bool> laid_out = false;
  std::atomic<bool> paused = false;
  std::atomic<bool> laying = false;

 private:
  asio::io_context context_;
  ControlServer server_;
  storage::Descriptor state_;
  std::thread thread_;
};

const Json status(Json::Object{{"command", "status"}});
const Json waiting(Json::Object{{"command", "status"}, {"wait_s", 3600}});

}  // namespace

TEST_CASE("control: a question has its answer, also below a path longer than a socket's name") {
  const Scratch scratch;
  const std::string folder =
      scratch.at(std::string(200, 'd') + "/" + std::string(200, 'e') + "/data");
  const Running running(folder);
  const auto answer = ask_node(folder, status, 10s);
  REQUIRE(answer.has_value());
  CHECK(answer->dump() == R"({"status":{"looks":0}})");
  struct stat file{};
  REQUIRE(::stat((folder + "/.p2psync/control.sock").c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
}

TEST_CASE("control: a socket that a crash left is replaced") {
  const Scratch scratch;
  {
    const Running crashed(scratch.at("data"));
  }
  CHECK(std::filesystem::exists(scratch.at("data/.p2psync/control.sock")));
  CHECK(ask_node(scratch.at("data"), status, 10s).error().code == ErrorCode::not_found);
  const Running running(scratch.at("data"));
  CHECK(ask_node(scratch.at("data"), status, 10s).has_value());
}

TEST_CASE("control: a node whose folder has vanished still answers") {
  const Scratch scratch;
  const Running running(scratch.at("data"));
  std::filesystem::remove_all(scratch.at("data"));
  CHECK(ask_node(scratch.at("data"), status, 10s).has_value());
}

TEST_CASE("control: nobody answers where no node runs") {
  const Scratch scratch;
  CHECK(ask_node(scratch.at("data"), status, 10s).error().code == ErrorCode::not_found);
}

TEST_CASE("control: who waits makes the node look, and is answered when it has settled") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  auto answer =
      std::async(std::launch::async, [&] { return ask_node(scratch.at("data"), waiting, 100s); });
  running.looked.get_future().wait();
  CHECK(answer.wait_for(0s) == std::future_status::timeout);
  running.settle();
  const auto got = answer.get();
  REQUIRE(got.has_value());
  CHECK(got->dump() == R"({"settled":true,"status":{"looks":1}})");
}

TEST_CASE("control: who waits is answered at the limit") {
  const Scratch scratch;
  const Running running(scratch.at("data"));
  const Json brief(Json::Object{{"command", "status"}, {"wait_s", 0.01}});
  const auto got = ask_node(scratch.at("data"), brief, 100s);
  REQUIRE(got.has_value());
  CHECK(!(*got)["settled"].boolean());
}

TEST_CASE("control: who waits is answered when the node stops") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  auto answer =
      std::async(std::launch::async, [&] { return ask_node(scratch.at("data"), waiting, 100s); });
  running.looked.get_future().wait();
  running.stop();
  const auto got = answer.get();
  REQUIRE(got.has_value());
  CHECK(!(*got)["settled"].boolean());
}

TEST_CASE("control: what is no question for the server is the handler's, at once") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  const Json log(Json::Object{{"command", "log"}, {"path", "a"}});
  CHECK(ask_node(scratch.at("data"), log, 10s)->dump() == R"({"did":"log","looked":false})");
  CHECK(running.looks == 0);
}

TEST_CASE("control: an act is done when the node has looked, and answered when the disk shows it") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  const Json resolve(Json::Object{{"command", "resolve"}, {"path", "a"}});
  auto answer =
      std::async(std::launch::async, [&] { return ask_node(scratch.at("data"), resolve, 100s); });
  running.looked.get_future().wait();
  auto acted = running.acted.get_future();
  CHECK(acted.wait_for(0s) == std::future_status::timeout);
  running.settle();
  acted.wait();
  CHECK(answer.wait_for(0s) == std::future_status::timeout);
  running.lay_out();
  const auto got = answer.get();
  REQUIRE(got.has_value());
  CHECK(got->dump() == R"({"did":"resolve","looked":true,"laid_out":true})");
}

TEST_CASE("control: a pause is answered when what was begun has ended") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  running.laying = true;
  const Json pause(Json::Object{{"command", "pause"}, {"on", true}});
  auto answer =
      std::async(std::launch::async, [&] { return ask_node(scratch.at("data"), pause, 100s); });
  running.acted.get_future().wait();
  CHECK(answer.wait_for(0s) == std::future_status::timeout);
  running.lay_out();
  const auto got = answer.get();
  REQUIRE(got.has_value());
  CHECK(got->dump() == R"({"did":"pause","looked":false})");
}

TEST_CASE("control: nobody waits for others while the node is paused") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  running.paused = true;
  const auto waited = ask_node(scratch.at("data"), waiting, 100s);
  REQUIRE(waited.has_value());
  CHECK(!(*waited)["settled"].boolean());
  running.settle();
  const auto settled = ask_node(scratch.at("data"), waiting, 100s);
  REQUIRE(settled.has_value());
  CHECK(!(*settled)["settled"].boolean());
  const Json resolve(Json::Object{{"command", "resolve"}, {"path", "a"}});
  CHECK(ask_node(scratch.at("data"), resolve, 100s)->dump() ==
        R"({"did":"resolve","looked":true,"laid_out":false})");
}

TEST_CASE("control: an act that is refused waits for no disk") {
  const Scratch scratch;
  Running running(scratch.at("data"));
  running.settle();
  const Json restore(Json::Object{{"command", "restore"}, {"path", "unknown"}});
  const auto answer = ask_node(scratch.at("data"), restore, 10s);
  REQUIRE(answer.has_value());
  CHECK(answer->dump() == R"({"error":"nothing is known of it"})");
}
