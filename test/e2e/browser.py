"""A real Chromium without a screen, in a network namespace, driven over a pipe by its DevTools protocol."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from namespaces import SLOWNESS, NotThere, die_with_parent

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --no-default-browser-check --mute-audio
--disable-background-networking --disable-component-update --disable-sync --disable-extensions --disable-default-apps
--disable-features=OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider --remote-debugging-pipe about:blank""".split()


def find_chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """`with Browser(namespace) as browser:`; one page, of which all messages, requests and dialogs are kept."""

    def __init__(self, namespace, columns=1280, rows=900, dark=False, scripts=True):
        self.namespace, self.size, self.dark, self.scripts = namespace, (columns, rows), dark, scripts
        self.errors, self.requests, self.dialogs = [], [], []
        self.number, self.buffer = 0, b""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-browser-", ignore_cleanup_errors=True)
        to_browser, from_browser = os.pipe(), os.pipe()

        def prepare():
            # The protocol's own: 3 to read from, 4 to write to. Both may be taken by one of the pipes itself.
            reads, writes = os.dup(to_browser[0]), os.dup(from_browser[1])
            os.dup2(reads, 3, inheritable=True)
            os.dup2(writes, 4, inheritable=True)
            die_with_parent()

        command = self.namespace.command("env", f"HOME={self.folder.name}", find_chromium(), f"--user-data-dir={self.folder.name}", *FLAGS)
        self.process = subprocess.Popen(command, preexec_fn=prepare, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.folder.name, "log"), "wb"))
        os.close(to_browser[0])
        os.close(from_browser[1])
        self.to_browser, self.from_browser = to_browser[1], from_browser[0]
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=not self.scripts)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}])
        self.resize(*self.size)
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.process.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.folder.cleanup()

    def resize(self, columns, rows):
        self.call("Emulation.setDeviceMetricsOverride", width=columns, height=rows, deviceScaleFactor=1, mobile=columns < 600)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        number = self.number
        for answer in self._messages(30 * SLOWNESS):
            if answer.get("id") == number:
                if "error" in answer:  # of a document that another has just replaced, too
                    raise NotThere(f"{method}: {answer['error']}")
                return answer["result"]
        raise AssertionError(f"the browser did not answer {method}")

    def listen(self, seconds):
        for _ in self._messages(seconds):
            pass

    def _messages(self, seconds):
        end = time.monotonic() + seconds
        while True:
            while b"\0" in self.buffer:
                message, self.buffer = self.buffer.split(b"\0", 1)
                message = json.loads(message)
                self._note(message)
                yield message
            if not select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))[0]:
                return
            data = os.read(self.from_browser, 1 << 20)
            assert data, "the browser ended"
            self.buffer += data

    def _note(self, message):
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(told["message"])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression, seconds=15):
        end = time.monotonic() + seconds * SLOWNESS
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"never true: {expression}\n{self.evaluate('document.body.innerText')}"
            self.listen(0.05)
        return value

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector):
        """With the mouse, where the element is."""
        place = self.evaluate(f"""(() => {{ const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center"}}); const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key, code=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))

    def type(self, selector, text):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus(); document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def screenshot(self, file):
        with open(file, "wb") as picture:
            picture.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
