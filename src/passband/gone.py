"""Commands and options that Passband had until 0.4.0, and what to do instead of each.

Whoever types one reads it in one line. For a key of the configuration, see
:func:`passband.config.base.gone`.
"""

#: The commands, and the end of the sentence that says what to do instead.
COMMANDS: dict[str, str] = {
    "distances": "passband table STUDY --csv FILE has the metrics of each pair of conditions",
    "pack": "copy a piece's folder of results; passband merge links what is in it",
    "summary": "passband table STUDY prints the same",
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
    ("predict", "--adapt"): "leave it out: by it, the networks of the package lose 0.07 and "
    "0.08 in Dice",
    ("predict", "--normalise"): "leave it out: images are normalised as in the training",
    ("predict", "--mirror"): "leave it out: mean_probability in particles.csv says more than "
    "found_in did",
}

#: Beginnings of names of architectures, likewise.
ARCHITECTURES: dict[str, str] = {"compact-in-": "use compact-w<width>-d<depth>"}

#: Values of options, likewise.
VALUES: dict[tuple[str, str, str], str] = {
    ("recommend", "--by", score): "leave it out: a choice by Dice loses less, also of F1"
    for score in ("dice", "instance_f1", "count_error", "diameter_bias")
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


def value(command: str, option: str, given: str) -> str | None:
    """Return what to say of a value of a command's option that is gone, or None."""
    if (command, option, given) not in VALUES:
        return None
    return f"{option} {given} is gone since 0.4.0: {VALUES[command, option, given]}"


def architecture(name: str) -> str | None:
    """Return what to say of the name of an architecture that is gone, or None."""
    for start, instead in ARCHITECTURES.items():
        if name.startswith(start):
            return f"gone since 0.4.0: {instead}"
    return None
