"""The summary of a finished study, as `passband table` prints it."""

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passband.errors import PassbandError
from passband.outcomes import Outcome
from passband.results import Results, layout
from passband.storage import atomic

if TYPE_CHECKING:
    import pandas as pd

    from passband.reports.collected import Collected


class Summary(Outcome):
    """Means of a finished study's OOD metrics, and the scores of its predictions.

    They are read when they are first used.
    """

    _repr_html_ = None  # a notebook draws Markdown only without HTML

    def __init__(self, results: Results):
        self._results = results

    @property
    def ood(self) -> str:
        """The table of the OOD metrics in Markdown, with what did not learn marked."""
        from passband.reports import summaries

        return summaries.ood(self._found.source.of_metrics)

    @cached_property
    def _found(self) -> "Collected":
        from passband.reports.collected import Collected

        return Collected.of(self._results)

    def __str__(self) -> str:
        from passband.reports import summaries

        predicted = self._found.predicted
        return "\n\n".join([self.ood, *([summaries.prediction(predicted)] if predicted else [])])

    def _repr_markdown_(self) -> str:
        return str(self)

    def rows(self, cells: bool = False) -> "pd.DataFrame":
        """Return the OOD metrics of each training condition; docs/metrics.md has the columns.

        Args:
            cells: Have a row for each pair of a training condition and a test condition instead.
        """
        from passband.matrices.of_study import matrices
        from passband.reports import csv_tables

        table = csv_tables.by_cell if cells else csv_tables.by_training_condition
        return table(matrices(metrics=self._results.ood))

    def write(self, file: str | Path, cells: bool = False) -> "pd.DataFrame":
        """Write :meth:`rows` to a file, and return them.

        Args:
            file: A name that ends in ``.parquet``, for all digits, or else in ``.csv``.
            cells: See :meth:`rows`.

        Raises:
            PassbandError: If a library for Parquet is missing.
        """
        file = Path(file)
        is_parquet = file.suffix == ".parquet"
        if is_parquet and importlib.util.find_spec("pyarrow") is None:
            raise PassbandError("a Parquet file needs pyarrow: pip install 'passband[parquet]'")
        rows = self.rows(cells)
        with atomic.replacing(file) as beside:
            if is_parquet:
                rows.to_parquet(beside, index=False, engine="pyarrow")
            else:
                rows.to_csv(beside, index=False, float_format="%.6g")
        return rows

    def values(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes, by name."""
        return {
            "study": self._results.name,
            "rows": self.rows().to_dict("records"),
            "has_predictions": self._results.has(layout.PREDICTION),
        }
