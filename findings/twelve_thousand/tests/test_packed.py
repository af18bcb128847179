"""The packed pieces, read without merging them."""

import pytest

from findings.twelve_thousand import locked, packed
from findings.twelve_thousand.pieces import DATA, WHOLE
from passband import PassbandError
from passband.config import load, validate_stored
from passband.results import locate


def test_the_pieces_have_the_conditions_of_the_study_in_its_order():
    ids = []
    for matrix in packed.pieces():
        assert matrix.images(0).shape == (7, 144, 8)
        assert matrix.home(0).shape == (7, 8)
        ids += matrix.rows
    assert ids == [condition.id for condition in load(WHOLE).train_conditions]


def test_the_study_in_the_attributes_of_each_pack_is_read():
    files = sorted(DATA.glob("parts/*.zarr.zip"))
    assert len(files) == 24
    ids = [condition.id for condition in load(WHOLE).test_conditions]
    for file in files:
        study = validate_stored(locate.configuration(file))
        assert [condition.id for condition in study.test_conditions] == ids


def test_the_locked_study_is_one_without_the_key_that_only_0_2_had():
    study = locked.new_study()
    train, test = locked.drawn(locked.check_digests()["protocol"])
    assert {*study.train_conditions} == {*train}
    assert {*study.test_conditions} > {*test}


def test_a_folder_without_pieces_is_one_line(tmp_path):
    with pytest.raises(PassbandError, match="has no packed pieces"):
        next(packed.tables(tmp_path))
