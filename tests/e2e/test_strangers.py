"""Only members take part: no key, a stranger's key, plaintext and TLS 1.2 get nowhere."""

import os
import socket
import ssl
import subprocess
import warnings

import tree
from cluster import check, until

# ALPN as the members use it: a stranger may know the protocol, not the keys.
ALPN = ["p2psync/1"]


def certificate(world, algorithm="ed25519"):
    """A stranger's self-signed certificate, made like a member's would be."""
    key, cert = (os.path.join(world.scratch, f"stranger-{algorithm}.{part}") for part in ("key", "pem"))
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", algorithm, "-nodes", "-subj", "/CN=node2", "-days", "3650", "-keyout",
         key, "-out", cert], capture_output=True)
    check(made.returncode == 0, made.stderr.decode)
    return cert, key


def member_certificate(world, node):
    cert = os.path.join(world.scratch, f"{node.name}.pem")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-key", node.key, "-subj", "/CN=x", "-days", "1", "-out", cert],
        capture_output=True)
    check(made.returncode == 0, made.stderr.decode)
    return cert


def talk(node, context, say=b"\0\0\0\4\0\0\0\0" * 100):
    """Shakes hands and says something; the bytes that came back beyond the handshake, or None if refused."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain) as tls:
                # With TLS 1.3 a client learns with its first read whether it was let in.
                try:
                    tls.sendall(say)
                except OSError:
                    return None
                return tls.recv(65536) or None
        except (ssl.SSLError, OSError):
            return None


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(ALPN)
    return context


def unchanged_by(world, intrusion):
    cluster = world.cluster(2).start()
    cluster[1].write("secret", "of the members")
    before = cluster.agree()
    roots = [node.status()["root_digest"] for node in cluster.nodes]
    intrusion(cluster)
    check(cluster.agree() == before, "the tree changed")
    check([node.status()["root_digest"] for node in cluster.nodes] == roots, "the root digest changed")
    check(all(peer["connected"] for node in cluster.nodes for peer in node.status()["peers"]), "a member lost its connection")


def test_no_certificate(world):
    def intrusion(cluster):
        for node in cluster.nodes:
            answer = talk(node, client_context())
            check(answer is None, f"answered to nobody's key: {answer!r}")
    unchanged_by(world, intrusion)


def test_a_strangers_certificate(world):
    def intrusion(cluster):
        for algorithm in ("ed25519", "rsa:2048"):
            context = client_context()
            context.load_cert_chain(*certificate(world, algorithm))
            for node in cluster.nodes:
                answer = talk(node, context)
                check(answer is None, f"answered to a stranger: {answer!r}")
    unchanged_by(world, intrusion)


def test_tls_1_2(world):
    def intrusion(cluster):
        # Even with a member's own key.
        certificate_file = member_certificate(world, cluster[2])
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1):
            context = client_context()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                context.minimum_version = version
                context.maximum_version = version
            context.load_cert_chain(certificate_file, cluster[2].key)
            with socket.create_connection(("127.0.0.1", cluster[1].port), timeout=30) as plain:
                try:
                    with context.wrap_socket(plain) as tls:
                        check(False, f"{tls.version()} was accepted")
                except (ssl.SSLError, OSError):
                    pass
    unchanged_by(world, intrusion)


def test_a_member_is_let_in_so_that_the_refusals_mean_something(world):
    cluster = world.cluster(2)
    # Of a pair, the node with the larger id speaks first: it has to be the server here.
    identity = lambda node: world.p2psync("id", node.key).stdout
    client, server = sorted(cluster.nodes, key=identity)
    server.start()
    context = client_context()
    context.load_cert_chain(member_certificate(world, client), client.key)
    check(talk(server, context, say=b""), "a member's key gets no greeting")


def test_a_stranger_that_runs_the_program(world):
    cluster = world.cluster(2).start()
    cluster[1].write("secret", "of the members")
    before = cluster.agree()
    # It knows the members' ids and addresses, which are no secret, and lists itself beside them.
    other = world.cluster(1)
    stranger = other[1]
    with open(cluster[1].config) as file:
        text = file.read()
    identity = world.p2psync("id", stranger.key).stdout.decode().strip()
    stranger.config = os.path.join(other.directory, "stolen.toml")
    with open(stranger.config, "w") as file:
        at = text.index("[node]") if "[node]" in text else len(text)
        file.write(text[:at] + f'[[member]]\nname = "stranger"\naddress = "{stranger.address}"\nid = "{identity}"\n\n' + text[at:])
    stranger.write("poison", "from outside")
    stranger.start()
    refused = lambda: "does not accept this node's key" in stranger.last_words(200)
    until(refused, lambda: f"the stranger to be turned away: {stranger.last_words(50)}")
    cluster[1].write("later", "still working")
    after = cluster.agree()
    check(after.keys() == before.keys() | {b"later"}, f"the stranger's file came in: {sorted(after)}")
    check(tree.read_tree(stranger.folder).keys() == {b"poison"}, "the stranger got a file")
    check(not any(peer["connected"] for peer in stranger.status()["peers"]), "the stranger is connected")
