"""Files of the store: which are valid, and those that other jobs write and remove meanwhile."""

import contextlib
import random
import threading

import numpy as np
import pytest
import xarray as xr
from synthetic import weights_metadata

from passband.storage import datasets, records
from passband.storage.weights import CellWeights, load_cells, save_cells
from passband.store import files


@pytest.fixture
def vanishing(tmp_path):
    """A folder that another thread removes if it is empty, thousands of times a second.

    It waits for random times: in lockstep, each trial of a job could lose its folder.
    """
    folder, stop = tmp_path / "condition", threading.Event()

    def remove():
        while not stop.wait(random.uniform(0, 0.0004)):
            with contextlib.suppress(OSError):
                folder.rmdir()

    thread = threading.Thread(target=remove)
    thread.start()
    yield folder
    stop.set()
    thread.join()


@pytest.mark.slow
def test_a_folder_that_another_job_removes_is_made_again(vanishing):
    cell = CellWeights({0: {"weight": np.zeros(2, np.float32)}}, weights_metadata())
    networks = vanishing / "r000-000.safetensors"
    record = xr.Dataset({"a": ("test", [1.0])}, {"test": ["a"]})
    results = vanishing / "r000-000.zarr.zip"
    for _ in range(200):
        files.write_single(lambda: save_cells({"a": cell}, networks, {}))
        assert list(load_cells(networks)) == ["a"]
        networks.unlink()
    for _ in range(5):
        files.write_single(lambda: records.write({"a": record}, results, {}))
        assert list(records.read_all(results)) == ["a"]
        results.unlink()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    with pytest.raises(OSError, match="link"):
        files.write_single((tmp_path / "link").mkdir)


@pytest.mark.parametrize("form", ["waves.zarr", "waves.zarr.zip"])
def test_a_store_is_known_by_the_digest_of_its_recipe(tmp_path, form):
    path = tmp_path / form
    made = xr.Dataset({"a": ("x", [1.0, 2.0])})
    assert not files.has_digest(path, datasets.WAVES, "a")
    datasets.write(made, path, datasets.WAVES, {files.DIGEST: "a"})
    assert files.has_digest(path, datasets.WAVES, "a")
    assert not files.has_digest(path, datasets.WAVES, "b")
    assert not files.has_digest(path, datasets.OOD, "a")
    if path.is_dir():
        (path / "a" / "c.0").unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert not files.has_digest(path, datasets.WAVES, "a")
