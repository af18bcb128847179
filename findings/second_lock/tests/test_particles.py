"""Draws, predictions and the result of scores of particles."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from findings.second_lock import (
    conditions,
    distances,
    draws,
    fields,
    lens_or_image,
    lines,
    networks,
    particles,
)
from findings.second_lock.lens_or_image import LENS
from findings.second_lock.lines import LINES, RAW
from findings.second_lock.particle_scores import APART, DIAMETER, F1, NUMBER, SCORES
from findings.second_lock.particles import NONE, TEST_MEAN, key, predicted, result
from passband.config import study_file, validate
from passband.particle_scores import NUMBERS, TRUTHS


@pytest.fixture(autouse=True)
def _drawn(monkeypatch):
    """Draws do not follow from the protocol, so that it may be edited."""
    monkeypatch.setattr(conditions, "digest", lambda: "0" * 64)


@pytest.fixture
def small(monkeypatch):
    """The study of part 1 with two training structures."""
    content = study_file.read(Path("studies/twelve-thousand.yaml"))
    content["study"]["structures"] = {"train": 2, "val": 2, "test": 2}
    content["microscope"] |= {"detector": {"mtf": "gaussian", "mtf_nyquist": 1}}
    of = validate(content)
    monkeypatch.setattr(lens_or_image, "study", lambda material=None: of)
    return of


def test_tests_are_the_first_of_each_group():
    of = particles.tests()
    assert len({*of}) == 60
    groups = conditions.tests(lens_or_image.study())
    assert of[12:24] == tuple(groups["focal spread"][:12])
    assert of[-1] == groups["two"][11]


def test_halves_and_conditions_of_the_head_are_drawn():
    known, judged = particles.halves()
    assert sorted([*known, *judged]) == [*range(200)]
    assert len(known) == len(judged) == 100
    of, tried = particles.of_votes()
    assert len({*of}) == 40
    assert len({*of, *tried}) == 42
    arm = particles.votes(of)
    assert arm.architecture == "compact-w4-d2+votes"
    assert arm.conditions[3] == lens_or_image.training_conditions()[of[3]]
    assert arm.replicas == lens_or_image.arm().replicas
    assert arm.study.training.params() == lens_or_image.study().training.params()
    assert arm.study.digest != lens_or_image.study().digest


def run_command(arguments):
    draws.run("particles", particles.COMMANDS, arguments)


def found_in(numbers):
    """Return what networks with these numbers found: more, the higher the test's dose."""
    rng = np.random.default_rng([*numbers])
    tests = particles.tests()
    share = 0.2 + 0.2 * np.log10([test.dose_e_per_A2 for test in tests])
    of = np.zeros((len(numbers), 2, len(tests), 2, len(TRUTHS), len(NUMBERS)), np.uint32)

    def put(name, value):
        of[..., NUMBERS.index(name)] = np.rint(value)[..., None, None]

    noise = rng.normal(scale=2, size=of.shape[:3])
    for name in ("true", "true_sized"):
        put(name, 100 + 0 * noise)
    for name in ("matched", "found", "found_sized"):
        put(name, 100 * share + noise)
    put("true_pm", 2e5 + 0 * noise)
    put("found_pm", 2e5 * share**1.1)
    cell = "condition", "replica", "test"
    return xr.Dataset(
        {
            "particles": ((*cell, "structure", "truth", "number"), of),
            "apart": (cell, np.broadcast_to(0.3 / share, of.shape[:3])),
        }
    )


def test_unknown_conditions_are_predicted_from_the_known_half(small, monkeypatch, tmp_path):
    # Their lenses are round, and the profiles of others take long.
    tested = conditions.on_main_axes([*particles.tests()[::6]])
    monkeypatch.setattr(particles, "KEPT", tmp_path)
    monkeypatch.setattr(particles, "halves", lambda: (np.arange(12), np.arange(12, 16)))
    monkeypatch.setattr(particles, "groups", lambda half: {"rule": (lens_or_image.arm(), half)})
    monkeypatch.setattr(particles, "seen", lambda: None)
    monkeypatch.setattr(fields, "results", lambda arm, kept, seen, numbers: found_in(numbers))
    monkeypatch.setattr(particles, "tests", lambda: tested)
    monkeypatch.setattr(lines, "LINES", (RAW,))
    found = predicted()
    assert len(found) == len(SCORES) * 2
    true = found_in(np.arange(12, 16))
    for name, score in SCORES.items():
        measured = score.of(true).mean(1)
        for line in (RAW, TEST_MEAN):
            D = score.back(found[key("rule", name, line)])
            assert D.shape == (4, 10)
            assert np.abs(D - measured).mean() < 0.1 * measured.mean()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (LENS, ["c", "bits", "log_dose"]),
        (lines.IMAGE, ["spectrum"]),
        (RAW, ["defocus_nm", "cs_um", "aperture_mrad", "log_dose"]),
    ],
)
def test_lines_see_what_part_1_sees(small, monkeypatch, tmp_path, line, names):
    for module in (lines, distances):
        monkeypatch.setattr(module, "IMAGES", 2)
    of = lens_or_image.training_conditions()[:3]
    first, again = lines.seen(line, [of, of], ["train", "val"], tmp_path)
    assert [*first.parameters] == names
    # B knows neither lens nor dose, and images of other structures differ.
    assert (first.log_dose == 0).all() == (line == lines.IMAGE)
    for name in names:
        same = np.array_equal(first.parameters[name], again.parameters[name])
        assert same == (line != lines.IMAGE)
    if line == LENS:
        expected = lens_or_image.lens(of, networks.spectrum(small, tmp_path))
        np.testing.assert_array_equal(first.parameters["c"], expected["c"])
    assert len(lines.kernel(line, first).lengths) == len(names)


def test_the_priors_of_further_axes_are_half_of_their_ranges(small, tmp_path):
    of = lens_or_image.training_conditions()[:3]
    (known,) = lines.seen(lines.ALL, [of], ["train"], tmp_path)
    kernel = lines.kernel(lines.ALL, known)
    found = dict(zip(kernel.names, kernel.lengths, strict=True))
    assert found["focal_spread_nm"] == pytest.approx(5.75)
    assert found["aperture_mrad"] == pytest.approx(np.std([c.aperture_mrad for c in of]))


def test_the_result_follows_from_shares():
    rng = np.random.default_rng(1)
    doses = {"rule": (np.geomspace(50, 1600, 20), rng.permutation(np.geomspace(60, 900, 30)))}
    truth = {}
    given = {}
    for name in SCORES:
        share = rng.uniform(0.3, 0.6, (20, 1, 30)) + rng.normal(scale=1e-3, size=(20, 2, 30))
        for line in LINES:
            given[key("rule", name, line)] = share.mean(1)
        given[key("rule", name, TEST_MEAN)] = np.repeat(share.mean((0, 1))[None], 20, 0)
        truth[f"rule: {name}"] = share
    given[key("rule", F1, RAW)] = rng.uniform(0.3, 0.6, (20, 30))
    truth[f"rule: {DIAMETER}"][3, :, 4] = NONE
    truth[f"rule: {APART}"][3, 0, 4] = NONE
    truth[f"rule: {F1}"][0, :, 0] = given[key("rule", F1, LENS)][0, 0] = 1.0  # all were found
    found = result(given, truth, doses)
    assert found["verdict"] == "holds"
    assert found["rule"][DIAMETER][LENS]["unjudged"] == 1
    assert found["rule"][APART][LENS]["unjudged"] == 0
    assert found["rule"][F1][LENS]["unjudged"] == 0
    assert found["rule"][NUMBER][LENS]["r2"] > 0.99
    assert found["rule"]["differences of F1"]["A - raw"]["low"] > 0
    assert found["rule"][F1]["mean"] == pytest.approx(truth[f"rule: {F1}"].mean())


def test_mistakes_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(particles, "KEPT", tmp_path)
    with pytest.raises(SystemExit, match="votes-tried: has no networks of 2 of 2"):
        run_command(["known"])
    with pytest.raises(SystemExit, match=r"--part x: must be k/n, such as 0/2"):
        run_command(["known", "--part", "x"])
