"""The text of `passband plan`: how much work a study is, and how much of this work is left.

Numbers of jobs, images and files follow from the configuration alone, see
:mod:`passband.runs.counts`, and the memory is what the jobs request. Hours follow from measurements
on this machine, see :mod:`passband.runs.calibration`, and bytes from files that are written to
measure them, see :mod:`passband.runs.file_sizes`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passband.axes import AXES
from passband.config import FEWEST_PREDICTED, Study
from passband.learning import memory
from passband.outcomes import Outcome
from passband.results import Results
from passband.runs import rates
from passband.runs.calibration import Calibration
from passband.runs.counts import GROWING, count
from passband.runs.job_states import Run
from passband.runs.rates import OTHERS, Speeds, seconds_by_rule
from passband.words import duration, in_bytes, number_of, work


@dataclass(frozen=True)
class Checked(Outcome):
    """A study that was checked: what it has, and how many jobs it needs."""

    study: Study

    @property
    def remarks(self) -> Sequence[str]:
        """Lines about settings that are allowed, and unusual."""
        return self.study.remarks

    @property
    def networks(self) -> int:
        """Number of networks."""
        return count(self.study).networks

    def __str__(self) -> str:
        return summary(self.study, listed=True)

    def values(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes, by name."""
        study = self.study
        counted = count(study)
        return {
            "study": study.study.name,
            "trained_specimens": list(study.trained_specimens),
            "specimens": list(study.specimens),
            "architectures": list(study.training.architectures),
            "train_conditions": study.train_number,
            "test_conditions": study.test_number,
            "replicas": study.study.replicas,
            "networks": counted.networks,
            "jobs": counted.jobs,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class Plan(Outcome):
    """How much work a study is, and how long it takes.

    Attributes:
        checked: What the study has.
        text: The plan in lines.
        steps: Number of optimizer steps of all networks.
        files, bytes: Number and size of the study's files.
        memory: What a job of each kind requests at its first attempt [MB].
        seconds: The time of each part of the study [s].
        unit: Of what these are times: "core" or "GPU".
        device: The name of the CPU or GPU.
    """

    checked: Checked
    text: str
    steps: int
    files: int
    bytes: float
    memory: Mapping[str, int]
    seconds: Mapping[str, float]
    unit: str
    device: str

    def __str__(self) -> str:
        return self.text


def summary(study: Study, listed: bool = False) -> str:
    """Return a few lines with the numbers of a study's specimens, conditions, networks and jobs.

    If `listed` is true, lines with the first and the last conditions of each block follow, and with
    the parts that the study brings.
    """
    counted = count(study)
    product = " × ".join(
        number_of(number, noun)
        for number, noun in (
            (len(study.trained_specimens), "specimen"),
            (study.train_number, "condition"),
            (len(study.training.architectures), "architecture"),
            (study.study.replicas, "replica"),
        )
    )
    train, test, mixed = study.train_number, study.test_number, study.mixture_number
    under = f"{train - mixed:,} to train under, {test:,} to test under{_further(study)}"
    if mixed:
        condition = number_of(train - mixed, "condition")
        both = f"({condition} + {number_of(mixed, 'mixture')})"
        product = product.replace(number_of(train, "condition"), both, 1)
    trained, tested = len(study.trained_specimens), len(study.specimens)
    jobs = ", ".join(f"{counted.jobs[rule]:,} {rule}" for rule in GROWING)
    return _aligned(
        {
            "study": study.study.name,
            "specimens": f"{trained:,} to train on, {tested:,} to test on",
            "conditions": under,
            **({"mixtures": f"{mixed:,} to train under"} if mixed else {}),
            **(_blocks(study) | _own_parts(study) if listed else {}),
            "networks": f"{counted.networks:,} = {product}",
            "jobs": jobs,
            "prediction": "each level of an axis from the others"
            if study.predictable
            else f"none, since it needs {FEWEST_PREDICTED} conditions of each kind",
        }
    )


def _own_parts(study: Study) -> dict[str, list[str]]:
    """Return lines with the parts that the study brings, so that a forgotten one is missed."""
    own = [f"{part.kind} {part.name}, {part.shown_file}" for part in study.known_parts.own]
    return {"parts": own} if own else {}


def _further(study: Study) -> str:
    """Return words about tests of the own networks only."""
    own = study.own_number
    return f", {own:,} for the own networks only" if own else ""


#: Number of first conditions, and of last conditions, that are listed for each block.
_LISTED = 3


def _blocks(study: Study) -> dict[str, list[str]]:
    """Return lines with the number of conditions of each block, and its first and last ones."""
    lines = {}
    for name, products in study.blocks.items():
        if name.startswith("test_grid") and products == study.train_products:
            lines[name] = ["the conditions of grid"]
            continue
        found = study.axes.conditions(products)
        listed = [_words(condition.values()) for condition in found]
        if len(found) > 2 * _LISTED + 1:
            left = f"({len(found) - 2 * _LISTED:,} more)"
            listed = [*listed[:_LISTED], left, *listed[-_LISTED:]]
        lines[name] = [number_of(len(found), "condition"), *(f"  {words}" for words in listed)]
    for name, mixture in zip(study.mixture_blocks, study.mixtures, strict=True):
        lines[name] = [f"mixture {mixture.id}: {mixture.words()}"]
    return lines


def _words(values: dict[str, float]) -> str:
    return ", ".join(AXES[name].named(f"{value:g}") for name, value in values.items())


def _aligned(lines: dict[str, str | list[str]]) -> str:
    """Return aligned lines of text after their names. A name can have several lines."""
    rows = [
        (name if not place else "", text)
        for name, texts in lines.items()
        for place, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    width = max(10, *map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def elapsed(study: Study, took: Mapping[str, float], speeds: Speeds, together: int) -> float:
    """Return the seconds until a study is complete, if `together` jobs run at a time.

    A rule with fewer jobs keeps only as many cores busy, such as the training of one network. The
    jobs that make the table, the OOD metrics, the prediction and the pages run one after
    another. While they run, other cores have nothing to do.
    """
    jobs = count(study).jobs
    serial = ("aggregate", "ood", "prediction", "report", "explorer")
    alone = [rule for rule in serial if jobs.get(rule)]
    last = sum(rates.other_seconds(rule, speeds) + speeds.start_light for rule in alone)
    growing = sum(took[rule] / min(together, jobs[rule]) for rule in GROWING)
    others = sum(took.values()) - last - sum(took[rule] for rule in GROWING)
    # Snakemake itself starts once.
    return growing + others / together + last + speeds.start_light / 2


def _left(results: Results, took: Mapping[str, float], unit: str) -> list[str]:
    """Return lines about the work that is not done yet, or no line if no work is done yet.

    What a changed configuration will make again is not done.

    Args:
        took: The times of :func:`seconds_by_rule`.
    """
    run = Run(results).read()
    counted = count(results.study)
    numbers = {stage: run.networks(stage) for stage in GROWING}
    shares = {stage: (total - done) / total for stage, (done, total) in numbers.items()}
    if min(shares.values()) == 1:
        return []
    if not any(shares.values()):
        return ["nothing: all structures, networks and tests are done"]
    files = round(shares["simulate"] * counted.jobs["simulate"])
    train, test = (numbers[stage][1] - numbers[stage][0] for stage in ("train", "evaluate"))
    jobs = sum(shares[stage] * counted.jobs[stage] for stage in GROWING)
    # All other jobs depend on networks.
    started = (jobs + sum(counted.others.values())) / sum(counted.jobs.values())
    seconds = started * took["starting"] + took[OTHERS]
    seconds += sum(shares[stage] * took[stage] for stage in GROWING)
    return [
        f"{number_of(files, 'file')} of structures to simulate, "
        f"{number_of(train, 'network')} to train and {test:,} to test",
        f"{train * counted.steps_per_network:,} steps and {work(seconds, unit)}",
    ]


def requested(study: Study) -> dict[str, int]:
    """Return what a job of each kind requests at its first attempt [MB], by its name."""
    found = {"simulate": memory.simulate_mb(study)}
    for name in study.training.architectures:
        found[f"train {name}"] = memory.train_mb(study, name)
        found[f"evaluate {name}"] = memory.evaluate_mb(study, name)
    return found


def plan(results: Results, measured: Calibration) -> Plan:
    """Return how much work a study is, with lines about the part that is not done yet.

    Args:
        results: The study, of which nothing may exist yet.
        measured: What its stages take on this machine.
    """
    study = results.study
    counted = count(study)
    speeds = measured.speeds
    took = seconds_by_rule(study, speeds)
    steps = counted.networks * counted.steps_per_network
    size = measured.sizes.total(study)
    asked = requested(study)
    rows = {
        "steps": f"{steps:,} of {study.training.batch_size} images",
        "memory": [f"{need / 1e3:.1f} GB for a job of {name}" for name, need in asked.items()],
        "files": f"about {counted.files:,}, together {in_bytes(size)}",
        "training": list(measured.by_torch),
        "time": _times(study, speeds, took),
        "left": _left(results, took, speeds.unit),
    }
    text = f"{summary(study)}\n{_aligned({name: row for name, row in rows.items() if row})}"
    return Plan(
        checked=Checked(study),
        text=text,
        steps=steps,
        files=counted.files,
        bytes=size,
        memory=asked,
        seconds=took,
        unit=speeds.unit,
        device=speeds.device,
    )


def _times(study: Study, speeds: Speeds, took: Mapping[str, float]) -> list[str]:
    """Return the lines about the time on the machine that was measured."""
    total = sum(took.values())
    first = f"{work(total, speeds.unit)} on {speeds.device}, measured"
    if speeds.unit == "core":
        cores = os.cpu_count() or 1
        until = duration(elapsed(study, took, speeds, together=cores))
        first += f"; {until} with all {cores} cores of this machine"
    return [
        first,
        *(f"{name:<26}  {work(t, speeds.unit):>20}  {t / total:>4.0%}" for name, t in took.items()),
    ]
