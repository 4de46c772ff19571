"""Concurrent edits: who keeps the name, what the copies are called, and that it happens once."""

import hashlib
import os
import re

from cluster import check, until


def names_like(tree, prefix):
    return sorted(path for path in tree if path.startswith(prefix))


def test_the_later_edit_keeps_the_name_and_the_others_stay_as_copies(world):
    cluster = world.cluster(4)
    for node, second in ((1, 100), (3, 200)):
        cluster[node].write("dir/two", f"two of {node}", mtime=second)
    for node, second in ((1, 300), (2, 100), (4, 200)):
        cluster[node].write("three.txt", f"three of {node}", mtime=second)
    for node, second in ((1, 40), (2, 10), (3, 30), (4, 20)):
        cluster[node].write("four", f"four of {node}", mtime=(1000, second))
    # Equal bytes are no conflict; the later one's mode and time stay.
    cluster[1].write("equal", "the same", mtime=100, mode=0o600)
    cluster[4].write("equal", "the same", mtime=200, mode=0o644)
    # A tie: the larger SHA-256.
    for node in (2, 3):
        cluster[node].write("tie", f"tie of {node}", mtime=5000)
    cluster.start()
    tree = cluster.agree()

    def holds(path, content):
        check(path.encode() in tree, f"{path} is missing; there are {sorted(tree)}")
        check(cluster[4].read(path) == content.encode(), f"{path} holds {cluster[4].read(path)!r}")

    holds("dir/two", "two of 3")
    holds("dir/two.conflict-node1", "two of 1")
    holds("three.txt", "three of 1")
    holds("three.txt.conflict-node2", "three of 2")
    holds("three.txt.conflict-node4", "three of 4")
    holds("four", "four of 1")
    for node in (2, 3, 4):
        holds(f"four.conflict-node{node}", f"four of {node}")
    check(names_like(tree, b"equal") == [b"equal"], "equal bytes made a conflict")
    check(tree[b"equal"].mode == 0o644 and tree[b"equal"].mtime_ns == 200 * 10**9, "not the later one's mode and time")
    winner, loser = sorted((2, 3), key=lambda n: hashlib.sha256(b"tie of %d" % n).digest(), reverse=True)
    holds("tie", f"tie of {winner}")
    holds(f"tie.conflict-node{loser}", f"tie of {loser}")
    check(len(tree) == 1 + 2 + 3 + 4 + 1 + 2, f"too many names: {sorted(tree)}")
    for node in cluster.nodes:
        check(node.status()["conflicts"] == 7, f"{node.name} counts {node.status()['conflicts']} conflicts")


def test_a_directory_keeps_its_name_against_a_file(world):
    cluster = world.cluster(3)
    cluster[1].write("name", "a file, and later", mtime=2_000_000_000)
    os.makedirs(cluster[2].path("name"))
    os.symlink("somewhere", cluster[3].path("other"))
    cluster[1].write("other/below", "x")
    cluster.start()
    tree = cluster.agree()
    check(tree[b"name"].kind == "dir", "the file took the directory's name")
    check(cluster[2].read("name.conflict-node1") == b"a file, and later", "the file is not kept as a copy")
    check(tree[b"other/below"].kind == "file", "what is below the directory is missing")
    check(tree[b"other.conflict-node3"].content == b"somewhere", "the link is not kept as a copy")


def test_a_name_made_by_hand_and_a_name_too_long_get_digits(world):
    cluster = world.cluster(3)
    cluster[2].write("x.conflict-node1", "made by hand")
    cluster[1].write("x", "x of node1", mtime=100)
    cluster[3].write("x", "x of node3", mtime=200)
    long = "l" * 255
    cluster[1].write(long, "long of node1", mtime=200)
    cluster[2].write(long, "long of node2", mtime=100)
    cluster.start()
    tree = cluster.agree()
    check(cluster[1].read("x.conflict-node1") == b"made by hand", "the user's own file lost its name")
    copies = [name for name in tree if re.fullmatch(rb"x\.conflict-node1-[0-9a-f]{8,}", name)]
    check(len(copies) == 1 and cluster[2].read(copies[0]) == b"x of node1", f"copies of x: {sorted(tree)}")
    copies = [name for name in tree if re.fullmatch(rb"l+\.conflict-node2-[0-9a-f]{8,}", name)]
    check(len(copies) == 1 and len(copies[0]) <= 255, f"copies of the long name: {copies}")
    check(cluster[3].read(copies[0]) == b"long of node2", "the copy of the long name is not what was written")


def test_a_conflict_is_made_once_and_ends_where_a_user_ends_it(world):
    cluster = world.cluster(3)
    for name in ("a", "b", "c"):
        for number, node in enumerate(cluster.nodes):
            node.write(name, f"{name} of {node.name}", mtime=1000 - number)
    cluster.start()
    check(len(cluster.agree()) == 9, "three times three-way")

    # An edit of a copy stays under the copy's name; a deleted copy does not come back.
    cluster[1].write("a.conflict-node2", "edited on node1")
    os.unlink(cluster[3].path("b.conflict-node2"))
    # The name goes: the copies stay copies.
    os.unlink(cluster[2].path("c"))
    tree = cluster.agree()
    expected = {b"a", b"a.conflict-node2", b"a.conflict-node3", b"b", b"b.conflict-node3",
                b"c.conflict-node2", b"c.conflict-node3"}
    check(tree.keys() == expected, f"too many or missing: {sorted(tree.keys() ^ expected)}")
    check(cluster[3].read("a.conflict-node2") == b"edited on node1", "the edit of the copy did not come")

    for node in cluster.nodes:
        node.stop()
    cluster.start()
    check(cluster.agree() == tree, "a restart changed the conflicts")

    for name in expected:
        if b".conflict-" in name:
            os.unlink(cluster[1].path(name))
    tree = cluster.agree()
    check(tree.keys() == {b"a", b"b"}, f"left: {sorted(tree)}")
    check(cluster[2].status()["conflicts"] == 0, "status still counts conflicts")


def test_an_edit_survives_a_concurrent_deletion_and_a_deletion_stays(world):
    cluster = world.cluster(3).start()
    for name in ("edited while deleted", "deleted while away", "deleted on both"):
        cluster[1].write(name, "first")
    cluster.agree()
    cluster[3].stop()
    for name in ("edited while deleted", "deleted while away", "deleted on both"):
        os.unlink(cluster[1].path(name))
        until(lambda: not cluster[2].exists(name), f"{name!r} to go on node2")
    cluster[3].write("edited while deleted", "second")
    os.unlink(cluster[3].path("deleted on both"))
    cluster[3].start()
    tree = cluster.agree()
    check(tree.keys() == {b"edited while deleted"}, f"there are {sorted(tree)}")
    check(cluster[1].read("edited while deleted") == b"second", "the edit is lost")


def test_concurrent_edits_while_apart_conflict_and_edits_in_turn_do_not(world):
    cluster = world.cluster(4).start()
    cluster[1].write("shared", "base")
    cluster[1].write("in turn", "base")
    cluster.agree()
    cluster[4].stop()
    cluster[1].write("shared", "by node1", mtime=2_000_000_000)
    cluster[1].write("in turn", "by node1")
    cluster[4].write("shared", "by node4", mtime=2_000_000_001)
    cluster[4].start()
    cluster.agree()
    cluster[4].write("in turn", "then by node4")
    # An older time does not make it the older edit: it replaced what it saw.
    cluster[2].write("shared", "by node2, dated back", mtime=1000)
    tree = cluster.agree()
    check(tree.keys() == {b"shared", b"shared.conflict-node1", b"in turn"}, f"there are {sorted(tree)}")
    check(cluster[1].read("in turn") == b"then by node4", "the later edit in turn is lost")
    check(cluster[3].read("shared") == b"by node2, dated back", "an edit with an old date lost to what it replaced")
    check(cluster[3].read("shared.conflict-node1") == b"by node1", "the copy is not what node1 wrote")
