"""Whether cheap networks tell about expensive ones, as *Cheap networks* of the protocol says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from findings.second_lock.scores import claim, isotonic
from passband.prediction.matrix import interaction

#: Half of a 95% interval of Fisher's z, in standard deviations.
Z95 = 1.959963984540054
#: The least ρ of rows abroad, and the least INT as a share of its ceiling: to hold, and not to be
#: refuted.
LEAST_RHO = 0.8
LEAST_SHARE = 0.6
REFUTED_BELOW = 0.3


def mapped(predicted: np.ndarray, true: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return predictions of Dice (row, test), those of each half by the map of the other.

    Args:
        predicted, true: (row, test), the Dice that is predicted for another architecture, and the
            measured Dice.
        first: (row,) bool, which rows are the first half.
    """
    found = np.empty_like(true)
    for known in (first, ~first):
        found[~known] = isotonic(predicted[known].ravel(), true[known].ravel(), predicted[~known])
    return found


def means_of_tests(true: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the mean Dice of each test over the rows of the other half, (row, test)."""
    found = np.empty_like(true)
    for known in (first, ~first):
        found[~known] = true[known].mean(0)
    return found


def ceiling(replicas: np.ndarray, doses: interaction.Doses) -> float:
    """Return the INT that a prediction of the true means over all replicas would have: C.

    Networks of a row are independent, those of its tests are not: as in
    :func:`passband.prediction.matrix.interaction.noise`, differences of replicas are projected on
    the side of tests, and 1 − (H_r)_ii of the noise of row i is left.

    Args:
        replicas: (row, 2, test), Dice; NaN in the second replica of rows with one.
    """
    Q, P = map(interaction.basis, doses)
    half = (replicas[:, 0] - replicas[:, 1]) / 2
    half -= (half @ P) @ P.T
    of_row = (half**2).mean(1) * (1 - (Q**2).sum(1))
    both = np.isfinite(of_row)
    v = of_row[both].mean()
    noise = np.where(both, v, 2 * v).mean()
    y = np.nanmean(replicas, axis=1)
    return float(1 - noise / (interaction.components(y, doses)["interaction"] ** 2).mean())


def rank_correlation(true: np.ndarray, predicted: np.ndarray) -> tuple[float, float, float]:
    """Return Spearman's ρ, and the ends of its 95% interval by Fisher's z."""
    rho = float(np.corrcoef(rankdata(true), rankdata(predicted))[0, 1])
    half = Z95 / np.sqrt(len(true) - 3)
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return rho, float(np.tanh(z - half)), float(np.tanh(z + half))


def of_line(
    true: np.ndarray, predicted: np.ndarray, doses: interaction.Doses, replicas: np.ndarray
) -> dict[str, Any]:
    """Return the scores of a predicted matrix (row, test); `replicas` as in :func:`ceiling`."""
    scores = interaction.scores(true, predicted, doses, replicas)
    constant = np.ptp(predicted.mean(1)) == 0
    rho = (0.0, 0.0, 0.0) if constant else rank_correlation(true.mean(1), predicted.mean(1))
    return {"rho": rho, "r2": scores["r2"], "interaction": scores["interaction"]}


def verdict(architectures: Sequence[Mapping[str, Any]]) -> str:
    """Return the verdict, from the scores and the `ceiling` of each larger architecture."""
    rho = [each["rho"][0] for each in architectures]
    share = [each["interaction"] / each["ceiling"] for each in architectures]
    holds = min(rho) >= LEAST_RHO and min(share) >= LEAST_SHARE
    return claim(holds, min(*rho, *share) < REFUTED_BELOW)["verdict"]
