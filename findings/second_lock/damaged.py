"""Real images that are damaged on purpose: what predicts the Dice of networks? See protocol.md.

    python -m findings.second_lock.damaged draw  # the conditions, from the committed protocol
    python -m findings.second_lock.damaged train --part 0/2  # and 1/2 beside it

Run it from the repository's root.
"""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from findings.second_lock import draws
from findings.second_lock.bands import Cut
from findings.second_lock.networks import Arm, run
from findings.twelve_thousand.kernels import WAVELENGTH_A
from passband.config import Study, study_file, validate
from passband.grid import Condition

REAL = Path("studies/real.yaml")
FOLDER = draws.RESULTS / "damaged"
DRAW = draws.FOLDER / "damaged-drawn.json"
ARCHITECTURE = "compact-w8-d3"
CONDITIONS, TESTS = 48, 36
#: Ranges of training conditions, and of tests, whose doses reach an eighth of a dose.
RANGES = {
    "defocus_nm": (-10, 60),
    "cs_um": (0, 0),
    "aperture_mrad": (26, 26),
    "dose_e_per_A2": (50, 800),
}
OF_TESTS = RANGES | {"dose_e_per_A2": (12, 800)}
#: Structures for training and for validation, and epochs of 8 steps.
STRUCTURES, EPOCHS = {"train": 64, "val": 16}, 24
#: Structures of the tests.
TESTED = range(16)


def frequency(angle_mrad: float) -> float:
    """Return the spatial frequency of electrons at an angle [1/Å]."""
    return angle_mrad * 1e-3 / WAVELENGTH_A


class Below10(Cut):
    """Cuts all frequencies from 10 mrad on."""

    band = frequency(10), np.inf


class Below8(Cut):
    """Cuts all frequencies from 8 mrad on."""

    band = frequency(8), np.inf


#: What cuts the images of an arm, by the arm's name.
KINDS: dict[str, type[Cut] | None] = {"whole": None, "10 mrad": Below10, "8 mrad": Below8}


@cache
def study() -> Study:
    """Return the study of real images with fewer structures and steps."""
    content = study_file.read(REAL)
    content["study"]["structures"] |= STRUCTURES
    content["training"] |= {"architectures": [ARCHITECTURE], "epochs": EPOCHS}
    return validate(content, str(REAL))


def limit(arm: str) -> float | None:
    """Return the frequency from which on an arm's images are cut [1/Å]; None if they are not."""
    kind = KINDS[arm]
    return None if kind is None else kind.band[0]


def drawn(digest: str) -> dict[str, list[str]]:
    """Return the ids of the training conditions and of the tests, which all arms share.

    Args:
        digest: That of the protocol.
    """
    found = {
        "conditions": draws.drawn(digest, "damaged conditions", CONDITIONS, RANGES),
        "tests": draws.drawn(digest, "damaged tests", TESTS, OF_TESTS),
    }
    return {name: [condition.id for condition in each] for name, each in found.items()}


def arms(of: dict[str, list[str]]) -> list[Arm]:
    """Return the arms, in the order of :data:`KINDS`.

    Args:
        of: See :func:`drawn`.
    """
    conditions, tests = (tuple(map(Condition.parse, of[name])) for name in ("conditions", "tests"))
    found = []
    for name, kind in KINDS.items():
        arm = Arm(name, study(), conditions, (0,), tests, ARCHITECTURE, TESTED)
        if kind is not None:
            arm = replace(arm, trains=kind.from_microscope, tests_by=kind.from_microscope)
        found.append(arm)
    return found


def train(part: tuple[int, int]) -> None:
    """Train and test the networks of a part of the conditions, of all arms."""
    for arm in arms(draws.read_draw(DRAW, drawn)):
        run(arm, FOLDER, part)


COMMANDS: draws.Commands = {"draw": lambda _: draws.write_draw(DRAW, drawn), "train": train}

if __name__ == "__main__":
    draws.run("findings.second_lock.damaged", COMMANDS, sys.argv[1:])
