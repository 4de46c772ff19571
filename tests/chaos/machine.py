"""What the chaos tests make on this machine as root: network namespaces, loop mounts; and how it goes again.

Whoever makes something here undoes it with close(), whatever happened in between, and touches nothing else.
"""

import fcntl
import os
import shutil
import subprocess

from cluster import Failure, Skip, Unable, until

FICLONE = 0x40049409  # of <linux/fs.h>
PORT = 7744


def tool(*command, must=True):
    done = subprocess.run(list(map(os.fspath, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if must and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
    return done


def need(*programs):
    """Root, and these programs."""
    if os.geteuid() != 0:
        raise Unable("this needs root")
    for program, package in programs:
        if not shutil.which(program):
            raise Skip(f"no {program} here (Debian package {package})")


class Network:
    """A bridge in a namespace of its own, and one namespace for each node, joined to it by a cable."""

    def __init__(self, nodes):
        need(("ip", "iproute2"), ("nsenter", "util-linux"))
        self.prefix = f"p2psync-{os.getpid()}-{id(self) & 0xffff:x}"
        self.lan = f"{self.prefix}-lan"
        self.made = []
        try:
            self.add_namespace(self.lan)
            self.ip(self.lan, "link", "add", "bridge", "type", "bridge")
            self.ip(self.lan, "link", "set", "bridge", "up")
            for number in range(1, nodes + 1):
                self.add_host(number)
        except Failure as failure:
            self.close()
            raise Unable(f"no network namespaces here: {failure}")
        except BaseException:
            self.close()
            raise

    def namespace(self, number):
        return f"{self.prefix}-{number}"

    def add_namespace(self, name):
        tool("ip", "netns", "add", name)
        self.made.append(name)

    def ip(self, namespace, *arguments):
        tool("ip", "-n", namespace, *arguments)

    def add_host(self, number):
        mine = self.namespace(number)
        self.add_namespace(mine)
        self.ip(self.lan, "link", "add", f"port{number}", "type", "veth", "peer", "name", "lan", "netns", mine)
        self.ip(self.lan, "link", "set", f"port{number}", "master", "bridge", "up")
        self.ip(mine, "address", "add", f"10.77.0.{number}/24", "dev", "lan")
        self.ip(mine, "link", "set", "lo", "up")
        self.ip(mine, "link", "set", "lan", "up")

    def host(self, number):
        """For cluster.Cluster: the address, and how a program is run there."""
        return f"10.77.0.{number}:{PORT}", ["nsenter", f"--net=/run/netns/{self.namespace(number)}", "--"]

    def cable(self, number, end, state):
        """`end`: "lan" is the node's (its address is unreachable), "port" the bridge's (packets vanish)."""
        if end == "lan":
            self.ip(self.namespace(number), "link", "set", "lan", state)
        else:
            self.ip(self.lan, "link", "set", f"port{number}", state)

    def close(self):
        for name in reversed(self.made):
            tool("ip", "netns", "delete", name, must=False)
        self.made.clear()


def mount(image, place, kind, *options):
    os.makedirs(place, exist_ok=True)
    tool("mount", "-t", kind, "-o", ",".join(["loop", *options]), image, place)


def unmount(place):
    def gone():
        done = tool("umount", place, must=False)
        return done.returncode == 0 or not os.path.ismount(place)
    try:
        until(gone, f"{place} to be unmounted", seconds=10)
    except Failure:
        tool("umount", "--lazy", place, must=False)


MAKE = {
    "ext4": (128, ["mkfs.ext4", "-q", "-F"], []),
    # A clone has the same UUID, and the mount of before may linger.
    "xfs": (320, ["mkfs.xfs", "-q", "-f"], ["nouuid"]),
    "btrfs": (256, ["mkfs.btrfs", "-q", "-f"], []),
}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}


class Store:
    """A file system that clones files in one instant, for the images of disks: itself an image."""

    METHOD = ("SIGKILL, then at once FICLONE of the disk's backing file on {kind}: what the file system had "
              "submitted to its device is there, what lay in the page cache only is gone")

    def __init__(self, directory):
        self.kind = next((kind for kind in ("xfs", "btrfs") if shutil.which(f"mkfs.{kind}")), None)
        need(("mount", "mount"), ("losetup", "mount"), ("mkfs.ext4", "e2fsprogs"))
        if not self.kind:
            raise Skip("no file system that clones files: neither mkfs.xfs (Debian package xfsprogs) nor "
                       "mkfs.btrfs (btrfs-progs) here")
        self.place = os.path.join(directory, "store")
        image = os.path.join(directory, "store.image")
        with open(image, "xb") as file:
            file.truncate(8 << 30)
        tool(*MAKE[self.kind][1], image)
        try:
            mount(image, self.place, self.kind)
        except Failure as failure:
            raise Unable(f"no loop mounts here: {failure}")

    @property
    def method(self):
        return self.METHOD.format(kind=self.kind)

    def close(self):
        unmount(self.place)


class Disk:
    """A small disk in the store, mounted at a place; cut() is a power cut."""

    def __init__(self, store, kind, place):
        self.store, self.kind, self.place = store, kind, place
        self.number = 0
        size, make, self.options = MAKE[kind]
        with open(self.image, "xb") as file:
            file.truncate(size << 20)
        tool(*make, self.image)
        mount(self.image, self.place, self.kind, *self.options)

    @property
    def image(self):
        return os.path.join(self.store.place, f"{self.kind}-{self.number}.image")

    def clone(self):
        """What is on the device in this instant; the disk goes on with it at the next remount()."""
        with open(self.image, "rb") as before:
            self.number += 1
            with open(self.image, "xb") as after:
                fcntl.ioctl(after.fileno(), FICLONE, before.fileno())

    def remount(self):
        """The disk of before is thrown away; what clone() saw is mounted: the journal is replayed."""
        unmount(self.place)
        os.unlink(os.path.join(self.store.place, f"{self.kind}-{self.number - 1}.image"))
        mount(self.image, self.place, self.kind, *self.options)

    def close(self):
        unmount(self.place)
        os.unlink(self.image)


def kinds_at_hand():
    return [kind for kind, (_, make, _) in MAKE.items() if shutil.which(make[0])]
