"""Dice of chosen networks on structures that no model learned from.

The weights of studies/twelve-thousand.yaml were not kept. So the networks that rules choose for its
drawn microscopes are trained again from their seeds, beside networks that are trained under the
microscopes themselves, and one of a mixture over all ranges, with the same number of steps. All are
tested on the test structures of the study, where they must give the stored Dice again, and on
further ones, which no model and no choice has seen.

    python -m findings.choosing.choices  # trains them, and writes choices.csv; minutes

Run it from the repository's root, after `python -m findings.twelve_thousand merge`.
"""

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from findings.choosing.rules import Networks, rules
from findings.choosing.scores import NEAREST
from findings.twelve_thousand.check import smaller, trained
from findings.twelve_thousand.parts import WHOLE
from findings.twelve_thousand.results import Estimate
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.answers.tested_networks import TestedNetworks
from passband.axes import MAIN_AXES
from passband.config import load
from passband.grid import Condition
from passband.matrices.of_study import matrices
from passband.matrices.packed import DRAWN, IMAGE_DICE, LARGEST
from passband.prediction.range_of_use import ranges
from passband.prediction.recommend.microscopes import microscopes
from passband.prediction.recommend.network_ranking import expected_dice
from passband.results import Results, layout
from passband.results.stores import load_table
from passband.storage import atomic
from passband.storage.records import FIRST

#: The folder of ``choices.csv``.
FOLDER = Path("findings/choosing")
#: Replicas of each condition, and all test structures, of which the first are those of the study.
REPLICAS, STRUCTURES = 2, 32
#: The network with the highest expected Dice, which `recommend` names first.
OURS = "recommended"
AVERAGE, MIXTURE, THERE = "best on average", "mixture", "trained there"
DRAWS, CONFIDENCE = 2000, 0.95


# ── Structures that no model learned from ────────────────────────────────────────────────────────


def chosen(results: Results) -> tuple[list[Condition], dict[str, list[str]]]:
    """Return the microscopes, and the ids of the training conditions that each rule chooses.

    The rules and the Gaussian process know the mean Dice of all replicas on all structures of the
    study under its test conditions.
    """
    study = results.study
    tested = TestedNetworks.open(results, with_extra=False).of_replicas()
    drawn, _ = microscopes(study, study.evaluation.microscopes, 0)
    (group,) = tested.of_groups
    train = group.train
    expected = expected_dice(tested.groups, None, drawn, tested.profiles, tested.doses)
    conditions = tuple(study.axes.parse(id) for id in train)
    known = Networks(group.networks, conditions, group.dice, tuple(tested.tested))
    found = {OURS: expected.mean.argmax(0)} | rules(known, drawn, tested.profiles)
    by_rule = {name: [train[k] for k in found[name]] for name in (OURS, NEAREST, AVERAGE)}
    return drawn, by_rule | {THERE: [condition.id for condition in drawn]}


def content(
    whole: Path, drawn: list[Condition], by_rule: Mapping[str, list[str]], structures: int
) -> dict[str, Any]:
    """Return the content of the study that trains all chosen networks, and tests them."""
    study = load(whole)
    ids = sorted({id for ids in by_rule.values() for id in ids})
    made = smaller(whole, "choices", ids, replicas=REPLICAS, replicas_per_job=REPLICAS)
    ends = {name: list(ends) for name, ends in ranges(study.test_conditions).items()}
    made["grid"] = [made["grid"], {"mixture": {"name": "all", "ranges": ends}}]
    points = [{axis: getattr(each, axis) for axis in MAIN_AXES} for each in drawn]
    made["test_grid"] = {"points": points}
    made["study"]["structures"] = made["study"]["structures"] | {"test": structures}
    made["evaluation"] |= {"microscopes": 0, "bootstrap": 0, "test_own": False}
    return made


def check_again(packed: xr.Dataset, stored: xr.Dataset) -> str:
    """Say how near the networks' Dice is to the stored one, on the structures of the study.

    On the same kind of processor with the same number of threads, it is the same. Elsewhere,
    rounding makes other networks of the same seeds, which must be nearer than other replicas are.

    Args:
        packed: The packed table of the networks that were trained again.
        stored: The table of the study, with its first replicas under the microscopes.

    Raises:
        PassbandError: If the root mean square difference is above half of that between replicas.
    """
    train = [id for id in packed.train.values if id in set(stored.train.values)]
    before = stored[f"{DRAWN}{IMAGE_DICE}"].sel(train=train, microscope=packed.test.values)
    again = packed[IMAGE_DICE].sel(train=train).isel(structure=slice(before.sizes["structure"]))
    dims = [d if d != "microscope" else "test" for d in before.dims]
    replicas = again.transpose("replica", *dims).values / LARGEST
    first = replicas[again.replica.values.tolist().index(FIRST)]
    apart = float(np.sqrt(np.mean((first - before.values / LARGEST) ** 2)))
    between = float(np.sqrt(np.mean((replicas[0] - replicas[1]) ** 2)))
    words = f"{apart:.4f} from the stored Dice (root mean square), {between:.4f} between replicas"
    if apart > between / 2:
        raise PassbandError(f"the networks are not those of the study: {words}")
    return words


def write(
    cores: int,
    results: Path = Path("results/twelve-thousand"),
    whole: Path = WHOLE,
    folder: Path = FOLDER,
    structures: int = STRUCTURES,
) -> int:
    """Write ``choices.csv``, print its table, and return the exit status 0.

    The file has the mean Dice of the replicas on each further structure. A run that was interrupted
    continues with the jobs that are not finished.
    """
    opened = Results(load(whole), results)
    drawn, by_rule = chosen(opened)
    made = content(whole, drawn, by_rule, structures)
    packed = trained(made, cores)
    print(check_again(packed, opened.table))
    table = load_table(Path("results") / made["study"]["name"] / layout.TABLE)
    (matrix,) = matrices(table)
    D = matrix.images()[..., opened.study.study.structures.test :].mean(1)
    (mixture,) = matrix.mixtures
    by_rule = by_rule | {MIXTURE: [mixture] * len(drawn)}
    rows = {id: k for k, id in enumerate(matrix.rows)}
    columns = {id: k for k, id in enumerate(matrix.columns)}
    with atomic.replacing(folder / "choices.csv") as beside, beside.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        first = opened.study.study.structures.test
        lines.writerow(["microscope", "rule", "train", *range(first, structures)])
        for name, ids in by_rule.items():
            for where, id in zip(drawn, ids, strict=True):
                dice = D[rows[id], columns[where.id]]
                lines.writerow([where.id, name, id, *(f"{value:.4f}" for value in dice)])
    print(summary(folder))
    return 0


def summary(folder: Path = FOLDER) -> str:
    """Return ``choices.csv`` as a table: mean Dice of each rule, and what is recommended minus it.

    The bootstrap resamples the microscopes and the structures together.
    """
    with (folder / "choices.csv").open(newline="") as file:
        _, *lines = csv.reader(file)
    D: dict[str, Any] = {}
    for _, rule, _, *dice in lines:
        D.setdefault(rule, []).append([float(value) for value in dice])
    D = {rule: np.array(values) for rule, values in D.items()}

    def both_ways(values: np.ndarray) -> str:
        sides = (
            resample(number, DRAWS, "choices", side) / number
            for number, side in zip(values.shape, ("microscopes", "structures"), strict=True)
        )
        means = np.einsum("dm,ms,ds->d", next(sides), values, next(sides), optimize=True)
        ends = percentile_interval(means, interval_edges(CONFIDENCE))
        return Estimate(float(values.mean()), *map(float, ends)).words("z.4f")

    head = "| network | Dice | recommended minus this |\n|---|---|---|"
    words = {NEAREST: "nearest in parameters by range"}
    rows = [
        f"| {words.get(rule, rule)} | {both_ways(v)} | {both_ways(D[OURS] - v)} |"
        for rule, v in D.items()
    ]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    sys.exit(write(int(sys.argv[1]) if sys.argv[1:] else 2))
