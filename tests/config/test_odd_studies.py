"""Odd studies: each study is accepted, or refused within seconds with one line per error."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_studies import (
    CRYSTALS,
    FILES,
    NASTIEST,
    Odd,
    at,
    corpus,
    crystal,
    of_many_conditions,
    values_never_allowed,
)

from passband import cli
from passband.config import MOST_LINES, ConfigError, load, validate
from passband.config.study_file import parse
from passband.specimens import crystals

ROOT = Path(__file__).parents[2]
CORPUS = corpus()
#: Ten times the goal of benchmarks/studies.py, in seconds of the processor.
LIMIT_S = 10 * 3


def test_there_are_more_than_305():
    assert len(CORPUS) >= 305
    assert len({odd.study for odd in CORPUS.values()}) == len(CORPUS)


@pytest.mark.slow
@pytest.mark.parametrize("odd", CORPUS.values(), ids=CORPUS)
def test_an_odd_study_is_accepted_or_refused_in_one_line(odd: Odd, tmp_path, monkeypatch, capsys):
    check(odd, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_a_study_of_many_conditions_is_accepted(tmp_path, monkeypatch, capsys):
    for odd in of_many_conditions().values():
        check(odd, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_every_key_refuses_invalid_types(tmp_path, monkeypatch, capsys):
    never = values_never_allowed()
    assert len(never) > 300
    for odd in never.values():
        check(odd, tmp_path, monkeypatch, capsys)


def check(odd: Odd, tmp_path: Path, monkeypatch, capsys) -> None:
    """Run `passband check` on a study, and compare the lines with the expected parts."""
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_bytes(odd.study)
    started = time.process_time()
    status = cli.main(["check", "study.yaml"])
    assert time.process_time() - started < LIMIT_S
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert status == bool(odd.says), err
    assert bool(out) == (not odd.says)
    assert len(lines) == len(odd.says)
    for line, says in zip(lines, odd.says, strict=True):
        assert line.startswith(("study.yaml: ", "study file 'study.yaml': "))
        assert line.isprintable()
        assert len(line) < 1000
        assert says in line


@pytest.mark.slow
def test_the_command_answers_in_one_line_and_loads_no_library(tmp_path):
    """The command imports neither torch nor ASE nor abTEM, whose import would take seconds."""
    paths = [tmp_path / f"{number}.yaml" for number in range(len(NASTIEST))]
    for path, study in zip(paths, NASTIEST.values(), strict=True):
        path.write_bytes(study)
    program = (
        "import sys, time; from passband import cli\n"
        "for path in sys.argv[1:]:\n"
        "    status, used = cli.main(['check', path]), time.process_time()\n"
        "    heavy = {'torch', 'ase', 'abtem', 'scipy', 'xarray', 'pandas'} & set(sys.modules)\n"
        f"    print(status, heavy, used < {LIMIT_S})\n"
    )
    command = [sys.executable, "-c", program, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert done.stdout == len(NASTIEST) * "1 set() True\n"
    for path, line in zip(paths, done.stderr.splitlines(), strict=True):
        assert path.name in line


# Lines


@pytest.mark.slow
def test_many_mistakes_are_counted_after_the_first():
    with pytest.raises(ConfigError) as caught:
        validate({"grid": {"cs_um": ["x"] * 9000}}, "file.yaml")
    *lines, last = str(caught.value).split("\n")
    assert len(lines) == MOST_LINES
    assert last == f"file.yaml: and {9000 - MOST_LINES:,} more mistakes"


def test_a_path_that_would_break_the_line_is_escaped(tmp_path):
    path = tmp_path / "a\nb.yaml"
    path.write_text("study: {seed: -1}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).isprintable()


@pytest.mark.timeout(60)
def test_only_regular_files_are_opened(tmp_path):
    """A study file is not a pipe, since reading a pipe would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path, "is a folder; give a YAML file"),
        (tmp_path / "pipe", "is no regular file; give a YAML file"),
        ("/dev/zero", "is no regular file; give a YAML file"),
        ("/proc/kmsg", "is no regular file; give a YAML file"),
        ("x" * 5000, "File name too long; give a YAML file"),
        ("a\0b", "embedded null (byte|character in path); give a YAML file"),
        ("a\nb", "No such file or directory; give a YAML file"),
        ("", "No such file or directory; give a YAML file"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            load(path)
        assert str(caught.value).isprintable()
    for block in ("grid: {points: /proc/kmsg}", "specimens: {a: {material: /proc/kmsg}}"):
        (tmp_path / "study.yaml").write_text(block)
        with pytest.raises(ConfigError, match=r"= '?/proc/kmsg'?: "):
            load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("name", "content", "says"), CRYSTALS, ids=[name for name, _, _ in CRYSTALS]
)
def test_an_odd_crystal_file_is_accepted_or_refused_in_one_line(
    name, content, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content)
    Path("study.yaml").write_text(at("specimens.a", f"{{material: {name}, shape: sphere}}"))
    started = time.process_time()
    status = cli.main(["check", "study.yaml"])
    assert time.process_time() - started < LIMIT_S
    _, err = capsys.readouterr()
    assert status == bool(says), err
    assert err.count("\n") == bool(says)
    assert not says or says in err


def test_reading_may_take_its_time_outside_the_limit(tmp_path):
    """The timer for a crystal file stops after the file is read."""
    path = tmp_path / "good.xyz"
    path.write_text(crystal())
    before = signal.getsignal(signal.SIGPROF)
    crystals.crystal(str(path))
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before


# Numbers


def test_conditions_are_counted_without_making_them(monkeypatch):
    """The study has as many conditions as are allowed. The test forbids making them."""
    monkeypatch.setattr("passband.grid.Axes.conditions", None)
    axes = {"cs_um": {"start": 0, "stop": 40, "num": 100}, "aperture_mrad": [9, 10]}
    axes |= {"defocus_nm": {"start": 1, "stop": 40, "num": 100}}
    axes |= {"dose_e_per_A2": {"start": 1, "stop": 999, "num": 10}}
    study = validate({"grid": axes})
    assert study.train_number == study.test_number == 200_000
    assert study.predictable


def test_numbers_equal_the_numbers_of_conditions():
    study = validate({"test_grid": {"cs_um": [1, 2, 3]}})
    assert study.train_number == len(study.train_conditions) == 16
    assert study.test_number == len(study.test_conditions) == 24


# The reader


@pytest.mark.slow
def test_it_reads_what_snakemake_reads():
    """The texts are the study files of the repository, and the odd studies that are text."""
    texts = [path.read_text() for path in (ROOT / "config.yaml", *(ROOT / "studies").iterdir())]
    texts += [study for study, _ in FILES if isinstance(study, str) and len(study) < 10_000]
    for text in texts:
        compare(text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates()
PIECES = """~ yes no 010 1:00 0x10 1e3 1_0 +1 -.inf .nan 2026-11-25 << = !x &a *a | > ? : , # % @ é
[ ] { } ' " \\ -"""
TEXTS = st.sampled_from([*PIECES.split(), "a: ", "b: ", "- ", "\n  ", "\n", " ", "\t"])


@pytest.mark.slow
@settings(max_examples=100)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner)))
def test_any_yaml_is_read_or_refused_in_a_line(value):
    compare(yaml.safe_dump(value, allow_unicode=True))


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(TEXTS, max_size=12))
def test_any_text_is_read_or_refused_in_a_line(pieces):
    compare("".join(pieces))


def compare(text: str) -> None:
    """Read a study's text, and expect one line of error, or the values that Snakemake reads.

    From these values, expect lines of errors or a study.
    """
    refused = ""
    try:
        read = parse(text, "study.yaml")
    except ConfigError as error:
        refused = str(error)
    else:
        assert alike(read, yaml.load(text, yaml.FullLoader))  # as Snakemake 9.27 does
        try:
            validate(read, "study.yaml")
        except ConfigError as error:
            refused = str(error).replace("\nstudy.yaml: ", " ")
    assert refused.isprintable()


def alike(one: object, other: object) -> bool:
    """Return whether two values are equal, also in types and order of keys. NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
