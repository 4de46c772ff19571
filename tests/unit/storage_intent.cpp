// Intents as text: whatever a name may hold comes back, and a torn one is none.
#include "storage/intent.h"

#include <doctest/doctest.h>

#include "storage/hash.h"

namespace p2psync::storage {
namespace {

std::vector<IntentItem> samples() {
  std::string all_bytes;
  for (int byte = 1; byte < 256; ++byte) {
    all_bytes += static_cast<char>(byte);
  }
  IntentItem put;
  put.name = "a/my text%20";
  put.slot = ".p2psync/tmp/slot-4";
  put.slot_inode = 77;
  put.file = "1767322984000000000";
  put.expected = {engine::Kind::file, 0644, 76, 120, -5, 1767322};
  put.content = sha256(std::string_view("bytes"));
  IntentItem removal;
  removal.name = all_bytes;
  removal.file = "1767322984000000001";
  removal.expected = {engine::Kind::symlink, 0777, ~std::uint64_t{0}, 0, 1, 2};
  return {put, removal};
}

TEST_CASE("intent: what was written is read, whatever bytes are in the names") {
  CHECK(decode_intent(encode_intent(samples())) == samples());
  CHECK(decode_intent(encode_intent({}))->empty());
}

TEST_CASE("intent: the format is what the header says") {
  CHECK(encode_intent({samples().front()}) ==
        "p2psync intent 1\n"
        "a/my%20text%2520 .p2psync/tmp/slot-4 77 1767322984000000000 0 644 76 120 -5 1767322 " +
            to_hex(sha256(std::string_view("bytes"))) + "\nend\n");
}

TEST_CASE("intent: one that is torn or altered is corrupt") {
  const std::string text = encode_intent(samples());
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK(decode_intent(text.substr(0, length)).error().code == ErrorCode::corrupt);
    std::string zeros = text;
    zeros.replace(length, std::string::npos, text.size() - length, '\0');
    CHECK(decode_intent(zeros).error().code == ErrorCode::corrupt);
  }
  for (const char* wrong : {"p2psync intent 2\nend\n", "p2psync intent 1\n\nend\n",
                            "p2psync intent 1\na b c\nend\n", "p2psync intent 1\nend\nend\n"}) {
    CHECK(decode_intent(wrong).error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("intent: one whose places are not the program's own, or whose name is none, is corrupt") {
  const auto reads = [](const auto& change) {
    IntentItem item = samples().front();
    change(item);
    return decode_intent(encode_intent({item})).has_value();
  };
  CHECK(reads([](IntentItem&) {}));
  CHECK(reads([](IntentItem& item) { item.slot = ""; }));
  for (const char* slot : {"a", ".p2psync", ".p2psync//tmp/x", ".p2psync/../a", "../a", "/a"}) {
    CHECK_FALSE(reads([slot](IntentItem& item) { item.slot = slot; }));
  }
  for (const char* name : {"", "../a", ".p2psync/index.db", "a//b"}) {
    CHECK_FALSE(reads([name](IntentItem& item) { item.name = name; }));
  }
  for (const char* file : {"", "..", "../../a", "a/b"}) {
    CHECK_FALSE(reads([file](IntentItem& item) { item.file = file; }));
  }
}

TEST_CASE("intent: numbers are found in the names that have them") {
  CHECK(number_in("slot-", "slot-12-abcd") == 12);
  CHECK(number_in("intent-", "intent-3") == 3);
  CHECK(!number_in("intent-", "slot-3"));
  CHECK(!number_in("slot-", "slot-x"));
}

}  // namespace
}  // namespace p2psync::storage
