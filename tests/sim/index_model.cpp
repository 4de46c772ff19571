#include "tests/sim/index_model.h"

namespace p2psync::sim {

using namespace engine;

void IndexModel::commit(const Change& change) {
  for (const auto& [path, record] : change.records) {
    if (record) {
      records_[path] = *record;
    } else {
      records_.erase(path);
    }
  }
  applied_ = change.applied.value_or(applied_);
  braked_ = change.braked.value_or(braked_);
  if (change.knowledge) {
    knowledge_ = *change.knowledge;
  }
  for (const HeldRow& row : change.rows) {
    rows_[row.member] = row;
  }
  for (const ListedEnding& listed : change.endings) {
    endings_.add(listed.node, listed.ending);
  }
  for (const KeptVersion& kept : change.kept) {
    kept_[kept.file] = kept;
  }
  for (const std::string& file : change.forgotten) {
    kept_.erase(file);
  }
}

Loaded IndexModel::load() const {
  Loaded loaded;
  for (const auto& [path, record] : records_) {
    loaded.index.put(path, record);
  }
  loaded.knowledge = knowledge_;
  loaded.endings = endings_;
  loaded.applied = applied_;
  loaded.braked = braked_;
  for (const auto& [member, row] : rows_) {
    loaded.rows.push_back(row);
  }
  for (const auto& [file, kept] : kept_) {
    loaded.kept.push_back(kept);
  }
  return loaded;
}

}  // namespace p2psync::sim
