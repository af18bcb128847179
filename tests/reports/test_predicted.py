"""What rows and sentences say of prediction.zarr."""

import numpy as np
import xarray as xr

from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.reports import predicted, summaries
from passband.reports.page import tables

GROUP = {"specimen": ["gold"], "architecture": ["compact"], "test_specimen": ["gold"]}
LEVELS = ["dose_e_per_A2/train/100", "dose_e_per_A2/train/all", "lens/train/all", "lens/test/all"]


def make_predicted(**changes) -> xr.Dataset:
    """Return the results of a small matrix, of which one training condition has no network."""
    of, ends = tuple(GROUP), ("train", "test")

    def scores(*values):
        return ((*of, "level", "distances"), np.array(values)[None, None, None])

    expected = np.array([[np.nan, np.nan], [np.nan, np.nan], [0.25, 0.75]])
    bounds = np.stack([expected - 0.1, expected + 0.1], -1)
    variables = {
        "level_r2": scores([0.9, 0.6], [0.85, 0.55], [0.7, 0.5], [0.8, 0.4]),
        "level_r2_ceiling": ((*of, "level"), np.full((1, 1, 1, 4), 0.98)),
        "level_interaction": scores([np.nan] * 2, [0.75, -0.25], [0.85, 0.61], [np.nan] * 2),
        "level_ceiling": scores([np.nan] * 2, [0.91] * 2, [0.957] * 2, [np.nan] * 2),
        "level_rmse_replicas": scores([1.5, 2], [1.25, 2], [1.5, 2], [1.5, 2]),
        "true": ((*of, *ends), np.array([[[[[0.5, 0.6], [0.7, 0.8], [np.nan] * 2]]]])),
        "predicted": ((*of, "axis", "end", *ends), np.full((1, 1, 1, 1, 2, 3, 2), 0.5)),
        "expected": ((*of, *ends), expected[None, None, None]),
        "expected_interval": ((*of, *ends, "bound"), bounds[None, None, None]),
        "smoothness": (of, [[[0.93]]]),
        "smoothness_interval": ((*of, "bound"), [[[[0.91, 0.95]]]]),
    }
    coords = GROUP | {
        "level": LEVELS,
        "distances": ["T(q)", "scaled"],
        "axis": ["dose_e_per_A2"],
        "end": list(ends),
        "bound": ["low", "high"],
        "train": ["a", "b", "c"],
        "test": ["a", "b"],
    }
    return xr.Dataset(variables | changes, coords)


def test_each_axis_and_side_has_a_row():
    (row,) = predicted.level_rows(predicted_matrices(make_predicted()))
    assert (row.matrix, row.axis, row.end) == ("compact, gold", "dose_e_per_A2", "train")
    assert row.r2 == (0.85, 0.55, 0.98)
    assert row.interaction == (0.75, -0.25, 0.91)
    assert row.rmse_replicas == 1.25


def test_sentences_say_what_is_lacking_the_interaction_and_the_smoothness():
    lacking, interaction, smooth = predicted.sentences(predicted_matrices(make_predicted()))
    assert lacking == (
        "1 of 3 training conditions have no network yet. From the networks of the other 2, their "
        "Dice under 2 test conditions, 2 cells of the matrix, is predicted: 0.25 to 0.75, mean "
        "0.50."
    )
    assert interaction == (
        "If levels of the lens are left out of training, R² of the interaction of networks and "
        "tests at given doses is 0.850 from T(q) and 0.610 from scaled parameters; noise of "
        "replicas allows 0.957."
    )
    assert smooth.startswith("Neighbouring conditions of the grid have 0.93 (0.91 to 0.95) of the")


def test_sentences_on_several_matrices_have_their_names():
    one = make_predicted()
    both = xr.concat([one, one.assign_coords(test_specimen=["iron"])], "test_specimen")
    said = list(predicted.sentences(predicted_matrices(both)))
    alone = list(predicted.sentences(predicted_matrices(one)))
    names = [name for name in ("compact, gold", "compact, gold → iron") for _ in alone]
    assert said == [f"{name}: {each}" for name, each in zip(names, alone * 2, strict=True)]


def test_what_is_not_known_is_not_said():
    of = tuple(GROUP)
    one = make_predicted(smoothness=(of, [[[np.nan]]])).drop_vars(["expected", "expected_interval"])
    one["level_ceiling"] = one.level_ceiling * np.nan  # a study with one replica
    (interaction,) = predicted.sentences(predicted_matrices(one))
    assert interaction.endswith("is 0.850 from T(q) and 0.610 from scaled parameters.")
    without = make_predicted(smoothness_interval=((*of, "bound"), [[[[np.nan] * 2]]]))
    assert "have 0.93 of the variance" in list(predicted.sentences(predicted_matrices(without)))[-1]


def test_noise_of_replicas_is_no_limit_where_the_networks_are_known_from_other_tests():
    of = make_predicted().assign_coords(level=["lens/test/all", "cs_um/test/all", *LEVELS[2:]])
    (row,) = predicted.level_rows(predicted_matrices(of.isel(level=[1])))
    assert row.r2[:2] == (0.85, 0.55)
    assert np.isnan([row.r2[2], row.interaction[2]]).all()


def test_the_summary_has_the_rows_and_the_sentences():
    text = summaries.prediction(predicted_matrices(make_predicted()))
    head, _, row, *rest = text.splitlines()
    assert head.startswith("| matrix | left out | in | R², T(q) | R², scaled | R², at most | inter")
    of_row = "compact, gold | dose_e_per_A2 | train"
    assert row == f"| {of_row} | 0.85 | 0.55 | 0.98 | 0.75 | -0.25 | 0.91 | 1.25 |"
    assert [line for line in rest if line] == list(
        predicted.sentences(predicted_matrices(make_predicted()))
    )


def test_the_page_says_where_the_prediction_fails():
    table = tables.prediction_table(predicted_matrices(make_predicted()))
    assert table.rows == [
        ["levels of dose, training", "0.85", "0.55", "0.98", "0.75", "−0.25", "0.91"]
    ]
    low = make_predicted()
    low = low.assign_coords(level=["cs_um/test/all", *LEVELS[1:]])
    low["level_r2"] = low.level_r2.where(low.level != "cs_um/test/all", -0.12)
    first, second, *rest = tables.prediction_sentences(predicted_matrices(low))
    assert first.endswith("predicted best if levels of dose are left out of training (R² 0.85).")
    assert second == "It fails if levels of Cs are left out of tests (R² −0.12)."
    assert rest == list(predicted.sentences(predicted_matrices(low)))
