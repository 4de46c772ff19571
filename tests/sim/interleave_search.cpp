#include "tests/sim/interleave_search.h"

#include <algorithm>

namespace p2psync::sim {
namespace {

constexpr std::array names{"alpha", "beta", "gamma"};

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 31;
  value *= 0x9e3779b97f4a7c15;
  return value ^ (value >> 29);
}

std::string describe_act(const Act& act) {
  switch (act.what) {
    case Act::What::write: return "writes " + act.name;
    case Act::What::write_old: return "writes " + act.name + " with an old mtime";
    case Act::What::write_common: return "writes the common bytes to " + act.name;
    case Act::What::directory: return "makes the directory " + act.name;
    case Act::What::link: return "links " + act.name;
    case Act::What::remove: return "deletes " + act.name;
    case Act::What::rename: return "renames " + act.name + " to " + act.to;
    case Act::What::mode: return "changes the mode of " + act.name;
  }
  return {};
}

}  // namespace

std::size_t Search::TripleHash::operator()(const Triple& triple) const {
  return mix(mix(mix(triple[0]) + triple[1]) + triple[2]);
}

Findings Search::run() {
  Triple start{};
  for (std::uint8_t i = 0; i < scene_.nodes; ++i) {
    start.at(i) = keep(ModelNode(scene_, i));
  }
  states_.push_back({start, 0, {}});
  seen_.insert(start);
  walk_all();
  if (wrong_.empty()) {
    walk_last_acts();
  }
  findings_.node_states += all_.known.size();
  findings_.states += states_.size();
  return findings_;
}

std::size_t Search::acted(const Triple& nodes) const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < scene_.nodes; ++i) {
    sum += node(nodes.at(i)).acted();
  }
  return sum;
}

std::vector<Step> Search::steps(const Triple& nodes) const {
  std::vector<Step> steps;
  std::size_t restarts = 0;
  for (std::size_t i = 0; i < scene_.nodes; ++i) {
    restarts += node(nodes.at(i)).restarts();
  }
  // During a walk, what happens among nodes that have not heard of the last act might as well have
  // happened before it: the walk begins there, too.
  const auto new_to = [this](const ModelNode& a, const ModelNode& b) {
    return !walking_ || ((a.heard() | b.heard()) & last_) != 0;
  };
  for (std::uint8_t to = 0; to < scene_.nodes; ++to) {
    const ModelNode& hears = node(nodes.at(to));
    for (std::uint8_t from = 0; from < scene_.nodes; ++from) {
      const ModelNode& tells = node(nodes.at(from));
      if (from != to && (tells.heard() & ~hears.heard()) != 0 && new_to(tells, hears)) {
        steps.push_back({Step::What::exchange, to, from});
        if (restarts < scene_.restarts) {
          steps.push_back({Step::What::crash, to, from});
        }
      }
      if (from != to && hears.learns_from_tick(scene_, tells) && new_to(tells, hears)) {
        steps.push_back({Step::What::tick, to, from});
      }
    }
    if (!new_to(hears, hears)) {
      continue;
    }
    for (const std::uint8_t content : hears.missing()) {
      for (std::size_t from = 0; from < scene_.nodes; ++from) {
        if (from != to && node(nodes.at(from)).has(content)) {
          steps.push_back({Step::What::fetch, to, content});
          break;
        }
      }
    }
    if (restarts < scene_.restarts) {
      steps.push_back({Step::What::restart, to, 0});
    }
    if (scene_.collect && hears.replica().tombstones() > 0) {
      steps.push_back({Step::What::collect, to, 0});
    }
    if (hears.can_collapse(scene_)) {
      steps.push_back({Step::What::collapse, to, 0});
    }
  }
  return steps;
}

void Search::walk_all() {
  for (at_ = 0; at_ < states_.size() && wrong_.empty(); ++at_) {
    const Triple from = states_[at_].nodes;
    std::vector<Step> next = steps(from);
    check_closed(from);
    if (acted(from) + 1 < scene_.operations) {
      for (std::uint8_t i = 0; i < scene_.nodes; ++i) {
        const std::size_t acts = node(from.at(i)).acts(scene_).size();
        for (std::size_t act = 0; act < acts; ++act) {
          next.push_back({Step::What::act, i, static_cast<std::uint8_t>(act)});
        }
      }
    }
    for (const Step& step : next) {
      Triple to;
      if (!take(from, step, to)) {
        return;
      }
      if (seen_.insert(to).second) {
        states_.push_back({to, at_, step});
      }
    }
  }
}

void Search::walk_last_acts() {
  Seen().swap(seen_);
  walking_ = true;
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < states_.size(); ++i) {
    if (acted(states_[i].nodes) + 1 == scene_.operations) {
      order.push_back(i);
    }
  }
  for (std::uint8_t actor = 0; actor < scene_.nodes; ++actor) {
    const auto number = [&](std::uint32_t i) { return states_[i].nodes.at(actor); };
    std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::pair(number(i), i); });
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      while (end < order.size() && number(order[end]) == number(order[begin])) {
        ++end;
      }
      const std::size_t acts = node(number(order[begin])).acts(scene_).size();
      for (std::size_t act = 0; act < acts; ++act) {
        walk_last_act(actor, std::span(order).subspan(begin, end - begin),
                      static_cast<std::uint8_t>(act));
        if (!wrong_.empty()) {
          return;
        }
      }
    }
  }
}

void Search::walk_last_act(std::uint8_t actor, std::span<const std::uint32_t> begin,
                           std::uint8_t act) {
  walk_ = {};
  walk_states_.clear();
  seen_.clear();
  const Step step{Step::What::act, actor, act};
  for (const std::uint32_t origin : begin) {
    const Triple from = states_[origin].nodes;
    Triple to;
    at_ = static_cast<std::uint32_t>(walk_states_.size());
    walk_states_.push_back({from, origin, {}});
    if (!take(from, step, to)) {
      return;
    }
    last_ = node(to.at(actor)).heard() & ~node(from.at(actor)).heard();
    seen_.insert(to);
    walk_states_.push_back({to, at_, step});
  }
  for (at_ = 0; at_ < walk_states_.size(); ++at_) {
    const Triple from = walk_states_[at_].nodes;
    if (walk_states_[at_].step.what == Step::What::start) {
      continue;
    }
    check_closed(from);
    for (const Step& next : steps(from)) {
      Triple to;
      if (!take(from, next, to)) {
        return;
      }
      if (seen_.insert(to).second) {
        walk_states_.push_back({to, at_, next});
      }
    }
  }
  findings_.states += seen_.size();
  findings_.node_states += walk_.known.size();
}

bool Search::take(const Triple& from, const Step& step, Triple& to) {
  ++findings_.transitions;
  to = from;
  const NodeNumber mine = from.at(step.node);
  const bool heard = step.what == Step::What::exchange || step.what == Step::What::crash ||
                     step.what == Step::What::tick;
  const std::uint64_t other = heard ? from.at(step.detail) : step.detail;
  const std::uint64_t key = static_cast<std::uint64_t>(step.what) << 56 | other << 28 | mine;
  // What is collected depends on all of them.
  if (step.what == Step::What::collect) {
    to.at(step.node) = make(from, step);
  } else if (const auto place = all_.memo.find(key); place != all_.memo.end()) {
    to.at(step.node) = place->second;
  } else if (const auto here = walk_.memo.find(key); here != walk_.memo.end()) {
    to.at(step.node) = here->second;
  } else {
    to.at(step.node) = make(from, step);
    (walking_ ? walk_ : all_).memo.emplace(key, to.at(step.node));
  }
  if (!wrong_.empty()) {
    findings_.failure = story(to, step);
  }
  return wrong_.empty();
}

Search::NodeNumber Search::make(const Triple& from, const Step& step) {
  ++findings_.node_steps;
  const ModelNode& before = node(from.at(step.node));
  ModelNode made = before;
  switch (step.what) {
    case Step::What::start: break;
    case Step::What::act: made.act(scene_, before.acts(scene_)[step.detail]); break;
    case Step::What::exchange: made.hear(scene_, node(from.at(step.detail))); break;
    case Step::What::crash: made.hear_and_crash(scene_, node(from.at(step.detail))); break;
    case Step::What::tick: made.tick(node(from.at(step.detail))); break;
    case Step::What::collapse: made.collapse(scene_); break;
    case Step::What::fetch: made.fetch(scene_, step.detail); break;
    case Step::What::restart: made.restart(scene_); break;
    case Step::What::collect: {
      engine::VersionVector stable = made.replica().knowledge();
      for (std::size_t i = 0; i < scene_.nodes; ++i) {
        stable.meet(node(from.at(i)).replica().knowledge());
      }
      made.collect(stable);
      break;
    }
  }
  if (step.what != Step::What::act) {
    check(before, made);
  }
  if (step.what == Step::What::exchange && wrong_.empty() &&
      !made.replica().knowledge().covers(node(from.at(step.detail)).replica().knowledge())) {
    wrong_ = "an exchange does not bring all that the other knows";
  }
  return keep(std::move(made));
}

void Search::check(const ModelNode& before, const ModelNode& after) {
  if (const std::string taken = after.taken_from(scene_, before); !taken.empty()) {
    wrong_ = taken + " was taken though nothing that saw it superseded it";
  }
  findings_.renamed += after.copies_renamed(scene_, before);
}

Search::NodeNumber Search::keep(ModelNode made) {
  const std::uint64_t digest = made.digest().low;
  if (const auto place = all_.by_digest.find(digest); place != all_.by_digest.end()) {
    return place->second;
  }
  if (const auto place = walk_.by_digest.find(digest); place != walk_.by_digest.end()) {
    return place->second;
  }
  if (wrong_.empty()) {
    wrong_ = made.judge(scene_);
  }
  // Strong convergence: the same events, in whatever order, give the same entries and, once laid,
  // the same tree.
  const engine::Fingerprint history = made.history_digest();
  const std::uint64_t tree = made.tree_digest().low;
  const auto root = roots_.emplace(history.low, made.replica().index().summary().fingerprint.low);
  findings_.histories += root.second ? 1 : 0;
  const bool same_entries = root.first->second == made.replica().index().summary().fingerprint.low;
  const bool same_tree = !made.settled() || trees_.emplace(history.low, tree).first->second == tree;
  if (wrong_.empty() && (!same_entries || !same_tree)) {
    wrong_ = "two nodes that have heard of the same events have different " +
             std::string(same_entries ? "trees" : "entries");
  }
  Store& store = walking_ ? walk_ : all_;
  const auto number =
      static_cast<NodeNumber>(store.known.size() + (walking_ ? walk_begin : NodeNumber{0}));
  invariant(walking_ || number < walk_begin, "as many node states as can be numbered");
  store.known.push_back({std::make_unique<ModelNode>(std::move(made)), tree});
  store.by_digest.emplace(digest, number);
  return number;
}

void Search::check_closed(const Triple& nodes) {
  for (std::size_t i = 1; i < scene_.nodes; ++i) {
    if (node(nodes.at(i)).heard() != node(nodes[0]).heard()) {
      return;
    }
  }
  ++findings_.closings;
  for (std::size_t i = 1; i < scene_.nodes; ++i) {
    const bool settled = node(nodes.at(i)).settled() && node(nodes[0]).settled();
    const bool equal = known(nodes.at(i)).tree == known(nodes[0]).tree;
    const bool exact =
        node(nodes.at(i)).replica().knowledge() == node(nodes[0]).replica().knowledge();
    if ((settled && !equal) || !exact) {
      wrong_ = exact ? "all have heard everything, and their trees differ"
                     : "all have heard everything, and their knowledge differs";
      findings_.failure = story(nodes, {});
      return;
    }
  }
}

std::string Search::describe(const Triple& from, const Step& step) const {
  const std::string name = names.at(step.node);
  switch (step.what) {
    case Step::What::start: return {};
    case Step::What::act:
      return name + " " + describe_act(node(from.at(step.node)).acts(scene_)[step.detail]);
    case Step::What::exchange: return name + " hears from " + names.at(step.detail);
    case Step::What::crash:
      return name + " hears from " + names.at(step.detail) + ", and crashes before it records " +
             "what it laid";
    case Step::What::fetch: return name + " fetches " + std::to_string(step.detail);
    case Step::What::restart: return name + " restarts";
    case Step::What::collect: return name + " collects tombstones";
    case Step::What::tick:
      return name + " finds that it knows what " + names.at(step.detail) + " does";
    case Step::What::collapse: return name + " collapses what says the same";
  }
  return {};
}

std::string Search::story(const Triple& to, const Step& step) const {
  std::vector<std::string> lines;
  const auto add = [&](const Triple& from, const Step& taken, const Triple& result) {
    if (taken.what != Step::What::start) {
      lines.push_back(describe(from, taken) + " -> " + node(result.at(taken.node)).text());
    }
  };
  std::uint32_t place = at_;
  add(walking_ ? walk_states_[place].nodes : states_[place].nodes, step, to);
  if (walking_) {
    while (walk_states_[place].step.what != Step::What::start) {
      const State& state = walk_states_[place];
      add(walk_states_[state.parent].nodes, state.step, state.nodes);
      place = state.parent;
    }
    place = walk_states_[place].parent;
  }
  while (states_[place].step.what != Step::What::start) {
    const State& state = states_[place];
    add(states_[state.parent].nodes, state.step, state.nodes);
    place = state.parent;
  }
  std::string text = wrong_ + "\n";
  for (std::size_t i = lines.size(); i > 0; --i) {
    text += "    " + std::to_string(lines.size() - i + 1) + ". " + lines[i - 1] + "\n";
  }
  return text;
}

}  // namespace p2psync::sim
