"""Small synthetic data for tests of figures, and checks that every figure must pass."""

import re
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Text

from passband.figures import style
from passband.grid import Axes

GRID = {
    "defocus_nm": [-10.0, 5.0, 20.0],
    "cs_um": [1.2, 60.0],
    "aperture_mrad": [10.0, 15.0],
    "dose_e_per_A2": [100.0, 1000.0],
}
ONE = {axis: values[-1:] for axis, values in GRID.items()}
DIMS = ("specimen", "architecture", "test_specimen", "train", "test")
#: A figure that can be read in a column mostly can on a page, too.
WIDTHS = (style.COLUMN_CM, pytest.param(style.PAGE_CM, marks=pytest.mark.slow))


def ids(grid):
    return [condition.id for condition in Axes.main.conditions(grid)]


def make_ood(train=GRID, test=None, specimens=("gold",), architectures=("compact-w4-d2",), seed=0):
    """Return random OOD metrics of two training grids, with the variables that figures read."""
    train, test = ids(train), ids(test or train)
    shape = (len(specimens), len(architectures), len(specimens), len(train), len(test))
    random = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "dice": (DIMS, random.uniform(0, 1, shape)),
            "gap_test": (DIMS, random.uniform(-1, 1, shape)),
        },
        coords={
            "specimen": list(specimens),
            "architecture": list(architectures),
            "test_specimen": list(specimens),
            "train": train,
            "test": test,
            **Axes.main.coordinates(train, "train"),
            **Axes.main.coordinates(test, "test"),
        },
    )


def make_information(ood, weights=("flat",), seed=1):
    random = np.random.default_rng(seed)
    shape = (len(weights), ood.sizes["train"], ood.sizes["test"])
    return xr.Dataset(
        {
            name: (("weight", "train", "test"), random.uniform(-1, 1, shape))
            for name in ("overlap", "overlap_abs", "coverage")
        },
        coords={"weight": list(weights), "train": ood.train.values, "test": ood.test.values},
    )


def drawn(figure):
    """Draw a figure in the same way as saving does, so that warnings and errors occur here."""
    figure.canvas.draw()
    return figure


def words(ax):
    """Return the texts in a panel and beside it, without the panel's letter."""
    texts = [text for text in ax.texts if text.get_weight() != "bold"]
    return [text.get_text() for text in texts]


def letters(figure):
    """Return the letters of a figure's panels."""
    return [t.get_text() for ax in figure.axes for t in ax.texts if t.get_weight() == "bold"]


def panels(figure):
    """Return a figure's axes, without those of colour bars."""
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def check(figure: Figure, width_cm: float) -> Figure:
    """Check that a figure has its width, and that its words can be read at this size.

    No word is smaller than 7 pt, is outside the figure, touches another word, or has a hyphen in
    place of a minus sign. No legend covers a panel.
    """
    figure.canvas.draw()
    assert figure.get_figwidth() * 2.54 == pytest.approx(width_cm)
    renderer = figure.canvas.get_renderer()
    # Rotated words are in upright boxes that are larger than the words.
    words = {text: text.get_window_extent(renderer) for text in _drawn_words(figure)}
    whole = figure.bbox.padded(1)
    for text, box in words.items():
        found = text.get_text()
        assert text.get_fontsize() >= style.SMALL, found
        assert "^" not in found, f"an exponent is smaller than its text: {found}"
        assert not re.search(r"(?<![\w-])-[\d.]", found), found
        assert whole.contains(box.x0, box.y0), found
        assert whole.contains(box.x1, box.y1), found
    upright = [(text, box) for text, box in words.items() if text.get_rotation() % 90 == 0]
    for (a, one), (b, other) in combinations(upright, 2):
        x = min(one.x1, other.x1) - max(one.x0, other.x0)
        y = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(x, y) <= 1, (a.get_text(), b.get_text())
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    for legend in legends:
        box = legend.get_window_extent(renderer)
        for ax in figure.axes:
            if ax.axison:
                panel = ax.get_window_extent(renderer)
                x = min(box.x1, panel.x1) - max(box.x0, panel.x0)
                y = min(box.y1, panel.y1) - max(box.y0, panel.y0)
                assert min(x, y) <= 1, "a legend covers a panel"
        names = [text.get_text() for text in legend.get_texts()]
        assert len(set(names)) == len(names), names
        assert all(names)
    return figure


def _drawn_words(figure: Figure) -> list[Text]:
    """Return the texts of a figure that are drawn: no empty texts, no ticks out of range."""
    ticks, hidden = set(), set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * max(1.0, abs(low), abs(high))
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                inside = ax.axison and low - slack <= tick.get_loc() <= high + slack
                for label in (tick.label1, tick.label2):
                    (ticks if inside and tick.get_visible() else hidden).add(label)
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden
    ]
