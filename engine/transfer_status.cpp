// The part of transfer that says how far it is.
#include <ranges>

#include "engine/transfer.h"

namespace p2psync::engine {

std::vector<Incoming> Transfer::incoming() const {
  std::vector<Incoming> list;
  const auto add = [&list](const Want& want) {
    if (list.size() < incoming_max) {
      list.push_back({*want.paths.begin(), want.need.size, want.need.size - want.left});
    }
    return list.size() < incoming_max;
  };
  for (const auto* wants : {&active_, &waiting_}) {
    for (const auto& [key, want] : *wants | std::views::reverse) {
      if (!add(*want)) {
        return list;
      }
    }
  }
  return list;
}

const Path* Transfer::needed_by(const Hash& content) const {
  const Want* want = find(content);
  return want == nullptr || want->paths.empty() ? nullptr : &*want->paths.begin();
}

}  // namespace p2psync::engine
