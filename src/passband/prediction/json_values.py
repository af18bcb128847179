"""Dataclasses as values that JSON can hold."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self

import numpy as np
from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from passband.errors import PassbandError
from passband.network_id import NetworkId

_floats = PlainValidator(lambda values: np.array(values, float))
_digits = np.vectorize(lambda x: float(f"{x:.6g}"), otypes=[float])

#: The type of an array of floats, which JSON holds as lists; and the same with six digits.
Array = Annotated[np.ndarray, _floats, PlainSerializer(np.ndarray.tolist)]
Rounded = Annotated[np.ndarray, _floats, PlainSerializer(lambda array: _digits(array).tolist())]
#: The type of ids of networks, which JSON holds as texts.
Ids = tuple[Annotated[NetworkId, PlainValidator(NetworkId.parse), PlainSerializer(str)], ...]


def require(is_true: object, words: str) -> None:
    """Raise ValueError with some words unless something is true.

    The `__post_init__` of a class calls it: a file has the right types, but perhaps other values.
    """
    if not is_true:
        raise ValueError(words)


class JsonValues:
    """The base of dataclasses whose fields have types that pydantic knows."""

    def to_values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return _adapter(type(self)).dump_python(self)

    @classmethod
    def from_values(cls, content: Mapping[str, Any]) -> Self:
        """Return the object from the content of :meth:`to_values`.

        Raises:
            ValueError: If a value is missing, has another type, or cannot be, see :func:`require`.
                The message is one line.
        """
        try:
            return _adapter(cls).validate_python(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}." for part in first["loc"]).removesuffix(".")
            raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
        except (TypeError, AttributeError, PassbandError) as error:  # of a field's own validator
            raise ValueError(str(error)) from None


_adapter = cache(TypeAdapter)
