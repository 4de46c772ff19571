"""What lies in examples/: the embedded engine, the compose files, the dashboard and its metrics."""

import html
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import tree
from cluster import PATIENCE_S, Failure, Skip, check, environment, free_port, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from sealed import BUILD_S, BUILDING, TOP, docker, need_engine  # noqa: E402

EXAMPLES = TOP / "examples"


# The engine as a library.


def embed(world, one, two):
    program = pathlib.Path(world.binary).parent / "examples/embed/embed"
    if not program.exists():
        raise Skip(f"{program} is not built")
    said = subprocess.run([program, one, two], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
    check(said.returncode == 0, lambda: f"embed: exit {said.returncode}\n{said.stdout}{said.stderr}")
    check(tree.read_tree(one) == tree.read_tree(two),
          lambda: "\n".join(tree.differences("one", tree.read_tree(one), "two", tree.read_tree(two))))
    return said.stdout, tree.read_tree(one)


def write(folder, name, content):
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_embed_makes_two_directories_the_same(world):
    one, two = world.directory("one"), world.directory("two")
    large = os.urandom(3_000_000)  # of several chunks
    write(one, "a/b/file", "of one")
    write(one, "both", "as it was")
    write(two, "large", large)
    os.symlink("a/b", os.path.join(two, "link"))
    said, now = embed(world, one, two)
    check("the same: 3 files, 0 conflict copies" in said, said)
    check(pathlib.Path(one, "large").read_bytes() == large and b"link" in now, f"{sorted(now)}")

    # It remembers: a deletion is one, and what both have edited is kept twice.
    shutil.rmtree(os.path.join(two, "a"))
    write(one, "both", "edited by one")
    write(two, "both", "edited by two, and later")
    os.utime(os.path.join(one, "both"), (1, 1_000_000_000))
    said, now = embed(world, one, two)
    check("1 conflict copies" in said and sorted(now) == [b"both", b"both.conflict-one", b"large", b"link"], f"{said}{sorted(now)}")

    os.unlink(os.path.join(one, "both.conflict-one"))
    said, now = embed(world, one, two)
    check(sorted(now) == [b"both", b"large", b"link"], f"the conflict does not end: {sorted(now)}")


def test_embed_is_a_project_by_itself(world):
    if not shutil.which("cmake"):
        raise Skip("cmake is missing")
    said = subprocess.run(["cmake", "-S", EXAMPLES / "embed", "-B", world.directory("build")], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE_S, env=environment({}))
    check(said.returncode == 0, f"it cannot be configured: {said.stdout[-2000:]}{said.stderr[-2000:]}")
