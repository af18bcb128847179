"""Writes data/matrix.json: the means and the variance of the whole matrix."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from findings.twelve_thousand.packed import joined
from findings.twelve_thousand.pieces import DATA, WHOLE
from findings.twelve_thousand.results import DOSE, SOURCES, Estimate, Scores, noise_of_one, variance


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


def write(folder: Path = DATA, whole: Path = WHOLE) -> int:
    """Write the file and return the exit status 0.

    Args:
        folder: The folder with ``baselines.csv`` and the packed pieces.

    Raises:
        PassbandError: If networks are missing.
    """
    stored = joined(folder, whole)
    simple = pd.read_csv(folder / "baselines.csv").set_index("test")
    text = json.dumps(found(Scores.from_table(stored), simple), indent=2)
    (folder / "matrix.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0
