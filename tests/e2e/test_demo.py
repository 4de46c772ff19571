"""examples/demo/run shows what it says, and leaves nothing behind."""

import os
import pathlib
import subprocess

from cluster import check, environment

DEMO = pathlib.Path(__file__).resolve().parents[2] / "examples/demo/run"
COPIES = {
    "agenda.md.conflict-node1", "agenda.md.conflict-node2", "agenda.md.conflict-node3",
    "exercise.txt.conflict-node1", "exercise.txt.conflict-node3", "todo.txt.conflict-node4",
}


def test_the_demo_shows_four_equal_trees_with_the_right_copies(world):
    place = world.directory("demo")
    done = subprocess.run(
        [DEMO, "--once"], stdin=subprocess.DEVNULL, capture_output=True, timeout=180, text=True,
        env=environment({"P2PSYNC_BINARY": world.binary, "TMPDIR": place}))
    check(done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    copies = {word for word in done.stdout.split() if ".conflict-node" in word}
    check(copies == COPIES, f"copies shown: {sorted(copies)}")
    check("One tree, the same on all four" in done.stdout, done.stdout)
    check(os.listdir(place) == [], f"left behind: {os.listdir(place)}")
