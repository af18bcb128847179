"""The command `passband predict`."""

import csv
import itertools
import re
import shlex
import shutil

import numpy as np
import pytest
import tifffile
import xarray as xr
from carbon_images import film_image
from low_dose import extract, images
from matplotlib.figure import Figure
from perfect_votes import save_votes
from PIL import Image
from recommended import make_results, make_study
from thresholds import CELL, image_of, mask_of_discs, save

import passband
from passband import cli
from passband.answers import networks_for_files
from passband.commands import predict
from passband.learning.network_files import open_networks
from passband.micrographs import size_figure
from passband.micrographs.choices import Choice
from passband.micrographs.rings import ctf_fit
from passband.storage import datasets

MASK = mask_of_discs((80, 121), (30, 40, 12), (60, 90, 11))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a network, a study, images and masks; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "two.safetensors", {0: 0.4, 1: 0.6})
    save(tmp_path / "published/weights.safetensors", {3: 0.5})
    save(tmp_path / f"results/small/networks/{CELL}/r000-001.safetensors", {0: 0.4, 1: 0.6})
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(3):
        np.save(tmp_path / f"images/{number}.npy", image_of(MASK, number))
        np.save(tmp_path / f"masks/{number}.npy", MASK)
    return tmp_path


@pytest.fixture(autouse=True)
def _small_histogram(monkeypatch):
    """The histogram has no labels, which take longest; test_size_figure draws the whole of it."""
    monkeypatch.setattr(size_figure, "draw", lambda sizes: Figure(figsize=(1, 1)))


def run(capsys, *words):
    """Return the command's exit status, and the lines of its output and of its errors."""
    status = cli.main(["predict", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


PIXEL = ("--pixel-size-A", "0.3")


def table(name):
    """Return the rows of a table."""
    with open(f"predictions/{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_folder_of_images_is_segmented(place, capsys):
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL, "--truth", "masks")
    assert (status, err) == (0, [])
    lines = [line for line in out if ": 2 particles, mean diameter 0.68" in line]
    assert out[0] == lines[0]
    assert [line.partition(":")[0] for line in lines] == ["0.npy", "1.npy", "2.npy"]
    assert all(" nm of 2 whole, " in line and "Dice 1.000" in line for line in lines)
    assert all("disagreement 0." in line for line in lines)
    assert out[-2] == "18 files in predictions; first open predictions/0_overlay.png"
    assert out[-1].startswith("mean Dice 1.000 over")
    assert out[-1].endswith(" over 3 images")
    assert len(list((place / "predictions").glob("*.*"))) == 19  # with the records
    assert out[-3].startswith(
        "sizes: mean 0.68 nm, SD 0.03 nm; weighted 0.68 nm; 6 whole particles"
    )
    assert out[-3].endswith("; 6 whole particles in 3 images")
    with tifffile.TiffFile(place / "predictions/1_mask.ome.tif") as file:
        assert np.mean((file.asarray() > 0) != MASK) < 0.002
        assert 'PhysicalSizeX="0.03"' in file.ome_metadata


@pytest.mark.slow
def test_what_developers_want_to_know_is_only_verbose(place, capsys):
    command = "two.safetensors", "images/0.npy", "--pixel-size-A", "0.25"
    _, out, _ = run(capsys, *command, "--verbose")
    assert out[0] == f"network {CELL}/0, pixels of 0.3 Å"
    assert out[1] == f"network {CELL}/1, pixels of 0.3 Å"
    assert out[2].startswith(
        "preparation: hot pixels removed, background taken off where there is one, zscore over"
    )
    assert "  pixels of 0.25 Å resampled to 0.3 Å" in out
    _, out, _ = run(capsys, *command)
    assert len(out) == 5
    assert out[0].startswith("0.npy: 2 particles")
    assert out[1].startswith("  not assessed, because ")
    assert out[2] == "  divided by the smooth background"
    assert out[4] == "1 of 1 file had been done before"


@pytest.mark.slow
def test_names_of_images_cannot_add_lines_or_colours(place, capsys):
    name = "a\nb\x1b[31m"
    shutil.move("images/0.npy", f"images/{name}.npy")
    (place / f"images/{name}bad.npy").touch()
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL, "--no-likeness")
    assert status == 1
    shown = r"a\nb\x1b[31m"
    assert [line for line in out if line.startswith(f"{shown}.npy: 2 particles")]
    assert err[-2] == "1 of 4 files failed:"
    assert err[-1].startswith(f"images/{shown}bad.npy: ")
    assert "\x1b" not in "".join([*out, *err])


def test_one_network_has_no_map_of_disagreement(place, capsys):
    words = "two.safetensors", "images/0.npy", "--replicas", "1", *PIXEL, "--out", "some/where"
    status, out, _ = run(capsys, *words, "--verbose")
    assert status == 0
    assert out[0] == f"network {CELL}/1, pixels of 0.3 Å"
    assert "one network: there is no map of the disagreement between networks" in out
    assert not (place / "some/where/0_disagreement.ome.tif").exists()
    assert (place / "some/where/0_mask.ome.tif").exists()


@pytest.mark.parametrize(
    ("words", "replicas"),
    [
        (["published", "images/0.npy"], [3]),
        (["published/weights.safetensors", "images/0.npy"], [3]),
        (["--network", "published", "images/0.npy"], [3]),
        (["--network", "published", "--network", "two.safetensors", "images/0.npy"], [3, 0, 1]),
        (["small", "images/0.npy", "--network", f"{CELL}/1"], [1]),
        (["results/small", "images/0.npy", "--network", CELL], [0, 1]),
        (["small", "images/0.npy", "--network", f"{CELL}/1", "--network", CELL], [1, 0]),
        (["two.safetensors", "images/0.npy", "--network", f"{CELL}/1"], [1]),
    ],
)
def test_networks_are_named_in_several_ways(place, capsys, words, replicas):
    status, out, err = run(capsys, *words, *PIXEL, "--verbose")
    assert (status, err) == (0, [])
    shown = [line for line in out if line.startswith("network ")]
    assert shown == [f"network {CELL}/{replica}, pixels of 0.3 Å" for replica in replicas]


@pytest.mark.slow
def test_network_is_chosen_for_the_condition_of_the_image(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = make_study()
    results = make_results(study, tmp_path)
    for condition in study.train_conditions:
        path = results / f"networks/gold/compact-w8-d3/{condition.id}/r000.safetensors"
        save(path, {0: 0.5}, condition=condition.id)
    np.save("film.npy", film_image(defocus=400, cs=2e5, aperture=14))
    pixel = ("--pixel-size-A", "0.4", "--cs-um", "20", "--underfocus")
    asked = (*pixel, "--aperture-mrad", "14", "--dose-e-per-A2", "850")
    status, out, err = run(capsys, "known", "film.npy", "--network", "auto", *asked)
    assert (status, err) == (0, [])
    assert out[0].startswith("film.npy: defocus ")
    assert out[1].startswith("  recommended: gold/compact-w8-d3/df+00")
    assert (tmp_path / "predictions/film_mask.ome.tif").exists()
    status, _, err = run(capsys, "known", "film.npy", "--network", "auto", *pixel)
    assert status == 1
    assert err == [
        "1 of 1 files failed:",
        "--aperture-mrad and --dose-e-per-A2 are missing: film.npy does not state them",
    ]
    # Beyond the tested doses, from 100 to 1,000 e/Å², it is said how Dice is expected.
    high, low = ((*asked[:-1], dose) for dose in ("5000", "20"))
    status, out, _ = run(capsys, "known", "film.npy", "--network", "auto", *high)
    assert (status, out[2]) == (0, "  expected Dice is as at 1,000 e/Å², the highest tested dose")
    status, _, err = run(capsys, "known", "film.npy", "--network", "auto", *low)
    assert status == 1
    assert err[1].startswith("--dose-e-per-A2 = 20: must be 50 e/Å² or more, half of the lowest")
    # A study's own images state their condition, and need no rings.
    condition = study.test_conditions[0]
    mask = np.pad(np.ones((1, 40, 40), np.uint8), ((0, 0), (0, 24), (0, 24)))
    counts = np.random.default_rng(0).poisson(100.0 + 50 * mask).astype(np.float32)
    dims = "structure", "x", "y"
    attributes = {"condition": condition.id, "pixel_size_A": 0.3, "energy_kev": 300.0}
    own = xr.Dataset({"counts": (dims, counts), "mask": (dims, mask)})
    datasets.write(own, tmp_path / "own.zarr", datasets.IMAGES, attributes)
    command = "known", "own.zarr", "--network", "auto", "--truth", "."
    status, out, err = run(capsys, *command)
    assert (status, err) == (0, [])
    assert out[0] == "own.zarr: states 5 nm · 1.2 µm · 10 mrad · 100 e/Å²"
    assert out[1].startswith(f"  recommended: gold/compact-w8-d3/{condition.id}")
    assert out[-1].endswith("over 1 image")
    status, out, err = run(capsys, *command, "--cs-um", "20", "--dose-e-per-A2", "850")
    assert out[0] == "own.zarr: states 5 nm · 20 µm · 10 mrad · 850 e/Å²"
    # Each image is measured alone, so an image without rings does not stop the others.
    np.save("a_noise.npy", np.random.default_rng(0).poisson(100.0, (256, 256)))
    # An error that nobody expects does not stop them either.
    np.save("b_odd.npy", -np.arange(65_536.0).reshape(256, 256))
    prepare = ctf_fit.prepare

    def fail(image, *known):
        if image.max() <= 0:
            raise IndexError("index 124\nis out of bounds")
        return prepare(image, *known)

    monkeypatch.setattr(ctf_fit, "prepare", fail)
    files = "a_noise.npy", "b_odd.npy", "film.npy"
    status, out, err = run(capsys, "known", *files, "--network", "auto", *asked)
    assert status == 1
    assert err[0] == "2 of 3 files failed:"
    assert err[1].startswith("a_noise.npy: no rings")
    assert err[2:] == ["b_odd.npy: IndexError: index 124 is out of bounds"]
    assert any(line.startswith("film.npy: ") and "particle" in line for line in out)


@pytest.mark.slow
def test_batch_goes_on_when_a_file_fails(place, capsys):
    (place / "images/1.npy").write_bytes(b"no array")
    np.save(place / "images/flat.npy", np.ones((64, 64)))
    np.save(place / "images/small.npy", np.arange(100.0).reshape(10, 10))
    np.save(place / "images/four.npy", np.zeros((2, 2, 64, 64)))
    np.save(place / "images/nan.npy", np.full((64, 64), np.nan))
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL)
    assert status == 1
    assert [line.partition(":")[0] for line in out if "particles," in line] == ["0.npy", "2.npy"]
    assert err[0] == "5 of 7 files failed:"
    assert [line.partition(":")[0] for line in err[1:]] == [
        f"images/{name}.npy" for name in ("1", "flat", "four", "nan", "small")
    ]
    folder = place / "predictions"
    assert len(list(folder.glob("[02]_*"))) == len(list(folder.glob("*_*"))) == 10
    rows = table("summary")
    assert [row["file"] for row in rows] == [
        f"{name}.npy" for name in ("0", "1", "2", "flat", "four", "nan", "small")
    ]
    assert [row["error"] for row in rows if row["error"]] == err[1:]
    assert [row["particles"] for row in rows] == ["2", "", "2", "", "", "", ""]


def test_a_damaged_file_of_any_format_is_named(place, capsys):
    pytest.importorskip("rsciio")
    for end in ("emd", "dm3", "mrc", "tif", "png"):
        (place / f"images/a.{end}").write_bytes(b"damaged" * 99)
    (place / "images/b.zarr").mkdir()
    (place / "images/b.zarr/zarr.json").write_text("{")
    files = [path for path in (place / "images").iterdir() if path.suffix != ".npy"]
    status, _, err = run(capsys, "two.safetensors", *files, *PIXEL)
    assert status == 1
    assert [line.partition(": ")[0] for line in err[1:]] == [str(path) for path in files]


@pytest.mark.slow
def test_a_file_that_becomes_damaged_is_noticed(place, capsys):
    command = "two.safetensors", "images", *PIXEL
    assert run(capsys, *command)[0] == 0
    (place / "images/1.npy").write_bytes(b"damaged")
    status, out, err = run(capsys, *command)
    assert (status, len(err)) == (1, 2)
    assert "2 of 3 files had been done before" in out
    assert [bool(row["error"]) for row in table("summary")] == [False, True, False]
    assert {row["file"] for row in table("particles")} == {"0.npy", "2.npy"}


def test_a_folder_that_cannot_be_written_is_named_before_any_work(place, capsys, monkeypatch):
    (place / "file").touch()
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL, "--out", "file/out")
    assert (status, out) == (1, [])
    assert err == ["--out = 'file/out': cannot be written: Not a directory"]


def test_tables_of_a_user_are_not_replaced(place, capsys):
    (place / "predictions").mkdir()
    (place / "predictions/summary.csv").write_text("sample,remark\n")
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL)
    assert (status, out) == (1, [])
    assert err == ["predictions/summary.csv: was not written by `predict`; give another --out"]
    assert (place / "predictions/summary.csv").read_text() == "sample,remark\n"


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_the_rows_of_what_is_done(place, capsys, monkeypatch):
    from passband.micrographs import predictions

    command = "two.safetensors", "images", *PIXEL
    assert run(capsys, *command)[0] == 0
    np.save(place / "images/1.npy", image_of(MASK, 7))

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "segment", stop)
        assert run(capsys, *command)[0] == 130
    assert {row["file"] for row in table("summary")} == {"0.npy", "1.npy", "2.npy"}
    assert len(table("particles")) == 6
    status, out, _ = run(capsys, *command)
    assert status == 0
    assert "2 of 3 files had been done before" in out
    assert len(table("summary")) == 3


@pytest.mark.parametrize("number", ["0", "-2"])
def test_a_number_of_processes_that_cannot_be_is_refused(place, capsys, number):
    status, _, err = run(capsys, "two.safetensors", "images", *PIXEL, f"--jobs={number}")
    assert (status, err) == (1, [f"--jobs = {number}: must be at least 1"])


def test_help_begins_with_the_network_of_the_package(capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "--help"])
    text = capsys.readouterr().out
    assert text.startswith("usage: passband predict general FILES... [options]\n")
    groups = "the network", "images and results", "preparation of the images", "particles"
    places = [text.index(f"\n{group}:\n") for group in groups]
    assert places == sorted(places)


def test_options_reach_the_segmentation(place, capsys):
    words = "--no-hot-pixels", "--flat-field", "--tile", "32", "--smallest-nm", "0.7"
    words = *words, "--verbose"
    status, out, _ = run(capsys, "two.safetensors", "images/0.npy", *PIXEL, *words)
    assert status == 0
    assert out[2] == (
        "preparation: hot pixels kept, divided by the smooth background, zscore over the whole "
        "image, particles of 0.7 nm or more, float32"
    )
    assert any(line.startswith("0.npy: 1 particle, mean diameter 0.7") for line in out)


def test_table_of_particles_has_their_confidence(place, capsys):
    status, _, _ = run(capsys, "two.safetensors", "images/0.npy", *PIXEL)
    assert status == 0
    rows = table("particles")
    assert len(rows) == 2
    assert all(0.9 < float(row["mean_probability"]) <= 1 for row in rows)


def test_a_head_adds_columns_to_the_table_of_particles(place, capsys):
    save_votes(place / "votes.safetensors", 24)
    words = "--particles", "head", "--verbose"
    _, out, _ = run(capsys, "votes.safetensors", "images", *PIXEL, *words)
    assert out[2] == "particles: those of the head votes"
    line = next(line for line in out if line.startswith("0.npy"))
    # Pixels that vote for themselves make no particle of which the head is certain.
    assert line.startswith("0.npy: 0 particles, 2 uncertain left out, confidence 0.9")
    rows = table("particles")
    assert len(rows) == 6
    assert list(rows[0])[-3:] == ["neck_ratio", "certainty", "overlapped"]
    for row in rows:
        assert (row["diameter_nm"], row["overlapped"]) == ("0.72", "no")
        assert 0 <= float(row["certainty"]) < 0.5
    assert {row["mean_diameter_nm"] for row in table("summary")} == {""}
    run(capsys, "votes.safetensors", "images", *PIXEL)
    assert list(table("particles")[0])[-1] == "neck_ratio"


def test_what_was_cut_or_taken_off_is_printed_and_in_the_summary(place, capsys):
    slope = 60 * np.linspace(-1, 1, 60, dtype=np.float32)
    np.save("images/0.npy", image_of(MASK)[:60, :60] + slope)
    words = "--crop", "0:60,2:60"
    status, out, _ = run(capsys, "two.safetensors", "images/0.npy", *PIXEL, *words)
    assert status == 0
    assert out[2] == "  columns and rows 0:60,2:60 used, the rest cut off"
    assert out[3].startswith("  a plane of ")
    (row,) = table("summary")
    assert row["done"] == " | ".join(line.strip() for line in out[2:4])
    mask = tifffile.imread("predictions/0_mask.ome.tif")
    assert mask.shape == (60, 60)
    status, out, err = run(capsys, "two.safetensors", "images", *PIXEL, "--crop", "60,0:60")
    assert (status, len(err)) == (1, 1)
    assert "--crop = '60,0:60': must be x0:x1,y0:y1" in err[0]


HERE = "--defocus-nm", "5", "--cs-um", "1", "--aperture-mrad", "9", "--dose-e-per-A2", "9"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["two.safetensors", "images/0.npy", "--pixel-size-A", "0"], "--pixel-size-A = 0: must be"),
        (["two.safetensors", "images/0.npy", "--pixel-size-A", "10"], "--pixel-size-A = 10: must"),
        (["none.safetensors", "images/0.npy"], "none.safetensors: there is no such file"),
        (["nothing", "images/0.npy"], "nothing: no study of this name"),
        (["genral", "sample"], "there is no folder results/genral; did you mean general? here is"),
        (["--network", "genral", "sample"], "genral: there is no such file or folder; did you me"),
        (["images/0.npy"], "images/0.npy: is an image; name a network first: passband predict gen"),
        (["images"], "images: is a folder of images; name a network first: passband predict gener"),
        (["sample"], "sample: is an image of the package; name a network first: passband predict"),
        (["two.safetensors"], "no image: give files or folders after the network"),
        (["two.safetensors", "none.npy"], "none.npy: no such file or folder"),
        (["two.safetensors", "images", "--out", "images"], "--out = 'images': is the folder of"),
        (["two.safetensors", "images/0.npy", "--out", "images"], "--out = 'images': is the folder"),
        (["two.safetensors", "images", "--out", "two.safetensors"], "is a file; give a folder"),
        (["two.safetensors", "images", "--truth", "none"], "--truth = 'none': there is no such"),
        (["two.safetensors", "images", "--replicas", "1,x"], "--replicas = '1,x': must be numbers"),
        (["two.safetensors", "images", "--replicas", "7"], "--replicas = '7': must be numbers"),
        (["two.safetensors", "images", "--tile", "-3"], "--tile = -3: must be at least 1 pixel"),
        (["small", "images", "--network", "auto", "--network", f"{CELL}/0"], "cannot be used"),
        (
            ["small", "images", "--network", "auto", "--replicas", "0"],
            "--replicas: cannot be given",
        ),
        (["small", "--network", "auto"], "no image: give a study, then files or folders"),
        (["small", "images", "--network", "auto", "--defocus-nm", "5"], "--defocus-nm = 5: cannot"),
        (["published", "images", "--energy-kev", "80"], "--energy-kev = 80: has an effect only"),
        (["published", "images", "--overfocus"], "--overfocus: has an effect only together with"),
        (["published", "images", "--specimen", "x"], "--specimen = 'x': has an effect only"),
        (["published", "images", "--cs-um", "3"], "--cs-um = 3: has an effect only together with"),
        (
            ["published", "images", "--filter-noise"],
            "--filter-noise: has no effect, since",
        ),
        (
            ["two.safetensors", "images", "--particles", "head"],
            f"--particles = 'head': {CELL}/0 has no head; allowed: 'mask'",
        ),
        (["images", "--network", "none"], "none: there is no such file or folder"),
        (
            ["small", "images", "--network", f"{CELL}/0", "--network", "published"],
            "give either ids or paths",
        ),
        (["images/0.npy", "images/1.npy"], "images/0.npy: is an image; name a network first"),
    ],
)
def test_mistakes_are_reported_in_one_line(place, capsys, words, line):
    (place / "config.yaml").write_text("study: {name: small}\n")
    status, _, err = run(capsys, *words)
    assert status == 1
    assert line in err[0]
    assert len(err) == 1
    assert not (place / "predictions").exists()


def test_study_without_networks_is_reported(place, capsys):
    shutil.rmtree(place / "results/small/networks")
    status, _, err = run(capsys, "small", "images", "--network", f"{CELL}/0")
    assert (status, len(err)) == (1, 1)
    assert "has no finished network; run the study first" in err[0]


@pytest.mark.slow
def test_network_with_vacuum_normalisation_needs_the_dose(place, capsys):
    save(place / "vacuum.safetensors", {0: 0.4}, normalisation="vacuum")
    status, _, err = run(capsys, "vacuum.safetensors", "images", *PIXEL)
    assert (status, len(err)) == (1, 1)
    assert "needs the dose: give --dose-e-per-A2" in err[0]
    words = "vacuum.safetensors", "images", *PIXEL, "--dose-e-per-A2", "111"
    assert run(capsys, *words)[0] == 0


@pytest.mark.slow
def test_options_may_stand_before_the_files(place, capsys):
    status, out, _ = run(capsys, "published", *PIXEL, "--verbose", "images/0.npy", "images/1.npy")
    assert status == 0
    assert out[-1] == "11 files in predictions; first open predictions/0_overlay.png"
    with pytest.raises(SystemExit):
        run(capsys, "published", *PIXEL, "images/0.npy", "--unknown")


@pytest.mark.slow
def test_a_very_narrow_image_is_segmented(place, capsys):
    np.save("narrow.npy", np.random.default_rng(0).poisson(50, (32, 9000)))
    status, _, err = run(capsys, "published", "narrow.npy", *PIXEL)
    assert (status, err) == (0, [])


@pytest.mark.slow
def test_an_unexpected_error_fails_only_its_file(place, capsys, monkeypatch):
    from passband.micrographs import predictions

    whole = predictions.Predictor.predict

    def fail(self, path, *others):
        if path.name == "1.npy":
            raise IndexError("a fault\nin a library")
        return whole(self, path, *others)

    monkeypatch.setattr(predictions.Predictor, "predict", fail)
    status, out, err = run(capsys, "published", "images", *PIXEL)
    assert status == 1
    assert err == ["1 of 3 files failed:", "images/1.npy: IndexError: a fault in a library"]
    assert out[-1] == "11 files in predictions; first open predictions/0_overlay.png"


def test_images_are_not_their_own_truth(place, capsys):
    status, _, err = run(capsys, "published", "images/0.npy", *PIXEL, "--truth", "images")
    assert status == 1
    assert err[1] == "images/0.npy: is in the folder of masks images; give another folder"


@pytest.mark.slow
def test_files_of_an_earlier_run_do_not_remain_beside_new_ones(place, capsys):
    np.save("stack.npy", np.stack([image_of(MASK, k) for k in range(3)]))
    run(capsys, "two.safetensors", "stack.npy", *PIXEL)
    assert (place / "predictions/stack_overlay_0002.png").exists()
    np.save("stack.npy", np.stack([image_of(MASK, k) for k in range(2)]))
    run(capsys, "published", "stack.npy", *PIXEL)
    left = {path.name for path in (place / "predictions").iterdir()}
    assert "stack_overlay_0001.png" in left
    assert not left & {"stack_overlay_0002.png", "stack_disagreement.ome.tif"}


@pytest.mark.slow
def test_a_study_may_be_given_by_its_file(place, capsys):
    (place / "config.yaml").write_text("study: {name: small}\n")
    words = "config.yaml", "images/0.npy", *PIXEL, "--network", f"{CELL}/0"
    assert run(capsys, *words)[0] == 0


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A folder with a published network that knows its training images, and images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network").mkdir()
    extract(tmp_path / "network")
    np.save(tmp_path / "gold.npy", images("Au")[0][0])
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).poisson(9, (128, 128)))
    return tmp_path


@pytest.mark.slow
def test_the_verdict_follows_each_image_and_is_in_the_summary(trained, capsys):
    status, out, err = run(capsys, "network", "gold.npy", "noise.npy", *PIXEL)
    assert (status, err) == (0, [])
    (gold,) = (k for k, line in enumerate(out) if line.startswith("gold.npy: "))
    (noise,) = (k for k, line in enumerate(out) if line.startswith("noise.npy: "))
    pattern = (
        r"  looks like the training images; expected Dice (0\.[789]\d) \(0\.\d\d to [01]\.\d\d\)"
    )
    found = re.fullmatch(pattern, out[gold + 1])
    assert found
    assert out[noise] == "noise.npy: no particle"
    reason = "because of the lack of particles"
    assert out[noise + 1] == f"  unlike the training images, {reason}: do not trust the mask"
    # There is no network for images of nothing.
    assert out[-2] == "1 of 2 images are unlike the training images: do not trust these masks"
    assert out[-1].startswith("expected Dice compares preparations of one image")
    first, second = table("summary")
    assert f"{float(first['expected_dice']):.2f}" == found[1]
    assert float(first["expected_dice_low"]) < float(first["expected_dice"])
    assert [row["flagged"] for row in (first, second)] == ["no", "yes"]
    assert second["flags"] == "the lack of particles"


@pytest.mark.slow
def test_a_flagged_image_with_particles_has_a_command_for_a_network_of_its_own(trained, capsys):
    image = np.load("gold.npy")
    image = image - 3 * image.std() * np.cos(np.arange(image.shape[1]) / 5)
    np.save("waves.npy", image.astype(np.float32))
    _, out, _ = run(capsys, "network", "waves.npy", *PIXEL)
    assert out[0] == "waves.npy: particles that are not to be trusted"
    (line,) = (line for line in out if line.startswith("to train a network for such images: "))
    command = "passband new mine --like general --like-image waves.npy --pixel-size-A"
    assert line.endswith(f"{command} {PIXEL[-1]}")
    assert cli.main(shlex.split(line.partition("passband ")[2])) == 0
    assert "slope" in capsys.readouterr().out


def test_a_folder_has_photographs_and_an_empty_word_names_no_network(trained, capsys):
    (trained / "images").mkdir()
    image = np.load("gold.npy")
    grey = 255 * (image - image.min()) / np.ptp(image)
    Image.fromarray(grey.astype(np.uint8)).save("images/a.JPG", quality=95)
    status, out, _ = run(capsys, "network", "images", *PIXEL)
    assert (status, out[0].partition(":")[0]) == (0, "a.JPG")
    status, out, err = run(capsys, "network", "", *PIXEL)
    assert (status, out) == (1, [])
    assert err == ["'': names no file or folder; give the name of an image"]


def test_condition_changes_the_expected_dice_only_with_a_table(trained, capsys):
    words = "--defocus-nm", "5", "--cs-um", "1.2", "--aperture-mrad", "10", "--dose-e-per-A2", "90"
    status, out, _ = run(capsys, "network", "gold.npy", *PIXEL, *words)
    assert status == 0
    (line,) = (line for line in out if "the condition is not used" in line)
    assert "has no table.zarr.zip" in line
    assert any("; expected Dice 0." in line for line in out)


@pytest.mark.slow
def test_condition_that_is_measured_from_an_image_changes_its_expected_dice(
    trained, capsys, monkeypatch
):
    """Two copies of an image have the same network, and different measured conditions."""
    np.save(trained / "far.npy", np.load(trained / "gold.npy"))
    networks = open_networks("network")

    def recommended(_, paths, known, **given):
        return {
            path: Choice(networks, {networks[0].id: {"gold.npy": 0.95, "far.npy": 0.3}[path.name]})
            for path in paths
        }

    monkeypatch.setattr(networks_for_files, "recommended", recommended)
    monkeypatch.setattr(predict, "find_study", lambda *_: passband.Experiment.find("network"))
    monkeypatch.setattr(passband.Experiment, "tested", lambda *_: None)
    status, out, _ = run(capsys, "name", "gold.npy", "far.npy", "--network", "auto", *PIXEL)
    assert status == 0
    expected = {}
    for line, after in itertools.pairwise(out):
        if found := re.match(r"  .*; expected Dice (0\.\d+)", after):
            expected[line.partition(":")[0]] = float(found[1])
    assert expected["far.npy"] < expected["gold.npy"] - 0.02


def test_likeness_can_be_left_out(trained, capsys):
    why = "this was not asked for"
    _, out, _ = run(capsys, "network", "gold.npy", *PIXEL, "--no-likeness")
    assert out[1] == f"  not assessed, because {why}"
    assert not any("expected Dice" in line for line in out)
    (row,) = table("summary")
    assert (row["not_assessed"], row["expected_dice"], row["flagged"]) == (why, "", "")


@pytest.mark.slow
def test_one_sentence_says_why_likeness_is_not_assessed(place, capsys):
    status, out, _ = run(capsys, "two.safetensors", "images/0.npy", *PIXEL)
    assert status == 0
    assert out[1] == "  not assessed, because two.safetensors is not in the results of a study"
    _, out, _ = run(capsys, "small", "images/0.npy", "--network", CELL, *PIXEL)
    assert out[1].startswith("  not assessed, because ")
    assert not any("unlike" in line for line in out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--defocus-nm", "5"], "--cs-um is missing: the expected Dice by the transfer function"),
        (
            ["--defocus-nm", "5", "--cs-um", "1", "--aperture-mrad", "10"],
            "--dose-e-per-A2 is missing: the expected Dice by the transfer function needs all of",
        ),
        (
            ["--defocus-nm", "5", "--cs-um", "1", "--aperture-mrad", "-1", "--dose-e-per-A2", "9"],
            "--aperture-mrad = -1: must be between",
        ),
        (
            ["--defocus-nm", "nan", "--cs-um", "1", "--aperture-mrad", "9", "--dose-e-per-A2", "9"],
            "--defocus-nm = nan: must be between",
        ),
        (["--axis=coma_nm=5"], "coma_nm = 5: has an effect only together with --defocus-nm or"),
        (
            [*HERE, "--axis", "vibration_A=99"],
            "vibration_A = 99: must be between 0.0 and 10.0 Å",
        ),
    ],
)
def test_incomplete_conditions_are_reported_in_one_line(trained, capsys, words, line):
    status, _, err = run(capsys, "network", "gold.npy", *PIXEL, *words)
    assert status == 1
    assert len(err) == 1
    assert line in err[0]


@pytest.mark.slow
def test_labels_that_a_person_has_corrected_are_measured_without_a_network(place, capsys):
    run(capsys, "two.safetensors", "images", *PIXEL)
    before = table("summary")
    instances = place / "predictions/1_instances.ome.tif"
    corrected = tifffile.imread(instances)
    corrected[corrected == 2] = 0
    tifffile.imwrite("corrected.tif", corrected)
    command = "images/1.npy", *PIXEL, "--labels", "corrected.tif"
    status, out, err = run(capsys, *command)
    assert (status, err) == (0, [])
    assert out == [
        "1.npy: 1 particle, mean diameter 0.711 nm of 1 whole",
        "sizes: mean 0.71 nm; weighted 0.71 nm; 1 whole particle in 1 image",
        "3 files in predictions: sizes.png, particles.csv, summary.csv",
    ]
    *kept, row = table("summary")
    assert [each["file"] for each in kept] == ["0.npy", "2.npy"]
    assert (row["particles"], row["networks"], row["confidence"]) == ("1", "", "")
    assert row["done"] == "particles of corrected.tif"
    assert len(table("particles")) == 5
    # All images, by the labels of the network.
    status, out, _ = run(capsys, "images", *PIXEL, "--labels", "predictions")
    assert status == 0
    assert out[-2].endswith("; 6 whole particles in 3 images")
    for old, new in zip(before, table("summary"), strict=True):
        assert (new["mean_diameter_nm"], new["particles"]) == (old["mean_diameter_nm"], "2")


def test_labels_that_are_missing_or_wrong_fail_for_their_image_only(place, capsys):
    for number in (0, 2):
        np.save(f"masks/{number}.npy", MASK * (number + 0.5))
    np.save("masks/1.npy", np.where(np.arange(121) < 60, MASK * 5, MASK * 6))
    (place / "masks/2.npy").unlink()
    status, out, err = run(capsys, "images", *PIXEL, "--labels", "masks", "--out", "measured")
    assert status == 1
    assert out[0].startswith("1.npy: 2 particles, mean diameter 0.6")
    assert err[0] == "2 of 3 files failed:"
    assert "masks/0.npy: has the value 0.5; labels are" in err[1]
    assert "there are no labels 2.npy or 2_instances.ome.tif in masks" in err[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("general", "--labels", "masks"), "general: is a network, and --labels needs none"),
        (("--network", "general", "images", "--labels", "masks"), "--network: has no effect"),
        (("images", "--labels", "masks", "--smallest-nm", "2"), "--smallest-nm: has no effect"),
        (("images", "--labels", "masks", "--no-likeness"), "--likeness: has no effect together"),
        (("images", "--labels", "masks", "--truth", "masks"), "--truth: has no effect together"),
        (("images", "--labels", "masks/0.npy"), "is one file for 3 images; give a folder"),
        (
            ("images", "--labels", "nothing"),
            "--labels = 'nothing': there is no such file or folder",
        ),
        (("gone.npy", "--labels", "masks"), "gone.npy"),
    ],
)
def test_what_labels_cannot_be_used_with_is_one_line(place, capsys, words, message):
    run(capsys, "images", *PIXEL, "--labels", "masks")
    earlier = table("summary")
    status, _, err = run(capsys, *words)
    assert status == 1
    assert len(err) == 1
    assert message in err[0]
    assert table("summary") == earlier
