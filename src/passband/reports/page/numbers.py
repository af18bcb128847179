"""The numbers of a study's page: means of the Dice matrix over pairs of conditions, with ranges.

The ranges are percentile intervals of a bootstrap over test structures and replicas, as in
:mod:`passband.analysis.ood`. Structures are paired across all conditions. The conditions themselves
are not resampled, since the grid is chosen and not drawn.
"""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import (
    NOTHING,
    Estimate,
    interval_edges,
    mean_dice,
    percentile_interval,
    resample,
    resampled_mean_dice,
)
from passband.analysis.groups import GROUP, groups
from passband.analysis.packed_table import by_image, image_dice, own_by_image
from passband.grid import Condition, along, axes_of, of_conditions

#: A network works as well as a network that was trained under the test condition if its Dice is
#: lower by at most this value.
CLOSE = 0.05


@dataclass(frozen=True)
class Numbers:
    """Means over the networks that are tested on the specimen of their training.

    Attributes:
        own: Mean Dice M(i, i) under the training condition.
        other: Mean Dice M(i, j) under the other test conditions, i ≠ j.
        loss: Mean of M(j, j) − M(i, j), i ≠ j: what a network loses against one that was trained
            under the test condition.
        worst: Mean over training conditions of the lowest Dice under the other test conditions.
        close: Share of the pairs i ≠ j whose loss is at most :data:`CLOSE`.
        axes: For each axis with several values, `loss` of the pairs that differ in this axis only.
        matrices: Mean Dice M(i, j) of all networks, by specimen and architecture, each (train,
            test).
        learned: The same of the networks that learned, which is NaN where none of the replicas did,
            each (train, test). All other means are over these networks alone.
        unlearned: Which networks did not learn, see :func:`passband.analysis.learned.unlearned`.
        own_rows: Mean Dice under the own training condition of those rows that have no column for
            it, each (train,); NaN for other rows. Without such results, it is empty.
        train, test: Ids of the conditions.
        pairs: Number of pairs i ≠ j with a Dice.
        replicas, structures: Number of replicas and of test structures.
        draws: Number of bootstrap samples.
    """

    own: Estimate = NOTHING
    other: Estimate = NOTHING
    loss: Estimate = NOTHING
    worst: Estimate = NOTHING
    close: Estimate = NOTHING
    axes: dict[str, Estimate] = field(default_factory=dict)
    matrices: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    learned: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    unlearned: xr.DataArray | None = None
    own_rows: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    train: list[Condition] = field(default_factory=list)
    test: list[Condition] = field(default_factory=list)
    pairs: int = 0
    replicas: int = 0
    structures: int = 0
    draws: int = 0


def numbers(
    table: xr.Dataset,
    draws: int,
    confidence: float,
    seed: int,
    unlearned: xr.DataArray | None = None,
) -> Numbers:
    """Return the numbers of a table of results.

    Args:
        table: See :func:`passband.analysis.table.aggregate`. One training condition is read at a
            time. Networks of mixtures are left out.
        draws: Number of bootstrap samples; with 0, there are no ranges.
        confidence: Share of the bootstrap samples in a range, such as 0.95.
        unlearned: Which networks did not learn, see :func:`passband.analysis.learned.unlearned`.
    """
    table = of_conditions(table)
    train, test = ([str(id) for id in table[side].values] for side in ("train", "test"))
    sums = _Sums(_single_changes(table))
    # The first sample has every structure and every replica once: its means are the estimates.
    of_structure = _with_all(resample(table.sizes["structure"], draws, seed, "structures"))
    weights = [
        (of_structure, _with_all(resample(table.sizes["replica"], draws, seed, id))) for id in train
    ]
    place = {id: k for k, id in enumerate(test)}
    own = [place.get(id) for id in train]
    matrices, learned, own_rows = {}, {}, {}
    own_images = own_by_image(table)
    for index, cells in groups(by_image(table)):
        specimen, architecture = (str(cells[n].values) for n in ("specimen", "architecture"))
        if specimen != str(cells.test_specimen.values):
            continue
        left_out = np.zeros([cells.sizes[name] for name in ("train", "replica")], dtype=bool)
        if unlearned is not None:
            of_group = unlearned.isel(dict(zip(GROUP[:2], index[:2], strict=True)))
            left_out = of_group.sel(train=cells.train).values
        both = sums.add(cells, own, weights, left_out)
        matrices[specimen, architecture], learned[specimen, architecture] = both
        if own_images is not None:
            place_of_group = dict(zip(GROUP, index, strict=True))
            own_cells = own_images.isel(place_of_group)
            found = sums.add_own(own_cells, own, weights, left_out)
            own_rows[specimen, architecture] = found
    edges = interval_edges(confidence)
    return Numbers(
        **{name: sums.value(name, edges) for name in ("own", "other", "loss", "worst", "close")},
        axes={name: sums.value(name, edges) for name in sums.single},
        matrices=matrices,
        learned=learned,
        unlearned=unlearned,
        own_rows=own_rows,
        train=along(table, "train"),
        test=along(table, "test"),
        pairs=int(sums.count.get("other", np.zeros(1))[0]),
        replicas=table.sizes["replica"],
        structures=table.sizes["structure"],
        draws=draws,
    )


def _with_all(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((1, samples.shape[1])), samples])


def _single_changes(table: xr.Dataset) -> dict[str, np.ndarray]:
    """Return, for each axis that varies, whether each pair of conditions differs only in it."""
    differs = {
        axis: table[f"train_{axis}"].values[:, None] != table[f"test_{axis}"].values
        for axis in axes_of(table)
    }
    number = sum(mask.astype(int) for mask in differs.values())
    single = {axis: mask & (number == 1) for axis, mask in differs.items()}
    return {axis: mask for axis, mask in single.items() if mask.any()}


class _Sums:
    """Sums over pairs of conditions, in each bootstrap sample.

    Only sums are kept, since the samples of a large matrix would not fit into memory.
    """

    def __init__(self, single: dict[str, np.ndarray]):
        self.single = single
        self.total: dict[str, np.ndarray] = {}
        self.count: dict[str, np.ndarray] = {}

    def add(
        self, cells: xr.DataArray, own: list[int | None], weights: list, left_out: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add the pairs of one matrix.

        The networks of `left_out` (train, replica) are not added. Returns the mean Dice (train,
        test) of all networks, and of those that were added.
        """
        samples = len(weights[0][0])
        ideal = np.full((samples, cells.sizes["test"]), np.nan)
        for i, k in enumerate(own):
            if k is not None:
                D = _without(_dice(cells.isel(train=i, test=[k])), left_out[i])
                ideal[:, k] = resampled_mean_dice(D, weights[i])[:, 0]
        every = np.full((cells.sizes["train"], cells.sizes["test"]), np.nan)
        M = every.copy()
        for i, k in enumerate(own):
            D = _dice(cells.isel(train=i))
            row = resampled_mean_dice(_without(D, left_out[i]), weights[i])
            M[i] = every[i] = row[0]
            if left_out[i].any():
                every[i] = mean_dice(D)
            other = np.ones(len(row[0]), dtype=bool)
            if k is not None:
                other[k] = False
                self._accumulate("own", row[:, k : k + 1])
            loss = ideal - row
            self._accumulate("other", row[:, other])
            self._accumulate("loss", loss[:, other])
            near = np.where(np.isfinite(loss), loss <= CLOSE, np.nan)
            self._accumulate("close", near[:, other])
            if other.any() and np.isfinite(M[i]).all():
                self._accumulate("worst", row[:, other].min(1, keepdims=True))
            for axis, mask in self.single.items():
                self._accumulate(axis, loss[:, mask[i]])
        return every, M

    def add_own(
        self, cells: xr.DataArray, own: list[int | None], weights: list, left_out: np.ndarray
    ) -> np.ndarray:
        """Add results under training conditions that are no test conditions.

        Returns the mean Dice (train,) of all networks, which is NaN for other training conditions.
        """
        means = np.full(len(own), np.nan)
        for i, k in enumerate(own):
            if k is None:
                D = _dice(cells.isel(train=i).expand_dims("test"))
                self._accumulate("own", resampled_mean_dice(_without(D, left_out[i]), weights[i]))
                means[i] = mean_dice(D)[0]
        return means

    def _accumulate(self, name: str, values: np.ndarray) -> None:
        good = np.isfinite(values)
        total = np.where(good, values, 0).sum(1)
        self.total[name] = self.total.get(name, 0) + total
        self.count[name] = self.count.get(name, 0) + good.sum(1)

    def value(self, name: str, edges: list[float]) -> Estimate:
        """Return the mean of all added values and its range."""
        if name not in self.total or not self.count[name][0]:
            return NOTHING
        means = np.divide(
            self.total[name],
            self.count[name],
            out=np.full(len(self.total[name]), np.nan),
            where=self.count[name] > 0,
        )
        return Estimate(float(means[0]), *map(float, percentile_interval(means[1:], edges)))


def _without(D: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Return Dice (replica, test, structure), which is NaN for the replicas that are left out."""
    return np.where(left_out[:, None, None], np.nan, D) if left_out.any() else D


def _dice(cells: xr.DataArray) -> np.ndarray:
    """Return Dice (replica, test, structure) of one training condition."""
    return image_dice(cells, "replica", "test", "structure")
