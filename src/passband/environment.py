"""Times that a variable of the environment replaces."""

import contextlib
import math
import os

from passband.errors import PassbandError


def seconds(variable: str, otherwise: float) -> float:
    """Return the number of seconds that a variable of the environment has, or another number.

    Raises:
        PassbandError: If the variable is not a positive number.
    """
    text = os.environ.get(variable, str(otherwise))
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise PassbandError(f"{variable} = {text!r}: must be a positive number of seconds")
