"""Figures of prediction.zarr, from the predictions of a small synthetic study."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from figure_data import WIDTHS, check
from matrices import GRID, make_information, make_metrics, make_table

from passband.analysis import ood
from passband.figures import prediction as figures
from passband.figures import smoothness as smoothness_figure
from passband.figures import style
from passband.prediction.matrix import completion, cross_validation, design, prediction, smoothness
from passband.scores import dice

ENDS = ("train", "test")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predicted():
    """The predictions of a study of 24 conditions."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("GROUPS", 3), ("INNER", 2)):
            patch.setattr(cross_validation, name, value)
        for name, value in (("SHARES", (0.3, 0.5)), ("CHOICES", 2)):
            patch.setattr(completion, name, value)
        table = make_table(GRID, make_metrics()[0].dice.values[0, 0, 0], sd_replica=0.01)
        table["dice"] = (table.counts.dims[:-2], dice(table.counts.values).mean(-1))
        table["val_loss"] = (table.counts.dims[:4], np.zeros(table.counts.shape[:4]))
        information = make_information(table.train.values, table.test.values)
        information["overlap_abs"] = shared = np.abs(information.overlap)
        ones = {f"capacity_{e}": xr.ones_like(information[f"transfer_{e}"]) for e in ENDS}
        metrics = ood.metrics(table, information.assign(ones | {"shared_capacity": shared}), 10)
        axes = [cross_validation.CONDITIONS, "defocus_nm"]
        whole = prediction.predict(metrics, information, draws=20, axes=axes, threads=1)
        of = [
            whole,
            smoothness.monotonicity(metrics, information, 20),
            smoothness.steps(table),
            design.design(metrics, information, whole),
            completion.completion(metrics, information, 2),
        ]
    return xr.merge(of, combine_attrs="drop")


def single_points(ax):
    """Return the (x, y) of the lines of a panel that are single points."""
    points = [line.get_data() for line in ax.lines if line.get_marker() != "None"]
    return [(float(np.ravel(x)[0]), float(np.ravel(y)[0])) for x, y in points]


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_prediction_has_a_dot_for_each_level(predicted, width_cm):
    figure = check(figures.prediction(predicted, "viridis", width_cm), width_cm)
    _, single, compared = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    of = predicted.sel(features="ctf", model="stacked").squeeze()
    # A row for each level, with a dot for each side that is held out.
    found = single_points(single)
    assert len({y for _, y in found}) == len(found) == of.sizes["part"]
    assert sorted(x for x, _ in found) == pytest.approx(sorted(of.r2.values))
    names = [text.get_text() for text in single.get_yticklabels()]
    levels = ["5 nm", "15 nm", "25 nm"]
    assert names == ["groups of conditions", "group 1", "group 2", "group 3", "defocus", *levels]
    # A row for each set of features, with a dot for each axis, all held out as both.
    sets = [f for f in ("ctf", "raw", "id") if f in predicted.features.values]
    expected = [
        float(predicted.r2.sel(part=f"{axis}/both/all", features=f, model="stacked").squeeze())
        for f in sets
        for axis in ("conditions", "defocus_nm")
    ]
    found = single_points(compared)
    assert [x for x, _ in found] == pytest.approx(expected)
    assert len({y for _, y in found}) == len(found)
    names = [text.get_text() for text in compared.get_yticklabels()]
    assert names == [figures.FEATURES[f] for f in sets]
    plt.close(figure)


def test_a_score_below_the_axis_is_an_arrow_at_its_edge(predicted):
    low = predicted.copy(deep=True)
    low.r2.loc[{"features": "raw", "part": "defocus_nm/both/all"}] = -7
    figure = figures.prediction(low, "viridis")
    _, _, compared = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    assert compared.get_legend().get_title().get_text() == "sets of features"
    (arrow,) = (line for line in compared.lines if line.get_marker() == 8)
    assert np.ravel(arrow.get_xdata()) == [-1]
    assert compared.get_xlim()[0] < -1
    plt.close(figure)


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_smoothness_shows_steps_beside_their_noise(predicted, width_cm):
    figure = check(smoothness_figure.smoothness(predicted, "viridis", width_cm), width_cm)
    above, below = figure.axes
    of = predicted.squeeze()
    drawn = {line.get_label(): line.get_ydata() for line in above.lines}
    for name, (value, end) in {
        "step, networks": ("step", "train"),
        "off a line, test conditions": ("bend", "test"),
    }.items():
        np.testing.assert_allclose(drawn[name], of[value].sel(step_end=end))
    np.testing.assert_allclose(drawn["noise alone"], of.step_noise.sel(step_end="train"))
    names = [text.get_text() for text in below.get_yticklabels()]
    assert names == [style.METRICS[name] for name in of.metric.values]
    plt.close(figure)


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_design_shows_every_strategy(predicted, width_cm):
    figure = check(figures.design(predicted, "viridis", width_cm), width_cm)
    of = predicted.squeeze().design.sel(worth="worst")
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(drawn["chosen by predicted Dice"], of.sel(strategy="predicted"))
    np.testing.assert_allclose(drawn["chosen by coverage"], of.sel(strategy="coverage"))
    plt.close(figure)
