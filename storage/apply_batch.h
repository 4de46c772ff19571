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

class ApplyBatch {
 public:
  /// `next_number`: for slots and intents, unique in `.p2psync/tmp`.
  ApplyBatch(Fs& fs, const ApplierOptions& options, VersionNames& names, Limbo& limbo,
             std::function<std::uint64_t()> next_number, const engine::Apply& batch);

  [[nodiscard]] std::vector<engine::Applied> run();

 private:
  struct Laid {
    engine::Path name;
    engine::Signature signature;
  };
  struct Work {
    const engine::Step* step = nullptr;
    std::optional<engine::StepResult> result;
    std::optional<Slot> slot;        ///< ready, and not laid
    std::optional<IntentItem> item;  ///< what it will displace
    std::optional<Laid> laid;
    std::string touched;    ///< the directory whose names it changed
    bool moved_in = false;  ///< it also changed `.p2psync/versions`
  };
  struct Job {
    const engine::ApplyJob* job = nullptr;
    std::vector<Work> works;
    std::size_t next = 0;
    /// Inodes that a Link of this job gave a second name, and that name.
    std::map<std::uint64_t, engine::Path> linked;
    bool ended = false;
  };
  using Outcome = Stepped<engine::Done>;

  void stage();
  void stage(Job& job, Work& work);
  [[nodiscard]] Result<void> intend();
  [[nodiscard]] static std::optional<LoggedStep> logged(const Job& job, const Work& work);
  void strike_out_failures();
  void discard_slot(Work& work);
  void advance(Job& job, bool removals);
  Outcome carry_out(Job& job, Work& work);
  Outcome put(Job& job, Work& work, const engine::Put& put);
  Outcome link(Job& job, Work& work, const engine::Link& link);
  Outcome remove(Job& job, Work& work, const engine::Remove& remove);
  Outcome lay_new(Work& work, const engine::Put& put);
  Outcome exchange(Job& job, Work& work, const engine::Put& put);
  Outcome replace_without_exchange(Job& job, Work& work, const engine::Put& put, const Stat& now);
  Outcome keep(Job& job, Work& work, const std::string& from, const Stat& out);
  Outcome settle(Work& work);
  Outcome came_out_wrong(Work& work, const std::string& at);
  void take_link_back(const engine::Link& link, std::uint64_t inode);
  [[nodiscard]] Stepped<Stat> check(const Job& job, const engine::Path& name,
                                    const engine::Signature& expected);
  [[nodiscard]] bool shown_elsewhere(const Job& job, std::uint64_t inode);
  [[nodiscard]] RenameMode aside() const;
  void laid(Work& work, const engine::Path& name, const engine::Signature& signature);
  void consume_slot(Work& work);
  void sync_touched();
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
  std::vector<LoggedStep> log_;
  bool sync_each_ = true;     ///< few enough files to sync one by one
  std::uint64_t intent_ = 0;  ///< 0: none was needed
  bool all_synced_ = true;
  bool pages_in_doubt_ = false;  ///< the one sync for all slots failed
};

}  // namespace p2psync::storage
