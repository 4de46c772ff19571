#pragma once
// What a version vector means, as a plain map: for the tests of whatever is written as one.
#include <algorithm>
#include <map>

#include "engine/version_vector.h"

namespace p2psync::engine {

/// Of each actor the highest event.
using Model = std::map<Actor, std::uint64_t>;

inline VersionVector vector_of(const Model& model) {
  VersionVector vector;
  for (const auto& [actor, sequence] : model) {
    vector.set(actor, sequence);
  }
  return vector;
}

inline std::uint64_t at(const Model& model, const Actor& actor) {
  const auto place = model.find(actor);
  return place == model.end() ? 0 : place->second;
}

inline Model joined(const Model& one, const Model& other) {
  Model both = one;
  for (const auto& [actor, sequence] : other) {
    both[actor] = std::max(at(one, actor), sequence);
  }
  return both;
}

inline Model met(const Model& one, const Model& other) {
  Model both;
  for (const auto& [actor, sequence] : one) {
    if (const std::uint64_t least = std::min(sequence, at(other, actor)); least > 0) {
      both[actor] = least;
    }
  }
  return both;
}

inline bool covered(const Model& one, const Model& other) {
  return std::ranges::all_of(other,
                             [&](const auto& item) { return at(one, item.first) >= item.second; });
}

}  // namespace p2psync::engine
