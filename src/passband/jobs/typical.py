"""Times of a study's jobs on a typical core, from the configuration alone.

`passband plan` measures for many seconds how long a study's parts take on this machine. A run that
starts has no time for that: it needs only the ratios of the times of its jobs, for its bar. These
ratios follow from the same formulas as `passband plan`, with the times of a core on which they were
measured. :class:`passband.jobs.progress.Progress` corrects them as jobs are done.
"""

from passband.config import Specimen, Study, architectures
from passband.jobs import plan
from passband.jobs.calibration import Speeds
from passband.jobs.counts import count
from passband.units import A_PER_NM

# Seconds of one core with AVX-512, in bfloat16 where a job uses it; measured by `passband plan` on
# the demo: for each pixel of the multislice grid and each Å of a structure's height; for each pixel
# and each member of the focal series; for each pixel of noise; for each pixel of a training step
# and each byte per pixel of the architecture; and the share of a step that a prediction needs.
_SLICES_S, _IMAGE_S, _NOISE_S, _STEP_S, _PREDICT = 2.5e-8, 1.7e-8, 1.6e-8, 9.3e-10, 0.2
#: Seconds to start the two processes of a job.
START_S = 8.0
#: Seconds of work of those jobs whose number does not grow with the study.
_OTHERS_S = {"information": 4.0, "prediction": 60.0, "figure_examples": 8.0}
_OTHER_S = 2.0


def speeds(study: Study) -> Speeds:
    """Return the times of a study's parts on a typical core. Sizes and memory are not estimated."""
    microscope = study.microscope
    px = microscope.field_px**2
    members = microscope.focal_members if microscope.coherence == "focal-series" else 1
    multislice = microscope.multislice.px**2
    image = _IMAGE_S * px * members * microscope.oversampling**2
    step = {
        name: _STEP_S * px * architectures.parse(name).bytes_per_pixel
        for name in study.training.architectures
    }
    return Speeds(
        device="a typical core",
        unit="core",
        start=START_S,
        structure={
            name: _SLICES_S * multislice * _height(specimen)
            for name, specimen in study.specimens.items()
        },
        wave_bytes={},
        image=image + _NOISE_S * px,
        noise=_NOISE_S * px,
        step=step,
        predict={name: _PREDICT * value for name, value in step.items()},
        weight_bytes={},
        memory={},
    )


def seconds(study: Study) -> dict[str, float]:
    """Return the seconds of one job of each rule on a typical core, with the time to start it."""
    jobs = count(study).jobs
    took = plan.hours(study, speeds(study))
    return {
        rule: START_S
        + (
            3600 * took[rule] / number
            if rule in ("simulate", "train", "evaluate")
            else _OTHERS_S.get(rule, _OTHER_S)
        )
        for rule, number in jobs.items()
        if number
    }


def _height(specimen: Specimen) -> float:
    """Return the mean height of a specimen's structures [Å], times its configurations."""
    nm = specimen.substrate.thickness_nm + specimen.diameter_nm.mean + 1
    return specimen.thermal.configurations * nm * A_PER_NM
