"""Runs the small studies in the folder `studies`, and keeps the Dice of their networks.

    python -m findings.twelve_thousand.studies scherzer  # writes studies/scherzer.csv

A run that was interrupted continues. What the runs took is appended to costs.csv.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from findings import committed
from findings.twelve_thousand.pieces import FOLDER, append, joined, read, run
from passband import PassbandError
from passband.axes import MAIN_AXES
from passband.config import load, study_file
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import matrices
from passband.results import layout
from passband.results.stores import load_table

#: The folder of the study files, of the tables with their results, and of what they took.
STUDIES = FOLDER / "studies"
#: The doses of the 144 tests, see `test_grid` of studies/twelve-thousand.yaml.
TEST_DOSES = (50, 200, 1600)
LENS = tuple(MAIN_AXES)[:3]
NONE: Mapping = MappingProxyType({})


def dice_table(
    matrix: Matrix, abroad: Sequence[str], lenses: Mapping[str, Mapping[str, float]] = NONE
) -> pd.DataFrame:
    """Return the Dice of each network under each test image, as means over test conditions.

    Args:
        matrix: The only matrix of a study.
        abroad: Ids of the test conditions that are averaged.
        lenses: Defocus, Cs and aperture of each mixture, by its name.

    Returns:
        The axes of the training condition, whose dose is NaN for a mixture; `replica`; `image`, the
        number of the test structure; `abroad_50` and so on, the means over those conditions of
        `abroad` with this test dose; `home`, the score under the network's own condition. A
        mixture's home is the mean over all test conditions with its lens.
    """
    places = [matrix.columns.index(id) for id in abroad]
    dice = matrix.images(tests=places)
    doses = np.array([matrix.test[place].dose_e_per_A2 for place in places])
    columns = {f"abroad_{dose}": dice[:, :, doses == dose].mean(2) for dose in TEST_DOSES}
    columns["home"] = np.full_like(columns["abroad_50"], np.nan)
    values = {name: matrix.coordinates[f"train_{name}"].values.copy() for name in MAIN_AXES}
    of_test = {name: matrix.coordinates[f"test_{name}"].values for name in MAIN_AXES}
    for k, id in enumerate(matrix.rows):
        if matrix.has_own_tests:
            columns["home"][k] = matrix.home(k)
        if lens := lenses.get(id.rpartition("-")[0]):
            for name, value in lens.items():
                values[name][k] = value
            same = np.logical_and.reduce([of_test[name] == value for name, value in lens.items()])
            columns["home"][k] = matrix.images(k, np.flatnonzero(same)).mean(1)
    axes = np.indices(columns["home"].shape)
    rows = {name: of[axes[0].ravel()] for name, of in values.items()}
    rows |= {"replica": axes[1].ravel(), "image": axes[2].ravel()}
    rows |= {name: values.ravel() for name, values in columns.items()}
    return pd.DataFrame(rows)


def lenses(file: Path) -> dict[str, dict[str, float]]:
    """Return defocus, Cs and aperture of each mixture of doses in a study file, by its name."""
    grid = study_file.read(file)["grid"]
    blocks = (
        [block["mixture"] for block in grid if "mixture" in block] if isinstance(grid, list) else []
    )
    return {of["name"]: {name: of["ranges"][name] for name in LENS} for of in blocks}


def old_tests(matrix: Matrix) -> list[str]:
    """Return the ids of the 144 tests of studies/twelve-thousand.yaml, all of them in a matrix.

    Raises:
        PassbandError: If a test is missing.
    """
    ids = [c.id for c in load(Path("studies/twelve-thousand.yaml")).test_conditions]
    if lacking := set(ids) - set(matrix.columns):
        raise PassbandError(f"the table has no test under {min(lacking)}")
    return ids


def finish(name: str, cores: int, studies: Path = STUDIES) -> Matrix:
    """Run a study to its end, add a line about it to costs.csv, and return its only matrix.

    Args:
        studies: The folder of the study's file. All findings have one costs.csv.

    Raises:
        PassbandError: If a job failed; the line is added all the same.
    """
    file = studies / f"{name}.yaml"
    results = Path("results") / name
    status = run(file, results, cores)
    row = {"study": name, "status": f"{status}", **joined(read(results / "runs.csv"))}
    append(STUDIES / "costs.csv", row)
    if status:
        raise PassbandError(f"{file}: Snakemake ended with {status}")
    (matrix,) = matrices(load_table(results / layout.TABLE))
    return matrix


def main(arguments: Sequence[str]) -> int:
    """Run a study and write its table of Dice; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", help="the name of a study in findings/twelve_thousand/studies")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores (default: 1)")
    options = parser.parse_args(arguments)
    try:
        matrix = finish(options.study, options.cores)
        frame = dice_table(matrix, old_tests(matrix), lenses(STUDIES / f"{options.study}.yaml"))
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1
    committed.write(frame, STUDIES / f"{options.study}.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
