#pragma once
// The batch log: what the batch in hand lays, moves and removes, written down before it does.
//
// The index learns the results of a batch only after it: a crash in between leaves a disk that
// shows more than the index remembers. A user who edits a file then has seen the new state, and
// must not be taken to have edited the old one. After a crash carried_out.h says which steps had
// been. Intents (intent.h) are the other half: they say what came out.
//
// `.p2psync/tmp/batch-log` stays until the next batch replaces it: results that the index does hold
// are recognised by the batch's number. Steps of an earlier batch whose path is in doubt are
// carried over from log to log. A step that failed is struck out before its slot goes, so that a
// slot that is gone, or holds another inode, means: carried out. Names of slots do not come again,
// but for those of staged contents that lie ready under their hash: there, a file whose bytes are
// younger than the slot is another one too, whatever its inode.
//
// Format: a line "p2psync batch 3 <number>", one line for each step, "end". Fields are divided by
// single blanks, written as in intents: path, name, what (put, move, remove), from (the old name of
// a move; of a removal whose file a put takes, the slot that it passes through, and of that put the
// kept file that it else becomes), place (the slot, else the kept file), inode (of the slot, or of
// what is moved or removed), ctime (of the slot; it tells a link where the disk has no exchange),
// kind, mode, mtime, size, content, target. What a put moves stands in the line before it; but what
// no slot takes the place of, where there is no exchange, moves as if a put took it.
#include <string>
#include <vector>

#include "storage/fs.h"

namespace p2psync::storage {

struct LoggedStep {
  enum class What : std::uint8_t { put = 0, move = 1, remove = 2 };
  engine::Path path;
  engine::Path name;
  What what = What::put;
  engine::Path from;  ///< of a move: the old name; else a file on its way from path to path
  std::string place;
  std::uint64_t inode = 0;
  std::int64_t ctime = 0;
  engine::Wanted wanted;
  bool operator==(const LoggedStep& other) const {
    return path == other.path && name == other.name && what == other.what && place == other.place &&
           from == other.from && inode == other.inode;
  }
};

/// Replaces the log, durably: what takes the place of a durable log must not be torn.
[[nodiscard]] Result<void> write_batch_log(Fs& fs, std::uint64_t batch,
                                           const std::vector<LoggedStep>& steps);

struct BatchLog {
  std::uint64_t batch = 0;
  std::vector<LoggedStep> steps;  ///< none: there is no log, it is torn, or of another kind
};
/// An error: whether there is one cannot be told.
[[nodiscard]] Result<BatchLog> read_batch_log(Fs& fs);

/// The log on the disk is this batch's, or cannot be read.
[[nodiscard]] bool is_logged(Fs& fs, std::uint64_t batch);

}  // namespace p2psync::storage
