"""Which network of a study is expected to segment best under a condition that a user asks about.

The expected Dice of every network comes from a model of the Dice matrix, see
:mod:`passband.prediction.gaussian_process`. Where a network was tested under the very condition,
its measured Dice is used instead. :mod:`passband.answers.recommendation` reads a study's files, and
calls :func:`recommend`.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from passband.grid import Condition
from passband.mixtures import is_mixture
from passband.prediction.range_of_use import Asked, Excess, ranges, scaled

if TYPE_CHECKING:
    from passband.prediction.gaussian_process import GaussianProcess

#: Coverage of the intervals of expected Dice.
COVERAGE = 0.9
#: The largest number of combinations of values among which :func:`train_next` chooses.
MOST_CANDIDATES = 1_000
#: How an expected Dice was obtained.
MEASURED, INTERPOLATED, EXTRAPOLATED = "measured", "interpolated", "extrapolated"

#: A function that returns the profiles of conditions, see :func:`passband.analysis.profiles`.
Profiles = Callable[[Sequence[Condition]], xr.Dataset]


@dataclass(frozen=True)
class Group:
    """The networks of one specimen and architecture, and the fitted model of their Dice.

    Attributes:
        specimen, architecture: Specimen and architecture that the networks were trained with.
        networks: Ids of the networks, which are the rows of the model.
        train: Ids of the networks' training conditions.
    """

    specimen: str
    architecture: str
    networks: tuple[str, ...]
    train: tuple[str, ...]
    model: "GaussianProcess"


@dataclass(frozen=True)
class Dice:
    """An expected Dice with the lower and the upper end of its interval, each from 0 to 1."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The Dice for people, such as ``0.912 (0.853 to 0.961)``."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def short_words(self) -> str:
        """The Dice of one image for people, such as ``0.91 (0.85 to 0.96)``."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Expected:
    """The expected Dice of one network under the asked condition.

    Attributes:
        id: The network's id.
        dice: Expected Dice; for ranges, its mean over the ranges.
        how: ``measured``, ``interpolated`` or ``extrapolated``.
        distance: See :func:`scaled_distances`; for ranges, its mean.
        worst: Expected Dice under the worst condition of the ranges.
        worst_condition: Id of the worst condition.
    """

    id: str
    dice: Dice
    how: str
    distance: float
    worst: Dice
    worst_condition: str


@dataclass(frozen=True)
class TrainNext:
    """The condition whose new network is expected to help most under the asked condition.

    Attributes:
        specimen, architecture, condition: What to train; `condition` is a condition's id.
        gain: By how much the new network is expected to raise the best Dice. The gain is 0 or more,
            because the better of the new network and the best existing network is used.
    """

    specimen: str
    architecture: str
    condition: str
    dice: Dice
    gain: float


@dataclass(frozen=True)
class Recommendation:
    """The networks of a study, ranked for the asked condition.

    Attributes:
        networks: All networks, the best first, see :func:`order`.
        outside: The axes on which the asked condition lies outside the range of the test
            conditions.
        nearest: Id of the nearest tested condition.
        train_next: What to train next.
        unlearned: Ids of networks that are not ranked, since they did not learn.
    """

    asked: Asked
    specimen: str
    networks: tuple[Expected, ...]
    outside: tuple[Excess, ...]
    nearest: str
    train_next: TrainNext | None
    unlearned: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """Whether the asked condition is within the range of the study's tests on every axis."""
        return not self.outside

    @property
    def ranked_by(self) -> str:
        """What ranks the networks, see :func:`order`."""
        measured = all(network.how == MEASURED for network in self.networks)
        both = "the mean of the ranks by Dice and by distance in scaled parameters"
        return "measured Dice" if measured else both

    def as_dict(self, top: int | None = None) -> dict[str, Any]:
        """Return the content for JSON, with the first `top` networks; by default, all networks."""
        return {
            "networks": [
                {
                    "id": network.id,
                    "dice": vars(network.dice),
                    "how": network.how,
                    "distance": None if math.isnan(network.distance) else network.distance,
                    "worst": {"condition": network.worst_condition, "dice": vars(network.worst)},
                }
                for network in self.networks[:top]
            ],
            "ranked_by": self.ranked_by,
            "inside": self.inside,
            "outside": [vars(excess) for excess in self.outside],
            "asked": {name: list(ends) for name, ends in self.asked.values.items()},
            "specimen": self.specimen,
            "nearest_tested": self.nearest,
            "train_next": self.train_next
            and vars(self.train_next) | {"dice": vars(self.train_next.dice)},
            "unlearned": list(self.unlearned),
        }


def scaled_distances(train: Sequence, asked: Sequence[Condition]) -> np.ndarray:
    """Return distances in scaled parameters, (train, asked); NaN for what is no condition."""
    of_train, of_asked = scaled_values(train, asked)
    return np.sqrt(((of_train[:, None] - of_asked) ** 2).sum(-1))


def scaled_values(known: Sequence, others: Sequence[Condition]) -> list[np.ndarray]:
    """Return the values (condition, axis) of both, each divided by the range of the known ones.

    The dose is its logarithm. Axes with one known value do not count.
    """
    names, none = others[0].axes.names, [np.nan] * len(others[0].axes.names)
    both = [
        [[scaled(n, c.value(n)) for n in names] if isinstance(c, Condition) else none for c in of]
        for of in (known, others)
    ]
    width = np.fmax.reduce(both[0]) - np.fmin.reduce(both[0])  # without NaN
    return [np.array(values) / np.where(width > 0, width, np.inf) for values in both]


def order(dice: np.ndarray, apart: np.ndarray, measured: np.ndarray | bool = False) -> np.ndarray:
    """Return the places of networks, the best first: by the mean of the ranks by Dice and distance.

    The highest of many expected Dice is often too high, so the distance counts as much. Equal
    numbers share a rank; of equal means, the higher Dice decides. Networks whose Dice was measured,
    and those of mixtures, whose distance is NaN, stay where they are in the order of Dice, and the
    others change places with each other. All arrays are (network,).
    """
    by_dice = np.argsort(-dice, kind="stable")
    free = (np.isfinite(apart) & np.logical_not(measured))[by_dice]
    rows = by_dice[free]
    # Distances that differ by errors of rounding are equal.
    ranks = (np.searchsorted(np.sort(x), x) for x in (-dice[rows], apart[rows].round(9)))
    by_dice[free] = rows[np.argsort(sum(ranks), kind="stable")]
    return by_dice


def transfer_distances(a: xr.Dataset, b: xr.Dataset) -> np.ndarray:
    """Return the distances of the transfers T(q) of two sets of conditions, (a, b) float array.

    The distance is the root mean square of T − T′ over the plane of spatial frequencies.
    """
    weight = np.sqrt(a.area.values / a.area.values.sum())
    left, right = (ends.T.transpose("condition", "frequency").values * weight for ends in (a, b))
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
    return np.sqrt(np.maximum(squares, 0))


def distances(a: xr.Dataset, b: xr.Dataset, scale: xr.Dataset) -> np.ndarray:
    """Return distances of conditions by transfer and logarithm of the dose, (a, b) float array.

    Both distances are divided by their root mean square between the conditions of `scale`, squared
    and added. A distance that is 0 between all conditions of `scale` is left out.

    Args:
        a, b, scale: Profiles of conditions, see :func:`passband.analysis.profiles.profiles`.
    """

    def squares(x: xr.Dataset, y: xr.Dataset) -> np.ndarray:
        by_dose = np.subtract.outer(x.log_dose.values, y.log_dose.values)
        return np.stack([transfer_distances(x, y), by_dose]) ** 2

    mean = squares(scale, scale).mean((1, 2), keepdims=True)
    # Differences below 1e-12 come from rounding.
    return np.sqrt((squares(a, b) / np.where(mean > 1e-12, mean, np.inf)).sum(0))


def expected_dice(
    groups: Sequence[Group],
    measured: xr.Dataset,
    points: Sequence[Condition],
    profiles: Profiles,
) -> xr.Dataset:
    """Return the expected Dice of all networks under conditions.

    Args:
        groups: All networks, with their models.
        measured: See :func:`recommend`.

    Returns:
        `mean`, the ends `low` and `high` of the interval, and `is_measured` (network, test), over
        the networks of all groups and the conditions.
    """
    of_points = profiles(points)
    predicted = (group.model.interval(None, of_points) for group in groups)
    names = ("mean", "low", "high")
    expected = dict(zip(names, map(np.concatenate, zip(*predicted, strict=True)), strict=True))
    networks = [network for group in groups for network in group.networks]
    ids = [point.id for point in points]
    known = measured.reindex(network=networks, test=ids).transpose("network", "test")
    is_measured = known["mean"].notnull().values
    for name in names:
        # The interval of a mean over a single structure is not known.
        own = known[name].values
        expected[name] = np.where(np.isfinite(own), own, expected[name])
    expected["low"] = np.minimum(expected["low"], expected["mean"])
    expected["high"] = np.maximum(expected["high"], expected["mean"])
    return xr.Dataset(
        {name: (("network", "test"), np.clip(values, 0, 1)) for name, values in expected.items()}
        | {"is_measured": (("network", "test"), is_measured)},
        {"network": networks, "test": ids},
    )


def recommend(
    groups: Sequence[Group],
    measured: xr.Dataset,
    tested: Sequence[Condition],
    extra: Sequence[Condition],
    asked: Asked,
    profiles: Profiles,
    specimen: str,
    train_axes: Mapping[str, Sequence[float]] | None = None,
    allowed: Callable[[Condition], bool] = lambda condition: True,
    unlearned: Collection[str] = (),
) -> Recommendation:
    """Return the networks of a study, ranked for the asked condition, see :func:`order`.

    Args:
        groups: All networks, with their models.
        measured: `mean` (network, test), mean Dice over test structures of each network under
            tested conditions, and the ends `low` and `high` (network, test) of the interval of this
            mean. A cell that was not measured is NaN. The coordinates are ids of networks and of
            conditions. Conditions that are not among the points of `asked` may be left out.
        tested: The study's test conditions. Their ranges are the study's ranges.
        extra: Further conditions under which networks were tested.
        asked: The asked condition. With ranges, expected Dice and distance are means over
            :meth:`passband.prediction.range_of_use.Asked.points`. The interval is that of fully
            correlated errors, which averaging does not make narrower.
        train_axes: The values of each axis of the training grid, for :func:`train_next`.
        allowed: Returns whether images can be formed under a condition, for :func:`train_next`.
        unlearned: Ids of networks that did not learn, which are not ranked.
    """
    points, weights = asked.points()
    expected = expected_dice(groups, measured, points, profiles)
    outside = tuple(asked.outside(ranges(tested, asked.values)))
    # The values (mean, low, high) of each network under each condition.
    D = np.stack([expected[name].values for name in ("mean", "low", "high")], -1)
    all_measured = expected.is_measured.all("test").values
    train = [id for group in groups for id in group.train]
    trained = {id: None if is_mixture(id) else asked.axes.parse(id) for id in set(train)}
    distance = (scaled_distances([trained[id] for id in train], points) * weights).sum(1)
    names, worst = expected.network.values.astype(str), D[..., 0].argmin(1)
    learned = np.array([k for k in np.argsort(names) if names[k] not in unlearned], dtype=int)
    by_rank = order(weights @ D[learned, :, 0].T, distance[learned], all_measured[learned])
    networks = tuple(
        Expected(
            str(names[k]),
            Dice(*map(float, weights @ D[k])),
            MEASURED if all_measured[k] else EXTRAPOLATED if outside else INTERPOLATED,
            float(distance[k]),
            Dice(*map(float, D[k, worst[k]])),
            points[worst[k]].id,
        )
        for k in learned[by_rank]
    )
    every = sorted({*tested, *extra})
    of_tested = profiles(every)
    nearest = distances(profiles([asked.middle]), of_tested, of_tested)[0].argmin()
    following = None
    if train_axes is not None and networks:
        best = max(network.dice.value for network in networks)
        following = train_next(groups, asked, profiles, train_axes, best, allowed)
    left_out = tuple(str(id) for id in names if id in unlearned)
    near = every[nearest].id
    return Recommendation(asked, specimen, networks, outside, near, following, left_out)


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
    groups: Sequence[Group],
    asked: Asked,
    profiles: Profiles,
    axes: Mapping[str, Sequence[float]],
    best: float,
    allowed: Callable[[Condition], bool] = lambda condition: True,
) -> TrainNext | None:
    """Return the condition whose new network is expected to raise the best Dice most.

    For every condition of :func:`candidates` that has no network yet, the model predicts the Dice
    of a new network. The expected gain is the mean of max(0, D − `best`), where D is the new
    network's Dice with a normal distribution: the expected improvement of Jones, Schonlau & Welch,
    *J. Global Optim.* 13, 455 (1998). The condition with the largest expected gain is returned, or
    None if every candidate has networks.

    Args:
        groups, asked, profiles: See :func:`recommend`.
        axes: The values of each axis of the training grid.
        best: Expected Dice of the best existing network.
        allowed: Returns whether images can be formed under a condition. Other candidates are left
            out.
    """
    from scipy.special import ndtr  # the normal distribution; scipy.stats takes a second to import

    points, weights = asked.points()
    of_points, found = profiles(points), []
    for group in groups:
        known = set(group.train)
        new = [c for c in candidates(asked, axes) if c.id not in known and allowed(c)]
        if not new:
            continue
        mean, deviation = (
            np.asarray(x) @ weights for x in group.model.predict(profiles(new), of_points)
        )
        z = (mean - best) / np.maximum(deviation, 1e-9)
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        gain = deviation * density + (mean - best) * ndtr(z)
        k = int(gain.argmax())
        of_new = group.model.interval(profiles(new[k : k + 1]), of_points)
        dice = Dice(*(float(np.clip(x, 0, 1)[0] @ weights) for x in of_new))
        found.append(
            TrainNext(group.specimen, group.architecture, new[k].id, dice, max(0.0, float(gain[k])))
        )
    return max(found, key=lambda one: one.gain, default=None)
