"""The figure of the Dice matrices, in the style of the explorer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from passband.errors import PassbandError
from passband.figures import nested_axes, style
from passband.figures.nested_axes import LINE_CM, Strip
from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.parts import figure

#: Height that a figure does not exceed, if more panels in a row avoid it [cm].
_TALLEST_CM = 23.0
#: Space between panels [cm].
_GAP_CM = 0.4
#: Space at the right [cm].
_RIGHT_CM = 0.35
#: Space for a matrix's name [cm].
_NAME_CM = 0.45
#: Space for a colour bar [cm].
_BAR_CM = 1.85
#: Space for the words beside a panel [cm].
_WORDS_CM = 0.5
#: Height of the row of a mixture [cm].
_MIXED_CM = 0.35
#: Space above the first row of a mixture [cm].
_MIXED_GAP_CM = 0.12
#: Side of a panel with few conditions [cm].
_SMALL_CM = 4.0
#: Side of a cell if there are few conditions [cm].
_CELL_CM = 1.2
#: Smallest height of a panel [cm], for the words beside it.
_LOWEST_CM = 2.2
#: Smallest distance between two ticks of a colour bar [cm].
_TICK_CM = 0.9
#: A colour bar is shorter than its panels by this length at each end, for the labels of its ends.
_INSET_CM = 0.35
#: Largest number of conditions along a side whose cells have sharp edges. More cells are too small
#: for the pixels of a picture, which then show the mean of neighbouring cells.
_SHARP = 300
#: Smallest side of a cell whose outline marks it [cm]; a line marks a smaller cell.
_OUTLINED_CM = 0.15
#: Words for what a panel shows.
WORDS = {"dice": "mean Dice", "gap_test": style.LOSS}


# The first screen of the page has the matrix itself.
@figure(
    inputs=("ood",),
    place="",
    caption=(
        "**Every network under every test condition.** First panel: mean Dice M(i, j) of networks "
        "trained at i (rows) and tested at j (columns). Second: the loss M(j, j) − M(i, j) against "
        "the network trained there, orange; a gain is blue. The axis with the largest loss is "
        "outermost. Marked: trained where it is tested. Grey: no value."
    ),
)
def matrix(matrices: Sequence[Matrix], width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of M(i, j) and of the loss to a network trained under the test condition.

    Each matrix has two panels: M(i, j) and the loss M(j, j) − M(i, j). Mixtures of conditions have
    separate rows below. See :func:`draw`.

    Args:
        matrices: Matrices of one study.

    Raises:
        PassbandError: If there is no training condition or no test condition.
    """
    first = matrices[0]
    if not first.train or not first.test:
        side = "test" if first.train else "training"
        raise PassbandError(f"{first.label}: there is no {side} condition to draw")
    ordered = [*np.flatnonzero(~first.is_mixture), *np.flatnonzero(first.is_mixture)]
    cells = {
        each.label: {"dice": each.dice.values[ordered], "gap_test": each.loss.values[ordered]}
        for each in matrices
    }
    return draw(cells, first.train, first.test, width_cm, first.mixtures)


def losses(M: np.ndarray, train: Sequence[Condition], test: Sequence[Condition]) -> np.ndarray:
    """Return M(j, j) − M(i, j) of a matrix, (train, test); NaN without a network for j."""
    place = {condition: row for row, condition in enumerate(train)}
    there = [M[place[c], k] if c in place else np.nan for k, c in enumerate(test)]
    return np.array(there) - M


def outermost(
    train: Sequence[Condition], test: Sequence[Condition], losses: Sequence[np.ndarray]
) -> list[str]:
    """Return the names of the axes, that with the largest mean loss of Dice being the first.

    Pairs of conditions that differ in one axis only count for it. An axis without such pairs keeps
    its place behind the others.

    Args:
        losses: See :func:`losses`, each (train, test).
    """
    names = list(train[0].values())
    values = [np.array([[*c.values().values()] for c in side]) for side in (train, test)]
    differs = values[0][:, None] != values[1]
    single = differs.sum(-1) == 1
    mean = []
    for k in range(len(names)):
        found = np.concatenate([loss[single & differs[..., k]] for loss in losses])
        found = found[np.isfinite(found)]
        mean.append(found.mean() if len(found) else -np.inf)
    return [names[k] for k in sorted(range(len(names)), key=lambda k: -mean[k])]


def draw(
    matrices: Mapping[str, Mapping[str, np.ndarray]],
    train: Sequence[Condition],
    test: Sequence[Condition],
    width_cm: float,
    mixed: Sequence[str] = (),
    shown: Sequence[str] = tuple(WORDS),
    home: np.ndarray | None = None,
) -> Figure:
    """Return the figure of matrices, whose axes are nested: see :func:`outermost`.

    Rows are training conditions, and columns are test conditions. Cells with the same training and
    test condition are outlined.

    Args:
        matrices: For each name of a matrix, `dice` and `gap_test`, (train and mixed, test).
        mixed: Ids of mixtures.
        shown: Which of the two are drawn.
        home: (train,), Dice at home of rows that have no column for it, else NaN. It is a
            column of its own, right of the only panel.
    """
    style.set_theme()
    losses = [each["gap_test"][: len(train)] for each in matrices.values()]
    names = outermost(train, test, losses)
    rows, columns = (_order(side, names) for side in (train, test))
    train, test = [train[k] for k in rows], [test[k] for k in columns]
    rows = [*rows, *range(len(rows), len(rows) + len(mixed))]
    dice = [each["dice"].ravel() for each in matrices.values()]
    dice = style.rounded_range(np.concatenate([*dice, *([] if home is None else [home])]))
    gaps = style.rounded_range(
        np.concatenate([each["gap_test"].ravel() for each in matrices.values()])
    )
    most = max(map(abs, gaps))
    # The colours of the loss are symmetric around 0, but its bar shows only the range of the data.
    scales = {
        "dice": (sns.color_palette(style.PALETTE, as_cmap=True), dice, dice),
        "gap_test": (style.differences(), (-most, most), (min(gaps[0], 0), max(gaps[1], 0))),
    }
    plan = _planned(train, test, names, len(matrices), len(shown), width_cm, mixed)
    figure = plt.figure(figsize=(style.inches(width_cm), style.inches(plan.height_cm)))
    panels = []
    for index, (name, group) in enumerate(matrices.items()):
        for part, variable in enumerate(shown):
            number = len(shown) * index + part
            ax = plan.panel(figure, number)
            colours, ends, bar_ends = scales[variable]
            cells = group[variable][np.ix_(rows, columns)]
            image = _draw(ax, cells[: len(train)], colours, Normalize(*ends))
            _mark_equal(ax, train, test, min(plan.cell_cm))
            below = plan.strip(figure, number) if mixed else ax
            if mixed:
                _draw(below, cells[len(train) :], colours, Normalize(*ends))
            panels.append(ax)
            plan.label(ax, below, number, name if part == 0 or plan.columns == 1 else "")
            if index == 0:
                bar = plan.bar(figure, part)
                _colour_bar(bar, image, WORDS[variable], bar_ends, plan.bar_cm)
            if home is not None:
                beside = plan.beside(figure)
                _draw(beside, home[rows, None], colours, Normalize(*ends))
                beside.set_title("own", fontsize=style.SMALL, pad=3)
    style.letter(panels, [plan.title_pt(number // plan.columns) for number in range(len(panels))])
    same = "\n".join(nested_axes.constants(test, width_cm))
    figure.text(0.5, 0.1 / plan.height_cm, same, ha="center", va="bottom", fontsize=style.SMALL)
    return figure


def _order(conditions: Sequence[Condition], names: Sequence[str]) -> list[int]:
    """Return the places of conditions that are sorted by axes, the first being the outermost."""
    every = [condition.values() for condition in conditions]
    return sorted(range(len(every)), key=lambda k: [every[k][name] for name in names])


def _draw(ax: Axes, cells: np.ndarray, colours: Colormap, norm: Normalize):
    """Draw cells (train, test); cells without a value are grey."""
    image = ax.imshow(
        np.ma.masked_invalid(cells),
        cmap=colours.with_extremes(bad=style.MISSING),
        norm=norm,
        aspect="auto",
        origin="upper",
        interpolation="none" if max(cells.shape) <= _SHARP else "auto",
    )
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _mark_equal(
    ax: Axes, train: Sequence[Condition], test: Sequence[Condition], cell_cm: float
) -> None:
    """Mark each cell whose training condition is its test condition by an outline, or by a line."""
    place = {condition: column for column, condition in enumerate(test)}
    x = [-0.5, 0.5]
    y = [-0.5, 0.5]
    if cell_cm >= _OUTLINED_CM:
        half = 0.5 - 0.02 / cell_cm
        x, y = np.multiply(half, [[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]])
    lines = [
        [(place[condition] + dx, row + dy) for dx, dy in zip(x, y, strict=True)]
        for row, condition in enumerate(train)
        if condition in place
    ]
    for width, colour in ((1.8, "white"), (0.8, "black")):
        ax.add_collection(LineCollection(lines, colors=colour, lw=width, capstyle="butt"))


def _colour_bar(ax: Axes, image, words: str, ends: tuple[float, float], length_cm: float) -> None:
    bar = ax.figure.colorbar(image, cax=ax, orientation="horizontal")
    if nested_axes.text_cm(words) > length_cm + 2 * _INSET_CM:
        half = words.index(" ", len(words) // 2)
        words = f"{words[:half]}\n{words[half + 1 :]}"
    bar.set_label(words, labelpad=3, fontsize=style.SMALL)
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
    above: Sequence[Strip]
    width_cm: float
    mixed: Sequence[str] = ()
    name_cm: float = _NAME_CM
    right_cm: float = _RIGHT_CM

    @property
    def cell_cm(self) -> tuple[float, float]:
        return self.size_cm[0] / len(self.test), self.size_cm[1] / len(self.train)

    @property
    def left_cm(self) -> float:
        corner = nested_axes.title_cm(self.above) + 0.15
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
        return max(_BAR_CM, nested_axes.title_cm(self.left) + 0.3) + 0.2 + LINE_CM * len(same)

    @property
    def top_cm(self) -> float:
        return nested_axes.depth_cm(self.above) + _WORDS_CM + self.name_cm

    @property
    def used_cm(self) -> float:
        labelled = self.columns if self.every else 1
        gaps = (self.columns - 1) * _GAP_CM
        return labelled * self.left_cm + self.columns * self.size_cm[0] + gaps + self.right_cm

    @property
    def row_cm(self) -> float:
        """Height from one row of panels to the next."""
        return self.panel_cm + self.name_cm + (_BAR_CM if self.columns == 1 else 0.1)

    @property
    def rows(self) -> int:
        return -(-self.panels // self.columns)

    @property
    def height_cm(self) -> float:
        return self.top_cm + (self.rows - 1) * self.row_cm + self.panel_cm + self.below_cm

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

    def beside(self, figure: Figure) -> Axes:
        """Return the axes for a column right of the only panel."""
        left, top = self.corner_cm(0)
        return self._axes(figure, left + self.size_cm[0] + 0.1, top, 0.25, self.size_cm[1])

    @property
    def bar_cm(self) -> float:
        """Length of a colour bar: as long as one panel, or as a pair of panels."""
        panels = self.size_cm[0] if self.columns < 4 else 2 * self.size_cm[0] + _GAP_CM
        return panels - 2 * _INSET_CM

    def bar(self, figure: Figure, part: int) -> Axes:
        """Return the axes for a colour bar below the last row of panels, or below its panel."""
        left, top = self.corner_cm(part if self.columns < 4 else 2 * part)
        below = 0 if self.columns == 1 else (self.rows - 1) * self.row_cm
        top += below + self.panel_cm + 0.25
        ax = self._axes(figure, left + _INSET_CM, top, self.bar_cm, 0.2)
        ax.set_label("<colorbar>")
        return ax

    def title_pt(self, row: int) -> float:
        """Return the distance of a matrix's name from the first, or from another, row's panel."""
        over_cm = 0 if row else nested_axes.depth_cm(self.above) + _WORDS_CM
        return 3 + 72 * style.inches(over_cm)

    def label(self, ax: Axes, lowest: Axes, number: int, name: str) -> None:
        """Write the conditions beside a panel, whose `lowest` axes have the rows of mixtures."""
        row, column = divmod(number, self.columns)
        (width, height), beyond_cm = self.size_cm, self.panel_cm - self.size_cm[1]
        first = self.every or column == 0
        ax.set_title(name, loc="left", fontsize=style.SMALL, pad=self.title_pt(row))
        if first:
            last = row == self.rows - 1
            nested_axes.draw(ax, "left", self.left, self.size_cm, last, beyond_cm)
            ax.set_ylabel("← trained at", color=style.OWN, verticalalignment="center")
            ax.yaxis.set_label_coords((_WORDS_CM / 2 - self.left_cm) / width, 0.5)
            for place, id in enumerate(self.mixed):
                at = (-0.1 / width, 1 - (place + 0.5) / len(self.mixed))
                size = style.SMALL
                how = {"transform": lowest.transAxes, "ha": "right", "va": "center"}
                lowest.text(*at, id, fontsize=size, **how)
        if row == 0:
            nested_axes.draw(ax, "top", self.above, (width, height), first)
            ax.set_xlabel("tested at →", color=style.OTHER, verticalalignment="bottom")
            ax.xaxis.set_label_coords(0.5, 1 + (nested_axes.depth_cm(self.above) + 0.1) / height)


def _planned(
    train: Sequence[Condition],
    test: Sequence[Condition],
    names: Sequence[str],
    matrices: int,
    parts: int,
    width_cm: float,
    mixed: Sequence[str] = (),
) -> _Plan:
    """Return the plan with the largest panels whose figure is not too tall."""
    narrow = style.is_narrow(width_cm)
    panels = parts * matrices
    most = (1, 2) if matrices == 1 else (2, 4)
    for columns in most if narrow else (2, 4, 6):
        columns = min(columns, panels)
        every = columns == 2 and not narrow
        size_cm = _SMALL_CM, _SMALL_CM
        plan = _Plan(train, test, panels, columns, every, size_cm, [], [], width_cm, mixed)
        if panels == 1:  # it has no name, but maybe a column beside it
            plan = replace(plan, name_cm=0.0, right_cm=2 * _RIGHT_CM)
        # How labels are written depends on the size of the panels, which depends on the labels.
        for _ in range(4):
            room = plan.size_cm[0] + (width_cm - plan.used_cm) / columns
            wide = min(room, max(_SMALL_CM, _CELL_CM * len(test)))
            high = np.clip(wide * len(train) / len(test), min(wide, _LOWEST_CM), 1.6 * wide)
            of_rows, of_columns = (nested_axes.levels(side, names) for side in (train, test))
            plan = replace(
                plan,
                size_cm=(wide, float(high)),
                left=nested_axes.strips(of_rows, high / len(train), "left"),
                above=nested_axes.strips(of_columns, wide / len(test)),
            )
        if plan.used_cm > width_cm + 1e-6:
            wide -= (plan.used_cm - width_cm) / columns
            plan = replace(plan, size_cm=(wide, plan.size_cm[1]))
        if plan.height_cm <= _TALLEST_CM:
            break
    return plan
