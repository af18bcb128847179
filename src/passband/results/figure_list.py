"""The figures of a study: which of them a complete study has."""

from collections.abc import Iterable

from passband.config import FEWEST_PREDICTED, Study
from passband.parts import Part
from passband.results.layout import INFORMATION, OOD, PREDICTION, TABLE
from passband.results.network_batches import groups_of

#: The stores among the inputs of figures.
STORES = {
    "ood": OOD,
    "table": TABLE,
    "information": INFORMATION,
    "prediction": PREDICTION,
}


def stores_of(part: Part) -> dict[str, str]:
    """Return the stores that a figure shows, by the names of its inputs.

    The images of networks are chosen by the OOD metrics.
    """
    inputs = part.declaration.inputs
    shown = [name for name in inputs if name in STORES]
    if "examples" in inputs and "ood" not in shown:
        shown.append("ood")
    return {name: STORES[name] for name in shown}


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
    there = {"prediction": predicted, "examples": pictured}
    lacking = {name for name, is_there in there.items() if not is_there}
    parts = study.known_parts.of("figure")
    return [name for name in study.drawn if lacking.isdisjoint(parts[name].declaration.inputs)]


def on_request(study: Study) -> list[str]:
    """Return the names of the figures that are drawn only if the user names them."""
    return [
        name for name, part in study.known_parts.of("figure").items() if part.declaration.on_request
    ]
