"""The workloads, and what each must reach.

A workload has contents that are in sync before (base), a change that is prepared beside the folders on the same disk
(stage) and then comes into being at once, by a rename or a short write (change): from that moment on the clock
runs, and no program can begin earlier. Every time lies in the past, since rsync compares whole seconds.
"""

import hashlib
import os
import random
import stat
import time
from typing import NamedTuple

from measure import Complete, Equal, disk_use, walk

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Requirement(NamedTuple):
    """The figure of p2psync is at most `limit`, or `limit` times that of the peer; or exactly the limit."""

    figure: str
    limit: float
    peer: str = ""
    exactly: bool = False


MEMORY = Requirement("peak", 150 * MIB)


class Workload:
    """`scale` shrinks sizes and numbers of files, to try things out; requirements count at 1 only."""

    nodes = 2
    mbit = None
    halves = False
    tree = 0  # files that are there and do not change, in "still"
    unread = None  # the bytes of what lies below are not compared: too many, and nobody touches them
    programs = ("p2psync", "rsync", "rsync-fsync", "syncthing")
    rsync_options = ()
    requirements = (MEMORY,)

    def __init__(self, scale):
        self.scale = scale

    @property
    def title(self):
        """One line for people: the first of what the class says of itself."""
        return self.__doc__.splitlines()[0]

    def scaled(self, number, unit=1):
        """Whole units, and one of them at least."""
        return max(1, round(number * self.scale / unit)) * unit

    def base(self, run):
        """Puts into the folders what must be in sync before."""

    def stage(self, run):
        """Prepares the change in run.staging."""

    def start(self, run, program):
        """Until the nodes run and are in sync."""
        program.start()

    def act(self, run, program):
        """The change, until it is everywhere: the seconds that this took."""
        self.change(run)
        started = time.monotonic()
        return program.finish(self.goal(run), started)

    def change(self, run):
        os.rename(os.path.join(run.staging, "data"), os.path.join(run.folders[0], "data"))

    def goal(self, run):
        """What to wait for; asked after the change."""
        return Complete(run.folders[1:], walk(run.folders[0]))

    def watch(self, run):
        """Called again and again while it runs."""

    def figures(self, run, measured):
        """More figures than the usual; `measured` has those."""
        return {}


def write_file(path, blocks):
    """A file with these blocks and a time in the past, to the nanosecond."""
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block)
    age(path)


def age(path):
    when = time.time_ns() - random.randrange(3_600, 7_200) * 10**9
    os.utime(path, ns=(when, when))


def noise(size):
    while size > 0:
        yield os.urandom(min(size, 4 * MIB))
        size -= 4 * MIB


def write_directories(top, files, each, size):
    """`files` files in directories of `each`."""
    for number in range(files):
        directory = os.path.join(top, f"d{number // each:04}")
        if number % each == 0:
            os.makedirs(directory)
        write_file(os.path.join(directory, f"f{number:06}"), noise(size))


class Large(Workload):
    """2 GiB of incompressible bytes in one file, the link not shaped"""

    programs = ("p2psync", "rsync", "rsync-fsync", "syncthing", "cp")
    requirements = (Requirement("time", 1.0, "rsync-fsync"), Requirement("time", 0.55, "syncthing"), MEMORY)

    def stage(self, run):
        write_file(os.path.join(run.staging, "data"), noise(self.scaled(2 * GIB, KIB)))


class Small(Workload):
    """50,000 files of 4 KiB in 500 directories, durable at the end"""

    programs = ("p2psync", "rsync", "rsync-fsync", "syncthing", "cp")
    requirements = (Requirement("time", 1.5, "rsync"), Requirement("time", 1 / 20, "syncthing"), MEMORY)

    def stage(self, run):
        write_directories(os.path.join(run.staging, "data"), self.scaled(50_000, 100), 100, 4 * KIB)
        # Not when the clock runs: these are many.
        self.prepared = Complete(run.folders[1:], walk(run.staging), durable=True)

    def goal(self, run):
        return self.prepared


class Edit(Workload):
    """A file of 512 MiB in sync, and an edit of it. rsync works in its own way, with --fsync or without."""

    requirements = (Requirement("wire", 1.0, "rsync"), Requirement("time", 1.2, "rsync"), MEMORY)

    def base(self, run):
        write_file(self.file(run), noise(self.size))

    @property
    def size(self):
        return self.scaled(512 * MIB, KIB)

    def file(self, run):
        return os.path.join(run.folders[0], "data")


class EditFront(Edit):
    """512 MiB in sync, then one byte is inserted at the front"""

    def stage(self, run):
        with open(self.file(run), "rb") as old:
            write_file(os.path.join(run.staging, "data"), [b"!", *iter(lambda: old.read(4 * MIB), b"")])
        os.utime(os.path.join(run.staging, "data"))


class EditMiddle(Edit):
    """512 MiB in sync, then 4 KiB are overwritten in the middle"""

    def change(self, run):
        with open(self.file(run), "r+b") as file:
            file.seek(self.size // 2 + 1000)
            file.write(os.urandom(4 * KIB))


class Append(Edit):
    """512 MiB in sync, then 1 MiB is appended"""

    def change(self, run):
        with open(self.file(run), "ab") as file:
            file.write(os.urandom(MIB))


class Rename(Workload):
    """A directory of 1 GiB in 16 files is renamed"""

    programs = ("p2psync", "rsync", "syncthing")
    requirements = (Requirement("wire", 100_000), Requirement("time", 0.5, "syncthing"),
                    Requirement("additional disk", 1.0), MEMORY)

    def base(self, run):
        old = os.path.join(run.folders[0], "old")
        os.mkdir(old)
        for number in range(16):
            write_file(os.path.join(old, f"f{number:02}"), noise(self.scaled(GIB // 16, KIB)))

    def stage(self, run):
        self.before = self.most = 0

    def change(self, run):
        self.before = self.most = disk_use(run.folders[1])
        os.rename(os.path.join(run.folders[0], "old"), os.path.join(run.folders[0], "new"))

    def goal(self, run):
        return Complete(run.folders[1:], walk(run.folders[0]), gone=[b"old"])

    def watch(self, run):
        self.most = max(self.most, disk_use(run.folders[1]))

    def figures(self, run, measured):
        return {"additional disk": 100 * (self.most - self.before) / self.before}


class Swarm(Workload):
    """64 MiB on one of eight nodes, each link 100 Mbit/s both ways"""

    nodes = 8
    mbit = 100
    programs = ("p2psync", "rsync", "syncthing")
    requirements = (Requirement("time per size/rate", 1.25), Requirement("source sent per size", 1.3), MEMORY)

    @property
    def size(self):
        return self.scaled(64 * MIB, KIB)

    def stage(self, run):
        write_file(os.path.join(run.staging, "data"), noise(self.size))

    def figures(self, run, measured):
        return {"time per size/rate": measured["time"] * self.mbit * 1e6 / 8 / self.size,
                "source sent per size": measured["source sent"] / self.size}


class Conflicts(Workload):
    """Four nodes with 5,000 own files of 1 KiB each, and 20 names that all four have with other contents"""

    nodes = 4
    names = 20
    programs = ("p2psync", "syncthing")
    requirements = (Requirement("time", 1 / 10, "syncthing"), Requirement("copies", 3 * names, exactly=True),
                    Requirement("lost", 0, exactly=True), MEMORY)

    def stage(self, run):
        own = {}
        self.contents = set()
        for number, folder in enumerate(run.folders, 1):
            staged = os.path.join(run.staging, f"node{number}")
            write_directories(os.path.join(staged, f"own{number}"), self.scaled(5_000, 100), 100, KIB)
            own[folder] = list(walk(staged))
            os.mkdir(os.path.join(staged, "shared"))
            for name in range(self.names):
                content = b"name %d as node %d has it\n" % (name, number) + os.urandom(200)
                self.contents.add(hashlib.sha256(content).digest())
                write_file(os.path.join(staged, "shared", f"name{name:02}.txt"), [content])
        self.prepared = Equal(run.folders, own, "shared")

    def change(self, run):
        for what in ("shared", "own"):  # the names first, so that nobody has heard of anything
            for number, folder in enumerate(run.folders, 1):
                entry = what if what == "shared" else f"{what}{number}"
                os.rename(os.path.join(run.staging, f"node{number}", entry), os.path.join(folder, entry))

    def goal(self, run):
        return self.prepared

    def figures(self, run, measured):
        shared = os.path.join(os.fsencode(run.folders[0]), b"shared")
        found = []
        for path, status in walk(shared):
            if stat.S_ISREG(status.st_mode):
                with open(os.path.join(shared, path), "rb") as file:
                    found.append(hashlib.sha256(file.read()).digest())
        return {"copies": len(found) - self.names, "lost": len(self.contents - set(found))}


class Sparse(Workload):
    """A sparse file of 4 GiB with 1 MiB of data (rsync with -S)"""

    programs = ("p2psync", "rsync", "syncthing", "cp")
    rsync_options = ("-S",)
    requirements = (Requirement("wire", 2 * MIB), Requirement("allocated", 2 * MIB), MEMORY)

    def stage(self, run):
        path = os.path.join(run.staging, "data")
        size = self.scaled(4 * GIB, MIB)
        with open(path, "wb") as file:
            file.truncate(size)
            for part in range(4):
                file.seek(size // 4 * part + size // 8)
                file.write(os.urandom(MIB // 4))
        age(path)

    def figures(self, run, measured):
        return {"allocated": os.lstat(os.path.join(run.folders[1], "data")).st_blocks * 512}


WORKLOADS = {
    "large": Large,
    "small": Small,
    "edit-front": EditFront,
    "edit-middle": EditMiddle,
    "append": Append,
    "rename": Rename,
    "swarm": Swarm,
    "conflicts": Conflicts,
    "sparse": Sparse,
}
