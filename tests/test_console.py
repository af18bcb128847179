"""Commands whose output pipe is closed, and commands on terminals that show only ASCII."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from passband import PassbandError, cli, console

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def command(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "passband.cli", *arguments], stderr=subprocess.PIPE, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["check"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    """An example is `passband status | head`. Here the reader ends before the first character."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = command(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == b""


@pytest.mark.slow
def test_a_c_locale_prints_what_it_can_show():
    done = command("check", stdout=subprocess.PIPE, env=os.environ | C_LOCALE)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"16 = 1 specimen x 16 conditions" in done.stdout
    assert b"?" not in done.stdout


@pytest.mark.slow
def test_a_mistake_is_readable_in_a_c_locale(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text("microscope: {pixel_size_A: -1}\n")
    done = command("check", str(study), stdout=subprocess.PIPE, env=os.environ | C_LOCALE)
    assert done.returncode == 1
    (line,) = done.stderr.decode("ascii").splitlines()
    assert "microscope.pixel_size_A = -1: must be" in line
    assert line.endswith(" A")


def test_characters_have_substitutes(tmp_path):
    with (tmp_path / "ascii").open("w", encoding="ascii", errors="passband-ascii") as file:
        console.prepare()
        file.write("0.85 ± 0.07 at 100 e/Å² – σ, São\n")
        file.write("\udcff 金\n")
    assert (tmp_path / "ascii").read_text() == "0.85 +- 0.07 at 100 e/A2 - sigma, Sao\n? ?\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", r"two\nlines"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("back\rdel\x7f", r"back\rdel\x7f"),
        ("right to left \u202e", r"right to left \u202e"),
        ("no UTF-8 \udcff", r"no UTF-8 \udcff"),
        ("Å – “é” ²", "Å – “é” ²"),
    ],
)
def test_a_name_in_a_message_keeps_the_message_in_its_line(name, shown, tmp_path, capsys):
    assert console.escaped(name) == shown
    assert str(PassbandError(f"{name}: is wrong")) == f"{shown}: is wrong"
    (tmp_path / "results").mkdir()
    into = str(tmp_path / "results/new")
    assert cli.main(["merge", f"{name}.zarr", "other.zarr", "--into", into]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{shown}.zarr" in line


SMALLEST = Path(__file__).parent / "data" / "smallest.yaml"
CLOSED = "standard output is closed: give a file for it, such as /dev/null\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        ("check none.yaml >&-", 1, "", CLOSED),
        ("--help <&- >&- 2>&-", 1, "", ""),
        (f"check {SMALLEST} >/dev/full", 1, "", "[Errno 28] No space left on device\n"),
    ],
)
def test_closed_and_full_streams(tmp_path, words, status, out, err):
    command = f"{sys.executable} -m passband.cli {words}"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (status, out)
    assert ran.stderr.startswith(err)
    assert ran.stderr.count("\n") == bool(err)


def test_programs_that_are_started_have_the_null_device_for_closed_streams():
    started = "import os; print(os.readlink('/proc/self/fd/0'), os.readlink('/proc/self/fd/2'))"
    code = (
        "import subprocess, sys; from passband import console; console.prepare(); "
        f"subprocess.run([sys.executable, '-c', {started!r}])"
    )
    command = ["sh", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} <&- 2>&-"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "/dev/null /dev/null\n"
