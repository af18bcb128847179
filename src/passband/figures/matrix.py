"""The figure of the Dice matrices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from passband.analysis.groups import group_label, groups
from passband.figures import nested_axes, style
from passband.figures.nested_axes import LINE_CM, Strip
from passband.grid import Condition, along, is_condition, ordered

#: Height that a figure does not exceed, if more panels in a row avoid it [cm].
_TALLEST_CM = 23.0
#: Space between panels, at the right, for a matrix's name, for a colour bar, and for the words
#: beside a panel [cm].
_GAP_CM, _RIGHT_CM, _NAME_CM, _BAR_CM, _WORDS_CM = 0.4, 0.35, 0.45, 1.5, 0.45
#: Height of the row of a mixture, and space above the first one [cm].
_MIXED_CM, _MIXED_GAP_CM = 0.35, 0.12
#: Sides of a panel with few conditions, and side of a cell if there are few conditions [cm].
_SMALL_CM, _CELL_CM = 4.0, 1.2
#: Smallest height of a panel [cm], for the words beside it.
_LOWEST_CM = 2.2
#: Smallest distance between two ticks of a colour bar [cm].
_TICK_CM = 0.9
#: A colour bar is shorter than its panels by this length at each end, for the labels of its ends.
_INSET_CM = 0.35
#: Largest number of conditions along a side whose cells have sharp edges. More cells are too small
#: for the pixels of a picture, which then show the mean of neighbouring cells.
_SHARP = 300


def matrix(ood: xr.Dataset, palette: str, width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of M(i, j) and of the gap to a network trained under the test condition.

    Each specimen, architecture and test specimen has two panels: M(i, j) and the gap M(j, j) −
    M(i, j). Rows are training conditions, and columns are test conditions, both sorted by their
    values. The axes of the grid are nested, with defocus outermost. Black lines mark the cells with
    the same training and test condition. Mixtures of conditions have separate rows below.

    Args:
        ood: OOD metrics with `dice` and `gap_test`.
    """
    style.set_theme()
    mixed = [str(id) for id in ood.train.values if not is_condition(str(id))]
    train = ordered(along(ood, "train"))
    test = ordered(along(ood, "test"))
    ood = ood.sel(train=[*(c.id for c in train), *mixed], test=[c.id for c in test])
    matrices = {group_label(cells): cells for _, cells in groups(ood)}
    gaps = style.rounded_range(ood.gap_test.values)
    most = max(map(abs, gaps))
    # The colours of the gap are symmetric around 0, but its bar shows only the range of the data.
    shown = (
        ("dice", sns.color_palette(palette, as_cmap=True), style.rounded_range(ood.dice.values)),
        ("gap_test", style.differences(), (-most, most)),
    )
    bars = (
        ("mean Dice", shown[0][2]),
        ("gap to the network trained there", (min(gaps[0], 0), max(gaps[1], 0))),
    )
    plan = _planned(train, test, len(matrices), width_cm, mixed)
    figure = plt.figure(figsize=(style.inches(width_cm), style.inches(plan.height_cm)))
    for index, (name, group) in enumerate(matrices.items()):
        for part, (variable, colours, ends) in enumerate(shown):
            number = 2 * index + part
            ax = plan.panel(figure, number)
            cells = group[variable].transpose("train", "test").values
            image = _draw(ax, cells[: len(train)], colours, Normalize(*ends))
            _mark_equal(ax, train, test)
            below = plan.strip(figure, number) if mixed else ax
            if mixed:
                _draw(below, cells[len(train) :], colours, Normalize(*ends))
            if part == 0 or plan.columns == 1:
                ax.set_title(name, loc="left", fontsize=style.SMALL, pad=3)
            plan.label(ax, below, number)
            if index == 0:
                words, ends = bars[part]
                _colour_bar(plan.bar(figure, part), image, words, ends, plan.bar_cm)
    same = "\n".join(nested_axes.constants(test, width_cm))
    figure.text(0.5, 0.1 / plan.height_cm, same, ha="center", va="bottom", fontsize=style.SMALL)
    return figure


def _draw(ax: Axes, cells: np.ndarray, colours: Colormap, norm: Normalize):
    """Draw cells (train, test); cells without a value have the colour of the background."""
    ax.set_facecolor(style.MISSING)
    image = ax.imshow(
        np.ma.masked_invalid(cells),
        cmap=colours,
        norm=norm,
        aspect="auto",
        origin="upper",
        interpolation="none" if max(cells.shape) <= _SHARP else "auto",
    )
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _mark_equal(ax: Axes, train: Sequence[Condition], test: Sequence[Condition]) -> None:
    """Draw a line through each cell whose training condition is its test condition."""
    place = {condition: column for column, condition in enumerate(test)}
    lines = [
        [(place[condition] - 0.5, row - 0.5), (place[condition] + 0.5, row + 0.5)]
        for row, condition in enumerate(train)
        if condition in place
    ]
    for width, colour in ((1.4, "white"), (0.6, "black")):
        ax.add_collection(LineCollection(lines, colors=colour, lw=width, capstyle="butt"))


def _colour_bar(ax: Axes, image, words: str, ends: tuple[float, float], length_cm: float) -> None:
    bar = ax.figure.colorbar(image, cax=ax, orientation="horizontal")
    if nested_axes.text_cm(words, style.MEDIUM) > length_cm + 2 * _INSET_CM:
        half = words.index(" ", len(words) // 2)
        words = f"{words[:half]}\n{words[half + 1 :]}"
    bar.set_label(words, labelpad=3)
    ax.xaxis.set_label_position("top")
    ax.set_xlim(*ends)
    bar.locator = MaxNLocator(max(2, int(length_cm / _TICK_CM)), steps=[1, 2, 5, 10])
    bar.update_ticks()
    bar.outline.set_visible(False)


@dataclass(frozen=True)
class _Plan:
    """Places of panels, labels and colour bars. All lengths are in cm.

    Attributes:
        every: Whether every panel of a row has labels at its left, or only the first panel.
        mixed: Ids of the mixtures, which have rows below those of the training conditions.
    """

    train: Sequence[Condition]
    test: Sequence[Condition]
    panels: int
    columns: int
    every: bool
    size_cm: tuple[float, float]
    left: Sequence[Strip]
    below: Sequence[Strip]
    width_cm: float
    mixed: Sequence[str] = ()

    @property
    def left_cm(self) -> float:
        corner = nested_axes.title_cm(self.below) + 0.15
        names = [nested_axes.text_cm(id, style.SMALL) + 0.15 for id in self.mixed]
        return _WORDS_CM + max(nested_axes.depth_cm(self.left), corner, 0.1, *names)

    @property
    def strip_cm(self) -> float:
        """Height of the rows of mixtures."""
        return len(self.mixed) * _MIXED_CM

    @property
    def panel_cm(self) -> float:
        """Height of a panel with the rows of mixtures."""
        return self.size_cm[1] + (self.strip_cm + _MIXED_GAP_CM if self.mixed else 0)

    @property
    def below_cm(self) -> float:
        same = nested_axes.constants(self.test, self.width_cm)
        words = _WORDS_CM + 0.2 + LINE_CM * len(same)
        return nested_axes.depth_cm(self.below) + words

    @property
    def top_cm(self) -> float:
        return max(_BAR_CM + _NAME_CM, nested_axes.title_cm(self.left) + 0.3)

    @property
    def used_cm(self) -> float:
        labelled = self.columns if self.every else 1
        gaps = (self.columns - 1) * _GAP_CM
        return labelled * self.left_cm + self.columns * self.size_cm[0] + gaps + _RIGHT_CM

    @property
    def row_cm(self) -> float:
        """Height from one row of panels to the next."""
        return self.panel_cm + _NAME_CM + (_BAR_CM if self.columns == 1 else 0.1)

    @property
    def height_cm(self) -> float:
        rows = -(-self.panels // self.columns)
        return self.top_cm + (rows - 1) * self.row_cm + self.panel_cm + self.below_cm

    def corner_cm(self, number: int) -> tuple[float, float]:
        """Return the upper left corner of a panel, from the figure's upper left corner."""
        row, column = divmod(number, self.columns)
        step = self.size_cm[0] + _GAP_CM + (self.left_cm if self.every else 0)
        start = (self.width_cm - self.used_cm) / 2 + self.left_cm
        return start + column * step, self.top_cm + row * self.row_cm

    def _axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        bottom = 1 - (top + height) / self.height_cm
        box = (left / self.width_cm, bottom, width / self.width_cm, height / self.height_cm)
        return figure.add_axes(box)

    def panel(self, figure: Figure, number: int) -> Axes:
        return self._axes(figure, *self.corner_cm(number), *self.size_cm)

    def strip(self, figure: Figure, number: int) -> Axes:
        """Return the axes for the rows of mixtures below a panel."""
        left, top = self.corner_cm(number)
        top += self.size_cm[1] + _MIXED_GAP_CM
        return self._axes(figure, left, top, self.size_cm[0], self.strip_cm)

    @property
    def bar_cm(self) -> float:
        """Length of a colour bar: as long as one panel, or as a pair of panels."""
        panels = self.size_cm[0] if self.columns < 4 else 2 * self.size_cm[0] + _GAP_CM
        return panels - 2 * _INSET_CM

    def bar(self, figure: Figure, part: int) -> Axes:
        left, top = self.corner_cm(part if self.columns < 4 else 2 * part)
        ax = self._axes(figure, left + _INSET_CM, top - _NAME_CM - 0.6, self.bar_cm, 0.2)
        ax.set_label("<colorbar>")
        return ax

    def label(self, ax: Axes, lowest: Axes, number: int) -> None:
        """Write the conditions beside a panel, whose `lowest` axes have the rows of mixtures."""
        row, column = divmod(number, self.columns)
        width, height = self.size_cm
        if self.every or column == 0:
            nested_axes.draw(ax, "left", self.left, self.size_cm, titled=row == 0)
            ax.set_ylabel("trained under")
            place = self.left_cm - _WORDS_CM / 2
            ax.yaxis.set_label_coords(-place / width, 0.5)
            ax.yaxis.label.set_verticalalignment("center")
            for row, id in enumerate(self.mixed):
                place, size = (-0.1 / width, 1 - (row + 0.5) / len(self.mixed)), style.SMALL
                how = {"transform": lowest.transAxes, "ha": "right", "va": "center"}
                lowest.text(*place, id, fontsize=size, **how)
        if number + self.columns >= self.panels:
            titled, height = self.every or column == 0, self.strip_cm or height
            nested_axes.draw(lowest, "bottom", self.below, (width, height), titled=titled)
            lowest.set_xlabel("tested under")
            place = -(nested_axes.depth_cm(self.below) + 0.1) / height
            lowest.xaxis.set_label_coords(0.5, place)
            lowest.xaxis.label.set_verticalalignment("top")


def _planned(
    train: Sequence[Condition],
    test: Sequence[Condition],
    matrices: int,
    width_cm: float,
    mixed: Sequence[str] = (),
) -> _Plan:
    """Return the plan with the largest panels whose figure is not too tall."""
    narrow = style.is_narrow(width_cm)
    most = (1, 2) if matrices == 1 else (2, 4)
    for columns in most if narrow else (2, 4, 6):
        every = columns == 2 and not narrow
        size_cm = _SMALL_CM, _SMALL_CM
        plan = _Plan(train, test, 2 * matrices, columns, every, size_cm, [], [], width_cm, mixed)
        # How labels are written depends on the size of the panels, which depends on the labels.
        for _ in range(4):
            room = plan.size_cm[0] + (width_cm - plan.used_cm) / columns
            wide = min(room, max(_SMALL_CM, _CELL_CM * len(test)))
            high = np.clip(wide * len(train) / len(test), min(wide, _LOWEST_CM), 1.6 * wide)
            plan = replace(
                plan,
                size_cm=(wide, float(high)),
                left=nested_axes.strips(nested_axes.levels(train), high / len(train)),
                below=nested_axes.strips(nested_axes.levels(test), wide / len(test)),
            )
        if plan.used_cm > width_cm + 1e-6:
            wide -= (plan.used_cm - width_cm) / columns
            plan = replace(plan, size_cm=(wide, plan.size_cm[1]))
        if plan.height_cm <= _TALLEST_CM:
            break
    return plan
