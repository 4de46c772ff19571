"""Real nodes on loopback: makes a cluster in a scratch directory, runs it, and looks at it from outside.

A node is one process of the program. Nothing here waits for a time to pass: it polls for the event, up to
a deadline, and the failure says what it waited for.
"""

import itertools
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import tree

# Generous: a loaded machine with two cores and a sanitised program must pass too. What is fast is fast.
PATIENCE_S = 60
STOP_S = 5  # the interface's promise


class Skip(Exception):
    """This test cannot run here; the text says why."""


class Unable(Skip):
    """Nor could this machine be made to run it by installing something: no privilege, no such kernel."""


class Failure(Exception):
    """A check did not hold; the text says which."""


def check(condition, what):
    if not condition:
        raise Failure(what() if callable(what) else what)


def until(look, what, seconds=PATIENCE_S):
    """Polls `look` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds} s for: {what() if callable(what) else what}")
        time.sleep(0.02)


# Below the kernel's range for outgoing connections, so that nobody gets one between our look and the node's bind.
_ports = itertools.cycle(range(10000 + os.getpid() * 131 % 15000, 30000))
_ports_lock = threading.Lock()


def free_port():
    with _ports_lock:
        while True:
            port = next(_ports)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue


class World:
    """What one test gets: the program, a scratch directory, and clusters that end with the test."""

    def __init__(self, binary, options):
        self.binary = binary
        self.options = options
        # Not under a long $TMPDIR: what long paths do is a test of its own.
        self.scratch = tempfile.mkdtemp(prefix="p2psync-e2e.")
        self.clusters = []
        self.notes = []
        self.steps = []

    def passed(self, sentence):
        """A test of several parts has shown this one; it counts on its own."""
        self.steps.append(sentence)

    def note(self, text):
        """A line for the report, shown under the test."""
        self.notes.append(text)

    def directory(self, name):
        path = os.path.join(self.scratch, name)
        os.makedirs(path)
        return path

    def p2psync(self, *arguments, env=None, cwd=None, timeout=PATIENCE_S):
        return subprocess.run(
            [self.binary, *map(os.fsencode, map(str, arguments))],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, cwd=cwd,
            env=environment(env or {}))

    def cluster(self, members=4, **options):
        cluster = Cluster(self, os.path.join(self.scratch, f"c{len(self.clusters)}"), members, **options)
        self.clusters.append(cluster)
        return cluster

    def close(self, failed):
        problems = []
        for cluster in self.clusters:
            problems += cluster.close()
        if failed or problems:
            for cluster in self.clusters:
                for node in cluster.nodes:
                    self.note(f"--- {node.name}: {node.last_words()}")
        if not (self.options.keep and (failed or problems)):
            # Modes without r or x may stand in the trees; root does not care, others do.
            subprocess.run(["chmod", "-R", "u+rwX", self.scratch], stderr=subprocess.DEVNULL)
            shutil.rmtree(os.fsencode(self.scratch), ignore_errors=True)
        else:
            self.note(f"kept: {self.scratch}")
        return problems


def environment(more):
    """Ours without settings of the caller that would reach the program, with those given here."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("P2PSYNC_")}
    return clean | more


class Cluster:
    def __init__(self, world, directory, members, settings=None, folders=None, hosts=None):
        """`hosts`: for each node its address (None: to be found) and the command that runs a program there."""
        self.world = world
        self.directory = directory
        self.settings = {
            "P2PSYNC_HTTP_LISTEN": "",  # one port would be wanted by every node
            "P2PSYNC_GOSSIP_INTERVAL": "300ms",
        } | (settings or {})
        self.nodes = [
            Node(self, f"node{i + 1}", (folders or {}).get(f"node{i + 1}"), hosts[i] if hosts else None)
            for i in range(members)
        ]
        made = world.p2psync(
            "init-cluster", "--out", directory,
            *(f"{n.name}={n.address}" if n.address else n.name for n in self.nodes))
        check(made.returncode == 0, f"init-cluster: {made.stderr!r}")
        for node in self.nodes:
            os.makedirs(node.folder, exist_ok=True)

    def __getitem__(self, number):
        """cluster[1] is node1."""
        return self.nodes[number - 1]

    def start(self, *nodes):
        for node in nodes or self.nodes:
            node.spawn()
        for node in nodes or self.nodes:
            node.wait_until_it_answers()
        return self

    def running(self):
        return [node for node in self.nodes if node.process]

    def agree(self, seconds=PATIENCE_S, nodes=None):
        """Waits until the nodes say that they agree, and their trees are equal. Returns the tree."""
        nodes = nodes or self.nodes
        deadline = time.monotonic() + seconds
        left = lambda: max(1, int(deadline - time.monotonic()))
        while True:
            for node in nodes:
                # Each looks at its own disk first, so that what was written just now counts.
                said = node.p2psync("status", "--wait", left(), timeout=left() + PATIENCE_S)
                check(said.returncode == 0, lambda: f"{node.name} does not agree in time:\n{self.picture()}")
            states = [node.status() for node in nodes]
            trees = [tree.read_tree(node.folder) for node in nodes]
            if all(state["state"] == "in_sync" for state in states) and all(
                t == trees[0] and s["root_digest"] == states[0]["root_digest"]
                for t, s in zip(trees, states)):
                return trees[0]
            if time.monotonic() > deadline:
                lines = [
                    line for node, other in zip(nodes[1:], trees[1:])
                    for line in tree.differences(nodes[0].name, trees[0], node.name, other)
                ]
                raise Failure("the trees are not equal:\n" + "\n".join(lines) + "\n" + self.picture())

    def picture(self):
        return "\n".join(node.p2psync("status").stdout.decode(errors="replace") for node in self.running())

    def close(self):
        """Ends every node; what they did wrong on the way out."""
        problems = []
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            if not node.process:
                continue
            try:
                code = node.process.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                node.process.kill()
                code = node.process.wait()
                problems.append(f"{node.name} did not stop within {PATIENCE_S} s")
            node.process = None
            if code != 0:
                problems.append(f"{node.name} ended with {code}")
        return problems


class Node:
    def __init__(self, cluster, name, folder=None, host=None):
        self.cluster = cluster
        self.world = cluster.world
        self.name = name
        if host:
            self.address, self.command = host
        else:
            self.address, self.command = f"127.0.0.1:{free_port()}", []
        self.port = int(self.address.rpartition(":")[2]) if self.address else 7744
        self.folder = folder or os.path.join(cluster.directory, name)
        self.key = os.path.join(cluster.directory, f"{name}.key")
        self.config = os.path.join(cluster.directory, "cluster.toml")
        self.log = os.path.join(cluster.directory, f"{name}.log")
        self.process = None

    # The process.

    def place(self):
        return ["-c", self.config, "--folder", self.folder, "--key", self.key]

    def spawn(self, *more):
        check(self.process is None, f"{self.name} runs already")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, self.world.binary, "run", *self.place(), *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(self.cluster.settings))

    def start(self):
        self.spawn()
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        def look():
            code = self.process.poll()
            check(code is None, lambda: f"{self.name} ended with {code} at its start:\n{self.last_words()}")
            said = self.p2psync("status", "--json")
            return said.returncode == 0
        until(look, lambda: f"{self.name} to answer:\n{self.last_words()}")

    def stop(self):
        """SIGTERM, as a service manager would; returns the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        took = time.monotonic() - started
        self.process = None
        check(code == 0, lambda: f"{self.name} ended with {code} on SIGTERM:\n{self.last_words()}")
        return took

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def last_words(self, lines=15):
        try:
            with open(self.log, "r", errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    # What it says.

    def p2psync(self, command, *arguments, timeout=PATIENCE_S):
        return self.world.p2psync(command, *self.place(), *arguments, timeout=timeout)

    def status(self):
        said = self.p2psync("status", "--json")
        try:
            return json.loads(said.stdout)
        except ValueError:
            raise Failure(f"{self.name} status --json: {said.returncode} {said.stdout!r} {said.stderr!r}")

    def peer(self, name):
        return next(peer for peer in self.status()["peers"] if peer["name"] == name)

    # What a user does in its folder. Paths are relative, str or bytes.

    def path(self, relative=b""):
        return os.path.join(os.fsencode(self.folder), os.fsencode(relative))

    def save(self, relative, content, mtime=None):
        """A file in one step, as editors do; in the place of one it keeps that one's mode. Of what is written in place the
        node may see a version half done, and tell it, which matters to who counts versions or says that there is none."""
        path, aside = self.path(relative), os.path.join(self.cluster.directory, "aside")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        if os.path.exists(path):
            os.chmod(aside, stat.S_IMODE(os.stat(path).st_mode))
        if mtime is not None:
            set_mtime(aside, mtime)
        os.rename(aside, path)

    def write(self, relative, content, mtime=None, mode=None):
        path = self.path(relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            os.chmod(path, mode)
        if mtime is not None:
            set_mtime(path, mtime)

    def read(self, relative):
        with open(self.path(relative), "rb") as file:
            return file.read()

    def exists(self, relative):
        return os.path.lexists(self.path(relative))


def set_mtime(path, seconds):
    """Exactly, in whole nanoseconds: pass an int of seconds or a pair (seconds, nanoseconds)."""
    whole, nanoseconds = seconds if isinstance(seconds, tuple) else (seconds, 0)
    stamp = whole * 1_000_000_000 + nanoseconds
    os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
