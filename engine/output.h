#pragma once
// Everything that a node asks of its driver. See node.h.
#include <variant>

#include "engine/disk.h"
#include "engine/message.h"
#include "engine/record.h"

namespace p2psync::engine {

enum class Priority : std::uint8_t { control, data };

/// Like an Apply, it waits until every Persist given before it is durable (told.h: which need not):
/// what is told or laid on the disk is recorded first. All other outputs may be performed at once.
struct Send {
  NodeId peer = 0;
  Message message;
  Priority priority = Priority::control;
};
/// The peer broke the protocol: close the connection, log the reason, dial again later.
struct Disconnect {
  NodeId peer = 0;
  std::string reason;
};
/// One transaction of the index. Changes are committed in the order given; several may share a
/// commit.
struct Persist {
  Change change;
};
/// Something a person may want to read.
struct Note {
  enum class Level : std::uint8_t { error, warn, info, debug };
  Level level = Level::info;
  std::string text;
};

using Output = std::variant<Send, Disconnect, Persist, Note, Look, List, Apply, ReadBlock,
                            OpenStage, WriteBlock, DropStage>;

}  // namespace p2psync::engine
