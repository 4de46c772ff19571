"""[scan] max_delete: a mass of deletions is held until somebody confirms it, takes it back, or the files are there again."""

import json
import os
import shutil

import tree
from cluster import check, until

FILES = 40


def braked(world, members=2, **settings):
    cluster = world.cluster(members, settings={"P2PSYNC_SCAN_MAX_DELETE": "50%"} | settings)
    for number in range(FILES):
        cluster[1].write(f"{'ab'[number % 2]}/{number}", f"content {number}")
    cluster.start()
    cluster.agree()
    return cluster


def files_of(node):
    return {name for name, entry in tree.read_tree(node.folder).items() if entry.kind == "file"}


def wait_until_held(node, count):
    until(lambda: node.status()["held_deletions"] == count, lambda: f"{count} deletions to be held: {node.status()}")


def lose(cluster, names=("a", "b")):
    """As `rm -rf` does, one name after the other; the others have said nothing of it by then."""
    for name in names:
        shutil.rmtree(cluster[1].path(name))
    count = FILES // 2 * len(names)
    wait_until_held(cluster[1], count)
    check(len(files_of(cluster[2])) == FILES, "node2 lost a file")


def test_a_mass_of_deletions_is_held_said_and_confirmed(world):
    cluster = braked(world, 3)
    one, two, three = cluster.nodes
    os.unlink(one.path("a/0"))  # not of this
    until(lambda: not two.exists("a/0"), "a single deletion to be told")
    one.write("a/0", "again")
    cluster.agree()
    lose(cluster)

    said = one.p2psync("status")
    check(said.returncode == 1 and b"40 of 40 files are gone here" in said.stdout and b"confirm-deletes" in said.stdout,
          f"the table says {said}")
    status = one.status()
    check(status["state"] == "error" and status["held_deletions"] == FILES, f"status: {status}")
    check(one.p2psync("status", "--wait", "1").returncode == 1, "all in sync, although files are gone")
    until(lambda: not two.peer("node1")["in_sync"], "node2 not to take node1 for in sync")

    # All else goes on, and nothing is made anew where it was deleted.
    one.write("new of one", "1")
    two.write("new of two", "2")
    until(lambda: three.exists("new of one") and one.exists("new of two"), "new files to go on")
    two.write("a/1 of two", "a directory that is gone is made for it")
    until(lambda: one.exists("a/1 of two"), "a new file below a held directory")
    check(files_of(one) == {b"new of one", b"new of two", b"a/1 of two"}, f"node1 shows {sorted(files_of(one))}")
    check(len(files_of(three)) == FILES + 3, "node3 lost a file")

    said = one.p2psync("confirm-deletes", "--json")
    check(said.returncode == 0 and json.loads(said.stdout) == {"deletions": FILES, "undone": False}, f"{said}")
    after = cluster.agree()
    check({b"new of one", b"new of two", b"a", b"a/1 of two"} == after.keys(), f"left are {sorted(after)}")
    check(not one.status()["errors"], "the message stays")
    said = one.p2psync("confirm-deletes")
    check(said.returncode == 0 and b"no deletions are held back" in said.stdout, f"nothing to confirm: {said}")
    one.stop()
    check(one.p2psync("confirm-deletes").returncode == 1, "a stopped node confirms")


def test_files_that_are_put_back_release_it_by_themselves(world):
    cluster = braked(world)
    kept = cluster[1].folder + ".kept"
    # Moved out of the folder and in again: the same inodes, as after a mount.
    os.rename(cluster[1].path("a"), kept + "a")
    os.rename(cluster[1].path("b"), kept + "b")
    wait_until_held(cluster[1], FILES)
    os.rename(kept + "a", cluster[1].path("a"))
    wait_until_held(cluster[1], FILES // 2)
    check(len(files_of(cluster[2])) == FILES, "half of it was back, and the other half was deleted")
    shutil.copytree(kept + "b", os.fsdecode(cluster[1].path("b")))
    cluster.agree()
    check(len(files_of(cluster[2])) == FILES, "a file is gone")
    check(cluster[1].status()["held_deletions"] == 0, "something is still held")
    shutil.rmtree(kept + "b")


def test_it_is_held_over_a_restart_and_for_what_went_while_stopped(world):
    cluster = braked(world)
    one, two = cluster[1], cluster[2]
    lose(cluster)
    one.stop()
    # A third of it is back: the rest alone would not be suspicious.
    for number in range(0, FILES, 2):
        if number < 30:
            one.write(f"a/{number}", f"content {number}")
    for number in range(1, FILES, 2):
        one.write(f"b/{number}", f"content {number}")
    one.start()
    wait_until_held(one, 5)
    check(len(files_of(two)) == FILES, "a restart let go of it")
    one.kill()
    one.start()
    wait_until_held(one, 5)
    for number in range(30, FILES, 2):
        one.write(f"a/{number}", f"content {number}")
    cluster.agree()
    check(len(files_of(two)) == FILES, "a file is gone")

    one.stop()
    for name in os.listdir(one.folder):
        if name != ".p2psync":
            shutil.rmtree(one.path(name))
    one.start()
    wait_until_held(one, FILES)
    check(len(files_of(two)) == FILES, "what went while node1 was stopped was told")
    said = one.p2psync("confirm-deletes", "--undo")
    check(said.returncode == 0 and b"40 deletions undone" in said.stdout, f"undo: {said}")
    cluster.agree()
    check(len(files_of(one)) == FILES, "undone, and not all is back")


def test_a_rename_of_everything_is_none(world):
    for watch in ("true", "false"):
        cluster = braked(world, P2PSYNC_SCAN_WATCH=watch)
        os.makedirs(cluster[1].path("below"))
        os.rename(cluster[1].path("a"), cluster[1].path("below/a"))
        os.rename(cluster[1].path("b"), cluster[1].path("c"))
        after = cluster.agree()
        check(b"below/a/0" in after and b"c/1" in after and len(files_of(cluster[2])) == FILES, f"there are {sorted(after)}")
        check(cluster[1].status()["held_deletions"] == 0, "a rename is held")


def test_a_handful_and_a_node_without_it_delete_as_ever(world):
    cluster = world.cluster(2, settings={"P2PSYNC_SCAN_MAX_DELETE": "1%"})
    for number in range(9):
        cluster[1].write(f"few/{number}", "x")
    cluster.start()
    cluster.agree()
    shutil.rmtree(cluster[1].path("few"))
    until(lambda: not cluster[2].exists("few"), "nine files to be deleted")
    plain = world.cluster(2)
    for number in range(FILES):
        plain[1].write(f"many/{number}", "x")
    plain.start()
    plain.agree()
    shutil.rmtree(plain[1].path("many"))
    until(lambda: not plain[2].exists("many"), "a mass of deletions without max_delete")
