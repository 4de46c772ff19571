#include <doctest/doctest.h>

#include "apps/p2psync/page/advice.h"
#include "apps/p2psync/page/compare.h"
#include "apps/p2psync/page/html.h"
#include "apps/p2psync/page/picture.h"
#include "apps/p2psync/page/sections.h"

using namespace p2psync::app;

namespace {

Json peer(const std::string& name, bool connected, const Json& trouble = {}) {
  return Json::Object{{"name", name},         {"address", "host:7744"}, {"connected", connected},
                      {"in_sync", connected}, {"rtt_ms", 1.5},          {"trouble", trouble}};
}

Json version(const char* node, const std::string& content) {
  return Json::Object{{"node", node},
                      {"kind", "file"},
                      {"size", static_cast<std::int64_t>(content.size())},
                      {"mtime", "2026-01-02T03:04:05Z"},
                      {"content", "c0ffee"}};
}

Json conflict(const std::string& path, const std::string& copy) {
  Json::Object out;
  add_path(out, "path", path);
  add_path(out, "copy", copy);
  out.emplace_back("name_held_by", version("node1", "one"));
  out.emplace_back("copy_by", version("node2", "other"));
  return out;
}

Overview overview() {
  return {.status =
              Json::Object{
                  {"node", "node1"},
                  {"state", "syncing"},
                  {"files", 100},
                  {"conflicts", 3},
                  {"peers",
                   Json::Array{peer("node2", true), peer("node3", false, "Connection refused")}},
                  {"pending",
                   Json::Object{
                       {"files", 1}, {"bytes", 2048}, {"bytes_per_s", 1024}, {"seconds_left", 2}}},
                  {"transfers", Json::Array{Json::Object{
                                    {"path", "<big>"}, {"bytes", 4096}, {"done_bytes", 1024}}}}},
          .conflicts = Json::Array{conflict("a&b", "a&b.conflict-\"node2\"")},
          .lacking =
              Json::Object{{"node2", Json::Object{{"paths", 0}, {"bytes", 0}, {"more", false}}},
                           {"node3", Json::Object{{"paths", 25}, {"bytes", 10}, {"more", false}}}},
          .happenings = {},
          .day = {}};
}

std::string part(const Overview& shown, std::string_view id) {
  for (const Part& one : overview_parts(shown)) {
    if (one.id == id) {
      return one.html;
    }
  }
  return "";
}

}  // namespace

TEST_CASE("page: what comes from elsewhere is text, in elements, attributes and links") {
  CHECK(escaped("<a href=\"x\">&\n\033") == "&lt;a href=&quot;x&quot;&gt;&amp;??");
  CHECK(escaped_content("<a>\n\tb\033") == "&lt;a&gt;\n\tb?");
  CHECK(in_query("a b/\xff&=?#+.png") == "a%20b/%FF%26%3D%3F%23%2B.png");
  CHECK(path_attribute("data-path", "a\"b") == " data-path=\"a&quot;b\"");
  CHECK(path_attribute("data-path", "a\xff") == " data-path=\"a\uFFFD\" data-path-bytes=\"Yf8=\"");
  CHECK(path_attribute("data-path", "a\nb") == " data-path=\"a?b\" data-path-bytes=\"YQpi\"");
}

TEST_CASE("page: the overview says who holds how much, what moves and what is to be decided") {
  const Overview shown = overview();
  CHECK(part(shown, "head")
            .contains("node3 does not answer. 3 conflict copies are to be looked at. "
                      "Files are coming in."));
  const std::string members = part(shown, "members");
  CHECK(members.contains("holds everything"));
  CHECK(members.contains("value=\"75\" aria-label=\"held by node3\"></progress><p>lacks 25 paths"));
  CHECK(members.contains("data-member=\"node3\" data-state=\"bad\""));
  CHECK(members.contains("Start p2psync on that machine"));
  const std::string moving = part(shown, "moving");
  CHECK(moving.contains("1 path, 2.0 KiB, 1.0 KiB/s, 2 s left."));
  CHECK(moving.contains("max=\"100\" value=\"25\" aria-label=\"&lt;big&gt;\""));
  const std::string conflicts = part(shown, "conflicts");
  CHECK(conflicts.contains("href=\"compare?copy=a%26b.conflict-%22node2%22\""));
  CHECK(conflicts.contains("and 2 more"));
  CHECK(part(shown, "errors") == "<section id=\"errors\" hidden></section>");
  const std::string page = overview_page(shown);
  for (const Part& one : overview_parts(shown)) {
    CHECK(page.contains(one.html));
    CHECK(one.html.contains("id=\"" + one.id + "\""));
  }
}

TEST_CASE("page: a node that is paused does not say that the others do not answer") {
  Overview shown = overview();
  Json::Object status = shown.status.members();
  for (auto& [key, value] : status) {
    value = key == "state" ? Json("paused") : value;
  }
  shown.status = std::move(status);
  CHECK(part(shown, "members").find("no answer") == std::string::npos);
  CHECK(part(shown, "members").find("not asked") != std::string::npos);
  CHECK(picture(shown.status).find("\"bad\"") == std::string::npos);
}

TEST_CASE("page: the picture has a line for each member, and names while there is room") {
  Json::Array few;
  Json::Array many;
  for (std::size_t i = 0; i < names_drawn_max + 1; ++i) {
    (i < 3 ? few : many).push_back(peer("n" + std::to_string(i), i != 1));
  }
  many.insert(many.end(), few.begin(), few.end());
  const std::string small = picture(Json::Object{{"node", "self"}, {"peers", few}});
  CHECK(small.contains("self: connected with 2 of 3 members"));
  CHECK(small.contains(">n1</text>"));
  CHECK(small.contains("<line class=\"bad\""));
  CHECK(!picture(Json::Object{{"node", "self"}, {"peers", many}}).contains(">n1</text>"));
}

TEST_CASE("page: a comparison shows what differs, and offers each side") {
  const std::string page =
      compare_page("node1", conflict("a", "a.conflict-node2"), Side{.text = "same\n<one>\n"},
                   Side{.text = "same\n<other>\n"});
  CHECK(page.contains("<del>&lt;one&gt;</del>"));
  CHECK(page.contains("<ins>&lt;other&gt;</ins>"));
  CHECK(page.contains("data-keep=\"a\""));
  CHECK(page.contains("data-keep=\"a.conflict-node2\""));
  CHECK(page.contains("{&quot;name&quot;:&quot;a&quot;,&quot;content&quot;:&quot;c0ffee&quot;}"));
  const std::string pictures = compare_page(
      "node1", conflict("a b", "c"), Side{.picture = "image/png"}, Side{.problem = "not <text>"});
  CHECK(pictures.contains("<img src=\"file?name=a%20b\" alt=\"a b\">"));
  CHECK(pictures.contains("not &lt;text&gt;"));
  CHECK(!pictures.contains("<table"));
}

TEST_CASE("page: of a long text what differs is shown, and no more lines than there may be") {
  std::string left = "first\n";
  std::string right = "erst\n";
  for (int i = 0; i < 100; ++i) {
    left += std::to_string(i) + "\n";
    right += std::to_string(i) + "\n";
  }
  const std::string page =
      compare_page("node1", conflict("a", "b"), Side{.text = left}, Side{.text = right});
  CHECK(page.contains("97 lines the same"));
  CHECK(!page.contains("<td>50</td>"));
  std::string other;
  for (std::size_t i = 0; i < lines_shown_max + 10; ++i) {
    other += "x" + std::to_string(i) + "\n";
  }
  CHECK(compare_page("node1", conflict("a", "b"), Side{.text = ""}, Side{.text = other})
            .contains("and 10 more lines"));
}

TEST_CASE("page: only pictures that cannot hold a script are pictures") {
  CHECK(picture_type("\x89PNG\r\n\x1a\n....") == "image/png");
  CHECK(picture_type("\xff\xd8\xff\xe0") == "image/jpeg");
  CHECK(picture_type("GIF89a") == "image/gif");
  CHECK(picture_type("RIFF....WEBPVP8 ") == "image/webp");
  for (const char* other : {"", "<svg xmlns=", "<html>", "RIFF....WAVE", "GIF", "%PDF-"}) {
    CHECK(picture_type(other) == "");
  }
}

TEST_CASE("page: errors that are known come with what to do") {
  CHECK(
      advice_for("the disk is full, and there is no room for the index").starts_with("Make room"));
  CHECK(advice_for("cannot open: Permission denied").contains("chown"));
  CHECK(advice_for("something new") == "");
}
