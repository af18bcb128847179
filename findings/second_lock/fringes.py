"""Three lattices: does information at the specimen's own fringe lower Dice abroad? See protocol.md.

    python -m findings.second_lock.fringes draw   # the conditions, from the committed protocol
    python -m findings.second_lock.fringes pilot  # six conditions: do networks learn CeO2?
    python -m findings.second_lock.fringes train --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.fringes open   # the result, once

Run it from the repository's root.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from findings.second_lock import draws, locked
from findings.second_lock.fringe_scores import Measured, result
from findings.second_lock.lattices import CERIA, LATTICES, drawn
from findings.second_lock.networks import Arm, results, run, spectrum
from findings.twelve_thousand.locked import UNIT
from passband.grid import Condition

REPLICAS = 3
#: The least median of Dice at home with which CeO₂ is learned.
LEARNED = 0.8
FOLDER = draws.RESULTS / "fringes"
DRAW = draws.FOLDER / "fringes-drawn.json"
OPENING = locked.Opening("fringes")

# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


def arms(of: Mapping[str, list[str]]) -> dict[str, Arm]:
    """Return the arms by name: that of the pilot, and those of the lattices.

    Args:
        of: See :func:`drawn`.
    """
    conditions = {name: tuple(map(Condition.parse, ids)) for name, ids in of.items()}
    pilot = Arm("pilot", CERIA.study, conditions=conditions["pilot"], replicas=(0,), tests=())
    found = [pilot]
    for lattice in LATTICES:
        found.append(
            Arm(
                lattice.name,
                lattice.study,
                conditions=conditions[lattice.name],
                replicas=tuple(range(REPLICAS)),
                tests=conditions["tests"],
            )
        )
    return {arm.name: arm for arm in found}


def train_pilot(part: tuple[int, int]) -> None:
    """Train the networks of the pilot, and say whether networks learn CeO₂."""
    pilot = arms(draws.read_draw(DRAW, drawn))["pilot"]
    run(pilot, FOLDER, part)
    print(f"median Dice at home: {home_of_pilot(pilot):.3f}; must be at least {LEARNED}")


def home_of_pilot(pilot: Arm) -> float:
    """Return the median over the pilot's conditions of Dice at home.

    Raises:
        PassbandError: If some of its networks are missing.
    """
    home = results(pilot, FOLDER).home_dice
    return float(home.mean(("replica", "structure")).median())


def trained_arms(of: Mapping[str, list[str]]) -> dict[str, Arm]:
    """Return the arms of the lattices, without CeO₂ if networks do not learn it."""
    found = arms(of)
    if home_of_pilot(found.pop("pilot")) < LEARNED:
        del found[CERIA.name]
    return found


def train(part: tuple[int, int]) -> None:
    """Train and test the networks of a part of the conditions, of all lattices."""
    for arm in trained_arms(draws.read_draw(DRAW, drawn)).values():
        run(arm, FOLDER, part)


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def opened(_: tuple[int, int]) -> None:
    """Write what the networks did, and the result, once."""
    OPENING.check()
    found = trained_arms(draws.read_draw(DRAW, drawn))
    read = {name: results(arm, FOLDER) for name, arm in found.items()}
    arrays: dict[str, np.ndarray] = {}
    for name, arm in found.items():
        arrays |= draws.as_arrays(name, read[name])
        arrays[f"{name}, power"] = np.stack(spectrum(arm.study, FOLDER))
    OPENING.open(arrays, {**scored(arrays), **draws.made(read.values(), FOLDER)})


def scored(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the result that follows from the arrays of the file."""
    of = draws.read_draw(DRAW, drawn)
    conditions = {name: [*map(Condition.parse, ids)] for name, ids in of.items()}
    measured = {
        lattice.name: Measured(
            conditions[lattice.name],
            conditions["tests"],
            arrays[lattice.name] / UNIT,
            arrays[f"{lattice.name}, home"] / UNIT,
            tuple(arrays[f"{lattice.name}, power"]),
        )
        for lattice in LATTICES
        if lattice.name in arrays
    }
    return result(measured, draws.random(locked.digest(), "fringes folds"))


COMMANDS: draws.Commands = {
    "draw": lambda _: draws.write_draw(DRAW, drawn),
    "pilot": train_pilot,
    "train": train,
    "open": opened,
}

if __name__ == "__main__":
    draws.run("findings.second_lock.fringes", COMMANDS, sys.argv[1:])
