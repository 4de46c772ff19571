#include "engine/version_vector.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "engine_dice.h"
#include "engine_vector_model.h"

using namespace p2psync::engine;

namespace {

constexpr Actor a{1, 10};
constexpr Actor b{1, 11};  // the same node, another incarnation
constexpr Actor c{2, 1};

void check_equal(const VersionVector& vector, const Model& model) {
  CHECK(vector.items() == std::vector<VersionVector::Item>(model.begin(), model.end()));
  CHECK(vector.empty() == model.empty());
}

Dot random_dot(Random& random) {
  return {{random.below(3), random.below(3)}, 1 + random.below(5)};
}

}  // namespace

TEST_CASE("version vector: join takes the higher, meet the lower, covers compares every actor") {
  struct Case {
    const char* name;
    VersionVector one, other, join, meet;
    bool one_covers, other_covers;
  };
  const Case cases[] = {
      {"both empty", {}, {}, {}, {}, true, true},
      {"one empty", {{a, 1}}, {}, {{a, 1}}, {}, true, false},
      {"equal", {{a, 2}, {c, 1}}, {{a, 2}, {c, 1}}, {{a, 2}, {c, 1}}, {{a, 2}, {c, 1}}, true, true},
      {"one ahead", {{a, 3}, {c, 1}}, {{a, 2}}, {{a, 3}, {c, 1}}, {{a, 2}}, true, false},
      {"concurrent",
       {{a, 3}, {c, 1}},
       {{a, 2}, {c, 4}},
       {{a, 3}, {c, 4}},
       {{a, 2}, {c, 1}},
       false,
       false},
      {"incarnations of one node are two actors",
       {{a, 9}},
       {{b, 1}},
       {{a, 9}, {b, 1}},
       {},
       false,
       false},
      {"the first and the last actor differ",
       {{a, 1}, {b, 1}},
       {{b, 1}, {c, 1}},
       {{a, 1}, {b, 1}, {c, 1}},
       {{b, 1}},
       false,
       false},
      {"the largest sequence",
       {{a, UINT64_MAX}},
       {{a, 1}},
       {{a, UINT64_MAX}},
       {{a, 1}},
       true,
       false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    VersionVector join = test.one;
    join.join(test.other);
    CHECK(join == test.join);
    VersionVector meet = test.one;
    meet.meet(test.other);
    CHECK(meet == test.meet);
    CHECK(test.one.covers(test.other) == test.one_covers);
    CHECK(test.other.covers(test.one) == test.other_covers);
  }
}

TEST_CASE("version vector: a dot is covered by its own actor's sequence alone") {
  const VersionVector vector{{a, 3}, {c, 1}};
  CHECK(vector.covers(Dot{a, 1}));
  CHECK(vector.covers(Dot{a, 3}));
  CHECK_FALSE(vector.covers(Dot{a, 4}));
  CHECK_FALSE(vector.covers(Dot{b, 1}));
  CHECK(vector.covers(Dot{c, 1}));
  CHECK_FALSE(VersionVector().covers(Dot{a, 1}));
}

TEST_CASE("version vector: add never lowers, set may, and 0 removes") {
  VersionVector vector{{a, 5}};
  vector.add({a, 3});
  CHECK(vector.at(a) == 5);
  vector.add({a, 0});
  vector.add({c, 0});
  CHECK(vector == VersionVector{{a, 5}});
  vector.set(a, 2);
  CHECK(vector.at(a) == 2);
  vector.set(c, 0);
  vector.set(a, 0);
  CHECK(vector.empty());
  CHECK(vector == VersionVector());
}

TEST_CASE("version vector: the order of additions leaves no trace") {
  CHECK(VersionVector{{a, 1}, {b, 2}, {c, 3}} == VersionVector{{c, 3}, {a, 1}, {b, 1}, {b, 2}});
}

TEST_CASE("version vector: assign takes what is strictly ascending and without zeros") {
  struct Case {
    const char* name;
    std::vector<VersionVector::Item> items;
    bool good;
  };
  const Case cases[] = {
      {"nothing", {}, true},
      {"one", {{a, 1}}, true},
      {"ascending", {{a, 7}, {b, 1}, {c, 3}}, true},
      {"a zero", {{a, 0}}, false},
      {"a zero at the end", {{a, 1}, {c, 0}}, false},
      {"twice", {{a, 1}, {a, 2}}, false},
      {"descending", {{b, 1}, {a, 1}}, false},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    const VersionVector before{{c, 42}};
    VersionVector vector = before;
    CHECK(vector.assign(test.items) == test.good);
    if (test.good) {
      CHECK(vector.items() == test.items);
    } else {
      CHECK(vector == before);
    }
  }
}

TEST_CASE("version vector: random operations agree with a map") {
  const std::uint64_t seed = test_seed(1);
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 300; ++round) {
    Model models[2];
    VersionVector vectors[2];
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t side = random.below(2);
      Model& model = models[side];
      VersionVector& vector = vectors[side];
      const Model& other = models[1 - side];
      const Dot dot = random_dot(random);
      switch (random.below(8)) {
        case 0:
          model = joined(model, other);
          vector.join(vectors[1 - side]);
          break;
        case 1:
          model = met(model, other);
          vector.meet(vectors[1 - side]);
          break;
        case 2:
          model.erase(dot.actor);
          vector.set(dot.actor, 0);
          break;
        case 3:
          model[dot.actor] = dot.sequence;
          vector.set(dot.actor, dot.sequence);
          break;
        default: model[dot.actor] = std::max(at(model, dot.actor), dot.sequence); vector.add(dot);
      }
      check_equal(vector, model);
      CHECK(vector == vector_of(model));
      CHECK(vector.covers(dot) == (dot.sequence <= at(model, dot.actor)));
      CHECK(vector.at(dot.actor) == at(model, dot.actor));
      CHECK(vector.covers(vectors[1 - side]) == covered(model, other));
      CHECK(vectors[1 - side].covers(vector) == covered(other, model));
    }
  }
}
