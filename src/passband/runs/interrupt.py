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
    """After SIGINT, print :data:`LINE` on standard error when this process exits.

    So the line comes below all messages of Snakemake and its jobs, even if Ctrl-C is pressed while
    the graph of jobs is built. Nothing changes if SIGINT is ignored or already has a handler.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    atexit.unregister(_say)  # Ctrl-C may be pressed twice
    atexit.register(_say)
    signal.default_int_handler(number, frame)


def _say() -> None:
    print(LINE, file=sys.stderr)
