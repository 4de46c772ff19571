"""What a node says of what is on its way, and of a disk that has no room for it."""

import os
import pathlib
import sys

from cluster import Failure, Unable, check, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

from machine import need, tool, unmount  # noqa: E402

MIB = 1 << 20


def test_a_full_disk_is_said_stops_no_deletion_and_is_left_behind_once_there_is_room(world):
    need(("mount", "mount"))
    place = world.directory("small disk")
    try:
        tool("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place)
    except Failure as failure:
        raise Unable(f"no tmpfs here: {failure}")
    try:
        fill_and_free(world, place)
    finally:
        for node in world.clusters[0].nodes if world.clusters else []:
            if node.process:
                node.stop()
        unmount(place)


def fill_and_free(world, place):
    cluster = world.cluster(2, folders={"node2": os.path.join(place, "folder")})
    one, two = cluster[1], cluster[2]
    one.write("goes", "here while there is room")
    one.write("edited", "before")
    cluster.start()
    cluster.agree()
    with open(os.path.join(place, "ballast"), "wb") as file:
        file.write(bytes(12 * MIB))
    big = os.urandom(MIB) * 25
    one.write("dir/big", big)
    one.write("edited", big[: 2 * MIB])

    full = lambda: [e for e in two.status()["errors"] if e["path"] == "dir/big"]
    error = until(full, "node2 to say that there is no room for dir/big")[0]
    check("disk is full" in error["message"] and "by itself" in error["message"], f"it says {error}")
    said = two.p2psync("status")
    check(said.returncode == 1 and b"dir/big: the disk is full" in said.stdout, f"the table says {said}")
    check(two.status()["state"] == "error", "the disk is full, and the state is another")
    check(not two.exists("dir/big"), "a part of a file stands under its name")

    os.unlink(one.path("goes"))
    until(lambda: not two.exists("goes"), "the deletion on a node without room")
    check(two.status()["state"] == "error" and full(), "a deletion, and the disk is said not to be full any more")
    check(two.read("edited") in (b"before", big[: 2 * MIB]), "an edit was laid in part")

    os.unlink(os.path.join(place, "ballast"))
    cluster.agree()
    check(two.read("dir/big") == big, "dir/big has other bytes")
    status = two.status()
    check(status["state"] == "in_sync" and not status["errors"], f"with room again: {status}")
