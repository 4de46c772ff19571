#pragma once
// ApplyBatch: one batch on its way through the phases that applier.h describes.
//
// An object for one run(). Each step of a job is a Work that collects what is made ready for it,
// what it displaces, what it laid and its result. A Work without a result is still to do; the first
// that is not Done ends its job.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/applier.h"
#include "storage/batch_log.h"
#include "storage/slot.h"

namespace p2psync::storage {

/// Something is there that should not be, or the name or its directory is not there.
[[nodiscard]] std::unexpected<engine::StepResult> obstructed_or(const Error& error);

class ApplyBatch {
 public:
  /// `next_number`: for slots and intents, unique in `.p2psync/tmp`. `log`: of the batch before;
  /// this one's when it has run.
  ApplyBatch(Fs& fs, const ApplierOptions& options, VersionNames& names, Limbo& limbo,
             std::function<std::uint64_t()> next_number, const engine::Apply& batch,
             std::vector<LoggedStep>& log);

  [[nodiscard]] std::vector<engine::Applied> run();

 private:
  struct Laid {
    engine::Path name;
    engine::Signature signature;              ///< as made ready
    std::optional<engine::Signature> answer;  ///< to be answered, where it was looked at already
  };
  struct Work {
    const engine::Step* step = nullptr;
    std::optional<engine::StepResult> result;
    std::optional<Slot> slot;        ///< ready, and not laid
    std::optional<IntentItem> item;  ///< what it will displace
    std::optional<Laid> laid;
    std::optional<Laid> moved;  ///< what was there, under its new name
    std::string touched;        ///< the directory whose names it changed
    bool moved_in = false;      ///< it also changed `.p2psync/versions`
    Work* takes = nullptr;      ///< a put: the removal whose very file it lays
    Work* taken_by = nullptr;   ///< that removal: the put, which carries it out
  };
  struct Job {
    const engine::ApplyJob* job = nullptr;
    std::vector<Work> works;
    std::size_t next = 0;
    bool ended = false;
  };
  using Outcome = Stepped<engine::Done>;

  void pair();
  void stage();
  void stage(Work& work);
  [[nodiscard]] bool ready_to_take(Work& work);
  void stage_passage(Work& work);
  [[nodiscard]] Result<void> sync_slots();
  [[nodiscard]] Result<void> intend();
  void log(const Job& job, const Work& work);
  [[nodiscard]] bool strike_out_failures();
  void discard_slot(Work& work);
  void advance(Job& job, bool removals);
  Outcome carry_out(Work& work);
  Outcome put(Work& work, const engine::Put& put);
  Outcome remove(Work& work, const engine::Remove& remove);
  Outcome lay_in_place(Work& work, const engine::Put& put);
  Outcome lay_new(Work& work, const engine::Put& put);
  Outcome exchange(Work& work, const engine::Put& put);
  void set_mode(Work& work, const engine::Put& put);
  Outcome replace_without_exchange(Work& work, const engine::Put& put, const Stat& now);
  Outcome move(Work& work, const engine::Remove& remove, const Stat& now);
  Outcome take_away(Work& work, const engine::Path& name,
                    const std::optional<engine::Moved>& moved);
  [[nodiscard]] Result<void> name_it(const std::string& from, const engine::Path& name);
  [[nodiscard]] Result<void> not_moved(const Work& work);
  Outcome look_at(Work& work, const std::string& at, const std::optional<engine::Moved>& moved);
  Outcome keep(Work& work, const std::string& from, const Stat& out,
               const std::optional<engine::Moved>& moved);
  Outcome settle(Work& work);
  Outcome take(Work& work, const engine::Put& put);
  engine::StepResult displace_taken(Work& old, const std::string& at, const Result<Stat>& out);
  [[nodiscard]] Lease lease_on(const std::string& path);
  Outcome came_out_wrong(Work& work, const std::string& at);
  [[nodiscard]] Stepped<Stat> check(const engine::Path& name, const engine::Signature& expected,
                                    const engine::Hash& content);
  [[nodiscard]] RenameMode aside() const;
  static void laid(Work& work, const engine::Path& name, const engine::Signature& signature);
  void consume_slot(Work& work);
  void forget_found();
  void sync_touched();
  [[nodiscard]] engine::Signature signature_of(const Laid& laid, const Result<Stat>& now);
  void sign();
  void fail(Work& work, engine::StepResult result);
  [[nodiscard]] std::vector<engine::Applied> answer();

  Fs& fs_;
  const ApplierOptions& options_;
  VersionNames& names_;
  Limbo& limbo_;
  std::function<std::uint64_t()> next_number_;
  std::vector<Job> jobs_;
  bool exchange_ = true;
  std::uint64_t batch_ = 0;
  std::vector<LoggedStep>& log_;
  bool sync_each_ = true;                ///< few enough files to sync one by one
  std::uint64_t intent_ = 0;             ///< 0: none was needed
  std::vector<std::string> found_laid_;  ///< kept files that have a name in the tree now
  bool all_synced_ = true;
};

}  // namespace p2psync::storage
