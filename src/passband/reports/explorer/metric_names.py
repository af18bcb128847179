"""What the explorer calls the numbers that a matrix can show."""

from collections.abc import Iterable
from typing import Any

import xarray as xr

from passband.analysis.ood import SELECTIONS, of_pairs
from passband.figures import style
from passband.parts import PACKAGE, PAIR

#: What the page shows of Dice besides OOD metrics: label, sentence, and whether the numbers have
#: both signs.
_RESULTS = {
    "range": (
        "width of Dice's interval",
        "upper end minus lower end of the interval of mean Dice",
        False,
    ),
    "dice_std": (
        "standard deviation over replicas",
        "standard deviation of mean Dice over replicas, ddof = 1",
        False,
    ),
    "dice_selected": ("Dice of the selected replica", SELECTIONS["dice_selected"], False),
    "dice_oracle": ("Dice of the best replica (oracle)", SELECTIONS["dice_oracle"], False),
}
_PREDICTION = {
    "predicted": (
        "predicted Dice (test condition left out)",
        "M(i, j), predicted from the Dice under all other test conditions",
        False,
    ),
    "residual": ("Dice − predicted Dice", "M(i, j) minus the predicted M(i, j)", True),
}
_TRANSFER = "Transfer functions"
_SIDES = {"train": "training", "test": "test"}


def labels(
    metrics: xr.Dataset, information: xr.Dataset | None, transfer: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return what all that a matrix can show is called, by its name, in the order of the choice.

    Args:
        metrics: OOD metrics of any matrix of the study.
        information: Metrics of transfer functions; None without them.
        transfer: The names of those that the page has or leaves out.

    Returns:
        For each: label, sentence, heading, and whether the numbers always have both signs.
    """
    found = {
        name: _entry(part.declaration.label, part.doc, "Results", bool(part.declaration.against))
        for name, part in PACKAGE.of("ood_metric").items()
        if part.declaration.of == PAIR and name in _of_dice()
    }
    for heading, of_heading in (("Results", _RESULTS), ("Prediction", _PREDICTION)):
        for name, (label, sentence, signed) in of_heading.items():
            found[name] = _entry(label, sentence, heading, signed)
    for name in further(metrics):
        heading = _TRANSFER if name == "distance" else "Results"
        part = PACKAGE.of("ood_metric").get(name)
        is_signed = part is not None and part.declaration.limits[0] < 0
        found[name] = _described(name, metrics[name], heading) | {"signed": is_signed}
    alone = {}
    for name in transfer:
        variable = information[name]
        sides = [side for side in _SIDES if side in variable.dims]
        if len(sides) == 2:
            found[name] = _described(name, variable, _TRANSFER)
        else:  # a metric of one condition
            base = name.removesuffix(f"_{sides[0]}")
            of = f" of the {_SIDES[sides[0]]} condition"
            alone[name] = _described(base, variable, _TRANSFER, of)
    return found | alone


def further(metrics: xr.Dataset) -> list[str]:
    """Return the names of OOD metrics of two conditions that are neither Dice nor made from it."""
    others = [name for name in of_pairs(metrics) if name not in _of_dice()]
    return ["distance", *others] if "distance" in metrics else others


def _of_dice() -> set[str]:
    """Return the names of the package's OOD metrics that are Dice or made from it."""
    package = PACKAGE.of("ood_metric").items()
    return {name for name, part in package if not part.declaration.needs}


def _described(name: str, variable: xr.DataArray, heading: str, of: str = "") -> dict[str, Any]:
    label = style.metric_words(name, variable.attrs)
    unit = str(variable.attrs.get("units", "1"))
    words = f"{label}{of}" if unit == "1" else f"{label}{of} [{unit}]"
    return _entry(words, str(variable.attrs.get("long_name", "")), heading)


def _entry(label: str, sentence: str, heading: str, signed: bool = False) -> dict[str, Any]:
    return {"label": label, "sentence": sentence, "heading": heading, "signed": signed}
