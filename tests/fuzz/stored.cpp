// Values of the index on disk, a file that anybody may have written to, and what else is encoded on
// its own. First byte: which type.
#include <vector>

#include "engine/packed.h"
#include "tests/fuzz/input.h"

namespace p2psync::fuzz {
namespace {

using namespace engine;

/// What is read from the index is packed next.
void packs(View bytes) {
  const auto record = decode<Record>(bytes);
  if (record && !record->empty()) {
    Names names;
    std::vector<std::uint8_t> packed;
    const Item item{"p", *record, fingerprint("p", record->entry)};
    pack(item, names, packed);
    const Item back = unpack(packed.data(), names);
    require(encode(back.record) == encode(*record), "what is packed comes back");
    const auto plain = plain_record("p", *record);
    require(!plain || encode(record_of("p", *plain)) == encode(*record),
            "what is plain says all there is");
  }
}

}  // namespace
}  // namespace p2psync::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p2psync::fuzz;
  namespace engine = p2psync::engine;
  View bytes(data, size);
  switch (take_byte(bytes) % 11) {
    case 0:
      there_and_back<engine::Record>(bytes);
      packs(bytes);
      break;
    case 1: there_and_back<engine::PlainRecord>(bytes); break;
    case 2: there_and_back<engine::KeptVersion>(bytes); break;
    case 3: there_and_back<engine::HeldRow>(bytes); break;
    case 4: there_and_back<engine::VersionVector>(bytes); break;
    case 5: there_and_back<engine::Ending>(bytes); break;
    case 6: there_and_back<engine::PathEntry>(bytes); break;
    case 7: there_and_back<engine::Entry>(bytes); break;
    case 8: there_and_back<engine::Dot>(bytes); break;
    case 9: there_and_back<engine::Version>(bytes); break;
    default: there_and_back<engine::Message>(bytes); break;
  }
  return 0;
}
