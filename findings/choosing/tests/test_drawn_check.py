"""The check of recommendations, as far as it needs no test of a network."""

import shutil

import pytest
from recommended import make_results, make_study

from passband import PassbandError
from passband.answers import recommendation_check
from passband.results import Results, layout
from passband.storage import datasets


def test_one_test_structure_cannot_both_choose_and_judge(tmp_path):
    study = make_study()
    results = make_results(study, tmp_path)
    table = datasets.read(results / layout.TABLE, datasets.TABLE).load().isel(structure=[0])
    shutil.rmtree(results / layout.TABLE)
    datasets.write(table.drop_encoding(), results / layout.TABLE, datasets.TABLE, {})
    with pytest.raises(PassbandError, match="has one test structure; a check needs 2 or more"):
        recommendation_check.run(Results(study, results), 3)
