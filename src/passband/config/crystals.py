"""Crystals as plain data, and crystal files: a configuration is checked without ASE."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Self

from passband.config.base import number_in, short
from passband.console import escaped
from passband.parts import PACKAGE, Part, PartError
from passband.storage.integrity import is_regular

#: So many characters of a missing file's path are printed.
_SHOWN = 250
#: The largest size of a crystal file [bytes].
MOST_CRYSTAL_BYTES = 2_000_000
#: Temperature of the B factors of materials [K].
ROOM_K = 293.0
#: B factor of the substrate's carbon at :data:`ROOM_K` [Å²]. It is the B factor of graphite: the
#: mean over all directions and over graphite's two sites, 0.58 and 0.61 (Trucano & Chen, *Nature*
#: 258, 136, 1975). For amorphous carbon, whose bonds have about the same length, this B factor is
#: an estimate.
CARBON_B_A2 = 0.60
#: Atoms of carbon per Å³ at 1 g/cm³.
CARBON_PER_A3 = 0.6022 / 12.011

#: For each crystal structure: the nearest-neighbour distance in lattice constants, and the number
#: of atoms in the cubic unit cell.
_STRUCTURES = {
    "fcc": (1 / 2**0.5, 4),
    "bcc": (3**0.5 / 2, 2),
    "diamond": (3**0.5 / 4, 8),
    "rocksalt": (1 / 2, 8),
    "zincblende": (3**0.5 / 4, 8),
    "fluorite": (3**0.5 / 4, 12),
}


@dataclass(frozen=True)
class Material:
    """A cubic crystal.

    Attributes:
        symbol: Chemical symbol or formula.
        structure: Crystal structure as ASE names it, one of
            :data:`passband.parts.kinds_of_images.STRUCTURES`.
        lattice_A: Cubic lattice constant at room temperature [Å].
        surface_energies: Surface energies [J/m²]; empty if they are not known. The shape of a Wulff
            particle depends only on the ratios of surface energies.
        b_A2: B factor 8π²⟨u²⟩ at :data:`ROOM_K` [Å²], where ⟨u²⟩ is the mean square displacement
            along one direction; None if it is not known, as for compounds.
    """

    symbol: str
    structure: str
    lattice_A: float
    surface_energies: dict[tuple[int, int, int], float] = field(default_factory=dict, hash=False)
    b_A2: float | None = None

    @classmethod
    def of(cls, part: Part) -> Self:
        """Return the material that a part declares.

        Raises:
            PartError: If the name of the part is no formula, and no symbol is given.
        """
        said = part.declaration
        symbol = said.symbol or part.attribute
        try:
            said.check_symbol(symbol)
        except ValueError as error:
            raise PartError(f"{part}: {error}") from None
        return cls(
            symbol=symbol,
            structure=said.structure,
            lattice_A=said.lattice_A,
            surface_energies=said.surface_energies,
            b_A2=said.b_A2,
        )

    @property
    def values(self) -> dict[str, Any]:
        """All that results depend on, as JSON has it."""
        energies = {"".join(map(str, face)): x for face, x in self.surface_energies.items()}
        return asdict(self) | {"surface_energies": energies}

    @property
    def elements(self) -> list[str]:
        """Chemical symbols of the material's elements."""
        return re.findall("[A-Z][a-z]?", self.symbol)

    @property
    def neighbour_A(self) -> float:
        """Nearest-neighbour distance [Å]."""
        if self.structure == "fcc":
            return self.lattice_A / 2**0.5  # so the last bit is the same as in earlier results
        return self.lattice_A * _STRUCTURES[self.structure][0]

    @property
    def spacings_A(self) -> tuple[float, ...]:
        """The three widest lattice spacings [Å]."""
        return tuple(spacing for _, spacing in self.planes(3))

    def planes(self, number: int) -> list[tuple[tuple[int, int, int], float]]:
        """Return the widest families of lattice planes whose reflections are not extinct.

        Args:
            number: Number of families, at most 8.

        Returns:
            Miller indices h ≥ k ≥ l and the spacing a/√(h² + k² + l²) [Å], the widest first. A
            body-centred crystal has the planes with an even sum h + k + l, and a crystal on a
            face-centred lattice those whose indices are all even or all odd. In diamond, the sum of
            even indices is a multiple of 4.
        """
        found = [
            (h, k, l)
            for h, k, l in product(range(5), repeat=3)  # noqa: E741, Miller's indices
            if h >= k >= l and h > 0
            if ((h + k + l) % 2 == 0 if self.structure == "bcc" else h % 2 == k % 2 == l % 2)
            if self.structure != "diamond" or (h + k + l) % 4 != 2
        ]
        found.sort(key=lambda plane: sum(index**2 for index in plane))
        return [
            (plane, self.lattice_A / sum(index**2 for index in plane) ** 0.5)
            for plane in found[:number]
        ]

    @property
    def atoms_per_A3(self) -> float:
        """Atomic density [1/Å³]."""
        return _STRUCTURES[self.structure][1] / self.lattice_A**3


#: The package's own materials by name.
MATERIALS: dict[str, Material] = {
    name: Material.of(part) for name, part in PACKAGE.of("material").items()
}


def crystal_file(path: str, folder: Path, materials: Iterable[str] = MATERIALS) -> Path:
    """Return the path of a crystal file.

    Only a later check shows whether ASE can read the crystal file.

    Args:
        path: The path of the crystal file, as it is given in a study.
        folder: The folder of the study's file. The path is looked up in this folder first, and then
            in the working directory.
        materials: The names of the materials that could be given instead.

    Raises:
        ValueError: If there is no file with this path. Also if the file cannot be read, is too
            large, or is not a CIF of a crystal.
    """
    places = dict.fromkeys((folder / path, Path(path)))
    try:
        file = next((place for place in places if is_regular(place)), None)
        size = file.stat().st_size if file else 0
        content = file.read_bytes() if file and size <= MOST_CRYSTAL_BYTES else b""
    except (OSError, ValueError) as error:  # an impossible file name, or no permission
        said = getattr(error, "strerror", None) or error
        raise ValueError(f"material = {short(path)}: the file cannot be read: {said}") from None
    if file is None:
        missing = " or ".join(escaped(str(place))[:_SHOWN] for place in places)
        raise ValueError(
            f"material = {short(path)}: allowed are {', '.join(sorted(materials))}, or the path "
            f"of a crystal file; there is no file {missing}"
        )
    if size > MOST_CRYSTAL_BYTES:
        raise ValueError(
            f"material = {short(path)}: has {size:,} bytes; a crystal file may have "
            f"{MOST_CRYSTAL_BYTES:,}"
        )
    if path.lower().endswith(".cif"):
        text = content.decode(errors="replace").lower()
        for word in ("_cell_length_a", "_atom_site_fract_x"):
            if word not in text:
                raise ValueError(f"material = {short(path)}: not a CIF of a crystal: has no {word}")
        # ASE accepts a negative length of a cell axis, and reverses the axis.
        for key, most, unit in (("length_[abc]", 1000, "Å"), ("angle_[a-z]+", 180, "°")):
            # The value in the CIF may be in quotes or on the next line; "(2)" is an uncertainty.
            written = rf"^\s*(_cell_{key})\s+['\"]?([^\s'\"(]*)"
            for word, value in re.findall(written, text, re.MULTILINE):
                if not 0 < (number_in(value) or 0) < most:
                    raise ValueError(
                        f"material = {short(path)}: {word} = {value:.60}: must be above 0 and "
                        f"below {most} {unit}"
                    )
    return file
