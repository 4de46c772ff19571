// What the engine costs, without disk and network: single operations on an index of a million
// paths, and two whole nodes that have a million paths in common.
//
//   bench-engine [--benchmark_filter=REGEX]    Google Benchmark's options; bytes and time as
//   columns
//
// `wire` is what both nodes sent, as it is encoded, without frames and contents; `flights` how
// often messages had to cross before nothing more was said (two of them are a round trip);
// `step_us` the time that the engines took.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "engine/codec.h"
#include "engine/index.h"
#include "engine/layout.h"
#include "engine/node.h"
#include "engine/random.h"

using namespace p2psync::engine;

namespace {

constexpr std::size_t million = 1'000'000;
constexpr std::size_t directory_files = 200;
constexpr Actor writer{1, 100};

Path path_of(std::size_t number) {  // about 60 bytes
  return fmt::format("projects/team-{:04}/a-directory-of-it/some-file-{:07}.txt",
                     number / directory_files, number);
}

Hash content_of(std::size_t number) {
  Random random(number);
  Hash hash;
  for (std::size_t at = 0; at < hash.bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next();
    std::memcpy(hash.bytes.data() + at, &word, sizeof word);
  }
  return hash;
}

Version version_of(std::size_t number, const Dot& dot, const std::string& label) {
  Version version;
  version.mode = 0644;
  version.mtime = version.rank = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(number);
  version.size = 1000;
  version.content = content_of(number);
  version.label = label;
  version.tag = tag_of(dot);
  return version;
}

/// As it stands on every node: written by one of them, and laid.
Record record_of(std::size_t number) {
  const Dot dot{writer, number + 1};
  const Version version = version_of(number, dot, "alpha");
  const Signature signature{Kind::file, version.mode, number + 10, version.size, version.mtime, 1};
  return {{{dot}, {{dot, version}}, {}}, {{path_of(number), {dot}, version, signature}}, {}};
}

const Index& index_of_a_million() {
  static const Index index = [] {
    Index made;
    for (std::size_t i = 0; i < million; ++i) {
      made.put(path_of(i), record_of(i));
    }
    return made;
  }();
  return index;
}

Entry conflict_of(std::size_t siblings) {
  Entry entry;
  for (std::size_t i = 0; i < siblings; ++i) {
    const Dot dot{{i + 1, 100}, 1};
    entry.context.add(dot);
    entry.versions.push_back({dot, version_of(i, dot, "node-" + std::to_string(i))});
  }
  return entry;
}

// --- Single operations

void merge_of_concurrent(benchmark::State& state) {
  const Entry both = conflict_of(2);
  const auto side = [&](std::size_t i) {
    return Entry{{both.versions[i].dot}, {both.versions[i]}, {}};
  };
  const Entry mine = side(0);
  const Entry theirs = side(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(merge(mine, mine.context, theirs, theirs.context));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(merge_of_concurrent);

void layout_of_siblings(benchmark::State& state) {
  const Entry entry = conflict_of(static_cast<std::size_t>(state.range(0)));
  const Path path = path_of(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(layout(path, entry, false, [](std::string_view) { return false; }));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(layout_of_siblings)->Arg(1)->Arg(4);

void index_update(benchmark::State& state) {
  Index index = index_of_a_million();
  Random random(1);
  std::vector<Path> paths;
  for (std::size_t i = 0; i < 4096; ++i) {
    paths.push_back(path_of(random.next() % million));
  }
  std::size_t at = 0;
  for (auto _ : state) {
    index.update(paths[at++ % paths.size()],
                 [](Record& record) { ++record.entry.versions[0].version.mtime; });
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(index_update);

void fingerprint_of_a_range(benchmark::State& state) {
  const Index& index = index_of_a_million();
  Random random(1);
  std::vector<std::pair<Path, Path>> ranges;
  for (std::size_t i = 0; i < 4096; ++i) {
    const std::size_t lower = random.next() % million;
    ranges.emplace_back(path_of(lower), path_of(lower + random.next() % (million - lower)));
  }
  std::size_t at = 0;
  for (auto _ : state) {
    const auto& [lower, upper] = ranges[at++ % ranges.size()];
    benchmark::DoNotOptimize(index.summary(lower, upper));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(fingerprint_of_a_range);

void record_encoded(benchmark::State& state) {
  const Record record = record_of(1);
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = encode(record).size();
    benchmark::DoNotOptimize(bytes);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}
BENCHMARK(record_encoded);

// --- Two nodes

/// Messages arrive in flights: all that is under way at a time. No disk: what is asked of one is
/// dropped, but for looks at what `write` has put there.
class Link {
 public:
  /// Numbers whose entries the second node has not got, or has otherwise, though its knowledge says
  /// that it has all.
  struct Damage {
    std::set<std::size_t> missing, changed;
  };
  Link() : Link(Damage{}) {}
  explicit Link(const Damage& damage) {
    for (const NodeId id : {NodeId{1}, NodeId{2}}) {
      NodeOptions options;
      options.cluster = "link";
      options.self = id;
      options.members = {{1, "alpha"}, {2, "beta"}};
      options.seed = options.incarnation = options.index_epoch = id + 1;
      Loaded loaded;
      for (std::size_t i = 0; i < million; ++i) {
        if (id == 1 || !damage.missing.contains(i)) {
          Record record = record_of(i);
          record.entry.versions[0].version.copy = id == 2 && damage.changed.contains(i);
          loaded.index.put(path_of(i), std::move(record));
          loaded.index.pack(0);
        }
      }
      loaded.knowledge = {{writer, million}};
      for (const NodeId member : {NodeId{1}, NodeId{2}}) {
        loaded.rows.push_back({member, member + 1, loaded.knowledge});
      }
      nodes_[id] = std::make_unique<Node>(std::move(options), std::move(loaded), now_);
      perform(id, nodes_[id]->start(now_));
    }
    for (const auto& [id, node] : nodes_) {
      while (node->wake_at() <= now_) {  // what a start has to plan is planned
        step(id, Wake{});
      }
    }
    under_way_.clear();
    tidy();
  }

  void connect() {
    step(1, PeerUp{2});
    step(2, PeerUp{1});
    drain();
  }

  /// All that is due by then.
  void pass(Duration time) {
    now_ += time;
    step(1, Wake{});
    step(2, Wake{});
    drain();
  }

  /// The first node's user writes a file.
  void write(std::size_t number, std::int64_t mtime) {
    Seen seen;
    seen.signature = {Kind::file, 0644, number + 10, 1000, mtime, mtime};
    seen.content = content_of(static_cast<std::size_t>(mtime));
    written_ = {path_of(number), seen};
    step(1, Touched{{written_.first}});
    drain();
  }

  void drain() {
    while (!under_way_.empty()) {
      ++flights_;
      searches_ += std::ranges::any_of(under_way_, [](const auto& sent) {
        const auto* received = std::get_if<Received>(&sent.second);
        return received != nullptr && std::holds_alternative<Ranges>(received->message);
      });
      for (auto& [to, input] : std::exchange(under_way_, {})) {
        step(to, std::move(input));
      }
    }
  }

  void forget() {
    wire_ = search_ = flights_ = searches_ = 0;
    spent_ = {};
  }
  void tell(benchmark::State& state) const {
    state.counters["wire"] = static_cast<double>(wire_);
    state.counters["search"] = static_cast<double>(search_);
    state.counters["flights"] = static_cast<double>(flights_);
    state.counters["search_flights"] = static_cast<double>(searches_);
    state.counters["step_us"] = std::chrono::duration<double, std::micro>(spent_).count();
  }
  [[nodiscard]] std::size_t flights() const { return flights_; }
  [[nodiscard]] bool equal() { return root(1) == root(2); }

 private:
  /// What a start frees, in millions of pieces, the allocator sorts in when it is next asked for
  /// something larger: up to half a second, which would be taken for the exchange's.
  static void tidy() {
    malloc_trim(0);
    for (int i = 0; i < 1000; ++i) {
      benchmark::DoNotOptimize(std::make_unique<std::array<char, 65536>>());
    }
  }

  [[nodiscard]] Fingerprint root(NodeId id) { return nodes_[id]->status().root; }

  void step(NodeId id, Input input) {
    const auto begun = std::chrono::steady_clock::now();
    std::vector<Output> outputs = nodes_[id]->step(now_, std::move(input));
    spent_ += std::chrono::steady_clock::now() - begun;
    perform(id, std::move(outputs));
  }

  void perform(NodeId id, std::vector<Output> outputs) {
    std::vector<Input> answers;  // after all that was said before
    for (Output& output : outputs) {
      if (auto* send = std::get_if<Send>(&output)) {
        const std::size_t bytes = encode(send->message).size();
        wire_ += bytes;
        if (std::holds_alternative<Ranges>(send->message)) {
          search_ += bytes;
        }
        under_way_.emplace_back(send->peer, Received{id, std::move(send->message)});
      } else if (const auto* look = std::get_if<Look>(&output)) {
        LookDone done;
        for (const LookAt& at : look->names) {
          if (at.name == written_.first) {
            done.names.push_back({at.name, written_.second});
          }
        }
        answers.emplace_back(std::move(done));
      } else if (const auto* list = std::get_if<List>(&output)) {
        // The root shows all that the index has below it, as something that nobody looks into.
        answers.emplace_back(Listed{list->directory, std::vector{Listing{"projects", true, {}}}});
      }
    }
    for (Input& answer : answers) {
      step(id, std::move(answer));
    }
  }

  Instant now_{std::chrono::hours(1)};
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<std::pair<NodeId, Input>> under_way_;
  std::pair<Path, Seen> written_;
  std::size_t wire_ = 0;
  std::size_t search_ = 0;  ///< of that, to find what differs: the rest are the entries themselves
  std::size_t flights_ = 0;
  std::size_t searches_ = 0;  ///< of those, with messages of the search
  std::chrono::steady_clock::duration spent_{};
};

/// `flights`: until the other node knows it; `wire`: also what is announced after a moment.
void one_change_in_a_million(benchmark::State& state) {
  Link link;
  link.connect();
  Random random(1);
  std::int64_t mtime = 1'800'000'000'000'000'000;
  std::size_t flights = 0;
  for (auto _ : state) {
    state.PauseTiming();
    link.pass(std::chrono::seconds(1));  // no tick is due now for a while
    link.forget();
    state.ResumeTiming();
    link.write(random.next() % million, ++mtime);
    state.PauseTiming();
    flights = link.flights();
    link.pass(std::chrono::milliseconds(50));  // that the writer holds it
    state.ResumeTiming();
  }
  link.tell(state);
  state.counters["flights"] = static_cast<double>(flights);
  if (!link.equal()) {
    state.SkipWithError("the trees differ");
  }
}
BENCHMARK(one_change_in_a_million)->Iterations(1000)->Unit(benchmark::kMicrosecond);

/// `count` paths are missing or otherwise on one node, in `directories` directories (0: anywhere),
/// and its knowledge does not say so.
void repair_in_a_million(benchmark::State& state, std::set<std::size_t> Link::Damage::* kind) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto directories = static_cast<std::size_t>(state.range(1));
  Link::Damage damage;
  std::set<std::size_t>& numbers = damage.*kind;
  Random random(count);
  while (numbers.size() < count) {
    const std::size_t any = random.next() % million;
    const std::size_t directory = any / directory_files % std::max<std::size_t>(directories, 1);
    const std::size_t in_few = any % directory_files + directory * 97 * directory_files;
    numbers.insert(directories == 0 ? any : in_few);
  }
  for (auto _ : state) {
    state.PauseTiming();
    Link link(damage);
    link.forget();
    state.ResumeTiming();
    link.connect();
    state.PauseTiming();
    link.tell(state);
    if (!link.equal()) {
      state.SkipWithError("the trees differ");
    }
    state.ResumeTiming();
  }
}
void repairs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"count", "directories"})
      ->Args({1, 0})
      ->Args({1000, 8})
      ->Args({1000, 0})
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(repair_in_a_million, missing, &Link::Damage::missing)->Apply(repairs);
BENCHMARK_CAPTURE(repair_in_a_million, changed, &Link::Damage::changed)->Apply(repairs);

}  // namespace

BENCHMARK_MAIN();
