"""The command `passband ctf`."""

import json

import numpy as np
import pytest
from carbon_images import film_image, specks
from matplotlib.image import imread
from PIL import Image

import passband
from passband import cli

pytestmark = pytest.mark.slow

LENS = ("--energy-kev", "300", "--cs-um", "0")
PIXEL = ("--pixel-size-A", "0.4")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with images of a film at 60 and 45 nm underfocus, and of vacuum."""
    folder = tmp_path_factory.mktemp("images")
    np.save(folder / "film.npy", film_image(defocus=600, seed=3))
    np.save(folder / "second.npy", film_image(defocus=450, seed=4))
    np.save(folder / "vacuum.npy", np.random.default_rng(0).poisson(64, (256, 256)))
    return folder


def run(capsys, *words):
    status = cli.main(["ctf", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_json_of_one_image_is_one_object(images, capsys):
    words = images / "film.npy", *PIXEL, *LENS, "--json", "--figure", images / "rings.png"
    status, out, err = run(capsys, *words)
    content = json.loads(out)
    assert status == 0
    assert content["rings"] is True
    for name in ("defocus_nm", "astigmatism_nm", "astigmatism_angle_deg", "cs_um"):
        assert content[name]["low"] <= content[name]["value"] <= content[name]["high"]
    assert content["defocus_nm"]["value"] == pytest.approx(60, abs=1.5)
    assert content["sign"] == "undetermined"
    assert [each["sign"] for each in content["signs"]] == ["underfocus", "overfocus"]
    assert sum(each["likelihood"] for each in content["signs"]) == pytest.approx(1, abs=1e-3)
    assert any("--underfocus" in sentence for sentence in content["undetermined"])
    assert err.endswith("rings.png: the rings of film.npy\n")
    assert np.ptp(imread(images / "rings.png")[..., :3]) > 0.5


def test_several_images_are_a_list(images, capsys):
    words = images / "film.npy", images / "vacuum.npy", *PIXEL, *LENS, "--underfocus", "--json"
    status, out, _ = run(capsys, *words)
    first, second = json.loads(out)["images"]
    assert status == 0
    assert first["sign"] == "underfocus"
    assert (second["rings"], second["defocus_nm"]) == (False, None)


def test_lines_say_what_is_not_determined(images, capsys):
    status, out, err = run(capsys, images / "film.npy", images / "vacuum.npy", *PIXEL, *LENS)
    assert (status, err) == (0, "")
    first, second, cs, *rest = out.splitlines()
    assert first.startswith("film.npy: defocus ")
    assert " with likelihood 0." in first
    assert second.startswith("vacuum.npy: no rings")
    assert cs == "Cs 0.00 µm (as given)"
    assert rest[0] == "not determined:"
    assert any("λ·Δf/p²" in line for line in rest)


def write(folder, name):
    """Write an image with a mistake."""
    image = film_image(defocus=600, seed=5)
    if name == "flat":
        image[:] = 3
    elif name == "nan":
        image[0] = np.nan
    elif name == "blank":
        image[:220] = 7
    elif name == "small":
        image = image[:32, :32]
    np.save(folder / f"{name}.npy", image)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["film", *PIXEL], "--energy-kev is missing: "),
        (["film", *PIXEL, "--energy-kev", "0"], "--energy-kev = 0: must be between 10 and 3000"),
        (["film", *PIXEL, "--energy-kev", "nan"], "--energy-kev = nan: must be between 10"),
        (["film", *PIXEL, *LENS, "--aperture-mrad", "0"], "--aperture-mrad = 0: must be between"),
        (["film", *PIXEL, *LENS, "--amplitude-contrast", "1"], "--amplitude-contrast = 1: must"),
        (["film", *PIXEL, "--energy-kev", "300", "--cs-um", "1e6"], "--cs-um = 1e+06: must be"),
        (["film", *LENS], "has none; give --pixel-size-A"),
        (["film", *PIXEL, *LENS, "--figure", "a.jpeg"], "--figure = 'a.jpeg': must end in .png"),
        (["none", *PIXEL, *LENS], "none.npy: no such file or folder"),
        (["flat", *PIXEL, *LENS], "the image has the value 3 in every pixel"),
        (["nan", *PIXEL, *LENS], "has 256 of 65536 pixels that are NaN"),
        (["blank", *PIXEL, *LENS], "of the image has one value or is dark, or is beside"),
        (["small", *PIXEL, *LENS], "the spectrum has too few frequencies for rings"),
    ],
)
def test_a_mistake_is_one_line(images, capsys, words, message):
    name, *rest = words
    if name not in ("film", "none"):
        write(images, name)
    status, out, err = run(capsys, images / f"{name}.npy", *rest)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_other_files_are_measured_when_a_file_fails(images, tmp_path, capsys):
    np.save(tmp_path / "specks.npy", specks())
    Image.fromarray(specks()).save(tmp_path / "specks.png")
    (tmp_path / "a.npy").write_bytes(b"no array")
    np.save(tmp_path / "stack.npy", np.stack([film_image(px=512), specks()]))
    words = tmp_path, images / "vacuum.npy", "--pixel-size-A", "0.1", *LENS
    status, out, err = run(capsys, *words)
    assert status == 1
    assert out.startswith("vacuum.npy: no rings")
    first, *lines = err.splitlines()
    assert first == "4 of 5 files failed:"
    why = "10.0% of the image is background, which is too little for rings"
    assert lines[0].startswith(f"{tmp_path}/a.npy: not a whole .npy file: ")
    assert lines[1:] == [
        f"{tmp_path}/specks.npy: {why}",
        f"{tmp_path}/specks.png: {why}",
        f"{tmp_path}/stack.npy: frame 1: {why}",
    ]
    assert len(json.loads(run(capsys, *words, "--json")[1])["images"]) == 1


def test_images_of_different_pixel_sizes_are_refused(tmp_path, capsys):
    import zarr

    for name, size in (("a", 0.4), ("b", 0.5)):
        array = zarr.create_array(tmp_path / f"{name}.zarr", data=film_image(seed=1))
        array.attrs["pixel_size_A"] = size
    status, out, err = run(capsys, tmp_path / "a.zarr", tmp_path / "b.zarr", *LENS)
    assert (status, out) == (1, "")
    assert "b.zarr: has pixels of 0.5 Å, and " in err
    assert "images of one fit have one pixel size" in err


def test_scale_bar_and_beam_stop_are_left_out_and_said(images, capsys):
    image = film_image(defocus=600, seed=3)
    image[228:238, 150:240] = 255
    image[20:70, 20:60] *= 0.03
    np.save(images / "marked.npy", image)
    status, out, _ = run(capsys, images / "marked.npy", *PIXEL, *LENS, "--underfocus", "--json")
    content = json.loads(out)
    assert status == 0
    assert content["defocus_nm"]["value"] == pytest.approx(60, abs=2)
    assert "scale bar" in content["notes"][0]
    assert "beam stop" in content["notes"][1]


READER = """
import numpy as np
from passband.micrographs.images.contents import Content
from passband.micrographs.images.file_metadata import Recorded
from passband.parts import reader

open({mark!r}, "w").close()

@reader(suffixes=(".film",))
def film(path):
    return Content(np.load(path.with_suffix(".npy")), (0.4, 0.4), stated=Recorded(300.0))
"""


def test_a_reader_of_a_study_reads_images_if_the_study_is_named(images, tmp_path, capsys):
    """It is in the folder parts beside the study's file, and says the beam energy, too."""
    (tmp_path / "parts").mkdir()
    mark = tmp_path / "mark"
    (tmp_path / "parts/film.py").write_text(READER.format(mark=str(mark)))
    (tmp_path / "config.yaml").write_text("study: {name: films}")
    (tmp_path / "image.film").touch()
    (tmp_path / "image.npy").write_bytes((images / "film.npy").read_bytes())
    words = tmp_path / "image.film", "--cs-um", "0", "--json"
    status, _, err = run(capsys, *words)
    assert status == 1
    assert "image.film: unknown format '.film'; formats are .dm3" in err
    assert not mark.exists()
    status, out, _ = run(capsys, *words, "--readers-of", tmp_path / "config.yaml")
    assert status == 0
    content = json.loads(out)
    assert content["defocus_nm"]["value"] == pytest.approx(60, abs=1.5)
    assert (content["energy_kev"], content["pixel_size_A"]) == (300, 0.4)
    assert mark.exists()
    called = passband.ctf(tmp_path / "image.film", cs_um=0, readers_of=tmp_path / "config.yaml")
    assert called.images[0].measurement.is_visible
    status, _, err = run(capsys, *words)  # the next command does not have them
    assert status == 1
