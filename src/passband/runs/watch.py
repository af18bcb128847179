"""Draws a run while it goes on: its files are read again when something has changed."""

import threading
import time
from collections.abc import Callable

from passband.runs.display import Display

#: Shortest and longest time between two looks at the files [s], for jobs that end every second and
#: for a job whose epochs go on.
_AT_LEAST_S = 1.0
_AT_MOST_S = 10.0
#: Reading takes at most this share of the time.
_SHARE = 0.05


class Watch:
    """Reads a run and draws it in a thread, from the beginning until :meth:`end`.

    Args:
        display: The display, which is started.
        report: Gets the error by which reading or drawing has ended.
    """

    def __init__(self, display: Display, report: Callable[[Exception], None]):
        self.display = display
        self._report = report
        self._something = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        display.start()
        self._thread.start()

    def changed(self) -> None:
        """Note that the files have changed."""
        self._something.set()

    def end(self, why: str = "") -> None:
        """Draw the run as it is now, and say how it ended, see :meth:`Display.stop`."""
        self._is_over.set()
        self._something.set()
        self._thread.join()
        self._look()
        self.display.stop(why)

    def _follow(self) -> None:
        wait = _AT_LEAST_S
        while not self._is_over.wait(wait):
            self._something.wait(_AT_MOST_S)
            self._something.clear()
            began = time.monotonic()
            if self._is_over.is_set() or not self._look():
                return
            wait = max(_AT_LEAST_S, (time.monotonic() - began) / _SHARE)

    def _look(self) -> bool:
        """Read and draw; return whether both succeeded."""
        try:
            self.display.run.read(logs=True)
            self.display.show_changes()
        except Exception as error:  # the run goes on
            self._report(error)
            return False
        return True
