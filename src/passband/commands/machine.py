"""Options that say where jobs run, and how a command shows what it makes with Snakemake."""

import argparse
from collections.abc import Callable
from typing import Any

from passband.commands.arguments import add_study
from passband.runs.child import signals_passed_on


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add the options that say where jobs run."""
    command.add_argument("--cores", metavar="N", help="number of CPU cores (default: all)")
    command.add_argument(
        "--profile",
        metavar="NAME",
        help="a profile of Passband, such as slurm, or the path of another, such as ./mine",
    )


def add_request(
    commands: argparse._SubParsersAction, name: str, description: str
) -> argparse.ArgumentParser:
    """Return the new parser of a command that makes results of a study with Snakemake."""
    command = commands.add_parser(name, description=description)
    add_study(command)
    add_machine(command)
    return command


def made(
    options: argparse.Namespace, verb: Callable[..., Any], *given: object, **named: object
) -> int:
    """Call a verb that makes files with Snakemake, and print where they are."""
    with signals_passed_on():
        print(verb(*given, **named, cores=options.cores, profile=options.profile))
    return 0
