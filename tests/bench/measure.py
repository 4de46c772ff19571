"""Looking from outside, for every program alike: processes, trees, disks, and whether a tree is complete."""

import os
import stat
import subprocess

OWN = {b".p2psync", b".stfolder"}  # at the root of a folder: what the programs keep there for themselves
BLOCK = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")


# Processes.

def parents():
    """{pid: parent} of everything that runs."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_of(name)
            if fields:
                found[int(name)] = int(fields[1])
    return found


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on; None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def families(roots):
    """For each of these processes, itself and all that descend from it."""
    parent_of = parents()
    found = {root: [root] for root in roots}
    for pid in parent_of:
        ancestor = parent_of[pid]
        while ancestor in parent_of and ancestor not in found:
            ancestor = parent_of[ancestor]
        if ancestor in found and pid not in found:
            found[ancestor].append(pid)
    return list(found.values())


def cpu_seconds(pids):
    """User and system time of these processes and of children that they have waited for."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := stat_of(pid))) / TICKS


def peak_bytes(pids):
    """VmHWM of the largest of them. Not the sum: what has forked shares most of its pages."""
    peak = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
        except OSError:
            pass
    return peak


def forget_peaks(pids):
    """VmHWM counts from here on; where the kernel does not know this, from the start of the process."""
    for pid in pids:
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass


class Usage:
    """What these processes have used so far; and since(an earlier one), what between the two."""

    def __init__(self, pids):
        self.cpu_s = self.written = self.wakeups = self.resident = 0
        for pid in pids:
            self.look(pid)

    def look(self, pid):
        """The threads of today: a program that is at rest starts and ends none."""
        for line in lines_of(f"/proc/{pid}/io"):
            if line.startswith("write_bytes:"):
                self.written += int(line.split()[1])
        for line in lines_of(f"/proc/{pid}/status"):
            if line.startswith("VmRSS:"):
                self.resident += int(line.split()[1]) * 1024
        for thread in os.listdir(f"/proc/{pid}/task"):
            for line in lines_of(f"/proc/{pid}/task/{thread}/schedstat"):
                self.cpu_s += int(line.split()[0]) / 1e9
            for line in lines_of(f"/proc/{pid}/task/{thread}/status"):
                if line.startswith("voluntary_ctxt_switches:"):
                    self.wakeups += int(line.split()[1])

    def since(self, before):
        between = Usage([])
        for figure in ("cpu_s", "written", "wakeups"):
            setattr(between, figure, getattr(self, figure) - getattr(before, figure))
        return between


def lines_of(path):
    try:
        with open(path) as file:
            return file.readlines()
    except OSError:
        return []


# Trees and disks. A path is bytes, relative to the folder.

def walk(top):
    """(path, lstat) of everything below, but not of what the programs keep for themselves. Parents come first."""
    pending = [b""]
    while pending:
        directory = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(os.fsencode(top), directory)))
        except FileNotFoundError:
            continue  # it went while we looked
        for entry in entries:
            path = os.path.join(directory, entry.name)
            if path in OWN:
                continue
            try:
                yield path, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)


def copy_tree(source, target):
    done = subprocess.run(["cp", "-a", "--", f"{source}/.", target], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace"))


def disk_use(top):
    """Allocated bytes, everything included, each inode once (as du has it)."""
    inodes = {}
    for directory, _, files in os.walk(top):
        for name in files:
            try:
                status = os.lstat(os.path.join(directory, name))
                inodes[status.st_ino] = status.st_blocks * 512
            except FileNotFoundError:
                pass
    return sum(inodes.values())


def differences(a, b, unread=None):
    """One line for each path that two folders do not hold alike: type, mode, size and time of a file, every byte.

    Below `unread` no bytes: for what nobody touches.
    """
    in_a, in_b = dict(walk(a)), dict(walk(b))
    lines = [f"{path!r} is only in {a if path in in_a else b}" for path in in_a.keys() ^ in_b.keys()]
    for path in in_a.keys() & in_b.keys():
        one, other = in_a[path], in_b[path]
        if one.st_mode != other.st_mode:
            lines.append(f"{path!r}: mode {one.st_mode:o} and {other.st_mode:o}")
        elif stat.S_ISREG(one.st_mode):
            if one.st_mtime_ns != other.st_mtime_ns:
                lines.append(f"{path!r}: time {one.st_mtime_ns} and {other.st_mtime_ns}")
            if one.st_size != other.st_size:
                lines.append(f"{path!r}: {one.st_size} and {other.st_size} bytes")
            elif not (unread and path.startswith(unread)) and not same_bytes(os.path.join(os.fsencode(a), path), os.path.join(os.fsencode(b), path)):
                lines.append(f"{path!r}: the bytes differ")
    return sorted(lines)


def same_bytes(a, b):
    with open(a, "rb", buffering=0) as one, open(b, "rb", buffering=0) as other:
        while True:
            block = one.read(BLOCK)
            if block != other.read(BLOCK):
                return False
            if not block:
                return True


def filesystem_of(directory):
    """(type, device, mount point) of what the directory lies on."""
    directory = os.path.realpath(directory)
    best = ("?", "?", "")
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            place, kind, device = fields[4], *fields[fields.index("-") + 1:][:2]
            inside = directory == place or directory.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(best[2]):
                best = (kind, device, place)
    return best


# What is waited for.

class Complete:
    """Some folders have these entries: sizes and times to the nanosecond; and others no more.

    Every program here sets a file's time last, or before the file gets its name. An entry that was there once
    is not looked at again, and a look ends with the first that is not: it costs one lstat while nothing has come.
    """

    interval_s = 0.005
    quiet_s = 0

    def __init__(self, folders, entries, gone=(), durable=False):
        """`entries`: (path, lstat) as of walk(); `durable`: the program must also say that it is."""
        self.durable = durable
        self.gone = [os.path.join(os.fsencode(folder), path) for folder in folders for path in gone]
        self.pending = [
            (os.path.join(os.fsencode(folder), path), None if stat.S_ISDIR(status.st_mode) else
             (status.st_size, status.st_mtime_ns))
            for path, status in reversed(list(entries)) for folder in folders
        ]

    def reached(self):
        while self.pending:
            path, wanted = self.pending[-1]
            try:
                status = os.lstat(path)
            except OSError:
                return False
            if wanted and wanted != (status.st_size, status.st_mtime_ns):
                return False
            self.pending.pop()
        while self.gone:
            if os.path.lexists(self.gone[-1]):
                return False
            self.gone.pop()
        return True


class Equal(Complete):
    """As Complete, and one directory of unknown contents looks the same in all folders, and stays so.

    The end is the moment from which on it is equal, and that it was the last is known after a quiet while.
    """

    interval_s = 0.02
    quiet_s = 5

    def __init__(self, folders, entries_of, directory):
        """`entries_of`: for each folder what all the others must get."""
        super().__init__([], [])
        for folder, entries in entries_of.items():
            self.pending += Complete([f for f in folders if f != folder], entries).pending
        self.directories = [os.path.join(folder, directory) for folder in folders]

    def reached(self):
        return super().reached() and self.equal()

    def equal(self):
        pictures = [{path: (status.st_size, status.st_mtime_ns) for path, status in walk(directory)}
                    for directory in self.directories]
        return all(picture == pictures[0] for picture in pictures)
