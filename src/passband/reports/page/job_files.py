"""Reads what jobs left beside the stores of a study: histories of training, and benchmarks."""

import csv
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passband.network_id import NetworkId


@dataclass(frozen=True)
class History:
    """The training of one network.

    Attributes:
        epoch, dice, loss: (epochs,), number of each epoch, from 0, and Dice and loss on the
            validation structures after it.
    """

    network: NetworkId
    epoch: np.ndarray
    dice: np.ndarray
    loss: np.ndarray

    @property
    def final(self) -> float:
        """Dice after the epoch with the lowest validation loss, whose weights are kept."""
        losses = np.where(np.isfinite(self.loss), self.loss, np.inf)
        return float(self.dice[losses.argmin()])


def histories(files: Iterable[tuple[NetworkId, Path]]) -> list[History]:
    """Return the histories of all networks whose files can be read.

    Args:
        files: A job's networks of a condition, without a replica, and the job's CSV file. If the
            job has several training conditions, the file has a column with the condition.
    """
    found = []
    for cell, path in files:
        networks: dict[int, list[tuple[float, float, float]]] = {}
        with (
            suppress(OSError, KeyError, ValueError, TypeError),
            path.open(encoding="utf-8") as file,
        ):
            for row in csv.DictReader(file):
                values = tuple(float(row[n] or "nan") for n in ("epoch", "val_dice", "val_loss"))
                if "condition" not in row or row["condition"] == cell.condition:
                    networks.setdefault(int(row["replica"]), []).append(values)
        for replica, rows in networks.items():
            found.append(History(replace(cell, replica=replica), *np.array(rows).T))
    return found


@dataclass
class Cost:
    """What the jobs of a stage took together.

    Attributes:
        stage: The first part of the path of the stage's benchmarks.
        wall_s, cpu_s: Sums over jobs of the time from start to end, and of the processor time [s].
        memory_MB: The largest memory of a job [MB].
    """

    stage: str
    jobs: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_MB: float = 0.0


def costs(folder: Path) -> list[Cost]:
    """Return the cost of each stage from Snakemake's benchmarks, the most expensive stage first.

    A job has one benchmark, of its last successful attempt. Jobs of less than a second may have no
    processor time. Files that cannot be read are left out.

    Args:
        folder: The study's folder of benchmarks, which may be absent.
    """
    stages: dict[str, Cost] = {}
    for path in sorted(folder.rglob("*.tsv")):
        stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
        with suppress(OSError, ValueError, KeyError, TypeError, StopIteration):
            with path.open(encoding="utf-8") as file:
                row = next(csv.DictReader(file, delimiter="\t"))
            wall = float(row["s"])
            cost = stages.setdefault(stage, Cost(stage))
            cost.jobs += 1
            cost.wall_s += wall
            cost.cpu_s += _number(row.get("cpu_time"))
            cost.memory_MB = max(cost.memory_MB, _number(row.get("max_rss")))
    return sorted(stages.values(), key=lambda cost: -cost.wall_s)


def _number(text: str | None) -> float:
    """Return a benchmark's value, or 0 if Snakemake wrote NA or a dash."""
    try:
        return float(text or "")
    except ValueError:
        return 0.0
