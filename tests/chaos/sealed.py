"""Nodes in containers of a Docker engine on this machine, hardened as docker-compose.yml has it.

Each has a small disk of its own: an ext4 in a file that is mounted here, where the users are, and by the engine as the
container's volume; it is one file system, whichever mount somebody comes by. All are on one internal network, where
they find each other by name. Whatever is made here goes with close().
"""

import concurrent.futures
import contextlib
import ipaddress
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import threading

from cluster import PATIENCE_S, Cluster, Failure, Node, Skip, Unable, check, until
from machine import MAKE, mount, need, tool, unmount

TOP = pathlib.Path(__file__).resolve().parents[2]
COMPOSE = TOP / "docker-compose.yml"
BUILD_S = 1800
ANSWER_S = 600  # of an engine with other work on its hands
BUILDING = threading.Lock()  # the second finds all done
USER = 65532  # of the Dockerfile
PLACE = "/node"
SUBNETS = ipaddress.ip_network("10.77.0.0/16")
FLAGS = {"read_only": "--read-only", "cap_drop": "--cap-drop", "security_opt": "--security-opt", "tmpfs": "--tmpfs",
         "pids_limit": "--pids-limit", "mem_limit": "--memory"}


def need_engine():
    if not shutil.which("docker"):
        raise Skip("no docker here")
    answer = subprocess.run(["docker", "version"], capture_output=True, text=True)
    if answer.returncode != 0:
        raise Skip(f"no Docker engine answers: {answer.stderr.strip()}")


def docker(*arguments, must=True, timeout=ANSWER_S):
    done = subprocess.run(["docker", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    check(done.returncode == 0 or not must, lambda: f"docker {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done


def said(*arguments):
    return docker(*arguments).stdout.decode().strip()


def build_image(tag):
    with BUILDING:
        docker("build", "-q", "-t", tag, TOP, timeout=BUILD_S)
    return tag


def sealing():
    """The flags for what docker-compose.yml has under x-sealed; nothing of it is passed over."""
    block = re.search(r"^x-sealed:.*\n((?:  .+\n)+)", COMPOSE.read_text(), re.MULTILINE)[1]
    flags = []
    for line in block.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "image":
            continue
        check(key in FLAGS, f"{COMPOSE.name}: no flag is known for {key}")
        for part in re.findall(r'"([^"]+)"|([^\s,\[\]"]+)', value):
            flags.append(f"{FLAGS[key]}={part[0] or part[1]}")
    return flags


class Volume:
    """A disk of 128 MiB, mounted here at `place` and in whatever container uses it."""

    def __init__(self, name, image, place):
        self.name, self.place = name, place
        self.filler = os.path.join(place, "filler")
        need(("mount", "mount"), ("mkfs.ext4", "e2fsprogs"))
        size, make, options = MAKE["ext4"]
        with open(image, "xb") as file:
            file.truncate(size << 20)
        tool(*make, image)
        try:
            mount(image, place, "ext4", *options)
        except Failure as failure:
            raise Unable(f"no loop mounts here: {failure}")
        try:
            os.chown(place, USER, USER)
            device = tool("findmnt", "-n", "-o", "SOURCE", place).stdout.strip()
            docker("volume", "create", "-d", "local", "-o", "type=ext4", "-o", f"device={device}", name)
        except BaseException:
            unmount(place)
            raise

    def fill(self):
        """To the last block that is not root's alone."""
        with open(self.filler, "wb") as file:
            end = 0
            # Users free some and take some meanwhile, and the file needs blocks for its own extents.
            for _ in range(100):
                stat = os.statvfs(self.place)
                if stat.f_bavail == 0:
                    break
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), end, stat.f_bavail * stat.f_frsize)
                    end += stat.f_bavail * stat.f_frsize

    def make_room(self):
        os.unlink(self.filler)

    def close(self):
        docker("volume", "rm", "-f", self.name, must=False)
        unmount(self.place)


class Lan:
    """An internal network, on which a member has a name and some address."""

    def __init__(self, name, chance):
        self.name, self.chance = name, chance
        self.taken = {}  # container -> its address
        self.lock = threading.Lock()
        for subnet in self.chance.sample(list(SUBNETS.subnets(new_prefix=24)), 20):
            self.subnet = subnet
            made = docker("network", "create", "--internal", "--subnet", subnet, name, must=False)
            if made.returncode == 0:
                return
        raise Failure(f"no network: {made.stderr.decode()}")

    def new_address(self, container):
        with self.lock:
            free = set(list(self.subnet.hosts())[1:]) - set(self.taken.values())  # the first is the bridge's
            self.taken[container] = self.chance.choice(sorted(free))
            return str(self.taken[container])

    def close(self):
        docker("network", "rm", self.name, must=False)


class Process:
    """The first process of a container, as subprocess.Popen shows one."""

    def __init__(self, container):
        self.container = container
        self.pid = int(said("inspect", "-f", "{{.State.Pid}}", container))
        try:
            self.descriptor = os.pidfd_open(self.pid) if self.pid else None
        except ProcessLookupError:
            self.descriptor = None

    def poll(self):
        if self.descriptor is not None and not select.select([self.descriptor], [], [], 0)[0]:
            return None
        return int(said("wait", self.container))

    def close(self):
        if self.descriptor is not None:
            os.close(self.descriptor)


class Container(Node):
    def __init__(self, cluster, name, container):
        super().__init__(cluster, name, os.path.join(cluster.directory, name, "data"), (f"{name}:7744", []))
        self.container = container
        self.volume = Volume(container, os.path.join(cluster.directory, f"{name}.image"),
                             os.path.join(cluster.directory, name))
        self.made = False

    def create(self, image, flags, settings):
        cluster = self.cluster
        # No look at its health: a process in each, every five seconds, is more work for an engine than all that happens here.
        docker("create", "--no-healthcheck", "--name", self.container, "--hostname", self.name, "--network", cluster.lan.name,
               "--network-alias", self.name, "--ip", cluster.lan.new_address(self.container), *flags,
               "-v", f"{self.volume.name}:{PLACE}", *(part for item in settings.items() for part in ("-e", "=".join(item))),
               image)
        self.made = True

    def spawn(self):
        docker("start", self.container)
        self.process = Process(self.container)

    def kill(self):
        """False: it had ended by itself just before."""
        done = docker("kill", "-s", "KILL", self.container, must=False)
        if done.returncode != 0:
            check(self.process.poll() is not None, lambda: f"docker kill {self.container}: {done.stderr.decode()}")
            return False
        self.gone()
        return True

    def hears(self, number):
        """Whether it has a handler: a signal that comes before, while its libraries are loaded, the kernel keeps from a first process."""
        try:
            with open(f"/proc/{self.process.pid}/status") as status:
                caught = next(line for line in status if line.startswith("SigCgt:"))
        except OSError:
            return True  # it has ended
        return int(caught.split()[1], 16) >> (number - 1) & 1

    def stop(self):
        """SIGTERM. How it ended, and the story of that."""
        until(lambda: self.hears(signal.SIGTERM), f"{self.name} to hear signals")
        # It promises to end within STOP_S; what a loaded machine makes of that is judged elsewhere.
        stopping = subprocess.Popen(["docker", "stop", "-t", str(PATIENCE_S), self.container], stdout=subprocess.DEVNULL)
        doing = None
        try:
            stopping.wait(PATIENCE_S / 2)
        except subprocess.TimeoutExpired:
            doing = self.what_it_does()
        stopping.wait(2 * PATIENCE_S)
        code = self.process.poll()
        self.gone()
        return code, f"{self.name} ended with {code} on SIGTERM:\n{self.last_words()}\n{doing or ''}"

    def what_it_does(self):
        """Of a process that does not end: its signals, and where its threads are in the kernel."""
        told = []
        for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").glob("*")):
            with contextlib.suppress(OSError):
                lines = [line for line in (task / "status").read_text().splitlines()
                         if line.split(":")[0] in ("State", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")]
                told.append(f"{task.name}: {'; '.join(lines)}\n{(task / 'stack').read_text()}")
        return "\n".join(told)

    def gone(self):
        self.process.close()
        self.process = None

    def disconnect(self):
        docker("network", "disconnect", self.cluster.lan.name, self.container)

    def connect(self):
        lan = self.cluster.lan
        docker("network", "connect", "--alias", self.name, "--ip", lan.new_address(self.container), lan.name, self.container)

    def p2psync(self, command, *arguments, timeout=PATIENCE_S):
        return docker("exec", self.container, "p2psync", command, *arguments, must=False, timeout=timeout)

    def is_sealed(self):
        facts = said("exec", self.container, "sh", "-c", "id -u; grep -e CapEff -e NoNewPrivs /proc/1/status; ls -A /node")
        check(facts.split() == [str(USER), "CapEff:", "0" * 16, "NoNewPrivs:", "1", "cluster.toml", "data", "lost+found",
                                "node.key", "user"], f"{self.name} is not sealed: {facts}")
        check(docker("exec", self.container, "touch", "/usr/file", must=False).returncode != 0,
              f"{self.name} can write to its image")

    def save_log(self):
        if self.made:
            with open(self.log, "wb") as log:
                subprocess.run(["docker", "logs", self.container], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def last_words(self, lines=15):
        self.save_log()
        return super().last_words(lines)

    def close(self):
        """Ends and removes it, with its disk. Returns what it did wrong on the way out."""
        problem = None
        if self.process:
            try:
                docker("unpause", self.container, must=False)
                code, story = self.stop()
                check(code == 0, story)
            except Failure as failure:
                problem = str(failure)
        self.save_log()
        if self.made:
            docker("rm", "-f", self.container, must=False)
            self.made = False
        self.volume.close()
        return problem


class Containers(Cluster):
    def __init__(self, world, members, image, chance, settings=None):
        need_engine()
        self.world = world
        self.directory = os.path.join(world.scratch, f"c{len(world.clusters)}")
        os.makedirs(self.directory)
        os.chmod(world.scratch, 0o711)  # users come by here who are not root
        self.nodes, self.lan = [], None
        world.clusters.append(self)
        project = f"p2psync-chaos-{os.getpid()}-{id(self) & 0xffff:x}"
        self.lan = Lan(project, chance)
        for number in range(1, members + 1):
            self.nodes.append(Container(self, f"node{number}", f"{project}-node{number}"))
        self.place_keys(image)
        settings = {"P2PSYNC_CONFIG": f"{PLACE}/cluster.toml", "P2PSYNC_NODE_KEY": f"{PLACE}/node.key",
                    "P2PSYNC_NODE_FOLDER": f"{PLACE}/data", **(settings or {})}
        for node in self.nodes:
            node.create(image, sealing(), settings)

    def start(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Container.start, self.nodes))

    def place_keys(self, image):
        """Made by the program of the image, on the first disk; each then gets its own only."""
        first = self.nodes[0].volume
        docker("run", "--rm", "--network", "none", *sealing(), "-v", f"{first.name}:{PLACE}", image, "init-cluster", "--out",
               f"{PLACE}/keys", *(f"{node.name}={node.address}" for node in self.nodes))
        keys = os.path.join(first.place, "keys")
        for node in self.nodes:
            for source, target in (("cluster.toml", "cluster.toml"), (f"{node.name}.key", "node.key")):
                tool("cp", "-p", os.path.join(keys, source), os.path.join(node.volume.place, target))
            for directory in ("data", "user"):
                os.mkdir(os.path.join(node.volume.place, directory))
                os.chown(os.path.join(node.volume.place, directory), USER, USER)
        tool("rm", "-r", keys)

    def close(self):
        """Ends every container, removes them and what they had; what they did wrong on the way out."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            problems = [problem for problem in pool.map(Container.close, self.nodes) if problem]
        if self.lan:
            self.lan.close()
        return problems
