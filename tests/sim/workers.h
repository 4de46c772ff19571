#pragma once
// Work that is divided among processes: each tells what came of its share as text, in a pipe.
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace p2psync::sim {

/// Runs work(0) to work(jobs - 1), each in a process of its own, and returns what they returned, in
/// that order. Nothing for one that died, which is said on stdout.
[[nodiscard]] std::vector<std::optional<std::string>> in_processes(
    std::uint64_t jobs, const std::function<std::string(std::uint64_t job)>& work);

/// Its reading and its writing end. Without one there is nothing to be done: the program ends.
[[nodiscard]] std::array<int, 2> open_pipe();
/// False if not all of it could be written.
[[nodiscard]] bool write_all(int fd, const std::string& text);

}  // namespace p2psync::sim
