#pragma once
// The search through the interleavings of one scene: breadth first, without repetition.
//
// A state is three nodes. What a step does to a node depends on that node alone, or on it and the
// one it hears from; so node states are kept once, by digest, with a memo of what each step makes
// of them, and a state is three numbers.
//
// The states in which all acts but the last have been done are all kept. The last act multiplies
// them by some ten, so what follows it is walked act by act: everything that can come of one node's
// last act contains that event, so nothing is met again in another walk, and its nodes are dropped
// after it. Memory is thus that of one act less.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/sim/interleave_node.h"

namespace p2psync::sim {

struct Step {
  enum class What : std::uint8_t {
    start,
    act,
    exchange,
    crash,
    fetch,
    restart,
    collect,
    tick,
    collapse
  };
  What what = What::start;
  std::uint8_t node = 0;    ///< whose state changes
  std::uint8_t detail = 0;  ///< which act, which content, or the node that it hears from
};

struct Findings {
  std::uint64_t states = 0;  ///< of all nodes together
  std::uint64_t transitions = 0;
  std::uint64_t node_states = 0;
  std::uint64_t node_steps = 0;  ///< run on production code; the others are known from these
  std::uint64_t histories = 0;   ///< sets of events that a node had heard of, causally closed
  std::uint64_t closings = 0;    ///< states in which everybody has heard everything
  std::uint64_t renamed = 0;     ///< node steps that moved a conflict copy to another such name
  std::string failure;           ///< with the history that leads there; empty: none
};

class Search {
 public:
  explicit Search(const Scene& scene) : scene_(scene) {}
  [[nodiscard]] Findings run();

 private:
  using NodeNumber = std::uint32_t;
  using Triple = std::array<NodeNumber, 3>;
  struct Known {
    std::unique_ptr<ModelNode> node;
    std::uint64_t tree = 0;
  };
  struct State {
    Triple nodes{};
    std::uint32_t parent = 0;  ///< in the same list, unless this one is where a walk begins
    Step step;
  };
  /// Node states and memo, of the whole search or of one walk.
  struct Store {
    std::vector<Known> known;
    std::unordered_map<std::uint64_t, NodeNumber> by_digest;
    std::unordered_map<std::uint64_t, NodeNumber> memo;
  };
  struct TripleHash {
    std::size_t operator()(const Triple& triple) const;
  };
  using Seen = std::unordered_set<Triple, TripleHash>;

  [[nodiscard]] const Known& known(NodeNumber number) const {
    return number < walk_begin ? all_.known[number] : walk_.known[number - walk_begin];
  }
  [[nodiscard]] const ModelNode& node(NodeNumber number) const { return *known(number).node; }
  [[nodiscard]] std::size_t acted(const Triple& nodes) const;
  [[nodiscard]] std::vector<Step> steps(const Triple& nodes) const;
  void walk_all();
  void walk_last_acts();
  void walk_last_act(std::uint8_t actor, std::span<const std::uint32_t> begin, std::uint8_t act);
  /// False once something was found.
  bool take(const Triple& from, const Step& step, Triple& to);
  [[nodiscard]] NodeNumber make(const Triple& from, const Step& step);
  [[nodiscard]] NodeNumber keep(ModelNode made);
  void check(const ModelNode& before, const ModelNode& after);
  void check_closed(const Triple& nodes);
  [[nodiscard]] std::string describe(const Triple& from, const Step& step) const;
  [[nodiscard]] std::string story(const Triple& to, const Step& step) const;

  static constexpr NodeNumber walk_begin = 1U << 26;
  const Scene scene_;
  Findings findings_;
  std::string wrong_;
  Store all_;
  Store walk_;
  bool walking_ = false;
  EventSet last_ = 0;  ///< the event of the last act
  std::vector<State> states_;
  Seen seen_;
  std::vector<State> walk_states_;
  std::uint32_t at_ = 0;  ///< where the search stands, for the story
  std::unordered_map<std::uint64_t, std::uint64_t> roots_;  ///< by history
  std::unordered_map<std::uint64_t, std::uint64_t> trees_;  ///< by history, of settled nodes
};

}  // namespace p2psync::sim
