#include "tests/sim/thrift.h"

#include "engine/replica.h"

namespace p2psync::sim {

using namespace engine;

void Thrift::stepped(NodeId host, std::uint64_t life, const Node& node, const Input& input,
                     const std::vector<Output>& outputs) {
  if (written_[host].life != life) {
    written_[host] = {life, {}};
  }
  auto& written = written_[host].offsets;
  if (const auto* opened = std::get_if<StageOpened>(&input)) {
    // What is before the section in hand is there; of the section storage says what is.
    auto& offsets = written[opened->content];
    offsets.erase(offsets.lower_bound(opened->from), offsets.end());
  } else if (const auto* done = std::get_if<StageWritten>(&input)) {
    if (done->state != StageState::incomplete) {
      written.erase(done->content);
    }
  }
  for (const Output& output : outputs) {
    if (const auto* write = std::get_if<WriteBlock>(&output); write != nullptr && write->bytes) {
      written[write->content].insert(write->offset);
    } else if (const auto* drop = std::get_if<DropStage>(&output)) {
      written.erase(drop->content);
    }
    const auto* send = std::get_if<Send>(&output);
    const auto* get = send == nullptr ? nullptr : std::get_if<Get>(&send->message);
    if (get == nullptr || get->list) {
      continue;
    }
    Version wanted;
    wanted.content = get->content;
    if (node.replica().available(wanted)) {
      report_("#29 thrift", "node " + std::to_string(host) + " asks for what is on its disk");
    }
    const auto offsets = written.find(get->content);
    if (offsets != written.end() && offsets->second.contains(get->offset)) {
      report_("#29 thrift", "node " + std::to_string(host) + " asks again for a chunk that it has");
    }
  }
}

}  // namespace p2psync::sim
