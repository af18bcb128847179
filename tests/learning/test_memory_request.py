"""The memory that jobs request, compared with counts and measurements."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from passband.config import Training, load, validate
from passband.config.architectures import parse
from passband.imaging.acquisition import Acquisition
from passband.learning import memory, memory_request, networks

ROOT = Path(__file__).parents[2]
SMALLEST, PAPER = (load(ROOT / "studies" / f"{name}.yaml") for name in ("smallest", "paper"))


def changed(base, **blocks):
    given = base.model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


@pytest.mark.parametrize("name", ["compact-w1-d1", "compact-w5-d2", "compact-w8-d4"])
def test_weights_of_compact_networks(name):
    found = sum(p.numel() for p in networks.build(name).parameters())
    assert parse(name).weights == found


def ratio(name, px=64, batch=32, **settings) -> float:
    """Return the ratio of estimated and counted memory, with so many images that they matter."""
    settings = Training(batch_size=batch, precision="float32", **settings)
    counted = memory.peak_training_bytes(name, px, settings, "float32")
    return memory_request.estimated_training_bytes(name, px, settings) / counted


@pytest.mark.parametrize(
    "name",
    # The peak of the first two is in validation, that of the others in a step.
    ["compact-w8-d1", "compact-w8-d3", "compact-w16-d4", "compact-w8-d6"],
)
def test_compact_networks_are_estimated_as_they_are_counted(name):
    assert ratio(name, px=128) == pytest.approx(1, abs=0.05)


def test_the_papers_network_is_estimated_as_it_is_counted():
    assert ratio("unet-resnet18", px=512, batch=16) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("deeplabv3-mobilenet_v2", "deeplabv3plus-resnet101", "fpn-densenet121", "linknet-vgg11"),
        *("manet-resnext50_32x4d", "pan-se_resnet50", "pspnet-efficientnet-b0", "segformer-mit_b0"),
        *("unetplusplus-vgg13_bn", "upernet-mobileone_s0", "unet-xception"),
    ],
)
def test_other_networks_are_estimated_to_a_factor_of_two(name):
    assert 0.5 < ratio(name, px=128) < 2


def test_allowed_values_of_each_setting():
    name, px = "compact-w8-d3", 64
    weights, one = 4 * parse(name).weights, 4 * px**2 * parse(name).bytes_per_pixel

    def of(replicas=1, together=False, **settings):
        settings = Training(batch_size=4, **settings)
        return memory_request.estimated_training_bytes(name, px, settings, replicas, together)

    # Weights, gradients, two moments, the best epoch's.
    assert of() == of(precision="float32") == pytest.approx(5 * weights + one)
    assert of(optimizer="sgd") == pytest.approx(4 * weights + one)
    assert of(precision="bfloat16") == pytest.approx(5.5 * weights + one / 2)
    assert of(3) == pytest.approx((5 + 2 * 4) * weights + one)
    assert of(3, together=True) == pytest.approx(3 * of())


def test_simulate_jobs_ask_for_their_grid_and_their_structures():
    assert (
        memory_request.simulate_mb(SMALLEST)
        == memory_request.simulate_mb(PAPER)
        == memory_request.LEAST
    )
    assert memory_request.simulate_minutes(SMALLEST) == memory_request.simulate_minutes(PAPER) == 60
    fine = changed(PAPER, microscope={"multislice_pixel_A": 0.0125})
    assert fine.microscope.multislice.px == 8192
    # 75 bytes a pixel were measured.
    assert 1.1 * 75 * 8192**2 < 1e6 * memory_request.simulate_mb(fine) < 1.5 * 75 * 8192**2
    assert memory_request.simulate_minutes(fine) % 60 == 0
    assert memory_request.simulate_minutes(fine) > 60
    many = changed(PAPER, study={"structures_per_shard": 4096})
    waves = memory_request.wave_bytes(4096, 1, PAPER.microscope.sampling.cropped, 512)
    assert 1e6 * memory_request.simulate_mb(many) > 2 * waves


def test_small_jobs_ask_for_the_least():
    assert memory_request.train_mb(SMALLEST, "compact-w4-d2") == memory_request.LEAST
    assert memory_request.evaluate_mb(SMALLEST, "compact-w4-d2") == memory_request.LEAST


def test_the_papers_jobs_request_the_memory_that_they_use():
    """In bfloat16, 7.8 GB were measured. Activations need 4.4 GB of them, and 8.8 GB in float32."""
    low = changed(PAPER, training={"precision": "bfloat16"})
    assert 7800 < memory_request.train_mb(low, "unet-resnet18") < 12_000
    auto = memory_request.train_mb(PAPER, "unet-resnet18")
    assert auto > memory_request.train_mb(low, "unet-resnet18")
    # A quarter over what is needed, in steps.
    of = memory_request.estimated_training_bytes("unet-resnet18", 512, PAPER.training, 7)
    need = memory_request.LIBRARIES + memory_request.held_bytes(PAPER) + of
    assert 1.25 * need <= 1e6 * auto < 1.25 * need + 500e6


def test_waves_and_images_get_half_of_the_requested_memory():
    many = changed(PAPER, study={"structures": {"train": 4096, "val": 64, "test": 2048}})
    asked = 1e6 * memory_request.train_mb(many, "unet-resnet18")
    assert memory_request.SHARE * asked >= memory_request.held_bytes(many)


def test_evaluation_holds_all_test_structures_and_a_batch():
    of = [
        changed(
            PAPER,
            study={"structures": {"train": 512, "val": 64, "test": test}},
            evaluation={"batch_size": batch},
        )
        for test, batch in ((32, 16), (2048, 16), (32, 32))
    ]
    few, many, large = (memory_request.evaluate_mb(study, "unet-resnet18") for study in of)
    waves = memory_request.wave_bytes(2016, 1, PAPER.microscope.sampling.cropped, 512)
    assert 1e6 * (many - few) == pytest.approx(1.25 * waves, abs=500e6)
    activations = 16 * 512**2 * (parse("unet-resnet18").bytes_per_pixel / 4 + 16)
    assert 1e6 * (large - few) == pytest.approx(1.25 * activations, abs=500e6)


def test_evaluation_holds_all_configurations_of_specimens_without_training():
    name, structures = "unet-resnet18", {"train": 64, "val": 2, "test": 64}
    small = changed(PAPER, study={"structures": structures}, evaluation={"batch_size": 1})
    gold = small.model_dump()["specimens"]["gold"]
    tested = gold | {"trained": False, "thermal": {"temperature_K": 300.0, "configurations": 64}}
    many = changed(small, specimens={"other": tested})
    waves = memory_request.wave_bytes(64, 64, PAPER.microscope.wave_sampling.cropped, 512)
    assert 1e6 * memory_request.evaluate_mb(many, name) > waves
    assert memory_request.train_mb(many, name) == memory_request.train_mb(small, name)
    # A specimen with fewer configurations than a trained one changes nothing.
    hot = {"gold": gold | {"thermal": tested["thermal"]}}
    both = changed(small, specimens={**hot, "other": gold | {"trained": False}})
    alike = changed(small, specimens={**hot, "other": hot["gold"] | {"trained": False}})
    of_both, of_alike = (memory_request.evaluate_mb(study, name) for study in (both, alike))
    assert of_both == of_alike


def test_evaluate_jobs_of_several_conditions_request_memory_for_shared_images(monkeypatch):
    monkeypatch.setattr(memory_request, "SHARED_BYTES", 4e9)
    one, several = (
        memory_request.evaluate_mb(changed(PAPER, study={"conditions_per_job": n}), "compact-w4-d2")
        for n in (1, 2)
    )
    assert 1e6 * (several - one) == pytest.approx(1.25 * 4e9, abs=500e6)


def test_oversampled_images_are_in_the_requests_and_others_change_nothing(monkeypatch):
    plain, fine = (
        changed(
            SMALLEST,
            study={"structures": {"train": 64, "val": 2, "test": 96}},
            microscope={"field_px": 512, "multislice_pixel_A": 0.07, "oversampling": times},
        )
        for times in (1, 4)
    )
    assert memory_request.train_forming_bytes(plain) == 0
    assert memory_request.forming_bytes(plain, 32) == 0
    forming = memory_request.forming_bytes(fine, 32)
    assert forming == 32 * 4 * 2048**2
    assert memory_request.train_forming_bytes(fine) == 64 * 4 * 2048**2

    def asked() -> tuple[int, int]:
        name = "unet-resnet18"
        return memory_request.train_mb(fine, name), memory_request.evaluate_mb(fine, name)

    with_forming = asked()
    monkeypatch.setattr(memory_request, "forming_bytes", lambda *_: 0)
    train, evaluate = (
        1e6 * (more - less) for more, less in zip(with_forming, asked(), strict=True)
    )
    assert train == pytest.approx(1.25 * 2 * forming, abs=500e6)
    assert evaluate == pytest.approx(1.25 * forming, abs=500e6)
    assert min(train, evaluate) > 0


def test_a_train_job_forms_as_many_images_at_a_time_as_its_request_assumes():
    chunk = inspect.signature(Acquisition.intensities).parameters["chunk"].default
    assert chunk == memory_request.FORMED


@pytest.mark.slow
def test_the_memory_of_oversampled_images_is_what_a_process_uses():
    code = """
import torch
from passband.config import Microscope
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.learning.memory import peak_process_bytes
microscope = Microscope(pixel_size_A=0.5, field_px=128, oversampling=4, focal_members=1)
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
    assert 0.8 * 64 * 4 * 512**2 < used < 1.6 * 64 * 4 * 512**2


def test_a_graph_asks_without_torch():
    code = "import sys, passband.learning.memory_request; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
