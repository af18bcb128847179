"""Part 3: do cheap networks tell about expensive ones?

    python -m findings.second_lock.expensive predict  # the predictions and their digest
    python -m findings.second_lock.expensive train --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.expensive open  # the result, once

Run it from the repository's root, and commit what `predict` writes before networks are trained. A
training that was stopped continues.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from findings.second_lock import conditions, distances, draws, lens_or_image, lines, networks
from findings.second_lock.expensive_scores import ceiling, mapped, means_of_tests, of_line, verdict
from findings.second_lock.lens_or_image import LENS
from findings.second_lock.locked import Lock, as_stored
from findings.second_lock.networks import Arm, results, run
from findings.twelve_thousand.locked import read_arrays
from findings.twelve_thousand.pieces import WHOLE
from passband import PassbandError
from passband.config import Study, study_file, validate
from passband.grid import Condition

LOCK = Lock("part3")
KEPT = draws.RESULTS / "part3"
PIXEL_A = 0.25
FIELD_PX = 128
ROWS = 12
TESTS = 72
STRUCTURES = range(32, 40)
#: The two larger architectures are judged; the first one stands beside them.
CHEAP, WIDE, GROUP = ARCHITECTURES = ("compact-w4-d2", "compact-w16-d4", "unet-resnet18")
#: Epochs of the group's network, each of 4 steps, and those of its recipe.
EPOCHS = 48
OF_RECIPE = 25
#: Rows of the group's network with a second replica; fewer, if one of its first two networks took
#: more processor time than this [s].
SECOND = 8
FEWER = 4
MOST_S = 460


@cache
def study(architecture: str) -> Study:
    """Return the study of the twelve thousand with small pixels and another architecture."""
    content = study_file.read(WHOLE)
    content["study"]["name"] = "second-lock-part3"
    content["microscope"] = {"pixel_size_A": PIXEL_A, "field_px": FIELD_PX}
    training = content["training"]
    if architecture == GROUP:
        decay = 0.8 ** (OF_RECIPE / EPOCHS)
        training = {"recipe": "group-2024", "epochs": EPOCHS, "decay": decay}
    content["training"] = training | {"architectures": [architecture], "precision": "float32"}
    return validate(content)


# ── The draw ─────────────────────────────────────────────────────────────────────────────────────


def rows() -> np.ndarray:
    """Return the numbers of the drawn conditions among the 200 of part 1, in order."""
    of = conditions.random("part 3, conditions")
    return np.sort(of.choice(len(lens_or_image.training_conditions()), ROWS, replace=False))


def training_conditions() -> tuple[Condition, ...]:
    """Return the drawn conditions."""
    every = lens_or_image.training_conditions()
    return tuple(every[number] for number in rows())


def tests() -> tuple[Condition, ...]:
    """Return the drawn tests."""
    of = conditions.random("part 3, tests")
    axes = lens_or_image.study().axes
    return tuple(axes.condition(point) for point in conditions.points(of, TESTS))


def first_half() -> np.ndarray:
    """Return which rows are in the first of two drawn halves, (row,) bool."""
    return conditions.random("part 3, halves").permutation(ROWS) < ROWS // 2


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


def arms() -> dict[str, list[Arm]]:
    """Return the arms of each architecture; the group's second replica is an arm of its own."""
    of = training_conditions()
    found = {
        name: [
            Arm(
                name,
                study(name),
                conditions=of,
                replicas=(0, 1),
                tests=tests(),
                architecture=name,
                structures=STRUCTURES,
            )
        ]
        for name in ARCHITECTURES
    }
    (both,) = found[GROUP]
    second = replace(both, name=f"{GROUP}-1", conditions=of[:SECOND], replicas=(1,))
    found[GROUP] = [replace(both, name=f"{GROUP}-0", replicas=(0,)), second]
    return found


def cut(group: Sequence[Arm], folder: Path = KEPT) -> list[Arm]:
    """Return the group's arms, the second with fewer conditions if networks take too long.

    Raises:
        PassbandError: If the first two networks are missing.
    """
    first, second = group
    files = [networks.results_file(first, folder, number) for number in range(2)]
    if lacking := [file for file in files if not file.exists()]:
        raise PassbandError(f"{lacking[0]}: is missing; train the networks first")
    if max(read_arrays(file)["seconds"].sum() for file in files) > MOST_S:
        second = replace(second, conditions=second.conditions[:FEWER])
    return [first, second]


def train(part: tuple[int, int]) -> None:
    """Train and test the networks of a part of the conditions, the cheap ones first."""
    LOCK.committed()
    of = arms()
    for name in (CHEAP, WIDE):
        run(of[name][0], KEPT, part)
    run(of[GROUP][0], KEPT, part)
    run(cut(of[GROUP])[1], KEPT, part)


def by_replica(several: Sequence[Arm], folder: Path = KEPT) -> dict[str, np.ndarray]:
    """Return what the networks of an architecture did.

    Returns:
        `dice` (row, 2, test), and `home` (row, 2) under the networks' own conditions; NaN where a
        row has no second replica. `seconds` (files,), processor time.
    """
    dice = np.full((len(several[0].conditions), 2, len(several[0].tests)), np.nan)
    home = dice[..., 0].copy()
    seconds = []
    for arm in several:
        found = results(arm, folder)
        where = np.ix_(range(len(arm.conditions)), arm.replicas)
        dice[where] = found.dice.mean("structure").values
        home[where] = found.home_dice.mean("structure").values
        seconds.append(found.seconds.values.sum(1))
    return {"dice": dice, "home": home, "seconds": np.concatenate(seconds)}


# ── Predictions and opening ──────────────────────────────────────────────────────────────────────


def predicted() -> np.ndarray:
    """Return the Dice that A predicts for the small networks of part 1, (row, test)."""
    sides = [lens_or_image.training_conditions(), lens_or_image.old_tests(), tests()]
    train, old, new = lines.seen(LENS, sides, ("train", "val", "val"), draws.RESULTS)
    kernel = lines.kernel(LENS, train)
    return distances.predicted(lens_or_image.known_dice(), (train, old), new, kernel)[rows()]


def predict() -> None:
    """Write the predictions and their digest."""
    LOCK.write({LENS: predicted()})


def result(
    predicted: np.ndarray,
    dice: Mapping[str, np.ndarray],
    doses: tuple[np.ndarray, np.ndarray],
    first: np.ndarray,
) -> dict[str, Any]:
    """Return the scores of each line for each architecture, and the verdict.

    Args:
        predicted: (row, test), Dice of the small networks, by A.
        dice: (row, 2, test) by architecture, see :func:`by_replica`.
        doses: Of rows and of tests [e/Å²].
        first: See :func:`first_half`.
    """
    cheap = np.nanmean(dice[CHEAP], axis=1)
    found: dict[str, dict[str, Any]] = {}
    for name, replicas in dice.items():
        true = np.nanmean(replicas, axis=1)
        lines = {
            LENS: mapped(predicted, true, first),
            "measured Dice of the cheap network": mapped(cheap, true, first),
            "mean of the test": means_of_tests(true, first),
        }
        if name == CHEAP:
            del lines["measured Dice of the cheap network"]
        found[name] = {
            "ceiling": ceiling(replicas, doses),
            "lines": {line: of_line(true, D, doses, replicas) for line, D in lines.items()},
        }
    larger = [
        {**found[name]["lines"][LENS], "ceiling": found[name]["ceiling"]} for name in (WIDE, GROUP)
    ]
    return {"verdict": verdict(larger), "architectures": found}


def scored(truth: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what follows from the predictions and the measured Dice.

    Args:
        truth: Dice (row, 2, test) by architecture; 0 where a row has no second replica.
    """
    dice = {name: np.where((D == 0).all(2, keepdims=True), np.nan, D) for name, D in truth.items()}
    of_doses = conditions.doses(training_conditions()), conditions.doses(tests())
    return result(LOCK.read()[LENS], dice, of_doses, first_half())


def opened() -> None:
    """Compare the predictions with the truth, and write the result."""
    LOCK.check()
    of = arms()
    of[GROUP] = cut(of[GROUP])
    made = {name: by_replica(several) for name, several in of.items()}
    truth = {name: as_stored(np.nan_to_num(each["dice"])) for name, each in made.items()}
    found = scored(truth)
    found["networks"] = {
        name: {
            "networks": int(np.isfinite(each["home"]).sum()),
            "home": float(np.nanmean(each["home"])),
            "abroad": float(np.nanmean(each["dice"])),
            "seconds": float(each["seconds"].sum()),
        }
        for name, each in made.items()
    }
    LOCK.open(truth, found)
    print(found["verdict"])


COMMANDS: draws.Commands = {
    "predict": lambda _: predict(),
    "train": train,
    "open": lambda _: opened(),
}

if __name__ == "__main__":
    draws.run("findings.second_lock.expensive", COMMANDS, sys.argv[1:])
