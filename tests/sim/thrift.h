#pragma once
// Thrift: content crosses the wire only when the node that asks for it has not got it.
//
// Two rules, judged where a node sends a Get for bytes of a content: its index lists no place on
// its own disk where the content is; and it has not written this chunk of it already, in this life
// and since anything happened to the unfinished file (an error, wrong bytes, a new beginning).
#include <functional>
#include <map>
#include <set>
#include <string>

#include "engine/node.h"

namespace p2psync::sim {

class Thrift {
 public:
  using Report = std::function<void(const std::string& invariant, const std::string& text)>;
  explicit Thrift(Report report) : report_(std::move(report)) {}

  void stepped(engine::NodeId host, std::uint64_t life, const engine::Node& node,
               const engine::Input& input, const std::vector<engine::Output>& outputs);

 private:
  Report report_;
  struct Written {
    std::uint64_t life = 0;
    std::map<engine::Hash, std::set<std::uint64_t>> offsets;
  };
  std::map<engine::NodeId, Written> written_;
};

}  // namespace p2psync::sim
