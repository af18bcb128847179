"""The memory that jobs request and check, compared with counts and measurements."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from synthetic import CPU

from passband import PassbandError
from passband.config import Training, load, validate
from passband.config.architectures import parse
from passband.imaging.acquisition import Acquisition
from passband.learning import devices, memory, network_sizes, networks, peak_memory

long = pytest.mark.long

ROOT = Path(__file__).parents[2]
SMALLEST, PAPER = (load(ROOT / "studies" / f"{name}.yaml") for name in ("smallest", "paper"))


def changed(base, **blocks):
    given = base.model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


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


def estimated(
    name, px, batch, precision="float32", replicas=1, together=False, **settings
) -> float:
    """Return the estimated memory of networks and a batch."""
    weights, image = memory.network_bytes(
        name,
        px,
        Training(**settings),
        precision=precision,
        replicas=replicas,
        together=together,
    )
    return weights + batch * image


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "within"),
    [
        (("compact-w16-d3", 192, 4, "float32", 1, False), 1.2),
        pytest.param(("compact-w8-d3", 256, 16, "bfloat16", 1, False), 1.2, marks=long),
        (("unet-resnet18", 96, 4, "float32", 2, False), 1.2),
        pytest.param(("fpn-mobilenet_v2", 256, 8, "float32", 1, False), 2, marks=long),
    ],
    ids=lambda value: str(value),
)
def test_estimate_is_near_the_measured_peak(measured, case, within):
    only_if_computed(case[3])
    assert 1 / within < measured(*case) / estimated(*case) < within


@pytest.mark.slow
@pytest.mark.usefixtures("without_narrow")
def test_estimate_is_near_the_peak_without_compiled_functions(measured):
    case = "compact-w4-d2", 192, 4, "float32", 3, True
    assert 1 / 1.2 < measured(*case) / estimated(*case) < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=long)])
def test_vectorized_networks_take_at_most_the_slack_more(measured, precision):
    only_if_computed(precision)
    case = ("compact-w8-d3", 128, 4, precision, 3, True)
    assert 0.95 * estimated(*case) < measured(*case) < memory.SLACK * estimated(*case)


@pytest.fixture(scope="module")
def ratio():
    """Return the ratio of the estimate and the count of the script that makes the table."""

    def of(name, px=128, batch=32) -> float:
        kept = 3 * 4 * network_sizes.weights(parse(name))  # moments and best epoch's weights
        counted = peak_memory.peak_bytes(name, px, Training(batch_size=batch))
        return estimated(name, px, batch) / (kept + counted)

    return of


@pytest.mark.parametrize(
    "name",
    ["compact-w1-d1", "compact-w5-d2", "compact-w8-d4", "compact-w5-d3+votes"],
)
def test_weights_of_compact_networks(name):
    found = sum(p.numel() for p in networks.build(name).parameters())
    assert network_sizes.weights(parse(name)) == found


@pytest.mark.parametrize(
    "name",
    # The peak of the first two is in validation, that of the others in a step.
    [
        *("compact-w8-d1", "compact-w8-d3", "compact-w16-d4", "compact-w8-d6"),
        # Where outputs are computed, in validation, and in a step.
        *("compact-w4-d2+votes", "compact-w8-d3+votes", "compact-w8-d6+votes"),
    ],
)
def test_compact_networks_are_estimated_as_they_are_counted(ratio, name):
    assert ratio(name) == pytest.approx(1, abs=0.05)


def test_the_papers_network_is_estimated_as_it_is_counted(ratio):
    assert ratio("unet-resnet18", px=512, batch=16) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2"])
def test_u_nets_with_a_head_are_estimated_as_they_are_counted(ratio, encoder):
    """The peak of the second one is where the outputs are in memory."""
    assert ratio(f"unet-{encoder}+votes") == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("deeplabv3-mobilenet_v2", "deeplabv3plus-resnet101", "fpn-densenet121", "linknet-vgg11"),
        *("manet-resnext50_32x4d", "pan-se_resnet50", "pspnet-efficientnet-b0", "segformer-mit_b0"),
        *("unetplusplus-vgg13_bn", "upernet-mobileone_s0", "unet-xception"),
    ],
)
def test_other_networks_are_estimated_to_a_factor_of_two(ratio, name):
    assert 0.5 < ratio(name) < 2


def test_allowed_values_of_each_setting():
    name, px = "compact-w8-d3", 64
    weights = 4 * network_sizes.weights(parse(name))
    one = px**2 * network_sizes.bytes_per_pixel(parse(name))

    def of(precision="auto", replicas=1, together=False, **settings):
        return memory.network_bytes(
            name,
            px,
            Training(**settings),
            precision=precision,
            replicas=replicas,
            together=together,
        )

    # Weights, gradients, two moments, the best epoch's.
    assert of() == of("float32") == pytest.approx((5 * weights, one))
    assert of("bfloat16") == of("float16") == pytest.approx((5.5 * weights, one / 2))
    assert of(replicas=3) == pytest.approx(((5 + 2 * 4) * weights, one))
    assert of(replicas=3, together=True) == pytest.approx((3 * 5 * weights, 3 * one))


def test_simulate_jobs_ask_for_their_grid_and_their_structures():
    assert memory.simulate_mb(SMALLEST) == memory.simulate_mb(PAPER) == memory.LEAST
    assert memory.simulate_minutes(SMALLEST) == memory.simulate_minutes(PAPER) == 60
    fine = changed(PAPER, microscope={"multislice_pixel_A": 0.0125})
    assert fine.microscope.multislice.px == 8192
    # 75 bytes a pixel were measured.
    assert 1.1 * 75 * 8192**2 < 1e6 * memory.simulate_mb(fine) < 1.5 * 75 * 8192**2
    assert memory.simulate_minutes(fine) % 60 == 0
    assert memory.simulate_minutes(fine) > 60
    many = changed(PAPER, study={"structures_per_shard": 4096})
    waves = memory.wave_bytes(4096, 1, cropped=PAPER.microscope.sampling.cropped, px=512)
    assert 1e6 * memory.simulate_mb(many) > 2 * waves


def test_simulate_jobs_with_abtem_ask_for_more():
    pixels = {"multislice_pixel_A": 0.0125}
    ours = changed(PAPER, microscope=pixels)
    theirs = changed(PAPER, microscope=pixels | {"engine": "abtem"})
    # 120 bytes a pixel were measured.
    assert 1.1 * 120 * 8192**2 < 1e6 * memory.simulate_mb(theirs) < 1.5 * 120 * 8192**2
    assert memory.simulate_minutes(theirs) == pytest.approx(
        6 * memory.simulate_minutes(ours), abs=6 * 60
    )


def test_small_jobs_ask_for_the_least():
    assert memory.train_mb(SMALLEST, "compact-w4-d2") == memory.LEAST
    assert memory.evaluate_mb(SMALLEST, "compact-w4-d2") == memory.LEAST


def test_the_papers_jobs_request_the_memory_that_they_use():
    """In bfloat16, 7.8 GB were measured. Activations need 4.4 GB of them, and 8.8 GB in float32."""
    low = changed(PAPER, training={"precision": "bfloat16"})
    assert 7800 < memory.train_mb(low, "unet-resnet18") < 12_000
    auto = memory.train_mb(PAPER, "unet-resnet18")
    assert auto > memory.train_mb(low, "unet-resnet18")
    # A quarter over what is needed, in steps.
    need = estimated("unet-resnet18", 512, 16, replicas=7)
    need += memory.LIBRARIES + memory.held_bytes(PAPER, "unet-resnet18") + 64 * 4 * 512**2
    assert 1.25 * need <= 1e6 * auto < 1.25 * need + 500e6


def test_waves_and_images_get_half_of_the_requested_memory():
    many = changed(PAPER, study={"structures": {"train": 4096, "val": 64, "test": 2048}})
    asked = 1e6 * memory.train_mb(many, "unet-resnet18")
    assert memory.SHARE * asked >= memory.held_bytes(many, "unet-resnet18")


def test_a_head_needs_the_labels_of_particles_and_all_outputs():
    many = changed(
        SMALLEST, study={"structures": {"train": 4096, "val": 64, "test": 2048}, "replicas": 7}
    )
    px = many.microscope.field_px
    labels = memory.held_bytes(many, "compact-w8-d3+votes") - memory.held_bytes(
        many, "compact-w8-d3"
    )
    assert labels == 2 * (4096 + 64) * px**2
    few, all_of_them = (
        memory.evaluate_mb(changed(PAPER, training={"architectures": [name]}), name)
        for name in ("compact-w64-d3", "compact-w64-d3+votes")
    )
    assert all_of_them > few


def test_evaluation_holds_all_test_structures_and_a_batch():
    of = [
        changed(
            PAPER,
            study={"structures": {"train": 512, "val": 64, "test": test}},
            evaluation={"batch_size": batch},
        )
        for test, batch in ((32, 16), (2048, 16), (32, 32))
    ]
    few, many, large = (memory.evaluate_mb(study, "unet-resnet18") for study in of)
    waves = memory.wave_bytes(2016, 1, cropped=PAPER.microscope.sampling.cropped, px=512)
    assert 1e6 * (many - few) == pytest.approx(1.25 * waves, abs=500e6)
    activations = 16 * 512**2 * (network_sizes.bytes_per_pixel(parse("unet-resnet18")) / 4 + 16)
    assert 1e6 * (large - few) == pytest.approx(1.25 * activations, abs=500e6)


def test_evaluation_holds_the_labels_of_particles_for_networks_with_a_head():
    structures = {"train": 64, "val": 2, "test": 640}
    names = ["compact-w8-d3", "compact-w8-d3+votes"]
    of = changed(PAPER, study={"structures": structures}, training={"architectures": names})
    without, with_head = (memory.evaluate_mb(of, name) for name in names)
    assert 1e6 * (with_head - without) > 18 * 640 * 512**2


def test_evaluation_holds_all_configurations_of_specimens_without_training():
    name, structures = "unet-resnet18", {"train": 64, "val": 2, "test": 64}
    small = changed(PAPER, study={"structures": structures}, evaluation={"batch_size": 1})
    gold = small.model_dump()["specimens"]["gold"]
    tested = gold | {"trained": False, "thermal": {"temperature_K": 300.0, "configurations": 64}}
    many = changed(small, specimens={"other": tested})
    waves = memory.wave_bytes(64, 64, cropped=PAPER.microscope.wave_sampling.cropped, px=512)
    assert 1e6 * memory.evaluate_mb(many, name) > waves
    assert memory.train_mb(many, name) == memory.train_mb(small, name)
    # A specimen with fewer configurations than a trained one changes nothing.
    hot = {"gold": gold | {"thermal": tested["thermal"]}}
    both = changed(small, specimens={**hot, "other": gold | {"trained": False}})
    alike = changed(small, specimens={**hot, "other": hot["gold"] | {"trained": False}})
    of_both, of_alike = (memory.evaluate_mb(study, name) for study in (both, alike))
    assert of_both == of_alike


def test_a_job_holds_libraries_waves_images_and_networks():
    number, (name,) = 16, SMALLEST.training.architectures
    held = number * (8 * SMALLEST.microscope.sampling.cropped**2 + 4 * 64**2 + 2 * 4 * 64**2)
    networks = estimated(name, 64, SMALLEST.training.batch_size, replicas=2)
    forming = 12 * 4 * 64**2
    on_gpu = memory.train_bytes(SMALLEST, name, "float32", gpu=True)
    assert on_gpu == held + networks
    assert memory.train_bytes(SMALLEST, name, "auto") == on_gpu + memory.LIBRARIES + forming
    several = changed(SMALLEST, study={"conditions_per_job": 3})
    more = memory.train_bytes(several, name, "float32", gpu=False) - on_gpu
    assert more == memory.LIBRARIES + forming + 2 * 2 * 4 * network_sizes.weights(parse(name))


def test_oversampled_images_are_in_the_requests(monkeypatch):
    fine = changed(
        SMALLEST,
        study={"structures": {"train": 64, "val": 2, "test": 96}},
        microscope={"field_px": 512, "multislice_pixel_A": 0.07, "oversampling": 4},
    )
    forming = 4 * 2048**2

    def asked() -> tuple[int, int]:
        name = "unet-resnet18"
        return memory.train_mb(fine, name), memory.evaluate_mb(fine, name)

    with_forming = asked()
    monkeypatch.setattr(memory, "_forming_bytes", lambda _: 0)
    train, evaluate = (
        1e6 * (more - less) for more, less in zip(with_forming, asked(), strict=True)
    )
    assert train == pytest.approx(1.25 * 64 * forming, abs=500e6)
    assert evaluate == pytest.approx(1.25 * 32 * forming, abs=500e6)
    assert min(train, evaluate) > 0


def test_a_train_job_forms_as_many_images_at_a_time_as_its_request_assumes():
    chunk = inspect.signature(Acquisition.intensities).parameters["chunk"].default
    assert chunk == memory.FORMED


@pytest.mark.slow
def test_the_memory_of_oversampled_images_is_what_a_process_uses():
    code = """
import torch
from passband.config import Microscope
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning.memory import peak_process_bytes
microscope = Microscope(pixel_size_A=0.5, field_px=64, oversampling=4, focal_members=1)
imager = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu")).imager
lens = microscope.optics(Condition(20, 0, 13, 200))
spectra = torch.ones((64, 1) + (microscope.wave_sampling.cropped,) * 2, dtype=torch.complex64)
imager.intensity(spectra[:1], lens)
before = peak_process_bytes()
imager.intensity(spectra, lens)
print(peak_process_bytes() - before)
"""
    run = [sys.executable, "-c", code]
    used = float(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert 0.8 * 64 * 4 * 256**2 < used < 1.6 * 64 * 4 * 256**2


def fit(room, replicas=2):
    settings = Training(batch_size=12)
    return memory.fit_to_memory("compact-w4-d2", 32, settings, "float32", CPU, replicas, room)


def test_a_batch_that_cannot_fit_is_refused_with_the_largest_that_can():
    need = estimated("compact-w4-d2", 32, 12, "float32", 2, False)
    assert not fit(need)
    with pytest.raises(PassbandError) as refused:
        fit(need - 1)
    line = str(refused.value)
    assert line.startswith("training.batch_size = 12: ")
    assert "compact-w4-d2 at 32²" in line
    assert line.endswith("batch sizes that fit: 2 to 11")
    seven = estimated("compact-w4-d2", 32, 7, "float32", 2, False)
    with pytest.raises(PassbandError, match=r"2 to 7$"):
        fit(seven)
    with pytest.raises(PassbandError, match=r"none, with this architecture and field_px$"):
        fit(1e3)


def test_replicas_are_vectorized_only_if_they_surely_fit():
    one, stack = (estimated("compact-w4-d2", 32, 12, "float32", 2, t) for t in (False, True))
    assert fit(memory.SLACK * stack)
    assert not fit(memory.SLACK * stack - 1)
    assert not fit(one)


def test_a_network_whose_estimate_is_rough_is_refused_only_if_it_cannot_fit():
    need = estimated("fpn-resnet18", 64, 12)
    settings = Training(batch_size=12)

    def fit(room, replicas=1):
        return memory.fit_to_memory("fpn-resnet18", 64, settings, "float32", CPU, replicas, room)

    fit(need / 2)
    with pytest.raises(PassbandError, match=r"batch sizes that fit: 2 to 11$"):
        fit(need / 2 - 1)
    together = estimated("fpn-resnet18", 64, 12, replicas=2, together=True)
    assert fit(2 * memory.SLACK * together, 2)
    assert not fit(2 * memory.SLACK * together - 1, 2)


def test_a_network_with_dropout_is_left_to_training_to_try():
    settings = Training(batch_size=2)
    assert memory.fit_to_memory("deeplabv3-resnet18", 64, settings, "float32", CPU, 2, 1e12)


def test_only_slurm_limits_a_job_to_its_requested_memory(monkeypatch):
    monkeypatch.setattr(memory, "peak_process_bytes", lambda: 1e9)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert memory.available_bytes(CPU, 3e9) == 2e9
    monkeypatch.delenv("SLURM_JOB_ID")
    machine = memory.available_bytes(CPU, 3e9)
    assert machine == memory.available_bytes(CPU, 1.0) > 0


def test_memory_of_waves_and_images_is_that_of_their_tensors(make_split, camera, condition):
    split = make_split(3)
    size = memory.wave_bytes(3, 1, cropped=split.spectra.shape[-1], px=32)
    assert size == split.spectra.nbytes + split.masks.nbytes
    formed = torch.cat(list(camera.intensities(split, condition)))
    assert memory.image_bytes(3, 32) == 2 * formed.nbytes


def test_a_graph_asks_without_torch():
    code = "import sys, passband.learning.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
