"""The condition that a user asks about: words, ranges, and what lies outside a study."""

import numpy as np
import pytest

from passband import PassbandError
from passband.grid import Axes, Condition
from passband.prediction.range_of_use import ALONG_MANY, ALONG_ONE, Asked, TestedDoses, ranges

WORDS = {"defocus_nm": "12", "cs_um": "5", "aperture_mrad": "15", "dose_e_per_A2": "400"}


def asked(**words):
    return Asked.parse(WORDS | words)


def test_a_condition_without_ranges_is_one_point():
    given = asked()
    assert given == Asked.at(Condition(12, 5, 15, 400))
    assert given.points()[0] == [Condition(12, 5, 15, 400)]
    assert (given.ranged, given.words) == ([], "12 nm · 5 µm · 15 mrad · 400 e/Å²")


def test_a_range_is_represented_by_its_parts_and_its_corners():
    given = asked(defocus_nm="-10:25")
    points, weights = given.points()
    assert len(points) == ALONG_ONE + 2
    assert weights.sum() == pytest.approx(1)
    assert [points[-2].defocus_nm, points[-1].defocus_nm] == [-10, 25]
    assert list(weights[-2:]) == [0, 0]
    assert weights @ [p.defocus_nm for p in points] == pytest.approx(7.5, abs=0.01)
    assert {p.cs_um for p in points} == {5}
    assert given.words.startswith("-10 to 25 nm · 5 µm")
    assert given.middle == Condition(7.5, 5, 15, 400)


def test_the_dose_has_equal_ratios():
    points, _ = asked(dose_e_per_A2="10:1000").points()
    steps = np.diff(np.log10([p.dose_e_per_A2 for p in points[:ALONG_ONE]]))
    np.testing.assert_allclose(steps, 2 / ALONG_ONE, atol=1e-3)
    assert asked(dose_e_per_A2="10:1000").middle.dose_e_per_A2 == 100


def test_ranges_on_several_axes_are_filled_evenly_and_always_alike():
    given = asked(defocus_nm="0:10", aperture_mrad="10:20")
    points, weights = given.points()
    assert points == given.points()[0]
    assert len(points) == len(weights) == ALONG_MANY + 4
    x = np.array([[p.defocus_nm / 10, (p.aperture_mrad - 10) / 10] for p in points[:ALONG_MANY]])
    np.testing.assert_allclose(x.mean(0), 0.5, atol=0.02)
    quarters = np.unique((x * 2).astype(int) @ [1, 2], return_counts=True)[1]
    assert quarters.min() >= ALONG_MANY / 4 - 2
    assert {(p.defocus_nm, p.aperture_mrad) for p in points[ALONG_MANY:]} == {
        (0, 10),
        (0, 20),
        (10, 10),
        (10, 20),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"defocus_nm": "12nm"}, "--defocus-nm = '12nm': must be a number in nm without the unit"),
        ({"cs_um": "5 µm"}, "--cs-um = '5 µm': must be a number in µm"),
        ({"cs_um": ""}, "--cs-um = '': must be a number"),
        ({"cs_um": "nan"}, "--cs-um = 'nan': must be a number"),
        ({"dose_e_per_A2": "1:2:3"}, "--dose-e-per-A2 = '1:2:3': must be a number"),
        ({"dose_e_per_A2": "0"}, "must be between 0.01 and"),
        ({"aperture_mrad": "0.015"}, "must be between 0.1 and 200.0 mrad"),
        ({"defocus_nm": "25:-10"}, "--defocus-nm = '25:-10': the range is reversed; write -10:25"),
        ({"defocus_nm": "3:"}, "--defocus-nm = '3:': must be a number"),
        ({"cs_um": None, "dose_e_per_A2": None}, "--cs-um and --dose-e-per-A2 are missing: a"),
        ({"cs_um": None}, "--cs-um is missing: a condition has a value of --defocus-nm, --cs-um"),
    ],
)
def test_wrong_words_are_refused_in_one_line(words, message):
    with pytest.raises(PassbandError) as error:
        asked(**words)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_inside_means_within_the_range_of_every_axis():
    of_study = ranges([Condition(5, 1.2, 10, 100), Condition(20, 60, 18, 1000)])
    assert asked().outside(of_study) == []
    assert asked(defocus_nm="5:20", dose_e_per_A2="100:1000").outside(of_study) == []
    (excess,) = asked(defocus_nm="25.3").outside(of_study)
    assert excess.words == "defocus: 5.3 nm above the range from 5 to 20 nm"
    below, dose = asked(defocus_nm="-10:25", dose_e_per_A2="50").outside(of_study)
    assert (below.below, below.above) == (15, 5)
    assert "15 nm below and 5 nm above the range" in below.words
    assert (dose.axis, dose.below) == ("dose_e_per_A2", 50)


# ── Further axes ─────────────────────────────────────────────────────────────────────────────────

STUDY = Axes({"astigmatism_nm": 0.0}, {"vibration_A": 0.2, "mtf_nyquist": 0.5, "coma_deg": 0.0})
TESTED = [
    Condition(12, 5, 15, 400, axes=STUDY),
    Condition(20, 5, 15, 400, {"astigmatism_nm": 5}, STUDY),
]


def test_a_further_axis_of_the_study_has_its_own_value_unless_it_is_given():
    given = Asked.parse(WORDS, STUDY)
    assert given.low == given.middle == Condition(12, 5, 15, 400)
    assert given.values["astigmatism_nm"] == (0, 0)
    assert given.words == "12 nm · 5 µm · 15 mrad · 400 e/Å² · astigmatism 0 nm"
    given = Asked.parse(WORDS | {"astigmatism_nm": "2:6"}, STUDY)
    assert (given.ranged, given.middle.further) == (
        ["astigmatism_nm"],
        (("astigmatism_nm", 4.0),),
    )
    points, weights = given.points()
    found = [dict(c.further).get("astigmatism_nm", 0) for c in points]
    assert weights @ found == pytest.approx(4, abs=1e-9)
    assert found[-2:] == [2, 6]
    assert given.words.endswith(" · astigmatism 2 to 6 nm")


def test_a_range_that_contains_the_own_value_has_no_token_there():
    points, _ = Asked.parse(WORDS | {"astigmatism_nm": "0:6"}, STUDY).points()
    assert points[-2] == Condition(12, 5, 15, 400)
    assert points[-1] == Condition(12, 5, 15, 400, {"astigmatism_nm": 6})


def test_an_axis_that_the_study_lacks_is_asked_about_only_with_another_value():
    same = Asked.parse(WORDS | {"vibration_A": "0.2"}, STUDY)
    assert same == Asked.parse(WORDS, STUDY)
    given = Asked.parse(WORDS | {"vibration_A": "0.5"}, STUDY)
    assert given.axes.own == {"astigmatism_nm": 0, "vibration_A": 0.2}
    (excess,) = given.outside(ranges(TESTED, given.values))
    assert excess.words == "vibration: 0.3 Å above the only value, 0.2 Å"


def test_further_values_outside_of_the_range_are_named():
    for text, words in (
        ("5", []),
        ("7", ["astigmatism: 2 nm above the range from 0 to 5 nm"]),
    ):
        given = Asked.parse(WORDS | {"astigmatism_nm": text}, STUDY)
        assert [excess.words for excess in given.outside(ranges(TESTED, given.values))] == words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"astigmatism_nm": "5nm"}, "--axis astigmatism_nm = '5nm': must be a number in nm"),
        ({"vibration_A": "11"}, "--axis vibration_A = '11': must be between 0.0 and 10.0 Å"),
        ({"mtf_nyquist": "x"}, "--axis mtf_nyquist = 'x': must be a number, such as 0.5"),
        ({"mtf_nyquist": "0"}, "--axis mtf_nyquist = '0': must be between 0.001 and 1.0"),
        ({"coma_deg": "1.234"}, "is finer than the axis's resolution of 0.01 °"),
    ],
)
def test_wrong_values_of_further_axes_are_refused_in_one_line(words, message):
    with pytest.raises(PassbandError) as error:
        Asked.parse(WORDS | words, STUDY)
    assert message in str(error.value)


def test_doses_beyond_the_tested_ones():
    doses = TestedDoses.of([Condition(5, 1.2, 10, dose) for dose in (1600, 66.67, 200)])
    assert (doses.low, doses.high, doses.lowest) == (66.67, 1600, 33.34)
    above, inside, below = (Condition(-20, 250, 8, dose) for dose in (2000, 100, 40))
    assert doses.known(above) == Condition(-20, 250, 8, 1600)
    assert doses.known(inside) is inside or doses.known(inside) == inside
    assert doses.known(below) == below
    assert [doses.edge(c).dose_e_per_A2 for c in (above, inside, below)] == [1600, 100, 66.67]
    octaves = doses.octaves_below([above, inside, below])
    np.testing.assert_allclose(octaves, [0, 0, np.log2(66.67 / 40)])
    doses.check([above, inside, below, Condition(-20, 250, 8, 33.34)])
    with pytest.raises(PassbandError, match=r"^--dose-e-per-A2 = 33.33: must be 33.34 e/Å² or"):
        doses.check([inside, Condition(-20, 250, 8, 33.33)])
