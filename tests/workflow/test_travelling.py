"""Results that were copied without Snakemake's records, which are in another folder."""

import shutil
import subprocess

import pytest
from runs import reasons
from workplace import Workplace

from passband.runs.validity import DAMAGED, UNKNOWN

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STUDY = "studies/smallest.yaml"
EDITS = [
    {"training": {"epochs": 3}, "study": {"structures": {"test": 6}}},
    {"specimens": {"gold": {"diameter_nm": {"mean": 1.4}}}},
    {"study": {"replicas_per_job": 1}},
    {"evaluation": {"bootstrap": 0}, "figures": {"dpi": 90, "formats": ["png"]}},
]


@pytest.fixture(scope="module")
def travelled(finished, tmp_path_factory) -> Workplace:
    """A copy of the finished study's results, and of nothing else. Tests must not change it."""
    place = Workplace(tmp_path_factory.mktemp("travelled"))
    subprocess.run(["cp", "-a", finished.folder / "results", place.folder / "results"], check=True)
    return place


@pytest.fixture
def changed(travelled, tmp_path) -> Workplace:
    """A copy of the results that the test may change."""
    place = Workplace(tmp_path / "changed")
    subprocess.run(["cp", "-a", travelled.folder / "results", place.folder / "results"], check=True)
    return place


def test_results_alone_have_nothing_to_do(travelled):
    printed = travelled.run("--dry-run", study=STUDY, explorer=True)
    assert "Nothing to be done" in printed
    assert "metadata" not in printed


@pytest.mark.parametrize("changes", EDITS, ids=str)
def test_an_edit_makes_the_same_jobs_again_for_the_same_reasons(finished, travelled, changes):
    said = [reasons(place, study=place.study(**changes)) for place in (finished, travelled)]
    assert said[0] == said[1] != []  # they have the numbers of jobs


def test_records_of_earlier_outputs_do_not_count(changed, finished):
    """Here the results go on elsewhere, and come back to the records of before."""
    figure = "results/smallest/figures/ctf.png"
    study = changed.study(figures={"dpi": 40})
    changed.run(figure, study=study)
    shutil.rmtree(changed.folder / ".snakemake")
    shutil.copytree(finished.folder / ".snakemake", changed.folder / ".snakemake")
    assert "Nothing to be done" in changed.run("--dry-run", figure, study=study)
    assert reasons(changed, figure, study=STUDY) == ["figures: 1 job: figures.dpi = 40 → 80"]


def test_results_of_an_earlier_version_run_once(changed):
    """Their logs do not say what they depend on. What takes long is found in the store."""
    for log in (changed.folder / "results/smallest/logs").rglob("*.log"):
        lines = [line for line in log.read_text().splitlines(True) if "depends on: " not in line]
        log.write_text("".join(lines))
    every_job = changed.jobs("--forceall", study=STUDY)
    assert changed.jobs(study=STUDY) == every_job
    assert reasons(changed, study=STUDY)[0] == f"simulate: 4 jobs: {UNKNOWN}"
    wave = "results/smallest/waves/gold/val/00000.zarr.zip"
    changed.run(wave, study=STUDY)
    log = changed.folder / "results/smallest/logs/simulate/gold/val/00000.log"
    assert "made by an earlier job" in log.read_text()
    assert "Nothing to be done" in changed.run("--dry-run", wave, study=STUDY)


@pytest.mark.parametrize("name", ["table", "ood", "information"])
def test_a_damaged_store_at_the_end_is_made_again(changed, copied, name):
    for place in (changed, copied):
        store = f"results/smallest/{name}.zarr"
        metadata = place.folder / store / "zarr.json"
        metadata.write_bytes(metadata.read_bytes()[:-9])
        rule = "aggregate" if name == "table" else name
        assert reasons(place, study=STUDY)[0] == f"{rule}: 1 job: {DAMAGED}"
    copied.run(store, study=STUDY)
    assert "Nothing to be done" in copied.run("--dry-run", store, study=STUDY)
