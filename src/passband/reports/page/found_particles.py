"""What a study's page says of the particles that networks with a head find."""

from collections.abc import Sequence

import numpy as np

from passband.analysis.correlation import rank_correlation
from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.reports.means import of_rows, over_rows
from passband.reports.page.tables import Table
from passband.reports.page.text import number
from passband.reports.unlearned import MARK, is_marked

_SCORES = {
    "instance_f1": "F1 score of particles",
    "count_error": "error of their number",
    "diameter_bias": "error of their mean diameter",
}
_DOSES = {"equal": "where both have the same dose", "different": "where the doses differ"}


def particles_table(matrices: Sequence[Matrix]) -> Table | None:
    """Return the scores of particles of each matrix; None if no networks find particles.

    Means are over rows, see :mod:`passband.reports.means`. The lowest and the highest are those of
    any pair of different conditions.

    Args:
        matrices: Matrices with OOD metrics.
    """
    rows = []
    for matrix in _with_particles(matrices):
        mark = f" {MARK}" if is_marked(matrix).any() else ""
        label = f"{matrix.label}{mark}: " if len(matrices) > 1 else ""
        for name, words in _SCORES.items():
            values = matrix.metrics[name].transpose("train", "test")
            is_home = (values.train == values.test).values
            other = values.values[~is_home & np.isfinite(values.values)]
            ends = (other.min(), other.max()) if len(other) else (np.nan, np.nan)
            cells = over_rows(values.values[is_home]), over_rows(of_rows(values)), *ends
            rows.append([label + words, *map(number, cells)])
    head = ["Score", "Own condition", "Other conditions", "Lowest", "Highest"]
    return Table(head, rows) if rows else None


def particles_sentences(matrices: Sequence[Matrix]) -> list[str]:
    """Return what the F1 score of particles says beside Dice, a sentence for each matrix.

    Args:
        matrices: Matrices with OOD metrics.
    """
    sentences = []
    for matrix in _with_particles(matrices):
        cells = matrix.metrics[["dice", "instance_f1"]].transpose("train", "test", ...)
        values = [cells[name].values for name in cells]
        rho = correlations(*values, matrix.train, matrix.test)
        doses = [f"{number(rho[name])} {words}" for name, words in _DOSES.items() if name in rho]
        where = f" ({', '.join(doses)})" if len(doses) > 1 else ""
        differ = np.count_nonzero(lost_by_dice(*values) > 0)
        label = f"{matrix.label}: over" if len(matrices) > 1 else "Over"
        sentences.append(
            f"{label} pairs of different conditions, Spearman’s ρ of the F1 score with Dice is "
            f"{number(rho['all'])}{where}; under {differ} of {len(matrix.test)} test conditions, "
            "the networks with the highest Dice do not have the highest F1 score."
        )
    return sentences


def correlations(
    dice: np.ndarray, score: np.ndarray, train: Sequence[Condition], test: Sequence[Condition]
) -> dict[str, float]:
    """Return Spearman's ρ of a score with Dice over pairs of different conditions.

    Args:
        dice, score: (train, test); NaN is missing.

    Returns:
        ρ of `all` pairs, of those with `equal` doses, and of those with `different` ones, as far as
        there are at least three.
    """
    ids, doses = (
        [np.array([getattr(each, name) for each in side]) for side in (train, test)]
        for name in ("id", "dose_e_per_A2")
    )
    known = np.not_equal.outer(*ids) & np.isfinite(dice) & np.isfinite(score)
    equal = np.equal.outer(*doses)
    chosen = {"all": known, "equal": known & equal, "different": known & ~equal}
    return {
        name: rank_correlation(score[which], dice[which])
        for name, which in chosen.items()
        if name == "all" or which.sum() > 2
    }


def lost_by_dice(dice: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return what the networks with the highest Dice lack of the highest score, (test,).

    Args:
        dice, score: (train, test); NaN is missing.
    """
    best = np.where(np.isfinite(dice), dice, -np.inf).argmax(0)
    highest = np.where(np.isfinite(score), score, -np.inf).max(0)
    return highest - np.take_along_axis(score, best[None], 0)[0]


def _with_particles(matrices: Sequence[Matrix]) -> list[Matrix]:
    return [
        matrix
        for matrix in matrices
        if "instance_f1" in matrix.metrics and np.isfinite(matrix.metrics.instance_f1).any()
    ]
