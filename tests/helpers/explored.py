"""Studies for tests of the explorer: a small one with files, and a large one in memory."""

import numpy as np
import xarray as xr
from recommended import make_results

from passband.analysis import information, ood, profiles
from passband.config import Study
from passband.grid import Axes
from passband.matrices.of_study import matrices
from passband.matrices.stored import GROUP
from passband.storage import datasets


def spectra(study):
    """Return the flat spectrum, which is known without exit waves."""
    return {"flat": profiles.flat_spectrum()}


def make_explored(study, folder, noise=0.01, without=0):
    """Write the study's table, OOD metrics and metrics of transfer functions; return the results.

    The Dice is similar to that of :func:`recommended.make_results`.
    """
    results = make_results(study, folder, noise, without)
    table = datasets.read(results / "table.zarr", datasets.TABLE)
    # Every cell has another Dice.
    cells = np.arange(table.sizes["train"] * table.sizes["test"]).reshape(table.sizes["train"], -1)
    share = xr.DataArray(1 - 0.05 * np.sin(cells) ** 2, dims=("train", "test"))
    tp = np.round(table.counts.sel(outcome="tp") * share)
    tp = tp.drop_vars("outcome").transpose(*table.counts.dims[:-1])
    table["counts"] = table.counts.dims, np.stack([tp, 1e5 - tp, 1e5 - tp], -1)
    table["dice"] = (tp / 1e5).mean("structure").transpose(*table.dice.dims).astype("float32")
    of_networks = ("specimen", "architecture", "train", "replica")
    shape = [table.sizes[d] for d in of_networks]
    losses = 0.1 + np.arange(np.prod(shape)).reshape(shape) / 100
    table["val_loss"] = of_networks, losses
    table["best_epoch"] = of_networks, np.full(shape, 3.0)
    datasets.write(table, results / "table.zarr", datasets.TABLE, {})
    metrics = information.metrics(
        study.train_conditions,
        study.test_conditions,
        study.microscope,
        spectra(study),
        study.study.seed,
        draws=2,
    )
    datasets.write(metrics, results / "information.zarr", datasets.INFORMATION, {})
    found = ood.metrics(matrices(table), metrics)
    datasets.write(found, results / "ood.zarr", datasets.OOD, {})
    return results


def use_few_samples(monkeypatch):
    """Let integrals have few frequencies, since a lens that is not round has azimuths too."""
    monkeypatch.setattr(information, "radial_samples", lambda microscope: 64)


def large_study(train=(8, 3, 6, 4), test=(8, 3, 6, 4), replicas=1):
    """Return the configuration of a study with so many values of each axis."""
    axes = ("defocus_nm", "cs_um", "aperture_mrad", "dose_e_per_A2")
    grids = [
        {
            name: np.round(np.geomspace(low, high, number), 1).tolist()
            for name, low, high, number in zip(
                axes, (2, 1, 9, 50), (60, 100, 18, 3000), numbers, strict=True
            )
        }
        for numbers in (train, test)
    ]
    return Study.model_validate(
        {
            "study": {"name": "large", "replicas": replicas},
            "specimens": {"gold": {}},
            "grid": grids[0],
            "test_grid": grids[1],
        }
    )


def large_results(study, seed=0):
    """Return OOD metrics and the table of a large study, with random numbers, in memory."""
    rng = np.random.default_rng(seed)
    ids = [[c.id for c in cs] for cs in (study.train_conditions, study.test_conditions)]
    shape = (1, 1, 1, len(ids[0]), len(ids[1]))
    dice = np.clip(0.8 + 0.15 * rng.standard_normal(shape), 0, 1)
    margin = np.abs(0.02 * rng.standard_normal((*shape, 2)))
    dims = (*GROUP, "train", "test")
    names = {
        "specimen": ["gold"],
        "architecture": study.training.architectures[:1],
        "train": ids[0],
        "test": ids[1],
    }
    metrics = xr.Dataset(
        {
            "dice": (dims, dice),
            "dice_interval": ((*dims, "bound"), dice[..., None] + margin * [-1, 1]),
            **{
                name: (dims, np.abs(0.02 * rng.standard_normal(shape)))
                for name in ("dice_std", "dice_selected", "dice_oracle")
            },
        },
        names
        | {"test_specimen": ["gold"], "bound": ["low", "high"]}
        | Axes.main.coordinates(ids[0], "train")
        | Axes.main.coordinates(ids[1], "test"),
    )
    replicas = study.study.replicas
    of_networks = ("specimen", "architecture", "train", "replica")
    single = np.repeat(dice[:, :, 0, :, None, None], replicas, axis=3)
    single = np.clip(single + 0.01 * rng.standard_normal(single.shape), 0, 1)
    table = xr.Dataset(
        {
            "dice": ((*of_networks, "test_specimen", "test"), single),
            "val_loss": (of_networks, single[..., 0, 0]),
            "best_epoch": (of_networks, np.ones(single.shape[:4])),
            "counts": ("structure", np.zeros(24)),
        },
        names | {"test_specimen": ["gold"], "replica": range(replicas)},
    )
    return metrics, table
