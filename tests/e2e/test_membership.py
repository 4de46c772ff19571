"""The member list changes one node at a time: for a while the lists differ. Every node says so, what can go on goes on, and at
the end nothing is left of it.
"""

import os
import re

from cluster import check, until
from puppet import Puppet


def list_of(cluster, file, *members):
    """A configuration with these members only."""
    with open(cluster[1].config) as whole:
        blocks = re.split(r"(?m)^(?=\[\[member\]\]|\[node\])", whole.read())
    path = os.path.join(cluster.directory, file)
    with open(path, "w") as shorter:
        shorter.write("".join(block for block in blocks if not block.startswith("[[member]]") or
                              any(f'"{name}"' in block for name in members)))
    return path


def told(node, about, *words):
    """It says that `about`'s list differs, in `status` and in its table."""
    def look():
        said = " ".join(node.peer(about)["list_differences"])
        return all(word in said for word in words)
    until(look, lambda: f"{node.name} to say {words} of {about}'s list: {node.peer(about)}")
    check(words[0].encode() in node.p2psync("status").stdout, f"the table of {node.name} does not name {words[0]}")


def change(node, config):
    node.stop()
    node.config = config
    node.start()


def a_change_reaches(cluster, author, readers, name):
    author.write(name, name)
    for node in readers:
        until(lambda: node.exists(name) and node.read(name) == name.encode(), f"{name} on {node.name}: {cluster.picture()}")


def at_rest(nodes):
    """No tombstone is left, nobody is waited for, no list differs."""
    for node in nodes:
        until(lambda: node.status()["tombstones"] == 0, lambda: f"the tombstones of {node.name} to end: {node.status()}")
        status = node.status()
        check(not status["holding_up"] and not status["errors"], f"{node.name} is not done: {status}")
        check(not any(peer["list_differences"] or peer["trouble"] for peer in status["peers"]), f"{node.name}: {status}")


def test_a_member_is_added_one_node_at_a_time(world):
    cluster = world.cluster(4)
    one, two, three, four = cluster.nodes
    everyone = one.config
    old = list_of(cluster, "old.toml", "node1", "node2", "node3")
    for node in (one, two, three):
        node.config = old
    one.write("stays", "precious")
    one.write("goes before", "x")
    one.write("goes meanwhile", "x")
    cluster.start(one, two, three)
    cluster.agree(nodes=[one, two, three])
    os.unlink(one.path("goes before"))

    four.write("brought along", "precious")
    change(one, everyone)
    four.start()
    # Only node1 knows it yet, and hands on what it has; to the others it is a stranger, and says so.
    a_change_reaches(cluster, four, [one, two, three], "of four, known to one")
    a_change_reaches(cluster, three, [one, two, four], "of three, to four")
    told(two, "node1", "node4", "is a member there and not here")
    told(one, "node2", "node4", "is a member here and not there")
    until(lambda: "does not accept this node's key" in (four.peer("node2")["trouble"] or ""), lambda: f"{four.peer('node2')}")
    os.unlink(two.path("goes meanwhile"))
    until(lambda: not four.exists("goes meanwhile"), "the deletion to reach node4")

    change(two, everyone)
    a_change_reaches(cluster, four, [one, two, three], "of four, known to two")
    told(three, "node2", "node4")
    change(three, everyone)
    after = cluster.agree()
    check(after.keys() == {b"stays", b"brought along", b"of four, known to one", b"of three, to four",
                           b"of four, known to two"}, f"there are {sorted(after)}")
    at_rest(cluster.nodes)


def test_a_member_is_removed_one_node_at_a_time(world):
    cluster = world.cluster(4)
    one, two, three, four = cluster.nodes
    one.write("stays", "precious")
    one.write("goes", "x")
    cluster.start()
    cluster.agree()
    four.stop()
    os.unlink(two.path("goes"))
    until(lambda: not one.exists("goes") and not three.exists("goes"), "the deletion to arrive")
    until(lambda: all(node.status()["holding_up"] == ["node4"] for node in (one, two, three)),
          lambda: f"node4 to be named as the one who holds up: {cluster.picture()}")
    check(one.status()["tombstones"] == 1, f"{one.status()}")

    fewer = list_of(cluster, "fewer.toml", "node1", "node2", "node3")
    for number, node in enumerate((one, two, three)):
        change(node, fewer)
        a_change_reaches(cluster, node, [one, two, three], f"after {node.name}")
        if number < 2:
            told(node, "node3", "node4", "is a member there and not here")
            told(three, node.name, "node4", "is a member here and not there")
    cluster.agree(nodes=[one, two, three])
    at_rest([one, two, three])

    # It comes back, knows nothing of all this, and is told why nobody talks to it.
    four.write("of four, who is no member any more", "precious")
    four.start()
    for node in (one, two, three):
        until(lambda: "does not accept this node's key" in (four.peer(node.name)["trouble"] or ""),
              lambda: f"node4 to be told: {four.peer(node.name)}")
    check(four.status()["state"] == "isolated", f"{four.status()}")
    # As a member again, it is given what it missed, and nothing that was deleted comes back.
    everyone = four.config
    for node in (one, two, three):
        change(node, everyone)
    after = cluster.agree()
    check(after.keys() == {b"stays", b"after node1", b"after node2", b"after node3",
                           b"of four, who is no member any more"}, f"there are {sorted(after)}")
    at_rest(cluster.nodes)


def test_a_member_with_an_older_program(world):
    cluster = world.cluster(3)
    one, two, old = cluster.nodes
    one.write("a file", "precious")
    cluster.start(one, two)
    with Puppet(world, one, old, "old-protocol"):
        words = ("it speaks protocol", "this node", "is older")
        until(lambda: all(word in (one.peer("node3")["trouble"] or "") for word in words), lambda: f"{one.peer('node3')}")
        check(b"it speaks protocol" in one.p2psync("status").stdout, "the table does not say it")
        two.write("meanwhile", "x")
        until(lambda: one.exists("meanwhile") and two.exists("a file"), "the others to go on")
        check(not one.peer("node3")["in_sync"], "it is taken for in sync")
    # Its program is replaced: all is well, and the old trouble is told for a while as what it was.
    old.start()
    check({b"a file", b"meanwhile"} == cluster.agree().keys(), "it did not catch up")
