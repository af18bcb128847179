"""Labels of many conditions beside a matrix, an axis of the grid within another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import blended_transform_factory

from passband.axes import AXES
from passband.figures import style
from passband.grid import Condition

#: Height of a line of text [cm].
LINE_CM = 0.3
#: Free space between two labels or strips [cm].
_SPACE_CM = 0.1
_POINTS_PER_CM = 72 / 2.54


@dataclass(frozen=True)
class Level:
    """An axis of the grid beside a matrix.

    Attributes:
        name: Key of the axis, see :data:`passband.axes.AXES`.
        groups: For each group of neighbouring conditions with the same value of this axis and of
            all outer axes: the first condition, the condition after the last, and the value.
        is_sorted: Whether the conditions are sorted by this axis within the groups of outer axes.
            Points are sorted by the first axis only, if each of them has another value of it.
    """

    name: str
    groups: tuple[tuple[int, int, float], ...]
    is_sorted: bool = True

    @property
    def labels(self) -> list[str]:
        """The values of the groups as text."""
        values = [value for *_, value in self.groups]
        short = {value: style.short(value) for value in values}
        if len({*short.values()}) < len(short):
            short = {value: style.number(value) for value in values}
        return [short[value] for value in values]

    @property
    def title(self) -> str:
        """The axis's name and unit."""
        return AXES[self.name].title

    @property
    def span(self) -> str:
        """The name, the range and the unit; an arrow towards higher values of a sorted axis."""
        axis = AXES[self.name]
        values = [value for *_, value in self.groups]
        low, high = (style.short(end) for end in (min(values), max(values)))
        arrow = " →" if self.is_sorted else ""
        return f"{axis.named(f'{low}…{high}')}{arrow}"


@dataclass(frozen=True)
class Strip:
    """How a level is written beside a matrix.

    Attributes:
        kind: `along`, `across` or `range`, labels along the side of the matrix, labels at a right
            angle to it, or one label with the range of values.
        depth_cm: Room that the strip needs beside the matrix [cm].
    """

    level: Level
    kind: str
    depth_cm: float


def levels(conditions: Sequence[Condition], names: Sequence[str] = ()) -> list[Level]:
    """Return the levels of sorted conditions, the outermost first, without axes of one value.

    The conditions are sorted by the axes with these names, the first being the outermost, and by
    default by all axes in their order.
    """
    found = []
    every = [condition.values() for condition in conditions]
    names = names or list(every[0])
    for depth, name in enumerate(names, 1):
        if len({values[name] for values in every}) == 1:
            continue
        outer = names[:depth]
        groups = []
        start = 0
        for values, members in groupby(every, lambda v, of=outer: [v[n] for n in of]):
            stop = start + len(list(members))
            groups.append((start, stop, values[-1]))
            start = stop
        found.append(Level(name, tuple(groups)))
    # If an outer axis already separates all conditions, they are not sorted by the axes within it.
    single = [len(level.groups) == len(conditions) for level in found]
    return [replace(level, is_sorted=not any(single[:depth])) for depth, level in enumerate(found)]


def constants(conditions: Sequence[Condition], width_cm: float) -> list[str]:
    """Return lines about axes with one value, such as ``all at …``, no longer than the figure."""
    every = [condition.values() for condition in conditions]
    same = [
        style.value_label(name, value)
        for name, value in every[0].items()
        if len({values[name] for values in every}) == 1
    ]
    lines = []
    for number, words in enumerate(same):
        words += "," if number < len(same) - 1 else ""
        # Hinting makes a drawn text a little wider than its outline.
        if lines and 1.06 * text_cm(f"{lines[-1]} {words}") < width_cm - 2 * _SPACE_CM:
            lines[-1] += f" {words}"
        else:
            lines.append(words if lines else f"all at {words}")
    return lines


@cache
def text_cm(text: str, size: float = style.SMALL) -> float:
    """Return the width of a text [cm] of a given font size [pt]."""
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans"))
    return float(path.get_extents().width) / _POINTS_PER_CM


def strips(found: Sequence[Level], cell_cm: float, side: str = "top") -> list[Strip]:
    """Return how levels are written beside cells of a given size [cm], innermost level first.

    Words beside rows, at the side `left`, are never turned.
    """
    written = []
    for level in reversed(found):
        size = cell_cm * min(stop - start for start, stop, _ in level.groups)
        longest = max(map(text_cm, level.labels))
        if side == "top" and longest + 2 * _SPACE_CM <= size:
            written.append(Strip(level, "along", LINE_CM + 1.5 * _SPACE_CM))
        elif size >= LINE_CM:
            written.append(Strip(level, "across", longest + 2.5 * _SPACE_CM))
        else:
            written.append(Strip(level, "range", LINE_CM + 1.5 * _SPACE_CM))
    return written


def depth_cm(written: Sequence[Strip]) -> float:
    """Return the room that strips need beside a matrix [cm]."""
    return sum(strip.depth_cm for strip in written)


def title_cm(written: Sequence[Strip]) -> float:
    """Return the length of the longest title of strips [cm]. A range has its title in its text."""
    return max((text_cm(s.level.title) for s in written if s.kind != "range"), default=0.0)


def draw(
    ax: Axes,
    side: str,
    written: Sequence[Strip],
    size_cm: tuple[float, float],
    titled: bool = True,
    beyond_cm: float = 0,
) -> None:
    """Write strips above a matrix or to the left of it.

    Args:
        ax: The panel with the matrix. Its cell (i, j) is centred at x = j, y = i.
        side: `top` or `left`.
        written: The strips, innermost first.
        size_cm: Width and height of the panel [cm].
        titled: Whether the names of the axes are written: left of the strips above a matrix, and
            below the strips at its left.
        beyond_cm: Distance of these names below a matrix from its lower edge [cm].
    """
    above = side == "top"
    across_cm = size_cm[1] if above else size_cm[0]
    transform = blended_transform_factory(
        *((ax.transData, ax.transAxes) if above else (ax.transAxes, ax.transData))
    )

    def place(along: float, off: float) -> tuple[float, float]:
        """Return coordinates from a place along the side and a distance from the panel [cm]."""
        return (along, 1 + off / across_cm) if above else (-off / across_cm, along)

    low, high = sorted(ax.get_xlim() if above else ax.get_ylim())
    off = 0.0
    gap = _SPACE_CM * _POINTS_PER_CM
    for strip in written:
        middle = off + (_SPACE_CM / 2 + strip.depth_cm) / 2
        if strip.kind == "range":
            words = strip.level.span
            if text_cm(words) > (size_cm[0] if above else size_cm[1]):
                words = words.replace(f" {AXES[strip.level.name].unit} ", " ")
            at = place((low + high) / 2, middle)
            _write(ax, at, words, 0 if above else 270, transform)
        else:
            for (start, stop, _), words in zip(strip.level.groups, strip.level.labels, strict=True):
                edge = [place(start - 0.5, off + depth) for depth in (0.05, strip.depth_cm)]
                x, y = zip(*edge, strict=True)
                ax.plot(x, y, color="0.6", lw=0.6, transform=transform, clip_on=False)
                turned = (strip.kind == "along") != above
                at = place((start + stop - 1) / 2, middle)
                _write(ax, at, words, 90 if turned else 0, transform)
            if titled:
                ax.annotate(
                    strip.level.title,
                    place(low if above else high, middle),
                    (-gap, 0) if above else (0, -gap - beyond_cm * _POINTS_PER_CM),
                    xycoords=transform,
                    textcoords="offset points",
                    ha="right" if above else "center",
                    va="center" if above else "top",
                    rotation=0 if above else 90,
                    fontsize=style.SMALL,
                    annotation_clip=False,
                )
        off += strip.depth_cm


def _write(ax: Axes, at: tuple, words: str, rotation: int, transform) -> None:
    ax.text(
        *at,
        words,
        ha="center",
        va="center",
        rotation=rotation,
        fontsize=style.SMALL,
        transform=transform,
    )
