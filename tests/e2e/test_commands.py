"""The commands that scripts use: outputs, exit codes, what they refuse."""

import json
import os
import re
import stat

from cluster import check, until


def test_keygen_id_and_init_cluster(world):
    key = os.path.join(world.scratch, "a.key")
    made = world.p2psync("keygen", key)
    name = made.stdout.decode().strip()
    check(made.returncode == 0 and re.fullmatch(r"\S+", name), f"keygen: {made}")
    check(stat.S_IMODE(os.stat(key).st_mode) == 0o600, "the key is readable by others")
    check(world.p2psync("id", key).stdout.decode().strip() == name, "id prints another id than keygen did")
    with open(key, "rb") as file:
        before = file.read()
    check(world.p2psync("keygen", key).returncode == 1, "keygen overwrites a key, or does not exit 1")
    with open(key, "rb") as file:
        check(file.read() == before, "the refused keygen changed the key")
    check(world.p2psync("id", "/nonexistent").returncode == 1, "id of nothing does not exit 1")

    out = os.path.join(world.scratch, "cluster")
    members = ["a=127.0.0.1:1001", "b=[::1]:1002", "c-3=host.example:1003"]
    check(world.p2psync("init-cluster", "--out", out, *members).returncode == 0, "init-cluster failed")
    check(sorted(os.listdir(out)) == ["a.key", "b.key", "c-3.key", "cluster.toml"], f"made {os.listdir(out)}")
    with open(os.path.join(out, "cluster.toml")) as file:
        text = file.read()
    for member in ("a", "b", "c-3"):
        check(world.p2psync("id", f"{out}/{member}.key").stdout.decode().strip() in text, f"the id of {member} is not listed")
    check("PRIVATE" not in text, "a secret in the configuration")
    check(world.p2psync("init-cluster", "--out", out, *members).returncode == 1, "init-cluster overwrites")
    check(world.p2psync("init-cluster", "--if-absent", "--out", out, *members).returncode == 0, "--if-absent fails")
    with open(os.path.join(out, "cluster.toml")) as file:
        check(file.read() == text, "--if-absent changed the file")
    nowhere = os.path.join(world.scratch, "nowhere")
    check(world.p2psync("init-cluster", "--out", nowhere, "a", "b=h:1").returncode == 0, "no address, and init-cluster failed")
    said = world.p2psync("check", "-c", f"{nowhere}/cluster.toml", "--folder", out, "--key", f"{nowhere}/a.key")
    check(said.returncode == 0, f"check refuses a member without an address: {said}")
    for bad in (["a="], ["a=nowhere"], ["a=h:1", "a=h:2"], ["A B=h:1"], []):
        code = world.p2psync("init-cluster", "--out", os.path.join(world.scratch, "bad"), *bad).returncode
        check(code == 2, f"init-cluster {bad}: exit {code}")


def test_help_and_version(world):
    check(re.search(rb"\d+\.\d+\.\d+", world.p2psync("--version").stdout), "--version prints no version")
    for command in ("run", "status", "confirm-deletes", "check", "keygen", "id", "init-cluster"):
        said = world.p2psync(command, "--help")
        check(said.returncode == 0 and command.encode() in said.stdout, f"{command} --help: {said}")
    for wrong in ([], ["no-such-command"], ["status", "--no-such-option"], ["keygen"]):
        said = world.p2psync(*wrong)
        check(said.returncode == 2 and said.stderr, f"{wrong}: exit {said.returncode}, stderr {said.stderr!r}")


def test_status_tells_what_the_interface_promises(world):
    cluster = world.cluster(2)
    cluster[1].write("file", "12345")
    os.symlink("file", cluster[1].path("link"))
    os.mkdir(cluster[1].path("dir"))
    cluster.start()
    cluster.agree()
    status = cluster[1].status()
    keys = {"node", "id", "version", "uptime_s", "folder", "state", "files", "directories", "symlinks", "bytes",
            "conflicts", "tombstones", "skipped", "root_digest", "still_open", "safe_to_power_off", "pending",
            "sent_bytes", "received_bytes", "peers", "errors"}
    check(keys <= status.keys(), f"missing: {keys - status.keys()}")
    check((status["node"], status["state"], status["files"], status["directories"], status["symlinks"], status["bytes"])
          == ("node1", "in_sync", 1, 1, 1, 5), f"status: {status}")
    check(re.fullmatch("[0-9a-f]{32}", status["root_digest"]), "root_digest is not 32 hex digits")
    nothing = {"files": 0, "bytes": 0, "seconds_left": None}
    check(nothing.items() <= status["pending"].items(), f"pending: {status['pending']}")
    check(status["transfers"] == [] and status["errors"] == [], f"status: {status}")
    peer = status["peers"][0]
    check({"name", "address", "connected", "in_sync", "root_digest", "last_exchange_ms_ago", "rtt_ms"} <= peer.keys(),
          f"peer: {peer}")
    check(peer["name"] == "node2" and peer["connected"] and peer["in_sync"], f"peer: {peer}")
    check(peer["root_digest"] == status["root_digest"], "equal trees, other digests")
    check(status["sent_bytes"] > 0 and status["received_bytes"] > 0, "no bytes counted")
    check(cluster[1].p2psync("status").stdout.count(b"\x1b") == 0, "colour although it is not a terminal")

    cluster[2].stop()
    until(lambda: cluster[1].status()["state"] == "isolated", "node1 to be isolated")
    check(cluster[1].p2psync("status").returncode == 0, "isolated is no failure")
    check(cluster[1].p2psync("status", "--wait", "1").returncode == 1, "--wait succeeds without the other member")
    check(cluster[2].p2psync("status").returncode == 1, "status of a stopped node exits 0")
    said = cluster[2].p2psync("status", "--json")
    check(said.returncode == 1 and said.stderr, f"status --json of a stopped node: {said}")


def test_wait_looks_at_what_was_written_just_before(world):
    cluster = world.cluster(2, settings={"P2PSYNC_SCAN_WATCH": "false"}).start()
    for number in range(5):
        cluster[1].write(f"dir/{number}", f"{number}")
        said = cluster[1].p2psync("status", "--wait", "30")
        check(said.returncode == 0, f"--wait: {said}")
        check(cluster[2].read(f"dir/{number}") == b"%d" % number, "--wait returned before node2 had the file")


def test_check_judges_file_environment_and_flags(world):
    cluster = world.cluster(2)
    one = cluster[1]
    check(one.p2psync("check").returncode == 0, lambda: f"check of a good file: {one.p2psync('check')}")
    env = {"P2PSYNC_CONFIG": one.config, "P2PSYNC_NODE_FOLDER": one.folder, "P2PSYNC_NODE_KEY": one.key}
    check(world.p2psync("check", env=env).returncode == 0, "check with everything from the environment")
    said = world.p2psync("check", env=env | {"P2PSYNC_GOSSIP_INTERVAL": "soon"})
    check(said.returncode == 2 and b"P2PSYNC_GOSSIP_INTERVAL" in said.stderr + said.stdout, f"a bad variable: {said}")
    check(world.p2psync("check", "-c", "/nonexistent").returncode == 2, "check of a file that is not there")
    check(json.dumps(one.exists(".p2psync")) == "false", "check wrote into the folder")
