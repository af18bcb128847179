"""The card of a published network: its numbers, its table of conditions and its limits."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from synthetic import weights_metadata

from passband.config import Study
from passband.grid import Condition, conditions
from passband.learning.network_files import Network
from passband.sharing import card, performance

MAIN_AXES = {
    "defocus_nm": [5, 10, 20],
    "cs_um": [1.2],
    "aperture_mrad": [10],
    "dose_e_per_A2": [100, 1000],
}
IDS = [condition.id for condition in conditions(MAIN_AXES)]
DICE = [0.91, 0.7, 0.85, 0.95, 0.4321, 0.81]


@pytest.fixture
def network(tmp_path):
    configuration = Study().model_dump(mode="json")
    metadata = weights_metadata(
        condition=IDS[0],
        architecture="compact-w8-d3",
        provenance={"study": "demo", "configuration": json.dumps(configuration)},
    )
    condition = Condition.parse(IDS[0])
    return Network(torch.nn.Identity(), 0, metadata, Study().microscope, condition, tmp_path)


def facts(**changes):
    values = np.stack([DICE, np.full(6, 0.25)])
    dims = "test_specimen", "test"
    measured = xr.Dataset(
        {"dice": (dims, values), "standard_error": (dims, values / 100)},
        {"test_specimen": ["gold", "platinum"], "test": IDS},
        {"images": 24},
    )
    given = {
        "name": "a network",
        "license": "CC0-1.0",
        "authors": ("A. Author",),
        "configuration": Study().model_dump(mode="json"),
        "network_seed": 123,
        "measured": measured,
        "measured_in": "demo/table.zarr",
        "expected": None,
        "picture": "performance.png",
        "example": "an image",
        "difference": 1e-6,
        "sizes": [(24, 24)],
        "versions": {"torch": "2.13"},
    }
    return card.Facts(**given | changes)


def test_numbers_on_the_card_are_those_that_were_measured(network):
    text = card.render(network, facts())
    assert "tested on 24 simulated images under each of 6 conditions (demo/table.zarr)" in text
    assert "Under the training condition, Dice is 0.910. Over the 5 other conditions, mean " in text
    assert f"Dice is {np.mean(DICE[1:]):.3f}. It is lowest at defocus 20 nm, " in text
    assert "dose 100 e/Å²: 0.432." in text
    assert "Mean Dice is above 0.8 under 4 of 6 tested conditions." in text
    assert "| Cs, aperture | 100 e/Å² | 1000 e/Å² |" in text
    assert "| 1.2 µm, 10 mrad | 5 to 10 | 10 to 20 |" in text
    assert "The table is measured, not predicted" in text
    assert "| platinum | 0.250 | 0.250 |" in text
    assert "License: CC0-1.0. Authors: A. Author." in text
    assert "| seed of the initial weights | 123 |" in text
    assert "defocus 5 to 20 nm; Cs 1.2 µm; aperture 10 mrad; dose 100 to 1000 e/Å²" in text


def test_expected_dice_is_shown_between_the_tested_conditions(network):
    between = performance.between(IDS)
    values = [0.9 if c.defocus_nm <= 12 else 0.5 for c in between]
    expected = xr.DataArray(values, {"test": [c.id for c in between]}, "test")
    text = card.render(network, facts(expected=expected))
    assert "| 1.2 µm, 10 mrad | 5 to 12 | 5 to 12 |" in text
    assert "The expected Dice comes from a Gaussian process" in text
    assert "not predicted" not in text


def test_card_without_measurements_says_so(network):
    text = card.render(network, facts(measured=None, measured_in="not tested", picture=None))
    assert "There are no measurements: not tested." in text
    assert "performance" not in text
    assert "Mean Dice" not in text


@pytest.mark.parametrize(
    ("normalisation", "line", "step"),
    [
        ("zscore", "image = (image - image.mean()) / image.std(ddof=1)", "zero_mean_unit_variance"),
        ("minmax", "image = (image - image.min()) / (image.max() - image.min())", "scale_range"),
        ("vacuum", "image = image / counts_of_a_vacuum_pixel - 1", "has no such step"),
    ],
)
def test_card_has_the_networks_own_normalisation(network, normalisation, line, step):
    changed = weights_metadata(
        condition=IDS[0], normalisation=normalisation, architecture="compact-w8-d3"
    )
    own = Network(network.module, 0, changed, network.microscope, network.condition, network.path)
    text = card.render(own, facts())
    assert line in text
    assert step in text
