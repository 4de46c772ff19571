"""A user of one node: writes, replaces, edits in place, renames and deletes in its folder.

He changes names by exchange (renameat2), so what came out is exactly what he replaced, even while the program
changes the same name. One user for a node: his acts are under its gate, and who wants none (a power cut, a
burst of acts) takes the gate.
"""

import contextlib
import errno
import os
import random
import threading
import time

from cluster import check
from contents import RENAME_EXCHANGE, RENAME_NOREPLACE, content_of, event_in, read_file, renameat2
from ledger import digest, lineage_of
from tree import paths_of

SIZES = [0, 10, 3_000, 3_000, 20_000, 70_000, 300_000]
IN_PLACE_MAX = 4096  # one page: then a reader sees the old bytes or the new ones


class User(threading.Thread):
    def __init__(self, node, ledger, seed, own, board, pause_s, syncing=0.0):
        """`own`: his directory outside the folder, on the same disk. `syncing`: how often he syncs an act.
        `board`: watcher.Board, where he says that he edits in place."""
        super().__init__()
        self.node, self.ledger, self.board = node, ledger, board
        self.name = node.name
        self.chance = random.Random(seed)
        self.own = os.fsencode(own)
        os.makedirs(self.own, exist_ok=True)
        self.pause_s, self.syncing = pause_s, syncing
        self.inodes = {}  # inode -> the event that he wrote into it
        self.gate = threading.Lock()
        self.actions = 0
        self.ending = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.ending.wait(self.chance.uniform(0, 2 * self.pause_s)):
                with self.gate:
                    self.act()
        except Exception as error:  # shown by the test
            self.error = error

    def stop(self):
        self.ending.set()
        if self.ident:
            self.join()
        if self.error:
            raise self.error

    def act(self):
        self.actions += 1
        path = b"d%d/f%d" % (self.chance.randrange(4), self.chance.randrange(10))
        visible = [p for p in paths_of(self.node.folder) if os.path.isfile(self.node.path(p))]
        dice = self.chance.random()
        if not visible or dice < 0.25:
            self.write(path)
        elif dice < 0.40:
            self.delete(self.chance.choice(visible))
        elif dice < 0.55:
            self.rename(self.chance.choice(visible), path)
        elif dice < 0.75:
            self.edit(self.chance.choice(visible))
        else:
            self.write(self.chance.choice(visible))

    def write(self, path, size=None):
        """Saves as editors do: a new file takes the name."""
        event = self.ledger.new_event()
        instance = self.ledger.begin(lineage_of(path), event, self.name)
        mine = os.path.join(self.own, b"%d" % event)
        with self.no_room_for(instance, mine):
            self.new_file(mine, event, self.chance.choice(SIZES) if size is None else size)
            self.place(mine, path, instance)

    @contextlib.contextmanager
    def no_room_for(self, instance, mine):
        """What a full disk does not take has not happened: the call that would have shown it has failed."""
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.ledger.cancel(instance)
            self.ledger.counts["refused by a full disk"] += 1
            self.tell(instance.lineage, f"no room for event {instance.event}")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(mine)

    def new_file(self, mine, event, size):
        content = content_of(event, self.chance.randbytes(size))
        self.ledger.content(event, content)
        with open(mine, "xb") as file:
            file.write(content)
            self.inodes[os.fstat(file.fileno()).st_ino] = event

    def place(self, mine, path, instance):
        target = self.node.path(path)
        sync = self.chance.random() < self.syncing
        if sync:
            self.sync(mine)
        end = None
        while True:
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                renameat2(mine, target, RENAME_NOREPLACE)
                over = "at a free name"
                break
            except FileExistsError:
                pass
            except FileNotFoundError:
                continue  # the program removed the directory just now
            try:
                renameat2(mine, target, RENAME_EXCHANGE)
            except FileNotFoundError:
                continue
            over, end = self.look_at_taken(mine, path, instance)
            break
        self.tell(path, f"event {instance.event} {over}{' and synced' if sync else ''}")
        if sync:
            self.sync(os.path.dirname(target), target)
            instance.synced = True
            if end:
                end.synced = True

    def look_at_taken(self, mine, path, by=None):
        """What came out of a name ends there; `mine` goes."""
        event = self.read_own(mine, path)
        end = self.ledger.end(lineage_of(path), event, self.name, by)
        os.unlink(mine)
        return f"over event {event}", end

    def read_own(self, mine, path):
        with open(mine, "rb") as file:
            content = file.read()
        event = event_in(content)
        if event is None and (lineage_of(path), digest(content)) not in self.ledger.torn_allowed:
            self.ledger.violation(f"TORN: {self.name}'s user took half a file from {os.fsdecode(path)}")
        return event

    def look_for_second_name(self, path, event, end, moved_to):
        """While it is copied to another conflict name a version stands under both, and acting on either acts on it
        (engine/record.h). Under which of them it goes on after a rename is not told exactly."""
        lineage = lineage_of(path)
        directory = os.path.dirname(path)
        try:
            names = os.listdir(self.node.path(directory))
        except FileNotFoundError:
            return
        for name in names:
            other = os.path.join(directory, name)
            if other == moved_to or lineage_of(other) != lineage or not end:
                continue
            content = read_file(self.node.path(other))
            if content and event_in(content) == event:
                self.ledger.cloud("renamed a copy that was moving", lineage, lineage_of(moved_to))

    def delete(self, path):
        mine = os.path.join(self.own, b"deleted")
        if not self.take(path, mine):
            return
        over, end = self.look_at_taken(mine, path)
        sync = end and self.chance.random() < self.syncing
        self.tell(path, f"deleted, {over}{' and synced' if sync else ''}")
        if sync:
            self.sync(os.path.dirname(self.node.path(path)))
            end.synced = True

    def take(self, path, mine):
        try:
            os.rename(self.node.path(path), mine)
            return True
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENOSPC):
                return False
            raise

    def rename(self, source, target):
        if self.chance.random() < 0.5:
            self.rename_directly(source, target)
        else:
            self.rename_through_own(source, target)

    def rename_through_own(self, source, target):
        mine = os.path.join(self.own, b"moved")
        if not self.take(source, mine):
            return
        event = self.read_own(mine, source)
        end = self.ledger.end(lineage_of(source), event, self.name)
        self.look_for_second_name(source, event, end, target)
        if event is None:
            os.unlink(mine)
            return
        instance = self.ledger.begin(lineage_of(target), event, self.name)
        if not instance:
            os.unlink(mine)
            self.tell(source, f"deleted event {event}")
            return
        self.tell(source, f"moves event {event} to {os.fsdecode(target)}")
        with self.no_room_for(instance, mine):
            self.place(mine, target, instance)

    def rename_directly(self, source, target):
        """Exact only if the file that was read is the one that moved; if not, both paths are clouded."""
        try:
            file = open(self.node.path(source), "rb")
        except FileNotFoundError:
            return
        with file:
            event = event_in(file.read())
            instance = event and self.ledger.begin(lineage_of(target), event, self.name)
            if not instance:
                return
            place = self.node.path(target)
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                renameat2(self.node.path(source), place, RENAME_NOREPLACE)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOENT, errno.ENOSPC):
                    raise
                self.ledger.cancel(instance)
                return
            self.tell(source, f"renamed event {event} to {os.fsdecode(target)}")
            try:
                same = os.lstat(place).st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                same = False
        if same:
            end = self.ledger.end(lineage_of(source), event, self.name)
            self.look_for_second_name(source, event, end, target)
        else:
            self.ledger.cloud("renamed a name that just changed", lineage_of(source), lineage_of(target))

    def edit(self, path):
        """In place, through a descriptor, which may have lost its name by then."""
        try:
            file = open(self.node.path(path), "r+b", buffering=0)
        except FileNotFoundError:
            return
        with file:
            old = file.read(IN_PLACE_MAX + 1)
            event = event_in(old) if len(old) <= IN_PLACE_MAX else None
            if event is None:
                return
            if self.chance.random() < 0.3:
                time.sleep(self.chance.uniform(0, 0.05))
            new = self.ledger.new_event()
            instance = self.ledger.begin(lineage_of(path), new, self.name)
            content = content_of(new, self.chance.randbytes(len(old.partition(b"\n")[2])))
            self.ledger.content(new, content)
            check(len(content) == len(old), "contents of one size are meant to have one size")
            with self.board.editing(self.node):
                os.pwrite(file.fileno(), content, 0)
            stat = os.fstat(file.fileno())
            self.inodes[stat.st_ino], instance.edited = new, stat.st_mtime_ns
            end = self.ledger.end(lineage_of(path), event, self.name, by=instance)
            sync = self.chance.random() < self.syncing
            self.tell(path, f"event {new} in place over event {event}{' and synced' if sync else ''}")
            if sync:
                os.fsync(file.fileno())
                instance.synced = end.synced = True

    def sync(self, *paths):
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # replaced or moved by the program meanwhile
            os.fsync(descriptor)
            os.close(descriptor)

    def tell(self, path, what):
        self.ledger.tell(f"{self.name} {'up' if self.node.process else 'down'}", f"{os.fsdecode(path)}: {what}")
