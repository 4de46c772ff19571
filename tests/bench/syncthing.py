"""Syncthing, set for speed: a configuration with its own defaults, and these changes.

No discovery, relays, NAT traversal, usage or crash reports, upgrades or browser; fixed
addresses; no lowered priority; changes looked at after one second instead of ten (the least that this setting takes);
no periodic scan; progress of unfinished files told to others every second instead of every five, so that
they can fetch from one another. Everything that decides how it transfers and stores (copiers, pullers,
hashers, concurrency, database, fsync, compression of metadata) is as it comes.
"""

import copy
import http.client
import json
import os
import re
import socket
import subprocess
import xml.etree.ElementTree as xml

from cluster import Failure
import measure
import programs

PORT = 22000
FOLDER = "bench"
OPTIONS = {
    "globalAnnounceEnabled": "false",
    "localAnnounceEnabled": "false",
    "relaysEnabled": "false",
    "natEnabled": "false",
    "stunKeepaliveStartS": "0",
    "urAccepted": "-1",
    "crashReportingEnabled": "false",
    "autoUpgradeIntervalH": "0",
    "startBrowser": "false",
    "reconnectionIntervalS": "1",
    "setLowPriority": "false",
    "progressUpdateIntervalS": "1",
}
FOLDER_SETTINGS = {
    "type": "sendreceive",
    "rescanIntervalS": "0",
    "fsWatcherEnabled": "true",
    "fsWatcherDelayS": "1",
}


class Syncthing(programs.Daemon):
    name = "syncthing"
    packages = (("syncthing", "syncthing"),)

    def start(self):
        run = self.run
        if run.workload.tree:
            # It takes a quarter of an hour to bring 100,000 files to three nodes, which is not what is measured:
            # it finds them there.
            for folder in run.folders[1:]:
                measure.copy_tree(run.folders[0], folder)
        self.nodes = [Node(run, number) for number in range(1, len(run.folders) + 1)]
        for node in self.nodes:
            node.configure(self.nodes)
        for node in self.nodes:
            node.spawn()
        self.wait_until_in_sync()

    def start_node(self, number):
        self.nodes[number].spawn()
        self.begun_anew(number)

    def stop_node(self, number):
        self.nodes[number].process.terminate()
        self.nodes[number].end()

    def roots(self):
        return [node.process.pid for node in self.nodes]

    def settled(self):
        return all(node.settled(len(self.nodes) - 1) for node in self.nodes) and len(
            {node.state["globalBytes"] for node in self.nodes}) == 1

    def check_alive(self):
        for node in self.nodes:
            if node.process.poll() is not None:
                raise Failure(f"syncthing on node {node.number} ended with {node.process.returncode}: "
                              f"{node.last_words()}")

    def picture(self):
        return "\n".join(json.dumps(node.state) for node in self.nodes)

    def stop(self):
        running = [node for node in getattr(self, "nodes", []) if node.process]
        for node in running:
            node.process.terminate()
        for node in running:
            node.end()
        return []


class Node:
    def __init__(self, run, number):
        self.number = number
        self.folder = run.folders[number - 1]
        self.address, self.inside = run.network.host(number)
        self.address = self.address.rpartition(":")[0]
        self.home = run.home(f"syncthing{number}")
        # Reachable from outside the namespace, and short: a socket's name has 107 bytes at most.
        self.socket = os.path.join(run.sockets, f"{number}")
        self.process = None
        self.state = {}
        made = subprocess.run(
            ["syncthing", "generate", "--home", self.home, "--no-default-folder", "--skip-port-probing"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        found = re.search(r"Device ID: (\S+)", made.stdout + made.stderr)
        if made.returncode != 0 or not found:
            raise Failure(f"syncthing generate: {made.returncode}: {made.stdout}{made.stderr}")
        self.id = found[1]

    def configure(self, nodes):
        path = os.path.join(self.home, "config.xml")
        document = xml.parse(path)
        root = document.getroot()
        gui = root.find("gui")
        gui.find("address").text = self.socket
        self.key = gui.find("apikey").text
        options = root.find("options")
        options.find("listenAddress").text = f"tcp://{self.address}:{PORT}"
        for name, value in OPTIONS.items():
            options.find(name).text = value
        for device in root.findall("device"):
            root.remove(device)
        # What is left out would be zero instead of what a user gets, so both begin with the defaults.
        defaults = root.find("defaults")
        folder = copy.deepcopy(defaults.find("folder"))
        folder.attrib |= FOLDER_SETTINGS | {"id": FOLDER, "path": self.folder}
        folder.remove(folder.find("device"))
        root.append(folder)
        for node in nodes:
            device = copy.deepcopy(defaults.find("device"))
            device.attrib |= {"id": node.id, "name": f"node{node.number}"}
            device.find("address").text = f"tcp://{node.address}:{PORT}"
            root.append(device)
            xml.SubElement(folder, "device", id=node.id)
        document.write(path)
        os.makedirs(os.path.join(self.folder, ".stfolder"))  # its mark that the folder is mounted

    def spawn(self):
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, "syncthing", "serve", "--home", self.home, "--no-browser", "--no-restart"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def settled(self, peers):
        """Connected with all the others, idle, and nothing is needed here."""
        try:
            connections = self.ask("/rest/system/connections")["connections"]
            self.state = self.ask(f"/rest/db/status?folder={FOLDER}")
        except OSError:
            return False  # it is about to start
        connected = sum(connection["connected"] for connection in connections.values())
        return connected == peers and self.state["state"] == "idle" and self.state["needTotalItems"] == 0

    def ask(self, path):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self.socket)
            connection.request("GET", path, headers={"X-API-Key": self.key})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise ConnectionError(f"{path}: {answer.status} {body[:200]!r}")
            return json.loads(body)
        finally:
            connection.close()

    def last_words(self):
        with open(os.path.join(self.home, "log"), errors="replace") as log:
            return "".join(log.readlines()[-15:])

    def end(self):
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            # Its second process goes with the namespace.
            self.process.kill()
            self.process.wait()
