"""A member gone bad, with its real key: whatever it says and however little it reads, the others go on, and their memory stays
what it was but for a bounded part.
"""

import hashlib
import os

from cluster import check, until
from puppet import Puppet
from weather import no_errors

KIB = 1024
CEILING_MIB = 64  # for one such member
BLOCK_BYTES = 256 * 1024


def memory_mib(node, what):
    with open(f"/proc/{node.process.pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(what))


def beside(world, says, reads="all", pace=None, words=()):
    """node3 is `says`. Until node1, to which it plays, says `words` of it; and in any case while node1 and node2 go on with
    what they always do."""
    cluster = world.cluster(3)
    one, two, bad = cluster.nodes
    block = os.urandom(BLOCK_BYTES)
    one.write("block", block)
    one.write("dir/file", "precious")
    cluster.start(one, two)
    until(lambda: two.exists("block") and two.exists("dir/file"), "the two to be in sync")
    says = says.replace("BLOCK", hashlib.sha256(block).hexdigest())
    with open(f"/proc/{one.process.pid}/clear_refs", "w") as file:
        file.write("5")  # the highest figure begins here
    idle = memory_mib(one, "VmRSS")
    trouble = lambda: one.peer("node3")["trouble"] or ""
    with Puppet(world, one, bad, says, reads, pace) as puppet:
        until(lambda: "connected" in puppet.said(), "it to be let in")
        until(lambda: all(word in trouble() for word in words), lambda: f"node1 to say {words}: {trouble()}; {puppet.said()}")
        for number in range(10):
            one.write(f"of one {number}", f"{number}")
            two.write(f"of two {number}", f"{number}")
            until(lambda: two.exists(f"of one {number}") and one.exists(f"of two {number}"), "the two to go on")
        if reads == 0:
            until(lambda: "cut off" in puppet.said(), lambda: f"it to be given up: {puppet.said()}")
        said = trouble()
    peak = memory_mib(one, "VmHWM")
    world.note(f"{says.partition(':')[0]}: {idle:.1f} MiB before, {peak - idle:.1f} MiB more at the most; {said}")
    check(peak - idle <= CEILING_MIB, f"{peak - idle:.0f} MiB more than the {idle:.0f} MiB before")
    check(one.read("dir/file") == b"precious" and two.read("block") == block, "a file is lost")
    # Put right, it is a member like any other.
    bad.start()
    check(len(cluster.agree()) == 23, "not all is everywhere")
    for node in cluster.nodes:
        no_errors(node)


def test_who_asks_for_blocks_as_fast_as_it_can(world):
    beside(world, "get:BLOCK", 0, words=["cut off", "it asks for more than a peer may"])


def test_who_asks_for_blocks_and_reads_none(world):
    beside(world, "get:BLOCK", 0, pace=400, words=["cut off", "it asks for more than it reads"])


def test_who_asks_for_blocks_and_reads_a_trickle(world):
    beside(world, "get:BLOCK", 8 * KIB, pace=400, words=["cut off", "it asks for more than it reads"])


def test_who_asks_what_is_known_and_reads_none(world):
    beside(world, "vectors", 0)


def test_who_asks_what_is_known_and_reads_a_trickle(world):
    beside(world, "vectors", 64 * KIB, words=["cut off", "too much is waiting to be sent"])


def test_a_flood_of_ticks(world):
    beside(world, "ticks")


def test_who_makes_up_members(world):
    beside(world, "rows", words=["cut off", "incarnations"])


def test_who_makes_up_incarnations(world):
    beside(world, "actors", words=["cut off", "incarnations"])
