"""Writes docs/twelve-thousand/README.md and its figure from the small files beside it.

The text is in docs/twelve-thousand/page.md, in which a word such as ``$variance`` is the place of a
table or of a number. Other commands of docs/scripts/twelve_thousand.py make the files.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import twelve_figure
from matplotlib.figure import Figure
from PIL import Image
from twelve_choices import summary
from twelve_doses import asymmetry
from twelve_figure import SHARES
from twelve_parts import FOLDER, WHOLE, check_lines, read

from passband import PassbandError
from passband.config.analysis import Figures
from passband.figures import style
from passband.reports import markdown

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
    "T(q), bits and dose": "T(q), bits (the package)",
    "T(q) in bands": "T(q) in bands",
    "published scalars": "published scalars",
    "boosted trees": "boosted trees",
}
_JSON = {"matrix": "matrix.json", "locked": "locked/result.json", "check": "check.json"}
_CSV = {
    name: f"{name}.csv"
    for name in ("lines", "scherzer", "doses", "parts", "choices", "steps", "studies/costs")
}
#: The places of the shares of the variance, in the order of the figure.
_SHARES = "of_doses", "of_train", "of_test", "of_interaction"
#: Words in the names of the studies whose processor time the page has.
_COSTS = "locked", "scherzer", "carbon", "choices", "steps", "train-this"


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
    matrix, check, parts = of["matrix"], of["check"], of["parts"]
    cpu_s = parts.filter(like="_cpu_s").to_numpy().sum()
    return {
        "networks": f"{matrix['networks']:,}",
        "cells": f"{matrix['cells']:,}",
        "home": _words(matrix["home"]),
        "abroad": _words(matrix["abroad"]),
        "noise": f"{matrix['noise']:.1%}",
        "cpu_h": f"{cpu_s / 3600:.1f}",
        "commits": ", ".join(dict.fromkeys(f"`{commit}`" for commit in parts.commit)),
        "again": f"{check['again']['all_equal']} of {check['again']['all']}",
        **{
            place: _words(matrix["shares"][name], "z.0%")
            for place, name in zip(_SHARES, SHARES, strict=True)
        },
        "simple": simple(matrix["simple"]),
        "levels": levels(of["lines"]),
        "tests": tests(of["lines"]),
        "comparisons": comparisons(of["locked"]),
        "locked_lines": locked_lines(of["locked"]["lines"]),
        "intervals": intervals(of["locked"]["intervals"]),
        "commit": of["locked"]["commit"][:12],
        "scherzer": scherzer(of["scherzer"]),
        "steps": longer(of["steps"]),
        "doses": asymmetry(of["doses"]),
        "choices": summary(folder),
        **{f"{name.replace('-', '_')}_min": _minutes(of["studies/costs"], name) for name in _COSTS},
    }


def _minutes(costs: pd.DataFrame, name: str) -> str:
    """Return the processor time [min] of all studies whose names begin with a word."""
    of = costs[costs.study.str.contains(name)]
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


def locked_lines(lines: dict) -> str:
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
    head = ["distances", "old tests", "aperture < 8.5", "≥ 8.5 mrad", "new tests"]
    return markdown.table([*head, "new structures", "outside, by axis"], rows)


def intervals(found: dict) -> str:
    kinds = "inside", "inside, new tests", "outside"
    return "; ".join(
        f"{name} {found[name]['coverage']:.1%} (half-width {found[name]['half_width']:.3f})"
        for name in kinds
    )


def scherzer(rows: pd.DataFrame) -> str:
    """Return the trough minus the shoulders abroad, a row for each kind of networks."""
    names = [f"{row.cs_um:g} µm, {row.dose_e_per_A2} e/Å²" for row in rows.itertuples()]
    rows = rows.assign(pair=names)
    single = list(dict.fromkeys(name for name in names if "-" not in name))
    lines = []
    for kind, of in rows.groupby("networks", sort=False):
        ends = of[["abroad_difference", "abroad_low", "abroad_high"]]
        words = dict(zip(of.pair, (_words(each, "+z.3f") for each in ends.values), strict=True))
        if not set(words) & set(single):  # networks of all doses stand at the first dose of a Cs
            words = {
                next(pair for pair in single if pair.split(",")[0] == name.split(",")[0]): value
                for name, value in words.items()
            }
        lines.append([kind, *(words.get(pair, markdown.NONE) for pair in single)])
    return markdown.table(["networks", *single], lines)


def longer(rows: pd.DataFrame) -> str:
    """Return how Dice changes with more steps, as a sentence."""
    of = rows.set_index(["steps", "score"])
    words = []
    for steps in dict.fromkeys(rows.steps):
        home, abroad = (
            _words(of.loc[steps, score][["difference", "low", "high"]], "+z.3f")
            for score in ("home", "abroad")
        )
        words.append(f"after {steps:,}, {home} and {abroad}")
    return f"Dice at home and abroad changes against 192 steps: {'; '.join(words)}"


def write(folder: Path = FOLDER, whole: Path = WHOLE) -> int:
    """Write the page and its figure, and return the exit status 0.

    Args:
        folder: The folder of the page, with its text ``page.md`` and all small files.
        whole: The file of the whole study.

    Raises:
        PassbandError: If a file or a line of ``parts.csv`` is missing.
    """
    made = fields(folder)
    check_lines(read(folder / "parts.csv"), folder / "parts.csv", whole)
    text = Template((folder / "page.md").read_text(encoding="utf-8")).substitute(made)
    save(twelve_figure.draw(folder), folder / "account.png")
    (folder / "README.md").write_text(text, encoding="utf-8")
    print(f"{folder}/README.md and its figure")
    return 0


def save(figure: Figure, path: Path) -> None:
    """Save a figure with few colours."""
    with TemporaryDirectory() as temporary:
        whole = Path(temporary) / path.name
        style.save(figure, [whole], Figures().dpi)
        few = Image.open(whole).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)
