"""The figure of the Dice matrices, and the nested labels beside them."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_data import (
    GRID,
    ONE,
    WIDTHS,
    check,
    drawn,
    ids,
    letters,
    make_ood,
    panels,
    words,
)
from matplotlib.collections import LineCollection

from passband import PassbandError
from passband.figures import matrix, nested_axes, style
from passband.grid import Axes, Condition, ordered
from passband.matrices.of_study import matrices


def cells(ax):
    (image,) = ax.images
    return np.ma.filled(image.get_array(), np.nan)


def by_loss(data):
    """Return data whose conditions are sorted by their values, as the figure nests the axes."""
    sides = [[Condition.parse(id) for id in data[d].values] for d in ("train", "test")]
    names = matrix.outermost(
        *sides, [data.gap_test.transpose(..., "train", "test").values[0, 0, 0]]
    )

    def place(id):
        return [Condition.parse(id).value(name) for name in names]

    return data.sel({d: sorted(data[d].values, key=place) for d in ("train", "test")})


@pytest.mark.parametrize("width_cm", WIDTHS)
@pytest.mark.parametrize("grid", [GRID, ONE], ids=["grid", "one condition"])
def test_matrix_shows_dice_and_gap_train_by_test(grid, width_cm):
    data = make_ood(grid)
    figure = matrix.matrix(matrices(metrics=data.isel(test=slice(None, None, -1))), width_cm)
    left, right = panels(check(figure, width_cm))
    for ax, name in ((left, "dice"), (right, "gap_test")):
        expected = by_loss(data)[name].isel(specimen=0, architecture=0, test_specimen=0)
        np.testing.assert_array_equal(cells(ax), expected.values)
        if width_cm > 10 or ax is left:
            assert (ax.get_ylabel(), ax.get_xlabel()) == ("← trained at", "tested at →")
    assert letters(figure) == ["a", "b"]
    assert left.get_title("left") == "compact-w4-d2, gold"


def test_colours_have_the_range_of_the_data():
    data = make_ood()
    data["dice"] = data.dice * 0.33 + 0.44  # from above 0.44 to below 0.77
    data["gap_test"] = data.gap_test * 0.31 + 0.22  # from above −0.09 to below 0.53
    figure = drawn(matrix.matrix(matrices(metrics=data)))
    left, right = panels(figure)
    assert left.images[0].get_clim() == (0.4, 0.8)
    # White is 0, so the colours are symmetric, but the bar has no colour without data.
    assert right.images[0].get_clim() == (-0.6, 0.6)
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert [ax.get_xlim() for ax in bars] == [(0.4, 0.8), (-0.1, 0.6)]
    assert [ax.get_xlabel() for ax in bars] == [
        "mean Dice",
        style.LOSS,
    ]


def test_missing_cells_are_grey_even_on_a_page_whose_background_is_dark():
    data = make_ood(ONE | {"defocus_nm": [5.0, 10.0]})
    data.dice[..., 1, :] = np.nan
    data.gap_test[:] = np.nan
    left, right = panels(drawn(matrix.matrix(matrices(metrics=data))))
    assert np.isnan(cells(left)).tolist() == [[False, False], [True, True]]
    assert np.isnan(cells(right)).all()
    colours = left.images[0].to_rgba(left.images[0].get_array())
    np.testing.assert_allclose(colours[1], [[0.8, 0.8, 0.8, 1]] * 2)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 60])
def test_cells_with_the_same_condition_are_marked(number):
    """Large cells have an outline, and small ones a line."""
    defoci = [5.0 * k for k in range(number)]
    data = make_ood(
        ONE | {"defocus_nm": [*defoci[1:], 1000.0]},
        ONE | {"defocus_nm": [*defoci[:2], *defoci[2:]]},
    )
    for ax in panels(matrix.matrix(matrices(metrics=data))):
        lines, _ = (c for c in ax.collections if isinstance(c, LineCollection))
        corners = [np.array(segment) for segment in lines.get_segments()]
        assert {len(each) for each in corners} == {5 if number == 3 else 2}
        middles = [(each.min(0) + each.max(0)) / 2 for each in corners]
        expected = [(k + 1, k) for k in range(number - 1)]  # (test, train)
        np.testing.assert_allclose(middles, expected)


@pytest.mark.slow
def test_the_axis_with_the_largest_loss_is_outermost():
    """Dose costs 0.4, Cs 0.1, and defocus and aperture nothing."""
    every = Axes.main.conditions(GRID)
    loss = np.array(
        [
            [0.4 * (a.dose_e_per_A2 != b.dose_e_per_A2) + 0.1 * (a.cs_um != b.cs_um) for b in every]
            for a in every
        ]
    )
    names = ["dose_e_per_A2", "cs_um", "defocus_nm", "aperture_mrad"]
    assert matrix.outermost(every, every, [loss]) == names
    assert matrix.outermost(every, every, [np.full_like(loss, np.nan)]) == list(GRID)
    data = make_ood()
    data["gap_test"] = data.gap_test.copy(data=loss[None, None, None])
    ax = panels(drawn(matrix.matrix(matrices(metrics=data))))[0]
    titles = [word for word in words(ax) if "[" in word]  # the innermost axis is a range
    assert titles[:3] == ["defocus [nm]", "Cs [µm]", "dose [e/Å²]"]
    np.testing.assert_array_equal(cells(ax), by_loss(data).dice.values[0, 0, 0])
    assert not np.array_equal(by_loss(data).train, data.train)


def test_a_single_matrix_has_a_column_of_dice_under_own_conditions():
    every = Axes.main.conditions(GRID)
    M = np.random.default_rng(0).random((24, 24))
    own = np.where(np.arange(24) < 3, 0.5, np.nan)
    drawn = {"": {"dice": M, "gap_test": np.full_like(M, np.nan)}}
    figure = matrix.draw(drawn, every, every, 14.0, shown=["dice"], home=own)
    main, beside = panels(check(figure, 14.0))
    np.testing.assert_array_equal(cells(main), M)
    np.testing.assert_array_equal(cells(beside)[:, 0], own)
    assert beside.images[0].get_clim() == main.images[0].get_clim()
    assert not letters(figure)


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
def test_matrices_of_specimens_and_architectures_are_named(width_cm):
    grid = ONE | {"defocus_nm": [5.0, 10.0]}
    for options, rows in (
        ({"architectures": tuple("abcde")}, [f"{name}, gold" for name in "abcde"]),
        (
            {"specimens": ("gold", "silver"), "architectures": ("a",)},
            ["a, gold", "a, gold → silver", "a, silver → gold", "a, silver"],
        ),
    ):
        data = make_ood(grid, **options)
        axes = panels(check(matrix.matrix(matrices(metrics=data), width_cm), width_cm))
        assert [ax.get_title("left") for ax in axes[::2]] == rows
    cross = data.sel(specimen="silver", architecture="a", test_specimen="gold")
    np.testing.assert_array_equal(cells(axes[4]), cross.dice)
    np.testing.assert_array_equal(cells(axes[5]), cross.gap_test)


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
def test_a_thousand_conditions_are_labelled(width_cm):
    grid = {
        "defocus_nm": list(range(-20, 30, 5)),
        "cs_um": [-10, 1.2, 60, 1000, 2000],
        "aperture_mrad": [5, 10, 15, 20],
        "dose_e_per_A2": [30, 100, 400, 800, 1600],
    }
    data = make_ood(grid)
    assert data.sizes["train"] == 1000
    left, right = panels(check(matrix.matrix(matrices(metrics=data), width_cm), width_cm))
    for ax in (left,) if width_cm < 10 else (left, right):
        found = words(ax)
        assert "dose 30…1600 e/Å² →" in found
        assert "defocus −20…25 nm →" in found
        assert {"−10", "1.2", "60", "1000", "2000"} <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
@pytest.mark.parametrize("number", [2, 36, 135])
def test_a_side_with_few_or_many_conditions_is_labelled(number, width_cm):
    test = ONE | {"defocus_nm": list(range(-5, number - 5))}
    data = make_ood(ONE | {"defocus_nm": [5, 20]}, test)
    left, _ = panels(check(matrix.matrix(matrices(metrics=data), width_cm), width_cm))
    assert cells(left).shape == (2, number)
    assert {"5", "20"} <= set(words(left))
    if number > 36:
        assert f"defocus −5…{number - 6} nm →" in words(left)
    (same,) = (text.get_text() for text in left.figure.texts)
    assert same.replace("\n", " ") == "all at Cs 60 µm, aperture 15 mrad, dose 1000 e/Å²"


@pytest.mark.slow
def test_a_matrix_draws_itself_as_the_figure_does():
    of = matrices(metrics=make_ood(specimens=("gold", "silver")))[1]
    left, right = panels(drawn(of.plot()))
    assert left.get_title("left") == "compact-w4-d2, gold → silver"
    for ax, shown in zip((left, right), panels(matrix.matrix([of])), strict=True):
        np.testing.assert_array_equal(cells(ax), cells(shown))


def test_a_matrix_that_draws_itself_leaves_the_style_of_other_figures():
    plt.rcdefaults()
    before = dict(plt.rcParams)
    matrices(metrics=make_ood(ONE))[0].plot()
    assert dict(plt.rcParams) == before


def test_without_conditions_there_is_nothing_to_draw():
    (of,) = matrices(metrics=make_ood())
    with pytest.raises(PassbandError, match=r"^compact-w4-d2, gold: there is no training condit"):
        of.take(train=[]).plot()
    with pytest.raises(PassbandError, match=r"^compact-w4-d2, gold: there is no test condition"):
        of.take(test=[]).plot()


@pytest.mark.slow
def test_a_notebook_shows_a_matrix_once():
    nbclient, nbformat = (pytest.importorskip(name) for name in ("nbclient", "nbformat"))
    helpers = str(Path(__file__).parents[1] / "helpers")
    make = (
        f"import sys; sys.path.insert(0, {helpers!r})\n"
        "from figure_data import make_ood\n"
        "from passband.matrices.of_study import matrices\n"
        "matrix = matrices(metrics=make_ood())[0]"
    )
    code = [make, "matrix.plot()", "figure = matrix.plot()", "figure"]
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, code)])
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    shown = [["image/png" in each.get("data", {}) for each in c.outputs] for c in notebook.cells]
    assert shown == [[], [True], [], [True]]


# Nested axes


def test_levels_are_nested_from_defocus_to_dose():
    found = nested_axes.levels(Axes.main.conditions(GRID | {"aperture_mrad": [15.0]}))
    assert [level.name for level in found] == ["defocus_nm", "cs_um", "dose_e_per_A2"]
    outer, middle, inner = found
    assert outer.groups == ((0, 4, -10), (4, 8, 5), (8, 12, 20))
    assert middle.groups == tuple((2 * k, 2 * k + 2, (1.2, 60)[k % 2]) for k in range(6))
    assert len(inner.groups) == 12
    assert outer.labels == ["−10", "5", "20"]
    assert inner.title == "dose [e/Å²]"
    assert inner.span == "dose 100…1000 e/Å² →"


def test_a_grid_with_holes_has_only_its_conditions():
    some = [Condition(5, 1.2, 10, 100), Condition(5, 1.2, 15, 100), Condition(20, 1.2, 15, 100)]
    outer, inner = nested_axes.levels(some)
    assert outer.groups == ((0, 2, 5), (2, 3, 20))
    assert inner.groups == ((0, 1, 10), (1, 2, 15), (2, 3, 15))


def test_labels_are_turned_and_then_replaced_by_a_range_if_cells_are_small():
    found = nested_axes.levels(Axes.main.conditions(ONE | {"dose_e_per_A2": [100, 1000, 2000]}))
    assert nested_axes.levels(Axes.main.conditions(ONE)) == []
    for cell_cm, kind in ((1, "along"), (0.4, "across"), (0.2, "range")):
        (strip,) = nested_axes.strips(found, cell_cm)
        assert strip.kind == kind
    (beside,) = nested_axes.strips(found, 1, "left")
    assert beside.kind == "across"  # not turned


def test_labels_have_three_digits_if_they_differ():
    (level,) = nested_axes.levels(Axes.main.conditions(ONE | {"cs_um": [1.2, 34.641, 1000]}))
    assert level.labels == ["1.2", "34.6", "1000"]
    (level,) = nested_axes.levels(Axes.main.conditions(ONE | {"cs_um": [34.641, 34.642]}))
    assert level.labels == ["34.641", "34.642"]


def test_levels_are_nested_as_their_names():
    every = Axes.main.conditions(ONE | {"cs_um": [1, 2], "dose_e_per_A2": [100, 1000]})
    names = ["dose_e_per_A2", "defocus_nm", "cs_um", "aperture_mrad"]
    every.sort(key=lambda c: (c.dose_e_per_A2, c.cs_um))
    outer, inner = nested_axes.levels(every, names)
    assert (outer.name, outer.groups) == ("dose_e_per_A2", ((0, 2, 100), (2, 4, 1000)))
    assert (inner.name, len(inner.groups)) == ("cs_um", 4)


def test_ids_of_negative_values_are_sorted_by_value():
    found = ordered(map(Condition.parse, ids(ONE | {"defocus_nm": [20, -5, -20, 0]})))
    assert [condition.defocus_nm for condition in found] == [-20, -5, 0, 20]


def test_the_length_of_words_is_that_of_the_drawn_words():
    figure = matrix.matrix(matrices(metrics=make_ood(ONE)))
    text = figure.text(0.5, 0.5, "aperture [mrad]", fontsize=style.SMALL)
    figure.canvas.draw()
    wide = text.get_window_extent().width / figure.dpi * 2.54
    assert nested_axes.text_cm("aperture [mrad]") == pytest.approx(wide, rel=0.05)


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_matrix_of_one_condition_can_be_read(width_cm):
    check(matrix.matrix(matrices(metrics=make_ood(ONE)), width_cm), width_cm)


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
def test_mixtures_have_rows_below_the_conditions(width_cm):
    data = make_ood()
    mixed = ["all-0123abcd", "soft-0123abcd"]
    names = [*mixed, *data.train.values[2:].tolist()]
    data = data.drop_vars([n for n in data.coords if str(n).startswith("train")])
    data = data.assign_coords({"train": names} | Axes.main.coordinates(names, "train"))
    figure = matrix.matrix(matrices(metrics=data), width_cm)
    whole = panels(check(figure, width_cm))
    assert len(whole) == 4
    for (ax, strip), name in zip((whole[:2], whole[2:]), ("dice", "gap_test"), strict=True):
        expected = data[name].isel(specimen=0, architecture=0, test_specimen=0)
        order = by_loss(data.isel(train=slice(2, None))).test.values
        np.testing.assert_array_equal(cells(strip), expected.sel(train=mixed, test=order))
        assert len(cells(ax)) == len(names) - 2
        assert strip.images[0].get_clim() == ax.images[0].get_clim()
        assert strip.get_position().y1 < ax.get_position().y0
    assert [word for word in words(whole[1]) if word in mixed] == mixed
