"""A small share of the chaos on a real kernel; tests/chaos/run plays as much of it as anybody wants."""

import os
import pathlib
import random
import sys

from cluster import check

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

import cuts  # noqa: E402
import kills  # noqa: E402


def play(world, chaos):
    seed = int(os.environ.get("P2PSYNC_SEED", random.SystemRandom().randrange(1 << 32)))
    world.note(f"seed {seed}")
    summary, rounds = chaos(seed)
    world.note(summary)
    wrong = [violation for found in rounds for violation in found]
    check(not wrong, lambda: f"{len(wrong)} violations\n" + "\n".join(wrong[:10]))


def test_forty_kills_and_cut_cables_in_namespaces(world):
    play(world, lambda seed: kills.run(world, 40, 5, seed))


def test_five_power_cuts_on_a_small_disk(world):
    play(world, lambda seed: cuts.run(world, 5, seed))
