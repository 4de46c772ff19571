#pragma once
// The oracle: the model of what users did, above the simulated disks and outside the program.
//
// It sees only what a user sees. Every write is an event with unique bytes; acting on a name
// supersedes the event that the name showed at that instant. At quiescence each node must hold, at
// a path or at a conflict name of it, exactly the live events: those that no user action superseded
// (Held = Live).
//
// Events with equal bytes at one path (two renames to one name, a chmod) cannot always be told
// apart from outside: acting on one makes the others ambiguous, which means allowed and not
// required.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/sim_fs.h"

namespace p2psync::sim {

/// The path that a name belongs to: itself without the endings of conflict copies.
[[nodiscard]] std::string lineage_of(std::string_view name);

class Oracle {
 public:
  /// A user made this appear at the name.
  void wrote(std::string_view name, const TreeNode& node);
  /// These bytes may be owed to the name, and need not be.
  void may_appear(std::string_view name, const TreeNode& node);
  /// Whatever is owed to the name may be gone.
  void doubt(std::string_view name);
  /// What the name shows may be gone: a command replaces it, which a crash may forget.
  void may_go(std::string_view name, const TreeNode& shown);
  /// What of the name's lineage is on no disk any more never was, and what it had replaced on this
  /// host, which has lost its power, may not have been replaced.
  void may_be_gone(std::uint64_t host, std::string_view name,
                   const std::set<std::string>& anywhere);
  /// A user overwrote, renamed away or deleted what the name showed.
  void superseded(std::uint64_t host, std::string_view name, const TreeNode& shown);
  /// The host's index is lost: what its users superseded, and nobody else may have heard of, can
  /// come back. So can what stands in its tree and was superseded elsewhere, if its path has had
  /// more versions than a later one remembers (engine::superseded_max).
  void index_lost(std::uint64_t host, const Tree& tree);
  /// It has read its folder anew and met all others: what its users do is known again. Before, it
  /// cannot know whose bytes they replaced.
  void index_anew(std::uint64_t host) { index_lost_at_[host] = false; }
  /// A user changed mode or time of what the name showed.
  void changed_metadata(std::uint64_t host, std::string_view name, const TreeNode& before,
                        const Tree& after);
  /// A power cut, a backup that was put back or a rotten bit changed what this host's disk shows.
  /// The disk decides: what is on no disk any more (`anywhere`) never was, what had replaced it may
  /// not have happened, and torn bytes are a write like any other. `shown`: by (lineage, key), what
  /// any host shows now.
  using Contents = std::set<std::string>;
  using ShownContents = std::set<std::pair<std::string, std::string>>;
  void disk_changed(std::uint64_t host, const Tree& before, const Tree& after,
                    const Contents& anywhere, const ShownContents& shown);
  /// What tells contents apart: short whatever their size, since each is held many times.
  [[nodiscard]] static std::string key(const TreeNode& node);
  /// Bytes that some event wrote: anything else on a disk was torn or invented.
  [[nodiscard]] bool known(const TreeNode& node) const { return contents_.contains(key(node)); }
  /// What is wrong with this tree, one line each; empty when Held = Live.
  [[nodiscard]] std::vector<std::string> judge(const Tree& tree) const;

 private:
  enum class State : std::uint8_t { live, superseded, ambiguous };
  struct Event {
    std::string content;
    std::uint16_t mode = 0;
    std::int64_t mtime = 0;
    State state = State::live;
    std::uint64_t superseded_by = 0;  ///< a host
    bool stood_at_loss = false;
  };
  void forgive(std::uint64_t host);
  /// Under how many names users put this content: one that looks like a copy's may be a path.
  [[nodiscard]] std::size_t written_under(const std::string& lineage,
                                          const std::string& content) const;

  std::map<std::string, std::vector<Event>> lineages_;
  std::set<std::string> contents_;
  std::set<std::string> torn_;  ///< of these: no user wrote them
  std::map<std::pair<std::string, std::string>, std::set<std::string, std::less<>>> written_at_;
  std::map<std::uint64_t, bool> index_lost_at_;
};

}  // namespace p2psync::sim
