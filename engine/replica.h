#pragma once
// Replica: this node's copy of everything, and the only place where it changes.
//
// Holds the index (entries and what the disk shows of them), the knowledge, the matrix of what
// members hold, where contents are on this disk, and which actor's events touch which paths. Events
// of this node's user are minted here; entries of others are merged here. What changed is collected
// until it is taken: paths to lay out anew (take_dirty) and what the index store must commit
// (take_change).
//
// Invariants: every dot in an entry is in its context; a dot of this node's own is in the
// knowledge; a name is shown by at most one path.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/ignore.h"
#include "engine/index.h"
#include "engine/layout.h"
#include "engine/node.h"
#include "engine/packed_versions.h"
#include "engine/sorted_blocks.h"

namespace p2psync::engine {

/// Notes of what left this disk without being kept: some 120 bytes and a path each, in memory.
inline constexpr std::size_t departed_max = 65'536;

/// A path whose layout must be looked at. `floor`: for each actor listed, events of it above that
/// number are not on the disk before the path is laid out.
struct Dirty {
  Path path;
  std::vector<std::pair<Actor, std::uint64_t>> floor;
};

struct Totals {
  std::uint64_t files = 0, directories = 0, symlinks = 0, bytes = 0, conflicts = 0;
  void add(Kind kind, std::uint64_t size, std::uint64_t by = 1) {
    std::uint64_t& number = kind == Kind::file        ? files
                            : kind == Kind::directory ? directories
                                                      : symlinks;
    number += by;
    bytes += kind == Kind::file ? by * size : 0;
  }
};

class Replica {
 public:
  Replica(const NodeOptions& options, Loaded loaded);

  [[nodiscard]] const Index& index() const { return index_; }
  [[nodiscard]] const VersionVector& knowledge() const { return knowledge_; }
  [[nodiscard]] const Endings& endings() const { return endings_; }
  /// To ask what this node has seen, or what somebody else's vector has.
  [[nodiscard]] Known known() const { return {knowledge_, endings_}; }
  [[nodiscard]] Known known(const VersionVector& vector) const { return {vector, endings_}; }
  [[nodiscard]] const std::map<NodeId, HeldRow>& rows() const { return rows_; }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] std::uint64_t tombstones() const { return tombstones_.size(); }

  // --- the disk ---
  /// The path whose sibling this name shows: another path for a conflict copy, else the name
  /// itself.
  [[nodiscard]] const Path& owner(const Path& name) const;
  /// The path whose version with this content once stood at the name: a copy that was displaced may
  /// have lost its name since.
  [[nodiscard]] Path origin(const Path& name, const Hash& content) const;
  /// What is shown at a name, or null.
  [[nodiscard]] const Shown* shown(const Path& name) const;
  /// Under which name a directory with this inode was shown last; nothing: none is.
  [[nodiscard]] std::optional<Path> directory_with(std::uint64_t inode) const;
  /// What is known of a path; empty where that is nothing.
  [[nodiscard]] const Record& record(const Path& path) const;
  [[nodiscard]] std::vector<Place> layout(const Path& path) const {
    return layout(path, record(path));
  }
  [[nodiscard]] std::vector<Place> layout(const Path& path, const Record& record) const;
  /// A look found this at the name: an event if it is news, nothing if it is what was shown or is
  /// wanted.
  void observe(const Path& name, const Seen& seen);
  /// A look found nothing at the name: a deletion if something was shown.
  void observe_absent(const Path& name);
  /// The part of it that is about a step in doubt: whatever else, that is settled.
  void settle_absence(const Path& name) { settle_doubt(name, nullptr); }
  /// What is shown there is not there just now, and the brake keeps that from being a deletion: no
  /// bytes are to be had from that name.
  void set_missing(const Path& name, bool missing);
  /// Time and again what was read there was not what is shown: nor are any from that name.
  void set_distrusted(const Path& name, bool distrusted);
  /// The disk has lost what was shown there, and no user deleted it: it is to be laid again. Should
  /// no member have the bytes any more, it is taken back.
  void lost(const Path& name);
  [[nodiscard]] bool braked() const { return braked_; }
  void set_braked(bool on);
  /// A user wrote this over what `old` showed while the node replaced it; the bytes are in
  /// versions/`file`, and that is on record with the event: a start hands out what nobody has on
  /// record, and would make a second event of it, though the first was superseded long ago.
  void observe_displaced(const Path& path, const std::optional<Shown>& old, const Path& name,
                         const Seen& seen, const std::string& file);
  /// Bytes that turned up outside the tree are an event unless they are known to be none.
  void observe_surfaced(const Surfaced& event);
  /// A step of this node has made the name show this (or nothing), but that may not be there to
  /// stay: the next look at it judges by it.
  void doubt(const Path& path, const Path& name, std::optional<Shown> laid);
  /// Some name of this path is still to be looked at after such a step.
  [[nodiscard]] bool in_doubt(const Path& path) const;
  /// Names to look at after such steps, and the paths that they are about.
  [[nodiscard]] const std::map<Path, Path>& doubtful() const { return doubtful_; }
  void show(const Path& path, Shown shown);
  [[nodiscard]] std::uint64_t next_batch() { return ++batch_; }
  /// The results of this batch are in: they are committed together with their records.
  void applied(std::uint64_t batch) { applied_ = batch; }
  void unshow(const Path& path, const Path& name);

  // --- what is ignored ---
  [[nodiscard]] const Ignore& ignore() const { return ignore_; }
  /// Whether what stands at a name is none of this node's business.
  [[nodiscard]] bool ignores(const Path& name, bool directory) const;
  /// The rule that says so, or that it is not; nothing: no rule is about it.
  [[nodiscard]] std::optional<Ignore::Rule> rule_for(const Path& name, bool directory) const;
  /// Whether nothing of a path is to be laid or taken away.
  [[nodiscard]] bool ignores(const Path& path, const Record& record) const;
  /// The rules of a directory from now on. True if they are others than before: then all below it
  /// is to be listed. Cost: O(what is known below it).
  bool set_rules(const Path& directory, std::string_view text);
  /// Within ignore_total_max, if the directory's are of this size.
  [[nodiscard]] bool has_room_for_rules(const Path& directory, std::uint64_t bytes) const;
  /// Directories whose file of rules came, changed or went since the last call.
  [[nodiscard]] std::vector<Path> take_rules() { return std::exchange(rules_, {}); }
  [[nodiscard]] bool any_rules() const { return !rules_.empty(); }
  /// A listing found something ignored in the directory, or nothing.
  void note_ignored_in(const Path& directory, bool any);
  /// It holds something ignored, so it cannot be removed: there it stays, for as long as that does.
  [[nodiscard]] bool keeps_ignored(const Path& directory) const;

  // --- what a user asks for by command (history.h judges it) ---
  /// Ends a conflict: what the name `keep` shows is written anew at the path, in place of all that
  /// this disk shows of it. What it does not show yet stays beside it.
  void resolve(const Path& path, const Path& keep);
  /// Writes an older version, whose bytes are here, in place of what the path's name shows.
  void restore(const Path& path, Version version);
  /// Deletes what the path's name shows, as its user would.
  void take_away(const Path& path);
  [[nodiscard]] const PackedVersions& kept() const { return kept_; }
  /// What left this disk and was not kept, by departure_name: what its own user deleted or wrote
  /// over, whose bytes the others keep; directories; what moved. At most departed_max.
  [[nodiscard]] const PackedVersions& departed() const { return departed_; }
  /// By the clock on the wall it is now so late; 0: nobody knows.
  void note_time(std::int64_t at) { wall_ = at; }
  /// A version has left the path's name on this disk and is not kept.
  void depart(const Path& path, Version version);
  /// Conflict copies on this disk, by name, and the path of each.
  [[nodiscard]] const std::map<Path, Path>& copies() const { return copies_; }

  // --- contents ---
  [[nodiscard]] bool available(const Version& version) const {
    return version.kind != Kind::file || available(version.content);
  }
  [[nodiscard]] bool available(const Hash& content) const;
  /// Where the bytes are, best first: found, staged, at a name, kept. Nothing{} if nowhere.
  [[nodiscard]] Source source(const Version& version) const {
    return version.kind == Kind::file ? source(version.content) : Nothing{};
  }
  [[nodiscard]] Source source(const Hash& content) const;
  /// Contents of more than one chunk that are here and most likely have chunks in common with the
  /// next version of the path, of that size: what stands there, its copies, what stood there
  /// before. Who saves a file anew may have shown half of it in between, so the one of the most
  /// similar size comes first.
  [[nodiscard]] std::vector<Base> similar(const Path& path, std::uint64_t size,
                                          std::uint32_t chunk_max) const;
  void add_staged(const Hash& content) { staged_.insert(content); }
  void drop_staged(const Hash& content) {
    staged_.erase(content);
    free_if_empty(staged_);
  }
  [[nodiscard]] bool staged(const Hash& content) const { return staged_.contains(content); }
  void add_found(const Hash& content, const std::string& file) {
    found_[content] = file;
    appeared_.push_back(content);
  }
  void drop_found(const Hash& content) { found_.erase(content); }
  /// Contents that are somewhere since the last call, and may have been nowhere before.
  [[nodiscard]] std::vector<Hash> take_appeared() { return std::exchange(appeared_, {}); }
  void keep(KeptVersion kept);
  void forget_kept(const std::string& file);
  /// These, and the notes of what left before an instant.
  void forget_kept(const std::vector<std::string>& files, std::int64_t before);
  /// It does not hold what is on record for it: no source any more. On record it stays, since what
  /// a process has written to it was written over that.
  void drop_kept_source(const std::string& file);
  /// Kept files that may not expire: a live version has its bytes nowhere else on this disk.
  [[nodiscard]] std::set<std::string> pinned() const;

  // --- other members ---
  void merge(const PathEntry& theirs, const VersionVector& seen);
  /// No member has these bytes, and this node has looked everywhere: what it wrote of them before
  /// its index was lost, or by a command and could not lay yet, is taken back, since users had
  /// overwritten or deleted the bytes by then. False: it wrote none of them, or has laid it since.
  bool retract(const Path& path, const Hash& content);
  /// All entries with events of these ranges have been merged.
  void learn(std::span<const SequenceRange> ranges);
  /// True if the row was news.
  bool join_row(const HeldRow& row);
  void set_own_held(const VersionVector& held);
  [[nodiscard]] const HeldRow& own_row() const { return rows_.at(self_); }
  /// Whose events this node's are now, and how many it has had.
  [[nodiscard]] Dot newest_own() const { return {actor_, sequence_}; }
  /// From the next event on this node is another incarnation, a random number.
  void renew(std::uint64_t incarnation);
  /// Calls with each path whose highest event of `actor` is above `from`, in order, until false.
  void for_events(const Actor& actor, std::uint64_t from,
                  const std::function<bool(std::uint64_t, const Path&)>& visit) const;
  /// Drops what only members that lag would need: notes of deletions that every member holds.
  void collect(const VersionVector& stable);
  /// Siblings that say the same become one, where `shown` (by all members; entry.h) covers them: of
  /// so many paths at a time.
  void collapse(const VersionVector& shown, std::size_t paths_max);
  [[nodiscard]] bool any_alike() const { return !alike_.empty(); }
  /// Some are left for the next time.
  [[nodiscard]] bool collapsing() const { return collapse_rounds_ > 0 && any_alike(); }
  /// Past incarnations of this node's own that are on no list yet, with what is known of each.
  [[nodiscard]] std::vector<std::pair<Actor, std::uint64_t>> past() const;
  /// Puts one on the list. It must be over, all its events held by every member, and no member may
  /// know of a longer list.
  void end(const Actor& actor);
  /// Another member's list of some node's endings. False: it is not the beginning of this node's,
  /// nor the other way round.
  [[nodiscard]] bool take(const ToldEndings& told);
  /// What every configured member holds.
  [[nodiscard]] VersionVector stable(std::span<const MemberName> members) const;
  [[nodiscard]] Fingerprint matrix_fingerprint() const;

  // --- what changed ---
  /// Ends the life of what was given out of the index. At most so many records stay unpacked.
  void pack(std::size_t open_max) { index_.pack(open_max); }
  /// For when nothing is going on: memory for more than there is goes back.
  void settle() {
    contents_.settle();
    directories_.settle();
    alike_.settle();
    for (auto& [actor, events] : events_) {
      events.settle();
    }
  }
  [[nodiscard]] std::vector<Dirty> take_dirty();
  [[nodiscard]] bool any_dirty() const { return !dirty_.empty(); }
  [[nodiscard]] Change take_change();
  /// Directories that came to stand on the disk: what waits below them can go on.
  [[nodiscard]] std::vector<Path> take_new_directories() {
    return std::exchange(new_directories_, {});
  }
  void mark_dirty(const Path& path) { dirty_.push_back({path, {}}); }
  /// The first scan with a fresh index is over: what is found from now on is news.
  void end_imports() { importing_ = false; }

 private:
  /// The highest of an actor that a path has seen. In three words, so that there is no gap in it.
  struct Event {
    std::uint32_t sequence_high = 0;
    std::uint32_t sequence_low = 0;
    Index::Id id = 0;
    auto operator<=>(const Event&) const = default;
    Event(std::uint64_t sequence, Index::Id path)
        : sequence_high(static_cast<std::uint32_t>(sequence >> 32)),
          sequence_low(static_cast<std::uint32_t>(sequence)),
          id(path) {}
    [[nodiscard]] std::uint64_t sequence() const {
      return std::uint64_t{sequence_high} << 32 | sequence_low;
    }
  };

  /// Where a directory with this inode was shown last.
  struct DirectoryAt {
    std::uint64_t inode = 0;
    Index::Id id = 0;
    // One of each inode.
    bool operator==(const DirectoryAt& other) const { return inode == other.inode; }
    auto operator<=>(const DirectoryAt& other) const { return inode <=> other.inode; }
  };

  /// A file in `.p2psync/versions` that has a content, of which 64 bits stand here; the newest
  /// first.
  struct KeptContent {
    std::uint64_t content = 0;
    std::array<char, 24> file{};  ///< its name, 19 digits
    bool operator==(const KeptContent&) const = default;
    auto operator<=>(const KeptContent& other) const {
      return content != other.content ? content <=> other.content : other.file <=> file;
    }
  };

  Dot mint();
  /// `over`: what a displaced file held before, shown or not.
  Version write(const Path& path, const Path& name, const Seen& seen,
                const std::optional<Shown>& old, bool visible, const Version* over = nullptr);
  void remove(const Path& path, const Shown& old);
  void delete_version(const Path& path, const Shown& old);
  void write_anew(const Path& path, Version version, const std::vector<Shown>& over);
  bool adopt(const Path& path, const Path& name, const Version& version,
             const Signature& signature);
  Version version_of(const Path& path, const Path& name, const Seen& seen,
                     const std::optional<Shown>& old, const Entry& entry, const Dot& dot) const;
  void set_entry(const Path& path, Entry entry);
  void retract_imports(const Path& path);
  void note_import(const Path& name) {
    if (name.find(".conflict-") != Path::npos) {
      imported_copies_.insert(name);
    }
  }
  void note_unlaid(const Dot& dot) {
    if (dot.actor.node == self_) {
      unlaid_own_.insert(dot);
    }
  }
  void note_alike(Index::Id id, bool alike);
  void record_changed(const Path& path) {
    if (changed_records_.empty() || changed_records_.back() != path) {
      changed_records_.push_back(path);
    }
  }
  void reindex(Index::Id id, const VersionVector& before, const VersionVector& after);
  void list(NodeId node, const Ending& ending);
  void fold();
  void forget_ended(Entry& entry) const;
  void liveness_changed(const Path& path);
  [[nodiscard]] std::optional<Path> ignored_original(const Path& name, bool directory) const;
  void note_rules(std::string_view name) {
    if (name_of(name) == ignore_file) {
      rules_.emplace_back(parent_of(name));
    }
  }
  void count(const Path& path, const Shown& shown, bool add);
  [[nodiscard]] std::optional<Index::Id> directory_id(std::uint64_t inode) const;
  void note_directory(Index::Id id, const Signature& signature);
  void forget_directory(Index::Id id, const Signature& signature);
  [[nodiscard]] std::uint64_t content_key(const Hash& content, Index::Id id) const;
  void list_content(Index::Id id, const Hash& content);
  void unlist_content(const Path& path, Index::Id id, const Hash& content);
  /// What shows this content at a name; null: nothing does.
  [[nodiscard]] const Shown* showing(const Hash& content) const;
  void set_sourceless(std::set<Path>& names, const Path& name, bool sourceless);
  void add_kept(const KeptVersion& kept);
  [[nodiscard]] KeptContent kept_content(const Hash& content, std::string_view file) const;
  /// The newest of those that have this content.
  [[nodiscard]] std::optional<std::string> kept_with(const Hash& content) const;
  void note(KeptVersion departed);
  void forget_first_departed();
  void drop_kept(const std::string& file);
  void settle_doubt(const Path& name, const Signature* found);
  void load_doubts(const Path& path, const std::vector<Relaid>& carried_out);
  void load(Loaded loaded);
  void load(Index::Id id, const Plain& plain);
  void load(Index::Id id, const Path& path, const Record& record);
  void relay(const Relaid& step);

  NodeId self_;
  std::string label_;
  Actor actor_;
  std::uint64_t sequence_ = 0;
  bool importing_;

  Index index_;
  Endings endings_;
  VersionVector knowledge_;  ///< folded, as what is held in each row
  std::map<NodeId, HeldRow> rows_;
  VersionVector stable_;                       ///< when it was last collected
  mutable std::optional<Fingerprint> matrix_;  ///< of the two; whoever changes them resets it
  std::map<Actor, SortedBlocks<Event>> events_;
  std::map<Path, Path> copies_;     ///< conflict name -> its path, where they differ
  std::set<Path> tombstones_;       ///< paths with notes of deletions, or with nothing live
  SortedBlocks<Index::Id> alike_;   ///< paths with siblings that say the same
  VersionVector collapsed_;         ///< where these were last collapsed by
  Index::Id collapse_from_ = 0;     ///< going round
  int collapse_rounds_ = 0;         ///< that often to the end of them, then each was looked at
  std::map<Path, Path> doubtful_;   ///< by name
  std::set<Path> imported_copies_;  ///< imports under names that look like conflict copies
  /// Live events of this node's whose bytes no disk may have: this index did not see it make them
  /// and their file is lost, or a command made them ahead of the disk.
  std::set<Dot> unlaid_own_;
  Totals totals_;

  /// Of each content at a name: 32 bits that stand for it, and the number of the path.
  SortedBlocks<std::uint64_t> contents_;
  std::uint64_t contents_seed_;  ///< a secret: members choose contents
  std::vector<Hash> appeared_;
  SortedBlocks<DirectoryAt> directories_;
  PackedVersions kept_;
  SortedBlocks<KeptContent> kept_by_content_;
  bool keep_versions_;
  PackedVersions departed_;
  std::int64_t wall_ = 0;
  std::int64_t last_departure_ = 0;  ///< each is later than all before it, whatever the clock does
  std::unordered_set<Hash, HashOfHash> staged_;
  std::map<Hash, std::string> found_;
  std::set<Path> missing_;
  std::set<Path> distrusted_;
  Ignore ignore_;
  std::map<Path, std::size_t> rule_bytes_;  ///< of the directories that have rules
  std::size_t rules_bytes_ = 0;             ///< their sum
  std::vector<Path> rules_;                 ///< see take_rules
  std::set<Path, PathLess> ignored_in_;     ///< directories with something ignored in them
  bool braked_ = false;
  std::optional<bool> new_braked_;

  std::uint64_t batch_ = 0;  ///< the last given out
  std::optional<std::uint64_t> applied_;
  std::vector<Dirty> dirty_;
  std::vector<Path> new_directories_;
  std::vector<Path> changed_records_;  ///< in no order, and some twice
  bool knowledge_changed_ = false;
  std::vector<ListedEnding> new_endings_;
  std::set<NodeId> changed_rows_;
  std::vector<KeptVersion> new_kept_;
  std::vector<std::string> forgotten_;
};

}  // namespace p2psync::engine
