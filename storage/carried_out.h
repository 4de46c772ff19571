#pragma once
// What of a batch had been carried out when the process or the power ended: the steps in its log
// (batch_log.h), each held against the disk. Whoever writes to the log can make no more of it than
// wrong answers: paths in it are the program's own, or those of the folder.
//
// What each instant of a loser's move means there, whatever a user did to either name since:
//   its old name   a put's slot is where it was, or its own slot is the placeholder that it was
//   none           it is in the kept file, or in its own slot: it is named anew, later
//   its new name   it is neither, or its new name has it as well, or naming.h tells that it had
#include <vector>

#include "storage/batch_log.h"

namespace p2psync::storage {

struct CarriedOut {
  std::vector<LoggedStep> steps;
  std::vector<engine::Relaid> relaid;  ///< what they mean
};
/// The steps in the log that were carried out; their names are durable then. Nothing if there is no
/// log or it is torn (then it was never durable, and nothing of its batch has happened).
[[nodiscard]] Result<CarriedOut> carried_out(Fs& fs);

}  // namespace p2psync::storage
