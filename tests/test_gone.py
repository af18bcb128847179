"""Commands and options that are gone say so, and what to do instead."""

import pytest

from passband import gone
from passband.cli import COMMANDS, main


@pytest.mark.parametrize("name", gone.COMMANDS)
def test_a_command_that_is_gone_says_what_to_do_instead(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "demo"])
    said = capsys.readouterr().err.strip()
    assert said.endswith(f"{name} is gone since 0.4.0: {gone.COMMANDS[name]}")
    assert "\n" not in said


@pytest.mark.parametrize(("command", "option"), gone.OPTIONS)
def test_an_option_that_is_gone_says_what_to_do_instead(command, option, capsys):
    words = {"predict": ["general", "image.tif", "--out", "out"]}
    with pytest.raises(SystemExit):
        main([command, *words.get(command, ["demo"]), option, "1"])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.endswith(f"{option} is gone since 0.4.0: {gone.OPTIONS[command, option]}")


def test_what_is_gone_is_not_there_any_more():
    names = {command.name for group in COMMANDS.values() for command in group}
    assert not names & set(gone.COMMANDS)
