"""[http] listen: the status page, /healthz, /metrics and the API, as a browser and a monitor see them."""

import http.client
import json
import re
import shutil
import socket

from cluster import check, free_port, until


def get(port, path, method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def with_page(world, members=2):
    """Only node1 shows one."""
    cluster = world.cluster(members)
    port = free_port()
    cluster[1].write("shared", "of node1", mtime=1_000_000_000)
    cluster[2].write("shared", "of <b>node2</b>", mtime=1_000_000_100)
    cluster[2].write("<script>alert(1)</script>", "a name to be wary of")
    cluster.start(*cluster.nodes[1:])
    cluster.settings = cluster.settings | {"P2PSYNC_HTTP_LISTEN": f"127.0.0.1:{port}"}
    cluster.start(cluster[1])
    cluster.agree()
    return cluster, port


def test_the_api_has_the_documents_of_the_commands(world):
    cluster, port = with_page(world)
    status, headers, body = get(port, "/api/status")
    check(status == 200 and headers["content-type"] == "application/json", f"{status} {headers}")
    told, asked = json.loads(body), cluster[1].status()
    for key in ("node", "id", "files", "bytes", "conflicts", "root_digest", "state"):
        check(told[key] == asked[key], f"{key}: {told[key]} and {asked[key]}")
    conflicts = json.loads(get(port, "/api/conflicts")[2])
    check(conflicts == json.loads(cluster[1].p2psync("conflicts", "--json").stdout) and len(conflicts) == 1, f"{conflicts}")
    log = json.loads(get(port, "/api/log?path=shared")[2])
    check([v["state"] for v in log["versions"]] == ["current", "copy"], f"{log}")
    check(get(port, "/api/log?path=none")[0] == 404 and get(port, "/nothing")[0] == 404, "what is not there")


def test_the_page_says_what_there_is_and_runs_no_name_as_a_script(world):
    cluster, port = with_page(world)
    status, headers, page = get(port, "/")
    check(status == 200 and headers["content-type"].startswith("text/html"), f"{status} {headers}")
    for text in ("node1", "node2", "in sync", "shared.conflict-node1", "<svg", "prefers-color-scheme"):
        check(text in page, f"{text!r} is not on the page")
    check("default-src 'none'" in headers["content-security-policy"], f"{headers}")
    check(not re.search(r"src=|href=|@import|url\(|http", page), "it loads something from elsewhere")
    cluster[2].write("<script>alert(1)</script>", "edited by two", mtime=1_000_000_300)
    cluster[1].stop()
    cluster[1].write("<script>alert(1)</script>", "edited by one", mtime=1_000_000_200)
    cluster[1].start()
    cluster.agree()
    page = get(port, "/")[2]
    check("&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>alert" not in page, "a name is markup")
    check(get(port, "/part")[2] in page, "the part that is fetched is not that of the page")


def test_metrics_can_be_read_by_prometheus(world):
    cluster, port = with_page(world)
    _, headers, text = get(port, "/metrics")
    check(headers["content-type"].startswith("text/plain; version=0.0.4"), f"{headers}")
    names, samples = set(), {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            names.add(line.split()[2])
        elif not line.startswith("#"):
            match = re.fullmatch(r'(p2psync_[a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\S+)', line)
            check(match and match[1] in names, f"not a sample: {line}")
            samples[match[1] + (match[2] or "")] = float(match[3])
    status = cluster[1].status()
    check(samples["p2psync_files"] == status["files"] and samples["p2psync_conflict_copies"] == 1, f"{samples}")
    check(samples['p2psync_state{state="in_sync"}'] == 1 and samples['p2psync_state{state="error"}'] == 0, f"{samples}")
    check(samples['p2psync_peer_connected{peer="node2"}'] == 1, f"{samples}")
    cluster[2].stop()
    until(lambda: 'p2psync_peer_connected{peer="node2"} 0' in get(port, "/metrics")[2], "the other to be gone")


def test_healthz_says_whether_it_can_go_on(world):
    cluster, port = with_page(world)
    check(get(port, "/healthz")[:3:2] == (200, "ok\n"), "a healthy node")
    shutil.rmtree(cluster[1].folder)
    status, _, why = until(lambda: (lambda a: a if a[0] == 503 else None)(get(port, "/healthz")), "503")
    check(why.strip() and why != "ok\n", f"it does not say why: {why!r}")
    cluster[1].kill()


def test_only_get_and_only_by_its_own_name(world):
    cluster, port = with_page(world)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        check(get(port, "/", method)[0] == 405, f"{method} is not refused")
    check(get(port, "/api/status", "HEAD")[2] == "", "HEAD has a body")
    for host in ("evil.example", "evil.example:7745", "localhost.evil.example", "127.0.0.1.evil.example"):
        check(get(port, "/api/status", host=host)[0] == 421, f"asked as {host} it tells")
    for host in ("localhost", f"LOCALHOST:{port}", "[::1]:80", "192.0.2.7", "node1"):
        check(get(port, "/api/status", host=host)[0] == 200, f"asked as {host} it is silent")


def test_garbage_and_the_silent_do_not_keep_it_from_others(world):
    cluster, port = with_page(world)
    held = []
    for content in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"\x16\x03\x01" * 1000, b"GET /" + b"a" * 100_000):
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        try:
            connection.sendall(content)
        except OSError:
            pass  # it has closed the connection
        held.append(connection)
    check(get(port, "/healthz")[0] == 200, "others are not answered")
    cluster[2].write("more", "goes on")
    cluster.agree()
    for connection in held:
        connection.close()


def test_a_port_that_is_taken_is_no_reason_not_to_run(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cluster = world.cluster(1, settings={"P2PSYNC_HTTP_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"})
        cluster.start()
        check(cluster[1].status()["state"] in ("in_sync", "isolated"), "it does not run")
        check("no status page" in cluster[1].last_words(), "the log does not say so")
