// The part of transfer that says what is needed by whom.
#include "engine/transfer.h"

namespace p2psync::engine {

const Path* Transfer::needed_by(const Hash& content) const {
  const Want* want = find(content);
  return want == nullptr ? nullptr : &*want->paths.begin();
}

}  // namespace p2psync::engine
