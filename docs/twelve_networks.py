"""Which networks of studies/twelve-thousand.yaml are best, which failed, and what predicts Dice."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from scipy.stats import rankdata
from twelve_results import DOSE, Conditions, Estimate, Scores

from passband.analysis.correlation import correlation, rank_correlation

#: A side of the matrix with one condition.
_ONE = Conditions(("chosen",), {})


@dataclass(frozen=True)
class Choices:
    """Dice of networks that were chosen with other replicas and other images than it has.

    Attributes:
        matched: The networks that were trained under the test condition.
        best, best_gain: By the name of a set of training conditions: Dice if the best training
            condition of the set is chosen for each test condition, and how much it is above
            `matched`.
        general, general_gain: The same if one training condition is chosen, the best on average
            over all test conditions.
        general_ids: The ids of the latter, which may depend on the image that is left out.
    """

    matched: Estimate
    best: dict[str, Estimate] = field(default_factory=dict)
    best_gain: dict[str, Estimate] = field(default_factory=dict)
    general: dict[str, Estimate] = field(default_factory=dict)
    general_gain: dict[str, Estimate] = field(default_factory=dict)
    general_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)


def choices(scores: Scores, sets: Mapping[str, np.ndarray]) -> Choices:
    """Return how good the networks are that some replicas and all images but one would choose.

    The first half of the replicas chooses, and the other replicas judge the choice under the image
    that was left out. Each image is left out once. So the choice profits neither from the chance of
    replicas nor from that of images. The intervals resample the judging replicas and the images.

    Args:
        scores: Dice of all networks.
        sets: The rows that may be chosen, by a name, each (n,) int.
    """
    _, replicas, tests, images = scores.images.shape
    half, columns = (replicas + 1) // 2, np.arange(tests)
    choosing = [
        scores.images[:, :half][..., np.arange(images) != k].mean((1, 3)) for k in range(images)
    ]

    def judged(rows: np.ndarray) -> np.ndarray:
        """Return Dice (test, replica, image) of the rows (image, test) by the judging replicas."""
        of_image = [scores.images[rows[k], half:, columns, k] for k in range(images)]
        return np.stack(of_image, -1)

    def each(D: np.ndarray) -> Estimate:
        """Return the mean; each test condition has its own networks."""
        return Scores(scores.test, _ONE, D[:, :, None], D).estimate(_mean)

    def one(D: np.ndarray) -> Estimate:
        """Return the mean; all test conditions have the same networks."""
        D = D.transpose(1, 0, 2)[None]
        return Scores(_ONE, scores.test, D, D[:, :, 0]).estimate(_mean)

    matched = judged(np.tile(scores.own_columns(), (images, 1)))
    found = Choices(each(matched))
    for name, members in sets.items():
        best = judged(np.stack([members[of[members].argmax(0)] for of in choosing]))
        found.best[name], found.best_gain[name] = each(best), each(best - matched)
        rows = [int(members[of[members].mean(1).argmax()]) for of in choosing]
        general = judged(np.repeat(np.array(rows)[:, None], tests, 1))
        found.general[name], found.general_gain[name] = one(general), one(general - matched)
        found.general_ids[name] = tuple(dict.fromkeys(scores.train.ids[row] for row in rows))
    return found


def _mean(M: np.ndarray, _: np.ndarray) -> float:
    return float(M.mean())


def failures(scores: Scores, below: float) -> dict[float, tuple[int, int]]:
    """Return, for each training dose, how many networks learned almost nothing, and how many exist.

    These are the networks whose mean Dice under their own training condition is lower than `below`.
    """
    failed = scores.own_images.mean(-1) < below
    doses = scores.train.values[DOSE]
    return {
        float(dose): (int(failed[doses == dose].sum()), failed[doses == dose].size)
        for dose in scores.train.levels(DOSE)
    }


# ── Transfer functions ───────────────────────────────────────────────────────────────────────────


def correlations(scores: Scores, information: xr.Dataset) -> list[tuple[str, str, float, float]]:
    """Return the rank correlations of Dice with information metrics, the strongest first.

    Returns:
        Name of the metric, weight, Spearman's ρ over all cells of different conditions, and ρ with
        the ranks of each pair of doses; NaN if the metric is constant there. Each metric has the
        weight whose ρ at given doses is largest, and the metrics are in the order of this ρ.
    """
    data = information.sel(train=list(scores.train.ids), test=list(scores.test.ids))
    other = np.not_equal.outer(np.array(scores.train.ids), np.array(scores.test.ids))
    doses = scores.train.values[DOSE][:, None] * 1e6 + scores.test.values[DOSE]
    y, group = scores.mean[other], doses[other]
    y_within = _ranks_within(y, group)
    found = []
    for name, metric in data.data_vars.items():
        if not {"train", "test", "weight"} <= {*metric.dims}:
            continue
        of_metric = []
        for weight in metric.weight.values:
            x = metric.sel(weight=weight).transpose("train", "test").values[other]
            if np.isfinite(x).all():
                x_within = _ranks_within(x, group)
                products = x_within @ y_within, x_within @ x_within, y_within @ y_within
                within = correlation(*products)
                of_metric.append((str(name), str(weight), rank_correlation(x, y), float(within)))
        found += sorted(of_metric, key=_strength)[:1]
    return sorted(found, key=_strength)


def _strength(row: tuple[str, str, float, float]) -> float:
    return -abs(np.nan_to_num(row[3]))


def _ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the ranks of values within each group, divided by its size, with mean 0."""
    ranks = np.empty(len(values))
    for each in np.unique(group):
        where = group == each
        of = rankdata(values[where])
        ranks[where] = (of - of.mean()) / len(of)
    return ranks
