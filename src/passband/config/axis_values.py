"""Blocks with one number, or a pair of numbers, for each axis: points and ranges."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, SerializerFunctionWrapHandler, model_serializer

from passband.axes import AXES
from passband.config.base import Block, key


def number_type(name: str) -> Any:
    """Return the type of a value of an axis."""
    axis = AXES[name]

    def check(value: float) -> float:
        if not axis.minimum <= value <= axis.maximum:
            raise ValueError(
                f"{value:g}: must be between {axis.minimum} and {axis.maximum} {axis.unit}"
            )
        rounded = axis.canonical(value)
        if abs(value - rounded) > 1e-9 * max(1, abs(value)):
            raise ValueError(
                f"{value!r}: finer than the axis's resolution of {10**-axis.decimals:g} {axis.unit}"
            )
        return rounded

    return Annotated[float, AfterValidator(check)]


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
