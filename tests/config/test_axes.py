"""Further axes of the grid: keys of the microscope that have several values."""

import json
import re

import numpy as np
import pytest

from passband.axes import AXES, FURTHER_AXES
from passband.config import ConfigError, Study, validate, validate_stored
from passband.grid import Condition
from passband.results import wildcard_patterns

TWO = {"grid": {"astigmatism_nm": [0, 5]}}


def test_an_axis_with_only_the_studys_own_value_changes_nothing():
    study, same = Study(), validate({"grid": {"astigmatism_nm": [0], "focal_spread_nm": [3]}})
    assert same.train_conditions == study.train_conditions
    assert same.axes == study.axes
    assert same.condition_settings("train", "test") == {
        f"{axis} of {name} conditions": values
        for name in ("training", "test")
        for axis, values in study.grid.axes().items()
    }


def test_a_second_value_keeps_the_conditions_and_adds_as_many():
    before, after = Study().train_conditions, validate(TWO).train_conditions
    assert len(after) == validate(TWO).train_number == 2 * len(before)
    assert set(before) < set(after)
    assert {c.further for c in set(after) - set(before)} == {(("astigmatism_nm", 5.0),)}


def test_params_of_tests_stay_if_only_training_has_the_axis():
    study = validate(TWO | {"test_grid": {"astigmatism_nm": [0]}})
    assert study.condition_settings("test") == Study().condition_settings("test")
    assert study.condition_settings("train")["own astigmatism_nm"] == 0


def test_only_tests_may_have_the_axis():
    study = validate({"test_grid": {"astigmatism_nm": [0, 5]}})
    assert study.train_conditions == Study().train_conditions
    assert study.test_number == len(study.test_conditions) == 32


def test_ids_of_values_never_change():
    """The names of finished studies' files have them."""
    assert [axis.format(1) for axis in AXES.values()] == [
        *("df+0001.00", "cs+0001.000", "ap001.00", "ds000001.00"),
        *("as0001.000", "az+001.00", "co000001.00", "cz+001.00", "tf000001.00", "tz+001.00"),
        *("fs001.000", "ss01.0000", "vb01.000", "mt1.000", "ae01.000", "en0001.00", "px1.0000"),
        *("th01.000", "tk0001.0", "dm001.000", "rg1.000"),
        *("sl01.000", "vg+01.000", "nk01.000", "ga0000001.000", "cl1.0000"),
    ]


def test_the_pattern_matches_ids_of_the_grid_only():
    for values in ([0, 5], [5, 10]):
        study = validate({"grid": {"astigmatism_nm": values}})
        pattern = wildcard_patterns.of_study(study)["condition"]
        own = {c.id for c in study.train_conditions}
        main = {c.id for c in Study().train_conditions}
        assert all(re.fullmatch(pattern, id) for id in own)
        assert all(bool(re.fullmatch(pattern, id)) == (id in own) for id in main)


LENS_AXES = [name for name, axis in FURTHER_AXES.items() if not axis.key.startswith("specimens")]


@pytest.mark.parametrize("name", LENS_AXES)
def test_a_condition_has_the_microscope_of_a_study_with_the_other_value(name):
    axis, microscope = FURTHER_AXES[name], Study().microscope
    path = axis.key.removeprefix("microscope.")
    value = axis.canonical(microscope.at(path) + 0.25)
    under = microscope.under(Condition(20, 1.2, 16, 400, {name: value}))
    assert under == microscope.replaced(path, value) != microscope
    assert under.at(path) == value
    with_round = Condition(20, 1.2, 16, 400)
    optics = microscope.optics(Condition(20, 1.2, 16, 400, {name: value}))
    assert optics == under.optics(with_round)
    q = np.linspace(0, 0.5, 5)
    assert under.response(q).shape == q.shape


def test_what_is_written_makes_the_study_again():
    for config in ({}, TWO, {"grid": {"astigmatism_nm": [5, 10]}}):
        study = validate(config)
        assert validate(json.loads(json.dumps(study.written()))) == study


#: Studies with an axis that leaves out the study's own value, which no key has.
WITHOUT_OWN = [
    {"grid": {"astigmatism_nm": [5, 10]}},
    {"grid": {"energy_kev": [200]}},
    {"grid": {"temperature_K": [300]}, "specimens": {"gold": {}, "small": {"trained": False}}},
    {
        "grid": {
            "points": [
                {
                    "defocus_nm": 5,
                    "cs_um": 1.2,
                    "aperture_mrad": 10,
                    "dose_e_per_A2": 100,
                    "coma_nm": 50,
                }
            ]
        }
    },
]


@pytest.mark.parametrize("config", WITHOUT_OWN)
def test_a_stored_configuration_makes_the_study_again(config):
    study = validate(config)
    found = validate_stored(json.loads(json.dumps(study.written())))
    assert found.model_dump() == study.model_dump()
    assert found.digest == study.digest
    assert found.written() == study.written()
    assert found.train_ids == study.train_ids


def test_a_written_key_of_a_stored_configuration_stays():
    config = {"grid": {"energy_kev": [100, 200]}, "microscope": {"energy_kev": 200.0}}
    study = validate(config)
    assert validate_stored(study.written()) == study
    with pytest.raises(ConfigError, match="energy_kev = 200: is not a value of the axis"):
        validate_stored(config | {"grid": {"energy_kev": [100]}})


def test_a_stored_configuration_of_another_form_is_reported():
    for config in ({"microscope": 1}, {"specimens": []}, {"specimens": {"gold": {"thermal": 1}}}):
        with pytest.raises(ConfigError):
            validate_stored(config)


MAIN = {"defocus_nm": 12.0, "cs_um": 1.2, "aperture_mrad": 10.0, "dose_e_per_A2": 400.0}
ASTIGMATIC = {"points": [MAIN | {"astigmatism_nm": 5.0}]}
MIXED = {"mixture": {"name": "a", "points": [MAIN]}}


@pytest.mark.parametrize(
    "blocks",
    [
        {"grid": [{}, ASTIGMATIC]},
        {"test_grid": [{}, ASTIGMATIC]},
        {"test_grid": [{}, {"astigmatism_nm": [5]}]},
        {"grid": {"points": [MAIN, *ASTIGMATIC["points"]]}},
        {"grid": [ASTIGMATIC, MIXED]},
        {"grid": [ASTIGMATIC], "test_grid": [{"points": [MAIN]}]},
    ],
)
def test_a_block_without_the_axis_has_the_written_own_value(blocks):
    written = {"microscope": {"aberrations": {"astigmatism_nm": 0.0}}}
    study, same = validate(blocks | written), validate(blocks)
    assert study.axes.own == {"astigmatism_nm": 0}
    assert study.train_ids == same.train_ids
    assert study.test_conditions == same.test_conditions


GAUSSIAN = {"detector": {"mtf": "gaussian"}}
KERNEL = {"detector": {"noise": {"form": "hann", "width_A": 0.0}}}
GIVEN = {"thermal": {"temperature_K": 300.0, "msd_A2": {"Au": 0.01}}}
SILVER = {"silver": {"material": "Ag", "thermal": {"temperature_K": 300.0}}}
VACUUM = {"gold": GIVEN | {"substrate": {"thickness_nm": 0.0}}}


@pytest.mark.parametrize(
    "config",
    [
        {"grid": {"mtf_nyquist": [0.5]}},  # the study's own value alone is no axis
        {"grid": {"astigmatism_deg": [0], "coma_deg": [0], "threefold_deg": [0]}},
        {"grid": {"mtf_nyquist": [0.3, 0.6]}, "microscope": GAUSSIAN},
        {"grid": {"noise_kernel_A": [1.0], "gain": [1.0]}},
        {"grid": {"noise_kernel_A": [0, 1.6]}, "microscope": KERNEL},
        {"grid": {"gain": [1, 2]}, "training": {"normalisation": "vacuum"}},
        {"grid": {"slope_sd": [0, 2], "vignette_sd": [-1, 0], "clip_high": [0, 0.02]}},
        {"grid": {"coma_deg": [0, 45]}, "microscope": {"aberrations": {"coma_nm": 100.0}}},
        {"grid": {"coma_nm": [0, 100], "coma_deg": [0, 45]}},
        {"grid": {"coma_deg": [0, 45]}, "test_grid": [{}, {"coma_nm": [100]}]},
        {"grid": {"temperature_K": [150, 300]}, "specimens": {"gold": GIVEN}},
        {
            "grid": {"temperature_K": [150, 300]},
            "specimens": VACUUM | SILVER,
        },
        {
            "grid": {"temperature_K": [150, 300], "substrate_thickness_nm": [0, 1]},
            "specimens": VACUUM,
        },
    ],
)
def test_an_axis_with_an_effect_is_accepted(config):
    given = {name for name, values in config["grid"].items() if len(values) > 1}
    assert validate(config).axes.own.keys() >= given


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {
                "grid": {"astigmatism_nm": [5, 10]},
                "microscope": {"aberrations": {"astigmatism_nm": 0.0}},
            },
            "microscope.aberrations.astigmatism_nm = 0: is not a value of the axis "
            "astigmatism_nm = [5.0, 10.0]",
        ),
        (
            {"grid": [ASTIGMATIC], "microscope": {"aberrations": {"astigmatism_nm": 0.0}}},
            "microscope.aberrations.astigmatism_nm = 0: is not a value of the axis "
            "astigmatism_nm = [5.0]; add the value to the axis, or remove the key",
        ),
        (
            {
                "grid": [{"roughness": [0.1]}],
                "specimens": {"gold": {"roughness": 0.2}, "silver": {"roughness": 0.2}},
            },
            "specimens.gold.roughness = 0.2: is not a value of the axis roughness = [0.1]",
        ),
        (
            {"grid": {"mtf_nyquist": [0.3, 0.6]}},
            "microscope.detector.mtf = 'none': has no mtf_nyquist, which is an axis of the grid; "
            "must be 'gaussian' or 'lorentzian'",
        ),
        ({"test_grid": {"mtf_nyquist": [0.3]}}, "microscope.detector.mtf = 'none': has no mtf_ny"),
        (
            {"test_grid": {"noise_kernel_A": [0, 1.6]}},
            "microscope.detector.noise.form = 'white': has no kernel, whose width is the axis "
            "noise_kernel_A; must be 'binned' or 'hann', with width_A = 0 for white noise",
        ),
        (
            {
                "grid": [
                    {n: [x] for n, x in MAIN.items()},
                    {"mixture": {"ranges": MAIN | {"noise_kernel_A": [0, 1]}}},
                ]
            },
            "microscope.detector.noise.form = 'white': has no kernel",
        ),
        (
            {"grid": {"gain": [1, 2]}},
            "training.normalisation = 'zscore': takes away the gain, which is an axis of the grid; "
            "must be 'vacuum'",
        ),
        ({"grid": {"clip_high": [0, 0.5]}}, "grid.clip_high = 0.5: must be between 0.0 and 0.25"),
        ({"grid": {"slope_sd": [-1]}}, "grid.slope_sd = -1: must be between 0.0 and 20.0 sd"),
        (
            {"grid": {"astigmatism_deg": [0, 45]}},
            "microscope.aberrations.astigmatism_nm = 0: has no azimuth, but astigmatism_deg = "
            "[0.0, 45.0] is an axis of the grid; give a value above 0, or values of the axis "
            "astigmatism_nm",
        ),
        (
            {"grid": {"points": [MAIN, MAIN | {"coma_deg": 9.0, "threefold_nm": 9.0}]}},
            "microscope.aberrations.coma_nm = 0: has no azimuth, but coma_deg = [0.0, 9.0] is an",
        ),
        (
            {"grid": {"temperature_K": [150, 300]}, "specimens": VACUUM},
            "specimens.gold.thermal.msd_A2 = {'Au': 0.01}: replaces the temperature for every",
        ),
        ({"grid": {"focal_spread_nm": [-1]}}, "grid.focal_spread_nm = -1: must be between 0.0"),
        ({"grid": {"vibration_A": []}}, "grid.vibration_A = []: an axis needs at least one value"),
        ({"test_grid": {"coma_nm": "x"}}, "test_grid.coma_nm = 'x': must be a list"),
        ({"grid": {"astigmatism_nm": [0, 500]}}, "with astigmatism_nm = 500: displaces image"),
        ({"grid": {"focal_spread_nm": [3, 90]}}, "microscope.focal_members = 5: must be at least"),
        ({"grid": {"tilt_mrad": [0, 1]}}, "grid.tilt_mrad = [0, 1]: unknown key"),
    ],
)
def test_impossible_axes_are_refused_in_one_line(config, message):
    with pytest.raises(ConfigError) as error:
        validate(config)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
