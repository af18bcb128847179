"""Tests whether longer training makes networks brittle.

    python -m findings.twelve_thousand.studies steps-768  # and steps-3072: trains networks
    python -m findings.twelve_thousand.steps  # writes data/steps.csv

Twelve conditions of studies/twelve-thousand.yaml, four replicas each: 192 steps, which are the
first replicas of the twelve thousand networks, 768 and 3,072 steps. The conditions were drawn, and
this file was committed, before any of these networks was trained.

**Hypothesis.** With 3,072 steps, networks have a lower Dice abroad, the mean over the 144 tests,
than with 192 steps: the 95% interval of the difference, a mean over the twelve conditions, is below
0. It was found with two conditions: −0.032 and −0.051 abroad, and +0.013 and +0.004 at home. The
interval is a percentile interval of bootstrap samples of conditions, of each condition's replicas
and of images. All other differences are secondary.

Pages call abroad "other conditions". claims.csv has the differences by the doses of tests and of
training, which were looked at afterwards, with intervals as `ood` has them.
"""

import sys
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from findings import committed
from findings.twelve_thousand.check import stored
from findings.twelve_thousand.packed import matrices
from findings.twelve_thousand.pieces import DATA
from findings.twelve_thousand.scherzer import ABROAD
from findings.twelve_thousand.studies import STUDIES, dice_table, old_tests
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.config import load

TABLE = DATA / "steps.csv"
#: The studies by their number of steps. The networks of 192 steps are in the packed pieces.
STEPS = {768: "steps-768", 3072: "steps-3072"}
FEWEST = 192
DRAWS, CONFIDENCE = 2000, 0.95
SCORES = ("home", "abroad")
_CONDITION = ["defocus_nm", "cs_um", "aperture_mrad", "dose_e_per_A2"]


def fewest() -> pd.DataFrame:
    """Return the table of the networks of 192 steps."""
    study = load(STUDIES / f"{STEPS[768]}.yaml")
    packed = stored(DATA, [c.id for c in study.train_conditions])
    (matrix,) = matrices(packed.isel(replica=slice(study.study.replicas)))
    return dice_table(matrix, old_tests(matrix))


def scores(frame: pd.DataFrame, score: str) -> np.ndarray:
    """Return a score of a table as (condition, replica, image)."""
    if score == "abroad":
        frame = frame.assign(abroad=frame[ABROAD].mean(axis=1))
    frame = frame.sort_values([*_CONDITION, "replica", "image"])
    shape = len(frame[_CONDITION].drop_duplicates()), frame.replica.nunique(), -1
    return frame[score].values.reshape(shape)


def doses(frame: pd.DataFrame) -> np.ndarray:
    """Return the dose of each condition [e/Å²], in the order of :func:`scores`."""
    return frame[_CONDITION].drop_duplicates().sort_values(_CONDITION).dose_e_per_A2.values


def samples(D: np.ndarray, steps: int) -> np.ndarray:
    """Return bootstrap samples of the mean of (condition, replica, image): (draws,).

    All numbers of steps have the same samples of conditions and of images.
    """
    conditions, replicas, images = D.shape
    of_condition = resample(conditions, DRAWS, "steps", "conditions") / conditions
    of_image = resample(images, DRAWS, "steps", "images") / images
    total = np.zeros(DRAWS)
    for k in range(conditions):
        of_replica = resample(replicas, DRAWS, "steps", steps, k) / replicas
        total += of_condition[:, k] * np.einsum("dr,ri,di->d", of_replica, D[k], of_image)
    return total


def rows_of(few: pd.DataFrame, many: pd.DataFrame, steps: int) -> list[dict[str, Any]]:
    """Return a row for each score: the mean over conditions, and the difference to 192 steps."""
    rows = []
    for score in SCORES:
        one, other = scores(few, score), scores(many, score)
        ends = samples(other, steps) - samples(one, FEWEST)
        each = (other.mean((1, 2)) - one.mean((1, 2))).round(4)
        row = {"score": score, "steps": steps, "at_192": one.mean(), "dice": other.mean()}
        row["difference"] = other.mean() - one.mean()
        row["low"], row["high"] = percentile_interval(ends, interval_edges(CONFIDENCE))
        row["conditions_below_0"] = f"{(each < 0).sum()} of {len(each)}"
        row["of_each_condition"] = " ".join(f"{value:.3f}" for value in each)
        rows.append(row)
    return rows


def computed() -> pd.DataFrame:
    """Return the table of the studies that have run."""
    few = fewest()
    paths = {steps: STUDIES / f"{name}.csv" for steps, name in STEPS.items()}
    rows = (
        rows_of(few, pd.read_csv(path), steps) for steps, path in paths.items() if path.exists()
    )
    return pd.DataFrame([*chain(*rows)])


def main() -> int:
    """Write the table of the studies that have run, print it, and return the exit status."""
    frame = computed()
    if frame.empty:
        print(f"{STUDIES}: run the study steps-768 first", file=sys.stderr)
        return 1
    print(frame.to_string(index=False))
    committed.write(frame, TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
