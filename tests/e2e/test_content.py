"""How much content crosses the wire."""

import glob
import os

from cluster import check, until

MIB = 1 << 20


def test_only_the_chunks_that_an_edit_made_new_cross_the_wire(world):
    cluster = world.cluster(2).start()
    content = os.urandom(32 * MIB)
    cluster[1].write("big", content)
    cluster.agree()
    for what, edited in (("an insertion in front", b"x" + content),
                         ("an overwriting", b"x" + content[:9 * MIB] + b"y" * 4096 + content[9 * MIB + 4096:])):
        before = cluster[2].status()["received_bytes"]
        cluster[1].write("big", edited)
        until(lambda edited=edited: cluster[2].read("big") == edited, f"{what} on node2")
        crossed = cluster[2].status()["received_bytes"] - before
        check(crossed < MIB, f"{crossed} bytes crossed for {what}")


def test_a_transfer_that_was_killed_goes_on_where_it_was(world):
    cluster = world.cluster(2)
    size = 192 * MIB
    content = os.urandom(size)
    cluster[1].write("big", content)
    cluster.start()

    def there():
        parts = glob.glob(os.fsdecode(cluster[2].path(".p2psync/tmp")) + "/*.part")
        return sum(os.stat(part).st_blocks * 512 for part in parts)

    until(lambda: there() > 32 * MIB, "a part of the file")
    cluster[2].kill()
    kept = there()
    cluster[2].start()
    cluster.agree()
    check(cluster[2].read("big") == content, "the file is another one")
    again = cluster[2].status()["received_bytes"] - (size - kept)
    world.note(f"{kept / MIB:.0f} MiB were there, and {again / MIB:.1f} MiB came beyond the rest")
    check(again < 4 * MIB, f"{again} bytes came again")


def test_holes_stay_holes(world):
    cluster = world.cluster(2).start()
    path = cluster[1].path("sparse")
    with open(path + b".new", "wb") as file:
        file.truncate(1024 * MIB)
        file.seek(512 * MIB)
        file.write(os.urandom(MIB))
    os.rename(path + b".new", path)
    cluster.agree()
    check(os.stat(cluster[2].path("sparse")).st_blocks * 512 < 4 * MIB, "the holes are filled")
    check(cluster[2].status()["received_bytes"] < 4 * MIB, "holes crossed the wire")


def test_a_file_of_a_tebibyte_takes_no_memory_to_speak_of(world):
    """Its chunks are four million. A list of all of them would take half a GiB on each node."""
    cluster = world.cluster(2).start()
    cluster.agree()
    idle = [peak_bytes(node) for node in cluster.nodes]
    path = cluster[1].path("sparse")
    data = {place << 30: os.urandom(MIB) for place in (0, 17, 500, 1023)}
    with open(path + b".new", "wb") as file:
        file.truncate(1 << 40)
        for offset, some in data.items():
            file.seek(offset)
            file.write(some)
    os.rename(path + b".new", path)
    until(lambda: cluster[2].exists("sparse"), "the file to come", 120)
    until(lambda: all(node.status()["state"] == "in_sync" for node in cluster.nodes), "the nodes to be in sync")
    got = cluster[2].path("sparse")
    check(os.stat(got).st_size == 1 << 40, "the file is of another length")
    check(os.stat(got).st_blocks * 512 < 16 * MIB, "the holes are filled")
    with open(got, "rb") as file:
        for offset, some in data.items():
            file.seek(offset)
            check(file.read(MIB) == some, f"other bytes at {offset}")
    check(cluster[2].status()["received_bytes"] < 16 * MIB, "holes crossed the wire")
    more = [peak_bytes(node) - before for node, before in zip(cluster.nodes, idle)]
    world.note(f"took {more[0] / MIB:.0f} and {more[1] / MIB:.0f} MiB more than at rest")
    check(max(more) < 64 * MIB, f"took {more} bytes more than at rest")


def peak_bytes(node):
    with open(f"/proc/{node.process.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
