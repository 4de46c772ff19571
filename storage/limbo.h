#pragma once
// Limbo: displaced files that may not be done with, in `.p2psync/versions`.
//
// What an exchange or a removal took from its name moves to `.p2psync/versions` and is looked at
// there. It is settled at once when it is what was expected and a read lease proves that no process
// can write to it: it has no public name any more, so nobody can begin to. Otherwise it stays here:
//   stray     it could not even be moved to `.p2psync/versions` yet
//   unread    it could not be read (an error, or it changed while it was read)
//   open      a process may still write to it; where a lease proves nothing, for `grace`
//   reported  bytes that were not expected; they are owed a name, and nobody has laid them yet
// Bytes found later are handed out by revisit() as Surfaced. Unexpected bytes are durable before
// anybody is told of them.
//
// Limbo survives a crash in the intents: an intent file stays as long as something of its batch is
// in limbo, and restore() derives all of the above from it.
//
// Files, by the name in `.p2psync/versions`, are unique. One thread. Cost of revisit: an open and a
// lease for each that is open, and the reading of those that changed or were closed.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/intent.h"

namespace p2psync::storage {

/// Equal but for ctime, which every rename and link changes; of directories what they are.
[[nodiscard]] bool same_but_ctime(const engine::Signature& a, const engine::Signature& b);

class Limbo {
 public:
  Limbo(Fs& fs, std::chrono::nanoseconds grace) : fs_(fs), grace_(grace) {}

  /// Looks at what came out of item.name, now at item.file in `.p2psync/versions`, against
  /// item.expected and item.content. An error: it is there and will surface once it can be read.
  [[nodiscard]] Result<engine::Displaced> settle(const IntentItem& item, std::uint64_t intent);
  /// After a restart: the same, by content. `recorded` is what the index holds of this file. Bytes
  /// that are neither surface; so do those that are what was expected but not on record: nobody
  /// else may have them.
  void restore(const IntentItem& item, std::uint64_t intent,
               const std::optional<engine::Hash>& recorded);
  /// A directory or a special file came out at `at`, where only a file should: it goes back to its
  /// name. True: what is at `at` now, if anything, is what was laid or what a user put there.
  [[nodiscard]] bool put_back(const IntentItem& item, const std::string& at);
  /// Displaced, but still at `at` outside `.p2psync/versions`.
  void keep_stray(const IntentItem& item, std::uint64_t intent, std::string at);
  /// To be handed out by the next revisit(): the answer that should have said so cannot.
  void surface(engine::Surfaced surfaced) { surfaced_.push_back(std::move(surfaced)); }
  /// The file was laid at a name or is gone.
  void forget(const std::string& file);

  [[nodiscard]] std::vector<engine::Surfaced> revisit();

  /// The batch is over. Its intent stays until its results are on record.
  void finish(std::uint64_t intent) { finished_ = intent; }
  /// The results of the batch before are on record: its intent goes, or is cut down to what is in
  /// limbo.
  void close_finished(std::uint64_t next_number);
  void close(std::uint64_t intent, std::uint64_t next_number);

  [[nodiscard]] bool is_stray(const std::string& path) const;
  /// How many a process may still write to, or nobody could read yet.
  [[nodiscard]] std::size_t still_open() const;
  [[nodiscard]] bool holds(const std::string& file) const { return entries_.contains(file); }

 private:
  struct Entry {
    IntentItem item;
    std::uint64_t intent = 0;
    std::string at;            ///< where it is: below `.p2psync/versions` unless stray
    engine::Hash content;      ///< the last that anybody was told of
    engine::Signature looked;  ///< when that was read
    std::int64_t since = 0;    ///< wall clock, for the grace
    bool waiting = true;       ///< stray, unread or open: look again
    bool reported = false;
    bool told = false;         ///< somebody was told of the file, or has it on record
    bool was_refused = false;  ///< leases prove something here: only one that is granted ends it
  };
  [[nodiscard]] bool tells_changes(const engine::Signature& signature);
  [[nodiscard]] Lease lease_on(const std::string& path);
  [[nodiscard]] Result<void> make_durable(const std::string& path,
                                          const engine::Displaced& displaced);
  void look_again(Entry& entry);
  [[nodiscard]] bool move_in(Entry& entry);
  Entry& enter(const IntentItem& item, std::uint64_t intent);
  void drop_intent_if_done(std::uint64_t intent);

  Fs& fs_;
  std::chrono::nanoseconds grace_;
  std::map<std::string, Entry> entries_;
  std::uint64_t finished_ = 0;  ///< the intent of the last batch; 0: none
  std::vector<engine::Surfaced> surfaced_;
};

}  // namespace p2psync::storage
