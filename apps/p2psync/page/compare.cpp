#include "apps/p2psync/page/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/p2psync/page/html.h"
#include "apps/p2psync/page/line_diff.h"
#include "apps/p2psync/quantity.h"

namespace p2psync::app {
namespace {

/// Enough to tell what a file is.
constexpr std::size_t beginning_bytes = 16;

Result<std::string> read_at_most(storage::Fs& fs, const std::string& name, std::uint64_t most) {
  auto file = fs.open_read(name);
  if (!file) {
    return std::unexpected(file.error());
  }
  const auto stat = (*file)->stat();
  if (!stat) {
    return std::unexpected(stat.error());
  }
  std::string bytes(std::min(most, stat->signature.size), '\0');
  const auto size =
      (*file)->read(0, std::span(reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()));
  if (!size) {
    return std::unexpected(size.error());
  }
  bytes.resize(*size);
  return bytes;
}

/// Lines of a comparison that are shown: what differs, with some lines around.
std::vector<bool> shown_rows(const std::vector<DiffRow>& rows) {
  std::vector<bool> shown(rows.size(), false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].same) {
      const std::size_t end = std::min(rows.size(), i + lines_around + 1);
      std::fill(shown.begin() + static_cast<std::ptrdiff_t>(i - std::min(i, lines_around)),
                shown.begin() + static_cast<std::ptrdiff_t>(end), true);
    }
  }
  return shown;
}

std::string cell(std::string_view tag, std::optional<std::size_t> line,
                 const std::vector<std::string_view>& lines) {
  if (!line) {
    return "<td class=\"number\"></td><td class=\"nothing\"></td>";
  }
  const std::string text = escaped_content(lines[*line]);
  return fmt::format("<td class=\"number\">{}</td><td>{}</td>", *line + 1,
                     tag.empty() ? text : fmt::format("<{0}>{1}</{0}>", tag, text));
}

std::string text_table(std::string_view left_name, std::string_view right_name,
                       std::string_view left_text, std::string_view right_text) {
  const auto left = lines_of(left_text);
  const auto right = lines_of(right_text);
  const std::vector<DiffRow> rows = line_diff(left, right);
  const std::vector<bool> shown = shown_rows(rows);
  std::string body;
  std::size_t lines = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (lines == lines_shown_max) {
      body += fmt::format("<tr class=\"gap\"><td colspan=\"4\">and {} more lines</td></tr>",
                          rows.size() - i);
      break;
    }
    if (!shown[i]) {
      std::size_t end = i;
      while (end < rows.size() && !shown[end]) {
        ++end;
      }
      body += fmt::format("<tr class=\"gap\"><td colspan=\"4\">{} the same</td></tr>",
                          counted(static_cast<std::int64_t>(end - i), "line"));
      i = end - 1;
      continue;
    }
    ++lines;
    const bool same = rows[i].same;
    body += fmt::format("<tr{}>{}{}</tr>", same ? "" : " class=\"differs\"",
                        cell(same ? "" : "del", rows[i].left, left),
                        cell(same ? "" : "ins", rows[i].right, right));
  }
  if (rows.empty()) {
    body = "<tr class=\"gap\"><td colspan=\"4\">both are empty</td></tr>";
  }
  return fmt::format(
      "<table class=\"diff\"><caption>What differs, line by line</caption><colgroup><col "
      "class=\"number\"><col><col class=\"number\"><col>"
      "</colgroup><thead><tr><th "
      "scope=\"col\" colspan=\"2\">{}</th><th scope=\"col\" colspan=\"2\">{}</th></tr></thead>"
      "<tbody>{}</tbody></table>",
      escaped(left_name), escaped(right_name), body);
}

/// What must still be so when somebody has decided: else he would drop what he has not seen.
std::string seen_of(const Json& conflict) {
  Json::Array seen;
  for (const auto& [key, version] : {std::pair("path", "name_held_by"), {"copy", "copy_by"}}) {
    if (!conflict[version].is_null()) {
      Json::Object one;
      add_path(one, "name", path_in(conflict, key));
      one.emplace_back("content", conflict[version]["content"]);
      seen.emplace_back(std::move(one));
    }
  }
  return Json(seen).dump();
}

std::string preview(std::string_view name, const Side& side) {
  if (!side.picture.empty()) {
    return fmt::format("<a href=\"file?name={0}\"><img src=\"file?name={0}\" alt=\"{1}\"></a>",
                       in_query(name), escaped(name));
  }
  return side.problem.empty() ? std::string()
                              : fmt::format("<p class=\"faint\">{}</p>", escaped(side.problem));
}

std::string side(const Json& conflict, std::string_view name_key, const Json& version,
                 const Side& shown) {
  const std::string name = path_in(conflict, std::string(name_key));
  return fmt::format(
      "<article><h2><span class=\"faint\">written by</span> {}</h2><p class=\"path\">{}</p><dl>"
      "<div><dt>kind</dt><dd>{}</dd></div><div><dt>size</dt><dd>{}</dd></div><div><dt>modified</dt>"
      "<dd>{}</dd></div></dl>{}<p class=\"acts\"><button type=\"button\" "
      "data-post=\"api/resolve\"{}{} data-seen=\"{}\" disabled>Keep this version<span "
      "class=\"unseen\"> of {}</span></button></p></article>",
      escaped(version["node"].text()), escaped(name), escaped(version["kind"].text()),
      size_of(version["size"]), version["mtime"].is_null() ? "-" : time_element(version["mtime"]),
      preview(name, shown), path_attribute("data-path", path_in(conflict, "path")),
      path_attribute("data-keep", name), escaped(seen_of(conflict)),
      escaped(version["node"].text()));
}

std::string framed(const std::string& node, std::string_view title, const std::string& body) {
  return document(
      fmt::format("p2psync: {}", title), "compare",
      fmt::format(
          "<header><p><a href=\".\">Overview of {}</a></p><h1 class=\"path\">{}</h1></header>"
          "<main class=\"compare\">{}</main><footer><p id=\"outcome\" role=\"status\"></p><p "
          "id=\"may\">To decide here: run <code>p2psync page</code> on this machine and open the "
          "address that it prints.</p></footer>",
          escaped(node), escaped(title), body));
}

}  // namespace

std::string_view picture_type(std::string_view beginning) {
  if (beginning.starts_with("\x89PNG\r\n\x1a\n")) {
    return "image/png";
  }
  if (beginning.starts_with("\xff\xd8\xff")) {
    return "image/jpeg";
  }
  if (beginning.starts_with("GIF87a") || beginning.starts_with("GIF89a")) {
    return "image/gif";
  }
  if (beginning.size() >= 12 && beginning.starts_with("RIFF") && beginning.substr(8, 4) == "WEBP") {
    return "image/webp";
  }
  return "";
}

Side read_side(storage::Fs& fs, const std::string& name) {
  const auto stat = fs.stat(name);
  if (!stat) {
    return {.problem = stat.error().message()};
  }
  if (stat->special) {
    return {.problem = "no file any more"};
  }
  switch (stat->signature.kind) {
    case engine::Kind::directory: return {.problem = "a directory"};
    case engine::Kind::symlink: {
      const auto target = fs.read_link(name);
      return {.problem = target ? "a link to " + *target : target.error().message()};
    }
    case engine::Kind::file: break;
  }
  // One more than there may be shows that it is longer.
  auto bytes = read_at_most(fs, name, text_bytes_max + 1);
  if (!bytes) {
    return {.problem = bytes.error().message()};
  }
  if (const std::string_view type = picture_type(*bytes); !type.empty()) {
    return stat->signature.size <= picture_bytes_max
               ? Side{.picture = type}
               : Side{.problem = "a picture that is too large to be shown here"};
  }
  if (bytes->size() > text_bytes_max) {
    return {.problem = "too long to be compared here"};
  }
  if (bytes->contains('\0') || !is_utf8(*bytes)) {
    return {.problem = "not text, nor a picture that is shown here"};
  }
  return {.text = std::move(*bytes)};
}

std::optional<Picture> read_picture(storage::Fs& fs, const std::string& name) {
  const auto beginning = read_at_most(fs, name, beginning_bytes);
  const std::string_view type = beginning ? picture_type(*beginning) : "";
  if (type.empty()) {
    return std::nullopt;
  }
  auto bytes = read_at_most(fs, name, picture_bytes_max + 1);
  if (!bytes || bytes->size() > picture_bytes_max || picture_type(*bytes) != type) {
    return std::nullopt;
  }
  return Picture{type, std::move(*bytes)};
}

std::string compare_page(const std::string& node, const Json& conflict,
                         const std::optional<Side>& name, const Side& copy) {
  std::string body = "<div class=\"versions\">";
  body += name ? side(conflict, "path", conflict["name_held_by"], *name)
               : "<article><p>Nothing has the name just now: its version was deleted.</p>"
                 "</article>";
  body += side(conflict, "copy", conflict["copy_by"], copy) + "</div>";
  if (name && name->text && copy.text) {
    body += text_table(conflict["path"].text(), conflict["copy"].text(), *name->text, *copy.text);
  } else if (copy.text && !name) {
    body += text_table("nothing", conflict["copy"].text(), "", *copy.text);
  }
  return framed(
      node, conflict["path"].text(),
      body + fmt::format("<p class=\"faint\">The version that is kept gets the name, and all "
                         "copies of it go, on every member. What goes stays in "
                         "<code>.p2psync/versions</code> for a while: <code>p2psync log</code> "
                         "and <code>restore</code>.</p>"));
}

std::string no_conflict_page(const std::string& node, std::string_view copy) {
  return framed(node, "No conflict",
                fmt::format("<p>There is no conflict copy <b class=\"path\">{}</b> any more: "
                            "somebody has decided, or it was deleted.</p>",
                            escaped(copy)));
}

}  // namespace p2psync::app
