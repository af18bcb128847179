"""Train the twelve thousand networks of studies/twelve-thousand.yaml, and write their page.

    python -m findings.twelve_thousand piece 1  # runs the first of twelve pieces, and packs it
    python -m findings.twelve_thousand check  # trains some networks again, and compares them
    python -m findings.twelve_thousand baselines  # tests the simplest methods
    python -m findings.twelve_thousand doses  # writes data/doses.csv
    python -m findings.twelve_thousand lines  # compares what predicts levels that are left out
    python -m findings.twelve_thousand tenth  # predicts hidden networks from few
    python -m findings.twelve_thousand matrix  # writes data/matrix.json
    python -m findings.twelve_thousand page  # writes README.md and its figure

Run it from the repository's root. An interrupted piece or check continues.
"""

import argparse
import sys
from collections.abc import Sequence

from findings.twelve_thousand import baselines, check, doses, lines, matrix, page, pieces, tenth
from passband import PassbandError


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m findings.twelve_thousand", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    piece = commands.add_parser("piece", help="run a piece and pack its results")
    piece.add_argument("number", type=int, help="the number of the piece, from 1 to 12")
    piece.set_defaults(run=lambda o: pieces.piece(o.number, o.cores))
    others = {
        "check": (
            lambda o: check.check(o.cores),
            "train some networks again, and compare them with the packed pieces",
        ),
        "baselines": (lambda _: baselines.write(), "test the simplest methods"),
        "doses": (lambda _: doses.write(), "write the scores by pair of doses"),
        "lines": (lambda _: lines.write(), "compare what predicts levels that are left out"),
        "tenth": (lambda _: tenth.write(), "predict hidden networks from few"),
        "matrix": (
            lambda _: matrix.write(),
            "write the means and the variance of the matrix",
        ),
        "page": (lambda _: page.write(), "write the page and its figure"),
    }
    for name, (run, words) in others.items():
        commands.add_parser(name, help=words).set_defaults(run=run)
    for command in (piece, commands.choices["check"]):
        command.add_argument("--cores", type=int, default=2, help="CPU cores (default: 2)")
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
