#pragma once
// A run as text: a column a host, time going down, arrows for entries and contents.
//
//      seconds  n1                    n2                    n3
//       0.2799  |                     |                     * writes b anew: 1
//       0.2991  |<--------------------+---------------------| b=w1
//       0.3120  sees b=w1             |                     |
//
// An arrow stands where the message arrived; `(sent 3.20)` if that took long. `w3` is what the
// third write wrote, `t4` the target of a link, `dir` a directory, `gone` a tombstone; where a path
// has several versions they are joined by `|`. `*` is what users do, `!` what strikes. A host that
// is down has `:` for `|`. Ticks, acknowledgements and requests are left out, and a look only shows
// when it found something else than the last one.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace p2psync::sim {

/// Prints to stdout while the run goes on.
class Drawing final : public Listener {
 public:
  explicit Drawing(const Plan& plan);

  void noted(Instant at, const std::string& line) override;
  void wrote(const std::string& bytes) override;
  void arrived(Instant at, Instant sent, engine::NodeId from, engine::NodeId to,
               const engine::Message& message) override;
  void lost(Instant at, engine::NodeId from, engine::NodeId to,
            const engine::Message& message) override;
  void stepped(Instant at, const Host& host, const engine::Input& input,
               const std::vector<engine::Output>& outputs) override;

 private:
  void head();
  void across(Instant at, const std::string& text);
  void in_column(Instant at, engine::NodeId host, const std::string& text);
  void arrow(Instant at, engine::NodeId from, engine::NodeId to, const std::string& text,
             bool arrives);
  void print(Instant at, const std::string& row);
  [[nodiscard]] std::size_t column(engine::NodeId host) const { return (host - 1) * width_; }
  /// The columns' lines, to be written over.
  [[nodiscard]] std::string lines() const;
  [[nodiscard]] std::string name_of(const engine::Hash& content, engine::Kind kind) const;
  [[nodiscard]] std::string brief(const engine::Entry& entry) const;
  /// Empty: of no interest.
  [[nodiscard]] std::string brief(const engine::Message& message) const;
  [[nodiscard]] std::string brief(const engine::Step& step, const engine::StepResult& result) const;
  void looked(Instant at, const Host& host, const engine::LookDone& look);
  void applied(Instant at, const Host& host, const engine::ApplyDone& done);

  std::size_t hosts_;
  std::size_t width_;
  bool begun_ = false;
  std::set<engine::NodeId> running_;
  std::map<engine::Hash, std::string> contents_;
  std::map<std::pair<engine::NodeId, std::string>, std::string> sights_;
  std::map<engine::NodeId, std::map<std::string, engine::ApplyJob>> jobs_;  ///< by path
};

}  // namespace p2psync::sim
