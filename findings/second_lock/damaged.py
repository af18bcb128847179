"""Real images that are damaged on purpose: what predicts the Dice of networks? See protocol.md.

    python -m findings.second_lock.damaged draw  # the conditions, from the committed protocol
    python -m findings.second_lock.damaged train --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.damaged predict FOLDER  # before a network sees a real image
    python -m findings.second_lock.damaged open FOLDER  # the result, once

FOLDER has the folders `images` and `masks`, with pixels of 0.776 Å. Run it from the repository's
root, and commit what `draw` and `predict` write before the next step.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from findings.second_lock import damaged_process as process
from findings.second_lock import draws, networks
from findings.second_lock.bands import Cut
from findings.second_lock.damage import DOSES, dice, versions
from findings.second_lock.damaged_lines import (
    ALL_DOSES,
    DEFOCI,
    LENSES,
    OWN_MEAN,
    B,
    by_patch,
    claims,
    constant_error,
    fitted,
    of_pairs,
    pairs,
)
from findings.second_lock.locked import Lock, as_stored
from findings.second_lock.networks import Arm
from findings.second_lock.scores import Mean
from findings.twelve_thousand.afterwards import IMAGES
from findings.twelve_thousand.kernels import WAVELENGTH_A
from passband import PassbandError
from passband.analysis.profiles import Profiles
from passband.config import Study, study_file, validate
from passband.grid import Condition
from passband.learning import devices
from passband.learning.torch_model import TorchModel

REAL = Path("studies/real.yaml")
LOCK = Lock("part5")
#: The folder of the networks and the exit waves.
KEPT = draws.RESULTS / "damaged"
DRAW = draws.FOLDER / "damaged-drawn.json"
#: The name of the Dice of simulated tests among the predictions.
KNOWN = "known"
ARCHITECTURE = "compact-w8-d3"
CONDITIONS = 48
TESTS = 36
#: Ranges of training conditions, and of tests, whose doses reach an eighth of a dose.
RANGES = {
    "defocus_nm": (-10, 60),
    "cs_um": (0, 0),
    "aperture_mrad": (26, 26),
    "dose_e_per_A2": (50, 800),
}
OF_TESTS = RANGES | {"dose_e_per_A2": (12, 800)}
#: Structures for training and for validation, and epochs of 8 steps.
STRUCTURES = {"train": 64, "val": 16}
EPOCHS = 24
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


#: The ids of the training conditions and of the tests.
Drawn = Mapping[str, list[str]]


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


def parsed(of: Drawn) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Return the training conditions and the tests."""
    conditions, tests = (tuple(map(Condition.parse, of[name])) for name in ("conditions", "tests"))
    return conditions, tests


def arms(of: Drawn) -> list[Arm]:
    """Return the arms, in the order of :data:`KINDS`."""
    conditions, tests = parsed(of)
    found = []
    for name, kind in KINDS.items():
        arm = Arm(
            name,
            study(),
            conditions=conditions,
            replicas=(0,),
            tests=tests,
            architecture=ARCHITECTURE,
            structures=TESTED,
        )
        if kind is not None:
            arm = replace(arm, trains=kind.from_microscope, tests_by=kind.from_microscope)
        found.append(arm)
    return found


# ── Predictions ──────────────────────────────────────────────────────────────────────────────────


def predictions(of: Drawn, folder: Path) -> dict[str, np.ndarray]:
    """Return the known Dice and what each line predicts, by the name of the line.

    That of B is (arm, condition, patch, share of the dose). Those of the lines that know a lens are
    (arm, condition, defocus, dose), for all pairs of a defocus and a dose. :data:`KNOWN` is (arm,
    condition, test).

    Args:
        folder: That of the real images.

    Raises:
        PassbandError: If networks or images are lacking.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in (KNOWN, B, *LENSES)}
    for arm in arms(of):
        M = networks.results(arm, KEPT).dice.isel(replica=0).mean("structure").values
        found[KNOWN].append(M)
        D = process.predicted(M, *seen_by_image(arm, of, folder))
        found[B].append(D.reshape(len(M), -1, len(DOSES)))
        sides = seen_by_lens(arm, of)
        for line in LENSES:
            D = process.predicted(M, *(side[line] for side in sides))
            found[line].append(D.reshape(len(M), len(DEFOCI), len(ALL_DOSES)))
    return {line: np.stack(arrays) for line, arrays in found.items()}


def seen_by_image(arm: Arm, of: Drawn, folder: Path) -> list[Profiles]:
    """Return what B sees of training conditions, tests and versions of real images."""
    microscope = arm.study.microscope
    pixel_A = microscope.pixel_size_A
    below = limit(arm.name) or process.NYQUIST
    acquisition = arm.tests_by(microscope, arm.study.training.normalisation, networks.CPU)
    found = []
    for side, name in zip(parsed(of), ("train", "val"), strict=True):
        split = networks.split(arm.study, KEPT, name, range(IMAGES))
        found.append(process.of_images(side, acquisition, split, below))
    seen = versions(folder, pixel_A, limit(arm.name))
    return [*found, process.of_versions(seen, pixel_A, below)]


def seen_by_lens(arm: Arm, of: Drawn) -> list[dict[str, Profiles]]:
    """Return what other lines see of training conditions, tests and pairs, by line."""
    curve = networks.spectrum(arm.study, KEPT)
    below = limit(arm.name) or process.NYQUIST
    sides = *parsed(of), process.pair_conditions()
    return [process.of_lens(side, arm.study.microscope, curve, below) for side in sides]


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def measured(of: Drawn, folder: Path) -> dict[str, np.ndarray]:
    """Return the Dice of all networks on all versions, (arm, condition, dose) by patch.

    Args:
        folder: That of the real images.
    """
    found: dict[str, np.ndarray] = {}
    shape = len(KINDS), len(of["conditions"]), len(DOSES)
    for place, arm in enumerate(arms(of)):
        pixel_A = arm.study.microscope.pixel_size_A
        seen = list(versions(folder, pixel_A, limit(arm.name)))
        architecture = arm.study.training.architecture(arm.architecture)
        for number in range(len(arm.conditions)):
            cell = networks.trained(arm, KEPT, number)
            precision = cell.metadata.precision
            (network,) = networks.restored(arm, cell).values()
            module = devices.ready(network, precision, networks.CPU)
            model = TorchModel(module, architecture, precision)
            for each in seen:
                of_patch = found.setdefault(each.patch, np.zeros(shape))
                of_patch[place, number, DOSES.index(each.dose)] = dice(model, each, pixel_A)
    return found


def result(lines: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return all results.

    Args:
        lines: Those of :func:`predictions`.
        true: Those of :func:`measured`.
    """
    Y = np.stack([*true.values()])
    shape = len(Y), *Y.shape
    of_line = {
        B: np.moveaxis(lines[B], 2, 0),
        OWN_MEAN: lines[KNOWN].mean(2)[..., None],
    }
    chosen = {}
    for line in LENSES:
        candidates = of_pairs(lines[line])
        best = fitted(Y, candidates)
        chosen[line] = {patch: pairs()[k] for patch, k in zip(true, best, strict=True)}
        of_line[line] = candidates[best][:, None]
    scores = {line: by_patch(Y, np.broadcast_to(D, shape)) for line, D in of_line.items()}
    return {
        "claims": claims(scores),
        "lines": {
            line: {
                name: asdict(Mean.of(values)) | {"patches": values.tolist()}
                for name, values in of.items()
            }
            for line, of in scores.items()
        },
        "constant": asdict(Mean.of(constant_error(Y))),
        "patches": [*true],
        "dice": {patch: D.mean(1).tolist() for patch, D in true.items()},
        "pairs": chosen,
    }


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────


def train(part: tuple[int, int]) -> None:
    """Train and test the networks of a part of the conditions, of all arms."""
    for arm in arms(draws.read_draw(DRAW, drawn)):
        networks.run(arm, KEPT, part)


def opened(folder: Path) -> None:
    """Compare the predictions with the truth, and write the result."""
    LOCK.check()
    found = measured(draws.read_draw(DRAW, drawn), folder)
    true = {patch: as_stored(each) for patch, each in found.items()}
    LOCK.open(true, result(LOCK.read(), true))


def main(arguments: Sequence[str]) -> int:
    """Run a step, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("draw")
    of_train = steps.add_parser("train")
    of_train.add_argument("--part", default="0/1", help="k/n: every n-th condition, from k on")
    for name in ("predict", "open"):
        steps.add_parser(name).add_argument("folder", type=Path, help="of the real images")
    options = parser.parse_args(arguments)
    try:
        if options.step == "draw":
            draws.write_draw(DRAW, drawn)
        elif options.step == "train":
            train(networks.part(options.part))
        elif options.step == "predict":
            LOCK.write(predictions(draws.read_draw(DRAW, drawn), options.folder))
        else:
            opened(options.folder)
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
