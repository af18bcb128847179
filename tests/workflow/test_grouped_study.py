"""The finished study in tests/data/grouped_03.tar.xz stays valid, whatever is asked of it.

An earlier version made it, on one kind of processor. It has groups of conditions, a mixture, an
axis that acts behind the exit wave, an axis that needs other exit waves, and results of
`passband evaluate`.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from regrouped import counts, networks
from scripts import evaluate, train
from workplace import Workplace

from passband import cli
from passband.answers.further_tests import read_further
from passband.config import Study, load
from passband.imaging.acquisition import Acquisition
from passband.learning import devices, training
from passband.learning.networks import load as load_weights
from passband.network_id import NetworkId
from passband.results import Results, network_batches, wave_layout

ARCHIVE = Path(__file__).parents[1] / "data/grouped_03.tar.xz"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_threads")]

MIXTURE = "soft-ee60cf05"
#: Conditions of `passband evaluate`, and what its results are.
FURTHER = [
    "df+0012.00_cs+0001.200_ap016.00_ds000400.00_en0200.00",
    "df+0012.00_cs+0001.200_ap016.00_ds000400.00",
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Workplace:
    """The finished study, which no test may change."""
    place = Workplace(tmp_path_factory.mktemp("grouped"))
    subprocess.run(["tar", "xf", ARCHIVE], cwd=place.folder, check=True)
    return place


@pytest.fixture
def place(unpacked, tmp_path, monkeypatch) -> Workplace:
    """A copy of the finished study, which is the working directory. Training is an error.

    This machine counts as the kind of device that made the results; on another kind, all networks
    would be tested again.
    """
    place = Workplace(tmp_path / "copy")
    place.take(unpacked.folder)
    shutil.copy(unpacked.folder / "study.yaml", place.folder)
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(training, "train", None)
    made_on = load_weights(next(Path("results").rglob("*.safetensors")))[1].device
    monkeypatch.setattr(devices, "describe", lambda device: made_on)
    return place


RESULTS = Path("results/grouped")


def changed(**changes: dict) -> str:
    """Write the study with other keys, the last ones of the grid's product, and return its file."""
    study = yaml.safe_load(Path("study.yaml").read_text())
    study["grid"][0] |= changes.pop("grid", {})
    for block, keys in changes.items():
        study[block] = study.get(block, {}) | keys
    Path("changed.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return "changed.yaml"


def batches_of(study: Study) -> list[network_batches.NetworkBatch]:
    """Return the batches of a changed study, which the tests run without Snakemake."""
    # The copy of the configuration for jobs would say that the study has changed.
    shutil.rmtree(RESULTS / "configuration", ignore_errors=True)
    return list(network_batches.batches_of(study))


def jobs(place: Workplace, study: str) -> tuple[int, int, int]:
    """Return the numbers of jobs `simulate`, `train` and `evaluate` that a run would have."""
    found = place.jobs(study=study)
    return tuple(found.get(rule, 0) for rule in ("simulate", "train", "evaluate"))


@pytest.mark.workflow
def test_a_second_run_makes_the_pages_only(place):
    """The pages are not in the archive."""
    assert place.jobs(study="study.yaml", explorer=True) == {"report": 1, "explorer": 1}


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        # Eight conditions more, in two groups; 7 records of 24 test conditions.
        ({"defocus_nm": [5, 12, 20]}, (0, 2, 7)),
        # The value of the study changes no id, and no order.
        ({"vibration_A": [0]}, (0, 0, 0)),
        # Each group now has two old and two new conditions.
        ({"vibration_A": [0, 0.5]}, (0, 8, 9)),
        # Other exit waves: a shard of each split.
        ({"roughness": [0, 0.1]}, (6, 8, 9)),
    ],
)
def test_a_grid_that_grows_has_only_jobs_of_new_groups(place, grid, expected):
    assert jobs(place, changed(grid=grid)) == expected


@pytest.mark.workflow
def test_an_axis_of_the_tests_trains_nothing(place):
    grid = yaml.safe_load(Path("study.yaml").read_text())["grid"][0]
    assert jobs(place, changed(test_grid=grid | {"vibration_A": [0, 0.5]})) == (0, 0, 5)


@pytest.mark.parametrize(
    "grid", [{"vibration_A": [0, 0.5]}, {"energy_kev": [200, 300], "astigmatism_nm": [0, 2, 4]}]
)
def test_jobs_of_a_grid_that_grows_train_new_conditions_only(place, monkeypatch, grid):
    trained = []

    def train_(architecture, acquisition, splits, condition, *arguments, **options):
        trained.append(condition.id)
        raise RuntimeError("trained")

    monkeypatch.setattr(training, "train", train_)
    before, after = load("study.yaml"), load(changed(grid=grid))
    for batch in batches_of(after):
        if new := {*batch.conditions} - {c.id for c in before.train_conditions} - {MIXTURE}:
            with pytest.raises(SystemExit):
                train(after, RESULTS, batch)
            assert {*trained[-len(new) :]} == new
        else:
            assert ", made by an earlier job, in " in train(after, RESULTS, batch)
    new = [c.id for c in after.train_conditions if c not in before.train_conditions]
    assert sorted(trained) == sorted(new)


def test_other_jobs_find_all_networks_and_counts(place):
    study = load("study.yaml")
    found, tested = networks(study, RESULTS), counts(study, RESULTS)
    assert len(found) == len(tested) == 34
    values = study.model_dump()
    values["study"] |= {"conditions_per_job": 3, "replicas_per_job": 2}
    other = Study.model_validate(values)
    for batch in batches_of(other):
        assert ", made by an earlier job, in " in train(other, RESULTS, batch)
        assert ", made by an earlier job, in " in evaluate(other, RESULTS, batch)
    assert networks(other, RESULTS) == found
    assert counts(other, RESULTS) == tested


def printed(capsys, *words: str) -> str:
    assert cli.main(words) == 0
    return capsys.readouterr().out


def test_further_results_are_found(place, capsys):
    """A second call computes nothing, and finds the results also after they are regrouped."""
    study = load("study.yaml")
    found = read_further(Results(study, RESULTS))
    assert found.test.values.tolist() == FURTHER
    assert found.train.values[-1] == MIXTURE
    assert not np.isnan(found.dice).any()
    times = {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*.further.zarr.zip")}
    options = ["--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400"]
    printed(
        capsys, "evaluate", "study.yaml", *options, "--axis=energy_kev=200,300", "--processes=1"
    )
    after = {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*.further.zarr.zip")}
    assert after == times
    regrouped = load(changed(study={"conditions_per_job": 3}))
    for batch in batches_of(regrouped):
        train(regrouped, RESULTS, batch)
    np.testing.assert_array_equal(read_further(Results(regrouped, RESULTS)).counts, found.counts)


ASKED = ["--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400"]


def test_recommendations_are_those_of_the_version_that_made_the_study(place, capsys):
    """Under a condition of `passband evaluate` they are measured, and elsewhere interpolated."""
    options = ["recommend", "study.yaml", *ASKED, "--json"]
    said = json.loads(printed(capsys, *options, "--energy-kev=200"))
    assert said["nearest_tested"] == FURTHER[0]
    assert len(said["networks"]) == 34 - 7  # with the mixture, without those that did not learn
    tested = read_further(Results(load("study.yaml"), RESULTS)).dice.sel(test=FURTHER[0]).squeeze()
    for network in said["networks"]:
        id = NetworkId.parse(network["id"])
        true = float(tested.sel(train=id.condition, replica=id.replica))
        assert network["how"] == "measured"
        assert network["dice"]["value"] == pytest.approx(true, abs=1e-6)
    said = json.loads(printed(capsys, *options, "--energy-kev=200", "--defocus-nm=14"))
    assert said["ranked_by"] == "expected Dice"
    first, *_, last = said["networks"]
    assert first["id"].endswith(
        "df+0005.00_cs+0001.200_ap016.00_ds001000.00_as0004.000_en0200.00/0"
    )
    assert last["id"].endswith("df+0005.00_cs+0001.200_ap016.00_ds000200.00_as0004.000/0")
    # Those of version 0.3.0, which had other distances; expected Dice stays near.
    expected = {"value": 0.903, "low": 0.875, "high": 0.926}
    assert first["dice"] == pytest.approx(expected, abs=0.01)
    expected = {"value": 0.600, "low": 0.537, "high": 0.660}
    assert last["dice"] == pytest.approx(expected, abs=0.01)


def test_networks_segment_images_of_their_condition(place, capsys):
    study, cpu = load("study.yaml"), torch.device("cpu")
    condition = study.train_conditions[-1]
    waves = wave_layout.waves_of([condition.id])
    structures = Results(study, RESULTS).structures("gold", "test", waves)
    split = structures.load(cpu).under(condition)
    acquisition = Acquisition.from_microscope(study.microscope, "zscore", cpu)
    for folder in ("images", "masks"):
        Path(folder).mkdir()
    for number, image in enumerate(torch.cat(list(acquisition.counts(split, condition)))):
        np.save(f"images/{number}.npy", image.numpy())
        np.save(f"masks/{number}.npy", split.masks[number, 0].numpy() > 0.5)
    id = f"gold/compact-w2-d2/{condition.id}"
    words = ["images", "--truth", "masks", "--pixel-size-A=0.35", "--dose-e-per-A2=1000"]
    said = printed(capsys, "predict", "study.yaml", "--network", id, *words, "--verbose")
    assert [line.split()[1] for line in said.splitlines()[:2]] == [f"{id}/0,", f"{id}/1,"]
    mean = float(said.splitlines()[-1].split()[2])
    assert mean == pytest.approx(0.874, abs=0.01)


def test_the_explorer_has_all_networks(place, capsys):
    printed(capsys, "explore", "study.yaml", "--no-images")
    page = (RESULTS / "explorer.html").read_text(encoding="utf-8")
    for condition in load("study.yaml").train_conditions:
        assert condition.id in page
    assert MIXTURE in page
