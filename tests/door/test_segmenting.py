"""What networks find in files, by the door and by the commands that call it."""

import csv
import json
import shutil

import numpy as np
import pytest
from low_dose import extract, images
from thresholds import CELL, image_of, mask_of_discs, save

import passband
from passband import PassbandError, cli
from passband.results.published import SHIPPED

MASK = mask_of_discs((80, 121), (30, 40, 12), (60, 90, 11))
PIXEL = "--pixel-size-A", "0.3"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with two networks in a file, a published one, and images; one has no pixels."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "two.safetensors", {0: 0.4, 1: 0.6})
    (tmp_path / "network").mkdir()
    extract(tmp_path / "network")
    (tmp_path / "images").mkdir()
    for number in range(2):
        np.save(tmp_path / f"images/{number}.npy", image_of(MASK, number))
    (tmp_path / "images/2.npy").write_bytes(b"no array")
    np.save(tmp_path / "gold.npy", images("Au")[0][0])
    return tmp_path


def contents(folder):
    """Return the rows of the tables, and the content of the other files but for their ids."""
    tables = {}
    for name in ("summary", "particles"):
        with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            tables[name] = list(csv.DictReader(file))
    return tables, sorted(path.name for path in folder.iterdir())


def test_files_are_segmented_by_the_same_function(place, capsys):
    said = []
    study = passband.open("two.safetensors")
    found = study.segment("images", pixel_size_A=0.3, out="python", report=said.append)
    status = cli.main(["predict", "two.safetensors", "images", *PIXEL, "--out", "terminal"])
    out, err = capsys.readouterr()
    assert status == 1
    assert contents(place / "python") == contents(place / "terminal")
    assert out.replace("terminal", "python").splitlines() == [*said, *found.closing]
    assert err.splitlines()[1:] == list(found.failures)
    assert found.failures[0].startswith("images/2.npy: not a whole .npy file")
    assert (found.number, len(found.images)) == (3, 3)
    # In memory, one file more.
    alone = study.segment("images/0.npy", pixel_size_A=0.3)
    assert found.images[0].particles == tuple(alone.particles)
    assert found.images[0].confidence == pytest.approx(alone.confidence)
    assert str(alone).splitlines()[0] == found.images[0].line.removeprefix("0.npy: ")
    assert str(alone).splitlines()[1] == alone.verdict
    assert alone.verdict in alone._repr_html_()
    content = json.loads(alone.to_json())
    assert content["verdict"] == alone.verdict
    assert [each["label"] for each in content["particles"]] == [1, 2]
    with pytest.raises(PassbandError, match=r"images/2.npy: not a whole .npy file"):
        study.segment("images/2.npy", pixel_size_A=0.3)


def test_what_is_there_is_not_done_again_and_has_a_face(place, monkeypatch):
    study = passband.open("network")
    first = study.segment("gold.npy", pixel_size_A=0.3, out="masks")
    from passband.micrographs import predictions

    monkeypatch.setattr(predictions, "segment", None)  # which is not called again
    again = study.segment("gold.npy", pixel_size_A=0.3, out="masks")
    assert again.images == first.images
    assert "1 of 1 file had been done before" in again.closing
    (image,) = json.loads(again.to_json())["images"]
    assert image["verdict"] == first.images[0].verdict
    assert image["expected_dice"]["value"] == first.images[0].expected_dice.value
    assert again.images[0].verdict in str(again)
    assert again.images[0].verdict in again._repr_html_()


@pytest.mark.slow
def test_progress_counts_files_and_their_tiles(place):
    seen = []
    study = passband.open("two.safetensors")
    study.segment(
        ["images/0.npy", "images/1.npy"],
        pixel_size_A=0.3,
        out="masks",
        tile=32,
        progress=lambda *how: seen.append(how),
    )
    assert [how for how in seen if how[2] == "files"] == [(1, 2, "files"), (2, 2, "files")]
    tiles = [how for how in seen if how[2].startswith("tile ")]
    assert tiles[0][:2] == (0, 2)
    assert tiles[-1][0] == 1


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (("--jobs=0",), {"jobs": 0}, "jobs = 0: must be at least 1"),
        (("--tile=0",), {"tile": 0}, "tile = 0: must be at least 1 pixel"),
        (("--truth=no",), {"truth": "no"}, "truth = 'no': there is no such folder"),
        (("--out=images",), {"out": "images"}, "out = 'images': is the folder of images/0.npy"),
        (("--replicas=7",), {"replicas": [7]}, "replicas = '7': must be numbers out of 0,1"),
        (("--specimen=x",), {"specimen": "x"}, "specimen = 'x': has an effect only with the"),
        (("--network=gold/x",), {"network": "gold/x"}, None),
        (
            ("--cs-um=3",),
            {"condition": {"cs_um": 3}},
            "cs_um = 3: has an effect only together with defocus_nm",
        ),
        (
            ("--defocus-nm=3",),
            {"condition": {"defocus_nm": 3}},
            "cs_um is missing: the expected Dice by the transfer function needs all of",
        ),
        (
            ("--filter-noise",),
            {"filter_noise": True},
            "filter_noise: has no effect, since the noise of the training images is white",
        ),
        (
            (f"--network={CELL}/9",),
            {"network": f"{CELL}/9"},
            f"network = '{CELL}/9': two.safetensors has only {CELL}/0, {CELL}/1",
        ),
    ],
)
def test_a_mistake_has_the_same_words(place, capsys, options, arguments, message):
    given = {"pixel_size_A": 0.3, "out": "masks"} | arguments
    with pytest.raises(PassbandError) as caught:
        passband.open("two.safetensors").segment("images", **given)
    text = str(caught.value)
    assert message is None or text.startswith(message)
    words = [*PIXEL, "--out=masks", *options]
    if message is None:  # the terminal takes a word that is no id for a path
        return
    assert cli.main(["predict", "two.safetensors", "images", *words]) == 1
    said = capsys.readouterr().err.strip()
    for option in ("jobs", "tile", "truth", "out", "replicas", "specimen"):
        said = said.replace(f"--{option} =", f"{option} =")
    for option in ("cs-um", "defocus-nm", "filter-noise"):
        said = said.replace(f"--{option}", option.replace("-", "_"))
    assert said == text
    assert not (place / "masks").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truth": "images"}, "truth = 'images': has an effect only together with out"),
        ({"condition": {"focus": 1}}, "'focus': is no axis; axes are defocus_nm"),
        ({"condition": {"defocus_nm": "x"}}, "defocus_nm = 'x': must be a number"),
        ({"network": "auto", "replicas": [0]}, "replicas: cannot be given together with the net"),
        ({"network": "auto"}, "two.safetensors: is a network alone, without the results of its"),
    ],
)
def test_what_only_python_can_say_is_refused_in_one_line(place, arguments, message):
    with pytest.raises(PassbandError, match=message) as caught:
        passband.open("two.safetensors").segment("images/0.npy", pixel_size_A=0.3, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_labels_are_measured_by_the_same_function(place, capsys):
    found = passband.open("two.safetensors").segment("images/0.npy", pixel_size_A=0.3)
    (place / "labels").mkdir()
    np.save("labels/0.npy", found.labels)
    said = []
    measured = passband.measure_labels(
        ["images/0.npy", "images/1.npy"],
        "labels",
        out="python",
        pixel_size_A=0.3,
        report=said.append,
    )
    words = "images/0.npy", "images/1.npy", *PIXEL, "--labels=labels", "--out=terminal"
    assert cli.main(["predict", *words]) == 1
    out, err = capsys.readouterr()
    assert contents(place / "python") == contents(place / "terminal")
    assert out.replace("terminal", "python").splitlines() == [*said, *measured.closing]
    assert err.splitlines()[1:] == list(measured.failures)
    assert len(measured.images[0].particles) == 2
    with pytest.raises(PassbandError, match=r"^labels = 'no': there is no such file or folder$"):
        passband.measure_labels("images/0.npy", "no", out="python")


@pytest.mark.slow
def test_rings_are_measured_by_the_same_function(place, capsys):
    shutil.copy(SHIPPED / "sample.ome.tif", "image.tif")
    found = passband.ctf("image.tif", energy_kev=300)
    assert cli.main(["ctf", "image.tif", "--energy-kev=300"]) == 0
    assert capsys.readouterr().out == f"{found}\n"
    assert cli.main(["ctf", "image.tif", "--energy-kev=300", "--json"]) == 0
    assert capsys.readouterr().out == f"{found.to_json()}\n"
    for given, message in (
        ({"energy_kev": 1}, "energy_kev = 1: must be between 10 and 3000 keV"),
        ({}, "energy_kev is missing: image.tif does not state a beam energy"),
        ({"energy_kev": 300, "cs_um": 1e6}, "cs_um = 1e+06: must be between"),
    ):
        with pytest.raises(PassbandError) as caught:
            passband.ctf("image.tif", **given)
        assert str(caught.value).startswith(message)
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        assert cli.main(["ctf", "image.tif", *words]) == 1
        name = message.split()[0]
        option = f"--{name.replace('_', '-')}"
        assert capsys.readouterr().err.strip() == str(caught.value).replace(name, option, 1)
