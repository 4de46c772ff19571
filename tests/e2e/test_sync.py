"""What one user does on one node arrives on all others, exactly."""

import os
import stat
import subprocess

from cluster import check, until


def test_four_nodes_end_with_the_union(world):
    cluster = world.cluster(4)
    for node in cluster.nodes:
        node.write(f"only/{node.name}/deep/file", f"of {node.name}")
        node.write("same", "the same bytes everywhere", mtime=1_700_000_000)
    cluster.start()
    tree = cluster.agree()
    for node in cluster.nodes:
        check(f"only/{node.name}/deep/file".encode() in tree, f"the file of {node.name} is missing")
    check(not any(b".conflict-" in path for path in tree), f"conflicts from nothing: {list(tree)}")
    status = cluster[2].status()
    check(status["files"] == 5 and status["conflicts"] == 0, f"status counts {status}")
    check(status["directories"] == 9, f"status counts {status['directories']} directories")
    check(status["safe_to_power_off"] is True, "everything is on four nodes, yet not safe to power off")


def test_types_modes_and_times_arrive_exactly(world):
    cluster = world.cluster(3).start()
    one = cluster[1]
    one.write("plain", "x", mtime=(1_234_567_890, 123_456_789), mode=0o640)
    one.write("run me", "#!/bin/sh\n", mtime=(1, 999_999_999), mode=0o755)
    one.write("nobody", "", mtime=(0, 0), mode=0o000)
    one.write("before 1970", "", mtime=(-86_400, 1), mode=0o444)
    one.write("set id", "", mode=0o4755)
    os.makedirs(one.path("empty/in/empty"))
    os.mkdir(one.path("private"), 0o700)
    os.symlink("../anywhere/not there", one.path("dangling"))
    os.utime(one.path("dangling"), ns=(5, 5), follow_symlinks=False)
    os.symlink("plain", one.path("link"))
    os.mkfifo(one.path("fifo"))
    until(lambda: one.status()["skipped"] == 1, "the FIFO to be counted as skipped")
    writer = subprocess.Popen(["sh", "-c", 'echo for a reader > "$1"', "sh", one.path("fifo")])
    os.chmod(one.path("fifo"), 0o600)
    one.write("behind", "x")  # is looked at with it, or later
    until(lambda: cluster[2].exists("behind"), "what was written behind it")
    waits = writer.poll() is None
    writer.kill()
    writer.wait()
    check(waits, "a look at a FIFO took what was written for its reader")
    os.unlink(one.path("fifo"))
    tree = cluster.agree()
    check(tree[b"plain"].mtime_ns == 1_234_567_890_123_456_789, "nanoseconds are lost")
    check(tree[b"plain"].mode == 0o640, "mode is lost")
    check(tree[b"before 1970"].mtime_ns == -86_400 * 10**9 + 1, "a time before 1970 is lost")
    check(tree[b"dangling"].content == b"../anywhere/not there", "the link's target is lost")
    check(tree[b"dangling"].mtime_ns == 5, "the link's time is lost")
    check(tree[b"empty/in/empty"].kind == "dir", "the empty directory is missing")
    check(tree[b"private"].mode == 0o700, "the directory's mode is lost")
    other = stat.S_IMODE(os.stat(cluster[2].path("set id")).st_mode)
    check(other == 0o755, f"a set-ID bit was synchronised: {other:o}")


def test_edits_of_every_kind_follow(world):
    cluster = world.cluster(3).start()
    one, two, three = cluster.nodes
    for name in ("edit", "chmod", "touch", "delete", "rename", "to-link", "to-dir"):
        one.write(name, f"first {name}")
    one.write("dir/a", "a")
    one.write("dir/b", "b")
    os.symlink("edit", one.path("link"))
    cluster.agree()

    two.write("edit", "second, on another node")
    os.chmod(three.path("chmod"), 0o600)
    os.utime(one.path("touch"), ns=(7, 1_000_000_007))
    os.unlink(two.path("delete"))
    os.rename(three.path("rename"), three.path("renamed"))
    os.unlink(one.path("to-link"))
    os.symlink("renamed", one.path("to-link"))
    os.unlink(two.path("to-dir"))
    two.write("to-dir/now/a/directory", "x")
    os.rename(three.path("dir"), three.path("moved"))
    os.unlink(one.path("link"))
    os.symlink("touch", one.path("link"))
    tree = cluster.agree()
    names = {b"edit", b"chmod", b"touch", b"renamed", b"to-link", b"to-dir", b"to-dir/now", b"to-dir/now/a",
             b"to-dir/now/a/directory", b"moved", b"moved/a", b"moved/b", b"link"}
    check(tree.keys() == names, f"names: {sorted(tree.keys() ^ names)} too many or missing")
    check(one.read("edit") == b"second, on another node", "the edit did not come")
    check(tree[b"chmod"].mode == 0o600, "the mode did not come")
    check(tree[b"touch"].mtime_ns == 1_000_000_007, "the time did not come")
    check(tree[b"to-link"].kind == "link" and tree[b"link"].content == b"touch", "the links did not come")

    # And the other way: a directory becomes a file, everything else goes.
    os.unlink(three.path("to-dir/now/a/directory"))
    os.removedirs(three.path("to-dir/now/a"))
    three.write("to-dir", "a file again")
    for name in names - {b"to-dir"}:
        if not name.startswith(b"to-dir") and name not in (b"moved",):
            os.unlink(three.path(name))
    os.rmdir(three.path("moved"))
    tree = cluster.agree()
    check(tree.keys() == {b"to-dir"} and tree[b"to-dir"].kind == "file", f"left: {list(tree)}")


def test_a_change_reaches_the_others_without_being_asked_for(world):
    cluster = world.cluster(4).start()
    cluster[1].write("warm", "up")
    cluster.agree()
    for number in range(10):
        cluster[number % 4 + 1].write("news", f"number {number}")
        for node in cluster.nodes:
            until(lambda: node.exists("news") and node.read("news") == f"number {number}".encode(),
                  f"number {number} on {node.name}")
    check(not any(b".conflict-" in path for path in cluster.agree()), "edits one after the other conflict")


def test_large_and_small_files_arrive_whole(world):
    cluster = world.cluster(3)
    big = os.urandom(1 << 20) * 24
    cluster[1].write("big", big)
    cluster[2].write("big one byte more", big + b"x")
    for number in range(300):
        cluster[3].write(f"small/{number % 7}/{number}", os.urandom(number * 13))
    cluster[1].write("nothing", b"")
    cluster.start()
    tree = cluster.agree()
    check(len(tree) == 3 + 300 + 8, f"{len(tree)} entries")
    check(cluster[3].read("big") == big, "the big file is not what was written")
