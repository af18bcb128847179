"""Groups of training conditions, and their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband.grid import Axes
from passband.groups import (
    LONGEST,
    MOST_FILES,
    conditions_per_file,
    group_name,
    grouped,
    has_several,
    may_have,
)

IDS = [
    condition.id
    for condition in Axes.main.conditions(
        {
            "defocus_nm": [-20.0, -5.0, 5.0],
            "cs_um": [1.2, 60.0],
            "aperture_mrad": [10.0],
            "dose_e_per_A2": [100.0, 400.0],
        }
    )
]


def test_a_group_of_one_condition_has_the_name_of_the_condition():
    assert grouped(IDS, 1) == {id: (id,) for id in IDS}
    assert not any(map(has_several, grouped(IDS, 1)))


def test_groups_have_all_conditions_in_order():
    made = grouped(IDS, 5)
    assert [id for ids in made.values() for id in ids] == IDS
    assert [len(ids) for ids in made.values()] == [5, 5, 2]
    assert all(map(has_several, made))


def test_the_name_shows_the_first_and_the_last_condition():
    assert group_name(IDS[-2:]).rpartition("~")[0] == f"{IDS[-2]}~ds000400.00"


@given(st.lists(st.sampled_from(IDS), min_size=2, unique=True))
def test_a_group_may_have_each_of_its_conditions(ids):
    name = group_name(ids)
    assert all(may_have(name, id) for id in ids)
    assert not any(may_have(name, id) for id in IDS if not min(ids) <= id <= max(ids))


@pytest.mark.parametrize(
    "ids",
    [
        (IDS[0], IDS[0] + "_as+05.00"),  # a further axis
        (IDS[0], "wide_0a1b2c3d"),  # a mixture
        ("x" * LONGEST, "y" * 20),  # too long for the last condition
    ],
)
def test_ids_of_other_forms_are_found(ids):
    name = group_name(ids)
    assert all(may_have(name, id) for id in ids)
    assert not may_have(name, "a")


def test_groups_of_other_conditions_have_other_names():
    assert group_name(IDS[:3]) != group_name([IDS[0], IDS[2]])


def test_a_variable_of_a_large_table_has_few_files():
    assert conditions_per_file(MOST_FILES) == 1
    assert -(-1728 // conditions_per_file(1728)) <= MOST_FILES
