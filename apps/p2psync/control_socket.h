#pragma once
// Where a running node answers: the names of its control sockets, and how to ask.
//
// `.p2psync/control.sock` in the synchronised folder, mode 0600 in a directory of mode 0700. It is
// reached through /proc/self/fd, since a socket's name may have only 107 bytes and a folder's may
// have more. A second, abstract name, made of the user and the folder's path, still answers when
// the folder has vanished; there the other end's user is checked instead of the file's mode.
//
// Protocol: the client sends one line, a JSON object; the server answers with one line, a JSON
// object, and closes.
//   {"command": "status"}               -> {"status": {...}}
//   {"command": "status", "wait_s": 30} -> {"status": {...}, "settled": true}
//   {"command": "confirm-deletes"}      -> {"deletions": 62}; with "undo": true they are undone
//   {"command": "pause", "on": true}    -> {"paused": true, "changed": true}
//   {"command": "conflicts"}            -> {"conflicts": [...], "more": false}; with "copy": that
//   {"command": "page"}                 -> {"url": "http://127.0.0.1:7745/", "token": "0123..."}
//   {"command": "log", "path": "a"}     -> {"log": {...}}
//   {"command": "resolve", "path": "a", "keep": "node2"}          -> {"kept": "a", "laid_out":
//   true}; with "seen": only if the names there still show those contents
//   {"command": "restore", "path": "a", "version": "0123..."}     -> {"laid_out": true}
//   {"command": "recorded"}             -> {"recorded": [...], "more": true}; with "path": of that
//   anything else, or what cannot be    -> {"error": "..."}
// What has "more" comes in pages: the next is asked for with "after", the last that was told. Paths
// that are not UTF-8 stand in base64 as well, in "path_bytes", "after_bytes", which go first.
#include <chrono>
#include <string>

#include "apps/p2psync/json.h"
#include "engine/error.h"

namespace p2psync::app {

inline constexpr std::size_t request_bytes_max = 16384;
inline constexpr std::size_t response_bytes_max = std::size_t{64} << 20;

/// The path to give to bind or connect while `state_directory` is open.
[[nodiscard]] std::string control_path(int state_directory);
/// The abstract name (its first byte is 0) for a folder, given absolute and without links.
[[nodiscard]] std::string abstract_control_name(const std::string& folder);
/// Absolute, links resolved as far as the path exists.
[[nodiscard]] std::string canonical_folder(const std::string& folder);
/// True if the other end of a Unix socket is this user's, or root's.
[[nodiscard]] bool same_user(int socket);

/// Asks the node that runs on a folder. not_found: none answers; busy: none within the limit.
[[nodiscard]] Result<Json> ask_node(const std::string& folder, const Json& request,
                                    std::chrono::milliseconds limit);

}  // namespace p2psync::app
