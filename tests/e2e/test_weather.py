"""Weather: what disks, limits and people do to a running node. It says so, loses nothing, and goes on by itself or when told."""

import errno
import os
import pathlib
import shutil
import signal
import socket
import sys

import tree
from cluster import Failure, Unable, check, free_port, until
from contents import read_file
from weather import NOBODY, broken, errors_of, no_errors, nothing_lost, spawn_as, three_with_files, wait_for_error

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from machine import need, tool, unmount  # noqa: E402


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self, world, name, *options):
        need(("mkfs.ext4", "e2fsprogs"), ("mount", "mount"))
        self.image = os.path.join(world.scratch, f"{name}.img")
        self.place = world.directory(name)
        with open(self.image, "wb") as file:
            file.truncate(64 << 20)
        tool("mkfs.ext4", "-q", "-F", self.image)
        self.options = ",".join(["loop", *options])
        self.mount()

    def mount(self):
        try:
            tool("mount", "-t", "ext4", "-o", self.options, self.image, self.place)
        except Failure as failure:
            raise Unable(f"no loop mounts here: {failure}")

    def device(self):
        return tool("findmnt", "-n", "-o", "SOURCE", self.place).stdout.strip()

    def close(self, world):
        for made in world.clusters:
            for node in made.nodes:
                if node.process and node.folder.startswith(self.place):
                    node.stop()
        unmount(self.place)


def test_a_disk_that_the_kernel_makes_read_only(world):
    disk = Disk(world, "disk", "errors=remount-ro")
    try:
        read_only(world, disk)
    finally:
        disk.close(world)


def read_only(world, disk):
    made = three_with_files(world, folders={"node2": os.path.join(disk.place, "folder")})
    trigger = f"/sys/fs/ext4/{os.path.basename(disk.device())}/trigger_fs_error"
    try:
        with open(trigger, "w") as file:
            file.write("a test of p2psync")
    except OSError as error:
        raise Unable(f"this kernel does not fail an ext4 on demand: {error}")
    try:
        os.mkdir(os.path.join(disk.place, "probe"))
        raise Unable("this kernel goes on with an ext4 that failed")
    except OSError as error:
        check(error.errno == errno.EROFS, f"the disk is not read-only: {error}")
    made[1].write("new", "while node2 cannot write")
    os.unlink(made[1].path("top"))
    until(lambda: made[3].exists("new") and not made[3].exists("top"), "the others to go on")
    wait_for_error(made[2], "Read-only file system")
    world.note("; ".join(errors_of(made[2])))
    check(made[2].status()["state"] == "error", f"its state is {made[2].status()}")
    check(made[2].read("top") == b"precious too", "a read-only file is gone")
    made[2].stop()
    unmount(disk.place)
    tool("e2fsck", "-fy", disk.image, must=False)
    disk.mount()
    made[2].start()
    after = made.agree()
    check(after.keys() == {b"dir", b"dir/file", b"new"}, f"there are {sorted(after)}")
    no_errors(made[2])


def test_a_directory_that_it_may_not_read_or_write(world):
    need()
    made = world.cluster(2)
    one, two = made.nodes
    for path in (made.directory, two.folder, two.key):
        os.chown(path, NOBODY, NOBODY)
    os.chmod(world.scratch, 0o755)
    one.write("closed/file", "precious")
    one.write("shut/file", "precious")
    one.start()
    spawn_as(two, NOBODY)
    made.agree()
    # Of somebody else: names in it cannot change, and everything else does.
    os.chown(two.path("shut"), 0, 0)
    one.write("shut/new", "new")
    one.write("open/new", "new")
    until(lambda: two.exists("open/new"), "what is elsewhere to arrive")
    wait_for_error(two, "shut/new", "Permission denied")
    os.chown(two.path("shut"), NOBODY, NOBODY)
    until(lambda: two.exists("shut/new"), "shut/new to arrive")
    # It cannot be listed: nothing in it was deleted.
    os.chown(two.path("closed"), 0, 0)
    os.chmod(two.path("closed"), 0o700)
    two.write("made after", "x")
    until(lambda: one.exists("made after"), "what is elsewhere to leave")
    said = two.p2psync("status", "--wait", "3")
    wait_for_error(two, "closed", "Permission denied")
    check(one.read("closed/file") == b"precious", f"a file is gone: {said}")
    os.chmod(two.path("closed"), 0o755)
    os.chown(two.path("closed"), NOBODY, NOBODY)
    after = made.agree()
    check({b"closed/file", b"shut/file", b"shut/new", b"open/new", b"made after"} <= after.keys(), f"{sorted(after)}")
    no_errors(two)


def test_a_folder_that_is_unmounted_while_it_runs_and_while_not(world):
    disk = Disk(world, "disk")
    try:
        made = three_with_files(world, folders={"node2": disk.place})
        shutil.rmtree(os.path.join(disk.place, "lost+found"))
        made.agree()
        tool("umount", "--lazy", disk.place)
        broken(made[2], "unmounted")
        made[2].stop()
        nothing_lost(made, 1, 3)
        # The empty mount point is a new folder: it is filled, and nobody loses anything.
        made[2].start()
        made.agree()
        nothing_lost(made, 1, 2, 3)
        made[2].stop()
        until(lambda: not tool("losetup", "-j", disk.image).stdout, "the lazy unmount")
        disk.mount()
        made[1].write("while away", "x")
        made[2].start()
        check(b"while away" in made.agree(), "it does not go on with its old folder")
        nothing_lost(made, 1, 2, 3)
    finally:
        disk.close(world)


def test_a_folder_that_is_emptied_while_it_runs_and_while_not(world):
    made = three_with_files(world, settings={"P2PSYNC_SCAN_MAX_DELETE": "50%"})
    two = made[2]

    def empty(*kept):
        for name in os.listdir(two.folder):
            if name not in kept:
                (shutil.rmtree if os.path.isdir(two.path(name)) else os.unlink)(two.path(name))
    # With all that is the program's own: it is another folder, and says so.
    empty()
    broken(two, "was removed or replaced")
    nothing_lost(made, 1, 3)
    two.stop()
    two.start()
    made.agree()
    nothing_lost(made, 1, 2, 3)
    no_errors(two)
    # The same while it is stopped: there is nothing to say, and everything to fetch.
    two.stop()
    empty()
    two.start()
    made.agree()
    nothing_lost(made, 1, 2, 3)
    # With its index left, each name was deleted as far as anybody can tell: for that there is the brake.
    for number in range(20):
        made[1].write(f"many/{number}", f"{number}")
    made.agree()
    two.stop()
    empty(".p2psync")
    two.start()
    wait_for_error(two, "files are gone here", "confirm-deletes")
    check(two.status()["state"] == "error" and two.status()["held_deletions"] == 22, f"{two.status()}")
    nothing_lost(made, 1, 3)
    check(two.p2psync("confirm-deletes", "--undo").returncode == 0, "it cannot be undone")
    made.agree()
    nothing_lost(made, 1, 2, 3)
    no_errors(two)


def test_a_folder_that_is_replaced_while_it_runs(world):
    made = three_with_files(world)
    os.rename(made[2].folder, made[2].folder + ".old")
    shutil.copytree(made[2].folder + ".old", made[2].folder, ignore=shutil.ignore_patterns("control.sock"))
    os.unlink(made[2].path("top"))
    broken(made[2], "replaced")
    nothing_lost(made, 1, 3)
    made[2].stop()
    # What stands there now is a node's folder, and somebody has deleted a file in it.
    made[2].start()
    check(made.agree().keys() == {b"dir", b"dir/file"}, "the copy is not gone on with")


def test_git_clean_under_a_running_node(world):
    need(("git", "git"))
    made = three_with_files(world)
    folder = made[2].folder
    tool("git", "-C", folder, "init", "-q")
    tool("git", "-C", folder, "add", "dir", "top")
    tool("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", "x")
    made[2].write("untracked", "x")
    made.agree()
    tool("git", "-C", folder, "clean", "-fdxq")
    check(not made[2].exists(".p2psync"), "git clean has left .p2psync")
    broken(made[2], ".p2psync was removed")
    nothing_lost(made, 1, 2, 3)
    made[2].stop()
    made[2].start()
    after = made.agree()
    nothing_lost(made, 1, 2, 3)
    check(b"untracked" in after, "what git took away with the index was told as deleted")


def test_a_state_directory_exchanged_under_a_running_node(world):
    made = three_with_files(world)
    made[1].stop()
    made[3].stop()
    state = made[2].path(".p2psync")
    os.rename(state, state + b".old")
    shutil.copytree(os.fsdecode(made[3].path(".p2psync")), os.fsdecode(state), ignore=shutil.ignore_patterns("control.sock"))
    broken(made[2], ".p2psync was removed or replaced")
    made[2].stop()
    said = made[2].p2psync("run")
    check(said.returncode == 1 and b"belongs to another node" in said.stderr and b"remove .p2psync" in said.stderr,
          f"node2 with node3's state: {said}")
    shutil.rmtree(state)
    os.rename(state + b".old", state)
    made.start()
    made.agree()
    nothing_lost(made, 1, 2, 3)


def test_fewer_watches_than_directories(world):
    need(("unshare", "util-linux"), ("nsenter", "util-linux"))
    limit = "/proc/sys/user/max_inotify_watches"
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo 4 > {limit} && exec "$0" "$@"']
    if tool(*command, "true", must=False).returncode != 0:
        raise Unable("no user namespace with limits of its own here")
    hosts = [(f"127.0.0.1:{free_port()}", command if number == 2 else []) for number in (1, 2)]
    made = world.cluster(2, hosts=hosts)
    one, two = made.nodes
    for number in range(10):
        one.write(f"d{number}/file", "x")
    made.start()
    made.agree()
    wait_for_error(two, "cannot be watched", "max_user_watches")
    for number in range(10):
        two.write(f"d{number}/of two", "seen by a scan")
    check(b"d9/of two" in made.agree(), "what is not watched is not synchronised")
    check(two.status()["state"] == "in_sync", "too few watches, and it does not go on")
    tool("nsenter", "--user", "-t", str(two.process.pid), "sh", "-c", f"echo 100000 > {limit}")
    # The next scan, within a minute or as soon as somebody waits, sets the rest of them.
    until(lambda: two.p2psync("status", "--wait", "5").returncode == 0 and not errors_of(two), "all to be watched")
    two.write("d5/watched", "x")
    until(lambda: one.exists("d5/watched"), "the watches to be back", seconds=10)


def test_few_descriptors(world):
    need(("prlimit", "util-linux"))
    command = ["prlimit", "--nofile=64:64"]
    hosts = [(f"127.0.0.1:{free_port()}", command if number == 2 else []) for number in (1, 2, 3)]
    made = world.cluster(3, hosts=hosts)
    for number in range(300):
        made[1].write(f"small/{number}", f"{number}")
        made[2].write(f"other/{number}", f"{number}")
    made[1].write("large", os.urandom(8 << 20))
    made.start()
    after = made.agree()
    check(len(after) == 603, f"there are {len(after)}")
    # A crowd takes what is left of them; when it goes, all goes on.
    crowd = []
    for _ in range(100):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", made[2].port))
        crowd.append(connection)
    made[1].write("in a crowd", "x")
    made[2].write("from the crowd", "x")
    for connection in crowd:
        connection.close()
    check({b"in a crowd", b"from the crowd"} <= made.agree().keys(), "it did not go on")
    no_errors(made[2])


def test_the_address_of_a_member_is_taken_by_another(world):
    made = world.cluster(3)
    one, two, three = made.nodes
    one.write("dir/file", "precious")
    one.write("top", "precious too")
    one.start()
    # As with containers that came up in another order: who answers there is not whom the others look for.
    three.spawn("--listen", two.address)
    until(lambda: "cannot reach node2: it is node3 that answers there" in one.last_words(), "node1 to say who it is")
    check(not one.peer("node2")["connected"], "node3 is taken for node2")
    two.spawn("--listen", three.address)
    for node in (two, three):
        node.wait_until_it_answers()
    until(lambda: two.exists("dir/file") and three.exists("dir/file"), "both to reach node1")
    two.write("of two", "x")
    until(lambda: three.exists("of two"), "node1 to hand it on")
    nothing_lost(made, 1, 2, 3)
    for node in (two, three):
        node.stop()
    made.start(two, three)
    made.agree()
    nothing_lost(made, 1, 2, 3)


def test_a_name_that_cannot_be_looked_up(world):
    made = world.cluster(2)
    one, two = made.nodes
    with open(two.config) as file:
        text = file.read()
    two.config = os.path.join(made.directory, "node2.toml")
    with open(two.config, "w") as file:
        file.write(text.replace(one.address, f"no-such-host.invalid:{one.port}"))
    one.write("dir/file", "precious")
    one.write("top", "precious too")
    two.start()
    until(lambda: "cannot reach node1: look up name no-such-host.invalid" in two.last_words(), "node2 to say so")
    check(two.status()["state"] == "isolated", f"node2 says {two.status()['state']}")
    # Either direction will do.
    one.start()
    made.agree()
    nothing_lost(made, 1, 2)


def test_two_nodes_with_one_key(world):
    made = three_with_files(world)
    one, two, three = made.nodes
    # A machine was cloned, and its key with it.
    twin = world.cluster(1, folders={"node1": world.directory("twin")})[1]
    twin.config, twin.key = one.config, three.key
    twin.write("of the twin", "precious")
    twin.spawn("--listen", twin.address)
    twin.wait_until_it_answers()
    for node in (one, two):
        wait_for_error(node, "two processes seem to run with the key of node3", "needs a key of its own")
    three.write("of three", "precious")
    one.write("of one", "precious")
    os.unlink(two.path("top"))
    # The two others go on meanwhile, and each of the twins now and then.
    until(lambda: two.exists("of one") and not one.exists("top"), "the two others to go on")
    until(lambda: one.exists("of three") and two.exists("of three"), "what node3 writes")
    twin.stop()
    after = made.agree()
    check({b"dir", b"dir/file", b"of one", b"of three"} <= after.keys() <= {
        b"dir", b"dir/file", b"of one", b"of three", b"of the twin"}, f"there are {sorted(after)}")
    check(twin.read("of the twin") == b"precious", "the twin lost a file")


def test_files_of_other_owners(world):
    need()
    made = world.cluster(2)
    one, two = made.nodes
    for path in (made.directory, two.folder, two.key):
        os.chown(path, NOBODY, NOBODY)
    os.chmod(world.scratch, 0o755)
    one.start()
    spawn_as(two, NOBODY)
    one.write("edited", "before")
    one.write("goes", "before")
    made.agree()
    for name in ("edited", "goes"):
        os.chown(two.path(name), 0, 0)
    one.write("edited", "after")
    os.unlink(one.path("goes"))
    until(lambda: two.read("edited") == b"after" and not two.exists("goes"), "what is root's to be replaced")
    made.agree()
    two.write("of root", "x", mode=0o600)  # written by root, that is
    wait_for_error(two, "of root", "Permission denied")
    os.chown(two.path("of root"), NOBODY, NOBODY)
    check(b"of root" in made.agree(), "it did not go on")
    no_errors(two)


def test_a_volume_below_the_folder_that_is_unmounted(world):
    need(("mount", "mount"))
    made = world.cluster(2, settings={"P2PSYNC_SCAN_MAX_DELETE": "50%"})
    one, two = made.nodes
    volume = os.fsdecode(one.path("volume"))
    os.makedirs(volume)
    try:
        tool("mount", "-t", "tmpfs", "tmpfs", volume)
    except Failure as failure:
        raise Unable(f"no tmpfs here: {failure}")
    try:
        for number in range(20):
            one.write(f"volume/{number}", f"precious {number}")
        made.start()
        made.agree()
        unmount(volume)
        until(lambda: one.status()["held_deletions"] == 20, lambda: f"it to be held: {one.status()}", seconds=10)
        check(len(tree.read_tree(two.folder)) == 21, "what was on the volume is gone on node2")
        tool("mount", "-t", "tmpfs", "tmpfs", volume)
        for number in range(20):
            one.write(f"volume/{number}", f"precious {number}")
        made.agree()
        check(len(tree.read_tree(two.folder)) == 21, "something is gone after all")
    finally:
        for node in made.nodes:
            if node.process:
                node.stop()
        unmount(volume)


def test_a_process_that_stands_still_for_so_long_that_it_is_given_up(world):
    made = three_with_files(world)
    one, two, three = made.nodes
    two.process.send_signal(signal.SIGSTOP)
    until(lambda: not one.peer("node2")["connected"] and not three.peer("node2")["connected"], "node2 to be given up")
    for node in (one, three):
        until(lambda: "timed out" in (node.peer("node2")["trouble"] or "") or "in time" in node.peer("node2")["trouble"],
              lambda: f"{node.name} to say why: {node.peer('node2')}")
        check(b"node2: " in node.p2psync("status").stdout, f"the table of {node.name} does not say it")
    world.note(one.peer("node2")["trouble"])
    one.write("while it stood still", "x")
    os.unlink(three.path("top"))
    two.write("by its user", "x")
    until(lambda: three.exists("while it stood still") and not one.exists("top"), "the others to go on")
    two.process.send_signal(signal.SIGCONT)
    check(made.agree().keys() == {b"dir", b"dir/file", b"while it stood still", b"by its user"}, "it did not catch up")
    for node in made.nodes:
        until(lambda: all(peer["trouble"] is None for peer in node.status()["peers"]), lambda: f"{node.status()}")
        no_errors(node)


def test_kept_versions_take_no_more_than_they_may(world):
    made = world.cluster(2, settings={"P2PSYNC_VERSIONS_MAX_BYTES": "256KiB"}).start()
    def arrive(content):
        new = os.path.join(made.directory, "new")
        with open(new, "wb") as file:
            file.write(content)
        os.replace(new, made[1].path("file"))
        until(lambda: made[2].exists("file") and made[2].read("file") == content, "a save to arrive")
    for number in range(32):
        arrive(bytes([number]) * (32 << 10))
    place = made[2].path(".p2psync/versions")
    def kept():
        return [read_file(os.path.join(place, name)) or b"" for name in sorted(os.listdir(place))]
    def within():
        files = kept()
        return sum(map(len, files)) <= 256 << 10 and len(files) > 4 and files[-1][:1] == bytes([30])
    until(within, lambda: f"256 KiB at most, the newest: {[(file[:1], len(file)) for file in kept()]}", 20)
