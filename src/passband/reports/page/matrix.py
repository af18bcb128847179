"""The matrix of mean Dice on the page's first screen: an SVG whose text has the page's colours."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from passband.axes import AXES
from passband.figures import nested_axes
from passband.grid import Condition

#: Side of the matrix, height of a label, width of a character, and gap [units of the SVG].
_SIDE, _LINE, _CHARACTER, _GAP = 420.0, 11.0, 5.8, 5.0
#: On a narrow screen, labels are larger by this factor, and only the outermost axes have labels.
_COMPACT, _COMPACT_LEVELS = 1.8, 2
#: Cells that are smaller have a dot in place of an outline, and only up to this number of rows.
_OUTLINED, _DOTTED = 9.0, 1000


@dataclass(frozen=True)
class _Run:
    """Adjacent conditions with the same value of an axis and of all axes outside it."""

    axis: str
    label: str
    first: int
    number: int


#: Smallest width of the column of rows' own Dice.
_NARROWEST = 12.0


class _Labels:
    """The labels along one side, the outermost axis first; too small ones are left out."""

    def __init__(self, conditions: Sequence[Condition], compact: bool = False):
        self.scale = _COMPACT if compact else 1.0
        self.step = _SIDE / len(conditions)
        self.levels: list[list[_Run]] = []
        every = nested_axes.levels(conditions)
        self.varied = [level.name for level in every]
        for level in every[: _COMPACT_LEVELS if compact else None]:
            axis = AXES[level.name]
            runs = [
                _Run(axis.label, axis.words(f"{x:g}").replace("-", "−"), first, stop - first)
                for first, stop, x in level.groups
            ]
            if min(run.number for run in runs) * self.step < _LINE * self.scale:
                break
            self.levels.append(runs)

    def length(self, runs: Sequence[_Run]) -> float:
        return max(len(run.label) for run in runs) * _CHARACTER * self.scale

    def flat(self, runs: Sequence[_Run]) -> bool:
        """Return whether the labels fit beside each other above the matrix."""
        return min(run.number for run in runs) * self.step >= self.length(runs) + 4

    def height(self, runs: Sequence[_Run]) -> float:
        return _LINE * self.scale if self.flat(runs) else self.length(runs)

    @property
    def start(self) -> float:
        """Where the first label begins, beside the name of the side."""
        return 10 + _LINE * self.scale

    def beside(self) -> Iterator[str]:
        """Yield the labels of rows."""
        x = self.start
        for runs in self.levels:
            x += self.length(runs)
            for run in runs:
                y = (run.first + run.number / 2) * self.step + 3.2 * self.scale
                yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="end">{run.label}</text>'
            x += _GAP

    def above(self, top: float) -> Iterator[str]:
        """Yield the labels of columns and the names of axes, relative to the matrix's corner."""
        y = self.start - top
        for runs in self.levels:
            y += self.height(runs)
            yield (
                f'<text class="axis" x="{-_GAP}" y="{y - 1:.1f}" text-anchor="end">'
                f"{runs[0].axis}</text>"
            )
            for run in runs:
                x = (run.first + run.number / 2) * self.step
                if self.flat(runs):
                    place = f'x="{x:.1f}" y="{y - 1:.1f}" text-anchor="middle"'
                else:
                    x += 3.2 * self.scale
                    place = f'transform="translate({x:.1f} {y:.1f}) rotate(-90)"'
                yield f"<text {place}>{run.label}</text>"
            y += _GAP

    def borders(self) -> list[float]:
        """Return where the value of the outermost axis changes."""
        return [run.first * self.step for run in self.levels[0][1:]] if self.levels else []


def matrix_svg(
    M: np.ndarray,
    train: Sequence[Condition],
    test: Sequence[Condition],
    palette: str,
    alt: str,
    compact: bool = False,
    own_dice: np.ndarray | None = None,
) -> Markup:
    """Return the matrix as an SVG element. Each axis's values are written once for each run.

    Args:
        M: (train, test), mean Dice; NaN for a missing value.
        alt: Text in place of the picture.
        compact: Whether the matrix is for a narrow screen: with larger labels of fewer axes.
        own_dice: (train,), mean Dice under the own training condition of the rows that have no
            column for it, and NaN for other rows. They are drawn in a column apart, right of the
            matrix.
    """
    beside = own_dice is not None and bool(np.isfinite(own_dice).any())
    low, high = dice_range(np.column_stack([M, own_dice]) if beside else M)
    colours = _colours(palette)
    scaled = np.clip((np.nan_to_num(M) - low) / (high - low), 0, 1)
    pixels = (colours(scaled) * 255).round().astype(np.uint8)
    pixels[~np.isfinite(M), 3] = 0
    rows, columns = _Labels(train, compact), _Labels(test, compact)
    line = _LINE * rows.scale
    left = rows.start + sum(rows.length(runs) + _GAP for runs in rows.levels)
    if compact and columns.levels:  # the names of axes are wider than the labels of rows
        left = max(left, rows.start + 8 * _CHARACTER * rows.scale)
    top = columns.start + sum(columns.height(runs) + _GAP for runs in columns.levels)
    lines = [f'<path class="border" d="M0 {y:.1f}h{_SIDE}"/>' for y in rows.borders()]
    lines += [f'<path class="border" d="M{x:.1f} 0v{_SIDE}"/>' for x in columns.borders()]
    wide = max(_SIDE / len(test), _NARROWEST) if beside else 0.0
    width, height = left + _SIDE + 8 + 2 * wide, top + _SIDE + 2.2 * line + 20
    parts = [
        f'<g transform="translate(0 {top:.1f})">{"".join(rows.beside())}</g>',
        f'<g transform="translate({left:.1f} {top:.1f})">',
        *columns.above(top),
        f'<rect width="{_SIDE}" height="{_SIDE}" class="missing"/>',
        _image(pixels, _SIDE, _SIDE),
        *lines,
        *_diagonal(train, test),
        *(_own_column(own_dice, colours, (low, high), wide, line) if beside else ()),
        *_colour_bar(colours, low, high, line),
        "</g>",
        f'<text class="name" transform="translate({line:.1f} {top + _SIDE / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">trained under</text>',
        f'<text class="name" x="{left + _SIDE / 2:.1f}" y="{line:.1f}" text-anchor="middle">'
        "tested under</text>",
    ]
    return Markup(
        f'<svg class="matrix {"narrow" if compact else "wide"}" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )


def dice_range(M: np.ndarray) -> tuple[float, float]:
    """Return the ends of the colour scale: the range of Dice, rounded outwards to tenths."""
    finite = M[np.isfinite(M)]
    if not len(finite):
        return 0.0, 1.0
    low = np.floor(10 * finite.min() + 1e-9) / 10
    high = np.ceil(10 * finite.max() - 1e-9) / 10
    return float(low), float(max(high, low + 0.1))


def left_out(train: Sequence[Condition], test: Sequence[Condition]) -> list[str]:
    """Return words about the axes whose values are not written beside the matrix.

    An axis with one value is not written, since all conditions have it.
    """
    words = []
    for conditions in (train, test):
        labels = _Labels(conditions)
        for name in labels.varied[len(labels.levels) :]:
            values = sorted({condition.value(name) for condition in conditions})
            ends = AXES[name].words(f"{values[0]:g} to {values[-1]:g}")
            text = f"{AXES[name].label} {ends}"
            words.append(text.replace("-", "−"))
    return list(dict.fromkeys(words))


def png_uri(pixels: np.ndarray) -> str:
    """Return an image (y, x) or (y, x, channel) of uint8 as the URI of a PNG file."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def _colours(palette: str):
    from seaborn import color_palette  # imports matplotlib, which takes a second

    return color_palette(palette, as_cmap=True)


def _image(pixels: np.ndarray, width: float, height: float, y: float = 0) -> str:
    return (
        f'<image y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{png_uri(pixels)}"/>'
    )


def _diagonal(train: Sequence[Condition], test: Sequence[Condition]) -> Iterator[str]:
    """Yield outlines of the cells with equal conditions, or dots if the cells are small."""
    place = {condition: k for k, condition in enumerate(test)}
    width, height = _SIDE / len(test), _SIDE / len(train)
    for i, condition in enumerate(train):
        if (j := place.get(condition)) is None:
            continue
        if min(width, height) > _OUTLINED:
            yield (
                f'<rect class="own" x="{j * width + 1.2:.1f}" y="{i * height + 1.2:.1f}" '
                f'width="{width - 2.4:.1f}" height="{height - 2.4:.1f}"/>'
            )
        elif len(train) <= _DOTTED:
            yield (
                f'<circle class="dot" cx="{(j + 0.5) * width:.1f}" cy="{(i + 0.5) * height:.1f}" '
                f'r="{min(width, height) / 3:.2f}"/>'
            )


def _own_column(
    own_dice: np.ndarray, colours, ends: tuple[float, float], wide: float, line: float
) -> Iterator[str]:
    """Yield the column with the Dice of rows under their own condition, and its name."""
    low, high = ends
    height, x = _SIDE / len(own_dice), _SIDE + 6.0
    for i, value in enumerate(own_dice):
        if np.isfinite(value):
            red, green, blue = (255 * np.array(colours((value - low) / (high - low)))[:3]).round()
            yield (
                f'<rect x="{x:.1f}" y="{i * height:.1f}" width="{wide:.1f}" height="{height:.1f}" '
                f'fill="rgb({red:.0f},{green:.0f},{blue:.0f})"><title>{value:.3f}</title></rect>'
            )
    middle = x + wide / 2
    yield f'<text x="{middle:.1f}" y="{-line / 3:.1f}" text-anchor="middle">own</text>'


def _colour_bar(colours, low: float, high: float, line: float) -> Iterator[str]:
    pixels = (colours(np.linspace(0, 1, 128))[None] * 255).round().astype(np.uint8)
    bar, y, steps = _SIDE / 2, _SIDE + 14, round((high - low) * 10)
    yield _image(pixels, bar, 8, y)
    for k in range(steps + 1):
        value = low + k / 10
        if steps <= 5 or round(10 * value) % 2 == 0:
            x = bar * k / steps
            yield (
                f'<text x="{x:.1f}" y="{y + 8 + line:.1f}" text-anchor="middle">{value:.1f}</text>'
            )
    yield f'<text x="{bar + 16:.1f}" y="{y + 8:.1f}">mean Dice M(i, j)</text>'
