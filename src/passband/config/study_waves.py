"""The sets of exit waves of a study, and the checks that each of them needs."""

from collections.abc import Sequence
from itertools import product
from math import ceil, sqrt
from typing import TYPE_CHECKING

from pydantic import ValidationError

from passband import units
from passband.axes import MAIN_AXES
from passband.config import points
from passband.config.base import short
from passband.config.materials import CARBON_PER_A3, MATERIALS
from passband.config.microscope import Microscope
from passband.config.specimen import MOST_IN_PARTICLE, Specimen, too_many_atoms
from passband.grid import Condition
from passband.wave_sets import WAVE_AXES, condition_of, wave_set

if TYPE_CHECKING:
    from passband.config.study import Study

#: A set of exit waves: the values of the study's axes that need other exit waves.
Values = tuple[float, ...]

#: The largest number of atoms in a structure.
MOST_ATOMS = 10_000_000
#: The largest number of sets of exit waves that a message names.
_MOST_NAMED = 6


class WavesOfStudy:
    """The part of :class:`passband.config.Study` that knows the sets of exit waves."""

    @property
    def train_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the training conditions, see `wave_sets`."""
        return self._ids(self._sets(self.train_products, self._is_mixed))

    @property
    def tested_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the test conditions."""
        return self._ids(self._sets(self.test_products))

    @property
    def test_waves(self) -> list[str]:
        """The ids of the sets of exit waves that networks are tested with.

        With `evaluation.test_own`, networks are also tested with those of the training conditions.
        """
        return self._ids(self._test_sets(self.evaluation.test_own))

    @property
    def _is_mixed(self) -> bool:
        return bool(points.mixture_blocks("grid", self.grid))

    def waves(self, specimen: str, split: str) -> list[str]:
        """Return the ids of the sets of exit waves that are simulated for a specimen's split.

        Test structures also have the sets of distances that the prediction uses. Those of the first
        trained specimen have a set of one training condition at least, for the figure of examples.
        """
        if split != "test":
            return self.train_waves
        example = [wave_set(self.middle_condition)] if self._adds_example(specimen) else []
        return [*self._ids(self._simulated_tests), *example]

    def number_of_waves(self, specimen: str, split: str) -> int:
        """Return the number of sets of exit waves that are simulated for a specimen's split."""
        if split != "test":
            return len(self._sets(self.train_products, self._is_mixed))
        return len(self._simulated_tests) + self._adds_example(specimen)

    def number_of_shards(self) -> int:
        """Return the number of files of exit waves of all specimens, splits and sets."""
        numbers, size = self.study.structures, self.study.structures_per_shard
        return sum(
            self.number_of_waves(name, split) * ceil(getattr(numbers, split) / size)
            for name, specimen in self.specimens.items()
            for split in specimen.splits
        )

    def _adds_example(self, specimen: str) -> bool:
        """Return whether a specimen needs a further set, for the figure of examples."""
        return specimen == next(iter(self.trained_specimens)) and not self._shared_sets

    @property
    def middle_condition(self) -> Condition:
        """The training condition that figures show.

        This condition has the highest dose, the middle value of each other main axis of the
        training grid, and the study's own value of each further axis, or its first value if the
        grid does not have the study's own value. If the grid is no product, or if no test structure
        has the exit waves of this condition, it is the nearest training condition whose exit waves
        test structures have, by the places of the values among those of each axis.
        """
        own, axes = self.own_values, self.train_axes

        def middle_value(name: str, axis: list[float]) -> float:
            if name == "dose_e_per_A2":
                return axis[-1]
            if name in MAIN_AXES:
                return axis[len(axis) // 2]
            return own[name] if own[name] in axis else axis[0]

        values = {name: middle_value(name, axis) for name, axis in axes.items()}
        middle, shared = Condition.of(values, own), set(self._ids(self._shared_sets))
        if len(self.train_products) > 1:
            found = [c for c in self.train_conditions if not shared or wave_set(c) in shared]
        elif not shared or wave_set(middle) in shared:
            return middle
        else:
            sets = (zip(self._wave_axes, each, strict=True) for each in self._shared_sets)
            found = [Condition.of(values | dict(of_set), own) for of_set in sets]
        places = {name: {value: k for k, value in enumerate(axis)} for name, axis in axes.items()}

        def apart(condition: Condition) -> float:
            return sum(
                abs(places[name][value] - places[name][values[name]]) / len(axes[name])
                for name, value in condition.values(own).items()
            )

        return min(found, key=apart)

    @property
    def _wave_axes(self) -> list[str]:
        """The names of the study's axes that need other exit waves."""
        own = self.own_values
        return [name for name in WAVE_AXES if name in own]

    def _sets(self, products: Sequence[points.Products], mixed: bool = False) -> list[Values]:
        """Return the sets of exit waves of products, as values of :attr:`_wave_axes`, sorted.

        With `mixed`, the set of mixtures, which has the study's own values, is one of them.
        """
        own, names = self.own_values, self._wave_axes
        if not names:
            return [()]
        found = {values for axes in products for values in product(*(axes[name] for name in names))}
        of_mixtures = tuple(own[name] for name in names)
        return [*[of_mixtures] * (mixed and of_mixtures not in found), *sorted(found)]

    def _ids(self, sets: Sequence[Values]) -> list[str]:
        own, names = self.own_values, self._wave_axes
        return [wave_set(_condition(names, values, own)) for values in sets]

    def _test_sets(self, as_trained: bool) -> list[Values]:
        """Return the sets of the test conditions; if `as_trained`, also those of training."""
        products = [*self.test_products, *(self.train_products if as_trained else [])]
        return self._sets(products, as_trained and self._is_mixed)

    @property
    def _simulated_tests(self) -> list[Values]:
        """The sets that test structures have before one is chosen for the figure of examples."""
        compared = self.distances.predict and self.predictable
        return self._test_sets(self.evaluation.test_own or compared)

    @property
    def _shared_sets(self) -> list[Values]:
        """Those sets of the training conditions that :attr:`_simulated_tests` has too."""
        known = set(self._simulated_tests)
        return [values for values in self._sets(self.train_products) if values in known]

    @property
    def extreme_waves(self) -> list[Condition]:
        """Conditions with the extreme values of the axes that need other exit waves."""
        axes = points.joined_axes([*self.train_products, *self.test_products])
        return _extremes(axes, self.own_values)

    def check_waves(self) -> None:
        """Check the specimens and the field of view under all conditions.

        Raises:
            ValueError: If a specimen or the field is impossible. The message of one line names a
                key, and the values of axes if the study's own values are possible.
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

    def check_has_waves(self, condition: Condition, split: str = "test") -> None:
        """Refuse a condition whose exit waves are not part of the study.

        Raises:
            ValueError: If the study has no structures of the split with the condition's exit waves.
        """
        waves = self.test_waves if split == "test" else self.train_waves
        if (id := wave_set(condition)) not in waves:
            known = [_words(condition_of(one)) or "its own values" for one in waves[:_MOST_NAMED]]
            raise ValueError(
                f"{_words(condition) or 'own values'}: needs exit waves that the study's {split} "
                f"images do not have; they have those of {'; '.join(known)}"
                + ("; ..." if len(waves) > _MOST_NAMED else "")
                + ("" if id else "; give a value of each axis that needs exit waves")
            )


def _words(condition: Condition) -> str:
    """Return a condition's values of axes that need other exit waves than the study's own."""
    return ", ".join(f"{axis} = {x:g}" for axis, x in condition.further if axis in WAVE_AXES)


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
