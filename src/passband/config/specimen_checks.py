"""Checks of a specimen: which material, shape and other keys fit together."""

import re

from passband.config.base import short
from passband.config.specimen_keys import SpecimenKeys
from passband.words import listed

#: The shapes of which complete shells are known, see `passband.specimens.shells`.
_OF_SHELLS = ("wulff", "decahedron", "icosahedron")
#: The crystal structures that may have each kind of planar defects.
_DEFECTS_IN = {
    "twins": ("fcc", "zincblende", "fluorite"),
    "stacking_faults": ("fcc", "zincblende"),
}


def miller(text: str) -> tuple[int, int, int]:
    """Return the Miller indices in a text such as "111" or "1-10".

    Raises:
        ValueError: If the text does not have three Miller indices, or if all three are 0.
    """
    match = re.fullmatch(r"(-?\d)(-?\d)(-?\d)", text, re.ASCII)
    if not match or not any(map(int, match.groups())):
        raise ValueError("must be three Miller indices of a digit each, such as 111 or 1-10")
    return tuple(map(int, match.groups()))


def check_shape(specimen: SpecimenKeys) -> None:
    """Raise ValueError for an impossible combination of shape, material and other keys."""
    shape = specimen.shape_part.declaration
    if shape is None or specimen.is_unknown:  # of a stored study whose own parts are not here
        return
    which = f"material {specimen.material!r}"
    if specimen.structure not in shape.structures:
        named = [("crystal files" if each == "file" else each) for each in shape.structures]
        its = "a crystal file" if specimen.structure == "file" else specimen.structure
        raise ValueError(
            f"shape = {specimen.shape!r}: is for {listed(named)}, not for {which}, {its}"
        )
    _check_energies(specimen, which)
    if specimen.closed_shells and not (
        specimen.shape in _OF_SHELLS
        and specimen.structure == "fcc"
        and not specimen.surface_energies
    ):
        raise ValueError(
            f"closed_shells = True: must be false for shape = {specimen.shape!r} of {which}; "
            "complete shells are known for decahedron, icosahedron, and wulff of an fcc metal "
            "without surface_energies"
        )
    for name, allowed_in in _DEFECTS_IN.items():
        planes = getattr(specimen, name)
        if planes.max and specimen.structure not in allowed_in:
            raise ValueError(
                f"{name}.max = {planes.max}: must be 0 for {which}; other numbers are for "
                f"{', '.join(allowed_in)}"
            )
        if planes.max and shape.is_twinned:
            raise ValueError(
                f"{name}.max = {planes.max}: must be 0 for shape = {specimen.shape!r}, which is "
                "multiply twinned already"
            )
    if specimen.orientation.zone and shape.is_twinned:
        raise ValueError(
            f"orientation.zone = {specimen.orientation.zone}: must be [] for shape = "
            f"{specimen.shape!r}, whose twins have different crystal axes"
        )


def _check_energies(specimen: SpecimenKeys, which: str) -> None:
    takes = specimen.shape_part.declaration.surface_energies
    for indices, energy in specimen.surface_energies.items():
        try:
            miller(indices)
        except ValueError as error:
            raise ValueError(f"surface_energies = {short(indices)}: {error}") from None
        if not 0 < energy <= 1000:
            raise ValueError(
                f"surface_energies.{indices} = {energy:g}: must be above 0 and at most 1000 J/m²"
            )
    if specimen.surface_energies and not takes:
        raise ValueError(
            f"surface_energies = {{...}}: are for shape = 'wulff', not {specimen.shape!r}"
        )
    known = specimen.known and specimen.known.surface_energies
    if takes and not (specimen.surface_energies or known):
        raise ValueError(
            f"surface_energies = {{}}: the shape {specimen.shape!r} of {which} needs them, such as "
            '{"111": 1.0, "100": 1.2}'
        )


def check_thermal(specimen: SpecimenKeys) -> None:
    """Raise ValueError for an element without a mean square displacement, or one that is absent."""
    thermal = specimen.thermal
    material = specimen.known
    if not thermal.moves or specimen.is_unknown or specimen.kind_part.is_own:
        return
    carbon = ["C"] if specimen.substrate.thickness_nm else []
    # The elements in a crystal file are known only when ASE reads the file.
    elements = [*(material.elements if material else []), *carbon]
    known = [*thermal.msd_A2]
    if thermal.temperature_K:
        known += carbon + (material.elements if material and material.b_A2 else [])
    lacking = [element for element in elements if element not in known]
    if not material and not thermal.msd_A2:
        lacking = ["every element"]
    if lacking:
        raise ValueError(
            f"thermal.msd_A2 = {short(thermal.msd_A2)}: lacks {', '.join(lacking)}, which "
            f"temperature_K = {thermal.temperature_K:g} does not give for material "
            f"{specimen.material!r}"
        )
    if material and (other := [e for e in thermal.msd_A2 if e not in elements]):
        raise ValueError(
            f"thermal.msd_A2.{other[0]} = {thermal.msd_A2[other[0]]:g}: must be for "
            f"{listed(elements, 'or')}, the elements of this specimen"
        )
