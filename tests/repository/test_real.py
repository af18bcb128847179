"""docs/real.py: the table and the picture of real images, from small synthetic images."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thresholds import CELL, mask_of_discs, save

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs/real.py"))


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


def test_a_table_and_a_picture_are_written(script, data, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results" / "real-general"
    folder = results / "networks" / CELL
    folder.mkdir(parents=True)
    # An image with a bright disc has the z-score 0 between disc and background.
    save(folder / "r000-000.safetensors", {0: 0.5}, pixel_size_A=0.776)
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
    (row,) = [line for line in text.splitlines() if "general network" in line]
    assert row.split("|")[4].strip() == "**1.000**"
    assert "old" not in text
    assert text.endswith("Last line.\n")
    assert "source" not in text, "the source has printed no numbers for these images"
    measured = json.loads((page.parent / "scores.json").read_text())
    assert measured["real-general"][CELL]["a"] == pytest.approx(1)
    with Image.open(page.parent / "masks.png") as picture:
        assert picture.size == (3 * (3 * 64 + 4), 3 * 64 + 4)


def test_a_wrong_folder_is_one_line(script, data, monkeypatch, capsys, tmp_path):
    (data / "masks" / "b.png").unlink()
    for folder, said in ((tmp_path, "has no images"), (data, "there is no mask")):
        monkeypatch.setattr(sys, "argv", ["real.py", str(folder), "--general", str(tmp_path)])
        with pytest.raises(SystemExit):
            script["main"]()
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
