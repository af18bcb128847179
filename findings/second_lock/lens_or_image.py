"""Part 1: is it the lens, or the image?

    python -m findings.second_lock.lens_or_image again  # five networks of the first lock again
    python -m findings.second_lock.lens_or_image predict  # the predictions and their digest
    python -m findings.second_lock.lens_or_image train --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.lens_or_image features --part 0/2  # of networks, and 1/2
    python -m findings.second_lock.lens_or_image open  # the result, once

Run it from the repository's root, and commit what `predict` writes before networks are trained.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from findings.second_lock import conditions, distances, draws, features, networks, scores
from findings.second_lock.conditions import FURTHER, on_main_axes
from findings.second_lock.locked import Lock, as_stored, in_units
from findings.twelve_thousand.kernels import KERNELS, values
from findings.twelve_thousand.locked import DICE, DIGESTS, UNIT, drawn, read_arrays
from findings.twelve_thousand.locked_scores import INSIDE
from findings.twelve_thousand.pieces import WHOLE
from passband import PassbandError
from passband.analysis.profiles import Profiles
from passband.config import Study, load, study_file, validate
from passband.grid import Condition
from passband.storage import atomic

LOCK = Lock("part1")
#: The folder of the networks and the exit waves.
KEPT = draws.RESULTS
#: Replicas whose Dice is known, and those that judge.
KNOWN = range(2, 7)
JUDGED = (0, 1)
#: The folder of the distances of features.
FEATURES = "part1-features"
#: Conditions that are trained first, to compare their integers.
AGAIN = 5
LENS = "A"
IMAGE = "B"
NOT_TOLD = "A not told"
ONE = "B of 1 image"
FOUR = "B of 4 images"
OTHER = "B of another specimen"
#: The second lines of the secondary differences from A, and from B.
AGAINST_LENS = (
    "raw",
    "Scherzer units",
    "all parameters",
    "T(q)",
    "package",
    NOT_TOLD,
    "mmd",
    "cka",
)
AGAINST_IMAGE = (ONE, FOUR, OTHER)
MARGIN = 0.02
RAW = "defocus_nm", "cs_um", "aperture_mrad", "log_dose"
_SCHERZER = "defocus in Scherzer units", "log cs", "aperture_mrad", "log_dose"
#: Prior medians of the further axes, which known conditions do not have: half the drawn ranges.
MEDIANS = {
    name: (high - low) / 2
    for of in FURTHER.values()
    for name, (low, high) in of.items()
    if name != "astigmatism_deg"
}


@cache
def study(material: str | None = None) -> Study:
    """Return the study of the twelve thousand, with an MTF of 1 that conditions may change.

    Args:
        material: That of the specimen in place of gold, such as ``Pt``.
    """
    content = study_file.read(WHOLE)
    content["microscope"] |= {"detector": {"mtf": "gaussian", "mtf_nyquist": 1}}
    if material:
        content["specimens"] = {material.lower(): {"material": material}}
    return validate(content)


def training_conditions() -> tuple[Condition, ...]:
    """Return the 200 conditions inside of the first lock."""
    digest = json.loads(DIGESTS.read_text(encoding="utf-8"))["protocol"]
    axes = study().axes
    return tuple(axes.condition(each.values()) for each in drawn(digest)[0][:INSIDE])


def old_tests() -> list[Condition]:
    """Return the 144 tests whose Dice is known."""
    axes = study().axes
    return [axes.condition(each.values()) for each in load(WHOLE).test_conditions]


def tests() -> list[Condition]:
    """Return the 200 new tests, group by group."""
    return [each for group in conditions.tests(study()).values() for each in group]


def doses() -> tuple[np.ndarray, np.ndarray]:
    """Return the doses of the training conditions and of the new tests [e/Å²]."""
    return conditions.doses(training_conditions()), conditions.doses(tests())


def known_dice() -> np.ndarray:
    """Return the known Dice: replicas 2 to 6 of the first lock, over its 32 structures."""
    dice = {name: D / UNIT for name, D in read_arrays(DICE).items()}
    both = (8 * dice["old"] + 24 * dice["new"]) / 32
    return both[:INSIDE, list(KNOWN), : len(old_tests())].mean(1)


def arm() -> networks.Arm:
    """Return the networks that judge."""
    return networks.Arm(
        "part1",
        study(),
        conditions=training_conditions(),
        replicas=JUDGED,
        tests=tuple(tests()),
    )


# ── Predictions ──────────────────────────────────────────────────────────────────────────────────


def predictions(folder: Path = KEPT) -> dict[str, np.ndarray]:
    """Return what each line without networks predicts, (training condition, test)."""
    sides = [[*training_conditions()], old_tests(), tests()]
    of = study()
    Y = known_dice()
    curve = networks.spectrum(of, folder)
    grid = [condition for side in sides for condition in side]
    base = [distances.profiles_of(side, of.microscope, curve, grid) for side in sides]
    found = {
        "mean of the known": np.full((len(Y), len(base[2])), Y.mean()),
        "mean of each network": np.repeat(Y.mean(1)[:, None], len(base[2]), 1),
    }

    def line(vectors: Sequence[distances.Vectors], dose: bool = True, **given: Any) -> np.ndarray:
        pairs = zip(base, vectors, strict=True)
        train, old, new = (distances.as_profiles(*each, dose) for each in pairs)
        return distances.predicted(Y, (train, old), new, distances.kernel(train, **given))

    of_axes = [parameters(*each) for each in zip(base, sides, strict=True)]
    for name, of_line in {"raw": RAW, "Scherzer units": _SCHERZER}.items():
        found[name] = line([{key: each[key] for key in of_line} for each in of_axes])
    found["all parameters"] = line(of_axes, medians=MEDIANS)
    package = distances.kernel(base[0], package=KERNELS["T(q), bits and dose"])
    found["package"] = distances.predicted(Y, (base[0], base[1]), base[2], package)

    told = [lens(side, curve) for side in sides]
    found["T(q)"] = line([{k: each[k] for k in ("T", "log_dose")} for each in told])
    of_lens = [{k: each[k] for k in ("c", "bits", "log_dose")} for each in told]
    found[LENS] = line(of_lens)
    untold = lens(on_main_axes(sides[2]), curve)
    untold = {k: untold[k] for k in of_lens[2]}
    found[NOT_TOLD] = line([*of_lens[:2], untold])

    names = {ONE: 1, FOUR: 4, IMAGE: 16}
    seen = _images(sides, folder, tuple(names.values()))
    for name, number in names.items():
        found[name] = line([{"spectrum": each[number]} for each in seen], dose=False)
    other = _images(sides, folder, (16,), "Pt")
    of_other = [{"spectrum": each[16]} for each in (seen[0], *other[1:])]
    found[OTHER] = line(of_other, dose=False)
    return found


def parameters(base: Profiles, side: Sequence[Condition]) -> distances.Vectors:
    """Return all parameters of conditions as vectors; `base` has those of the main axes."""
    further = {name: np.array([each.value(name) for each in side]) for name in MEDIANS}
    return distances.numbers(values(base) | further)


def lens(side: Sequence[Condition], curve: distances.Curve) -> distances.Vectors:
    """Return what lines see of the lens of conditions, and the logarithm of the dose."""
    doses = np.log10([each.dose_e_per_A2 for each in side])
    own = distances.lens(side, study().microscope, curve)
    return {**own, **distances.numbers({"log_dose": doses})}


def _images(
    sides: Sequence[Sequence[Condition]],
    folder: Path,
    numbers: Sequence[int],
    material: str | None = None,
) -> list[dict[int, np.ndarray]]:
    """Return the spectra of images of training structures, and of validation ones under tests.

    With another material, the training conditions have none.
    """
    of = study(material)
    acquire = distances.acquisition(of)
    found = []
    for side, split in zip(sides, ("train", "val", "val"), strict=True):
        if material and split == "train":
            found.append({})
            continue
        structures = distances.seen(of, folder, split)
        found.append(distances.spectra(acquire, structures, side, numbers))
    return found


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def result(
    replicas: np.ndarray,
    lines: Mapping[str, np.ndarray],
    doses: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """Return all results.

    Args:
        replicas: (training condition, replica, test), Dice, mean over structures.
        lines: The predictions of all lines, also of `mmd` and `cka`, by name.
        doses: Of training conditions and of tests [e/Å²].
    """
    y = replicas.mean(1)
    primary = scores.difference(y, lines[LENS], lines[IMAGE])
    several = {f"{LENS} - {name}": (LENS, name) for name in AGAINST_LENS}
    several |= {f"{IMAGE} - {name}": (IMAGE, name) for name in AGAINST_IMAGE}
    secondary = scores.adjusted(
        {name: scores.difference(y, lines[a], lines[b]) for name, (a, b) in several.items()}
    )
    of_lines = {name: scores.of_line(replicas, D, doses) for name, D in lines.items()}
    by_group = {}
    for k, group in enumerate(conditions.GROUPS):
        here = slice(k * conditions.NUMBER, (k + 1) * conditions.NUMBER)
        of_group = doses[0], doses[1][here]
        by_group[group] = {
            "lines": {
                name: scores.of_line(replicas[..., here], D[:, here], of_group)
                for name, D in lines.items()
            },
            f"{LENS} - {IMAGE}": scores.difference(
                y[:, here], lines[LENS][:, here], lines[IMAGE][:, here]
            ).values(),
        }
    lens = of_lines[LENS]
    raw = of_lines["raw"]
    told = secondary[f"{LENS} - {NOT_TOLD}"]
    return {
        "primary": primary.values()
        | {"verdict": primary.verdict(MARGIN, "the lens says more", "the image says more")},
        "secondary": {name: each.values() for name, each in secondary.items()},
        "claims": {
            "A predicts new axes": scores.claim(
                lens["r2"] >= 0.80 and lens["interaction"] >= 0.75,
                lens["interaction"] - raw["interaction"] < 0.05,
                r2=lens["r2"],
                interaction=lens["interaction"],
                above_raw=lens["interaction"] - raw["interaction"],
            ),
            "it is worth telling the axis": scores.claim(
                told.is_above, not told.is_above, value=told.value, low=told.low, high=told.high
            ),
        },
        "lines": of_lines,
        "groups": by_group,
    }


def measure_features(folder: Path = KEPT, part: tuple[int, int] = (0, 1)) -> None:
    """Write `mmd` and `cka` of a network's own images and of tests, where the folder lacks them.

    Args:
        part: (k, n): of the training conditions, those whose number modulo n is k.
    """
    of = arm()
    acquire = distances.acquisition(study())
    with networks.running(FEATURES, folder, len(of.conditions), part) as at:
        split = distances.seen(study(), folder, "val")
        seen = features.images(acquire, split, [*old_tests(), *of.tests])
        for number in at.numbers:
            path = folder / FEATURES / f"{number}.npz"
            if path.exists():
                continue
            cell = networks.trained(of, folder, number)
            network = networks.restored(of, cell)[JUDGED[0]].eval()
            (own,) = features.images(acquire, split, [training_conditions()[number]])
            apart = features.measured(network, own, seen, cell.metadata.precision)
            with atomic.replacing(path) as beside:
                np.savez_compressed(beside, allow_pickle=False, **apart)
            at.made += 1


def feature_lines(folder: Path = KEPT) -> dict[str, np.ndarray]:
    """Return what `mmd` and `cka` predict.

    Raises:
        PassbandError: If :func:`measure_features` was not run for all networks.
    """
    number = len(training_conditions())
    Y = known_dice()
    paths = [folder / FEATURES / f"{k}.npz" for k in range(number)]
    if lacking := sum(not path.exists() for path in paths):
        raise PassbandError(
            f"{folder / FEATURES}: has nothing of {lacking} of {number} training conditions; "
            "measure features first"
        )
    rows = [read_arrays(path) for path in paths]
    found = {}
    for name, rises in features.RISES.items():
        known, new = np.split(np.stack([row[name] for row in rows]), [Y.shape[1]], axis=1)
        found[name] = scores.isotonic(known, Y, new, rises)
    return found


def opened(folder: Path = KEPT) -> dict[str, Any]:
    """Open the lock, and return the result, which is written.

    Raises:
        PassbandError: If the lock was opened before, a file of it has changed, or networks are
            missing or of several processors.
    """
    LOCK.check()
    of = arm()
    measured = networks.results(of, folder)
    replicas = as_stored(measured.dice.mean("structure").values)
    extra = {name: as_stored(D) for name, D in feature_lines(folder).items()}
    lines = LOCK.read() | extra
    found = result(replicas, lines, doses())
    found["seconds"] = measured.seconds.sum("condition").values.round(1).tolist()
    found["processor"] = measured.processor
    home = measured.home_dice.mean("structure").values
    LOCK.open({"dice": replicas, "home": home, **extra}, found)
    return found


def again(folder: Path = KEPT, number: int = AGAIN) -> dict[str, float]:
    """Train the first conditions again, and compare their Dice with that of the first lock.

    Returns:
        The share of cells, of the old and of the new structures, with the same integers, and the
        mean and the standard deviation of the differences of Dice.
    """
    digest = json.loads(DIGESTS.read_text(encoding="utf-8"))["protocol"]
    tests = *load(WHOLE).test_conditions, *drawn(digest)[1]
    of = networks.Arm(
        "again",
        study(),
        conditions=training_conditions()[:number],
        replicas=JUDGED,
        tests=tests,
        structures=range(32),
    )
    networks.run(of, folder)
    dice = networks.results(of, folder).dice.values
    before = read_arrays(DICE)
    apart = np.stack(
        [
            in_units(dice[..., where].mean(-1)) - before[name][:number, :2].astype(int)
            for name, where in {"old": slice(0, 8), "new": slice(8, 32)}.items()
        ]
    )
    same = (apart == 0).mean()
    mean = apart.mean() / UNIT
    sd = apart.std() / UNIT
    return {"same": float(same), "mean": float(mean), "sd": float(sd)}


def train(part: tuple[int, int]) -> None:
    """Train the networks that judge, after the predictions were committed."""
    LOCK.committed()
    networks.run(arm(), KEPT, part)


COMMANDS: draws.Commands = {
    "again": lambda _: print(json.dumps(again(), indent=2)),
    "predict": lambda _: LOCK.write(predictions()),
    "train": train,
    "features": lambda part: measure_features(KEPT, part),
    "open": lambda _: print(json.dumps(opened()["primary"], indent=2)),
}


if __name__ == "__main__":
    draws.run("findings.second_lock.lens_or_image", COMMANDS, sys.argv[1:])
