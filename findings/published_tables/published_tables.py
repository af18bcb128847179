"""Read what another group's networks lost under other defoci and doses; write published.csv.

    python -m findings.published_tables.published_tables         # ../shared/data/transfer-learning
    python -m findings.published_tables.published_tables FOLDER OUTPUT

FOLDER has the tables of Rangel DaCosta, Oill & Scott 2025, doi 10.69761/kjte5358 (CC-BY-4.0): 7,200
networks, pretrained at one of 5 defoci and tested at 11, and 180 networks at 5 doses. For each pair
of a training and a test condition that differ, the loss is the median over networks. Its rank
correlation with each predictor is written, for the loss itself and for what the means of rows and
columns leave of loss and predictor. All signs are written, and there is no threshold.

The published zero of the defocus is the least contrast of each structure, at an unknown defocus of
the lens, and the sign of the defocus is not stated. So the transfer functions are computed for all
zeros up to 100 Å on either side; since Cs is 0, the other sign of the defocus is the other side.
The correlation with the zero that suits best is an upper limit.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from passband.analysis.correlation import rank_correlation
from passband.optics.ctf import Optics, transfer
from passband.reports import markdown

SOURCE = Path("../shared/data/transfer-learning")
OUTPUT = Path("findings/published_tables/published.csv")
DEFOCUS, DOSE = "defocus_7200_networks.csv.gz", "dose_180_networks.csv"
#: The least loss, ln(1 + 1/e), since the softmax was applied twice. The table of doses contains it.
LEAST = np.log1p(np.exp(-1))
#: The published microscope: energy [eV], focal spread, and standard deviation of the defocus [Å].
ENERGY, FOCAL_SPREAD, JITTER = 300e3, 10.0, 15.0
#: Zeros of the defocus [Å], and the ends of the bands of spatial frequencies [1/Å].
ZEROS, BANDS = np.arange(-100.0, 101.0, 5.0), (0.25, 0.6)


def losses(path: Path, trained: str, tested: str) -> pd.DataFrame:
    """Return the median loss over networks, by training condition (rows) and test condition.

    Args:
        trained: The column with the training condition.
        tested: What the columns of losses begin with; the test condition follows.
    """
    table = pd.read_csv(path)
    names = {n: float(n.removeprefix(tested)) for n in table if n.startswith(tested)}
    found = table.groupby(trained)[list(names)].median().rename(columns=names)
    return found.sort_index(axis=1)


def transfers(defocus: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the mean of T(q)² over the spread of each defocus [Å], (defocus, frequency)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    squares = [
        [transfer(Optics(ENERGY, f + JITTER * x, focal_spread=FOCAL_SPREAD), q) ** 2 for x in nodes]
        for f in defocus
    ]
    return np.einsum("fxq,x->fq", squares, weights / weights.sum())


def distances(train: np.ndarray, test: np.ndarray, top: float) -> dict[str, np.ndarray]:
    """Return 1 − overlap and 1 − coverage of T² in the plane of frequencies, (train, test).

    Args:
        train, test: Defoci of the lens [Å].
        top: The highest spatial frequency [1/Å].
    """
    q = np.linspace(0, top, 300)
    a, b = transfers(train, q)[:, None], transfers(test, q)[None]
    both, own = (a * b) @ q, np.sqrt(((a**2) @ q) * ((b**2) @ q))
    covered = np.minimum(a, b) @ q / (b @ q)
    band = f"T² to {top:g} 1/Å"
    return {f"1 − overlap of {band}": 1 - both / own, f"1 − coverage of {band}": 1 - covered}


def correlations(loss: pd.DataFrame, predictor: np.ndarray, where: np.ndarray) -> list[float]:
    """Return ρ of some cells, and ρ of what the means of rows and columns leave of both sides."""
    rows, columns = np.nonzero(where)
    means = np.hstack([np.eye(n)[k] for n, k in zip(where.shape, (rows, columns), strict=True)])

    def left(values: np.ndarray) -> np.ndarray:
        residual = values - means @ np.linalg.lstsq(means, values, rcond=None)[0]
        return residual.round(9) + 0.0  # equal ranks for what differs by rounding only

    # Pairs that mirror each other are equally far apart, whatever the processor rounds.
    x, y = predictor[where].round(9), loss.to_numpy()[where]
    return [rank_correlation(x, y), rank_correlation(left(x), left(y))]


def of_defocus(loss: pd.DataFrame) -> list[dict]:
    """Return the rows of the table for networks that are tested at another defocus."""
    train, test = (np.array(side, float) for side in (loss.index, loss.columns))
    where = np.not_equal.outer(train, test)
    apart = {
        "|Δf − Δf′|": np.abs(np.subtract.outer(train, test)),
        "||Δf| − |Δf′||": np.abs(np.subtract.outer(np.abs(train), np.abs(test))),
    }
    lines = [row("defocus", n, where, *correlations(loss, x, where)) for n, x in apart.items()]
    for top in BANDS:
        of = [distances(train + zero, test + zero, top) for zero in ZEROS]
        for name in of[0]:
            found = np.array([correlations(loss, each[name], where) for each in of])
            for side in (ZEROS <= 0, ZEROS >= 0):
                best = found[side].argmax(0)
                line = row("defocus", name, where, *found[side].max(0))
                line |= {"zeros_A": f"{ZEROS[side][0]:g} to {ZEROS[side][-1]:g}"}
                for k, kind in enumerate(("rho", "rho_left")):
                    line |= {f"{kind}_zero_A": ZEROS[side][best[k]]}
                    line |= {f"{kind}_lowest": found[side][:, k].min()}
                lines.append(line)
    return lines


def of_doses(loss: pd.DataFrame) -> list[dict]:
    """Return the rows of the table for networks that are tested at another dose."""
    train, test = (np.log(np.array(side, float)) for side in (loss.index, loss.columns))
    ratio = test - train[:, None]
    sides = {"": ratio != 0, ", tested at a higher dose": ratio > 0}
    sides[", tested at a lower dose"] = ratio < 0
    return [
        row("dose", f"|log dose ratio|{name}", where, *correlations(loss, np.abs(ratio), where))
        for name, where in sides.items()
    ]


def row(data: str, predictor: str, where: np.ndarray, rho: float, left: float) -> dict:
    return {
        "data": data,
        "predictor": predictor,
        "cells": where.sum(),
        "rho": rho,
        "rho_left": left,
    }


def directions(loss: pd.DataFrame) -> str:
    """Return the losses from the lowest dose to the highest and back, as text."""
    ends = loss.columns[0], loss.columns[-1]
    return "\n".join(
        f"{a:g} → {b:g} e/Å²: loss {loss.loc[a, b] - LEAST:.3f}, "
        f"{loss.loc[a, b] - loss.loc[b, b]:.3f} above that of networks trained there"
        for a, b in (ends, ends[::-1])
    )


def table(rows: pd.DataFrame) -> str:
    """Return the rows as a Markdown table; a range over zeros ends with the best zero's ρ."""
    lines = []
    for of in rows.to_dict("records"):
        name = of["predictor"].replace("|", "\\|")
        cells = [name, markdown.NONE if pd.isna(of["zeros_A"]) else of["zeros_A"]]
        for kind in ("rho", "rho_left"):
            text = markdown.NONE if np.isnan(of[kind]) else f"{of[kind]:+z.2f}"
            if np.isfinite(least := of[f"{kind}_lowest"]):
                text = f"{least:+z.2f} to {text} (at {of[f'{kind}_zero_A']:z.0f} Å)"
            cells.append(text)
        lines.append(cells)
    head = ["predictor", "zeros [Å]", "ρ with the loss", "ρ of what rows and columns leave"]
    return markdown.table(head, lines)


def lacking(source: Path) -> Path | None:
    """Return a file that a folder of tables lacks."""
    return next((source / name for name in (DEFOCUS, DOSE) if not (source / name).exists()), None)


def computed(source: Path) -> tuple[pd.DataFrame, str]:
    """Return the rows of the table, and both directions of the dose as text."""
    doses = losses(source / DOSE, "pretrain_dose", "pretrain_validation_")
    defocus = losses(source / DEFOCUS, "pretrain_defocus", "best_pretrain_val_")
    rows = pd.DataFrame([*of_defocus(defocus), *of_doses(doses)])
    return rows.round(4), directions(doses)


def main(arguments: list[str]) -> int:
    given = map(Path, arguments)
    source = next(given, SOURCE)
    output = next(given, OUTPUT)
    if file := lacking(source):
        print(f"{file}: is missing; give the folder of the tables", file=sys.stderr)
        return 1
    rows, of_doses = computed(source)
    rows.to_csv(output, index=False)
    print(f"{table(rows)}\n\n{of_doses}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
