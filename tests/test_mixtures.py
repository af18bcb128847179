"""Mixtures: distributions of imaging conditions."""

from collections import Counter

import numpy as np
import pytest

from passband.grid import Axes, Condition, is_condition, of_conditions
from passband.groups import may_have
from passband.mixtures import MEMBERS, Mixture, expected_weights, is_mixture, of_id

A, B = Condition(5, 1.2, 15, 100), Condition(20, 60, 12, 1000)
TWO = Mixture("two", ((A, 0.7), (B, 0.3)))
RANGES = (
    ("defocus_nm", 0.0, 40.0),
    ("cs_um", 1.2, 1.2),
    ("aperture_mrad", 8.0, 16.0),
    ("dose_e_per_A2", 50.0, 3200.0),
)
SOFT = Mixture("soft", (), RANGES)


def test_the_id_has_the_name_and_a_digest_of_the_distribution():
    assert TWO.id.startswith("two-")
    assert TWO.id == Mixture("two", ((A, 0.7), (B, 0.3))).id
    others = [
        Mixture("two", ((A, 0.6), (B, 0.4))),
        Mixture("two", ((A, 1.0),)),
        Mixture("two", (), RANGES),
        Mixture("two", (), (*RANGES[:3], ("dose_e_per_A2", 50.0, 1600.0))),
    ]
    assert len({TWO.id, *(each.id for each in others)}) == 5


def test_ids_of_mixtures_conditions_and_groups_differ():
    further = Condition(5, 1.2, 15, 100, {"astigmatism_nm": 5})
    for id in (TWO.id, SOFT.id):
        assert is_mixture(id)
        assert not is_condition(id)
        assert may_have(id, id)
        assert not may_have(id, A.id)
        assert not may_have(A.id, id)
        with pytest.raises(ValueError, match="is not the id of a condition"):
            Condition.parse(id)
    for id in (A.id, further.id, f"{A.id}~ds000200.00~1c9d04aa"):
        assert is_condition(id)
        assert not is_mixture(id)
    assert of_id([SOFT, TWO], TWO.id) is TWO
    assert of_id([SOFT], A.id) == A
    with pytest.raises(ValueError, match="no mixture of the study"):
        of_id([SOFT], TWO.id)


def test_draws_follow_the_weights_and_depend_on_the_names_only():
    drawn = [TWO.draw("image", k) for k in range(4000)]
    assert drawn[:50] == [TWO.draw("image", k) for k in range(50)]
    share = Counter(drawn)[A] / len(drawn)
    assert share == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 4000))
    assert {*drawn} == {A, B}


def test_draws_of_ranges_are_even_and_the_dose_in_its_logarithm():
    drawn = [SOFT.draw(k) for k in range(4000)]
    for name, low, high in RANGES:
        values = np.array([condition.value(name) for condition in drawn])
        assert low <= values.min()
        assert values.max() <= high
        if high > low:
            scale = np.log if name == "dose_e_per_A2" else float
            edges = [scale(v) for v in (low, high)]
            places = [(scale(v) - edges[0]) / (edges[1] - edges[0]) for v in values]
            shares = np.histogram(places, 4, (0, 1))[0] / len(drawn)
            assert shares == pytest.approx([0.25] * 4, abs=4 * np.sqrt(0.1875 / 4000))


def test_members_are_the_points_or_an_even_sample_of_the_ranges():
    assert TWO.members == {A: 0.7, B: 0.3}
    members = SOFT.members
    assert sum(members.values()) == pytest.approx(1)
    assert members == Mixture("soft", (), RANGES).members
    # Each of as many equal intervals has one member, so that means of single axes are exact.
    assert len(members) == MEMBERS
    defoci = np.array(sorted(condition.defocus_nm for condition in members))
    # Defocus is rounded to 0.01 nm.
    assert np.abs(defoci / 40 * MEMBERS - np.arange(MEMBERS) - 0.5).max() < 0.52


def test_a_further_axis_is_in_an_id_only_off_the_study_s_own_value():
    ranges = (*RANGES, ("astigmatism_nm", 2.0, 2.0))
    assert Mixture("a", (), ranges, Axes({"astigmatism_nm": 2.0})).draw(1).further == ()
    drawn = Mixture("a", (), ranges, Axes({"astigmatism_nm": 0.0})).draw(1)
    assert drawn.further == (("astigmatism_nm", 2.0),)


def test_expectations_over_test_conditions_need_all_points():
    ids = [B.id, Condition(0, 1, 10, 50).id, A.id]
    assert expected_weights(TWO.content, ids) == pytest.approx([0.3, 0, 0.7])
    assert expected_weights(TWO.content, ids[:2]) is None
    assert expected_weights(SOFT.content, ids) is None
    assert expected_weights({}, ids) is None


def test_rows_of_mixtures_come_last_and_have_no_coordinates():
    import xarray as xr

    ids = Axes.main.order([TWO.id, B.id, SOFT.id, A.id])
    assert ids == [A.id, B.id, SOFT.id, TWO.id]
    data = xr.Dataset(
        {"x": ("train", range(4))}, {"train": ids} | Axes.main.coordinates(ids, "train")
    )
    assert data.train_defocus_nm.values == pytest.approx([5, 20, np.nan, np.nan], nan_ok=True)
    assert of_conditions(data).train.values.tolist() == [A.id, B.id]
    assert of_conditions(data.drop_dims("train")).sizes == {}
