"""A command is a call: the table on the page of the Python API is that of the commands."""

import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest
from workplace import Workplace

import passband
from passband import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/site/api.md").read_text(encoding="utf-8")
#: The calls of commands, and those of options with a call of their own, such as ``new --part``.
ROWS = dict(re.findall(r"^\| `passband ([a-z]+(?: --[a-z]+)?)` \| `(.+?)` \|$", PAGE, re.M))
COMMANDS = {command.name: command for group in cli.COMMANDS.values() for command in group}
#: Commands whose example asks for another verb than the first in their row.
OTHERS = {"status": "watch"}
#: Words of a command that reaches its call without files of images or results, and with the option.
WORDS = {
    "ctf": "ctf tests/image.dm3 --energy-kev 300",
    "parts": "parts config.yaml",
    "new --like": "new a --like general --energy-kev 200 --material Pt",
    "new --part": "new a --part metric",
    "next --until": "next config.yaml --budget 4 --until 0.1",
    "recommend --like": "recommend config.yaml --like tests/image.dm3",
    "recommend --check": "recommend config.yaml --check",
    "predict --labels": "predict tests/image.dm3 --labels images --out out",
}


class CalledError(Exception):
    """The call of a command was reached."""


def verb(name: str) -> tuple[object, str]:
    """Return what has the verb of a command, and the verb's name."""
    owner, verb = re.match(r"(passband|study)\.(\w+)\(", ROWS[name]).groups()
    return (passband.Experiment, OTHERS.get(name, verb)) if owner == "study" else (passband, verb)


def test_every_command_has_a_row_in_their_order():
    assert [name for name in ROWS if " " not in name] == list(COMMANDS)
    of_options = [name for name in ROWS if " " in name]
    assert len(of_options) == 6
    assert all(set(name.split()) <= set(WORDS[name].split()) for name in of_options)


@pytest.mark.parametrize("name", ROWS)
def test_a_call_has_the_arguments_that_its_row_names(name):
    owner, verb_name = verb(name)
    found = getattr(owner, verb_name)
    assert inspect.getdoc(found)
    if verb_name in OTHERS.values():
        return
    words = re.search(r"\((.*)\)$", ROWS[name])[1]
    parameters = inspect.signature(found).parameters
    given = [word.partition("=")[0].strip() for word in words.split(",") if word.strip() != "…"]
    for word in filter(None, given):
        assert word in parameters, f"{ROWS[name]} has no argument {word}"


@pytest.mark.parametrize("name", ROWS)
def test_a_command_calls_what_is_beside_it(name, tmp_path, monkeypatch):
    """Everything that the call would do is replaced, so a command that did more would fail."""
    monkeypatch.chdir(Workplace(tmp_path).folder)
    for folder in ("a", "b", "images", "results"):
        Path(folder).mkdir()
    owner, verb_name = verb(name)

    def call(*given, **named):
        raise CalledError

    original = getattr(owner, verb_name)
    command, *_ = name.split()
    words = shlex.split(WORDS.get(name, COMMANDS[command].example))
    if owner is passband:
        cli._parser(command)  # imports the command
        for home in (f"passband.commands.{command}", original.__module__):
            module = sys.modules[home]
            if vars(module).get(verb_name) is original:
                monkeypatch.setattr(module, verb_name, call)
    else:
        monkeypatch.setattr(passband.Experiment, verb_name, call)
        if hasattr(passband.Network, verb_name):
            monkeypatch.setattr(passband.Network, verb_name, call)
    with pytest.raises(CalledError):
        cli.main(words)
