"""What four lines of part 1 see of any conditions: the lens, the image, and parameters."""

from collections.abc import Sequence
from pathlib import Path

from findings.second_lock import distances, lens_or_image, networks
from findings.second_lock.lens_or_image import IMAGE, LENS, MEDIANS
from findings.twelve_thousand.afterwards import IMAGES
from passband.analysis.profiles import Profiles
from passband.grid import Condition
from passband.prediction.covariance import Kernel

RAW = "raw"
ALL = "all parameters"
#: The lines, in the order of tables.
LINES = LENS, IMAGE, RAW, ALL


def seen(
    line: str, sides: Sequence[Sequence[Condition]], splits: Sequence[str], folder: Path
) -> list[Profiles]:
    """Return what a line sees of the conditions of each side.

    Args:
        splits: For each side the split whose images B sees, ``train`` for training conditions and
            ``val`` for tests.
        folder: Keeps exit waves.
    """
    study = lens_or_image.study()
    curve = networks.spectrum(study, folder)
    grid = [condition for side in sides for condition in side]
    found = []
    for side, split in zip(sides, splits, strict=True):
        base = distances.profiles_of(side, study.microscope, curve, grid)
        if line == LENS:
            lens = lens_or_image.lens(side, curve)
            vectors = {name: lens[name] for name in ("c", "bits", "log_dose")}
        elif line == IMAGE:
            structures = distances.seen(study, folder, split)
            acquire = distances.acquisition(study)
            images = distances.spectra(acquire, structures, side, (IMAGES,))
            vectors = {"spectrum": images[IMAGES]}
        else:
            vectors = lens_or_image.parameters(base, side)
            if line == RAW:
                vectors = {name: vectors[name] for name in lens_or_image.RAW}
        found.append(distances.as_profiles(base, vectors, dose=line != IMAGE))
    return found


def kernel(line: str, known: Profiles) -> Kernel:
    """Return the distances of a line, with priors from the known training conditions."""
    return distances.kernel(known, medians=MEDIANS if line == ALL else None)
