"""The packed parts, read without merging them."""

import pytest

from findings.twelve_thousand import packed
from findings.twelve_thousand.parts import WHOLE
from passband import PassbandError
from passband.config import load


def test_the_parts_have_the_conditions_of_the_study_in_its_order():
    ids = []
    for table in packed.tables():
        assert table.image_dice.dims == ("train", "replica", "test", "structure")
        assert table.own_image_dice.dims == ("train", "replica", "structure")
        ids += map(str, table.train.values)
    assert ids == [condition.id for condition in load(WHOLE).train_conditions]


def test_a_folder_without_parts_is_one_line(tmp_path):
    with pytest.raises(PassbandError, match="has no packed parts"):
        next(packed.tables(tmp_path))
