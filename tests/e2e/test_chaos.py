"""A small share of the chaos on a real kernel; tests/chaos/run plays as much of it as anybody wants."""

import os
import pathlib
import random
import sys

from cluster import check

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

import cuts  # noqa: E402
import kills  # noqa: E402


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
