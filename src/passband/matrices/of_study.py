"""The matrices of a study, from its table of results or from its OOD metrics alone."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import xarray as xr

from passband.errors import PassbandError
from passband.matrices.learned import unlearned
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName, by_matrix
from passband.matrices.table_images import Images

if TYPE_CHECKING:
    from passband.config import Study


class StudyMatrices:
    """The results that the matrices of a study come from.

    Args:
        table: The table of results.
        metrics: The OOD metrics, or a function that reads them.
        study: The configuration, which :attr:`Matrix.learned` needs.
    """

    def __init__(
        self,
        table: xr.Dataset | None = None,
        metrics: xr.Dataset | Callable[[], xr.Dataset] | None = None,
        study: "Study | None" = None,
    ):
        self.images = None if table is None else Images(table)
        self._metrics = metrics
        self._study = study

    @cached_property
    def metrics(self) -> dict[MatrixName, xr.Dataset]:
        """The OOD metrics of each matrix."""
        found = self._metrics() if callable(self._metrics) else self._metrics
        if found is None:
            raise PassbandError("the matrices have no OOD metrics; run the study first")
        return by_matrix(found)

    @property
    def knows_learned(self) -> bool:
        """Whether it is known which networks learned, from a table of results and its study."""
        return self._study is not None and self.images is not None

    @cached_property
    def unlearned(self) -> xr.DataArray:
        """Which networks did not learn, see :func:`passband.matrices.learned.unlearned`."""
        if self._study is None or self.images is None:
            raise PassbandError(
                "which networks learned is not known without a table of results and its study; "
                "open the study with passband.open"
            )
        return unlearned(self.matrices, self.images, self._study)

    @cached_property
    def of_metrics(self) -> list[Matrix]:
        """The matrices of the OOD metrics alone, whose table may have other conditions."""
        return [Matrix(name, self, cells) for name, cells in self.metrics.items()]

    @cached_property
    def matrices(self) -> list[Matrix]:
        """All matrices."""
        if self.images is None:
            return self.of_metrics
        tables = by_matrix(self.images.table)
        return [Matrix(name, self, cells, self.images.of(cells)) for name, cells in tables.items()]


def matrices(
    table: xr.Dataset | None = None,
    metrics: xr.Dataset | Callable[[], xr.Dataset] | None = None,
    study: "Study | None" = None,
) -> list[Matrix]:
    """Return the matrix of each specimen, architecture and test specimen.

    The arguments are those of :class:`StudyMatrices`. Matrices without a table have no images, and
    their Dice is that of the OOD metrics.
    """
    return StudyMatrices(table, metrics, study).matrices
