"""The last line that Snakemake's main process prints after Ctrl-C."""

import atexit
import signal
import sys
from types import FrameType

#: The last line that is printed after Ctrl-C.
LINE = (
    "Stopped by Ctrl-C. Finished results are kept, and training continues from its last save: run "
    "the same command again to continue."
)


def watch() -> None:
    """After SIGINT, make this process print :data:`LINE` on standard error when it exits.

    The line is printed when the process exits. The line is therefore below all messages of
    Snakemake and its jobs. The line is also printed if Ctrl-C is pressed while the graph of jobs is
    built. If SIGINT is ignored or has another handler, this function changes nothing. A second call
    of this function changes nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    atexit.unregister(_say)  # Ctrl-C may be pressed twice
    atexit.register(_say)
    signal.default_int_handler(number, frame)


def _say() -> None:
    print(LINE, file=sys.stderr)
