"""Only members take part: no key, a stranger's key, plaintext and TLS 1.2 get nowhere."""

import os
import socket
import ssl
import subprocess
import warnings

import tree
from cluster import Failure, check, until
from member import Member, certificate, client_context, node_id

# Looks good or bad to whom it tells the date; nobody here asks it.
PAST, FUTURE = ("20000101000000Z", "20010101000000Z"), ("20900101000000Z", "20910101000000Z")


def strangers_key(world, algorithm="ed25519"):
    """Made like a member's would be."""
    path = os.path.join(world.scratch, f"stranger-{algorithm}.key")
    made = subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", path], capture_output=True)
    check(made.returncode == 0, made.stderr.decode)
    return path


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


def unchanged_by(world, intrusion):
    cluster = world.cluster(2).start()
    cluster[1].write("secret", "of the members")
    before = cluster.agree()
    roots = [node.status()["root_digest"] for node in cluster.nodes]
    intrusion(cluster)
    check(cluster.agree() == before, "the tree changed")
    check([node.status()["root_digest"] for node in cluster.nodes] == roots, "the root digest changed")
    check(all(peer["connected"] for node in cluster.nodes for peer in node.status()["peers"]), "a member lost its connection")


def each_refuses(cluster, context, what):
    for node in cluster.nodes:
        answer = talk(node, context)
        check(answer is None, f"{node.name} answered to {what}: {answer!r}")


def with_key(world, name, key, dates=None, **options):
    context = client_context(**options)
    context.load_cert_chain(certificate(world, name, key, dates), key)
    return context


def each_as_the_other(cluster):
    """Every member, and another whose key a stranger may have."""
    return zip(cluster.nodes, cluster.nodes[1:] + cluster.nodes[:1])


def test_no_certificate(world):
    unchanged_by(world, lambda cluster: each_refuses(cluster, client_context(), "nobody's key"))


def test_a_strangers_key_whatever_name_is_on_it(world):
    def intrusion(cluster):
        for algorithm in ("ed25519", "rsa"):
            key = strangers_key(world, algorithm)
            for name in ("stranger", *(node.name for node in cluster.nodes)):
                each_refuses(cluster, with_key(world, name, key), f"a stranger's {algorithm} key with the name {name}")
    unchanged_by(world, intrusion)


def test_a_strangers_certificate_that_has_expired_or_is_not_yet_valid(world):
    def intrusion(cluster):
        key = strangers_key(world)
        for dates in (PAST, FUTURE):
            each_refuses(cluster, with_key(world, "node2", key, dates), f"a stranger from {dates[0]} to {dates[1]}")
    unchanged_by(world, intrusion)


def test_tls_1_2_and_older_even_with_a_members_key(world):
    def intrusion(cluster):
        for server, client in each_as_the_other(cluster):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1):
                context = with_key(world, client.name, client.key)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    context.minimum_version = version
                    context.maximum_version = version
                with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
                    try:
                        with context.wrap_socket(plain) as tls:
                            raise Failure(f"{server.name} accepted {tls.version()}")
                    except (ssl.SSLError, OSError):
                        pass
    unchanged_by(world, intrusion)


def test_other_protocols_even_with_a_members_key(world):
    def intrusion(cluster):
        for server, client in each_as_the_other(cluster):
            for protocols in ([], ["h2"], ["p2psync/0"]):
                answer = talk(server, with_key(world, client.name, client.key, protocols=protocols))
                check(answer is None, f"{server.name} answered to who speaks {protocols}: {answer!r}")
    unchanged_by(world, intrusion)


def test_a_members_own_key_from_elsewhere(world):
    def intrusion(cluster):
        for node in cluster.nodes:
            check(talk(node, with_key(world, node.name, node.key)) is None, f"{node.name} answered to its own key")
    unchanged_by(world, intrusion)


def recorded_session(world, server, client):
    """What a member says until it is let in, in the portions in which it said it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = with_key(world, client.name, client.key).wrap_bio(incoming, outgoing)
    flights, greeted = [], False
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        while not greeted:
            try:
                tls.do_handshake()
                greeted = tls.read(65536) != b""
            except ssl.SSLWantReadError:
                pass
            if said := outgoing.read():
                flights.append(said)
                plain.sendall(said)
            elif not greeted:
                incoming.write(plain.recv(65536))
    return flights


def test_a_members_session_that_is_replayed(world):
    cluster = world.cluster(2)
    # Of a pair, the node with the larger id speaks first: it has to be the server here.
    client, server = sorted(cluster.nodes, key=lambda node: node_id(world, node))
    server.start()
    flights = recorded_session(world, server, client)
    check(len(flights) == 2, f"a session of {len(flights)} portions")
    for portions in (flights, [b"".join(flights)], flights[1:], flights * 2):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            try:
                for portion in portions:
                    plain.sendall(portion)
                while plain.recv(65536):  # the server's own part of a handshake, and then it hangs up
                    pass
            except ConnectionError:
                pass
    words = server.last_words(10**6)
    check("connected with" not in words, f"a replay was let in: {words}")
    client.start()
    server.write("x", "y")
    cluster.agree()


def test_a_members_key_is_that_member_whatever_name_and_dates_are_on_it(world):
    cluster = world.cluster(3)
    server, right, wrong = cluster.nodes
    server.start()
    swap = {right.name: wrong.name, wrong.name: right.name}
    names = [(node_id(world, node), swap.get(node.name, node.name)) for node in cluster.nodes]
    for dates in (None, PAST, FUTURE):
        with Member(world, server, right, certificate(world, wrong.name, right.key, dates)) as member:
            member.greet(names)
            until(lambda: server.peer(right.name)["list_differences"], f"{right.name} to be let in, and its wrong names told")
            check(server.peer(right.name)["connected"], f"{right.name} is not connected")
            check(not server.peer(wrong.name)["connected"], f"by a name {right.name} became {wrong.name}")
        until(lambda: not server.peer(right.name)["connected"], "it to have left")


def test_a_member_is_let_in_so_that_the_refusals_mean_something(world):
    cluster = world.cluster(2)
    client, server = sorted(cluster.nodes, key=lambda node: node_id(world, node))
    server.start()
    check(talk(server, with_key(world, client.name, client.key), say=b""), "a member's key gets no greeting")


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
