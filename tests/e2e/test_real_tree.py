"""The machine's own /usr/share and /usr/include: real names, links, modes and times."""

import os
import shutil
import subprocess
import time

import tree
from cluster import Skip, check

SOURCES = ["/usr/share", "/usr/include"]
SMALL_ENTRIES = 3_000


def plan(entries_max):
    """Directories, files and links in an order in which each parent comes first."""
    found = []
    pending = list(SOURCES)
    while pending and len(found) < entries_max:
        directory = pending.pop()
        found.append(directory)
        try:
            with os.scandir(directory) as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                        found.append(entry.path)
        except OSError:
            continue
    return found[:entries_max]


def copy(paths, folder):
    """With modes and times, links as links; owners are not synchronised and stay ours."""
    for path in paths:
        target = os.path.join(folder, path.lstrip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(path) and not os.path.islink(path):
            os.makedirs(target, exist_ok=True)
            os.chmod(target, os.stat(path).st_mode & 0o777 | 0o700)
        else:
            try:
                shutil.copy2(path, target, follow_symlinks=False)
            except OSError:
                continue


def quarters(paths):
    """Every fourth directory's files to each node, so that all four have to make the same directories."""
    return [[path for path in paths if hash_of(os.path.dirname(path)) % 4 == part] for part in range(4)]


def hash_of(text):
    return sum(text.encode("utf-8", "surrogateescape")) // 7


def arrives(world, entries, on_all):
    """Puts the tree on one node or a quarter of it on each of four; the seconds until all four are equal."""
    cluster = world.cluster(4, settings={"P2PSYNC_GOSSIP_INTERVAL": "1s"})
    paths = plan(entries)
    if on_all:
        for node, part in zip(cluster.nodes, quarters(paths)):
            copy(part, node.folder)
    else:
        copy(paths, cluster[1].folder)
    # What the union must be; directories that several nodes have may differ in mode until they agree.
    expected = {}
    for node in cluster.nodes:
        for path, entry in tree.read_tree(node.folder).items():
            if entry.kind != "dir" or path not in expected:
                expected[path] = entry
    size = sum(os.lstat(node.path(path)).st_size for node in cluster.nodes for path in tree.paths_of(node.folder))
    started = time.monotonic()
    cluster.start()
    result = cluster.agree(seconds=3600)
    took = time.monotonic() - started
    if on_all:  # only the directories' modes may be another node's
        result = {p: e._replace(mode=0) if e.kind == "dir" else e for p, e in result.items()}
        expected = {p: e._replace(mode=0) if e.kind == "dir" else e for p, e in expected.items()}
    lines = tree.differences("expected", expected, "all nodes", result)
    check(not lines, lambda: "\n".join(lines))
    return cluster, took, len(result), size


def test_a_real_tree_arrives_and_quarters_of_it_become_the_whole(world):
    for on_all in (False, True):
        cluster, took, entries, size = arrives(world, SMALL_ENTRIES, on_all)
        world.note(f"{'quarters' if on_all else 'one copy'}: {entries} entries, {size / 1e6:.0f} MB, {took:.1f} s")
        cluster.close()


def big_real_tree_beside_rsync(world):
    if not shutil.which("rsync"):
        raise Skip("no rsync to compare with (tests/install-packages bench)")
    rows = []
    for on_all in (False, True):
        cluster, took, entries, size = arrives(world, world.options.entries, on_all)
        what = "p2psync, quarters on four nodes -> the whole on all" if on_all else "p2psync, one node -> three others"
        rows.append((what, entries, size, took))
        cluster.close()
        if not on_all:
            for flags in (["-a"], ["-a", "--fsync"]):
                target = world.directory("rsync" + "".join(flags))
                started = time.monotonic()
                done = subprocess.run(
                    ["rsync", *flags, "--exclude=/.p2psync", cluster[1].folder + "/", target], capture_output=True)
                check(done.returncode == 0, done.stderr.decode)
                rows.append((f"rsync {' '.join(flags)}, one local copy", entries, size, time.monotonic() - started))
                shutil.rmtree(target)
        shutil.rmtree(cluster.directory)
    for what, entries, size, took in rows:
        world.note(f"{what:52} {entries:7} entries {size / 1e6:7.0f} MB {took:8.1f} s")
