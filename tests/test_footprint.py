"""What jobs ask of memory, beside what is counted and what is measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from passband import footprint, memory, networks
from passband.architectures import parse
from passband.config import Training, load, validate

ROOT = Path(__file__).parents[1]
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
    """The estimate over the count, with as many images as there must be for them to matter."""
    settings = Training(batch_size=batch, precision="float32", **settings)
    counted = memory.of_networks(name, px, settings, "float32")
    return footprint.of_networks(name, px, settings) / counted


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


def test_what_each_setting_takes():
    name, px = "compact-w8-d3", 64
    weights, one = 4 * parse(name).weights, 4 * px**2 * parse(name).bytes_per_pixel

    def of(replicas=1, together=False, **settings):
        settings = Training(batch_size=4, **settings)
        return footprint.of_networks(name, px, settings, replicas, together)

    # Weights, gradients, two moments, the best epoch's.
    assert of() == of(precision="float32") == pytest.approx(5 * weights + one)
    assert of(optimizer="sgd") == pytest.approx(4 * weights + one)
    assert of(precision="bfloat16") == pytest.approx(5.5 * weights + one / 2)
    assert of(3) == pytest.approx((5 + 2 * 4) * weights + one)
    assert of(3, together=True) == pytest.approx(3 * of())


def test_small_jobs_ask_for_the_least():
    assert footprint.train_mb(SMALLEST, "compact-w4-d2") == footprint.LEAST
    assert footprint.evaluate_mb(SMALLEST, "compact-w4-d2") == footprint.LEAST


def test_the_papers_jobs_ask_for_what_they_take():
    """7.8 GB were measured in bfloat16, of which 4.4 are activations, twice that in float32."""
    low = changed(PAPER, training={"precision": "bfloat16"})
    assert 7800 < footprint.train_mb(low, "unet-resnet18") < 12_000
    auto = footprint.train_mb(PAPER, "unet-resnet18")
    assert auto > footprint.train_mb(low, "unet-resnet18")
    # A quarter over what is needed, in steps.
    of = footprint.of_networks("unet-resnet18", 512, PAPER.training, 7)
    need = footprint.LIBRARIES + footprint.held(PAPER) + of
    assert 1.25 * need <= 1e6 * auto < 1.25 * need + 500e6


def test_waves_and_images_get_half_of_what_is_asked_for():
    many = changed(PAPER, study={"structures": {"train": 4096, "val": 64, "test": 2048}})
    asked = 1e6 * footprint.train_mb(many, "unet-resnet18")
    assert footprint.SHARE * asked >= footprint.held(many)


def test_evaluation_holds_all_test_structures_and_a_batch():
    of = [
        changed(
            PAPER,
            study={"structures": {"train": 512, "val": 64, "test": test}},
            evaluation={"batch_size": batch},
        )
        for test, batch in ((32, 16), (2048, 16), (32, 32))
    ]
    few, many, large = (footprint.evaluate_mb(study, "unet-resnet18") for study in of)
    waves = footprint.of_waves(2016, 1, PAPER.microscope.sampling.cropped, 512)
    assert 1e6 * (many - few) == pytest.approx(1.25 * waves, abs=500e6)
    activations = 16 * 512**2 * (parse("unet-resnet18").bytes_per_pixel / 4 + 16)
    assert 1e6 * (large - few) == pytest.approx(1.25 * activations, abs=500e6)


def test_a_graph_asks_without_torch():
    code = "import sys, passband.footprint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
