"""Trains some of the twelve thousand networks again, and compares them with the packed results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

from findings.twelve_thousand.packed import KIND, LARGEST, packed
from findings.twelve_thousand.pieces import DATA, WHOLE, run
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.axes import MAIN_AXES
from passband.config import load, study_file
from passband.grid import Condition
from passband.results import layout
from passband.results.stores import load_table
from passband.seeds import generator
from passband.storage import datasets, provenance

#: Number of networks that are trained again with the replicas of their training condition, and
#: alone.
AGAIN, ALONE = 10, 120
#: The integers of each network that are compared. Those with `own_` are under the own training
#: condition.
INTEGERS = ("tp", "fp", "image_dice", "own_tp", "own_fp", "own_image_dice")


def stored(folder: Path, ids: Iterable[str]) -> xr.Dataset:
    """Return the packed results of some training conditions, in the given order.

    Raises:
        PassbandError: If no packed piece has a training condition.
    """
    wanted, found = list(ids), []
    for path in sorted((folder / "parts").glob("*.zarr.zip")):
        piece = datasets.read(path, KIND)
        if kept := [id for id in piece.train.values if id in wanted]:
            found.append(piece[list(INTEGERS)].sel(train=kept).load())
    there = {str(id) for piece in found for id in piece.train.values}
    if lacking := [id for id in wanted if id not in there]:
        raise PassbandError(f"{folder / 'parts'}: has no network trained under {lacking[0]}")
    return xr.concat(found, "train").sel(train=wanted)


def smaller(whole: Path, name: str, ids: Sequence[str], **block: int) -> dict[str, Any]:
    """Return the content of a study file: the whole study with some training conditions only.

    Args:
        name: What is added to the study's name.
        **block: Changed keys of the block `study`.
    """
    study, content = load(whole), study_file.read(whole)
    conditions = map(Condition.parse, ids)
    points = [{axis: getattr(each, axis) for axis in MAIN_AXES} for each in conditions]
    content["grid"], content["test_grid"] = {"points": points}, study.test_axes
    content["study"] |= {"name": f"{study.study.name}-{name}", **block}
    return content


def trained(content: dict[str, Any], cores: int) -> xr.Dataset:
    """Train and test the networks of a study, and return its packed table of results.

    Raises:
        PassbandError: If a job failed.
    """
    results = Path("results") / content["study"]["name"]
    file = results.with_suffix(".yaml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    if status := run(file, results, cores):
        raise PassbandError(f"{file}: Snakemake ended with {status}")
    return packed(load_table(results / layout.TABLE))


def equal(made: xr.Dataset, expected: xr.Dataset) -> np.ndarray:
    """Return whether all integers of each network are the same, (train, replica) bool."""
    return np.logical_and.reduce([_same(made[name], expected[name]) for name in INTEGERS])


def _same(made: xr.DataArray, expected: xr.DataArray) -> np.ndarray:
    """Return whether all values of each network are the same, (train, replica) bool."""
    one, other = (data.transpose("train", "replica", ...).values for data in (made, expected))
    return (one == other).reshape(*one.shape[:2], -1).all(-1)


def mean_dice(data: xr.Dataset) -> np.ndarray:
    """Return the mean Dice of each network over test conditions and images, (train, replica)."""
    values = data.image_dice.transpose("train", "replica", ...).values
    return values.reshape(*values.shape[:2], -1).mean(-1) / LARGEST


def check_again(whole: Path, folder: Path, cores: int, number: int = AGAIN) -> dict[str, int]:
    """Train drawn networks again, each with all replicas of its training condition."""
    study = load(whole)
    random = generator("twelve thousand", "again")
    ids = [c.id for c in study.train_conditions]
    number = min(number, len(ids))
    rows = sorted(random.choice(len(ids), number, replace=False).tolist())
    replicas = random.integers(study.study.replicas, size=number)
    drawn = [ids[row] for row in rows]
    expected = stored(folder, drawn)
    made = trained(smaller(whole, "again", drawn), cores).sel(train=drawn)
    same = equal(made, expected)
    numbers = sum(made[name].size for name in INTEGERS)
    return {
        "drawn": number,
        "equal": int(same[np.arange(number), replicas].sum()),
        "numbers": numbers // study.study.replicas,
        "all": same.size,
        "all_equal": int(same.sum()),
        "all_numbers": numbers,
    }


def check_alone(
    whole: Path, folder: Path, cores: int, number: int = ALONE
) -> dict[str, int | float]:
    """Train the first replica of training conditions that are drawn at random, each alone."""
    ids = [c.id for c in load(whole).train_conditions]
    number = min(number, len(ids))
    random = generator("twelve thousand", "alone")
    drawn = [ids[row] for row in sorted(random.choice(len(ids), number, replace=False).tolist())]
    expected = stored(folder, drawn).sel(replica=[0])
    content = smaller(whole, "alone", drawn, replicas=1, replicas_per_job=1)
    made = trained(content, cores).sel(train=drawn)
    apart = (mean_dice(made) - mean_dice(expected))[:, 0]
    means = resample(number, 2000, "twelve thousand", "alone") @ apart / number
    low, high = percentile_interval(means, interval_edges(0.95))
    return {
        "networks": number,
        "equal": int(equal(made, expected).sum()),
        "difference": float(apart.mean()),
        "low": float(low),
        "high": float(high),
    }


def check(cores: int, whole: Path = WHOLE, folder: Path = DATA) -> int:
    """Write ``check.json`` beside the page.

    Returns:
        0 if all networks that were trained again are equal, and the interval of the difference of
        those that were trained alone contains 0; otherwise 1.
    """
    found = {
        "git_revision": provenance.attributes("", "", "")["git_revision"],
        "again": check_again(whole, folder, cores),
        "alone": check_alone(whole, folder, cores),
    }
    text = json.dumps(found, indent=2)
    (folder / "check.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    is_equal = found["again"]["all_equal"] == found["again"]["all"]
    return 0 if is_equal and found["alone"]["low"] <= 0 <= found["alone"]["high"] else 1
