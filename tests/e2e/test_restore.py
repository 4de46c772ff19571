"""restore --at: a file, a directory or everything as it was at a time, out of what all members have kept."""

import json
import os
import shutil
import time

import tree
from cluster import check, until


def moment():
    """Now, and no file is written any more that looks as old."""
    now = time.time_ns()
    seconds, nanoseconds = divmod(now, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z", now


def plant(node, files=1000):
    """A tree with everything that is synchronised in it."""
    for number in range(files):
        directory = f"d{number % 20}" + ("/deep/er" if number % 3 == 0 else "")
        node.write(f"{directory}/file {number}", f"content {number % 700}" * (1 + number % 50),
                   mtime=(1_000_000_000 + number, number * 1000), mode=(0o600, 0o644, 0o755)[number % 3])
    node.write("large", os.urandom(3_000_000), mtime=1_100_000_000)
    node.write(b"caf\xe9", "a name that is no text")
    node.write("none", "")
    os.makedirs(node.path("empty/within"))
    os.chmod(node.path("empty"), 0o700)
    os.chmod(node.path("d7"), 0o750)
    for name, target in ((b"link", "d1/file 1"), (b"d2/dangling", "nowhere"), (b"empty/up", "..")):
        os.symlink(target, node.path(name))
        os.utime(node.path(name), ns=(5_000_000_000, 5_000_000_123), follow_symlinks=False)


def empty(node):
    for name in os.listdir(node.path()):
        if name != tree.OWN:
            path = node.path(name)
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def restored(node, *arguments):
    said = node.p2psync("restore", *arguments)
    check(said.returncode == 0, f"restore {arguments}: {said}")
    return said.stdout.decode()


def document(node, *arguments, code=0):
    said = node.p2psync("restore", *arguments, "--json")
    check(said.returncode == code, f"restore {arguments}: {said}")
    return json.loads(said.stdout)


def refused(node, code, *arguments):
    said = node.p2psync("restore", *arguments)
    check(said.returncode == code, f"{arguments}: {code} was expected, not {said}")
    return said.stderr.decode()


def as_before(before, now):
    check(now == before, lambda: "\n".join(tree.differences("before", before, "now", now)))


def deleted_and_back(world, by):
    cluster = world.cluster(3)
    one = cluster[1]
    plant(one)
    cluster.start()
    before = cluster.agree()
    check(len([entry for entry in before.values() if entry.kind == "file"]) == 1003, f"{len(before)} paths")
    when, _ = moment()
    empty(cluster[by])
    check(cluster.agree() == {}, "something is left")
    listed = restored(one, "--at", when, "--dry-run")
    check(f"{len(before)} paths would come back" in listed and "file 999" in listed, listed)
    check(tree.read_tree(one.folder) == {}, "--dry-run has changed something")
    said = restored(one, "--at", when)
    check(f"{len(before)} paths came back, 0 paths went" in said, said)
    # When it returns, it is there; and then on the others too.
    as_before(before, tree.read_tree(one.folder))
    as_before(before, cluster.agree())
    check("0 paths came back" in restored(one, "--at", when), "it has something left to do")


def test_a_thousand_files_that_another_node_deleted_come_back(world):
    deleted_and_back(world, by=2)


def test_a_thousand_files_that_the_node_itself_deleted_come_back(world):
    deleted_and_back(world, by=1)


def test_what_was_changed_since_is_as_it_was(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    for name in ("mine", "theirs", "d/mode", "d/moved", "d/kept", "file"):
        one.write(name, f"first of {name}", mtime=1_000_000_000)
    one.write("directory/below", "it")
    cluster.start()
    before = cluster.agree()
    when, now_ns = moment()
    one.write("mine", "second")
    two.write("theirs", "second")
    os.chmod(one.path("d/mode"), 0o600)
    os.rename(one.path("d/moved"), one.path("elsewhere"))
    # The time of a file is the kernel's last tick.
    def is_new():
        one.write("new", "came since")
        return os.stat(one.path("new")).st_mtime_ns > now_ns
    until(is_new, "the clock to go on")
    os.unlink(two.path("file"))
    # Whole at once: of a file that was seen half written, and then whole, nobody can tell that it came from nothing.
    came = world.directory("came")
    with open(os.path.join(came, "now"), "w") as file:
        file.write("a directory")
    os.rename(came, two.path("file"))
    os.unlink(two.path("directory/below"))
    os.rmdir(two.path("directory"))
    two.write("directory", "a file")
    after = cluster.agree()

    # What was laid in this tick of the clock is unsure until it was looked at again.
    def planned():
        plan = document(one, "--at", when, "--dry-run")
        check(plan["dry_run"] and plan["away"] == [], f"{plan}")
        return {change["path"]: change for change in plan["changes"]}
    until(lambda: {path: change["change"] for path, change in planned().items()} == {
        "mine": "restore", "theirs": "restore", "d/mode": "restore", "d/moved": "restore", "elsewhere": "unsure",
        "new": "remove", "file": "blocked", "file/now": "remove", "directory": "restore",
        "directory/below": "restore"}, lambda: f"the plan to be right: {planned()}", 10)
    changes = planned()
    check(changes["mine"]["state"] == "elsewhere" and changes["theirs"]["state"] == "here", f"{changes}")
    check((changes["mine"]["size"], changes["mine"]["mtime"]) == (13, "2001-09-09T01:46:40Z"), f"{changes['mine']}")
    check(cluster.agree() == after, "--dry-run has changed something")

    # One path, then a directory, then everything.
    done = document(one, "--at", when, "mine")
    check((done["restored"], done["removed"], done["failed"]) == (1, 0, []), f"{done}")
    check(one.read("mine") == b"first of mine", "it is not back")
    restored(one, "--at", when, "d")
    check(one.read("theirs") == b"second" and oct(os.stat(one.path("d/mode")).st_mode)[-3:] == "644", "the directory")
    done = document(one, "--at", when, code=1)
    check([failed["path"] for failed in done["failed"]] == ["file"], f"{done['failed']}")
    os.rmdir(one.path("file"))
    text = restored(one, "--at", when)
    check("1 path came or was touched since" in text, text)
    os.unlink(one.path("elsewhere"))
    as_before(before, cluster.agree())


def test_it_can_be_undone(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write("a", "first", mtime=1_000_000_000)
    cluster.start()
    cluster.agree()
    when, _ = moment()
    one.write("a", "second", mtime=1_000_000_100)
    after = cluster.agree()
    later, _ = moment()
    restored(one, "--at", when)
    check(one.read("a") == b"first", "it did not come back")
    cluster.agree()
    restored(one, "--at", later)
    as_before(after, cluster.agree())


def test_notes_of_what_left_outlive_the_process(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    plant(one, 30)
    cluster.start()
    before = cluster.agree()
    when, _ = moment()
    one.stop()
    empty(one)  # found gone at the start
    one.start()
    check(cluster.agree() == {}, "something is left")
    one.kill()
    one.start()
    cluster.agree()
    restored(one, "--at", when)
    as_before(before, cluster.agree())


def test_a_member_that_is_away_is_named(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write("a", "first")
    one.write("b", "first")
    cluster.start()
    before = cluster.agree()
    when, _ = moment()
    os.unlink(one.path("a"))
    one.write("b", "second")
    cluster.agree()
    two.stop()
    until(lambda: not one.peer("node2")["connected"], "node2 to be gone")
    plan = restored(one, "--at", when, "--dry-run")
    check("not connected, and not asked: node2" in plan and "from another member" in plan, plan)
    said = refused(one, 1, "--at", when)
    check("a: no member that is connected has its bytes" in said and "not connected: node2" in said, said)
    check(not one.exists("a") and one.read("b") == b"second", "what stands there was touched")
    two.start()
    cluster.agree()
    restored(one, "--at", when)
    as_before(before, cluster.agree())


def test_what_cannot_be_asked_for_is_told(world):
    cluster = world.cluster(1)
    one = cluster[1]
    one.write("a", "first")
    cluster.start()
    one.p2psync("status", "--wait", "30")
    when, _ = moment()
    for wrong in ("yesterday", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05+1", "12", "-2h"):
        check("must be a time" in refused(one, 2, f"--at={wrong}", "a"), f"{wrong!r}")
    check("is in the future" in refused(one, 2, "--at", "2200-01-01T00:00:00Z"), "the future")
    check("either" in refused(one, 2, "a") and "either" in refused(one, 2, "a", "--at", when, "--version", "1"), "both")
    check("PATH is required" in refused(one, 2, "--version", "1"), "no path")
    check("go with --at" in refused(one, 2, "a", "--version", "1", "--dry-run"), "--dry-run")
    check("no path" in refused(one, 2, "../a", "--at", when), "a path outside")
    check("nothing is known of" in refused(one, 1, "none", "--at", when), "an unknown path")
    check("index was made at" in refused(one, 1, "--at", "1h"), "before there was anything")
    check("error" in document(one, "--at", "1h", code=1), "the same as JSON")
    check("0 paths came back" in restored(one, "--at", when), "nothing to do")
    one.stop()
    check("no node is running" in refused(one, 1, "--at", when), "a stopped node")
    cluster.settings["P2PSYNC_VERSIONS_KEEP"] = "0"
    one.start()
    check('keep is "0"' in refused(one, 1, "--at", when), "nothing is kept")
