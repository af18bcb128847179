"""The card of a published network: its numbers, its table of conditions and its limits."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from synthetic import weights_metadata

from passband.config import Study
from passband.grid import Condition, conditions, coordinates
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


def with_astigmatism(values):
    """Return measurements with a mean Dice for each value of the astigmatism [nm]."""
    own, axes = {"astigmatism_nm": 0.0}, MAIN_AXES | {"astigmatism_nm": list(values)}
    tested = conditions(axes, own)
    dice = [[values[c.value("astigmatism_nm", own)] for c in tested]] * 2
    ids, dims = [c.id for c in tested], ("test_specimen", "test")
    return xr.Dataset(
        {"dice": (dims, dice), "standard_error": (dims, dice)},
        {
            "test_specimen": ["gold", "platinum"],
            "test": ids,
            **coordinates(ids, "test", own),
        },
        {"images": 24},
    )


def test_numbers_are_for_the_networks_own_values_of_further_axes(network):
    text = card.render(network, facts(measured=with_astigmatism({0: 0.9, 10: 0.2})))
    before, _, after = text.partition("### Other values of astigmatism\n\n")
    assert "### As in training: astigmatism 0 nm\n\nUnder the training condition, " in before
    assert "Dice is 0.900. Over the 5 other conditions, mean Dice is 0.900." in before
    assert "Mean Dice is above 0.8 under 6 of 6 tested conditions." in before
    assert "| 1.2 µm, 10 mrad | 5 to 20 | 5 to 20 |" in before
    assert (
        "The network was trained with astigmatism 0 nm. Under the 6 tested conditions with other "
        "values, mean Dice is 0.200, and it is above 0.8 under 0 of them. It is lowest at defocus "
        "5 nm, Cs 1.2 µm, aperture 10 mrad, dose 100 e/Å², astigmatism 10 nm: 0.200.\n\n"
        "### Other specimens\n\nMean and lowest Dice over all test conditions"
    ) in after


def test_a_card_says_that_no_test_has_the_networks_own_values(network):
    text = card.render(network, facts(measured=with_astigmatism({5: 0.7, 10: 0.2}), picture=None))
    assert "As in training" not in text
    assert "The table" not in text
    assert "trained with astigmatism 0 nm. Under the 12 tested conditions with other" in text


def test_a_parameter_of_the_training_is_on_the_card_once(network):
    own = replace(network, condition=replace(network.condition, further=(("energy_kev", 200),)))
    text = card.render(own, facts(measured=None))
    assert re.findall(r"beam energy \| (.*) \|", text) == ["200 keV"]


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
