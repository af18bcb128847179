"""An intervention: networks whose images lack the band of gold's lowest fringe. See protocol.md.

    python -m findings.second_lock.bands draw   # the pairs and the tests, from the protocol
    python -m findings.second_lock.bands train --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.bands open   # the result, once

Run it from the repository's root.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from findings.second_lock import draws, lattices, locked
from findings.second_lock.band_scores import ARMS, REFERENCE, UNCUT, advice_of, result
from findings.second_lock.networks import Arm, results, run
from findings.twelve_thousand.locked import INSIDE, UNIT
from findings.twelve_thousand.pieces import WHOLE
from passband.config import load
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import filtered
from passband.mixtures import Mixture

PAIRS = 12
REPLICAS = 4
#: Ranges in which a pair's conditions are equal.
EQUAL = {"cs_um": (1.2, 500), "aperture_mrad": (10.5, 13), "dose_e_per_A2": (200, 1600)}
#: The defoci of a pair [nm], and how many with the lowest and the highest ∫T² q dq one is drawn of.
DEFOCI = np.arange(-20, 60.5, 0.5)
THIRD = 53
#: The dose of half of the images of the arm `noise` [e/Å²].
LOW_DOSE = 50
#: Test structures, and those under the tests of the advice.
STRUCTURES = range(32, 64)
OF_ADVICE = range(64, 96)
FOLDER = draws.RESULTS / "bands"
DRAW = draws.FOLDER / "bands-drawn.json"
OPENING = locked.Opening("bands")


class Cut(Acquisition):
    """Forms images whose counts lack a band of spatial frequencies before they are normalised.

    Attributes:
        band: The ends of the band [1/Å].
    """

    band: ClassVar[tuple[float, float]]

    def normalised(self, counts: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return the normalised counts without the band."""
        return super().normalised(filtered(counts, self._kept), condition)

    @cached_property
    def _kept(self) -> torch.Tensor:
        """1 at the frequencies that are kept, and 0 in the band, in ``rfft2``'s layout."""
        kept = ~in_band(self.imager.image.px, self.imager.image.pixel_A, self.band)
        return torch.as_tensor(kept, dtype=self.imager.dtype, device=self.imager.device)


def in_band(px: int, pixel_A: float, band: tuple[float, float]) -> np.ndarray:
    """Return which frequencies of an image are in a band [1/Å], in ``rfft2``'s layout."""
    q = np.hypot(np.fft.fftfreq(px, pixel_A)[:, None], np.fft.rfftfreq(px, pixel_A))
    low, high = band
    return (low <= q) & (q <= high)


class WithoutFringe(Cut):
    """Cuts the band of gold's lowest fringe."""

    band = lattices.GOLD.band


class WithoutControl(Cut):
    """Cuts as many frequencies elsewhere."""

    band = (0.2825, 0.3509)


# ── The draw ─────────────────────────────────────────────────────────────────────────────────────


def drawn(digest: str) -> dict[str, list[str]]:
    """Return the ids of the pairs' conditions and of the tests.

    Args:
        digest: That of the protocol.
    """
    found = {
        "pairs": pairs(digest),
        "tests": lattices.tests(digest, "bands tests"),
        "advice": lattices.tests(digest, "bands advice"),
    }
    return {name: [condition.id for condition in each] for name, each in found.items()}


def pairs(digest: str) -> list[Condition]:
    """Return the conditions of all pairs; of each pair that with the low T² and then the other."""
    random = draws.random(digest, "bands pairs")
    found = []
    for shared in draws.drawn(digest, "bands shared", PAIRS, {"defocus_nm": (0, 0), **EQUAL}):
        lenses = [replace(shared, defocus_nm=float(defocus)) for defocus in DEFOCI]
        order = np.argsort([lattices.power(each, WithoutFringe.band) for each in lenses])
        low, high = random.integers(THIRD, size=2)
        found += [lenses[order[low]], lenses[order[-1 - high]]]
    return found


# ── Arms ─────────────────────────────────────────────────────────────────────────────────────────


def noisy(condition: Condition, number: int) -> Mixture:
    """Return the mixture of a condition and the same at a low dose, one half each."""
    low = replace(condition, dose_e_per_A2=float(LOW_DOSE))
    return Mixture(f"noise-{number:02d}", ((condition, 0.5), (low, 0.5)))


def all_doses(condition: Condition, number: int) -> Mixture:
    """Return the mixture of all doses at a condition's lens."""
    ends = {axis: (value, value) for axis, value in condition.values().items()}
    ends["dose_e_per_A2"] = INSIDE["dose_e_per_A2"]
    ranges = tuple((axis, float(low), float(high)) for axis, (low, high) in ends.items())
    return Mixture(f"doses-{number:02d}", ranges=ranges)


def arms(of: dict[str, list[str]]) -> dict[str, Arm]:
    """Return all arms by name, those first that have networks of their own.

    Args:
        of: See :func:`drawn`.
    """
    conditions, tests, advice = (
        tuple(map(Condition.parse, of[name])) for name in ("pairs", "tests", "advice")
    )
    plain = Arm(
        "plain",
        load(WHOLE),
        conditions=conditions,
        replicas=tuple(range(REPLICAS)),
        tests=tests,
        structures=STRUCTURES,
    )
    found = [plain]
    for name, kind in (("cut", WithoutFringe), ("control", WithoutControl)):
        images = kind.from_microscope
        found.append(replace(plain, name=name, trains=images, tests_by=images))
    for name, mixture in (("noise", noisy), (REFERENCE, all_doses)):
        mixtures = tuple(mixture(each, number) for number, each in enumerate(conditions))
        found.append(replace(plain, name=name, conditions=mixtures))
    _, cut, _, noise, doses = found
    uncut = replace(cut, name=UNCUT, networks_of="cut", tests_by=plain.tests_by)
    found.append(uncut)
    for each in (cut, uncut, noise, doses):
        networks = each.networks_of or each.name
        found.append(
            replace(
                each,
                name=advice_of(each.name),
                networks_of=networks,
                tests=advice,
                structures=OF_ADVICE,
            )
        )
    return {each.name: each for each in found}


def train(part: tuple[int, int]) -> None:
    """Train and test the networks of a part of the conditions, of all arms."""
    for arm in arms(draws.read_draw(DRAW, drawn)).values():
        run(arm, FOLDER, part)


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def opened(_: tuple[int, int]) -> None:
    """Write what the networks did, and the result, once."""
    OPENING.check()
    read = {name: results(arm, FOLDER) for name, arm in arms(draws.read_draw(DRAW, drawn)).items()}
    arrays: dict[str, np.ndarray] = {}
    for name, each in read.items():
        arrays |= draws.as_arrays(name, each)
    OPENING.open(arrays, {**scored(arrays), **draws.made(read.values(), FOLDER)})


def scored(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the result that follows from the arrays of the file."""
    dice = {name: each / UNIT for name, each in arrays.items()}
    return result(dice, {name: dice[draws.home_of(name)] for name in ARMS})


COMMANDS: draws.Commands = {
    "draw": lambda _: draws.write_draw(DRAW, drawn),
    "train": train,
    "open": opened,
}

if __name__ == "__main__":
    draws.run("findings.second_lock.bands", COMMANDS, sys.argv[1:])
