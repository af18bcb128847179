"""Commands and options that Passband had until 0.4.0, and what to do instead of each.

Whoever types one reads it in one line. For a key of the configuration, see
:mod:`passband.config.removed_keys`.
"""

#: The commands, and the end of the sentence that says what to do instead.
COMMANDS: dict[str, str] = {
    "distances": "passband table STUDY --csv FILE has the metrics of each pair of conditions",
    "pack": "copy a piece's folder of results; passband merge links what is in it",
    "tune": "examples/tune.py of the repository goes on training a network with labelled images, "
    "in Python",
}

#: The options of commands, likewise.
OPTIONS: dict[tuple[str, str], str] = {
    ("merge", "--ood"): "the merged study is run, and makes its own OOD metrics",
    **dict.fromkeys(
        [("plan", "--save-rates"), ("plan", "--rates"), ("plan", "--together")],
        "type passband plan STUDY on the other machine",
    ),
    ("run", "--adopt"): "run what Passband 0.2 made again, or use 0.2",
}


def command(name: str) -> str | None:
    """Return what to say of a command that is gone, or None if Passband never had it."""
    if name not in COMMANDS:
        return None
    return f"{name} is gone since 0.4.0: {COMMANDS[name]}"


def option(command: str, words: list[str]) -> str | None:
    """Return what to say of the first of a command's options that is gone, or None."""
    for word in words:
        name = word.partition("=")[0]
        if (command, name) in OPTIONS:
            return f"{name} is gone since 0.4.0: {OPTIONS[command, name]}"
    return None
