// What can be made into a Beneath, and that nothing else can be made into one.
#include "storage/beneath.h"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#include "engine/path.h"

using namespace p2psync;
using storage::Beneath;

static_assert(!std::is_default_constructible_v<Beneath>);
static_assert(!std::is_constructible_v<Beneath, std::string_view>);
static_assert(!std::is_convertible_v<std::string, Beneath>);

TEST_CASE("beneath: names, and what they are made of") {
  for (const std::string& text :
       {std::string("a"), std::string("a/b"), std::string(".p2psync/tmp/slot-1"),
        std::string("..."), std::string("a/.b/ ../~"), std::string("\xff/\n")}) {
    CAPTURE(text);
    const auto path = Beneath::of("open", text);
    REQUIRE(path);
    CHECK(path->c_str() == text);
    CHECK(std::string_view(path->name()) == engine::name_of(text));
    const auto parent = path->parent();
    CHECK(parent.has_value() == text.contains('/'));
    CHECK((!parent || parent->text() == engine::parent_of(text)));
  }
}

TEST_CASE("beneath: what could lead elsewhere is none") {
  using namespace std::string_literals;
  const std::string longest = std::string(engine::path_bytes_max, 'n');
  CHECK(Beneath::of("open", longest));
  for (const std::string& text :
       {""s, "/"s, "/a"s, "a/"s, "a//b"s, "."s, "./a"s, "a/."s, ".."s, "../a"s, "a/.."s, "a/../b"s,
        "\0"s, "a\0b"s, "a/\0"s, longest + "n"}) {
    CAPTURE(text);
    const auto path = Beneath::of("open", text);
    REQUIRE(!path);
    CHECK(path.error().code == ErrorCode::invalid);
    CHECK(path.error().operation == "open");
    CHECK(path.error().object == text);
  }
}
