"""The packed parts, read without merging them."""

import pytest

from findings.twelve_thousand import packed
from findings.twelve_thousand.parts import WHOLE
from passband import PassbandError
from passband.config import load


def test_the_parts_have_the_conditions_of_the_study_in_its_order():
    ids = []
    for matrix in packed.parts():
        assert matrix.images(0).shape == (7, 144, 8)
        assert matrix.home(0).shape == (7, 8)
        ids += matrix.rows
    assert ids == [condition.id for condition in load(WHOLE).train_conditions]


def test_a_folder_without_parts_is_one_line(tmp_path):
    with pytest.raises(PassbandError, match="has no packed parts"):
        next(packed.tables(tmp_path))
