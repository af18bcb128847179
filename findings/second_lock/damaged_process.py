"""What the lines of part 5 predict, from what networks do in simulated tests.

See *Real images, damaged on purpose* in protocol.md.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from docs.scripts.real import PIXEL_A
from findings.second_lock import distances
from findings.second_lock.damage import Version
from findings.second_lock.damaged_lines import ALL_DOSES, DEFOCI
from findings.twelve_thousand.afterwards import IMAGES, RINGS, spectrum
from passband.analysis.profiles import Profiles
from passband.analysis.spectra import Curve
from passband.config import Microscope
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.prediction import gaussian_process

#: Where the images of simulated and real images end, without a cut [1/Å].
NYQUIST = 0.5 / PIXEL_A
#: The vectors of the lines that know a lens, see :func:`of_lens`.
VECTORS = {
    "A": ("c", "bits", "log_dose"),
    "raw": ("defocus_nm", "log_dose"),
    "dose": ("log_dose",),
}


def of_lens(
    conditions: Sequence[Condition], microscope: Microscope, curve: Curve, limit: float
) -> dict[str, Profiles]:
    """Return what the lines that know a lens see of conditions, by the name of the line.

    Args:
        curve: The spectrum of the specimen, see :func:`distances.lens`.
        limit: The highest frequency of the images [1/Å].
    """
    q, power = curve
    ends = [limit, np.nextafter(limit, np.inf)]
    inside = q < limit
    cut = np.append(q[inside], ends), np.append(power[inside], [np.interp(limit, q, power), 0.0])
    numbers = {
        "defocus_nm": np.array([each.defocus_nm for each in conditions]),
        "log_dose": np.log10([each.dose_e_per_A2 for each in conditions]),
    }
    ids = [each.id for each in conditions]
    vectors = {**distances.lens(conditions, microscope, cut), **distances.numbers(numbers)}
    return {
        line: as_profiles(ids, {name: vectors[name] for name in names}, numbers["log_dose"])
        for line, names in VECTORS.items()
    }


def of_images(
    conditions: Sequence[Condition], acquisition: Acquisition, split: Split, limit: float
) -> Profiles:
    """Return what B sees of conditions: the spectra of images of structures under them."""
    image = acquisition.imager.image
    found = distances.spectra(acquisition, split, conditions)[IMAGES]
    return _of_rings([c.id for c in conditions], found, (image.px, image.pixel_A), limit)


def of_versions(versions: Iterable[Version], pixel_A: float, limit: float) -> Profiles:
    """Return what B sees of damaged real images: the spectrum of each."""
    several = list(versions)
    ids = [f"{each.patch} {each.dose:g}" for each in several]
    found = np.stack([spectrum(each.image[None]) for each in several]) / np.sqrt(RINGS)
    return _of_rings(ids, found, (several[0].image.shape[0], pixel_A), limit)


def _of_rings(
    ids: Sequence[str], spectra: np.ndarray, image: tuple[int, float], limit: float
) -> Profiles:
    """Return profiles of spectra, without the rings that do not end below a limit [1/Å].

    The power is divided by that of the window, so that it does not depend on the number of pixels.

    Args:
        spectra: (condition, ring), see :func:`distances.spectra`.
        image: Pixels along a side, and the side of a pixel [Å].
    """
    px, pixel_A = image
    window = np.hanning(px + 1)[:-1]
    rings = int(limit * 2 * pixel_A * RINGS)
    relative = spectra[:, :rings] - 2 * np.log10((window**2).sum()) / np.sqrt(RINGS)
    return as_profiles(ids, {"spectrum": relative}, np.zeros(len(ids)))


def as_profiles(ids: Sequence[str], vectors: distances.Vectors, log_dose: np.ndarray) -> Profiles:
    """Return profiles whose parameters are vectors, as :func:`distances.kernel` reads them."""
    nothing = np.empty(0)
    return Profiles(
        ids=np.array(ids),
        parameters=dict(vectors),
        T=np.empty((len(ids), 0)),
        bits=np.empty((len(ids), 0)),
        log_dose=log_dose,
        frequency=nothing,
        azimuth=nothing,
        area=nothing,
        power=nothing,
    )


def predicted(M: np.ndarray, train: Profiles, tests: Profiles, further: Profiles) -> np.ndarray:
    """Return the Dice of known networks in further tests, (network, further test).

    Args:
        M: (network, test), known Dice.
        train, tests, further: What a line sees of training conditions, and of both kinds of tests.
    """
    model = gaussian_process.fit(M, train, tests, kernel=distances.kernel(train))
    return model.predict(None, further)[0]


def pair_conditions() -> list[Condition]:
    """Return the conditions of all defoci and doses of pairs, those of a defocus together."""
    return [
        Condition(defocus_nm=defocus, cs_um=0, aperture_mrad=26, dose_e_per_A2=dose)
        for defocus, dose in product(DEFOCI, ALL_DOSES)
    ]
