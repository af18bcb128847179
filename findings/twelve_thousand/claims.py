"""Writes data/claims.csv: the account's claims, with intervals as `ood` has them.

    python -m findings.twelve_thousand.claims  # a minute on one core

`ood`'s intervals are for the mean over other networks and other images: crossed components and
Student's t, see docs/ood.md. Here they have no moderated variances, since each claim is a contrast
of several conditions. The conditions of a claim are fixed, but for longer training, whose twelve
conditions were drawn: its intervals are for other conditions too. Intervals of single studies'
tables (scherzer.csv, steps.csv, doses-carbon.csv) are those that were fixed before the networks
were trained: percentile intervals, which are too narrow.

The shares of the variance have the same kind of interval from a jackknife over replicas and images.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from findings import committed
from findings.carbon import carbon
from findings.twelve_thousand import scherzer, steps
from findings.twelve_thousand.locked import stored_matrix
from findings.twelve_thousand.pieces import DATA
from findings.twelve_thousand.results import DOSE, Estimate, Scores, shares_of
from findings.twelve_thousand.studies import STUDIES, TEST_DOSES
from passband import PassbandError
from passband.matrices.crossed_intervals import Share, half_width, jackknife, of_mean

TABLE = DATA / "claims.csv"
#: The columns that name a row.
KEYS = "claim", "networks", "tests"
CONFIDENCE = 0.95
#: What intervals are for, besides other networks and images.
FIXED = "the same conditions"
DRAWN = "conditions drawn alike"
#: The claim about carbon.
OF_CARBON = "loss, low to high minus high to low"
#: Networks trained at this dose or above are of a high dose [e/Å²]. Chosen after looking.
HIGH = 400
#: The doses between which networks differ most on the matrix.
MATRIX_DOSES = (50, 1600)

Ends = tuple[float, float, float]


def crossed(parts: Sequence[np.ndarray]) -> Ends:
    """Return a sum of means over networks and images, and the ends of its interval.

    Args:
        parts: For each training condition (replica, image), its part of the sum.
    """
    of_networks = [of_mean(part.mean(1)) for part in parts]
    variances = np.array([each.variance for each in of_networks])
    freedom = np.array([each.freedom for each in of_networks])
    total = variances.sum()
    networks = Share(total, total**2 / (variances**2 / freedom).sum())
    return _ends(sum(part.mean(0) for part in parts), networks)


def drawn(change: np.ndarray) -> Ends:
    """Return the mean of changes (condition, image), and the ends of its interval.

    The conditions were drawn, and their networks with them.
    """
    return _ends(change.mean(0), of_mean(change.mean(1)))


def _ends(of_images: np.ndarray, networks: Share) -> Ends:
    value = float(of_images.mean())
    half = float(half_width(CONFIDENCE, networks, of_mean(of_images)))
    return value, value - half, value + half


def row(claim: str, networks: str, tests: str, ends: Ends, over: str = FIXED) -> dict[str, Any]:
    """Return a row of the table."""
    low, high = ends[1:]
    names = {"claim": claim, "networks": networks, "tests": tests}
    return names | {"value": ends[0], "low": low, "high": high, "interval_for": over}


def claim(claims: pd.DataFrame, name: str, networks: str, tests: str, form: str = "z.3f") -> str:
    """Return a value of the table and its interval as text."""
    (found,) = claims[
        (claims.claim == name) & (claims.networks == networks) & (claims.tests == tests)
    ][["value", "low", "high"]].values
    return Estimate(*found).words(form)


# ── The matrix ───────────────────────────────────────────────────────────────────────────────────


def of_matrix(scores: Scores) -> Iterator[dict[str, Any]]:
    """Yield the means of the matrix, the asymmetry of Dice between two doses, and the shares."""
    number = len(scores.train.ids)
    yield row("Dice", "all", "home", crossed(scores.own_images.astype(float) / number))
    other = np.not_equal.outer(np.array(scores.train.ids), np.array(scores.test.ids))
    weights = other / other.sum()
    parts = np.einsum("krti,kt->kri", scores.images, weights, optimize=True)
    yield row("Dice", "all", "other conditions", crossed(parts))
    low, high = MATRIX_DOSES
    ends = crossed(asymmetric(scores, low, high))
    yield row("loss of Dice, high to low minus low to high", "all", f"{low} and {high}", ends)
    whole = shares_of(scores.replicas, scores.train, scores.test)
    replicas, images = (
        [
            shares_of(np.delete(scores.images, k, axis).mean(-1), scores.train, scores.test)
            for k in range(scores.images.shape[axis])
        ]
        for axis in (1, 3)
    )
    for name, value in whole.items():
        of = (np.array([each[name] for each in without]) for without in (replicas, images))
        half = float(half_width(CONFIDENCE, *map(jackknife, of)))
        yield row("share of variance", "all", name, (value, value - half, value + half))


def asymmetric(scores: Scores, low: float, high: float) -> list[np.ndarray]:
    """Return what each training condition adds to the asymmetry of Dice at equal lenses.

    It is the loss of networks trained at the high dose under the low one, against networks trained
    there, minus the loss of those of the low dose under the high one.
    """
    names = [name for name in scores.train.values if name != DOSE]

    def lenses(side: Any) -> list[tuple]:
        return list(zip(*(side.values[name] for name in names), strict=True))

    of_test: dict[tuple, list[int]] = {}
    for k, lens in enumerate(lenses(scores.test)):
        if scores.test.values[DOSE][k] in (low, high):
            of_test.setdefault(lens, []).append(k)
    parts = []
    for k, lens in enumerate(lenses(scores.train)):
        dose = scores.train.values[DOSE][k]
        if lens in of_test and dose in (low, high):
            sign = 1 if dose == low else -1
            parts.append(sign * scores.images[k][:, of_test[lens]].sum(1) / len(of_test))
    return parts


# ── Small studies ────────────────────────────────────────────────────────────────────────────────


def of_scherzer() -> Iterator[dict[str, Any]]:
    """Yield trough minus shoulders for all networks and pairs of Cs and dose."""
    for kind, studies in scherzer.KINDS.items():
        paths = [STUDIES / f"{study}.csv" for study in studies]
        frame = scherzer.load(*(path for path in paths if path.exists()))
        for (cs, dose), of in frame.groupby(["cs_um", "dose"]):
            columns = {"home": "home", "144 tests": "abroad"}
            columns |= {f"{each} e/Å²": f"abroad_{each}" for each in TEST_DOSES}
            for tests, score in columns.items():
                ends = crossed(scherzer.parts(of, score))
                yield row("trough − shoulders", f"{kind}, {cs:g} µm, {dose} e/Å²", tests, ends)


def of_steps() -> Iterator[dict[str, Any]]:
    """Yield the change of Dice with more steps, for networks of high and of low doses too."""
    few = steps.fewest()
    columns = {"home": "home", "144 tests": "abroad"}
    columns |= {f"{each} e/Å²": f"abroad_{each}" for each in TEST_DOSES}
    for number, name in steps.STEPS.items():
        many = pd.read_csv(STUDIES / f"{name}.csv")
        for tests, score in columns.items():
            one, other = (steps.scores(frame, score) for frame in (few, many))
            change = (other - one).mean(1)
            dose = steps.doses(few)
            for words, which in {
                "all": dose > 0,
                f"trained at ≥ {HIGH} e/Å²": dose >= HIGH,
                f"trained at < {HIGH} e/Å²": dose < HIGH,
            }.items():
                networks = f"{number} steps, {words}"
                ends = drawn(change[which])
                yield row("change against 192 steps", networks, tests, ends, DRAWN)


def of_carbon() -> Iterator[dict[str, Any]]:
    """Yield the asymmetry of each score between two doses, for each thickness of carbon."""
    frame = pd.read_csv(carbon.STUDIES / f"{carbon.NAME}.csv")
    same = frame[frame.carbon_nm == frame.test_carbon_nm]
    for thickness, of in same.groupby("carbon_nm"):
        for score, words in carbon.SCORES.items():
            tests = f"{words}, {carbon.LOW} and {carbon.HIGH} e/Å²"
            ends = crossed(carbon.parts(of, score, carbon.LOW, carbon.HIGH))
            yield row(OF_CARBON, f"carbon {thickness:g} nm", tests, ends)


def small() -> list[dict[str, Any]]:
    """Return the rows that need no matrix."""
    return [*of_scherzer(), *of_steps(), *of_carbon()]


def main() -> int:
    """Write the table, and return the exit status 0."""
    _, scores, _ = stored_matrix()
    committed.write(pd.DataFrame([*of_matrix(scores), *small()]), TABLE)
    print(TABLE)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PassbandError as error:
        sys.exit(str(error))
