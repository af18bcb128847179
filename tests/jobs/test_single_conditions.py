"""Files of single conditions in the cache, while other jobs write and remove theirs."""

import contextlib
import random
import threading

import numpy as np
import pytest
import xarray as xr
from synthetic import weights_metadata

from passband.cache import regrouping
from passband.storage import records
from passband.storage.weights import Part, load_parts, save_parts


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


def test_a_folder_that_another_job_removes_is_made_again(vanishing):
    part = Part({0: {"weight": np.zeros(2, np.float32)}}, weights_metadata())
    networks = vanishing / "r000-000.safetensors"
    record = xr.Dataset({"a": ("replica", [1.0])}, attrs={"contexts": "{}"})
    results = vanishing / "r000-000.zarr.zip"
    for _ in range(200):
        regrouping.write_single(lambda: save_parts({"a": part}, networks, {}))
        assert list(load_parts(networks)) == ["a"]
        networks.unlink()
    for _ in range(5):
        regrouping.write_single(lambda: records.write({"a": record}, results, {}))
        assert list(records.parts(results)) == ["a"]
        results.unlink()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    with pytest.raises(OSError, match="link"):
        regrouping.write_single((tmp_path / "link").mkdir)
