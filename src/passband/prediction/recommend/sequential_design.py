"""Training conditions whose networks would make the unknown part of the Dice matrix smallest.

The Gaussian process of :mod:`passband.prediction.gaussian_process` knows how uncertain its
prediction of each cell is. The variance of a cell after further networks are trained does not
depend on the Dice of these networks. So conditions can be chosen before any of them is trained:
each chosen condition is the one that reduces the sum of the variances of Dice most, after all
conditions chosen before it (Krause, Singh & Guestrin, *J. Mach. Learn. Res.* 9, 235, 2008, use the
same greedy choice; the integrated variance is the criterion of Cohn, Ghahramani & Jordan, *J.
Artif. Intell. Res.* 4, 129, 1996). Conditions that are close to a chosen one are therefore not
chosen with it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from passband.analysis.profiles import Profiles
from passband.axes import AXES
from passband.grid import Condition, ordered
from passband.outcomes import Outcome
from passband.prediction import gaussian_process
from passband.prediction.range_of_use import Asked, scaled, unscaled
from passband.seeds import generator
from passband.words import columns

#: Largest number of candidates that are compared, and of the eigenvectors over test conditions.
#: With so many, the covariances have 400 MB. The eigenvectors that are left out have the smallest
#: variance, less than 1% of the whole in the pilot study.
MOST_CANDIDATES, MOST_MODES = 2000, 24
#: Largest number of combinations of values that are all made, which takes two seconds. Points have
#: many more: 40 points with one value between neighbours have 39 million.
MOST_COMBINATIONS = 100_000
#: The trained conditions are divided into so many parts. Each is left out once to check the error.
FOLDS = 5


@dataclass(frozen=True)
class Unknown:
    """What is unknown about the candidates for the networks of one model.

    Attributes:
        covariance: (mode, candidate, candidate) float32, see
            :class:`passband.prediction.process_terms.Modes`.
        weights: (mode, candidate) float32, weight of each variance in the sum of the variances of
            Dice; 0 for a trained candidate.
        rest: (candidate,) float64, variance of Dice that no further network reduces, the mean over
            test conditions.
        noise: Variance of the noise of a tested cell.
    """

    covariance: np.ndarray
    weights: np.ndarray
    rest: np.ndarray
    noise: float


@dataclass(frozen=True)
class Next(Outcome):
    """The training conditions that teach most about the matrix, or about a range of use.

    Attributes:
        study, specimen: The study's name and the test specimen.
        asked: The range of use; None for the matrix as a whole, with the study's test conditions.
        trained: Number of training conditions that have networks.
        candidates: Number of conditions among which the next ones were chosen.
        conditions: The chosen conditions, in the order in which they were chosen.
        errors: Expected root mean square error of the predicted Dice of all other candidates: now,
            and after the networks of each chosen condition are trained.
        checked: Root mean square error in the cross-validation over the trained conditions; NaN if
            there are too few.
    """

    study: str
    specimen: str
    asked: Asked | None
    trained: int
    candidates: int
    conditions: tuple[Condition, ...]
    errors: tuple[float, ...]
    checked: float

    def __str__(self) -> str:
        return in_words(self)

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "study": self.study,
            "specimen": self.specimen,
            "asked": self.asked and {name: list(v) for name, v in self.asked.values.items()},
            "trained": self.trained,
            "candidates": self.candidates,
            "error": self.errors[0],
            "cross_validated_error": self.checked,
            "conditions": [
                {"id": condition.id} | condition.values() | {"error": error}
                for condition, error in zip(self.conditions, self.errors[1:], strict=True)
            ],
        }


def unknown(
    model: gaussian_process.GaussianProcess,
    candidates: Profiles,
    is_trained: np.ndarray,
    test: Profiles | None = None,
    weights: np.ndarray | None = None,
    replicas: int = 1,
) -> Unknown:
    """Return what a model does not know about candidates.

    Args:
        model: The fitted model of networks.
        is_trained: (candidate,) bool, whether it knows networks of a candidate already.
        test: Profiles of the test conditions that matter. With None, these are the fitted
            conditions.
        weights: (test,), weight of each test condition; the sum is 1. By default, all weights are
            equal.
        replicas: Number of networks that are trained under a condition.
    """
    modes = model.modes(candidates, test, replicas)
    columns = len(modes.projection)
    share = np.full(columns, 1 / columns) if weights is None else np.asarray(weights)
    of_cells = model.slopes(candidates, test) ** 2 * share * ~is_trained[:, None]
    of_modes = (of_cells @ modes.projection).T
    size = (of_modes * np.einsum("kii->ki", modes.covariance)).sum(1)
    largest = np.argsort(-size, kind="stable")
    kept, others = largest[:MOST_MODES], largest[MOST_MODES:]
    rest = (of_cells * (modes.rest + modes.noise)).sum(1)
    rest += (of_modes * np.einsum("kii->ki", modes.covariance))[others].sum(0)
    return Unknown(
        modes.covariance[kept].astype(np.float32),
        of_modes[kept].astype(np.float32),
        rest,
        modes.noise,
    )


def choose(
    unknowns: Sequence[Unknown], number: int, until: float = 0.0
) -> tuple[list[int], list[float]]:
    """Return the candidates whose networks reduce the sum of the variances of Dice most.

    Args:
        unknowns: What is unknown about the same candidates, by each model.
        number: Largest number of candidates to choose.
        until: No more candidates are chosen once the expected error is at most this error.

    Returns:
        Indices of the chosen candidates, in their order.
        Expected root mean square error of the predicted Dice of all candidates that are neither
            trained nor chosen: before the first choice, and after each; 0 if none is left.
    """
    covariances = [each.covariance.copy() for each in unknowns]
    weights = [each.weights.copy() for each in unknowns]
    rests = [each.rest.copy() for each in unknowns]
    untrained = sum((rest > 0).astype(int) for rest in rests)
    is_open = untrained > 0

    def error() -> float:
        cells = untrained[is_open].sum()
        if not cells:
            return 0.0
        total = sum(rest.sum() for rest in rests)
        for covariance, weight in zip(covariances, weights, strict=True):
            total += np.einsum("kii,ki->", covariance, weight, dtype=float)
        return float(np.sqrt(total / cells))

    places: list[int] = []
    errors = [error()]
    while len(places) < number and is_open.any() and errors[-1] > until:
        gain = np.zeros(len(is_open))
        for each, covariance, weight in zip(unknowns, covariances, weights, strict=True):
            for C, w in zip(covariance, weight, strict=True):
                gain += (w @ (C * C)) / (np.diag(C) + each.noise)
        place = int(np.where(is_open, gain, -np.inf).argmax())
        for each, covariance, weight, rest in zip(
            unknowns, covariances, weights, rests, strict=True
        ):
            for C in covariance:
                row = C[place] / np.sqrt(C[place, place] + np.float32(each.noise))
                C -= np.outer(row, row)
            weight[:, place] = rest[place] = 0
        is_open[place] = False
        places.append(place)
        errors.append(error())
    return places, errors


def cross_validated(
    Y: np.ndarray, train: Profiles, test: Profiles, theta: np.ndarray, seed: int
) -> float:
    """Return the root mean square error of Dice of trained networks that the model has not seen.

    The training conditions are divided into :data:`FOLDS` parts. The networks of each part are
    predicted from those of all others. So the model knows fewer networks than the one whose error
    it checks, and the error is somewhat larger.

    Args:
        Y, train, test, theta: See :func:`passband.prediction.gaussian_process.fit`.

    Returns:
        The error; NaN with fewer than four training conditions.
    """
    ids, group = np.unique(train.ids, return_inverse=True)
    folds = min(FOLDS, len(ids) // 2)
    if folds < 2:
        return np.nan
    part = generator(seed, "next").permutation(np.arange(len(ids)) % folds)[group]
    squares = []
    for fold in range(folds):
        left_out = part == fold
        known = np.flatnonzero(~left_out)
        model = gaussian_process.fit(Y[known], train[known], test, theta)
        hidden = train[left_out]
        squares.append((model.predict(hidden, test)[0] - Y[left_out]) ** 2)
    return float(np.sqrt(np.nanmean(np.concatenate(squares))))


def values_between(conditions: Sequence[Condition], number: int) -> dict[str, list[float]]:
    """Return the values of each axis and values between neighbouring values, sorted.

    Args:
        conditions: Conditions, whose values along each axis are used.
        number: Number of values between two neighbours of an axis. Their steps are equal, along the
            dose equal ratios. With 0, there are only the axes' own values.
    """
    axes = {}
    for name in conditions[0].axes.names:
        known = sorted({condition.value(name) for condition in conditions})
        values = set(known)
        for low, high in pairwise(known):
            ends = scaled(name, low), scaled(name, high)
            more = unscaled(name, np.linspace(*ends, number + 2)[1:-1])
            values |= {AXES[name].canonical(float(value)) for value in more}
        axes[name] = sorted(values)
    return axes


def untrained(
    known: Sequence[Condition], between: int, trained: Collection[str], seed: int
) -> list[Condition]:
    """Return combinations of :func:`values_between` that are not trained, sorted by their values.

    If there are more than :data:`MOST_CANDIDATES`, so many of them are drawn at random. If there
    are more than :data:`MOST_COMBINATIONS`, only those that are drawn are made.

    Args:
        trained: Ids of the conditions that are left out.
    """
    axes, values = known[0].axes, values_between(known, between)
    # If at least half of the combinations are not trained, enough of them are found soon.
    if prod(map(len, values.values())) <= max(MOST_COMBINATIONS, 2 * len(trained)):
        return thinned([c for c in axes.conditions(values) if c.id not in trained], seed)
    random, drawn = generator(seed, "candidates"), set()
    while len(drawn) < MOST_CANDIDATES:
        of_one = {name: each[random.integers(len(each))] for name, each in values.items()}
        condition = axes.condition(of_one)
        if condition.id not in trained:
            drawn.add(condition)
    return ordered(drawn)


def thinned(conditions: Sequence[Condition], seed: int) -> list[Condition]:
    """Return at most :data:`MOST_CANDIDATES` of the conditions, drawn at random, in their order."""
    if len(conditions) <= MOST_CANDIDATES:
        return list(conditions)
    drawn = generator(seed, "candidates").choice(
        len(conditions), MOST_CANDIDATES, replace=False, shuffle=False
    )
    return [conditions[place] for place in np.sort(drawn)]


def in_words(found: Next) -> str:
    """Return the chosen conditions and the expected errors, for people."""
    use = "under the test conditions of the study"
    if found.asked is not None:
        use = f"in the range {found.asked.words}"
    yet = f"{found.trained} training conditions have networks, {found.candidates} are candidates"
    lines = [f"{found.specimen}, study {found.study}, {use}: {yet}", ""]
    rows = [
        [f"{number}", *(f"{x:.12g}" for x in condition.values().values()), f"{error:.3f}"]
        for number, (condition, error) in enumerate(
            zip(found.conditions, found.errors[1:], strict=True), 1
        )
    ]
    if rows:
        axes = [AXES[name] for name in found.conditions[0].axes.names]
        head = ["", *(f"{axis.label} [{axis.unit}]" for axis in axes), "error afterwards"]
        lines += [columns([head, *rows]), ""]
    lines.append(
        f"expected error of the candidates' Dice (root mean square): {found.errors[0]:.3f}"
    )
    if rows:
        lines[-1] += f" now, {found.errors[-1]:.3f} after these"
    if np.isfinite(found.checked):
        lines.append(
            f"cross-validation over the trained conditions: {found.checked:.3f}, each from 80% or "
            "less of the others"
        )
    return "\n".join(lines)
