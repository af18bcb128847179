"""Published folders that look at images by their ONNX file, and folders that are refused."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from passband import PassbandError
from passband.learning.network_files import open_networks
from passband.micrographs.models import published_network
from passband.micrographs.models.published_network import PublishedNetwork
from passband.results import published
from passband.storage import checked_json, integrity

GENERAL = published.shipped()["general"]


@pytest.fixture
def folder(tmp_path):
    """A copy of the package's network, without the list of checksums."""
    shutil.copytree(GENERAL, tmp_path / "mine")
    (tmp_path / "mine" / integrity.CHECKSUMS).unlink()
    return tmp_path / "mine"


def change(folder, **values):
    path = folder / published.NETWORK
    checked_json.write(path, checked_json.read(path) | values)


def test_the_file_says_what_torchs_network_says():
    (network,) = open_networks(GENERAL)
    found = PublishedNetwork.open(GENERAL)
    for name in (
        *("id", "is_published", "limits", "unchecked", "normalisation", "pixel_size_A"),
        *("finest_A", "field_px", "noise", "smallest_px", "outputs", "head"),
    ):
        assert getattr(found, name) == getattr(network, name), name
    assert found.limits.startswith("general-2026: for HRTEM of gold")
    model, by_torch = found.model(), network.model()
    for name in ("name", "divisor", "smallest_px", "outputs", "halo", "bytes_per_pixel"):
        assert getattr(model, name) == getattr(by_torch, name), name


def test_a_process_opens_the_file_once_and_a_network_goes_to_others():
    found = PublishedNetwork.open(GENERAL)
    assert found.model() is found.model()
    image = np.zeros((1, 1, 32, 32), np.float32)
    again = pickle.loads(pickle.dumps(found)).model()(image)
    np.testing.assert_array_equal(again, found.model()(image))


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(published_network, "_threads", 0)
    monkeypatch.setattr(published_network, "cores", lambda: 8)
    PublishedNetwork.open(GENERAL).share(3)
    assert published_network._threads == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": 2, "passband": "9.1"}, "has another format; open it with Passband 9.1"),
        ({"halo": -1}, "halo: Input should be greater than or equal to 0"),
        ({"pixel_size_A": "0.5"}, "pixel_size_A: Input should be a valid number"),
        ({"code": "import os"}, "code: Extra inputs are not permitted"),
        ({"noise": {"form": "pink"}}, "form: "),
        ({"id": "gold"}, "network.json: network = 'gold': must be an id such as"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(folder, values, words):
    change(folder, **values)
    with pytest.raises(PassbandError) as raised:
        PublishedNetwork.open(folder)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_damaged_and_missing_files_are_named(folder):
    path = folder / published.NETWORK
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"field_px": 64}))
    with pytest.raises(PassbandError, match=r"network.json: is damaged: its checksum does not"):
        PublishedNetwork.open(folder)
    path.unlink()
    with pytest.raises(PassbandError, match=r"network.json: there is no such file"):
        PublishedNetwork.open(folder)


def test_a_changed_onnx_file_is_refused(folder):
    with (folder / published.ONNX).open("ab") as file:
        file.write(b" ")
    with pytest.raises(PassbandError, match=r"model\.onnx: was changed"):
        PublishedNetwork.open(folder).model()


CODE = """
import sys
from passband.cli import main
assert main(["predict", "general", "sample"]) == 0
heavy = {"torch", "lightning", "snakemake", "abtem", "ase"} & {*sys.modules}
assert not heavy, heavy
"""


@pytest.mark.slow
def test_the_command_imports_nothing_of_the_grid(tmp_path):
    command = [sys.executable, "-c", CODE]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "5 particles" in run.stdout
