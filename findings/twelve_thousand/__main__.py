"""Train the twelve thousand networks of studies/twelve-thousand.yaml, and write their page.

    python -m findings.twelve_thousand part 1  # runs the first of twelve parts, and packs it
    python -m findings.twelve_thousand merge  # joins the packed parts
    python -m findings.twelve_thousand check  # trains some networks again, and compares them
    python -m findings.twelve_thousand baselines  # tests the simplest methods
    python -m findings.twelve_thousand doses  # writes data/doses.csv
    python -m findings.twelve_thousand lines  # compares what predicts levels that are left out
    python -m findings.twelve_thousand tenth  # predicts hidden networks from few
    python -m findings.twelve_thousand matrix  # writes data/matrix.json
    python -m findings.twelve_thousand page  # writes README.md and its figure

Run it from the repository's root. An interrupted part or check continues.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from findings.twelve_thousand import baselines, check, doses, lines, matrix, page, parts, tenth
from passband import PassbandError, cli
from passband.storage import datasets

#: The folder of the merged results.
RESULTS = Path("results/twelve-thousand")


def merge(results: Path = RESULTS, folder: Path = parts.DATA, whole: Path = parts.WHOLE) -> int:
    """Merge the packed parts, and write the small file of OOD metrics beside them, if missing.

    The file is in the repository, so an existing one is left as it is.

    Raises:
        PassbandError: If networks of the whole study are missing, or the folder of results exists.
    """
    if results.exists():
        raise PassbandError(f"{results}: exists; delete this folder to merge the parts again")
    packed = sorted((folder / "parts").glob("*.zarr.zip"))
    opened = (datasets.read(path, datasets.PACKED) for path in packed)
    parts.check_parts((str(id) for of in opened for id in of.train.values), folder, whole)
    results.parent.mkdir(exist_ok=True)
    small = folder / "ood.zarr.zip"
    option = [] if small.exists() else ["--ood", str(small)]
    return cli.main(["merge", *map(str, packed), "--into", str(results), *option])


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m findings.twelve_thousand", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    part = commands.add_parser("part", help="run a part and pack its results")
    part.add_argument("number", type=int, help="the number of the part, from 1 to 12")
    part.set_defaults(run=lambda o: parts.part(o.number, o.cores))
    others = {
        "merge": (lambda _: merge(), "join the packed parts"),
        "check": (
            lambda o: check.check(o.cores),
            "train some networks again, and compare them with the packed parts",
        ),
        "baselines": (lambda _: baselines.write(), "test the simplest methods"),
        "doses": (lambda _: doses.write(RESULTS), "write the scores by pair of doses"),
        "lines": (lambda _: lines.write(RESULTS), "compare what predicts levels that are left out"),
        "tenth": (lambda _: tenth.write(RESULTS), "predict hidden networks from few"),
        "matrix": (
            lambda _: matrix.write(RESULTS),
            "write the means and the variance of the matrix",
        ),
        "page": (lambda _: page.write(), "write the page and its figure"),
    }
    for name, (run, words) in others.items():
        commands.add_parser(name, help=words).set_defaults(run=run)
    for command in (part, commands.choices["check"]):
        command.add_argument("--cores", type=int, default=2, help="CPU cores (default: 2)")
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
