"""A display for napari, whose canvas needs OpenGL: Qt's platform offscreen has it only beside X11.

The script `tests/helpers/display.py install` installs it on Debian.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGES = ("xvfb", "libdbus-1-3", "libegl1", "libfontconfig1", "libgl1", "libxkbcommon0")


@contextmanager
def shown() -> Iterator[None]:
    """Set DISPLAY to a new Xvfb, and Qt's platform to offscreen.

    Without Xvfb or napari, the test is skipped, unless PASSBAND_REQUIRE_NAPARI is set.
    """
    from required import refuse  # the script that installs has no pytest

    from passband import extras

    lacking = [] if shutil.which("Xvfb") else ["Xvfb (tests/helpers/display.py install)"]
    lacking += extras.missing(extras.NAPARI)
    if lacking:
        refuse("NAPARI", f"Qt cannot start, not installed: {', '.join(lacking)}")
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, pass_fds=(write,), stdout=quiet, stderr=quiet)
    os.close(write)
    with os.fdopen(read) as file:
        number = file.readline().strip()
    before = {name: os.environ.get(name) for name in ("DISPLAY", "QT_QPA_PLATFORM")}
    os.environ |= {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "offscreen"}
    try:
        if not number:
            refuse("NAPARI", "Qt cannot start: Xvfb has ended")
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        _end_qt()  # which ends the process if its display goes before it
        process.terminate()
        process.wait()


def _end_qt() -> None:
    """Close Qt's connection to the display."""
    from PyQt6 import sip
    from qtpy.QtWidgets import QApplication

    if application := QApplication.instance():
        application.closeAllWindows()
        sip.delete(application)


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit("usage: display.py install")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
