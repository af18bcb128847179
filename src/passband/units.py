"""From a microscopist's units to internal ones. Nothing else in Passband converts."""

import math
from typing import TYPE_CHECKING

from passband.ctf import Optics
from passband.grid import Condition
from passband.lens import Spread

if TYPE_CHECKING:
    from passband.config import Microscope

A_PER_NM = 10.0
A_PER_UM = 1e4
EV_PER_KEV = 1e3


def energy(microscope: "Microscope") -> float:
    """Return the beam energy [eV]."""
    return microscope.energy_kev * EV_PER_KEV


def optics(condition: Condition, microscope: "Microscope") -> Optics:
    """Return what a microscope is under a condition, in eV, Å and mrad."""
    return Optics(
        energy=energy(microscope),
        defocus=condition.defocus_nm * A_PER_NM,
        cs=condition.cs_um * A_PER_UM,
        aperture=condition.aperture_mrad,
        aperture_edge=microscope.aperture_edge_mrad,
        focal_spread=microscope.focal_spread_nm * A_PER_NM,
        source_spread=microscope.source_spread_mrad,
        c12=microscope.aberrations.astigmatism_nm * A_PER_NM,
        phi12=math.radians(microscope.aberrations.astigmatism_deg),
        c21=microscope.aberrations.coma_nm * A_PER_NM,
        phi21=math.radians(microscope.aberrations.coma_deg),
        c23=microscope.aberrations.threefold_nm * A_PER_NM,
        phi23=math.radians(microscope.aberrations.threefold_deg),
    )


def aberrations(optics: Optics) -> dict[str, float]:
    """Return a lens's defocus and aberrations by the configuration's keys, in their units."""
    values = {"defocus_nm": optics.defocus / A_PER_NM}
    for key, order in (("astigmatism", "12"), ("coma", "21"), ("threefold", "23")):
        values[f"{key}_nm"] = getattr(optics, f"c{order}") / A_PER_NM
        values[f"{key}_deg"] = math.degrees(getattr(optics, f"phi{order}"))
    return values


def spread(microscope: "Microscope") -> Spread:
    """Return how much images under one condition differ, in Å."""
    given = microscope.spread
    return Spread(
        defocus=given.focus_nm * A_PER_NM,
        dose=given.dose,
        c12=given.astigmatism_nm * A_PER_NM,
        c21=given.coma_nm * A_PER_NM,
        c23=given.threefold_nm * A_PER_NM,
    )
