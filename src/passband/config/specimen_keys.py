"""The keys of a specimen, and the parts and the material that they name."""

from contextlib import suppress
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from passband.config.base import PartName, WithParts, key
from passband.config.crystals import MATERIALS, Material
from passband.config.specimen_blocks import (
    Diameter,
    Orientation,
    Particles,
    Planes,
    Substrate,
    Thermal,
)
from passband.parts import Part, PartError


class SpecimenKeys(WithParts):
    """What a study says of a specimen."""

    axes_of: ClassVar[str] = "specimens"

    kind: Annotated[str, PartName("specimen")] = key(
        "particles",
        "What structures are: `particles` on amorphous carbon, which the other keys describe, or a "
        "specimen of one's own (docs/add.md), which may use these keys.",
        since="0.4.0",
    )
    material: str = key(
        "Au",
        f"Crystal of the particles: {', '.join(sorted(MATERIALS))}, a material of one's own "
        "(docs/add.md), or the path of a crystal file that ASE reads, such as a CIF. A relative "
        "path begins in the folder of the study's file.",
    )
    shape: Annotated[str, PartName("shape")] = key(
        "wulff",
        "Shape of the particles. `sphere` is a ball, `wulff` is the Wulff construction from "
        "surface energies, and `cube` has {100} faces. For crystal files, only these three shapes "
        "of the package are allowed. `decahedron` and `icosahedron` are for fcc metals.",
    )
    surface_energies: dict[Annotated[str, BeforeValidator(str)], float] = key(
        dict,
        'Surface energies of a Wulff shape by Miller indices, such as {"111": 1.28, "100": 1.63}. '
        "With {}, the surface energies of the material are used; compounds and crystal files have "
        "none. Equivalent faces have the same surface energy.",
        "J/m²",
        max_length=50,
    )
    diameter_nm: Diameter = key(
        Diameter,
        "Diameters of particles. A particle has the same volume as a ball of its diameter.",
    )
    closed_shells: bool = key(
        False,
        "true: a particle is a perfect body of complete atomic shells. Its size is the possible "
        "size that is closest to the diameter. This is allowed for `decahedron`, `icosahedron`, "
        "and `wulff` with the surface energies of an fcc metal. false: every particle has a "
        "different body, with uneven facets.",
    )
    roughness: float = key(
        0.0,
        "Fraction of the surface atoms that are removed at random from each particle.",
        ge=0,
        le=0.5,
    )
    twins: Planes = key(Planes, "Twin planes in a particle of fcc, zincblende or fluorite.")
    stacking_faults: Planes = key(
        Planes,
        "Stacking faults in a particle of fcc or zincblende. In fluorite, every stacking fault "
        "would put ions on top of each other.",
    )
    orientation: Orientation = key(Orientation, "Orientation of particles relative to the beam.")
    thermal: Thermal = key(Thermal, "Thermal motion of the atoms.")
    particles: Particles = key(Particles, "Number of particles in a structure.")
    gap_nm: float = key(
        0.3,
        "Smallest gap between two particles on the same face of the substrate, in projection.",
        "nm",
        ge=0,
        le=10,
    )
    touching: float = key(
        0.0,
        "Probability that a particle touches an earlier one on the same face, in projection, "
        "whatever `gap_nm` is. Particles that touch by chance are not meant.",
        ge=0,
        le=1,
        since="0.4.0",
    )
    substrate: Substrate = key(Substrate, "Amorphous carbon under the particles.")
    trained: bool = key(
        True,
        "true: networks are trained on the specimen. false: only test structures of the specimen "
        "are simulated, and networks that are trained on other specimens are tested on them.",
    )

    @property
    def known(self) -> Material | None:
        """The material, if it is known by its name and is no crystal file.

        Raises:
            PartError: If the study's own material has a wrong symbol.
        """
        if self.material in MATERIALS:
            return MATERIALS[self.material]
        part = self._parts.of("material").get(self.material)
        return part and Material.of(part)

    @property
    def structure(self) -> str:
        """The crystal structure of the material; "file" if the material is a crystal file."""
        return self.known.structure if self.known else "file"

    @property
    def kind_part(self) -> Part:
        """The part that draws structures."""
        return self.part("specimen", self.kind)

    @property
    def shape_part(self) -> Part:
        """The part that has the faces of the shape."""
        return self.part("shape", self.shape)

    @property
    def is_unknown(self) -> bool:
        """Whether the material is that of a stored study whose own materials are not here."""
        if not self.material.isidentifier():
            return False
        with suppress(PartError):
            return self.part("material", self.material).declaration is None
        return False
