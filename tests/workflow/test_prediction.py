"""A study that is large enough for predictions, from the workflow to its figures and the report."""

import pytest
import xarray as xr
from workplace import Workplace

from passband.config.analysis import FEWEST_PREDICTED, FIGURES_OF_PREDICTION

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_learned")]

#: As many conditions as a prediction needs; their networks are trained for one epoch.
LARGE = {
    "study": {"replicas": 2, "conditions_per_job": 12},
    "training": {"epochs": 1},
    "grid": {
        "defocus_nm": [0, 5, 10, 15],
        "aperture_mrad": [13, 16],
        "dose_e_per_A2": [200, 500, 1000],
    },
}


def test_a_large_study_is_predicted(tmp_path, passband):
    place = Workplace(tmp_path)
    # With one core, no worker processes stay with the server of jobs.
    place.run("--cores=1", study=place.study("large.yaml", **LARGE))
    results = place.folder / "results/smallest"
    with xr.open_zarr(results / "prediction.zarr") as found:
        assert found.sizes["train"] == found.sizes["test"] == FEWEST_PREDICTED
        scored = found.r2.isel(specimen=0, architecture=0, test_specimen=0)
        assert bool(scored.notnull().any())
    for name in FIGURES_OF_PREDICTION:
        assert (results / f"figures/{name}.png").stat().st_size > 1000
    assert "Predict" in (results / "report.html").read_text(encoding="utf-8")
    assert not place.jobs(study="large.yaml")
