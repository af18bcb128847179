"""What computes a network, settings that the compiled functions do not know, and the package
without their folder.
"""

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from synthetic import CPU
from workplace import Workplace

from passband.config import Training
from passband.config.base import key, keys_of
from passband.config.training import RECIPES
from passband.learning import backend, networks
from passband.learning.architectures.compact import Compact
from passband.learning.narrow import known

NARROW = "compact-w4-d2"
FINISHED = Path(__file__).parents[1] / "data/finished_03.tar.xz"


def test_compiled_functions_compute_narrow_compact_networks_on_a_cpu_in_float32():
    for training in (Training(), Training(precision="float32")):
        compiles = functools.partial(backend.compiles, training, device=CPU)
        assert compiles(NARROW)
        assert compiles("compact-w4-d8")
        for name in ("compact-w2-d2", "compact-w6-d2", "compact-w8-d2", "unet-resnet18"):
            assert not compiles(name)
    assert not backend.compiles(Training(precision="bfloat16"), NARROW, CPU)
    assert not backend.compiles(Training(precision="float32"), NARROW, torch.device("cuda"))
    assert backend.precision(Training(), NARROW, CPU) == "float32"
    assert backend.precision(Training(precision="bfloat16"), NARROW, CPU) == "bfloat16"


def test_without_fused_instructions_torch_computes(monkeypatch):
    monkeypatch.setattr(backend, "FAST", False)
    assert not backend.compiles(Training(precision="float32"), NARROW, CPU)
    assert backend.predictor([networks.build(NARROW)], "float32", CPU) is None
    assert backend.fused(networks.build("compact-w8-d2"), "bfloat16") == []


def test_without_compiled_functions_the_precision_is_the_same(monkeypatch):
    for name in ("CompactNetworks", "fuse", "unknown"):
        monkeypatch.setattr(backend, name, None)
    assert not backend.compiles(Training(), NARROW, CPU)
    assert backend.predictor([networks.build(NARROW)], "float32", CPU) is None
    assert backend.fused(networks.build("compact-w8-d2"), "bfloat16") == []
    assert backend.precision(Training(), NARROW, CPU) == "float32"
    assert backend.hindrance(Training(), NARROW, CPU) == ""


class Later(Training):
    """The settings of a later version."""

    dice_weight: float | str = key(1.0, "A weight, or how it changes.")
    tversky_weight: float = key(0.0, "Weight of a further loss.", since="9.0.0")


@dataclass(frozen=True)
class LaterCompact(Compact):
    """An architecture of a later version."""


@dataclass(frozen=True)
class Dropping(Compact):
    """The same class in a later version, with a further field."""

    dropout: float = 0.0


UNKNOWN = {
    "training.tversky_weight = 0.5": Later(tversky_weight=0.5),
    "training.schedule = 'steps'": Training().model_copy(update={"schedule": "steps"}),
    "training.normalisation = 'log'": Training().model_copy(update={"normalisation": "log"}),
    "training.dice_weight = 'rising'": Later(dice_weight="rising"),
}


@pytest.fixture
def bfloat16(monkeypatch):
    """The processor is fast in bfloat16, which is then the precision of torch."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("setting", UNKNOWN)
def test_torch_trains_with_settings_that_the_compiled_functions_do_not_know(setting):
    training = UNKNOWN[setting]
    assert not backend.compiles(training, NARROW, CPU)
    assert backend.precision(training, NARROW, CPU) == "bfloat16"
    line = f"{NARROW} by torch, since compiled functions do not know {setting}"
    assert backend.hindrance(training, NARROW, CPU) == line
    # Nothing is said where torch would train anyway.
    assert backend.hindrance(training, "compact-w8-d2", CPU) == ""
    assert backend.hindrance(training, "unet-resnet18", CPU) == ""
    assert backend.hindrance(training, NARROW, torch.device("cuda")) == ""
    chosen = training.model_copy(update={"precision": "bfloat16"})
    assert backend.hindrance(chosen, NARROW, CPU) == ""
    full = training.model_copy(update={"precision": "float32"})
    assert not backend.compiles(full, NARROW, CPU)
    assert backend.hindrance(full, NARROW, CPU) == line


@pytest.mark.usefixtures("bfloat16")
def test_a_later_key_with_its_default_is_no_obstacle():
    """The default of a key with `since=` leaves networks as they are."""
    assert backend.compiles(Later(), NARROW, CPU)
    assert backend.precision(Later(), NARROW, CPU) == "float32"
    assert backend.hindrance(Later(), NARROW, CPU) == ""


@pytest.mark.parametrize("later", [LaterCompact, Dropping])
def test_torch_computes_architectures_that_the_compiled_functions_do_not_know(monkeypatch, later):
    """Another class, or a value of a further field of the same class."""
    setting = "the architecture LaterCompact"
    architecture = later(4, 2)
    if later is Dropping:
        monkeypatch.setattr(known, "Compact", Dropping)
        assert known.unknown(architecture, Training()) == ""  # its default
        setting = "dropout = 0.1"
        architecture = Dropping(4, 2, dropout=0.1)
    network = networks.build(NARROW)
    monkeypatch.setattr(backend, "_described", lambda training, name: architecture)
    assert not backend.compiles(Training(), NARROW, CPU)
    assert backend.hindrance(Training(), NARROW, CPU).endswith(f"do not know {setting}")
    network.architecture = architecture
    assert backend.predictor([network], "float32", CPU) is None
    assert backend.fused(network, "bfloat16") == []


def test_torch_computes_networks_with_a_head():
    training = Training(precision="float32")
    name = f"{NARROW}+votes"
    assert not backend.compiles(training, name, CPU)
    line = f"{name} by torch, since compiled functions do not know outputs = 4"
    assert backend.hindrance(training, name, CPU) == line
    network = networks.build(name)
    assert backend.predictor([network], "float32", CPU) is None


@pytest.mark.skipif(not backend.FAST, reason="torch is faster without fused instructions")
def test_layers_of_a_network_with_a_head_are_fused_and_compute_the_same():
    network = networks.build("compact-w8-d2+votes")
    images = torch.randn(4, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = network(images)
        changed = backend.fused(network, "bfloat16")
        found = network(images)
    assert network.further.last[0] in changed
    assert len(changed) == 2 * (2 * 5 + 1) + 1  # layers of five blocks, of the head, and halving
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


def test_known_settings_are_settings():
    """No table has a name or a word that no study can have."""
    for name, allowed in known.SETTINGS.items():
        for word in allowed if isinstance(allowed, tuple) else ():
            assert getattr(Training(**{name: word}), name) == word
    assert known.SETTINGS.keys() < keys_of(Training).keys()
    for recipe in RECIPES:
        assert known.unknown(Compact(4, 2), Training(recipe=recipe)) == ""


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
