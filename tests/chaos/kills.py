"""kill -9, cut cables and stopped processes, while users of every node write, rename, edit and delete."""

import os
import random
import signal
import time

from cluster import Failure, check
from ledger import Holdings, Ledger
from machine import Network
from users import User
from watcher import Watcher

KILLS_A_ROUND = 100
PAUSE_S = 0.06  # of a user between two acts, on average
FAULT_S = 0.25  # between two faults, on average
REST_S = 60


class Kills:
    """The cluster in its namespaces, its users, and what happens to it."""

    def __init__(self, world, nodes, seed):
        self.world = world
        self.chance = random.Random(seed)
        self.network = Network(nodes)
        self.ledger = Ledger(os.path.join(world.scratch, "story"))
        self.users, self.watcher = [], None
        try:
            self.cluster = world.cluster(nodes, hosts=[self.network.host(n + 1) for n in range(nodes)],
                                         settings={"P2PSYNC_LOG_LEVEL": "debug"} if world.options.keep else None)
            if world.options.keep:
                self.ledger.logs = {node.name: node.log for node in self.cluster.nodes}
            self.watcher = Watcher(self.cluster.directory, self.cluster.nodes)
        except BaseException:
            self.close()
            raise
        self.cables = {node: None for node in self.cluster.nodes}  # the end that is down
        self.stopped = set()
        self.due = []  # (time, what is to be done)

    def start_users(self):
        self.users = [
            User(node, self.ledger, self.chance.randrange(1 << 32), f"{self.cluster.directory}/user-{node.name}",
                 self.watcher.board, PAUSE_S)
            for node in self.cluster.nodes
        ]
        for user in self.users:
            user.start()

    def round(self, kills):
        """So many kills, then rest and judgement. Returns what was wrong."""
        before = len(self.ledger.violations)
        for node in self.cluster.nodes:
            self.start(node)
        self.start_users()
        try:
            goal = self.ledger.counts["kills"] + kills
            while self.ledger.counts["kills"] < goal:
                self.mend(time.monotonic())
                self.fault()
                # Sometimes there is time to catch up.
                calm = 3.0 if self.chance.random() < 0.03 else self.chance.uniform(0, 2 * FAULT_S)
                time.sleep(calm)
        finally:
            self.heal()
            for user in self.users:
                user.ending.set()
        for user in self.users:
            user.stop()
        self.ledger.counts["acts"] += sum(user.actions for user in self.users)
        self.rest()
        return self.ledger.violations[before:]

    def mend(self, now):
        for item in [item for item in self.due if item[0] <= now]:
            self.due.remove(item)
            item[1]()

    def later(self, seconds, what):
        self.due.append((time.monotonic() + seconds, what))

    def fault(self):
        dice = self.chance.random()
        if dice < 0.75:
            for node in self.chance.sample(self.cluster.nodes, self.chance.choice([1, 1, 1, 1, 1, 2, 2, 3])):
                self.kill(node)
        elif dice < 0.9:
            self.cut_cable(self.chance.choice(self.cluster.nodes))
        else:
            self.stop(self.chance.choice(self.cluster.nodes))

    def kill(self, node):
        if not node.process:
            return
        self.see_that_it_runs(node)
        if node.process:
            self.ledger.tell(node.name, "KILLED")
            node.kill()
            self.stopped.discard(node)
            self.ledger.counts["kills"] += 1
        self.later(self.chance.choice([0, 0, self.chance.uniform(0, 0.3), self.chance.uniform(0, 2)]),
                   lambda: self.start(node))

    def see_that_it_runs(self, node):
        code = node.process.poll()
        if code is not None:
            self.ledger.violation(f"ENDED: {node.name} by itself with {code}:\n{node.last_words()}")
            node.process = None

    def start(self, node):
        if not node.process:
            self.ledger.tell(node.name, "STARTED")
            node.spawn()

    def cut_cable(self, node):
        if self.cables[node]:
            return
        self.cables[node] = self.chance.choice(["lan", "port"])
        self.network.cable(self.number(node), self.cables[node], "down")
        self.ledger.tell(node.name, "CABLE CUT")
        self.ledger.counts["cable cuts"] += 1
        self.later(self.chance.uniform(0.1, 3), lambda: self.join_cable(node))

    def join_cable(self, node):
        if self.cables[node]:
            self.network.cable(self.number(node), self.cables[node], "up")
            self.cables[node] = None
            self.ledger.tell(node.name, "CABLE JOINED")

    def number(self, node):
        return self.cluster.nodes.index(node) + 1

    def stop(self, node):
        if node.process and node not in self.stopped:
            node.process.send_signal(signal.SIGSTOP)
            self.stopped.add(node)
            self.ledger.tell(node.name, "STOPPED")
            self.ledger.counts["stops"] += 1
            self.later(self.chance.uniform(0.05, 1.5), lambda: self.go_on(node))

    def go_on(self, node):
        if node in self.stopped:
            node.process.send_signal(signal.SIGCONT)
            self.stopped.discard(node)
            self.ledger.tell(node.name, "CONTINUED")

    def heal(self):
        self.due.clear()
        for node in self.cluster.nodes:
            self.join_cable(node)
            self.go_on(node)
            self.start(node)

    def rest(self):
        for node in self.cluster.nodes:
            self.see_that_it_runs(node)
            self.start(node)
        judge_at_rest(self.cluster, self.ledger, self.watcher)

    def close(self):
        for user in self.users:
            user.ending.set()
        for user in self.users:
            if user.ident:
                user.join()
        if self.watcher:
            self.watcher.stop()
        for cluster in self.world.clusters:
            cluster.close()
        self.network.close()

    def summary(self):
        counts = self.ledger.counts | {"contents": self.ledger.events, "looks": self.watcher.looks}
        return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def judge_at_rest(cluster, ledger, watcher, seconds=REST_S):
    """All runs and is healed: the nodes come to agree, and hold what users did."""
    for node in cluster.nodes:
        node.wait_until_it_answers()
    try:
        cluster.agree(seconds=seconds)
    except Failure as failure:
        ledger.violation(f"NO REST: {failure}")
    ledger.judge({node.name: Holdings(node.folder) for node in cluster.nodes})
    torn = watcher.torn()
    if len(torn) > ledger.counts["half-written looks"]:
        ledger.counts["half-written looks"] = len(torn)
        ledger.violation(f"HALF WRITTEN: {torn[-3:]}")
    check(watcher.process.poll() is None, "the watcher has ended")


def run(world, kills, nodes, seed, tell=lambda line: None):
    """Returns the summary and the violations of each round."""
    chaos = Kills(world, nodes, seed)
    try:
        wrong = []
        for number in range(0, kills, KILLS_A_ROUND):
            found = chaos.round(min(KILLS_A_ROUND, kills - number))
            wrong.append(found)
            tell(f"round {len(wrong)}: {chaos.summary()}")
            for violation in found[:10]:
                tell(violation)
            if found and world.options.keep or any(violation.startswith("NO REST") for violation in found):
                break  # the next would not rest either
        wrong[-1] += chaos.cluster.close()
        return chaos.summary(), wrong
    finally:
        chaos.close()
