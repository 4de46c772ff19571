// Two nodes of p2psync in one process, without a network: all that a driver of the engine has to
// do.
//
//   embed ONE TWO     makes two directories the same, as two nodes of a cluster that meet would
//
// The engine (engine/node.h) decides and does nothing: it takes an input and gives outputs. What is
// below performs them with storage/, which has every system call, and hands messages from one node
// to the other as values. It remembers in ONE/.p2psync and TWO/.p2psync what each directory showed,
// so a second run knows edits from deletions, and two edits of one file become a conflict copy.
#include <chrono>
#include <cstdio>
#include <deque>
#include <random>
#include <thread>

#include "engine/node.h"
#include "storage/applier.h"
#include "storage/folder_lock.h"
#include "storage/index_store.h"
#include "storage/posix_fs.h"
#include "storage/scanner.h"
#include "storage/staging.h"

using namespace p2psync;
using Clock = std::chrono::steady_clock;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "embed: %s\n", result.error().message().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

const std::vector<engine::MemberName> members{{1, "one"}, {2, "two"}};

class Host {
 public:
  struct Mail {
    engine::NodeId to;
    engine::Input input;
  };

  Host(engine::NodeId self, const std::string& folder, std::deque<Mail>& mail)
      : self_(self), mail_(mail), fs_(must(storage::open_posix_fs(folder))) {
    // In this order: a directory of its own, nobody else in it, then what a crash left there.
    must(storage::prepare_state(*fs_));
    lock_ = must(storage::FolderLock::take(*fs_, "embed-" + members[self - 1].name));
    index_ = must(storage::IndexStore::open(*fs_, ".p2psync/index.db", self));
    engine::Loaded loaded = must(index_->load());
    applier_ = std::make_unique<storage::Applier>(*fs_);
    auto surfaced = must(applier_->recover([&](const std::string& file) {
      const auto kept = std::ranges::find(loaded.kept, file, &engine::KeptVersion::file);
      return kept == loaded.kept.end() ? std::nullopt : std::optional(kept->version.content);
    }));
    loaded.relaid = applier_->relaid();
    loaded.staged = storage::contents_in_staging(*fs_);

    std::random_device random;
    engine::NodeOptions options{.cluster = "embed", .version = "1", .self = self};
    options.members = members;
    options.seed = random();
    // New at every start: so no two events are ever numbered alike, whatever happens to the index.
    options.incarnation = std::uint64_t{random()} << 32U | random() | 1;
    options.index_epoch = index_->epoch();
    options.fresh_index = index_->fresh();
    node_ = std::make_unique<engine::Node>(options, std::move(loaded), Clock::now());
    perform(node_->start(Clock::now()));
    for (engine::Surfaced& found : surfaced) {
      take(std::move(found));
    }
  }

  /// The engine's clock is what it is told; its randomness came with the options.
  void take(engine::Input input) { perform(node_->step(Clock::now(), std::move(input))); }
  engine::Node& node() { return *node_; }
  /// From the next start on, what is missing was deleted, and not just never here.
  void scanned() { must(index_->scanned()); }

 private:
  void answer(engine::Input input) { mail_.push_back({self_, std::move(input)}); }
  void perform(std::vector<engine::Output> outputs) {
    for (engine::Output& output : outputs) {  // in order: what is told was recorded before
      std::visit([this](auto& request) { perform(request); }, output);
    }
  }

  // A commit that returns is durable, so whatever comes after it may leave. A program that does not
  // want to stand still meanwhile holds Sends and Applies back instead (apps/p2psync/outbox.h).
  void perform(engine::Persist& persist) { must(index_->commit({&persist.change, 1})); }
  void perform(engine::Send& send) {
    mail_.push_back({send.peer, engine::Received{self_, std::move(send.message)}});
  }
  void perform(engine::Disconnect& cut) { std::fprintf(stderr, "cut: %s\n", cut.reason.c_str()); }
  void perform(engine::Note& note) {
    std::printf("%s: %s\n", members[self_ - 1].name.c_str(), note.text.c_str());
  }

  // Requests of the disk: each is answered exactly once, by an input. Nothing but storage/ touches
  // the directory, and a user may do to it what he likes at any moment.
  void perform(engine::List& list) { answer(storage::list(*fs_, list)); }
  void perform(engine::Look& look) { answer(engine::LookDone{storage::look_all(*fs_, look)}); }
  void perform(engine::ReadBlock& read) { answer(staging_.read(read)); }
  void perform(engine::OpenStage& open) { answer(staging_.open(open)); }
  void perform(engine::WriteBlock& write) { answer(staging_.write(write)); }
  void perform(engine::DropStage& drop) { staging_.drop(drop); }
  void perform(engine::Apply& apply) {
    answer(engine::ApplyDone{applier_->apply(apply)});
    for (engine::Surfaced& found : applier_->revisit()) {
      answer(std::move(found));
    }
  }

  engine::NodeId self_;
  std::deque<Mail>& mail_;
  std::unique_ptr<storage::PosixFs> fs_;
  std::unique_ptr<storage::FolderLock> lock_;
  std::unique_ptr<storage::IndexStore> index_;
  std::unique_ptr<storage::Applier> applier_;
  storage::Staging staging_{*fs_};
  std::unique_ptr<engine::Node> node_;
};

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: embed ONE TWO\n");
    return 2;
  }
  std::deque<Host::Mail> mail;  // everything that is under way, in both directions
  Host one(1, argv[1], mail);
  Host two(2, argv[2], mail);
  one.take(engine::PeerUp{2});  // a connection: nothing more than that both are told of it
  two.take(engine::PeerUp{1});
  while (!mail.empty() || !one.node().all_in_sync() || !two.node().all_in_sync()) {
    if (mail.empty()) {
      std::this_thread::sleep_until(std::min(one.node().wake_at(), two.node().wake_at()));
      one.take(engine::Wake{});
      two.take(engine::Wake{});
    } else {
      Host::Mail next = std::move(mail.front());
      mail.pop_front();
      (next.to == 1 ? one : two).take(std::move(next.input));
    }
  }
  one.scanned();
  two.scanned();
  const engine::Status status = one.node().status();
  std::printf("the same: %llu files, %llu conflict copies\n",
              static_cast<unsigned long long>(status.files),
              static_cast<unsigned long long>(status.conflicts));
}
