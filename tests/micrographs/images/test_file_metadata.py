"""What files state about the microscope."""

import numpy as np
import pytest
import zarr

from passband.grid import Condition
from passband.micrographs.images.file_metadata import Recorded, recorded


def test_a_store_of_images_states_its_condition(tmp_path):
    store = zarr.open(tmp_path / "a.zarr", mode="w")
    condition = Condition(5, 1.2, 10, 1000)
    store.attrs["condition"] = condition.id
    store.attrs["energy_kev"] = 300.0
    assert recorded(tmp_path / "a.zarr") == Recorded(300.0, 1.2, 10.0, 1000.0, condition)


def test_other_files_state_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((40, 40)))
    assert recorded(tmp_path / "a.npy") == Recorded()
    (tmp_path / "b.dm3").write_bytes(b"no image")
    assert recorded(tmp_path / "b.dm3") == Recorded()


def test_a_microscopes_file_states_the_beam_energy(tmp_path, monkeypatch):
    module = pytest.importorskip("rsciio.digitalmicrograph")
    stated = {"Acquisition_instrument": {"TEM": {"beam_energy": 200.0}}}
    monkeypatch.setattr(module, "file_reader", lambda path: [{"metadata": stated}])
    assert recorded(tmp_path / "a.dm3") == Recorded(200.0)
    stated["Acquisition_instrument"]["TEM"]["beam_energy"] = 0.0
    assert recorded(tmp_path / "a.dm3") == Recorded()
