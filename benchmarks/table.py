"""Measure the time and memory for the table, selections of it, OOD metrics and information metrics.

    python benchmarks/table.py                          # studies/paper.yaml, a few minutes
    python benchmarks/table.py --quick                  # studies/smallest.yaml
    python benchmarks/table.py --folder /scratch/x      # writes records and table to this folder

No network is trained: the records are synthetic, with the study's shape and realistic counts. Each
step runs in a separate process, so that the step's peak memory is known. Times do not include
imports.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from harness import Table

from passband.analysis import information, ood, table
from passband.config import Study, load
from passband.grid import batches
from passband.jobs import running
from passband.matrices.of_study import matrices
from passband.results.stores import load_table
from passband.scores import OUTCOMES
from passband.seeds import digest
from passband.storage import datasets, provenance, records

ROOT = Path(__file__).resolve().parents[1]
PER_GB = 1e9 if sys.platform == "darwin" else 1e9 / 1024  # bytes on macOS, KiB elsewhere


def cells(study: Study, folder: Path) -> list[table.Cell]:
    """Return every `train` job of the study, with the path of its record."""
    jobs = batches(study.study.replicas, study.study.replicas_per_job).items()
    return [
        table.Cell(s, a, c.id, tuple(replicas), f"{folder}/records/{s}/{a}/{c.id}/{name}.zarr.zip")
        for s, a, c, (name, replicas) in product(
            study.specimens, study.training.architectures, study.train_conditions, jobs
        )
    ]


def record(study: Study, replicas: tuple[int, ...], random: np.random.Generator) -> xr.Dataset:
    """Return a record of networks that find most of each particle, less under some conditions."""
    specimens, test = list(study.specimens), [c.id for c in study.test_conditions]
    shape = (len(replicas), len(specimens), len(test), study.study.structures.test)
    pixels = random.integers(0.02 * study.microscope.field_px**2, size=shape[-1]) + 100
    found = random.binomial(pixels, random.uniform(0.3, 0.98, (*shape[:-1], 1)), size=shape)
    false = random.poisson(0.1 * pixels, size=shape)
    counts = np.stack([found, false, pixels - found], -1).astype(np.uint32)
    return xr.Dataset(
        {
            "counts": (("replica", "test_specimen", "test", "structure", "outcome"), counts),
            "val_loss": ("replica", random.uniform(0.1, 0.9, len(replicas))),
            "best_epoch": ("replica", random.integers(25, size=len(replicas))),
            "network": ("replica", [digest(replica) for replica in replicas]),
            "recipe": (("test_specimen", "test"), np.full(shape[1:3], digest(), object)),
        },
        {
            "replica": list(replicas),
            "test_specimen": specimens,
            "test": test,
            "outcome": list(OUTCOMES),
        },
    )


def write(study: Study, folder: Path) -> None:
    """Write a record for every `train` job. A few random records are written repeatedly."""
    random, drawn = np.random.default_rng(0), {}
    attrs = provenance.attributes(study.study.name, study.digest, "benchmarks/table.py")
    for number, cell in enumerate(cells(study, folder)):
        key = cell.replicas, number % 16
        if key not in drawn:
            drawn[key] = record(study, cell.replicas, random)
        of = {"specimen": cell.specimen, "architecture": cell.architecture}
        records.write({cell.train: drawn[key]}, cell.path, attrs | of)


def aggregate(study: Study, folder: Path) -> None:
    path, attrs, test = folder / "table.zarr", {"study": "benchmark"}, study.test_conditions
    table.aggregate(
        cells(study, folder), test, list(study.specimens), path, attrs, threads=os.cpu_count()
    )


def select(study: Study, folder: Path) -> None:
    """Open the table and read one condition's counts under another condition, for all replicas."""
    opened = load_table(folder / "table.zarr")
    opened.counts.isel(train=len(opened.train) // 2, test=-1).load()


def select_dice(study: Study, folder: Path) -> None:
    """Open the table and read one training condition's Dice under all test conditions."""
    opened = load_table(folder / "table.zarr")
    opened.dice.isel(train=len(opened.train) // 2).load()


def pairs(study: Study, folder: Path) -> None:
    q = np.linspace(0, study.microscope.sampling.cutoff, 256)
    curves = {"flat": (q, np.full_like(q, 0.005))}
    curves |= {s: (q, 0.02 * np.exp(-4 * q)) for s in study.specimens}
    metrics = information.metrics(
        study.train_conditions,
        study.test_conditions,
        study.microscope,
        curves,
        bands=study.information.bands_per_A,
    )
    datasets.write(metrics, folder / "information.zarr", datasets.INFORMATION, {})


def ood_metrics(study: Study, folder: Path) -> None:
    running.cap_threads(1)  # as the job does; its threads are set below
    metrics = ood.metrics(
        matrices(load_table(folder / "table.zarr")),
        datasets.read(folder / "information.zarr", datasets.INFORMATION),
        study.evaluation.confidence,
        threads=os.cpu_count(),
    )
    datasets.write(metrics, folder / "ood.zarr", datasets.OOD, {})


STEPS = {step.__name__: step for step in (aggregate, select, select_dice, pairs, ood_metrics)}


def measure(step: str, file: Path, folder: Path) -> tuple[float, float]:
    """Return a step's seconds without imports, and its process's peak memory [GB]."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(file), "--folder", str(folder), "--step", step],
        stdout=subprocess.PIPE,
        text=True,
    )
    printed = process.stdout.read()
    # wait4 gives the memory of this child; getrusage gives the largest of all children so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{step} failed")
    return float(printed), usage.ru_maxrss / PER_GB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", type=Path, default=ROOT / "studies/paper.yaml")
    parser.add_argument("--quick", action="store_true", help="the smallest study")
    parser.add_argument("--folder", type=Path, help="folder for files (default: temporary)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    file = ROOT / "studies/smallest.yaml" if options.quick else options.study
    study = load(file)
    if options.step:
        running.keep_memory()  # as the jobs do
        started = time.perf_counter()
        STEPS[options.step](study, options.folder)
        print(time.perf_counter() - started)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = Path(folder)
        started = time.perf_counter()
        write(study, folder)
        size = sum(Path(cell.path).stat().st_size for cell in cells(study, folder)) / 1e9
        networks = len(study.train_conditions) * study.study.replicas
        scale = f"{networks:,} networks under {len(study.test_conditions)} conditions"
        seconds = time.perf_counter() - started
        print(f"{scale}, {size:.2f} GB of records written in {seconds:.0f} s\n")
        printed = Table()
        for step, what, limit, memory in (
            ("aggregate", f"table of {scale}", 60, 2),
            ("select", "open the table, read all counts of a pair of conditions", 1, 2),
            ("select_dice", "open the table, read a training condition's Dice", 1, 2),
            ("pairs", "information metrics of all pairs of conditions", 10, 1),
            ("ood_metrics", "OOD metrics with intervals", 60, 2),
        ):
            for unit, goal, value in zip(
                ("s", "GB"), (limit, memory), measure(step, file, folder), strict=True
            ):
                printed.row(f"{what} [{unit}]", goal, value)
        files = sum(path.is_file() for path in (folder / "table.zarr").rglob("*"))
        print(f"\n{files:,} files in the table")


if __name__ == "__main__":
    main()
