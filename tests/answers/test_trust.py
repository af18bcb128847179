"""What is known about images of a study's network, and the Dice that is expected of it."""

import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from likeness_study import STUDY, write_study
from recommended import make_results, make_study
from toy_networks import true_dice

from passband import PassbandError
from passband.answers import likeness, trust
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.learning.network_files import open_networks
from passband.micrographs.trust import trust_files
from passband.network_id import NetworkId
from passband.results import Results

CELL = NetworkId("gold", "compact-w4-d2", STUDY.train_conditions[0].id)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("results") / "tiny")


def test_a_network_of_a_study_is_measured_only_when_it_is_published(results, monkeypatch):
    """Predicting with it says in one line how to have it measured, and measures nothing."""
    monkeypatch.setattr(likeness.StudyImages, "measure", lambda *_: pytest.fail("it was measured"))
    networks = open_networks(results, CELL)
    with pytest.raises(PassbandError) as caught:
        trust_files.open_trust(networks)
    said, _, command = str(caught.value).partition(": ")
    assert said == (
        "the network has not been compared with its training images; publish it, and predict with "
        "the folder"
    )
    assert shlex.split(command) == [
        *("passband", "publish", str(results), "--network", f"{CELL}/0"),
    ]


@pytest.mark.slow
def test_a_network_alone_has_no_disagreement(results):
    (network,) = open_networks(results, replace(CELL, replica=1))
    found = trust.measured_trust(network, with_ctf=False)
    assert found.networks == (replace(CELL, replica=1),)
    assert "disagreement" not in found.calibrations["plain"].names


@pytest.mark.slow
def test_without_a_table_the_condition_is_not_used(results):
    networks = open_networks(results, replace(CELL, replica=1))
    assert set(trust.measured_trust(networks[0], with_ctf=True).calibrations) == {"plain"}
    with pytest.raises(PassbandError, match="no table of results"):
        trust.expected_dice(networks, STUDY.train_conditions[1])


def test_networks_are_grouped_by_training_condition(results):
    other = replace(CELL, condition=STUDY.train_conditions[1].id)
    networks = [
        *open_networks(results, replace(CELL, replica=1)),
        *open_networks(results, other),
    ]
    networks += open_networks(results, replace(CELL, replica=0))
    found = [[str(network.id) for network in group] for group in trust_files.by_condition(networks)]
    assert found == [[f"{CELL}/0", f"{CELL}/1"], [f"{other}/0", f"{other}/1"]]


def test_weights_that_are_not_in_a_study_are_not_assessed(results, tmp_path):
    (path,) = (results / "networks" / str(CELL)).glob("*.safetensors")
    shutil.copy(path, tmp_path / "copy.safetensors")
    with pytest.raises(PassbandError, match=r"copy\.safetensors is not in the results of a study"):
        trust_files.open_trust(open_networks(tmp_path / "copy.safetensors"))


def test_expected_dice_is_that_of_the_given_lens(tmp_path, monkeypatch):
    """Networks of this study work only near the astigmatism that they were trained at."""

    def dice(train, test):
        apart = len(train.further) - len(test.further)
        return true_dice(train, test) - 0.4 * abs(apart)

    monkeypatch.setattr("recommended.true_dice", dice)
    study = make_study(cs_um=[1.2], aperture_mrad=[15], astigmatism_nm=[0, 8])
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    here = Condition(5, 1.2, 15, 1000)
    both = [replace(here, further=further) for further in ((), {"astigmatism_nm": 8})]
    networks = [SimpleNamespace(id=NetworkId("gold", "compact-w8-d3", c.id, 0)) for c in both]
    monkeypatch.setattr(trust, "_tested", lambda group: tested)
    monkeypatch.setattr(trust, "by_condition", lambda networks: [networks])
    for length, best in ((0, 0), (7, 1)):
        asked = Condition(6, 1.2, 15, 850, {"astigmatism_nm": length})
        found = [trust.expected_dice(networks, asked)[network.id] for network in networks]
        assert found[best] > found[1 - best] + 0.2
    plain = trust.expected_dice(networks, Condition(6, 1.2, 15, 850))
    assert plain == trust.expected_dice(networks, replace(asked, further={"astigmatism_nm": 0}))
