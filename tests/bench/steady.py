"""Workloads on nodes that are in sync already: how soon, how idle, and how well they meet again.

Unlike those of workloads.py these do many things one after the other, so each drives the run itself (act).
"""

import math
import os
import random
import stat
import statistics
import subprocess
import time

from cluster import Failure, until
from measure import Complete, Usage, walk
from workloads import GIB, KIB, MIB, Requirement, Workload, noise, write_directories, write_file

SMALL = 100  # bytes


def percentile(values, share):
    """The smallest of them that at least this share of them do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * share) - 1]


def write_now(path, content):
    """As a user saves: the time is that of the write. Returns the lstat."""
    with open(path, "wb") as file:
        file.write(content)
    return os.lstat(path)


class Soon(Complete):
    """Looked at every millisecond: for what takes few of them."""

    interval_s = 0.001

    def __init__(self, run, written):
        """`written`: (number of the folder where it was written, path, lstat) of each file."""
        super().__init__([], [])
        for origin, path, status in written:
            others = [folder for number, folder in enumerate(run.folders) if number != origin]
            self.pending += Complete(others, [(os.fsencode(path), status)]).pending


class Same(Complete):
    """All folders look alike (names, types, sizes, times to the nanosecond), and stay so."""

    interval_s = 0.02
    quiet_s = 5

    def __init__(self, folders):
        super().__init__([], [])
        self.folders = folders

    def reached(self):
        first = None
        for folder in self.folders:
            picture = {path: None if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
                       for path, status in walk(folder)}
            if first is not None and picture != first:
                return False
            first = picture
        return True


def contents_of(folder):
    """{path: bytes} of all its files."""
    found = {}
    for path, status in walk(folder):
        if stat.S_ISREG(status.st_mode):
            with open(os.path.join(os.fsencode(folder), path), "rb") as file:
                found[os.fsdecode(path)] = file.read()
    return found


def is_copy(path):
    """Of a conflict: as p2psync calls them, and as Syncthing does."""
    return ".conflict-" in path or ".sync-conflict-" in path


class Steady(Workload):
    nodes = 4
    programs = ("p2psync", "syncthing")
    unread = b"still/"

    @property
    def files(self):
        return self.scaled(self.tree, 100) if self.tree else 0

    def base(self, run):
        os.mkdir(os.path.join(run.folders[0], "desk"))
        write_directories(os.path.join(run.folders[0], "still"), self.files, 100, SMALL)


class Latency(Steady):
    """A small file is written on one of four nodes, until it is on all others; 30 times"""

    writes = 30
    pause_s = 0.5  # between two, so that each finds the nodes at rest
    requirements = (Requirement("time", 0.05), Requirement("p95", 0.15))

    def act(self, run, program):
        return self.write_all(run, program)

    def write_all(self, run, program):
        self.took = []
        for number in range(self.writes):
            time.sleep(self.pause_s)
            origin = number % self.nodes
            path = os.path.join("desk", f"note{number:02}.txt")
            status = write_now(os.path.join(run.folders[origin], path), os.urandom(SMALL))
            started = time.monotonic()
            self.took.append(program.finish(Soon(run, [(origin, path, status)]), started))
        return statistics.median(self.took)

    def figures(self, run, measured):
        return {"p95": percentile(self.took, 0.95), "worst": max(self.took)}


class Latency100k(Latency):
    """The same with 100,000 other files in the tree"""

    tree = 100_000


class LatencyBusy(Latency):
    """The same while 1 GiB goes from one of the nodes to the others, each link 150 Mbit/s both ways"""

    mbit = 150
    requirements = (Requirement("p95", 0.5),)

    def stage(self, run):
        self.size = self.scaled(GIB, KIB)
        write_file(os.path.join(run.staging, "data"), noise(self.size))

    def act(self, run, program):
        before = run.network.sent()[1]
        self.change(run)
        started = time.monotonic()
        until(lambda: run.network.sent()[1] - before > self.size / 50, "the large file to be on its way")
        took = self.write_all(run, program)
        if os.path.exists(os.path.join(run.folders[1], "data")):
            raise Failure("the large file was there before the last of the small ones was written")
        self.large_took = program.finish(self.goal(run), started)
        return took

    def figures(self, run, measured):
        return super().figures(run, measured) | {"large file": self.large_took}


class Idle(Steady):
    """Four nodes with 100,000 files, idle for 60 s after they came to rest"""

    tree = 100_000
    rest_s = 30
    idle_s = 60
    requirements = (Requirement("cpu a node", 1.0, "syncthing"), Requirement("peak", 0.5, "syncthing"),
                    Requirement("sent a second", 100), Requirement("written", 0, exactly=True))

    def act(self, run, program):
        time.sleep(self.rest_s)
        program.forget()
        sent = run.network.sent()
        before = [Usage(family) for family in program.pids()]
        started = time.monotonic()
        time.sleep(self.idle_s)
        took = time.monotonic() - started
        after = [Usage(family) for family in program.pids()]
        used = [end.since(begin) for begin, end in zip(before, after)]
        sent = sum(run.network.sent().values()) - sum(sent.values())
        self.found = {
            "cpu a node": statistics.mean(node.cpu_s for node in used),
            "sent a second": sent / self.nodes / took,
            "written": sum(node.written for node in used),
            "wake-ups a second": statistics.mean(node.wakeups for node in used) / took,
        }
        return took

    def figures(self, run, measured):
        return self.found


class Restart(Steady):
    """A node is restarted with 100,000 unchanged files, until a file from it and one to it are across"""

    tree = 100_000
    restarts = 3
    requirements = (Requirement("time", 0.25, "syncthing"),)

    def act(self, run, program):
        took = []
        for number in range(self.restarts):
            one, other = number + 1, number
            program.stop_node(one)
            started = time.monotonic()
            program.start_node(one)
            written = []
            for origin, name in ((one, "from"), (other, "to")):
                path = os.path.join("desk", f"{name}{number}.txt")
                status = write_now(os.path.join(run.folders[origin], path), os.urandom(SMALL))
                written.append((origin, path, status))
            took.append(program.finish(Soon(run, written), started))
            program.wait_until_settled()
        self.worst = max(took)
        return statistics.median(took)

    def figures(self, run, measured):
        return {"worst": self.worst}


class Heal(Steady):
    """Four nodes cut 2|2 for 30 s, 500 edits on each side, 100 of the names on both; from the heal on"""

    cut_s = 30
    edits = 500
    both = 100
    halves = True
    requirements = (Requirement("time", 3), Requirement("copies", both, exactly=True),
                    Requirement("lost", 0, exactly=True))

    def base(self, run):
        """Names of both sides, of one, of the other."""
        write_directories(os.path.join(run.folders[0], "tree"), 2 * self.edits - self.both, 100, KIB)

    def act(self, run, program):
        names = sorted(contents_of(run.folders[0]))
        self.written = set()
        run.network.cut()
        cut_at = time.monotonic()
        for side, numbers in enumerate((range(self.edits), range(self.edits - self.both, len(names)))):
            for number in numbers:
                content = b"as side %d has it\n" % side + os.urandom(SMALL)
                self.written.add(content)
                write_now(os.path.join(run.folders[2 * side + number % 2], names[number]), content)
        time.sleep(max(0, cut_at + self.cut_s - time.monotonic()))
        run.network.heal()
        return program.finish(Same(run.folders), time.monotonic())

    def figures(self, run, measured):
        found = contents_of(run.folders[0])
        return {"copies": sum(map(is_copy, found)), "lost": len(self.written - set(found.values()))}


class HealSoon(Heal):
    """The same after a cut of 20 s: TCP by itself would then be silent for some ten seconds more"""

    cut_s = 20


class Churn(Steady):
    """Four nodes, 60 s of creating, editing, renaming and deleting, one writer a path; from the last on"""

    churn_s = 60
    acts_a_second = 100
    directories = 20
    requirements = (Requirement("time", 1), Requirement("copies", 0, exactly=True),
                    Requirement("lost", 0, exactly=True), Requirement("resurrected", 0, exactly=True))

    def base(self, run):
        for number in range(self.directories):
            os.makedirs(os.path.join(run.folders[0], f"d{number:02}"))

    def act(self, run, program):
        dice = random.Random(1)
        self.expected = {}
        own = [[] for _ in run.folders]
        started = time.monotonic()
        acts = round(self.churn_s * self.acts_a_second * min(1, self.scale))
        for number in range(acts):
            time.sleep(max(0, started + number / self.acts_a_second - time.monotonic()))
            self.one_act(dice, number, run.folders[number % self.nodes], own[number % self.nodes])
        return program.finish(Same(run.folders), time.monotonic())

    def one_act(self, dice, number, folder, names):
        act = dice.choice(("create", "create", "edit", "edit", "edit", "rename", "delete"))
        if act == "create" or not names:
            name = self.new_name(dice, number)
            names.append(name)
            self.write(folder, name, number)
            return
        place = dice.randrange(len(names))
        name = names[place]
        if act == "edit":
            self.write(folder, name, number)
        elif act == "rename":
            names[place] = self.new_name(dice, number)
            os.rename(os.path.join(folder, name), os.path.join(folder, names[place]))
            self.expected[names[place]] = self.expected.pop(name)
        else:
            names.pop(place)
            os.unlink(os.path.join(folder, name))
            del self.expected[name]

    def new_name(self, dice, number):
        return os.path.join(f"d{dice.randrange(self.directories):02}", f"f{number:05}.txt")

    def write(self, folder, name, number):
        self.expected[name] = b"act %d\n" % number + os.urandom(random.randrange(10, 4000))
        write_now(os.path.join(folder, name), self.expected[name])

    def figures(self, run, measured):
        found = contents_of(run.folders[0])
        return {"copies": sum(map(is_copy, found)),
                "lost": sum(found.get(name) != content for name, content in self.expected.items()),
                "resurrected": sum(name not in self.expected and not is_copy(name) for name in found)}


class Million(Workload):
    """1,000,000 files of mean path length 60: the first index, the way to a second node, its restart"""

    files_wanted = 1_000_000
    programs = ("p2psync",)
    unread = b"projects/"
    rest_s = 10
    requirements = (Requirement("bytes a file", 256), Requirement("answers", 3),
                    Requirement("scan per find", 2), Requirement("index per sha256sum", 3))

    def base(self, run):
        """60 bytes on average, of which 43 are the directory's and 1 the slash."""
        self.files = self.scaled(self.files_wanted, 100)
        for number in range(self.files):
            if number % 100 == 0:
                directory = os.path.join(run.folders[0], f"projects/p{number // 10_000:03}", "source",
                                         f"component-{number // 100:05}-files")
                os.makedirs(directory)
            with open(os.path.join(directory, f"file-{number:07}.txt"), "wb") as file:
                file.write(b"%d\n" % number)

    def start(self, run, program):
        """Not here: how it starts is what is measured."""
        program.prepare()

    def act(self, run, program):
        one, other = 0, 1
        self.timed(f"find '{run.folders[one]}' -type f -print0 | xargs -0 sha256sum")  # warms up
        hashing = self.timed(f"find '{run.folders[one]}' -type f -print0 | xargs -0 sha256sum")
        indexing = self.start_and_scan(program, one)
        started = time.monotonic()
        program.start_node(other)
        self.sync_s = program.finish(Complete([run.folders[other]], walk(run.folders[one])), started)
        program.wait_until_settled()
        time.sleep(self.rest_s)
        self.resident = [Usage(family).resident for family in program.pids()]
        program.stop_node(other)
        find = f"find '{run.folders[other]}' -printf '%s %T@\\n'"
        self.timed(find)
        finding = self.timed(find)
        scanning = self.start_and_scan(program, other, peer=one)
        program.wait_until_settled()
        time.sleep(self.rest_s)
        self.resident += [Usage(family).resident for family in program.pids()]
        self.found = {"answers": self.answers_s, "scan": scanning, "scan per find": scanning / finding,
                      "first index": indexing, "index per sha256sum": indexing / hashing}
        return self.sync_s

    def timed(self, command):
        started = time.monotonic()
        done = subprocess.run(["sh", "-c", f"{command} >/dev/null"], stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"{command}: {done.returncode}")
        return time.monotonic() - started

    def start_and_scan(self, program, number, peer=None):
        """Seconds until its first scan is over; and self.answers_s, until the peer is connected with it."""
        started = time.monotonic()
        program.start_node(number)
        if peer is not None:
            program.wait(lambda: program.sees(peer, number), 0.02, started + 600, "the node to answer its peer")
            self.answers_s = time.monotonic() - started
        program.wait(lambda: program.state(number) not in (None, "scanning"), 0.02, started + 3600,
                     "the first scan to end")
        return time.monotonic() - started

    def figures(self, run, measured):
        return self.found | {"bytes a file": max(self.resident) / self.files}


STEADY = {
    "latency": Latency,
    "latency-100k": Latency100k,
    "latency-busy": LatencyBusy,
    "idle": Idle,
    "restart": Restart,
    "heal": Heal,
    "heal-soon": HealSoon,
    "churn": Churn,
    "million": Million,
}
