"""The matrix of mean Dice on the page's first screen: an SVG whose text has the page's colours."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from passband.grid import AXES, Condition

#: Side of the matrix, height of a label, and width of a character [units of the SVG].
_SIDE, _LINE, _CHARACTER = 420.0, 11.0, 5.4
#: Gap between labels and matrix, and between two columns of labels.
_GAP = 5.0


@dataclass(frozen=True)
class _Run:
    """Adjacent conditions with the same value of an axis and of all axes outside it."""

    label: str
    first: int
    number: int


def matrix_svg(
    M: np.ndarray, train: Sequence[str], test: Sequence[str], palette: str, alt: str
) -> Markup:
    """Return the matrix as an SVG element. Each axis's values are written once for each run.

    Values of an axis are left out if they would be too small to read.

    Parameters
    ----------
    M : (train, test) float array
        Mean Dice; NaN for a missing value.
    train, test : sequence of str
        Ids of the conditions.
    palette : str
        Name of the colour map.
    alt : str
        Text in place of the picture.
    """
    low, high = dice_range(M)
    colours = _colours(palette)
    scaled = np.clip((np.nan_to_num(M) - low) / (high - low), 0, 1)
    pixels = (colours(scaled) * 255).round().astype(np.uint8)
    pixels[~np.isfinite(M), 3] = 0
    rows, columns = _labelled(train, vertical=True), _labelled(test, vertical=False)
    left = 18 + sum(_width(runs) + _GAP for runs in rows)
    top = 18 + sum(_height(runs, len(test)) + _GAP for runs in columns)
    parts = [
        f'<rect x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" class="missing"/>',
        _image(pixels, left, top, _SIDE, _SIDE),
        *_side_labels(rows, len(train), left, top),
        *_top_labels(columns, len(test), left, top),
        *_borders(rows, columns, (len(train), len(test)), left, top),
        *_diagonal(train, test, left, top),
        f'<text class="name" transform="translate(11 {top + _SIDE / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">trained under</text>',
        f'<text class="name" x="{left + _SIDE / 2:.1f}" y="12" text-anchor="middle">tested under'
        "</text>",
        *_colour_bar(colours, low, high, left, top + _SIDE + 14),
    ]
    width, height = left + _SIDE + 8, top + _SIDE + 44
    return Markup(
        f'<svg class="matrix" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )


def dice_range(M: np.ndarray) -> tuple[float, float]:
    """Return the ends of the colour scale: the range of Dice, rounded outwards to tenths."""
    finite = M[np.isfinite(M)]
    if not len(finite):
        return 0.0, 1.0
    low = np.floor(10 * finite.min() + 1e-9) / 10
    high = np.ceil(10 * finite.max() - 1e-9) / 10
    return float(low), float(max(high, low + 0.1))


def left_out(train: Sequence[str], test: Sequence[str]) -> list[str]:
    """Return words about the axes whose values are not written beside the matrix.

    An axis with one value is not written, since all conditions have it.
    """
    words = []
    for ids, vertical in ((train, True), (test, False)):
        varied = _varied(ids)
        for name in varied[len(_labelled(ids, vertical)) :]:
            values = sorted({getattr(Condition.parse(id), name) for id in ids})
            axis = AXES[name]
            text = f"{axis.label} {values[0]:g} to {values[-1]:g} {axis.unit}"
            if text not in words:
                words.append(text)
    return words


def _colours(palette: str):
    from seaborn import color_palette  # imports matplotlib, which takes a second

    return color_palette(palette, as_cmap=True)


def _image(pixels: np.ndarray, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{png_uri(pixels)}"/>'
    )


def png_uri(pixels: np.ndarray) -> str:
    """Return an image (y, x) or (y, x, channel) of uint8 as the URI of a PNG file."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def _varied(ids: Sequence[str]) -> list[str]:
    """Return the names of axes with several values, from the outermost axis to the innermost."""
    parsed = [Condition.parse(id) for id in ids]
    return [name for name in AXES if len({getattr(c, name) for c in parsed}) > 1]


def _labelled(ids: Sequence[str], vertical: bool) -> list[list[_Run]]:
    """Return the runs of each axis whose values can be read, the outermost axis first."""
    parsed, names = [Condition.parse(id) for id in ids], _varied(ids)
    levels = []
    for depth, name in enumerate(names):
        outer, runs, first = names[: depth + 1], [], 0
        for values, same in groupby(parsed, lambda c, o=outer: [getattr(c, n) for n in o]):
            number = len(list(same))
            label = f"{values[-1]:g} {AXES[name].unit}".replace("-", "−")
            runs.append(_Run(label, first, number))
            first += number
        shortest = min(run.number for run in runs) * _SIDE / len(ids)
        if shortest < _LINE:
            break
        levels.append(runs)
    return levels


def _width(runs: Sequence[_Run]) -> float:
    return max(len(run.label) for run in runs) * _CHARACTER


def _is_flat(runs: Sequence[_Run], number: int) -> bool:
    """Return whether the labels above the matrix fit horizontally."""
    return min(run.number for run in runs) * _SIDE / number >= _width(runs) + 4


def _height(runs: Sequence[_Run], number: int) -> float:
    return _LINE if _is_flat(runs, number) else _width(runs)


def _side_labels(
    rows: Sequence[Sequence[_Run]], number: int, left: float, top: float
) -> Iterator[str]:
    x = 18.0
    for runs in rows:
        x += _width(runs)
        for run in runs:
            y = top + (run.first + run.number / 2) * _SIDE / number
            yield f'<text x="{x:.1f}" y="{y + 3.2:.1f}" text-anchor="end">{run.label}</text>'
        x += _GAP


def _top_labels(
    columns: Sequence[Sequence[_Run]], number: int, left: float, top: float
) -> Iterator[str]:
    y = 18.0
    for runs in columns:
        y += _height(runs, number)
        flat = _is_flat(runs, number)
        for run in runs:
            x = left + (run.first + run.number / 2) * _SIDE / number
            if flat:
                yield f'<text x="{x:.1f}" y="{y - 1:.1f}" text-anchor="middle">{run.label}</text>'
            else:
                yield f'<text transform="translate({x + 3.2:.1f} {y:.1f}) rotate(-90)">{run.label}</text>'
        y += _GAP


def _borders(
    rows: Sequence[Sequence[_Run]],
    columns: Sequence[Sequence[_Run]],
    numbers: tuple[int, int],
    left: float,
    top: float,
) -> Iterator[str]:
    """Yield lines between the values of the outermost axis."""
    if rows:
        for run in rows[0][1:]:
            y = top + run.first * _SIDE / numbers[0]
            yield f'<path class="border" d="M{left:.1f} {y:.1f}h{_SIDE}"/>'
    if columns:
        for run in columns[0][1:]:
            x = left + run.first * _SIDE / numbers[1]
            yield f'<path class="border" d="M{x:.1f} {top:.1f}v{_SIDE}"/>'


def _diagonal(train: Sequence[str], test: Sequence[str], left: float, top: float) -> Iterator[str]:
    """Yield outlines of the cells with equal conditions, or a dot in each cell if cells are small."""
    place = {id: k for k, id in enumerate(test)}
    width, height = _SIDE / len(test), _SIDE / len(train)
    for i, id in enumerate(train):
        if (j := place.get(id)) is None:
            continue
        x, y = left + j * width, top + i * height
        if min(width, height) > 9:
            yield (
                f'<rect class="own" x="{x + 1.2:.1f}" y="{y + 1.2:.1f}" width="{width - 2.4:.1f}" '
                f'height="{height - 2.4:.1f}"/>'
            )
        elif len(train) <= 1000:
            size = min(width, height) / 3
            yield (
                f'<circle class="dot" cx="{x + width / 2:.1f}" cy="{y + height / 2:.1f}" '
                f'r="{size:.2f}"/>'
            )


def _colour_bar(colours, low: float, high: float, x: float, y: float) -> Iterator[str]:
    pixels = (colours(np.linspace(0, 1, 128))[None] * 255).round().astype(np.uint8)
    bar = _SIDE / 2
    yield _image(pixels, x, y, bar, 8)
    for k in range(round((high - low) * 10) + 1):
        value = low + k / 10
        if round((high - low) * 10) > 5 and round(10 * value) % 2:
            continue
        at = x + bar * (value - low) / (high - low)
        yield f'<text x="{at:.1f}" y="{y + 19:.1f}" text-anchor="middle">{value:.1f}</text>'
    yield f'<text x="{x + bar + 14:.1f}" y="{y + 8:.1f}">mean Dice M(i, j)</text>'
