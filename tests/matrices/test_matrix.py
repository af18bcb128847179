"""A Matrix against its table: names, conditions, networks, Dice, images and selections."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from passband import PassbandError
from passband.config import Study
from passband.grid import Axes, Condition
from passband.matrices.of_study import StudyMatrices, matrices
from passband.matrices.stored import GROUP, MatrixName, by_matrix, together
from passband.mixtures import MIXTURES
from passband.network_id import NetworkId
from passband.results.stores import load_table
from passband.scores import OUTCOMES, iou
from passband.storage import StoreError, datasets

CONDITIONS = [Condition(defocus, 1.2, 15, dose) for defocus in (5, 15) for dose in (100, 400)]
IDS = [condition.id for condition in CONDITIONS]
MIXED = "soft-1c9d04aa"
POINTS = {IDS[0]: 0.25, IDS[3]: 0.75}
SPECIMENS = ["gold", "silver"]


def make_table(own=False) -> xr.Dataset:
    """Return a table of two specimens whose last training condition is no test condition."""
    random = np.random.default_rng(0)
    rows = [*IDS, MIXED]
    tests = IDS[:3] if own else IDS
    counts = random.integers(1, 99, (2, 1, len(rows), 2, 2, len(tests), 5, 3)).astype(float)
    counts[0, 0, 1, 1] = np.nan
    network = ("specimen", "architecture", "train", "replica")
    cell = (*network, "test_specimen", "test")

    def means(counts):
        tp, fp, fn = np.moveaxis(counts, -1, 0)
        return (2 * tp / (2 * tp + fp + fn)).mean(-1).astype("float32")

    variables = {
        "counts": ((*cell, "structure", "outcome"), counts),
        "dice": (cell, means(counts)),
        "val_loss": (network, random.random((2, 1, len(rows), 2))),
        "status": (network, np.ones((2, 1, len(rows), 2), "int8")),
    }
    if own:
        found = counts[..., 0, :, :] + 1
        variables["own_counts"] = ((*cell[:-1], "structure", "outcome"), found)
        variables["own_dice"] = (cell[:-1], means(found))
    return xr.Dataset(
        variables,
        {
            "specimen": SPECIMENS,
            "architecture": ["unet"],
            "replica": [0, 1],
            "test_specimen": SPECIMENS,
            "outcome": list(OUTCOMES),
            "train": rows,
            "test": tests,
            **Axes.main.coordinates(rows, "train"),
            **Axes.main.coordinates(tests, "test"),
        },
        {MIXTURES: json.dumps({MIXED: {"points": POINTS}})},
    )


@pytest.fixture(scope="module")
def table() -> xr.Dataset:
    return make_table()


@pytest.fixture(scope="module")
def matrix(table):
    """The matrix of silver networks that are tested on gold."""
    return matrices(table)[2]


def test_there_is_one_for_each_specimen_architecture_and_test_specimen(table):
    labels = ["unet, gold", "unet, gold → silver", "unet, silver → gold", "unet, silver"]
    assert [each.label for each in matrices(table)] == labels
    assert [each.name.is_home for each in matrices(table)] == [True, False, False, True]


def test_conditions_and_mixtures_are_apart(matrix):
    assert matrix.train == tuple(CONDITIONS)
    assert matrix.test == tuple(CONDITIONS)
    assert matrix.mixtures == (MIXED,)
    assert matrix.rows == (*IDS, MIXED)
    assert matrix.own == (0, 1, 2, 3, None)
    assert matrix.of_conditions().rows == tuple(IDS)
    assert matrix.of_conditions().mixtures == ()


def test_dice_is_the_mean_over_replicas_as_the_table_has_it(table, matrix):
    own = table.sel(specimen="silver", architecture="unet", test_specimen="gold")
    np.testing.assert_array_equal(matrix.dice, own.dice.mean("replica"))
    np.testing.assert_array_equal(matrix.by_network, own.dice.transpose("train", ...))
    assert matrix.dice.dims == ("train", "test")
    assert matrix.dice.train_dose_e_per_A2.values[:2].tolist() == [100, 400]


def test_loss_is_against_the_network_trained_there(table, matrix):
    M = matrix.dice.values
    np.testing.assert_array_equal(matrix.loss, np.diag(M[:4]) - M)
    np.testing.assert_array_equal(matrix.diagonal, np.diag(M[:4]))
    fewer = matrices(table.isel(train=[0, 1, 4]))[2]
    assert np.isnan(fewer.loss.values[:, 2:]).all()
    np.testing.assert_array_equal(fewer.loss.values[:, :2], matrix.loss.values[[0, 1, 4], :2])


def test_the_loss_of_a_part_is_against_all_networks_of_the_whole(matrix):
    some = matrix.sel(train_defocus_nm=15, test_dose_e_per_A2=100)
    np.testing.assert_array_equal(some.loss, matrix.loss.values[[2, 3]][:, [0, 2]])
    np.testing.assert_array_equal(some.take([0], [1]).loss, matrix.loss.values[[2]][:, [2]])


def test_loss_without_a_table_is_the_metric(table):
    M = table.dice.mean("replica").transpose(*GROUP, "train", "test")
    matrix = matrices(metrics=xr.Dataset({"dice": M, "gap_test": M + 1}))[2]
    np.testing.assert_array_equal(matrix.loss, matrix.dice + 1)
    without = matrices(metrics=xr.Dataset({"dice": M}))[2]
    np.testing.assert_array_equal(without.loss, matrices(table)[2].loss)


def test_ids_are_of_networks_with_results(table):
    gold = matrices(table)[0]
    assert len(gold.ids) == 9
    assert gold.ids[:3] == (
        NetworkId("gold", "unet", IDS[0], 0),
        NetworkId("gold", "unet", IDS[0], 1),
        NetworkId("gold", "unet", IDS[1], 0),
    )
    assert gold.ids[-1] == NetworkId("gold", "unet", MIXED, 1)


def test_images_are_those_of_the_counts_by_index_condition_or_id(table, matrix):
    counts = table.counts.values[1, 0, 2, :, 0]
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    expected = 2 * tp / (2 * tp + fp + fn)
    for row in (2, CONDITIONS[2], IDS[2]):
        np.testing.assert_array_equal(matrix.images(row), expected)
    np.testing.assert_array_equal(matrix.images(2, [1, 3]), expected[:, [1, 3]])
    for column in (1, np.int64(1), CONDITIONS[1], IDS[1]):
        np.testing.assert_array_equal(matrix.images(2, column), expected[:, [1]])
        np.testing.assert_array_equal(matrix.images(2, [column, -1]), expected[:, [1, 3]])
    np.testing.assert_array_equal(matrix.images(2, np.array(IDS)[[1, 3]]), expected[:, [1, 3]])
    np.testing.assert_array_equal(matrix.images(2, structures=(4, 0)), expected[..., [4, 0]])
    np.testing.assert_array_equal(matrix.images(2, score="iou"), iou(counts))
    assert matrix.images(MIXED).shape == (2, 4, 5)


def test_other_scores_are_means_over_images_too(table, matrix):
    expected = iou(table.counts.values[1, 0, :, :, 0]).mean(-1).mean(1)
    np.testing.assert_allclose(matrix.score("iou"), expected)
    with pytest.raises(PassbandError, match=r"^score = 'f2': must be one of dice, iou, prec"):
        matrix.score("f2")


def test_sums_are_the_pixels_of_all_images(table, matrix):
    counts = table.counts.values[1, 0, 3, :, 0].sum(-2)
    for k, (name, values) in enumerate(matrix.sums(3).items()):
        assert name == OUTCOMES[k]
        np.testing.assert_array_equal(values, counts[..., k])


def test_a_variable_that_no_code_names_is_carried_with_the_matrix(table):
    random = np.random.default_rng(3)
    dims = ("side", *table.counts.dims[:-1][::-1])
    values = random.random([2, *table.counts.shape[:-1][::-1]])
    found = matrices(table.assign(unknown=(dims, values)))
    for matrix in found:
        part = matrix.sel(dose_e_per_A2=400).variable("unknown")
        assert part.dims == ("train", "replica", "test", "structure", "side")
        at = {"specimen": matrix.specimen, "test_specimen": matrix.test_specimen}
        whole = table.assign(unknown=(dims, values)).unknown.sel(at).isel(architecture=0)
        expected = whole.sel(train=part.train.values, test=part.test.values)
        np.testing.assert_array_equal(part, expected.transpose(*part.dims))
    with pytest.raises(
        PassbandError, match=r"^variable = 'other': must be one of counts, dice, st"
    ):
        found[0].variable("other")


def test_home_is_the_own_column_the_own_test_or_the_expectation(table, matrix):
    np.testing.assert_array_equal(matrix.home(1), matrix.images(1)[:, 1])
    D = matrix.images(MIXED)
    expected = 0.25 * D[:, 0] + 0.75 * D[:, 3]
    np.testing.assert_allclose(matrix.home(MIXED), expected)
    np.testing.assert_allclose(matrix.home(-1), expected)
    for row in (4, -1, MIXED):
        np.testing.assert_allclose(matrix.home_mean(row), expected.mean(-1), rtol=1e-6)
    assert matrix.take(test=[0, 1]).home(MIXED) is None
    (_, _, own, _) = matrices(make_table(own=True))
    counts = make_table(own=True).own_counts.values[1, 0, 3, :, 0]
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    np.testing.assert_array_equal(own.home(3), 2 * tp / (2 * tp + fp + fn))
    np.testing.assert_allclose(own.home_mean(3), own.home(3).mean(-1), rtol=1e-6)


def test_a_selection_is_a_matrix_of_its_conditions(matrix):
    few = matrix.sel(dose_e_per_A2=400)
    assert few.rows == few.columns == (IDS[1], IDS[3])
    np.testing.assert_array_equal(few.dice, matrix.dice[[1, 3], [1, 3]])
    one_side = matrix.sel(train_defocus_nm=slice(0, 10), test_dose_e_per_A2=[100])
    assert one_side.rows == (IDS[0], IDS[1])
    assert one_side.columns == (IDS[0], IDS[2])
    np.testing.assert_array_equal(one_side.images(1), matrix.images(1, [0, 2]))
    assert matrix.sel(test_defocus_nm=5).mixtures == (MIXED,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"defocus_nm": 7}, "train_defocus_nm = 7: no condition has this value; there are 5, 15"),
        ({"test_defocus_nm": [5, 7]}, "test_defocus_nm = 7: no condition has this value"),
        ({"defocus_nm": slice(6, 9)}, "train_defocus_nm = 6 to 9: no condition has this value"),
        ({"focus": 7}, "focus: is no axis; must be one of defocus_nm, cs_um, aperture_mrad, dose"),
        (
            {"defocus_nm": "five"},
            "train_defocus_nm = 'five': must be a number, several numbers",
        ),
        ({"test_defocus_nm": None}, "test_defocus_nm = None: must be a number, several numbers"),
        (
            {"defocus_nm": []},
            "train_defocus_nm = []: must be a number, several numbers, or",
        ),
        ({"defocus_nm": slice("a", 9)}, "train_defocus_nm = slice('a', 9, None): must be a number"),
        ({"defocus_nm": slice(0, 9, 2)}, "train_defocus_nm = slice(0, 9, 2): must be a number"),
        (
            {"defocus_nm": 15, "train_dose_e_per_A2": 400, "cs_um": 3},
            "train_cs_um = 3: no",
        ),
    ],
)
def test_a_selection_of_what_is_not_there_is_one_clear_line(matrix, values, words):
    with pytest.raises(PassbandError) as caught:
        matrix.sel(**values)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_mixtures_alone_have_no_condition_to_select(matrix):
    with pytest.raises(PassbandError) as caught:
        matrix.take(train=[4]).sel(train_defocus_nm=5)
    assert str(caught.value) == (
        "train_defocus_nm = 5: no condition has this value; there are none"
    )


def test_a_row_that_is_not_there_is_one_clear_line(matrix):
    with pytest.raises(PassbandError, match=r"^row = 9: must be from 0 to 4, the rows of unet, si"):
        matrix.images(9)
    with pytest.raises(PassbandError, match=r"^train = x: unet, silver → gold has no such row"):
        matrix.home("x")
    with pytest.raises(PassbandError, match=r"^column = 4: must be from 0 to 3, the columns of un"):
        matrix.images(0, 4)
    with pytest.raises(PassbandError, match=r"^test = soft-1c9d04aa: unet, .* has no such column"):
        matrix.images(0, [MIXED])
    with pytest.raises(PassbandError, match=r"^column = 9: must be from 0 to 3"):
        matrix.images(0, np.array([9]))
    with pytest.raises(PassbandError, match=rf"^train = {MIXED}: .* has no such row$"):
        matrix.take(train=[]).images(MIXED)


def test_the_table_of_cells_has_a_row_for_each(matrix):
    frame = matrix.to_dataframe()
    assert list(frame) == [
        *GROUP,
        "train",
        *(f"train_{name}" for name in CONDITIONS[0].values()),
        "test",
        *(f"test_{name}" for name in CONDITIONS[0].values()),
        "dice",
        "loss",
    ]
    assert len(frame) == 20
    assert set(frame.specimen) == {"silver"}
    np.testing.assert_array_equal(frame.dice, matrix.dice.values.ravel())


def test_a_notebook_shows_what_it_is(matrix):
    words = "Matrix unet, silver → gold: 4 training conditions and 1 mixture × 4 test conditions"
    assert repr(matrix) == f"<{words}>"
    assert words in matrix._repr_html_()
    assert repr(matrix.take([1], [0])).endswith(": 1 training condition × 1 test condition>")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The path of the table in a store, which a test may copy."""
    path = tmp_path_factory.mktemp("stored") / "table.zarr"
    datasets.write(make_table(own=True), path, datasets.TABLE, {})
    return path


@pytest.mark.parametrize(
    ("variable", "read"),
    [
        ("dice", lambda matrix: matrix.loss),
        ("dice", lambda matrix: matrix.ids),
        ("counts", lambda matrix: matrix.images(0)),
        ("counts", lambda matrix: matrix.sums(0)),
        ("own_counts", lambda matrix: matrix.home(3)),
        ("val_loss", lambda matrix: matrix.training),
    ],
)
def test_a_damaged_table_is_one_clear_line_when_it_is_read(
    stored, tmp_path, monkeypatch, variable, read
):
    monkeypatch.setattr(datasets, "_opened", {})
    shutil.copytree(stored, tmp_path / "table.zarr")
    (chunk,) = (tmp_path / f"table.zarr/{variable}").glob("c.*")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    (matrix, *_) = matrices(load_table(tmp_path / "table.zarr"))
    with pytest.raises(StoreError, match=rf"table\.zarr: its {variable} is damaged: .*run again$"):
        read(matrix)


def test_some_replicas_are_a_matrix_too(table, matrix):
    second = matrix.take(replica=[1])
    assert (second.replicas, second.rows) == ((1,), matrix.rows)
    assert {id.replica for id in second.ids} == {1}
    np.testing.assert_array_equal(second.images(2), matrix.images(2)[[1]])


def test_a_matrix_can_be_ordered_like_another(table):
    other = matrices(table.isel(train=[3, 0], test=[2, 1], replica=[1]))[2]
    found = matrices(table)[2].like(other)
    assert (found.rows, found.columns, found.replicas) == (other.rows, other.columns, (1,))
    np.testing.assert_array_equal(found.images(), other.images())


def test_means_have_no_images(table, matrix):
    assert matrix.has_images
    assert not matrices(table[["dice"]])[2].has_images


def test_metrics_alone_have_no_images(table):
    stored = table[["dice"]].mean("replica", keep_attrs=True)
    (_, _, found, _) = matrices(metrics=stored)
    assert not found.has_images
    np.testing.assert_array_equal(found.dice, found.metrics.dice)
    with pytest.raises(PassbandError, match=r"these are OOD metrics, without a table of results"):
        found.images(0)
    (matrix, *_) = matrices(table)
    with pytest.raises(PassbandError, match=r"^the matrices have no OOD metrics; run the study"):
        _ = matrix.metrics
    with pytest.raises(PassbandError, match=r"^which networks learned is not known without"):
        _ = matrix.learned


def test_metrics_are_those_of_the_same_conditions(table):
    M = table.dice.mean("replica").transpose(*GROUP, "train", "test")
    stored = xr.Dataset({"dice": M.isel(specimen=[1, 0], train=[4, 3, 2, 1, 0])})
    matrix = matrices(table, lambda: stored)[2].sel(test_dose_e_per_A2=100)
    np.testing.assert_array_equal(matrix.metrics.dice, matrix.dice)


def test_metrics_of_the_same_conditions_are_not_copied(table):
    stored = xr.Dataset({"dice": table.dice.mean("replica").transpose(*GROUP, "train", "test")})
    matrix = matrices(table, stored)[2]
    assert np.shares_memory(matrix.metrics.dice.values, stored.dice.values)


def test_metrics_of_other_conditions_than_the_tables_are_one_clear_line(table):
    M = table.dice.mean("replica").transpose(*GROUP, "train", "test")
    older = matrices(table, xr.Dataset({"dice": M.isel(test=[0, 1])}))[0]
    with pytest.raises(PassbandError) as caught:
        _ = older.metrics
    assert str(caught.value) == (
        f"unet, gold: the OOD metrics have no test = {IDS[2]}, which the table of results has; run "
        "the study again"
    )
    _ = older.take(test=[0, 1]).metrics


def test_matrices_of_metrics_keep_their_conditions_and_know_what_the_table_says(table):
    study = Study.model_validate(
        {
            "study": {"name": "two"},
            "specimens": {name: {} for name in SPECIMENS},
            "microscope": {"field_px": 128, "pixel_size_A": 0.3},
            "evaluation": {"bootstrap": 0},
        }
    )
    table = table.copy(deep=True)
    table.counts[0, 0, 1, 0, 0] = [0, 9, 99]
    table.dice[0, 0, 1, 0, 0] = 0
    M = table.dice.mean("replica").transpose(*GROUP, "train", "test")
    source = StudyMatrices(table.isel(train=[0, 1, 2]), xr.Dataset({"dice": M}), study)
    gold, _, silver, _ = source.of_metrics
    assert source.matrices[0].rows == tuple(IDS[:3])
    assert gold.rows == (*IDS, MIXED)
    assert np.argwhere(gold.unlearned).tolist() == [[1, 0]]
    assert not silver.unlearned.any()
    fewer = StudyMatrices(table.isel(specimen=[0]), xr.Dataset({"dice": M}), study)
    assert not fewer.of_metrics[3].unlearned.any()
    first = source.matrices[0].take(replica=[1, 0])
    assert np.argwhere(first.unlearned).tolist() == [[1, 1]]
    assert source.unlearned.attrs["learned"] == 10
    assert not StudyMatrices(table).knows_learned


def test_results_of_matrices_are_stored_together_and_taken_apart():
    names = [MatrixName("gold", "unet", "gold"), MatrixName("iron", "unet", "gold")]
    values = np.arange(6.0).reshape(2, 3)
    parts = ({"dice": xr.Variable("train", row, {"units": "1"})} for row in values)
    stored = together(names, parts)
    assert stored["dice"].dims == (*GROUP, "train")
    assert stored["dice"].attrs == {"units": "1"}
    coords = {"specimen": ["gold", "iron"], "architecture": ["unet"], "test_specimen": ["gold"]}
    apart = by_matrix(xr.Dataset(stored, coords))
    assert list(apart) == names
    np.testing.assert_array_equal(np.stack([each.dice for each in apart.values()]), values)


def test_a_matrix_without_results_is_nan_in_what_is_stored_together():
    names = [MatrixName("gold", "unet", "gold"), MatrixName("iron", "unet", "iron")]
    found = together(names, [{"id": xr.Variable((), 0.5)}, {"ood": xr.Variable((), 0.4)}])
    np.testing.assert_array_equal(found["id"].values[:, 0], [[0.5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(found["ood"].values[:, 0], [[np.nan, np.nan], [np.nan, 0.4]])
