"""Blocks of the configuration for conditions that are no product of axes: points and designs."""

from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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

from passband.axes import AXES, MAIN_AXES
from passband.config import designs, point_table
from passband.config.base import Block, first_repeated, key, short
from passband.config.conditions import (
    Given,
    Grid,
    Numbers,
    OptionalAxes,
    TestGrid,
    axis_keys,
    given_axes,
    number_type,
)
from passband.config.microscope import Microscope
from passband.config.mixtures import MixtureBlock
from passband.config.study_file import MOST_IN_LIST
from passband.grid import Axes

#: The largest number of points of a design with the method `maximin`, which compares all points.
MOST_MAXIMIN = 1000

#: Conditions as products of axes: for each product, the values of each axis.
Products = list[dict[str, list[float]]]


def _ends(name: str) -> Any:
    """Return the type of a range of an axis in a design: its lowest and its highest value."""

    def check(ends: list[float]) -> list[float]:
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError(f"{ends}: must be the lowest and the highest value, such as [5, 40]")
        return ends

    return Annotated[list[number_type(name)], AfterValidator(check)]


Point = create_model("Point", __base__=Numbers, __doc__="A condition.", **axis_keys(number_type))
Ranges = create_model(
    "Ranges",
    __base__=Numbers,
    __doc__="The ranges that a design fills: `[lowest, highest]` for each axis.",
    **axis_keys(_ends),
)
# `in` is a word of Python, so that it cannot be written as an attribute of a class.
_Space = create_model(
    "_Space",
    __base__=Block,
    **{
        "in": (
            Literal["parameters", "transfer"],
            key(
                "parameters",
                "`parameters`: the points fill the ranges of imaging parameters, the dose on a "
                "logarithmic scale. `transfer`: the points are far apart in transfer T(q) and "
                "information bits(q); only for `maximin`.",
            ),
        )
    },
)


class Design(_Space):
    """Points that fill ranges of imaging parameters evenly."""

    method: Literal["sobol", "latin-hypercube", "maximin"] = key(
        "sobol",
        "`sobol`: a scrambled Sobol' sequence. `latin-hypercube`: the range of each parameter is "
        "divided into as many intervals as there are points, and each interval has one point. "
        "`maximin`: the points are far apart.",
    )
    points: int = key(
        16,
        f"Number of points. `maximin` has at most {MOST_MAXIMIN:,} points.",
        ge=1,
        le=MOST_IN_LIST,
    )
    ranges: Ranges = key(Ranges, "The ranges that the points fill.")
    seed: int = key(0, "Seed of the design's random numbers.", ge=0, le=2**63 - 1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if getattr(self, "in") == "transfer" and self.method != "maximin":
            raise ValueError(f"method = {self.method!r}: must be 'maximin' for in = 'transfer'")
        if self.method == "maximin" and self.points > MOST_MAXIMIN:
            raise ValueError(
                f"points = {self.points}: must not exceed {MOST_MAXIMIN:,} for method = 'maximin'"
            )
        return self


class Points(Given, OptionalAxes):
    """Conditions that are listed one by one, or made by a design.

    An axis that the points do not have is a list or a range of values, as in a product. Each point
    is then combined with all these values.
    """

    points: list[Point] | None = key(
        None,
        "The points, such as `[{defocus_nm: 12, cs_um: 1000, ...}]`, or the path of a CSV file "
        "with a point in each line, relative to the study's file.",
    )
    design: Design | None = key(None, "A rule that makes the points.")

    _table: point_table.PointTable | None = None
    _is_designed: bool = False
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
        if (block.points is None) == (block.design is None):
            raise ValueError("points: must be given, or design, and not both")
        others = block.axes()
        if block.design:
            block._check_axes("design.ranges", block.design.ranges.axes(), others)
            return block
        given = [point.axes() for point in block.points]
        block._check_points(given, others)
        block._products = [{name: [x] for name, x in axes.items()} | others for axes in given]
        return block

    def _check_points(self, given: list[dict[str, float]], others: dict[str, list[float]]) -> None:
        if not 0 < len(given) <= MOST_IN_LIST:
            number = len(given)
            raise ValueError(f"points: has {number:,} points; must have 1 to {MOST_IN_LIST:,}")
        for number, axes in enumerate(given):
            self._check_axes(f"points[{number}]", axes, others)
        every = [tuple(axes.items()) for axes in given]
        if (twice := first_repeated(every)) is not None:
            first = every.index(twice)
            second = every.index(twice, first + 1)
            raise ValueError(f"points[{second}]: is the same point as points[{first}]")

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

    def axes(self) -> dict[str, list[float]]:
        """Return the values of the axes that the block gives beside its points."""
        return given_axes(self)

    def where(self, number: int, axis: str) -> str:
        """Return the place of a point's value of an axis, below the block, for messages."""
        if axis in self.axes():
            return ""
        if self._table is not None:
            return f"points = {self._table.where(number)}: "
        if self._is_designed:
            return "design.ranges: the point "
        return f"points[{number}]."

    def products(self) -> Products:
        """Return a product for each point. A design has none, see :meth:`with_points`."""
        return self._products

    def with_points(self, points: list[dict[str, float]]) -> "Points":
        """Return the block with the points of its design, and without the design."""
        given = self.model_dump(exclude={"design"})
        block = Points.model_validate({**given, "points": points})
        block._is_designed = True
        return block


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "<blocks>"
    if isinstance(value, Points) or (isinstance(value, dict) and {"points", "design"} & {*value}):
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
TrainBlocks = _blocks(Annotated[Grid, Tag("<product>")], _OfPoints, _OfMixture)
TestBlocks = _blocks(Annotated[TestGrid, Tag("<product>")], _OfPoints)


def listed(given: Block | list[Block]) -> list[Block]:
    """Return the blocks of `grid` or `test_grid` that have conditions; mixtures are left out."""
    return list(named("", given).values())


def named(name: str, given: Block | list[Block]) -> dict[str, Block]:
    """Return the blocks that have conditions, by their names in the configuration."""
    every = _all_named(name, given).items()
    return {place: block for place, block in every if not isinstance(block, MixtureBlock)}


def without_designs(
    name: str, given: Block | list[Block], microscope: Microscope, flat_power: float
) -> Block | list[Block]:
    """Return the blocks of `grid` or `test_grid` with points in place of designs, if it has any."""
    made = {
        place: block.with_points(_designed(place, block, microscope, flat_power))
        for place, block in named(name, given).items()
        if isinstance(block, Points) and block.design
    }
    if not made:
        return given
    blocks = [made.get(place, block) for place, block in _all_named(name, given).items()]
    return blocks if isinstance(given, list) else blocks[0]


def _designed(
    name: str, block: Points, microscope: Microscope, flat_power: float
) -> list[dict[str, float]]:
    design, ranges = block.design, block.design.ranges.axes()
    others = {axis: values[len(values) // 2] for axis, values in block.axes().items()}
    given = design.method, design.points, getattr(design, "in"), ranges, design.seed
    try:
        return designs.points(*given, microscope, others, flat_power)
    except ValueError as error:
        raise ValueError(f"{name}.design.{error}") from None


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
    return [_filled(given, axes) for block in listed(grid) for given in given_products(block)]


def test_products(
    test_grid: Block | list[Block], grid: Block | list[Block], axes: Axes
) -> Products:
    """Return the products of `test_grid`.

    An axis that a product of `test_grid` does not give has the values of `grid`. A block without
    any key has all conditions of `grid`.

    Raises:
        ValueError: If a main axis is missing and `grid` is no product.
    """
    of_grid, found = train_products(grid, axes), []
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
