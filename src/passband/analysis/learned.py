"""Which networks did not learn: at home, they are no better than a mask of all pixels.

A network's home is its own training condition and specimen. A network did not learn if the interval
of its Dice there over images, see :mod:`passband.analysis.crossed_intervals`, reaches down to the
Dice of a mask of all pixels, which needs no network.
"""

import numpy as np
import xarray as xr

from passband.analysis.crossed_intervals import half_width, of_mean
from passband.analysis.groups import group_names, groups
from passband.analysis.ood import expectations
from passband.analysis.packed_table import (
    IMAGE_DICE,
    LARGEST,
    OWN,
    by_image,
    image_dice,
    own_by_image,
)
from passband.config import Study
from passband.scores import OUTCOMES

_NETWORK = ("specimen", "architecture", "train", "replica")
#: Differences of Dice that are only rounding: of counts, and of packed Dice.
_ROUNDING, _PACKED_ROUNDING = 1e-9, 0.5 / LARGEST


def unlearned(table: xr.Dataset, study: Study) -> xr.DataArray:
    """Return which networks did not learn, bool (specimen, architecture, train, replica).

    The attribute `learned` is the number of the other networks with results.

    A network that is missing, or that was not tested at home, is not said to have failed. The home
    of a network of a mixture is the test under the mixture, or else the expectation over it.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`. Images are read
            only of those networks whose mean Dice leaves a doubt.
        study: The configuration, for the number of pixels of an image and the intervals.
    """
    found = np.zeros([table.sizes[dimension] for dimension in _NETWORK], dtype=bool)
    pixels, evaluation = study.microscope.field_px**2, study.evaluation
    several = evaluation.bootstrap > 0 and table.sizes["structure"] > 1
    # The standard deviation of numbers between 0 and 1 with the mean D is at most that of zeros and
    # ones. With it, the low end of the interval is `reach` times √(D(1 − D)) below D.
    bits = np.arange(table.sizes["structure"]) % 2
    reach = 0.0
    if several:
        reach = half_width(evaluation.confidence, of_mean(bits)) / bits.std()
    rounding = _PACKED_ROUNDING if IMAGE_DICE in table else _ROUNDING
    place = {str(id): k for k, id in enumerate(table.test.values)}
    expected = expectations(table)
    for index, group in groups(table):
        specimen, _, test_specimen = group_names(group).values()
        if specimen != test_specimen:
            continue
        mean = group.dice.transpose("train", "replica", "test").values.astype(float)
        trained = np.isfinite(mean[..., 0])
        if not trained.any():
            continue
        of_all = _mask_of_all(table, index[-1], pixels)
        if IMAGE_DICE in table:
            group = group.load()  # a byte for each image, in files of many conditions
        cells, own_cells = by_image(group), own_by_image(group)
        if own_cells is not None:
            own_of_all = _mask_of_all(table, index[-1], pixels, OWN)
            own_mean = group.own_dice.transpose("train", "replica").values.astype(float)
        for i, id in enumerate(map(str, table.train.values)):
            if id in place:
                home = cells.isel(train=i, test=[place[id]])
                dice, weights, least = mean[i, :, place[id]], np.ones(1), of_all[place[id]]
            elif own_cells is not None:
                home = own_cells.isel(train=i).expand_dims("test")
                dice, weights, least = own_mean[i], np.ones(1), own_of_all[i]
            elif (weights := expected.get(i)) is not None:
                home, dice, least = cells.isel(train=i), mean[i] @ weights, of_all @ weights
            else:
                continue
            dice = np.where(trained[i], dice, 1.0)
            doubtful = dice - reach * np.sqrt(np.clip(dice * (1 - dice), 0, None)) <= least + 1e-3
            if not doubtful.any():
                continue
            D = np.einsum("rts,t->sr", image_dice(home, "replica", "test", "structure"), weights)
            low = D.mean(0)
            if several:
                low = low - half_width(evaluation.confidence, of_mean(D.T))
            found[(*index[:2], i)] = trained[i] & (low <= least + rounding)
    learned = int(np.isfinite(table.dice).any(["test_specimen", "test"]).sum() - found.sum())
    coords = {name: c.variable for name, c in table.coords.items() if {*c.dims} <= {*_NETWORK}}
    return xr.DataArray(found, coords, _NETWORK, attrs={"learned": learned})


def _mask_of_all(table: xr.Dataset, test_specimen: int, pixels: int, of: str = "") -> np.ndarray:
    """Return the mean Dice of a mask of all pixels under each test condition (test,).

    With `of` = :data:`OWN`, it is that under each training condition (train,). A packed table has
    only sums of pixels: the particle pixels of all images are those that the network with most true
    positives has found, and all images have equally many.
    """
    kept = ("train",) if of else ("test",)
    if IMAGE_DICE in table:
        tp = table[f"{of}tp"].isel(test_specimen=test_specimen)
        most = tp.max([dimension for dimension in tp.dims if dimension not in kept])
        true = most.values[:, None] / table.sizes["structure"]
    else:
        counts = table[f"{of}counts"].isel(test_specimen=test_specimen)
        if not of:  # any network, since all have the same images
            done = np.isfinite(table.dice.isel(test_specimen=test_specimen, test=0))
            first = np.argwhere(done.transpose(*_NETWORK).values)[0]
            counts = counts.isel(dict(zip(_NETWORK, first, strict=True)))
        tp, fn = (counts.isel(outcome=OUTCOMES.index(name)) for name in ("tp", "fn"))
        true = tp + fn
        true = true.max([d for d in true.dims if d not in (*kept, "structure")])
        true = true.transpose(*kept, "structure").values
    # A table with larger particles than images is not from this configuration, and judges nothing.
    return np.where(true <= pixels, 2 * true / (true + pixels), np.nan).mean(-1)
