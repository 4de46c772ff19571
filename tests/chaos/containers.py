"""Containers that are killed, stopped, paused, cut off the network and run out of disk, while users of each write to its volume.

Each container has its own fate: a list of acts, dealt by the seed, which go on side by side with those of the others.
What an act breaks is mended some time later, often after the next act: a container is killed while it is cut off,
starts on a full disk, is stopped while it is paused. One that was cut off comes back with another address.
"""

import collections
import ctypes
import os
import random
import threading
import time

from cluster import check
from kills import judge_at_rest
from ledger import Ledger
from sealed import USER, Containers, docker
from soak import Sampler, grown, write_plot
from users import User
from watcher import Watcher

KILLS_A_ROUND = 100
REST_S = 300  # with an engine that has other work as well
PAUSE_S = 0.2  # of a user between two acts, on average: a kill takes the engine a second
ACT_S = 0.25  # between two acts on one container, on average
# To each kill.
STOPS, PAUSES, FILLS = 0.1, 0.2, 0.05
# The disks are small: what is kept of replaced files must not fill them.
SETTINGS = {"P2PSYNC_VERSIONS_MAX_BYTES": "16MiB", "P2PSYNC_GOSSIP_INTERVAL": "300ms", "P2PSYNC_HTTP_LISTEN": ""}

_libc = ctypes.CDLL(None, use_errno=True)


class Resident(User):
    """A user of a container's volume, under the container's uid: to the kernel that is the thread's alone."""

    def run(self):
        _libc.setfsgid(USER)
        _libc.setfsuid(USER)
        super().run()


class Fate(threading.Thread):
    """What happens to one container. `acts`: (seconds after the start at the earliest, the act's name)."""

    def __init__(self, node, ledger, seed, acts):
        super().__init__()
        self.node, self.ledger, self.acts = node, ledger, acts
        self.chance = random.Random(seed)
        self.due = []  # (time, what is to be done)
        self.cut_off = self.paused = self.full = False
        self.was_full = False  # since it was started last
        self.ending = threading.Event()
        self.error = None

    def run(self):
        try:
            started = time.monotonic()
            for at, act in self.acts:
                pause = max(self.chance.uniform(0, 2 * ACT_S), started + at - time.monotonic())
                if not self.go_on_until(time.monotonic() + pause):
                    break
                getattr(self, act)()
        except Exception as error:  # shown by the test
            self.error = error
        try:
            self.heal()
        except Exception as error:
            self.error = self.error or error

    def go_on_until(self, deadline):
        """Mends what is due meanwhile. False: it is to end."""
        while True:
            now = time.monotonic()
            for item in [item for item in self.due if item[0] <= now]:
                self.due.remove(item)
                item[1]()
            if now >= deadline:
                return True
            if self.ending.wait(max(0, min([deadline, *(at for at, _ in self.due)]) - now)):
                return False

    def later(self, seconds, what):
        self.due.append((time.monotonic() + seconds, what))

    def tell(self, what, count=None):
        self.ledger.tell(self.node.name, what)
        if count:
            with self.ledger.lock:
                self.ledger.counts[count] += 1

    def heal(self):
        self.due.clear()
        self.make_room()
        self.unpause()
        self.connect()
        self.bring_up()

    # Acts, and what mends them.

    def kill(self):
        self.bring_up()
        self.see_that_it_runs()
        self.tell("KILLED", "kills")
        while not self.node.kill():
            self.see_that_it_runs()  # it wanted room, between the look above and this
        self.ended()

    def stop(self):
        self.bring_up()
        self.unpause()
        self.see_that_it_runs()
        self.tell("STOPPED", "stops")
        code, story = self.node.stop()
        check(code == 0 or self.wants_room(code), story)
        self.ended()

    def ended(self):
        self.paused = False
        self.later(self.chance.choice([0, 0, self.chance.uniform(0, 0.3), self.chance.uniform(0, 2)]), self.bring_up)

    def bring_up(self):
        if not self.node.process:
            self.was_full = self.full
            self.tell("STARTED")
            self.node.spawn()

    def see_that_it_runs(self):
        code = self.node.process.poll()
        if code is not None:
            if not self.wants_room(code):
                with self.ledger.lock:
                    self.ledger.violation(f"ENDED: {self.node.name} by itself with {code}:\n{self.node.last_words()}")
            self.node.gone()
            self.bring_up()

    def wants_room(self, code):
        """It says so and ends if it cannot even open its index; whoever runs it starts it again. By now there may be room."""
        return self.was_full and code == 1 and "No space left on device" in self.node.last_words(1)

    def cut(self):
        if self.cut_off:
            self.connect()
        self.tell("CABLE CUT", "cuts")
        self.node.disconnect()
        self.cut_off = True
        self.later(self.chance.uniform(0.1, 5), self.connect)

    def connect(self):
        if self.cut_off:
            self.node.connect()
            self.cut_off = False
            self.tell("CABLE JOINED")

    def pause(self):
        self.bring_up()
        # Where a process is born in it just then, an engine with cgroups v1 may not get it frozen.
        self.paused = self.paused or docker("pause", self.node.container, must=False).returncode == 0
        self.tell("PAUSED" if self.paused else "NOT PAUSED", "pauses" if self.paused else "pauses refused by the engine")
        self.later(self.chance.uniform(0.05, 2), self.unpause)

    def unpause(self):
        if self.paused:
            docker("unpause", self.node.container)
            self.paused = False
            self.tell("CONTINUED")

    def fill(self):
        if not self.full:
            self.node.volume.fill()
            self.full = self.was_full = True
        self.tell("DISK FULL", "full disks")
        self.later(self.chance.uniform(0.5, 5), self.make_room)

    def make_room(self):
        if self.full:
            self.node.volume.make_room()
            self.full = False
            self.tell("THERE IS ROOM")


class ContainerChaos:
    def __init__(self, world, nodes, seed, image):
        self.world = world
        self.chance = random.Random(seed)
        self.ledger = Ledger(os.path.join(world.scratch, "story"))
        self.users, self.fates, self.watcher = [], [], None
        keep = world.options.keep
        try:
            self.cluster = Containers(world, nodes, image, self.chance,
                                      SETTINGS | ({"P2PSYNC_LOG_LEVEL": "debug"} if keep else {}))
            if keep:
                self.ledger.logs = {node.name: node.log for node in self.cluster.nodes}
            self.watcher = Watcher(self.cluster.directory, self.cluster.nodes)
            self.cluster.start()
            for node in self.cluster.nodes:
                node.is_sealed()
        except BaseException:
            self.close()
            raise

    def round(self, acts, seconds=0, sampler=None):
        """`acts`: name -> how many; spread over so many seconds. Returns what was wrong."""
        before = len(self.ledger.violations)
        nodes = self.cluster.nodes
        self.users = [
            Resident(node, self.ledger, self.chance.randrange(1 << 32), os.path.join(node.volume.place, "user"),
                     self.watcher.board, PAUSE_S) for node in nodes]
        deal = [act for act, count in sorted(acts.items()) for _ in range(count)]
        self.chance.shuffle(deal)
        times = sorted(self.chance.uniform(0, seconds) for _ in deal)
        self.fates = [
            Fate(node, self.ledger, self.chance.randrange(1 << 32), list(zip(times, deal))[number::len(nodes)])
            for number, node in enumerate(nodes)]
        deadline = time.monotonic() + seconds
        for thread in self.users + self.fates:
            thread.start()
        try:
            for fate in self.fates:  # by count they end themselves; by time what an engine was too slow for falls away
                fate.join(max(0, deadline - time.monotonic()) if seconds else None)
            while time.monotonic() < deadline:
                time.sleep(min(1, max(0, deadline - time.monotonic())))
        finally:
            for thread in self.users + self.fates:
                thread.ending.set()
        if sampler:
            sampler.stop()
        for user in self.users:
            user.stop()
        for fate in self.fates:
            fate.join()
            if fate.error:
                raise fate.error
        self.ledger.counts["acts"] += sum(user.actions for user in self.users)
        self.rest()
        return self.ledger.violations[before:]

    def rest(self):
        for fate in self.fates:
            fate.see_that_it_runs()
            check(docker("inspect", "-f", "{{.State.OOMKilled}}", fate.node.container).stdout == b"false\n",
                  f"{fate.node.name} was short of memory")
            fate.node.save_log()
        judge_at_rest(self.cluster, self.ledger, self.watcher, REST_S)

    def close(self):
        for thread in self.users + self.fates:
            thread.ending.set()
        for thread in self.users + self.fates:
            if thread.ident:
                thread.join()
        if self.watcher:
            self.watcher.stop()
        for cluster in self.world.clusters:
            cluster.close()

    def summary(self):
        counts = self.ledger.counts | {"contents": self.ledger.events, "looks": self.watcher.looks}
        return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def rounds_of(kills, cuts):
    """The acts of each: of all kinds a fair share."""
    number = max(1, -(-kills // KILLS_A_ROUND))
    all_acts = {"kill": kills, "cut": cuts, "stop": round(kills * STOPS), "pause": round(kills * PAUSES),
                "fill": round(kills * FILLS)}
    return [{act: count * (i + 1) // number - count * i // number for act, count in all_acts.items()}
            for i in range(number)]


def run(world, image, kills, cuts, nodes, seed, tell=lambda line: None, seconds=0):
    """Kills, cuts and all else; returns the summary and the violations of each round. With `seconds`, spread over so many."""
    chaos = ContainerChaos(world, nodes, seed, image)
    try:
        wrong = []
        rounds = rounds_of(kills, cuts)
        for acts in rounds:
            started = time.monotonic()
            found = chaos.round(acts, seconds / len(rounds))
            wrong.append(found)
            tell(f"round {len(wrong)}, {time.monotonic() - started:.0f} s: {chaos.summary()}")
            for violation in found[:10]:
                tell(violation)
            if found and world.options.keep or any(violation.startswith("NO REST") for violation in found):
                break  # the next would not rest either
        wrong[-1] += chaos.cluster.close()
        return chaos.summary(), wrong
    finally:
        chaos.close()


def soak(world, image, minutes, cuts, nodes, seed, plot=None, tell=lambda line: None):
    """Nobody is killed: users go on, members lose the network now and then, and no node may grow. Two results: the trees at the
    end, and what the samples say."""
    chaos = ContainerChaos(world, nodes, seed, image)
    try:
        sampler = Sampler(chaos.cluster.nodes)
        sampler.start()
        wrong = chaos.round(collections.Counter(cut=cuts), minutes * 60, sampler)
        for violation in wrong[:10]:
            tell(violation)
        if plot:
            write_plot(plot, sampler.samples)
        found, lines = grown(sampler.samples)
        for line in lines + found:
            tell(line)
        wrong += chaos.cluster.close()
        return chaos.summary(), [wrong, found]
    finally:
        chaos.close()
