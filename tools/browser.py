"""Chromium without a window, driven over its DevTools protocol through a pipe: nothing but Python's own library is needed."""
import base64, json, os, select, shutil, subprocess, tempfile, time


def find():
    return next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


class Failed(Exception):
    pass


class Browser:
    """One tab.  said: messages of its console, of errors and of refused loads; asked: (method, url, body) of its requests."""

    def __init__(self, width=1280, height=800):
        self.folder = tempfile.mkdtemp()
        to_read, self.to = os.pipe()
        self.come, to_write = os.pipe()
        args = [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-default-apps", "--disable-sync", "--no-proxy-server", "--user-data-dir=" + self.folder, "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash"] + args, pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_read), os.close(to_write)
        self.rest, self.n, self.session, self.replies, self.said, self.asked, self.loaded = b"", 0, None, {}, [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")
        self.size(width, height)

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to), os.close(self.come)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the protocol ----

    def _read(self, until):
        """Messages that have come, or that come before the time."""
        while b"\0" not in self.rest:
            if not select.select([self.come], [], [], max(0, until - time.time()))[0]:
                return False
            more = os.read(self.come, 1 << 16)
            if not more:
                raise Failed("the browser has ended")
            self.rest += more
        *whole, self.rest = self.rest.split(b"\0")
        for raw in whole:
            self._take(json.loads(raw))
        return True

    def _take(self, m):
        what, p = m.get("method"), m.get("params", {})
        if "id" in m:
            self.replies[m["id"]] = m
        elif what == "Runtime.exceptionThrown":
            self.said.append(p["exceptionDetails"].get("exception", {}).get("description") or p["exceptionDetails"]["text"])
        elif what == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning"):
            self.said.append(" ".join(str(a.get("value")) for a in p["args"]))
        elif what == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.said.append(p["entry"]["text"] + " " + p["entry"].get("url", ""))
        elif what == "Network.requestWillBeSent":
            self.asked.append((p["request"]["method"], p["request"]["url"], p["request"].get("postData")))
        elif what == "Page.loadEventFired":
            self.loaded = True

    def call(self, method, seconds=30, **params):
        self.n += 1
        n = self.n
        os.write(self.to, json.dumps({"id": n, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})}).encode() + b"\0")
        until = time.time() + seconds
        while n not in self.replies:
            if not self._read(until) and time.time() > until:
                raise Failed(f"{method}: no reply in {seconds} s")
        m = self.replies.pop(n)
        if "error" in m:
            raise Failed(f"{method}: {m['error']['message']}")
        return m["result"]

    # ---- what a person does ----

    def go(self, url):
        self.loaded = False
        self.call("Page.navigate", url=url)
        self._until_loaded()

    def reload(self):
        self.loaded = False
        self.call("Page.reload")
        self._until_loaded()

    def _until_loaded(self):
        until = time.time() + 30
        while not self.loaded:
            if not self._read(until) and time.time() > until:
                raise Failed("the page does not load")

    def js(self, text):
        r = self.call("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise Failed(f"{text}: {r['exceptionDetails'].get('exception', {}).get('description')}")
        return r["result"].get("value")

    def wait(self, text, seconds=30):
        """Until an expression is true; its value."""
        until = time.time() + seconds
        while not (v := self.js(text)):
            if time.time() > until:
                raise Failed(f"not in {seconds} s: {text}")
            self._read(time.time() + 0.03)
        return v

    KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowRight": (39, ""), "ArrowLeft": (37, ""), "End": (35, ""), "Home": (36, "")}

    def press(self, key, shift=False):
        code, text = self.KEYS[key]
        common = dict(key=key, code=key, windowsVirtualKeyCode=code, modifiers=8 if shift else 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", **({"text": text} if text else {}), **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def point(self, selector, click=False):
        x, y = self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{ block: 'nearest' }}); const r = e.getClientRects()[0]; return [r.left + r.width / 2, r.top + r.height / 2]; }})()")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click(self, selector):
        self.point(selector, True)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features):
        self.call("Emulation.setEmulatedMedia", features=[{"name": k.replace("_", "-"), "value": v} for k, v in features.items()])

    def shot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
