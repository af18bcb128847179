"""What each kind of knowledge predicts for levels that no network was trained at or tested under.

Every line is a way to say how alike two conditions are. All have the same Gaussian process with the
same priors, see the same cells, and predict the same cells. The parameters of a line, and the
weight in the mean of two, are found without the level that is left out. The distances of T(q) in
bands are no line: they were chosen after looking at this matrix. Published scalars and boosted
trees are no process: both are fitted to the information metrics of drawn cells that are seen.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from findings.twelve_thousand import kernels, packed, rivals
from findings.twelve_thousand.pieces import DATA, WHOLE, append
from findings.twelve_thousand.results import LENS
from findings.twelve_thousand.rivals import Features, transfer_features, weights_of
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.analysis.spectra import SPECTRUM, from_json
from passband.axes import MAIN_AXES
from passband.config import load
from passband.prediction.matrix import interaction
from passband.prediction.matrix.level_scores import ENDS, ROWS, left_out
from passband.seeds import generator

#: The distances of each line, except those that were chosen with this matrix.
KERNELS = {k: v for k, v in kernels.KERNELS.items() if k != "T(q) in bands"}
#: Numbers of bootstrap samples of slices, and of the cells that trees are fitted to.
DRAWS, CELLS = 2000, 20_000
SCALED_LINE, PROFILES_LINE = "scaled", "T(q), bits and dose"
MEAN = f"mean of {PROFILES_LINE}, and {SCALED_LINE}"
SCALARS, TREES = "published scalars", "boosted trees"


@dataclass(frozen=True)
class Cells:
    """The whole matrix of Dice, with what lines know about its conditions.

    Attributes:
        replicas: (train, replica, test), Dice.
        ends: Profiles of training conditions and of test conditions.
        features: Information metrics and doses of each pair of conditions.
    """

    replicas: np.ndarray
    ends: tuple[Profiles, Profiles]
    features: Features

    @classmethod
    def of_pieces(cls) -> "Cells":
        """Return the cells of the packed pieces."""
        (matrix,) = packed.matrices(packed.joined())
        dice = matrix.by_network
        study = load(WHOLE)
        spectrum = from_json(json.loads(packed.joined().attrs[SPECTRUM])[matrix.specimen])
        information = packed.information()
        information = information.sel(train=dice.train.values, test=dice.test.values)
        every = weights_of(information, matrix.specimen)
        return cls(
            dice.values.astype(float),
            tuple(
                profiles(of, study.microscope, SAMPLES, spectrum, study.study.seed)
                for of in (matrix.train, matrix.test)
            ),
            transfer_features(information, every),
        )

    def scores(self, predicted: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> dict:
        """Return the scores of predicted Dice, and the mean square of the true interaction."""
        doses = tuple(
            end.parameters["dose_e_per_A2"][where]
            for end, where in zip(self.ends, (rows, columns), strict=True)
        )
        replicas = self.replicas[rows][..., columns]
        true = replicas.mean(1)
        square = (interaction.components(true, doses)["interaction"] ** 2).mean()
        found = interaction.scores(true, predicted, doses, replicas)
        return {"cells": true.size, **found, "square": float(square)}


def predictions(cells: Cells, side: int, axis: str, out: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each line predicts for the conditions of a side that are left out."""
    Y, found, thetas = cells.replicas.mean(1), {}, {}
    for name, kernel in KERNELS.items():
        found[name], thetas[name] = left_out(Y, cells.ends, side, out, kernel)
    seen, kept = np.compress(~out, Y, side), list(cells.ends)
    kept[side] = kept[side][~out]
    both = {name: thetas[name] for name in (PROFILES_LINE, SCALED_LINE)}
    weight = share(seen, kept, side, axis, both)
    found[MEAN] = weight * found[PROFILES_LINE] + (1 - weight) * found[SCALED_LINE]
    hidden = np.zeros(Y.shape, dtype=bool)
    hidden[(out, slice(None)) if side == 0 else (slice(None), out)] = True
    known = np.flatnonzero(~hidden)
    chosen = generator("lines", axis, side).choice(known, min(CELLS, len(known)), replace=False)
    X, shape = cells.features.values, np.compress(out, Y, side).shape
    for name, member in ((SCALARS, "additive"), (TREES, "boosted")):
        fit = rivals.MEMBERS[member]
        values = X.reshape(-1, X.shape[-1])[chosen]
        model = fit(values, Y.ravel()[chosen], cells.features.signs, 0)
        found[name] = np.clip(model(X[hidden]), 0, 1).reshape(shape)
    return found


def share(
    Y: np.ndarray,
    ends: Sequence[Profiles],
    side: int,
    axis: str,
    thetas: Mapping[str, np.ndarray],
) -> float:
    """Return the weight of the first of two lines in their mean, which fits inner folds best.

    An inner fold leaves out one more level. All of them have the parameters of the outer fold, and
    as many rows as these were found from.

    Args:
        Y, ends: The matrix and its profiles, without what the outer fold leaves out.
        thetas: The parameters of both lines.
    """
    rows = np.sort(generator(0, "rows").permutation(len(Y))[:ROWS])
    Y = Y[rows]
    ends = (ends[0][rows], ends[1])
    of_level = ends[side].parameters[axis]
    apart, missed = [], []
    for level in np.unique(of_level):
        inner = of_level == level
        one, other = (
            left_out(Y, ends, side, inner, KERNELS[name], theta)[0]
            for name, theta in thetas.items()
        )
        apart.append((one - other).ravel())
        missed.append((np.compress(inner, Y, side) - other).ravel())
    apart, missed = np.concatenate(apart), np.concatenate(missed)
    return float(np.clip(apart @ missed / (apart @ apart), 0, 1))


def rows(cells: Cells) -> Iterator[dict]:
    """Yield the scores of each line, for each level that is left out, and all levels of an axis."""
    shape = cells.replicas.shape[0], cells.replicas.shape[2]
    of_lens: dict[str, list[dict]] = {}
    for side, end in enumerate(ENDS):
        for axis in MAIN_AXES:
            whole: dict[str, np.ndarray] = {}
            of_axis = cells.ends[side].parameters[axis]
            for level in np.unique(of_axis):
                found, where = of_level(cells, side, axis, level)
                for line, predicted in found.items():
                    whole.setdefault(line, np.empty(shape))[np.ix_(*where)] = predicted
                yield from scored(cells, found, where, (axis, end, f"{level:g}"), of_lens)
            every = [np.full(n, True) for n in shape]
            yield from scored(cells, whole, every, (axis, end, "all"), {})
    yield from lens(of_lens)


def of_level(
    cells: Cells, side: int, axis: str, level: float
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return what each line predicts for a level, and which rows and columns have it."""
    out = cells.ends[side].parameters[axis] == level
    where = [np.full(n, True) for n in (cells.replicas.shape[0], cells.replicas.shape[2])]
    where[side] = out
    return predictions(cells, side, axis, out), where


def scored(
    cells: Cells,
    predicted: Mapping[str, np.ndarray],
    where: Sequence[np.ndarray],
    names: tuple[str, str, str],
    of_lens: dict[str, list[dict]],
) -> Iterator[dict]:
    """Yield the scores of each line for some cells, and collect those of the training lens."""
    found = {line: cells.scores(dice, *where) for line, dice in predicted.items()}
    for line, score in found.items():
        score["minus_scaled"] = score["interaction"] - found[SCALED_LINE]["interaction"]
        if names[0] in LENS and names[1] == ENDS[0]:
            of_lens.setdefault(line, []).append(score)
        yield named(line, *names, score)


def named(line: str, axis: str, end: str, level: str, score: Mapping[str, float]) -> dict:
    return {"line": line, "axis": axis, "side": end, "slice": level, **score}


def lens(of_lens: Mapping[str, list[dict]]) -> Iterator[dict]:
    """Yield R² of the interaction within all slices of the training lens together.

    The interval, and that of the difference from scaled parameters, resamples slices.
    """
    weights = np.concatenate(
        [[np.ones(n := len(of_lens[SCALED_LINE]))], resample(n, DRAWS, "lens")]
    )
    edges, values = interval_edges(0.95), {}
    for line, slices in of_lens.items():
        total = np.array([each["cells"] * each["square"] for each in slices])
        left = total * (1 - np.array([each["interaction"] for each in slices]))
        values[line] = 1 - (weights @ left) / (weights @ total)
    for line, value in values.items():
        found = {"cells": sum(each["cells"] for each in of_lens[line]), "interaction": value[0]}
        found |= dict(zip(("low", "high"), percentile_interval(value[1:], edges), strict=True))
        more = value - values[SCALED_LINE]
        found["minus_scaled"] = more[0]
        ends = percentile_interval(more[1:], edges)
        found |= dict(zip(("minus_scaled_low", "minus_scaled_high"), ends, strict=True))
        yield named(line, "lens", "train", "all", found)


def write(folder: Path = DATA) -> int:
    """Write the table ``lines.csv`` beside the page, and return the exit status 0."""
    path = folder / "lines.csv"
    cells = Cells.of_pieces()
    columns = [*named("", "", "", "", {}), "cells", *interaction.SCORES, "square"]
    columns += ["low", "high", "minus_scaled", "minus_scaled_low", "minus_scaled_high"]
    path.unlink(missing_ok=True)
    with rivals.one_thread():
        for row in rows(cells):
            append(path, {name: _text(row.get(name, "")) for name in columns})
    print(path)
    return 0


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}" if abs(value) < 0.01 else f"{value:.4f}"
    return str(value)
