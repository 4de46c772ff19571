"""Starting, stopping, being away."""

import os
import shutil
import subprocess

from cluster import STOP_S, check, environment, until


def test_stopping_takes_less_than_five_seconds_and_exits_0(world):
    cluster = world.cluster(4)
    for number in range(200):
        cluster[1].write(f"many/{number}", os.urandom(20_000))
    cluster[2].write("big", os.urandom(1 << 20) * 64)
    cluster.start()
    # In the middle of the work, with peers that answer and with one that does not.
    took = [cluster[1].stop()]
    cluster[1].start()
    cluster.agree()
    took += [node.stop() for node in cluster.nodes]
    check(max(took) < STOP_S, f"stopping took {took}")
    for node in cluster.nodes:
        check(node.p2psync("status").returncode == 1, "status of a stopped node exits 0")


def test_sigint_stops_it_too(world):
    import signal
    cluster = world.cluster(1).start()
    cluster[1].process.send_signal(signal.SIGINT)
    check(cluster[1].process.wait(timeout=STOP_S) == 0, "SIGINT: not exit 0")
    cluster[1].process = None


def test_a_signal_that_comes_before_it_has_begun_stops_it_too(world):
    import signal
    # The first process of a container is passed over by signals that it has no handler for: then it would run on.
    config = os.path.join(world.scratch, "config")
    os.mkfifo(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([world.binary, "run", "--config", config], stderr=subprocess.PIPE)
        try:
            with open(config, "w"):  # it has it open as well, and reads
                process.send_signal(number)
                check(process.wait(timeout=STOP_S) == 0, f"{number!r}: exit {process.returncode}: {process.stderr.read()}")
        finally:
            process.kill()
            process.wait()


def test_status_says_why_a_member_is_not_connected(world):
    cluster = world.cluster(2).start()
    cluster.agree()
    check(cluster[1].peer("node2")["trouble"] is None, "something is wrong with a peer that is in sync")
    cluster[2].stop()
    until(lambda: "refused" in (cluster[1].peer("node2")["trouble"] or ""), lambda: f"{cluster[1].peer('node2')}")
    check(b"node2: " in cluster[1].p2psync("status").stdout, "the table does not say it")
    cluster[2].start()
    until(lambda: cluster[1].peer("node2")["trouble"] is None, "the trouble to be over")


def test_restarts_change_nothing(world):
    cluster = world.cluster(3)
    for node in cluster.nodes:
        node.write(f"of {node.name}", node.name)
        node.write("shared", f"by {node.name}")
    cluster.start()
    before = cluster.agree()
    roots = {node.status()["root_digest"] for node in cluster.nodes}
    for _ in range(2):
        for node in cluster.nodes:
            node.stop()
            node.start()
        check(cluster.agree() == before, "the tree changed with a restart")
    check({node.status()["root_digest"] for node in cluster.nodes} == roots, "the root digest changed")


def test_changes_made_while_a_node_is_stopped_are_its_own(world):
    cluster = world.cluster(3).start()
    cluster[1].write("kept", "1")
    cluster[1].write("goes", "1")
    cluster[1].write("edited", "1")
    cluster.agree()
    for node in cluster.nodes:
        node.stop()
    cluster[2].write("edited", "2, while nobody ran")
    os.unlink(cluster[2].path("goes"))
    os.rename(cluster[2].path("kept"), cluster[2].path("renamed"))
    cluster.start()
    tree = cluster.agree()
    check(tree.keys() == {b"renamed", b"edited"}, f"there are {sorted(tree)}")
    check(cluster[3].read("edited") == b"2, while nobody ran", "the edit is lost")


def test_a_lost_state_directory_costs_no_file_and_brings_nothing_back(world):
    cluster = world.cluster(3).start()
    for name in ("stays", "goes", "edited"):
        cluster[1].write(name, f"first {name}")
    cluster.agree()
    cluster[3].stop()
    os.unlink(cluster[1].path("goes"))
    cluster[1].write("edited", "second")
    until(lambda: cluster[2].exists("edited") and cluster[2].read("edited") == b"second", "the edit on node2")
    until(lambda: not cluster[2].exists("goes"), "the deletion on node2")
    shutil.rmtree(cluster[3].path(".p2psync"))
    cluster[3].start()
    tree = cluster.agree()
    check(tree.keys() == {b"stays", b"edited"}, f"there are {sorted(tree)}")
    check(cluster[3].read("edited") == b"second", "an old version replaced a newer one")


def test_a_folder_that_vanishes_is_no_deletion(world):
    cluster = world.cluster(3).start()
    cluster[1].write("dir/file", "precious")
    cluster.agree()
    os.rename(cluster[2].folder, cluster[2].folder + ".gone")
    # It says so, and does not make a folder of its own in that place.
    def says_error():
        code = cluster[2].process.poll()
        return code is not None or b"error" in cluster[2].p2psync("status", "--json").stdout
    until(says_error, "node2 to notice that its folder is gone")
    check(cluster[1].read("dir/file") == b"precious", "the file went on node1")
    check(cluster[3].read("dir/file") == b"precious", "the file went on node3")
    if cluster[2].process.poll() is None:
        cluster[2].stop()
    cluster[2].process = None
    shutil.rmtree(cluster[2].folder, ignore_errors=True)
    os.rename(cluster[2].folder + ".gone", cluster[2].folder)
    cluster[2].start()
    check(b"dir/file" in cluster.agree(), "the file is gone")


def test_an_ordinary_user_with_a_strict_umask(world):
    if os.getuid() != 0:
        return  # then every other test is this one
    cluster = world.cluster(2)
    for path in (cluster.directory, *(n.folder for n in cluster.nodes), *(n.key for n in cluster.nodes)):
        os.chown(path, 65534, 65534)
    os.chmod(world.scratch, 0o755)
    os.chmod(cluster.directory, 0o755)
    for node in cluster.nodes:
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(
                [world.binary, "run", *node.place()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(cluster.settings), user=65534, group=65534, extra_groups=[], umask=0o077)
    for node in cluster.nodes:
        node.wait_until_it_answers()
    cluster[1].write("of root", "x", mode=0o644)
    cluster[1].write("secret of root", "x", mode=0o600)
    # What it may not read it names; everything else goes on.
    until(lambda: cluster[2].exists("of root"), "the readable file")
    until(lambda: any(e["path"] == "secret of root" for e in cluster[1].status()["errors"]), "the error to be named")
    os.chmod(cluster[1].path("secret of root"), 0o644)
    tree = cluster.agree()
    check(tree[b"of root"].mode == 0o644, "the umask took mode bits away")
    check(not cluster[1].status()["errors"], "the error stays although it is mended")


def test_the_kernel_keeps_a_node_in_its_folder(world):
    cluster = world.cluster(2, settings={"P2PSYNC_LOG_LEVEL": "debug"}).start()
    cluster[1].write("a", "1")
    cluster.agree()
    said = cluster[1].last_words(lines=10_000)
    if "without a second fence" in said:
        world.note("this kernel has no Landlock")
        return
    check("Landlock " in said, "nothing is said of the fence")
    with open(f"/proc/{cluster[1].process.pid}/status") as status:
        check("NoNewPrivs:\t1\n" in status.read(), "the fence is not up")
