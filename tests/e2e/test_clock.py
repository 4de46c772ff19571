"""Clocks that jump by days, forwards and backwards, on real nodes: what runs goes on, and the later edit stays the later one.

A process cannot have a clock of its own, so libfaketime tells it another time. What the kernel writes into files stays real;
what a user saves gets the time that his clock shows.
"""

import glob
import itertools
import json
import os
import tempfile
import time

from cluster import Skip, check, free_port, until

DAY_S = 86400
SOON_S = 15  # nothing waits for a clock
LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"


class Clock:
    """Off by so many days, for the processes that run under `command`."""

    def __init__(self):
        found = glob.glob(LIBRARY)
        if not found:
            raise Skip("no libfaketime here (Debian package libfaketime)")
        # Where a node may read that is in its fence.
        descriptor, self.file = tempfile.mkstemp(prefix="p2psync-e2e-clock.", dir="/dev/shm")
        os.close(descriptor)
        self.command = ["env", f"LD_PRELOAD={found[0]}", f"FAKETIME_TIMESTAMP_FILE={self.file}", "FAKETIME_NO_CACHE=1",
                        "NO_FAKE_STAT=1", "DONT_FAKE_MONOTONIC=1"]
        self.jump(0)

    def jump(self, days):
        self.days = days
        with open(self.file + ".new", "w") as file:
            file.write(f"{days:+d}d")
        os.chmod(self.file + ".new", 0o644)
        os.rename(self.file + ".new", self.file)

    def now(self):
        return int(time.time()) + self.days * DAY_S

    def year(self):
        return time.gmtime(self.now()).tm_year

    def close(self):
        os.unlink(self.file)


_saved = itertools.count()


def save(node, name, content, at):
    """As an editor does, which writes aside and renames; with the time `at`."""
    aside = os.path.join(node.cluster.directory, f"save.{next(_saved)}")
    with open(aside, "w") as file:
        file.write(content)
    os.utime(aside, (at, at))
    os.rename(aside, node.path(name))


def reads(nodes, name, content, seconds=SOON_S):
    def all_read():
        return all(node.exists(name) and node.read(name) == content.encode() for node in nodes)
    until(all_read, lambda: f"{name} to be {content!r}: {[node.exists(name) and node.read(name) for node in nodes]}", seconds)


def showed(node, years):
    """Or nothing was tested."""
    seen = {line[:4] for line in node.last_words(lines=1_000_000).splitlines()}
    check({str(year) for year in years} <= seen, f"{node.name}'s clock showed {sorted(seen)}, not {years}")


def on_clocks(world, test):
    """Three nodes, of which the second has a clock of its own."""
    clock = Clock()
    try:
        hosts = [(f"127.0.0.1:{free_port()}", clock.command if number == 2 else []) for number in (1, 2, 3)]
        test(world.cluster(3, hosts=hosts, settings={"P2PSYNC_LOG_LEVEL": "debug"}), clock)
    finally:
        clock.close()


def test_a_clock_that_jumps_by_days_while_the_node_runs(world):
    on_clocks(world, jumps)


def jumps(made, clock):
    one, two, three = made.nodes
    one.write("edited in turn", "first")
    one.write("goes", "x")
    made.start()
    made.agree()
    tree = {b"edited in turn", b"goes"}
    years = []
    for turn, days in enumerate((10, -10, 0, 30_000, -20_000, 0)):  # among them a year past 2106 and one before 1972
        clock.jump(days)
        years.append(clock.year())
        # Each sees the edit before and makes the next, whatever its clock shows.
        for node in (two, one, two, three):
            text = f"turn {turn}, by {node.name}"
            save(node, "edited in turn", text, clock.now() if node is two else int(time.time()))
            reads(made.nodes, "edited in turn", text)
        save(two, f"new in turn {turn}", "x", clock.now())
        os.unlink(one.path("goes") if turn == 0 else one.path(f"new in turn {turn - 1}"))
        tree = (tree | {f"new in turn {turn}".encode()}) - {b"goes", f"new in turn {turn - 1}".encode()}
        check(made.agree().keys() == tree, f"{days} days: there are conflicts, or something is lost")
        status = two.status()
        check(status["state"] == "in_sync" and not status["errors"], f"{days} days: node2 says {status}")
        check(0 <= status["uptime_s"] < 600 and all(0 <= p["last_exchange_ms_ago"] < 600_000 for p in status["peers"]),
              f"{days} days: node2 has run or waited for days: {status}")
        check(all(peer["trouble"] is None for peer in status["peers"]), f"{days} days: a connection was lost: {status}")
    showed(two, years)


def test_concurrent_edits_with_clocks_that_are_days_apart(world):
    on_clocks(world, apart)


def apart(made, clock):
    one, two, three = made.nodes
    names = ("by clocks", "all in one's future", "base in the future")
    for name in names:
        one.write(name, "base")
    made.start()
    clock.jump(10)
    made.agree()
    future = clock.now()
    save(two, "base in the future", "base, saved ten days ahead", future)
    made.agree()
    for node in made.nodes:
        node.stop()
    now = int(time.time())
    clock.jump(-10)
    # Its clock is behind what it replaces: that counts, and so the other one is later.
    save(two, "by clocks", "of two", clock.now())
    save(one, "by clocks", "of one", now + 5)
    # Its clock is ahead, and so it is later.
    save(two, "all in one's future", "of two", future)
    save(three, "all in one's future", "of three", now + 5)
    # What both replace is later than either says: they are as late, and the one beyond that is later.
    save(one, "base in the future", "of one", now + 5)
    save(three, "base in the future", "of three", future + 5)
    made.start()
    check(made.agree().keys() == {
        b"by clocks", b"by clocks.conflict-node2",
        b"all in one's future", b"all in one's future.conflict-node3",
        b"base in the future", b"base in the future.conflict-node1"}, "other copies than the later edit demands")
    for name, held, author, copy in zip(names, ("one", "two", "three"), ("node2", "node3", "node1"), ("two", "three", "one")):
        reads(made.nodes, name, f"of {held}")
        reads(made.nodes, f"{name}.conflict-{author}", f"of {copy}")


def test_a_node_that_starts_with_a_clock_of_1971_or_2107(world):
    on_clocks(world, other_years)


def other_years(made, clock):
    one, two, three = made.nodes
    one.write("file", "first")
    made.start()
    made.agree()
    years = []
    for days in (-55 * 365, 81 * 365, 0):
        two.stop()
        save(two, "file", f"while stopped before {days}", clock.now())
        clock.jump(days)
        years.append(clock.year())
        two.start()
        reads(made.nodes, "file", f"while stopped before {days}")
        save(two, "file", f"at {days}", clock.now())
        reads(made.nodes, "file", f"at {days}")
        two.kill()  # and what it has noted of the time is read again
        two.start()
        check(made.agree().keys() == {b"file"}, f"{days}: there are copies")
        check(not two.status()["errors"], f"{days}: {two.status()}")
    showed(two, years)


def test_of_versions_that_are_days_old_the_last_of_each_hour_stays(world):
    on_clocks(world, thinned)


def thinned(made, clock):
    one, two, three = made.nodes
    made.start()
    hours = set()
    def edit(number):
        hours.add(clock.now() // 3600)  # of the one that leaves
        one.write("f", f"edit {number}")
        reads(made.nodes, "f", f"edit {number}")
        hours.add(clock.now() // 3600)
    def kept(node):
        return sorted(os.listdir(node.path(".p2psync/versions")))
    clock.jump(-3)
    for number in range(6):
        edit(number)
    clock.jump(0)
    for number in range(6, 9):
        edit(number)
    until(lambda: len(kept(two)) == len(kept(three)) == 8, lambda: f"8 kept versions: {kept(two)}, {kept(three)}")
    for node in (two, three):
        node.stop()
        node.start()
    # Of five that left three days ago by the clock of node2, one; or two, if that hour ended meanwhile.
    until(lambda: 4 <= len(kept(two)) <= 5, lambda: f"node2 to have fewer: {kept(two)}")
    check(len(kept(two)) == 4 or len(hours) > 2, f"too many stay: {kept(two)}")
    check(len(kept(three)) == 8, f"what is of today was thinned: {kept(three)}")
    # What went is still known of, and can be had of node3.
    said = json.loads(two.p2psync("log", "f", "--json").stdout)
    check(len([v for v in said["versions"] if v["state"] == "kept"]) == 8, f"node2 has forgotten some: {said}")
