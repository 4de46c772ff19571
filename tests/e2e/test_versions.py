"""conflicts, resolve, log, restore and verify: what people see of versions, and what they can do about them."""

import base64
import json
import os

from cluster import check, until


def asked(node, command, *arguments):
    """The JSON document of a command that must succeed."""
    said = node.p2psync(command, *arguments, "--json")
    check(said.returncode == 0, f"{command} {arguments}: {said}")
    return json.loads(said.stdout)


def done(node, command, *arguments):
    said = node.p2psync(command, *arguments)
    check(said.returncode == 0 and said.stdout, f"{command} {arguments}: {said}")
    return said.stdout.decode()


def refused(node, code, *arguments):
    said = node.p2psync(*arguments)
    check(said.returncode == code, f"{arguments}: {code} was expected, not {said}")
    return said.stderr.decode()


def names(node):
    return sorted(name for name in os.listdir(node.folder) if name != ".p2psync")


def versions(node, path, state):
    return [v for v in asked(node, "log", path)["versions"] if v["state"] == state]


def conflicting(world, members=3):
    cluster = world.cluster(members)
    for number, node in enumerate(cluster.nodes):
        node.write("notes", f"of {node.name}", mtime=1_000_000_000 + 100 * number)
        node.write(b"dir/caf\xe9", f"odd, of {node.name}", mtime=1_000_000_000 + 100 * number)
    cluster.start()
    cluster.agree()
    return cluster


def test_conflicts_are_listed_with_both_sides(world):
    cluster = conflicting(world)
    for node in cluster.nodes:
        found = {c["copy_bytes"] if "copy_bytes" in c else c["copy"]: c for c in asked(node, "conflicts")}
        odd = {base64.b64encode(b"dir/caf\xe9.conflict-node%d" % n).decode() for n in (1, 2)}
        check(found.keys() == {"notes.conflict-node1", "notes.conflict-node2"} | odd, f"{node.name} lists {found}")
        one = found["notes.conflict-node1"]
        check(one["path"] == "notes", f"{one}")
        for side, writer, at in (("name_held_by", "node3", "2001-09-09T01:50:00Z"), ("copy_by", "node1", "2001-09-09T01:46:40Z")):
            told = one[side]
            check((told["node"], told["size"], told["mtime"]) == (writer, 8, at), f"{side}: {told}")
    text = done(cluster[1], "conflicts")
    check("notes.conflict-node2" in text and "4 conflict copies" in text and "\x1b" not in text, text)
    # Where the name is free, nobody holds it.
    os.unlink(cluster[1].path("notes"))
    cluster.agree()
    left = [c for c in asked(cluster[2], "conflicts") if c["path"] == "notes"]
    check(len(left) == 2 and all(c["name_held_by"] is None for c in left), f"{left}")
    check("nothing there" in done(cluster[2], "conflicts"), "the table hides that the name is free")


def test_a_conflict_ends_on_every_node_with_the_version_that_is_kept(world):
    cluster = conflicting(world)
    done(cluster[2], "resolve", "notes", "--keep", "node1")
    check(cluster[2].read("notes") == b"of node1", "when it returns, the disk shows it")
    cluster.agree()
    for node in cluster.nodes:
        check(names(node) == ["dir", "notes"] and node.read("notes") == b"of node1", f"{node.name}: {names(node)}")
        check(int(os.stat(node.path("notes")).st_mtime) == 1_000_000_000, "the time is not that of the version")
    # By name, below a directory, as bytes; and of the one that has the name already.
    done(cluster[3], "resolve", os.fsdecode(b"./dir/caf\xe9"), "--keep", "node3")
    cluster.agree()
    for node in cluster.nodes:
        check(os.listdir(os.fsencode(node.folder) + b"/dir") == [b"caf\xe9"], f"{node.name} has copies left")
        check(node.read(b"dir/caf\xe9") == b"odd, of node3", "another version was kept")
    check(asked(cluster[1], "conflicts") == [] and done(cluster[1], "conflicts") == "no conflicts\n", "some are left")
    # What went is kept.
    kept = {v["node"] for v in versions(cluster[1], "notes", "kept")}
    check(kept >= {"node2", "node3"}, f"kept are those of {kept}")


def test_opposite_choices_are_a_conflict_again(world):
    cluster = conflicting(world, 2)
    cluster[2].stop()
    done(cluster[1], "resolve", "notes", "--keep", "node1")
    cluster[1].stop()
    cluster.start(cluster[2])
    done(cluster[2], "resolve", "notes", "--keep", "node2")
    cluster.start(cluster[1])
    cluster.agree()
    check({cluster[1].read(n) for n in names(cluster[1]) if n.startswith("notes")} == {b"of node1", b"of node2"},
          f"{names(cluster[1])}")


def test_what_cannot_be_resolved_is_told(world):
    cluster = conflicting(world, 2)
    one = cluster[1]
    check("nothing is known" in refused(one, 1, "resolve", "none", "--keep", "node1"), "an unknown path")
    check("by: node1 node2" in refused(one, 1, "resolve", "notes", "--keep", "node7"), "an unknown node")
    check("is a conflict copy of" in refused(one, 1, "resolve", "notes.conflict-node1", "--keep", "node1"), "a copy")
    check("required" in refused(one, 2, "resolve", "notes"), "nothing to keep")
    for path in ("../notes", "/notes", ".p2psync/node", ""):
        check("no path" in refused(one, 2, "resolve", path, "--keep", "node1"), f"path {path!r}")
    one.stop()
    check("no node is running" in refused(one, 1, "resolve", "notes", "--keep", "node1"), "a stopped node")
    said = one.p2psync("conflicts", "--json")
    check(said.returncode == 1 and "no node" in json.loads(said.stdout)["error"], f"{said}")


def test_the_log_of_a_path_and_an_older_version_that_comes_back(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write("dir/story", "first", mtime=1_000_000_000, mode=0o640)
    cluster.start()
    cluster.agree()
    two.save("dir/story", "second, longer", mtime=1_000_001_000)
    cluster.agree()
    log = asked(one, "log", "dir/story")
    check(log["path"] == "dir/story", f"{log}")
    check([v["state"] for v in log["versions"]] == ["current", "kept"], f"{log}")
    current, kept = log["versions"]
    check((current["node"], current["size"]) == ("node2", 14) and current["time"] == "2001-09-09T02:03:20Z", f"{current}")
    check((kept["node"], kept["size"], kept["mode"]) == ("node1", 5, "0640"), f"{kept}")
    check(len({v["id"] for v in log["versions"]}) == 2, "ids are not unique")
    check({actor.split("/")[0] for actor in log["context"]} == {"node1", "node2"}, f"{log['context']}")
    check("kept" in done(one, "log", "dir/story"), "the table")

    done(one, "restore", "dir/story", "--version", kept["id"])
    check(one.read("dir/story") == b"first", "when it returns, the disk shows it")
    cluster.agree()
    check(two.read("dir/story") == b"first", "it did not reach the other")
    stat = os.stat(two.path("dir/story"))
    check(int(stat.st_mtime) == 1_000_000_000 and stat.st_mode & 0o777 == 0o640, f"time or mode: {stat}")
    # And back again: what was replaced by it is kept too, on both.
    again = versions(one, "dir/story", "kept")[0]
    check((again["node"], again["size"]) == ("node2", 14), f"{again}")
    done(one, "restore", "dir/story", "--version", again["id"])
    cluster.agree()
    check(two.read("dir/story") == b"second, longer", "it did not come back")

    # A deletion, with its directory.
    os.unlink(two.path("dir/story"))
    os.rmdir(two.path("dir"))
    cluster.agree()
    check(not one.exists("dir"), "the directory stands")
    states = [v["state"] for v in asked(one, "log", "dir/story")["versions"]]
    check(states[0] == "deleted" and "kept" in states, f"{states}")
    done(one, "restore", "dir/story", "--version", versions(one, "dir/story", "kept")[0]["id"])
    cluster.agree()
    check(two.read("dir/story") == b"second, longer", "what was deleted did not come back")


def test_what_cannot_be_restored_is_told(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write("a", "first")
    cluster.start()
    cluster.agree()
    two.save("a", "second")
    cluster.agree()
    check("nothing is known" in refused(one, 1, "log", "none"), "an unknown path")
    check("nothing is known" in refused(one, 1, "restore", "none", "--version", "1"), "an unknown path")
    check("has the id 42" in refused(one, 1, "restore", "a", "--version", "42"), "an unknown id")
    current = versions(one, "a", "current")[0]
    check("already" in refused(one, 1, "restore", "a", "--version", current["id"]), "what is there")
    gone = versions(one, "a", "kept")[-1]["id"]
    os.rename(one.path(f".p2psync/versions/{gone}"), one.path(".p2psync/elsewhere"))
    check("has the id" in refused(one, 1, "restore", "a", "--version", gone), "a kept file that is gone")
    check(one.read("a") == b"second", "it was touched all the same")
    two.save("a", "third")
    cluster.agree()
    kept = versions(one, "a", "kept")[0]
    # A directory has taken the name meanwhile.
    os.unlink(two.path("a"))
    two.write("a/b", "below")
    cluster.agree()
    check("is a directory now" in refused(one, 1, "restore", "a", "--version", kept["id"]), "a directory")
    check(one.read("a/b") == b"below", "it was touched all the same")


def test_verify_finds_what_nobody_changed(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    for number in range(1200):  # more than a page
        one.write(f"d{number % 7}/{number}", f"content {number}")
    one.write("big", b"0123456789abcdef" * 100_000)
    os.symlink("big", one.path("link"))
    cluster.start()
    cluster.agree()

    def verified(node, problems):
        for stopped in (False, True):
            if stopped:
                node.stop()
            said = node.p2psync("verify", "--json")
            found = json.loads(said.stdout)
            check(said.returncode == (1 if problems else 0), f"verify: {said.returncode} {found}")
            check(found["files"] == 1202, f"files: {found['files']}")
            check({m["path"]: m["problem"] for m in found["mismatches"]} == problems, f"{found['mismatches']}")
            text = node.p2psync("verify").stdout.decode()
            check(("all match" in text) == (not problems) and all(path in text for path in problems), text)
        node.start()
        cluster.agree(nodes=[node])

    verified(two, {})
    # Bits that rot: no time changes, so nobody notices but this.
    rotten = two.path("big")
    before = os.stat(rotten)
    two.stop()
    with open(rotten, "r+b") as file:
        file.seek(777_777)
        file.write(b"X")
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    said = two.p2psync("verify", "--json")
    found = json.loads(said.stdout)
    check(said.returncode == 1 and [m["path"] for m in found["mismatches"]] == ["big"], f"{found}")
    # What users change while it runs is no mismatch: it is taken in.
    cluster.start(two)
    cluster.agree()
    two.write("d1/1", "changed")
    os.unlink(two.path("d2/2"))
    check(two.p2psync("verify").returncode == 0, "a user's change counts as damage")


def test_verify_where_there_is_nothing_to_compare_with(world):
    cluster = world.cluster(1)
    said = cluster[1].p2psync("verify")
    check(said.returncode == 1 and b"p2psync: " in said.stderr, f"{said}")
    cluster.start()
    check(b"0 files" in cluster[1].p2psync("verify").stdout, "an empty folder")
