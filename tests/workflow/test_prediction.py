"""A study that is large enough for predictions, from the workflow to its figures and the report."""

import shutil

import pytest
import xarray as xr
from workplace import Workplace

from passband.config import load
from passband.config.analysis import FEWEST_PREDICTED
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.reports.page import page
from passband.results import Results
from passband.runs import report_page
from passband.storage import datasets

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_learned")]

#: A third more conditions than a prediction needs; their networks are trained for one epoch.
LARGE = {
    "study": {
        "structures": {"train": 4, "val": 1, "test": 2},
        "replicas": 1,
        "replicas_per_job": 1,
        "conditions_per_job": 8,
    },
    "training": {"epochs": 1},
    "grid": {
        "defocus_nm": [0, 5, 10, 15],
        "aperture_mrad": [13, 16],
        "dose_e_per_A2": [200, 500, 1000, 2000],
    },
    "figures": {"formats": ["png"]},
}


def test_a_large_study_is_predicted_and_so_are_the_networks_that_it_lacks(tmp_path, passband):
    place = Workplace(tmp_path)
    # With one core, no worker processes stay with the server of jobs.
    place.run("--cores=1", study=place.study("large.yaml", **LARGE))
    results = place.folder / "results/smallest"
    found = datasets.read(results / "prediction.zarr", datasets.PREDICTION)
    assert found.sizes["train"] == found.sizes["test"] == 32
    assert found.level_r2.sel(level="dose_e_per_A2/train/all").notnull().all()
    assert "expected" not in found
    assert (results / "figures/prediction.png").stat().st_size > 1000
    text = (results / "report.html").read_text(encoding="utf-8")
    assert "levels of dose, training" in text
    assert "have no network yet" not in text
    assert not place.jobs(study="large.yaml")

    next(iter(sorted((results / "records").rglob("*.zarr.zip")))).unlink()
    for store in ("table.zarr", "prediction.zarr"):
        shutil.rmtree(results / store)
    content = report_page.collect(Results(load(place.folder / "large.yaml"), results))
    (unfinished,) = content.prediction
    assert set(unfinished.results.data_vars) == {"true", "expected", "expected_interval"}

    holes = LARGE | {"study": LARGE["study"] | {"allow_incomplete": True}}
    place.run("--cores=1", study=place.study("large.yaml", **holes))
    found = datasets.read(results / "prediction.zarr", datasets.PREDICTION)
    (finished,) = predicted_matrices(found)
    xr.testing.assert_allclose(finished.results.expected, unfinished.results.expected)
    lacking = found.expected.notnull().all("test").values.ravel()
    assert lacking.sum() == 32 - FEWEST_PREDICTED == found.true.isnull().all("test").sum()
    # In this process, the networks have learned enough for a page to speak of predictions.
    text = page.render(report_page.collect(Results(load(place.folder / "large.yaml"), results)))
    assert "8 of 32 training conditions have no network yet" in text
    assert "256 cells of the matrix, is predicted" in text
