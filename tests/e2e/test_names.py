"""Names are bytes: every one that Linux allows, in folders with any path."""

import os

from cluster import check

ODD = [
    b"new\nline", b"tab\tand\x01control\x7f", b"invalid \xff\xfe UTF-8", b"-rf", b"--help", b" leading", b"trailing ",
    b"trailing.", b".hidden", b"..two dots", b"*?[a-z]{b,c}", b"$HOME`id`\"'\\", b"CON", b"a:b", b"%s%n", b"~",
    "caf\u00e9".encode(), "cafe\u0301".encode(), "\U0001f600".encode(), b"x" * 255, "\u00e4".encode() * 127,
    b"x.conflict-node1", b"x.conflict-", b"x.conflict-node1-00000000", b".conflict-node2", b"y.p2psync", b".p2psync.",
    b".p2pignored", b"tmp", b"0", b"a", b"A",
]


def test_every_name_that_linux_allows_arrives(world):
    cluster = world.cluster(3)
    one, two, three = cluster.nodes
    for name in ODD:
        one.write(name, b"file " + name)
        two.write(b"dir/" + name + b"/" + name, b"below " + name)
        os.makedirs(three.path(b"links"), exist_ok=True)
        os.symlink(name, three.path(b"links/" + name))
    deep = b"/".join([b"d" * 200] * 18)  # 3,617 bytes
    here = os.open(two.path(), os.O_PATH)
    for part in deep.split(b"/"):
        os.mkdir(part, dir_fd=here)
        below = os.open(part, os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    cluster.start()
    tree = cluster.agree()
    for name in ODD:
        check(one.read(b"dir/" + name + b"/" + name) == b"below " + name, f"{name!r} did not arrive whole")
        check(tree[b"links/" + name].content == name, f"the link to {name!r} changed")
    check(tree[deep].kind == "dir", "the deep directory is missing")
    check(not any(status["errors"] for status in (node.status() for node in cluster.nodes)), "errors about names")

    for name in ODD:
        os.unlink(three.path(name))
    tree = cluster.agree()
    check(not any(name in tree for name in ODD), "deletions of odd names did not come")


def test_the_state_directory_is_never_synchronised(world):
    cluster = world.cluster(2)
    cluster[1].write(".p2psync/mine", "state")
    cluster[1].write("sub/.p2psync/file", "not at the root")
    cluster.start()
    cluster.agree()
    check(not cluster[2].exists(".p2psync/mine"), "a file of the state directory was synchronised")


def test_a_folder_with_a_path_longer_than_a_socket_address(world):
    deep = os.path.join(world.scratch, *["a directory with a long name " * 3] * 4)
    check(len(deep) > 300, "not long enough to show anything")
    cluster = world.cluster(2, folders={"node1": deep}).start()
    cluster[1].write("x", "from the deep")
    cluster.agree()
    said = cluster[1].p2psync("status")
    check(said.returncode == 0 and b"node1" in said.stdout, f"status: {said}")


def test_a_relative_folder_and_another_directory_to_ask_from(world):
    cluster = world.cluster(2).start()
    parent, name = os.path.split(cluster[1].folder)
    said = world.p2psync("status", "-c", cluster[1].config, "--folder", name, cwd=parent)
    check(said.returncode == 0, f"status with a relative folder: {said}")
