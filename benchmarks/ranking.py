"""Measure `passband recommend` and `passband explore` for 12,096 networks.

    python benchmarks/ranking.py             # the shape of studies/twelve-thousand.yaml; 10 minutes
    python benchmarks/ranking.py --quick     # the shape of studies/smallest.yaml

The table of results is synthetic: Dice depends smoothly on both conditions, with an effect of each
network and noise of each image. The first recommendation fits the model of Dice, and the second
one finds its parameters. The explorer fits its own model, of the means of replicas. Each command
runs in a separate process, whose processor time and peak memory are measured.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from harness import Table

from passband.analysis import information, ood
from passband.analysis.spectra import flat_spectrum
from passband.axes import AXES
from passband.config import Study, load
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.results import layout
from passband.scores import OUTCOMES
from passband.storage import datasets

ROOT = Path(__file__).resolve().parents[1]
PER_GB = 1e9 if sys.platform == "darwin" else 1e9 / 1024  # bytes on macOS, KiB elsewhere
CELL = ("specimen", "architecture", "train", "replica", "test_specimen", "test")


def write(study: Study, results: Path) -> None:
    """Write the table of results, and the OOD metrics without intervals."""
    random = np.random.default_rng(0)
    train, test = study.train_conditions, study.test_conditions
    x, y = parameters(train, test)
    apart = ((x[:, None] - y) ** 2).sum(-1)
    dice = 0.5 + 0.4 * np.exp(-2 * apart)[:, None]
    dice = dice + 0.02 * random.normal(size=(len(train), study.study.replicas, 1))
    images = dice[..., None] + 0.03 * random.normal(size=(*dice.shape, study.study.structures.test))
    of_networks = np.ones((1, 1, *dice.shape[:2]))
    # The particle has a quarter of the pixels; what a network misses, it finds elsewhere.
    true = study.microscope.field_px**2 // 4
    tp = np.rint(true * np.clip(images, 0, 1)).astype(np.uint32)[None, None, :, :, None]
    counts = np.stack([tp, true - tp, true - tp], -1)
    specimen, ids = list(study.specimens)[:1], [[c.id for c in side] for side in (train, test)]
    table = xr.Dataset(
        {
            "counts": ((*CELL, "structure", "outcome"), counts),
            "dice": (CELL, (tp / true).mean(-1).astype(np.float32)),
            "val_loss": (CELL[:4], of_networks),
            "best_epoch": (CELL[:4], of_networks),
        },
        dict(zip(CELL, (specimen, study.training.architectures, ids[0]), strict=False))
        | {"replica": range(study.study.replicas), "test_specimen": specimen, "test": ids[1]}
        | {"outcome": list(OUTCOMES)}
        | Axes.main.coordinates(ids[0], "train")
        | Axes.main.coordinates(ids[1], "test"),
    )
    datasets.write(table, results / layout.TABLE, datasets.TABLE, {}, {"train": 1})
    curves = {"flat": flat_spectrum()}
    of_pairs = information.metrics(train, test, study.microscope, curves)
    metrics = ood.metrics(matrices(table), of_pairs, confidence=None)
    datasets.write(metrics, results / layout.OOD, datasets.OOD, {})


def parameters(*sides: list[Condition]) -> list[np.ndarray]:
    """Return the values of all axes of conditions, (condition, axis), each scaled to 0 to 1."""
    values = [np.array([list(c.values().values()) for c in side]) for side in sides]
    low, high = (f(np.concatenate(values), axis=0) for f in (np.min, np.max))
    return [(v - low) / np.where(high > low, high - low, 1) for v in values]


def measure(folder: Path, *words: str) -> tuple[float, float]:
    """Return the processor time [s] and the peak memory [GB] of a command of Passband."""
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "passband.cli", *words]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        # wait4 gives the use of this child; getrusage gives that of all children so far.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"passband {' '.join(words)} failed:\n{(folder / 'log').read_text()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / PER_GB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the shape of the smallest study")
    options = parser.parse_args()
    file = ROOT / "studies" / ("smallest.yaml" if options.quick else "twelve-thousand.yaml")
    study = load(file)
    networks = len(study.train_conditions) * study.study.replicas
    scale = f"{networks:,} networks under {len(study.test_conditions)} conditions"
    axes = list(zip(*(c.values().items() for c in study.test_conditions), strict=True))
    middle = {
        axis[0][0]: np.mean([min(v for _, v in axis), max(v for _, v in axis)]) for axis in axes
    }
    asked = [f"--{name.replace('_', '-')}={AXES[name].canonical(v)}" for name, v in middle.items()]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copy(file, folder)
        results = folder / "results" / study.study.name
        write(study, results)
        printed = Table()
        for what, seconds, words in (
            (f"recommend, {scale}", 300, ("recommend", file.name, *asked)),
            (f"recommend again, {scale}", 30, ("recommend", file.name, *asked)),
            (f"explore, {scale}", 300, ("explore", file.name, "--no-images")),
        ):
            used, memory = measure(folder, *words)
            printed.row(f"{what}: processor time [s]", seconds, used)
            printed.row(f"{what}: memory [GB]", 2, memory)
        size = (results / layout.EXPLORER).stat().st_size / 1e6
        printed.row(f"explore, {scale}: page [MB]", 10, size)


if __name__ == "__main__":
    main()
