"""Which network of a study is expected to segment best under a condition that a user asks about.

The expected Dice of every network comes from a model of the Dice matrix, see
:mod:`passband.prediction.gaussian_process`. Where a network was tested under the very condition,
its measured Dice is used instead. :mod:`passband.answers.recommendation` reads a study's files, and
calls :func:`recommend`.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from passband.analysis.profiles import Profiles
from passband.axes import AXES, BEHIND_COUNTS
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.outcomes import Outcome
from passband.prediction.gaussian_process import COVERAGE, Z90
from passband.prediction.range_of_use import Asked, Excess, TestedDoses, ranges
from passband.prediction.recommend.network_dice import (
    Dice,
    FittedNetworks,
    NetworkDice,
    ProfilesOf,
    expected_dice,
    predicted,
)
from passband.words import columns, listed

#: Number of networks that are printed by default.
TOP = 10
#: The largest number of combinations of values among which :func:`train_next` chooses.
MOST_CANDIDATES = 1_000
#: How an expected Dice was obtained.
MEASURED, INTERPOLATED, EXTRAPOLATED = "measured", "interpolated", "extrapolated"


@dataclass(frozen=True)
class Expected:
    """The expected Dice of one network under the asked condition.

    Attributes:
        dice: Expected Dice; for ranges, its mean over the ranges.
        how: ``measured``, ``interpolated`` or ``extrapolated``.
        worst: Expected Dice under the worst condition of the ranges.
        worst_condition: Id of the worst condition.
    """

    id: NetworkId
    dice: Dice
    how: str
    worst: Dice
    worst_condition: str


@dataclass(frozen=True)
class TrainNext:
    """The condition whose new network is expected to help most under the asked condition.

    Attributes:
        id: What to train, which has no replica.
        gain: By how much the new network is expected to raise the best Dice. The gain is 0 or more,
            because the better of the new network and the best existing network is used.
    """

    id: NetworkId
    dice: Dice
    gain: float

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "specimen": self.id.specimen,
            "architecture": self.id.architecture,
            "condition": self.id.condition,
            "dice": vars(self.dice),
            "gain": self.gain,
        }


@dataclass(frozen=True)
class Recommendation(Outcome):
    """The networks of a study, ranked for the asked condition.

    Attributes:
        networks: All networks, the best first: by expected Dice, or by measured Dice.
        outside: The axes on which the asked condition lies outside the range of the test
            conditions.
        nearest: Id of the nearest tested condition.
        train_next: What to train next.
        doses: The doses of the tests that the models know.
        unlearned: Networks that are not ranked, since they did not learn.
        study: The study's name.
        remark: A sentence on the networks that did not learn, or "".
        top: Number of networks in the text and in JSON. With None, the text has ten, and JSON all.
    """

    asked: Asked
    specimen: str
    networks: tuple[Expected, ...]
    outside: tuple[Excess, ...]
    nearest: str
    train_next: TrainNext | None
    doses: TestedDoses
    unlearned: tuple[NetworkId, ...] = ()
    study: str = ""
    remark: str = ""
    top: int | None = None

    @property
    def inside(self) -> bool:
        """Whether the asked condition is within the range of the study's tests on every axis."""
        return not self.outside

    @property
    def ranked_by(self) -> str:
        """What ranks the networks."""
        measured = all(network.how == MEASURED for network in self.networks)
        return f"{'measured' if measured else 'expected'} Dice"

    @property
    def as_at_dose(self) -> float | None:
        """The highest tested dose, if Dice is expected as at this dose, since more was asked."""
        asked = self.asked.high.dose_e_per_A2
        return self.doses.high if asked > self.doses.high else None

    @property
    def below_dose(self) -> float | None:
        """The lowest tested dose, if less was asked, so that intervals reach further down."""
        asked = self.asked.low.dose_e_per_A2
        return self.doses.low if asked < self.doses.low else None

    def __str__(self) -> str:
        return in_words(self)

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "networks": [
                {
                    "id": str(network.id),
                    "dice": vars(network.dice),
                    "how": network.how,
                    "worst": {"condition": network.worst_condition, "dice": vars(network.worst)},
                }
                for network in self.networks[: self.top]
            ],
            "ranked_by": self.ranked_by,
            "as_at_dose": self.as_at_dose,
            "below_dose": self.below_dose,
            "inside": self.inside,
            "outside": [vars(excess) for excess in self.outside],
            "asked": {name: list(ends) for name, ends in self.asked.values.items()},
            "specimen": self.specimen,
            "nearest_tested": self.nearest,
            "train_next": self.train_next and self.train_next.values(),
            "unlearned": list(map(str, self.unlearned)),
        }


def transfer_distances(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the distances of the transfers T(q) of two sets of conditions, (a, b) float array.

    The distance is the root mean square of T − T′ over the plane of spatial frequencies.
    """
    weight = np.sqrt(a.area / a.area.sum())
    left = a.T * weight
    right = b.T * weight
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
    return np.sqrt(np.maximum(squares, 0))


def distances(a: Profiles, b: Profiles, scale: Profiles) -> np.ndarray:
    """Return distances of conditions by transfer and logarithm of the dose, (a, b) float array.

    Both distances are divided by their root mean square between the conditions of `scale`, squared
    and added. A distance that is 0 between all conditions of `scale` is left out.

    Args:
        a, b, scale: Profiles of conditions.
    """

    def squares(x: Profiles, y: Profiles) -> np.ndarray:
        by_dose = np.subtract.outer(x.log_dose, y.log_dose)
        return np.stack([transfer_distances(x, y), by_dose]) ** 2

    mean = squares(scale, scale).mean((1, 2), keepdims=True)
    # Differences below 1e-12 come from rounding.
    return np.sqrt((squares(a, b) / np.where(mean > 1e-12, mean, np.inf)).sum(0))


def recommend(
    fitted: Sequence[FittedNetworks],
    measured: NetworkDice | None,
    tested: Sequence[Condition],
    further: Sequence[Condition],
    asked: Asked,
    profiles: ProfilesOf,
    specimen: str,
    train_axes: Mapping[str, Sequence[float]] | None = None,
    allowed: Callable[[Condition], bool] = lambda condition: True,
    unlearned: Collection[NetworkId] = (),
) -> Recommendation:
    """Return the networks of a study, ranked for the asked condition by their Dice there.

    Args:
        fitted: All networks, with their models.
        measured: Mean Dice over test structures of all networks under all points of
            `asked`, with the interval of this mean. What was not measured is NaN. With None,
            nothing was measured there.
        tested: The study's test conditions. Their ranges are the study's ranges.
        further: Further conditions under which networks were tested.
        asked: The asked condition. With ranges, expected Dice is the mean over
            :meth:`passband.prediction.range_of_use.Asked.points`. The interval is that of fully
            correlated errors, which averaging does not make narrower.
        train_axes: The values of each axis of the training grid, for :func:`train_next`.
        allowed: Returns whether images can be formed under a condition, for :func:`train_next`.
        unlearned: Networks that did not learn, which are not ranked.
    """
    points, weights = asked.points()
    doses = TestedDoses.of([*tested, *further])
    expected = expected_dice(fitted, measured, points, profiles, doses)
    outside = tuple(asked.outside(ranges(tested, asked.values)))
    # The values (mean, low, high) of each network under each condition.
    D = np.stack([expected.mean, expected.low, expected.high], -1)
    all_measured = expected.is_measured.all(1)
    ids = expected.networks
    worst = D[..., 0].argmin(1)
    in_order = sorted(range(len(ids)), key=lambda k: str(ids[k]))
    learned = np.array([k for k in in_order if ids[k] not in unlearned], dtype=int)
    best_first = learned[np.argsort(-(weights @ D[learned, :, 0].T), kind="stable")]
    networks = tuple(
        Expected(
            ids[k],
            Dice(*map(float, weights @ D[k])),
            MEASURED if all_measured[k] else EXTRAPOLATED if outside else INTERPOLATED,
            Dice(*map(float, D[k, worst[k]])),
            points[worst[k]].id,
        )
        for k in best_first
    )
    every = sorted({*tested, *further})
    of_tested = profiles(every)
    middle = profiles([doses.known(asked.middle)])
    nearest = distances(middle, of_tested, of_tested)[0].argmin()
    following = None
    if train_axes is not None and networks:
        best = networks[0].dice.value
        following = train_next(fitted, asked, profiles, train_axes, best, doses, allowed)
    return Recommendation(
        asked=asked,
        specimen=specimen,
        networks=networks,
        outside=outside,
        nearest=every[nearest].id,
        train_next=following,
        doses=doses,
        unlearned=tuple(id for id in ids if id in unlearned),
    )


def candidates(asked: Asked, axes: Mapping[str, Sequence[float]]) -> list[Condition]:
    """Return the conditions that :func:`train_next` compares.

    These are all combinations of the asked value of each axis and of the values of the training
    grid next to this value. For a range, the asked value is the middle of the range. If there are
    more than :data:`MOST_CANDIDATES` combinations, only those are returned that differ from the
    asked condition in at most two axes.

    Args:
        axes: The values of each axis of the training grid, sorted. An axis that the grid does not
            have has the study's own value there.
    """
    values, others = asked.middle.values(), {}
    for name, value in values.items():
        of_grid = axes[name] if name in axes else [asked.axes.own_value(name)]
        below = [other for other in of_grid if other <= value]
        above = [other for other in of_grid if other > value]
        others[name] = {*below[-1:], *above[:1]} - {value}
    number = math.prod(1 + len(found) for found in others.values())
    most = len(values) if number <= MOST_CANDIDATES else 2
    changes = [
        dict(zip(names, changed, strict=True))
        for size in range(most + 1)
        for names in combinations(values, size)
        for changed in product(*(others[name] for name in names))
    ]
    return sorted(asked.axes.condition(values | changed) for changed in changes)


def train_next(
    fitted: Sequence[FittedNetworks],
    asked: Asked,
    profiles: ProfilesOf,
    axes: Mapping[str, Sequence[float]],
    best: float,
    doses: TestedDoses,
    allowed: Callable[[Condition], bool] = lambda condition: True,
) -> TrainNext | None:
    """Return the condition whose new network is expected to raise the best Dice most.

    For every condition of :func:`candidates` that has no network yet, the model predicts the Dice
    of a new network. The expected gain is the mean of max(0, D − `best`), where D is the new
    network's Dice with a normal distribution: the expected improvement of Jones, Schonlau & Welch,
    *J. Global Optim.* 13, 455 (1998). The condition with the largest expected gain is returned, or
    None if every candidate has networks.

    Args:
        fitted, asked, profiles: See :func:`recommend`.
        axes: The values of each axis of the training grid.
        best: Expected Dice of the best existing network.
        doses: See :func:`predicted`. Above the tested doses, nothing is known about training
            either, so the candidates' highest asked dose is the highest tested one.
        allowed: Returns whether images can be formed under a condition. Other candidates are left
            out.
    """
    from scipy.special import ndtr  # the normal distribution; scipy.stats takes a second to import

    points, weights = asked.points()
    within = Asked(doses.known(asked.low), doses.known(asked.high))
    found = []
    for one in fitted:
        known = set(one.train)
        new = [c for c in candidates(within, axes) if c.id not in known and allowed(c)]
        if not new:
            continue
        mean, low, high = predicted(one.model, profiles(new), points, profiles, doses)
        deviation = (high - low) / (2 * Z90) @ weights
        mean = mean @ weights
        z = (mean - best) / np.maximum(deviation, 1e-9)
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        gain = deviation * density + (mean - best) * ndtr(z)
        k = int(gain.argmax())
        of_new = predicted(one.model, profiles(new[k : k + 1]), points, profiles, doses)
        dice = Dice(*(float(np.clip(x, 0, 1)[0] @ weights) for x in of_new))
        found.append(
            TrainNext(
                id=NetworkId(one.specimen, one.architecture, new[k].id),
                dice=dice,
                gain=max(0.0, float(gain[k])),
            )
        )
    return max(found, key=lambda one: one.gain, default=None)


def in_words(found: Recommendation) -> str:
    """Return the ranked networks, where the asked condition lies, and what to train next.

    If no network is ranked, the remark is alone.
    """
    return "\n\n".join(_paragraphs(found) if found.networks else [found.remark])


def _paragraphs(found: Recommendation) -> Iterator[str]:
    ranged = bool(found.asked.ranged)
    axes = found.asked.axes
    top = TOP if found.top is None else found.top
    yield f"{found.specimen} at {found.asked.words}, with the networks of the study {found.study}"
    if found.outside:
        lines = [
            "outside this study: expected Dice is extrapolated, and less certain than inside",
            *(f"  {excess.words}" for excess in found.outside),
            *(f"  {line}" for line in beyond_doses(found)),
        ]
        yield "\n".join(lines)
    else:
        yield "inside this study: within the range of its test conditions on every axis"
    head = ["", "expected Dice", *["worst in the range"] * ranged, "how", "network"]
    rows = [
        [
            f"{rank}",
            network.dice.words,
            *([network.worst.words] if ranged else []),
            network.how,
            str(network.id),
        ]
        for rank, network in enumerate(found.networks[:top], 1)
    ]
    yield columns([head, *rows])
    notes = [f"Ranked by {found.ranked_by}."]
    if (more := len(found.networks) - top) > 0:
        notes.append(f"{more} more networks: --top {len(found.networks)} prints all.")
    if found.outside:
        notes.append(
            "In parentheses: the model's interval. Far outside the study, the interval and the "
            "expected Dice can be wrong."
        )
    else:
        notes.append(
            f"In parentheses: the interval that contains the measured Dice in "
            f"{COVERAGE:.0%} of cases."
        )
    if ranged:
        worst = found.networks[0].worst_condition
        notes.append(
            f"Expected Dice is the mean over the range. The first network is worst at "
            f"{axes.parse(worst).words}."
        )
    if unseen := _unseen(found):
        notes.append(f"Expected Dice does not depend on {listed(unseen)}.")
    yield "\n".join([*notes, found.remark] if found.remark else notes)
    lines = [f"nearest tested condition: {axes.parse(found.nearest).words}"]
    if following := found.train_next:
        lines.append(
            f"train next: {following.id.specimen}, {following.id.architecture}, "
            f"{axes.parse(following.id.condition).words}; "
            f"expected Dice {following.dice.words}, "
            f"expected gain in Dice {following.gain:.3f}"
        )
    yield "\n".join(lines)


def _unseen(found: Recommendation) -> list[str]:
    """Return the labels of the study's and the asked axes that a model of Dice does not see."""
    if found.ranked_by.startswith("measured"):
        return []
    asked = found.asked.low
    given = asked.axes.own.keys() | asked.axes.ranged | dict(asked.further).keys()
    return [AXES[name].label for name in BEHIND_COUNTS if name in given]


def beyond_doses(found: Recommendation) -> list[str]:
    """Return what is said about Dice beyond the tested doses, a line for each end."""
    dose = AXES["dose_e_per_A2"]
    lines = []
    if found.as_at_dose is not None:
        highest = dose.words(f"{found.as_at_dose:,.10g}")
        lines.append(f"expected Dice is as at {highest}, the highest tested dose")
    if found.below_dose is not None:
        lowest = dose.words(f"{found.below_dose:,.10g}")
        lines.append(
            f"below {lowest}, the lowest tested dose, expected Dice is at most that at "
            f"{lowest}, and intervals reach further down"
        )
    return lines
