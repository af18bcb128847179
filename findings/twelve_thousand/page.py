"""Writes README.md and its figure from the small files beside it.

The text is in page.md, in which a word such as ``$variance`` is the place of a table or of a
number. Other commands of this folder make the files.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from findings.twelve_thousand.claims import claim
from findings.twelve_thousand.doses import asymmetry
from findings.twelve_thousand.figure import draw
from findings.twelve_thousand.pieces import FOLDER, WHOLE, check_lines, read
from findings.twelve_thousand.results import SOURCES
from passband import PassbandError
from passband.config.analysis import Figures
from passband.figures import style
from passband.reports import markdown

#: The figure, which a page of docs shows too.
PICTURE = Path("docs/images/findings.png")
#: Number of colours of the figure, which keeps its file small.
COLOURS = 128
#: The axes whose levels are left out, with short names.
AXES = {
    "defocus_nm": "defocus",
    "cs_um": "Cs",
    "aperture_mrad": "aperture",
    "dose_e_per_A2": "dose",
}
#: The lines of the tables, with the words for them.
LINES = {
    "raw": "raw parameters",
    "scaled": "scaled parameters",
    "Scherzer units": "Scherzer units",
    "T(q)": "T(q)",
    "T(q), bits and dose": "T(q), bits (the package up to 0.3.0)",
    "T(q) in bands": "T(q) in bands",
    "published scalars": "published scalars",
    "boosted trees": "boosted trees",
}
_JSON = {"matrix": "data/matrix.json", "locked": "locked/result.json", "check": "data/check.json"}
_CSV = {
    name: f"data/{name}.csv"
    for name in ("lines", "claims", "afterwards", "doses", "parts", "tenth")
} | {"costs": "studies/costs.csv"}
#: The places of the shares of the variance, in the order of the figure.
_SHARES = "of_doses", "of_train", "of_test", "of_interaction"
#: Words in the names of the studies after the matrix.
_COSTS = "locked", "scherzer", "carbon", "choices", "steps", "train-this"
#: Doses of the tests [e/Å²].
_TEST_DOSES = 50, 200, 1600
#: The rows of claims.csv.
_SCHERZER = "trough − shoulders"
_STEPS = "change against 192 steps"
_HIGH = "trained at ≥ 400 e/Å²"
_ASYMMETRY = "loss of Dice, high to low minus low to high", "all", "50 and 1600"
BANDS = "T(q) in bands"
SPECTRUM = "power spectrum of 16 images"


def fields(folder: Path = FOLDER) -> dict[str, str]:
    """Return the content of each place in the page's text.

    Raises:
        PassbandError: If a file is missing.
    """
    for name in (*_JSON.values(), *_CSV.values()):
        if not (folder / name).exists():
            raise PassbandError(f"{folder / name}: is missing; run the other commands first")
    of: dict[str, Any] = {
        name: json.loads((folder / path).read_text(encoding="utf-8"))
        for name, path in _JSON.items()
    }
    of |= {name: pd.read_csv(folder / path) for name, path in _CSV.items()}
    matrix, check, pieces, claims = (of[name] for name in ("matrix", "check", "parts", "claims"))
    cpu_s = pieces.filter(like="_cpu_s").to_numpy().sum()
    return {
        "networks": f"{matrix['networks']:,}",
        "cells": f"{matrix['cells']:,}",
        "home": claim(claims, "Dice", "all", "home"),
        "other": claim(claims, "Dice", "all", "other conditions"),
        "noise": f"{matrix['noise']:.1%}",
        "cpu_h": f"{cpu_s / 3600:.1f}",
        "commits": ", ".join(dict.fromkeys(f"`{commit}`" for commit in pieces.commit)),
        "again": f"{check['again']['all_equal']} of {check['again']['all']}",
        **{
            place: claim(claims, "share of variance", "all", name, "z.0%")
            for place, name in zip(_SHARES, SOURCES, strict=True)
        },
        "simple": simple(matrix["simple"]),
        "levels": levels(of["lines"]),
        "tests": tests(of["lines"]),
        "tenth": few_known(of["tenth"]),
        "comparisons": comparisons(of["locked"]),
        "locked_lines": locked_lines(of["locked"]["lines"], of["afterwards"]),
        "intervals": intervals(of["locked"]["intervals"]),
        "commit": of["locked"]["commit"][:12],
        **statements(of["locked"], of["afterwards"], claims),
        "scherzer": scherzer(claims),
        "scherzer_doses": scherzer_doses(claims),
        "steps": longer(claims),
        "steps_doses": longer_by_dose(claims),
        "doses": asymmetry(of["doses"], claim(claims, *_ASYMMETRY)),
        "minutes": _minutes(of["costs"]),
    }


def statements(locked: dict, afterwards: pd.DataFrame, claims: pd.DataFrame) -> dict[str, str]:
    """Return the numbers of what the account states, by their place."""
    lines = locked["lines"]
    of = {(each["lines"], each["cells"]): each for each in locked["secondary"]}
    raw = of[f"{BANDS} - raw", "primary"]
    new = of[f"{BANDS} - scaled", "new tests"]
    seen = afterwards.set_index(["line", "cells"])

    def apart(line: str, cells: str, other: str) -> str:
        names = [f"minus_{other}{end}" for end in ("", "_low", "_high")]
        return _words(seen.loc[line, cells][names], "+z.3f")

    return {
        "known": f"{lines[BANDS]['primary']['r2']:.3f}",
        "above_raw": _words([raw["difference"], *raw["interval"]]),
        "above_scaled": _words([locked["primary"]["difference"], *locked["primary"]["interval"]]),
        "above_new": _words([new["difference"], *new["interval"]]),
        "new_tests": f"{lines[BANDS]['new tests']['r2']:.3f}",
        "new_scaled": f"{lines['scaled']['new tests']['r2']:.3f}",
        "spectrum": _words(seen.loc[SPECTRUM, "new tests"][["r2", "low", "high"]]),
        "spectrum_old": apart(SPECTRUM, "old tests", "package"),
        "spectrum_new": apart(SPECTRUM, "new tests", "package"),
        "spectrum_scaled": apart(SPECTRUM, "new tests", "scaled"),
        "single": f"{seen.r2_single[BANDS, 'old tests']:.3f}",
        "ceiling": f"{seen.ceiling_single[BANDS, 'old tests']:.3f}",
        "longer_all": claim(claims, _STEPS, "3072 steps, all", "144 tests", "+z.3f"),
        "longer_high": claim(claims, _STEPS, f"3072 steps, {_HIGH}", "50 e/Å²", "+z.3f"),
        "asymmetry": claim(claims, *_ASYMMETRY),
    }


def _minutes(costs: pd.DataFrame) -> str:
    """Return the processor time [min] of the studies after the matrix."""
    of = costs[costs.study.str.contains("|".join(_COSTS))]
    return f"{of.filter(like='_cpu_s').to_numpy().sum() / 60:.0f}"


def _words(ends: Iterable[float], form: str = "z.3f") -> str:
    """Return a value and its interval as text."""
    value, low, high = (format(x, form) for x in ends)
    return f"{value} ({low} to {high})"


def simple(of_dose: dict[str, dict[str, float]]) -> str:
    """Return Dice of the simplest method beside that of networks, as a sentence."""
    words = [
        f"{row['blur and threshold']:.3f} and {row['trained there']:.3f} at {dose} e/Å²"
        for dose, row in of_dose.items()
        if dose != "all"
    ]
    every = of_dose["all"]
    return (
        f"{'; '.join(words)}. The networks are better under "
        f"{every['trained there above blur']:.0%} of the tests. All networks together reach "
        f"{every['all networks']:.3f}, the simplest method {every['blur and threshold']:.3f}"
    )


def levels(lines: pd.DataFrame) -> str:
    """Return R² and R² of the interaction, with a level of each axis left out in training."""
    of = lines[(lines.side == "train") & (lines.slice == "all")].set_index(["line", "axis"])
    rows = [
        [words, *(f"{of.r2[line, axis]:z.3f} / {of.interaction[line, axis]:z.2f}" for axis in AXES)]
        for line, words in LINES.items()
        if (line, "defocus_nm") in of.index
    ]
    return markdown.table(["distances", *(f"{name} left out" for name in AXES.values())], rows)


def tests(lines: pd.DataFrame) -> str:
    """Return R² under each level of the test conditions that was left out, as a sentence."""
    of = lines[(lines.side == "test") & (lines.slice != "all")]
    of = of[of.line == "T(q), bits and dose"]
    return "; ".join(
        f"{name} {', '.join(f'{x:z.2f}' for x in of[of.axis == axis].r2)}"
        for axis, name in AXES.items()
    )


def few_known(errors: pd.DataFrame) -> str:
    """Return the errors of hidden networks, as means over draws of the known ones."""
    means = errors.groupby(["predictor", "known"], sort=False).rmse.mean().unstack()
    ends = errors.groupby(["predictor", "known"], sort=False).rmse.agg(["min", "max"])
    rows = [
        [name, *(f"{x:.3f} ({_ends(ends.loc[name, k])})" for k, x in means.loc[name].items())]
        for name in means.index
    ]
    return markdown.table(["RMSE of Dice", *(f"{k} known" for k in means.columns)], rows)


def _ends(of: pd.Series) -> str:
    return f"{of['min']:.3f} to {of['max']:.3f}"


def comparisons(result: dict) -> str:
    rows = []
    for each in (result["primary"], *result["secondary"]):
        p = each.get("p_holm")
        cells = "**primary**" if p is None else each["cells"]
        ends = each["difference"], *each["interval"]
        words = [each["lines"].replace(" - ", " − "), cells, _words(ends, "+z.3f")]
        rows.append([*words, markdown.NONE if p is None else _p_value(p)])
    return markdown.table(["difference of R²", "cells", "95% interval", "p (Holm)"], rows)


def _p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def locked_lines(lines: dict, afterwards: pd.DataFrame) -> str:
    rows = []
    for name, words in {"nearest": "nearest old condition", **LINES}.items():
        if (of := lines.get(name)) is None:
            continue
        outside = of["outside"].values()
        rows.append(
            [
                words,
                f"{of['primary']['r2']:.3f} / {of['primary']['interaction']:z.2f}",
                f"{of['narrow aperture']:.3f}",
                f"{of['wide aperture']:.3f}",
                f"{of['new tests']['r2']:.3f}",
                f"{of['new structures']:.3f}",
                f"{min(outside):z.2f} to {max(outside):z.2f}",
            ]
        )
    seen = afterwards.set_index(["line", "cells"]).loc[SPECTRUM]
    old = seen.loc["old tests"]
    new = seen.loc["new tests"]
    cells = [f"{old.r2:.3f} / {old.interaction:z.2f}", *(markdown.NONE,) * 2, f"{new.r2:.3f}"]
    rows.append([f"{SPECTRUM} (seen afterwards)", *cells, *(markdown.NONE,) * 2])
    head = ["distances", "old tests", "aperture < 8.5", "≥ 8.5 mrad", "new tests"]
    return markdown.table([*head, "new structures", "outside, by axis"], rows)


def intervals(found: dict) -> str:
    kinds = "inside", "inside, new tests", "outside"
    return "; ".join(
        f"{name} {found[name]['coverage']:.1%} (half-width {found[name]['half_width']:.3f})"
        for name in kinds
    )


def scherzer(claims: pd.DataFrame) -> str:
    """Return the trough minus the shoulders under all tests, a row for each kind of networks."""
    of = claims[(claims.claim == _SCHERZER) & (claims.tests == "144 tests")]
    found = {}
    for each in of.itertuples():
        kind, cs, dose = each.networks.rsplit(", ", 2)
        found.setdefault(kind, {})[cs, dose] = _words([each.value, each.low, each.high], "+z.3f")
    pairs = list(next(iter(found.values())))
    lines = []
    for kind, words in found.items():
        if not set(words) & set(pairs):  # networks of all doses stand at the first dose of a Cs
            words = {
                next(pair for pair in pairs if pair[0] == cs): value
                for (cs, _), value in words.items()
            }
        lines.append([kind, *(words.get(pair, markdown.NONE) for pair in pairs)])
    return markdown.table(["networks", *map(", ".join, pairs)], lines)


def scherzer_doses(claims: pd.DataFrame) -> str:
    """Return in how many series of the first networks the trough is lower, by test dose."""
    of = claims[(claims.claim == _SCHERZER) & claims.networks.str.startswith("compact-w4-d2, ")]
    of = of[~of.networks.str.contains("mixture")]
    words = []
    for dose in _TEST_DOSES:
        rows = of[of.tests == f"{dose} e/Å²"]
        below = (rows.high < 0).sum()
        ends = f"{rows.value.min():+z.3f} to {rows.value.max():+z.3f}"
        words.append(f"{ends} at {dose:,} e/Å², below 0 in {below} of {len(rows)}")
    return "it is " + "; ".join(words)


def longer(claims: pd.DataFrame) -> str:
    """Return how Dice changes after most steps, at home and under all tests."""
    words = {"home": "at home", "144 tests": "under the 144 tests"}
    return " and ".join(
        f"{claim(claims, _STEPS, '3072 steps, all', tests, '+z.3f')} {where}"
        for tests, where in words.items()
    )


def longer_by_dose(claims: pd.DataFrame) -> str:
    """Return how Dice changes after most steps, by the doses of tests and of training."""

    def change(networks: str, dose: int) -> str:
        return claim(claims, _STEPS, f"3072 steps, {networks}", f"{dose} e/Å²", "+z.3f")

    words = [f"{change('all', dose)} at {dose:,}" for dose in _TEST_DOSES]
    low = _TEST_DOSES[0]
    rest = _HIGH.replace("≥", "<")
    return (
        f"{', '.join(words)} e/Å²; at {low}, by {change(_HIGH, low)} for the six conditions "
        f"{_HIGH}, and by {change(rest, low)} for the others"
    )


def text(folder: Path = FOLDER) -> str:
    """Return the page.

    Raises:
        PassbandError: If a file is missing.
    """
    template = Template((folder / "page.md").read_text(encoding="utf-8"))
    return template.substitute(fields(folder))


def write(folder: Path = FOLDER, whole: Path = WHOLE, picture: Path = PICTURE) -> int:
    """Write the page and its figure, and return the exit status 0.

    Args:
        folder: The folder of the page, with its text ``page.md`` and the folders of small files.
        whole: The file of the whole study.
        picture: The file of the figure, which docs/findings.md shows too.

    Raises:
        PassbandError: If a file or a line of ``parts.csv`` is missing.
    """
    made = text(folder)
    check_lines(read(folder / "data" / "parts.csv"), folder / "data" / "parts.csv", whole)
    save(draw(folder), picture)
    (folder / "README.md").write_text(made, encoding="utf-8")
    print(f"{folder}/README.md and its figure")
    return 0


def save(figure: Figure, path: Path) -> None:
    """Save a figure with few colours."""
    with TemporaryDirectory() as temporary:
        whole = Path(temporary) / path.name
        style.save(figure, [whole], Figures().dpi)
        few = Image.open(whole).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)
