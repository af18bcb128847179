"""Conversion of microscopists' units to internal units: lengths in Å, energies in eV."""

import math
from collections.abc import Collection

A_PER_NM = 10.0
A_PER_UM = 1e4
EV_PER_KEV = 1e3

#: Units at the end of the names of keys and options, by what they measure: the unit as people write
#: it, and its size.
_SUFFIXES: tuple[dict[str, tuple[str, float]], ...] = (
    {
        "pm": ("pm", 1e-12),
        "A": ("Å", 1e-10),
        "nm": ("nm", 1e-9),
        "um": ("µm", 1e-6),
        "mm": ("mm", 1e-3),
        "m": ("m", 1.0),
    },
    {
        "urad": ("µrad", 1e-6),
        "mrad": ("mrad", 1e-3),
        "rad": ("rad", 1.0),
        "deg": ("°", math.radians(1)),
    },
    {"ev": ("eV", 1.0), "v": ("V", 1.0), "kev": ("keV", 1e3), "kv": ("kV", 1e3)},
    {"e_per_A2": ("e/Å²", 1.0), "e_per_nm2": ("e/nm²", 0.01)},
)


def in_known_unit(name: str, known: Collection[str]) -> str:
    """Return the known name that differs from a name in its unit, and the factor, or "".

    Example:
        >>> in_known_unit("cs_mm", ["defocus_nm", "cs_um"])
        'cs_um (1 mm is 1000 µm)'
    """
    for units in _SUFFIXES:
        for given, (unit, size) in units.items():
            stem, found, after = name.lower().rpartition(f"_{given}".lower())
            if not found or after or not stem:
                continue
            for other, (own, own_size) in units.items():
                if other != given and f"{stem}_{other}" in known:
                    return f"{stem}_{other} (1 {unit} is {size / own_size:.6g} {own})"
    return ""
