"""A synthetic study of several specimens, whose gaps are a function of specimens and conditions."""

import numpy as np
import xarray as xr

from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices

SPECIMENS = ["gold", "copper", "cubes", "thick"]
GRID = [Condition(f, 1.2, a, d).id for f in (5, 10, 30) for a in (9, 15) for d in (100, 800)]
DIMS = ("specimen", "architecture", "test_specimen", "train", "test")
DOSE = np.array([Condition.parse(id).dose_e_per_A2 for id in GRID])


def study(function, specimens=SPECIMENS, tested=SPECIMENS, train=GRID, noise=0.0):
    """Return matrices and information metrics. The gap is `function` of specimen and condition."""
    shape = len(specimens), 1, len(tested), len(train), len(GRID)
    a, _, b, i, j = np.indices(shape)
    b = np.array([(SPECIMENS + tested).index(name) for name in tested])[b]
    i = np.array([GRID.index(id) for id in train])[i]
    gap = np.asarray(function(a, b, i, j), float)
    gap[(a == b) & (i == j)] = 0
    random = np.random.default_rng(0)
    gap += noise * random.normal(size=shape) * ~((a == b) & (i == j))
    coords = {
        "specimen": list(specimens),
        "architecture": ["u"],
        "test_specimen": list(tested),
        "train": train,
        "test": GRID,
        **Axes.main.coordinates(train, "train"),
        **Axes.main.coordinates(GRID, "test"),
    }
    ood = xr.Dataset({"dice": (DIMS, 0.9 - gap)}, coords)
    weights = ["flat", *SPECIMENS[:2]]
    lens = np.abs(i - j)[0, 0, 0] / 12
    information = xr.Dataset(
        {
            # Rounded like real values: a condition's overlap with itself is not always 1.
            "overlap_abs": (
                ("weight", "train", "test"),
                1 - lens + 1e-16 * random.normal(size=(3, *lens.shape)),
            ),
            "transfer_test": (("weight", "test"), np.ones((3, len(GRID)))),
        },
        {"weight": weights, **{k: coords[k] for k in ("train", "test")}},
    )
    return matrices(metrics=ood), information


def of_specimens(a, b, i, j):
    return np.where(a == b, 0.0, 0.01 * (1 + a + 4 * b)) + 0 * i
