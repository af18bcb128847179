"""The sets of exit waves of a study, and the checks that each of them needs."""

from collections.abc import Sequence
from itertools import product
from math import prod, sqrt
from typing import TYPE_CHECKING

from pydantic import ValidationError

from passband import units
from passband.config import points
from passband.config.base import short
from passband.config.materials import CARBON_PER_A3, MATERIALS
from passband.config.microscope import Microscope
from passband.config.specimen import MOST_IN_PARTICLE, Specimen, too_many_atoms
from passband.grid import Condition
from passband.wave_sets import WAVE_AXES, wave_set

if TYPE_CHECKING:
    from passband.config.study import Study

#: The largest number of atoms in a structure.
MOST_ATOMS = 10_000_000


class WavesOfStudy:
    """The part of :class:`passband.config.Study` that knows the sets of exit waves."""

    @property
    def train_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the training conditions, see `wave_sets`."""
        return _ids(self.train_products, self.own_values, self._is_mixed)

    @property
    def tested_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the test conditions."""
        return _ids(self.test_products, self.own_values)

    @property
    def test_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the test structures.

        With `evaluation.test_own`, networks also need test structures of the training conditions.
        """
        products = [*self.test_products]
        if self.evaluation.test_own:
            products += self.train_products
        return _ids(products, self.own_values, self.evaluation.test_own and self._is_mixed)

    @property
    def _is_mixed(self) -> bool:
        return bool(points.mixture_blocks("grid", self.grid))

    def waves(self, split: str) -> list[str]:
        """Return the ids of the sets of exit waves that a split has."""
        return self.test_waves if split == "test" else self.train_waves

    def number_of_waves(self, split: str) -> int:
        """Return the number of sets of exit waves that a split has."""
        products = self.test_products if split == "test" else self.train_products
        if len(products) > 1 or self._is_mixed or (split == "test" and self.evaluation.test_own):
            return len(self.waves(split))
        return prod(len(products[0].get(name, [0])) for name in WAVE_AXES)

    @property
    def extreme_waves(self) -> list[Condition]:
        """Conditions with the extreme values of the axes that need other exit waves."""
        axes = points.joined_axes([*self.train_products, *self.test_products])
        return _extremes(axes, self.own_values)

    def check_waves(self) -> None:
        """Check the specimens and the field of view under all conditions.

        Raises
        ------
        ValueError
            If a specimen or the field is impossible. The message of one line names a key, and the
            values of axes if the study's own values are possible.
        """
        self._check_mixtures()
        _check(self, Condition(0, 0, 1, 1))
        for name, products in self.blocks.items():
            # The extremes of a block are possible in most studies; points may be thousands.
            try:
                self._check_extremes("", points.joined_axes(products))
            except ValueError:
                for axes in products:
                    self._check_extremes(f"{name}.", axes)

    def _check_mixtures(self) -> None:
        """Refuse a mixture over conditions with several sets of exit waves."""
        for place, block in points.mixture_blocks("grid", self.grid).items():
            if block.mixture.over and (others := [id for id in self.train_waves if id]):
                raise ValueError(
                    f"{place}.mixture.over = 'grid': conditions of grid need the exit waves "
                    f"{short(others)}; a mixture can have only axes that act behind the exit wave"
                )

    def _check_extremes(self, block: str, axes: dict[str, list[float]]) -> None:
        """Check the extreme combinations of values: what is allowed is monotonic in every axis."""
        for condition in _extremes(axes, self.own_values):
            if not condition.further:
                continue
            try:
                _check(self, condition)
            except ValueError as error:
                words = ", ".join(f"{axis} = {x:g}" for axis, x in condition.further)
                raise ValueError(f"{block}{words}: is not possible here; {error}") from None

    def check_has_waves(self, condition: Condition) -> None:
        """Refuse a condition whose exit waves are not part of the study.

        Raises
        ------
        ValueError
            If the study has no test structures with the condition's exit waves.
        """
        if (id := wave_set(condition)) not in self.test_waves:
            named = [(axis, x) for axis, x in condition.further if axis in WAVE_AXES]
            words = ", ".join(f"{axis} = {x:g}" for axis, x in named) or "the study's own values"
            known = ", ".join(one or "own values" for one in self.test_waves)
            raise ValueError(
                f"{words}: needs exit waves that the study does not have; it has {known}"
                + ("" if id else "; give a value of each axis that needs exit waves")
            )


def _ids(
    products: Sequence[points.Products], own: dict[str, float], mixed: bool = False
) -> list[str]:
    """Return the ids of the sets of exit waves of products, sorted by the values of axes.

    With `mixed`, the set of mixtures, which has the study's own values, is one of them.
    """
    names = [name for name in WAVE_AXES if name in own]
    if not names:
        return [""]
    combinations = {
        values for axes in products for values in product(*(axes[name] for name in names))
    }
    found = [wave_set(_condition(names, values, own)) for values in sorted(combinations)]
    return ["", *found] if mixed and "" not in found else found


def _condition(names: Sequence[str], values: Sequence[float], own: dict[str, float]) -> Condition:
    main = {"defocus_nm": 0, "cs_um": 0, "aperture_mrad": 1, "dose_e_per_A2": 1}
    return Condition.of(main | dict(zip(names, values, strict=True)), own)


def _extremes(axes: dict[str, list[float]], own: dict[str, float]) -> list[Condition]:
    """Return the extreme combinations of the values of axes that need other exit waves."""
    names = [name for name in WAVE_AXES if name in axes]
    ends = ({axes[name][0], axes[name][-1]} for name in names)
    return [_condition(names, values, own) for values in product(*ends)]


def _check(study: "Study", condition: Condition) -> None:
    microscope = study.microscope.under(condition)
    try:
        type(microscope).model_validate(microscope.model_dump())
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None
    for name, specimen in study.specimens.items():
        try:
            specimen.check_under(condition)
        except ValueError as error:
            raise ValueError(f"specimens.{name}.{error}") from None
        _check_field(name, specimen.under(condition), microscope)


def _check_field(name: str, specimen: Specimen, microscope: Microscope) -> None:
    """Check that a specimen's particles fit into the field of view, and the number of atoms."""
    field_nm = microscope.sampling.field_A / units.A_PER_NM
    # A particle's image must not touch its periodic copy; 0.3 nm is the width of an atom.
    room = max(0.0, field_nm - 0.3 - specimen.steps_nm)
    largest = room / specimen.widest
    if specimen.diameter_nm.max > largest:
        raise ValueError(
            f"specimens.{name}.diameter_nm.max = {specimen.diameter_nm.max:g}: must not "
            f"exceed {largest:.2f} nm, to fit the field of view of {field_nm:g} nm "
            "(microscope.field_px × microscope.pixel_size_A)"
        )
    # The hexagonal packing of equal discs is the densest packing (Fejes Tóth, Math. Z. 46,
    # 83, 1940). Discs at random positions fill little more than half as much area.
    apart = specimen.diameter_nm.min + specimen.gap_nm
    faces = 2 if specimen.substrate.faces == "both" else 1
    most = max(1, int(faces * field_nm**2 / (sqrt(3) / 2 * apart**2)))
    if specimen.particles.max > most:
        raise ValueError(
            f"specimens.{name}.particles.max = {specimen.particles.max}: must not exceed "
            f"{most}, to fit the field of view of {field_nm:g} nm with particles of "
            f"{specimen.diameter_nm.min:g} nm, the smallest, and gaps of "
            f"{specimen.gap_nm:g} nm"
        )
    _check_atoms(name, specimen, field_nm)


def _check_atoms(name: str, specimen: Specimen, field_nm: float) -> None:
    material, layer = MATERIALS.get(specimen.material), specimen.substrate
    # The atomic density of a crystal in a file is not known before ASE reads the file.
    largest = specimen.most_atoms(material.atoms_per_A3) if material else 0.0
    if largest > MOST_IN_PARTICLE:
        raise ValueError(f"specimens.{name}.{too_many_atoms(specimen, largest)}")
    volume_nm3 = field_nm**2 * (layer.thickness_nm + 3 * layer.thickness_std_nm)
    carbon = CARBON_PER_A3 * layer.density_g_per_cm3 * volume_nm3 * units.A_PER_NM**3
    atoms = specimen.particles.max * largest + carbon
    if atoms > MOST_ATOMS:
        raise ValueError(
            f"specimens.{name}.substrate.thickness_nm = {layer.thickness_nm:g}: makes, with "
            f"{specimen.particles.max} particles in a field of view of {field_nm:g} nm, "
            f"structures of up to {atoms:,.0f} atoms; must not exceed {MOST_ATOMS:,}"
        )
