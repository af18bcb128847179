"""What computes a network, and the package without the folder of the compiled functions."""

import functools
import subprocess
from pathlib import Path

import pytest
import torch
from synthetic import CPU
from workplace import Workplace

from passband.learning import backend, networks

FINISHED = Path(__file__).parents[1] / "data/finished.tar.xz"


def test_compiled_functions_compute_narrow_compact_networks_on_a_cpu_in_float32():
    compiles = functools.partial(backend.compiles, precision="float32", device=CPU)
    assert compiles("compact-w4-d2")
    assert compiles("compact-w4-d8")
    for name in ("compact-w2-d2", "compact-w6-d2", "compact-w8-d2", "unet-resnet18"):
        assert not compiles(name)
    assert not backend.compiles("compact-w4-d2", "bfloat16", CPU)
    assert not backend.compiles("compact-w4-d2", "float32", torch.device("cuda"))
    assert backend.precision("auto", "compact-w4-d2", CPU) == "float32"
    assert backend.precision("bfloat16", "compact-w4-d2", CPU) == "bfloat16"


def test_without_fused_instructions_torch_computes(monkeypatch):
    monkeypatch.setattr(backend, "FAST", False)
    assert not backend.compiles("compact-w4-d2", "float32", CPU)
    assert backend.predictor([networks.build("compact-w4-d2")], "float32", CPU) is None
    assert backend.fused(networks.build("compact-w8-d2"), "bfloat16") == []


def test_without_compiled_functions_the_precision_is_the_same(monkeypatch):
    monkeypatch.setattr(backend, "CompactNetworks", None)
    assert not backend.compiles("compact-w4-d2", "float32", CPU)
    assert backend.predictor([networks.build("compact-w4-d2")], "float32", CPU) is None
    assert backend.precision("auto", "compact-w4-d2", CPU) == "float32"


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.usefixtures("without_narrow")
def test_without_their_folder_the_smallest_study_trains_and_old_results_stay_valid(tmp_path):
    place = Workplace(tmp_path / "study")
    subprocess.run(["tar", "xf", FINISHED], cwd=place.folder, check=True)
    assert place.jobs(study="study.yaml") == {"report": 1}  # which the archive does not have
    grid = {"defocus_nm": [5], "dose_e_per_A2": [200]}
    more = place.study("more.yaml", study={"replicas": 4}, grid=grid)
    place.run("--until", "evaluate", study=more)
    results = place.folder / "results/smallest"
    (log,) = (results / "logs/train").rglob("r002-003.log")
    assert "replicas: one after another" in log.read_text()  # compiled functions: together
    (weights,) = (results / "networks").rglob("r002-003.safetensors")
    trained, metadata = networks.load(weights)
    assert list(trained) == [2, 3]
    assert metadata.precision == "float32"
    assert len(list((results / "records").rglob("r002-003.zarr.zip"))) == 1
