"""Who means harm: each test names the threat. (Who gets in at all is in `test_strangers`.)"""

import collections
import ctypes
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import syscalls
import tree
from cluster import Skip, Unable, check, until
from member import (BLOCK, DIRECTORY, ENTRIES, FILE, HAVE, RANGES, SYMLINK, VECTORS, Member, certificate, fixed, number,
                    path_entry, push, several, text, version)

MIB = 1024 * 1024


def memory_peak(node):
    """The most that its process ever had, in bytes."""
    with open(f"/proc/{node.process.pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024


def open_files(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


# Paths.

BAD_PATHS = [
    "..", "../canary", "../../canary", "a/../../canary", "a/..", "./a", "a/.", ".", "", "/", "/canary", "//canary", "a//b", "a/",
    "a\0b", "a/\0", "..\0", ".p2psync", ".p2psync/tmp/x", ".p2psync/index.db", "n" * 256, "a/" + "n" * 256, "a/" * 2048 + "b",
    "x/" * 1024 + "x",
]


def test_traversal_no_path_of_a_member_leads_outside(world):
    cluster = world.cluster(2)
    victim, liar = cluster.nodes
    outside = world.directory("outside")
    # All around the folder, where a path that leads out of it would come by.
    for canary in (f"{outside}/file", f"{cluster.directory}/canary", f"{world.scratch}/canary"):
        with open(canary, "w") as file:
            file.write("outside")
    before = look_outside(world, victim)
    victim.start()
    own_directory = sorted(os.listdir(victim.path(".p2psync")))
    cert = certificate(world, liar.name, liar.key)
    sequence = itertools.count(1)
    entry = lambda member, path, what: push([path_entry(path, (member.own, 1), next(sequence), what)])
    tries = 0
    for path in BAD_PATHS + [f"{outside}/file", f"proc/self/root{outside}/../canary"]:
        for what in (version(DIRECTORY), version(SYMLINK, outside)):
            with Member(world, victim, liar, cert) as member:
                member.greet()
                member.say(ENTRIES, entry(member, path, what))
                member.wait_until_cut_off()
            tries += 1
    refused = lambda: re.findall(r"lost node2 at \S+: decode .*: corrupt", victim.last_words(10**6))
    until(lambda: len(refused()) == tries, lambda: f"{tries} paths to be refused, not {len(refused())}")
    check(not tree.read_tree(victim.folder), "something came in")

    # Paths that are good, with links to places outside where their directories should be.
    with Member(world, victim, liar, cert) as member:
        member.greet()
        for path, what in (("out", version(SYMLINK, outside)), ("out/directory", version(DIRECTORY)),
                           ("out/file", version(SYMLINK, "x")), ("up", version(SYMLINK, "../..")),
                           ("up/canary", version(DIRECTORY)), ("good", version(DIRECTORY))):
            member.say(ENTRIES, entry(member, path, what))
        expected = {b"out", b"out.conflict-node1", b"out/directory", b"out/file", b"up", b"up.conflict-node1", b"up/canary", b"good"}
        until(lambda: tree.read_tree(victim.folder).keys() == expected,
              lambda: f"the good paths to come in: {sorted(tree.read_tree(victim.folder))}")
    victim.stop()
    check(look_outside(world, victim) == before, lambda: f"outside: {before} became {look_outside(world, victim)}")
    check(not set(os.listdir(victim.path(".p2psync"))) - set(own_directory), "the node's own directory changed")


def look_outside(world, node):
    """What no path in its folder may reach: names, inodes, kinds, times and bytes."""
    seen = {"outside": sorted(os.listdir(f"{world.scratch}/outside"))}
    for path in (f"{world.scratch}/canary", f"{node.cluster.directory}/canary", f"{world.scratch}/outside/file"):
        about = os.lstat(path)
        with open(path, "rb") as file:
            seen[path] = (about.st_ino, about.st_mode, about.st_nlink, about.st_mtime_ns, about.st_ctime_ns, file.read())
    return seen


# Memory and sockets.

def path_run(directory, names):
    """Paths in order: of each how much it has in common with the one before, and the rest."""
    out, before = [number(0) + text(directory + names[0])], names[0]
    for name in names[1:]:
        shared = len(os.path.commonprefix([before, name]))
        out.append(number(len(directory) + shared) + text(name[shared:]))
        before = name
    return out


def bombs():
    """Each at most a frame, which asks for far more. What it is, the kind and body of the frame, and why it is refused."""
    endless = number(2**62)
    event = lambda i: fixed(i) + fixed(1) + number(1)
    knowledge = several(event(i) for i in range(1, 4001))
    rows = several(fixed(i) + number(1) + number(0) for i in range(1, 90_001))
    long = path_run("d/" * 2000, [f"{i:08x}" for i in range(100_000)])
    ranges = several(lower + upper + number(0) for lower, upper in zip(long[::2], long[1::2]))
    return [
        ("a vector of 2^62 events", VECTORS, endless, "a count beyond the bytes"),
        ("2^62 ranges", ENTRIES, bytes(3) + endless, "a count beyond the bytes"),
        ("2^62 entries", ENTRIES, bytes(4) + endless, "a count beyond the bytes"),
        ("a path of 2^62 bytes", ENTRIES, bytes(4) + number(1) + endless + bytes(40), "bytes missing"),
        ("a frame that is all counts", ENTRIES, number(2**62) * 100_000, "a count beyond the bytes"),
        ("one vector 90,000 times", VECTORS, knowledge + rows, "too much that is held"),
        ("one long path 100,000 times", RANGES, fixed(1) + number(0) + number(0) + ranges, "too many paths"),
        ("a block of 2^62 bytes", BLOCK, number(1) + b"\1" + endless, "bytes missing"),
        ("2^62 chunks", HAVE, bytes(32) + number(0) + endless, "a count beyond the bytes"),
    ]


def test_memory_has_a_ceiling_under_bombs(world):
    cluster = world.cluster(2)
    victim, liar = cluster.nodes
    victim.start()
    cert = certificate(world, liar.name, liar.key)
    before = memory_peak(victim)

    def throw(how):
        with Member(world, victim, liar, cert) as member:
            how(member)
            member.wait_until_cut_off()

    def greet_and_say(kind, body):
        return lambda member: (member.greet(), member.say(kind, body))

    thrown, reasons = bombs(), collections.Counter()
    for name, kind, body, reason in thrown:
        check(len(body) <= MIB, f"{name} has no place in a frame")
        reasons[reason] += 1
        throw(greet_and_say(kind, body))
        until(lambda: victim.last_words(10**6).count(f": decode {reason}: corrupt") == reasons[reason],
              lambda: f"{name} to be refused as {reason}:\n{victim.last_words()}")
    # A header alone asks for 4 GiB; before Hello it may not even ask for 17 KiB.
    throw(lambda member: (member.greet(), member.say_raw(struct.pack(">IB", 2**32 - 1, ENTRIES))))
    throw(lambda member: member.say_raw(struct.pack(">IB", 17 * 1024, ENTRIES)))
    # A file of 8 EiB may be announced. It gets no place before its bytes are here.
    with Member(world, victim, liar, cert) as member:
        member.greet()
        huge = version(FILE, size=2**63 - 1, content=bytes(range(32)))
        member.say(ENTRIES, push([path_entry("huge", (member.own, 1), 1, huge)]))
        until(lambda: victim.status()["pending"]["files"] == 1, "it to know of the file")
    grown = memory_peak(victim) - before
    world.note(f"{len(thrown) + 3} bombs: peak {before / MIB:.1f} MiB before, {grown / MIB:.1f} MiB more after")
    check(grown < 48 * MIB, f"memory grew by {grown / MIB:.1f} MiB")


HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX = 64, 16  # net/transport.h
CHANGING = 16  # files that are open for a moment, and sockets that are being refused


class Slowloris:
    """Sockets from several addresses that say the beginning of a ClientHello, a byte now and then. Those that are hung up
    on call again."""

    HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)

    def __init__(self, node, sockets, addresses):
        self.node = node
        self.sockets = sockets
        self.addresses = [f"127.0.{1 + i}.7" for i in range(addresses)]
        self.held = {}  # socket: address, bytes said
        self.calls = 0
        self.over = False
        self.thread = threading.Thread(target=self._live)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        for each in self.held:
            each.close()

    def _connected(self):
        """Those that the node has accepted, as the kernel knows: inode and address. The table is read piece by piece while
        hundreds come and go in a second, so some are in it with those that took their place."""
        accepted = set()
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}") as file:
                for line in list(file)[1:]:
                    _, local, remote, state, *_, inode = line.split()[:10]
                    address = socket.inet_ntoa(bytes.fromhex(remote.split(":")[0][-8:])[::-1])
                    if state == "01" and inode != "0" and int(local.split(":")[1], 16) == self.node.port:
                        accepted.add((inode, address))
        return accepted

    def by_address(self):
        """How many of each address the node held at one instant: what was there before it and after it."""
        held = collections.Counter(address for _, address in self._connected() & self._connected())
        return {address: held[address] for address in self.addresses}

    def _call(self, address):
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((address, 0))
        sock.connect_ex(("127.0.0.1", self.node.port))
        self.held[sock] = address, 0
        self.calls += 1

    def _live(self):
        for i in range(self.sockets):
            self._call(self.addresses[i % len(self.addresses)])
        while not self.over:
            for sock, (address, said) in list(self.held.items()):
                try:
                    sock.send(self.HELLO[said:said + 1])
                    self.held[sock] = address, min(said + 1, len(self.HELLO) - 1)
                    hung_up = sock.recv(4096) == b""
                except BlockingIOError:
                    hung_up = False  # or not yet connected
                except OSError:
                    hung_up = True
                if hung_up:
                    del self.held[sock]
                    sock.close()
                    self._call(address)
            time.sleep(0.2)  # else none is held for long enough to be counted


def test_slowloris_a_thousand_sockets_keep_no_member_out(world):
    cluster = world.cluster(3).start()
    victim = cluster[1]
    victim.write("before", "x")
    cluster.agree()
    memory, files = memory_peak(victim), open_files(victim)
    with Slowloris(victim, sockets=1000, addresses=20) as crowd:
        until(lambda: sum(crowd.by_address().values()) >= HALF_OPEN_MAX / 2, "the crowd to have taken what room there is")
        until(lambda: crowd.calls >= 2000, "each of them to have called again")
        # Members who are connected go on, also through the node that is besieged, and one that comes back gets in.
        cluster[2].write("during", os.urandom(3 * MIB))
        cluster[3].stop()
        cluster[3].write("while it was away", "y")
        cluster[3].start()
        seen = []
        for _ in range(50):
            seen.append(crowd.by_address())
            check(open_files(victim) <= files + HALF_OPEN_MAX + CHANGING, f"{open_files(victim)} files are open, {files} before")
        until(lambda: cluster[3].peer("node1")["connected"], "node3 to get in")
        check(cluster.agree().keys() >= {b"during", b"while it was away"}, "not all arrived")
    together, of_one = max(sum(each.values()) for each in seen), max(max(each.values()) for each in seen)
    grown = memory_peak(victim) - memory
    world.note(f"{crowd.calls} calls; {together} of them were held at once, {of_one} of one address; {grown / MIB:.1f} MiB more memory")
    check(together <= HALF_OPEN_MAX + 1, f"{together} were held at once")  # one that is being refused
    check(grown < 48 * MIB, f"memory grew by {grown / MIB:.1f} MiB")


def test_slowloris_one_address_gets_no_more_than_its_share(world):
    cluster = world.cluster(2).start()
    with Slowloris(cluster[1], sockets=100, addresses=1) as crowd:
        until(lambda: crowd.calls >= 300, "them to have called again and again")
        until(lambda: max(crowd.by_address().values()) >= HALF_OPEN_PER_ADDRESS_MAX / 2, "them to have taken their share")
        seen = [max(crowd.by_address().values()) for _ in range(50)]
        cluster[2].write("during", "x")
        check(b"during" in cluster.agree(), "what was written did not arrive")
    world.note(f"at most {max(seen)} were held at once")
    check(max(seen) <= HALF_OPEN_PER_ADDRESS_MAX + 1, f"{max(seen)} were held at once")  # one that is being refused


# What the kernel is asked.

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def swap(node, over, swaps):
    """A user who has a directory and a link to a place outside change places, all the time."""
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    while not over.is_set():
        if rename(AT_FDCWD, node.path("d"), AT_FDCWD, node.path("link"), RENAME_EXCHANGE) == 0:
            swaps.append(1)


def audited(world, *more):
    """A node of two lives under strace while the other pushes and a user swaps links in. Its log, and all that it named."""
    if not shutil.which("strace"):
        raise Skip("there is no strace (Debian package strace)")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        raise Unable("no process may be traced here")
    cluster = world.cluster(2)
    one, two = cluster.nodes
    outside = world.directory("outside")
    trace = os.path.join(world.scratch, "trace")
    one.command = [*syscalls.STRACE, *more, "-o", trace]
    cluster.start()
    for node, name in ((one, "before"), (two, "tree/of/the/other")):
        node.write(name, "x" * 1000)
    one.write("d/file", "in the directory")
    os.symlink(outside, one.path("link"))
    cluster.agree()
    over, swaps = threading.Event(), []
    user = threading.Thread(target=swap, args=(one, over, swaps))
    user.start()
    try:
        for i in range(20):
            for name in ("d/file", f"d/new{i}", f"d/below/new{i}", f"tree/{i}"):
                two.write(name, f"{i} of the other" * 1000)
        two.write("large", os.urandom(3 * MIB))
        os.rename(two.path("tree"), two.path("moved"))
        os.symlink("/etc/passwd", two.path("to passwd"))
        os.unlink(two.path("before"))
        shutil.rmtree(two.path("d/below"))
        os.mkdir(two.path("empty"), 0o500)
        until(lambda: len(swaps) > 1000, "a thousand swaps")
        until(lambda: one.exists("moved/19") and one.exists("large"), "what the other did to arrive")
    finally:
        over.set()
        user.join()
    cluster.agree()
    one.stop()
    text = until(lambda: finished(trace), "strace to have written all")
    check(not os.listdir(outside), f"outside there is {os.listdir(outside)} now")
    return one, text


def finished(trace):
    with open(trace, errors="surrogateescape") as file:
        text = file.read()
    return text if re.search(r"\+\+\+ exited with \d+ \+\+\+\n$", text) else None


def check_names(world, node, trace):
    folder = os.path.realpath(node.folder)
    above = {os.path.normpath(os.path.join(folder, *[".."] * up)) for up in range(folder.count("/"))}
    given = {world.binary, node.config, node.key, node.folder, folder} | above
    names = list(syscalls.named(trace))
    problems = collections.Counter(f"{why}: {name.call} {name.directory!r} {name.path!r}"
                                   for name in names if (why := syscalls.problem(name, folder, given)))
    by_descriptor = [name for name in names if name.directory and name.path]
    world.note(f"{len(names)} paths were named, {len(by_descriptor)} of them below a descriptor, in "
               f"{len({name.call for name in names})} kinds of calls")
    check(not problems, "\n".join(f"{count} times {what}" for what, count in problems.most_common(20)))
    kinds = {name.call for name in by_descriptor}
    check({"statx", "renameat2", "unlinkat", "mkdirat", "symlinkat"} <= kinds, f"the trace is not whole: {sorted(kinds)}")
    return kinds


def test_strace_would_show_a_path_outside(world):
    beneath = "resolve=RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH}, 24) = 5"
    good = ['openat(3</f>, ".", O_RDONLY|O_NOFOLLOW) = 4', f'openat2(3</f>, "a/b", {{flags=O_RDONLY, {beneath}',
            'statx(4</f/a>, "", AT_EMPTY_PATH, STATX_BASIC_STATS, {}) = 0', 'openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 5',
            'chmod("/proc/self/fd/7", 0700) = 0', 'symlinkat("/etc/passwd", 4</f/a>, "link") = 0',
            'readlinkat(4</f/a>, "link", "/etc/passwd", 4096) = 11', 'bind(5, {sa_family=AF_UNIX, sun_path=@"x"}, 5) = 0',
            'renameat2(4</f/a>, "x", 4</f/a>, "y", RENAME_EXCHANGE) = 0', 'openat(AT_FDCWD, "/given", O_RDONLY) = 5',
           'statx(4</f/a>(deleted), "x", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, 0x7f) = -1 ENOENT']
    bad = ['openat(3</f>, "a", O_RDONLY) = 4', 'openat(3</f>, "a/b", O_RDONLY|O_NOFOLLOW) = 4',
           'openat2(3</f>, "a/b", {flags=O_RDONLY, resolve=RESOLVE_BENEATH}, 24) = 4', f'openat2(3</f>, "../b", {{flags=0, {beneath}',
           'openat(9</fake>, "a", O_RDONLY|O_NOFOLLOW) = 4', 'openat(AT_FDCWD, "/tmp/x", O_RDONLY) = 4',
           'openat(AT_FDCWD, "/etc/hosts", O_RDWR) = 4', 'openat(AT_FDCWD, "/given", O_WRONLY|O_CREAT) = 4', 'unlink("/given") = 0',
           'unlinkat(9</>, "etc", 0) = 0', 'renameat2(4</f/a>, "x", 9</tmp>, "y", 0) = 0', 'chmod("/f/a", 0700) = 0',
           'linkat(4</f/a>, "x", 4</f/a>, "y", AT_SYMLINK_FOLLOW) = 0', 'statx(4</f/a>, "x", 0, STATX_BASIC_STATS, {}) = 0',
           'symlinkat("x", 9</tmp>, "link") = 0', 'fchmodat(4</f/a>, "x", 0700) = 0', 'connect(5, {sun_path="/run/x"}, 5) = 0',
           'open("x", O_RDONLY) = 4']
    seen = lambda line: any(syscalls.problem(name, "/f", {"/given"}) for name in syscalls.named("1 " + line))
    check([line for line in good if seen(line)] == [], lambda: f"taken for bad: {[line for line in good if seen(line)]}")
    check([line for line in bad if not seen(line)] == [], lambda: f"not seen: {[line for line in bad if not seen(line)]}")


def test_strace_no_system_call_names_a_path_outside(world):
    node, trace = audited(world)
    check("openat2" in check_names(world, node, trace), "openat2 was not used")


def test_strace_no_system_call_names_a_path_outside_where_openat2_is_filtered(world):
    node, trace = audited(world, "-e", "inject=openat2:error=EPERM")
    check_names(world, node, trace)
    check("openat2 is missing or filtered" in node.last_words(10**6), "it does not say that it resolves names itself")
