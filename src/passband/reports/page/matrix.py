"""The matrix of mean Dice on the page's first screen: an SVG whose text has the page's colours."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from passband.axes import AXES
from passband.figures import nested_axes
from passband.grid import Condition
from passband.reports.page.text import template

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

    def beside(self) -> Iterator[tuple[float, float, str]]:
        """Yield the place and the text of each label of rows."""
        x = self.start
        for runs in self.levels:
            x += self.length(runs)
            for run in runs:
                yield x, self.middle(run) + 3.2 * self.scale, run.label
            x += _GAP

    def above(self, top: float) -> Iterator[tuple[float, str, bool, list[tuple[float, str]]]]:
        """Yield each level of the labels of columns, relative to the matrix's corner.

        A level has a height, the name of its axis, whether its labels are beside each other, and
        the place and the text of each label.
        """
        y = self.start - top
        for runs in self.levels:
            y += self.height(runs)
            yield y, runs[0].axis, self.flat(runs), [(self.middle(r), r.label) for r in runs]
            y += _GAP

    def middle(self, run: _Run) -> float:
        return (run.first + run.number / 2) * self.step

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
    wide = max(_SIDE / len(test), _NARROWEST) if beside else 0.0
    size = left + _SIDE + 8 + 2 * wide, top + _SIDE + 2.2 * line + 20
    cell_width, cell_height = _SIDE / len(test), _SIDE / len(train)
    is_marked = min(cell_width, cell_height) > _OUTLINED or len(train) <= _DOTTED
    place = {condition: k for k, condition in enumerate(test)}
    steps = round((high - low) * 10)
    svg = template("matrix.svg.j2").render(
        compact=compact,
        size=size,
        alt=alt,
        top=top,
        left=left,
        line=line,
        side=_SIDE,
        gap=_GAP,
        rows=rows,
        columns=columns,
        image=_image,
        pixels=pixels,
        equal=[(i, place[c]) for i, c in enumerate(train) if c in place and is_marked],
        cell_width=cell_width,
        cell_height=cell_height,
        outlined=_OUTLINED,
        wide=wide,
        beside=[
            (i, value, (255 * np.array(colours((value - low) / (high - low)))[:3]).round())
            for i, value in enumerate(own_dice if beside else ())
            if np.isfinite(value)
        ],
        bar=(colours(np.linspace(0, 1, 128))[None] * 255).round().astype(np.uint8),
        ticks=[
            (k / steps, low + k / 10)
            for k in range(steps + 1)
            if steps <= 5 or round(10 * (low + k / 10)) % 2 == 0
        ],
    )
    return Markup("".join(svg.splitlines()))


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
    return data_uri("image/png", packed.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Return a file of a kind such as ``image/png`` as a URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _colours(palette: str):
    from seaborn import color_palette  # imports matplotlib, which takes a second

    return color_palette(palette, as_cmap=True)


def _image(pixels: np.ndarray, width: float, height: float, y: float) -> Markup:
    return Markup(
        f'<image y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{png_uri(pixels)}"/>'
    )
