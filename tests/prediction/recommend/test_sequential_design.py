"""The choice of training conditions, compared with the exact Gaussian process on few cells."""

import numpy as np
import pytest
from matrices import make_metrics, make_profiles, matrix

from passband.grid import Axes, Condition, ordered
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES
from passband.prediction.recommend import sequential_design
from passband.prediction.recommend.sequential_design import (
    choose,
    thinned,
    unknown,
    untrained,
    values_between,
)

KNOWN = [0, 5, 10, 17, 23]
N = len(PROFILES.names) + 2


@pytest.fixture(scope="module")
def known():
    """A model of five of 24 networks, the profiles of all conditions, and the Dice."""
    metrics, _ = make_metrics(noise=0.01)
    profiles = make_profiles(metrics)["gold"]
    Y = matrix(metrics).dice.values
    model = gaussian_process.fit(Y[KNOWN], profiles[KNOWN], profiles)
    return model, profiles, Y


def is_trained(rows, number=24):
    return np.isin(np.arange(number), rows)


def exact(model, profiles, rows):
    """Return variances (row, test) of scaled logits with the given rows known, cell by cell."""
    rho, kappa, signal, noise = np.exp(model.theta[2 * N :])
    k, _ = model._block.train.to(model.theta[:N], profiles[KNOWN])
    from passband.prediction.covariance import Factor

    mean = model._block.train.fitted.log_dose.mean()
    factor = Factor.of(profiles)
    dose = profiles.log_dose - mean
    R, _ = Factor(profiles, factor.squared, dose).covariance(model.theta[:N])
    np.testing.assert_allclose(R[np.ix_(KNOWN, KNOWN)], k, rtol=1e-10)
    R = R + rho * np.eye(len(R))
    C = Factor.of(profiles).covariance(model.theta[N : 2 * N])[0]
    C = signal * (C + kappa * np.eye(len(C)))
    K = np.kron(R, C)
    here = np.repeat(is_trained(rows), len(C))
    inverse = np.linalg.inv(K[np.ix_(here, here)] + noise * np.eye(here.sum()))
    cross = K[:, here]
    variance = np.diag(K) - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    return variance.reshape(len(R), len(C)), noise


def test_the_expected_error_is_the_exact_one_before_and_after_each_choice(known, monkeypatch):
    monkeypatch.setattr(sequential_design, "MOST_MODES", 1000)
    model, profiles, _ = known
    slopes = model.slopes(profiles, None) ** 2
    places, errors = choose([unknown(model, profiles, is_trained(KNOWN))], 3)
    for number, error in enumerate(errors):
        rows = [*KNOWN, *places[:number]]
        variance, noise = exact(model, profiles, rows)
        hidden = ~is_trained(rows)
        expected = np.sqrt((slopes * (variance + noise))[hidden].mean())
        assert error == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_each_choice_is_the_one_that_reduces_the_variance_most(known, monkeypatch):
    monkeypatch.setattr(sequential_design, "MOST_MODES", 1000)
    model, profiles, _ = known
    slopes = model.slopes(profiles, None) ** 2
    places, _ = choose([unknown(model, profiles, is_trained(KNOWN))], 2)
    rows = list(KNOWN)
    for place in places:
        hidden = np.flatnonzero(~is_trained(rows))
        before, _ = exact(model, profiles, rows)
        gains = {}
        for row in hidden:
            after, _ = exact(model, profiles, [*rows, row])
            gains[row] = (slopes * (before - after))[hidden].sum()
        assert gains[place] >= max(gains.values()) * (1 - 1e-4)
        rows.append(place)


def test_further_test_conditions_have_the_variance_of_the_model(known):
    """The variance of a cell is that of `predict`, for test conditions that were not fitted."""
    model, profiles, _ = known
    hidden = profiles[[1, 2, 3]]
    test = profiles[[4, 8]]
    modes = model.modes(hidden, test)
    variance = np.einsum("kii,jk->ij", modes.covariance, modes.projection)
    variance += modes.rest + modes.noise
    _, std = model._logits(hidden, test)
    expected = (std / model.deviation / max(model.inflation)) ** 2
    np.testing.assert_allclose(variance, expected, rtol=1e-6)


def test_chosen_conditions_are_neither_trained_nor_chosen_twice(known):
    model, profiles, _ = known
    part = unknown(model, profiles, is_trained(KNOWN))
    places, errors = choose([part], 100)
    assert sorted(places) == sorted(set(range(24)) - set(KNOWN))
    assert errors[-1] == 0
    assert len(errors) == 20
    assert choose([part], 100, until=errors[4])[0] == places[:4]


def test_more_replicas_leave_less_unknown(known):
    model, profiles, _ = known
    errors = [
        choose([unknown(model, profiles, is_trained(KNOWN), replicas=n)], 0)[1][0] for n in (1, 4)
    ]
    assert errors[0] > errors[1]


def test_a_group_in_which_a_condition_is_trained_does_not_count_it(known):
    model, profiles, _ = known
    parts = [unknown(model, profiles, is_trained(rows)) for rows in (KNOWN, range(23))]
    places, _ = choose(parts, 30)
    assert 23 in places
    assert len(places) == 20
    assert parts[1].weights[:, :23].max() == 0


def test_a_range_of_use_changes_the_choice(known):
    model, profiles, _ = known
    low = [k for k, id in enumerate(profiles.ids) if "df+0005" in str(id)]
    test = profiles[low]
    whole, _ = choose([unknown(model, profiles, is_trained(KNOWN))], 8)
    of_use, _ = choose([unknown(model, profiles, is_trained(KNOWN), test)], 8)
    assert whole != of_use


def test_cross_validation_uses_no_left_out_network(known):
    model, profiles, Y = known
    train = profiles[KNOWN]
    error = sequential_design.cross_validated(Y[KNOWN], train, profiles, model.theta, 0)
    assert 0.01 < error < 0.3
    # The order of networks does not matter, and two conditions are too few.
    turned = profiles[KNOWN[::-1]]
    assert sequential_design.cross_validated(
        Y[KNOWN[::-1]], turned, profiles, model.theta, 0
    ) == pytest.approx(error)
    few = profiles[KNOWN[:2]]
    assert np.isnan(sequential_design.cross_validated(Y[:2], few, profiles, model.theta, 0))


def test_between_neighbours_are_equal_steps_and_ratios_of_the_dose():
    ends = [Condition(0, 1.2, 10, 100), Condition(10, 1.2, 10, 10000)]
    assert values_between(ends, 1) == {
        "defocus_nm": [0, 5, 10],
        "cs_um": [1.2],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 1000, 10000],
    }
    assert values_between(ends, 0)["defocus_nm"] == [0, 10]


def test_between_has_the_study_s_further_axes():
    axes = Axes({"astigmatism_nm": 0.0})
    ends = [Condition(5, 1.2, 10, 100, f, axes) for f in ((), {"astigmatism_nm": 6})]
    values = values_between(ends, 1)
    assert values["astigmatism_nm"] == [0, 3, 6]
    found = untrained(ends, 1, (), 0)
    assert [dict(c.further).get("astigmatism_nm", 0) for c in found] == [0, 3, 6]


def test_candidates_of_a_small_product_are_all_that_are_not_trained():
    ends = [Condition(0, 1.2, 10, 100), Condition(10, 60, 10, 400)]
    every = Axes.main.conditions(values_between(ends, 1))
    trained = {every[3].id, every[7].id}
    found = untrained(ends, 1, trained, 0)
    assert found == [condition for condition in every if condition.id not in trained]
    assert len(found) == 25


def points(number, *further):
    """Return points that differ from each other along every axis."""
    values = np.arange(number)
    main = (values, 10 + values, 10 + values / 10, 100 + values)
    given = [tuple((name, float(k)) for name in further) for k in values]
    axes = Axes(dict.fromkeys(further, 0.0))
    return [Condition(*m, f, axes) for m, f in zip(zip(*main, strict=True), given, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("further", [(), ("astigmatism_nm", "coma_nm", "vibration_A")])
def test_candidates_of_many_points_are_drawn_without_their_product(further):
    """40 points on seven axes have 10¹³ combinations."""
    given = points(40, *further)
    axes = values_between(given, 1)
    assert min(map(len, axes.values())) == 79
    first = untrained(given, 1, {c.id for c in given}, 3)
    assert len(first) == len({*first}) == sequential_design.MOST_CANDIDATES
    assert first == ordered(first) == untrained(given, 1, (), 3)
    assert first != untrained(given, 1, (), 4)
    for name, values in axes.items():
        assert {c.value(name) for c in first} == set(values)
    # What is drawn and already trained is left out, and others are drawn in its place.
    trained = {condition.id for condition in first[::2]}
    others = untrained(given, 1, trained, 3)
    assert len(others) == len({*others}) == len(first)
    assert trained.isdisjoint(c.id for c in others)


def test_a_large_product_of_which_little_is_not_trained_ends(monkeypatch):
    monkeypatch.setattr(sequential_design, "MOST_COMBINATIONS", 10)
    known = points(3)
    every = Axes.main.conditions(values_between(known, 0))
    assert untrained(known, 0, {c.id for c in every[2:]}, 0) == every[:2]
    assert untrained(known, 0, {c.id for c in every}, 0) == []


def test_too_many_candidates_are_thinned_in_the_same_way(monkeypatch):
    monkeypatch.setattr(sequential_design, "MOST_CANDIDATES", 5)
    every = [Condition(k, 1.2, 10, 100) for k in range(20)]
    few = thinned(every, 1)
    assert len(few) == 5
    assert few == sorted(few) == thinned(every, 1)
    assert few != thinned(every, 2)
    assert thinned(every[:5], 1) == every[:5]
