"""Writes data/doses.csv: scores of networks by the doses of training and of test.

The lens is the same in training and in testing. Each number is a mean over lenses and replicas.
Its interval is a 95% percentile interval of the bootstrap over the lenses: the test images are the
same few for all numbers, and other images may have other scores.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from findings.twelve_thousand.packed import joined, matrices
from findings.twelve_thousand.pieces import DATA, WHOLE
from findings.twelve_thousand.results import CONFIDENCE, DOSE, DRAWS, LENS, Conditions, Estimate
from passband import scores
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.config import load
from passband.matrices.matrix import Matrix
from passband.reports import markdown

#: Names of the scores for people. The loss of a score is above 0 if the networks are worse than
#: those that were trained at the tested dose: a lower score or, of pixels, a larger share of wrong
#: ones.
SCORES = {"dice": "Dice", "wrong": "wrong pixels", "precision": "precision", "recall": "recall"}


def scores_of(matrix: Matrix, pixels: int) -> dict[str, np.ndarray]:
    """Return the mean of each score over replicas, (train, test).

    Dice is the mean over images. The others are of the pixels of all images together, since a
    packed table has only the sums of their counts. It has no false negatives: the number of
    particle pixels is that of the network that found most of them, in any cell.

    Args:
        matrix: The matrix of a packed table.
        pixels: The number of pixels of an image.
    """
    sums = [matrix.sums(row) for row in matrix.rows]
    tp, fp = (np.stack([row[name] for row in sums]).astype(float) for name in ("tp", "fp"))
    counts = np.stack([tp, fp, tp.max() - tp], -1)
    found = {
        "dice": matrix.images().mean(-1),
        "wrong": counts[..., 1:].sum(-1) / (pixels * matrix.structures),
        "precision": scores.precision(counts),
        "recall": scores.recall(counts),
    }
    return {name: values.mean(1) for name, values in found.items()}


def at_equal_lens(
    values: np.ndarray, train: Conditions, test: Conditions
) -> dict[tuple[float, float], np.ndarray]:
    """Return the values of each test lens (lens,), by the doses of training and of test."""
    places = [
        {(*lens, dose): k for k, (*lens, dose) in enumerate(zip(*columns, strict=True))}
        for columns in ([side.values[name] for name in (*LENS, DOSE)] for side in (train, test))
    ]
    lenses = sorted({key[:-1] for key in places[1]})
    return {
        (float(a), float(b)): np.array(
            [values[places[0][*lens, a], places[1][*lens, b]] for lens in lenses]
        )
        for a in train.levels(DOSE)
        for b in test.levels(DOSE)
    }


def by_dose(matrix: Matrix, pixels: int) -> pd.DataFrame:
    """Return a row for each score and pair of doses, with the columns:

    - `mean`: the mean score;
    - `loss`: the mean loss against the networks that were trained at the tested dose, lens by lens;
    - `excess`: the loss minus that of the opposite direction, NaN if that has no tests;
    - `loss_low`, `loss_high`, `excess_low`, `excess_high`: their intervals.
    """
    train, test = (Conditions.of(matrix.coordinates, side) for side in ("train", "test"))
    rows = []
    for name, values in scores_of(matrix, pixels).items():
        of = at_equal_lens(values, train, test)
        sign = 1 if name == "wrong" else -1
        loss = {(a, b): sign * (at - of[b, b]) for (a, b), at in of.items()}
        for (a, b), at in of.items():
            row = {"score": name, f"train_{DOSE}": a, f"test_{DOSE}": b, "mean": at.mean()}
            back = loss.get((b, a), np.full_like(at, np.nan))
            for what, each in (("loss", loss[a, b]), ("excess", loss[a, b] - back)):
                draws = resample(len(each), DRAWS, "twelve thousand", "lenses") @ each / len(each)
                low, high = percentile_interval(draws, interval_edges(CONFIDENCE))
                row |= {what: each.mean(), f"{what}_low": low, f"{what}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def asymmetry(rows: pd.DataFrame, of_dice: str | None = None) -> str:
    """Return a Markdown table of each score from the lowest dose to the highest, and back.

    Args:
        of_dice: The difference of Dice with an interval for other images, in place of that of
            lenses.
    """
    low, high = rows[f"test_{DOSE}"].min(), rows[f"test_{DOSE}"].max()
    of = rows.set_index(["score", f"train_{DOSE}", f"test_{DOSE}"]).sort_index()
    lines = [
        [f"{a:,.0f} → {b:,.0f}"]
        + [f"{of['mean'][name, a, b]:.3f} ({of.loss[name, a, b]:+z.3f})" for name in SCORES]
        for a, b in ((low, high), (high, low))
    ]
    excess = [of.loc[name, high, low][["excess", "excess_low", "excess_high"]] for name in SCORES]
    words = [Estimate(*map(float, each)).words() for each in excess]
    lines.append(["difference", of_dice or words[0], *words[1:]])
    return markdown.table(["trained → tested [e/Å²]", *SCORES.values()], lines)


def computed(folder: Path = DATA, whole: Path = WHOLE) -> pd.DataFrame:
    """Return the rows of the packed pieces in a folder."""
    (matrix,) = matrices(joined(folder, whole))
    return by_dose(matrix, load(whole).microscope.field_px ** 2)


def write(folder: Path = DATA, whole: Path = WHOLE) -> int:
    """Write the file ``doses.csv``, print a table of both directions, and return 0."""
    rows = computed(folder, whole)
    rows.round(5).to_csv(folder / "doses.csv", index=False)
    print(
        f"{asymmetry(rows)}\n\nIn parentheses: the loss against networks that were trained there."
    )
    return 0
