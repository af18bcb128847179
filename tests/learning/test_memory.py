"""The memory that training needs, counted and measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from synthetic import CPU

from passband import PassbandError
from passband.config import Training, load
from passband.learning import compact, devices, memory, memory_request, networks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PRECISION = compact.precision("auto", "compact-w4-d2", CPU)

#: Prints how far a step and a validation raise a process's peak memory, after a small one.
MEASURE = """
import json, sys
import torch
from passband.learning import memory
from passband.config import Training, load
from passband.learning.learner import Learner

name, px, batch, precision, replicas, together = json.loads(sys.argv[1])
if not name.startswith("compact-"):
    import segmentation_models_pytorch

def learners(name, batch, px):
    settings = Training(precision=precision, batch_size=batch)
    groups = [range(replicas)] if together else [[r] for r in range(replicas)]
    made = [Learner(name, {r: r for r in g}, settings, 2, torch.device("cpu")) for g in groups]
    for learner in made:
        for _ in range(2):
            shape = len(learner.seeds), batch, 1, px, px
            learner.step(torch.rand(shape), torch.ones(shape))
        shape = 4 * batch, 1, px, px
        learner.validate(torch.rand(shape), torch.ones(shape))
        learner.close_epoch(0.0)
    return made

learners("compact-w4-d2", 2, 16)
before = memory.peak_process_bytes()
kept = learners(name, batch, px)
print(memory.peak_process_bytes() - before)
"""


@pytest.fixture
def measured():
    """Return the measured peak memory of a case.

    Freed tensors above 1 MB are returned to the system.
    """

    def measure(*case) -> float:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, json.dumps(case)],
            capture_output=True,
            text=True,
            env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"},
        )
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    return measure


def only_if_computed(precision: str) -> None:
    if precision == "bfloat16" and devices.precision("auto", torch.device("cpu")) != precision:
        pytest.skip("torch emulates bfloat16 on this processor, which takes more memory")


def counted(name, px, batch, precision, replicas, together) -> float:
    settings = Training(batch_size=batch)
    return memory.peak_training_bytes(name, px, settings, precision, replicas, together)


@pytest.mark.parametrize(
    "case",
    [
        ("compact-w16-d3", 256, 4, "float32", 1, False),
        ("compact-w8-d3", 256, 16, "bfloat16", 1, False),
        ("unet-resnet18", 256, 4, "float32", 2, False),
        ("fpn-mobilenet_v2", 256, 8, "float32", 1, False),
    ],
    ids="{0[0]}".format,
)
def test_count_is_the_measured_peak_to_a_fifth(measured, case):
    only_if_computed(case[3])
    assert measured(*case) == pytest.approx(counted(*case), rel=0.2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stacked_networks_take_what_is_counted_and_at_most_half_more(measured, precision):
    only_if_computed(precision)
    case = ("compact-w8-d3", 256, 4, precision, 3, True)
    assert counted(*case) < measured(*case) < memory.SLACK * counted(*case)


def test_activations_grow_with_images_and_weights_with_replicas():
    def of(batch, replicas=1, together=False, px=32):
        return counted("compact-w4-d2", px, batch, "float32", replicas, together)

    one = of(8) - of(4)
    assert of(16) - of(8) == pytest.approx(2 * one, rel=0.01)
    assert of(8, px=64) - of(4, px=64) == pytest.approx(4 * one, rel=0.01)
    weights = sum(p.numel() for p in networks.build("compact-w4-d2").parameters())
    assert of(4, replicas=3) - of(4) == 2 * 4 * 4 * weights  # weights, best ones, two moments
    assert of(8, 3, True) - of(4, 3, True) > 3 * one


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(("precision", "cast"), [("float32", 0.0), ("bfloat16", 0.5)])
def test_a_large_network_on_small_images_is_five_times_its_weights(precision, cast, replicas):
    """Each replica has weights, gradients, two moments of Adam, and the best weights.

    In bfloat16 a replica has a cast copy of the weights too. Vectorized replicas need the same
    memory.
    """
    network = networks.build("unet-resnet18")
    weights = replicas * 4 * sum(p.numel() for p in network.parameters())
    of = counted("unet-resnet18", 32, 2, precision, replicas, replicas > 1)
    assert of == pytest.approx((5 + cast) * weights, rel=0.05)


@pytest.mark.parametrize("replicas", [1, 2])
def test_lower_precision_halves_activations(replicas):
    full, half = (
        counted("compact-w4-d2", 64, 16, p, replicas, replicas > 1)
        - counted("compact-w4-d2", 64, 8, p, replicas, replicas > 1)
        for p in ("float32", "bfloat16")
    )
    assert 0.45 < half / full < 0.6


def test_memory_of_optimizers_includes_their_state():
    of = {
        name: memory.peak_training_bytes("compact-w4-d2", 32, Training(optimizer=name), "float32")
        for name in ("adam", "adamw", "sgd")
    }
    weights = sum(p.numel() for p in networks.build("compact-w4-d2").parameters())
    assert of["adam"] == of["adamw"] == of["sgd"] + 4 * weights


def fit(room, replicas=2, **settings):
    settings = Training(precision="float32", batch_size=12, **settings)
    return memory.fit_to_memory("compact-w4-d2", 32, settings, CPU, replicas, room)


def test_a_batch_that_cannot_fit_is_refused_with_the_largest_that_can():
    need = counted("compact-w4-d2", 32, 12, "float32", 2, False)
    assert fit(need, replicas_together="never").batch_size == 12
    with pytest.raises(PassbandError) as refused:
        fit(need - 1, replicas_together="never")
    line = str(refused.value)
    assert line.startswith("training.batch_size = 12: ")
    assert "compact-w4-d2 at 32²" in line
    assert line.endswith("batch sizes that fit: 2 to 11")
    seven = counted("compact-w4-d2", 32, 7, "float32", 2, False)
    with pytest.raises(PassbandError, match=r"2 to 7$"):
        fit(seven, replicas_together="never")
    with pytest.raises(PassbandError, match=r"none, with this architecture and field_px$"):
        fit(1e3, replicas_together="never")


def test_replicas_are_vectorized_only_if_they_surely_fit():
    one, stack = (counted("compact-w4-d2", 32, 12, "float32", 2, t) for t in (False, True))
    assert fit(memory.SLACK * stack).replicas_together == "auto"
    assert fit(memory.SLACK * stack - 1).replicas_together == "never"
    assert fit(one).replicas_together == "never"
    assert fit(one, replicas=1).replicas_together == "auto"
    with pytest.raises(PassbandError, match=r"2 vectorized replicas \(study.replicas_per_job\)"):
        fit(stack - 1, replicas_together="always")
    assert fit(stack, replicas_together="always").replicas_together == "always"


def test_a_network_with_dropout_is_left_to_training_to_try():
    settings = Training(precision="float32", batch_size=2)
    assert memory.fit_to_memory("deeplabv3-resnet18", 64, settings, CPU, 2, 1e12) == settings


def test_only_slurm_limits_a_job_to_its_requested_memory(monkeypatch):
    monkeypatch.setattr(memory, "peak_process_bytes", lambda: 1e9)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert memory.available_bytes(CPU, 3e9) == 2e9
    monkeypatch.delenv("SLURM_JOB_ID")
    machine = memory.available_bytes(CPU, 3e9)
    assert machine == memory.available_bytes(CPU, 1.0) > 0


def test_memory_of_waves_and_images_is_that_of_their_tensors(make_split, camera, condition):
    split = make_split(3)
    size = memory_request.wave_bytes(3, 1, split.spectra.shape[-1], 32)
    assert size == split.spectra.nbytes + split.masks.nbytes
    formed = torch.cat(list(camera.intensities(split, condition)))
    assert memory_request.image_bytes(3, 32) == 2 * formed.nbytes


def test_a_job_holds_libraries_waves_images_and_networks():
    study = load(ROOT / "studies" / "smallest.yaml")
    held = 16 * (8 * study.microscope.sampling.cropped**2 + 4 * 64**2 + 2 * 4 * 64**2)
    networks = memory.peak_training_bytes(
        "compact-w4-d2", 64, study.training, PRECISION, replicas=2
    )
    counted = memory.job_peak_bytes(study, "compact-w4-d2", CPU)
    assert counted == memory_request.LIBRARIES + held + networks
