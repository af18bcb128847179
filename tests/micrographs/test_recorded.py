"""What files state about the microscope."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from passband.micrographs.recorded import Recorded, recorded

FORMATS = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats"


def test_a_store_of_images_states_its_condition(tmp_path):
    store = zarr.open(tmp_path / "a.zarr", mode="w")
    store.attrs["condition"] = "df+0005.00_cs+0001.200_ap010.00_ds001000.00"
    store.attrs["energy_kev"] = 300.0
    assert recorded(tmp_path / "a.zarr") == Recorded(300.0, 1.2, 10.0, 1000.0)


def test_other_files_state_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((40, 40)))
    assert recorded(tmp_path / "a.npy") == Recorded()
    (tmp_path / "b.dm3").write_bytes(b"no image")
    assert recorded(tmp_path / "b.dm3") == Recorded()


def test_a_microscopes_file_states_the_beam_energy():
    pytest.importorskip("rsciio")
    if not FORMATS.is_dir():
        pytest.skip("needs shared/data")
    assert recorded(FORMATS / "ncem_08_carbon.dm3").energy_keV in (80, 200, 300)
