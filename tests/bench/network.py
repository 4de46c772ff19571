"""The chaos tests' network of namespaces, with shaped links and with counters of what crossed them."""

import json

import machine

BURST = "64kb"
QUEUE = "50ms"  # as much as a switch would hold back before it drops


class Network(machine.Network):
    """`mbit`: every node's link has this rate, in each direction; None: as fast as the machine is.

    `halves`: the second half of the nodes is behind another switch, and cut() takes the cable between the two
    away: nobody's own link goes down, packets just do not arrive.
    """

    def __init__(self, nodes, mbit=None, halves=False):
        super().__init__(nodes)
        try:
            if halves:
                self.add_second_switch(range(nodes // 2 + 1, nodes + 1))
            for namespace in self.made:
                # Else the kernel's own IPv6 chatter would be counted.
                self.inside(namespace, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
            for number in range(1, nodes + 1) if mbit else ():
                self.shape(self.namespace(number), "lan", mbit)
                self.shape(self.lan, f"port{number}", mbit)
        except BaseException:
            self.close()
            raise

    def inside(self, namespace, *command):
        machine.tool("nsenter", f"--net=/run/netns/{namespace}", "--", *command)

    def shape(self, namespace, device, mbit):
        machine.tool("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf",
                     "rate", f"{mbit}mbit", "burst", BURST, "latency", QUEUE)

    def add_second_switch(self, numbers):
        self.ip(self.lan, "link", "add", "bridge2", "type", "bridge")
        self.ip(self.lan, "link", "set", "bridge2", "up")
        self.ip(self.lan, "link", "add", "trunk1", "type", "veth", "peer", "name", "trunk2")
        self.ip(self.lan, "link", "set", "trunk1", "master", "bridge", "up")
        self.ip(self.lan, "link", "set", "trunk2", "master", "bridge2", "up")
        for number in numbers:
            self.ip(self.lan, "link", "set", f"port{number}", "master", "bridge2")

    def cut(self):
        self.ip(self.lan, "link", "set", "trunk1", "down")

    def heal(self):
        self.ip(self.lan, "link", "set", "trunk1", "up")

    def sent(self):
        """The bytes that each node has sent so far, by its number.

        What the bridge's end of each cable has received: the kernel's counters, the same that stand in
        /sys/class/net/*/statistics of that namespace. A frame that the kernel passes on undivided counts
        with one header, for every program alike.
        """
        links = json.loads(machine.tool("ip", "-n", self.lan, "-s", "-j", "link", "show", "type", "veth").stdout)
        return {int(link["ifname"].removeprefix("port")): link["stats64"]["rx"]["bytes"] for link in links
                if link["ifname"].startswith("port")}

    def close(self):
        """Ends also what a program left running in its namespace: nobody else has anything there."""
        for name in self.made:
            for pid in machine.tool("ip", "netns", "pids", name, must=False).stdout.split():
                machine.tool("kill", "-KILL", pid, must=False)
        super().close()
