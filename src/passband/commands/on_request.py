"""What the commands share that make results on request."""

import argparse
from collections.abc import Sequence

from passband.commands.arguments import add_study
from passband.commands.run import add_machine, start
from passband.results import Results
from passband.results.locate import RESULTS


def add_request(
    commands: argparse._SubParsersAction, name: str, description: str
) -> argparse.ArgumentParser:
    """Return the new parser of a command that makes results of a study with Snakemake."""
    command = commands.add_parser(name, description=description)
    add_study(command)
    add_machine(command)
    return command


def make(
    options: argparse.Namespace, results: Results, paths: Sequence[str], target: str | None = None
) -> int:
    """Make files with Snakemake, print their paths, and return the exit status.

    Args:
        paths: The files, relative to the folder of results.
        target: A rule of the workflow that makes these files; otherwise the files are the targets.
    """
    folder = RESULTS / results.name  # as Snakemake names it
    status = start(options, results, [target] if target else [f"{folder}/{path}" for path in paths])
    if not status:
        print("\n".join(f"{results}/{path}" for path in paths))
    return status
