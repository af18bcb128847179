"""Times of a study's jobs: of stages that were measured, or on a typical core.

The rates of a typical core are in the table ``rates.yaml`` of this folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from passband.config import Microscope, Specimen, Study
from passband.learning.network_sizes import bytes_per_pixel
from passband.parts import PACKAGE
from passband.runs.counts import GROWING, count, structures
from passband.units import A_PER_NM

#: Path of the table.
FILE = Path(__file__).with_name("rates.yaml")
#: The name of all rules that are not `GROWING`, in the times of :func:`seconds_by_rule`.
OTHERS = "analysis and figures"
#: The engine with which others are compared.
_OWN = "passband"


@dataclass(frozen=True)
class Speeds:
    """Times of a study's stages on a machine.

    Times are seconds of one core, or seconds of a GPU if the machine has one.

    Attributes:
        device: The name of the CPU or GPU.
        unit: "core" or "GPU".
        start, start_light: Time to start a job of `train` or `evaluate`, and of the other rules,
            which import less [s].
        structure: For each specimen, the time to simulate a structure [s].
        image, noise: Time to form an image [s], and the part of this time for noise and
            normalisation [s]. The time to form an image includes its share of the time to compute a
            transfer function.
        step, predict: For each architecture, the time per image of an optimizer step and of a
            prediction [s].
    """

    device: str
    unit: str
    start: float
    start_light: float
    structure: Mapping[str, float]
    image: float
    noise: float
    step: Mapping[str, float]
    predict: Mapping[str, float]


@cache
def table() -> dict:
    """Return the table of a typical core."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


#: Seconds to start the two processes of a job on a typical core.
START_S: float = table()["start_s"]


def others_s(rule: str) -> float:
    """Return the work of a job that hardly grows with the study, on a typical core [s]."""
    others = table()["others_s"]
    return others.get(rule, others["other"])


def other_seconds(rule: str, speeds: Speeds) -> float:
    """Return the work of another rule's job [s]: that of a typical core, at this machine's speed.

    How much slower or faster this machine is than a typical core, the start of jobs says.
    """
    return others_s(rule) * speeds.start / START_S


def seconds_by_rule(study: Study, speeds: Speeds) -> dict[str, float]:
    """Return the time of all jobs of each rule [s of a core or of a GPU].

    The last two entries are the time of all other rules, and the time to start all jobs.
    The times of all replicas are added. Vectorized replicas on a GPU take less time than this sum.
    """
    counted = count(study)
    networks = counted.networks / len(study.training.architectures)
    epochs, split = study.training.epochs, study.study.structures
    train = counted.trainings * counted.trained_on * (speeds.image - speeds.noise)
    train += counted.drawn * speeds.noise + counted.mixed * (speeds.image - speeds.noise)
    evaluate = counted.formed * speeds.image
    for name, step in speeds.step.items():
        validation = split.val * speeds.predict[name]
        train += networks * epochs * (split.train * step + validation)
        evaluate += networks * counted.tested_on * speeds.predict[name]
    return {
        "simulate": sum(
            structures(study, name) * speeds.structure[name] for name in study.specimens
        ),
        "train": train,
        "evaluate": evaluate,
        OTHERS: sum(other_seconds(rule, speeds) * n for rule, n in counted.others.items()),
        "starting": speeds.start * (counted.jobs["train"] + counted.jobs["evaluate"])
        + speeds.start_light * (counted.jobs["simulate"] + sum(counted.others.values())),
    }


def typical(study: Study) -> Speeds:
    """Return the times of a study's stages on a typical core."""
    core = table()
    microscope = study.microscope
    noise = core["noise_s"] * microscope.field_px**2
    slices_s = _slices_s(microscope)
    step = {
        name: core["step_s"]
        * microscope.field_px**2
        * bytes_per_pixel(study.training.architecture(name))
        for name in study.training.architectures
    }
    return Speeds(
        device="a typical core",
        unit="core",
        start=core["start_s"],
        start_light=core["start_light_s"],
        structure={name: slices_s * _slices(study, name) for name in study.specimens},
        image=core["image_s"] * _wave_values(microscope) + noise,
        noise=noise,
        step=step,
        predict={name: core["predict"] * value for name, value in step.items()},
    )


def _slices_s(microscope: Microscope) -> float:
    """Return the time of an engine, for each pixel of the multislice grid and each Å [s]."""
    known = table()["slices_s"]
    part = microscope.engine_part
    if microscope.engine in known and not part.is_own:
        return known[microscope.engine]
    # Nobody has measured it: its declaration says how slow it is beside Passband's own.
    ours = PACKAGE.get("engine", _OWN).declaration.seconds_per_pixel
    return known[_OWN] * part.declaration.seconds_per_pixel / ours


def seconds(study: Study) -> dict[str, float]:
    """Return the seconds of one job of each rule on a typical core, with the time to start it.

    `passband plan` measures for many seconds how long a study's stages take on this machine. A run
    that starts has no time for that, and needs only the ratios of these times.
    """
    took = seconds_by_rule(study, typical(study))
    return {
        rule: START_S + (took[rule] / number if rule in GROWING else others_s(rule))
        for rule, number in count(study).jobs.items()
        if number
    }


def _slices(study: Study, specimen: str) -> float:
    """Return the pixels of the multislice grid times the mean height [Å] of a structure."""
    return study.microscope.multislice.px**2 * _height(study.specimens[specimen])


def _height(specimen: Specimen) -> float:
    """Return the mean height of a specimen's structures [Å], times its configurations."""
    return specimen.thermal.configurations * specimen.mean_height_nm * A_PER_NM


def _wave_values(microscope: Microscope) -> int:
    """Return the number of complex values from which an image is formed."""
    members = microscope.focal_members if microscope.coherence == "focal-series" else 1
    return microscope.field_px**2 * microscope.oversampling**2 * members
