"""Scripts for real images: docs/scripts/real.py and ship.py. The images are small and synthetic."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from figure_data import check, letters, words
from PIL import Image
from recommended import make_results, make_study
from thresholds import CELL, mask_of_discs, save

from passband.config import validate
from passband.figures import style
from passband.particle_scores import NUMBERS
from passband.results import Results
from passband.storage import datasets

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs/scripts/real.py"))


@pytest.fixture
def data(tmp_path):
    """Two patches with a bright disc, and an empty patch."""
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for name, radius in (("a", 12), ("b", 18), ("empty", 0)):
        mask = mask_of_discs((64, 64), (30, 34, radius))
        image = 100 + 60 * mask + random.normal(0, 3, mask.shape)
        for folder, array in (("images", image), ("masks", 255 * mask)):
            path = tmp_path / "data" / folder / f"{name}.png"
            Image.fromarray(array.astype(np.uint8)).save(path)
    return tmp_path / "data"


def test_a_classical_setting_finds_a_bright_disc(script, data):
    patches = script["read"](data)
    assert [patch.name for patch in patches] == ["a", "b", "empty"]
    assert [patch.is_empty for patch in patches] == [False, False, True]
    name, scores = script["best_classical"](patches)
    assert name.endswith("bright particles")
    assert script["mean"](scores, patches) > 0.95
    everything = script["everything"](patches)
    share = patches[0].mask.mean()
    assert everything["a"] == pytest.approx(2 * share / (1 + share))
    # Even the empty mask has the one pixel of a disc without radius.
    assert everything["empty"] == pytest.approx(1 - 1 / 64**2)


@pytest.mark.slow
def test_real_images_have_outlines_a_scale_bar_a_legend_and_letters(script):
    random = np.random.default_rng(0)
    images = {name: random.normal(100, 10, (40, 50)) for name in ("one", "two", "three", "four")}
    mask = np.zeros((40, 50), bool)
    mask[10:20, 30:45] = True
    masks = [dict.fromkeys(images, mask), dict.fromkeys(images, np.zeros_like(mask))]
    figure = check(script["outlined"](images, masks, dict.fromkeys(images, 0.1)), style.PAGE_CM)
    shown = figure.axes[:4]
    assert letters(figure) == list("abcd")
    for ax, name in zip(shown, images, strict=True):
        assert ax.get_title() == name
        (outline,) = ax.collections  # an empty mask has none
        x, y = outline.get_paths()[0].vertices.T
        assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((3, 4.5, 2, 3), abs=0.06)
        (bar,) = ax.lines
        assert words(ax) == [f"{np.ptp(bar.get_xdata()):g} nm"]
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["drawn by a person", "found by the network"]


@pytest.mark.slow
def test_a_table_and_a_picture_are_written(script, data, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results" / "real-general"
    folder = results / "networks" / CELL
    folder.mkdir(parents=True)
    # An image with a bright disc has the z-score 0 between disc and background.
    save(folder / "r000-000.safetensors", {0: 0.5}, pixel_size_A=0.776, field_px=64)
    page = tmp_path / "out" / "README.md"
    page.parent.mkdir()
    begin, end = script["MARKS"]
    page.write_text(f"# Page\n\n{begin}\nold\n{end}\n\nLast line.\n")
    given = ["real.py", str(data), "--out", str(page.parent), "--general", str(results)]
    given += ["--demo", str(tmp_path / "none"), "--grid", str(tmp_path / "none")]
    monkeypatch.setattr(sys, "argv", given)
    script["main"]()
    printed = capsys.readouterr().out
    assert "everything particle" in printed
    text = page.read_text()
    (row,) = [line for line in text.splitlines() if line.startswith(f"| **`{results}`**")]
    assert row.split("|")[4].strip() == "**1.000**"
    assert "old" not in text
    assert text.endswith("Last line.\n")
    assert "source" not in text, "the source has printed no numbers for these images"
    measured = json.loads((page.parent / "scores.json").read_text())
    assert measured[str(results)]["a"] == pytest.approx(1)
    with Image.open(page.parent / "masks.png") as picture:
        assert picture.width == int(style.PAGE_CM / 2.54 * script["DPI"])


def test_a_wrong_folder_is_one_line(script, data, monkeypatch, capsys, tmp_path):
    (data / "masks" / "b.png").unlink()
    for folder, said in ((tmp_path, "has no images"), (data, "there is no mask")):
        monkeypatch.setattr(sys, "argv", ["real.py", str(folder)])
        with pytest.raises(SystemExit):
            script["main"]()
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


def test_the_scores_of_a_shipped_network_know_grids_of_several_blocks(tmp_path):
    """The Dice of a defocus and a dose is a mean over the other axes; some pairs are not tested."""
    study = make_study().model_dump(mode="json")
    study["grid"] = [
        {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [15], "dose_e_per_A2": [100]},
        {"defocus_nm": [5], "cs_um": [1.2, 9], "aperture_mrad": [15], "dose_e_per_A2": [400]},
    ]
    study = validate(study)
    results = make_results(study, tmp_path)
    simulated = runpy.run_path(str(ROOT / "docs/scripts/ship.py"))["simulated"]
    text = simulated(Results(study, results), study.train_conditions[0].id)
    assert text.startswith("# The network `general-2026` on simulated images\n")
    assert "F1" not in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == ["defocus", "100 e/Å²", "400 e/Å²"]
    assert [row[0] for row in rows[-2:]] == ["5 nm", "20 nm"]
    assert rows[-1][2] == "–"
    dice = datasets.read(results / "table.zarr", datasets.TABLE).dice
    here = dice.where((dice.test_defocus_nm == 5) & (dice.test_dose_e_per_A2 == 400))
    assert int(here.notnull().any([d for d in here.dims if d != "test"]).sum()) == 2
    assert float(rows[-2][2]) == pytest.approx(float(here.mean()), abs=6e-4)


def test_the_scores_of_a_network_with_a_head_have_those_of_particles(tmp_path):
    study = make_study()
    results = make_results(study, tmp_path)
    table = datasets.read(results / "table.zarr", datasets.TABLE)
    shape = {**table.dice.sizes, "structure": table.sizes["structure"], "truth": 2}
    numbers = {"true": 4, "matched": 3, "found": 5, "true_pm": 8000, "true_sized": 4}
    numbers |= {"found_pm": 11000, "found_sized": 5}
    values = np.zeros((*shape.values(), len(NUMBERS)), np.uint32)
    values[...] = [numbers.get(name, 0) for name in NUMBERS]
    table["particles"] = ((*shape, "number"), values)
    datasets.write(table, results / "table.zarr", datasets.TABLE, {})
    simulated = runpy.run_path(str(ROOT / "docs/scripts/ship.py"))["simulated"]
    text = simulated(Results(study, results), study.train_conditions[0].id)
    _, found = text.split("Mean F1 score of their particles")
    assert " | 0.667 |" in found  # 2 · 3 / (4 + 5)
    assert "the number of particles is wrong by +25.0%" in found
    assert "diameter by +10.0%." in found  # 2.2 and 2 nm
