"""Members whose address nobody has configured find each other on the LAN: a bridge and namespaces, as root."""

import json
import os
import pathlib
import subprocess
import sys
import time

from cluster import check, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

import machine  # noqa: E402

STRANGER = pathlib.Path(__file__).resolve().parent / "lan_stranger.py"
SOON_S = 5  # what is promised; it takes a tenth of that


class Lan(machine.Network):
    """A namespace for each node, and one for a stranger, with IPv4, IPv6 or both."""

    def __init__(self, nodes, ipv4=True, ipv6=True):
        super().__init__(nodes + 1)
        try:
            self.stranger = nodes + 1
            for number in range(1, nodes + 2):
                if not ipv4:
                    self.ip(self.namespace(number), "address", "flush", "dev", "lan", "scope", "global")
                if not ipv6:
                    self.inside(number, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
                else:
                    until(lambda: self.has_ipv6(number), "the kernel to have made its link-local address")
        except BaseException:
            self.close()
            raise

    def host(self, number):
        return None, super().host(number)[1]

    def inside(self, number, *command):
        return machine.tool(*super().host(number)[1], *command)

    def has_ipv6(self, number):
        shown = json.loads(machine.tool("ip", "-n", self.namespace(number), "-j", "address", "show", "dev", "lan").stdout)
        return any(one["family"] == "inet6" and not one.get("tentative") for one in shown[0]["addr_info"])

    def move(self, number, to):
        """Its address is another from now on."""
        self.ip(self.namespace(number), "address", "flush", "dev", "lan", "scope", "global")
        self.ip(self.namespace(number), "address", "add", f"10.77.0.{to}/24", "dev", "lan")


def on_a_lan(world, test, **how):
    lan = Lan(3, **how)
    try:
        cluster = world.cluster(3, hosts=[lan.host(number) for number in (1, 2, 3)])
        with open(cluster[1].config) as file:
            check("\naddress" not in file.read(), "there is an address in the configuration")
        test(lan, cluster)
    finally:
        for node in world.clusters[-1].nodes if world.clusters else ():
            if node.process:
                node.stop()
        lan.close()


def connections(cluster):
    """Where each has found whom."""
    return {(node.name, peer["name"]): peer["address"] for node in cluster.running()
            for peer in node.status()["peers"] if peer["connected"]}


def meet(cluster, since, seconds=SOON_S, place=lambda name, address: True):
    """All are connected, in places that are right; returns the seconds that it took."""
    def look():
        found = connections(cluster)
        # Who was dialled learns a moment later where the other one listens.
        return len(found) == 6 and all(
            address.endswith(":7744") and place(name, address) for (_, name), address in found.items())
    until(look, lambda: f"all to be connected:\n{cluster.picture()}\n" + "\n".join(
        f"{node.name}: {node.last_words()}" for node in cluster.nodes), seconds)
    return time.monotonic() - since


def family(address):
    return 6 if address.startswith("[fe80::") else 4 if address.startswith("10.77.0.") else address


def find_each_other(world, families, **how):
    def test(lan, cluster):
        cluster.start()
        took = meet(cluster, time.monotonic())
        world.note(f"found {took:.2f} s after all answered their users")
        found = connections(cluster).values()
        check({family(address) for address in found} <= families, f"connected at {found}")
        cluster[1].write("hello", "from node1")
        cluster.agree()
    on_a_lan(world, test, **how)


def test_members_without_addresses_find_each_other(world):
    find_each_other(world, {4, 6})


def test_with_ipv4_only(world):
    find_each_other(world, {4}, ipv6=False)


def test_with_ipv6_only(world):
    find_each_other(world, {6}, ipv4=False)


def test_one_that_comes_back_with_another_address(world):
    def test(lan, cluster):
        node, number = cluster[2], 2
        cluster.start()
        meet(cluster, time.monotonic())
        for way, to in (("stopped", 20), ("killed", 21), ("killed with its cable out", 22)):
            if way == "stopped":
                node.stop()
            else:
                if "cable" in way:
                    lan.cable(number, "port", "down")  # nobody is told that it is gone
                node.kill()
            lan.move(number, to)
            if "cable" in way:
                lan.cable(number, "port", "up")
                check(cluster[1].peer("node2")["connected"], "node1 noticed: that is not what is tried here")
            started = time.monotonic()
            node.start()
            took = meet(cluster, started, place=lambda name, address: name != "node2" or address == f"10.77.0.{to}:7744")
            world.note(f"{way}, back with another address: found {took:.2f} s after its start")
            world.passed(f"{way}, then with another address")
        cluster[2].write("back", "again")
        cluster.agree()
    on_a_lan(world, test, ipv6=False)


def test_one_whose_address_changes_while_it_runs(world):
    def test(lan, cluster):
        cluster.start()
        meet(cluster, time.monotonic())
        lan.move(2, 20)
        took = meet(cluster, time.monotonic(), seconds=60,
                    place=lambda name, address: name != "node2" or address == "10.77.0.20:7744")
        world.note(f"found {took:.1f} s after its address changed")
    on_a_lan(world, test, ipv6=False)


def test_a_network_that_comes_when_the_nodes_run_already(world):
    def test(lan, cluster):
        for number in (1, 2, 3):
            lan.ip(lan.namespace(number), "link", "set", "lan", "down")
        cluster.start()
        check(connections(cluster) == {}, "connected without a network")
        for number in (1, 2, 3):
            lan.ip(lan.namespace(number), "link", "set", "lan", "up")
        took = meet(cluster, time.monotonic())
        world.note(f"found {took:.2f} s after the links came up")
    on_a_lan(world, test, ipv6=False)


def cpu_s(node):
    with open(f"/proc/{node.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(node):
    with open(f"/proc/{node.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def beside_a_stranger(world, lan, cluster, flood, test):
    identity = world.p2psync("id", cluster[2].key).stdout.decode().strip()
    address, command = machine.Network.host(lan, lan.stranger)
    process = subprocess.Popen(
        [*command, sys.executable, STRANGER, address.partition(":")[0], "p2psync", identity, *flood],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        check(process.stdout.readline() == b"begins\n", "the stranger does not begin")
        test(process.stdout)
        check(process.poll() is None, "the stranger has ended")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_stranger_who_says_that_a_member_is_with_him(world):
    def test(lan, cluster):
        cluster.start(cluster[1], cluster[3])
        def meanwhile(stranger):
            for _ in range(2):
                check(stranger.readline() == b"dialled\n", "nobody dials the stranger")
            # Now both wait for him to answer.
            started = time.monotonic()
            cluster[2].start()
            took = meet(cluster, started)
            world.note(f"the true one found {took:.2f} s after its start")
            check("10.77.0.4" not in str(connections(cluster)), f"connected with a stranger: {connections(cluster)}")
            cluster[2].stop()
            lan.move(2, 20)
            started = time.monotonic()
            cluster[2].start()
            took = meet(cluster, started)
            world.note(f"and {took:.2f} s after it came back with another address")
        beside_a_stranger(world, lan, cluster, [], meanwhile)
    on_a_lan(world, test, ipv6=False)


def test_a_flood_of_false_announcements(world):
    def test(lan, cluster):
        cluster.start()
        meet(cluster, time.monotonic())
        before = cluster.agree()
        memory = [memory_kib(node) for node in cluster.nodes]
        def meanwhile(_):
            began, spent = time.monotonic(), [cpu_s(node) for node in cluster.nodes]
            rounds = 0
            while time.monotonic() - began < 4:
                cluster[1 + rounds % 3].write(f"file-{rounds}", "written beside a flood")
                cluster.agree()
                rounds += 1
            took = time.monotonic() - began
            share = max(now - then for now, then in zip(map(cpu_s, cluster.nodes), spent)) / took
            grown = max(now - then for now, then in zip(map(memory_kib, cluster.nodes), memory))
            world.note(f"{rounds} files synchronised meanwhile; at most {100 * share:.0f} % of a core, {grown} KiB more")
            check(grown < 16 * 1024, f"{grown} KiB more than before")
            heard = [node.status()["received_bytes"] for node in cluster.nodes]
            world.note(f"received, all protocols: {heard} bytes")
        beside_a_stranger(world, lan, cluster, ["flood"], meanwhile)
        check(len(connections(cluster)) == 6, f"a connection is lost: {connections(cluster)}")
        check(set(before) < set(cluster.agree()), "nothing came of it")
        check(all("lost" not in node.last_words(1000) for node in cluster.nodes), "a connection was lost meanwhile")
    on_a_lan(world, test, ipv6=False)
