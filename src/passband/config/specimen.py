"""Specimens: distributions of atomic structures."""

import hashlib
from math import pi, sqrt
from pathlib import Path
from typing import Any, Self

from pydantic import (
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from passband import units
from passband.config import specimen_checks
from passband.config.base import SPLITS
from passband.config.crystals import CARBON_PER_A3, MATERIALS, crystal_file
from passband.config.specimen_keys import SpecimenKeys
from passband.grid import Condition
from passband.wave_sets import WaveSet

#: The largest number of atoms in a structure.
MOST_ATOMS = 10_000_000
#: The largest number of atoms in a particle.
MOST_IN_PARTICLE = 1_000_000


class Specimen(SpecimenKeys):
    """A specimen: a distribution of atomic structures."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the specimen that a study needs."""
        return SPLITS if self.trained else ("test",)

    @property
    def most_height_nm(self) -> float:
        """Upper limit of the height of a structure [nm]."""
        declared = getattr(self.kind_part.declaration, "height_nm", None)
        carbon = self.substrate.thickness_nm + 3 * self.substrate.thickness_std_nm
        particles = 2 * self.diameter_nm.max * len({"top", self.substrate.faces})
        return 1 + (carbon + particles if declared is None else declared)

    @property
    def mean_height_nm(self) -> float:
        """Mean height of a structure [nm], approximately."""
        declared = getattr(self.kind_part.declaration, "height_nm", None)
        drawn = self.substrate.thickness_nm + self.diameter_nm.mean
        return 1 + (drawn if declared is None else declared)

    @property
    def energies(self) -> dict[tuple[int, int, int], float]:
        """The surface energies of the key `surface_energies`, by Miller indices [J/m²]."""
        return {
            specimen_checks.miller(name): energy for name, energy in self.surface_energies.items()
        }

    @property
    def widest(self) -> float:
        """Upper limit of a particle's projected width, divided by the particle's diameter.

        Planar defects may add :attr:`steps_nm` to the projected width. Particles from crystal files
        or with given surface energies may be wider, see
        :func:`passband.specimens.structures.widest_A`.
        """
        declared = self.shape_part.declaration
        return declared.widest if declared else 1.0

    @property
    def steps_nm(self) -> float:
        """Width that planar defects may add to a particle [nm]: a multiple of the step a/6⟨112⟩.

        Each stacking fault shifts a part of the particle by one step. A twin plane rotates a part
        of the particle about an axis near the particle's middle. All twin planes together add at
        most two steps.
        """
        steps = self.stacking_faults.max + min(self.twins.max, 2)
        step = self.known.lattice_A / 6**0.5 / units.A_PER_NM if steps and self.known else 0.0
        return steps * step

    @property
    def needs_trial_particles(self) -> bool:
        """Whether the specimen can be checked only by making trial particles.

        Crystal files, materials, shapes and kinds of one's own, given surface energies and planar
        defects need trial particles, which :func:`passband.specimens.structures.check` makes.
        """
        planes = self.twins.max + self.stacking_faults.max
        own = self.material not in MATERIALS or self.shape_part.is_own or self.kind_part.is_own
        return own or bool(self.surface_energies) or planes > 0

    @property
    def feels_temperature(self) -> bool:
        """Whether the mean square displacement of any element follows from the temperature."""
        material = self.known
        known = [*(material.elements if material and material.b_A2 else [])]
        if self.substrate.thickness_nm:
            known.append("C")
        return not {*known} <= {*self.thermal.msd_A2}

    def params(self) -> dict[str, Any]:
        """Return what structures depend on: keys, and the values of a material of one's own."""
        keys = self.identity(without=("trained",))
        if self.material in MATERIALS or not self.known:
            return keys
        return keys | {"material.values": self.known.values}

    def under(self, condition: Condition | WaveSet) -> Self:
        """Return the specimen with the condition's values of further axes, which are not checked.

        Where atoms are at rest, all frozen configurations are equal, so that there is one.
        """
        specimen = self.having(condition.further)
        if specimen is not self and not specimen.thermal.moves:
            specimen = specimen.replaced("thermal.configurations", 1)
        return specimen

    def check_under(self, condition: Condition | WaveSet) -> None:
        """Check the condition's values of further axes.

        Raises:
            ValueError: If the specimen cannot have the values. The message names a key of the
                specimen.
        """
        under = self.under(condition)
        if under is self:
            return
        if (
            self.diameter_nm.distribution == "uniform"
            and under.diameter_nm.mean != self.diameter_nm.mean
        ):
            raise ValueError(
                "diameter_nm.distribution = 'uniform': has no mean, which is an axis of the grid; "
                "must be 'normal' or 'lognormal'"
            )
        for name in ("substrate", "thermal"):
            block = getattr(under, name)
            try:
                type(block).model_validate(block.model_dump())
            except ValidationError as error:
                raise ValueError(f"{name}.{error.errors()[0]['ctx']['error']}") from None
        under._check()

    def check_in(self, field_nm: float) -> None:
        """Raise ValueError if the particles do not fit into a field of view or have many atoms."""
        if self.kind_part.is_own:  # its structures are drawn in a trial
            return
        # A particle's image must not touch its periodic copy; 0.3 nm is the width of an atom.
        room = max(0.0, field_nm - 0.3 - self.steps_nm)
        largest = room / self.widest
        if self.diameter_nm.max > largest:
            raise ValueError(
                f"diameter_nm.max = {self.diameter_nm.max:g}: must not "
                f"exceed {largest:.2f} nm, to fit the field of view of {field_nm:g} nm "
                "(microscope.field_px × microscope.pixel_size_A)"
            )
        # The hexagonal packing of equal discs is the densest packing (Fejes Tóth, Math. Z. 46,
        # 83, 1940). Discs at random positions fill little more than half as much area.
        apart = self.diameter_nm.min + self.gap_nm
        faces = 2 if self.substrate.faces == "both" else 1
        most = max(1, int(faces * field_nm**2 / (sqrt(3) / 2 * apart**2)))
        if self.particles.max > most:
            raise ValueError(
                f"particles.max = {self.particles.max}: must not exceed "
                f"{most}, to fit the field of view of {field_nm:g} nm with particles of "
                f"{self.diameter_nm.min:g} nm, the smallest, and gaps of "
                f"{self.gap_nm:g} nm"
            )
        self._check_atoms(field_nm)

    def _check_atoms(self, field_nm: float) -> None:
        material = self.known
        layer = self.substrate
        # The atomic density of a crystal in a file is not known before ASE reads the file.
        largest = self.most_atoms(material.atoms_per_A3) if material else 0.0
        if largest > MOST_IN_PARTICLE:
            raise ValueError(too_many_atoms(self, largest))
        volume_nm3 = field_nm**2 * (layer.thickness_nm + 3 * layer.thickness_std_nm)
        carbon = CARBON_PER_A3 * layer.density_g_per_cm3 * volume_nm3 * units.A_PER_NM**3
        atoms = self.particles.max * largest + carbon
        if atoms > MOST_ATOMS:
            raise ValueError(
                f"substrate.thickness_nm = {layer.thickness_nm:g}: makes, with "
                f"{self.particles.max} particles in a field of view of {field_nm:g} nm, "
                f"structures of up to {atoms:,.0f} atoms; must not exceed {MOST_ATOMS:,}"
            )

    @property
    def content(self) -> str:
        """Sixteen hexadecimal digits that identify the content of the crystal file.

        The digits are "" without a crystal file. Because of these digits, a specimen counts as
        another specimen after its crystal file is edited.
        """
        if self.known or self._file is None:
            return ""
        return hashlib.blake2b(self.file.read_bytes(), digest_size=8).hexdigest()

    _file: Path | None = PrivateAttr(None)
    _elsewhere: bool = PrivateAttr(False)

    def most_atoms(self, atoms_per_A3: float) -> float:
        """Return the number of atoms of the largest particle, for an atomic density [1/Å³]."""
        return atoms_per_A3 * pi / 6 * (self.diameter_nm.max * units.A_PER_NM) ** 3

    @property
    def file(self) -> Path | None:
        """Path of the crystal file; None for a known material.

        A relative path is looked up in the folder of the study's file, and then in the working
        directory. The path found is not a key, so that the digest of a study does not depend on the
        study's folder.
        """
        return self._file

    @property
    def is_elsewhere(self) -> bool:
        """Whether the crystal file is in the working directory, not in the study file's folder."""
        return self._elsewhere

    @model_validator(mode="after")
    def _known_and_ordered(self, info: ValidationInfo) -> Self:
        if self.known is None:
            folder = (info.context or {}).get("folder", Path())
            if not self.is_unknown:
                self._file = crystal_file(self.material, folder, self._parts.of("material"))
                self._elsewhere = self._file != folder / self.material
        self._check()
        return self

    def _check(self) -> None:
        """Check values that depend on each other."""
        for name, block in (
            ("diameter_nm", self.diameter_nm),
            ("particles", self.particles),
            ("twins", self.twins),
            ("stacking_faults", self.stacking_faults),
        ):
            if block.min > block.max:
                raise ValueError(f"{name}.min = {block.min}: must not exceed max = {block.max}")
        self._check_part("shape", "shape")
        self._check_part("specimen", "kind")
        d = self.diameter_nm
        if d.distribution != "uniform" and not d.min <= d.mean <= d.max:
            raise ValueError(
                f"diameter_nm.mean = {d.mean}: must lie between min = {d.min} and max = {d.max}"
            )
        specimen_checks.check_shape(self)
        specimen_checks.check_thermal(self)


def too_many_atoms(specimen: Specimen, atoms: float) -> str:
    """Return the message for a specimen whose largest particle has too many atoms."""
    return (
        f"diameter_nm.max = {specimen.diameter_nm.max:g}: makes particles of {atoms:,.0f} atoms; "
        f"must not exceed {MOST_IN_PARTICLE:,}"
    )
