"""Times of a study's jobs on a typical core, from the configuration alone.

`passband plan` measures for many seconds how long a study's parts take on this machine. A run that
starts has no time for that: it needs only the ratios of the times of its jobs, for its bar. These
ratios follow from the same formulas as `passband plan`, with the times of a core on which they were
measured. :class:`passband.runs.progress.Progress` corrects them as jobs are done.
"""

from passband.config import Specimen, Study, architectures
from passband.runs import plan, rates
from passband.runs.calibration import Speeds
from passband.runs.counts import GROWING, count
from passband.units import A_PER_NM

#: The rates of a typical core, see `rates.yaml`.
_CORE = rates.table()["core"]
#: Seconds to start the two processes of a job.
START_S: float = _CORE["start_s"]


def speeds(study: Study) -> Speeds:
    """Return the times of a study's parts on a typical core. Sizes and memory are not estimated."""
    microscope = study.microscope
    px = microscope.field_px**2
    members = microscope.focal_members if microscope.coherence == "focal-series" else 1
    multislice = microscope.multislice.px**2
    image = _CORE["image_s"] * px * members * microscope.oversampling**2
    step = {
        name: _CORE["step_s"] * px * architectures.parse(name).bytes_per_pixel
        for name in study.training.architectures
    }
    return Speeds(
        device="a typical core",
        unit="core",
        start=START_S,
        start_light=_CORE["start_light_s"],
        structure={
            name: _CORE["slices_s"] * multislice * _height(specimen)
            for name, specimen in study.specimens.items()
        },
        wave_bytes={},
        image=image + _CORE["noise_s"] * px,
        noise=_CORE["noise_s"] * px,
        step=step,
        predict={name: _CORE["predict"] * value for name, value in step.items()},
        weight_bytes={},
        memory={},
    )


def seconds(study: Study) -> dict[str, float]:
    """Return the seconds of one job of each rule on a typical core, with the time to start it."""
    jobs = count(study).jobs
    took = plan.seconds_by_rule(study, speeds(study))
    return {
        rule: START_S + (took[rule] / number if rule in GROWING else rates.others_s(rule))
        for rule, number in jobs.items()
        if number
    }


def _height(specimen: Specimen) -> float:
    """Return the mean height of a specimen's structures [Å], times its configurations."""
    nm = specimen.substrate.thickness_nm + specimen.diameter_nm.mean + 1
    return specimen.thermal.configurations * nm * A_PER_NM
