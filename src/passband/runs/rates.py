"""Times of a study's jobs, from rates of machines that were measured.

Those of a typical core are in the table ``rates.yaml`` of this folder. `passband plan --save-rates`
writes those of the machine on which it runs, such as a node with a GPU, to a file that
`passband plan --rates` reads elsewhere.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, TypeAdapter

from passband.config import Microscope, Specimen, Study
from passband.errors import PassbandError
from passband.learning.network_sizes import bytes_per_pixel
from passband.parts import PACKAGE
from passband.runs.calibration import Speeds
from passband.runs.counts import GROWING, count, structures
from passband.units import A_PER_NM

#: Path of the table.
FILE = Path(__file__).with_name("rates.yaml")
#: The name of all rules that are not `GROWING`, in the times of :func:`seconds_by_rule`.
OTHERS = "analysis and figures"
#: The engine with which others are compared.
_OWN = "passband"
#: A rate.
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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

    How much slower or faster this machine is than a typical core is known from the start of jobs.
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


# ── Rates of a machine ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rates:
    """Times of a machine from which those of any study follow. They are in seconds.

    Attributes:
        device, unit: See :class:`passband.runs.calibration.Speeds`.
        slices_s: For each engine, to simulate a structure, for each pixel of the multislice grid
            and each Å of the structure's height.
        image_s: To form an image, for each complex value from which it is formed.
        noise_s: To draw the noise of an image, for each pixel.
        step_s: An optimizer step, for each pixel of its images and each byte that the architecture
            keeps of a pixel.
        predict: A prediction's share of a step.
        start_s, start_light_s: To start a job of `train` or `evaluate`, and of another rule.
    """

    device: str
    unit: Literal["core", "GPU"]
    slices_s: Mapping[str, _Seconds]
    image_s: _Seconds
    noise_s: _Seconds
    step_s: _Seconds
    predict: _Seconds
    start_s: _Seconds
    start_light_s: _Seconds

    @classmethod
    def of(cls, study: Study, speeds: Speeds) -> "Rates":
        """Return the rates of the machine on which the stages of a study were measured."""
        microscope = study.microscope
        px = microscope.field_px**2
        slices = sum(_slices(study, name) for name in speeds.structure)
        known = study.training.architecture
        stored = sum(bytes_per_pixel(known(name)) for name in speeds.step)
        steps = sum(speeds.step.values())
        return cls(
            device=speeds.device,
            unit=speeds.unit,
            slices_s={microscope.engine: sum(speeds.structure.values()) / slices},
            image_s=(speeds.image - speeds.noise) / _wave_values(microscope),
            noise_s=speeds.noise / px,
            step_s=steps / (px * stored),
            predict=sum(speeds.predict.values()) / steps,
            start_s=speeds.start,
            start_light_s=speeds.start_light,
        )

    def speeds(self, study: Study) -> Speeds:
        """Return the times of a study's stages on the machine.

        Raises:
            PassbandError: If the study has an engine that was not measured.
        """
        microscope = study.microscope
        px = microscope.field_px**2
        part = microscope.engine_part
        slices_s = self.slices_s.get(microscope.engine)
        if slices_s is None and part.is_own and _OWN in self.slices_s:
            # Nobody has measured it: its declaration says how slow it is beside Passband's own.
            ours = PACKAGE.get("engine", _OWN).declaration.seconds_per_pixel
            slices_s = self.slices_s[_OWN] * part.declaration.seconds_per_pixel / ours
        if slices_s is None:
            raise PassbandError(
                f"microscope.engine = {microscope.engine!r}: the rates of {self.device} are those "
                f"of {', '.join(self.slices_s)}; measure this study there with --save-rates"
            )
        noise = self.noise_s * px
        step = {
            name: self.step_s * px * bytes_per_pixel(study.training.architecture(name))
            for name in study.training.architectures
        }
        return Speeds(
            device=self.device,
            unit=self.unit,
            start=self.start_s,
            start_light=self.start_light_s,
            structure={name: slices_s * _slices(study, name) for name in study.specimens},
            image=self.image_s * _wave_values(microscope) + noise,
            noise=noise,
            step=step,
            predict={name: self.predict * value for name, value in step.items()},
        )


def write(path: Path, rates: Rates) -> None:
    """Write the rates of a machine to a file, completely or not at all.

    Raises:
        PassbandError: If it cannot be written.
    """
    from passband.storage import checked_json  # `passband check` does not need it

    try:
        checked_json.write(path, asdict(rates))
    except OSError as error:
        raise PassbandError(f"{path}: cannot be written: {error.strerror}") from None


def read(path: Path) -> Rates:
    """Return the rates that :func:`write` wrote.

    Raises:
        PassbandError: If there is no such file, or if it is damaged.
    """
    from passband.storage import checked_json

    try:
        return TypeAdapter(Rates).validate_python(checked_json.read(path))
    except OSError as error:
        raise PassbandError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise PassbandError(
            f"{path}: has no rates of a machine, or is damaged; write it there again: "
            "passband plan STUDY --save-rates FILE"
        ) from None


def typical() -> Rates:
    """Return the rates of a typical core."""
    core = table()
    return Rates(
        device="a typical core",
        unit="core",
        **{name: core[name] for name in Rates.__annotations__ if name in core},
    )


def seconds(study: Study) -> dict[str, float]:
    """Return the seconds of one job of each rule on a typical core, with the time to start it.

    `passband plan` measures for many seconds how long a study's stages take on this machine. A run
    that starts has no time for that, and needs only the ratios of these times.
    """
    took = seconds_by_rule(study, typical().speeds(study))
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
