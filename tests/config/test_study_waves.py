"""Axes that need other exit waves: beam energy, pixel size, and parameters of the specimen."""

import json
from dataclasses import replace

import pytest

from passband.axes import FURTHER_AXES
from passband.config import ConfigError, Study, Thermal, study_checks, validate
from passband.grid import Condition
from passband.learning import memory
from passband.results import shown_networks, wave_layout
from passband.runs import counts
from passband.runs.study_jobs import jobs
from passband.wave_sets import WAVE_AXES, WaveSet, by_set, set_of_file, wave_set

#: A possible value of each axis that needs other exit waves.
OTHER = {
    "energy_kev": 200.0,
    "pixel_size_A": 0.35,
    "substrate_thickness_nm": 3.0,
    "temperature_K": 300.0,
    "mean_diameter_nm": 2.0,
    "roughness": 0.2,
}


def with_value(name):
    return Condition(20, 1.2, 16, 400, {name: OTHER.get(name, 1.0)})


@pytest.mark.parametrize("name", FURTHER_AXES)
def test_an_axis_needs_exit_waves_if_the_jobs_that_make_them_depend_on_it(name):
    study, condition = Study(), with_value(name)
    specimen = study.specimens["gold"]
    before = specimen.params(), study.microscope.exit_wave_params()
    under = specimen.under(condition), study.microscope.under(condition)
    after = under[0].params(), under[1].exit_wave_params()
    assert (before != after) == FURTHER_AXES[name].needs_waves == (name in WAVE_AXES)
    assert bool(wave_set(condition)) == (name in WAVE_AXES)


@pytest.mark.parametrize("name", OTHER)
def test_the_studys_own_value_needs_nothing_new(name):
    own = Study().axes.own_value(name)
    same = validate({"grid": {name: [own]}})
    assert same.train_conditions == Study().train_conditions
    assert same.train_waves == same.test_waves == [""]
    assert counts.count(same).jobs == counts.count(Study()).jobs
    assert same.condition_settings("train", "test") == Study().condition_settings("train", "test")


@pytest.mark.parametrize("name", OTHER)
def test_a_second_value_needs_as_many_exit_waves_again(name):
    own = Study().axes.own_value(name)
    study = validate({"grid": {name: [own, OTHER[name]]}})
    id = wave_set(with_value(name))
    assert sorted(study.train_waves) == sorted(study.test_waves) == ["", id]
    before = [job.outputs for job in jobs(Study()) if job.rule == "simulate"]
    after = [job.outputs for job in jobs(study) if job.rule == "simulate"]
    assert len(after) == counts.count(study).jobs["simulate"] == 2 * len(before)
    assert set(before) < set(after)
    (new,) = {set_of_file(path) for (path,) in set(after) - set(before)}
    assert new == id


def test_only_tests_may_have_the_axis():
    study = validate({"test_grid": {"energy_kev": [200, 300]}})
    assert (study.train_waves, study.test_waves) == ([""], ["en0200.00", ""])
    files = wave_layout.spectrum_shards(study, "gold")
    assert by_set(files) == {
        "": wave_layout.shards(study, "gold", "train"),
        "en0200.00": wave_layout.shards(study, "gold", "test", ["en0200.00"]),
    }


def test_conditions_of_training_have_test_structures_if_networks_are_tested_under_them():
    config = {"grid": {"energy_kev": [200, 300]}, "test_grid": {"energy_kev": [300]}}
    assert validate(config).test_waves == [""]
    own = validate(config | {"evaluation": {"test_own": True}})
    assert own.test_waves == ["en0200.00", ""]
    assert own.tested_waves == [""]


def test_sets_are_found_by_the_path_of_a_file():
    study = validate({"grid": {"energy_kev": [200, 300], "substrate_thickness_nm": [1, 5]}})
    for id in study.train_waves:
        assert WaveSet.parse(id).id == id
        for path in wave_layout.shards(study, "gold", "train", [id]):
            assert set_of_file(path) == set_of_file(f"results/waves/{path}") == id
    assert set_of_file("waves/waves/train/00000.zarr.zip") == ""
    for id in ("as0005.000", "th05.000_en0200.00", "en0200.00_en0200.00", "en200.00"):
        with pytest.raises(ValueError, match=f"^'{id}' is not the id of a set of exit waves$"):
            WaveSet.parse(id)


@pytest.mark.parametrize(
    "grid", [{"roughness": [0, 0.1]}, {"roughness": [0.1, 0.2]}, {"energy_kev": [100, 200]}]
)
def test_what_is_written_makes_the_study_again(grid):
    study = validate({"grid": grid})
    assert validate(json.loads(json.dumps(study.written()))) == study


def test_requests_of_jobs_are_those_of_the_largest_set():
    shards = {"study": {"structures_per_shard": 5000}}
    thick = validate({"grid": {"substrate_thickness_nm": [1, 20]}} | shards)
    assert memory.simulate_minutes(thick) > memory.simulate_minutes(validate(shards))
    sets = {"energy_kev": {"start": 100, "stop": 300, "num": 101}}
    many = validate({"test_grid": sets, "study": {"structures": {"test": 500}}})
    few = validate({"study": {"structures": {"test": 500}}})
    name = few.training.architectures[0]
    assert memory.evaluate_mb(many, name) > 2 * memory.evaluate_mb(few, name)


def test_atoms_at_rest_have_one_configuration():
    gold = Study().specimens["gold"]
    warm = gold.model_copy(update={"thermal": Thermal(temperature_K=300.0, configurations=4)})
    cold = warm.under(Condition(0, 0, 1, 1, {"temperature_K": 0.0}))
    assert (cold.thermal.temperature_K, cold.thermal.configurations) == (0, 1)
    cool = warm.under(Condition(0, 0, 1, 1, {"temperature_K": 100.0}))
    assert cool.thermal.configurations == 4


def test_a_condition_without_exit_waves_is_refused():
    study = validate({"grid": {"energy_kev": [200, 300]}})
    study_checks.check_condition(study, Condition(5, 1.2, 10, 100, {"energy_kev": 200.0}))
    with pytest.raises(
        ValueError, match="energy_kev = 250: needs exit waves that the study's test"
    ):
        study_checks.check_condition(study, Condition(5, 1.2, 10, 100, {"energy_kev": 250.0}))


TWO, ONE = {"energy_kev": [200, 300]}, {"energy_kev": [200]}


def simulated(config):
    """Return the simulated sets of each specimen's test structures, in the order of specimens."""
    study = validate(config)
    found = [study.waves(name, "test") for name in study.specimens]
    files = [job.outputs for job in jobs(study) if job.rule == "simulate"]
    assert counts.count(study).jobs["simulate"] == len(set(files)) == len(files)
    return found


def test_the_figure_of_examples_shows_a_network_whose_exit_waves_are_tested():
    study = validate({"grid": TWO, "test_grid": ONE})
    assert simulated({"grid": TWO, "test_grid": ONE}) == [["en0200.00"]]
    assert study.middle_condition == replace(
        Study().middle_condition, further=(("energy_kev", 200.0),)
    )
    example = shown_networks.example_cell(study, lambda path: True)
    assert example.condition == study.middle_condition.id
    # Without results of this network, another with these exit waves is shown, if there is one.
    left = {condition.id for condition in study.train_conditions[:3]}
    one = shown_networks.example_cell(study, lambda path: path.split("/")[3] in left)
    assert one.condition.endswith("_en0200.00")


def test_the_example_of_points_has_exit_waves_that_are_tested():
    point = {"defocus_nm": 5, "cs_um": 1.2, "aperture_mrad": 10, "dose_e_per_A2": 100}
    points = [{**point, "energy_kev": 300}, {**point, "defocus_nm": 10, "energy_kev": 200}]
    for test, shown in ((200, points[1]), (300, points[0])):
        config = {"grid": {"points": points}, "test_grid": [{"points": [points[0]]}]}
        config["test_grid"][0]["points"] = [{**point, "energy_kev": test}]
        assert len(*simulated(config)) == 1
        assert validate(config).middle_condition.defocus_nm == shown["defocus_nm"]


def test_one_set_more_is_counted_if_tests_share_none_with_training():
    assert simulated({"test_grid": ONE}) == [["en0200.00", ""]]
    specimens = {"other": {"trained": False}, "gold": {}, "silver": {"material": "Ag"}}
    assert simulated({"test_grid": ONE, "specimens": specimens}) == [
        ["en0200.00"],
        ["en0200.00", ""],
        ["en0200.00"],
    ]


def test_the_set_of_a_mixture_is_counted_for_tests_only_if_the_example_needs_it():
    ranges = {"defocus_nm": [0, 10], "cs_um": 1.2, "aperture_mrad": 10, "dose_e_per_A2": 100}
    mixed = {"mixture": {"name": "all", "ranges": ranges}}
    main = Study().train_axes
    assert simulated({"grid": [main, mixed], "test_grid": ONE}) == [["en0200.00", ""]]
    assert simulated({"grid": [main | TWO, mixed], "test_grid": main | ONE}) == [["en0200.00"]]


def test_no_test_structures_are_needed_of_training_conditions():
    axes = {"defocus_nm": [1, 2, 3], "cs_um": [0, 1], "aperture_mrad": [10], "dose_e_per_A2": [9]}
    specimens = {"gold": {}, "other": {"trained": False}}
    config = {"grid": axes | {"energy_kev": [100, 200, 250, 300]}, "specimens": specimens}
    config["test_grid"] = {"defocus_nm": {"start": 0, "stop": 23, "num": 24}, **ONE}
    assert simulated(config) == [["en0200.00"]] * 2
    study = validate(config)
    assert study.predictable
    assert study.test_waves == ["en0200.00"]
    with pytest.raises(ValueError, match="energy_kev = 100: needs exit waves"):
        study_checks.check_has_waves(study, study.train_conditions[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"grid": {"energy_kev": [100]}, "microscope": {"energy_kev": 200.0}},
            "microscope.energy_kev = 200: is not a value of the axis energy_kev = [100.0]",
        ),
        (
            {
                "grid": {"roughness": [0.1, 0.2]},
                "specimens": {"a": {"roughness": 0.0}, "b": {"roughness": 0.0}},
            },
            "specimens.a.roughness = 0: is not a value of the axis roughness = [0.1, 0.2]",
        ),
        (
            {
                "grid": {"substrate_thickness_nm": [1, 2]},
                "specimens": {"a": {}, "b": {"substrate": {"thickness_nm": 2.0}}},
            },
            "specimens.b.substrate.thickness_nm = 2: must equal specimens.a.substrate",
        ),
        ({"grid": {"energy_kev": [10]}}, "grid.energy_kev = 10: must be between 20.0 and 2000.0"),
        ({"grid": {"roughness": [0.6]}}, "grid.roughness = 0.6: must be between 0.0 and 0.5"),
        (
            {"grid": {"pixel_size_A": [0.1, 0.3]}},
            "grid.pixel_size_A = 0.1: is not possible here; specimens.gold.diameter_nm.max = 2.4: "
            "must not exceed 0.82 nm, to fit the field of view of 1.28 nm",
        ),
        (
            {"grid": {"mean_diameter_nm": [1.8, 3]}},
            "grid.mean_diameter_nm = 3: is not possible here; specimens.gold.diameter_nm.mean = 3",
        ),
        (
            {
                "grid": {"mean_diameter_nm": [1.8, 2]},
                "specimens": {"a": {"diameter_nm": {"distribution": "uniform"}}},
            },
            "specimens.a.diameter_nm.distribution = 'uniform': has no mean",
        ),
        (
            {
                "grid": {"substrate_thickness_nm": [0, 1]},
                "specimens": {"a": {"substrate": {"faces": "both"}}},
            },
            "specimens.a.substrate.faces = 'both': must be 'top' where thickness_nm is 0",
        ),
        (
            {
                "test_grid": {"temperature_K": [0, 300]},
                "specimens": {"a": {"material": "CeO2", "surface_energies": {"111": 1.0}}},
            },
            "test_grid.temperature_K = 300: is not possible here; specimens.a.thermal.msd_A2 = {}",
        ),
        (
            {"grid": {"pixel_size_A": [0.3, 0.5]}},
            "aperture_mrad = 18 with pixel_size_A = 0.5: must not exceed 13.12 mrad",
        ),
        (
            {
                "grid": {"pixel_size_A": [0.2, 0.3]},
                "microscope": {"multislice_pixel_A": 0.25, "field_px": 256},
            },
            "grid.pixel_size_A = 0.2: is not possible here; microscope.multislice_pixel_A = 0.25",
        ),
    ],
)
def test_impossible_values_are_refused_in_one_line(config, message):
    with pytest.raises(ConfigError) as error:
        validate(config)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_one_impossible_point_is_named():
    points = [
        {
            "defocus_nm": 5,
            "cs_um": 1.2,
            "aperture_mrad": 10,
            "dose_e_per_A2": 100,
            "mean_diameter_nm": mean,
        }
        for mean in (1.8, 2.6)
    ]
    with pytest.raises(ConfigError, match=r"grid\.mean_diameter_nm = 2\.6: is not possible here"):
        validate({"grid": {"points": points}})
