"""The function of a metric, which is a part: what it says about itself, and checked values."""

from typing import Any

import numpy as np

from passband.parts import Part, PartError


class MetricFunction:
    """The function of an information metric or an OOD metric.

    Attributes:
        declared: What its decorator says.
    """

    def __init__(self, part: Part):
        self._part = part
        self._function = part.load()
        self.declared = part.declaration

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of the variable that has the metric's values: its unit, and what it is.

        A metric of a study's own has its label, too, by which figures and pages call it.
        """
        words = " ".join((self._function.__doc__ or self._part.name).split())
        attrs = {"units": self.declared.units, "long_name": words}
        if self._part.is_own and self.declared.label:
            attrs["label"] = self.declared.label
        return attrs

    def __call__(self, given: Any, shape: tuple[int, ...], dims: str) -> np.ndarray:
        """Return the function's values, float64.

        Args:
            shape: The shape that they must have.
            dims: Its dimensions, for messages.

        Raises:
            PartError: If the function fails, or returns anything else.
        """
        values = np.asarray(self._part.call(self._function, given))
        if values.shape != shape:
            raise PartError(
                f"{self._part}: returns an array {values.shape}, must be {dims}, here {shape}"
            )
        if values.dtype.kind not in "fiub":
            raise PartError(f"{self._part}: returns {values.dtype}, must be real numbers")
        return values.astype(float, copy=False)
