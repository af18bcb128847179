"""What files state about the microscope."""

import numpy as np
import pytest
import xarray as xr

from passband.grid import Condition
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.images.readers import recorded
from passband.storage import datasets


def test_a_store_of_images_states_its_condition(tmp_path):
    condition = Condition(5, 1.2, 10, 1000)
    images = xr.Dataset({"counts": (("image", "x", "y"), np.ones((2, 40, 40), np.float32))})
    stated = {"condition": condition.id, "energy_kev": 300.0, "pixel_size_A": 0.3}
    datasets.write(images.assign_attrs(stated), tmp_path / "a.zarr", datasets.IMAGES, {})
    assert recorded(tmp_path / "a.zarr") == Recorded(300.0, 1.2, 10.0, 1000.0, condition)


def test_other_files_state_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((40, 40)))
    assert recorded(tmp_path / "a.npy") == Recorded()
    (tmp_path / "b.dm3").write_bytes(b"no image")
    assert recorded(tmp_path / "b.dm3") == Recorded()


def test_a_microscopes_file_states_the_beam_energy(tmp_path, monkeypatch):
    module = pytest.importorskip("rsciio.digitalmicrograph")
    tem = {"beam_energy": 200.0}
    axes = [{"navigate": False, "units": "nm", "scale": 0.03}] * 2
    read = [
        {
            "metadata": {"Acquisition_instrument": {"TEM": tem}},
            "axes": axes,
            "data": np.ones((40, 40)),
        }
    ]
    monkeypatch.setattr(module, "file_reader", lambda path: read)
    (tmp_path / "a.dm3").touch()
    assert recorded(tmp_path / "a.dm3") == Recorded(200.0)
    tem["beam_energy"] = 0.0
    assert recorded(tmp_path / "a.dm3") == Recorded()
