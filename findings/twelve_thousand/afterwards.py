"""What the locked set says about lines that its protocol does not have: seen afterwards.

    python -m findings.twelve_thousand.afterwards  # writes afterwards.csv; 15 minutes on one core

One process predicts the locked networks from four kinds of distances between two conditions: raw
and scaled parameters, the package's, and the power spectrum of a few images, which knows neither
the lens nor the dose. Only the distances differ. A network's spectrum is that of images of training
structures under its training condition; a test's is that of images of validation structures under
the test condition. So all have other structures and other noise than the images that judge.

Exit waves are simulated again. No file in locked/ is changed.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from findings import committed
from findings.twelve_thousand.kernels import KERNELS
from findings.twelve_thousand.locked import (
    DICE,
    DIGESTS,
    FITTED,
    PREDICTIONS,
    UNIT,
    drawn,
    stored_matrix,
)
from findings.twelve_thousand.locked_scores import INSIDE, r2
from findings.twelve_thousand.pieces import DATA, WHOLE
from passband import PassbandError
from passband.analysis import image_spectra
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.analysis.image_spectra import IMAGES
from passband.analysis.image_spectra import RINGS as RINGS
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.config import Study, load
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.prediction import gaussian_process
from passband.prediction.covariance import Kernel, spectrum_kernel
from passband.prediction.matrix import interaction
from passband.seeds import generator
from passband.specimens import exit_waves

#: The splits whose structures are imaged under training conditions, and under test conditions.
SPLITS = "train", "val"
SPECTRUM = "power spectrum of 16 images"
PACKAGE = "T(q), bits and dose"
SCALED = "scaled"
#: The lines with distances of conditions. T(q) in bands has committed predictions too.
LINES = "raw", SCALED, PACKAGE
BANDS = "T(q) in bands"
DRAWS = 10_000
TABLE = DATA / "afterwards.csv"


def spectrum(images: np.ndarray) -> np.ndarray:
    """Return the spectrum (ring,) of images (n, px, px), each with mean 0 and variance 1."""
    return np.log10(image_spectra.powers(images).mean(0))


def spectra(study: Study, conditions: Iterable[Condition], split: str) -> np.ndarray:
    """Return the spectrum of the images of a split under each condition, (condition, ring)."""
    (name, specimen) = next(iter(study.specimens.items()))
    seed = study.study.seed
    device = torch.device("cpu")
    waves = exit_waves.simulate(name, specimen, study.microscope, seed, split, range(IMAGES))
    structures = Structures(seed, name, split, study.microscope)
    imaged = Split.from_dataset(waves, structures, device)
    acquisition = Acquisition.from_microscope(study.microscope, "zscore", device)
    images = (acquisition.images(imaged, each)[:, 0].numpy() for each in conditions)
    return np.stack([spectrum(each) for each in images])


def predicted(
    M: np.ndarray,
    old: Sequence[Profiles],
    new: Sequence[Profiles],
    kernel: Kernel,
) -> np.ndarray:
    """Return what a line predicts, as :func:`findings.twelve_thousand.locked.predictions` does.

    Args:
        M: (train, test), the old matrix.
        old, new: Profiles of the training and of the test conditions.

    Returns:
        (new train, old tests and then new tests), Dice.
    """
    random = generator("locked set", "rows")
    some = np.sort(random.choice(len(M), min(FITTED, len(M)), replace=False))
    few = old[0][some]
    theta = gaussian_process.fit(M[some], few, old[1], kernel=kernel).theta
    model = gaussian_process.fit(M, *old, theta=theta, kernel=kernel)
    return np.hstack([model.predict(new[0], test)[0] for test in (None, new[1])])


def ends() -> tuple[np.ndarray, list[Profiles], list[Profiles]]:
    """Return the old matrix, and the profiles of its conditions and of those of the locked set.

    Both are those of the training conditions, inside and then outside, and of the tests.
    """
    study, scores, curve = stored_matrix()
    conditions = [[Condition.parse(id) for id in side.ids] for side in (scores.train, scores.test)]
    old, new = (
        [profiles(each, study.microscope, SAMPLES, curve, study.study.seed) for each in side]
        for side in (conditions, locked_conditions())
    )
    return scores.mean.astype(float), old, new


def locked_conditions() -> tuple[list[Condition], list[Condition]]:
    """Return the training conditions and the new test conditions of the locked set."""
    return drawn(json.loads(DIGESTS.read_text(encoding="utf-8"))["protocol"])


def lines(progress: Callable[[str], None] = print) -> dict[str, np.ndarray]:
    """Return what each line predicts for the locked set, by its name."""
    study, *_ = stored_matrix()
    M, *of = ends()
    found = {}
    for name in LINES:
        found[name] = predicted(M, *of, KERNELS[name])
        progress(name)
    values = [
        [
            spectra(study, map(Condition.parse, each.ids), split)
            for each, split in zip(side, SPLITS, strict=True)
        ]
        for side in of
    ]
    progress("images")
    seen = [
        [image_spectra.profiles(each.ids, of_each) for each, of_each in zip(side, own, strict=True)]
        for side, own in zip(of, values, strict=True)
    ]
    found[SPECTRUM] = predicted(M, *seen, spectrum_kernel(values[0][0]))
    return found


# ── Scores ───────────────────────────────────────────────────────────────────────────────────────


def of_single(replicas: np.ndarray, D: np.ndarray) -> tuple[float, float]:
    """Return R² of single networks, and its ceiling: the same if true means were predicted.

    Args:
        replicas: (train, replica, test), Dice.
        D: (train, test), predicted Dice.
    """
    number = replicas.shape[1]
    total = ((replicas - replicas.mean()) ** 2).sum()
    missed = ((replicas - D[:, None]) ** 2).sum()
    within = ((replicas - replicas.mean(1, keepdims=True)) ** 2).sum() * number / (number - 1)
    return float(1 - missed / total), float(1 - within / total)


def rows(
    found: Mapping[str, np.ndarray],
    replicas: np.ndarray,
    doses: tuple[np.ndarray, np.ndarray],
    old: int,
) -> Iterator[dict[str, Any]]:
    """Yield the scores of each line under the old and under the new tests.

    Intervals resample training conditions, and new test conditions too, as in the protocol.

    Args:
        found: Predicted Dice (train, tests) by the name of the line.
        replicas: (train, replica, tests), Dice.
        doses: Of the training conditions, and of the tests.
        old: Number of old tests, which come first.
    """
    of_train = resample(len(replicas), DRAWS, "locked set", "train")
    of_test = resample(replicas.shape[2] - old, DRAWS, "locked set", "test")
    for cells, where in {"old tests": slice(old), "new tests": slice(old, None)}.items():
        several = replicas[..., where]
        true = several.mean(1)
        weights = (of_train,) if cells == "old tests" else (of_train, of_test)
        drawn_r2 = {name: r2(true, D[:, where], *weights) for name, D in found.items()}
        value = {name: float(r2(true, D[:, where])) for name, D in found.items()}
        for name, D in found.items():
            of = interaction.scores(true, D[:, where], (doses[0], doses[1][where]), several)
            single, ceiling = of_single(several, D[:, where])
            row = {"line": name, "cells": cells, "r2": value[name]}
            row |= dict(zip(("low", "high"), _ends(drawn_r2[name]), strict=True))
            row["interaction"] = of["interaction"]
            row |= {"r2_single": single, "ceiling_single": ceiling}
            for other, word in ((SCALED, "scaled"), (PACKAGE, "package")):
                column = f"minus_{word}"
                row[column] = value[name] - value[other]
                ends = _ends(drawn_r2[name] - drawn_r2[other])
                row |= dict(zip((f"{column}_low", f"{column}_high"), ends, strict=True))
            yield row


def _ends(samples: np.ndarray) -> list[float]:
    return [float(x) for x in percentile_interval(samples, interval_edges(0.95))]


def computed(progress: Callable[[str], None] = print) -> pd.DataFrame:
    """Return the table.

    Args:
        progress: Is called with the name of each line that is done.
    """
    found = lines(progress)
    predicted = np.load(PREDICTIONS)
    for name in LINES:
        apart = np.abs(found[name] - predicted[name] / UNIT).max()
        progress(f"{name}: at most {apart:.4f} from the committed predictions")
    found[BANDS] = predicted[BANDS] / UNIT
    replicas = np.load(DICE)["old"][:INSIDE] / UNIT
    train, test = locked_conditions()
    old = [c.dose_e_per_A2 for c in load(WHOLE).test_conditions]
    of_tests = np.array([*old, *(c.dose_e_per_A2 for c in test)])
    of_train = np.array([c.dose_e_per_A2 for c in train[:INSIDE]])
    inside = {name: D[:INSIDE] for name, D in found.items()}
    return pd.DataFrame(rows(inside, replicas, (of_train, of_tests), len(old)))


def write() -> int:
    """Write the table and print it; return the exit status 0."""
    frame = computed(lambda words: print(words, file=sys.stderr))
    committed.write(frame, TABLE)
    print(frame.to_string(index=False))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(write())
    except PassbandError as error:
        sys.exit(str(error))
