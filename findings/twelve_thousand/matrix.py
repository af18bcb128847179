"""Writes data/matrix.json: the means and the variance of the whole matrix."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from findings.twelve_thousand.pieces import DATA, WHOLE, check_pieces
from findings.twelve_thousand.results import DOSE, SOURCES, Estimate, Scores, noise_of_one, variance
from passband import PassbandError
from passband.analysis import table_union
from passband.results import layout, pieces
from passband.results.stores import load_table


def found(scores: Scores, simple: pd.DataFrame) -> dict[str, Any]:
    """Return what the account says of the matrix.

    Args:
        simple: Dice of the simplest methods by the id of the test condition, see
            :mod:`findings.twelve_thousand.baselines`.
    """
    other = np.not_equal.outer(np.array(scores.train.ids), np.array(scores.test.ids))
    shares, (train, replicas, _, images) = variance(scores), scores.images.shape
    return {
        "networks": train * replicas,
        "cells": scores.images.size // images,
        "home": _ends(scores.estimate(lambda _, own: float(own.mean()))),
        "abroad": _ends(scores.estimate(lambda M, _: float(M[other].mean()))),
        "lowest_home": float(scores.own_images.mean(-1).min()),
        "shares": {SOURCES[name]: _ends(share) for name, share in shares.shares.items()},
        "noise": shares.noise,
        "noise_of_one": noise_of_one(scores),
        "simple": simplest(scores, simple.loc[list(scores.test.ids)]),
    }


def _ends(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]


def simplest(scores: Scores, simple: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return Dice of networks and of the simplest methods, by the dose of the test."""
    own, doses = scores.own_columns(), scores.test.values[DOSE]
    groups = {f"{dose:g}": doses == dose for dose in scores.test.levels(DOSE)}
    groups["all"] = np.ones_like(doses, bool)
    result = {}
    for name, where in groups.items():
        columns = np.flatnonzero(where)
        blur, every = (simple[n].to_numpy()[where] for n in ("dice", "everything"))
        M = scores.mean[:, columns]
        trained_there = M[own[columns], np.arange(len(columns))]
        result[name] = {
            "trained there": float(trained_there.mean()),
            "all networks": float(M.mean()),
            "blur and threshold": float(blur.mean()),
            "everything": float(every.mean()),
            "trained there above blur": float((trained_there > blur).mean()),
        }
    return result


def write(results: Path, folder: Path = DATA, whole: Path = WHOLE) -> int:
    """Write the file and return the exit status 0.

    Args:
        results: The folder of the merged results.
        folder: The folder with ``baselines.csv`` and the packed pieces.

    Raises:
        PassbandError: If networks are missing, or the merged results are older than a piece.
    """
    stored = load_table(results / layout.TABLE)
    check_pieces(map(str, stored.train.values), results, whole)
    check_age(stored, results, folder)
    simple = pd.read_csv(folder / "baselines.csv").set_index("test")
    text = json.dumps(found(Scores.from_table(stored), simple), indent=2)
    (folder / "matrix.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0


def check_age(stored: xr.Dataset, results: Path, folder: Path) -> None:
    """Check that a merged table was made from the packed pieces that are in the folder now.

    Raises:
        PassbandError: If a packed piece is not the one that was merged.
    """
    then = json.loads(stored.attrs.get(table_union.PIECES, "[]"))
    of_then = {(piece["part"], piece.get("created")) for piece in then}
    for path in sorted((folder / "parts").glob("*.zarr.zip")):
        if (path.name, pieces.find(path).attrs.get("created")) not in of_then:
            raise PassbandError(f"{results}: is older than {path}; delete this folder, and merge")
