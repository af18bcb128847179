"""The lens and the lattice spacings of a study, for the explorer.

The page computes transfer functions under any condition itself, from the formulas in
:mod:`passband.optics.ctf`, so it needs the lens's constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from passband.analysis.profiles import DRAWS
from passband.config import Microscope, Specimen
from passband.grid import Condition
from passband.optics import ctf
from passband.units import A_PER_NM, A_PER_UM
from passband.wave_sets import wave_set

#: Number of lattice spacings of a material that are marked.
_SPACINGS = 5


def lens(microscope: Microscope, seed: int, conditions: Sequence[Condition] = ()) -> dict[str, Any]:
    """Return the lens's constants, in Å, mrad and rad, and its draws for mean profiles.

    `own` has the microscope's values of further axes, in the units of the axes: a condition that
    lacks an axis has this value. A draw is the change of defocus [Å], the ratio of doses, and the
    real and imaginary parts of the changes of C12·exp(2iφ12), C21·exp(iφ21) and C23·exp(3iφ23)
    [Å]. The draws are those of :func:`passband.analysis.profiles.profiles`. `drawn` is
    whether all of `conditions` have the study's own exit waves, and so its wavelength and pixels.
    """
    base = microscope.lens()
    draws, nothing = [], replace(base, c12=0.0, c21=0.0, c23=0.0)
    for z in microscope.jitter.normals(DRAWS, seed, "profiles"):
        drawn, dose = microscope.jitter.apply(nothing, z)
        defocus, _, *aberrations = ctf.coefficients(drawn).tolist()
        draws.append([defocus, dose, *aberrations])
    return {
        "wavelength": float(ctf.wavelength(base.energy)),
        "own": microscope.axis_values,
        "mtf": microscope.detector.mtf,
        "pixel": microscope.pixel_size_A,
        "A_per_nm": A_PER_NM,
        "A_per_um": A_PER_UM,
        "cutoff": microscope.sampling.cutoff,
        "draws": draws,
        "varies": bool(microscope.jitter.varies),
        "drawn": not any(map(wave_set, conditions)),
    }


def lattice(specimens: Mapping[str, Specimen]) -> dict[str, list[dict[str, Any]]]:
    """Return the widest lattice spacings of each specimen's material, as frequencies 1/d [1/Å].

    Only cubic materials that are known by name have them.
    """
    found = {}
    for name, specimen in specimens.items():
        material = specimen.known
        if material is None:
            continue
        found[name] = [
            {"plane": "".join(map(str, plane)), "q": 1 / spacing}
            for plane, spacing in material.planes(_SPACINGS)
        ]
    return found
