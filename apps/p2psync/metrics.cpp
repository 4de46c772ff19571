#include "apps/p2psync/metrics.h"

#include <fmt/format.h>

#include <array>
#include <optional>

namespace p2psync::app {
namespace {

/// In a label: backslash, quote and line feed are escaped.
std::string label(std::string_view value) {
  std::string out;
  for (const char c : to_utf8(value)) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') {
        out += '\\';
      }
      out += c;
    }
  }
  return out;
}

class Exposition {
 public:
  void metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP p2psync_{} {}\n# TYPE p2psync_{} {}\n", name, help, name, type);
  }
  void sample(double value, std::string_view labels = {}) {
    text_ += labels.empty() ? fmt::format("p2psync_{} {}\n", name_, value)
                            : fmt::format("p2psync_{}{{{}}} {}\n", name_, labels, value);
  }
  void gauge(std::string_view name, double value, std::string_view help) {
    metric(name, "gauge", help);
    sample(value);
  }
  void counter(std::string_view name, double value, std::string_view help) {
    metric(name, "counter", help);
    sample(value);
  }
  /// One sample a member, of those that have the value.
  template <class Value>
  void of_peers(std::string_view name, const Json& status, std::string_view help,
                const Value& value) {
    metric(name, "gauge", help);
    for (const Json& peer : status["peers"].items()) {
      if (const std::optional<double> number = value(peer)) {
        sample(*number, fmt::format("peer=\"{}\"", label(peer["name"].text())));
      }
    }
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

double number(const Json& value) {
  return static_cast<double>(value.integer());
}

}  // namespace

std::string metrics_text(const Json& status) {
  Exposition out;
  out.metric("info", "gauge", "Which node this is; always 1.");
  out.sample(1, fmt::format("node=\"{}\",version=\"{}\"", label(status["node"].text()),
                            label(status["version"].text())));
  out.metric("state", "gauge", "1 for the state that the node is in, 0 for the others.");
  for (const std::string_view state :
       {"scanning", "syncing", "in_sync", "isolated", "paused", "error"}) {
    out.sample(status["state"].text() == state ? 1 : 0, fmt::format("state=\"{}\"", state));
  }
  out.gauge("uptime_seconds", status["uptime_s"].number(), "Since the node was started.");
  out.gauge("files", number(status["files"]), "Files in the folder.");
  out.gauge("directories", number(status["directories"]), "Directories in the folder.");
  out.gauge("symlinks", number(status["symlinks"]), "Symbolic links in the folder.");
  out.gauge("size_bytes", number(status["bytes"]), "Of all files in the folder.");
  out.gauge("conflict_copies", number(status["conflicts"]), "Conflict copies in the folder.");
  out.gauge("tombstones", number(status["tombstones"]),
            "Deletions that some member may not know yet.");
  out.gauge("skipped", number(status["skipped"]),
            "Names that are never synchronised, such as sockets and devices.");
  out.gauge("held_deletions", number(status["held_deletions"]),
            "Deletions that [scan] max_delete holds back.");
  out.gauge("still_open_files", number(status["still_open"]),
            "Replaced files that a process may still write to.");
  out.gauge("safe_to_power_off", status["safe_to_power_off"].boolean() ? 1 : 0,
            "1 if some other member holds everything that is here.");
  out.gauge("errors", static_cast<double>(status["errors"].items().size()),
            "Things that are in the way just now.");
  out.gauge("pending_files", number(status["pending"]["files"]), "Paths that are not right yet.");
  out.gauge("pending_bytes", number(status["pending"]["bytes"]), "Contents that are yet to come.");
  out.counter("sent_bytes_total", number(status["sent_bytes"]),
              "What crossed the sockets, protocol included.");
  out.counter("received_bytes_total", number(status["received_bytes"]),
              "What crossed the sockets, protocol included.");
  const auto flag = [](std::string_view key) {
    return [key](const Json& peer) { return std::optional(peer[key].boolean() ? 1.0 : 0.0); };
  };
  const auto milliseconds = [](std::string_view key) {
    return [key](const Json& peer) {
      return peer[key].is_null() ? std::nullopt : std::optional(peer[key].number() / 1000);
    };
  };
  out.of_peers("peer_connected", status, "1 while there is a connection.", flag("connected"));
  out.of_peers("peer_in_sync", status, "1 while the member holds the same tree.", flag("in_sync"));
  out.of_peers("peer_round_trip_seconds", status, "As last measured.", milliseconds("rtt_ms"));
  out.of_peers("peer_last_exchange_seconds", status, "Since something was heard of the member.",
               milliseconds("last_exchange_ms_ago"));
  return out.take();
}

}  // namespace p2psync::app
