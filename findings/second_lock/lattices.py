"""The lattices whose fringes part 2 looks at, their conditions and the tests, see protocol.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from findings.second_lock import draws
from findings.twelve_thousand.locked import INSIDE
from findings.twelve_thousand.pieces import WHOLE
from passband.config import Microscope, Study, load, study_file, validate
from passband.config.crystals import MATERIALS
from passband.grid import Condition
from passband.optics import ctf

#: Wavelength at 300 kV [Å].
WAVELENGTH_A = ctf.wavelength(300e3)
#: Half the width of a band, as a share of 1/d, and how far an aperture is beyond 1/d at least.
HALF_WIDTH = 0.06
BEYOND = 1.25
CONDITIONS = 64
PILOT = 6
#: The largest correlation of ∫T² q dq at CeO₂'s own and at gold's place.
CORRELATION = 0.5
DOSES = 50, 200, 1600
OF_DOSE = 12
TRAINED_DOSES = 200, 1600
DIAMETER_NM = 1.8


@dataclass(frozen=True)
class Lattice:
    """A lattice whose lowest fringe is {111}, as balls of one size.

    Attributes:
        name: That of the specimen and of the arm.
        material: The material's symbol.
    """

    name: str
    material: str

    @property
    def spacing_A(self) -> float:
        """The distance d of the planes {111} [Å]."""
        return MATERIALS[self.material].lattice_A / np.sqrt(3)

    @property
    def band(self) -> tuple[float, float]:
        """The ends of the band of the lowest fringe [1/Å]."""
        return (1 - HALF_WIDTH) / self.spacing_A, (1 + HALF_WIDTH) / self.spacing_A

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """The ranges of training conditions, all of whose apertures pass the fringe."""
        least = 1e3 * BEYOND * WAVELENGTH_A / self.spacing_A  # [mrad]
        _, most = INSIDE["aperture_mrad"]
        return INSIDE | {"aperture_mrad": (least, most), "dose_e_per_A2": TRAINED_DOSES}

    @property
    def study(self) -> Study:
        """The study of the twelve thousand with this specimen."""
        content = study_file.read(WHOLE)
        diameter = {"distribution": "uniform", "min": DIAMETER_NM, "max": DIAMETER_NM}
        content["specimens"] = {
            self.name: {"material": self.material, "shape": "sphere", "diameter_nm": diameter}
        }
        content["study"]["name"] = f"second-lock-{self.name}"
        return validate(content, str(WHOLE))


CERIA, GOLD, COPPER = LATTICES = (
    Lattice("ceria", "CeO2"),
    Lattice("gold-balls", "Au"),
    Lattice("copper", "Cu"),
)


# ── The draw ─────────────────────────────────────────────────────────────────────────────────────


def drawn(digest: str) -> dict[str, list[str]]:
    """Return the ids of the conditions of each lattice, of the pilot and of the tests.

    Args:
        digest: That of the protocol.
    """
    found = {lattice.name: lattice_conditions(digest, lattice) for lattice in LATTICES}
    found["pilot"] = draws.drawn(digest, "fringes pilot", PILOT, CERIA.ranges)
    found["tests"] = tests(digest, "fringes tests")
    return {name: [condition.id for condition in each] for name, each in found.items()}


def lattice_conditions(digest: str, lattice: Lattice) -> list[Condition]:
    """Return a lattice's training conditions; those of CeO₂ are drawn until two bands differ."""
    number = 1
    while True:
        name = f"fringes {lattice.name} {number}"
        found = draws.drawn(digest, name, CONDITIONS, lattice.ranges)
        if lattice is not CERIA or correlation(found) <= CORRELATION:
            return found
        number += 1


def correlation(conditions: Sequence[Condition]) -> float:
    """Return Pearson's correlation of ∫T² q dq at CeO₂'s own and at gold's place."""
    own, of_gold = ([power(each, of.band) for each in conditions] for of in (CERIA, GOLD))
    return float(np.corrcoef(own, of_gold)[0, 1])


def power(condition: Condition, band: tuple[float, float], samples: int = 256) -> float:
    """Return ∫T² q dq over a band [1/Å²]."""
    low, high = band
    step = (high - low) / samples
    q = low + (np.arange(samples) + 0.5) * step
    T = ctf.transfer(microscope().optics(condition), q, np.zeros_like(q))
    return float((T**2 * q).sum() * step)


@cache
def microscope() -> Microscope:
    """Return the microscope of all networks."""
    return load(WHOLE).microscope


def tests(digest: str, name: str) -> list[Condition]:
    """Return as many tests at each dose, with the lens inside."""
    return [
        condition
        for dose in DOSES
        for condition in draws.drawn(
            digest, f"{name} {dose}", OF_DOSE, INSIDE | {"dose_e_per_A2": (dose, dose)}
        )
    ]
