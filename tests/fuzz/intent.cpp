// The applier's own files, which a crash may have torn and anybody may have written to: intents,
// and the log of a batch. First byte: which of them.
#include <string>

#include "storage/batch_log.h"
#include "storage/carried_out.h"
#include "storage/intent.h"
#include "storage/staging.h"
#include "tests/fuzz/input.h"
#include "tests/sim/sim_fs.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  fuzz::View bytes(data, size);
  if (fuzz::take_byte(bytes) % 2 == 0) {
    if (const auto items = storage::decode_intent(fuzz::text(bytes))) {
      const auto again = storage::decode_intent(storage::encode_intent(*items));
      fuzz::require(again && *again == *items, "what was read is written as it was");
    }
    return 0;
  }
  sim::SimFs disk;
  storage::Fs& fs = disk;
  fuzz::require(storage::prepare_state(fs).has_value(), "there is a folder");
  fuzz::require(disk.write_file(".p2psync/tmp/batch-log", fuzz::text(bytes)), "there is a log");
  std::ignore = storage::carried_out(fs);
  std::ignore = storage::is_logged(fs, 1);
  return 0;
}
