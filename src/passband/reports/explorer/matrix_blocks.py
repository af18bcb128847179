"""The matrices of a study, for the explorer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from passband.analysis.information import PAIR
from passband.analysis.ood import MATRICES, SELECTIONS
from passband.axes import AXES
from passband.grid import Condition
from passband.matrices.leaving import group_label, group_names, groups
from passband.reports.explorer.explorer import Blocks

#: Largest number of matrices that are stored for each group of networks.
MOST = 8
#: Largest number of bytes of all matrices together, before compression and base64.
_BYTES = 5_800_000
#: Largest number of bytes of the Dice of single networks of all groups, before compression and
#: base64: with 16 bits, and with 8 bits. With more, they are left out.
_SINGLE_BYTES = {"u2": 1_000_000, "u1": 2_500_000}
#: Steps of stored Dice, and of stored numbers that are not compared with each other.
_FINE, _COARSE = 2e-5, 1e-4

#: Sentences on metrics that the page derives from Dice, and on other metrics.
DERIVED = {
    "range": "upper end minus lower end of the interval of mean Dice",
    "residual": "M(i, j) minus the predicted M(i, j)",
}
_SENTENCES = {
    "dice_std": "standard deviation of mean Dice over replicas, ddof = 1",
    "distance": "share of the information under the better condition that the other lacks; 0 to 1",
    "predicted": "M(i, j), predicted from the Dice under all other test conditions",
}


def sentences() -> dict[str, str]:
    """Return a sentence on each metric that the explorer shows."""
    of_pairs = {name: metric.attrs["long_name"] for name, metric in PAIR.items()}
    return {**MATRICES, **SELECTIONS, **DERIVED, **of_pairs, **_SENTENCES}


def axes(names: Sequence[str]) -> list[dict[str, str | int]]:
    """Return axes of the grid: name, label and unit."""
    return [
        {"name": a.name, "label": a.label, "unit": a.unit, "decimals": a.decimals}
        | {"minimum": a.minimum, "maximum": a.maximum}
        for a in map(AXES.get, names)
    ]


def conditions(given: Sequence[Condition], mixed: Sequence[str] = ()) -> dict[str, list]:
    """Return the ids of conditions and of mixtures, and values of all axes, None for mixtures."""
    values = [[*condition.values().values()] for condition in given]
    values += [[None] * len(values[0]) for _ in mixed]
    return {"ids": [*(condition.id for condition in given), *mixed], "values": values}


def matrices(
    metrics: xr.Dataset,
    table: xr.Dataset,
    blocks: Blocks,
    predicted: Mapping[tuple[int, int, int], np.ndarray],
    information: Mapping[str, xr.DataArray],
) -> list[dict[str, Any]]:
    """Return the matrices of each specimen, architecture and test specimen.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.
        table: The table of results, with `dice`, `val_loss` and `best_epoch`.
        predicted: Predicted Dice of a group of networks, by the index of the group, each (train,
            test).
        information: Metrics of transfer functions that the page cannot compute, each (specimen,
            train, test).

    Returns:
        For each group: its names, the descriptions of the stored matrices, what is left out, the
        number of networks for each training condition, and the Dice of single networks or None.
        `own` is the Dice of each row under its own training condition, which need not be a column.
    """
    every = groups(metrics)
    cells = metrics.sizes["train"] * metrics.sizes["test"] * len(every)
    kind = "u2" if 2 * cells <= _BYTES else "u1"
    number = max(1, min(MOST, int(_BYTES / (cells * int(kind[1])))))
    found = []
    for index, group in every:
        stored = _matrices(group, predicted.get(index), information)
        kept = dict(list(stored.items())[:number])
        if "high" not in kept:
            kept.pop("low", None)  # one end of a range alone is of no use
        singles = _singles(table, group)
        single, several = None, singles["dice"].shape[1] > 1
        size = singles["dice"].size * len(every)
        kinds = (bits for bits, most in _SINGLE_BYTES.items() if size * int(bits[1]) <= most)
        if several and (bits := next(kinds, None)):
            single = blocks.integers(singles["dice"], _FINE, bits)
        found.append(
            group_names(group)
            | {
                "label": group_label(group),
                "matrices": {
                    name: blocks.integers(matrix, step, kind)
                    for name, (matrix, step) in kept.items()
                },
                "left_out": [name for name in stored if name not in kept]
                + (["single"] if several and single is None else []),
                "networks": np.isfinite(singles["dice"]).any(-1).sum(-1).tolist(),
                "own": _rounded([group["id"].values])[0] if "id" in group else [],
                "val_loss": _rounded(singles["val_loss"]),
                "best_epoch": _rounded(singles["best_epoch"]),
                "single": single,
            }
        )
    return found


def _matrices(
    group: xr.Dataset,
    predicted: np.ndarray | None,
    information: Mapping[str, xr.DataArray],
) -> dict[str, tuple[np.ndarray, float]]:
    """Return a group's matrices (train, test) with their steps, the most important ones first."""

    def matrix(name: str) -> np.ndarray:
        return group[name].transpose("train", "test", ...).values.astype(float)

    interval = matrix("dice_interval") if "dice_interval" in group else None
    found = {"dice": (matrix("dice"), _FINE)}
    if interval is not None:
        found |= {"low": (interval[..., 0], _COARSE), "high": (interval[..., 1], _COARSE)}
    if predicted is not None:
        found["predicted"] = predicted, _COARSE
    for name, of_specimens in information.items():
        own = of_specimens.sel(specimen=str(group.specimen.values))
        found[name] = own.transpose("train", "test").values, _COARSE
    for name in ("dice_std", *SELECTIONS):
        if name in group and np.isfinite(group[name]).any():
            found[name] = matrix(name), _COARSE
    return found


def _singles(table: xr.Dataset, group: xr.Dataset) -> dict[str, np.ndarray]:
    """Return Dice (train, replica, test) of single networks, and facts (train, replica)."""
    names = group_names(group)
    own = table.sel({name: names[name] for name in ("specimen", "architecture")})
    dice = own.dice.sel(test_specimen=names["test_specimen"])
    return {"dice": dice.transpose("train", "replica", "test").values.astype(float)} | {
        name: own[name].transpose("train", "replica").values.astype(float)
        for name in ("val_loss", "best_epoch")
    }


def _rounded(values: np.ndarray) -> list[list[float | None]]:
    """Return numbers with 5 digits for JSON, and None where a number is missing."""
    return [[float(f"{v:.5g}") if np.isfinite(v) else None for v in row] for row in values]
