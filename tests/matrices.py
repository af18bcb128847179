"""A synthetic matrix of networks and test conditions, and the information it follows from."""

import numpy as np
import xarray as xr

from passband import prediction
from passband.grid import Condition, conditions, coordinates

GRID = {
    "defocus_nm": [5, 15, 25],
    "cs_um": [1.2, 1000],
    "aperture_mrad": [9, 12],
    "dose_e_per_A2": [100, 800],
}


def make_information(train, test, seed=0):
    """Return metrics as smooth functions of the conditions, the weight `flat` alone."""
    ends = {}
    for end, ids in (("train", train), ("test", test)):
        parsed = [Condition.parse(id) for id in ids]
        ends[end] = np.array(
            [[c.defocus_nm / 10, c.cs_um / 500, c.aperture_mrad / 5] for c in parsed]
        )
    apart = ((ends["train"][:, None] - ends["test"]) ** 2).sum(-1)
    of_pairs = ("weight", "train", "test")
    transfer = {end: 0.2 + 0.5 * np.exp(-(v**2).sum(1) / 20) for end, v in ends.items()}
    return xr.Dataset(
        {
            "overlap": (of_pairs, np.cos(apart / 4)[None]),
            "coverage": (of_pairs, np.exp(-apart / 9)[None]),
            "transfer_train": (("weight", "train"), transfer["train"][None]),
            "transfer_test": (("weight", "test"), transfer["test"][None]),
        },
        coords={
            "weight": ["flat"],
            "train": train,
            "test": test,
            **coordinates(train, "train"),
            **coordinates(test, "test"),
        },
    )


def make_metrics(grid=GRID, noise=0.0, seed=0):
    """Return a matrix that rises with coverage and with the test dose, and its information."""
    # As they come from a store.
    ids = np.array([c.id for c in conditions(grid)], dtype=np.dtypes.StringDType())
    information = make_information(ids, ids)
    dose = np.log10(information.test_dose_e_per_A2.values)
    M = 0.3 + 0.4 * information.coverage.values[0] + 0.08 * dose
    M = M + noise * np.random.default_rng(seed).normal(size=M.shape)
    dims = (*prediction.GROUP, "train", "test")
    metrics = xr.Dataset(
        {
            "dice": (dims, M[None, None, None]),
            "dice_std": (dims, np.full((1, 1, 1, *M.shape), noise)),
        },
        coords={
            "specimen": ["gold"],
            "architecture": ["compact"],
            "test_specimen": ["gold"],
            **{name: c for name, c in information.coords.items() if name != "weight"},
        },
    )
    return metrics, information


def matrix(metrics):
    return metrics.isel(dict.fromkeys(prediction.GROUP, 0))
