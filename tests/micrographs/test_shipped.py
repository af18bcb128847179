"""The network that is part of the package, and its sample image."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from real_data import real

from passband import repository
from passband.cli import main
from passband.config import load
from passband.config.detector import DetectorNoise
from passband.learning import network_files
from passband.micrographs.assessors import Assessors
from passband.micrographs.images import preparation, readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust import trust
from passband.micrographs.trust.trust_files import open_trust, trust_file
from passband.results import published
from passband.storage import checked_json

SAMPLE = published.SAMPLE


@pytest.fixture(scope="module")
def network():
    (network,) = network_files.open_networks("general")
    return network


def test_the_network_of_the_package_has_two_names(network):
    assert [*published.shipped()] == ["general", "general-2026"]
    (same,) = network_files.open_networks("general-2026")
    assert same.path == network.path


def test_a_network_of_the_package_is_small_and_says_where_it_holds(network):
    assert network.path.stat().st_size < 2e6
    assert network.limits.startswith("general-2026: for HRTEM of gold")
    assert not network.microscope.detector.noise.is_white


def test_its_study_is_one_of_passbands(network):
    """So it can be trained again."""
    assert network.study in [load(file) for file in repository.studies().values()]


def test_its_card_has_its_name_and_its_scores(network):
    card = network.path.with_name("simulated.md").read_text(encoding="utf-8")
    assert card.startswith("# The network `general-2026` on simulated images\n")
    assert network.limits in card
    assert ("F1 score of their particles" in card) == (network.head is not None)


def test_what_is_known_about_its_training_images_has_a_checksum(network):
    """The file is written by `checked_json.write`."""
    assert checked_json.read(trust_file(network)).keys() >= {"networks", "reference", "own"}


@pytest.mark.parametrize("words", [["--network", "general", str(SAMPLE)], ["general", "sample"]])
def test_a_sample_is_segmented_from_the_command_line(words, tmp_path, capsys, monkeypatch):
    """The sample file has its pixel size, and its particles are found."""
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *words, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "\n  looks like the training images; expected Dice 0." in printed
    result, verdict = printed.splitlines()[:2]
    for page in ("docs/predict.md", "README.md"):  # they show what is printed
        text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
        assert f"\n{result}\n{verdict}\n" in text
    assert "noise" not in printed
    mask = np.asarray(Image.open(tmp_path / "sample_mask.ome.tif")) > 0
    true = np.asarray(Image.open(SAMPLE.with_name("sample_mask.png"))) > 0
    assert mask.shape == true.shape
    both = np.count_nonzero(mask & true)
    assert 2 * both / (mask.sum() + true.sum()) > 0.85


@pytest.mark.slow
def test_the_sample_is_small_and_the_first_structure_with_five_whole_particles(network):
    """Those before it are drawn by the script only, which takes a minute."""
    assert SAMPLE.stat().st_size + SAMPLE.with_name("sample_mask.png").stat().st_size <= 300_000
    with tifffile.TiffFile(SAMPLE) as file:
        (index,) = re.findall(r"simulated, gold test (\d+), df", file.ome_metadata)
    of = network.study.specimens["gold"], network.study.microscope.sampling
    ship = runpy.run_path(str(Path(__file__).parents[2] / "docs/scripts/ship.py"))
    before, own = (ship["whole"]("gold", *of, 15, k) for k in (int(index) - 1, int(index)))
    assert network.study.study.seed == 15
    assert before < ship["WHOLE"] == 5 <= own


def test_a_file_of_ones_own_goes_before_the_sample(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sample").write_text("")
    assert main(["predict", "general", "sample"]) == 1
    assert "sample: unknown format" in capsys.readouterr().err


@pytest.fixture(scope="module")
def drawn():
    """Return the sample on pixels of 0.5 Å, with averaged noise beyond 0.644 1/Å, and its mask."""
    micrograph, (true,) = (
        readers.read(SAMPLE),
        readers.read_mask(SAMPLE.with_name("sample_mask.png")),
    )
    image = preparation.resample(micrograph.images[0], micrograph.pixel_size_A, 0.5)
    noise = np.random.default_rng(0).normal(0, 0.3 * image.std(), image.shape)
    image += preparation.filter_noise(noise, 0.5, DetectorNoise(form="hann", width_A=0.8))
    places = (
        ((np.arange(n) + 0.5) * 0.5 / micrograph.pixel_size_A).astype(int) for n in image.shape
    )
    return image, true[np.ix_(*places)]


@pytest.mark.slow
def test_images_are_filtered_by_their_own_noise(tmp_path, capsys, drawn):
    """A stack of counts, whose noise is white, and of the drawn image, both with fine pixels."""
    image, _ = drawn
    counts = np.random.default_rng(0).poisson(image)
    np.save(tmp_path / "stack.npy", np.stack([counts, image]))
    words = "--network", "general", str(tmp_path / "stack.npy"), "--pixel-size-A", "0.5"
    assert main(["predict", *words, "--out", str(tmp_path / "out"), "--verbose"]) == 0
    first, second = capsys.readouterr().out.split("stack.npy frame ")[1:]
    assert "unlike" not in first + second
    assert "\n  noise filtered as in the training: the image's noise counts as white" in first
    assert "\n  noise not filtered: the image counts as averaged (slope -" in second


@pytest.mark.slow
@pytest.mark.parametrize("flags_shades", [True, False])
def test_a_darker_part_of_the_field_is_flagged(network, flags_shades):
    """The sample is even. Only a shade is a reason, and only where it was measured."""
    sample = readers.read(SAMPLE, None)
    (image,) = sample.images
    columns = (np.arange(image.shape[1]) - 0.35 * image.shape[1]) * sample.pixel_size_A / 3
    shade = image.std() * (1 + np.tanh(columns)) / 2
    for each, reasons in ((image, ()), (image - shade, (trust.SHADED,) * flags_shades)):
        if flags_shades:
            assessor = Assessors().of([network])
        else:
            assessor = trust.Assessor([open_trust([network])], [network])
        shown = each.astype(np.float32)
        segment(shown, sample.pixel_size_A, [network], Settings(), watch=assessor.watch)
        assert assessor.finish().reasons == reasons


@pytest.mark.slow
def test_noise_that_no_training_image_has_gives_no_warning(network, drawn):
    """The spectrum of a finer drawn image is cut off where that of the training images ends."""
    image, true = drawn
    for filter_noise, flagged in ((None, False), (False, True)):
        assessor = trust.Assessor([open_trust([network])], [network])
        settings = Settings(filter_noise=filter_noise)
        mask = segment(image, 0.5, [network], settings, watch=assessor.watch).mask
        assert assessor.finish().is_flagged is flagged
        assert 2 * np.count_nonzero(mask & true) / (mask.sum() + true.sum()) > 0.92


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.776, 0.5])
def test_real_images_are_segmented_better_than_by_any_threshold(network, pixel_A):
    """The best setting of 32 thresholds has a mean Dice of 0.64 on these patches.

    `general` has 0.859. On pixels of 0.5 Å, the patches are averaged images too. If they are
    filtered again, it has 0.76.
    """
    values, folder = [], real("hrtem")
    for path in sorted((folder / "images").glob("*.png")):
        (image,), (true,) = (
            readers.read(path, 0.776).images,
            readers.read_mask(folder / "masks" / path.name),
        )
        image = preparation.resample(image, 0.776, pixel_A)
        places = (((np.arange(n) + 0.5) * pixel_A / 0.776).astype(int) for n in image.shape)
        true = true[np.ix_(*places)]
        mask = segment(image, pixel_A, [network], Settings()).mask
        if true.mean() > 0.01:
            values.append(2 * np.count_nonzero(mask & true) / (mask.sum() + true.sum()))
        else:
            assert (mask & ~true).mean() < 0.05
    assert len(values) == 5
    assert np.mean(values) > (0.855 if pixel_A == 0.776 else 0.84)


def test_a_user_can_still_have_a_file_of_this_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("general").write_bytes(b"no network")
    with pytest.raises(network_files.PassbandError, match="general"):
        network_files.open_networks("general")
