"""What four lines of part 1 see of any conditions: the lens, the image, and parameters."""

from collections.abc import Sequence
from pathlib import Path

from findings.second_lock import distances, lens_or_image, networks
from findings.second_lock.lens_or_image import IMAGE, LENS
from findings.twelve_thousand.afterwards import IMAGES
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.grid import Condition
from passband.prediction.covariance import Kernel

RAW, ALL = "raw", "all parameters"
#: The lines, in the order of tables.
LINES = LENS, IMAGE, RAW, ALL


def seen(
    line: str, sides: Sequence[Sequence[Condition]], splits: Sequence[str], folder: Path
) -> list[Profiles]:
    """Return what a line sees of the conditions of each side.

    Args:
        splits: For each side the split whose structures' images B sees, ``train`` for training
            conditions and ``val`` for tests.
        folder: Keeps exit waves.
    """
    of = lens_or_image.study()
    curve = networks.spectrum(of, folder)
    grid = [condition for side in sides for condition in side]
    base = [profiles(side, of.microscope, SAMPLES, curve, grid=grid) for side in sides]
    if line == LENS:
        vectors = [
            {name: lens_or_image._lens(side, curve)[name] for name in ("c", "bits", "log_dose")}
            for side in sides
        ]
    elif line == IMAGE:
        acquire = distances.acquisition(of)
        vectors = [
            {
                "spectrum": distances.spectra(acquire, distances.seen(of, folder, split), side)[
                    IMAGES
                ]
            }
            for side, split in zip(sides, splits, strict=True)
        ]
    else:
        vectors = [lens_or_image._parameters(*each) for each in zip(base, sides, strict=True)]
        if line == RAW:
            vectors = [{name: each[name] for name in lens_or_image._RAW} for each in vectors]
    return [
        distances.as_profiles(*each, dose=line != IMAGE) for each in zip(base, vectors, strict=True)
    ]


def kernel(line: str, known: Profiles) -> Kernel:
    """Return the distances of a line, with priors from the known training conditions."""
    medians = lens_or_image._MEDIANS if line == ALL else None
    return distances.kernel(known, medians=medians)
