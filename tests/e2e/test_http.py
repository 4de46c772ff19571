"""[http] listen: the status page, /healthz, /metrics and the API, as a browser and a monitor see them."""

import http.client
import json
import re
import shutil
import socket

from cluster import PATIENCE_S, STOP_S, check, free_port, until


def ask(port, path, method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers or {}, body=body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def get(port, path, method="GET", host=None, headers=None):
    status, given, body = ask(port, path, method, ({"Host": host} if host else {}) | (headers or {}))
    return status, given, body.decode()


def post(port, path, document, token, headers=None):
    sent = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}) | (headers or {})
    status, _, body = ask(port, path, "POST", sent, json.dumps(document))
    return status, body.decode()


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


def loads(page):
    return re.findall(r'(?:src|href)="([^"]*)"', page)


def test_the_page_says_what_there_is_and_runs_no_name_as_a_script(world):
    cluster, port = with_page(world)
    status, headers, page = get(port, "/")
    check(status == 200 and headers["content-type"].startswith("text/html"), f"{status} {headers}")
    for text in ("node1", "node2", "in sync", "shared.conflict-node1", "<svg", "holds everything"):
        check(text in page, f"{text!r} is not on the page")
    check("default-src 'none'" in headers["content-security-policy"], f"{headers}")
    check("unsafe" not in headers["content-security-policy"], f"{headers}")
    check(headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff", f"{headers}")
    style = get(port, "/style.css")[2]
    check("prefers-color-scheme" in style and not re.search(r"@import|url\(|http", style), "the style loads something")
    for file in loads(page):
        check(re.fullmatch(r"[a-z]+\.(css|js|svg)|compare\?copy=[\w.%-]+", file), f"the page leads to {file}")
        check(get(port, "/" + file)[0] == 200, f"{file} is not there")
    check(not re.search(r"<script(?! src)| on[a-z]+=| style=", page), "something in it needs unsafe-inline")
    cluster[1].stop()
    cluster[2].write("<script>alert(1)</script>", "edited by <i>two</i>", mtime=1_000_000_300)
    cluster[1].write("<script>alert(1)</script>", "edited by <i>one</i>", mtime=1_000_000_200)
    cluster[1].start()
    cluster.agree()
    page = get(port, "/")[2]
    check("&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>alert" not in page, "a name is markup")
    copy = next(file for file in loads(page) if "script" in file and file.startswith("compare"))
    compared = get(port, "/" + copy)[2]
    check(set(re.findall(r"<(?:del|ins)>edited by &lt;i&gt;(\w+)", compared)) == {"one", "two"}, compared)
    check("<script>alert" not in compared and "<i>" not in compared, "a name or a content is markup")


def test_a_page_that_is_open_is_told_what_changes(world):
    cluster, port = with_page(world)
    def follow():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/events")
        return connection, connection.getresponse()
    def next_event(answer):
        lines = list(iter(lambda: answer.readline().decode().rstrip("\n"), ""))
        return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)
    connection, answer = follow()
    check(answer.status == 200 and answer.getheader("Content-Type") == "text/event-stream", f"{answer.getheaders()}")
    told = {}
    def until_told(id, text):
        for _ in range(PATIENCE_S):  # a second each, at most
            if text in told.get(id, ""):
                return
            event = next_event(answer)
            if event["event"] == "part":
                part = json.loads(event["data"])
                told[part["id"]] = part["html"]
        check(False, f"waited in vain for {text!r} in {told.get(id)}")
    until_told("members", "in sync")
    until_told("events", "node2 is connected")
    cluster[2].stop()
    until_told("members", "no answer")
    until_told("events", "node2 was lost")
    cluster[2].start()
    until_told("members", "in sync")
    check(any(next_event(answer)["event"] == "beat" for _ in range(PATIENCE_S)), "nothing changes, and it never says so")
    # As many as there may be, and one more; who goes makes room.
    others = [follow() for _ in range(15)]
    check([answer.status for _, answer in others] == [200] * 15, "not enough may follow")
    check(get(port, "/events")[0] == 503, "one more than may be follows")
    for one, _ in others:
        one.close()
    def again():
        one, told = follow()
        one.close()
        return told.status == 200
    until(again, "room for others")
    took = cluster[1].stop()  # with a page open
    check(took < STOP_S, f"a page that is open holds the stop up for {took:.1f} s")
    try:
        answer.read()
    except http.client.IncompleteRead:
        pass  # it has ended, whatever was on its way
    connection.close()
    cluster[1].start()


def test_a_conflict_is_ended_with_the_token_and_not_without(world):
    cluster, port = with_page(world)
    address = cluster[1].p2psync("page").stdout.decode().strip()
    token = re.fullmatch(rf"http://127\.0\.0\.1:{port}/#token=([0-9a-f]{{64}})", address)[1]
    seen = [{"name": side, "content": version["content"]} for conflict in json.loads(get(port, "/api/conflicts")[2])
            for side, version in ((conflict["path"], conflict["name_held_by"]), (conflict["copy"], conflict["copy_by"]))]
    wanted = {"path": "shared", "keep": "shared.conflict-node1", "seen": seen}
    for wrong in (None, "", token[:-1], token + "0", "0" * 64):
        check(post(port, "/api/resolve", wanted, wrong)[0] == 403, f"it goes with the token {wrong}")
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}):
        check(post(port, "/api/resolve", wanted, token, headers)[0] == 403, f"it goes with {headers}")
    check(post(port, "/api/resolve", wanted, token, {"Content-Type": "text/plain"})[0] == 415, "it goes as a form would")
    check(post(port, "/api/resolve", wanted, token, {"Host": "evil.example"})[0] == 421, "it goes to another host")
    check(post(port, "/api/resolve", "x" * 20_000, token)[0] == 413, "too much is read")
    check(post(port, "/api/resolve", ["path"], token)[0] == 400, "what is no object is taken")
    check(ask(port, "/api/resolve")[0] == 404, "it can be asked for by a link")
    check(post(port, "/api/status", {}, token)[0] == 405, "it can be posted to")
    check(post(port, "/api/resolve", wanted | {"keep": "node9"}, token)[0] == 409, "what cannot be is done")
    stale = [seen[0], seen[1] | {"content": "0" * 64}]
    check("has changed since" in post(port, "/api/resolve", wanted | {"seen": stale}, token)[1], "what nobody saw goes")
    check(cluster[1].exists("shared.conflict-node1"), "one of those ended the conflict")

    status, said = post(port, "/api/resolve", wanted, token, {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"})
    check(status == 200 and json.loads(said)["laid_out"], f"{status} {said}")
    cluster.agree()
    for node in cluster.nodes:
        check(node.read("shared") == b"of node1" and not node.exists("shared.conflict-node1"), f"{node.name} has not")
    check(get(port, "/compare?copy=shared.conflict-node1")[0] == 404, "the conflict is still compared")
    cluster[1].stop()
    cluster[1].start()
    check(post(port, "/api/token", {}, token)[0] == 403, "the token of an earlier run is taken")


def test_only_what_conflicts_list_is_read(world):
    cluster, port = with_page(world)
    gif = b"GIF89a" + bytes(40)
    cluster[1].write("picture.gif", gif)
    cluster[1].write("secret.txt", "secret")
    cluster.agree()
    for name in ("picture.gif", "secret.txt", "shared", "../node1.key", "/etc/passwd", ".p2psync/node", "shared.conflict-node1", ""):
        check(ask(port, "/file?name=" + name)[0] == 404, f"{name} can be read")
    check(ask(port, "/compare?copy=../node1.key")[0] == 404, "it leads out")
    cluster[1].write("shared", gif)
    cluster.agree()
    status, headers, body = ask(port, "/file?name=shared")
    check(status == 200 and body == gif and headers["content-type"] == "image/gif", f"{status} {headers}")
    check(headers["content-security-policy"] == "default-src 'none'; sandbox", f"{headers}")
    check("not text" not in get(port, "/compare?copy=shared.conflict-node1")[2], "the picture is not shown")


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
    for method in ("PUT", "DELETE", "OPTIONS"):
        check(get(port, "/", method)[0] == 405, f"{method} is not refused")
    check(get(port, "/", "POST")[0] == 415, "a form can be posted")
    check(get(port, "/api/status", "HEAD")[2] == "", "HEAD has a body")
    for host in ("evil.example", "evil.example:7745", "localhost.evil.example", "127.0.0.1.evil.example"):
        check(get(port, "/api/status", host=host)[0] == 421, f"asked as {host} it tells")
    for host in ("localhost", f"LOCALHOST:{port}", "[::1]:80", "192.0.2.7", "node1"):
        check(get(port, "/api/status", host=host)[0] == 200, f"asked as {host} it is silent")
    for site in ("cross-site", "same-site"):
        check(get(port, "/api/status", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})[0] == 403, site)
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        check(get(port, "/", headers=link)[0] == 200, f"a link does not lead here: {site}")
        check(get(port, "/", headers=link | {"Sec-Fetch-Dest": "iframe"})[0] == 403, f"it can be framed: {site}")


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
        said = cluster[1].p2psync("page")
        check(said.returncode == 1 and b"shows no page" in said.stderr, f"page: {said}")
