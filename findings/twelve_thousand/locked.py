"""The locked set: networks that are predicted before they are trained, see protocol.md.

    python -m findings.twelve_thousand.locked draw  # the study, from the committed protocol
    python -m findings.twelve_thousand.locked predict  # the predictions and their digest
    passband run findings/twelve_thousand/locked/study.yaml  # by 0.2, which has all its keys
    python -m findings.twelve_thousand.locked open  # the result, once

Run it from the repository's root.
"""

import hashlib
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import yaml

from findings.twelve_thousand import history
from findings.twelve_thousand.kernels import KERNELS, values
from findings.twelve_thousand.locked_scores import result
from findings.twelve_thousand.packed import joined
from findings.twelve_thousand.pieces import FOLDER, WHOLE
from findings.twelve_thousand.results import Scores
from passband import PassbandError
from passband.analysis import spectra
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.axes import MAIN_AXES
from passband.config import Study, load, study_file, validate
from passband.grid import Condition
from passband.matrices.of_study import matrices
from passband.prediction import gaussian_process
from passband.prediction.gaussian_process import Z90, GaussianProcess
from passband.results import layout
from passband.results.stores import load_table
from passband.seeds import generator

PROTOCOL = FOLDER / "protocol.md"
LOCKED = FOLDER / "locked"
STUDY, DIGESTS = LOCKED / "study.yaml", LOCKED / "digests.json"
PREDICTIONS, DICE, RESULT = (
    LOCKED / name for name in ("predictions.npz", "dice.npz", "result.json")
)
NEW = Path("results/locked")

#: Ranges of the grid, and the ranges beyond them with their numbers of conditions.
INSIDE = {
    "defocus_nm": (-20, 60),
    "cs_um": (1.2, 500),
    "aperture_mrad": (7, 13),
    "dose_e_per_A2": (50, 1600),
}
OUTSIDE = (
    ("aperture_mrad", (5.5, 7), 10),
    ("dose_e_per_A2", (20, 40), 10),
    ("dose_e_per_A2", (2000, 4000), 10),
    ("defocus_nm", (-35, -25), 5),
    ("defocus_nm", (65, 85), 5),
)
TRAIN, TEST, STRUCTURES = 200, 150, 32
#: Rows of the old matrix to which parameters are fitted, and neighbours of an interval's factor.
FITTED, NEIGHBOURS = 400, 16
#: Dice is stored in units of 1/65535.
UNIT = 65535


def protocol_digest(path: Path = PROTOCOL) -> str:
    """Return the SHA-256 of a protocol's bytes as committed.

    Raises:
        PassbandError: If the file differs from that of the last commit.
    """
    if history.git("rev-parse", f"HEAD:{path}") != history.git("hash-object", path):
        raise PassbandError(f"{path}: differs from the committed file")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def drawn(digest: str) -> tuple[list[Condition], list[Condition]]:
    """Return the training conditions, inside and then outside, and the new test conditions."""

    def draw(name: str, number: int, ranges: Mapping[str, tuple]) -> Iterator[Condition]:
        random = generator("locked set", digest, name)
        for u in random.random((number, len(MAIN_AXES))):
            point = {}
            for of, axis in zip(u, MAIN_AXES, strict=True):
                low, high = ranges[axis]
                if axis == "dose_e_per_A2":
                    point[axis] = float(np.round(low * (high / low) ** of, 2))
                else:
                    point[axis] = float(np.round(low + of * (high - low), 2))
            yield Condition(**point)

    train = list(draw("inside", TRAIN, INSIDE))
    for axis, between, number in OUTSIDE:
        train += draw(f"outside {axis} {between[0]}", number, INSIDE | {axis: between})
    return train, list(draw("tests", TEST, INSIDE))


def study_content(whole: Path, train: list[Condition], test: list[Condition]) -> dict[str, Any]:
    """Return the content of the study file: the whole study with other conditions."""

    def points(conditions: list[Condition]) -> dict[str, list]:
        return {"points": [{a: getattr(each, a) for a in MAIN_AXES} for each in conditions]}

    content, study = study_file.read(whole), load(whole)
    content["grid"], content["test_grid"] = points(train), [study.test_axes, points(test)]
    content["study"] |= {"name": NEW.name}
    content["study"]["structures"] = content["study"]["structures"] | {"test": STRUCTURES}
    # The file is as 0.2.0 wrote it, which had the key `microscopes`.
    content["evaluation"] |= {"microscopes": 0, "bootstrap": 0}
    return content


def draw() -> None:
    """Write the study of the locked set."""
    digest = protocol_digest()
    LOCKED.mkdir(exist_ok=True)
    # The file is older than the folder of this script.
    head = f"# Drawn by docs/twelve_locked.py from the SHA-256 of ../protocol.md:\n# {digest}\n"
    text = yaml.safe_dump(study_content(WHOLE, *drawn(digest)), sort_keys=False)
    STUDY.write_text(head + text, encoding="utf-8")


def new_study() -> Study:
    """Return the study of the locked set, without the key that only Passband 0.2 had."""
    content = study_file.read(STUDY)
    del content["evaluation"]["microscopes"]
    return validate(content, str(STUDY))


# ── Predictions ──────────────────────────────────────────────────────────────────────────────────


def predictions(
    scores: Scores,
    old: tuple[Profiles, Profiles],
    new: tuple[Profiles, Profiles],
) -> dict[str, np.ndarray]:
    """Return the predicted Dice of new networks under all tests, by the name of each line.

    Args:
        old, new: Profiles of the training and of the test conditions.

    Returns:
        Each (new train, old tests and then new tests), Dice. `low` and `high` are the ends of the
        90% intervals of T(q) in bands.
    """
    M, found = scores.mean.astype(float), {}
    some = np.sort(generator("locked set", "rows").choice(len(M), min(FITTED, len(M)), False))
    for name, kernel in KERNELS.items():
        theta = gaussian_process.fit(M[some], old[0][some], old[1], kernel=kernel)
        model = gaussian_process.fit(M, *old, theta=theta.theta, kernel=kernel)
        of_old, of_new = (model.interval(new[0], test) for test in (None, new[1]))
        found[name] = np.hstack([of_old[0], of_new[0]])
    # The last kernel is the new one.
    factor = factors(model, new[0])
    middle, *ends = of_old
    ends = [np.clip(middle + (end - middle) * factor, 0, 1) for end in ends]
    for name, of_known, end in zip(("low", "high"), ends, of_new[1:], strict=True):
        found[name] = np.hstack([of_known, end])
    found["mean of both"] = (found["T(q) in bands"] + found["scaled"]) / 2
    rows, columns = nearest(new[0], old[0]), nearest(new[1], old[1])
    found["nearest"] = M[rows][:, [*range(M.shape[1]), *columns]]
    return found


def nearest(new: Profiles, old: Profiles) -> np.ndarray:
    """Return the place of the old condition that is nearest to each, in scaled parameters."""
    names = "defocus phase", "cs phase", "aperture_mrad", "log_dose"
    of_new, of_old = (np.stack([values(p)[name] for name in names], -1) for p in (new, old))
    apart = (of_new[:, None] - of_old) / of_old.std(0)
    return (apart**2).sum(-1).argmin(1)


def factors(model: GaussianProcess, new: Profiles) -> np.ndarray:
    """Return the factor of the half-width of each cell's interval, (new train, test)."""
    block = model._block
    errors = np.abs(block.left_out_train(model._solution).reshape(-1, block.Y.shape[1]))
    of_test = np.quantile(errors, 0.9, axis=0) / np.quantile(errors, 0.9)
    of_train, *_ = block.split(model.theta)
    covariance, _ = block.train.to(of_train, new)
    near = np.argsort(-covariance, axis=1)[:, :NEIGHBOURS]
    relative = errors / of_test
    of_row = np.array([np.quantile(relative[rows], 0.9) for rows in near])
    return (of_row / (model.inflation[0] * Z90))[:, None] * of_test


def array_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named arrays, whatever file they are in."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(f"{name}{arrays[name].shape}{arrays[name].dtype}".encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


@cache
def stored_matrix() -> tuple[Study, Scores, tuple[np.ndarray, np.ndarray]]:
    """Return the old study, its Dice, and the spectrum of its specimen."""
    table = joined()
    study = load(WHOLE)
    (curve,) = json.loads(table.attrs[spectra.SPECTRUM]).values()
    return study, Scores.from_table(table), tuple(np.array(each) for each in curve)


def predicted(digest: str) -> dict[str, np.ndarray]:
    """Return the predictions in units of Dice of 1/65535, from the old matrix.

    Args:
        digest: That of the protocol.
    """
    study, scores, spectrum = stored_matrix()

    def of(conditions: list[Condition]) -> Profiles:
        seed = study.study.seed
        return profiles(conditions, study.microscope, SAMPLES, spectrum, seed)

    old = [[Condition.parse(id) for id in side.ids] for side in (scores.train, scores.test)]
    found = predictions(scores, tuple(map(of, old)), tuple(map(of, drawn(digest))))
    return {name: np.rint(D * UNIT).astype(np.uint16) for name, D in found.items()}


def predict() -> None:
    """Write the predictions, and the digests of the protocol and of the predictions."""
    digest = protocol_digest()
    arrays = predicted(digest)
    np.savez_compressed(PREDICTIONS, **arrays)
    digests = {"protocol": digest, "predictions": array_digest(arrays)}
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def check_history() -> str:
    """Return the commit, if the protocol came before the predictions, and both are unchanged.

    Raises:
        PassbandError: If it is not so, or there is a result already.
    """
    if reason := history.lacking():
        raise PassbandError(f"the locked set cannot be opened: {reason}")
    if RESULT.exists() or history.versions(history.RESULT, "--all"):
        raise PassbandError(f"{RESULT}: the locked set was opened before; its result stands")
    for line in history.check(phases=history.PHASES[:2]):
        print(line)
    return history.git("rev-parse", "HEAD").strip()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a committed file by name.

    Raises:
        PassbandError: If the file is missing or damaged.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise PassbandError(f"{path}: cannot be read: {error}") from None


def check_digests() -> dict[str, str]:
    """Return the digests of the protocol and of the predictions, which are those of the files.

    Raises:
        PassbandError: If a file has another.
    """
    digests = json.loads(DIGESTS.read_text(encoding="utf-8"))
    found = {
        "protocol": hashlib.sha256(PROTOCOL.read_bytes()).hexdigest(),
        "predictions": array_digest(read_arrays(PREDICTIONS)),
    }
    if found != digests:
        raise PassbandError(f"{DIGESTS}: the protocol or the predictions have changed")
    return digests


def opened() -> None:
    """Compare the predictions with the truth, and write the result."""
    commit = check_history()
    digests = check_digests()
    train, test = drawn(digests["protocol"])
    study, scores, _ = stored_matrix()
    tests = [*scores.test.ids, *(c.id for c in test)]
    table = load_table(NEW / layout.TABLE).sel(train=[c.id for c in train], test=tests)
    (matrix,) = matrices(table)
    D = matrix.images()
    if not np.isfinite(D).all():
        raise PassbandError(f"{NEW}: some networks have no results")
    of_old = study.study.structures.test
    dice = {"old": D[..., :of_old].mean(-1), "new": D[..., of_old:].mean(-1)}
    dice = {name: np.rint(each * UNIT).astype(np.uint16) for name, each in dice.items()}
    np.savez_compressed(DICE, **dice)
    scored = scores_of_files(scores.test.values["dose_e_per_A2"])
    head = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit}
    RESULT.write_text(json.dumps(head | digests | scored, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(scored["primary"], indent=2))


def scores_of_files(old_doses: np.ndarray) -> dict[str, Any]:
    """Return the result that follows from the predictions and the measured Dice.

    Args:
        old_doses: Doses of the old tests [e/Å²].
    """
    train, test = drawn(json.loads(DIGESTS.read_text(encoding="utf-8"))["protocol"])
    predicted, dice = (
        {name: each / UNIT for name, each in read_arrays(path).items()}
        for path in (PREDICTIONS, DICE)
    )
    doses = [np.log10([c.dose_e_per_A2 for c in side]) for side in (train, test)]
    aperture = np.array([c.aperture_mrad for c in train])
    return result(predicted, dice, *doses, np.log10(old_doses), aperture)


if __name__ == "__main__":
    commands = {"draw": draw, "predict": predict, "open": opened}
    try:
        commands[sys.argv[1]]()
    except (IndexError, KeyError):
        sys.exit(f"usage: python -m findings.twelve_thousand.locked {{{','.join(commands)}}}")
    except PassbandError as error:
        sys.exit(str(error))
