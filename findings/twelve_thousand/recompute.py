"""Computes the tables of the account again, and compares them and the page."""

from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from findings import committed
from findings.twelve_thousand import (
    afterwards,
    baselines,
    claims,
    doses,
    figure,
    history,
    lines,
    locked,
    matrix,
    page,
    rivals,
    scherzer,
    steps,
    tenth,
)
from findings.twelve_thousand.pieces import DATA, FOLDER, WHOLE
from findings.twelve_thousand.results import LENS, Scores
from passband import PassbandError
from passband.axes import MAIN_AXES
from passband.config import load
from passband.seeds import generator
from passband.storage import datasets

#: Largest differences of what follows from a fit, and of sums. On the same kind of processor, all
#: are the same.
FITTED = 1e-3
SUMS = 1e-5
#: How many of the levels are left out again.
LEVELS = 3
#: The lines that are sums of trees, whose scores depend on the processor.
TREES = lines.SCALARS, lines.TREES
#: Largest mean difference of the figure's pixels, of 255.
PIXELS = 2.0


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    yield from lock()
    yield from small_studies()
    yield from of_matrix()
    yield from of_predictions()
    cells = lines.Cells.of_pieces()
    yield from of_levels(cells)
    of_tenth = pd.DataFrame(tenth.rows(cells))
    yield committed.table(DATA / "tenth.csv", of_tenth, ("known", "draw", "predictor"), FITTED)
    yield from simplest()
    yield "skipped: data/check.json: trains 190 networks: python -m findings.twelve_thousand check"
    yield from account()


def lock() -> Iterator[str]:
    """Compare the files of the locked set with the history and with each other."""
    yield from history.check()
    digests = locked.check_digests()
    yield f"{locked.DIGESTS}: those of the protocol and of the predictions"
    whole = load(WHOLE)
    content = locked.study_content(WHOLE, *locked.drawn(digests["protocol"]))
    if yaml.safe_load(locked.STUDY.read_text(encoding="utf-8")) != content:
        raise PassbandError(f"{locked.STUDY}: is not what the digest of the protocol draws")
    yield f"{locked.STUDY}: what the digest of the protocol draws"
    doses = np.array([each.dose_e_per_A2 for each in whole.test_conditions])
    yield committed.document(locked.RESULT, locked.scores_of_files(doses), SUMS)


def small_studies() -> Iterator[str]:
    """Compare the tables that follow from the Dice of the networks of small studies."""
    found = pd.DataFrame([*chain(*scherzer.computed())])
    yield committed.table(scherzer.TABLE, found, ("networks", "cs_um", "dose_e_per_A2"))
    yield committed.table(steps.TABLE, steps.computed(), ("score", "steps"))


def of_matrix() -> Iterator[str]:
    """Compare what is summed over the matrix."""
    _, scores, _ = locked.stored_matrix()
    yield same_dice(scores)
    simple = pd.read_csv(DATA / "baselines.csv").set_index("test")
    yield committed.document(DATA / "matrix.json", matrix.found(scores, simple), SUMS)
    found = pd.DataFrame([*claims.of_matrix(scores), *claims.small()])
    yield committed.table(claims.TABLE, found, claims.KEYS)
    of_doses = ("score", "train_dose_e_per_A2", "test_dose_e_per_A2")
    yield committed.table(DATA / "doses.csv", doses.computed(), of_doses, SUMS)


def same_dice(scores: Scores) -> str:
    """Compare the Dice of the file of OOD metrics with that of the packed pieces."""
    path = DATA / "ood.zarr.zip"
    ends = {"train": list(scores.train.ids), "test": list(scores.test.ids)}
    D = datasets.read(path, datasets.OOD).dice.sel(ends).squeeze().values
    apart = float(np.abs(D - scores.mean).max())
    if apart > committed.DIGITS:
        raise PassbandError(f"{path}: Dice is up to {apart:.6f} from that of the packed pieces")
    return f"{path}: {D.size:,} numbers within {committed.DIGITS:g}"


def of_predictions() -> Iterator[str]:
    """Compare the predictions of the locked set, and what was computed from them afterwards."""
    stored = locked.read_arrays(locked.PREDICTIONS)
    again = locked.predicted(locked.check_digests()["protocol"])
    for name, D in stored.items():
        apart = np.abs(again[name] - D.astype(float)).max() / locked.UNIT
        if apart > FITTED:
            raise PassbandError(
                f"{locked.PREDICTIONS}: {name}: computed again, up to {apart:.5f} off"
            )
    number = sum(D.size for D in stored.values())
    yield f"{locked.PREDICTIONS}: {number:,} numbers within {FITTED:g}"
    found = afterwards.computed(lambda words: None)
    yield committed.table(afterwards.TABLE, found, ("line", "cells"), FITTED)


def of_levels(cells: lines.Cells) -> Iterator[str]:
    """Leave some levels out again, and compare what follows from those that are committed."""
    path = DATA / "lines.csv"
    keys = ("line", "axis", "side", "slice")
    every = [
        (side, axis, level)
        for side, of in enumerate(cells.ends)
        for axis in MAIN_AXES
        for level in np.unique(of.parameters[axis])
    ]
    drawn = generator("findings", "levels").choice(len(every), LEVELS, replace=False)
    with rivals.one_thread():
        for side, axis, level in (every[k] for k in sorted(drawn)):
            found, where = lines.of_level(cells, side, axis, level)
            names = (axis, lines.ENDS[side], f"{level:g}")
            made = pd.DataFrame(lines.scored(cells, found, where, names, {}))
            made = made[~made.line.isin(TREES)]
            yield f"{committed.table(path, made, keys, FITTED)}: {' '.join(names)} left out"
    yield (
        f"skipped: {path}: {' and '.join(TREES)}: which of two nearly equal splits a tree takes "
        "follows from rounding; R² differed by up to 0.11 on another kind of processor"
    )
    stored = pd.read_csv(path)
    for made in pooled(stored, cells):
        yield committed.table(path, made, keys, FITTED)
    yield (
        f"skipped: {path}: the other {len(every) - LEVELS} levels, and the interaction over all of "
        "an axis: 10 minutes: python -m findings.twelve_thousand lines"
    )


def pooled(stored: pd.DataFrame, cells: lines.Cells) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return R² over all levels of an axis, and the interaction of the lens, from single levels."""
    Y = cells.replicas.mean(1)
    single = stored[stored.slice != "all"]
    rows = []
    for (line, axis, side), of in single.groupby(["line", "axis", "side"], sort=False):
        k = lines.ENDS.index(side)
        levels = cells.ends[k].parameters[axis]
        squares = [
            np.compress(np.isclose(levels, float(each)), Y, k).var() * number
            for each, number in zip(of.slice, of.cells, strict=True)
        ]
        r2 = 1 - ((1 - of.r2) * squares).sum() / (Y.var() * Y.size)
        rows.append(lines.named(line, axis, side, "all", {"cells": Y.size, "r2": r2}))
    lens = single[single.axis.isin(LENS) & (single.side == lines.ENDS[0])]
    by_line = {line: of.to_dict("records") for line, of in lens.groupby("line", sort=False)}
    return pd.DataFrame(rows), pd.DataFrame(lines.lens(by_line))


def simplest() -> Iterator[str]:
    """Compare the means of the simplest methods.

    Images that are rounded differently have other thresholds here and there, so that a single test
    says little.
    """
    path = DATA / "baselines.csv"
    stored, again = (
        frame.set_index("test")
        for frame in (pd.read_csv(path), pd.DataFrame(baselines.scores(load(WHOLE))))
    )
    again = again.astype({"dice": float, "everything": float})
    equal = (again.dice.reindex(stored.index) == stored.dice).sum()
    _, scores, _ = locked.stored_matrix()
    names = ("blur and threshold", "everything")
    made = {
        dose: {name: row[name] for name in names}
        for dose, row in matrix.simplest(scores, again.loc[list(scores.test.ids)]).items()
    }
    line = committed.document(DATA / "matrix.json", {"simple": made}, FITTED)
    yield f"{line}: the simplest methods, with the same Dice in {equal} of {len(stored)} tests"


def account() -> Iterator[str]:
    """Fill the page again, and draw its figure."""
    path = FOLDER / "README.md"
    there = path.read_text(encoding="utf-8").splitlines()
    made = page.text().splitlines()
    for number, (old, new) in enumerate(zip_longest(there, made), 1):
        if old != new:
            raise PassbandError(f"{path}: line {number}: {old!r}, made again: {new!r}")
    yield f"{path}: {len(made)} lines, filled again"
    path = page.PICTURE
    with TemporaryDirectory() as temporary:
        again = Path(temporary) / path.name
        page.save(figure.draw(), again)
        old, new = (np.asarray(Image.open(each).convert("RGB"), float) for each in (path, again))
    apart = np.abs(old - new).mean() if old.shape == new.shape else 255.0
    if apart > PIXELS:
        raise PassbandError(f"{path}: drawn again, its pixels differ by {apart:.1f} of 255")
    yield f"{path}: the same within {PIXELS:g} of 255"
