"""Values of axes in the configuration, and the blocks of products of axes."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    create_model,
    model_serializer,
    model_validator,
)

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.config.base import Block, first_repeated, key
from passband.config.study_file import MOST_IN_LIST


class Range(Block):
    """Evenly spaced values of an axis, rounded to the resolution of the axis."""

    start: float = Field(description="First value of the axis.")
    stop: float = Field(description="Last value of the axis.")
    num: int = Field(description="Number of values of the axis.", ge=1, le=MOST_IN_LIST)
    spacing: Literal["linear", "geometric"] = key(
        "linear",
        "`linear`: equal differences between values. `geometric`: equal ratios between values.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.num == 1 and self.start != self.stop:
            raise ValueError(f"num = 1: start = {self.start:g} and stop = {self.stop:g} need 2")
        if self.spacing == "geometric" and self.start * self.stop <= 0:
            raise ValueError(
                f"start = {self.start:g}, stop = {self.stop:g}: a geometric range needs two "
                "values of the same sign, neither of them 0"
            )
        return self

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
        if not isinstance(given, Range) and len(given) > MOST_IN_LIST:
            raise ValueError(f"{len(given):,} values: an axis has at most {MOST_IN_LIST:,}")
        if not isinstance(given, Range) and not given:
            raise ValueError("[]: an axis needs at least one value")
        if isinstance(given, Range):
            axis.within(given.start), axis.within(given.stop)
        else:
            for value in given:
                axis.checked(value)
        values = given.values() if isinstance(given, Range) else given
        repeated = first_repeated(sorted(axis.canonical(value) for value in values))
        if repeated is not None:
            raise ValueError(
                f"{repeated:g}: is listed twice; values must differ by "
                f"{10**-axis.decimals:g} {axis.unit} or more"
            )
        return given

    return Annotated[Values, AfterValidator(check)]


def number_type(name: str) -> Any:
    """Return the type of a value of an axis."""
    axis = AXES[name]
    return Annotated[float, AfterValidator(lambda value: axis.checked(value))]


class Given(Block):
    """A block that writes and compares only those keys that are given."""

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    def identity(self, mode: Literal["python", "json"] = "python", **chosen: Any) -> dict[str, Any]:
        """Return the values of the keys that are given, see :meth:`Block.identity`."""
        return self.model_dump(mode=mode)


class Numbers(Given):
    """A block with a number, or a pair of numbers, for each axis."""

    def axes(self) -> dict[str, Any]:
        """Return the values of the axes that are given."""
        given = {name: getattr(self, name) for name in AXES}
        return {name: value for name, value in given.items() if value is not None}


def axis_keys(types: Any) -> dict[str, Any]:
    """Return a key for each axis, for pydantic's `create_model`."""
    return {
        name: (types(name) | None, key(None, axis.description, axis.unit))
        for name, axis in AXES.items()
    }


def _optional_axes() -> type[Block]:
    """Return a block with a key for each axis, in the order of :data:`AXES`."""
    fields = {}
    for name, axis in AXES.items():
        since = "0.1.0" if name in FURTHER_AXES else None
        fields[name] = axis_type(name) | None, key(None, axis.description, axis.unit, since)
    return create_model("OptionalAxes", __base__=Block, **fields)


OptionalAxes = _optional_axes()


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

    def axes(self) -> dict[str, list[float]]:
        """Return the values of each given axis, rounded to its resolution and sorted."""
        return given_axes(self)


class TestGrid(OptionalAxes):
    """The test conditions.

    If `grid` is a single product, an axis that is not given has the same values as in `grid`.
    Otherwise, defocus, Cs, aperture and dose must be given.
    """

    __test__ = False  # pytest must not collect this class

    def axes(self) -> dict[str, list[float]]:
        """Return the values of each given axis, rounded to its resolution and sorted."""
        return given_axes(self)


def given_axes(block: OptionalAxes) -> dict[str, list[float]]:
    """Return the values of the axes that a block gives, rounded and sorted."""
    axes = {}
    for name, axis in AXES.items():
        if given := getattr(block, name):
            values = given.values() if isinstance(given, Range) else given
            axes[name] = sorted(axis.canonical(value) for value in values)
    return axes
