"""Trained networks that are opened from files, published folders and studies."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from synthetic import weights_metadata

from passband import PassbandError
from passband.config import Study
from passband.learning import network_files, networks
from passband.learning.network_files import open_networks
from passband.network_id import NetworkId, is_id
from passband.results import Results
from passband.storage import weights as files

CONDITION = "df+0005.00_cs+0001.200_ap010.00_ds000100.00"
CELL = NetworkId("gold", "compact-w4-d2", CONDITION)
CONFIGURATION = {"microscope": {"pixel_size_A": 0.25, "field_px": 64}}


def save(path, replicas=(0, 1), configuration=CONFIGURATION, **changes):
    provenance = {} if configuration is None else {"configuration": json.dumps(configuration)}
    changes = {"condition": CONDITION, "provenance": provenance} | changes
    metadata = weights_metadata(replicas, **changes)
    states = {r: networks.build("compact-w4-d2", seed=r).state_dict() for r in replicas}
    files.save(states, path, metadata)
    return states


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/small"
    save(folder / "networks" / str(CELL) / "r000-001.safetensors")
    save(folder / "networks" / str(CELL) / "r002-002.safetensors", replicas=(2,))
    return folder


def test_file_gives_all_its_replicas(tmp_path):
    states = save(tmp_path / "a.safetensors")
    found = open_networks(tmp_path / "a.safetensors")
    assert [str(network.id) for network in found] == [f"{CELL}/0", f"{CELL}/1"]
    for network in found:
        assert not network.module.training
        assert torch.equal(network.module.head.weight, states[network.replica]["head.weight"])
        assert network.pixel_size_A == network.microscope.pixel_size_A == 0.25
        assert network.condition.id == CONDITION
        assert (network.divisor, network.smallest_px) == (4, 8)
        assert network.normalisation == "zscore"


def test_id_chooses_one_replica_of_a_file(tmp_path):
    save(tmp_path / "a.safetensors")
    (network,) = open_networks(tmp_path / "a.safetensors", replace(CELL, replica=1))
    assert network.replica == 1
    with pytest.raises(PassbandError, match=r"network = .*/7': .* has only .*/0, .*/1$"):
        open_networks(tmp_path / "a.safetensors", replace(CELL, replica=7))


def test_published_folder_is_opened(tmp_path):
    save(tmp_path / "published/weights.safetensors", replicas=(3,))
    assert [network.replica for network in open_networks(tmp_path / "published")] == [3]


def test_id_without_replica_gives_all_batches_of_a_study(results):
    every = open_networks(results, CELL)
    assert [network.replica for network in every] == [0, 1, 2]
    (last,) = open_networks(results, replace(CELL, replica=2))
    assert last.replica == 2
    assert len(open_networks(results)) == 3  # the study has one training condition
    assert network_files.finished_networks(Results(None, results)) == [CELL]


def test_microscope_of_a_whole_study_is_read(tmp_path):
    configuration = Study().model_dump(mode="json")
    save(tmp_path / "a.safetensors", configuration=configuration)
    assert open_networks(tmp_path / "a.safetensors")[0].microscope == Study().microscope


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (replace(CELL, replica=9), "has only the replicas 0, 1, 2 of this specimen"),
        (replace(CELL, specimen="silver"), "has none of this specimen"),
    ],
)
def test_wrong_ids_are_reported_in_one_line(results, network, line):
    with pytest.raises(PassbandError, match=line) as error:
        open_networks(results, network)
    assert "\n" not in str(error.value)


def test_study_without_networks_is_reported(tmp_path):
    with pytest.raises(PassbandError, match="has no finished network; run the study first"):
        open_networks(tmp_path, replace(CELL, replica=0))


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(PassbandError, match="there is no such file or folder; give a weights"):
        open_networks(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("configuration", "changes", "line"),
    [
        (None, {}, "its metadata have no 'configuration'"),
        ({"grid": {}}, {}, "its metadata have no 'microscope'"),
        ({"microscope": {"pixel_size_A": 0}}, {}, r"microscope\.pixel_size_A in its metadata"),
        (CONFIGURATION, {"condition": "a"}, "'a' is not the id of a condition"),
    ],
)
def test_wrong_metadata_are_reported(tmp_path, configuration, changes, line):
    path = tmp_path / "a.safetensors"
    save(path, configuration=configuration, **changes)
    with pytest.raises(PassbandError, match=line) as error:
        open_networks(path)
    assert "\n" not in str(error.value)


def test_file_of_another_kind_is_reported_without_the_advice_to_delete_it(tmp_path):
    path = tmp_path / "picture.safetensors"
    path.write_bytes(b"\x89PNG" * 20)
    with pytest.raises(PassbandError, match="not a whole file of weights") as error:
        open_networks(path)
    assert "delete" not in str(error.value)
    save(tmp_path / "whole.safetensors")
    torn = shutil.copy(tmp_path / "whole.safetensors", tmp_path / "torn.safetensors")
    with open(torn, "r+b") as file:
        file.truncate(5000)
    with pytest.raises(PassbandError, match="not a whole file of weights"):
        open_networks(torn)


def test_form_of_ids():
    assert is_id(str(CELL))
    assert is_id(f"{CELL}/0")
    assert not is_id("auto")
    assert not is_id("results/published/x/0")


def test_a_file_of_the_study_s_present_jobs_is_preferred_to_a_newer_one(results):
    """The newer file is of a job that the study had in the meantime, with other settings."""
    old = results / "networks" / str(CELL) / "r000-001.safetensors"
    new = results / "networks" / str(CELL) / "r000-000.safetensors"
    save(new, replicas=(0,))
    os.utime(old, (10**9, 10**9))
    assert [each.path for each in open_networks(results, replace(CELL, replica=0))] == [new]
    present = Results(None, results)
    present.present = {old}
    assert [each.path for each in open_networks(present, replace(CELL, replica=0))] == [old]
    assert [each.path for each in open_networks(present, replace(CELL, replica=1))] == [old]
