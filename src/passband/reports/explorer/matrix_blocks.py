"""The cells of a study's matrices as blocks of the explorer's page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from passband.analysis.ood import SELECTIONS
from passband.axes import AXES
from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName
from passband.reports.explorer import metric_names
from passband.reports.explorer.explorer import Blocks
from passband.reports.explorer.sides import Sides

#: Largest number of matrices that are stored for the networks of each specimen and architecture.
MOST = 8
#: Largest number of bytes of all matrices together, before compression and base64.
_BYTES = 5_800_000
#: Largest number of bytes of the Dice of all single networks, before compression and
#: base64: with 16 bits, and with 8 bits. With more, they are left out.
_SINGLE_BYTES = {"u2": 1_000_000, "u1": 2_500_000}
#: Steps of stored Dice, and of stored numbers that are not compared with each other.
_FINE = 2e-5
_COARSE = 1e-4


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


def stored(
    matrices: Sequence[Matrix],
    blocks: Blocks,
    predicted: Mapping[MatrixName, np.ndarray],
    sides: Sides,
) -> list[dict[str, Any]]:
    """Add the cells of every matrix to the blocks.

    Args:
        matrices: All matrices of a study, with OOD metrics.
        predicted: Predicted Dice of matrices, each (train, test).

    Returns:
        For each matrix: its names, the descriptions of what is stored of it, what is left out, the
        number of networks for each training condition, and the Dice of single networks or None.
        `own` is the Dice of each row under its own training condition, which need not be a column.
    """
    size = sum(len(matrix.rows) * len(matrix.columns) for matrix in matrices)
    kind = "u2" if 2 * size <= _BYTES else "u1"
    number = max(1, min(MOST, int(_BYTES / (size * int(kind[1])))))
    singles = sum(matrix.by_network.size for matrix in matrices)
    kinds = (bits for bits, most in _SINGLE_BYTES.items() if singles * int(bits[1]) <= most)
    bits = next(kinds, None)
    found = []
    for matrix in matrices:
        metrics = matrix.metrics
        cells = _cells(matrix, predicted.get(matrix.name))
        kept = dict(list(cells.items())[:number])
        if "high" not in kept:
            kept.pop("low", None)  # one end of a range alone is of no use
        left_out = [name for name in cells if name not in kept]
        further = {
            name: sides.few(metrics[name].transpose("train", "test").values.astype(float))
            for name in metric_names.further(metrics)
            if name not in cells
        }
        training = matrix.training
        dice = matrix.by_network.values
        single = None
        if len(matrix.replicas) > 1:
            if bits:
                single = blocks.integers(dice.astype(float), _FINE, bits)
            else:
                left_out.append("single")
        found.append(
            matrix.name._asdict()
            | {
                "label": matrix.label,
                "matrices": {
                    name: blocks.integers(values, step, kind)
                    for name, (values, step) in kept.items()
                }
                | {name: few.added(blocks) for name, few in further.items()},
                "left_out": left_out,
                "networks": np.isfinite(dice).any(-1).sum(-1).tolist(),
                "own": _rounded([metrics["id"].values])[0] if "id" in metrics else [],
                "val_loss": _rounded(training["val_loss"].values),
                "best_epoch": _rounded(training["best_epoch"].values),
                "single": single,
            }
        )
    return found


def _cells(matrix: Matrix, predicted: np.ndarray | None) -> dict[str, tuple[np.ndarray, float]]:
    """Return numbers of each cell, (train, test), with their steps, the most important first."""
    metrics = matrix.metrics

    def values(name: str) -> np.ndarray:
        return metrics[name].transpose("train", "test", ...).values.astype(float)

    found = {"dice": (values("dice"), _FINE)}
    if "dice_interval" in metrics:
        interval = values("dice_interval")
        found |= {"low": (interval[..., 0], _COARSE), "high": (interval[..., 1], _COARSE)}
    if predicted is not None:
        found["predicted"] = predicted, _COARSE
    for name in ("dice_std", *SELECTIONS):
        if name in metrics and np.isfinite(metrics[name]).any():
            found[name] = values(name), _COARSE
    return found


def _rounded(values: np.ndarray) -> list[list[float | None]]:
    """Return numbers with 5 digits for JSON, and None where a number is missing."""
    return [[float(f"{v:.5g}") if np.isfinite(v) else None for v in row] for row in values]
