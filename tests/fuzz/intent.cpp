// The applier's own files, which a crash may have torn and anybody may have written to: intents,
// and the log of a batch. What is read is written as it was, and a start puts right what they say.
//
// First byte: bit 0 which of them, bit 1 a disk without exchange. Second: which call fails.
#include <string>

#include "storage/applier.h"
#include "storage/batch_log.h"
#include "storage/intent.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/some_disk.h"

namespace p2psync::fuzz {
namespace {

constexpr std::uint64_t intent_number = 3;

void intent_there_and_back(storage::Fs& fs, std::string_view text) {
  const auto items = storage::decode_intent(text);
  if (!items) {
    require(items.error().code == ErrorCode::corrupt, "what is no intent is corrupt");
    return;
  }
  require(storage::write_intent(fs, intent_number + 1, *items, true).has_value(), "it is written");
  const auto again = storage::read_intent(fs, intent_number + 1);
  require(again && *again == *items, "what was read is written as it was");
  require(!storage::write_intent(fs, intent_number + 1, *items, true), "none is written over");
  require(fs.unlink(storage::intent_path(intent_number + 1)).has_value(), "it was there");
}

void log_there_and_back(sim::SimFs& disk) {
  auto log = storage::read_batch_log(disk);
  require(log.has_value(), "there is a log");
  require(storage::is_logged(disk, log->batch), "it is its own batch's");
  if (log->steps.empty()) {
    return;
  }
  std::optional<std::string> before;
  for (int i = 0; i < 2; ++i) {
    require(storage::write_batch_log(disk, log->batch, log->steps).has_value(), "it is written");
    const auto text = disk.read(".p2psync/tmp/batch-log");
    require(!before || text == before, "what was read is written as it was");
    before = text;
    log = storage::read_batch_log(disk);
    require(log && !log->steps.empty(), "what was written is a log");
  }
}

/// Whatever they say, users' bytes are somewhere afterwards.
void require_bytes(const sim::SimFs& disk) {
  for (const std::string_view bytes : {"of a user", "of another"}) {
    bool found = false;
    for (const std::string_view top : {"", ".p2psync"}) {
      for (const auto& [path, node] : disk.tree(top)) {
        found = found || node.bytes == bytes;
      }
    }
    require(found, "what users wrote is kept");
  }
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync;
  fuzz::View bytes(data, size);
  const std::uint8_t how = fuzz::take_byte(bytes);
  const std::uint8_t fails = fuzz::take_byte(bytes);
  const std::string_view text = fuzz::text(bytes);
  sim::SimFs disk;
  fuzz::fill(disk);
  disk.exchange = (how & 2U) == 0;
  if ((how & 1U) == 0) {
    fuzz::intent_there_and_back(disk, text);
    disk.write_file(storage::intent_path(fuzz::intent_number), text);
    std::ignore = storage::number_in("intent-", text.substr(0, 16));
  } else {
    disk.write_file(".p2psync/tmp/batch-log", text);
    fuzz::log_there_and_back(disk);
  }
  fuzz::fail_at(disk, fails);
  for (int start = 0; start < 2; ++start) {
    storage::Applier applier(disk);
    std::ignore = applier.recover([](const std::string&) { return std::nullopt; });
    disk.fault = nullptr;  // the first start may fail, the next finds what it left
  }
  fuzz::require_bytes(disk);
  return 0;
}
