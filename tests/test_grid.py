"""Imaging conditions and their names."""

import pickle
import re

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.grid import Axes, Condition, along, are_scattered, axes_of


def values(axis, minimum=None):
    """Return a Hypothesis strategy that draws canonical values of an axis."""
    scale = 10**axis.decimals
    low = axis.minimum if minimum is None else max(minimum, axis.minimum)
    return st.integers(round(low * scale), round(axis.maximum * scale)).map(lambda n: n / scale)


any_condition = st.builds(Condition, *(values(axis) for axis in MAIN_AXES.values()))
non_negative = st.builds(Condition, *(values(axis, 0.0) for axis in MAIN_AXES.values()))


def test_id_is_readable():
    id = "df+0020.00_cs+0001.200_ap020.00_ds000400.00"
    assert Condition(20, 1.2, 20, 400).id == id
    assert Condition.parse(id) == Condition(20.0, 1.2, 20.0, 400.0)


@given(any_condition)
def test_id_and_condition_turn_into_each_other(condition):
    assert Condition.parse(condition.id) == condition
    assert Condition.parse(condition.id).id == condition.id


@given(any_condition)
def test_ids_are_safe_in_file_names_and_of_one_length(condition):
    assert re.fullmatch(r"[a-z0-9.+_-]+", condition.id)
    assert len(condition.id) == len(Condition(0, 0, 1, 1).id)


@given(any_condition, any_condition)
def test_ids_differ_where_conditions_do(a, b):
    assert (a.id == b.id) == (a == b)


@given(non_negative, non_negative)
def test_ids_sort_as_values_do(a, b):
    assert (a.id < b.id) == (a < b)


def test_negative_values_follow_positive_ones_by_magnitude():
    order = [0.0, 5.0, 20.0, -5.0, -20.0]
    ids = [Condition(defocus, 0, 10, 100).id for defocus in order]
    assert ids == sorted(ids)


def test_values_are_canonical():
    assert Condition(0.1 + 0.2, -0.0, 10, 100) == Condition(0.3, 0.0, 10, 100)
    assert Condition(-0.001, 0, 10, 100).id.startswith("df+0000.00")


@pytest.mark.parametrize(
    "id",
    [
        "",
        "nonsense",
        "df+0020.00_cs+0001.200_ap020.00",
        "df+0020.00_cs+0001.200_ap020.00_ds000400.00_x",
        "df20_cs1.2_ap20_ds400",
        "df+0020.00_cs+0001.200_ap020.00_ds000400.000",
        "cs+0001.200_df+0020.00_ap020.00_ds000400.00",
        "df+0nan.00_cs+0001.200_ap020.00_ds000400.00",
        "df-0000.00_cs+0001.200_ap020.00_ds000400.00",
        "dfdf+0020.00_cs+0001.200_ap020.00_ds000400.00",
    ],
)
def test_only_canonical_ids_are_read(id):
    with pytest.raises(ValueError, match="is not the id of a condition"):
        Condition.parse(id)


@given(
    st.tuples(
        *(
            st.lists(values(axis), min_size=1, max_size=3, unique=True)
            for axis in MAIN_AXES.values()
        )
    )
)
def test_grid_is_the_sorted_product(axes):
    grid = Axes.main.conditions(dict(zip(MAIN_AXES, axes, strict=True)))
    expected = 1
    for axis in axes:
        expected *= len(axis)
    assert len(grid) == len(set(grid)) == expected
    assert grid == sorted(grid)


def test_grid_does_not_depend_on_the_order_of_axes_or_values():
    axes = {"defocus_nm": [5, 20], "cs_um": [1], "aperture_mrad": [10, 8], "dose_e_per_A2": [9]}
    shuffled = {name: list(reversed(axes[name])) for name in reversed(axes)}
    assert Axes.main.conditions(axes) == Axes.main.conditions(shuffled)
    assert tuple(Axes.main.conditions(axes)[0].values().values()) == (5.0, 1.0, 8.0, 9.0)


def test_coordinates():
    ids = [Condition(5, 1.2, 10, 100).id, Condition(-20, 60, 18, 1000).id]
    found = Axes.main.coordinates(ids, "train")
    assert list(found) == [f"train_{axis}" for axis in MAIN_AXES]
    dimension, defocus, attrs = found["train_defocus_nm"]
    assert (dimension, defocus) == ("train", [5.0, -20.0])
    assert attrs == {"units": "nm", "long_name": "defocus"}
    assert found["train_dose_e_per_A2"][1:] == (
        [100.0, 1000.0],
        {"units": "e/Å²", "long_name": "dose"},
    )


def test_coordinates_refuse_foreign_ids():
    with pytest.raises(ValueError, match="'x' is not the id of a condition"):
        Axes.main.coordinates(["x"], "test")


# Further axes

MAIN = (20, 1.2, 16, 400)
OWN = {"astigmatism_nm": 0.0, "focal_spread_nm": 3.0}
STUDY = Axes(OWN, {"coma_nm": 200.0})


def test_a_further_axis_is_in_the_id_only_if_it_differs_from_the_studys_own_value():
    main = dict(zip(MAIN_AXES, MAIN, strict=True))
    same = STUDY.condition(main | {"astigmatism_nm": 0, "focal_spread_nm": 3, "coma_nm": 200})
    assert same == Condition(*MAIN)
    other = STUDY.condition(main | {"focal_spread_nm": 4, "astigmatism_nm": 5})
    assert other.id == f"{Condition(*MAIN).id}_as0005.000_fs004.000"
    assert other.values() == main | {"astigmatism_nm": 5.0, "focal_spread_nm": 4.0}
    assert list(other.values()) == [name for name in AXES if name in other.values()]
    assert same.values() == main | OWN
    assert same.value("coma_nm") == 200
    assert same.words.endswith("16 mrad · 400 e/Å² · astigmatism 0 nm · focal spread 3 nm")


def test_conditions_are_equal_and_sorted_as_their_values_are_whatever_they_know_of_their_study():
    known, other = STUDY.parse(Condition(*MAIN).id), Condition(*MAIN)
    assert (known, hash(known), repr(known)) == (other, hash(other), repr(other))
    assert not known < other
    assert pickle.loads(pickle.dumps(known)).values() == known.values()


def test_a_studys_own_values_have_the_resolution_of_their_axes():
    """So that the sum of two numbers is the same value as the number that a user writes."""
    found = Axes({"astigmatism_nm": 0.1 + 0.2}, {"coma_nm": 0.1 + 0.2, "astigmatism_deg": -0.0})
    assert (found.own, found.others) == (
        {"astigmatism_nm": 0.3},
        {"astigmatism_deg": 0.0, "coma_nm": 0.3},
    )
    given = dict(zip(MAIN_AXES, MAIN, strict=True)) | {"astigmatism_nm": 0.3, "coma_nm": 0.3}
    assert found.condition(given) == Condition(*MAIN)


def test_axes_are_equal_whatever_is_known_of_the_others():
    """Results do not tell the own values of axes that the study does not have."""
    assert Axes(OWN, {"coma_nm": 200}) == Axes(OWN, {"coma_nm": 100}) == Axes(OWN)
    assert Axes({"coma_nm": 200}) != Axes({"coma_nm": 100})


@pytest.mark.parametrize("axis", FURTHER_AXES.values(), ids=lambda axis: axis.name)
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_ids_with_a_further_axis_are_read(axis, end):
    condition = Condition(*MAIN, {axis.name: getattr(axis, end)})
    assert Condition.parse(condition.id) == condition
    assert len(condition.id) == len(Condition(*MAIN, {axis.name: 1}).id)


@pytest.mark.parametrize(
    "further", ["_fs004.000_as0005.000", "_as0005.000_as0005.000", "_as5", "_zz0001.000"]
)
def test_only_canonical_ids_with_further_axes_are_read(further):
    with pytest.raises(ValueError, match="is not the id of a condition"):
        Condition.parse(Condition(*MAIN).id + further)


def test_an_unknown_further_axis_is_refused():
    with pytest.raises(ValueError, match="'tilt' is not a further axis"):
        Condition(*MAIN, {"tilt": 1})


def test_a_value_that_neither_condition_nor_study_has_is_an_error():
    with pytest.raises(KeyError):
        Condition(*MAIN).value("astigmatism_nm")


def test_a_grid_with_further_axes_is_sorted_by_all_values():
    axes = {name: [value] for name, value in zip(MAIN_AXES, MAIN, strict=True)}
    found = STUDY.conditions(axes | {"focal_spread_nm": [2, 4, 3]})
    assert [c.value("focal_spread_nm") for c in found] == [2, 3, 4]
    assert found[1] == Condition(*MAIN)


def test_results_know_the_studys_axes():
    ids = [Condition(*MAIN).id, Condition(*MAIN, {"astigmatism_nm": 5}).id]
    data = xr.Dataset(coords={"test": ids, **STUDY.coordinates(ids, "test")})
    assert data.test_astigmatism_nm.values.tolist() == [0, 5]
    assert data.test_focal_spread_nm.values.tolist() == [3, 3]
    assert Axes.of(data) == Axes.of(data.isel(test=[1])) == Axes(OWN)
    assert [c.value("astigmatism_nm") for c in along(data, "test")] == [0, 5]
    assert axes_of(data) == [*MAIN_AXES, *OWN]
    assert axes_of(data.drop_vars(["test_astigmatism_nm"])) == [*MAIN_AXES, "focal_spread_nm"]


def test_points_are_scattered_and_products_are_not():
    points = [Condition(k, 3 * k % 7, 5 * k % 11, 7 * k % 13 + 1) for k in range(1, 40)]
    assert are_scattered(points)
    grid = {"defocus_nm": [5, 15], "cs_um": [1.2, 60], "aperture_mrad": [9], "dose_e_per_A2": [100]}
    product = Axes.main.conditions(grid)
    assert not are_scattered(product)
    assert not are_scattered(Axes.main.conditions(grid | {"cs_um": [1.2]}))
    assert not are_scattered([*product, Condition(1, 2, 3, 4)])
