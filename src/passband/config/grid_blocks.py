"""The blocks `grid` and `test_grid`: products of axes, points, and several blocks together."""

from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    create_model,
    model_validator,
)

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.config import point_table
from passband.config.base import (
    Block,
    Given,
    Numbers,
    axis_keys,
    first_repeated,
    key,
    number_type,
    short,
)
from passband.config.mixture_block import MixtureBlock, check_points
from passband.config.study_file import MOST_IN_LIST
from passband.grid import Axes

#: Conditions as products of axes: for each product, the values of each axis.
Products = list[dict[str, list[float]]]


class Range(Block):
    """Evenly spaced values of an axis, rounded to the resolution of the axis."""

    start: float = Field(description="First value of the axis.")
    stop: float = Field(description="Last value of the axis.")
    num: int = Field(description="Number of values of the axis.", ge=1, le=MOST_IN_LIST)
    spacing: Literal["linear", "geometric"] = key(
        "linear",
        "`linear`: equal differences between values. `geometric`: equal ratios between values.",
    )

    def _check_values(self) -> None:
        if self.num == 1 and self.start != self.stop:
            raise ValueError(f"num = 1: start = {self.start:g} and stop = {self.stop:g} need 2")
        if self.spacing == "geometric" and self.start * self.stop <= 0:
            raise ValueError(
                f"start = {self.start:g}, stop = {self.stop:g}: a geometric range needs two "
                "values of the same sign, neither of them 0"
            )

    def values(self) -> list[float]:
        """Return the values in the unit of the axis, before they are rounded."""
        space = np.geomspace if self.spacing == "geometric" else np.linspace
        return space(self.start, self.stop, self.num).tolist()


Values = Annotated[
    Annotated[list[float], Tag("<list>")] | Annotated[Range, Tag("<range>")],
    Discriminator(lambda value: "<range>" if isinstance(value, dict | Range) else "<list>"),
]


def axis_type(name: str) -> Any:
    """Return the type of an axis: a list or a range of values within the limits of the axis."""
    axis = AXES[name]

    def check(given: list[float] | Range) -> list[float] | Range:
        if isinstance(given, Range):
            axis.within(given.start), axis.within(given.stop)
            values = map(axis.canonical, given.values())
        elif len(given) > MOST_IN_LIST:
            raise ValueError(f"{len(given):,} values: an axis has at most {MOST_IN_LIST:,}")
        elif not given:
            raise ValueError("[]: an axis needs at least one value")
        else:
            values = map(axis.checked, given)
        repeated = first_repeated(sorted(values))
        if repeated is not None:
            raise ValueError(
                f"{repeated:g}: is listed twice; values must differ by {axis.step} or more"
            )
        return given

    return Annotated[Values, AfterValidator(check)]


class _Axes(Block):
    def axes(self) -> dict[str, list[float]]:
        """Return the values of each given axis, rounded to its resolution and sorted."""
        axes = {}
        for name, axis in AXES.items():
            if given := getattr(self, name):
                values = given.values() if isinstance(given, Range) else given
                axes[name] = sorted(axis.canonical(value) for value in values)
        return axes

    def _is_left_out(self, name: str) -> bool:
        # A further axis that is not given: so more axes leave all recipes as they are.
        left_out = name in FURTHER_AXES and getattr(self, name) is None
        return left_out or super()._is_left_out(name)


#: A block with a key for each axis, in the order of :data:`AXES`.
OptionalAxes = create_model(
    "OptionalAxes",
    __base__=_Axes,
    **{
        name: (
            axis_type(name) | None,
            key(None, axis.description, axis.unit),
        )
        for name, axis in AXES.items()
    },
)


class Grid(OptionalAxes):
    """The training conditions: all combinations of the values of the axes.

    An axis is a list of values, or `{start, stop, num}` with `spacing: linear` or `geometric`.
    Every study has the first four axes. Any other axis is a key of `microscope` or `specimens`,
    which has the study's own value.
    """

    defocus_nm: axis_type("defocus_nm") = key(
        lambda: [5.0, 20.0], MAIN_AXES["defocus_nm"].description, "nm"
    )
    cs_um: axis_type("cs_um") = key(lambda: [1.2, 60.0], MAIN_AXES["cs_um"].description, "µm")
    aperture_mrad: axis_type("aperture_mrad") = key(
        lambda: [10.0, 18.0], MAIN_AXES["aperture_mrad"].description, "mrad"
    )
    dose_e_per_A2: axis_type("dose_e_per_A2") = key(
        lambda: [100.0, 1000.0], MAIN_AXES["dose_e_per_A2"].description, "e/Å²"
    )


class TestGrid(OptionalAxes):
    """The test conditions.

    If `grid` is a single product, an axis that is not given has the same values as in `grid`.
    Otherwise, defocus, Cs, aperture and dose must be given.
    """

    __test__ = False  # pytest must not collect this class


Point = create_model("Point", __base__=Numbers, __doc__="A condition.", **axis_keys(number_type))


class Points(Given, OptionalAxes):
    """Conditions that are listed one by one.

    An axis that the points do not have is a list or a range of values, as in a product. Each point
    is then combined with all these values.
    """

    points: list[Point] = Field(
        description="The points, such as `[{defocus_nm: 12, cs_um: 1000, ...}]`, or the path of a "
        "CSV file with a point in each line, relative to the study's file.",
    )

    _table: point_table.PointTable | None = None
    _products: Products = PrivateAttr(default_factory=list)

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: Any, info: ValidationInfo) -> Self:
        table = None
        if isinstance(value, dict) and isinstance(value.get("points"), str):
            folder = (info.context or {}).get("folder", Path())
            try:
                table = point_table.read(value["points"], folder)
            except ValueError as error:
                raise ValueError(f"points = {error}") from None
            value = value | {"points": table.points}
        block = handler(value)
        block._table = table
        others = block.axes()
        given = [point.axes() for point in block.points]
        check_points(given, lambda place, own: block._check_axes(place, own, others))
        block._products = [{name: [x] for name, x in axes.items()} | others for axes in given]
        return block

    def _check_axes(self, place: str, own: dict[str, Any], others: dict[str, Any]) -> None:
        """Check that each axis is given once, by a point (`own`) or by the block (`others`)."""
        for name in AXES:
            if name in own and name in others:
                raise ValueError(f"{name}: is given here and in {place}; keep one of them")
            if name in MAIN_AXES and name not in own and name not in others:
                if self._table is not None:
                    raise ValueError(f"points = {self._table.first_line}: has no column {name}")
                raise ValueError(f"{place}.{name}: missing; each point needs {name}")

    @property
    def objection(self) -> str:
        """What a new study must not have in its table, see `point_table.PointTable`."""
        return self._table.objection if self._table is not None else ""

    def where(self, number: int, axis: str) -> str:
        """Return the place of a point's value of an axis, below the block, for messages."""
        if axis in self.axes():
            return ""
        if self._table is not None:
            return f"points = {self._table.where(number)}: "
        return f"points[{number}]."

    def products(self) -> Products:
        """Return a product for each point."""
        return self._products


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "<blocks>"
    if isinstance(value, Points) or (isinstance(value, dict) and "points" in value):
        return "<points>"
    if isinstance(value, MixtureBlock) or (isinstance(value, dict) and "mixture" in value):
        return "<mixture>"
    return "<product>"


def _only(value: Any, info: ValidationInfo) -> Any:
    """Return the block of a list with one block. So the list has the same results as the block."""
    if not (isinstance(value, list) and len(value) == 1):
        return value
    if isinstance(value[0], list):
        (info.context or {}).get("objections", []).append(
            f"{info.field_name} = [{short(value[0])}]: is a list within a list; must be a block of "
            "keys, or a list of 1 to 1,000 blocks"
        )
    return value[0]


def _blocks(*kinds: Any) -> Any:
    """Return the type of a block of conditions, or of a list of blocks."""
    one = reduce(or_, kinds)
    several = Annotated[
        list[Annotated[one, Discriminator(_kind)]],
        Field(min_length=1, max_length=1000),
        Tag("<blocks>"),
    ]
    return Annotated[several | one, Discriminator(_kind), BeforeValidator(_only)]


_OfPoints = Annotated[Points, Tag("<points>")]
_OfMixture = Annotated[MixtureBlock, Tag("<mixture>")]
if TYPE_CHECKING:
    TrainBlocks = Grid | Points | MixtureBlock | list[Grid | Points | MixtureBlock]
    TestBlocks = TestGrid | Points | list[TestGrid | Points]
else:
    TrainBlocks = _blocks(Annotated[Grid, Tag("<product>")], _OfPoints, _OfMixture)
    TestBlocks = _blocks(Annotated[TestGrid, Tag("<product>")], _OfPoints)


def named(name: str, given: Block | list[Block]) -> dict[str, Block]:
    """Return the blocks of `grid` or `test_grid` that have conditions, by their places."""
    every = _all_named(name, given).items()
    return {place: block for place, block in every if not isinstance(block, MixtureBlock)}


def mixture_blocks(name: str, given: Block | list[Block]) -> dict[str, MixtureBlock]:
    """Return the blocks of mixtures, by their names in the configuration."""
    every = _all_named(name, given).items()
    return {place: block for place, block in every if isinstance(block, MixtureBlock)}


def _all_named(name: str, given: Block | list[Block]) -> dict[str, Block]:
    if not isinstance(given, list):
        return {name: given}
    return {f"{name}[{number}]": block for number, block in enumerate(given)}


def given_products(block: Block) -> Products:
    """Return the products of a block with those axes that the block gives."""
    return block.products() if isinstance(block, Points) else [block.axes()]


def train_products(grid: Block | list[Block], axes: Axes) -> Products:
    """Return the products of `grid`, with the study's own values of axes that are not given."""
    blocks = named("", grid).values()
    return [_filled(given, axes) for block in blocks for given in given_products(block)]


def test_products(
    test_grid: Block | list[Block], grid: Block | list[Block], axes: Axes
) -> Products:
    """Return the products of `test_grid`.

    An axis that a product of `test_grid` does not give has the values of `grid`. A block without
    any key has all conditions of `grid`.

    Raises:
        ValueError: If a main axis is missing and `grid` is no product.
    """
    of_grid = train_products(grid, axes)
    found = []
    for name, block in named("test_grid", test_grid).items():
        for given in given_products(block):
            if not given:
                found += of_grid
            elif isinstance(block, Points):
                found.append(_filled(given, axes))
            elif len(of_grid) == 1:
                found.append({axis: given.get(axis, values) for axis, values in of_grid[0].items()})
            else:
                for axis in MAIN_AXES:
                    if axis not in given:
                        raise ValueError(
                            f"{name}.{axis}: missing; grid is no single product, whose values "
                            f"{axis} could have here"
                        )
                found.append(_filled(given, axes))
    return found


def _filled(given: dict[str, list[float]], axes: Axes) -> dict[str, list[float]]:
    """Return a product with all axes of the study, in the order of :data:`AXES`."""
    return {name: given.get(name) or [axes.own_value(name)] for name in axes.names}


def joined_axes(products: Products) -> dict[str, list[float]]:
    """Return the values of each axis among all products, sorted."""
    if len(products) == 1:
        return products[0]
    return {
        name: sorted({value for axes in products for value in axes[name]}) for name in products[0]
    }
