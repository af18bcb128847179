"""``passband new``: make a folder with a study to edit, or a part of a study."""

import argparse
import re
from pathlib import Path

from passband import repository
from passband.config import load
from passband.errors import PassbandError
from passband.parts import KINDS
from passband.parts.examples import write_example
from passband.results.locate import CONFIG, RESULTS, study_names

#: Studies of the repository that are good to begin with, and what they are for.
_LIKE = {
    "demo": "every key with its meaning",
    "pilot": "270 networks, an hour and a half on 2 cores",
    "paper": "the paper's size, for a cluster",
    "real": "networks for real images",
}
#: A line by which editors find the configuration's schema.
_SCHEMA = "# yaml-language-server: $schema={}"


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("new")
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="NAME",
        help="the new folder and study; with --part, the folder of a study (default: this folder)",
    )
    command.add_argument(
        "--part",
        choices=KINDS,
        metavar="KIND",
        help="write an example of a part to edit, into the folder parts beside the study's file: "
        f"{', '.join(KINDS)}",
    )
    like = ", ".join(f"{name} ({what})" for name, what in _LIKE.items())
    command.add_argument(
        "--like",
        default="demo",
        metavar="STUDY",
        help=f"the study to begin with: {like}, another name in studies/, or a study's file",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.part:
        file = write_example(options.part, options.folder or Path())
        print(f"{file}: an example of a part ({options.part}) to edit; `passband parts` lists it.")
        return 0
    if options.folder is None:
        options.refuse("the following arguments are required: NAME")
    folder, name = options.folder, options.folder.absolute().name
    source = _source(options.like)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", name) is None:
        raise PassbandError(
            f"NAME = {name!r}: must have up to 40 letters, digits, points and hyphens, and begin "
            "with a letter or digit"
        )
    if folder.exists():
        raise PassbandError(f"{folder}: exists already; give another name")
    if name in study_names() or (RESULTS / name).exists():
        raise PassbandError(f"{name}: there is already a study of this name here")
    text = _text(name, source)
    try:
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PassbandError(f"{folder}: cannot be made: {error.strerror}") from None
    study = load(folder / CONFIG)
    networks = study.train_number * study.study.replicas
    networks *= len(study.trained_specimens) * len(study.training.architectures)
    print(
        f"{folder / CONFIG} has the study {name}, like {options.like}: {networks:,} networks.\n"
        f"Edit it, and then type:\n"
        f"  passband check {folder}\n"
        f"  passband plan {folder}\n"
        f"  passband run {folder}"
    )
    return 0


def _source(like: str) -> Path:
    """Return the file of the study to begin with, from its name in the repository or its path."""
    known = repository.studies()
    if like not in known and not Path(like).is_file():
        raise PassbandError(
            f"--like = {like!r}: must be a study's file, or one of {', '.join(known)}"
        )
    return known.get(like, Path(like))


def _text(name: str, source: Path) -> str:
    """Return the text of a study's file with another name, and with comments for its reader."""
    like = load(source).study.name
    lines = source.read_text(encoding="utf-8").splitlines()
    head = next(k for k, line in enumerate(lines) if line and not line.startswith("#"))
    body = "\n".join(lines[head:])
    body, changed = re.subn(
        rf"^  name: {re.escape(like)}\b *(?=(#?))",
        # A comment stays in its column.
        lambda found: (
            f"  name: {name}".ljust(len(found[0]) - 1) + " " if found[1] else f"  name: {name}"
        ),
        body,
        count=1,
        flags=re.M,
    )
    if not changed:
        raise PassbandError(f"{source}: has no line `  name: {like}`; give another --like")
    schema = repository.folder() / "docs" / "config.schema.json"
    about = [line for line in lines[:head] if line and "$schema=" not in line]
    about = [] if like == "demo" else ["#", f"# About the study {like}:", *about]
    return "\n".join(
        [
            _SCHEMA.format(schema),
            f"# The study {name}. Results go to results/{name} in the folder in which it is run.",
            "# docs/configuration.md of Passband's repository explains every key.",
            *about,
            "",
            body,
            "",
        ]
    )
