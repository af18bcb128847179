"""A synthetic matrix of Dice of networks and test conditions, computed from synthetic metrics."""

import numpy as np
import xarray as xr

from passband.analysis.profiles import Profiles
from passband.axes import MAIN_AXES
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.matrices.stored import GROUP

GRID = {
    "defocus_nm": [5, 15, 25],
    "cs_um": [1.2, 1000],
    "aperture_mrad": [9, 12],
    "dose_e_per_A2": [100, 800],
}


def make_information(train, test, seed=0):
    """Return metrics with the weights `flat`, which are smooth functions of the conditions."""
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
            **Axes.main.coordinates(train, "train"),
            **Axes.main.coordinates(test, "test"),
        },
    )


def make_metrics(grid=GRID, noise=0.0, seed=0):
    """Return a matrix of Dice that rises with coverage and with the test dose, and its metrics."""
    # As read from a store.
    ids = np.array([c.id for c in Axes.main.conditions(grid)], dtype=np.dtypes.StringDType())
    information = make_information(ids, ids)
    dose = np.log10(information.test_dose_e_per_A2.values)
    M = 0.3 + 0.4 * information.coverage.values[0] + 0.08 * dose
    M = M + noise * np.random.default_rng(seed).normal(size=M.shape)
    dims = (*GROUP, "train", "test")
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


def make_profiles(metrics):
    """Return profiles of all training conditions, by specimen, as the Gaussian process needs them.

    The curves are smooth functions of the conditions.
    """
    ids = [str(id) for id in metrics.train.values]
    parsed = [Condition.parse(id) for id in ids]
    dose = np.log10([c.dose_e_per_A2 for c in parsed])
    q = (np.arange(8) + 0.5) / 8
    values = np.array([[c.defocus_nm / 20, c.cs_um / 1000, c.aperture_mrad / 10] for c in parsed])
    T = np.sin(values @ np.stack([q, q**2, 1 + q]))
    bits = 0.5 * np.log2(1 + 10 ** dose[:, None] * T**2 / 50)
    profile = Profiles(
        ids=np.array(ids),
        parameters={name: np.array([c.value(name) for c in parsed]) for name in MAIN_AXES},
        T=T,
        bits=bits,
        log_dose=dose,
        frequency=q,
        azimuth=np.zeros(8),
        area=q / 8,
        power=np.ones(8),
    )
    return {str(specimen): profile for specimen in metrics.specimen.values}


def profiles_with_parameters(parameters, log_dose):
    """Return profiles of conditions that differ in named parameters and the dose alone."""
    nothing = np.full((len(log_dose), 1), np.nan)
    return Profiles(
        ids=np.array([f"c{k}" for k in range(len(log_dose))]),
        parameters=parameters,
        T=nothing,
        bits=nothing,
        log_dose=log_dose,
        frequency=np.ones(1),
        azimuth=np.zeros(1),
        area=np.ones(1),
        power=np.ones(1),
    )


def matrix(metrics):
    return metrics.isel(dict.fromkeys(GROUP, 0))


def make_table(grid, M, replicas=2, structures=12, sd_replica=0.0, sd_structure=0.0, seed=0):
    """Return a table of the matrix M (train, test), with noise between networks and structures."""
    ids = [c.id for c in Axes.main.conditions(grid)]
    random = np.random.default_rng(seed)
    D = M[:, None, :, None] + sd_replica * random.normal(size=(len(ids), replicas, 1, 1))
    D = D + sd_structure * random.normal(size=structures)
    tp = 1e6 * D
    counts = np.stack([tp, 1e6 - tp, 1e6 - tp], -1)[None, None, :, :, None]
    dims = ("specimen", "architecture", "train", "replica", "test_specimen", "test", "structure")
    return xr.Dataset(
        {
            "counts": ((*dims, "outcome"), counts),
            "dice": (dims[:-1], D.mean(-1)[None, None, :, :, None]),
        },
        coords={
            "specimen": ["gold"],
            "architecture": ["compact"],
            "test_specimen": ["gold"],
            "train": ids,
            "test": ids,
            "replica": range(replicas),
            **Axes.main.coordinates(ids, "train"),
            **Axes.main.coordinates(ids, "test"),
        },
    )


def of_dice(M):
    """Return the Matrix of Dice (train, test) with one replica; NaN is a missing network."""
    one = dict.fromkeys(("specimen", "architecture", "test_specimen", "replica"), "gold")
    table = M.assign_coords(one).expand_dims([*one]).to_dataset(name="dice")
    (matrix,) = matrices(table.assign_coords(replica=[0]))
    return matrix
