"""p2psync pause and resume: a node that exchanges nothing and lays nothing, and misses nothing."""

import http.client
import json
import os
import time

import tree
from cluster import check, free_port, until


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def asked(node, *command):
    said = node.p2psync(*command, "--json")
    check(said.returncode == 0, f"{command}: {said}")
    return json.loads(said.stdout)


def record_one_more(node, name):
    """A user's file has been looked at and is on record: so long ago is everything that was under way before."""
    node.write(name, "of a user")
    until(lambda: node.p2psync("log", name).returncode == 0, f"{name} to be recorded")


def test_a_paused_node_keeps_its_tree_and_what_its_users_do(world):
    cluster = world.cluster(3)
    one, two, three = cluster.nodes
    one.write("a", "as it was")
    one.write("b", "as it was")
    port = free_port()
    cluster.start(two, three)
    cluster.settings = cluster.settings | {"P2PSYNC_HTTP_LISTEN": f"127.0.0.1:{port}"}
    cluster.start(one)
    cluster.agree()

    check(one.p2psync("pause").stdout.startswith(b"paused"), "pause does not say that it did")
    check(asked(one, "pause") == {"paused": True, "changed": False}, "a second pause is news")
    before = tree.read_tree(one.folder)
    # The reason is what the others get when they dial; nobody had to wait for a time-out.
    for other in (two, three):
        until(lambda: "it is paused" in (other.peer("node1")["trouble"] or ""),
              lambda: f"{other.name} to know why node1 is away: {other.status()}")
        check(not other.peer("node1")["connected"], "it is connected all the same")

    away = asked(two, "explain", "a")["versions"][0]["lacking"]
    check(away == [], f"what all have is said to be lacking: {away}")
    two.write("a", "edited by two")
    away = until(lambda: asked(two, "explain", "a")["versions"][0]["lacking"], "the edit to be known")
    check(any(one["node"] == "node1" and "it is paused" in one["why"] for one in away), f"{away}")
    two.write("new", "of two")
    os.unlink(two.path("b"))
    until(lambda: three.exists("new") and not three.exists("b"), "the others to go on")
    one.write("b", "edited by one")
    record_one_more(one, "mine")
    until(lambda: one.p2psync("verify").returncode == 0, lambda: f"verify: {one.p2psync('verify')}")
    check(not two.exists("mine"), "it told of a file")

    status = one.status()
    check(status["state"] == "paused" and status["errors"] == [], f"status: {status}")
    check(not any(peer["connected"] for peer in status["peers"]), f"connected: {status}")
    check(b"paused" in one.p2psync("status").stdout and one.p2psync("status").returncode == 0, "the table")
    check(get(port, "/healthz") == (200, "ok\n"), "paused is not healthy")
    metrics = get(port, "/metrics")[1]
    check('p2psync_state{state="paused"} 1' in metrics, metrics)
    check("paused" in get(port, "/")[1], "the page does not say it")

    for command in (("status", "--wait", "60"), ("wait", "--timeout", "60")):
        started = time.monotonic()
        said = one.p2psync(*command)
        check(said.returncode == 1 and b"paused" in said.stderr, f"{command}: {said}")
        check(time.monotonic() - started < 30, f"{command} waits for what cannot come")

    shown = tree.read_tree(one.folder)
    check(shown.pop(b"mine").kind == "file" and shown.keys() == before.keys() and shown[b"a"] == before[b"a"],
          f"the tree of a paused node changed: {sorted(shown)}")

    # The mark outlives a stop and a kill.
    for end in (one.stop, one.kill):
        end()
        one.start()
        check(one.status()["state"] == "paused", f"after {end.__name__} it is {one.status()['state']}")
        check("paused" in one.last_words(), "the log does not say so")
        record_one_more(one, f"after {end.__name__}")
        check(not any(peer["connected"] for peer in one.status()["peers"]), f"connected after {end.__name__}")
    check(not one.exists("new") and one.read("a") == b"as it was", "it took something at its start")

    check(asked(one, "resume") == {"paused": False, "changed": True}, "resume")
    check(one.p2psync("resume").stdout == b"it was not paused\n", "a second resume is news")
    after = cluster.agree()
    check(sorted(after) == [b"a", b"after kill", b"after stop", b"b", b"mine", b"new"], f"afterwards there are {sorted(after)}")
    check(two.read("b") == b"edited by one" and one.read("a") == b"edited by two", "an edit is lost")
    check(not two.peer("node1")["trouble"], "the reason stays")


def test_what_a_command_lays_waits_as_well(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write("file", "of one", mtime=1_000_000_000)
    two.write("file", "of two", mtime=1_000_000_100)
    cluster.start()
    cluster.agree()
    one.p2psync("pause")
    said = one.p2psync("resolve", "file", "--keep", "node1")
    check(said.returncode == 0 and b"as soon as" in said.stdout, f"resolve: {said}")
    record_one_more(one, "more")
    check(one.read("file") == b"of two" and one.exists("file.conflict-node1"), "it was laid")
    one.p2psync("resume")
    check(sorted(cluster.agree()) == [b"file", b"more"] and two.read("file") == b"of one", "it was not carried out")


def test_it_needs_a_running_node(world):
    cluster = world.cluster(1)
    for command in ("pause", "resume"):
        said = cluster[1].p2psync(command, "--json")
        check(said.returncode == 1 and b"no node is running" in said.stderr and "error" in json.loads(said.stdout),
              f"{command}: {said}")
        check(world.p2psync(command, "-c", "/nonexistent").returncode == 2, f"{command} without a configuration")
