"""The status page in a real browser, on a live cluster of four nodes."""

import os
import pathlib
import shutil
import struct
import subprocess
import time
import zlib

from chromium import Browser
from cluster import Unable, check, free_port, until

RED_S = 3  # a node that was killed is red by then
INSTALL_S = 120


def png(red, green, blue, side=96):
    """A picture of one colour."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = b"\0" + bytes((red, green, blue)) * side
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * side)) + chunk(b"IEND", b""))


AGENDA = "".join(f"{hour}:00  nothing\n" for hour in range(8, 20))


def with_conflicts(world, settings=None):
    """Four nodes; the page is node1's. Two conflicts, of a text and of a picture."""
    cluster = world.cluster(4, settings=settings)
    port = free_port()
    cluster[2].write("agenda.md", AGENDA.replace("12:00  nothing", "12:00  lunch <b>here</b>"), mtime=1_700_000_100)
    cluster[3].write("agenda.md", AGENDA.replace("12:00  nothing", "12:00  lunch elsewhere"), mtime=1_700_000_000)
    cluster[2].write("media/cover.png", png(200, 60, 60), mtime=1_700_000_100)
    cluster[4].write("media/cover.png", png(60, 60, 200), mtime=1_700_000_000)
    cluster[4].write("notes/todo.txt", "much\n" * 400)
    cluster.start(*cluster.nodes[1:])
    cluster.settings = cluster.settings | {"P2PSYNC_HTTP_LISTEN": f"127.0.0.1:{port}"}
    cluster.start(cluster[1])
    cluster.agree()
    return cluster, f"http://127.0.0.1:{port}/"


def address_with_token(node):
    said = node.p2psync("page")
    check(said.returncode == 0, lambda: said.stderr.decode())
    return said.stdout.decode().strip()


def check_quiet(page):
    check(not page.complaints(), lambda: f"the console: {page.complaints()}")


def test_a_conflict_is_seen_compared_and_ended_by_clicking(world):
    cluster, url = with_conflicts(world)
    with Browser(world) as browser:
        page = browser.page(url)
        page.until("document.querySelectorAll('#conflicts li').length === 2", "both conflicts")
        compare = "#conflicts li[data-key^='agenda.md'] a"
        page.click(compare)
        page.until("!!document.querySelector('table.diff')", "the comparison")
        differs = page.run("[...document.querySelectorAll('.differs')].map("
                           "row => [...row.cells].map(cell => cell.textContent))")
        check(len(differs) == 1 and differs[0][1::2] == ["12:00  lunch <b>here</b>", "12:00  lunch elsewhere"],
              f"what differs: {differs}")
        check(page.run("[...document.querySelectorAll('button')].every(button => button.disabled)"),
              "without a token there is a button that can be pressed")

        page.go(address_with_token(cluster[1]))
        page.until("document.body.innerText.includes('This page may end conflicts')", "the token to be taken")
        check("token" not in page.run("location.href"), "the token stays in the address")
        page.click(compare)
        page.until("document.querySelectorAll('button[data-keep]:enabled').length === 2", "the buttons")
        page.click("button[data-keep='agenda.md.conflict-node3']")
        page.until("document.getElementById('outcome').innerText.startsWith('Done')", "the conflict to be ended")
        cluster.agree()
        for node in cluster.nodes:
            check(b"lunch elsewhere" in node.read("agenda.md"), f"{node.name} has the other version")
            check(not node.exists("agenda.md.conflict-node3"), f"{node.name} has the copy still")
        page.click("header a")
        page.until("document.querySelectorAll('#conflicts li').length === 1", "one conflict to be left")
        page.until("document.getElementById('events').innerText.includes('agenda.md.conflict-node3 went')",
                   "it to be among what happened")

        # The other one with the keyboard alone, and pictures are seen.
        page.run("document.querySelector('#conflicts a').focus()")
        page.key("Enter", 13)
        page.until("[...document.images].filter(i => i.complete && i.naturalWidth === 96).length === 2", "both pictures")
        # A button that cannot be pressed yet, as the token is still being asked about, takes no focus.
        page.until("document.querySelectorAll('button[data-keep]:enabled').length === 2", "the buttons")
        page.run("document.querySelector(\"button[data-keep='media/cover.png']\").focus()")
        page.key("Enter", 13)
        page.until("document.getElementById('outcome').innerText.startsWith('Done')", "the conflict to be ended")
        cluster.agree()
        check(cluster[3].read("media/cover.png") == png(200, 60, 60), "the picture is the other one")
        check_quiet(page)


def test_what_has_changed_since_it_was_compared_is_not_dropped(world):
    cluster, url = with_conflicts(world)
    with Browser(world) as browser:
        page = browser.page(address_with_token(cluster[1]))
        page.go(url + "compare?copy=agenda.md.conflict-node3")
        page.until("document.querySelectorAll('button[data-keep]:enabled').length === 2", "the buttons")
        cluster[4].write("agenda.md", "edited meanwhile\n")
        cluster.agree()
        page.click("button[data-keep='agenda.md.conflict-node3']")
        page.until("document.getElementById('outcome').innerText.includes('has changed since')", "a refusal")
        check(cluster[1].read("agenda.md") == b"edited meanwhile\n", "what nobody had seen was dropped")


def test_progress_moves(world):
    cluster, url = with_conflicts(world, settings={"P2PSYNC_TRANSFER_DOWNLOAD_LIMIT": "4MiB"})
    with Browser(world) as browser:
        page = browser.page(url)
        page.run("window.seen = []; new MutationObserver(() => { const bar = document.querySelector('#moving progress');"
                 "if (bar && seen.at(-1) !== bar.value) seen.push(bar.value);"
                 "window.rate ||= /\\/s, .* left/.test(document.querySelector('#moving').innerText); })"
                 ".observe(document.querySelector('main'), {subtree: true, childList: true, attributes: true})")
        cluster[2].write("media/lecture.raw", os.urandom(16 << 20))
        page.until("window.seen.length >= 4", "progress to move")
        seen = page.run("window.seen")
        check(seen == sorted(seen) and seen[-1] > seen[0], f"it goes to and fro: {seen}")
        cluster.agree()
        check(page.run("window.rate"), "no rate, or no time that is left")
        page.until("document.getElementById('moving').hidden", "the transfer to go from the page")
        check_quiet(page)


def test_a_killed_node_turns_red(world):
    cluster, url = with_conflicts(world)
    with Browser(world) as browser:
        page = browser.page(url)
        state = "document.querySelector(\"[data-member='node3']\").dataset.state"
        page.until(f"{state} === 'good'", "node3 to be well")
        page.run("document.querySelector('#conflicts a').focus()")
        killed = time.monotonic()
        cluster[3].kill()
        page.until(f"{state} === 'bad'", "node3 to be red")
        took = time.monotonic() - killed
        check(took < RED_S, f"it took {took:.1f} s")
        world.note(f"red after {took:.2f} s")
        page.until("document.getElementById('summary').innerText.includes('node3 does not answer.')", "the summary to say so")
        check(page.run("document.activeElement.closest('#conflicts') !== null"), "the focus is lost")
        cluster[3].start()
        page.until(f"{state} === 'good'", "node3 to be well again")
        check_quiet(page)

        # And the node that the page is of.
        killed = time.monotonic()
        cluster[1].kill()
        page.until("!document.getElementById('lost').hidden", "the page to say that it is stale")
        took = time.monotonic() - killed
        check(took < RED_S, f"it took {took:.1f} s")
        world.note(f"stale after {took:.2f} s")
        cluster[1].start()
        page.until("document.getElementById('lost').hidden", "the page to go on")


def views(cluster, url, page):
    """What is looked at: the overview while something comes in and a member is lost, and both comparisons."""
    yield "overview", url
    yield "text", url + "compare?copy=agenda.md.conflict-node3"
    yield "picture", url + "compare?copy=media/cover.png.conflict-node4"


def test_it_fits_every_screen(world):
    """With P2PSYNC_PICTURES=DIR in the environment, pictures are laid there to be looked at."""
    cluster, url = with_conflicts(world, settings={"P2PSYNC_TRANSFER_DOWNLOAD_LIMIT": "2MiB"})
    pictures = os.environ.get("P2PSYNC_PICTURES")
    cluster[2].write("media/lecture with a long name, recorded in the large hall.raw", os.urandom(48 << 20))
    until(lambda: cluster[1].status()["transfers"], "something to come in")
    cluster[3].kill()
    with Browser(world) as browser:
        page = browser.page(url)
        for name, address in views(cluster, url, page):
            page.go(address)
            if name == "overview":
                page.until("document.querySelector(\"[data-member='node3']\").dataset.state === 'bad'", "a lost member")
            for width, height in ((320, 640), (768, 1024), (1280, 800), (1920, 1080), (3840, 2160)):
                for scheme in ("light", "dark"):
                    page.look(width, height, scheme)
                    broad = page.run("document.documentElement.scrollWidth")
                    check(broad <= width, f"{name} at {width} px is {broad} px wide")
                    if pictures:
                        page.picture(os.path.join(pictures, f"{name}-{width}-{scheme}.png"))
        check_quiet(page)


def axe_source(world):
    directory = world.directory("axe")
    npm = shutil.which("npm")
    if not npm:
        raise Unable("accessibility is not checked: there is no npm here (Debian package npm)")
    try:
        said = subprocess.run([npm, "install", "--prefix", directory, "--no-save", "--no-audit", "--no-fund",
                               "--ignore-scripts", "axe-core"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=INSTALL_S, cwd=directory)
    except subprocess.TimeoutExpired:
        raise Unable("accessibility is not checked: npm install axe-core takes too long")
    file = pathlib.Path(directory, "node_modules/axe-core/axe.min.js")
    if said.returncode != 0 or not file.exists():
        raise Unable(f"accessibility is not checked: npm cannot install axe-core: {said.stderr[-300:]!r}")
    return file.read_text()


def test_axe_finds_nothing_wrong(world):
    axe = axe_source(world)
    cluster, url = with_conflicts(world)
    cluster[3].kill()
    with Browser(world) as browser:
        page = browser.page(address_with_token(cluster[1]))
        checked = 0
        for name, address in views(cluster, url, page):
            page.go(address)
            for width in (320, 1280):
                for scheme in ("light", "dark"):
                    page.look(width, 800, scheme)
                    page.run(axe + ";1")
                    found = page.run("axe.run().then(({violations, passes}) => [passes.length, violations.map("
                                     "v => [v.id, v.help, v.nodes.map(n => n.html).slice(0, 3)])])")
                    check(found[0] > 10, f"{name}: axe has looked at nothing: {found}")
                    check(not found[1], f"{name} at {width} px, {scheme}: {found[1]}")
                    checked += found[0]
        world.note(f"{checked} checks passed")


def test_deletions_that_are_held_are_undone_or_confirmed_by_clicking(world):
    cluster, url = with_conflicts(world, settings={"P2PSYNC_SCAN_MAX_DELETE": "10%"})
    one, four = cluster[1], cluster[4]
    names = [f"papers/{number}" for number in range(12)]

    def lose():
        for name in names:
            os.unlink(one.path(name))
        page.until("document.querySelectorAll('#errors button:enabled').length === 2", "the deletions to be held")
        check("12 deletions are held back" in page.text(), "nobody says how many")

    for name in names:
        one.write(name, name)
    cluster.agree()
    with Browser(world) as browser:
        page = browser.page(address_with_token(one))
        lose()
        page.click("#errors button[data-undo]")
        page.until("document.getElementById('outcome').innerText === 'Done: 12 deletions undone.'", "them to be undone")
        cluster.agree()
        check(all(one.exists(name) for name in names), "what was undone is not back")
        page.until("document.getElementById('errors').hidden", "the message to go")

        lose()
        check(all(four.exists(name) for name in names), "they were told of before anybody confirmed")
        page.click("#errors button.grave")
        page.until("document.getElementById('outcome').innerText === 'Done: 12 deletions confirmed.'", "them to be confirmed")
        cluster.agree()
        check(not any(four.exists(name) for name in names), "what was confirmed is not gone elsewhere")
        check_quiet(page)
