"""The network that is part of the package, and its sample image."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_data import real

from passband.cli import main
from passband.learning import network_files
from passband.micrographs import readers, trust
from passband.micrographs.segmentation import Settings, segment

SAMPLE = network_files.SHIPPED / "sample.ome.tif"


@pytest.fixture(scope="module")
def network():
    (network,) = network_files.open_networks("general")
    return network


def test_general_is_small_and_says_where_it_holds(network):
    assert network_files.shipped().keys() == {"general"}
    assert network.path.stat().st_size < 2e6
    assert "gold" in network.limits
    assert not network.microscope.detector.noise.is_white
    assert json.loads(network.metadata.provenance["configuration"])["study"]["name"]


@pytest.mark.parametrize("named", [["--network", "general"], ["general"]])
def test_a_sample_is_segmented_from_the_command_line(named, tmp_path, capsys):
    """The sample file has its pixel size, and its particles are found."""
    assert main(["predict", *named, str(SAMPLE), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "gold" in printed
    assert "noise not filtered" in printed
    assert "expected Dice 0." in printed
    assert trust.WARNING not in printed
    mask = np.asarray(Image.open(tmp_path / "sample_mask.ome.tif")) > 0
    true = np.asarray(Image.open(SAMPLE.with_name("sample_mask.png"))) > 0
    assert mask.shape == true.shape
    both = np.count_nonzero(mask & true)
    assert 2 * both / (mask.sum() + true.sum()) > 0.85


def test_real_images_are_segmented_better_than_by_any_threshold(network):
    """The best setting of 32 thresholds has a mean Dice of 0.64 on these patches."""
    values, folder = [], real("hrtem")
    for path in sorted((folder / "images").glob("*.png")):
        (image,), (true,) = (
            readers.read(path, 0.776).images,
            readers.read_mask(folder / "masks" / path.name),
        )
        mask = segment(image, 0.776, [network], Settings()).mask
        if true.mean() > 0.01:
            values.append(2 * np.count_nonzero(mask & true) / (mask.sum() + true.sum()))
        else:
            assert (mask & ~true).mean() < 0.05
    assert len(values) == 5
    assert np.mean(values) > 0.8


def test_a_user_can_still_have_a_file_of_this_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("general").write_bytes(b"no network")
    with pytest.raises(network_files.PassbandError, match="general"):
        network_files.open_networks("general")
