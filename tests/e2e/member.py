"""A member that says whatever a test has it say: its own key, the members' protocol (net/frame.h, engine/codec.h)."""

import functools
import hashlib
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess

from cluster import PATIENCE_S, check

ALPN = ["p2psync/1"]  # as members use it: a stranger may know the protocol, not the keys
PROTOCOL = int(re.search(r"protocol_version = (\d+);", (pathlib.Path(__file__).resolve().parents[2] / "engine/message.h").read_text())[1])
HELLO, VECTORS, ENTRIES, RANGES, BLOCK, HAVE, READY, WELCOME = 1, 3, 4, 5, 8, 10, 32, 33
FILE, DIRECTORY, SYMLINK = range(3)


def certificate(world, name, key, dates=None):
    """Self-signed, with this common name; `dates`: from and to, where they are not today and tomorrow."""
    cert = os.path.join(world.scratch, f"{name}-{len(os.listdir(world.scratch))}.pem")
    command = ["openssl", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "1", "-out", cert]
    if dates:
        authority = cert + ".ca"
        os.makedirs(authority)
        open(os.path.join(authority, "index.txt"), "w").close()
        request, settings = os.path.join(authority, "request"), os.path.join(authority, "ca.cnf")
        with open(settings, "w") as file:
            file.write(f"[ca]\ndefault_ca = a\n[a]\ndatabase = {authority}/index.txt\nnew_certs_dir = {authority}\n"
                       "default_md = default\nrand_serial = yes\npolicy = p\n[p]\ncommonName = supplied\n")
        asked = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request],
                               capture_output=True)
        check(asked.returncode == 0, asked.stderr.decode)
        command = ["openssl", "ca", "-config", settings, "-batch", "-selfsign", "-notext", "-keyfile", key, "-in", request,
                   "-startdate", dates[0], "-enddate", dates[1], "-out", cert]
    made = subprocess.run(command, capture_output=True)
    check(made.returncode == 0, made.stderr.decode)
    return cert


def client_context(protocols=ALPN):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@functools.cache
def node_id(world, node):
    """Its number among the members: the first 8 bytes of the key's id."""
    return int(world.p2psync("id", node.key).stdout[:16], 16)


# Values as bytes. (`engine/codec.h` has the format.)

def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def fixed(value):
    return struct.pack("<Q", value & 2**64 - 1)


def text(value):
    value = os.fsencode(value)
    return number(len(value)) + value


def several(items):
    items = list(items)
    return number(len(items)) + b"".join(items)


def hello(cluster, members):
    """`members`: numbers and names. As any member greets."""
    listed = several(fixed(number_) + text(name) for number_, name in sorted(members))
    return number(PROTOCOL) + text(cluster) + text("test") + listed + b"\0"


def version(kind, target="", size=0, content=bytes(32), label="node1", mode=0o755):
    if kind == SYMLINK:
        content, mode = hashlib.sha256(os.fsencode(target)).digest(), 0o777
    return (number(kind) + number(mode) + fixed(0) + number(size) + content + text(target) + number(0) + text(label) +
            fixed(1) + number(0) + number(0))


def path_entry(path, actor, sequence, what):
    dot = fixed(actor[0]) + fixed(actor[1]) + number(sequence)
    return text(path) + several([dot]) + several([dot + what]) + number(0)


def push(entries):
    """Entries that nobody asked for, as after a change: no stream, no ranges."""
    return number(0) + number(0) + number(0) + number(0) + several(entries)


class Member:
    """A connection that was opened as it should be. It says Hello only when it is told to."""

    def __init__(self, world, node, as_node, certificate_file=None):
        context = client_context()
        context.load_cert_chain(certificate_file or certificate(world, as_node.name, as_node.key), as_node.key)
        plain = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S)
        self.tls = context.wrap_socket(plain)
        self.own, self.other = node_id(world, as_node), node_id(world, node)
        with open(node.config) as file:
            self.cluster = re.search(r'^name *= *"(.*)"', file.read(), re.M)[1]
        self.names = [(node_id(world, each), each.name) for each in node.cluster.nodes]
        if self.own > self.other:
            self.say(READY, os.urandom(8))  # the token of a connection that is no other
            check(self.hear()[0] == WELCOME, "no welcome")
        else:
            check(self.hear()[0] == READY, "it is not ready")
            self.say(WELCOME)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def greet(self, names=None):
        self.say(HELLO, hello(self.cluster, names or self.names))

    def say(self, kind, body=b""):
        self.say_raw(struct.pack(">IB", len(body), kind) + body)

    def say_raw(self, data):
        self.tls.sendall(data)

    def hear(self):
        """The next frame: its kind and body."""
        header = self._read(5)
        length, kind = struct.unpack(">IB", header)
        return kind, self._read(length)

    def wait_until_cut_off(self):
        """Waits for the other end to hang up, whatever else it says until then."""
        try:
            while self.tls.recv(65536):
                pass
        except (ssl.SSLError, ConnectionError):
            pass

    def _read(self, count):
        read = b""
        while len(read) < count:
            more = self.tls.recv(count - len(read))
            if not more:
                raise ConnectionError("the other end hung up")
            read += more
        return read
