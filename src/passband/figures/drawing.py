"""Draws a figure that a part declares: opens its inputs, and calls its function."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import xarray as xr
from matplotlib.figure import Figure

from passband.config import Study
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import matrices
from passband.parts import Part, PartError
from passband.prediction.matrix.predicted_matrix import PredictedMatrix, predicted_matrices
from passband.storage import datasets

if TYPE_CHECKING:
    from passband.figures.outlines import Examples


def draw(part: Part, study: Study, files: Mapping[str, Any], example: str | None = None) -> Figure:
    """Return the figure of a part.

    Args:
        files: Paths of the stores that the figure is drawn from, by the names of its inputs; for
            images of networks also those of :func:`passband.figures.example_images.examples`.
        example: Id of the training condition of the network whose images are shown, if any are.

    Raises:
        PartError: If the part's function returns no figure.
    """
    function = part.load()
    with ExitStack() as opened:
        inputs = Inputs(study, files, example, opened)
        given = [getattr(inputs, name) for name in part.declaration.inputs]
        figure = part.call(function, *given, study.figures.width_cm)
    if not isinstance(figure, Figure):
        raise PartError(f"{part}: returns {type(figure).__name__}; must return a Matplotlib figure")
    return figure


class Inputs:
    """What the functions of figures take, by the names in :data:`passband.parts.kinds.INPUTS`.

    A store is opened when it is asked for.
    """

    def __init__(
        self, study: Study, files: Mapping[str, Any], example: str | None, opened: ExitStack
    ):
        self.study = study
        self._files = files
        self._example = example
        self._opened = opened

    @property
    def ood(self) -> list[Matrix]:
        """The matrices of the OOD metrics."""
        return matrices(metrics=self._read("ood", datasets.OOD))

    @property
    def table(self) -> list[Matrix]:
        """The matrices of the table, with the Dice of each image."""
        store = datasets.open_checked(self._files["table"], datasets.TABLE)
        return matrices(self._opened.enter_context(store), study=self.study)

    @property
    def information(self) -> xr.Dataset:
        """Metrics of transfer functions."""
        return self._read("information", datasets.INFORMATION)

    @property
    def prediction(self) -> list[PredictedMatrix]:
        """The predictions of each matrix that is large enough."""
        return predicted_matrices(self._read("prediction", datasets.PREDICTION))

    @property
    def examples(self) -> "Examples":
        """Images of a network under some conditions, and what it predicts."""
        from passband.figures.example_images import examples  # imports torch

        return examples(self.study, self._files, self._example)

    def _read(self, name: str, kind: str) -> xr.Dataset:
        return datasets.read(self._files[name], kind)
