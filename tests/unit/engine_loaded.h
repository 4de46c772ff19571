#pragma once
// What a node's index would give back at its next start.
#include "engine/replica.h"

namespace p2psync::engine {

inline Loaded loaded_from(const Replica& replica) {
  Loaded loaded;
  replica.index().for_each("", "", [&](const Path& path, const Record& record) {
    loaded.index.put(path, record);
    return true;
  });
  loaded.knowledge = replica.knowledge();
  for (const auto& [member, row] : replica.rows()) {
    loaded.rows.push_back(row);
  }
  loaded.endings = replica.endings();
  loaded.braked = replica.braked();
  return loaded;
}

}  // namespace p2psync::engine
