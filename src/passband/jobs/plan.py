"""The text of `passband plan`: how much work a study is, and how much of this work is left.

Numbers of jobs, images and files follow from the configuration alone, see
:mod:`passband.jobs.counts`. Hours follow from measurements on this machine, see
:mod:`passband.jobs.calibration`.
"""

import os
from collections.abc import Callable
from pathlib import Path

from passband.config import FEWEST_PREDICTED, Study
from passband.grid import AXES, conditions
from passband.jobs.calibration import Speeds, calibrate
from passband.jobs.counts import count, in_bytes, sizes, structures


def summary(study: Study, listed: bool = False) -> str:
    """Return a few lines with the numbers of a study's specimens, conditions, networks and jobs.

    If `listed` is true, lines with the first and the last conditions of each block follow.
    """
    counted = count(study)
    product = " × ".join(
        _count(number, noun)
        for number, noun in (
            (len(study.trained_specimens), "specimen"),
            (study.train_number, "condition"),
            (len(study.training.architectures), "architecture"),
            (study.study.replicas, "replica"),
        )
    )
    train, test = study.train_number, study.test_number
    trained, tested = len(study.trained_specimens), len(study.specimens)
    jobs = ", ".join(f"{counted.jobs[rule]:,} {rule}" for rule in ("simulate", "train", "evaluate"))
    return _aligned(
        {
            "study": study.study.name,
            "specimens": f"{trained:,} to train on, {tested:,} to test on",
            "conditions": f"{train:,} to train under, {test:,} to test under",
            **(_blocks(study) if listed else {}),
            "networks": f"{counted.networks:,} = {product}",
            "jobs": jobs,
            "prediction": "each pair from the other pairs"
            if study.predictable
            else f"none, since it needs {FEWEST_PREDICTED} conditions of each kind",
        }
    )


#: Number of first conditions, and of last conditions, that are listed for each block.
_LISTED = 3


def _blocks(study: Study) -> dict[str, list[str]]:
    """Return lines with the number of conditions of each block, and its first and last ones."""
    own, lines = study.own_values, {}
    for name, products in study.blocks.items():
        if name.startswith("test_grid") and products == study.train_products:
            lines[name] = ["the conditions of grid"]
            continue
        found = conditions(products, own)
        listed = [_words(condition.values(own)) for condition in found]
        if len(found) > 2 * _LISTED + 1:
            left = f"({len(found) - 2 * _LISTED:,} more)"
            listed = [*listed[:_LISTED], left, *listed[-_LISTED:]]
        lines[name] = [_count(len(found), "condition"), *(f"  {words}" for words in listed)]
    return lines


def _words(values: dict[str, float]) -> str:
    return ", ".join(f"{AXES[name].label} {x:g} {AXES[name].unit}" for name, x in values.items())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _aligned(lines: dict[str, str | list[str]]) -> str:
    """Return aligned lines of text after their names. A name can have several lines."""
    rows = [
        (name if not place else "", text)
        for name, texts in lines.items()
        for place, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    width = max(10, *map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def hours(study: Study, speeds: Speeds) -> dict[str, float]:
    """Return core-hours or GPU-hours by rule; the last entry is the time to start all jobs.

    The times of all replicas are added. Vectorized replicas on a GPU take less time than this sum.
    """
    counted = count(study)
    networks = counted.networks / len(study.training.architectures)
    jobs = counted.jobs["train"] / len(study.training.architectures)
    epochs, split = study.training.epochs, study.study.structures
    train = counted.jobs["train"] * counted.trained_on * (speeds.image - speeds.noise)
    train += counted.drawn * speeds.noise
    evaluate = jobs * len(speeds.step) * counted.tested_on * speeds.image
    for name, step in speeds.step.items():
        validation = split.val * speeds.predict[name]
        train += networks * epochs * (split.train * step + validation)
        evaluate += networks * counted.tested_on * speeds.predict[name]
    seconds = {
        "simulate": sum(
            structures(study, specimen) * speeds.structure[name]
            for name, specimen in study.specimens.items()
        ),
        "train": train,
        "evaluate": evaluate,
        "starting": sum(counted.jobs.values()) * speeds.start,
    }
    return {rule: value / 3600 for rule, value in seconds.items()}


def left(study: Study, results: Path) -> dict[str, float]:
    """Return the share of `simulate`, `train` and `evaluate` that is not done yet, from 0 to 1.

    The share is that of networks for `train` and `evaluate`, and that of files of exit waves for
    `simulate`. The shares follow from the names and times of the files in the study's `results`.
    Results that a changed configuration will make again count as done.
    """
    from passband.jobs import status  # only this part of `passband plan` reads results

    stages = status.scan(study, results).stages
    shares = {}
    for stage in ("simulate", "train", "evaluate"):
        sizes = [(job.networks or 1, job.state != "done") for job in stages[stage]]
        shares[stage] = sum(n for n, open_ in sizes if open_) / sum(n for n, _ in sizes)
    return shares


def _left(study: Study, shares: dict[str, float], took: dict[str, float], unit: str) -> list[str]:
    """Return lines about the work that is not done yet, or no line if no work is done yet."""
    if min(shares.values()) == 1:
        return []
    if not any(shares.values()):
        return ["nothing: all structures, networks and tests are done"]
    counted, stages = count(study), ("simulate", "train", "evaluate")
    files, *networks = (
        round(shares[stage] * number)
        for stage, number in zip(
            stages, (counted.jobs["simulate"], counted.networks, counted.networks), strict=True
        )
    )
    jobs = sum(shares[stage] * counted.jobs[stage] for stage in stages)
    starting = took["starting"] * jobs / sum(counted.jobs[stage] for stage in stages)
    time = starting + sum(shares[stage] * took[stage] for stage in stages)
    return [
        f"{_count(files, 'file')} of structures to simulate, {_count(networks[0], 'network')} to "
        f"train and {networks[1]:,} to test",
        f"{networks[0] * counted.steps_per_network:,} steps and {_time(time, f'{unit}-')}",
    ]


def render(
    study: Study,
    results: Path,
    seconds: float = 12.0,
    say: Callable[[str], object] = lambda part: None,
) -> str:
    """Return aligned lines about a study's work, and about the part that is not done yet.

    Parameters
    ----------
    study : Study
        The configuration.
    results : path
        The study's folder of results, which may not exist.
    seconds : float
        Duration of the calibration [s].
    say : callable
        A function that is called with the name of each part before the part is measured.
    """
    speeds = calibrate(study, seconds, say)
    counted, took = count(study), hours(study, speeds)
    written = sizes(study, speeds.wave_bytes, speeds.weight_bytes)
    steps = counted.networks * counted.steps_per_network
    at_most = "at most " if study.training.patience else ""
    trained = counted.jobs["train"] * counted.trained_on
    tested = counted.jobs["evaluate"] * counted.tested_on
    total = sum(took.values())
    replicas = min(study.study.replicas, study.study.replicas_per_job)
    where = f"on {speeds.device}"
    if speeds.unit == "core":
        cores = os.cpu_count() or 1
        where += f"; {_time(total / cores)} with all {cores} cores of this machine"
    rows = {
        "steps": f"{at_most}{steps:,} of {study.training.batch_size} images",
        "images": f"{trained:,} to train, if they fit into memory, with noise drawn "
        f"{counted.drawn:,} times, and {tested:,} to test",
        "memory": [
            f"{need / 1e9:.1f} GB in a train job of {_count(replicas, 'replica')} of {name}"
            for name, need in speeds.memory.items()
        ],
        "files": [
            f"{sum(counted.files.values()):,} of {in_bytes(sum(written.values()))}",
            *(
                f"{name:<26}  {counted.files[name]:>7,}  {in_bytes(written[name]):>8}"
                for name in written
            ),
        ],
        "time": [
            f"{_time(total, f'{speeds.unit}-')} {where}",
            *(f"{rule:<26}  {_time(t):>11}  {t / total:>4.0%}" for rule, t in took.items()),
        ],
    }
    if lines := _left(study, left(study, results), took, speeds.unit):
        rows["left"] = lines
    return f"{summary(study)}\n{_aligned(rows)}"


def _time(hours: float, of: str = "") -> str:
    """Return a time in minutes, or from two hours on in hours; `of` is in front of the unit."""
    value, unit = (hours, "hours") if hours >= 2 else (60 * hours, "minutes")
    number = f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
    return f"{number} {of}{unit}"
