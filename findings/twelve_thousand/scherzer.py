"""Tests Scherzer's line: are networks worst abroad where images are best?

    python -m findings.twelve_thousand.studies scherzer  # and the other studies of KINDS
    python -m findings.twelve_thousand.scherzer  # writes data/scherzer.csv

The hypothesis was found by looking at the networks of studies/twelve-thousand.yaml. This file and
the studies' files were committed before any network of these studies was trained.

**Hypothesis.** Let u = Δf/√(Cs λ). Networks that were trained at u = 1.0 to 1.2 (the trough), where
images are best, have a lower Dice abroad than networks that were trained at u = 0.5 and 1.6 (the
shoulders). Abroad is the mean over the 144 tests of studies/twelve-thousand.yaml, and home is the
network's own condition.

**Test.** The conditions are new: Cs is 50 and 400 µm, and neither is in the old grid; the doses are
400 and 1,600 e/Å²; the apertures are 11.5 and 13 mrad. The difference is the mean abroad of the
trough (u = 1.0, 1.1 and 1.2) minus that of both shoulders, as a mean over the two apertures. The
hypothesis holds if the 95% interval of the difference is below 0 for all four pairs of Cs and dose,
for networks of compact-w4-d2 with seven replicas. It is refuted otherwise.

**Secondary**, by the same rule and without a correction for their number: the same for
compact-w8-d3 with three replicas; the difference at home is above 0 for all four pairs; and with a
mixture of doses from 50 to 1,600 e/Å² at each lens (two pairs, since its networks have no dose) the
dip goes, which means that no interval is below 0. Differences by test dose are only described.

Pages call abroad "other conditions". claims.csv has wider intervals, see claims.py.

**Intervals** are percentile intervals of bootstrap samples, in which the replicas of each training
condition and the eight images are resampled, the images alike for all conditions. Tests, apertures
and values of u are fixed. Such intervals are too narrow with few images and few replicas: those of
this kind covered 90% for seven replicas.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from findings import committed
from findings.twelve_thousand.pieces import DATA
from findings.twelve_thousand.studies import STUDIES, TEST_DOSES
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.figures.style import OTHER, OWN
from passband.optics.ctf import wavelength

TABLE = DATA / "scherzer.csv"
ENERGY_EV = 300e3
#: Values of u = Δf/√(Cs λ).
UNITS = (-0.5, 0, 0.3, 0.5, 0.8, 1.0, 1.1, 1.2, 1.4, 1.6, 2, 2.5)
TROUGH, SHOULDERS = (1.0, 1.1, 1.2), (0.5, 1.6)
DRAWS, CONFIDENCE = 2000, 0.95
#: The words for networks, and the studies that train them. The first ones have the test of the
#: hypothesis. The values of u that the others do not need for their test are in studies of their
#: own, named with `-rest`, and their Cs of 50 µm in studies named with `-50`.
KINDS = {
    "compact-w4-d2": ("scherzer",),
    "compact-w8-d3": ("scherzer-w8", "scherzer-w8-50", "scherzer-w8-rest"),
    "compact-w4-d2, mixture of doses": (
        "scherzer-doses",
        "scherzer-doses-50",
        "scherzer-doses-rest",
    ),
}
#: The dose of networks that were trained with a mixture of doses.
MIXED = "50-1600"
ABROAD = [f"abroad_{dose}" for dose in TEST_DOSES]


def units(frame: pd.DataFrame) -> np.ndarray:
    """Return u = Δf/√(Cs λ) of each row, as one of :data:`UNITS`.

    Raises:
        ValueError: If a row is none of them.
    """
    wavelength_nm = wavelength(ENERGY_EV) / 10
    found = frame.defocus_nm.values / np.sqrt(frame.cs_um.values * 1e3 * wavelength_nm)
    nearest = np.array(UNITS)[np.abs(found[:, None] - np.array(UNITS)).argmin(1)]
    if (off := np.abs(found - nearest).max()) > 2e-3:  # defocus has steps of 0.01 nm
        raise ValueError(f"a defocus is {off:.4f} √(Cs λ) from the nearest planned value")
    return nearest


def load(*paths: Path) -> pd.DataFrame:
    """Return the tables of a study with `u`, `abroad` (the mean over all tests) and `dose`.

    If the study has mixtures, the single condition beside them is left out.
    """
    frame = pd.concat([pd.read_csv(path) for path in paths])
    if frame.dose_e_per_A2.isna().any():
        frame = frame[frame.dose_e_per_A2.isna()].assign(dose=MIXED)
    else:
        frame = frame.assign(dose=[f"{dose:g}" for dose in frame.dose_e_per_A2])
    # There are 48 tests at each dose, so the mean over doses is that over tests.
    return frame.assign(u=units(frame), abroad=frame[ABROAD].mean(axis=1))


def cells(frame: pd.DataFrame, score: str) -> Iterator[tuple[pd.Series, float, np.ndarray]]:
    """Yield each training condition of one pair of Cs and dose, its weight, and its scores.

    Args:
        frame: Rows of one pair, with all replicas and images of each aperture and u.
        score: The column that is compared.

    Yields:
        The condition; its weight in trough minus shoulders; (replica, image), its scores.
    """
    apertures = frame.aperture_mrad.unique()
    images = frame.image.nunique()
    for aperture in apertures:
        for values, sign in ((TROUGH, 1), (SHOULDERS, -1)):
            for u in values:
                rows = frame[(frame.aperture_mrad == aperture) & (frame.u == u)]
                D = rows.pivot(index="replica", columns="image", values=score).values
                if D.shape[1] != images or np.isnan(D).any():
                    raise ValueError(f"networks at u = {u}, {aperture} mrad lack {score}")
                name = rows.iloc[0][["cs_um", "dose", "aperture_mrad", "u"]]
                yield name, sign / len(values) / len(apertures), D


def parts(frame: pd.DataFrame, score: str) -> list[np.ndarray]:
    """Return the part (replica, image) of each training condition in trough minus shoulders."""
    return [weight * D for _, weight, D in cells(frame, score)]


def contrast(frame: pd.DataFrame, score: str) -> tuple[float, float, float]:
    """Return trough minus shoulders for one pair of Cs and dose, and the ends of its interval.

    The parameters are those of :func:`cells`.
    """
    total = 0.0
    samples = np.zeros(DRAWS)
    images = frame.image.nunique()
    of_image = resample(images, DRAWS, "Scherzer's line", "images") / images
    for name, weight, D in cells(frame, score):
        of_replica = resample(len(D), DRAWS, "Scherzer's line", *map(str, name)) / len(D)
        total += weight * D.mean()
        samples += weight * np.einsum("dr,ri,di->d", of_replica, D, of_image)
    return (total, *percentile_interval(samples, interval_edges(CONFIDENCE)))


def mean_at(frame: pd.DataFrame, score: str, values: Sequence[float]) -> float:
    """Return the mean score over some values of u, each with the same weight."""
    return float(frame.groupby("u")[score].mean()[list(values)].mean())


def rows_of(frame: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Return a row for each pair of Cs and dose of a study."""
    rows = []
    for (cs, dose), of in frame.groupby(["cs_um", "dose"]):
        row = {"networks": kind, "cs_um": cs, "dose_e_per_A2": dose}
        row["replicas"] = of.replica.nunique()
        for score in ("abroad", "home"):
            row[f"{score}_shoulders"] = mean_at(of, score, SHOULDERS)
            row[f"{score}_trough"] = mean_at(of, score, TROUGH)
            ends = zip(("difference", "low", "high"), contrast(of, score), strict=True)
            row |= {f"{score}_{name}": value for name, value in ends}
        for score in ABROAD:
            row[f"{score}_difference"] = contrast(of, score)[0]
        curve = of.groupby("u").abroad.mean()
        row |= {"lowest_abroad_at": curve.idxmin(), "best_home_at": _best_home(of)}
        rows.append(row)
    return rows


def _best_home(frame: pd.DataFrame) -> float:
    return frame.groupby("u").home.mean().idxmax()


def verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Return in one sentence whether the hypothesis holds for the networks of some rows.

    It is open as long as a pair of Cs and dose has no networks and no other pair refutes it.
    """
    below = sum(row["abroad_high"] < 0 for row in rows)
    above = sum(row["home_low"] > 0 for row in rows)
    planned = 2 if rows[0]["dose_e_per_A2"] == MIXED else 4
    holds = "does not hold"
    if below == len(rows):
        holds = "holds" if below == planned else f"is open ({planned} pairs are planned)"
    return (
        f"{rows[0]['networks']}: the trough abroad {holds}, below 0 in {below} of {len(rows)} "
        f"pairs; home above 0 in {above} of {len(rows)}"
    )


def panel(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw Dice at home and under other conditions against u, a line for each Cs and dose.

    Args:
        frame: The table of a study, from :func:`load`.
    """
    axes.axvspan(TROUGH[0], TROUGH[-1], color="0.9", lw=0)
    markers = dict(zip(sorted(frame.cs_um.unique()), "os", strict=False))
    styles = dict(zip(sorted(frame.dose.unique()), ("-", "--"), strict=False))
    for (cs, dose), of in frame.groupby(["cs_um", "dose"]):
        means = of.groupby("u")[["home", "abroad"]].mean()
        for score, colour in (("home", OWN), ("abroad", OTHER)):
            where = {"abroad": "other conditions"}.get(score, score)
            words = f"{where}, {cs:g} µm, {dose} e/Å²"
            look = {"color": colour, "marker": markers[cs], "ls": styles[dose], "ms": 3, "lw": 1}
            axes.plot(means.index, means[score], label=words, **look)
    axes.set(xlabel="defocus of training, Δf/√(Cs λ)", ylabel="Dice")


def computed() -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each kind of networks whose studies have run."""
    for kind, studies in KINDS.items():
        paths = [STUDIES / f"{study}.csv" for study in studies]
        if there := [path for path in paths if path.exists()]:
            yield rows_of(load(*there), kind)


def main() -> int:
    """Write the table of all studies that have run, print the verdicts, return the exit status."""
    found = [*computed()]
    if not found:
        print(f"{STUDIES}: run the study scherzer first", file=sys.stderr)
        return 1
    for rows in found:
        print(verdict(rows))
    committed.write(pd.DataFrame([*chain(*found)]), TABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
