"""Power cuts of one node, whose folder lies on a small disk, in the midst of what hurts most.

A cut is SIGKILL of the node and at once a clone of what its disk's file system had submitted to the device
(machine.Store). The mount of before, with all that lay in its page cache, is thrown away; the clone is mounted, looked at,
and the node starts on it. The two other nodes and their users go on all the while.

What was visible on the disk before the cut and is not there after it may be gone, unless its user had synced it or another
node holds it (Ledger.cut). A file that is torn after the cut is legal only if the node's own user wrote it: what
the program lays under a name was durable before. It is then an event with those bytes, and may go everywhere.
"""

import collections
import os
import random
import subprocess
import time

from cluster import Failure, check
from ledger import Holdings, Ledger, lineage_of
from machine import Disk, Store, kinds_at_hand, tool, unmount
from users import User
from watcher import Watcher

CUTS_A_ROUND = 10
PAUSE_S = 0.08
BURST = 60
REST_S = 60
MOMENTS = ["files arrive", "its user writes", "just so", "just started"]


class PowerCuts:
    def __init__(self, world, seed, kinds):
        self.world, self.kinds = world, kinds
        self.chance = random.Random(seed)
        self.ledger = Ledger(os.path.join(world.scratch, "story"))
        self.cuts = collections.Counter()
        self.disk = self.watcher = None
        self.users = []
        self.store = Store(world.scratch)
        try:
            place = os.path.join(world.scratch, "disk")
            self.disk = Disk(self.store, kinds[0], place)
            # The disks are small: what is kept of replaced files must not fill them.
            settings = {"P2PSYNC_VERSIONS_MAX_BYTES": "16MiB"}
            if world.options.keep:
                settings["P2PSYNC_LOG_LEVEL"] = "debug"
            self.cluster = world.cluster(3, settings=settings, folders={"node1": os.path.join(place, "folder")})
            self.victim, *self.others = self.cluster.nodes
            self.watcher = Watcher(self.cluster.directory, self.cluster.nodes)
        except BaseException:
            self.close()
            raise

    # A round: cuts on one kind of disk, then rest and judgement.

    def round(self, number, cuts):
        before = len(self.ledger.violations)
        self.move_to(self.kinds[number % len(self.kinds)])
        for node in self.cluster.nodes:
            if not node.process:
                node.spawn()
        self.start_users()
        try:
            for _ in range(cuts):
                self.wait_for_a_moment()
                self.cut()
        finally:
            for user in self.users:
                user.ending.set()
        for user in self.users:
            user.stop()
        self.ledger.counts["acts"] += sum(user.actions for user in self.users)
        self.rest()
        return self.ledger.violations[before:]

    def move_to(self, kind):
        """The node goes on on a new disk, with all that its folder holds."""
        if self.disk.kind == kind:
            return
        if self.victim.process:
            self.victim.stop()
        with self.watcher.held():
            aside = os.path.join(self.world.scratch, "aside")
            tool("cp", "-a", self.disk.place, aside)
            self.disk.close()
            self.disk = Disk(self.store, kind, self.disk.place)
            tool("cp", "-a", os.path.join(aside, "folder"), self.disk.place)
            tool("sync", "-f", self.disk.place)
            tool("rm", "-r", aside)

    def start_users(self):
        self.users = []
        for node in self.cluster.nodes:
            own = self.disk.place if node is self.victim else self.cluster.directory
            self.users.append(User(
                node, self.ledger, self.chance.randrange(1 << 32), f"{own}/user-{node.name}",
                self.watcher.board, PAUSE_S, syncing=0.3 if node is self.victim else 0))
        for user in self.users:
            user.start()

    def wait_for_a_moment(self):
        moment = self.chance.choice(MOMENTS)
        self.cuts[moment] += 1
        if moment == "files arrive":
            self.victim.wait_until_it_answers()
            self.burst(self.chance.choice(self.users[1:]))
            self.wait_until_something_arrived()
            time.sleep(self.chance.uniform(0, 0.03))
        elif moment == "its user writes":
            self.victim.wait_until_it_answers()
            self.burst(self.users[0])
            time.sleep(self.chance.choice([0, self.chance.uniform(0, 0.05)]))
        elif moment == "just so":
            time.sleep(self.chance.uniform(0, 0.8))
        else:
            time.sleep(self.chance.uniform(0, 0.06))
        if self.chance.random() < 0.15:
            tool("sync", "-f", self.disk.place)

    def burst(self, user):
        """Many small files at once: new, replaced, some deleted."""
        with user.gate:
            for number in self.chance.sample(range(2 * BURST), BURST):
                path = b"many/%03d" % number
                if self.chance.random() < 0.2:
                    user.delete(path)
                else:
                    user.write(path, self.chance.choice([0, 10, 2_000, 9_000]))
            user.actions += BURST

    def wait_until_something_arrived(self):
        place = self.victim.path(b"many")
        def look():
            try:
                return os.stat(place).st_mtime_ns
            except FileNotFoundError:
                return 0
        before, deadline = look(), time.monotonic() + 2
        while look() == before and time.monotonic() < deadline:
            time.sleep(0.001)

    # The cut.

    def cut(self):
        node, user = self.victim, self.users[0]
        self.see_that_it_runs()
        with user.gate:
            self.ledger.tell(node.name, f"POWER CUT on {self.disk.kind}")
            node.process.kill()
            self.disk.clone()
            node.kill()
            elsewhere = [Holdings(other.folder) for other in self.others]
            with self.watcher.held():
                self.disk.remount()
                os.makedirs(node.folder, exist_ok=True)
                tool("rm", "-rf", user.own)
                os.makedirs(user.own)
                shown = Holdings(node.folder)
                if self.world.options.keep:
                    self.keep_evidence(shown)
                self.judge_disk(shown, user)
                # btrfs syncs files one by one: an index that knows of a deletion can outlive it.
                untold = self.ledger.cut(node.name, shown, elsewhere, deletions_unsure=self.disk.kind == "btrfs")
                for name in untold:
                    self.give_time(name)
        self.cuts[f"on {self.disk.kind}"] += 1
        self.ledger.counts["power cuts"] += 1
        if self.chance.random() < 0.3:
            time.sleep(self.chance.uniform(0, 0.3))  # its user acts before the node starts
        self.ledger.tell(node.name, "STARTED")
        node.spawn()

    def give_time(self, name):
        """Its user saves once more what the cut left of his edit (ARCHITECTURE.md, known gaps)."""
        with open(self.victim.path(name), "rb") as file:
            os.utime(file.fileno())
            os.fsync(file.fileno())
        self.ledger.tell(self.victim.name, f"{os.fsdecode(name)}: its bytes are new, and have their time now")

    def keep_evidence(self, shown):
        """What the disk showed after the cut, and the node's own files but for the contents."""
        number = self.ledger.counts["power cuts"]
        self.ledger.tell(self.victim.name, f"cut {number} left " + ", ".join(sorted(
            f"{event}@{os.fsdecode(name)}" for (_, event), names in shown.names.items() for name in names)))
        aside = os.path.join(self.world.scratch, f"cut-{number}")
        os.makedirs(aside)
        own = os.path.join(self.victim.folder, ".p2psync")
        subprocess.run(f"cp -a {own}/index.db* {own}/tmp/batch-log {own}/tmp/intent-* {aside}; ls -li {own}/versions {own}/tmp"
                       f" > {aside}/lists", shell=True, stderr=subprocess.DEVNULL)

    def judge_disk(self, shown, user):
        for path, digest, inode in shown.torn:
            key, event = (lineage_of(path), digest), user.inodes.get(inode)
            if key in self.ledger.torn_allowed:
                continue  # by an earlier cut; it may have come back here by way of the others
            if event is None:
                self.ledger.violation(f"TORN: the disk shows at {os.fsdecode(path)} half of a file that no user of it wrote")
            else:
                self.ledger.tell(self.victim.name, f"{os.fsdecode(path)}: the cut tore what was written as event {event}")
                self.ledger.counts["torn by a cut, the user's own"] += 1
            self.ledger.torn_allowed.add(key)

    def see_that_it_runs(self):
        code = self.victim.process.poll()
        if code is not None:
            self.ledger.violation(f"ENDED: {self.victim.name} with {code}, on {self.disk.kind}:\n{self.victim.last_words()}")
            self.victim.process = None
            self.victim.spawn()

    def rest(self):
        self.see_that_it_runs()
        self.victim.wait_until_it_answers()
        try:
            self.cluster.agree(seconds=REST_S)
        except Failure as failure:
            self.ledger.violation(f"NO REST: {failure}")
        held = {node.name: Holdings(node.folder) for node in self.cluster.nodes}
        self.ledger.judge(held)
        for report in self.watcher.torn()[self.ledger.counts["half-written looks"]:]:
            self.ledger.counts["half-written looks"] += 1
            if (lineage_of(os.fsencode(report[1])), report[2]) not in self.ledger.torn_allowed:
                self.ledger.violation(f"HALF WRITTEN: {report}")
        self.clear_torn(held[self.victim.name])
        with open(self.victim.log, errors="replace") as log:
            damaged = [line for line in log if "damaged" in line]
        if len(damaged) > self.ledger.counts["damaged indexes"]:
            self.ledger.counts["damaged indexes"] = len(damaged)
            self.ledger.violation(f"DAMAGED on {self.disk.kind}: {damaged[-1].strip()}")
        check(self.watcher.process.poll() is None, "the watcher has ended")

    def clear_torn(self, held):
        """A user clears away what the cuts tore, so that the next round allows only what is torn in it."""
        for path, _, _ in held.torn:
            os.unlink(self.victim.path(path))
        if held.torn:
            try:
                self.cluster.agree(seconds=REST_S)
                check(not Holdings(self.victim.folder).torn, "what was deleted at rest is still there")
            except Failure as failure:
                self.ledger.violation(f"NO REST: {failure}")
        self.ledger.torn_allowed.clear()
        # While it was cleared away it could be seen.
        self.ledger.counts["half-written looks"] = len(self.watcher.torn())

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
        place = os.path.join(self.world.scratch, "disk")
        if os.path.ismount(place):
            if self.world.options.keep and self.ledger.violations:
                tool("cp", "-a", place, f"{place}-kept", must=False)
            unmount(place)
        self.store.close()

    def summary(self):
        counts = self.ledger.counts | self.cuts | {
            "contents": self.ledger.events, "looks": self.watcher.looks, "lost legally": len(self.ledger.lost_legally)}
        return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def run(world, cuts, seed, tell=lambda line: None, kinds=None):
    """Returns the summary and the violations of each round."""
    chaos = PowerCuts(world, seed, kinds or kinds_at_hand())
    try:
        tell(f"method: {chaos.store.method}")
        wrong, lost = [], 0
        for number in range(0, cuts, CUTS_A_ROUND):
            found = chaos.round(len(wrong), min(CUTS_A_ROUND, cuts - number))
            wrong.append(found)
            tell(f"round {len(wrong)} on {chaos.disk.kind}: {chaos.summary()}")
            if chaos.ledger.lost_legally[lost:]:
                tell("  legally lost: " + ", ".join(chaos.ledger.lost_legally[lost:]))
            lost = len(chaos.ledger.lost_legally)
            for violation in found[:10]:
                tell(violation)
            if found and world.options.keep or any(violation.startswith("NO REST") for violation in found):
                break  # the next would not rest either
        wrong[-1] += chaos.cluster.close()
        return chaos.summary(), wrong
    finally:
        chaos.close()
