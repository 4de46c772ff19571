"""What is wrong is said clearly, with the documented exit code, and costs nobody a file."""

import os
import re
import signal
import socket
import sqlite3

import tree
from cluster import Failure, check, until


def config_with(node, replace=None, add=""):
    """A copy of the cluster's file with something wrong in it."""
    with open(node.config) as file:
        text = file.read()
    if replace:
        check(re.search(replace[0], text, re.M), f"{replace[0]} is not in the file")
        text = re.sub(replace[0], replace[1], text, count=1, flags=re.M)
    path = os.path.join(node.cluster.directory, "wrong.toml")
    with open(path, "w") as file:
        file.write(text + add)
    return path


def test_every_configuration_error_is_named_with_file_line_and_key(world):
    one = world.cluster(2)[1]
    cases = [
        ((r'^\[cluster\]', "[cluster]\ncolour = 1"), "", "colour"),
        ((r'^name *= *"node2"', 'name = "node1"'), "", "node1"),
        ((r'^name *= *"node2"', "name = 7"), "", "name"),
        ((r'^name *= *"node2"', 'name = "No de"'), "", "name"),
        ((r'^id *= *"[0-9a-f]{4}', 'id = "zzzz'), "", "id"),
        ((r'^address *= *"127.0.0.1:\d+"', 'address = "127.0.0.1"'), "", "address"),
        (None, '\n[gossip]\ninterval = "0s"\n', "interval"),
        (None, '\n[gossip]\ninterval = 5\n', "interval"),
        (None, '\n[scan]\nwatch = "yes"\n', "watch"),
        (None, '\n[transfer]\nupload_limit = "fast"\n', "upload_limit"),
        (None, "\n[nonsense]\n", "nonsense"),
        (None, "\n[gossip\n", ""),
    ]
    for replace, add, key in cases:
        path = config_with(one, replace, add)
        for command in ("check", "run"):
            said = world.p2psync(command, "-c", path, "--folder", one.folder, "--key", one.key)
            text = said.stderr.decode() + (said.stdout.decode() if command == "check" else "")
            check(said.returncode == 2, f"{command} with {replace or add!r}: exit {said.returncode}, {text}")
            check(re.search(r"wrong\.toml:\d+", text) and key in text,
                  f"{command} with {replace or add!r} does not say where and what: {text}")
    check(not one.exists(".p2psync"), "a refused start left something in the folder")


def test_every_problem_is_listed_not_only_the_first(world):
    one = world.cluster(2)[1]
    path = config_with(one, None, '\n[gossip]\ninterval = "0s"\n[scan]\nwatch = 3\n[log]\nlevel = "loud"\n')
    said = world.p2psync("check", "-c", path, "--folder", one.folder, "--key", one.key)
    lines = (said.stderr + said.stdout).decode()
    for key in ("interval", "watch", "level"):
        check(key in lines, f"{key} is not among the problems: {lines}")


def test_a_key_that_is_missing_or_of_no_member(world):
    cluster = world.cluster(2)
    one = cluster[1]
    other = os.path.join(world.scratch, "other.key")
    world.p2psync("keygen", other)
    garbage = os.path.join(world.scratch, "garbage.key")
    with open(garbage, "w") as file:
        file.write("not a key\n")
    for key in (other, garbage, "/nonexistent.key", one.folder):
        for command in ("check", "run"):
            said = world.p2psync(command, "-c", one.config, "--folder", one.folder, "--key", key)
            check(said.returncode == 2, f"{command} with key {key}: exit {said.returncode} {said.stderr!r}")
            check(key.encode() in said.stderr + said.stdout, f"{command} does not name the key: {said.stderr!r}")


def test_a_folder_that_is_a_file_or_cannot_be_made(world):
    one = world.cluster(1)[1]
    path = os.path.join(world.scratch, "file")
    with open(path, "w") as file:
        file.write("x")
    for folder in (path, path + "/below"):
        said = world.p2psync("run", "-c", one.config, "--folder", folder, "--key", one.key)
        check(said.returncode in (1, 2) and folder.encode() in said.stderr, f"folder {folder}: {said}")
    with open(path) as file:
        check(file.read() == "x", "the file changed")


def test_a_port_in_use(world):
    cluster = world.cluster(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cluster[1].port))
        taken.listen()
        said = cluster[1].p2psync("run")
        check(said.returncode in (1, 2), f"exit {said.returncode}")
        check(str(cluster[1].port).encode() in said.stderr, f"the port is not named: {said.stderr!r}")
    cluster.start()
    cluster[1].write("x", "y")
    cluster.agree()


def test_a_second_process_on_one_folder(world):
    cluster = world.cluster(2).start()
    cluster[1].write("x", "y")
    cluster.agree()
    said = cluster[1].p2psync("run", "--listen", "127.0.0.1:1")
    check(said.returncode == 1, f"the second process: exit {said.returncode}")
    check(b"another" in said.stderr or b"already" in said.stderr, f"it does not say why: {said.stderr!r}")
    said = world.p2psync("run", "-c", cluster[1].config, "--folder", cluster[1].folder, "--key", cluster[2].key,
                         "--listen", "127.0.0.1:1")
    check(said.returncode == 1, f"another member on the same folder: exit {said.returncode}")
    check(cluster[1].p2psync("status").returncode == 0, "the first one no longer answers")
    cluster.agree()


def test_a_copied_folder_belongs_to_another_node(world):
    cluster = world.cluster(2).start()
    cluster[1].write("x", "y")
    cluster.agree()
    cluster[1].stop()
    said = world.p2psync("run", "-c", cluster[2].config, "--folder", cluster[1].folder, "--key", cluster[2].key,
                         "--listen", "127.0.0.1:1")
    check(said.returncode == 1 and cluster[1].folder.encode() in said.stderr, f"node2 on node1's folder: {said}")
    cluster[1].start()
    cluster.agree()


def database_of(node):
    for name in os.listdir(node.path(".p2psync")):
        path = node.path(b".p2psync/" + name)
        if os.path.isfile(path) and read_start(path) == b"SQLite format 3\0":
            return os.fsdecode(path)
    raise Failure("no database in the state directory")


def read_start(path):
    with open(path, "rb") as file:
        return file.read(16)


def test_a_state_directory_of_a_newer_version(world):
    cluster = world.cluster(2).start()
    cluster[1].write("x", "y")
    cluster.agree()
    cluster[1].stop()
    database = database_of(cluster[1])
    with sqlite3.connect(database) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    said = cluster[1].p2psync("run")
    check(said.returncode == 1 and b"newer" in said.stderr, f"a newer state directory: {said}")
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    cluster[1].start()
    cluster.agree()
    check(cluster[1].read("x") == b"y", "the file is lost")


def test_garbage_on_the_port_changes_nothing(world):
    cluster = world.cluster(2).start()
    cluster[1].write("x", "y")
    before = cluster.agree()
    held = []
    for payload in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(100_000), b"\x16\x03\x01\xff\xff" + b"\0" * 70_000,
                    b"\0" * 1_000_000):
        connection = socket.create_connection(("127.0.0.1", cluster[1].port), timeout=10)
        held.append(connection)
        try:
            connection.sendall(payload)
        except OSError:
            pass
    # A crowd that says nothing holds nobody up.
    for _ in range(100):
        try:
            held.append(socket.create_connection(("127.0.0.1", cluster[1].port), timeout=1))
        except OSError:
            break
    cluster[2].write("while they hang", "z")
    until(lambda: cluster[1].exists("while they hang"), "the members to go on")
    cluster[2].stop()
    cluster[2].start()
    after = cluster.agree()
    check(after.keys() == before.keys() | {b"while they hang"}, "something else changed")
    for connection in held:
        connection.close()


def test_member_lists_that_differ_are_told_and_sync_goes_on(world):
    cluster = world.cluster(3)
    # node1 has not been told of node3 yet; node2 and node3 have.
    with open(cluster[1].config) as file:
        text = file.read()
    blocks = re.split(r"(?m)^(?=\[\[member\]\]|\[node\])", text)
    shorter = "".join(block for block in blocks if '"node3"' not in block)
    check(shorter != text, "node3 is not in the file")
    cluster[1].config = os.path.join(cluster.directory, "shorter.toml")
    with open(cluster[1].config, "w") as file:
        file.write(shorter)
    for node in cluster.nodes:
        node.write(f"of {node.name}", node.name)
    cluster.start()
    for node in cluster.nodes:
        until(lambda: all(node.exists(f"of node{n}") for n in (1, 2, 3)), f"all three files on {node.name}")
    for asked, about in ((cluster[1], "node2"), (cluster[2], "node1")):
        told = until(lambda: asked.peer(about)["list_differences"], f"{asked.name} to say how {about}'s list differs")
        check("node3" in " ".join(told), f"{asked.name} says of {about}'s list: {told}")
        check(b"node3" in asked.p2psync("status").stdout, f"the table of {asked.name} does not name node3")
    # node1 is told: the difference goes.
    cluster[1].stop()
    cluster[1].config = cluster[2].config
    cluster[1].start()
    cluster.agree()
    check(not cluster[2].peer("node1")["list_differences"], "node2 still sees a difference")


def test_a_stopped_peer_costs_nobody_anything(world):
    cluster = world.cluster(3).start()
    cluster[1].write("x", "y")
    cluster.agree()
    cluster[3].process.send_signal(signal.SIGSTOP)
    cluster[1].write("while node3 hangs", "z")
    until(lambda: cluster[2].exists("while node3 hangs"), "node2 to get it")
    check(cluster[1].stop() < 5, "a peer that hangs holds up the stop")
    cluster[1].start()
    cluster[3].process.send_signal(signal.SIGCONT)
    check(b"while node3 hangs" in cluster.agree(), "node3 did not catch up")
    check(tree.read_tree(cluster[3].folder).keys() == {b"x", b"while node3 hangs"}, "too much")
