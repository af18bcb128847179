"""The conditions of a study: its axes, the products and points of its grids, and their checks."""

from collections.abc import Iterator
from functools import cached_property, partial
from math import ceil, prod

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.config import designs, mixtures, points
from passband.config.base import short
from passband.grid import Condition, conditions
from passband.mixtures import Mixture, is_mixture, of_id
from passband.words import listed

#: The axis with the amplitude of an aberration, by the axis with the aberration's azimuth.
_AMPLITUDES = {
    name: name.replace("_deg", "_nm") for name, axis in FURTHER_AXES.items() if axis.unit == "°"
}


#: The angle [°] after which each aberration repeats, by the axis with the aberration's azimuth.
_TURNS = {"astigmatism_deg": 180, "coma_deg": 360, "threefold_deg": 120}


class ConditionsOfStudy:
    """The part of :class:`passband.config.Study` that reads `grid` and `test_grid`.

    A study is frozen. So what takes long with thousands of points is computed once, after
    :meth:`make_designs` has replaced the designs.
    """

    @cached_property
    def own_values(self) -> dict[str, float]:
        """The study's own values of its further axes, see :data:`passband.axes.FURTHER_AXES`.

        An axis whose only value is the study's own value is no axis of the study.
        """
        found = {}
        for name, axis in FURTHER_AXES.items():
            if self._given.get(name, set()) - {own := axis.canonical(self._own(name))}:
                found[name] = own
        return found

    @property
    def written_values(self) -> dict[str, float]:
        """The study's own values of all further axes, also of those that it does not have."""
        return {name: axis.canonical(self._own(name)) for name, axis in FURTHER_AXES.items()}

    def given_values(self, name: str) -> set[float]:
        """Return the values of an axis that `grid` and `test_grid` give."""
        return self._given.get(name, set())

    @cached_property
    def _given(self) -> dict[str, set[float]]:
        """Return the values of each axis that `grid` and `test_grid` give."""
        found: dict[str, set[float]] = {}
        for block in (*points.listed(self.grid), *points.listed(self.test_grid)):
            for axes in points.given_products(block):
                for name, values in axes.items():
                    found.setdefault(name, set()).update(values)
        return found

    def _own(self, name: str) -> float:
        """Return the value of a further axis in the block `microscope` or `specimens`."""
        block, _, path = FURTHER_AXES[name].key.partition(".")
        if block == "specimens":
            return next(iter(self.specimens.values())).at(path)
        return self.microscope.at(path)

    @property
    def axes(self) -> list[str]:
        """The names of the study's axes, in the order of :data:`passband.axes.AXES`."""
        return [*MAIN_AXES, *self.own_values]

    @cached_property
    def train_products(self) -> points.Products:
        """The training conditions as products; missing axes have the study's own value."""
        return points.train_products(self.grid, self.own_values)

    @cached_property
    def test_products(self) -> points.Products:
        """The test conditions as products of axes; missing axes have the values of `grid`."""
        return points.test_products(self.test_grid, self.grid, self.own_values)

    @property
    def blocks(self) -> dict[str, points.Products]:
        """The products of each block of `grid` and of `test_grid`, by the block's name."""
        own = self.own_values
        train = points.named("grid", self.grid)
        test = points.named("test_grid", self.test_grid)
        return {name: points.train_products(block, own) for name, block in train.items()} | {
            name: points.test_products(block, self.grid, own) for name, block in test.items()
        }

    @property
    def train_axes(self) -> dict[str, list[float]]:
        """The values of each axis among the training conditions, rounded and sorted."""
        return points.joined_axes(self.train_products)

    @property
    def test_axes(self) -> dict[str, list[float]]:
        """The values of each axis among the test conditions, rounded and sorted."""
        return points.joined_axes(self.test_products)

    @cached_property
    def train_conditions(self) -> list[Condition]:
        """The training conditions, sorted."""
        return conditions(self.train_products, self.own_values)

    @property
    def mixtures(self) -> list[Mixture]:
        """The distributions of conditions under which networks are trained, in the given order."""
        blocks = points.mixture_blocks("grid", self.grid).values()
        if not blocks:
            return []
        own, trained = self.written_values, self.train_conditions
        return [block.distribution(trained, own) for block in blocks]

    @property
    def train_ids(self) -> list[str]:
        """The ids of the training conditions, sorted by their values, and then of the mixtures."""
        return [trained.id for trained in (*self.train_conditions, *self.mixtures)]

    def trained_under(self, id: str) -> Condition | Mixture:
        """Return the training condition or the mixture with an id of :attr:`train_ids`."""
        return of_id(self.mixtures if is_mixture(id) else (), id)

    def mixture_params(self) -> dict[str, list[str]]:
        """Return the param of a Snakemake rule with the ids of the mixtures; none without any."""
        ids = [mixture.id for mixture in self.mixtures]
        return {"mixtures": ids} if ids else {}

    @cached_property
    def test_conditions(self) -> list[Condition]:
        """The test conditions, sorted."""
        return conditions(self.test_products, self.own_values)

    def condition_params(self, *sides: str) -> dict[str, dict | list[str]]:
        """Return the params of a Snakemake rule from which a script makes conditions.

        The param of a product is the values of its axes. Axes that have only the study's own value
        are left out, since they change no result. If no further axis remains, there is no param
        `own`: a study with only the main axes has the same params as before further axes existed.
        If the conditions are no product, the param is their ids.
        """
        own, params, axes = self.own_values, {}, set()
        for side in sides:
            products = getattr(self, f"{side}_products")
            if len(products) == 1:
                (given,) = products
                params[side] = {axis: v for axis, v in given.items() if v != [own.get(axis)]}
                axes |= params[side].keys()
            else:
                found = conditions(products, own)
                params[side] = [condition.id for condition in found]
                axes |= {name for condition in found for name, _ in condition.further}
        kept = {axis: x for axis, x in own.items() if axis in axes}
        return params | ({"own": kept} if kept else {})

    @property
    def train_number(self) -> int:
        """Number of training conditions and mixtures, computed without a product's conditions."""
        return self._number("train") + self.mixture_number

    @property
    def mixture_number(self) -> int:
        """Number of mixtures."""
        return len(points.mixture_blocks("grid", self.grid))

    @property
    def group_number(self) -> int:
        """Number of groups of training conditions. Each mixture is one group."""
        alone = self.mixture_number
        return ceil((self.train_number - alone) / self.study.conditions_per_job) + alone

    @property
    def test_number(self) -> int:
        """Number of test conditions. For a product, it is computed without the conditions."""
        return self._number("test")

    def _number(self, side: str) -> int:
        products = getattr(self, f"{side}_products")
        if len(products) == 1:
            return prod(map(len, products[0].values()))
        return len(getattr(self, f"{side}_conditions"))

    @property
    def own_number(self) -> int:
        """Number of training conditions under which only their own networks are tested.

        With `evaluation.test_own`, these are the mixtures, and the training conditions that are no
        test conditions.
        For products, the number is computed without the conditions.
        """
        if not self.evaluation.test_own:
            return 0
        train, test = self.train_products, self.test_products
        if len(train) == len(test) == 1:
            both = (set(values) & set(test[0][axis]) for axis, values in train[0].items())
            return self.train_number - prod(map(len, both))
        return len({*self.train_conditions} - {*self.test_conditions}) + self.mixture_number

    def make_designs(self) -> None:
        """Replace each design by its points.

        The points do not depend on the version of SciPy when a job reads the configuration again.
        """
        for grid in ("grid", "test_grid"):
            given = getattr(self, grid)
            several = isinstance(given, list)
            blocks = [
                self._with_points(f"{grid}[{number}]" if several else grid, block)
                if isinstance(block, points.Points) and block.design
                else block
                for number, block in enumerate(given if several else [given])
            ]
            # The model is frozen for everybody else.
            self.__dict__[grid] = blocks if several else blocks[0]

    def _with_points(self, name: str, block: points.Points) -> points.Points:
        design, ranges = block.design, block.design.ranges.axes()
        others = {axis: values[len(values) // 2] for axis, values in block.axes().items()}
        try:
            found = designs.points(
                design.method,
                design.points,
                getattr(design, "in"),
                ranges,
                design.seed,
                self.microscope,
                others,
                self.information.flat_power_A2,
            )
        except ValueError as error:
            raise ValueError(f"{name}.design.{error}") from None
        return block.with_points(found)

    def objections_to_conditions(self) -> Iterator[str]:
        """Yield what a new study must not have: numbers that people read differently, and twins."""
        named = points.named("grid", self.grid) | points.named("test_grid", self.test_grid)
        for name, block in named.items():
            if isinstance(block, points.Points) and (objection := block.objection):
                yield f"{name}.points = {objection}"
        axes = points.joined_axes([*self.train_products, *self.test_products])
        turns = {name: turn for name, turn in _TURNS.items() if name in axes}
        if all(
            len({*map(partial(_direction, name), axes[name])}) == len(axes[name]) for name in turns
        ):
            return
        seen: dict[tuple, dict[str, float]] = {}
        for name, products in self.blocks.items():
            for number, product in enumerate(products):
                for condition in conditions([product], self.own_values):
                    values = condition.values(self.own_values)
                    same = tuple(_direction(*each) for each in values.items())
                    twin = seen.setdefault(same, values)
                    for azimuth, turn in turns.items():
                        if twin[azimuth] != values[azimuth]:
                            is_point = isinstance(named[name], points.Points)
                            where = named[name].where(number, azimuth) if is_point else ""
                            yield (
                                f"{name}.{where}{azimuth} = {values[azimuth]:g}: is the same "
                                f"condition as {azimuth} = {twin[azimuth]:g}, since "
                                f"{AXES[_AMPLITUDES[azimuth]].label} repeats after {turn}°; keep "
                                "one of them"
                            )
                            return

    def check_mixtures(self) -> None:
        """Check the mixtures before their conditions are used."""
        blocks = points.mixture_blocks("grid", self.grid)
        mixtures.check(blocks, len(points.listed(self.grid)), self.microscope)

    def check_own_values(self) -> None:
        """Refuse a written value of an axis's key that no condition has.

        A block that does not have the axis has the written value there.
        """
        given, products = self._given, [*self.train_products, *self.test_products]
        for name, axis in FURTHER_AXES.items():
            if name not in given:
                continue
            block, _, path = axis.key.partition(".")
            blocks = (
                {f"specimens.{each}": value for each, value in self.specimens.items()}
                if block == "specimens"
                else {"microscope": self.microscope}
            )
            first, *others = blocks
            for other in others:
                if blocks[other].at(path) != blocks[first].at(path):
                    raise ValueError(
                        f"{other}.{path} = {blocks[other].at(path):g}: must equal {first}.{path} = "
                        f"{blocks[first].at(path):g}, since {name} is an axis of the grid"
                    )
            own = axis.canonical(self._own(name))
            if any(own in axes.get(name, [own]) for axes in products) or self._is_mixed_in(name):
                continue
            values = short(sorted(given[name]))
            for where, written in blocks.items():
                if written.is_written(path):
                    raise ValueError(
                        f"{where}.{path} = {written.at(path):g}: is not a value of the axis {name} "
                        f"= {values}; add the value to the axis, or remove the key"
                    )

    def check_effects(self) -> None:
        """Refuse an axis without any effect, whose values would be trained as other conditions."""
        axes = points.joined_axes([*self.train_products, *self.test_products])
        mtf, modelled = self.microscope.detector.mtf, ("gaussian", "lorentzian")
        if "mtf_nyquist" in axes and mtf not in modelled:
            raise ValueError(
                f"microscope.detector.mtf = {mtf!r}: has no mtf_nyquist, which is an axis of the "
                f"grid; must be {listed([*map(repr, modelled)], 'or')}"
            )
        for azimuth, amplitude in _AMPLITUDES.items():
            own = self.written_values[amplitude]
            if azimuth in axes and not any(axes.get(amplitude, [own])):
                raise ValueError(
                    f"{FURTHER_AXES[amplitude].key} = {own:g}: has no azimuth, but {azimuth} = "
                    f"{short(axes[azimuth])} is an axis of the grid; give a value above 0, or "
                    f"values of the axis {amplitude}"
                )

        warmed = any(specimen.feels_temperature for specimen in self.specimens.values())
        if "temperature_K" in axes and "substrate_thickness_nm" not in axes and not warmed:
            name, specimen = next(iter(self.specimens.items()))
            raise ValueError(
                f"specimens.{name}.thermal.msd_A2 = {short(specimen.thermal.msd_A2)}: replaces the "
                "temperature for every element, but temperature_K is an axis of the grid; remove "
                "the axis, or the displacement of a metal or of C"
            )

    def _is_mixed_in(self, name: str) -> bool:
        """Return whether a mixture has the study's own value of a further axis."""
        own = self.written_values[name]
        return any(
            name not in axes or axes[name][0] <= own <= axes[name][-1]
            for block in points.mixture_blocks("grid", self.grid).values()
            for axes in block.extremes().values()
        )


def _direction(axis: str, value: float) -> float:
    """Return a value of an axis, and an azimuth as its hundredths of a degree within one turn."""
    return round(100 * value) % (100 * _TURNS[axis]) if axis in _TURNS else value
