"""What Passband 0.2 made is read with the numbers that 0.2 gave, and no file of it is touched."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from of_0_2 import content, unpack

import passband
from passband import cli
from passband.results import Results, network_batches
from passband.storage import datasets, weights
from passband.store.version_02 import extra

LENS = "--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400"
#: Commands that print an answer, and the file of the archive with that of 0.2.
ANSWERS = {
    "recommend.json": ["recommend", "earlier", "--json", *LENS],
    "next.json": ["next", "earlier", "--budget=2", "--json"],
    "table.txt": ["table", "earlier"],
    "predict.txt": ["predict", "published", "image.npy", "--pixel-size-A=0.35", "--out=found"],
}


#: What is expected and not measured: 0.2 compared conditions by other distances.
EXPECTED = "train_next", "error", "cross_validated_error"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    unpack(folder, "earlier")
    return folder


@pytest.fixture
def place(unpacked, monkeypatch):
    """The folder with all that 0.2 made. Afterwards, each of its files is as it was."""
    monkeypatch.chdir(unpacked)
    before = content(unpacked)
    yield unpacked
    after = content(unpacked)
    assert {name: after.get(name) for name in before} == before


def numbers(value, within=1e-5):
    """Return the content of JSON with numbers that are compared with a tolerance."""
    if isinstance(value, dict):
        return {k: numbers(v, 0.04 if k in EXPECTED else within) for k, v in value.items()}
    if isinstance(value, list):
        return [numbers(each, within) for each in value]
    return pytest.approx(value, abs=within) if isinstance(value, float) else value


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_those_of_02(place, capsys, name):
    assert cli.main(ANSWERS[name]) == 0
    said = capsys.readouterr().out
    if name == "predict.txt":
        said, new = said.rstrip("\n").rsplit("\n", 1)
        assert new.startswith("to train a network for such images: passband new mine --like ")
        said += "\n"
    expected = (place / name).read_text()
    if name.endswith(".json"):
        assert json.loads(said) == numbers(json.loads(expected))
    else:
        assert said == expected


def test_results_are_opened_with_the_numbers_in_the_files_of_02(place):
    opened = passband.open("earlier")
    folder = place / "results/earlier"
    raw = xr.open_zarr(folder / "table.zarr")
    assert {"confidence", "microscope_dice", "own_dice"} <= {*raw}
    assert not {"confidence", "agreement", "histogram", "microscope_dice"} & {*opened.table}
    assert not {"microscope", "statistic", "product"} & {*opened.table.dims}
    for name in opened.table:
        assert opened.table[name].equals(raw[name].drop_vars("microscope", errors="ignore"))
    (matrix,) = opened.matrices()
    mean = raw.dice.mean("replica").squeeze(drop=True)
    conditions = [condition.id for condition in matrix.train]
    np.testing.assert_allclose(matrix.dice[: len(conditions)], mean.sel(train=conditions), 1e-6)
    assert opened.prediction.true.equals(xr.open_zarr(folder / "prediction.zarr").true)
    assert {network.replica for network in opened.networks} == {0, 1}


@pytest.mark.slow
def test_pages_are_written_and_nothing_else_but_what_the_store_keeps(place):
    for command, page in (("report", "report.html"), ("explore", "explorer.html")):
        before = content(place)
        assert cli.main([command, "earlier"]) == 0
        new = {*content(place)} - {*before}
        kept = {name for name in new if name.startswith("results/earlier/store/recommend/")}
        assert new - kept == {f"results/earlier/{page}"}
    text = (place / "results/earlier/report.html").read_text(encoding="utf-8")
    assert "levels of dose, training" in text
    assert "This study is incomplete" not in text


@pytest.mark.slow
def test_a_piece_is_merged_to_a_table_of_this_version(place, tmp_path):
    target = tmp_path / "again"
    assert cli.main(["merge", "packed/earlier.zarr.zip", "--into", str(target)]) == 0
    merged = Results(None, target).table
    before = xr.open_zarr(place / "results/earlier/table.zarr").dice
    np.testing.assert_allclose(merged.dice.transpose(*before.dims), before, atol=0.002)
    assert merged.attrs["kind"] == datasets.TABLE
    assert json.loads((target / "table.zarr/zarr.json").read_text())["attributes"]["format"] == 2


@pytest.mark.slow
def test_a_network_is_published_as_this_version_does(place, tmp_path, monkeypatch):
    unpack(tmp_path)
    before = content(tmp_path)
    monkeypatch.chdir(tmp_path)
    id = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds001000.00/0"
    assert cli.main(["publish", "smallest", f"--network={id}", "--name=a network"]) == 0
    (folder,) = Path("published").iterdir()
    assert weights.format_of(folder / "weights.safetensors") == 2
    (old,) = weights.load_cells(place / "published/weights.safetensors").values()
    (new,) = weights.load_cells(folder / "weights.safetensors").values()
    assert old.identities == new.identities
    for name in ("performance.csv", "test_output.npy"):
        assert (folder / name).read_bytes() == (place / "published" / name).read_bytes()
    after = content(tmp_path)
    assert {name: after.get(name) for name in before} == before


def test_further_results_of_other_networks_or_structures_do_not_count(place, tmp_path):
    folder = shutil.copytree(place / "results/earlier", tmp_path / "earlier")
    study = Results(None, place / "results/earlier").study
    results = Results(study, folder)
    batch = next(iter(network_batches.batches_of(study)))
    first, *_ = batch.cells
    (record,) = extra.stored(results, first)
    cells = weights.load_cells(results.weights(batch))
    assert record.network.values.tolist() == [*cells[first.condition].identities.values()]
    cell = cells[first.condition]
    cell.weights[1] = {name: np.asarray(array + 1) for name, array in cell.weights[1].items()}
    weights.save_cells(cells, results.weights(batch), {})
    extra._networks.cache_clear()
    (changed,) = extra.stored(results, first)
    assert changed.network.values.tolist() == [cell.identities[0], ""]
    assert changed.recipe.values.tolist() == record.recipe.values.tolist()
