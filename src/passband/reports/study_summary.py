"""The summary of a finished study, as `passband table` prints it."""

from passband.matrices.of_study import StudyMatrices
from passband.reports import summaries
from passband.results import Results, layout


def ood(results: Results) -> str:
    """Return the table of the OOD metrics of a finished study, with what did not learn marked."""
    metrics = results.ood
    source = StudyMatrices(metrics=metrics)
    if results.is_known and results.has(layout.TABLE):
        source = StudyMatrices(results.table, metrics, results.study)
    return summaries.ood(source.of_metrics)
