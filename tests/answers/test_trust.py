"""What is known about images is opened from a study or a published folder, and kept."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from likeness_study import STUDY, write_study
from low_dose import extract
from recommended import make_results, make_study
from toy_networks import true_dice

from passband import PassbandError
from passband.answers import trust
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.learning.network_files import open_networks
from passband.network_id import NetworkId
from passband.results import Results

CELL = f"gold/compact-w4-d2/{STUDY.train_conditions[0].id}"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("results") / "tiny")


def test_measurements_are_kept_until_the_weights_change(results, monkeypatch):
    networks = open_networks(results, CELL)
    first = trust.measured(networks)
    (file,) = (results / "cache/likeness").rglob("*.json")
    assert file.name == f"{STUDY.train_conditions[0].id}_0-1.json"

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(trust.StudyImages, "measure", refuse)
    assert trust.measured(networks).places == first.places
    file.write_text(file.read_text().replace('"key": "', '"key": "0'))
    with pytest.raises(AssertionError, match="measured again"):
        trust.measured(networks)


def test_replicas_that_are_used_alone_have_their_own_measurements(results):
    networks = open_networks(results, f"{CELL}/1")
    found = trust.open_trust(networks)
    assert found.networks == (NetworkId.parse(f"{CELL}/1"),)
    assert "disagreement" not in found.calibrations["plain"].names


def test_without_a_table_the_condition_is_not_used(results):
    networks = open_networks(results, f"{CELL}/1")
    assert set(trust.open_trust(networks, with_ctf=True).calibrations) == {"plain"}
    with pytest.raises(PassbandError, match="no table of results"):
        trust.expected_dice(networks, STUDY.train_conditions[1])


def test_networks_are_grouped_by_training_condition(results):
    other = f"gold/compact-w4-d2/{STUDY.train_conditions[1].id}"
    networks = [*open_networks(results, f"{CELL}/1"), *open_networks(results, other)]
    networks += open_networks(results, f"{CELL}/0")
    found = [[str(network.id) for network in group] for group in trust.by_condition(networks)]
    assert found == [[f"{CELL}/0", f"{CELL}/1"], [f"{other}/0", f"{other}/1"]]


def test_weights_that_are_not_in_a_study_are_not_assessed(results, tmp_path):
    (path,) = (results / "networks" / CELL).glob("*.safetensors")
    shutil.copy(path, tmp_path / "copy.safetensors")
    with pytest.raises(PassbandError, match=r"copy\.safetensors is not in the results of a study"):
        trust.open_trust(open_networks(tmp_path / "copy.safetensors"))


def test_published_folder_has_everything(tmp_path):
    folder = extract(tmp_path)
    networks = open_networks(folder)
    found = trust.open_trust(networks, with_ctf=True)
    assert found.networks == (networks[0].id,)
    assert set(found.calibrations) == {"plain", "ctf"}


@pytest.mark.parametrize("content", ["", "{}", '{"networks": []}', "[1]"])
def test_damaged_file_of_a_published_folder_is_reported(tmp_path, content):
    folder = extract(tmp_path)
    (folder / "likeness.json").write_text(content)
    with pytest.raises(PassbandError, match=r"likeness\.json: is damaged"):
        trust.open_trust(open_networks(folder))


@pytest.mark.parametrize(
    ("network", "refusal"),
    [
        ("gold/x/all-5d8f5c27/0", "is of gold/x/all-5d8f5c27/0"),
        ("gold/x/y/0", "is damaged: network = 'gold/x/y/0'"),
    ],
)
def test_file_of_another_network_is_refused(tmp_path, network, refusal):
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    content = json.loads(path.read_text()) | {"networks": [network]}
    path.write_text(json.dumps(content))
    with pytest.raises(PassbandError, match=refusal):
        trust.open_trust(open_networks(folder))


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
