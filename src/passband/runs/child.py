"""Runs a command, such as Snakemake, to its end or stops it with all its jobs.

In a process of the user's, such as a notebook, Ctrl-C raises KeyboardInterrupt, and nothing of the
process is changed. In :func:`signals_passed_on`, a command of Passband sends all signals on.
"""

import os
import signal
import subprocess
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TextIO

from passband import processes

#: Time between two looks at the output of a command that does not write to the terminal [s].
_LOOK_S = 0.2


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: The exit status, or 128 and the number of the signal that ended the command: 130
            after Ctrl-C.
        printed: What it wrote, without what was shown already.
    """

    status: int
    printed: str = ""


#: Whether this process sends signals on, see :func:`signals_passed_on`.
_passes_on = False


@contextmanager
def signals_passed_on() -> Iterator[None]:
    """While a command runs, send the signals of this process on to it.

    These are Ctrl-C, which reaches the command once, and the signals to end and to pause. So Ctrl-C
    reaches all jobs in the same way whether it was typed or sent to this process alone. If the
    terminal is closed, the command receives SIGTERM.
    """
    global _passes_on
    _passes_on = True
    try:
        yield
    finally:
        _passes_on = False


class _PassedOn:
    """The signals that this process receives while a command runs."""

    def __init__(self):
        self.received: list[int] = []
        self._process: subprocess.Popen | None = None
        self._unsent: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> "_PassedOn":
        if _passes_on:
            for number, handler in (
                (signal.SIGINT, self._forward),
                (signal.SIGTERM, self._forward),
                (signal.SIGHUP, self._forward),
                (signal.SIGQUIT, self._forward),
                (signal.SIGTSTP, self._pause),
            ):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup
                    before = signal.signal(number, handler)
                    self._stack.callback(signal.signal, number, before)
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def to(self, process: subprocess.Popen) -> None:
        """Send what this process receives, and what it has received, to a command's group."""
        self._process = process
        self._send()

    def _send(self) -> None:
        """Send on what was received; before the command has started, the signals wait."""
        while self._process is not None and self._unsent:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, self._unsent.pop(0))

    def _forward(self, number: int, _) -> None:
        self.received.append(number)
        # After SIGTERM, Snakemake's jobs save their state; after SIGHUP, they do not.
        self._unsent.append(signal.SIGTERM if number == signal.SIGHUP else number)
        self._send()

    def _pause(self, *_) -> None:
        self._unsent.append(signal.SIGSTOP)
        self._send()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._unsent.append(signal.SIGCONT)
        self._send()


def run(
    words: Sequence[str],
    folder: Path,
    *,
    look: Callable[[], object] | None = None,
    captured: bool = False,
) -> Ended:
    """Run a command to its end, in a process group of its own.

    Neither it nor its jobs import or obey files of the folder. It writes to this process's standard
    output and standard error; if they were replaced, as in a notebook, its lines are written to
    what replaces them.

    Args:
        look: Is called now and then while the command runs, whose output is then not shown.
        captured: Whether to return the standard output instead, so that errors of printing it are
            noticed.

    Raises:
        KeyboardInterrupt: After Ctrl-C, or any error of `look`, as soon as the command has ended.
    """
    # Snakemake starts `python` and `snakemake` by name, and its plugins start programs of the
    # system.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH') or os.defpath}"
    with ExitStack() as stack:
        out = err = None  # those of this process
        if captured or look or sys.stdout is not sys.__stdout__:
            out = stack.enter_context(TemporaryFile())
        if look or sys.stderr is not sys.__stderr__:
            err = stack.enter_context(TemporaryFile())
        shown = []
        if not look:
            shown = [_Shown(err, sys.stderr)]
            shown += [] if captured else [_Shown(out, sys.stdout)]
        is_watched = bool(look) or any(each.file for each in shown)
        signals = stack.enter_context(_PassedOn())
        # Python interrupts only its main thread. So what another one has started is never lost.
        starter = stack.enter_context(ThreadPoolExecutor(1))
        begun: list[subprocess.Popen] = []

        def begin() -> None:
            begun.append(
                subprocess.Popen(
                    words,
                    cwd=folder,
                    env=os.environ | processes.of_children() | {"PATH": path},
                    process_group=0,
                    stdout=out,
                    stderr=err,
                )
            )

        try:
            starter.submit(begin).result()
            (process,) = begun
            signals.to(process)
            while not _has_ended(process, is_watched):
                for each in shown:
                    each.write()
                if look is not None:
                    look()
        except BaseException:
            starter.shutdown()
            for process in begun:
                _stop(process)
            raise
        finally:
            for each in shown:
                each.write()
        kept = []
        if out is not None and (captured or look):
            kept.append(out)
        if err is not None and look:
            kept.append(err)
        printed = b"".join(map(_read, kept)).decode(errors="replace")
    if signals.received:
        return Ended(128 + signals.received[0], printed)
    status = process.returncode
    return Ended(status if status >= 0 else 128 - status, printed)


def _has_ended(process: subprocess.Popen, is_watched: bool) -> bool:
    """Wait for a process, for a moment if it `is_watched`, and return whether it has ended."""
    try:
        process.wait(_LOOK_S if is_watched else None)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: subprocess.Popen) -> None:
    """Let a command and its jobs end as Ctrl-C does, and wait for it; Ctrl-C reaches it again."""
    while True:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait()
        except KeyboardInterrupt:
            continue
        return


class _Shown:
    """Output of a command that is written to what replaces a stream of this process."""

    def __init__(self, file: IO[bytes] | None, stream: TextIO):
        self.file = file
        self._stream = stream
        self._place = 0
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def write(self) -> None:
        """Write what is new."""
        if self.file is not None:
            new = _read(self.file, self._place)
            self._place += len(new)
            if text := self._decoder.decode(new):
                self._stream.write(text)
                self._stream.flush()


def _read(file: IO[bytes], place: int = 0) -> bytes:
    """Return what a command has written after a place in the file."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size - place, place)
