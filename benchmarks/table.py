"""Measure what is made of a study's records: table, slices, OOD metrics, information metrics.

    python benchmarks/table.py                          # studies/paper.yaml, a few minutes
    python benchmarks/table.py --quick                  # studies/smallest.yaml, for a look
    python benchmarks/table.py --folder /scratch/x      # where records and table go for the while

Records have the study's shape and counts as networks have them, but no network is trained. Every
step runs in a process of its own, whose peak memory is its own; its seconds leave the imports out.
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

from passband import information, jobs, ood, store, table
from passband.config import Study, load
from passband.grid import batches
from passband.scores import OUTCOMES

ROOT = Path(__file__).resolve().parents[1]
PER_GB = 1e9 if sys.platform == "darwin" else 1e9 / 1024  # ru_maxrss is bytes there, KiB elsewhere


def cells(study: Study, folder: Path) -> list[table.Cell]:
    """Return every train job of the study and where its record lies."""
    jobs = batches(study.study.replicas, study.study.replicas_per_job).items()
    return [
        table.Cell(s, a, c.id, tuple(replicas), f"{folder}/records/{s}/{a}/{c.id}/{name}.zarr.zip")
        for s, a, c, (name, replicas) in product(
            study.specimens, study.training.architectures, study.train_conditions, jobs
        )
    ]


def record(study: Study, replicas: tuple[int, ...], random: np.random.Generator) -> xr.Dataset:
    """Return a record of networks that find most of each particle, under some conditions less."""
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
        },
        {
            "replica": list(replicas),
            "test_specimen": specimens,
            "test": test,
            "outcome": list(OUTCOMES),
        },
    )


def write(study: Study, folder: Path) -> None:
    """Write a record for every job; of their numbers, a few are drawn and used again."""
    random, drawn = np.random.default_rng(0), {}
    provenance = store.provenance(study.study.name, study.digest, "benchmarks/table.py")
    for number, cell in enumerate(cells(study, folder)):
        key = cell.replicas, number % 16
        if key not in drawn:
            drawn[key] = record(study, cell.replicas, random)
        of = {"specimen": cell.specimen, "architecture": cell.architecture, "condition": cell.train}
        store.write(drawn[key], cell.path, store.RECORD, provenance | of)


def aggregate(study: Study, folder: Path) -> None:
    test = [condition.id for condition in study.test_conditions]
    path, attrs = folder / "table.zarr", {"study": "benchmark"}
    table.aggregate(
        cells(study, folder), test, list(study.specimens), path, attrs, threads=os.cpu_count()
    )


def select(study: Study, folder: Path) -> None:
    """Open the table and read all replicas of one condition under one other."""
    opened = table.load(folder / "table.zarr")
    opened.counts.isel(train=len(opened.train) // 2, test=-1).load()


def select_dice(study: Study, folder: Path) -> None:
    """Open the table and read a training condition's Dice under all others."""
    opened = table.load(folder / "table.zarr")
    opened.dice.isel(train=len(opened.train) // 2).load()


def pairs(study: Study, folder: Path) -> None:
    q = np.linspace(0, study.microscope.sampling.cutoff, 256)
    curves = {"flat": (q, np.full_like(q, 0.005))}
    curves |= {s: (q, 0.02 * np.exp(-4 * q)) for s in study.specimens}
    metrics = information.metrics(
        study.train_conditions,
        study.test_conditions,
        study.microscope,
        study.information.samples,
        curves,
        bands=study.information.bands_per_A,
    )
    store.write(metrics, folder / "information.zarr", store.INFORMATION, {})


def bootstrap(study: Study, folder: Path) -> None:
    jobs.cap_threads(1)  # as the job does, whose threads are those below
    metrics = ood.metrics(
        table.load(folder / "table.zarr"),
        store.read(folder / "information.zarr", store.INFORMATION),
        study.evaluation.bootstrap,
        study.evaluation.confidence,
        study.study.seed,
        threads=os.cpu_count(),
    )
    store.write(metrics, folder / "ood.zarr", store.OOD, {})


STEPS = {step.__name__: step for step in (aggregate, select, select_dice, pairs, bootstrap)}


def measure(step: str, file: Path, folder: Path) -> tuple[float, float]:
    """Return a step's seconds without imports, and its process's peak memory [GB]."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(file), "--folder", str(folder), "--step", step],
        stdout=subprocess.PIPE,
        text=True,
    )
    printed = process.stdout.read()
    # wait4 gives this child's own usage; getrusage would give the largest of all so far.
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
    parser.add_argument("--folder", type=Path, help="where files go (default: a temporary folder)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    file = ROOT / "studies/smallest.yaml" if options.quick else options.study
    study = load(file)
    if options.step:
        jobs.keep_memory()  # as the jobs do
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
        of = f"{networks:,} networks under {len(study.test_conditions)} conditions"
        seconds = time.perf_counter() - started
        print(f"{of}, {size:.2f} GB of records written in {seconds:.0f} s\n")
        print("| what | goal | measured | |\n|---|---|---|---|")
        for step, what, limit, memory in (
            ("aggregate", f"table of {of}", 60, 2),
            ("select", "open it, select one condition under one other, counts of all images", 1, 2),
            ("select_dice", "open it, select one condition's Dice under all others", 1, 2),
            ("pairs", "information metrics of all pairs of conditions", 10, 1),
            ("bootstrap", f"OOD metrics, bootstrap of {study.evaluation.bootstrap:,}", 60, 2),
        ):
            for unit, goal, value in zip(
                ("s", "GB"), (limit, memory), measure(step, file, folder), strict=True
            ):
                verdict = "met" if value <= goal else "missed"
                print(f"| {what} [{unit}] | ≤ {goal:.2f} | {value:.2f} | {verdict} |", flush=True)
        files = sum(path.is_file() for path in (folder / "table.zarr").rglob("*"))
        print(f"\n{files:,} files in the table")


if __name__ == "__main__":
    main()
