"""What the file of an image states about the microscope, if anything."""

from dataclasses import dataclass

from passband.grid import Condition


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


#: What is stated by files that say nothing about the microscope.
NOTHING = Recorded()
