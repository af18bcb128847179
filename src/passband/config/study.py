"""The study: all blocks of the configuration, its conditions and its sets of exit waves."""

from functools import cached_property
from math import ceil, prod
from typing import Any, Self

from pydantic import PrivateAttr, ValidationInfo, model_validator

from passband import wave_sets
from passband.axes import FURTHER_AXES, MAIN_AXES, Axis
from passband.config import grid_blocks, study_checks
from passband.config.analysis import (
    FEWEST_PREDICTED,
    Evaluation,
    Figures,
    Information,
)
from passband.config.base import Block, Name, gone_of, key, remove
from passband.config.drawn import is_range, middle
from passband.config.grid_blocks import Grid, TestGrid
from passband.config.microscope import Microscope
from passband.config.specimen import Specimen
from passband.config.study_block import StudyBlock
from passband.config.training import Training
from passband.grid import Axes, Condition
from passband.mixtures import Mixture, is_mixture, of_id
from passband.parts import PACKAGE, Parts
from passband.seeds import digest
from passband.wave_sets import WAVE_AXES, WaveSet, wave_set


class Study(Block):
    """The whole configuration of a study.

    Example:
        >>> study = demo.study
        >>> shown = study.microscope.pixel_size_A, study.train_conditions[0].id
    """

    study: StudyBlock = key(StudyBlock, "The study as a whole.")
    microscope: Microscope = key(
        Microscope, "Parameters of the microscope that are the same under all conditions."
    )
    specimens: dict[Name, Specimen] = key(
        lambda: {"gold": Specimen()},
        "Distributions of atomic structures by name.",
        min_length=1,
        max_length=1000,
    )
    grid: grid_blocks.TrainBlocks = key(Grid, "The training conditions.")
    test_grid: grid_blocks.TestBlocks = key(TestGrid, "The test conditions.")
    training: Training = key(Training, "How networks are trained.")
    evaluation: Evaluation = key(Evaluation, "How networks are tested.")
    information: Information = key(Information, "How transfer functions are compared.")
    figures: Figures = key(Figures, "How figures look.")

    _objections: list[str] = PrivateAttr(default_factory=list)
    _known_parts: Parts = PrivateAttr(default=PACKAGE)

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
        self._known_parts = (info.context or {}).get("parts", PACKAGE)
        study_checks.check(self)
        return self

    @property
    def known_parts(self) -> Parts:
        """The parts that the study knows: the package's, and its own."""
        return self._known_parts

    @property
    def needs_trial(self) -> bool:
        """Whether only a trial shows some mistakes, see :mod:`passband.imaging.image_trial`."""
        specimens = (specimen.needs_trial_particles for specimen in self.specimens.values())
        parts = self.microscope.engine_part, self.microscope.noise_part
        return any(part.is_own for part in parts) or any(specimens)

    @property
    def predictable(self) -> bool:
        """Whether there are enough conditions to predict the matrix, and to judge predictions."""
        trained = self.train_number - self.mixture_number
        return min(trained, self.test_number) >= FEWEST_PREDICTED

    @property
    def steps(self) -> int:
        """The number of optimizer steps of each network."""
        # As in passband.learning.batches: if the last batch had one image only, this image is added
        # to the batch before.
        size = self.training.batch_size
        return self.training.epochs * (len(range(size, self.study.structures.train - 1, size)) + 1)

    @property
    def drawn(self) -> list[str]:
        """The names of figures that every run draws. Other figures are drawn on request."""
        return [
            name
            for name, part in self.known_parts.of("figure").items()
            if not part.declaration.on_request
            and (self.predictable or "prediction" not in part.declaration.inputs)
        ]

    @property
    def spacings(self) -> dict[str, list[float]]:
        """The widest lattice spacings [Å] of each trained specimen with a known material.

        Specimens of the same material are together, under the names of all of them.
        """
        names: dict[str, list[str]] = {}
        spacings: dict[str, list[float]] = {}
        for name, specimen in self.trained_specimens.items():
            if material := specimen.known:
                names.setdefault(specimen.material, []).append(name)
                spacings[specimen.material] = list(material.spacings_A)
        return {", ".join(named): spacings[material] for material, named in names.items()}

    @property
    def trained_specimens(self) -> dict[str, Specimen]:
        return {name: specimen for name, specimen in self.specimens.items() if specimen.trained}

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the study's configuration, crystal files and own parts."""
        files = {name: s.content for name, s in self.specimens.items() if s.structure == "file"}
        parts = self.known_parts.digest
        return digest(self.identity(mode="json"), *filter(None, [files, parts]))

    def written(self) -> dict[str, Any]:
        """Return the values of all keys, as JSON has them, so that they make this study again.

        The key of a further axis that leaves out the study's own value is left out, unless the
        configuration has it, since :mod:`passband.config.study_checks` refuses it. So are keys
        that are gone.
        """
        content = self.model_dump(mode="json")
        for place, block in self:
            if isinstance(block, Block):  # not the specimens
                for name, value in gone_of(type(block)).items():
                    remove(content, f"{place}.{name}", value)
        for name, axis in FURTHER_AXES.items():
            values = self.given_values.get(name)
            if not values or self.axes.own_value(name) in values:
                continue
            for place, block in self.holders(axis).items():
                if not block.is_written(axis.path):
                    kind, _, specimen = place.partition(".")
                    inner = content[kind][specimen] if specimen else content[kind]
                    remove(inner, axis.path, block.at(axis.path))
        return content

    @property
    def objections(self) -> list[str]:
        """What a new study must not have, a line each; see `passband.results.Results.check_new`."""
        return [*self._objections, *study_checks.objections(self)]

    @property
    def remarks(self) -> list[str]:
        """Warnings about the configuration, one line each."""
        missing = [f"the study's parts are not all here: {it}" for it in self.known_parts.missing]
        elsewhere = [
            f"specimens.{name}.material = {specimen.material!r}: found in the working directory; "
            "write the path relative to the study's folder, so that it is found from any folder"
            for name, specimen in self.specimens.items()
            if specimen.is_elsewhere
        ]
        return [*missing, *elsewhere]

    @cached_property
    def axes(self) -> Axes:
        """The study's axes, without a further axis whose only value is the study's own value."""
        written = {}
        for name, axis in FURTHER_AXES.items():
            first, *_ = self.holders(axis).values()
            written[name] = first.at(axis.path)
        values = {name: FURTHER_AXES[name].canonical(middle(x)) for name, x in written.items()}
        own = {n: x for n, x in values.items() if self.given_values.get(n, set()) - {x}}
        others = {name: x for name, x in values.items() if name not in own}
        return Axes(own, others, frozenset(name for name, x in written.items() if is_range(x)))

    @cached_property
    def given_values(self) -> dict[str, set[float]]:
        """The values of each axis that `grid` and `test_grid` give."""
        found: dict[str, set[float]] = {}
        for block in self.named_blocks.values():
            for axes in grid_blocks.given_products(block):
                for name, values in axes.items():
                    found.setdefault(name, set()).update(values)
        return found

    def holders(self, axis: Axis) -> dict[str, Block]:
        """Return the blocks that have the study's own value of a further axis, by their places."""
        if axis.block == "microscope":
            return {"microscope": self.microscope}
        return {f"specimens.{name}": specimen for name, specimen in self.specimens.items()}

    @property
    def named_blocks(self) -> dict[str, Block]:
        """The blocks of `grid` and `test_grid` that have conditions, by their places."""
        named = grid_blocks.named
        return named("grid", self.grid) | named("test_grid", self.test_grid)

    @property
    def mixture_blocks(self) -> dict[str, grid_blocks.MixtureBlock]:
        """The blocks of `grid` with mixtures, by their places."""
        return grid_blocks.mixture_blocks("grid", self.grid)

    @cached_property
    def train_products(self) -> grid_blocks.Products:
        """The training conditions as products of axes.

        An axis that a block of `grid` does not give has the study's own value there.
        """
        return grid_blocks.train_products(self.grid, self.axes)

    @cached_property
    def test_products(self) -> grid_blocks.Products:
        """The test conditions as products of axes.

        An axis that a product of `test_grid` does not give has the values of `grid`.
        """
        return grid_blocks.test_products(self.test_grid, self.grid, self.axes)

    @property
    def blocks(self) -> dict[str, grid_blocks.Products]:
        """The products of each block of `grid` and of `test_grid`, by the block's name."""
        axes = self.axes
        train = grid_blocks.named("grid", self.grid)
        test = grid_blocks.named("test_grid", self.test_grid)
        return {name: grid_blocks.train_products(block, axes) for name, block in train.items()} | {
            name: grid_blocks.test_products(block, self.grid, axes) for name, block in test.items()
        }

    @property
    def train_axes(self) -> dict[str, list[float]]:
        """The values of each axis among the training conditions, rounded and sorted."""
        return grid_blocks.joined_axes(self.train_products)

    @property
    def test_axes(self) -> dict[str, list[float]]:
        """The values of each axis among the test conditions, rounded and sorted."""
        return grid_blocks.joined_axes(self.test_products)

    @cached_property
    def train_conditions(self) -> list[Condition]:
        """The training conditions, sorted."""
        return self.axes.conditions(self.train_products)

    @property
    def mixtures(self) -> list[Mixture]:
        """The distributions of conditions under which networks are trained, in the given order."""
        blocks = self.mixture_blocks.values()
        if not blocks:
            return []
        trained = self.train_conditions
        return [block.distribution(trained, self.axes) for block in blocks]

    @property
    def train_ids(self) -> list[str]:
        """The ids of the training conditions, sorted by their values, and then of the mixtures."""
        return [trained.id for trained in (*self.train_conditions, *self.mixtures)]

    def trained_under(self, id: str) -> Condition | Mixture:
        """Return the training condition or the mixture with an id of :attr:`train_ids`."""
        return of_id(self.mixtures, id) if is_mixture(id) else self.axes.parse(id)

    @cached_property
    def test_conditions(self) -> list[Condition]:
        """The test conditions, sorted."""
        return self.axes.conditions(self.test_products)

    def condition_settings(self, *sides: str) -> dict[str, Any]:
        """Return what the conditions of "train" and "test" follow from, for the param of a rule.

        These are the values of the axes of a product, and otherwise the ids of the conditions. Axes
        that have only the study's own value are left out, since they change no result. The own
        values of the others are there too, and with "train" the ids of the mixtures.
        """
        own = self.axes.own
        found: dict[str, Any] = {}
        axes: set[str] = set()
        for side in sides:
            name = {"train": "training conditions", "test": "test conditions"}[side]
            products = getattr(self, f"{side}_products")
            if len(products) == 1:
                (given,) = products
                values = {axis: v for axis, v in given.items() if v != [own.get(axis)]}
                found |= {f"{axis} of {name}": v for axis, v in values.items()}
                axes |= values.keys()
            else:
                conditions = self.axes.conditions(products)
                found[name] = [condition.id for condition in conditions]
                axes |= {name for condition in conditions for name, _ in condition.further}
        if "train" in sides and self.mixtures:
            found["mixtures"] = [mixture.id for mixture in self.mixtures]
        return found | {f"own {axis}": x for axis, x in own.items() if axis in axes}

    @property
    def train_number(self) -> int:
        """Number of training conditions and mixtures, computed without a product's conditions."""
        return self._number("train") + self.mixture_number

    @property
    def mixture_number(self) -> int:
        """Number of mixtures."""
        return len(self.mixture_blocks)

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
        test conditions. For products, the number is computed without the conditions.
        """
        if not self.evaluation.test_own:
            return 0
        train, test = self.train_products, self.test_products
        if len(train) == len(test) == 1:
            both = (set(values) & set(test[0][axis]) for axis, values in train[0].items())
            return self.train_number - prod(map(len, both))
        return len({*self.train_conditions} - {*self.test_conditions}) + self.mixture_number

    @property
    def train_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the training conditions, see `wave_sets`."""
        return [each.id for each in self._sets(self.train_products, bool(self.mixture_blocks))]

    @cached_property
    def tested_waves(self) -> list[str]:
        """The ids of the sets of exit waves of the test conditions."""
        return [each.id for each in self._sets(self.test_products)]

    @property
    def test_waves(self) -> list[str]:
        """The ids of the sets of exit waves that networks are tested with.

        With `evaluation.test_own`, networks are also tested with those of the training conditions.
        """
        own = self.evaluation.test_own
        products = [*self.test_products, *(self.train_products if own else [])]
        return [each.id for each in self._sets(products, own and bool(self.mixture_blocks))]

    def waves(self, specimen: str, split: str) -> list[str]:
        """Return the ids of the sets of exit waves that are simulated for a specimen's split.

        Test structures of the first trained specimen have a set of one training condition at least,
        for the figure of examples.
        """
        if split != "test":
            return self.train_waves
        found = self.test_waves
        if specimen == next(iter(self.trained_specimens)) and not self._shared_sets:
            found.append(wave_set(self.middle_condition))
        return found

    def number_of_shards(self) -> int:
        """Return the number of files of exit waves of all specimens, splits and sets."""
        numbers = self.study.structures
        size = self.study.structures_per_shard
        return sum(
            len(self.waves(name, split)) * ceil(getattr(numbers, split) / size)
            for name, specimen in self.specimens.items()
            for split in specimen.splits
        )

    @property
    def middle_condition(self) -> Condition:
        """The training condition that figures show.

        This condition has the highest dose, the middle value of each other main axis of the
        training grid, and the study's own value of each further axis, or its first value if the
        grid does not have the study's own value. If the grid is no product, or if no test structure
        has the exit waves of this condition, it is the nearest training condition whose exit waves
        test structures have, by the places of the values among those of each axis.
        """
        own = self.axes.own
        axes = self.train_axes

        def middle_value(name: str, axis: list[float]) -> float:
            if name == "dose_e_per_A2":
                return axis[-1]
            if name in MAIN_AXES:
                return axis[len(axis) // 2]
            return own[name] if own[name] in axis else axis[0]

        values = {name: middle_value(name, axis) for name, axis in axes.items()}
        middle = self.axes.condition(values)
        shared = {each.id for each in self._shared_sets}
        if len(self.train_products) > 1:
            found = [c for c in self.train_conditions if not shared or wave_set(c) in shared]
        elif not shared or wave_set(middle) in shared:
            return middle
        else:
            sets = [{**own, **dict(each.further)} for each in self._shared_sets]
            waves = [{name: of_set[name] for name in WAVE_AXES if name in own} for of_set in sets]
            found = [self.axes.condition({**values, **of_set}) for of_set in waves]
        places = {name: {value: k for k, value in enumerate(axis)} for name, axis in axes.items()}

        def apart(condition: Condition) -> float:
            return sum(
                abs(places[name][value] - places[name][values[name]]) / len(axes[name])
                for name, value in condition.values().items()
            )

        return min(found, key=apart)

    def _sets(self, products: grid_blocks.Products, mixed: bool = False) -> list[WaveSet]:
        """Return the sets of products, sorted, and with `mixed` that of mixtures."""
        found = wave_sets.of_products(products, self.axes)
        return [*[WaveSet()] * (mixed and WaveSet() not in found), *found]

    @property
    def _shared_sets(self) -> list[WaveSet]:
        """Those sets of the training conditions that networks are tested with."""
        tested = set(self.test_waves)
        return [each for each in self._sets(self.train_products) if each.id in tested]

    @property
    def extreme_waves(self) -> list[WaveSet]:
        """The sets with the extreme values of the axes that need other exit waves."""
        values = grid_blocks.joined_axes([*self.train_products, *self.test_products])
        return wave_sets.extremes(values, self.axes)
