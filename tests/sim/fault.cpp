#include "tests/sim/fault.h"

#include <algorithm>
#include <numeric>

#include "engine/error.h"

namespace p2psync::sim {
namespace {

constexpr std::uint16_t bit(Phase phase) {
  return static_cast<std::uint16_t>(1U << static_cast<unsigned>(phase));
}

/// Where messages of each sort are lost, repeated, cut.
constexpr std::uint16_t on_wire =
    bit(Phase::summarise) | bit(Phase::diff) | bit(Phase::request) | bit(Phase::serve);
/// Where the program calls its disk.
constexpr std::uint16_t on_disk = bit(Phase::scan) | bit(Phase::hash) | bit(Phase::serve) |
                                  bit(Phase::stage) | bit(Phase::apply) | bit(Phase::recover);
constexpr std::uint16_t on_writes = bit(Phase::stage) | bit(Phase::apply) | bit(Phase::commit);
constexpr std::uint16_t between = bit(Phase::idle);

constexpr std::array<FaultInfo, fault_count> table{{
    {Fault::net_loss, "net.loss", "a message vanishes", true, on_wire},
    {Fault::net_duplicate, "net.duplicate", "a message arrives twice", true, on_wire},
    {Fault::net_reorder, "net.reorder", "messages of one connection overtake each other", true,
     on_wire},
    {Fault::net_tail, "net.tail", "a message takes seconds", true, on_wire},
    {Fault::net_slow, "net.slow", "a link carries a few KiB a second", true, on_wire},
    {Fault::net_late_content, "net.late-content",
     "contents arrive long after their entries; users act on what they see meanwhile", true,
     bit(Phase::serve)},
    {Fault::net_reset, "net.reset", "a connection breaks and comes back at once", true, between},
    {Fault::net_cut, "net.cut", "a link is down for seconds", true, between},
    {Fault::net_isolate, "net.isolate", "a host has no network for seconds", true, between},
    {Fault::net_halves, "net.halves", "the hosts fall into two halves", true, between},
    {Fault::net_one_way, "net.one-way", "what one host sends to another vanishes, not the reverse",
     true, on_wire},
    {Fault::net_half_open, "net.half-open", "one end notices late that a connection is gone", true,
     between},
    {Fault::net_replay, "net.replay", "a message of an earlier moment arrives again", true,
     on_wire},
    {Fault::net_corrupt_block, "net.corrupt-block", "a peer sends bytes that are not the content",
     true, bit(Phase::serve)},
    {Fault::net_stranger, "net.stranger", "messages in the name of nobody who is connected", true,
     between},
    {Fault::crash, "crash", "the process ends between two jobs", true, between},
    {Fault::crash_in_call, "crash.in-call", "the process ends at a system call", true, on_disk},
    {Fault::crash_in_recovery, "crash.in-recovery", "the process ends while it starts", true,
     bit(Phase::recover)},
    {Fault::power_cut, "power-cut", "what was not synced is gone, torn or there", true, between},
    {Fault::power_cut_in_call, "power-cut.in-call", "the same at a system call", true, on_disk},
    {Fault::power_cut_in_recovery, "power-cut.in-recovery", "the same at a start", true,
     bit(Phase::recover)},
    {Fault::pause, "pause", "the process stands still for seconds to minutes", true, between},
    {Fault::clock_skew, "clock.skew", "a wall clock is wrong by up to a day", true, between},
    {Fault::clock_step, "clock.step", "a wall clock jumps forward or back", true, between},
    {Fault::clock_far, "clock.far", "a wall clock says 1970 or 2106", true, between},
    {Fault::index_lost, "index.lost", "the index is gone at a start", false, between},
    {Fault::index_old, "index.old", "the index is an older one at a start", false, between},
    {Fault::index_corrupt, "index.corrupt", "bits of the index are flipped at a start", false,
     between},
    {Fault::index_foreign, "index.foreign", "the index of another node is there at a start", false,
     between},
    {Fault::machine_restored, "machine.restored", "folder and index are those of a backup", false,
     between},
    {Fault::disk_error, "disk.error", "a system call fails with some errno", true, on_disk},
    {Fault::disk_full, "disk.full", "no space for a while", true, on_writes},
    {Fault::disk_read_only, "disk.read-only", "nothing can be changed for a while", true,
     on_writes},
    {Fault::disk_denied, "disk.denied", "one name cannot be used for a while", true,
     bit(Phase::hash) | bit(Phase::apply)},
    {Fault::disk_sync_fails, "disk.sync-fails",
     "an fsync fails once, and the pages are clean afterwards", true,
     bit(Phase::hash) | bit(Phase::apply)},
    {Fault::disk_no_exchange, "disk.no-exchange", "renames take no flags, as on NFS", true,
     bit(Phase::apply)},
    {Fault::disk_grain, "disk.grain", "timestamps are multiples of up to 2 s", true, between},
    {Fault::disk_rot, "disk.rot", "a bit of a cold file flips", false, between},
    {Fault::watch_lost, "watch.lost", "a change event does not come", true, between},
    {Fault::watch_late, "watch.late", "a change event comes seconds late", true, between},
    {Fault::watch_overflow, "watch.overflow", "events are dropped, and the kernel says so", true,
     between},
    {Fault::user_in_call, "user.in-call", "a user acts between two system calls of the program",
     true, on_disk},
    {Fault::user_holds_open, "user.holds-open", "a user writes in place to a file held open", true,
     static_cast<std::uint16_t>(on_disk | between)},
    {Fault::user_pauses, "user.pauses",
     "a user has a node exchange and lay nothing for seconds to minutes (p2psync pause)", true,
     between},
}};

constexpr std::array<std::string_view, phase_count> phase_names{
    "idle",  "scan",  "hash",  "summarise", "diff",   "request",
    "serve", "stage", "apply", "commit",    "recover"};

}  // namespace

std::span<const FaultInfo, fault_count> fault_table() {
  return table;
}

const FaultInfo& info(Fault fault) {
  const FaultInfo& found = table.at(static_cast<std::size_t>(fault));
  invariant(found.fault == fault, "the table of faults is in their order");
  return found;
}

std::optional<Fault> fault_by_id(std::string_view id) {
  const auto* const found = std::ranges::find(table, id, &FaultInfo::id);
  return found == table.end() ? std::nullopt : std::optional(found->fault);
}

std::string_view name_of(Phase phase) {
  return phase_names.at(static_cast<std::size_t>(phase));
}

std::uint64_t FaultCounts::of(Fault fault) const {
  const auto& row = counts_[static_cast<std::size_t>(fault)];
  return std::accumulate(row.begin(), row.end(), std::uint64_t{0});
}

FaultCounts& FaultCounts::operator+=(const FaultCounts& other) {
  for (std::size_t fault = 0; fault < fault_count; ++fault) {
    for (std::size_t phase = 0; phase < phase_count; ++phase) {
      counts_[fault][phase] += other.counts_[fault][phase];
    }
  }
  return *this;
}

}  // namespace p2psync::sim
