"""What the file of an image states about the microscope, if anything."""

import contextlib
import importlib
import math
from dataclasses import dataclass
from pathlib import Path

from passband.grid import Condition
from passband.micrographs.images.suffixes import check_safe, suffix

#: The modules of RosettaSciIO that read a format's metadata.
_MODULES = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".emd": "emd", ".ser": "tia"}


@dataclass(frozen=True)
class Recorded:
    """What a file states. None: the file does not state it.

    Attributes:
        energy_keV: Beam energy [keV].
        cs_um, aperture_mrad, dose_e_per_A2: Values of the axes of the grid; only stores of images
            of a study state them. Cs is not read from other files, since many of them state a Cs of
            0 that nobody has measured.
        condition: The whole condition, which only stores of images of a study state.
    """

    energy_keV: float | None = None
    cs_um: float | None = None
    aperture_mrad: float | None = None
    dose_e_per_A2: float | None = None
    condition: Condition | None = None


def recorded(path: Path) -> Recorded:
    """Return what the file of an image states about the microscope."""
    kind = suffix(path)
    with contextlib.suppress(Exception):  # readers raise errors of all types; nothing is stated
        check_safe(path)
        if kind in (".zarr", ".zarr.zip"):
            return _of_store(path)
        if kind in _MODULES:
            reader = importlib.import_module(f"rsciio.{_MODULES[kind]}")
            with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
                metadata = reader.file_reader(str(path))[0]["metadata"]
            energy = float(metadata["Acquisition_instrument"]["TEM"]["beam_energy"])
            if math.isfinite(energy) and energy > 0:
                return Recorded(energy)
    return Recorded()


def _of_store(path: Path) -> Recorded:
    import zarr

    from passband.storage import datasets

    store = datasets.zip_store(path) if path.suffix == ".zip" else path
    attributes = dict(zarr.open(store, mode="r").attrs)
    condition = Condition.parse(str(attributes["condition"]))
    energy = float(attributes["energy_kev"]) if "energy_kev" in attributes else None
    main = condition.cs_um, condition.aperture_mrad, condition.dose_e_per_A2
    return Recorded(energy, *main, condition)
