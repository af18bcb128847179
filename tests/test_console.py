"""Commands whose output pipe is closed, and commands on terminals that show only ASCII."""

import os
import subprocess
import sys

import pytest

from passband import PassbandError, cli, console

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def command(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "passband.cli", *arguments], stderr=subprocess.PIPE, **options
    )


@pytest.mark.parametrize("arguments", [["status", "studies/paper.yaml"], ["check"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    """An example is `passband status | head`. Here the reader ends before the first character."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = command(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == b""


def test_a_c_locale_prints_what_it_can_show():
    done = command("check", stdout=subprocess.PIPE, env=os.environ | C_LOCALE)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"16 = 1 specimen x 16 conditions" in done.stdout
    assert b"?" not in done.stdout


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
    assert cli.main(["merge", f"{name}.zarr", "other.zarr", "--into", str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err == f"{shown}.zarr: there is no such file or folder\n"
