"""A headless Chromium for tests of pages, driven through Chromium's debugging protocol on a pipe.

    with browser.opened(file) as page:
        assert page.evaluate("document.title") == "…"
        assert not page.problems

Debian's Chromium is enough: no driver and no Python package is needed. Chromium contacts no host,
and its profile is a new empty folder. The script `tests/helpers/browser.py install` installs it.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAM = "chromium"
#: No command may take longer than this [s]. Usually, a command takes milliseconds.
PATIENCE = 120.0
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def require(program: str = PROGRAM) -> None:
    """Skip the test if there is no such program; fail if PASSBAND_REQUIRE_BROWSER is set."""
    from required import refuse  # the script that installs has no pytest

    if shutil.which(program) is None:
        refuse("BROWSER", f"not installed: {program} (tests/helpers/browser.py install)")


def install() -> None:
    """Install Debian's Chromium and Firefox."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", PROGRAM]
    command.append("firefox-esr")
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


class Page:
    """A page in Chromium.

    Attributes:
        problems: Errors and warnings on the console, uncaught exceptions, and addresses outside of
            the file that the page wanted to load.
        downloads: The folder in which the page's downloads are saved.
    """

    def __init__(self, send: Callable[..., Any], downloads: Path):
        self._send, self.downloads = send, downloads
        self.problems: list[str] = []

    def command(self, method: str, **params: Any) -> dict:
        """Send a command of the debugging protocol, and return its result."""
        return self._send(method, params)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, which may be a promise."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(condition)):
            assert time.monotonic() < end, f"{condition} is {value!r}; {self.problems}"
            self.evaluate("new Promise(requestAnimationFrame)")
        return value

    def frame(self) -> None:
        """Wait until the page has been drawn."""
        self.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Dispatch an event of the mouse, such as ``mouseMoved``, at a place in CSS pixels."""
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, **more: Any) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float], **more: Any) -> None:
        self.mouse("mousePressed", *start, button="left", clickCount=1, **more)
        middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
        for place in (middle, end):
            self.mouse("mouseMoved", *place, button="left", buttons=1, **more)
        self.mouse("mouseReleased", *end, button="left", clickCount=1, **more)

    def key(self, name: str) -> None:
        """Press a key, such as ``ArrowDown`` or ``+``."""
        text = {"text": name} if len(name) == 1 else {"text": "\r"} if name == "Enter" else {}
        self.command("Input.dispatchKeyEvent", type="keyDown", key=name, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", key=name)

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Set the size of the page in CSS pixels, and the number of pixels of the screen in one."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def screenshot(self, file: Path, whole: bool = False) -> None:
        """Save a picture of the page, or of the whole page below its first screen too."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def download(self, name: str) -> Path:
        """Wait until the page has saved a file, and return the file."""
        file, end = self.downloads / name, time.monotonic() + PATIENCE
        # Chromium writes to a file with another name, and renames it.
        while not file.exists():
            assert time.monotonic() < end, f"{name} is not in {list(self.downloads.iterdir())}"
            self.frame()
        return file

    def open(self, address: str) -> None:
        """Open an address."""
        self.command("Page.navigate", url=address)

    def _event(self, method: str, params: dict) -> None:
        """Keep what a person would find on the console."""
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(" ".join(str(a.get("value", a)) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if address.partition(":")[0] not in ("file", "data", "blob", "about"):
                self.problems.append(f"the page loads {address}")


@contextlib.contextmanager
def opened(file: Path | str, width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """Open a file, or an address such as ``file:///…#hash``, in a new Chromium."""
    require()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        down, to_browser = os.pipe()
        from_browser, up = os.pipe()
        words = [PROGRAM, *_OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        # Chromium reads commands from file descriptor 3, and writes answers to 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{down} 4>&{up}', "bash", *words]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                shell, pass_fds=(down, up), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        os.close(down), os.close(up)
        stack.callback(os.close, from_browser)
        stack.callback(os.close, to_browser)

        def end() -> None:
            with contextlib.suppress(OSError):
                os.write(to_browser, b'{"id": 0, "method": "Browser.close"}\0')
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        stack.callback(end)
        rest, numbers, session = b"", itertools.count(1), {}
        downloads = folder / "downloads"
        downloads.mkdir()

        def read() -> Iterator[dict]:
            nonlocal rest
            limit = time.monotonic() + PATIENCE
            while True:
                while b"\0" in rest:
                    line, rest = rest.split(b"\0", 1)
                    yield json.loads(line)
                if not select.select([from_browser], [], [], 1)[0]:
                    assert time.monotonic() < limit, "Chromium does not answer"
                    continue
                part = os.read(from_browser, 2**20)
                assert part, f"Chromium has ended: {(folder / 'log').read_text()[-2000:]}"
                rest += part

        def send(method: str, params: dict) -> dict:
            number = next(numbers)
            message = {"id": number, "method": method, "params": params, **session}
            left = json.dumps(message).encode() + b"\0"
            while left:
                left = left[os.write(to_browser, left) :]
            for answer in read():
                if answer.get("id") == number:
                    assert "error" not in answer, f"{method}: {answer['error']}"
                    return answer["result"]
                if "method" in answer:
                    page._event(answer["method"], answer["params"])
            raise AssertionError("unreachable")

        page = Page(send, downloads)
        target = send("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = send("Target.attachToTarget", {"targetId": target, "flatten": True})
        send("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        session["sessionId"] = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.command(f"{domain}.enable")
        page.resize(width, height)
        page.open(file.absolute().as_uri() if isinstance(file, Path) else file)
        start = "location.href !== 'about:blank' && " if file != "about:blank" else ""
        page.wait(f"{start}document.readyState === 'complete'")
        yield page


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit("usage: browser.py install")
    install()
