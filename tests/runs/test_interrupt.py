"""The last line after Ctrl-C, printed by a process in the place of Snakemake."""

import signal
import subprocess
import sys

import pytest

from passband.runs import interrupt

ENDS = """
import os, signal
from passband.runs import interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
interrupt.watch()
interrupt.watch()
try:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    {then}
"""


def ended(code: str) -> list[str]:
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return process.stderr.splitlines()


@pytest.mark.parametrize(
    "then", ["print('others say', file=__import__('sys').stderr)", "raise SystemExit(1)", "raise"]
)
def test_the_line_is_the_last_one_and_comes_once(then):
    lines = ended(ENDS.format(then=then))
    assert lines[-1] == interrupt.LINE
    assert lines.count(interrupt.LINE) == 1


def test_without_ctrl_c_nothing_is_printed():
    assert ended("from passband.runs import interrupt\ninterrupt.watch()") == []


def test_an_ignored_signal_stays_ignored(monkeypatch):
    """A process that nohup or the & of a shell started, for example, ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt.watch()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
