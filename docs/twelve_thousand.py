"""Train the twelve thousand networks of studies/twelve-thousand.yaml, and write their page.

    python docs/twelve_thousand.py part 1    # runs the first of twelve parts, and packs its results

Run it from the repository's root.
"""

import argparse
import sys
from collections.abc import Sequence

import twelve_parts as parts

from passband import PassbandError


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    part = commands.add_parser("part", help="run a part, which continues if it was interrupted")
    part.add_argument("number", type=int, help="the number of the part, from 1 to 12")
    part.add_argument("--cores", type=int, default=2, help="number of CPU cores (default: 2)")
    part.set_defaults(run=lambda o: parts.part(o.number, o.cores))
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
