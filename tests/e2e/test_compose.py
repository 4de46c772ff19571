"""The compose demo on a real engine: containers stop, die, restart and lose the network; the trees end equal."""

import decimal
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time

from cluster import Failure, Skip, check, until
from tree import Entry, differences

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from sealed import BUILD_S, BUILDING, TOP, docker, need_engine  # noqa: E402

NODES = ["node1", "node2", "node3", "node4"]
SOON_S = 5


def compose_command():
    need_engine()
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Skip("neither `docker compose` nor docker-compose here")


class Demo:
    """The project in docker-compose.yml, with what is laid over it, under a name of its own."""

    def __init__(self, *over):
        self.project = "-".join(["p2psync-e2e", str(os.getpid()), *(file.split(".")[1] for file in over)])
        files = [part for file in ("docker-compose.yml", *over) for part in ("-f", str(TOP / file))]
        self.command = [*compose_command(), "-p", self.project, *files]
        self.network = f"{self.project}_lan"
        self.ids = {}

    def compose(self, *arguments, timeout=180):
        done = subprocess.run([*self.command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout)
        text = done.stdout.decode(errors="replace")
        check(done.returncode == 0, lambda: f"{' '.join(arguments)}: exit {done.returncode}\n{text[-4000:]}")
        return text

    docker = staticmethod(docker)

    def up(self):
        with BUILDING:
            self.compose("build", timeout=BUILD_S)
        self.compose("up", "-d")
        self.ids = {node: self.compose("ps", "-q", node).strip() for node in NODES}

    def inspect(self, node, template):
        return self.docker("inspect", "-f", template, self.ids[node]).stdout.decode().strip()

    def wait_until_healthy(self, nodes=NODES):
        for node in nodes:
            until(lambda: self.inspect(node, "{{.State.Health.Status}}") == "healthy",
                  lambda: f"{node} to be healthy:\n{self.compose('logs', '--tail=20', node)}")

    def run_in(self, node, *command, must=True):
        return self.docker("exec", self.ids[node], *command, must=must)

    def user(self, node, script):
        self.run_in(node, "sh", "-c", f"cd /node/data && {script}")

    def status(self, node):
        return json.loads(self.run_in(node, "p2psync", "status", "--json", must=False).stdout)

    def tree(self, node):
        archive = self.run_in(
            node, "tar", "-C", "/node/data", "--exclude=./.p2psync", "--format=posix", "-cf", "-", ".").stdout
        entries = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                # tarfile's own mtime is a float, which has no room for nanoseconds.
                stamp = int(decimal.Decimal(member.pax_headers.get("mtime", str(int(member.mtime)))) * 10**9)
                path = os.fsencode(member.name).removeprefix(b"./")
                if member.isdir():
                    entries[path] = Entry("dir", member.mode & 0o777, 0, b"")
                elif member.issym():
                    entries[path] = Entry("link", 0, stamp, os.fsencode(member.linkname))
                else:
                    content = tar.extractfile(member).read()
                    entries[path] = Entry("file", member.mode & 0o777, stamp, hashlib.sha256(content).digest())
        entries.pop(b".", None)
        return entries

    def agree(self):
        for node in NODES:
            said = self.run_in(node, "p2psync", "status", "--wait", "60", must=False)
            check(said.returncode == 0, lambda: f"{node} does not agree:\n" + "\n".join(
                self.run_in(n, "p2psync", "status", must=False).stdout.decode() for n in NODES))
        statuses = {node: self.status(node) for node in NODES}
        for node, status in statuses.items():
            check(status["state"] == "in_sync", f"{node} is {status['state']}")
        roots = {status["root_digest"] for status in statuses.values()}
        check(len(roots) == 1, f"root digests differ: {roots}")
        trees = {node: self.tree(node) for node in NODES}
        for node in NODES[1:]:
            lines = differences(NODES[0], trees[NODES[0]], node, trees[node])
            check(not lines, lambda: "\n".join(lines))
        return trees[NODES[0]]

    def down(self):
        self.compose("down", "--volumes", "--timeout", "10")


def test_the_demo_in_containers(world):
    demo = Demo()
    try:
        steps(world, demo)
    except Failure:
        for node in NODES:
            world.note(f"--- {node}: " + demo.compose("logs", "--tail=15", node))
        raise
    finally:
        demo.down()


def steps(world, demo):
    demo.up()
    demo.wait_until_healthy()
    world.passed("build and up bring four healthy nodes")

    tree = demo.agree()
    copies = sorted(os.fsdecode(path) for path in tree if b".conflict-" in path)
    check(copies == ["agenda.md.conflict-node1", "agenda.md.conflict-node2", "agenda.md.conflict-node3",
                     "course/week3/exercise.txt.conflict-node1", "course/week3/exercise.txt.conflict-node3",
                     "notes/todo.txt.conflict-node4"], f"conflict copies: {copies}")
    for path in (b"inbox/empty", b"read-this-first", b"bin/greet", b"media/lecture.raw"):
        check(path in tree, f"{path!r} is missing")
    world.passed("all volumes hold the same tree, status says in_sync with equal root digests")

    for node in NODES:
        facts = demo.run_in(node, "sh", "-c",
                            "id -u; grep -e CapEff -e NoNewPrivs /proc/1/status; ls /node; ls -A /nodes/keys").stdout.split()
        check(facts == [b"65532", b"CapEff:", b"0000000000000000", b"NoNewPrivs:", b"1", b"cluster.toml", b"data", b"node.key"],
              f"{node}: {facts}")
        check(demo.run_in(node, "touch", "/usr/file", must=False).returncode != 0, f"{node} can write to its image")
    world.passed("the containers are sealed and hold no key but their own")

    demo.compose("stop", "node2")
    check(demo.inspect("node2", "{{.State.ExitCode}}") == "0", "node2 did not exit 0 when it was stopped")
    demo.user("node1", "echo 'while node2 was away' > away.txt && rm papers/parker-1983.txt")
    demo.user("node3", "mkdir -p new/dir && mv measurements new/dir/ && chmod 600 README.txt")
    demo.compose("start", "node2")
    demo.wait_until_healthy(["node2"])
    tree = demo.agree()
    check(b"away.txt" in tree and b"papers/parker-1983.txt" not in tree and b"new/dir/measurements/machines.csv" in tree,
          f"node2 missed something: {sorted(tree)}")
    world.passed("a stopped container catches up")

    for round in range(3):
        victim = NODES[round % 4]
        others = [node for node in NODES if node != victim]
        demo.user(victim, f"head -c 3000000 /dev/urandom > killed-{round}.bin")
        demo.docker("kill", demo.ids[victim])
        demo.user(others[0], f"echo {round} > away.txt")
        demo.user(others[1], f"seq {round} 200000 > long.txt")
        demo.docker("start", demo.ids[victim])
    demo.wait_until_healthy()
    tree = demo.agree()
    check(all(b"killed-%d.bin" % round in tree for round in range(3)), "a killed container's file is lost")
    check(not any(path.startswith((b"away.txt.", b"long.txt.")) for path in tree), f"conflicts from nothing: {sorted(tree)}")
    world.passed("killed containers come back and catch up")

    demo.docker("network", "disconnect", demo.network, demo.ids["node3"])
    until(lambda: demo.status("node3")["state"] == "isolated", "node3 to be isolated")
    demo.user("node3", "echo 'written while cut off' > cut.txt; echo 'by node3' > away.txt; touch -d 2031-01-01 away.txt")
    demo.user("node1", "echo 'by node1' > away.txt; rm killed-1.bin")
    demo.user("node4", "mv bin tools")
    demo.docker("network", "connect", "--alias", "node3", demo.network, demo.ids["node3"])
    tree = demo.agree()
    check(b"cut.txt" in tree and b"tools/greet" in tree and b"bin/greet" not in tree and b"killed-1.bin" not in tree,
          f"something was missed: {sorted(tree)}")
    check(b"away.txt.conflict-node1" in tree, "two edits apart made no conflict copy")
    check(demo.run_in("node2", "cat", "/node/data/away.txt").stdout == b"by node3\n", "the later edit lost the name")
    world.passed("a container that was cut off the network catches up, and a conflict is kept on all")

    demo.compose("restart")
    demo.wait_until_healthy()
    check(demo.agree() == tree, "restarting all changed the tree")
    demo.user("node2", "rm agenda.md agenda.md.conflict-*")
    demo.agree()
    demo.compose("up", "-d")
    demo.wait_until_healthy()
    check(not any(path.startswith(b"agenda.md") for path in demo.agree()), "a second `up` brought deleted files back")
    world.passed("restarting all and a second `up` change nothing")


# With docker-compose.lan.yml: nobody has an address in its configuration.


def address_of(demo, container):
    return demo.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).stdout.decode().strip()


def meet(demo, since):
    """Every node is connected with all others, each at the address that it has; returns the seconds that it took."""
    places = {node: f"{address_of(demo, demo.ids[node])}:7744" for node in NODES}
    def look():
        answers = [demo.run_in(node, "p2psync", "status", "--json", must=False).stdout for node in NODES]
        peers = [peer for answer in answers if answer for peer in json.loads(answer)["peers"]]
        return len(peers) == 12 and all(peer["connected"] and peer["address"] == places[peer["name"]] for peer in peers)
    until(look, lambda: f"all to have found each other at {places}:\n" + "\n".join(
        demo.run_in(node, "p2psync", "status", must=False).stdout.decode() for node in NODES), SOON_S)
    return time.monotonic() - since


def test_the_demo_without_addresses(world):
    demo = Demo("docker-compose.lan.yml")
    fillers = []
    try:
        steps_without_addresses(world, demo, fillers)
    except Failure:
        for node in NODES:
            world.note(f"--- {node}: " + demo.compose("logs", "--tail=15", node))
        raise
    finally:
        for filler in fillers:
            demo.docker("rm", "-f", filler, must=False)
        demo.down()


def steps_without_addresses(world, demo, fillers):
    demo.up()
    world.note(f"found {meet(demo, time.monotonic()):.2f} s after `up` had started them all")
    for node in NODES:
        check(demo.run_in(node, "grep", "-c", "^address", "/node/cluster.toml", must=False).stdout == b"0\n",
              f"{node} has addresses in its configuration")
    demo.agree()
    world.passed("members without addresses find each other and agree")

    for way in ("stop", "kill"):
        before = address_of(demo, demo.ids["node2"])
        demo.docker(way, demo.ids["node2"])
        demo.docker("network", "disconnect", demo.network, demo.ids["node2"])
        demo.user("node1", f"echo {way} > while-node2-was-away")
        # Somebody else has its address from now on.
        until(lambda: before in [address_of(demo, filler) for filler in fillers] or fillers.append(demo.docker(
            "run", "-d", "--rm", "--network", demo.network, "--entrypoint", "sleep", "p2psync", "600").stdout.decode().strip()),
            f"another container to have {before}")
        demo.docker("network", "connect", demo.network, demo.ids["node2"])
        demo.docker("start", demo.ids["node2"])
        took = meet(demo, time.monotonic())
        after = address_of(demo, demo.ids["node2"])
        check(after != before, f"node2 has its old address {before}")
        world.note(f"after `{way}`, back at {after} instead of {before}: found {took:.2f} s after its start")
        check(demo.run_in("node2", "true").returncode == 0 and b"while-node2-was-away" in demo.agree(), "node2 missed something")
        world.passed(f"after `{way}`, a container that comes back with another address is found")
