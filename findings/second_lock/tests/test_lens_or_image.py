"""Part 1: what the lines see, and the result of made-up Dice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from findings.second_lock import conditions, distances, features, lens_or_image, scores
from findings.second_lock.conditions import FURTHER, on_main_axes
from findings.twelve_thousand.locked import INSIDE
from passband.imaging.structures import Split, Structures
from passband.optics import ctf

POWER = np.linspace(0, 1, 33), np.exp(-np.linspace(0, 4, 33))


@pytest.fixture
def study():
    return lens_or_image.study()


def test_tests_are_40_of_each_group_inside_the_ranges(study):
    groups = conditions.tests(study)
    assert [len(of) for of in groups.values()] == [40] * 5
    for group, of in groups.items():
        for condition in of:
            values = condition.values()
            assert all(low <= values[name] <= high for name, (low, high) in INSIDE.items())
            names = {name for name, _ in condition.further}
            inside = [set(ranges) for ranges in FURTHER.values() if set(ranges) <= names]
            assert len(inside) == (2 if group == "two" else 1)
            assert names == set().union(*inside)
            for ranges in FURTHER.values():
                for name in ranges.keys() & names:
                    assert ranges[name][0] <= values[name] <= ranges[name][1]
    assert groups["two"] == conditions.tests(study)["two"]


def test_the_distance_of_c_is_the_weighted_mean_over_the_plane(study):
    condition = conditions.tests(study)["astigmatism"][0]
    told = condition
    untold = on_main_axes([condition])[0]
    seen = distances.lens([told, untold], study.microscope, POWER)
    q = (np.arange(64) + 0.5) / 64
    P = np.interp(q, *POWER)
    expected = 0.0
    for k in range(16):
        c = []
        for each in (told, untold):
            T = ctf.transfer(study.microscope.optics(each), q, 2 * np.pi * k / 16)
            s = 4 * each.dose_e_per_A2 * P * T**2
            c.append(np.sign(T) * np.sqrt(s / (1 + s)))
        expected += ((c[0] - c[1]) ** 2 * q * P).sum() / (q * P).sum() / 16
    assert distances.between(seen["c"], seen["c"])[0, 1] == pytest.approx(expected)
    round_lens = seen["c"][1].reshape(16, 64)
    np.testing.assert_allclose(round_lens, round_lens[:1].repeat(16, 0))


@pytest.mark.parametrize("group", ["vibration", "MTF", "focal spread"])
def test_the_lens_is_told_of_what_damps_the_image(study, group):
    told = conditions.tests(study)[group][0]
    seen = distances.lens([told, *on_main_axes([told])], study.microscope, POWER)
    damped, plain = np.abs(seen["T"])
    if group == "focal spread" and told.value("focal_spread_nm") < 3:
        damped, plain = plain, damped
    assert (damped <= plain + 1e-12).all()
    assert damped.sum() < 0.99 * plain.sum()


def test_prior_lengths_are_standard_deviations_and_given_medians():
    random = np.random.default_rng(0)
    sides = [lens_or_image.training_conditions()[:9]]
    of = lens_or_image.study()
    (base,) = (distances.profiles_of(side, of.microscope, POWER) for side in sides)
    values = random.normal(size=9)
    known = distances.as_profiles(base, distances.numbers({"a": values, "b": np.ones(9)}))
    kernel = distances.kernel(known, medians={"b": 0.25})
    assert kernel.lengths == pytest.approx((values.std(), 0.25))
    assert not distances.as_profiles(base, {}, dose=False).log_dose.any()


def test_the_image_is_seen_by_rings_of_the_first_structures(study):
    random = np.random.default_rng(0)
    side = study.microscope.wave_sampling.cropped
    spectrum = random.normal(size=(3, 1, side, side, 2)).astype(np.float32) / 100
    waves = torch.view_as_complex(torch.from_numpy(spectrum))
    waves[:, :, side // 2, side // 2] = 1
    structures = Structures(0, "gold", "val", study.microscope)
    split = Split(structures, np.arange(3), waves, torch.zeros(3, 1, 64, 64))
    tests = lens_or_image.old_tests()[:2]
    acquire = distances.acquisition(study)
    found = distances.spectra(acquire, split, tests, (1, 3))
    alone = distances.spectra(acquire, split.first(1), tests, (1,))
    assert found[3].shape == (2, 32)
    np.testing.assert_array_equal(found[1], alone[1])
    assert not np.allclose(found[1], found[3])


def test_an_isotonic_map_rises_or_falls_and_knows_nothing_of_no_distance():
    known = np.array([0.0, 1.0, 2.0, np.nan])
    Y = np.array([0.9, 0.5, 0.6, 0.2])
    found = scores.isotonic(known, Y, np.array([0.0, 1.5, 9.0, np.nan]), rises=False)
    np.testing.assert_allclose(found, [0.9, 0.55, 0.55, 0.55])
    assert scores.isotonic(known, 1 - Y, np.array([9.0]), rises=True)[0] == pytest.approx(0.45)


def test_features_of_the_own_images_are_at_no_distance():
    from passband.learning import networks

    random = torch.Generator().manual_seed(0)
    network = networks.build("compact-w4-d2", 1).eval()
    own, other = torch.randn(2, 4, 1, 64, 64, generator=random)
    found = features.measured(network, own, [own, 3 * other + 1], "float32")
    assert found["cka"][0] == pytest.approx(1)
    assert found["cka"][1] < 0.9
    assert found["mmd"][0] < found["mmd"][1]


def made_up(noise=0.02):
    random = np.random.default_rng(1)
    rows = 24
    columns = 200
    y = 0.8 + 0.1 * np.outer(np.sin(np.arange(rows)), np.cos(np.arange(columns)))
    replicas = y[:, None] + noise * random.normal(size=(rows, 2, columns))
    doses = np.geomspace(50, 1600, rows), np.geomspace(50, 1600, columns)
    names = {*lens_or_image.AGAINST_LENS, *lens_or_image.AGAINST_IMAGE, "A", "B"}
    lines = {name: y + 0.05 * random.normal(size=y.shape) for name in sorted(names)}
    return replicas, lines | {"A": y}, doses


def test_the_result_names_the_better_line_and_corrects_eleven_differences():
    replicas, lines, doses = made_up()
    found = lens_or_image.result(replicas, lines, doses)
    assert found["primary"]["verdict"] == "the lens says more"
    assert len(found["secondary"]) == 11
    assert all(each["p_holm"] >= each["p"] for each in found["secondary"].values())
    assert found["claims"]["A predicts new axes"]["verdict"] == "holds"
    assert found["claims"]["it is worth telling the axis"]["verdict"] == "holds"
    swapped = lens_or_image.result(replicas, lines | {"A": lines["B"], "B": lines["A"]}, doses)
    assert swapped["primary"]["verdict"] == "the image says more"
    assert swapped["claims"]["it is worth telling the axis"]["verdict"] == "refuted"
    assert list(found["groups"]) == list(conditions.GROUPS)


def test_a_difference_is_that_of_r2_and_its_p_value_belongs_to_its_interval():
    replicas, lines, doses = made_up()
    y = replicas.mean(1)
    found = scores.difference(y, lines["A"], lines["B"])
    r2 = [scores.of_line(replicas, lines[name], doses)["r2"] for name in "AB"]
    assert found.value == pytest.approx(r2[0] - r2[1])
    edge = scores.mean((y - y.mean()) + found.value)
    at_edge = scores.mean((y - y.mean()) + (edge.high - edge.low) / 2)
    assert at_edge.p == pytest.approx(0.05)
    assert at_edge.low == pytest.approx(0, abs=1e-12)
    assert scores.mean(np.zeros((3, 4))).p == 1


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (0.03, 0.01, 0.05, "more"),
        (0.015, 0.001, 0.03, "open"),
        (0.015, 0.011, 0.019, "equal"),
        (-0.03, -0.05, -0.01, "less"),
        (0.0, -0.03, 0.03, "open"),
    ],
)
def test_verdicts(value, low, high, word):
    found = replace(scores.Difference(value, low, high, 1), p=0.5)
    assert found.verdict(0.02, "more", "less") == word
