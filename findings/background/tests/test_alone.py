"""What disturbances cost a network alone, and which preparation is chosen."""

import numpy as np
import pytest

from findings.background import alone
from findings.background.alone import PATCH_A, Disturbance
from passband.config import load
from passband.learning.network_files import open_networks

RANDOM = np.random.default_rng(0)
MASK = np.hypot(*(np.mgrid[:64, :64] - 30)) < 12
#: A dark particle.
IMAGE = (100 - 40 * MASK + RANDOM.normal(0, 10, MASK.shape)).astype(np.float32)
FIELD = IMAGE, MASK, 0.5


def test_a_blur_of_half_an_angstrom_is_one_pixel_of_the_fields():
    spike = np.zeros((33, 33), np.float32)
    spike[16, 16] = 1
    widths = {}
    for pixel_A in (0.5, PATCH_A):
        (blur,) = (each for each in alone.disturbances(pixel_A) if each.name == "blur of 0.5 Å")
        (found,) = blur.of((spike, spike > 0, pixel_A))
        places = np.arange(33) - 16
        widths[pixel_A] = np.sqrt((found.sum(0) * places**2).sum()) * pixel_A
    assert [*widths.values()] == pytest.approx([0.5, 0.5], rel=0.02)


def test_the_aims_are_those_of_four_disturbances():
    aims = {each.name: each.aim for each in alone.disturbances(0.5) if each.aim is not None}
    assert aims == {
        "slope of 1 sd": 0.03,
        "vignette of 2 sd": 0.10,
        "blur of 0.5 Å": 0.03,
        "a wrong filter": 0.05,
    }


def test_the_simplest_method_finds_a_dark_particle_and_loses_by_a_slope():
    (network,) = open_networks("general-2026")
    words, method = alone.blur_and_threshold([FIELD], network)
    assert words.endswith("px, dark particles")
    rows = {cells[0]: cells for cells in alone.losses({"a": method}, [FIELD, FIELD])}
    assert float(rows["none"][2]) > 0.95
    assert rows["none"][3] == "–"
    mean, _, rest = rows["slope of 2 sd"][3].partition(" ")
    dice = float(rows["none"][2]) - float(rows["slope of 2 sd"][2])
    assert float(mean) == pytest.approx(dice, abs=0.0011)
    assert float(mean) > 0.01
    assert rest == f"({mean} to {mean})"  # both images are the same


def test_dice_of_an_image_is_the_mean_over_the_variants():
    variants = tuple(lambda image, mask, n=n: (image[:, ::n].repeat(n, 1), mask, 1) for n in (1, 2))
    both = Disturbance("two", variants)
    seen = []

    def method(image, pixel_A, is_filtered):
        seen.append(image)
        return MASK if np.array_equal(image, IMAGE) else ~MASK

    assert alone.dice_of(method, both, [FIELD]) == pytest.approx([0.5])
    assert len(seen) == 2


def test_a_preparation_must_not_cost_undisturbed_images():
    ways = ["nothing", "background", "noise"]
    rows = [("none", [0.90, 0.896, 0.89]), ("slope", [0.5, 0.8, 0.9])]
    table, chosen = alone.table_of(ways, rows)
    assert chosen == "chosen: background"
    assert "| mean | 0.700 | 0.848 | 0.895 |" in table


@pytest.mark.slow
def test_a_network_is_told_apart_from_its_preparation():
    (network,) = open_networks("general-2026")
    (field,) = alone.fields(alone.waves(1, 1))
    (slope,) = (each for each in alone.disturbances(0.5) if each.name == "slope of 2 sd")
    dice = {
        takes_off: alone.dice_of(alone.prepared(network, takes_off, filters=False), slope, [field])
        for takes_off in (True, False)
    }
    assert dice[True] > dice[False] + 0.05
    (noisy,) = alone.fields(alone.waves(1, 1), alone.WHITE)
    none, *_ = alone.disturbances(0.5)
    dice = {
        filters: alone.dice_of(alone.prepared(network, False, filters), none, [noisy])
        for filters in (True, False)
    }
    assert dice[True] > dice[False] + 0.05


def test_the_network_that_left_the_package_has_its_study_beside_it():
    """So it can be trained again."""
    (network,) = open_networks(alone.NEW)
    assert network.study == load(alone.NEW.parent / "studies/general-2026b.yaml")
    assert network.architecture.head.name == "votes"
