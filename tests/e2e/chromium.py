"""A real browser without a window, driven over its DevTools protocol: JSON between NULs, over two pipes."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time

from cluster import PATIENCE_S, Failure, Skip, check

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    def __init__(self, world):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if not program:
            raise Skip("there is no browser (Debian package chromium)")
        (theirs_in, self.to), (self.back, theirs_out) = os.pipe(), os.pipe()
        def give_pipes():  # the browser reads from 3 and writes to 4
            low, high = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(low, 3)
            os.dup2(high, 4)
        self.log = os.path.join(world.scratch, "browser.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
                 f"--user-data-dir={world.directory('browser')}", "--remote-debugging-pipe", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=give_pipes, close_fds=False,
                start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        os.set_inheritable(self.to, False)
        self.unread, self.number, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.to)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.back)

    def read(self):
        while b"\0" not in self.unread:
            piece = os.read(self.back, 1 << 20)
            if not piece:
                with open(self.log, errors="replace") as log:
                    raise Failure("the browser has ended:\n" + log.read()[-2000:])
            self.unread += piece
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def ask(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            said = self.read()
            if said.get("id") == self.number:
                check("error" not in said, lambda: f"{method}: {said['error']}")
                return said["result"]
            self.events.append(said)

    def page(self, url="about:blank"):
        return Page(self, url)


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.go(url)

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def go(self, url):
        self.ask("Page.navigate", url=url)
        # The new document, and no longer the one before: about:blank has no such element.
        self.until("document.readyState === 'complete' && !!document.body.dataset.page", "the page to load")

    def run(self, script):
        """What the script, an expression or a promise, comes to."""
        said = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        check("exceptionDetails" not in said, lambda: f"{script}: {said['exceptionDetails']}")
        return said["result"].get("value")

    def until(self, script, what, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.run(script)
            except Failure:  # between two documents
                found = None
            if found:
                return found
            check(time.monotonic() < deadline, lambda: f"waited {seconds} s for: {what}\n{self.text()}")
            time.sleep(0.02)

    def text(self):
        return self.run("document.body.innerText")

    def click(self, selector):
        """Where a user would: in the middle of it, with the mouse."""
        x, y = self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
                        "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
                        "return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                     **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))

    def look(self, width, height, scheme):
        """As somebody with such a screen, who likes it `light` or `dark`."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file):
        self.ask("Emulation.setScrollbarsHidden", hidden=True)
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def complaints(self):
        """What a developer would see in red."""
        self.run("1")  # what was on its way is there now
        found = []
        for event in self.browser.events:
            method, about = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(about["exceptionDetails"].get("exception", {}).get("description", str(about)))
            elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
                found.append(str(about["args"]))
            elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                found.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        return found
