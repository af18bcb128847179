"""The figures of a study: what each shows, and which of them a complete study has."""

from collections.abc import Iterable
from dataclasses import dataclass

from passband.config import FEWEST_PREDICTED, FIGURES_OF_PREDICTION, Study
from passband.results.layout import DISTANCES, INFORMATION, OOD, PREDICTION
from passband.results.training_jobs import groups_of


@dataclass(frozen=True)
class Figure:
    """A figure of the study.

    Attributes:
        inputs: The stores that the figure shows.
        category: The figure's heading in Snakemake's report.
        on_request: Whether the figure is drawn only if the user names it.
    """

    inputs: tuple[str, ...] = (OOD,)
    category: str = "Generalization"
    on_request: bool = False


FIGURES = {
    "matrix": Figure(),
    "decay": Figure(),
    "examples": Figure(),
    "ctf": Figure((), "Transfer functions"),
    "metrics": Figure((OOD, INFORMATION), "Prediction"),
    **dict.fromkeys(FIGURES_OF_PREDICTION, Figure((PREDICTION,), "Prediction")),
    "structure": Figure((OOD, INFORMATION, DISTANCES), on_request=True),
}


def is_predicted(study: Study, records: Iterable[str]) -> bool:
    """Return whether the matrix of these records is large enough for evaluating its prediction.

    For the whole study, `passband check` prints whether the matrix is predicted.
    """
    if not study.predictable:
        return False
    conditions = groups_of(study)
    trained = {record.split("/")[-2] for record in records}
    mixed = {mixture.id for mixture in study.mixtures}
    return sum(id not in mixed for g in trained for id in conditions[g]) >= FEWEST_PREDICTED


def figures(study: Study, predicted: bool, pictured: bool = True) -> list[str]:
    """Return the names of the figures that a complete study has.

    Args:
        predicted: Whether the matrix is predicted, see :func:`is_predicted`.
        pictured: Whether there is a network for the figure of examples, see
            :func:`passband.results.shown_networks.example_cell`.
    """
    left_out = () if predicted else FIGURES_OF_PREDICTION
    left_out = left_out if pictured else ("examples", *left_out)
    return [name for name in study.drawn if name not in left_out]
