"""The page that presents a study: one HTML file that needs no other file and contacts no host.

The text of stores, logs and names of files is never trusted: Jinja escapes every value. The page's
content security policy allows only its own script, pictures inside the page, and no connection.
"""

import base64
import hashlib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import xarray as xr
from markupsafe import Markup
from PIL import Image

from passband.axes import AXES
from passband.config import FEWEST_PREDICTED, Study
from passband.figures import matrix, style
from passband.matrices.matrix import Matrix
from passband.parts import PACKAGE, Part
from passband.prediction.matrix.predicted_matrix import PredictedMatrix
from passband.prediction.range_of_use import between, ranges
from passband.reports.page import curves, data, found_particles, tables, text
from passband.reports.page.data import Data
from passband.reports.page.job_files import Cost, History
from passband.reports.page.numbers import Numbers
from passband.reports.page.pictures import SCALE, data_uri, inline, png_uri
from passband.version import __version__
from passband.wave_sets import WaveSet

#: A PNG file with more bytes than this is compressed as WebP, with small losses.
_LARGE = 400_000
#: An SVG file with at most this many bytes is preferred to a PNG file.
_SMALL = 250_000
#: Largest height of a figure on the page [CSS pixels].
_HIGHEST_PX = 900.0
#: Width and height in the head of matplotlib's SVG files [pt].
_SVG_SIZE = re.compile(rb'<svg[^>]*? width="([\d.]+)pt"[^>]*? height="([\d.]+)pt"')
#: Largest number of cells of all matrices on the first screen. A cell takes about 4 bytes.
_MOST_CELLS = 300_000
#: Width of the matrix on the first screen of a wide and of a narrow screen [cm].
_WIDTHS_CM = {"wide": 14.0, "narrow": style.COLUMN_CM}


@dataclass(frozen=True)
class Failure:
    """A failed job: its log, and the last lines of it."""

    stage: str
    log: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """An example structure of a specimen: the phase of its exit wave, and its mask.

    Attributes:
        phase: (px, px), phase of the exit wave [rad].
        mask: (px, px) bool, where there is a particle.
    """

    specimen: str
    phase: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Content:
    """Everything that the page shows.

    Attributes:
        made: The date of the results, such as ``26 November 2026``.
        revision: The git revision of the code that made the results, or "".
        results: The study's folder of results, as commands name it.
        numbers: See :func:`passband.reports.page.numbers.numbers`.
        matrices: Matrices with OOD metrics; none without them.
        unlearned: A sentence about networks that did not learn, or "".
        information: The store, if it exists.
        prediction: What is predicted, if anything is.
        figures: For each figure, its files by format.
        parts: The declaration of each figure, with its caption and its place on the page.
        expected: The names of the figures that the complete study has.
        histories: The histories of training that exist.
        costs: What the jobs of each stage took.
        failures: The newest failed jobs.
        failed: Number of all failed jobs.
        missing: What an incomplete study lacks, in words.
        examples: Example structures.
        citation: References to cite.
        explorer: The name of the explorer's file, which is or will be beside the page; "" if it is
            elsewhere.
    """

    study: Study
    made: str
    revision: str
    results: str
    numbers: Numbers = field(default_factory=Numbers)
    matrices: Sequence[Matrix] = ()
    unlearned: str = ""
    information: xr.Dataset | None = None
    prediction: Sequence[PredictedMatrix] = ()
    figures: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=lambda: PACKAGE.of("figure"))
    expected: Collection[str] = ()
    histories: Sequence[History] = ()
    costs: Sequence[Cost] = ()
    failures: Sequence[Failure] = ()
    failed: int = 0
    missing: Sequence[str] = ()
    examples: Sequence[Example] = ()
    citation: Sequence[str] = ()
    explorer: str = ""


def render(content: Content) -> str:
    """Return the page as HTML."""
    script = text.source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    word, first, second = text.answer(content.numbers)
    mixtures = tables.mixtures_table(content.matrices)
    choices = tables.choice_table(content.numbers, content.matrices)
    # All other parts are without the rows of mixtures.
    content = replace(content, matrices=[each.of_conditions() for each in content.matrices])
    return text.template("report.html.j2").render(
        content=content,
        policy=policy,
        style=Markup(text.source("report.css")),
        script=Markup(script),
        version=__version__,
        question=text.QUESTION,
        word=word,
        answer=(first, second),
        unlearned=content.unlearned,
        matrices=_matrices(content),
        cards=_cards(content.numbers),
        figures=partial(_figures, content),
        tables={
            "study": tables.study_table(content.study),
            "axes": tables.axes_table(content.numbers),
            "groups": tables.groups_table(content.matrices),
            "choices": choices,
            "mixtures": mixtures,
            "particles": found_particles.particles_table(content.matrices),
            "prediction": tables.prediction_table(content.prediction),
            "costs": tables.cost_table(content.costs),
        },
        curves=_curves(content),
        sentences={
            "all_rounders": tables.all_rounders(content.numbers),
            "particles": found_particles.particles_sentences(content.matrices),
            "prediction": tables.prediction_sentences(content.prediction),
        },
        examples=_examples(content.examples),
        explored=_explored(content),
        microscope=_microscope(content.study),
        matrix_data=_data(content, "matrix"),
        # Without the figure, the data have no other place.
        expected_data=[] if "prediction" in content.figures else _data(content, "prediction"),
        configuration=tables.configuration(content.study),
        fewest=FEWEST_PREDICTED,
    )


def _microscope(study: Study) -> list[dict]:
    """Return each axis of the study with the range of its slider, and the value that it starts at.

    Exit waves exist for single values only, so an axis that needs other exit waves has no slider.
    The command needs such an axis only if the study cannot be asked about its own value.
    """
    of_study, waves = ranges(study.test_conditions), study.tested_waves
    fixed = dict(WaveSet.parse("" if "" in waves else waves[0]).further)
    found = []
    for name in study.axes.names:
        axis, (low, high) = AXES[name], of_study[name]
        value = float(f"{between(name, (low, high), 0.5):.3g}")
        if axis.needs_waves:
            low = high = value = fixed.get(name, study.axes.own[name])
        value = min(high, max(low, axis.canonical(value)))
        asked = not axis.needs_waves or name in fixed
        found.append({"axis": axis, "low": low, "high": high, "value": value, "asked": asked})
    return found


# ── First screen ─────────────────────────────────────────────────────────────────────────────────


def _matrices(content: Content) -> list[dict]:
    """Return the matrices of Dice and of its loss as SVG, with their names and notes.

    A matrix of a single cell is left out. Large matrices after the first few are left out, too, and
    the page leads to the explorer.
    """
    found = content.numbers
    cells = max(1, len(found.train) * len(found.test))
    if cells == 1:
        return []  # the numbers say it
    shown = list(found.matrices.items())[: max(1, _MOST_CELLS // cells)]
    views = [
        (*names, view)
        for names, M in shown
        for view in matrix.WORDS
        if view == "dice" or np.isfinite(found.losses(M)).any()
    ]
    return [
        _matrix(content, *view, f"view-{number}") | {"others": len(found.matrices) - len(shown)}
        for number, view in enumerate(views)
    ]


def _matrix(content: Content, specimen: str, architecture: str, view: str, name: str) -> dict:
    found = content.numbers
    M, home = (of.get((specimen, architecture)) for of in (found.matrices, found.home_rows))
    cells = {"dice": M, "gap_test": found.losses(M)}
    mean = text.number(float(np.nanmean(cells[view]))) if np.isfinite(cells[view]).any() else "–"
    alt = (
        f"Matrix of the {matrix.WORDS[view]} of {len(found.train)} training conditions (rows) and "
        f"{len(found.test)} test conditions (columns) for {architecture} on {specimen}; "
        f"the mean is {mean}"
    )
    has_home = view == "dice" and home is not None and bool(np.isfinite(home).any())
    several = f"{specimen}, {architecture}: " if len(found.matrices) > 1 else ""
    return {
        "svg": Markup("").join(
            inline(
                matrix.draw(
                    *({"": cells}, found.train, found.test, width_cm),
                    shown=[view],
                    home=home if has_home else None,
                ),
                f"matrix {size} {name}",
                alt,
            )
            for size, width_cm in _WIDTHS_CM.items()
        ),
        "name": f"{several}{matrix.WORDS[view]}",
        "view": view,
        "own": any(id in found.test for id in found.train),
        "beside": has_home,
        "missing": int((~np.isfinite(M)).sum()),
    }


def _explored(content: Content) -> str:
    """Return the address of the explorer with the page's order of axes, or ""."""
    found = content.numbers
    if not content.explorer or not found.matrices:
        return content.explorer
    losses = [found.losses(M) for M in found.matrices.values()]
    order = ",".join(
        name
        for name in matrix.outermost(found.train, found.test, losses)
        if any(len({c.value(name) for c in side}) > 1 for side in (found.train, found.test))
    )
    return f"{content.explorer}#rows={order}&columns={order}" if order else content.explorer


def _cards(found: Numbers) -> list[dict]:
    """Return the five numbers of the first screen, as far as they exist, with their ranges."""
    number, percent = text.number, text.percent
    cards = (
        (found.home, number, "mean Dice under the condition of the training"),
        (found.other, number, "mean Dice under the other conditions"),
        (found.loss, number, "mean loss of Dice against a network that was trained there"),
        (found.worst, number, "Dice of a network under its worst other condition, on average"),
        (
            found.close,
            percent,
            "of all pairs of conditions: as good as a network that was trained there",
        ),
    )
    return [
        {"value": form(value.value), "range": text.ranged(value, form), "words": words}
        for value, form, words in cards
        if value
    ]


# ── Figures and data ─────────────────────────────────────────────────────────────────────────────


def _figures(content: Content, place: str) -> list[dict]:
    """Return the figures of a section for the template, in the order of their declarations."""
    named = [name for name, part in content.parts.items() if part.declaration.place == place]
    # A figure on request is not missed.
    return [_figure(content, n) for n in named if n in content.figures or n in content.expected]


def _figure(content: Content, name: str) -> dict:
    """Return a figure for the template; without its picture if the file is missing or damaged."""
    try:
        uri, width = _shown(content.figures[name], content.study.figures.dpi)
    except (KeyError, OSError, ValueError):
        return {"name": name, "uri": ""}
    title, html = text.caption(content.parts[name].declaration.caption)
    return {
        "name": name,
        "uri": uri,
        "width": width,
        "alt": f"Figure: {title}. The caption describes it.",
        "caption": html,
        "data": _data(content, name),
    }


def _data(content: Content, name: str) -> list[Data]:
    """Return the figure's data as CSV files; none for a figure of images."""
    if name == "ctf":
        return [data.transfer(content.study.train_conditions, content.study.microscope)]
    if name == "prediction" and content.prediction:
        return data.prediction(content.prediction)
    if not content.matrices:
        return []
    if name == "metrics" and content.information is not None:
        # After a value of the grid was removed, only the newer store lacks its conditions.
        whole = data.covers(content.information, content.matrices)
        return [data.information(content.matrices, content.information)] if whole else []
    draw = {"matrix": data.matrix, "decay": data.decay}.get(name)
    return [draw(content.matrices)] if draw else []


def _shown(formats: Mapping[str, bytes], dpi: float) -> tuple[str, int]:
    """Return a figure as a data URI, and its width on the page in CSS pixels.

    The figure is a small SVG file, or else PNG, or else WebP if it is large. All figures have the
    same scale, so that their texts have the same size, unless they would be too high.
    """
    svg, png = formats.get("svg"), formats.get("png")
    if svg is not None and (png is None or len(svg) <= _SMALL):
        if (size := _SVG_SIZE.search(svg)) is None:
            raise ValueError("no size")
        width, height = map(float, size.groups())
        return data_uri("image/svg+xml", svg), _width(width / 72, height / 72)
    with Image.open(io.BytesIO(png)) as picture:
        width = _width(*(size / dpi for size in picture.size))
        if len(png) > _LARGE:
            packed = io.BytesIO()
            picture.convert("RGB").save(packed, "webp", quality=88, method=4)
            if packed.tell() < len(png):
                return data_uri("image/webp", packed.getvalue()), width
    return data_uri("image/png", png), width


def _width(width_in: float, height_in: float) -> int:
    """Return the width on the page [px] of a figure, from its width and height [inches]."""
    return round(min(SCALE * width_in, _HIGHEST_PX * width_in / height_in))


def _examples(examples: Sequence[Example]) -> list[dict]:
    """Return pictures of example structures: the phase in grey, with the mask's outline."""
    pictures = []
    for example in examples:
        low, high = np.quantile(example.phase, [0.002, 0.998])
        grey = np.clip((example.phase - low) / max(high - low, 1e-9), 0, 1)
        pixels = np.repeat((grey * 255).round().astype(np.uint8)[..., None], 3, -1)
        inside = example.mask
        eroded = inside.copy()
        for shift in (1, -1):
            for axis in (0, 1):
                eroded &= np.roll(inside, shift, axis)
        pixels[inside & ~eroded] = (244, 211, 94)
        pictures.append({"specimen": example.specimen, "uri": png_uri(pixels)})
    return pictures


# ── Curves ────────────────────────────────────────────────────────────────────────────────────────


def _curves(content: Content) -> dict | None:
    histories = [h for h in content.histories if len(h.epoch) and np.isfinite(h.dice).any()]
    if not histories:
        return None
    worst = curves.worst(histories, min(curves.WORST, len(histories)))
    many = len(histories) > curves.MOST_CURVES
    return {
        "svg": curves.curves_svg(histories),
        "number": len(histories),
        "bands": many,
        "worst": [(h.network, text.number(h.final)) for h in (worst if many else worst[:3])],
        "data": curves.data(histories),
    }
