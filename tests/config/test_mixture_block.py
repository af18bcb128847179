"""Blocks of `grid` with a mixture: what they mean, and what is refused in a line."""

import re

import pytest

from passband.config import ConfigError, load, validate
from passband.config.mixture_block import configuration_of
from passband.grid import Condition
from passband.results import figure_list, network_batches, wildcard_patterns
from passband.runs.counts import count

POINT = {"defocus_nm": 5.0, "cs_um": 1.2, "aperture_mrad": 10.0, "dose_e_per_A2": 100.0}
OTHER = {**POINT, "dose_e_per_A2": 1000.0}
RANGES = {**POINT, "defocus_nm": [0.0, 40.0], "dose_e_per_A2": [50.0, 1600.0]}


def study(*mixtures, **blocks):
    return validate({"grid": [{}, *({"mixture": each} for each in mixtures)]} | blocks)


def weighted(first, second):
    return {"points": [POINT | {"weight": first}, OTHER | {"weight": second}]}


def test_a_mixture_over_the_grid_has_all_other_conditions_evenly():
    made = study({"name": "all", "over": "grid"})
    (mixture,) = made.mixtures
    assert dict(mixture.points) == dict.fromkeys(made.train_conditions, 1 / 16)
    assert made.train_number == 17
    assert len(made.train_conditions) == 16
    assert made.train_ids == [*(c.id for c in made.train_conditions), mixture.id]
    assert made.test_conditions == made.train_conditions
    assert made.trained_under(mixture.id) == mixture


def test_points_have_their_weights_or_equal_weights():
    (mixture,) = study({"name": "two"} | weighted(0.7, 0.3)).mixtures
    assert dict(mixture.points) == {Condition(**POINT): 0.7, Condition(**OTHER): 0.3}
    (even,) = study({"name": "two", "points": [POINT, OTHER]}).mixtures
    assert dict(even.points) == {Condition(**POINT): 0.5, Condition(**OTHER): 0.5}


def test_a_range_can_be_a_number():
    (mixture,) = study({"name": "soft", "ranges": RANGES}).mixtures
    assert mixture.ranges[:2] == (("defocus_nm", 0.0, 40.0), ("cs_um", 1.2, 1.2))


def test_a_further_axis_of_a_mixture_is_no_axis_of_the_study():
    """So that it does not change the ids, the columns or the figures of the study."""
    made = study({"name": "soft", "ranges": RANGES | {"astigmatism_nm": [0.0, 5.0]}})
    assert made.axes.own == {}
    assert dict(made.mixtures[0].draw(1).further).keys() == {"astigmatism_nm"}
    (own,) = study({"name": "a", "points": [POINT | {"astigmatism_nm": 0.0}]}).mixtures
    assert own.points == ((Condition(**POINT), 1.0),)


def test_mixtures_change_nothing_for_the_other_jobs():
    """Params and files of a finished study stay, so that a run trains the mixture only."""
    with_mixture = study(
        {"name": "all", "over": "grid"}, study={"replicas": 1, "conditions_per_job": 3}
    )
    without = validate({"study": {"replicas": 1, "conditions_per_job": 3}})
    groups = network_batches.groups_of(without)
    id = with_mixture.mixtures[0].id
    assert network_batches.groups_of(with_mixture) == groups | {id: (id,)}
    before = without.condition_settings("train", "test")
    assert with_mixture.condition_settings("train", "test") == before | {"mixtures": [id]}
    assert with_mixture.condition_settings("test") == without.condition_settings("test")
    pattern = wildcard_patterns.of_study(with_mixture)["condition"]
    assert all(re.fullmatch(pattern, group) for group in network_batches.groups_of(with_mixture))
    jobs = [count(each).jobs["train"] for each in (without, with_mixture)]
    assert (
        jobs
        == [6, 7]
        == [len(list(network_batches.batches_of(s))) for s in (without, with_mixture)]
    )
    assert not re.fullmatch(pattern, "all-00000000")


def test_a_matrix_is_predicted_for_enough_conditions_beside_mixtures():
    few = {"defocus_nm": [float(k) for k in range(23)], "cs_um": [1.2], "aperture_mrad": [10.0]}
    few["dose_e_per_A2"] = [100.0]
    more = few | {"defocus_nm": [float(k) for k in range(24)]}
    for given, predicted in ((few, False), (more, True)):
        block = {"study": {"allow_incomplete": True}, "test_grid": more}
        mixed = {"mixture": {"name": "all", "over": "grid"}}
        made = validate(block | {"grid": [given, mixed]})
        assert made.predictable == predicted
        records = network_batches.counted_records(made, lambda path: True)
        assert figure_list.is_predicted(made, records) == predicted
    lacking = [record for record in records if made.train_conditions[0].id not in record]
    assert not figure_list.is_predicted(made, lacking)


@pytest.mark.parametrize("given", [weighted(0.7, 0.3), {"points": [POINT]}, {"ranges": RANGES}])
def test_the_configuration_of_a_mixture_makes_it_again(given):
    (mixture,) = study({"name": "again"} | given).mixtures
    (again,) = validate({"grid": [{}, configuration_of(mixture)]}).mixtures
    assert again.id == mixture.id


def test_the_written_study_is_the_same_study(tmp_path):
    made = study({"name": "soft", "ranges": RANGES}, {"name": "all", "over": "grid"})
    again = validate(made.model_dump(mode="json"))
    assert again.digest == made.digest
    assert again.train_ids == made.train_ids


BAD = {
    "name: a, over: test_grid": "grid[1].mixture.over = 'test_grid': must be 'grid'",
    "name: a": "grid[1].mixture.over: a mixture has one of the keys over, ranges and points; found "
    "none",
    "name: a, over: grid, points: [{P}]": "grid[1].mixture.points: a mixture has one of the keys "
    "over, ranges and points; found over and points",
    "name: a, points: [{P, weight: 0.7}, {Q, weight: 0.2}]": "grid[1].mixture.points: the weights "
    "sum to 0.9; must sum to 1",
    "name: a, points: [{P, weight: 0.7}, {Q}]": "grid[1].mixture.points[1].weight: missing; give "
    "all points a weight, or none",
    "name: a, points: [{P, weight: 0}]": "grid[1].mixture.points[0].weight = 0: must be a number "
    "above 0 and at most 1",
    "name: a, points: [{P}, {P}]": "grid[1].mixture.points[1]: is the same point as points[0]",
    "name: a, points: []": "grid[1].mixture.points: has 0 points; must have 1 to 10,000",
    "name: a, points: x.csv": "grid[1].mixture.points = 'x.csv': must be a list of points such as "
    "[{defocus_nm: 12, cs_um: 1000, ..., weight: 0.7}]",
    "name: a, points: [{defocus_nm: 5}]": "grid[1].mixture.points[0].cs_um: missing; a mixture "
    "needs cs_um",
    "name: a, ranges: {R, defocus_nm: [0, 99999]}": "grid[1].mixture.ranges.defocus_nm",
    "name: a, ranges: {R, defocus_nm: [40, 0]}": "grid[1].mixture.ranges.defocus_nm = [40.0, 0.0]: "
    "must be the lowest and the highest value",
    "name: a, ranges: {R, defocus_nm: [0, 4], aperture_mrad: [8, 90]}": "grid[1].mixture.ranges."
    "aperture_mrad = 90: must not exceed",
    "name: a, ranges: {cs_um: 5}": "grid[1].mixture.ranges.defocus_nm: missing",
    "name: a, weights: 3, over: grid": "grid[1].mixture.weights = 3: unknown key",
    "name: All, over: grid": "grid[1].mixture.name = 'All': must be 1 to 24 small letters",
    "name: a_b, over: grid": "grid[1].mixture.name = 'a_b': must be 1 to 24 small letters",
    "name: '', over: grid": "grid[1].mixture.name = '': must be 1 to 24 small letters",
}


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_is_named_in_one_line(text, tmp_path):
    head = "cs_um: 1.2, aperture_mrad: 10, dose_e_per_A2: "
    given = (
        text.replace("P", f"defocus_nm: 5, {head}100")
        .replace("Q", f"defocus_nm: 5, {head}1000")
        .replace(
            "R", f"cs_um: 1.2, dose_e_per_A2: 100{', aperture_mrad: 10' * ('ape' not in text)}"
        )
    )
    path = tmp_path / "study.yaml"
    path.write_text(f"grid:\n  - {{}}\n  - mixture: {{{given}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    (line,) = str(caught.value).splitlines()
    assert BAD[text] in line


@pytest.mark.parametrize("weights", [(0.6, 0.2, 0.2), (None, None, None)])
def test_points_that_differ_only_in_a_written_own_value_are_refused(weights):
    """They are one condition, so one of the two weights would be lost."""
    points = [POINT, POINT | {"coma_nm": 0.0, "energy_kev": 300.0}, OTHER]
    points = [point | {"weight": x} for point, x in zip(points, weights, strict=True)]
    with pytest.raises(ConfigError) as caught:
        study({"name": "two", "points": points})
    assert str(caught.value) == (
        "config: grid[1].mixture.points[1]: is the same condition as points[0], since the study "
        "itself has coma_nm = 0, energy_kev = 300; keep one of the points"
    )
    points[1] |= {"coma_nm": 5.0}
    (mixture,) = study({"name": "two", "points": points}).mixtures
    assert sum(weight for _, weight in mixture.points) == pytest.approx(1)


@pytest.mark.parametrize("points", [{}, {"points": [OTHER]}])
def test_a_mixture_is_one_of_the_conditions_of_own_tests(points):
    """Also if the other conditions are points."""
    grid = [points, {"mixture": {"name": "a", "points": [POINT]}}]
    made = validate({"grid": grid, "evaluation": {"test_own": True}})
    assert made.own_number == 1
    made = validate({"grid": [*grid, {"points": [POINT]}], "evaluation": {"test_own": True}})
    assert made.own_number == 1


def test_names_of_mixtures_must_differ():
    with pytest.raises(
        ConfigError, match=r"grid\[2\].mixture.name = 'a': is the name of grid\[1\]"
    ):
        study({"name": "a", "over": "grid"}, {"name": "a", "points": [POINT]})


def test_a_mixture_needs_a_condition_beside_it():
    with pytest.raises(ConfigError, match=r"grid = \{mixture: ...\}: needs a condition beside it"):
        validate({"grid": {"mixture": {"name": "soft", "ranges": RANGES}}})


def test_tests_have_no_mixtures():
    block = {"mixture": {"name": "a", "over": "grid"}}
    for given, key in ((block, "test_grid"), ([{}, block], "test_grid[1]")):
        with pytest.raises(ConfigError) as caught:
            validate({"test_grid": given})
        assert str(caught.value) == (
            f"config: {key} = {{mixture: ...}}: must be a block of conditions; mixtures are for "
            "grid only"
        )


def test_axes_that_need_other_exit_waves_are_no_axes_of_mixtures():
    def mixed(**further):
        return study({"name": "a", "ranges": RANGES | further})

    assert mixed(focal_spread_nm=[0, 5]).mixtures
    assert mixed(energy_kev=300).mixtures
    for further in ({"energy_kev": [200, 300]}, {"energy_kev": 200}, {"substrate_thickness_nm": 1}):
        with pytest.raises(ConfigError, match="needs other exit waves"):
            mixed(**further)


def test_a_mixture_over_the_grid_needs_conditions_with_the_same_exit_waves():
    grid = [{"energy_kev": [200, 300]}, {"mixture": {"name": "a", "over": "grid"}}]
    with pytest.raises(ConfigError, match=r"grid\[1\].mixture.over = 'grid': .*en0200.00"):
        validate({"grid": grid})
    points = {"mixture": {"name": "a", "points": [POINT]}}
    made = validate({"grid": [{"energy_kev": [200]}, points], "evaluation": {"test_own": True}})
    assert made.train_waves == made.test_waves == ["", "en0200.00"]
    assert made.tested_waves == ["en0200.00"]
