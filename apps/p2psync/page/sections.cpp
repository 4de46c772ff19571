#include "apps/p2psync/page/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apps/p2psync/page/advice.h"
#include "apps/p2psync/page/day.h"
#include "apps/p2psync/page/html.h"
#include "apps/p2psync/page/picture.h"
#include "apps/p2psync/quantity.h"

namespace p2psync::app {
namespace {

/// What somebody wants to know who has only a second. It is read out when it changes.
std::string summary(const Json& status) {
  std::vector<std::string> said;
  std::vector<std::string> silent;
  const bool paused = is_paused(status);
  if (paused) {
    said.emplace_back("Paused: nothing is exchanged until p2psync resume.");
  }
  for (const Json& peer : status["peers"].items()) {
    if (!peer["connected"].boolean() && !paused) {
      silent.push_back(peer["name"].text());
    }
  }
  if (status["state"].text() == "error") {
    said.emplace_back("Something is in the way.");
  }
  if (silent.size() > 3) {
    said.push_back(fmt::format("{} members do not answer.", silent.size()));
  } else if (!silent.empty()) {
    said.push_back(fmt::format("{} {} not answer.", fmt::join(silent, ", "),
                               silent.size() == 1 ? "does" : "do"));
  }
  if (const std::int64_t conflicts = status["conflicts"].integer(); conflicts > 0) {
    said.push_back(fmt::format("{} conflict {} to be looked at.", conflicts,
                               conflicts == 1 ? "copy is" : "copies are"));
  }
  if (status["pending"]["files"].integer() > 0) {
    said.emplace_back("Files are coming in.");
  } else if (said.empty() && status["state"].text() == "in_sync") {
    said.push_back(
        fmt::format("All {} members hold the same tree.", status["peers"].items().size() + 1));
  }
  return fmt::format("{}", fmt::join(said, " "));
}

std::string head(const Json& status) {
  const std::string& state = status["state"].text();
  return fmt::format(
      "<header id=\"head\"><h1>{} <span class=\"state {}\">{}</span></h1>"
      "<p id=\"summary\" role=\"status\">{}</p></header>",
      escaped(status["node"].text()), mark_of_state(state), words_of_state(state),
      escaped(summary(status)));
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
}

std::string facts(const Json& status) {
  return fmt::format("<div id=\"facts\"><p class=\"faint path\">{}</p><dl class=\"facts\">",
                     escaped(status["folder"].text())) +
         fact("files", fmt::format("{}, {}", status["files"].integer(), size_of(status["bytes"]))) +
         fact("directories", std::to_string(status["directories"].integer())) +
         fact("conflict copies", std::to_string(status["conflicts"].integer())) +
         fact("safe to power off", status["safe_to_power_off"].boolean()
                                       ? "yes, another member holds all"
                                       : "no, some of it is only here") +
         fact("sent", size_of(status["sent_bytes"])) +
         fact("received", size_of(status["received_bytes"])) + "</dl></div>";
}

std::string with_advice(std::string_view message) {
  const std::string_view advice = advice_for(message);
  return fmt::format("<p class=\"bad\">{}</p>", escaped(message)) +
         (advice.empty() ? std::string()
                         : fmt::format("<p class=\"advice\">{}</p>", escaped(advice)));
}

std::string errors(const Json& status) {
  std::string items;
  for (const Json& error : status["errors"].items()) {
    const std::string& path = error["path"].text();
    items += fmt::format("<li data-key=\"{0}\">{1}{2}<p class=\"faint\">since {3}</p></li>",
                         escaped(path + '\n' + error["message"].text()),
                         path.empty() ? "" : "<p class=\"path\">" + escaped(path) + "</p>",
                         with_advice(error["message"].text()), time_element(error["since"]));
  }
  if (status["held_deletions"].integer() > 0) {
    items += fmt::format(
        "<li data-key=\"held\"><p>{} held back.</p><p class=\"acts\">"
        "<button type=\"button\" data-post=\"api/confirm-deletes\" data-undo disabled>Bring the "
        "files back</button> "
        "<button type=\"button\" data-post=\"api/confirm-deletes\" class=\"grave\" disabled>Delete "
        "them everywhere</button></p></li>",
        counted(status["held_deletions"].integer(), "deletion") +
            (status["held_deletions"].integer() == 1 ? " is" : " are"));
  }
  return section("errors", "In the way",
                 items.empty() ? "" : "<ul class=\"cards\">" + items + "</ul>");
}

std::string side(std::string_view name, const Json& version) {
  return version.is_null()
             ? std::string("<div><p class=\"faint\">nothing has the name now</p></div>")
             : fmt::format(
                   "<div><p><b>{}</b> wrote</p><p class=\"path\">{}</p><p "
                   "class=\"faint\">{}{}</p></div>",
                   escaped(version["node"].text()), escaped(name), size_of(version["size"]),
                   version["mtime"].is_null() ? "" : ", " + time_element(version["mtime"]));
}

std::string conflicts(const Overview& overview) {
  std::string items;
  for (const Json& copy : overview.conflicts.items()) {
    items += fmt::format(
        "<li data-key=\"{0}\"><h3 class=\"path\">{1}</h3><div class=\"sides\">{2}{3}</div>"
        "<p class=\"acts\"><a class=\"button\" href=\"compare?copy={4}\">Compare and decide"
        "<span class=\"unseen\">: {0}</span></a></p></li>",
        escaped(copy["copy"].text()), escaped(copy["path"].text()),
        side(copy["path"].text(), copy["name_held_by"]), side(copy["copy"].text(), copy["copy_by"]),
        in_query(path_in(copy, "copy")));
  }
  if (items.empty()) {
    return section("conflicts", "Conflicts", "");
  }
  const auto more = overview.status["conflicts"].integer() -
                    static_cast<std::int64_t>(overview.conflicts.items().size());
  return section(
      "conflicts", "Conflicts",
      "<ul class=\"cards\">" + items + "</ul>" +
          (more > 0 ? fmt::format("<p>and {} more: <code>p2psync conflicts</code></p>", more)
                    : ""));
}

std::string moving(const Json& status) {
  const Json& pending = status["pending"];
  const std::int64_t files = pending["files"].integer();
  if (files == 0) {
    return section("moving", "Coming in", "");
  }
  std::string all = fmt::format("<p>{}, {}", counted(files, "path"), size_of(pending["bytes"]));
  if (pending["bytes_per_s"].integer() > 0) {
    all += fmt::format(", {}/s", size_of(pending["bytes_per_s"]));
  }
  if (!pending["seconds_left"].is_null()) {
    all += fmt::format(", {} left",
                       duration_text(std::chrono::seconds(pending["seconds_left"].integer())));
  }
  std::string items;
  for (const Json& transfer : status["transfers"].items()) {
    const std::int64_t size = std::max<std::int64_t>(transfer["bytes"].integer(), 1);
    const std::int64_t done = std::clamp<std::int64_t>(transfer["done_bytes"].integer(), 0, size);
    const auto percent =
        static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(size));
    items += fmt::format(
        "<li data-key=\"{0}\"><p class=\"path\">{0}</p><progress max=\"100\" value=\"{1}\" "
        "aria-label=\"{0}\"></progress><p class=\"faint\">{1} % of {2}</p></li>",
        escaped(transfer["path"].text()), percent, size_of(transfer["bytes"]));
  }
  return section(
      "moving", "Coming in",
      all + ".</p>" + (items.empty() ? "" : "<ul class=\"transfers\">" + items + "</ul>"));
}

/// How much of what this node knows a member holds.
std::string holding(std::string_view name, const Json& lacks, std::int64_t all) {
  if (lacks.is_null()) {
    return "<p class=\"faint\">was never heard of</p>";
  }
  const std::int64_t paths = lacks["paths"].integer();
  if (paths == 0) {
    return fmt::format(
        "<progress class=\"good\" max=\"100\" value=\"100\" aria-label=\"held by "
        "{}\"></progress><p>holds everything</p>",
        name);
  }
  const std::int64_t rest = std::max<std::int64_t>(all, paths);
  return fmt::format(
      "<progress max=\"100\" value=\"{}\" aria-label=\"held by {}\"></progress><p>lacks {}{}, "
      "{}</p>",
      lacks["more"].boolean() ? 0 : 100 * (rest - paths) / std::max<std::int64_t>(rest, 1), name,
      lacks["more"].boolean() ? "more than " : "", counted(paths, "path"), size_of(lacks["bytes"]));
}

std::string member(const Json& peer, const Json& status, const Json& lacks, std::int64_t all) {
  std::string about;
  if (peer["connected"].boolean() && !peer["rtt_ms"].is_null()) {
    about = fmt::format(", {:.1f} ms away", peer["rtt_ms"].number());
  }
  std::string card = fmt::format(
      "<li data-key=\"{0}\" data-member=\"{0}\" data-state=\"{1}\"><h3>{0} <span class=\"state "
      "{1}\">{2}</span></h3>{3}<p class=\"faint\">{4}{5}</p>",
      escaped(peer["name"].text()), mark_of_peer(peer, status), words_of_peer(peer, status),
      holding(escaped(peer["name"].text()), lacks, all),
      peer["address"].text().empty() ? "no address: found on the LAN"
                                     : escaped(peer["address"].text()),
      about);
  if (!peer["trouble"].is_null()) {
    card += with_advice(peer["trouble"].text());
  }
  for (const Json& difference : peer["list_differences"].items()) {
    card += fmt::format("<p class=\"bad\">its list of members: {}</p>", escaped(difference.text()));
  }
  return card + "</li>";
}

std::string members(const Overview& overview) {
  const Json& status = overview.status;
  const std::int64_t all =
      status["files"].integer() + status["directories"].integer() + status["symlinks"].integer();
  const Json lacks_here(Json::Object{{"paths", status["pending"]["files"]},
                                     {"bytes", status["pending"]["bytes"]},
                                     {"more", false}});
  const std::string& state = status["state"].text();
  std::string cards = fmt::format(
      "<li data-key=\"{0}\"><h3>{0} <span class=\"state {1}\">{2}</span></h3>{3}<p "
      "class=\"faint\">this node, p2psync {4}</p></li>",
      escaped(status["node"].text()), mark_of_state(state), words_of_state(state),
      holding(escaped(status["node"].text()), lacks_here, all), escaped(status["version"].text()));
  for (const Json& peer : status["peers"].items()) {
    cards += member(peer, status, overview.lacking[peer["name"].text()], all);
  }
  return section("members", "Members", "<ul class=\"cards members\">" + cards + "</ul>");
}

std::string links(const Json& status) {
  return section("links", "Connections of this node", picture(status));
}

std::string day(const Overview& overview) {
  return section("day", "The last day", day_chart(overview.day));
}

std::string happenings(const Overview& overview) {
  std::string items;
  for (const Json& happening : overview.happenings.items()) {
    items += fmt::format(
        "<li data-key=\"{0}{1}\" class=\"{2}\"><p>{1}</p><p class=\"faint\">{3}"
        "</p></li>",
        escaped(happening["time"].text()), escaped(happening["text"].text()),
        happening["kind"].text(), time_element(happening["time"]));
  }
  return section("events", "What happened", items.empty() ? "" : "<ol>" + items + "</ol>");
}

}  // namespace

std::vector<Part> overview_parts(const Overview& overview) {
  const Json& status = overview.status;
  return {{"head", head(status)},          {"errors", errors(status)},
          {"moving", moving(status)},      {"conflicts", conflicts(overview)},
          {"members", members(overview)},  {"links", links(status)},
          {"day", day(overview)},          {"facts", facts(status)},
          {"events", happenings(overview)}};
}

std::string overview_page(const Overview& overview) {
  // What asks for something to be done, how things stand, what has happened: columns where there is
  // room, one below the other where there is not.
  static constexpr std::array<std::string_view, 3> column_begins{"errors", "links", "events"};
  std::string body;
  for (const Part& part : overview_parts(overview)) {
    if (part.id == column_begins.front()) {
      body += "<p id=\"lost\" role=\"alert\" hidden></p><main><div class=\"column\">";
    } else if (std::ranges::find(column_begins, part.id) != column_begins.end()) {
      body += "</div><div class=\"column\">";
    }
    body += part.html;
  }
  return document("p2psync: " + overview.status["node"].text(), "live",
                  body + "</div></main>" +
                      "<footer><p id=\"may\">To change anything from here: run <code>p2psync "
                      "page</code> on this machine and open the address that it prints.</p>"
                      "<p id=\"outcome\" role=\"status\"></p><noscript><p>Without JavaScript this "
                      "page does not follow what happens: load it again.</p></noscript></footer>");
}

}  // namespace p2psync::app
