#include "apps/p2psync/page/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/p2psync/quantity.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

std::string marked_up(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace

std::string escaped(std::string_view text) {
  return marked_up(printable(text));
}

std::string escaped_content(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("\n\t", at), text.size());
    out += escaped(text.substr(at, end - at));
    if (end < text.size()) {
      out += text[end];
    }
    at = end + 1;
  }
  return out;
}

std::string in_query(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '/';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string size_of(const Json& bytes) {
  return size_text(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes.integer(), 0)));
}

std::string time_element(const Json& time) {
  return time.is_null() ? std::string()
                        : fmt::format("<time datetime=\"{0}\">{0}</time>", escaped(time.text()));
}

std::string section(std::string_view id, std::string_view heading, std::string_view body) {
  if (body.empty()) {
    return fmt::format("<section id=\"{}\" hidden></section>", id);
  }
  return fmt::format(
      "<section id=\"{0}\" aria-labelledby=\"{0}-title\"><h2 id=\"{0}-title\">{1}</h2>{2}"
      "</section>",
      id, heading, body);
}

std::string path_attribute(std::string_view name, std::string_view path) {
  std::string out = fmt::format(" {}=\"{}\"", name, escaped(path));
  // Whatever would not come back as it is.
  if (printable(path) != path) {
    out += fmt::format(" {}-bytes=\"{}\"", name, base64(path));
  }
  return out;
}

std::string_view mark_of_state(std::string_view state) {
  return state == "in_sync" ? "good" : state == "error" ? "bad" : "busy";
}

bool is_paused(const Json& status) {
  return status["state"].text() == "paused";
}

std::string_view mark_of_peer(const Json& peer, const Json& status) {
  return is_paused(status)              ? "busy"
         : !peer["connected"].boolean() ? "bad"
         : peer["in_sync"].boolean()    ? "good"
                                        : "busy";
}

std::string words_of_state(std::string_view state) {
  return state == "in_sync" ? "in sync" : std::string(state);
}

std::string_view words_of_peer(const Json& peer, const Json& status) {
  return is_paused(status)              ? "not asked"
         : !peer["connected"].boolean() ? "no answer"
         : peer["in_sync"].boolean()    ? "in sync"
                                        : "syncing";
}

std::string document(std::string_view title, std::string_view page, std::string_view body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light "
      "dark\"><title>{}</title><link rel=\"icon\" href=\"icon.svg\"><link rel=\"stylesheet\" "
      "href=\"style.css\"><script src=\"script.js\" defer></script></head>"
      "<body data-page=\"{}\">{}</body></html>\n",
      escaped(title), page, body);
}

}  // namespace p2psync::app
