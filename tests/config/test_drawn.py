"""Keys with a range of numbers, of which each image has its own."""

import pytest

from passband.config import ConfigError, Microscope, Study, given_conditions, validate
from passband.config.given_conditions import Given
from passband.errors import PassbandError

RANGES = {
    "vibration_A": [0, 1],
    "detector": {
        "noise": {
            "form": ["white", "hann"],
            "width_A": [0.7, 1.6],
            "stored_pixel_A": [0.3, 0.8],
        },
        "gain": [0.5, 2],
        "clip_low": [0, 0.01],
        "clip_high": [0, 0.02],
    },
    "background": {"slope_sd": [0, 2], "slope_deg": [-10, 10], "vignette_sd": [-1, 2]},
}
GIVEN = Microscope.model_validate(RANGES)
BLOCKS = "detector.noise.", "detector.", "background.", ""


def test_all_keys_with_a_range_are_known():
    assert list(GIVEN.ranges) == list(Microscope.drawn_keys)
    assert Microscope().ranges == {}
    sloped = Microscope.model_validate({"background": {"slope_sd": 1.0}})
    assert sloped.ranges == {"background.slope_deg": [0, 360]}


def test_a_drawn_microscope_has_numbers_from_the_ranges():
    found = [GIVEN.drawn("an image", k) for k in range(400)]
    assert not any(each.ranges for each in found)
    for path, ends in GIVEN.ranges.items():
        values = [each.at(path) for each in found]
        if path == "detector.noise.form":
            assert 0.4 < values.count("white") / 400 < 0.6
            assert {*values} == {"white", "hann"}
            continue
        low, high = ends
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
        mean = sum(values) / len(values)
        assert mean == pytest.approx((low + high) / 2, abs=0.05 * (high - low))


def test_an_image_has_the_same_numbers_whichever_other_keys_have_ranges():
    """And in every process: the numbers follow from names alone."""
    alone = Microscope.model_validate({"background": {"vignette_sd": [-1, 2]}})
    for k in range(5):
        drawn = GIVEN.drawn("an image", k)
        assert alone.drawn("an image", k).background.vignette_sd == drawn.background.vignette_sd
    assert GIVEN.drawn(7, "gold").vibration_A == pytest.approx(NUMBER, rel=1e-12)
    assert GIVEN.drawn(8, "gold").vibration_A != GIVEN.drawn(7, "gold").vibration_A


#: A number that never changes: the images of finished studies have it.
NUMBER = 0.9570555227939216


def test_the_middle_is_what_metrics_are_computed_for():
    middle = GIVEN.middle
    assert middle.ranges == {}
    assert middle.vibration_A == 0.5
    assert middle.detector.noise.arguments == ("hann", 1.15, [], 0.55)
    assert middle.background.vignette_sd == 0.5
    assert (GIVEN.blur == Microscope(vibration_A=0.5).blur).all()
    assert GIVEN.axis_values["vibration_A"] == 0.5
    assert Microscope().middle == Microscope()


def test_a_number_is_written_as_before_and_a_range_as_a_range():
    assert GIVEN.imaging_params()["vibration_A"] == [0, 1]
    assert GIVEN.imaging_params()["background"] == GIVEN.background.model_dump()
    assert Microscope(vibration_A=1).imaging_params()["vibration_A"] == 1.0
    study = validate({"microscope": RANGES})
    again = validate(study.written())
    assert again == study
    assert again.digest == study.digest != Study().digest


def test_a_value_of_an_axis_replaces_the_range():
    further = (("vibration_A", 0.2),)
    assert GIVEN.having(further).vibration_A == 0.2
    noise = GIVEN.replaced("detector.noise.width_A", 1.0).detector.noise
    assert (noise.form, noise.width_A) == ("hann", 1.0)


@pytest.mark.parametrize(
    "value",
    [[1, 0], [1, 1], [0, 1, 2], [0], [], [0, 11], [-1, 1], ["a", "b"], [True, 1], [[0, 1], 2], "0"],
)
def test_what_is_no_range_is_refused_in_one_line(value):
    with pytest.raises(ConfigError) as caught:
        validate({"microscope": {"vibration_A": value}})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("config: microscope.vibration_A = ")
    assert "must be a number between 0 and 10 Å, or a range [low, high] with low < high" in line


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"energy_kev": [100, 200]},
            "microscope.energy_kev = [100, 200]: must be a number between 20 and 2000 keV",
        ),
        (
            {"detector": {"gain": [0, 1]}},
            "microscope.detector.gain = [0, 1]: must be a number above 0 and at most 1000000.0 "
            "counts/electron, or a range [low, high] with low < high",
        ),
        (
            {"detector": {"noise": {"form": ["white", "table"]}}},
            "microscope.detector.noise.form = ['white', 'table']: must be 'white', 'binned', "
            "'hann' or 'table', or a choice, [white, binned] or [white, hann]",
        ),
        (
            {"detector": {"noise": {"width_A": [1, 2]}}},
            "microscope.detector.noise.form = 'white': must be 'binned' or 'hann', since there is "
            "a width_A",
        ),
    ],
)
def test_mistakes_name_the_key(block, expected):
    with pytest.raises(ConfigError) as caught:
        validate({"microscope": block})
    assert str(caught.value) == f"config: {expected}"


def test_the_middle_of_a_range_is_no_value_of_an_axis():
    """In results, it stands for the range."""
    ranged = {"microscope": {"vibration_A": [0, 1]}}
    study = validate(ranged | {"test_grid": {"vibration_A": [0, 1]}})
    assert study.axes.own["vibration_A"] == 0.5
    assert all(condition.further == () for condition in study.train_conditions)
    with pytest.raises(ConfigError, match=r"vibration_A = \[0.0, 1.0\]: its middle, 0.5, stands"):
        validate(ranged | {"test_grid": {"vibration_A": [0, 0.5]}})
    with pytest.raises(ConfigError, match=r"vibration_A = \[0.0, 1.0\]: is not a value of the axi"):
        validate(ranged | {"grid": {"vibration_A": [0, 1]}})


def test_noise_of_ranges_has_the_kernel_in_the_middle_and_the_smallest_stored_pixels():
    noise = GIVEN.detector.noise
    assert noise.middle.form == "hann"
    assert noise.middle.width_A == pytest.approx(1.15)
    assert noise.middle.stored_pixel_A == pytest.approx(0.55)
    assert noise.middle == GIVEN.middle.detector.noise
    assert noise.pixel_A == 0.3


@pytest.mark.parametrize("grid", [{}, {"test_grid": {"vibration_A": [0, 1]}}])
def test_a_number_that_a_user_asks_for_is_a_number_also_in_the_middle_of_the_range(grid):
    study = validate({"microscope": {"vibration_A": [0, 1]}} | grid)
    main = {"defocus_nm": 5, "cs_um": 1.2, "aperture_mrad": 10, "dose_e_per_A2": 100}
    for value in (0.5, 0.7):
        (found,) = given_conditions.conditions(study, [Given(main | {"vibration_A": value})])
        assert found.further == (("vibration_A", value),)
        assert study.microscope.under(found).vibration_A == value
        assert study.axes.asked(found.numbers()) == found
        assert study.axes.parse(found.id) == found
    (own,) = given_conditions.conditions(study, [Given(main)])
    assert study.microscope.under(own).vibration_A == [0, 1]
    assert "vibration_A" not in own.numbers()
    assert study.axes.asked(own.numbers()) == own
    if not grid:
        given = [Given(main | {"vibration_A": 0.5})]
        asked = given_conditions.conditions(study, given)
        why = "^vibration_A = 0.5: must not be given, since images have a range of it$"
        with pytest.raises(PassbandError, match=why):
            given_conditions.check_in_grids(study, asked, given)


def test_a_mixture_has_no_axis_of_a_range():
    mixture = {
        "ranges": {
            "defocus_nm": [5, 20],
            "cs_um": 1.2,
            "aperture_mrad": 10,
            "dose_e_per_A2": 100,
            "vibration_A": [0, 1],
        }
    }
    point = {"defocus_nm": [5], "cs_um": [1.2], "aperture_mrad": [10], "dose_e_per_A2": [100]}
    given = {"grid": [point, {"mixture": mixture}]}
    validate(given)
    with pytest.raises(ConfigError, match=r"ranges.vibration_A = \[0.0, 1.0\]: is already a range"):
        validate(given | {"microscope": {"vibration_A": [0, 1]}})
