"""Studies with an axis that needs other exit waves, from Snakemake to the report."""

import numpy as np
import pytest
import xarray as xr
from workplace import Workplace

from passband.answers.further_tests import read_further
from passband.config import load
from passband.results import Results, wave_layout
from passband.results.stores import load_table
from passband.runs import counts
from passband.runs.job_states import Run
from passband.storage import datasets

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ONE = {
    "study": {"name": "waves", "replicas": 1, "replicas_per_job": 1},
    "grid": {"defocus_nm": [5], "dose_e_per_A2": [1000]},
    "training": {"epochs": 8},  # after fewer, networks find nothing, whatever the image
    "figures": {"formats": ["png"], "dpi": 30, "examples": 1},
}
TWO = {"energy_kev": [200, 300]}
TESTED = {"astigmatism_nm": [0, 3]}
BOTH = ONE | {"grid": ONE["grid"] | TWO, "test_grid": TESTED}
MANY = {"defocus_nm": [0, 5, 10, 15, 20, 25], "dose_e_per_A2": [100, 200, 400, 800]}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workplace:
    """A finished study that trains at two energies and tests also with astigmatism."""
    place = Workplace(tmp_path_factory.mktemp("waves"))
    place.study("waves.yaml", **BOTH)
    place.run(study="waves.yaml")
    return place


def test_an_axis_makes_only_its_new_half(copied):
    study = copied.study("own.yaml", grid={"energy_kev": [300]})
    assert "Nothing to be done" in copied.run("--dry-run", study=study)
    jobs = copied.jobs(study=copied.study("both.yaml", grid=TWO))
    # Two shards for training, one for validation and one for tests.
    assert (jobs["simulate"], jobs["train"], jobs["evaluate"]) == (4, 4, 8)
    tested = copied.study("tested.yaml", test_grid=TWO)
    jobs = copied.jobs(study=tested)
    assert (jobs["simulate"], jobs["evaluate"]) == (1, 4)
    assert "train" not in jobs


@pytest.mark.parametrize(
    ("changes", "shards"),
    [
        ({}, 3 + 1 + 1),
        ({"grid": TWO | MANY}, 3 * 2 + 1),
    ],
)
def test_all_exit_waves_that_the_workflow_simulates_are_counted(tmp_path, changes, shards):
    place = Workplace(tmp_path)
    study = place.study("counted.yaml", **changes, test_grid={"energy_kev": [200]})
    found = place.jobs(study=study, explorer=True)
    assert found == counts.count(load(tmp_path / study)).jobs
    assert found["simulate"] == shards


def test_the_study_is_complete(made):
    results, study = made.folder / "results/waves", load(made.folder / "waves.yaml")
    waves = sorted(str(path.relative_to(results)) for path in results.glob("waves/**/*.zip"))
    sets = [(split, id) for split in ("test", "train", "val") for id in ("", "en0200.00")]
    assert waves == sorted(
        path for split, id in sets for path in wave_layout.shards(study, "gold", split, [id])
    )
    whole = load_table(results / "table.zarr")
    assert whole.train_energy_kev.values.tolist() == [200, 300]
    assert whole.test_energy_kev.values.tolist() == [200, 300, 200, 300]
    assert whole.test_astigmatism_nm.values.tolist() == [0, 0, 3, 3]
    assert np.isfinite(whole.dice).all()
    information = datasets.read(results / "information.zarr", datasets.INFORMATION)
    for values in information.data_vars.values():
        assert np.isfinite(values).all()
    gold = information.overlap.sel(weight="gold").values
    assert gold[0, 0] == pytest.approx(1)
    assert gold[0, 1] < 0.999
    page = (results / "report.html").read_text()
    assert "Beam energy" in page
    assert "200, 300 keV" in page
    found = Run(Results(study, results)).read()
    assert {job.state for job in found.jobs if job.needed} == {"done"}
    assert len(found.stages["simulate"]) == 8


def test_commands_know_the_axis(made, passband):
    checked = passband(made, "check", "waves.yaml")
    assert "beam energy 200 keV" in checked
    assert "8 simulate, 2 train, 2 evaluate" in checked
    assert "the study is complete" in passband(made, "status", "waves.yaml")
    assert "nothing: all structures, networks and tests are done" in passband(
        made, "plan", "waves.yaml"
    )
    passband(made, "explore", "waves.yaml", "--no-images")
    page = (made.folder / "results/waves/explorer.html").read_text(encoding="utf-8")
    assert "other values of beam energy need other exit waves" in page
    assert '"drawn":false' in page.replace(" ", "")


def test_further_results_have_the_energy_that_is_asked(made, tmp_path, passband):
    """A study that has the conditions among its tests gets the same counts."""
    copied = Workplace(tmp_path / "copy")
    copied.take(made.folder)
    copied.study("waves.yaml", **BOTH)
    lens = ["--defocus-nm=8", "--cs-um=1.2", "--aperture-mrad=16", "--axis=energy_kev=200,300"]
    passband(copied, "evaluate", "waves.yaml", *lens, "--dose-e-per-A2=1000")
    study = load(copied.folder / "waves.yaml")
    counts = read_further(Results(study, copied.folder / "results/waves")).counts
    assert [id.endswith("_en0200.00") for id in counts.test.values] == [True, False]
    assert (counts.isel(test=0) != counts.isel(test=1)).any()
    for path in (copied.folder / "results/waves/store/records").rglob("*.further.zarr.zip"):
        path.unlink()
    tests = [TESTED, TWO | {"defocus_nm": [8], "dose_e_per_A2": [1000]}]
    copied.study("waves.yaml", **(BOTH | {"test_grid": tests}))
    copied.run("results/waves/table.zarr", study="waves.yaml")
    whole = load_table(copied.folder / "results/waves/table.zarr")
    same = whole.counts.sel(test=counts.test.values)
    np.testing.assert_array_equal(same.transpose(*counts.dims), counts)


def test_images_have_the_energy_of_their_condition(made):
    id = load(made.folder / "waves.yaml").test_conditions[0].id
    assert id.endswith("_en0200.00")
    name = f"results/waves/images/gold/test/{id}.zarr"
    made.run(name, study="waves.yaml")
    images = xr.open_zarr(made.folder / name)
    assert images.attrs["energy_kev"] == images.energy_kev == 200


def test_without_the_axis_there_is_nothing_to_simulate_or_train(made):
    jobs = made.jobs(study=made.study("one.yaml", **ONE))
    assert {"simulate", "train"}.isdisjoint(jobs)
    three = ONE | {"grid": ONE["grid"] | {"energy_kev": [100, 200, 300]}, "test_grid": TESTED}
    jobs = made.jobs(study=made.study("three.yaml", **three))
    assert (jobs["simulate"], jobs["train"]) == (4, 1)
