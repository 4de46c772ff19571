"""What a node says of what is on its way, and of a disk that has no room for it."""

import os
import pathlib
import sys

from cluster import Failure, Unable, check, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

from machine import need, tool, unmount  # noqa: E402

MIB = 1 << 20


def test_status_says_how_far_each_file_is_and_how_long_the_rest_takes(world):
    cluster = world.cluster(2)
    name = b"dir/big \xff"
    cluster[1].write(name, os.urandom(10 * MIB))
    cluster[1].write("small", "x")
    cluster.settings["P2PSYNC_TRANSFER_UPLOAD_LIMIT"] = "2MiB"
    cluster.start()

    def moving():
        status = cluster[2].status()
        check(status["pending"]["files"] > 0 or not status["transfers"], f"transfers of nothing: {status}")
        found = [t for t in status["transfers"] if t["bytes"] == 10 * MIB]
        return found and found[0]["done_bytes"] > 0 and (status, found[0])
    status, first = until(moving, "node2 to have a part of the file")
    check(first["path"] == "dir/big \ufffd" and first["path_bytes"] == "ZGlyL2JpZyD/", f"the path is {first}")
    pending = status["pending"]
    check(pending["bytes"] == first["bytes"] - first["done_bytes"], f"{pending} and {first} do not fit")
    rate = pending["bytes_per_s"]
    check(rate > 0 and pending["seconds_left"] == -(-pending["bytes"] // rate), f"time left: {pending}")

    text = cluster[2].p2psync("status").stdout.decode()
    check("/s, " in text and " left" in text, f"no rate and time left in\n{text}")
    check("coming in" in text and "dir/big \ufffd" in text and "%" in text, f"no table of transfers in\n{text}")
    check("[#" not in text and "\033" not in text, f"a bar or colour, and no terminal, in\n{text}")

    done = [first["done_bytes"]]
    def whole():
        found = moving()
        if found:
            done.append(found[1]["done_bytes"])
        return cluster[2].exists(name)
    until(whole, "the file to be whole")
    check(done == sorted(done) and done[-1] <= 10 * MIB, f"what is here did not only grow: {done}")
    check(len(set(done)) > 2, f"it did not move: {done}")
    cluster.agree()
    status = cluster[2].status()
    check(status["transfers"] == [] and status["pending"]["seconds_left"] is None, f"at rest: {status}")


def test_a_full_disk_is_said_stops_no_deletion_and_is_left_behind_once_there_is_room(world):
    on_a_small_disk(world, 32, fill_and_free)


def on_a_small_disk(world, mebibytes, act):
    need(("mount", "mount"))
    place = world.directory("small disk")
    try:
        tool("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", place)
    except Failure as failure:
        raise Unable(f"no tmpfs here: {failure}")
    try:
        act(world, place)
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
    one.save("dir/big", big)
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


def test_a_file_that_one_disk_has_no_room_for_takes_none_and_holds_up_no_other(world):
    on_a_small_disk(world, 48, too_large_for_one)


def too_large_for_one(world, place):
    cluster = world.cluster(3, folders={"node2": os.path.join(place, "folder")})
    one, two, three = cluster.nodes
    cluster.start()
    cluster.agree()
    one.save("too large", os.urandom(MIB) * 60)
    refused = lambda: [e for e in two.status()["errors"] if e["path"] == "too large"]
    until(refused, "node2 to say that there is no room")
    until(lambda: three.exists("too large"), "it to come to the node that has room")
    free = os.statvfs(place)
    check(free.f_bavail * free.f_frsize > 40 * MIB, "what cannot be had whole takes the room all the same")
    for number in range(8):
        one.write(f"large {number}", os.urandom(MIB))
        one.write(f"small {number}", "x")
    until(lambda: all(two.exists(f"{size} {n}") for size in ("large", "small") for n in range(8)), "all others")
    check(refused() and not two.exists("too large"), "it is said no more, and is not there")
    os.unlink(three.path("too large"))
    cluster.agree()
    check(not two.status()["errors"], f"after its deletion: {two.status()}")


def test_what_a_dead_node_told_of_and_nobody_has_holds_up_nobody_elses_files(world):
    cluster = world.cluster(3)
    one, two, three = cluster.nodes
    cluster.settings["P2PSYNC_TRANSFER_UPLOAD_LIMIT"] = "64KiB"
    one.start()
    del cluster.settings["P2PSYNC_TRANSFER_UPLOAD_LIMIT"]
    cluster.start(two, three)
    cluster.agree()
    # More of both kinds than are fetched at a time (engine/node.h, FetchesMax).
    for number in range(700):
        one.write(f"small/{number}", os.urandom(30_000))
    for number in range(6):
        one.write(f"large/{number}", os.urandom(MIB))
    known = lambda node: node.status()["pending"]["files"] > 600
    until(lambda: known(two) and known(three), "both to know of most files")
    one.kill()

    two.write("small of two", "x")
    two.write("large of two", os.urandom(3 * MIB))
    until(lambda: three.exists("small of two"), "a small file that is there, behind many that are not")
    until(lambda: three.exists("large of two"), "a large file that is there, behind some that are not")
    check(known(two) and known(three), "the files of the dead node came from nowhere")
    one.start()
    cluster.agree()
