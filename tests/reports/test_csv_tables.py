"""OOD metrics as tables for other programs."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from passband import cli
from passband.grid import Axes
from passband.matrices.of_study import matrices
from passband.reports import csv_tables
from passband.storage import datasets

GRID = {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [16], "dose_e_per_A2": [200, 1000]}
IDS = [condition.id for condition in Axes.main.conditions(GRID)]
GROUP = ("specimen", "architecture", "test_specimen")


@pytest.fixture
def metrics():
    rng = np.random.default_rng(3)
    shape = (1, 2, 1, 4)
    values = {
        "id": ((*GROUP, "train"), rng.uniform(size=shape)),
        "ood": ((*GROUP, "train"), rng.uniform(size=shape)),
        "ood_interval": ((*GROUP, "train", "bound"), rng.uniform(size=(*shape, 2))),
        "dice": ((*GROUP, "train", "test"), rng.uniform(size=(*shape, 4))),
        "gap_test": ((*GROUP, "train", "test"), rng.uniform(size=(*shape, 4))),
        "distance": (("specimen", "train", "test"), rng.uniform(size=(1, 4, 4))),
    }
    names = {"specimen": ["gold"], "architecture": ["b", "a"], "test_specimen": ["gold"]}
    coords = {**names, "train": IDS, "test": IDS, "bound": ["low", "high"]}
    coords |= Axes.main.coordinates(IDS, "train") | Axes.main.coordinates(IDS, "test")
    return xr.Dataset(values, coords)


def test_a_row_has_the_values_of_its_training_condition(metrics):
    table = csv_tables.by_training_condition(matrices(metrics=metrics))
    assert list(table.columns) == [
        "specimen", "architecture", "test_specimen", "train", "train_defocus_nm", "train_cs_um",
        "train_aperture_mrad", "train_dose_e_per_A2", "id", "ood", "ood_low", "ood_high",
    ]  # fmt: skip
    assert len(table) == 8
    for _, row in table.iterrows():
        of_row = {"specimen": "gold", "architecture": row.architecture, "train": row.train}
        cell = metrics.sel(of_row)
        assert row.id == pytest.approx(cell.id.item())
        assert row.ood_high == pytest.approx(cell.ood_interval.sel(bound="high").item())
        assert row.train_dose_e_per_A2 == cell.train_dose_e_per_A2


def test_a_row_of_a_cell_has_both_conditions(metrics):
    table = csv_tables.by_cell(matrices(metrics=metrics))
    assert len(table) == 2 * 4 * 4
    assert not {"train_specimen", "test_architecture"} & set(table.columns)
    chosen = (table.architecture == "a") & (table.train == IDS[1]) & (table.test == IDS[2])
    (row,) = table[chosen].itertuples()
    cell = metrics.isel(specimen=0, test_specimen=0)
    cell = cell.sel(architecture="a", train=IDS[1], test=IDS[2])
    assert row.dice == pytest.approx(cell.dice.item())
    assert row.distance == pytest.approx(cell.distance.item())
    assert (row.train_defocus_nm, row.test_defocus_nm) == (5, 20)
    assert (row.train_dose_e_per_A2, row.test_dose_e_per_A2) == (1000, 200)


@pytest.mark.parametrize(("options", "rows"), [([], 8), (["--cells"], 32)])
def test_the_command_writes_a_file_that_reads_back(metrics, tmp_path, capsys, options, rows):
    datasets.write(metrics, tmp_path / "ood.zarr", datasets.OOD, {})
    file = tmp_path / "a.csv"
    assert cli.main(["table", str(tmp_path), "--csv", str(file), *options]) == 0
    table = pd.read_csv(file)
    said = f"{rows} rows and {len(table.columns)} columns are in {file}\n"
    assert capsys.readouterr().out == said
    table_of = csv_tables.by_cell if options else csv_tables.by_training_condition
    made = table_of(matrices(metrics=metrics))
    assert len(table) == len(made) == rows
    for name in ("train_defocus_nm", "dice" if options else "ood"):
        np.testing.assert_allclose(table[name], made[name], rtol=1e-5)


@pytest.mark.slow
def test_parquet_has_all_digits(metrics, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    datasets.write(metrics, tmp_path / "ood.zarr", datasets.OOD, {})
    file = tmp_path / "a.parquet"
    assert cli.main(["table", str(tmp_path), "--parquet", str(file)]) == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet(file), csv_tables.by_training_condition(matrices(metrics=metrics))
    )
    assert capsys.readouterr().out.endswith(f" are in {file}\n")


def test_parquet_without_pyarrow_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert cli.main(["table", "results", "--parquet", "a.parquet"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a Parquet file needs pyarrow: pip install 'passband[parquet]'\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--csv", "a.txt"], "--csv = 'a.txt': must end in .csv"),
        (["--csv", "none/a.csv"], "--csv = 'none/a.csv': there is no folder"),
        (["--cells"], "--cells: must be given together with --csv or --parquet"),
        (["--parquet", "a.csv"], "--parquet = 'a.csv': must end in .parquet"),
        (["--parquet", "none/a.parquet"], "--parquet = 'none/a.parquet': there is no folder"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["table", str(tmp_path), *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
