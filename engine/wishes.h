#pragma once
// Wishes: versions that a user wants back (BringBack) and whose bytes only other members may have.
//
// A path is written when the bytes are here, never before: a version that nobody has would else
// take the place of what stands there. Until then a wish is no event, nobody is told of it, and it
// does not outlive the process. It goes when its patience is over, when no member that is connected
// has the bytes, or when the name shows something else than when it was made. The contents come as
// all others do (transfer.h). No clock; single thread.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "engine/input.h"
#include "engine/replica.h"
#include "engine/transfer.h"

namespace p2psync::engine {

class Wishes {
 public:
  Wishes(Replica& replica, Transfer& transfer) : replica_(replica), transfer_(transfer) {}

  /// What can be done at once is done.
  void on(Instant now, BringBack asked);
  [[nodiscard]] bool has(const Path& path) const { return wishes_.contains(path); }
  /// Adds what a path is wished for to what it needs.
  void add_need(const Path& path, std::vector<Need>& needs) const;
  /// The bytes of a content that these paths needed are here.
  void use(std::span<const Path> paths, const Hash& content);
  /// Gives up what cannot be had.
  void next(Instant now, const std::set<NodeId>& others,
            const std::function<bool(NodeId)>& connected);
  [[nodiscard]] std::optional<Instant> wake_at() const {
    return wishes_.empty() ? std::nullopt : std::optional(until_);
  }

 private:
  struct Wish {
    Version version;
    std::optional<Signature> over;  ///< what the name showed when it was made
  };
  [[nodiscard]] std::optional<Signature> shown_at(const Path& path) const;

  Replica& replica_;
  Transfer& transfer_;
  std::map<Path, Wish> wishes_;
  Instant until_{};  ///< of all
};

}  // namespace p2psync::engine
