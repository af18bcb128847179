"""What the page says of particles, and that a study without them has the page that it had."""

import re

import numpy as np
import pytest
from matrices import GRID, make_metrics
from report_content import make_content
from scipy.stats import spearmanr

from passband.matrices.of_study import matrices
from passband.matrices.stored import GROUP
from passband.reports.page import found_particles, page, text


def with_particles(metrics, seed=0, tie=0.05):
    """Return OOD metrics in which the F1 score is near Dice, and the errors are known."""
    dice = metrics.dice.values
    random = np.random.default_rng(seed)
    dims = metrics.dice.dims
    return metrics.assign(
        instance_f1=(dims, dice - 0.2 + tie * random.normal(size=dice.shape)),
        count_error=(dims, np.where(np.eye(dice.shape[-1]), -0.01, -0.5) + 0 * dice),
        diameter_bias=(dims, np.where(np.eye(dice.shape[-1]), 0.02, 0.25) + 0 * dice),
    )


@pytest.fixture(scope="module")
def tested():
    metrics, _ = make_metrics(GRID, noise=0.02)
    return matrices(metrics=with_particles(metrics))


def test_each_score_has_its_mean_at_home_and_elsewhere_and_its_ends(tested):
    table = found_particles.particles_table(tested)
    f1 = tested[0].metrics.instance_f1.values
    other = f1[~np.eye(len(f1), dtype=bool)]
    expected = [np.diag(f1).mean(), other.mean(), other.min(), other.max()]
    assert table.rows[0] == ["F1 score of particles", *map(text.number, expected)]
    assert table.rows[1][1:] == ["−0.01", "−0.50", "−0.50", "−0.50"]
    assert table.rows[2][1:] == ["0.02", "0.25", "0.25", "0.25"]


def test_rank_correlations_are_those_of_scipy_over_pairs_of_different_conditions(tested):
    (matrix,) = tested
    dice = matrix.metrics.dice.values
    f1 = matrix.metrics.instance_f1.values
    dose = np.array([each.dose_e_per_A2 for each in matrix.train])
    equal = dose[:, None] == dose
    other = ~np.eye(len(dice), dtype=bool)
    found = found_particles.correlations(dice, f1, matrix.train, matrix.test)
    for name, which in {"all": other, "equal": other & equal, "different": ~equal}.items():
        assert found[name] == pytest.approx(spearmanr(f1[which], dice[which]).statistic)
    one = np.flatnonzero(dose == 100)
    conditions = [matrix.train[k] for k in one]
    at = np.ix_(one, one)
    assert {*found_particles.correlations(dice[at], f1[at], conditions, conditions)} == {
        "all",
        "equal",
    }


def test_what_dice_loses_is_said_by_the_number_of_its_test_conditions(tested):
    (matrix,) = tested
    dice = matrix.metrics.dice.values
    f1 = matrix.metrics.instance_f1.values
    lost = [f1[:, j].max() - f1[dice[:, j].argmax(), j] for j in range(len(f1))]
    np.testing.assert_allclose(found_particles.lost_by_dice(dice, f1), lost)
    missing = np.full((1, len(f1)), np.nan)
    both = (np.concatenate([missing, each]) for each in (dice, f1))
    np.testing.assert_allclose(found_particles.lost_by_dice(*both), lost)
    (sentence,) = found_particles.particles_sentences(tested)
    assert f"under {np.count_nonzero(lost)} of {len(f1)} test conditions" in sentence
    assert 0 < np.count_nonzero(lost) < len(f1)


def test_networks_without_a_head_have_no_row(tested):
    assert found_particles.particles_table(matrices(metrics=make_metrics(GRID)[0])) is None
    (matrix,) = tested
    plain = matrix.metrics.assign(instance_f1=matrix.metrics.instance_f1 * np.nan)
    one_of_two = [matrix, *matrices(metrics=plain.expand_dims([*GROUP]))]
    table = found_particles.particles_table(one_of_two)
    assert [row[0].split(": ")[0] for row in table.rows] == [matrix.label] * 3
    assert found_particles.particles_sentences(one_of_two)[0].startswith(
        f"{matrix.label}: over pairs"
    )


@pytest.mark.slow
def test_the_page_says_it_and_a_study_without_particles_has_the_same_bytes(tested, monkeypatch):
    whole = page.render(make_content(matrices=tested))
    assert found_particles.particles_sentences(tested)[0] in whole
    assert "error of their mean diameter" in whole
    before = page.render(make_content())
    assert "single particles" not in before
    template = text.source("report.html.j2")
    block = r"\{% if tables\.particles %\}\n.*?\{% endif %\}\n(?=\{\{ pictures)"
    older = re.sub(block, "", template, flags=re.S)
    assert len(older) < len(template)
    source = text.source
    monkeypatch.setattr(text, "source", lambda n: older if n == "report.html.j2" else source(n))
    assert page.render(make_content()) == before
