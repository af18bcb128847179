"""A study whose exit waves are computed by abTEM."""

import numpy as np
import pytest
from workplace import Workplace

from passband.storage import datasets

pytestmark = pytest.mark.workflow

#: Pixels that save time; `auto` makes them 0.02 Å.
ABTEM = {"engine": "abtem", "multislice_pixel_A": 0.1}
SHARD = "results/smallest/waves/gold/test/00000.zarr.zip"


@pytest.mark.slow
def test_a_study_runs_with_abtem_from_structures_to_exit_waves(tmp_path, finished):
    place = Workplace(tmp_path / "w")
    study = place.study(microscope=ABTEM)
    place.run(SHARD, study=study)
    waves, ours = (
        datasets.read(folder / SHARD, datasets.WAVES) for folder in (place.folder, finished.folder)
    )
    assert waves.attrs["engine"] == "abtem"
    assert waves.attrs["multislice_pixel_A"] == pytest.approx(0.1)
    assert ours.attrs["engine"] == "passband"
    # The same structures, and nearly the same waves.
    np.testing.assert_array_equal(waves["mask"], ours["mask"])
    middle = waves.sizes["kx"] // 2
    scattered, other = (each.spectrum.values.copy() for each in (waves, ours))
    for spectrum in (scattered, other):
        spectrum[..., middle, middle] = 0
    assert 1e-3 < np.linalg.norm(scattered - other) / np.linalg.norm(other) < 0.1
    assert "Nothing to be done" in place.run("--dry-run", SHARD, study=study)


@pytest.mark.slow
def test_waves_of_the_default_stay_and_another_engine_makes_everything_again(finished):
    named = finished.study(microscope={"engine": "passband"})
    assert "Nothing to be done" in finished.run("--dry-run", study=named)
    # Also on the same pixels.
    other = finished.study(microscope={"engine": "abtem", "multislice_pixel_A": 0.09})
    everything = dict(finished.every_job)
    everything["figure"] -= 1  # that of transfer functions, which has the lens alone
    assert finished.jobs(study=other, explorer=True) == everything


@pytest.mark.slow
def test_an_abtem_that_does_not_import_ends_the_job_with_one_line(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "abtem.py").write_text("raise ImportError('libfftw3.so: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    place = Workplace(tmp_path / "w")
    study = place.study(microscope=ABTEM)
    process = place.start("--retries", "0", SHARD, study=study)
    printed, _ = process.communicate()
    assert process.returncode == 1
    (line,) = (line for line in printed.splitlines() if "libfftw3" in line)
    assert "microscope.engine = 'abtem': abTEM does not import (ImportError: " in line
    assert "take 'passband'" in line
    assert "Traceback" not in printed
    assert not (place.folder / SHARD).exists()
