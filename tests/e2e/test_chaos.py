"""A small share of the chaos on a real kernel; tests/chaos/run plays as much of it as anybody wants."""

import os
import pathlib
import random
import sys

from cluster import check

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

import cuts  # noqa: E402
import kills  # noqa: E402
import soak  # noqa: E402


def play(world, chaos, allowed="nothing"):
    seed = int(os.environ.get("P2PSYNC_SEED", random.SystemRandom().randrange(1 << 32)))
    world.note(f"seed {seed}")
    summary, rounds = chaos(seed)
    world.note(summary)
    found = [violation for found in rounds for violation in found]
    wrong = [violation for violation in found if not violation.startswith(allowed)]
    if found:
        world.note(f"{len(found) - len(wrong)} looks at replaced contents that are shown")
    check(not wrong, lambda: f"{len(wrong)} violations\n" + "\n".join(wrong[:10]))


def test_forty_kills_and_cut_cables_in_namespaces(world):
    # As in test_kill: what a user saw as one after the other, while the program moved it, may stay beside it.
    play(world, lambda seed: kills.run(world, 40, 5, seed), allowed="CAME BACK")


def test_five_power_cuts_on_a_small_disk(world):
    play(world, lambda seed: cuts.run(world, 5, seed))


def test_a_soak_sees_what_grows(world):
    def half_an_hour(**slopes):
        """One node that takes a little more and a little less all the time, and so much more an hour."""
        rest = {"rss": 20 << 20, "cgroup": 8 << 20, "descriptors": 22, "threads": 6}
        return {"node1": [(at, {kind: int(value + value // 40 * (at % 7) + slopes.get(kind, 0) * at / 3600)
                                for kind, value in rest.items()}) for at in range(0, 1800, 5)]}

    check(soak.grown(half_an_hour())[0] == [], "what stays as it is has grown")
    for kind, slope in {"rss": 24 << 20, "cgroup": 20 << 20, "descriptors": 24, "threads": 24}.items():
        found = soak.grown(half_an_hour(**{kind: slope}))[0]
        check(len(found) == 1 and soak.KINDS[kind][0] in found[0], f"{kind} grows by {slope} an hour, and that is {found}")
