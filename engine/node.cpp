#include "engine/node.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "engine/gossip.h"
#include "engine/reconcile.h"
#include "engine/replica.h"
#include "engine/scan.h"
#include "engine/serving.h"
#include "engine/stuck.h"
#include "engine/transfer.h"
#include "engine/wishes.h"

namespace p2psync::engine {
namespace {

constexpr Duration collect_interval = std::chrono::seconds(1);
constexpr Duration collapse_interval = std::chrono::milliseconds(200);
constexpr std::size_t collapse_max = 1000;  ///< paths at a time: some 10 ms

}  // namespace

class Node::Impl {
 public:
  Impl(NodeOptions options, Loaded loaded, Instant now)
      : options_(std::move(options)),
        in_tmp_(loaded.staged.begin(), loaded.staged.end()),
        replica_(options_, std::move(loaded)),
        reconciler_(replica_),
        scan_(replica_, options_.brake),
        transfer_(options_.self, options_.chunk_max, options_.seed, options_.fetches_max),
        wishes_(replica_, transfer_),
        gossip_(options_, replica_),
        next_collect_(now) {
    for (const MemberName& member : options_.members) {
      if (member.id != options_.self) {
        others_.insert(member.id);
      }
    }
  }

  std::vector<Output> start(Instant now) {
    gossip_.start(now);
    scan_.list("", true);
    for (const auto& [name, path] : replica_.doubtful()) {
      scan_.touch(name);
    }
    return finish(now);
  }

  std::vector<Output> step(Instant now, Input input) {
    std::visit([&](auto& event) { on(now, std::move(event)); }, input);
    return finish(now);
  }

  [[nodiscard]] Instant wake_at() const {
    Instant earliest = gossip_.wake_at();
    if (!settled() || replica_.tombstones() > 0 || replica_.collapsing()) {
      earliest = std::min(earliest, next_collect_);
    }
    for (const std::optional<Instant>& wake :
         {reconciler_.wake_at(), scan_.wake_at(), transfer_.wake_at(), wishes_.wake_at()}) {
      if (wake) {
        earliest = std::min(earliest, *wake);
      }
    }
    return earliest;
  }

  [[nodiscard]] Status status() const;
  [[nodiscard]] bool looking() const { return scanning_ || !scan_.idle(); }
  [[nodiscard]] bool settled() const { return reconciler_.idle() && !reconciler_.in_flight(); }
  [[nodiscard]] bool all_in_sync() const {
    return !looking() && settled() && !scan_.brake().holding() &&
           std::ranges::all_of(options_.members, [this](const MemberName& member) {
             return member.id == options_.self || gossip_.in_sync(member.id) ||
                    gossip_.in_sync_by_hearsay(member.id);
           });
  }
  [[nodiscard]] const Replica& replica() const { return replica_; }
  [[nodiscard]] bool awaits(const Path& path) const { return wishes_.has(path); }
  [[nodiscard]] std::uint64_t arrived_bytes() const { return arrived_bytes_; }

 private:
  void on(Instant, Wake) {}
  void on(Instant now, PeerUp event) { gossip_.peer_up(now, event.peer, out_); }
  void on(Instant, PeerDown event) {
    gossip_.peer_down(event.peer);
    transfer_.peer_down(event.peer);
    serving_.peer_down(event.peer);
  }
  void on(Instant now, Received event);
  void on(Instant now, const Touched& event) { scan_.on(now, event); }
  void on(Instant, Rescan) { scan_.list("", true); }
  void on(Instant, ConfirmDeletes event) { scan_.judged(event); }
  void on(Instant, const Resolve& event) { replica_.resolve(event.path, event.keep); }
  void on(Instant, const Restore& event) { replica_.restore(event.path, event.version); }
  void on(Instant now, BringBack event) { wishes_.on(now, std::move(event)); }
  void on(Instant, const Expired& event) { replica_.forget_kept(event.files, event.before); }
  void on(Instant now, const Listed& event) { scan_.on(now, event); }
  void on(Instant now, const LookDone& event) {
    replica_.note_time(event.at);
    scan_.on(now, event);
    for (const Looked& looked : event.names) {
      // What could not be read is no news: the path waits for its time, or it would spin.
      if (!std::holds_alternative<Error>(looked.sight)) {
        reconciler_.retry(looked.name);
      }
    }
  }
  void on(Instant now, const ApplyDone& event);
  void on(Instant, const Surfaced& event) { replica_.observe_surfaced(event); }
  void on(Instant, BlockRead event) {
    if (!event.bytes) {
      look_where_read(event.content);
    }
    serving_.on_read(std::move(event), out_);
  }
  void on(Instant now, StageOpened event) {
    if (event.error) {
      stage_failed(now, event.content, *event.error);
    }
    const Hash content = event.content;
    const bool complete = event.state == StageState::complete;
    staged(content, complete, transfer_.on(now, std::move(event), out_));
  }
  void on(Instant now, const StageWritten& event) {
    if (event.error) {
      stage_failed(now, event.content, *event.error);
    } else {
      stuck_.written(now, event.content);
    }
    const std::uint64_t before = transfer_.pending_bytes();
    const Transfer::Outcome outcome = transfer_.on(now, event, out_);
    // More is pending after a failure: what was written is fetched anew, or found on the disk.
    arrived_bytes_ += before - std::min(before, transfer_.pending_bytes());
    staged(event.content, event.state == StageState::complete, outcome);
  }
  void staged(const Hash& content, bool complete, const Transfer::Outcome& outcome);
  [[nodiscard]] std::string name_of(NodeId member) const {
    const auto found = std::ranges::find(options_.members, member, &MemberName::id);
    return found != options_.members.end() ? found->name : "a stranger";
  }
  /// A content that these paths needed is here.
  void came(const std::vector<Path>& paths, const Hash& content) {
    wishes_.use(paths, content);
    std::ranges::for_each(paths, [this](const Path& path) { reconciler_.content_changed(path); });
  }
  void use_appeared();

  void look_where_read(const Hash& content);
  void stage_failed(Instant now, const Hash& content, const Error& error) {
    const Path* path = needed_by_(content);
    if (stuck_.refused(now, content, error) && path != nullptr) {
      out_.push_back(Note{Note::Level::warn, *path + ": " + told(error)});
    }
  }
  void take_back_lost();
  void drop_leftovers();
  void end_incarnations(Instant now, VersionVector& stable);
  void collect(Instant now);
  std::vector<Output> finish(Instant now);

  const NodeOptions options_;
  std::set<NodeId> others_;  ///< all members but this node
  /// Contents in `.p2psync/tmp` that may be wanted by nobody any more.
  std::unordered_set<Hash, HashOfHash> in_tmp_;
  Replica replica_;
  Reconciler reconciler_;
  Scan scan_;
  Transfer transfer_;
  Serving serving_{replica_, transfer_};
  Wishes wishes_;
  Gossip gossip_;
  bool scanning_ = true;  ///< the first scan is not over
  Stuck stuck_;
  const Stuck::NeededBy needed_by_ = [this](const Hash& content) {
    return transfer_.needed_by(content);
  };
  std::uint64_t arrived_bytes_ = 0;
  Instant next_collect_;
  std::vector<Output> out_;
};

void Node::Impl::on(Instant now, Received event) {
  if (const auto* get = std::get_if<Get>(&event.message)) {
    if (gossip_.connected(event.peer)) {
      serving_.on_get(event.peer, *get, out_);
    }
  } else if (auto* block = std::get_if<Block>(&event.message)) {
    transfer_.on_block(now, event.peer, std::move(*block), out_);
  } else if (const auto* have = std::get_if<Have>(&event.message)) {
    transfer_.on_have(event.peer, *have, out_);
  } else {
    gossip_.on(now, event.peer, std::move(event.message), out_);
  }
}

/// The bytes are not where they are remembered, or what is remembered is out of date (an error kept
/// storage from saying how they look): unless somebody looks, no peer ever gets them.
void Node::Impl::look_where_read(const Hash& content) {
  const Source source = replica_.source(content);
  if (const auto* at = std::get_if<AtName>(&source)) {
    scan_.touch(at->name);
  }
}

void Node::Impl::on(Instant now, const ApplyDone& event) {
  replica_.note_time(event.at);
  const Reconciler::Outcome outcome = reconciler_.done(now, event);
  scan_.apply_ended();
  for (const Hash& content : outcome.staged_used) {
    in_tmp_.erase(content);
  }
  for (const Path& name : outcome.look) {
    scan_.brake().obstructed(name);
    scan_.touch(name);
  }
  for (const Path& name : outcome.unproven) {
    scan_.look_later(now, name);
  }
  for (const Path& directory : outcome.list) {
    scan_.list(directory, false);
  }
}

void Node::Impl::staged(const Hash& content, bool complete, const Transfer::Outcome& outcome) {
  if (complete && outcome.stale) {
    // Was dropped when the attempt was given up; the next one speaks for itself.
  } else if (complete && outcome.paths.empty()) {
    out_.push_back(DropStage{content});
  } else if (complete) {
    stuck_.whole(content);
    in_tmp_.insert(content);
    replica_.add_staged(content);
    came(outcome.paths, content);
  }
  for (const NodeId peer : outcome.blamed) {
    out_.push_back(Note{Note::Level::warn,
                        "what " + name_of(peer) + " sent of a content did not match its hash"});
  }
}

/// What was on its way and has turned up here (a user copied it, it was displaced) need not come.
void Node::Impl::use_appeared() {
  for (const Hash& content : replica_.take_appeared()) {
    // Else it was here for a moment of this step: what comes is still needed.
    if (transfer_.needed_by(content) != nullptr && replica_.available(content)) {
      came(transfer_.abandon(content), content);
    }
  }
}

/// What this node was before its starts, all of which every member holds, need not be named for
/// ever.
void Node::Impl::end_incarnations(Instant now, VersionVector& stable) {
  auto past = replica_.past();
  std::erase_if(past, [&](const auto& each) {
    const auto& [actor, last] = each;
    return replica_.known(stable).at(actor) != last || !gossip_.all_agree(actor, last);
  });
  for (const auto& [actor, last] : past) {
    replica_.end(actor);
  }
  if (!past.empty()) {
    replica_.endings().fold(stable);
    gossip_.list_grew(now);
  }
}

void Node::Impl::collect(Instant now) {
  if (now < next_collect_) {
    return;
  }
  if (!scanning_) {  // what the folder still hides may be what the events are about
    replica_.set_own_held(reconciler_.held());
  }
  VersionVector stable = replica_.stable(options_.members);
  end_incarnations(now, stable);
  replica_.collect(stable);
  if (!scanning_ && replica_.any_alike()) {
    // `stable` as well: in there a member that begins anew holds nothing.
    replica_.collapse(replica_.endings().meet(stable, gossip_.shown_by_all()), collapse_max);
  }
  next_collect_ = now + (replica_.collapsing() ? collapse_interval : collect_interval);
}

/// Nothing is on its way in, and nothing to be laid: what is left in `.p2psync/tmp` is of a
/// transfer that a crash cut off and that nobody needs any more, or was copied and not moved.
void Node::Impl::drop_leftovers() {
  if (in_tmp_.empty() || scanning_ || !settled() || transfer_.pending_files() > 0) {
    return;
  }
  std::vector<Hash> leftovers(in_tmp_.begin(), in_tmp_.end());
  std::ranges::sort(leftovers);  // else runs with one seed would differ from library to library
  for (const Hash& content : leftovers) {
    replica_.drop_staged(content);
    out_.push_back(DropStage{content});
  }
  in_tmp_.clear();
}

/// Contents that were announced before this node's index was lost, and that nobody has any more.
void Node::Impl::take_back_lost() {
  if (scanning_ || transfer_.pending_files() == 0) {
    return;
  }
  for (const auto& [content, path] : transfer_.nowhere(others_)) {
    if (replica_.retract(path, content)) {
      out_.push_back(Note{Note::Level::info, "nobody has the bytes of a version of " + path +
                                                 " that this node wrote: taken back"});
    }
  }
}

std::vector<Output> Node::Impl::finish(Instant now) {
  reconciler_.trust_again(now);
  take_back_lost();
  wishes_.next(now, others_, [this](NodeId id) { return gossip_.connected(id); });
  // Each round hands on what the one before found out; a handful always suffices, since a plan only
  // waits for what comes from outside.
  for (int round = 0; round < 4; ++round) {
    use_appeared();
    std::vector<Dirty> dirty = replica_.take_dirty();
    for (const Dirty& path : dirty) {
      scan_.brake().changed(path.path);
    }
    const bool any_dirty = !dirty.empty();
    reconciler_.add(std::move(dirty));
    std::optional<Apply> apply;
    if (!scan_.reading_rules()) {
      apply = reconciler_.next(
          now, [this](const Path& name) { return scan_.holds(name); },
          [this](const Path& path, std::vector<Need> needs) {
            wishes_.add_need(path, needs);
            transfer_.set_needs(path, needs);
          },
          transfer_.coming());
    }
    if (apply) {
      out_.push_back(std::move(*apply));
    }
    scan_.next(now, [this](const Path& name) { return reconciler_.busy(name); }, out_);
    if (!any_dirty && !apply && !replica_.any_dirty()) {
      break;  // also what an absence has just made of it
    }
  }
  if (scanning_ && scan_.idle()) {
    scanning_ = false;
    replica_.end_imports();
    out_.push_back(Note{Note::Level::info,
                        "first scan done: " + std::to_string(replica_.totals().files) + " files"});
  }
  collect(now);
  if (settled() && !scanning_) {
    replica_.set_own_held(replica_.knowledge());
  }
  use_appeared();
  for (const NodeId peer : gossip_.take_greeted()) {
    transfer_.peer_up(peer);
  }
  for (const NodeId peer : gossip_.take_grown()) {
    transfer_.peer_grew(peer);
  }
  transfer_.hold(reconciler_.behind());
  transfer_.next(
      now,
      [this](NodeId peer, const Need& need) {
        const auto row = replica_.rows().find(peer);
        return row != replica_.rows().end() && std::ranges::any_of(need.dots, [&](const Dot& dot) {
                 return replica_.known(row->second.held).covers(dot) || dot.actor.node == peer;
               });
      },
      [this](const Need& need, const Path& path) {
        return replica_.similar(path, need.size, options_.chunk_max);
      },
      out_);
  stuck_.forget_unneeded(needed_by_);
  drop_leftovers();
  gossip_.next(now, settled() && !scan_.brake().holding(), out_);
  if (Change change = replica_.take_change(); !change.empty()) {
    out_.insert(out_.begin(), Persist{std::move(change)});  // first: what follows may tell of it
  }
  // Nothing is in use at rest, and what stays unpacked, or in tables of contents, keeps pages.
  const bool rests = settled() && !looking();
  replica_.pack(rests ? 0 : options_.unpacked_max);
  if (rests) {
    replica_.settle();
    transfer_.give_memory_back();
    free_if_empty(in_tmp_);
  }
  return std::exchange(out_, {});
}

Status Node::Impl::status() const {
  Status status;
  const Totals& totals = replica_.totals();
  status.files = totals.files;
  status.directories = totals.directories;
  status.symlinks = totals.symlinks;
  status.bytes = totals.bytes;
  status.conflicts = totals.conflicts;
  status.tombstones = replica_.tombstones();
  status.skipped = scan_.skipped();
  status.root = replica_.index().summary().fingerprint;
  status.pending_files = reconciler_.pending_paths();
  status.pending_bytes = transfer_.pending_bytes();
  status.incoming = transfer_.incoming();
  status.peers = gossip_.peers();
  status.problems = reconciler_.problems();
  std::ranges::move(scan_.problems(), std::back_inserter(status.problems));
  status.held_deletions = scan_.brake().held_files();
  add_members(status, replica_, others_, reconciler_.held());
  status.safe_to_power_off = status.safe_to_power_off && !looking();
  const bool connected = std::ranges::any_of(status.peers, &PeerStatus::connected);
  const bool all_equal = std::ranges::all_of(
      status.peers, [](const PeerStatus& peer) { return !peer.connected || peer.in_sync; });
  std::vector<Problem> stuck = stuck_.problems(needed_by_);
  const bool no_room = !stuck.empty() || reconciler_.disk_full();
  std::ranges::move(stuck, std::back_inserter(status.problems));
  if (no_room || scan_.brake().holding()) {
    status.state = State::error;
  } else if (scanning_) {
    status.state = State::scanning;
  } else if (!settled() || transfer_.pending_files() > 0) {
    status.state = State::syncing;
  } else if (!connected && options_.members.size() > 1) {
    status.state = State::isolated;
  } else {
    status.state = all_equal ? State::in_sync : State::syncing;
  }
  return status;
}

Node::Node(NodeOptions options, Loaded loaded, Instant now)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(loaded), now)) {}
Node::~Node() = default;
std::vector<Output> Node::start(Instant now) {
  return impl_->start(now);
}
std::vector<Output> Node::step(Instant now, Input input) {
  return impl_->step(now, std::move(input));
}
Instant Node::wake_at() const {
  return impl_->wake_at();
}
Status Node::status() const {
  return impl_->status();
}
bool Node::looking() const {
  return impl_->looking();
}
bool Node::awaits(const Path& path) const {
  return impl_->awaits(path);
}
bool Node::all_in_sync() const {
  return impl_->all_in_sync();
}
std::uint64_t Node::arrived_bytes() const {
  return impl_->arrived_bytes();
}
const Record* Node::record(std::string_view path) const {
  return impl_->replica().index().find(path);
}
const Replica& Node::replica() const {
  return impl_->replica();
}

}  // namespace p2psync::engine
