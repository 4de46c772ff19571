"""wait and explain: who has what, and why somebody has it not."""

import json
import os

from cluster import check, until


def waited(node, *arguments):
    said = node.p2psync("wait", *arguments, "--json")
    return said.returncode, json.loads(said.stdout)


def explained(node, path):
    said = node.p2psync("explain", path, "--json")
    check(said.returncode == 0, f"explain {path}: {said}")
    return json.loads(said.stdout)


def lacks(told, node, why):
    """It alone, and for a reason that begins so."""
    return [one["node"] for one in told["lacking"]] == [node] and told["lacking"][0]["why"].startswith(why)


def test_wait_returns_when_all_hold_what_was_written_just_now(world):
    cluster = world.cluster(3).start()
    cluster.agree()
    for number in range(5):
        cluster[1].write("again", os.urandom(300_000))
        code, told = waited(cluster[1], "--timeout", "60")
        check(code == 0 and told["done"] and told["held_by"] == ["node1", "node2", "node3"] and not told["lacking"], f"{told}")
        for node in cluster.nodes:
            check(node.read("again") == cluster[1].read("again"), f"{node.name} has not got number {number}")


def test_wait_counts_nodes_and_names_who_lags(world):
    cluster = world.cluster(3).start()
    cluster[1].write("before", "x")
    cluster.agree()
    cluster[3].stop()
    cluster[1].write("dir/after", "y")
    code, told = waited(cluster[1], "--nodes", "2", "--timeout", "60")
    check(code == 0 and told["held_by"] == ["node1", "node2"], f"{told}")
    check(cluster[2].read("dir/after") == b"y", "it is not there")
    # Of all, one lacks it; of what was there before, none does.
    code, told = waited(cluster[1], "--timeout", "0.5")
    check(code == 1 and not told["done"] and lacks(told, "node3", "not connected: "), f"{told}")
    check(waited(cluster[1], "before", "--timeout", "10")[0] == 0, "what all hold was waited for")
    check(waited(cluster[1], "dir", "--timeout", "0.5")[0] == 1, "a directory is done without what is in it")
    said = cluster[1].p2psync("wait", "before", "--timeout", "10")
    check(said.stdout == b"held by node1 node2 node3\n", f"{said}")
    said = cluster[1].p2psync("wait", "--timeout", "0.1")
    check(said.returncode == 1 and said.stdout.startswith(b"held by node1 node2\nnot by node3: not connected: "), f"{said}")
    cluster[3].start()
    check(waited(cluster[1], "dir", "--timeout", "60")[0] == 0, "it does not arrive")


def test_wait_refuses_what_cannot_be(world):
    cluster = world.cluster(2).start()
    cluster.agree()
    said = cluster[1].p2psync("wait", "unheard of", "--timeout", "1")
    check(said.returncode == 1 and b"nothing is known" in said.stderr, f"{said}")
    said = cluster[1].p2psync("wait", "--nodes", "3")
    check(said.returncode == 2 and b"2 members" in said.stderr, f"{said}")
    for wrong in (["--nodes", "0"], ["--timeout", "-1"], ["../x"]):
        check(cluster[1].p2psync("wait", *wrong).returncode == 2, f"{wrong} was taken")
    cluster[1].stop()
    said = cluster[1].p2psync("wait")
    check(said.returncode == 1 and b"no node is running" in said.stderr, f"{said}")


def test_explain_tells_who_has_a_file_and_who_not(world):
    cluster = world.cluster(3)
    for number, node in enumerate(cluster.nodes[:2]):
        node.write("notes", f"of {node.name}", mtime=1_000_000_000 + 100 * number)
    cluster.start()
    cluster.agree()
    cluster[3].stop()
    cluster[1].write("alone", "x")
    until(lambda: cluster[2].exists("alone"), "it to arrive")
    told = until(lambda: (lambda e: e if e["versions"][0]["held_by"] == ["node1", "node2"] else None)(
        explained(cluster[1], "alone")), "node2 to say that it has it")
    check(told["why"] is None and told["ignored_by"] is None, f"{told}")
    version = told["versions"][0]
    check((version["node"], version["state"], version["name"]) == ("node1", "current", "alone"), f"{version}")
    check(lacks(version, "node3", "not connected: "), f"{version}")
    # Of a conflict, both versions.
    versions = explained(cluster[1], "notes")["versions"]
    check([(v["node"], v["state"], v["held_by"]) for v in versions] ==
          [("node2", "current", ["node1", "node2", "node3"]), ("node1", "copy", ["node1", "node2", "node3"])], f"{versions}")
    text = cluster[1].p2psync("explain", "notes").stdout.decode()
    check("notes.conflict-node1: 8 B by node1" in text and "held by: node1, node2, node3" in text, text)
    # And of a deletion, to whom it is known.
    os.unlink(cluster[2].path("alone"))
    until(lambda: not cluster[1].exists("alone"), "the deletion to arrive")
    version = explained(cluster[1], "alone")["versions"][0]
    check((version["state"], version["node"]) == ("deleted", "node2") and "node3" not in version["held_by"], f"{version}")


def test_explain_says_why_a_file_is_not_here(world):
    cluster = world.cluster(2, settings={"P2PSYNC_TRANSFER_DOWNLOAD_LIMIT": "1MiB"}).start()
    one, two = cluster.nodes
    two.write(".p2pignore", "*.log\n")
    cluster.agree()
    two.write("large", os.urandom(8 << 20))
    one.write("a.log", "x")
    until(lambda: "on its way" in (explained(one, "large")["why"] or "") if known(one, "large") else False,
          "it to be on its way")
    two.stop()
    until(lambda: explained(one, "large")["why"] == "no member that is connected has its bytes", lambda: explained(one, "large"))
    told = explained(one, "a.log")
    check(told["ignored_by"] == {"file": ".p2pignore", "line": 1, "rule": "*.log"} and told["versions"] == [], f"{told}")
    said = one.p2psync("explain", "unheard of")
    check(said.returncode == 1 and b"nothing is known" in said.stderr, f"{said}")


def known(node, path):
    return node.p2psync("explain", path).returncode == 0
