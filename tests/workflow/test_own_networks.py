"""A study whose loss and whose networks are parts of its own."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from runs import MIDDLE, ROOT
from workplace import Workplace

from passband import PassbandError
from passband.answers import explored_images
from passband.config import load
from passband.learning.network_files import open_networks
from passband.learning.networks import load as load_weights
from passband.particle_scores import NO_NUMBER
from passband.reports.explorer.explorer import Blocks
from passband.results import Results
from passband.results.stores import load_table
from passband.storage import datasets, records

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EXAMPLES = ROOT / "examples/parts"
METRIC = """from passband.parts import PAIR, metric


@metric(PAIR)
def none(pair):
    return 0 * pair.train.T2 @ pair.test.T2.T
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The finished study of this version, with a loss and an architecture in its folder."""
    place = Workplace(tmp_path_factory.mktemp("own"))
    archive = ROOT / "tests/data/finished_03.tar.xz"
    subprocess.run(["tar", "xf", archive], cwd=place.folder, check=True)
    (place.folder / "parts").mkdir()
    for name in ("tversky.py", "dilated.py"):
        shutil.copy(EXAMPLES / name, place.folder / "parts")
    return place


def test_parts_that_no_key_names_train_nothing(place):
    (place.folder / "parts/none.py").write_text(METRIC)
    jobs = place.jobs(study="study.yaml")
    assert not jobs.keys() & {"simulate", "train", "evaluate"}
    (place.folder / "parts/none.py").unlink()


def test_jobs_train_and_test_own_networks_and_a_changed_loss_trains_again(place):
    training = {"loss": "tversky", "architectures": ["dilated"]}
    study = place.study("own.yaml", training=training)
    jobs = place.jobs(study=study)
    assert {"train": 4, "evaluate": 4}.items() <= jobs.items()
    assert "simulate" not in jobs

    job = f"gold/dilated/{MIDDLE}/r000-001"
    target = f"results/smallest/records/{job}.zarr.zip"
    place.run(target, study=study)
    path = place.folder / f"results/smallest/networks/{job}.safetensors"
    known = load(place.folder / study).known_parts
    with pytest.raises(PassbandError, match=r"architecture 'dilated' of parts/dilated.py"):
        load_weights(path, parts=known)
    lines = []
    shown = Results(load(place.folder / study), place.folder / "results/smallest")
    assert explored_images.examples(shown, Blocks(), note=lines.append) == []
    (line,) = lines
    assert line.startswith("there are no images of dilated, since ")
    assert "--trust-parts runs it" in line
    shown.study.known_parts.trust()
    (found,) = explored_images.examples(shown, Blocks(), note=lines.append)
    assert found["train"] == [MIDDLE]
    known.trust()
    weights, metadata = load_weights(path, parts=known)
    assert len(weights[0]["0.weight"]) == 8
    assert all(0 < record.val_loss < 1 for record in metadata.best.values())  # Tversky's range
    own = {each["module"] for each in json.loads(metadata.provenance["own_parts"])}
    assert own == {"parts/dilated.py:dilated", "parts/tversky.py:tversky"}
    counts = records.read(place.folder / target).counts.values
    assert np.isfinite(counts).all()
    assert counts.sum() > 0

    file = place.folder / "parts/tversky.py"
    before = file.read_text()
    file.write_text(before.replace("MARKED = 0.3", "MARKED = 0.5"))
    jobs, printed = place.planned(target, study=study)
    assert jobs == {"train": 1, "evaluate": 1}
    assert "content of training.loss" in printed

    # A metric beside the same loss is other code.
    file.write_text(before)
    (place.folder / "parts/none.py").write_text(METRIC)
    assert "Nothing to be done" in place.run("--dry-run", target, study=study)
    results = Results.find(place.folder / study)
    assert results.study.training.has_own_parts


def test_a_study_with_a_head_runs_to_its_end(place):
    """Its names have a "+"; and networks without a head stay as they are."""
    name = "compact-w4-d2+votes"
    study = place.study("votes.yaml", training={"architectures": ["compact-w4-d2", name]})
    jobs = place.jobs(study=study)
    assert {"train": 4, "evaluate": 4}.items() <= jobs.items()
    assert "simulate" not in jobs
    place.run(study=study)
    results = place.folder / "results/smallest"
    job = f"gold/{name}/{MIDDLE}/r000-001"
    weights, metadata = load_weights(results / f"networks/{job}.safetensors")
    assert metadata.architecture == name
    assert weights[0]["further.last.2.weight"].shape[0] == 3
    assert all(record.val_loss > 0 for record in metadata.history[0])
    log = (results / f"logs/train/{job}.log").read_text()
    assert f"{name} by torch, since compiled functions do not know outputs = 4" in log
    record = records.read(results / f"records/{job}.zarr.zip")
    assert record.counts.values.sum() > 0
    assert record.particles.sel(truth="faces", number=["true", "cut"]).values.sum() > 0
    plain = records.read(results / f"records/gold/compact-w4-d2/{MIDDLE}/r000-001.zarr.zip")
    assert "particles" not in plain
    table = load_table(results / "table.zarr").particles
    assert (table.sel(architecture="compact-w4-d2") == NO_NUMBER).all()
    assert (table.sel(architecture=name) != NO_NUMBER).all()
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    assert np.isnan(metrics.instance_f1.sel(architecture="compact-w4-d2")).all()
    assert np.isfinite(metrics.instance_f1.sel(architecture=name)).all()
    page = (results / "report.html").read_text()
    assert (
        page.count(": F1 score of particles</th>") == 1
    )  # of the matrix whose networks have a head
    network, _ = open_networks(results / f"networks/{job}.safetensors")
    assert str(network.id) == f"gold/{name}/{MIDDLE}/0"
    assert "Nothing to be done" in place.run("--dry-run", study=study)
