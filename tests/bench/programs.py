"""What is measured: one class for each program, all with the same five verbs.

    start()             runs it on every node of a Run; returns when what the folders held is in sync
                        (daemons also: start_node(n), stop_node(n), n from 0, and wait_until_settled())
    finish(goal, t)     waits for what changed at `t` to be complete; returns the seconds since then
    forget(), usage()   peak memory and CPU time of each node since forget()
    stop()              returns what was wrong with how they ended

Where the moment of completion is taken:
- rsync and cp are commands: when the last one has ended. Their start is part of their time, as it is for a user.
- p2psync and Syncthing run all the time. Complete is when the target's *files* say so (measure.Complete: sizes
  and times to the nanosecond), which costs nothing, favours nobody's way of reporting, and is what a user sees.
  A workload that must be durable at the end waits for the program's own word as well. p2psync: every node
  says in_sync with one digest, and the source that it is safe to power off, which is to say that the other holds
  everything committed and on disk. Syncthing: every node idle with nothing needed; its files are synced before
  they get their names, the directories when the batch goes into its database, and then it is idle.
  rsync without --fsync, and cp, promise nothing, and nothing is added for them.
"""

import json
import os
import shutil
import socket
import subprocess
import time

from cluster import Cluster, Failure, until
import measure

SAMPLE_S = 0.05  # how often a process that may end at any time is looked at
START_S = 120


class Program:
    """`run`: see one_run.Run."""

    packages = ()

    def __init__(self, run):
        self.run = run
        self.cpu_before = []

    def pids(self):
        """For each node, its processes."""
        return measure.families(self.roots())

    def forget(self):
        families = self.pids()
        for family in families:
            measure.forget_peaks(family)
        self.cpu_before = [measure.cpu_seconds(family) for family in families]

    def usage(self):
        """(peak bytes of each node, CPU seconds of all together)"""
        families = self.pids()
        cpu = sum(map(measure.cpu_seconds, families)) - sum(self.cpu_before)
        return list(map(measure.peak_bytes, families)), cpu


class Daemon(Program):
    def begun_anew(self, number):
        """What its process has used is counted from its start."""
        if number < len(self.cpu_before):
            self.cpu_before[number] = 0

    def finish(self, goal, started):
        deadline = started + self.run.patience_s
        while True:
            self.wait(goal.reached, goal.interval_s, deadline, "the targets to be complete")
            if goal.durable:
                self.wait(self.settled, goal.interval_s, deadline, "every node to say that it is done")
            took = time.monotonic() - started
            if self.stays(goal):
                return took

    def wait(self, look, interval_s, deadline, what):
        alive_at = 0
        while not look():
            self.run.watch()
            now = time.monotonic()
            if now > deadline:
                raise Failure(f"waited {self.run.patience_s} s for {what}: {self.picture()}")
            if now > alive_at:
                self.check_alive()
                alive_at = now + 1
            time.sleep(interval_s)

    def stays(self, goal):
        end = time.monotonic() + goal.quiet_s
        while time.monotonic() < end:
            if not goal.reached():
                return False
            time.sleep(goal.interval_s)
        return True

    def wait_until_settled(self):
        self.wait(self.settled, 0.1, time.monotonic() + self.run.patience_s, "every node to say that it is done")

    def wait_until_in_sync(self):
        base = measure.Complete(self.run.folders[1:], measure.walk(self.run.folders[0]))
        self.wait(lambda: self.settled() and base.reached() and self.settled(), 0.1,
                  time.monotonic() + self.run.patience_s, "the nodes to be in sync before the change")


class P2psync(Daemon):
    """With its defaults: nothing is set but names and addresses."""

    name = "p2psync"

    def start(self):
        self.prepare()
        self.cluster.start()
        self.wait_until_in_sync()

    def prepare(self):
        run = self.run
        self.cluster = Cluster(
            run.world, run.home("cluster"), len(run.folders), settings={"P2PSYNC_GOSSIP_INTERVAL": "1s"},
            folders={f"node{i}": folder for i, folder in enumerate(run.folders, 1)},
            hosts=[run.network.host(i) for i in range(1, len(run.folders) + 1)])

    def start_node(self, number):
        self.cluster.nodes[number].spawn()
        self.begun_anew(number)

    def stop_node(self, number):
        self.cluster.nodes[number].stop()

    def state(self, number):
        """What it says of itself; None while it does not answer."""
        try:
            return ask(self.cluster.nodes[number].folder)["state"]
        except OSError:
            return None

    def sees(self, number, other):
        """True if the first says that it is connected with the other."""
        name = self.cluster.nodes[other].name
        peers = ask(self.cluster.nodes[number].folder)["peers"]
        return any(peer["connected"] for peer in peers if peer["name"] == name)

    def roots(self):
        return [node.process.pid for node in self.cluster.nodes if node.process]

    def settled(self):
        try:
            states = [ask(node.folder) for node in self.cluster.nodes]
        except OSError:
            return False  # one has just been started
        return all(
            state["state"] == "in_sync" and state["safe_to_power_off"]
            and state["root_digest"] == states[0]["root_digest"]
            and all(peer["connected"] and peer["in_sync"] for peer in state["peers"])
            for state in states)

    def check_alive(self):
        for node in self.cluster.running():
            if node.process.poll() is not None:
                raise Failure(f"{node.name} ended with {node.process.returncode}:\n{node.last_words()}")

    def picture(self):
        return self.cluster.picture()

    def stop(self):
        return self.cluster.close() if hasattr(self, "cluster") else []


def ask(folder):
    """`status --json` without the process: the control socket is one line each way."""
    directory = os.open(os.path.join(folder, ".p2psync"), os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(30)
            control.connect(f"/proc/self/fd/{directory}/control.sock")
            control.sendall(b'{"command": "status"}\n')
            with control.makefile("rb") as answer:
                return json.loads(answer.readline())["status"]
    finally:
        os.close(directory)


class Command(Program):
    """A program that does its work and ends. Its processes are looked at while it runs.

    A node is the daemon, if there is one, or one of the commands.
    """

    def roots(self):
        return []

    def forget(self):
        self.peaks, self.cpu = [], 0.0

    def usage(self):
        return self.peaks, self.cpu

    def transfer(self, deadline):
        """Runs all commands at once, until the last has ended."""
        running = {}
        self.peaks = [0] * (len(self.roots()) + len(self.commands()))
        for command in self.commands():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            running[process.pid] = process
        try:
            self.reap(running, deadline)
        finally:
            for process in running.values():
                process.kill()
                process.wait()

    def reap(self, running, deadline):
        nodes = [*self.roots(), *running]
        sample_at = 0
        while running:
            self.run.watch()
            now = time.monotonic()
            if now > sample_at:
                self.peaks = list(map(max, self.peaks, map(measure.peak_bytes, measure.families(nodes))))
                sample_at = now + SAMPLE_S
            if now > deadline:
                raise Failure(f"{self.name} did not end within {self.run.patience_s} s")
            for pid in list(running):
                ended, status, usage = os.wait4(pid, os.WNOHANG)
                if not ended:
                    continue
                process = running.pop(pid)
                process.returncode = os.waitstatus_to_exitcode(status)
                with process.stderr as errors:
                    if process.returncode != 0:
                        said = errors.read().decode(errors="replace").strip()
                        raise Failure(f"{process.args} ended with {process.returncode}: {said}")
                self.cpu += usage.ru_utime + usage.ru_stime
            time.sleep(0.002)

    def finish(self, goal, started):
        self.transfer(started + self.run.patience_s)
        return time.monotonic() - started


class Rsync(Command):
    """A daemon on the source, without encryption; every other node runs one command, all at the same time."""

    name = "rsync"
    packages = (("rsync", "rsync"),)
    options = ()
    port = 8730

    def start(self):
        self.forget()
        run = self.run
        config = run.home("rsyncd.conf")
        with open(config, "w") as file:
            file.write("uid = root\ngid = root\nuse chroot = no\nreverse lookup = no\n"
                       f"log file = {run.home('rsyncd.log')}\n"
                       f"[data]\npath = {run.folders[0]}\nread only = yes\n")
        address, inside = run.network.host(1)
        self.address = f"{address.rpartition(':')[0]}:{self.port}"
        self.daemon = subprocess.Popen(
            [*inside, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={self.port}"],
            stdin=subprocess.DEVNULL)
        listing = [*run.network.host(2)[1], "rsync", f"rsync://{self.address}/"]
        until(lambda: subprocess.run(listing, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0,
              "the rsync daemon to answer", seconds=START_S)
        self.transfer(time.monotonic() + run.patience_s)

    def roots(self):
        return [self.daemon.pid]

    def forget(self):
        super().forget()
        self.daemon_cpu = measure.cpu_seconds(self.roots()) if hasattr(self, "daemon") else 0

    def usage(self):
        until(lambda: len(measure.families(self.roots())[0]) == 1, "the rsync daemon to have served everybody")
        return self.peaks, self.cpu + measure.cpu_seconds(self.roots()) - self.daemon_cpu

    def commands(self):
        run = self.run
        return [
            [*run.network.host(number)[1], "rsync", "-a", "--delete", *run.workload.rsync_options, *self.options,
             f"rsync://{self.address}/data/", f"{folder}/"]
            for number, folder in enumerate(run.folders[1:], 2)
        ]

    def stop(self):
        if hasattr(self, "daemon"):
            self.daemon.terminate()
            self.daemon.wait()
        return []


class RsyncFsync(Rsync):
    name = "rsync-fsync"
    options = ("--fsync",)


class Cp(Command):
    """A plain copy on the same disk, without a network: what the disk and the kernel cost. Never a reflink."""

    name = "cp"

    def start(self):
        self.forget()
        self.transfer(time.monotonic() + self.run.patience_s)

    def commands(self):
        source, target = self.run.folders
        return [["cp", "-a", "--reflink=never", "--", f"{source}/.", target]]

    def stop(self):
        return []


def missing_packages(programs):
    return sorted({package for program in programs for command, package in program.packages
                   if not shutil.which(command)})
