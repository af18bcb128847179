"""What assesses the images of networks, and why images are not assessed."""

import pytest
from low_dose import extract
from thresholds import save

from passband.errors import PassbandError
from passband.learning.network_files import open_networks
from passband.micrographs import assessors as module
from passband.micrographs.assessors import Assessors
from passband.micrographs.trust import trust_files
from passband.micrographs.trust.trust import Assessor, Unassessed


@pytest.fixture
def published(tmp_path):
    return open_networks(extract(tmp_path))


def why(found) -> str:
    assert isinstance(found, Unassessed)
    return found.finish().unassessed


def test_a_published_network_is_assessed_and_opened_once(published, monkeypatch):
    opened, whole = [], trust_files.open_trust

    def open_trust(networks, *others):
        opened.append(networks)
        return whole(networks, *others)

    monkeypatch.setattr(module, "open_trust", open_trust)
    assessors = Assessors()
    first, second = (assessors.of(published) for _ in range(2))
    assert isinstance(first, Assessor)
    assert first is not second
    assert len(opened) == 1
    other = assessors.of(published, {published[0].id: 0.5})
    assert other.values != first.values == second.values


def test_reasons_for_no_assessment(tmp_path):
    alone = open_networks(save(tmp_path / "a.safetensors"))
    assert "is not in the results of a study" in why(Assessors().of(alone))


def test_a_condition_without_a_table_is_a_note(published):
    def expected(networks):
        raise PassbandError("there is no table")

    assessors = Assessors(expected)
    assert isinstance(assessors.of(published), Assessor)
    (note,) = assessors.notes
    assert note == "the condition is not used for the expected Dice, since there is no table"
