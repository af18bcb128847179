"""Finished studies stay valid after a copy and after an update of Passband."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from runs import MIDDLE, ROOT
from workplace import SMALLEST, Workplace

from passband.answers import further_tests
from passband.config import load
from passband.learning import devices
from passband.learning.networks import load as load_weights
from passband.results import Results
from passband.results.stores import load_table

pytestmark = pytest.mark.workflow


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("rsync -a {0}/results {0}/.snakemake .", ["--profile", "slurm"]),
        ("tar -c -C {0} results .snakemake | tar -x", []),
    ],
)
def test_a_study_copied_with_its_times_has_nothing_to_do(finished, tmp_path, command, options):
    """This is also true in a new clone, where the workflow is newer than all results."""
    if not shutil.which(command.split()[0]):
        pytest.skip(f"{command.split()[0]} is not installed")
    place = Workplace(tmp_path / "copy")
    for name in ("Snakefile", "workflow", "profiles", "envs"):
        (place.folder / name).unlink()
        subprocess.run(["cp", "-r", ROOT / name, place.folder], check=True)
    copying = command.format(finished.folder)
    subprocess.run(copying, cwd=place.folder, shell=True, check=True)
    printed = place.run("--dry-run", *options, study="studies/smallest.yaml", explorer=True)
    assert "Nothing to be done" in printed


@pytest.mark.slow
def test_results_of_an_earlier_version_stay_valid(tmp_path):
    """After the number of a stage is raised, the results in tests/data must be made again."""
    place = Workplace(tmp_path)
    subprocess.run(["tar", "xf", ROOT / "tests/data/finished_03.tar.xz"], cwd=tmp_path, check=True)
    distances = tmp_path / "results/smallest/distances.zarr/zarr.json"
    distances.parent.mkdir()  # which no rule makes any more
    distances.write_text("{}")
    changed = {"figures": {"formats": ["png"], "dpi": 30}, "training": {"epochs": 3}}
    assert place.jobs(study=place.study("changed.yaml", **changed))["train"] == 4
    assert place.jobs(study="study.yaml", explorer=True) == {"report": 1, "explorer": 1}
    place.run(study="study.yaml")
    assert "Nothing to be done" in place.run("--dry-run", study="study.yaml")
    assert distances.read_text() == "{}"
    page = (tmp_path / "results/smallest/report.html").read_text()
    assert "single particles" not in page  # its networks have no head

    # A lost output is linked from the store, which has a file with the same digest. The old logs
    # are removed, so that only the new ones are counted.
    for folder in ("waves", "networks", "records", "logs"):
        shutil.rmtree(tmp_path / "results/smallest" / folder)
    target = f"results/smallest/records/gold/compact-w4-d2/{MIDDLE}/r000-001.zarr.zip"
    place.run(target, study="study.yaml")
    stages = {"simulate": 4, "train": 1, "evaluate": 1}
    weights = next((tmp_path / "results/smallest/networks").rglob("*.safetensors"))
    if load_weights(weights)[1].device != devices.describe(torch.device("cpu")):
        del stages["evaluate"]  # its counts depend on the kind of device
    for stage, number in stages.items():
        logs = list((tmp_path / "results/smallest/logs" / stage).rglob("*.log"))
        assert len(logs) == number
        for log in logs:
            assert "made by an earlier job" in log.read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("all_learned")
def test_further_tests_are_recommended_from_and_leave_a_finished_study_finished(copied, passband):
    def recommended(*words):
        return json.loads(passband(copied, "recommend", "studies/smallest.yaml", "--json", *words))

    untested = recommended("--check")
    assert (len(untested["conditions"]), untested["networks"]) == (4, 8)
    results = copied.folder / "results/smallest"
    assert not [*results.rglob("*.further.zarr.zip")]  # no network was tested
    before = {p: p.stat().st_mtime_ns for p in results.rglob("*") if p.is_file()}
    lens = "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=1000"
    passband(copied, "evaluate", "studies/smallest.yaml", "--defocus-nm=12,5", *lens)
    study = load(SMALLEST)
    found = further_tests.read_further(Results(study, results))
    same = study.test_conditions[1].id
    assert same in found.test.values
    # Under a condition of the study, the results are those of the rule.
    whole = load_table(results / "table.zarr")
    np.testing.assert_array_equal(found.counts.sel(test=same), whole.counts.sel(test=same))
    assert "Nothing to be done" in copied.run("--dry-run", study="studies/smallest.yaml")
    assert before == {path: path.stat().st_mtime_ns for path in before}

    best = recommended("--defocus-nm=12", *lens)
    assert {network["how"] for network in best["networks"]} == {"measured"}
    assert best["inside"] is True
    tested = recommended("--check")
    assert set(tested["conditions"]) == {*untested["conditions"], best["nearest_tested"]}
    assert tested["trained_there"] == untested["trained_there"] == 4
