"""What lies in examples/: the embedded engine, the compose files, the dashboard and its metrics."""

import html
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import tree
from cluster import PATIENCE_S, Failure, Skip, check, environment, free_port, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from sealed import BUILD_S, BUILDING, TOP, docker, need_engine  # noqa: E402

EXAMPLES = TOP / "examples"


# The engine as a library.


def embed(world, one, two):
    program = pathlib.Path(world.binary).parent / "examples/embed/embed"
    if not program.exists():
        raise Skip(f"{program} is not built")
    said = subprocess.run([program, one, two], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
    check(said.returncode == 0, lambda: f"embed: exit {said.returncode}\n{said.stdout}{said.stderr}")
    check(tree.read_tree(one) == tree.read_tree(two),
          lambda: "\n".join(tree.differences("one", tree.read_tree(one), "two", tree.read_tree(two))))
    return said.stdout, tree.read_tree(one)


def write(folder, name, content):
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_embed_makes_two_directories_the_same(world):
    one, two = world.directory("one"), world.directory("two")
    large = os.urandom(3_000_000)  # of several chunks
    write(one, "a/b/file", "of one")
    write(one, "both", "as it was")
    write(two, "large", large)
    os.symlink("a/b", os.path.join(two, "link"))
    said, now = embed(world, one, two)
    check("the same: 3 files, 0 conflict copies" in said, said)
    check(pathlib.Path(one, "large").read_bytes() == large and b"link" in now, f"{sorted(now)}")

    # It remembers: a deletion is one, and what both have edited is kept twice.
    shutil.rmtree(os.path.join(two, "a"))
    write(one, "both", "edited by one")
    write(two, "both", "edited by two, and later")
    os.utime(os.path.join(one, "both"), (1, 1_000_000_000))
    said, now = embed(world, one, two)
    check("1 conflict copies" in said and sorted(now) == [b"both", b"both.conflict-one", b"large", b"link"], f"{said}{sorted(now)}")

    os.unlink(os.path.join(one, "both.conflict-one"))
    said, now = embed(world, one, two)
    check(sorted(now) == [b"both", b"large", b"link"], f"the conflict does not end: {sorted(now)}")


def test_embed_is_a_project_by_itself(world):
    if not shutil.which("cmake"):
        raise Skip("cmake is missing")
    said = subprocess.run(["cmake", "-S", EXAMPLES / "embed", "-B", world.directory("build")], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE_S, env=environment({}))
    check(said.returncode == 0, f"it cannot be configured: {said.stdout[-2000:]}{said.stderr[-2000:]}")


# The compose files.


def compose(directory, *arguments, env=None, timeout=180):
    command = ["docker", "compose"]
    if subprocess.run([*command, "version"], capture_output=True).returncode != 0:
        command = ["docker-compose"]
    done = subprocess.run([*command, "-p", f"p2psync-e2e-{os.getpid()}-{directory.name}", *arguments], cwd=directory,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          env={**os.environ, **(env or {})})
    text = done.stdout.decode(errors="replace")
    check(done.returncode == 0, lambda: f"{' '.join(arguments)}: exit {done.returncode}\n{text[-4000:]}")
    return text


def need_compose():
    if not shutil.which("docker-compose") and subprocess.run(
            ["docker", "compose", "version"], capture_output=True).returncode != 0:
        raise Skip("neither `docker compose` nor docker-compose here")


def settings_in(file):
    """What a compose file sets for the program."""
    return dict(re.findall(r"^ +(P2PSYNC_[A-Z_]+): (.+)$", file.read_text(), re.MULTILINE))


def test_what_the_compose_files_configure_is_right(world):
    for place, members in (("web-uploads", ["web1=sync1:7744", "web2=sync2:7744"]),
                           ("home-lab", ["nas=192.168.1.10:7744", "desk=192.168.1.11:7744", "laptop"])):
        directory = EXAMPLES / place
        told = (directory / ("README.md" if place == "home-lab" else "docker-compose.yml")).read_text()
        check(" ".join(members) in told, f"{place} does not say: init-cluster {' '.join(members)}")
        out = os.path.join(world.scratch, place)
        check(world.p2psync("init-cluster", "--out", out, *members).returncode == 0, f"init-cluster for {place}")
        settings = settings_in(directory / "docker-compose.yml")
        check(settings["P2PSYNC_CONFIG"].endswith("/cluster.toml") and "P2PSYNC_NODE_FOLDER" in settings, f"{settings}")
        for member in members:
            name = member.partition("=")[0]
            said = world.p2psync("check", env=settings | {"P2PSYNC_CONFIG": f"{out}/cluster.toml",
                                                           "P2PSYNC_NODE_KEY": f"{out}/{name}.key"})
            check(said.returncode == 0, f"check for {name} of {place}: {said}")


def test_the_compose_files_are_valid(world):
    need_compose()
    said = compose(EXAMPLES / "web-uploads", "config")
    for service in ("init", "sync1", "sync2", "web1", "web2"):
        check(re.search(rf"^  {service}:$", said, re.MULTILINE), f"{service} is missing:\n{said}")
    lines = (EXAMPLES / "home-lab/.env.example").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    said = compose(EXAMPLES / "home-lab", "config", env=env)
    check("/srv/shared" in said and "1000:1000" in said, said)
    try:
        compose(EXAMPLES / "home-lab", "config", env={"FOLDER": ""})
    except Failure as failure:
        check("say in .env" in str(failure), f"{failure}")
    else:
        raise Failure("home-lab shares a folder that nobody named")


def ask_web(container, request, body=b""):
    """One HTTP request from within the container, by bash alone; returns the whole answer."""
    script = "exec 3<>/dev/tcp/127.0.0.1/8080; cat >&3; cat <&3"
    done = subprocess.run(["docker", "exec", "-i", container, "bash", "-c", script], capture_output=True, timeout=PATIENCE_S,
                          input=f"{request} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return done.stdout


def test_two_web_servers_share_their_uploads(world):
    need_engine()
    need_compose()
    directory = EXAMPLES / "web-uploads"
    # Nobody outside is to reach it, and the ports may be taken.
    over = pathlib.Path(world.scratch, "over.yml")
    own = (directory / "docker-compose.yml").read_text()
    over.write_text(re.sub(r"^    ports: .*\n", "", own, flags=re.MULTILINE)
                    .replace("build: ../..", f"build: {TOP}").replace("build: .\n", f"build: {directory}\n"))
    project = ("-f", str(over))
    try:
        with BUILDING:
            compose(directory, *project, "build", timeout=BUILD_S)
        compose(directory, *project, "up", "-d")
        ids = {name: compose(directory, *project, "ps", "-q", name).strip() for name in ("web1", "web2", "sync1", "sync2")}
        until(lambda: b" 200 " in ask_web(ids["web1"], "GET /uploads/") and b" 200 " in ask_web(ids["web2"], "GET /uploads/"),
              "the web servers to answer")
        body = os.urandom(200_000)
        check(b" 201 " in ask_web(ids["web1"], "PUT /uploads/album/photo.jpg", body), "the upload is refused")
        got = until(lambda: (lambda answer: answer if b" 200 " in answer else None)(
            ask_web(ids["web2"], "GET /uploads/album/photo.jpg")), "the other server to have it")
        check(got.endswith(body), "other bytes came out")
        world.passed("what is sent to one is had from the other")

        # Either may replace and delete what the other has taken in.
        check(b" 204 " in ask_web(ids["web2"], "PUT /uploads/album/photo.jpg", b"edited"), "it cannot be replaced")
        until(lambda: ask_web(ids["web1"], "GET /uploads/album/photo.jpg").endswith(b"edited"), "the edit to arrive")
        check(b" 204 " in ask_web(ids["web1"], "DELETE /uploads/album/photo.jpg"), "it cannot be deleted")
        until(lambda: b" 404 " in ask_web(ids["web2"], "GET /uploads/album/photo.jpg"), "the deletion to arrive")
        world.passed("each replaces and deletes what the other has taken in")

        docker("pause", ids["sync2"])
        check(b" 201 " in ask_web(ids["web1"], "PUT /uploads/one", b"1"), "no upload at the first")
        check(b" 201 " in ask_web(ids["web2"], "PUT /uploads/two", b"2"), "no upload at the second")
        docker("unpause", ids["sync2"])
        until(lambda: ask_web(ids["web1"], "GET /uploads/two").endswith(b"2") and
              ask_web(ids["web2"], "GET /uploads/one").endswith(b"1"), "both to have both")
        for hidden in (".p2psync/index.db", ".p2pignore", ".incoming/"):
            check(b" 404 " in ask_web(ids["web1"], f"GET /uploads/{hidden}"), f"{hidden} is served")
        said = json.loads(docker("exec", ids["sync1"], "p2psync", "check-ignore", ".incoming", "--json").stdout)
        check(said["ignored"], f"what is being sent is synchronised: {said}")
        world.passed("apart both go on, and nobody sees what is not an upload")
    finally:
        compose(directory, *project, "down", "--volumes", "--timeout", "10")


# The dashboard.


def test_the_dashboard_asks_for_metrics_that_there_are(world):
    port = free_port()
    cluster = world.cluster(2)
    cluster.start(cluster[2])
    cluster.settings = cluster.settings | {"P2PSYNC_HTTP_LISTEN": f"127.0.0.1:{port}"}
    cluster.start(cluster[1])
    cluster.agree()
    until(lambda: cluster[1].peer("node2")["rtt_ms"] is not None, "a round trip to be measured")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    served = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
    states = set(re.findall(r'p2psync_state\{state="(\w+)"\}', text))

    place = EXAMPLES / "grafana"
    dashboard = json.loads((place / "p2psync.json").read_text())
    asked = "\n".join([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] +
                      [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"])
    rules = "\n".join(re.findall(r"^ +expr: (.+)$", (place / "p2psync.rules.yml").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bp2psync_\w+", asked))
    check(len(dashboard["panels"]) > 10 and len(named) > 10, f"few panels: {named}")
    for where, expressions in (("the dashboard", asked), ("the rules", rules)):
        unknown = set(re.findall(r"\bp2psync_\w+", expressions)) - served
        check(not unknown, f"{where} asks for what no node serves: {unknown}")
        wrong = set(re.findall(r'state="(\w+)"', expressions)) - states
        check(not wrong, f"{where} asks for states that there are not: {wrong}")
    # What a node serves and nobody looks at is not worth its line.
    hidden = served - named - {"p2psync_uptime_seconds", "p2psync_directories", "p2psync_symlinks", "p2psync_skipped"}
    check(not hidden, f"on no panel: {hidden}")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check(len(ids) == len(set(ids)), "two panels with one id")


# The recorded session.


def test_the_recorded_session_is_of_the_script_that_is_here(world):
    """Not recorded anew: that takes a minute, and two ports that somebody may have. What was typed has to be what would be."""
    typed = re.search(r'^SESSION = """\n(.*?)^"""', (TOP / "docs/record").read_text(), re.MULTILINE | re.DOTALL)[1].splitlines()
    header, *events = [json.loads(line) for line in (TOP / "docs/session.cast").read_text().splitlines()]
    check(header["version"] == 2 and header["width"] == 110, f"{header}")
    times = [event[0] for event in events]
    check(times == sorted(times) and all(event[1] == "o" for event in events), "events out of order")
    said = re.sub(r"\x1b\[[0-9;]*m|\r", "", "".join(event[2] for event in events))
    check([line[2:] for line in said.splitlines() if line.startswith("$ ") and len(line) > 2] == typed,
          "the recording is of other commands: docs/record")
    picture = (TOP / "docs/session.svg").read_text()
    shown = re.sub(r"<[^>]*>", "", "\n".join(re.findall(r"<text .*</text>", picture)))
    check(html.unescape(shown).splitlines() == said.removesuffix("\n$ ").splitlines(), "the picture shows something else")
