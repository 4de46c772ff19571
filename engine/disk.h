#pragma once
// What the engine and the storage room say to each other about the disk.
//
// The engine never touches a file. It asks for a look at names, for listings, for names to be laid
// or removed, for blocks to be read and written; storage answers each request with what came out.
// Names are paths below the synchronised directory. The engine has at most one request in flight
// that concerns a path and its conflict copies, so an answer is never older than what the engine
// remembers of it.
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "engine/bytes.h"
#include "engine/entry.h"
#include "engine/error.h"
#include "engine/path.h"

namespace p2psync::engine {

/// What `statx` says and what tells a change: equal signatures, equal file.
struct Signature {
  Kind kind = Kind::file;
  std::uint16_t mode = 0;  ///< nine bits
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;  ///< ns
  std::int64_t ctime = 0;  ///< ns
  auto operator<=>(const Signature&) const = default;
  /// Taken so soon after a change that a further one might not show in it: only the bytes tell.
  [[nodiscard]] bool unproven() const { return ctime == 0; }
  /// Of what came to be ignored: it was last shown so, and nobody has looked since. When it is
  /// ignored no longer, whatever stands there is an edit of that; nothing there is no deletion.
  [[nodiscard]] Signature out_of_sight() const { return {kind, mode, 0, size, mtime, -1}; }
  [[nodiscard]] bool is_out_of_sight() const { return inode == 0 && ctime == -1; }
};

/// What stands at a name, read and hashed. mtime of a directory is 0, its and a symlink's size 0.
struct Seen {
  Signature signature;
  Hash content;
  std::string target;
  /// The file changed so recently that a further change might not show in the signature: look
  /// again.
  bool fresh = false;
  bool operator==(const Seen&) const = default;
};

// --- Looking
// ----------------------------------------------------------------------------------------

struct LookAt {
  Path name;
  /// What is remembered: with the same signature nothing is read again.
  std::optional<Seen> known;
  /// A file of several chunks that changed just now is Unstable and not read: it would have to be
  /// read again when a further change must show.
  bool patient = false;
  /// A listing has just shown a file there: it can be opened at once. What is none any more is
  /// looked at like any other name.
  bool regular = false;
};
/// Reads these names. The contents that are new are durable (synced) before the answer.
struct Look {
  std::vector<LookAt> names;
};
struct Absent {};
struct Unstable {};  ///< it changed while it was read; try again later
struct Special {};   ///< a socket, FIFO or device: never synchronised
using Sight = std::variant<Absent, Seen, Unstable, Special, Error>;
struct Looked {
  Path name;
  Sight sight;
};

/// Lists a directory (the root is ""), after setting a watch on it where watching works.
struct List {
  Path directory;
};
struct Listing {
  std::string name;  ///< one component
  bool special = false;
  Signature signature;
};
/// The rules that stand in a directory (ignore.h).
struct Rules {
  Hash content;  ///< as a look finds it; of no bytes if they could not be read
  std::string text;
};
struct Listed {
  Path directory;
  Result<std::vector<Listing>> items;
  std::optional<Rules> rules = {};
};

// --- Contents
// ---------------------------------------------------------------------------------------

/// A piece of a content; see storage/content.h.
struct Chunk {
  std::uint32_t length = 0;
  Hash hash;  ///< SHA-256 of its bytes
  bool operator==(const Chunk&) const = default;
};
/// The list of a section's chunks, or of a content's sections, written as a difference.
struct ListOf {
  Hash name;     ///< of the section or content; it proves the list
  Hash against;  ///< of the section whose list it is a difference to, since that one is here;
                 ///< zeros: of none
  bool operator==(const ListOf&) const = default;
};

struct Staged {};  ///< complete in `.p2psync/tmp` under its hash; laying it moves it: until then
                   ///< nothing else is asked of this content's staging
struct Unfinished {};  ///< in there too, and not all of it yet: only to read a chunk that is there
struct AtName {        ///< a synchronised file; copied (reflinked where the disk can), hash checked
  Path name;
};
struct Kept {         ///< in `.p2psync/versions`
  std::string file;   ///< its name there
  bool move = false;  ///< it was found, not kept: that very inode goes to the name
};
struct Nothing {};  ///< directories and symlinks need no bytes
using Source = std::variant<Nothing, Staged, AtName, Kept, Unfinished>;

// --- Applying
// ---------------------------------------------------------------------------------------

/// What shall stand at a name.
struct Wanted {
  Kind kind = Kind::file;
  std::uint16_t mode = 0;
  std::int64_t mtime = 0;
  std::uint64_t size = 0;
  Hash content;
  std::string target;
};

/// Where what a step displaces goes: to this free name of the same directory, instead of
/// `.p2psync/versions`. It is the same inode: an editor that has it open writes on into the copy.
struct Moved {
  Path name;
  Wanted wanted;  ///< what it is, for the record
};
/// Lays `wanted` at `name`, in place of exactly `expected` (nothing: the name must be free).
struct Put {
  Path name;
  Wanted wanted;
  std::optional<Signature> expected;
  Source source;
  /// The hash of what is expected there; zeros: unknown. By it the bytes are recognised when the
  /// signature is unproven, or a crash or a process that still writes leaves more to ask than that.
  Hash expected_content;
  std::optional<Moved> moved;  ///< only files and symlinks
};
/// Takes away what stands at `name` if it is `expected`: files into `.p2psync/versions`,
/// directories by rmdir.
struct Remove {
  Path name;
  Signature expected;
  Hash expected_content;       ///< as in Put
  std::optional<Moved> moved;  ///< as in Put
};
/// Changes nothing: makes sure that `name` still is `expected`. What a name shows is only ever
/// taken to be more (another node's equal bytes) after a look at the disk; a user's deletion would
/// else remove what it never saw.
struct Check {
  Path name;
  Signature expected;
  Hash expected_content;  ///< as in Put
};
using Step = std::variant<Put, Remove, Check>;

/// The steps that make one path and its copies right, in order. The first that fails ends the job.
/// Over the jobs of a batch all puts come before all removals.
struct ApplyJob {
  Path path;
  std::vector<Step> steps;
};
struct Apply {
  /// Ascending, also over restarts: tells what a crash left undone from what is recorded already.
  std::uint64_t batch = 0;
  std::vector<ApplyJob> jobs;
  /// Paths with steps of earlier batches that are not settled: after a crash it must still be known
  /// which of those had been carried out.
  std::set<Path> doubtful;
};

/// Found at a start: a step of the last batch, or of an earlier one whose path was in doubt, had
/// been carried out. The user then saw the new state, and what they did since is to be judged by
/// that.
struct Relaid {
  std::uint64_t batch = 0;
  Path path;
  Path name;
  std::optional<Wanted> wanted;  ///< what was laid; nothing: what stood there was removed
};

/// What a step took from its name. It is in `.p2psync/versions` now.
struct Displaced {
  std::string file;
  Seen seen;
  /// False: a user wrote in between. It is a version of its own and owed a name.
  bool as_expected = true;
  /// A process may still write to it; storage keeps watching and sends `Surfaced` if its bytes
  /// change.
  bool still_open = false;
};
struct Done {
  std::optional<Signature> signature;  ///< of what was laid; nothing after a removal
  std::optional<Displaced> displaced;
  /// Of what has moved. Nothing: it was displaced, since its new name is taken or it was changed.
  std::optional<Signature> moved;
};
struct Obstructed {};  ///< the precondition does not hold: look at the name again
struct NotEmpty {};    ///< rmdir refused: there is something below
struct SourceGone {};  ///< the source is not there or its bytes differ from the wanted hash
/// It was carried out and users see it, but an error came after it (a sync that failed), so nobody
/// knows what a power cut would leave. The look that follows makes it durable.
struct Unsure {
  Error error;
  bool emptied = false;  ///< only half of it: what stood there is gone, and nothing was laid
  bool moved = false;    ///< what stood there has its new name
};
using StepResult = std::variant<Done, Obstructed, NotEmpty, SourceGone, Unsure, Error>;
struct Applied {
  Path path;
  /// One for each step up to and including the first that is neither Done nor Unsure; fewer if an
  /// error after a step ended the job.
  std::vector<StepResult> results;
};

/// Bytes that appeared outside the tree and that nobody has recorded: a displaced file that a
/// process wrote to afterwards, or one that a crash left between the exchange and the look.
struct Surfaced {
  Path name;         ///< the name it was displaced from
  std::string file;  ///< in `.p2psync/versions`
  Seen seen;
  Hash replaced;  ///< what it held when it was displaced
};

// --- Blocks
// -----------------------------------------------------------------------------------------

/// Reads a block of a content to send it to a peer.
struct ReadBlock {
  NodeId peer = 0;
  std::uint64_t request = 0;  ///< the node's own number; the answer has it too
  Hash content;
  Source source;
  std::optional<Signature> expected;  ///< of an AtName source: otherwise it is another file by now
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::optional<ListOf> list;  ///< as in Get
};
struct BlockRead {
  NodeId peer = 0;
  std::uint64_t request = 0;
  Hash content;
  Bytes bytes;  ///< null: not here any more
};

/// A content that is here, and likely to have chunks in common with one that is on its way.
struct Base {
  Hash content;
  std::uint64_t size = 0;
  Path name;
  bool kept = false;  ///< the name is one in `.p2psync/versions`
};
/// mismatch: the bytes are not what their hash says.
enum class StageState : std::uint8_t { incomplete, complete, mismatch, failed };
/// Opens (or finds again, after a restart) the unfinished file of a content of several chunks, or
/// goes on with the section of it that begins at `from`. Answered by StageOpened.
///
/// A content of very many chunks is fetched section by section, in order: the chunks of one have
/// room in memory.
struct OpenStage {
  Hash content;
  std::uint64_t size = 0;
  std::vector<Base> bases;  ///< the likeliest first
  Bytes list;               ///< as a peer gave it; null: none has come yet
  ListOf list_of;           ///< what it was asked for as
  std::uint64_t from =
      0;  ///< all before it was there, or has been written since it was opened at 0
};
/// Incomplete and no chunks: the list `wanted` is wanted.
struct StageOpened {
  Hash content;
  StageState state =
      StageState::incomplete;  ///< mismatch: the list is not what it was asked for as
  ListOf wanted;
  std::vector<Chunk> chunks;   ///< of one section
  std::vector<bool> there;     ///< those that need not be fetched
  std::optional<Error> error;  ///< with `failed`
  std::uint64_t from = 0;      ///< where the section begins; all before it is there
};
/// Writes one chunk, if its bytes are what its hash says; `last`: then all are there. Answered by
/// StageWritten.
struct WriteBlock {
  Hash content;
  std::uint64_t size = 0;  ///< of the whole
  std::uint64_t offset = 0;
  Hash chunk;
  Bytes bytes;
  bool last = false;
  /// Likely to be wanted when it is laid; one that is whole with this can be made with it.
  std::uint16_t mode = 0600;
};
struct StageWritten {
  Hash content;
  std::uint64_t offset = 0;
  StageState state = StageState::incomplete;
  std::optional<Error> error;  ///< with `failed`
};
/// Forgets an unfinished or complete staged content that nobody wants any more.
struct DropStage {
  Hash content;
};

/// The most that is asked for at once, and the most that a chunk has.
inline constexpr std::uint32_t block_bytes = 256 * 1024;

}  // namespace p2psync::engine
