#pragma once
// Two engine::Nodes on two disks that are maps, connected by queues: no thread, file or real time.
//
// A step takes what arrived first; when nothing is under way, time moves to the next wake. `lose`
// may drop messages on their way. Contents are known by their hash alone: whoever wrote a block
// has the bytes.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/ignore.h"
#include "engine/node.h"

namespace p2psync::engine {

class Pair {
 public:
  struct Host {
    std::map<Path, Seen> disk;
    std::map<Hash, Bytes> contents;
    VersionVector knowledge;  ///< as last persisted
    std::vector<Hash> dropped;
    Path refused;       ///< every step there meets something unexpected, whatever a look says
    Path unreadable;    ///< whatever a look says, no copy finds there what it shows
    bool full = false;  ///< no room for any content
    std::uint64_t applies = 0;
    std::unique_ptr<Node> node;
    std::uint64_t inodes = 0;
    std::uint64_t starts = 0;
  };

  Pair() {
    for (const NodeId id : {NodeId{1}, NodeId{2}}) {
      hosts_[id];
    }
  }

  Host& host(NodeId id) { return hosts_.at(id); }

  /// A file, symlink or directory as a user makes it; `text` is its content or target.
  void make(NodeId id, const Path& name, Kind kind, const std::string& text, std::int64_t mtime) {
    Seen seen;
    seen.signature = {kind, 0755, 0, kind == Kind::file ? text.size() : 0, mtime, 0};
    for (std::size_t i = 0; kind != Kind::directory && i < text.size(); ++i) {
      auto& byte = seen.content.bytes[i % seen.content.bytes.size()];
      byte = static_cast<std::uint8_t>(byte * 31 + static_cast<std::uint8_t>(text[i]));
    }
    if (kind == Kind::symlink) {
      seen.target = text;
    }
    if (kind == Kind::file) {
      hosts_[id].contents[seen.content] =
          engine::Bytes::of(std::vector<std::uint8_t>(text.begin(), text.end()));
    }
    stand(hosts_[id], name, seen);
  }

  void start(NodeId id, bool fresh_index, Loaded loaded = {}) {
    NodeOptions options;
    options.cluster = "pair";
    options.self = id;
    options.members = {{1, "alpha"}, {2, "beta"}};
    options.seed = id;
    Host& host = hosts_[id];
    options.incarnation = 100 * id + host.starts++;
    options.index_epoch = fresh_index ? host.starts : 1;
    options.fresh_index = fresh_index;
    options.brake = brake;
    host.knowledge = loaded.knowledge;
    host.node = std::make_unique<Node>(options, std::move(loaded), now_);
    perform(id, host.node->start(now_));
  }

  void connect() {
    take(1, PeerUp{2});
    take(2, PeerUp{1});
  }
  void disconnect() {
    take(1, PeerDown{2});
    take(2, PeerDown{1});
  }
  void touch(NodeId id, const Path& name) { take(id, Touched{{name}}); }
  void hear(NodeId id, Input input) { take(id, std::move(input)); }
  /// To the next moment that this node waits for.
  void let_time_go_on(NodeId id) {
    now_ = std::max(now_ + std::chrono::milliseconds(1), hosts_[id].node->wake_at());
    take(id, Wake{});
    drain();
  }
  [[nodiscard]] Instant now() const { return now_; }

  /// Everything that is under way arrives; time stands still.
  void drain() {
    for (int steps = 0; !under_way_.empty(); ++steps) {
      invariant(steps < 100'000, "the nodes come to an end without time going on");
      auto [id, input] = std::move(under_way_.front());
      under_way_.pop_front();
      take(id, std::move(input));
    }
  }
  /// Runs until then; false if that takes more than so many wakes.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, int wakes = 1000) {
    for (drain(); !done(); drain()) {
      if (--wakes < 0) {
        return false;
      }
      now_ = std::max(now_ + std::chrono::milliseconds(1),
                      std::min(hosts_[1].node->wake_at(), hosts_[2].node->wake_at()));
      take(1, Wake{});
      take(2, Wake{});
    }
    return true;
  }
  [[nodiscard]] bool in_sync() {
    return hosts_[1].node->all_in_sync() && hosts_[2].node->all_in_sync();
  }
  [[nodiscard]] Fingerprint root(NodeId id) { return hosts_[id].node->status().root; }

  /// Name, kind, bytes: what both disks must have in common.
  [[nodiscard]] std::map<Path, std::pair<Kind, Hash>> tree(NodeId id) {
    std::map<Path, std::pair<Kind, Hash>> tree;
    for (const auto& [name, seen] : hosts_[id].disk) {
      tree[name] = {seen.signature.kind, seen.content};
    }
    return tree;
  }

  std::function<bool(NodeId from, const Message&)> lose = [](NodeId, const Message&) {
    return false;
  };
  std::vector<std::string> disconnects;
  BrakeOptions brake;  ///< of the next start
  /// What the clocks on both walls show, in ns; 0: they have none, and kept files odd names.
  std::int64_t wall = 0;

 private:
  static const Signature& stand(Host& host, const Path& name, Seen seen) {
    seen.signature.inode = ++host.inodes;
    seen.signature.ctime = static_cast<std::int64_t>(host.inodes);
    return (host.disk[name] = std::move(seen)).signature;
  }

  void take(NodeId id, Input input) { perform(id, hosts_[id].node->step(now_, std::move(input))); }
  void perform(NodeId id, std::vector<Output> outputs) {
    for (Output& output : outputs) {
      std::visit([&](auto& each) { perform(id, hosts_[id], each); }, output);
    }
  }
  void answer(NodeId id, Input input) { under_way_.emplace_back(id, std::move(input)); }

  void perform(NodeId id, Host&, Send& send) {
    if (!lose(id, send.message)) {
      answer(send.peer, Received{id, std::move(send.message)});
    }
  }
  void perform(NodeId, Host&, const Disconnect& disconnect) {
    disconnects.push_back(disconnect.reason);
  }
  void perform(NodeId, Host& host, const Persist& persist) {
    host.knowledge = persist.change.knowledge.value_or(host.knowledge);
  }
  void perform(NodeId, Host&, const Note&) {}
  void perform(NodeId, Host& host, const DropStage& drop) { host.dropped.push_back(drop.content); }
  void perform(NodeId id, Host& host, const List& list) {
    std::vector<Listing> items;
    for (const auto& [name, seen] : host.disk) {
      if (parent_of(name) == list.directory) {
        items.push_back({std::string(name_of(name)), false, seen.signature});
      }
    }
    std::optional<Rules> rules;
    if (const auto file = host.disk.find(child_of(list.directory, ignore_file));
        file != host.disk.end()) {
      const Bytes& bytes = host.contents[file->second.content];
      rules = {file->second.content, {bytes->begin(), bytes->end()}};
    }
    answer(id, Listed{list.directory, std::move(items), std::move(rules)});
  }
  void perform(NodeId id, Host& host, const Look& look) {
    LookDone done{{}, wall};
    for (const LookAt& at : look.names) {
      const auto place = host.disk.find(at.name);
      Sight sight = place == host.disk.end() ? Sight(Absent()) : Sight(place->second);
      if (const auto* seen = std::get_if<Seen>(&sight);
          seen != nullptr && at.known && at.known->signature == seen->signature) {
        sight = *at.known;  // not read again
      }
      done.names.push_back({at.name, std::move(sight)});
    }
    answer(id, std::move(done));
  }
  void perform(NodeId id, Host& host, const Apply& apply) {
    ++host.applies;
    ApplyDone done{{}, wall};
    now_kept_ = std::max(now_kept_, wall);
    for (const ApplyJob& job : apply.jobs) {
      Applied& applied = done.jobs.emplace_back(Applied{job.path, {}});
      for (const Step& step : job.steps) {
        applied.results.push_back(
            std::visit([&](auto& each) { return carry_out(host, each); }, step));
        if (!std::holds_alternative<Done>(applied.results.back())) {
          break;
        }
      }
    }
    answer(id, std::move(done));
  }
  void perform(NodeId id, Host& host, const ReadBlock& read) {
    const auto place = host.contents.find(read.content);
    Bytes bytes;
    // As on a disk, there is nothing beyond the end; and these files have no lists.
    if (place != host.contents.end() && place->second != nullptr && !read.list &&
        read.offset <= place->second->size() &&
        read.length <= place->second->size() - read.offset) {
      const auto begin = place->second->begin() + static_cast<std::ptrdiff_t>(read.offset);
      bytes = engine::Bytes::of(std::vector<std::uint8_t>(begin, begin + read.length));
    }
    answer(id, BlockRead{read.peer, read.request, read.content, bytes});
  }
  void perform(NodeId id, Host&, const OpenStage& open) {
    // These tests' files are one chunk.
    answer(id, StageOpened{open.content, StageState::failed, {}, {}, {}, std::nullopt});
  }
  void perform(NodeId id, Host& host, const WriteBlock& write) {
    if (host.full) {
      answer(id, StageWritten{write.content, write.offset, StageState::failed,
                              Error{ErrorCode::no_space, "write", "a file in tmp", 0}});
      return;
    }
    if (write.last) {
      host.contents[write.content] = write.bytes;
    }
    answer(id,
           StageWritten{write.content, write.offset,
                        write.last ? StageState::complete : StageState::incomplete, std::nullopt});
  }

  static std::optional<Signature> at(const Host& host, const Path& name) {
    const auto place = host.disk.find(name);
    return place == host.disk.end() ? std::nullopt : std::optional(place->second.signature);
  }
  std::optional<Displaced> displace(const Host& host, const Path& name) {
    const auto place = host.disk.find(name);
    if (place == host.disk.end() || place->second.signature.kind != Kind::file) {
      return std::nullopt;
    }
    if (wall == 0) {
      return Displaced{"kept-" + std::to_string(place->second.signature.inode), place->second};
    }
    std::string file = departure_name(++now_kept_);
    file.pop_back();
    return Displaced{std::move(file), place->second};
  }
  static std::optional<Signature> move(Host& host, const Path& name,
                                       const std::optional<Moved>& to) {
    if (!to || at(host, to->name)) {
      return std::nullopt;
    }
    return (host.disk[to->name] = host.disk[name]).signature;
  }
  static bool can_hold(const Host& host, const Path& name) {
    const auto parent = host.disk.find(Path(parent_of(name)));
    return parent_of(name).empty() ||
           (parent != host.disk.end() && parent->second.signature.kind == Kind::directory);
  }
  StepResult carry_out(Host& host, const Put& put) {
    if (at(host, put.name) != put.expected || !can_hold(host, put.name) ||
        put.name == host.refused) {
      return Obstructed{};
    }
    const auto* from = std::get_if<AtName>(&put.source);
    if ((put.wanted.kind == Kind::file && !host.contents.contains(put.wanted.content)) ||
        (from != nullptr && from->name == host.unreadable)) {
      return SourceGone{};
    }
    auto moved = move(host, put.name, put.moved);
    auto displaced = moved ? std::nullopt : displace(host, put.name);
    const Wanted& wanted = put.wanted;
    const Seen seen{{wanted.kind, wanted.mode, 0, wanted.size, wanted.mtime, 0},
                    wanted.content,
                    wanted.target,
                    false};
    return Done{stand(host, put.name, seen), std::move(displaced), std::move(moved)};
  }
  StepResult carry_out(Host& host, const Remove& remove) {
    if (at(host, remove.name) != remove.expected) {
      return Obstructed{};
    }
    for (const auto& [name, seen] : host.disk) {
      if (is_below(name, remove.name)) {
        return NotEmpty{};
      }
    }
    auto moved = move(host, remove.name, remove.moved);
    auto displaced = moved ? std::nullopt : displace(host, remove.name);
    host.disk.erase(remove.name);
    return Done{std::nullopt, std::move(displaced), std::move(moved)};
  }
  static StepResult carry_out(Host& host, const Check& check) {
    return at(host, check.name) == check.expected
               ? StepResult(Done{check.expected, std::nullopt, std::nullopt})
               : StepResult(Obstructed());
  }

  Instant now_{std::chrono::hours(1)};
  std::int64_t now_kept_ = 0;
  std::map<NodeId, Host> hosts_;
  std::deque<std::pair<NodeId, Input>> under_way_;
};

}  // namespace p2psync::engine
