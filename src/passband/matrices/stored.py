"""Results of many matrices, which stores have together along :data:`GROUP`.

:func:`by_matrix` takes them apart, and :func:`together` joins them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import xarray as xr

#: Dimensions along which the matrices of a study are stored together.
GROUP = ("specimen", "architecture", "test_specimen")
#: Dimensions along which a table of results has networks.
NETWORK = ("specimen", "architecture", "train", "replica")

Data = TypeVar("Data", xr.Dataset, xr.DataArray)


class MatrixName(NamedTuple):
    """Which matrix of a study it is.

    Attributes:
        specimen, architecture: What the networks were trained with.
        test_specimen: What they are tested on.
    """

    specimen: str
    architecture: str
    test_specimen: str

    @property
    def is_home(self) -> bool:
        """Whether networks are tested on the specimen of their training."""
        return self.specimen == self.test_specimen

    @property
    def specimens(self) -> str:
        """``gold``, or ``gold → silver`` for networks that are tested on another specimen."""
        return self.specimen if self.is_home else f"{self.specimen} → {self.test_specimen}"

    @property
    def label(self) -> str:
        """The matrix's name for figures and reports, such as ``unet, gold → silver``."""
        return f"{self.architecture}, {self.specimens}"


class Source(Protocol):
    """What a matrix asks of the results of its study."""

    @property
    def metrics(self) -> Mapping[MatrixName, xr.Dataset]:
        """The OOD metrics of each matrix."""
        ...

    @property
    def knows_learned(self) -> bool:
        """Whether it is known which networks learned."""
        ...

    @property
    def unlearned(self) -> xr.DataArray:
        """Which networks did not learn, (specimen, architecture, train, replica) bool."""
        ...


def by_matrix(data: Data) -> dict[MatrixName, Data]:
    """Return stored results by their matrix, each without the dimensions of :data:`GROUP`.

    Data on disk are not read.
    """
    names = [[str(name) for name in data.get_index(dimension)] for dimension in GROUP]
    return {
        MatrixName(*(of[k] for of, k in zip(names, index, strict=True))): data.isel(
            dict(zip(GROUP, index, strict=True))
        )
        for index in np.ndindex(*map(len, names))
    }


def together(
    names: Sequence[MatrixName], parts: Iterable[Mapping[str, xr.Variable]]
) -> dict[str, xr.Variable]:
    """Return the variables of matrices as one store has them, along :data:`GROUP`.

    Values are NaN where there is no matrix of these names, or a matrix lacks the variable.

    Args:
        names: The matrices.
        parts: The variables of each; one part is in memory at a time.
    """
    coordinates = group_coordinates(names)
    shape = tuple(map(len, coordinates.values()))
    found: dict[str, xr.Variable] = {}
    for name, part in zip(names, parts, strict=True):
        place = tuple(coordinates[d].index(n) for d, n in zip(GROUP, name, strict=True))
        for key, variable in part.items():
            if key not in found:
                empty = np.full(shape + variable.shape, np.nan, variable.dtype)
                found[key] = xr.Variable((*GROUP, *variable.dims), empty, variable.attrs)
            found[key].values[place] = variable.values
    return found


def group_coordinates(names: Iterable[MatrixName]) -> dict[str, list[str]]:
    """Return the names along each dimension of :data:`GROUP`, in the order of the matrices."""
    return {
        dimension: list(dict.fromkeys(each))
        for dimension, each in zip(GROUP, zip(*names, strict=True), strict=True)
    }
