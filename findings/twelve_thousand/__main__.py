"""Train the twelve thousand networks of studies/twelve-thousand.yaml, and write their page.

    python docs/scripts/twelve_thousand.py part 1  # runs the first of twelve parts, and packs it
    python docs/scripts/twelve_thousand.py merge  # joins the packed parts
    python docs/scripts/twelve_thousand.py check  # trains some networks again, and compares them
    python docs/scripts/twelve_thousand.py baselines  # tests the simplest methods
    python docs/scripts/twelve_thousand.py doses  # writes docs/twelve-thousand/doses.csv
    python docs/scripts/twelve_thousand.py lines  # compares what predicts levels that are left out
    python docs/scripts/twelve_thousand.py matrix  # writes docs/twelve-thousand/matrix.json
    python docs/scripts/twelve_thousand.py choices  # tests chosen networks on further structures
    python docs/scripts/twelve_thousand.py page  # writes docs/twelve-thousand/README.md

Run it from the repository's root. An interrupted part, check or `choices` continues.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import twelve_parts as parts

from passband import PassbandError, cli

#: The folder of the merged results.
RESULTS = Path("results/twelve-thousand")


def merge(results: Path = RESULTS, folder: Path = parts.FOLDER, whole: Path = parts.WHOLE) -> int:
    """Merge the packed parts, and write the small file of OOD metrics beside the page, if missing.

    The file is in the repository, so an existing one is left as it is.

    Raises:
        PassbandError: If networks of the whole study are missing, or the folder of results exists.
    """
    if results.exists():
        raise PassbandError(f"{results}: exists; delete this folder to merge the parts again")
    packed = sorted((folder / "parts").glob("*.zarr.zip"))
    from passband.storage import datasets  # xarray takes seconds to import

    opened = (datasets.read(path, datasets.PACKED) for path in packed)
    parts.check_parts((str(id) for of in opened for id in of.train.values), folder, whole)
    results.parent.mkdir(exist_ok=True)
    small = folder / "ood.zarr.zip"
    option = [] if small.exists() else ["--ood", str(small)]
    return cli.main(["merge", *map(str, packed), "--into", str(results), *option])


def check(options: argparse.Namespace) -> int:
    import twelve_check  # xarray takes seconds to import

    return twelve_check.check(options.cores)


def baselines(_: argparse.Namespace) -> int:
    import twelve_baselines  # torch takes seconds to import

    return twelve_baselines.write()


def doses(_: argparse.Namespace) -> int:
    import twelve_doses  # xarray takes seconds to import

    return twelve_doses.write(RESULTS)


def lines(_: argparse.Namespace) -> int:
    import twelve_lines  # xarray takes seconds to import

    return twelve_lines.write(RESULTS)


def matrix(_: argparse.Namespace) -> int:
    import twelve_matrix  # xarray takes seconds to import

    return twelve_matrix.write(RESULTS)


def choices(options: argparse.Namespace) -> int:
    import twelve_choices  # xarray takes seconds to import

    return twelve_choices.write(options.cores)


def page(_: argparse.Namespace) -> int:
    import twelve_page  # matplotlib takes seconds to import

    return twelve_page.write()


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    part = commands.add_parser("part", help="run a part and pack its results")
    part.add_argument("number", type=int, help="the number of the part, from 1 to 12")
    part.set_defaults(run=lambda o: parts.part(o.number, o.cores))
    others = {
        "merge": (lambda _: merge(), "join the packed parts"),
        "check": (check, "train some networks again, and compare them with the packed parts"),
        "baselines": (baselines, "test the simplest methods"),
        "doses": (doses, "write the scores by pair of doses"),
        "lines": (lines, "compare what predicts levels that are left out"),
        "matrix": (matrix, "write the means and the variance of the matrix"),
        "choices": (choices, "train chosen networks again, and test them on further structures"),
        "page": (page, "write the page and its figure"),
    }
    for name, (run, words) in others.items():
        commands.add_parser(name, help=words).set_defaults(run=run)
    for command in (part, commands.choices["check"], commands.choices["choices"]):
        command.add_argument("--cores", type=int, default=2, help="CPU cores (default: 2)")
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
