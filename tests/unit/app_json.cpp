#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "apps/p2psync/json.h"

using namespace p2psync::app;

TEST_CASE("json: what is written is read back") {
  const Json document(Json::Object{{"null", Json()},
                                   {"yes", true},
                                   {"whole", std::int64_t{-9007199254740993}},
                                   {"part", 0.5},
                                   {"text", "a \"b\" \\ \n \x01 \u00e9 \U0001F600"},
                                   {"list", Json::Array{1, "two", Json::Object{}, Json::Array{}}}});
  CHECK(Json::parse(document.dump()) == document);
  CHECK(Json::parse(document.dump(true)) == document);
  CHECK(!document.dump().contains('\n'));
}

TEST_CASE("json: control characters and quotes are escaped") {
  CHECK(Json("a\"\\\n\t\r\x01\x1f\x7f/").dump() == R"("a\"\\\n\t\r\u0001\u001f\u007f/")");
}

TEST_CASE("json: bytes that are no UTF-8 become U+FFFD, one for each") {
  CHECK(to_utf8("a\xff\xfe"
                "b") == "a\uFFFD\uFFFDb");
  CHECK(to_utf8("\xc3") == "\uFFFD");                      // cut off
  CHECK(to_utf8("\xc0\xaf") == "\uFFFD\uFFFD");            // overlong
  CHECK(to_utf8("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(to_utf8("\xf4\x90\x80\x80").size() == 12);         // above U+10FFFF
  CHECK(to_utf8("\u00e9\u20ac\U0001F600") == "\u00e9\u20ac\U0001F600");
}

TEST_CASE("json: a path that is no UTF-8 stands in base64 beside it") {
  Json::Object plain;
  add_path(plain, "path", "a/\u00e9");
  CHECK(Json(plain).dump() == "{\"path\":\"a/\u00e9\"}");
  Json::Object odd;
  add_path(odd, "path", "a/\xff");
  CHECK(Json(odd).dump() == "{\"path\":\"a/\uFFFD\",\"path_bytes\":\"YS//\"}");
}

TEST_CASE("json: a path comes out as it went in") {
  for (const std::string path : {"a/b", "\xff/caf\xc3\xa9", ""}) {
    Json::Object object;
    add_path(object, "path", path);
    CHECK(path_in(*Json::parse(Json(object).dump()), "path") == path);
  }
}

TEST_CASE("json: base64 of every remainder") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  for (const std::string bytes :
       {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\x80\x01"}) {
    CHECK(from_base64(base64(bytes)) == bytes);
  }
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zg==Zg==", "Zm9v\n", "====", "Zm9*"}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text).has_value());
  }
}

TEST_CASE("json: escapes are understood") {
  CHECK(Json::parse(R"("\u0041\u00e9\ud83d\ude00\/\b")")->text() == "A\u00e9\U0001F600/\b");
  CHECK(Json::parse(" [ 1 , -2.5e1 , true ] ")->items()[1].number() == -25.0);
}

TEST_CASE("json: what is not one value is refused") {
  for (const std::string_view text :
       {"", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "nul", "1 2", "\"\\x\"", "\"\\ud800\"", "\"a",
        "\"\n\"", "-", "1-2", "+1", "{a:1}", "\"\\u12\"", "[1"}) {
    CAPTURE(text);
    CHECK(!Json::parse(text).has_value());
  }
  CHECK(!Json::parse(std::string(1000, '[')).has_value());
}

TEST_CASE("json: reading another kind gives its zero") {
  const auto value = Json::parse(R"({"a":"x"})");
  REQUIRE(value.has_value());
  CHECK((*value)["a"].integer() == 0);
  CHECK((*value)["b"].is_null());
  CHECK((*value)["b"]["c"].text().empty());
}
