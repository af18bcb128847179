"""A headless Firefox that opens a page once, driven through Firefox's own protocol, Marionette.

    with firefox.opened(file) as page:
        page.wait("document.title")
    assert not page.problems

Debian's Firefox is enough: no driver and no Python package is needed. `browser.py install` installs
it.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser

PROGRAM = "firefox-esr"
_PREFERENCES = {
    "marionette.port": 0,  # any free port, which Firefox writes to a file
    "devtools.console.stdout.content": True,
    "browser.dom.window.dump.enabled": True,
}


def require() -> None:
    """Skip the test if there is no Firefox; fail if PASSBAND_REQUIRE_BROWSER is set."""
    browser.require(PROGRAM)


class Page:
    """A page in Firefox.

    Attributes:
        problems: After the page was closed: the errors that Firefox reported for the file.
    """

    def __init__(self, connection: socket.socket):
        self._connection, self._number = connection, 0
        self._read()  # the greeting
        self.problems: list[str] = []

    def command(self, name: str, **params: Any) -> Any:
        """Send a command, and return its result."""
        self._number += 1
        text = json.dumps([0, self._number, name, params])
        self._connection.sendall(f"{len(text.encode())}:{text}".encode())
        _, _, error, result = self._read()
        assert error is None, f"{name}: {error}"
        return result

    def _read(self) -> Any:
        with self._connection.makefile("rb", buffering=0) as file:
            size = b""
            while (byte := file.read(1)) != b":":
                assert byte, "Firefox has ended"
                size += byte
            text = b""
            while left := int(size) - len(text):
                text += file.read(left)
        return json.loads(text)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, which can use what the page defines."""
        script = f"return JSON.stringify({{value: {expression}}})"
        found = self.command("WebDriver:ExecuteScript", script=script, args=[])["value"]
        return json.loads(found).get("value")

    def frame(self) -> None:
        """Do nothing: a canvas can be read before it is on the screen."""

    def wait(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        end = time.monotonic() + browser.PATIENCE
        while not (value := self.evaluate(condition)):
            assert time.monotonic() < end, f"{condition} is {value!r}"
            time.sleep(0.05)
        return value


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Page]:
    """Open a file in a new Firefox, 1400 pixels wide and 1000 pixels high."""
    require()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lines = [f'user_pref("{key}", {json.dumps(v)});' for key, v in _PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines), encoding="utf-8")
        words = [PROGRAM, "--headless", "--no-remote", "--marionette", "--profile", name]
        size = {"MOZ_HEADLESS_WIDTH": "1400", "MOZ_HEADLESS_HEIGHT": "1000"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | size | {"HOME": name},
            )
        try:
            port = folder / "MarionetteActivePort"
            with _connected(port, process, folder / "log") as connection:
                page = Page(connection)
                page.command("WebDriver:NewSession")
                page.command("WebDriver:Navigate", url=file.absolute().as_uri())
                yield page
                page.command("Marionette:Quit", flags=["eForceQuit"])
            process.wait(browser.PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        printed = (folder / "log").read_text(encoding="utf-8", errors="replace")
        # Firefox's own messages, such as of its updates, are none of the page's.
        page.problems += re.findall(
            r'^JavaScript error: file:.*|^console\.error: ".*', printed, re.M
        )


def _connected(port: Path, process: subprocess.Popen, log: Path) -> socket.socket:
    end = time.monotonic() + browser.PATIENCE
    while not (port.exists() and port.read_text().strip()):
        assert process.poll() is None, f"Firefox has ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < end, "Firefox does not start"
        time.sleep(0.05)
    return socket.create_connection(("127.0.0.1", int(port.read_text())), browser.PATIENCE)
