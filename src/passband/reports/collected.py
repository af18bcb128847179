"""Collects what a study has found, for its summary, its page and its explorer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from passband.errors import PassbandError
from passband.matrices.of_study import StudyMatrices
from passband.reports import unlearned
from passband.results import Results, layout
from passband.storage import StoreError, datasets

if TYPE_CHECKING:
    import xarray as xr

    from passband.prediction.matrix.predicted_matrix import PredictedMatrix


class Collected:
    """What a study has found. A store that does not exist is None.

    Args:
        results: The study.
        source: Where its matrices come from.
        damaged: Receives a line about each damaged store, which is None then; by default, a damaged
            store is an error.
    """

    def __init__(self, results: Results, source: StudyMatrices, damaged: list[str] | None = None):
        self.results = results
        self.source = source
        self._damaged = damaged

    @classmethod
    def of(cls, results: Results) -> "Collected":
        """Return what a finished study has found."""
        if results.is_known and results.has(layout.TABLE):
            return cls(results, results.source)
        return cls(results, StudyMatrices(metrics=partial(getattr, results, "ood")))

    @classmethod
    @contextmanager
    def so_far(cls, results: Results) -> "Iterator[Collected]":
        """Yield what a study has found, which may be incomplete.

        Its matrices are those of its table, or of the records that exist. They can be used as long
        as this context is open.
        """
        with _table(results) as table:
            found = cls(results, StudyMatrices(study=results.study), damaged=[])
            found.source = StudyMatrices(table, found.metrics, results.study)
            yield found

    @property
    def damaged(self) -> Sequence[str]:
        """Lines about damaged stores."""
        return self._damaged or ()

    @cached_property
    def metrics(self) -> "xr.Dataset | None":
        """The OOD metrics."""
        return self.store(layout.OOD)

    @cached_property
    def information(self) -> "xr.Dataset | None":
        """The information metrics."""
        return self.store(layout.INFORMATION)

    @cached_property
    def prediction(self) -> "xr.Dataset | None":
        """The predictions."""
        return self.store(layout.PREDICTION)

    def store(self, name: str, variables: Sequence[str] | None = None) -> "xr.Dataset | None":
        """Return a store in memory, or the given variables of it."""
        if not self.results.has(name):
            return None
        try:
            return self.results.read(name, variables)
        except StoreError as error:
            if self._damaged is None:
                raise
            self._damaged.append(str(error))
            return None

    @property
    def unlearned(self) -> str:
        """Which networks did not learn, in words; "" if all did, or if nothing is known."""
        if self.source.images is None:
            return ""
        return unlearned.sentence(self.source.matrices)

    @cached_property
    def predicted(self) -> "list[PredictedMatrix]":
        """The matrices as predicted; for an unfinished study, where networks are lacking."""
        from passband.prediction.matrix.predicted_matrix import predicted_matrices

        found = self.prediction
        if found is None and self._damaged is not None:
            found = self._lacking()
        return [] if found is None else predicted_matrices(found)

    def _lacking(self) -> "xr.Dataset | None":
        """Return what is expected where networks are lacking; None if too many are, or none.

        A finished study has this in its store of predictions.
        """
        from passband.analysis.profiles import profiles_of_specimens
        from passband.prediction.matrix.assessment import unfinished

        study = self.results.study
        if self.source.images is None or not study.predictable:
            return None
        matrices = self.source.matrices
        specimens = list(dict.fromkeys(matrix.specimen for matrix in matrices))
        # The study may have changed since the table was made.
        if not specimens or not set(specimens) <= set(study.specimens):
            return None
        conditions = [*matrices[0].train, *matrices[0].test]
        try:
            structures = {name: self.results.spectrum_structures(name) for name in specimens}
            profiles = profiles_of_specimens(
                specimens, conditions, study.microscope, structures, study.study.seed
            )
            return unfinished(matrices, profiles)
        except PassbandError:  # exit waves may be damaged
            return None


@contextmanager
def _table(results: Results) -> "Iterator[xr.Dataset | None]":
    """Yield the study's table, or a table of the records that exist, or None without records."""
    path = results.path(layout.TABLE)
    with TemporaryDirectory() as folder, ExitStack() as opened:
        try:
            table = opened.enter_context(datasets.open_checked(path, datasets.TABLE))
        except StoreError:
            table = None
            with suppress(PassbandError):
                path = Path(folder) / layout.TABLE
                _gather(results, path)
                table = opened.enter_context(datasets.open_checked(path, datasets.TABLE))
        yield table


def _gather(results: Results, path: Path) -> None:
    """Write the table of all existing records, as if the study allowed missing networks."""
    from passband.analysis import table

    study = results.study
    table.aggregate(
        table.cells_of(results),
        test=study.test_conditions,
        test_specimens=list(study.specimens),
        path=path,
        attrs={},
        allow_incomplete=True,
    )
