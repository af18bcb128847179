"""The figure of Dice predicted with levels left out, by its artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from figure_data import WIDTHS, check, panels
from matrices import GRID, make_metrics

from passband.figures import prediction as figures
from passband.figures import style
from passband.prediction.matrix.predicted_matrix import predicted_matrices

pytestmark = pytest.mark.slow

OF = ("specimen", "architecture", "test_specimen")
AXES = ("defocus_nm", "dose_e_per_A2")
ENDS = ("train", "test")


def make_predicted(noise=0.05, specimens=("gold",)):
    """Return random results of a stage `prediction`."""
    metrics, _ = make_metrics(GRID)
    ids = [str(id) for id in metrics.train.values]
    random = np.random.default_rng(0)
    n, groups = len(ids), (len(specimens), 1, 1)
    true = random.uniform(0.3, 0.9, (*groups, n, n))
    levels = [f"{axis}/{end}/all" for end in ENDS for axis in (AXES[0], "lens", AXES[1])]
    r2 = random.uniform(0.4, 0.9, (*groups, len(levels), 2))
    guess = true[..., None, None, :, :] + 0.05 * random.normal(size=(*groups, 2, 2, n, n))
    return xr.Dataset(
        {
            "level_r2": ((*OF, "level", "distances"), r2),
            "level_interaction": ((*OF, "level", "distances"), r2 - 0.2),
            "level_r2_ceiling": ((*OF, "level"), np.full((*groups, len(levels)), 0.97)),
            "level_ceiling": ((*OF, "level", "distances"), np.full(r2.shape, 0.93)),
            "true": ((*OF, *ENDS), true),
            "predicted": ((*OF, "axis", "end", *ENDS), guess),
            "noise_of_mean": (OF, np.full(groups, noise)),
        },
        {
            "specimen": list(specimens),
            "architecture": ["compact"],
            "test_specimen": ["gold"],
            "level": levels,
            "distances": ["scaled", "T(q)"],
            "axis": list(AXES),
            "end": list(ENDS),
            "train": ids,
            "test": ids,
        },
    )


def points(ax):
    """Return the values of the markers in each row of a panel of scores, by colour."""
    found = {}
    for line in ax.lines:
        x, y = (float(np.ravel(values)[0]) for values in line.get_data())
        found.setdefault(line.get_color(), {})[y] = x
    return found


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_scores_have_a_row_for_each_axis_and_side_and_a_line_at_the_ceiling(width_cm):
    predicted = make_predicted()
    figure = check(figures.prediction(predicted_matrices(predicted), width_cm), width_cm)
    parity, *scores = panels(figure)
    assert [ax.get_xlabel() for ax in scores] == ["R² of Dice", "R² of the interaction"]
    rows = ["defocus_nm/train/all", "dose_e_per_A2/train/all"]
    rows += ["defocus_nm/test/all", "dose_e_per_A2/test/all"]
    names = ["defocus, training", "dose, training", "defocus, tests", "dose, tests"]
    assert [text.get_text() for text in scores[0].get_yticklabels()] == names
    for ax, name, ceiling in zip(
        scores, ("level_r2", "level_interaction"), (0.97, 0.93), strict=True
    ):
        of = predicted[name].squeeze().sel(level=rows)
        drawn = points(ax)
        for colour, distances in ((style.TRANSFER, "T(q)"), (style.PARAMETERS, "scaled")):
            expected = of.sel(distances=distances).values
            np.testing.assert_allclose([drawn[colour][k] for k in range(4)], expected)
        ends = [line.get_segments()[0] for line in ax.collections]
        assert len(ends) == 2  # noise limits the prediction of new networks only
        np.testing.assert_allclose(np.array(ends)[..., 0], ceiling)
    assert parity.get_title(loc="left") == "compact, gold"
    plt.close(figure)


def test_density_is_of_levels_of_the_lens_left_out_of_training():
    predicted = make_predicted()
    figure = figures.prediction(predicted_matrices(predicted))
    parity, *_ = panels(figure)
    (hexagons,) = parity.collections
    assert hexagons.get_array().sum() == 24 * 24  # of the defocus alone
    diagonal, low, high = parity.lines
    np.testing.assert_allclose(np.subtract(*diagonal.get_data()), 0)
    reach = 1.645 * 0.05
    np.testing.assert_allclose(np.subtract(*low.get_data()[::-1]), -reach)
    np.testing.assert_allclose(np.subtract(*high.get_data()[::-1]), reach)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[-1] == "what noise of replicas allows"
    plt.close(figure)


def test_one_replica_has_no_ceiling_and_the_legend_says_so():
    predicted = make_predicted(noise=np.nan)
    for name in ("level_r2_ceiling", "level_ceiling"):
        predicted[name] = predicted[name] * np.nan
    figure = check(figures.prediction(predicted_matrices(predicted)), style.PAGE_CM)
    parity, *scores = panels(figure)
    assert len(parity.lines) == 1
    assert not any(ax.collections for ax in scores)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[-1] == "no noise of replicas: one replica each"
    plt.close(figure)


def test_without_an_interaction_there_is_no_panel_of_it():
    predicted = make_predicted()
    predicted["level_interaction"] = predicted.level_interaction * np.nan
    figure = check(figures.prediction(predicted_matrices(predicted)), style.PAGE_CM)
    assert [ax.get_xlabel() for ax in panels(figure)] == ["measured Dice", "R² of Dice"]
    plt.close(figure)


def test_a_score_below_the_axis_is_an_arrow_at_its_edge():
    predicted = make_predicted()
    predicted["level_r2"][..., 0, 1] = -7
    figure = figures.prediction(predicted_matrices(predicted))
    _, ax, _ = panels(figure)
    (arrow,) = (line for line in ax.lines if line.get_marker() == 8)
    assert np.ravel(arrow.get_xdata()) == [-0.5]
    assert ax.get_xlim()[0] < -0.5
    plt.close(figure)


def test_each_matrix_has_a_row_of_panels():
    predicted = make_predicted(specimens=("gold", "iron"))
    figure = check(figures.prediction(predicted_matrices(predicted)), style.PAGE_CM)
    titles = [ax.get_title(loc="left") for ax in panels(figure)]
    assert [title for title in titles if title] == ["compact, gold", "compact, iron → gold"]
    plt.close(figure)
