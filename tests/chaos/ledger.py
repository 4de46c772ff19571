"""What users did, and what must therefore be where: the oracle of the chaos tests.

It stands above the disks and outside the program. Every content is an event with a number; the pair of it
and the path that it was written to is an Instance. A user who replaces, edits, moves away or deletes what a
name of that path showed him (the path itself or a conflict name of it) ends that instance. At rest every
node must hold exactly the instances that have no end, each once (tests/sim/oracle.h, Held = Live).

A power cut takes back what its node's own users had neither synced nor shown to another node. The disk right
after it is the truth (cut): an instance that is then nowhere is doubtful, it may come through or not; an end
whose instance stands there again holds only if what ended it comes through.

A path can be clouded: a user did something there that cannot be told exactly from outside. Until the next
rest nothing is asked of it but whole contents and equal trees.
"""

import collections
import datetime
import hashlib
import os
import re
import threading

from contents import event_in, read_file
from history import history
from tree import paths_of

_COPY = re.compile(rb"(\.conflict-node\d+(-[0-9a-f]+)?)+$")
NO, MAYBE, YES = 0, 1, 2


def lineage_of(path):
    return _COPY.sub(b"", path)


class End:
    """`by`: the instance that took its place; None: deleted, or moved away."""

    def __init__(self, node, by):
        self.node, self.by = node, by
        self.synced = False
        self.shaken = False  # after a cut the ended instance stood there again
        self.unsure = False  # ... and on that file system a deletion that was announced may have done so


class Instance:
    def __init__(self, lineage, event, node):
        self.lineage, self.event, self.node = lineage, event, node
        self.ends = []
        self.synced = False
        self.doubtful = False
        self.edited = None  # written in place: the time that this gave the file

    @property
    def key(self):
        return self.lineage, self.event

    def __str__(self):
        return f"event {self.event} at {os.fsdecode(self.lineage)}"


def fate(instance):
    """Whether it has ended."""
    return max((_holds(end) for end in instance.ends), default=NO)


def _holds(end):
    if not end.shaken or end.synced:
        return YES
    if end.by:
        return YES if _came_through(end.by, end.node) else NO
    return MAYBE if end.unsure else NO


def _came_through(instance, node):
    """It, or what replaced it, outlived the cut."""
    return not instance.doubtful or any(
        end.node != node or end.synced or (end.by and _came_through(end.by, node)) for end in instance.ends)


class Holdings:
    """What one folder holds: instance keys with their names, and files that are nobody's whole content."""

    def __init__(self, folder):
        self.names = collections.defaultdict(list)
        self.mtimes = {}  # of instance keys
        self.torn = []  # (name, digest, inode)
        top = os.fsencode(folder)
        for path in paths_of(folder):
            full = os.path.join(top, path)
            content = read_file(full)
            if content is None:
                continue
            event = event_in(content)
            try:
                stat = os.lstat(full)
            except FileNotFoundError:
                continue
            if event is not None:
                self.names[lineage_of(path), event].append(path)
                self.mtimes[lineage_of(path), event] = stat.st_mtime_ns
            else:
                self.torn.append((path, digest(content), stat.st_ino))


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Ledger:
    def __init__(self, story):
        """`story`: a file for what everybody tells."""
        self.lock = threading.RLock()
        self.file = open(story, "a", buffering=1)
        self.logs = {}  # node -> its log at level debug: violations are then told with the history of their path
        self.histories = {}  # path -> the file that has it
        self.hashes = {}  # event -> how the nodes' logs name its content
        self.instances = {}
        self.closed = {}  # key -> why it is no more, of everything before the last rest
        self.clouded = set()
        self.torn_allowed = set()  # (path, digest) of a user's own unsynced writes, as a cut left them
        self.counts = collections.Counter()
        self.violations = []
        self.lost_legally = []
        self.elsewhere_only = []  # the others have it, its own node's disk has not
        self.story = collections.deque(maxlen=60_000)
        self.recent = []  # of the node that cuts happen to: (instance, end or None), since the last one
        self.events = 0

    # What users report.

    def new_event(self):
        with self.lock:
            self.events += 1
            return self.events

    def content(self, event, content):
        """The bytes of an event, for who reads the nodes' logs."""
        self.hashes[event] = digest(content)[:8]

    def tell(self, node, what):
        clock = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = f"{clock} {node}: {what}"
        self.story.append(line)
        self.file.write(line + "\n")

    def begin(self, lineage, event, node):
        """To be said before it can be seen. None: this content was at this path before; take another."""
        with self.lock:
            key = lineage, event
            if key in self.instances or key in self.closed:
                return None
            instance = self.instances[key] = Instance(lineage, event, node)
            self.recent.append((instance, None))
            return instance

    def cancel(self, instance):
        with self.lock:
            del self.instances[instance.key]

    def end(self, lineage, event, node, by=None):
        """Returns the End; None for bytes that are nobody's (a torn write that a cut left, now gone)."""
        if event is None:
            return None
        with self.lock:
            instance = self.instances.get((lineage, event))
            if instance is None:
                if lineage not in self.clouded:
                    why = self.closed.get((lineage, event), "nobody wrote it there")
                    self.violation(f"{node} showed event {event} at {os.fsdecode(lineage)}, but {why}", event, lineage)
                instance = self.instances[lineage, event] = Instance(lineage, event, node)
            instance.doubtful = False
            end = End(node, by)
            instance.ends.append(end)
            self.recent.append((instance, end))
            return end

    def cloud(self, why, *lineages):
        with self.lock:
            self.counts[f"clouded: {why}"] += 1
            self.clouded.update(lineages)

    def violation(self, what, event=None, lineage=None):
        lines = [what]
        if lineage is not None and self.logs:
            lines.append("    see " + self.histories.setdefault(lineage, f"{self.file.name}-{len(self.histories)}"))
        elif event is not None:
            lines += ["    " + line for line in self.story if re.search(rf"event {event}\b", line)][-12:]
        self.violations.append("\n".join(lines))

    def explain(self):
        """Writes the histories that violations speak of."""
        for lineage, name in self.histories.items():
            with open(name, "w") as file:
                file.writelines(f"{line}\n" for line in history(self.file.name, self.logs, lineage, self.hashes))

    # What a power cut took.

    def cut(self, node, shown, elsewhere, deletions_unsure):
        """`shown`: the Holdings of the disk after it; `elsewhere`: of the other nodes. Returns the names whose bytes
        are new under an old time: nobody can tell who does not read all files again."""
        untold = []
        with self.lock:
            for instance, end in self.recent:
                if instance.node == node and end is None and not instance.synced and instance.key not in shown.names:
                    if any(instance.key in other.names for other in elsewhere):
                        if not instance.ends:
                            self.counts["held elsewhere only after a cut"] += 1
                            self.elsewhere_only.append(str(instance))
                    elif all(later.node == node for later in instance.ends):
                        instance.doubtful = True
            for instance, end in self.recent:
                if end and end.node == node and not end.synced:
                    stands = instance.key in shown.names
                    end.shaken = end.shaken or stands or instance.doubtful
                    end.unsure = end.unsure or stands and deletions_unsure
                    if stands and end.by and end.by.edited:
                        # The old bytes may have the new time, which makes an event of them.
                        self.cloud("the cut took an edit in place", instance.lineage)
                elif end is None and instance.edited and not instance.synced:
                    if shown.mtimes.get(instance.key, instance.edited) != instance.edited:
                        self.counts["a cut took an edit's time and left its bytes"] += 1
                        untold += shown.names[instance.key]
            self.recent.clear()
        return untold

    # The judgement, at rest.

    def judge(self, nodes):
        """nodes: name -> Holdings. What is wrong is added to the violations; then what is there counts."""
        with self.lock:
            for instance in self.instances.values():
                if any(instance.key in held.names for held in nodes.values()):
                    instance.doubtful = False
            for name, held in nodes.items():
                self._judge_one(name, held)
            self.explain()
            self._take_as_it_is(next(iter(nodes.values())))

    def _judge_one(self, name, held):
        owed = 0
        for instance in self.instances.values():
            if instance.lineage in self.clouded:
                continue
            ended, here = fate(instance), instance.key in held.names
            owed += ended == NO and not instance.doubtful
            if ended == NO and not here and not instance.doubtful:
                self.violation(f"LOST: {name} has not {instance}", instance.event, instance.lineage)
            if ended == YES and here:
                self.violation(f"CAME BACK: {name} shows {instance}: {held.names[instance.key]}", instance.event,
                               instance.lineage)
        for key, paths in held.names.items():
            if key not in self.instances and key[0] not in self.clouded:
                why = self.closed.get(key, "nobody wrote it there")
                self.violation(f"CAME BACK: {name} shows event {key[1]} at {paths}, but {why}", *reversed(key))
            if len(paths) > 1:
                self.violation(f"TWICE: {name} shows event {key[1]} at {paths}", *reversed(key))
        for path, bytes_digest, _ in held.torn:
            if (lineage_of(path), bytes_digest) not in self.torn_allowed:
                self.violation(f"TORN: {name} shows at {os.fsdecode(path)} what nobody wrote")
        self.counts[f"owed to {name}"] += owed

    def _take_as_it_is(self, held):
        for key, instance in list(self.instances.items()):
            if key in held.names:
                instance.ends.clear()
                continue
            del self.instances[key]
            if instance.doubtful:
                self.lost_legally.append(str(instance))
                self.closed[key] = "a power cut took it"
            else:
                self.closed[key] = "it was replaced, moved away or deleted"
        for lineage, event in held.names:
            if (lineage, event) not in self.instances:
                self.instances[lineage, event] = Instance(lineage, event, "?")
                self.closed.pop((lineage, event), None)
        self.clouded.clear()
        self.recent.clear()
