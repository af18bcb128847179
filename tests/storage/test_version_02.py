"""Files that 0.2 wrote are read as if this version had written them."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from low_dose import extract
from safetensors import safe_open

from passband.storage import DamagedError, datasets, integrity, version_02, weights

DATA = Path(__file__).parents[1] / "data"


def members(archive, suffix):
    """Return the contents of the files of an archive whose names end with a suffix."""
    with tarfile.open(DATA / f"{archive}.tar.xz") as opened:
        return [opened.extractfile(m).read() for m in opened if m.name.endswith(suffix)]


def values_in(path):
    with safe_open(path, framework="numpy") as file:
        return {
            name: json.loads(text)
            for name, text in file.metadata().items()
            if name not in ("checksum", "format")
        }


@pytest.mark.parametrize("archive", ["finished", "grouped"])
def test_weights_of_02_are_written_again_with_two_other_names(tmp_path, archive):
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    contents = members(archive, ".safetensors")
    for content in contents:
        before.write_bytes(content)
        cells = weights.load_cells(before)
        first, *_ = cells.values()
        weights.save_cells(cells, after, first.metadata.provenance)
        old, new = values_in(before), values_in(after)
        for values in old.get("parts", {"": old}).values():
            values.pop("checksum", None)  # of each cell of several
            values["vectorized"] = values.pop("stacked")
            values["recipe_digest"] = values.pop("context")
        assert new.pop("networks") == {
            id: {str(r): each for r, each in cell.identities.items()} for id, cell in cells.items()
        }
        assert old == new
        again = weights.load_cells(after)
        for id, cell in cells.items():
            assert again[id].metadata == cell.metadata
            assert weights.fingerprint(again[id].weights) == weights.fingerprint(cell.weights)
    assert len(contents) >= 8


def test_the_old_name_is_none_of_this_format(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(members("finished", ".safetensors")[0])
    tensors, values = weights.read(path, "numpy")
    weights.write(tensors, path, values)
    assert len(weights.load_cells(path)) == 1
    values["stacked"] = values.pop("vectorized")
    weights.write(tensors, path, values)
    with pytest.raises(DamagedError, match="its metadata have no 'vectorized'"):
        weights.load_cells(path)


def test_a_likeness_without_checksum_is_read_and_flags_no_uneven_background(tmp_path):
    path = extract(tmp_path) / "likeness.json"
    assert "checksum" not in json.loads(path.read_text())
    content = version_02.likeness(path)
    assert content["limits"].pop("evenness") == 0.0
    assert content == json.loads(path.read_text())


@pytest.mark.parametrize("text", ["[]", '{"checksum": 1}', "{"])
def test_a_likeness_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "likeness.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no JSON object|does not match|Expecting"):
        version_02.likeness(path)


# Stores


def table_of_02(path, kind, monkeypatch):
    """Write a store as 0.2 did, and return what this version would have written."""
    cell = ("train", "replica", "test")
    kept = xr.Dataset(
        {"counts": ((*cell, "outcome"), np.ones((2, 2, 3, 4))), "own_dice": (cell[:2], np.eye(2))},
        {"train": ["a", "b"], "test": ["a", "b", "c"]},
    )
    more = {
        "confidence": ((*cell, "statistic"), np.ones((2, 2, 3, 4))),
        "agreement": (("train", "pair", "test", "product"), np.ones((2, 1, 3, 2))),
        "histogram": ((*cell, "bin"), np.ones((2, 2, 3, 20))),
        "soft_dice": (cell, np.ones((2, 2, 3))),
        "microscope_counts": (("train", "microscope", "outcome"), np.ones((2, 5, 4))),
    }
    coordinates = {
        "statistic": list("abcd"),
        "product": ["p", "q"],
        "first": ("pair", [0]),
        "second": ("pair", [1]),
        "bin_start": ("bin", np.arange(20)),
        "microscope": list("vwxyz"),
        "microscope_cs_um": ("microscope", np.arange(5)),
    }
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", version_02.FORMAT)
        whole = kept.assign(more).assign_coords(coordinates)
        datasets.write(whole, path, kind, {"context": "0123", "study": "x"})
    return kept


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
@pytest.mark.parametrize("kind", [datasets.RECORD, datasets.TABLE, datasets.PACKED])
def test_what_results_of_02_had_beside_the_counts_is_left_out(tmp_path, monkeypatch, kind, name):
    kept = table_of_02(tmp_path / name, kind, monkeypatch)
    read = datasets.read_metadata if name.endswith(".zip") else datasets.open_folder
    for found in (datasets.read(tmp_path / name, kind), read(tmp_path / name, kind)):
        assert found.attrs == {"recipe_digest": "0123", "study": "x", "kind": kind}
        assert found.variables.keys() == kept.variables.keys()
    xr.testing.assert_equal(datasets.read(tmp_path / name, kind), kept)


def test_what_this_version_writes_keeps_its_variables(tmp_path):
    """A record may have any variables."""
    path = tmp_path / "a.zarr.zip"
    found = xr.Dataset({"confidence": ("statistic", [1.0]), "soft_dice": 2.0})
    datasets.write(found, path, datasets.RECORD, {"context": "0123"})
    xr.testing.assert_equal(datasets.read(path, datasets.RECORD), found)
    assert datasets.read(path, datasets.RECORD).attrs["context"] == "0123"
