"""The table that gathers all records of a study."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot

from passband.analysis import table
from passband.axes import MAIN_AXES
from passband.grid import Axes, Condition, batches
from passband.results.stores import load_table
from passband.scores import OUTCOMES, dice
from passband.storage import DamagedError, StoreError, datasets, records

AXIS_VALUES = {
    "defocus_nm": [-5.0, 5.0, 10.0],
    "cs_um": [1.2],
    "aperture_mrad": [10.0],
    "dose_e_per_A2": [100.0],
}
TEST_VALUES = AXIS_VALUES | {"cs_um": [0.0, 30.0], "aperture_mrad": [10.0, 18.0]}
# In the order of values; as strings, negative defocus would come last.
TRAIN = [condition.id for condition in Axes.main.conditions(AXIS_VALUES)]
TESTED = Axes.main.conditions(TEST_VALUES)
TEST = [condition.id for condition in TESTED]
SPECIMENS, ARCHITECTURES = ["gold", "amber"], ["unet-resnet18", "compact-w4-d2"]
REPLICAS = batches(3, 2)
STRUCTURES = 4
ATTRS = {"study": "test", "config_digest": "abc"}


def write(path, replicas, counts, specimens=SPECIMENS, test=TEST, val_loss=(), best_epoch=()):
    """Write a record of counts like the workflow's script evaluate.py."""
    record = xr.Dataset(
        {
            "counts": (
                ("replica", "test_specimen", "test", "structure", "outcome"),
                counts.astype(np.uint32),
                {"units": "pixels"},
            )
        },
        coords={
            "replica": list(replicas),
            "test_specimen": list(specimens),
            "test": list(test),
            "outcome": list(OUTCOMES),
        },
    )
    record["val_loss"] = ("replica", list(val_loss) or [0.5] * len(replicas))
    record["best_epoch"] = ("replica", list(best_epoch) or [1] * len(replicas))
    specimen, architecture, condition = Path(path).parts[-4:-1]
    attrs = {"specimen": specimen, "architecture": architecture}
    records.write({condition: record}, path, ATTRS | attrs)


@pytest.fixture(scope="module")
def truth():
    """Counts of pixels.

    The axes are specimen, architecture, train, replica, test_specimen, test, structure and outcome.
    """
    shape = (2, 2, len(TRAIN), 3, 2, len(TEST), STRUCTURES, 3)
    return np.random.default_rng(0).integers(0, 10_000, shape)


@pytest.fixture(scope="module")
def written(tmp_path_factory, truth):
    """The folder with the records of a whole grid, and the cells of the table.

    The cells have the order of the script aggregate.py.
    """
    folder = tmp_path_factory.mktemp("records")
    cells = []
    for s, specimen in enumerate(SPECIMENS):
        for a, architecture in enumerate(ARCHITECTURES):
            for t, train in enumerate(TRAIN):
                for batch, replicas in REPLICAS.items():
                    path = folder / specimen / architecture / train / f"{batch}.zarr.zip"
                    write(
                        path,
                        replicas,
                        truth[s, a, t, replicas],
                        val_loss=[0.01 * r + 0.1 * t + s for r in replicas],
                        best_epoch=[r + 3 * t + 20 * a for r in replicas],
                    )
                    cells.append(
                        table.Cell(specimen, architecture, train, tuple(replicas), str(path))
                    )
    return folder, cells


@pytest.fixture
def grid(tmp_path, written):
    """The cells of 12 records of one specimen, in a copied folder that a test may damage."""
    folder, cells = written
    shutil.copytree(folder / SPECIMENS[0], tmp_path / "records" / SPECIMENS[0])
    return [
        table.Cell(
            c.specimen,
            c.architecture,
            c.train,
            c.replicas,
            c.path.replace(str(folder), str(tmp_path / "records")),
        )
        for c in cells
        if c.specimen == SPECIMENS[0]
    ]


def gather(cells, path, **options):
    table.aggregate(cells, TESTED, SPECIMENS, path, ATTRS, **options)
    return load_table(path)


@pytest.fixture(scope="module")
def gathered(written, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "table.zarr"
    gather(written[1], path)
    return path


@pytest.fixture(scope="module")
def whole(gathered):
    return load_table(gathered)


# A whole grid


def test_every_count_is_in_its_place(whole, truth):
    assert whole.counts.dims == (
        "specimen",
        "architecture",
        "train",
        "replica",
        "test_specimen",
        "test",
        "structure",
        "outcome",
    )
    np.testing.assert_array_equal(whole.counts, truth)


def test_dimensions_are_labelled(whole):
    assert whole.specimen.values.tolist() == SPECIMENS
    assert whole.architecture.values.tolist() == ARCHITECTURES
    assert whole.train.values.tolist() == TRAIN
    assert whole.replica.values.tolist() == [0, 1, 2]
    assert whole.test_specimen.values.tolist() == SPECIMENS
    assert whole.test.values.tolist() == TEST
    assert whole.outcome.values.tolist() == ["tp", "fp", "fn"]


def test_values_are_found_by_label(whole, truth):
    """As a user would, the test reads the table by labels only."""
    found = whole.counts.sel(
        specimen="amber",
        architecture="unet-resnet18",
        train=TRAIN[2],
        replica=2,
        test_specimen="gold",
        test=TEST[5],
        outcome="fn",
    )
    np.testing.assert_array_equal(found, truth[1, 0, 2, 2, 0, 5, :, 2])


def test_dice_is_the_mean_over_structures(whole, truth):
    assert whole.dice.dims == whole.counts.dims[:-2]
    np.testing.assert_allclose(whole.dice, dice(truth).mean(-1), rtol=1e-6)
    assert "empty" in " ".join(whole.dice.attrs)


def test_networks_have_loss_epoch_and_status(whole):
    dims = ("specimen", "architecture", "train", "replica")
    assert whole.val_loss.dims == whole.best_epoch.dims == whole.status.dims == dims
    s, a, t, r = np.ogrid[:2, :2, : len(TRAIN), :3]
    np.testing.assert_allclose(whole.val_loss, (0.01 * r + 0.1 * t + s) + 0 * a, rtol=1e-6)
    np.testing.assert_array_equal(whole.best_epoch, r + 3 * t + 20 * a + 0 * s)
    assert (whole.status == table.STATUS["done"]).all()
    assert whole.status.attrs["flag_meanings"] == "missing done"
    assert "lowest validation loss" in whole.best_epoch.attrs["selection"]


@pytest.mark.slow
def test_training_conditions_are_ordered_by_value(grid, tmp_path, truth):
    shuffled = [grid[i] for i in np.random.default_rng(1).permutation(len(grid))]
    found = gather(shuffled, tmp_path / "table.zarr")
    assert found.train.values.tolist() == TRAIN != sorted(TRAIN)
    np.testing.assert_array_equal(found.counts.sel(architecture=ARCHITECTURES), truth[:1])


@pytest.mark.parametrize(("dimension", "ids"), [("train", TRAIN), ("test", TEST)])
def test_imaging_parameters_are_coordinates_with_units(whole, dimension, ids):
    for name, axis in MAIN_AXES.items():
        coordinate = whole[f"{dimension}_{name}"]
        assert coordinate.dims == (dimension,)
        assert coordinate.values.tolist() == [getattr(Condition.parse(id), name) for id in ids]
        word = {"train": "training", "test": "test"}[dimension]
        assert coordinate.attrs == {"units": axis.unit, "long_name": f"{word} {axis.label}"}


def test_a_matrix_can_be_plotted(whole):
    """xarray refuses coordinates with text of variable width."""
    assert {c.dtype.kind for c in whole.coords.values()} <= set("Uif")
    M = whole.dice.mean("replica").isel(specimen=0, architecture=1, test_specimen=1)
    pyplot.figure()  # not that of another test
    M.plot()
    cube = table.hypercube(table.hypercube(M, "train"), "test")
    by_defocus = cube.isel({f"{side}_cs_um": 0 for side in ("train", "test")}).isel(
        {
            f"{side}_{name}": 0
            for side in ("train", "test")
            for name in ("aperture_mrad", "dose_e_per_A2")
        }
    )
    pyplot.figure()
    by_defocus.plot()
    axes = pyplot.gca().figure.axes[0]
    assert {axes.get_xlabel(), axes.get_ylabel()} == {"training defocus [nm]", "test defocus [nm]"}
    pyplot.close("all")


def test_attributes_say_where_it_is_from(whole):
    assert whole.attrs.items() >= ATTRS.items()
    assert whole.attrs["kind"] == datasets.TABLE
    assert whole.counts.attrs["units"] == "pixels"
    for name in ("dice", "val_loss", "best_epoch"):
        assert whole[name].attrs["units"] == "1"


def test_table_is_plain_zarr(gathered):
    found = xr.open_zarr(gathered, consolidated=True)
    assert np.issubdtype(found.counts.encoding["dtype"], np.unsignedinteger)
    # A training condition can be read without the others.
    assert found.counts.encoding["chunks"][:4] == (1, 1, 1, 3)
    assert list(gathered.parent.iterdir()) == [gathered]


def test_opening_reads_few_files(gathered):
    """The store has no file per value of a coordinate, and no folder per chunk dimension."""
    files = {}
    for path in gathered.rglob("*"):
        if path.is_file() and path.suffix != ".json":
            name, _, chunk = path.relative_to(gathered).as_posix().partition("/")
            assert chunk.count("/") <= 1  # a string coordinate's is c/0
            files[name] = files.get(name, 0) + 1
    rows = len(SPECIMENS) * len(ARCHITECTURES) * len(TRAIN)
    assert {name for name, n in files.items() if n > 1} == {"counts", "dice"}
    assert files["counts"] == files["dice"] == rows


def test_a_table_of_any_size_is_laid_out(tmp_path):
    """The table of studies/paper.yaml has 288 MB of counts for each 1,000 networks."""
    axes = {axis: [1.0 + k for k in range(5)] for axis in MAIN_AXES}
    test = [condition.id for condition in Axes.main.conditions(axes)]
    sizes = {
        "specimen": ["gold"],
        "architecture": ["unet-resnet18"],
        "train": test,
        "replica": list(range(21)),
        "test_specimen": ["gold"],
        "test": test,
        "structure": list(range(32)),
        "outcome": list(OUTCOMES),
    }
    chunks = {"specimen": 1, "architecture": 1, "train": 1}
    template = table._template(sizes, Axes.main, False, xr.Dataset({"counts": 0}))
    datasets.create(template, tmp_path / "table.zarr", chunks, table.counts_of(template))
    laid = xr.open_zarr(tmp_path / "table.zarr", consolidated=False)
    assert laid.counts.shape == (1, 1, 625, 21, 1, 625, 32, 3)
    assert laid.counts.encoding["chunks"] == (1, 1, 1, 21, 1, 625, 32, 3)


@pytest.mark.slow
def test_threads_change_nothing(grid, tmp_path, truth):
    path = tmp_path / "table.zarr"
    table.aggregate(grid, TESTED, SPECIMENS, path, ATTRS, threads=4)
    np.testing.assert_array_equal(load_table(path).counts, truth[:1])


@pytest.mark.slow
def test_an_existing_table_is_replaced(grid, tmp_path, truth):
    path = tmp_path / "table.zarr"
    gather(grid[:2], path)
    np.testing.assert_array_equal(gather(grid, path).counts, truth[:1])


# Holes


@pytest.mark.parametrize("gone", [0, 5])
def test_missing_record_is_named(grid, tmp_path, gone):
    os.unlink(grid[gone].path)
    with pytest.raises(table.IncompleteError, match=re.escape(grid[gone].path)) as caught:
        gather(grid, tmp_path / "table.zarr")
    assert str(caught.value).startswith("1 of 12 records")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "table.zarr").exists()


def test_missing_networks_are_nan_when_allowed(grid, tmp_path, truth):
    there = np.ones((1, 2, len(TRAIN), 3), dtype=bool)
    truth = truth[:1]
    for k in (0, 2, 6, 7, 9):
        cell = grid[k]
        os.unlink(cell.path)
        there[
            0,
            ARCHITECTURES.index(cell.architecture),
            TRAIN.index(cell.train),
            list(cell.replicas),
        ] = False
    found = gather(grid, tmp_path / "table.zarr", allow_incomplete=True)
    assert found.sizes["train"] == len(TRAIN)
    np.testing.assert_array_equal(found.status, np.where(there, 1, 0))
    for name in ("counts", "dice", "val_loss", "best_epoch"):
        values = found[name].values
        assert np.isnan(values[~there]).all(), name
        assert np.isfinite(values[there]).all(), name
    np.testing.assert_array_equal(found.counts.values[there], truth[there])
    np.testing.assert_allclose(found.dice.values[there], dice(truth[there]).mean(-1), rtol=1e-6)


def test_grid_without_any_record_is_an_error_even_when_holes_are_allowed(grid, tmp_path):
    for cell in grid:
        os.unlink(cell.path)
    with pytest.raises(table.IncompleteError, match="12 of 12 records"):
        gather(grid, tmp_path / "table.zarr", allow_incomplete=True)
    assert not (tmp_path / "table.zarr").exists()


# Damage


@pytest.mark.parametrize(("torn", "allow_incomplete"), [(0, False), (7, True)])
def test_torn_record_is_named(grid, tmp_path, torn, allow_incomplete):
    path = grid[torn].path
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(StoreError, match=re.escape(path)):
        gather(grid, tmp_path / "table.zarr", allow_incomplete=allow_incomplete)
    assert not (tmp_path / "table.zarr").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"test": TEST[:-1]},
        {"test": TEST[::-1]},
        {"test": [TEST[0].replace("ds000100", "ds000200"), *TEST[1:]]},
        {"specimens": SPECIMENS[::-1]},
        {"replicas": [0, 2]},
    ],
    ids=["fewer conditions", "another order", "another condition", "specimens", "replicas"],
)
def test_record_of_another_study_is_named(grid, tmp_path, change):
    cell = grid[2]
    options = {"replicas": cell.replicas, "test": TEST, "specimens": SPECIMENS} | change
    counts = np.zeros((2, 2, len(options["test"]), STRUCTURES, 3))
    write(cell.path, counts=counts, **options)
    words = rf"{re.escape(cell.path)}.*values of .* differ from the study"
    with pytest.raises(StoreError, match=words):
        gather(grid, tmp_path / "table.zarr")
    assert not (tmp_path / "table.zarr").exists()


@pytest.mark.parametrize(
    ("of", "words"),
    [(2, "condition is"), (6, "architecture is")],
    ids=["another condition", "another architecture"],
)
def test_record_of_another_cell_is_named(grid, tmp_path, of, words):
    shutil.copy(grid[of].path, grid[0].path)
    with pytest.raises(DamagedError, match=rf"{re.escape(grid[0].path)}: its {words} '"):
        gather(grid, tmp_path / "table.zarr")


@pytest.mark.parametrize("structures", [1, 5])
def test_record_of_another_number_of_structures_is_named(grid, tmp_path, structures):
    write(grid[2].path, grid[2].replicas, np.zeros((2, 2, len(TEST), structures, 3)))
    with pytest.raises(
        StoreError,
        match=rf"{re.escape(grid[2].path)}.*has {structures} along structure, other records have 4",
    ):
        gather(grid, tmp_path / "table.zarr")


def test_store_of_another_kind_is_no_record(grid, tmp_path):
    datasets.write(xr.Dataset({"a": ("x", [1.0])}), grid[3].path, "exit waves", ATTRS)
    with pytest.raises(StoreError, match="found exit waves"):
        gather(grid, tmp_path / "table.zarr")


def test_loading_a_file_that_is_no_table(tmp_path):
    with pytest.raises(StoreError, match="no such store of table"):
        load_table(tmp_path / "table.zarr")
    foreign = tmp_path / "foreign.zarr"
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(foreign, zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match=re.escape(str(foreign))):
        load_table(foreign)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("no zarr")
    with pytest.raises(StoreError, match="folder"):
        load_table(tmp_path / "folder")


# Hypercube


@pytest.mark.parametrize("dimension", ["train", "test"])
def test_hypercube_has_an_axis_for_each_parameter(whole, dimension):
    cube = table.hypercube(whole.dice.load(), dimension)
    assert dimension not in cube.dims
    assert [cube.sizes[f"{dimension}_{name}"] for name in MAIN_AXES] == (
        [3, 1, 1, 1] if dimension == "train" else [3, 2, 2, 1]
    )
    for id in TRAIN if dimension == "train" else TEST:
        condition = Condition.parse(id)
        where = {f"{dimension}_{name}": getattr(condition, name) for name in MAIN_AXES}
        np.testing.assert_array_equal(
            cube.sel(where).transpose(*whole.dice.isel({dimension: 0}).dims),
            whole.dice.sel({dimension: id}),
        )


def test_hypercubes_of_both_dimensions_and_of_a_dataset(whole):
    part = whole[["dice", "val_loss"]].load()
    cube = table.hypercube(table.hypercube(part, "train"), "test")
    assert cube.dice.sizes["test_cs_um"] == 2
    assert cube.val_loss.sizes["train_defocus_nm"] == 3
    assert np.isclose(
        cube.dice.sel(
            train_defocus_nm=-5, test_cs_um=30, test_defocus_nm=5, test_aperture_mrad=18
        ).isel(specimen=1, architecture=0, replica=2, test_specimen=1),
        whole.dice.sel(
            train=Condition(-5, 1.2, 10, 100).id, test=Condition(5, 30, 18, 100).id
        ).isel(specimen=1, architecture=0, replica=2, test_specimen=1),
    ).all()


def test_hypercube_keeps_units(whole):
    cube = table.hypercube(whole.dice, "test")
    assert {name: cube[f"test_{name}"].attrs.get("units") for name in MAIN_AXES} == {
        name: axis.unit for name, axis in MAIN_AXES.items()
    }


def test_hypercube_is_nan_where_the_grid_has_no_condition(whole):
    cube = table.hypercube(whole.dice.drop_sel(test=TEST[4]).load(), "test")
    gap = Condition.parse(TEST[4])
    where = {f"test_{name}": getattr(gap, name) for name in MAIN_AXES}
    assert np.isnan(cube.sel(where)).all()
    assert np.isnan(cube).sum() == cube.sel(where).size


# Variables that no code names


@pytest.fixture
def few(grid):
    """The cells of one training condition."""
    return [cell for cell in grid if cell.train == TRAIN[0]]


@pytest.fixture
def named(few) -> dict[str, xr.Dataset]:
    """Records that have two variables more, one of them along a dimension of its own, by path."""
    random = np.random.default_rng(2)
    found = {}
    for cell in few:
        record = datasets.read(cell.path, datasets.RECORD).load().drop_encoding()
        images = record.counts.isel(outcome=0, drop=True)
        shape = [*images.shape, 2]
        record["area"] = (images.dims[::-1], random.random(images.shape[::-1]), {"units": "nm²"})
        record["found"] = ((*images.dims, "side"), random.integers(0, 99, shape, np.uint8))
        record["found"].attrs["missing"] = 255
        found[cell.path] = record.assign_coords(side=["left", "right"])
        datasets.write(found[cell.path], cell.path, datasets.RECORD, record.attrs)
    return found


@pytest.mark.slow
def test_variables_that_no_code_names_are_in_their_place(few, tmp_path, named):
    gone = few[3]
    os.unlink(gone.path)
    made = gather(few, tmp_path / "table.zarr", allow_incomplete=True)
    for cell in few:
        row = made.sel(specimen=cell.specimen, architecture=cell.architecture, train=cell.train)
        row = row.sel(replica=list(cell.replicas)).load()
        for name, missing in (("area", np.nan), ("found", 255)):
            expected = named[cell.path][name].isel(train=0).transpose(*row[name].dims).values
            if cell == gone:
                expected = np.full_like(expected, missing)
            np.testing.assert_array_equal(row[name], expected)
    assert made.found.dtype == np.uint8
    assert made.side.values.tolist() == ["left", "right"]
    assert made.area.attrs["units"] == "nm²"


@pytest.mark.slow
def test_a_record_without_a_variable_of_the_others_is_named(few, tmp_path, named):
    record = named[few[1].path].drop_vars("area")
    datasets.write(record, few[1].path, datasets.RECORD, record.attrs)
    with pytest.raises(DamagedError, match=rf"{re.escape(few[1].path)}: area is not in all"):
        gather(few, tmp_path / "table.zarr")


@pytest.mark.slow
def test_a_variable_of_one_architecture_is_missing_for_the_others(few, tmp_path, named):
    without = [cell for cell in few if cell.architecture == ARCHITECTURES[1]]
    for cell in without:
        record = named[cell.path].drop_vars(["area", "found", "side"])
        datasets.write(record, cell.path, datasets.RECORD, record.attrs)
    for order in (few, few[::-1]):
        made = gather(order, tmp_path / f"{order[0].architecture}.zarr")
        for cell in few:
            row = made.sel(specimen=cell.specimen, architecture=cell.architecture)
            row = row.sel(train=cell.train, replica=list(cell.replicas)).load()
            assert np.isfinite(row.counts).all()
            if cell in without:
                assert np.isnan(row.area).all()
                assert (row.found == 255).all()
            else:
                expected = named[cell.path].found.isel(train=0).transpose(*row.found.dims).values
                np.testing.assert_array_equal(row.found, expected)


def test_an_architecture_with_fewer_structures_is_named(grid, tmp_path):
    last = next(cell for cell in grid if cell.architecture == ARCHITECTURES[1])
    record = datasets.read(last.path, datasets.RECORD).load().drop_encoding().isel(structure=[0, 1])
    datasets.write(record, last.path, datasets.RECORD, record.attrs)
    with pytest.raises(DamagedError, match=rf"{re.escape(last.path)}: has 2 along structure, oth"):
        gather(grid, tmp_path / "table.zarr")
