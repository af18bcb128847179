"""What predicts the Dice of networks on damaged real images, and how well.

See *Real images, damaged on purpose* in protocol.md. A version of a real image is a further test
of the process of each arm. B knows the spectrum of the version. For the other lines, it is a test
at a defocus and a dose that explain other images.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from findings.second_lock.damage import DOSES
from findings.second_lock.scores import Mean, claim

#: The lines that know a lens, and the one that knows the image.
B = "B"
LENSES = ("A", "raw", "dose")
#: Simple predictions: each network's own mean over its known tests.
OWN_MEAN = "own mean"
#: The defoci [nm] and the doses [e/Å²] of which a pair is fitted.
DEFOCI = tuple(float(x) for x in range(-10, 61, 5))
FULL_DOSES = 100.0, 200.0, 400.0, 800.0
#: The doses of all versions of an image at all doses of pairs, in ascending order.
ALL_DOSES = tuple(sorted({full * share for full in FULL_DOSES for share in DOSES}))


def pairs() -> list[tuple[float, float]]:
    """Return all pairs of a defocus and of the dose of an undamaged image."""
    return list(product(DEFOCI, FULL_DOSES))


def of_pairs(predicted: np.ndarray) -> np.ndarray:
    """Return predictions for all pairs.

    Args:
        predicted: (..., defocus, dose), Dice under tests with all of :data:`DEFOCI` and
            :data:`ALL_DOSES`.

    Returns:
        (pair, ..., share of the dose), Dice, in the orders of :func:`pairs` and of `DOSES`.
    """
    found = []
    for defocus, full in pairs():
        doses = [ALL_DOSES.index(full * share) for share in DOSES]
        found.append(predicted[..., DEFOCI.index(defocus), :][..., doses])
    return np.stack(found)


def fitted(true: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return, for each patch, the candidate that explains the other patches best.

    A patch's mean error is taken out before errors are squared.

    Args:
        true: (patch, arm, condition, dose), Dice.
        candidates: (candidate, arm, condition, dose), Dice.

    Returns:
        (patch,) the numbers of candidates.
    """
    spread = (true[:, None] - candidates).var(axis=(2, 3, 4))  # (patch, candidate)
    return np.argmin(spread.sum(0) - spread, axis=1)


# ── Scores ───────────────────────────────────────────────────────────────────────────────────────


def rank_correlation(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return Spearman's correlation, which is 0 if one side has one value only."""
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return 0.0
    ranks = stats.rankdata(true), stats.rankdata(predicted)
    return float(np.corrcoef(*ranks)[0, 1])


def by_patch(true: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of a line, each (patch,).

    Args:
        true: (patch, arm, condition, dose), Dice.
        predicted: (left-out patch, patch, arm, condition, dose), Dice of all patches as predicted
            without what is known of the Dice of one.

    Returns:
        `rho` over all cells of a patch; `rho1`, the mean over its versions of that over networks;
        `error`, the mean absolute error after the mean error of the other patches is taken out.
    """
    rho = []
    rho1 = []
    error = []
    for k, of_patch in enumerate(true):
        errors = true - predicted[k]
        level = np.delete(errors, k, 0).mean()
        own = predicted[k, k]
        rho.append(rank_correlation(of_patch, own))
        rho1.append(np.mean([rank_correlation(*pair) for pair in _versions(of_patch, own)]))
        error.append(np.abs(errors[k] - level).mean())
    return {"rho": np.array(rho), "rho1": np.array(rho1), "error": np.array(error)}


def _versions(*sides: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield what networks have on each version of a patch, from (arm, condition, dose) arrays."""
    for arm, dose in np.ndindex(sides[0].shape[0], sides[0].shape[2]):
        yield tuple(side[arm, :, dose] for side in sides)


def constant_error(true: np.ndarray) -> np.ndarray:
    """Return the mean absolute error of the mean Dice of the other patches, (patch,)."""
    means = true.mean(axis=(1, 2, 3))
    others = (means.sum() - means) / (len(means) - 1)
    return np.abs(true - others[:, None, None, None]).mean(axis=(1, 2, 3))


# ── Claims ───────────────────────────────────────────────────────────────────────────────────────


#: The least mean ρ over cells, and the least mean ρ over networks.
LEAST_RHO = 0.5
LEAST_RHO1 = 0.3


def claims(scores: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """Return the verdict of each claim.

    Args:
        scores: Those of :func:`by_patch` by the name of the line.
    """
    lines = B, "A"
    rho = {line: Mean.of(scores[line]["rho"]) for line in lines}
    above = {line: Mean.of(scores[line]["rho"] - scores["dose"]["rho"]) for line in lines}
    rho1 = {line: Mean.of(scores[line]["rho1"]) for line in lines}
    is_above = {line: min(rho[line].low, above[line].low) > 0 for line in lines}
    return {
        "Dice of damaged real images is predicted": claim(
            any(rho[line].value >= LEAST_RHO and is_above[line] for line in lines),
            all(rho[line].low <= 0 for line in lines)
            or all(above[line].value <= 0 for line in lines),
        ),
        "the right network is found": claim(
            any(rho1[line].value >= LEAST_RHO1 and rho1[line].low > 0 for line in lines),
            all(rho1[line].low <= 0 for line in lines),
        ),
    }
