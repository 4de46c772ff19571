#include "apps/p2psync/status_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "apps/p2psync/quantity.h"
#include "apps/p2psync/table.h"

namespace p2psync::app {
namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#57606a;--paper:#fff;--card:#f6f8fa;
--line:#d0d7de;--good:#116329;--busy:#7d4e00;--bad:#a40e26}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9da7b3;--paper:#0d1117;
--card:#161b22;--line:#30363d;--good:#56d364;--busy:#e3b341;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.state{font-weight:600}.good{color:var(--good)}.busy{color:var(--busy)}.bad{color:var(--bad)}
.faint{color:var(--faint)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.5rem;margin:1rem 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.5rem .75rem}
dt{color:var(--faint);font-size:.85rem}dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th{text-align:left;color:var(--faint);font-weight:500;font-size:.85rem}
td,th{padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:break-word}
progress{width:100%;min-width:6rem;accent-color:var(--good)}
svg{display:block;width:100%;max-width:26rem;height:auto;margin:0 auto}
svg text{fill:var(--ink);font:14px system-ui,sans-serif;text-anchor:middle;paint-order:stroke;
stroke:var(--paper);stroke-width:5px}
code{background:var(--card);padding:.1rem .3rem;border-radius:.3rem}
)css";

/// Only while somebody looks; what failed is tried again.
constexpr std::string_view script = R"js(
const main=document.querySelector('main');let last='';
async function look(){
  if(!document.hidden){
    try{
      const answer=await fetch('part');const text=await answer.text();
      if(answer.ok&&text!==last){main.innerHTML=last=text;}
      document.title=document.title.replace(/ \(no answer\)$/,'');
    }catch(error){if(!document.title.endsWith(')'))document.title+=' (no answer)';}
  }
  setTimeout(look,1000);
}
setTimeout(look,1000);
)js";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
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

std::string size_of(const Json& bytes) {
  return size_text(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes.integer(), 0)));
}

std::string_view class_of(std::string_view state) {
  return state == "in_sync" ? "good" : state == "error" ? "bad" : "busy";
}

std::string words_of(std::string_view state) {
  return state == "in_sync" ? "in sync" : std::string(state);
}

std::string_view class_of_peer(const Json& peer) {
  return !peer["connected"].boolean() ? "bad" : peer["in_sync"].boolean() ? "good" : "busy";
}

std::string_view words_of_peer(const Json& peer) {
  return !peer["connected"].boolean() ? "down" : peer["in_sync"].boolean() ? "in sync" : "syncing";
}

/// This node in the middle, the others around it, a line for each connection.
std::string picture(const Json& status) {
  constexpr double middle_x = 200;
  constexpr double middle_y = 130;
  constexpr double around_x = 150;
  constexpr double around_y = 95;
  const Json::Array& peers = status["peers"].items();
  std::string lines;
  std::string dots;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(peers.size()) -
        std::numbers::pi / 2;
    const double x = middle_x + around_x * std::cos(angle);
    const double y = middle_y + around_y * std::sin(angle);
    const std::string_view colour = class_of_peer(peers[i]);
    lines += fmt::format(
        "<line class=\"{}\" x1=\"{:.0f}\" y1=\"{:.0f}\" x2=\"{:.0f}\" y2=\"{:.0f}\" "
        "stroke=\"currentColor\" stroke-width=\"2\"{}/>",
        colour, middle_x, middle_y, x, y,
        peers[i]["connected"].boolean() ? "" : " stroke-dasharray=\"4 5\"");
    dots += fmt::format(
        "<circle class=\"{}\" cx=\"{:.0f}\" cy=\"{:.0f}\" r=\"9\" fill=\"currentColor\"/>"
        "<text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>",
        colour, x, y, x, y + 25, escaped(peers[i]["name"].text()));
  }
  return fmt::format(
      "<svg viewBox=\"0 0 400 270\" role=\"img\" aria-label=\"{} and the members that it is "
      "connected with; the table below says the same\">{}<circle class=\"{}\" cx=\"{:.0f}\" "
      "cy=\"{:.0f}\" r=\"12\" fill=\"currentColor\"/>{}<text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>"
      "</svg>",
      escaped(status["node"].text()), lines, class_of(status["state"].text()), middle_x, middle_y,
      dots, middle_x, middle_y + 28, escaped(status["node"].text()));
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
}

std::string facts(const Json& status) {
  const Json& pending = status["pending"];
  const std::int64_t files = pending["files"].integer();
  std::string coming =
      files == 0 ? "nothing" : fmt::format("{} paths, {}", files, size_of(pending["bytes"]));
  if (files > 0 && !pending["seconds_left"].is_null()) {
    coming += fmt::format(", {} left",
                          duration_text(std::chrono::seconds(pending["seconds_left"].integer())));
  }
  return "<dl>" + fact("files", std::to_string(status["files"].integer())) +
         fact("size", size_of(status["bytes"])) +
         fact("conflict copies", std::to_string(status["conflicts"].integer())) +
         fact("pending", coming) +
         fact("sent, received",
              size_of(status["sent_bytes"]) + ", " + size_of(status["received_bytes"])) +
         fact("safe to power off", status["safe_to_power_off"].boolean()
                                       ? "yes, another member holds all"
                                       : "no, some of it is only here") +
         "</dl>";
}

std::string errors(const Json& status) {
  std::string rows;
  for (const Json& error : status["errors"].items()) {
    rows += fmt::format("<tr><td>{}</td><td class=\"bad\">{}</td><td class=\"faint\">{}</td></tr>",
                        escaped(error["path"].text()), escaped(error["message"].text()),
                        escaped(error["since"].text()));
  }
  return rows.empty() ? rows
                      : "<h2>In the way</h2><div class=\"wide\"><table><thead><tr><th>path</th>"
                        "<th>what</th><th>since</th></tr></thead><tbody>" +
                            rows + "</tbody></table></div>";
}

std::string peers(const Json& status) {
  std::string rows;
  for (const Json& peer : status["peers"].items()) {
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td class=\"faint\">{}</td>"
        "</tr>",
        escaped(peer["name"].text()), escaped(peer["address"].text()), class_of_peer(peer),
        words_of_peer(peer),
        peer["rtt_ms"].is_null() ? "-" : fmt::format("{:.1f} ms", peer["rtt_ms"].number()),
        escaped(peer["trouble"].text()));
  }
  return "<h2>Members</h2><div class=\"wide\"><table><thead><tr><th>name</th><th>address</th>"
         "<th>state</th><th>round trip</th><th></th></tr></thead><tbody>" +
         rows + "</tbody></table></div>";
}

std::string transfers(const Json& status) {
  std::string rows;
  for (const Json& transfer : status["transfers"].items()) {
    const std::string path = escaped(transfer["path"].text());
    rows += fmt::format(
        "<tr><td>{}</td><td><progress aria-label=\"{}\" value=\"{}\" max=\"{}\"></progress></td>"
        "<td>{} of {}</td></tr>",
        path, path, transfer["done_bytes"].integer(),
        std::max<std::int64_t>(transfer["bytes"].integer(), 1), size_of(transfer["done_bytes"]),
        size_of(transfer["bytes"]));
  }
  return rows.empty() ? rows
                      : "<h2>Coming in</h2><div class=\"wide\"><table><tbody>" + rows +
                            "</tbody></table></div>";
}

std::string side(const Json& version) {
  return version.is_null() ? "<td class=\"faint\" colspan=\"2\">nothing there</td>"
                           : fmt::format("<td>{}, {}</td><td class=\"faint\">{}</td>",
                                         escaped(version["node"].text()), size_of(version["size"]),
                                         escaped(version["mtime"].text()));
}

std::string conflict_table(const Json& status, const Json& conflicts) {
  std::string rows;
  for (const Json& copy : conflicts.items()) {
    rows += fmt::format("<tr><td>{}</td>{}<td>{}</td>{}</tr>", escaped(copy["path"].text()),
                        side(copy["name_held_by"]), escaped(copy["copy"].text()),
                        side(copy["copy_by"]));
  }
  if (rows.empty()) {
    return rows;
  }
  const std::int64_t more =
      status["conflicts"].integer() - static_cast<std::int64_t>(conflicts.items().size());
  return "<h2>Conflicts</h2><div class=\"wide\"><table><thead><tr><th>path</th><th>by</th>"
         "<th>written</th><th>copy</th><th>by</th><th>written</th></tr></thead><tbody>" +
         rows + "</tbody></table></div>" +
         (more > 0 ? fmt::format("<p>and {} more: <code>p2psync conflicts</code></p>", more) : "") +
         "<p class=\"faint\"><code>p2psync resolve PATH --keep NODE</code> ends those of a "
         "path.</p>";
}

}  // namespace

std::string status_part(const Json& status, const Json& conflicts) {
  const std::string& state = status["state"].text();
  return fmt::format("<h1>{} <span class=\"state {}\">{}</span></h1><p class=\"faint\">{}</p>",
                     escaped(status["node"].text()), class_of(state), words_of(state),
                     escaped(status["folder"].text())) +
         errors(status) + picture(status) + facts(status) + peers(status) + transfers(status) +
         conflict_table(status, conflicts);
}

std::string status_page(const Json& status, const Json& conflicts) {
  return fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>p2psync: {}</title><style>{}</style>"
      "</head><body><main aria-live=\"polite\">{}</main><script>{}</script></body></html>\n",
      escaped(status["node"].text()), style, status_part(status, conflicts), script);
}

}  // namespace p2psync::app
