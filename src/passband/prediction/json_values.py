"""Dataclasses as values that JSON can hold."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self

import numpy as np
from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from passband import PassbandError

_floats = PlainValidator(lambda values: np.array(values, float))
_digits = np.vectorize(lambda x: float(f"{x:.6g}"), otypes=[float])

#: The type of an array of floats, which JSON holds as lists; and the same with six digits.
Array = Annotated[np.ndarray, _floats, PlainSerializer(np.ndarray.tolist)]
Rounded = Annotated[np.ndarray, _floats, PlainSerializer(lambda array: _digits(array).tolist())]


class JsonValues:
    """The base of dataclasses whose fields have types that pydantic knows."""

    def to_values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return _adapter(type(self)).dump_python(self)

    @classmethod
    def from_values(cls, content: Mapping[str, Any]) -> Self:
        """Return the object from the content of :meth:`to_values`.

        Raises:
            ValueError: If a value is missing or has another type. The message is one line.
        """
        try:
            return _adapter(cls).validate_python(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        except (TypeError, AttributeError, PassbandError) as error:  # of a field's own validator
            raise ValueError(str(error)) from None


_adapter = cache(TypeAdapter)
