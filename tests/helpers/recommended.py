"""A study whose table of results has a known Dice, in a folder in which commands can run."""

import numpy as np
import xarray as xr
from toy_networks import true_dice

from passband.config import validate
from passband.scores import OUTCOMES
from passband.storage import datasets

STRUCTURES = 6


def make_study(replicas=1, specimens=("gold",), **grid):
    """Return the configuration of a study with the default grid of 16 conditions."""
    return validate(
        {
            "study": {
                "name": "known",
                "replicas": replicas,
                "replicas_per_job": replicas,
                "structures": {"train": 4, "val": 2, "test": STRUCTURES},
            },
            "specimens": {name: {} for name in specimens},
            "grid": grid,
        }
    )


def make_results(study, folder, noise=0.01, without=0):
    """Write the study's file and its table of results, and return the folder of results.

    The Dice of a network depends on its training condition, its test condition and its specimen.
    Dice of structures differ by `noise`. The last `without` training conditions have no networks.
    """
    results = folder / "results" / study.study.name
    results.mkdir(parents=True)
    train, test = study.train_conditions, study.test_conditions
    specimens, replicas = list(study.trained_specimens), study.study.replicas
    D = np.array([[true_dice(a, b) for b in test] for a in train])
    D = np.stack([D - 0.002 * replica for replica in range(replicas)], 1)[None, None, :, :, None]
    same = np.eye(len(specimens))[:, None, None, None, :, None]
    D = D * (0.5 + 0.5 * same)
    structures = noise * np.linspace(-1, 1, STRUCTURES)
    scores = np.clip(D[..., None] + structures, 0, 1)
    tp = np.round(1e5 * scores)
    counts = np.stack([tp, 1e5 - tp, 1e5 - tp], -1)
    missing = np.arange(len(train)) >= len(train) - without
    counts[:, :, missing] = np.nan
    dims = ("specimen", "architecture", "train", "replica", "test_specimen", "test", "structure")
    ids = [c.id for c in train], [c.id for c in test]
    dice = np.where(np.isnan(counts[..., 0]), np.nan, scores).mean(-1)
    table = xr.Dataset(
        {"counts": ((*dims, "outcome"), counts), "dice": (dims[:-1], dice.astype("float32"))},
        {
            "specimen": specimens,
            "architecture": study.training.architectures,
            "train": ids[0],
            "replica": range(replicas),
            "test_specimen": specimens,
            "test": ids[1],
            "outcome": list(OUTCOMES),
            **study.axes.coordinates(ids[0], "train"),
            **study.axes.coordinates(ids[1], "test"),
        },
    )
    datasets.write(table, results / "table.zarr", datasets.TABLE, {})
    (folder / "config.yaml").write_text(study.model_dump_json(), encoding="utf-8")
    return results
