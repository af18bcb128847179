"""Which networks of studies/twelve-thousand.yaml are best, which failed, and what predicts Dice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.stats import rankdata
from twelve_results import DOSE, Estimate, Scores

from passband.analysis.correlation import correlation, rank_correlation
from passband.axes import MAIN_AXES


@dataclass(frozen=True)
class Choices:
    """Dice of networks that are chosen by some replicas and judged by the others.

    Attributes
    ----------
    matched : Estimate
        The networks that were trained under the test condition.
    best : dict of str to Estimate
        By the name of a set of training conditions: for each test condition, the best of the set.
    general : dict of str to Estimate
        The training condition that is best on average over all test conditions.
    general_ids : dict of str to str
        The id of that training condition.
    shift : dict of str to dict of str to float
        For each axis, the shares of test conditions whose best training condition has a lower, the
        same, or a higher value.
    """

    matched: Estimate
    best: dict[str, Estimate]
    general: dict[str, Estimate]
    general_ids: dict[str, str]
    shift: dict[str, dict[str, float]]


def choices(scores: Scores, sets: Mapping[str, np.ndarray]) -> Choices:
    """Return how good the networks are that the first half of the replicas would choose.

    The other replicas judge the choice, so that it does not profit from chance. The intervals
    resample the judging replicas and the images.

    Parameters
    ----------
    scores : Scores
        Dice of all networks.
    sets : mapping of str to (n,) int array
        The rows that may be chosen, by a name. The last set is the one of `shift`.
    """
    half = (scores.images.shape[1] + 1) // 2
    chosen_by = scores.images[:, :half].mean((1, 3))
    judged = Scores(scores.train, scores.test, scores.images[:, half:], scores.own_images[:, half:])
    columns = np.arange(len(scores.test.ids))
    own = scores.own_columns()
    best, general, ids, rows = {}, {}, {}, own
    for name, members in sets.items():
        rows = members[chosen_by[members].argmax(0)]
        best[name] = judged.estimate(lambda M, _, rows=rows: float(M[rows, columns].mean()))
        row = int(members[chosen_by[members].mean(1).argmax()])
        general[name] = judged.estimate(lambda M, _, row=row: float(M[row].mean()))
        ids[name] = scores.train.ids[row]
    shift = {}
    for name in MAIN_AXES:
        apart = scores.train.values[name][rows] - scores.test.values[name]
        signs = {"lower": apart < 0, "same": apart == 0, "higher": apart > 0}
        shift[name] = {word: float(where.mean()) for word, where in signs.items()}
    matched = judged.estimate(lambda M, _: float(M[own, columns].mean()))
    return Choices(matched, best, general, ids, shift)


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

    Returns
    -------
    list of (str, str, float, float)
        Name of the metric, weight, Spearman's ρ over all cells of different conditions, and ρ with
        the ranks of each pair of doses; NaN if the metric is constant there.
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
        for weight in metric.weight.values:
            x = metric.sel(weight=weight).transpose("train", "test").values[other]
            if np.isfinite(x).all():
                x_within = _ranks_within(x, group)
                products = x_within @ y_within, x_within @ x_within, y_within @ y_within
                within = correlation(*products)
                found.append((str(name), str(weight), rank_correlation(x, y), float(within)))
    return sorted(found, key=lambda each: -abs(np.nan_to_num(each[2])))


def _ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the ranks of values within each group, divided by its size, with mean 0."""
    ranks = np.empty(len(values))
    for each in np.unique(group):
        where = group == each
        of = rankdata(values[where])
        ranks[where] = (of - of.mean()) / len(of)
    return ranks
