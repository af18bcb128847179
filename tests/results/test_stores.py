"""Names in a store of results can be those of its study, or the store is refused."""

import pytest
import xarray as xr

from passband import PassbandError
from passband.config import validate
from passband.grid import Axes
from passband.results import Results, layout
from passband.storage import datasets

STUDY = validate({"specimens": {"gold": {}}, "training": {"architectures": ["compact-w4-d2"]}})
NAMES = {
    "specimen": ["gold"],
    "test_specimen": ["gold"],
    "architecture": ["compact-w4-d2"],
    "replica": [0, 1],
    "train": ["df+0007.00_cs+0001.200_ap016.00_ds001000.00", "all-5d8f5c27"],
}


def store(**changes):
    names = {name: changes.get(name, values) for name, values in NAMES.items()}
    dice = xr.DataArray(0.5, names, list(names))
    return xr.Dataset({"dice": dice.copy(data=dice.values.copy())})


def test_a_store_without_its_variable_is_refused(tmp_path):
    datasets.write(store(), tmp_path / layout.OOD, datasets.OOD, {})
    assert Results(STUDY, tmp_path).ood.dice.size == 4
    datasets.write(store().drop_vars("dice"), tmp_path / layout.OOD, datasets.OOD, {})
    with pytest.raises(PassbandError, match=r"ood\.zarr: has no variable dice; delete it"):
        _ = Results(STUDY, tmp_path).ood


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"specimen": ["lead"]}, "has specimen = lead, which its own configuration has not;"),
        ({"test_specimen": ["gold", "lead"]}, "has test_specimen = lead, which its own"),
        ({"architecture": ["compact-w8-d3"]}, "has architecture = compact-w8-d3, which its own"),
        ({"replica": [0, -1]}, "has replica = -1, which its own configuration has not;"),
        ({"replica": [0.5, 1]}, r"has replica = 0\.5, which its own"),
        ({"train": ["foo"]}, "has train = foo, which its own configuration has not;"),
        ({"train": [5]}, "has train = 5, which its own"),
        ({"train": ["all-5d8f5c27"] * 2}, "has train = all-5d8f5c27 twice;"),
        ({"specimen": ["gold", "gold"]}, "has specimen = gold twice;"),
    ],
)
def test_names_that_a_study_has_not_are_refused(tmp_path, changes, says):
    datasets.write(store(**changes), tmp_path / layout.OOD, datasets.OOD, {})
    with pytest.raises(PassbandError, match=rf"ood\.zarr: {says}.* delete it and run the study"):
        _ = Results(STUDY, tmp_path).ood


@pytest.mark.parametrize("text", ["[", "[]", '{"a": 1}', 7])
def test_damaged_mixtures_are_refused(tmp_path, text):
    datasets.write(store(), tmp_path / layout.OOD, datasets.OOD, {"mixtures": text})
    with pytest.raises(PassbandError, match=r"ood\.zarr: its attribute mixtures is damaged;"):
        _ = Results(STUDY, tmp_path).ood


def test_dice_that_is_no_number_is_refused(tmp_path):
    words = store().astype(str).astype(object)
    datasets.write(words, tmp_path / layout.OOD, datasets.OOD, {})
    with pytest.raises(PassbandError, match=r"ood\.zarr: dice is .*, must be numbers; delete it"):
        _ = Results(STUDY, tmp_path).ood


def test_the_table_is_checked_too(tmp_path):
    datasets.write(store(specimen=["lead"]), tmp_path / layout.TABLE, datasets.TABLE, {})
    with pytest.raises(PassbandError, match=r"table\.zarr: has specimen = lead"):
        _ = Results(STUDY, tmp_path).table


def test_a_store_can_be_plotted_by_its_ids(tmp_path):
    ids = NAMES["train"]
    coords = {"train": ids, **Axes.main.coordinates(ids, "train")}
    stored = store().assign_coords(coords).assign_attrs(note="kept")
    datasets.write(stored, tmp_path / layout.OOD, datasets.OOD, {})
    found = Results(STUDY, tmp_path).ood
    assert found.train.dtype.kind == found.specimen.dtype.kind == "U"
    assert found.attrs["note"] == "kept"
    assert found.train_defocus_nm.attrs["long_name"] == "training defocus"
    (line,) = found.dice.isel(specimen=0, architecture=0, test_specimen=0, replica=0).plot()
    assert line.get_xdata().tolist() == ids
