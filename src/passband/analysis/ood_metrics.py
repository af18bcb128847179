"""Out-of-distribution (OOD) metrics: functions of a row of a matrix, see `docs/metrics.md`.

A metric is a part, one function with the decorator :func:`passband.parts.ood_metric`. It returns
its value for each image, so that its mean over images, and the interval of this mean, can be
computed: (replica, structure) for a metric of a training condition, and (replica, test, structure)
for a metric of a training and a test condition. The docstring is its description in the store.
"""

import numpy as np

from passband.analysis.rows import Row
from passband.parts import PAIR, TRAIN, ood_metric


@ood_metric(TRAIN, limits=(0, 1), label="Dice at home")
def id(row: Row) -> np.ndarray:
    """Dice under the training condition, M(i, i)"""
    return row.home


@ood_metric(TRAIN, limits=(0, 1), label="mean Dice under other conditions")
def ood(row: Row) -> np.ndarray:
    """mean Dice under the other test conditions"""
    return row.mean_of(row.other)


@ood_metric(TRAIN, limits=(0, 1), label="lowest Dice")
def worst(row: Row) -> np.ndarray:
    """lowest Dice under the other test conditions"""
    return row.quantile(0.0)


@ood_metric(TRAIN, limits=(0, 1), label="10th percentile of Dice")
def p10(row: Row) -> np.ndarray:
    """10th percentile of Dice under the other test conditions"""
    return row.quantile(0.1)


@ood_metric(TRAIN, limits=(0, 1), label="mean Dice under near conditions")
def near(row: Row) -> np.ndarray:
    """mean Dice under the other test conditions below the median distance"""
    return row.mean_of(row.other & row.near)


@ood_metric(TRAIN, limits=(0, 1), label="mean Dice under far conditions")
def far(row: Row) -> np.ndarray:
    """mean Dice under the other test conditions at or beyond the median distance"""
    return row.mean_of(row.other & ~row.near)


@ood_metric(PAIR, limits=(0, 1), label="Dice")
def dice(row: Row) -> np.ndarray:
    """mean Dice M(i, j)"""
    return row.dice


@ood_metric(PAIR, limits=(-1, 1), against="home", label="loss against the own condition")
def gap_model(row: Row) -> np.ndarray:
    """M(i, i) − M(i, j): the network's loss of Dice under another condition"""
    return row.home[:, None] - row.dice


@ood_metric(PAIR, limits=(-1, 1), against="ideal", label="loss against the network trained there")
def gap_test(row: Row) -> np.ndarray:
    """M(j, j) − M(i, j): the difference to a network trained under the test condition"""
    return row.ideal - row.dice


@ood_metric(PAIR, limits=(0, 1), needs="particles", label="F1 of particles")
def instance_f1(row: Row) -> np.ndarray:
    """F1 score of particles that are found with an intersection over union above ½"""
    return row.score("instance_f1")


@ood_metric(PAIR, needs="particles", label="error of the number of particles")
def count_error(row: Row) -> np.ndarray:
    """number of found particles, relative to that of true ones, less 1"""
    return row.score("count_error")


@ood_metric(PAIR, needs="particles", label="error of the mean diameter")
def diameter_bias(row: Row) -> np.ndarray:
    """mean diameter of found particles, relative to that of true ones, less 1"""
    return row.score("diameter_bias")
