"""The blocks inside a specimen: diameters, particles, substrate, defects, thermal motion."""

import re
from typing import Annotated, Literal

from pydantic import Field

from passband.config.base import Block, key, short


class Diameter(Block):
    """Distribution of the particles' diameters, truncated at `min` and `max`."""

    distribution: Literal["normal", "uniform", "lognormal"] = key(
        "normal", "Form of the distribution of diameters. `uniform` uses only `min` and `max`."
    )
    mean: float = key(1.8, "Mean diameter before truncation.", "nm", ge=0.1, le=100)
    std: float = key(0.3, "Standard deviation of diameters before truncation.", "nm", ge=0, le=100)
    min: float = key(1.2, "Smallest diameter of a particle.", "nm", ge=0.1, le=100)
    max: float = key(2.4, "Largest diameter of a particle.", "nm", ge=0.1, le=100)


class Particles(Block):
    """Number of particles in a structure, which is uniformly distributed."""

    min: int = key(1, "Smallest number of particles in a structure.", ge=1, le=100)
    max: int = key(2, "Largest number of particles in a structure.", ge=1, le=100)


class Substrate(Block):
    """Amorphous carbon under the particles."""

    thickness_nm: float = key(
        1.0, "Mean thickness of the substrate. With 0, particles are in vacuum.", "nm", ge=0, le=50
    )
    thickness_std_nm: float = key(
        0.0,
        "Standard deviation of the substrate's thickness between structures. The thickness has a "
        "normal distribution, truncated at 0.",
        "nm",
        ge=0,
        le=50,
    )
    faces: Literal["top", "both"] = key(
        "top",
        "Faces of the substrate with particles: `top`, where the beam leaves the substrate, or "
        "`both`. Particles on opposite faces may overlap in projection.",
    )
    density_g_per_cm3: float = key(2.0, "Mass density of the substrate.", "g/cm³", ge=0.5, le=3.0)

    def _check_values(self) -> None:
        if self.thickness_nm == 0 and self.thickness_std_nm > 0:
            raise ValueError(
                f"thickness_std_nm = {self.thickness_std_nm:g}: must be 0 where thickness_nm is 0, "
                "vacuum"
            )
        if self.thickness_nm == 0 and self.faces == "both":
            raise ValueError("faces = 'both': must be 'top' where thickness_nm is 0, vacuum")


class Planes(Block):
    """Number of planar defects in a particle, which is uniformly distributed.

    All planar defects of a particle are parallel {111} planes. Each planar defect lies between two
    atomic layers.
    """

    min: int = key(0, "Smallest number of planar defects of this kind.", ge=0, le=20)
    max: int = key(0, "Largest number of planar defects of this kind.", ge=0, le=20)


class Thermal(Block):
    """Thermal motion: independent displacements of atoms, normally distributed in each direction.

    Masks of particles are made from the atoms at rest.
    """

    temperature_K: float = key(
        0.0,
        "Temperature of the specimen. With 0, atoms are at rest, without zero-point motion. "
        "Debye's model gives the mean square displacements of atoms, from the B factors of the "
        "metals. For the carbon of the substrate, it uses the B factor of graphite. Compounds and "
        "crystal files need `msd_A2`.",
        "K",
        ge=0,
        le=2000,
    )
    msd_A2: dict[str, float] = key(
        dict,
        "Mean square displacement of the atoms of an element along one direction, B/8π², by "
        "chemical symbol, such as {Ce: 0.003, O: 0.006}. It replaces the mean square displacement "
        "that follows from the temperature.",
        "Å²",
        max_length=100,
    )
    configurations: int = key(
        1,
        "Number of frozen configurations of each structure. The intensity of an image is the mean "
        "over all frozen configurations. Time and memory are proportional to their number.",
        ge=1,
        le=1000,
    )

    @property
    def moves(self) -> bool:
        """Whether any atom moves."""
        return self.temperature_K > 0 or any(self.msd_A2.values())

    def _check_values(self) -> None:
        for element, square in self.msd_A2.items():
            if not re.fullmatch("[A-Z][a-z]?", element):
                raise ValueError(
                    f"msd_A2 = {short(element)}: must be a chemical symbol, such as Au"
                )
            # With larger mean square displacements, a crystal would melt.
            if not 0 <= square <= 0.1:
                raise ValueError(f"msd_A2.{element} = {square:g}: must be between 0 and 0.1 Å²")
        if self.configurations > 1 and not self.moves:
            raise ValueError(
                f"configurations = {self.configurations}: must be 1 where atoms are at rest, "
                "temperature_K = 0"
            )


class Orientation(Block):
    """Orientation of the particles' crystal relative to the beam."""

    zone: list[Annotated[int, Field(ge=-99, le=99)]] = key(
        list,
        "Zone axis along the beam, such as [1, 1, 0]. The rotation of a particle about the zone "
        "axis is random. With [], the orientation of a particle is uniformly random.",
    )
    within_deg: float = key(
        5.0,
        "Largest angle between the zone axis and the beam. The key has no effect if `zone` is [].",
        "°",
        ge=0,
        le=180,
    )

    def _check_values(self) -> None:
        if self.zone and (len(self.zone) != 3 or not any(self.zone)):
            raise ValueError(
                f"zone = {short(self.zone)}: must be three integers, not all 0, or [] for random"
            )
