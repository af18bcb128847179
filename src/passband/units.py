"""From a microscopist's units to internal ones. Nothing else in Passband converts."""

import math
from typing import TYPE_CHECKING

from passband.ctf import Optics
from passband.grid import Condition

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
