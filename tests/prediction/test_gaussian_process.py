"""The Gaussian process against a dense one, its gradient, and what it predicts."""

import tracemalloc
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from passband import PassbandError
from passband.analysis.profiles import SAMPLES, profiles
from passband.analysis.spectra import flat_spectrum
from passband.axes import MAIN_AXES
from passband.config import Microscope, load
from passband.grid import Axes, Condition
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES, Factor, Kernel
from passband.prediction.gaussian_process import Z90, fit
from passband.storage import datasets

ROOT = Path(__file__).parents[2]

MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.3)
GRID = {
    "defocus_nm": [5, 12, 20],
    "cs_um": [1.2, 60],
    "aperture_mrad": [10, 18],
    "dose_e_per_A2": [100, 1000],
}
N = len(PROFILES.names) + 2
NUMBER = 2 * N + 4

ENDS = -3.8, 3.8  # within the logits of Dice 0 and 1


def profiled(chosen):
    return profiles(chosen, MICROSCOPE, 32, flat_spectrum(0.005))


@pytest.fixture(scope="module")
def grid():
    return profiled(Axes.main.conditions(GRID))


@pytest.fixture(scope="module")
def fine():
    """Conditions of a grid with small steps."""
    axes = {"defocus_nm": [5, 10, 15, 20], "aperture_mrad": [10, 14, 18]}
    return profiled(Axes.main.conditions(GRID | axes | {"dose_e_per_A2": [100, 316, 1000]}))


@pytest.fixture(scope="module")
def between():
    """Conditions between those of the grids."""
    random = np.random.default_rng(5)
    low, high = (np.array([f(v) for v in GRID.values()]) for f in (min, max))
    return profiled([Condition(*(low + u * (high - low))) for u in random.uniform(size=(40, 4))])


def smooth(train, test):
    """Return Dice (train, test) that is a smooth function of the conditions."""
    dose, aperture = (train.parameters[a] for a in ("dose_e_per_A2", "aperture_mrad"))
    x = np.stack([np.log10(dose), aperture / 10, train.parameters["defocus_nm"] / 15], -1)
    dose, aperture = (test.parameters[a] for a in ("dose_e_per_A2", "aperture_mrad"))
    y = np.stack([np.log10(dose), aperture / 10, test.parameters["defocus_nm"] / 15], -1)
    apart = ((x[:, None] - y) ** 2).sum(-1)
    return 0.2 + 0.5 * np.exp(-apart / 4) + 0.05 * y[:, 0]


def dense(process, Y, train, test, new_train, new_test):
    """Return mean and standard deviation of a Gaussian process without Kronecker products."""
    block = process._block
    of_train, of_test, (rho, kappa, signal, noise) = block.split(process.theta)
    known = np.isfinite(Y)
    columns = np.flatnonzero(known.any(0))
    i, j = np.nonzero(known)
    j_factor = np.searchsorted(columns, j)
    ids = np.unique(train.ids[known.any(1)])
    g = np.searchsorted(ids, train.ids)
    R = block.train.covariance(of_train)[0][np.ix_(g, g)] + rho * np.eye(len(g))
    C = signal * (block.test.covariance(of_test)[0] + kappa * np.eye(len(columns)))
    K = R[np.ix_(i, i)] * C[np.ix_(j_factor, j_factor)] + noise * np.eye(len(i))
    if new_train is None:
        R_new, own = R, np.diag(R)
    else:
        R_new, own = block.train.to(of_train, new_train)
        R_new, own = R_new[:, g], own + rho
    if new_test is None:
        C_new, own_test = C, np.diag(C)
    else:
        C_new, own_test = block.test.to(of_test, new_test)
        C_new, own_test = signal * C_new, signal * (own_test + kappa)
    cross = R_new[:, None, i] * C_new[None][:, :, j_factor]
    y = (gaussian_process._logit(Y[i, j]) - process.mean) / process.deviation
    mean = process.mean + process.deviation * cross @ np.linalg.solve(K, y)
    explained = np.einsum("abk,abk->ab", cross, np.linalg.solve(K, cross[..., None])[..., 0])
    return mean, process.deviation * np.sqrt(np.outer(own, own_test) + noise - explained)


@pytest.fixture(params=["complete", "replicas", "missing cells", "missing networks", "mixtures"])
def case(request, grid):
    """Dice of a few networks, with the profiles of rows and columns."""
    random = np.random.default_rng(0)
    rows = np.arange(0, 24, 3)
    if request.param in ("replicas", "missing cells"):
        rows = random.permutation([*rows, *rows[:4], rows[0]])  # one, two or three replicas
    train = grid[rows]
    test = grid[:24:4]
    Y = smooth(train, test) + 0.03 * random.normal(size=(len(rows), 6))
    Y += 0.03 * random.normal(size=(len(rows), 1))
    if request.param == "missing cells":
        Y[[1, 4, 4, 7], [2, 0, 5, 2]] = np.nan
    if request.param == "mixtures":  # two networks of the first
        names = train.ids.tolist()
        mixtures = ["a-00000000", "b-00000000", "a-00000000"]
        train = train.of([*names[:5], *mixtures])
    if request.param == "missing networks":
        Y[[0, 5]] = np.nan
        Y[:, 3] = np.nan
    return Y, train, test


def test_predictions_are_those_of_a_dense_gaussian_process(case, between):
    Y, train, test = case
    process = fit(Y, train, test)
    few = between[:5]
    known = np.isfinite(Y).any(1)
    mean, std = process._logits(None, few)
    expected = dense(process, Y[known], train[known], test, None, few)
    np.testing.assert_allclose(mean[known], expected[0], rtol=1e-6)
    np.testing.assert_allclose(std[known], process.inflation[1] * expected[1], rtol=1e-6)
    both = process._logits(few, test)
    expected = dense(process, Y[known], train[known], test, few, test)
    np.testing.assert_allclose(both[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(both[1], max(process.inflation) * expected[1], rtol=1e-6)
    same_images = process._logits(few, None)
    expected = dense(process, Y[known], train[known], test, few, None)
    np.testing.assert_allclose(same_images[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(same_images[1], process.inflation[0] * expected[1], rtol=1e-6)
    for found, z in zip(process.interval(few, test), (0, -Z90, Z90), strict=True):
        np.testing.assert_allclose(
            np.clip(gaussian_process._logit(found), *ENDS), np.clip(both[0] + z * both[1], *ENDS)
        )
    # A network without results is predicted from its training condition.
    if not known.all():
        new = process._logits(train[~known], few)
        np.testing.assert_allclose(np.stack([mean, std])[:, ~known], np.stack(new), rtol=1e-9)


def test_gradient_is_that_of_finite_differences(case):
    block = fit(*case)._block
    theta = block.prior[0] + 0.3 * np.random.default_rng(1).normal(size=NUMBER)
    gradient = block.objective(theta)[1]
    step = 1e-5 * np.eye(NUMBER)
    numeric = [(block.objective(theta + s)[0] - block.objective(theta - s)[0]) / 2e-5 for s in step]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5)


def lens_and_dose(a, b):
    """Return squared distances of two values of conditions."""
    places = ([of.parameters["defocus_nm"], of.log_dose] for of in (a, b))
    return np.stack([(x[:, None] - y) ** 2 for x, y in zip(*places, strict=True)])


@pytest.mark.slow
def test_other_distances_make_another_process(case, between):
    kernel = Kernel(("defocus", "dose"), (10.0, 0.3), lens_and_dose)
    process = fit(*case, kernel=kernel)
    block = process._block
    few = between[:5]
    assert len(process.theta) == 2 * 4 + 4
    theta = process.theta + 0.1
    steps = 1e-5 * np.eye(len(theta))
    numeric = [
        (block.objective(theta + step)[0] - block.objective(theta - step)[0]) / 2e-5
        for step in steps
    ]
    np.testing.assert_allclose(block.objective(theta)[1], numeric, rtol=1e-5, atol=1e-5)
    known = np.isfinite(case[0]).any(1)
    Y = case[0][known]
    train = case[1][known]
    test = case[2]
    expected = dense(process, Y, train, test, few, test)
    np.testing.assert_allclose(process._logits(few, test)[0], expected[0], rtol=1e-6)
    # What the distances do not see cannot matter.
    same = replace(few, T=0 * few.T, bits=0 * few.bits)
    np.testing.assert_array_equal(process.predict(same, test), process.predict(few, test))
    assert process.modes(few, None).covariance.shape == (len(block.test.dose), 5, 5)
    again = fit(*case, theta=process.theta, kernel=kernel)
    np.testing.assert_array_equal(again.predict(few, test), process.predict(few, test))


def test_errors_of_left_out_conditions_are_those_of_a_fit_without_them(case):
    Y, train, test = case
    process = fit(Y, train, test)
    known = np.isfinite(Y)
    Y, train, test = (
        Y[known.any(1)][:, known.any(0)],
        train[known.any(1)],
        test[known.any(0)],
    )
    expected, predicted = [], np.full(Y.shape, np.nan)
    deviation = np.full(Y.shape, np.nan)
    for j in range(Y.shape[1]):
        without = Y.copy()
        without[:, j] = np.nan
        here = np.isfinite(Y[:, j])
        kept = np.isfinite(without)
        block, theta = process._block, process.theta
        rho, kappa, signal, noise = np.exp(theta[2 * N :])
        g = np.searchsorted(np.unique(train.ids), train.ids)
        R = block.train.covariance(theta[:N])[0][np.ix_(g, g)] + rho * np.eye(len(g))
        C = signal * (block.test.covariance(theta[N : 2 * N])[0] + kappa * np.eye(Y.shape[1]))
        K = np.kron(R, C) + noise * np.eye(Y.size)
        y = (gaussian_process._logit(Y).ravel() - process.mean) / process.deviation
        k, o = np.flatnonzero(kept.ravel()), np.flatnonzero((np.isfinite(Y) & ~kept).ravel())
        inverse = np.linalg.inv(K[np.ix_(k, k)])
        error = y[o] - K[np.ix_(o, k)] @ inverse @ y[k]
        variance = np.diag(K[np.ix_(o, o)] - K[np.ix_(o, k)] @ inverse @ K[np.ix_(k, o)])
        assert len(error) == here.sum()
        expected.append(error / np.sqrt(variance))
        predicted[here, j] = process.mean + process.deviation * (y[o] - error)
        deviation[here, j] = process.deviation * np.sqrt(variance)
    tests, dice = process.left_out()
    assert tests.tolist() == test.ids.tolist()
    np.testing.assert_allclose(dice[known.any(1)], gaussian_process._dice(predicted), atol=1e-6)
    assert np.isnan(dice[~known.any(1)]).all()
    found = process._block.left_out_test(process._solution)
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-6, atol=1e-8)
    mean, low, high = process.left_out_interval()
    np.testing.assert_array_equal(mean, dice)
    others = [np.concatenate(expected[:j] + expected[j + 1 :]) for j in range(Y.shape[1])]
    half = deviation * Z90 * [gaussian_process._inflation(z, Y.shape[1] - 1) for z in others]
    for end, logit in ((low, predicted - half), (high, predicted + half)):
        np.testing.assert_allclose(end[known.any(1)], gaussian_process._dice(logit), atol=1e-6)


def test_explained_parts_give_the_prediction(case, between):
    process = fit(*case)
    parts = process.explained()
    C, own = process._block.test.to(parts.parameters, between)
    mean, std = process._logits(None, between)
    found = process.mean + process.deviation * parts.weights @ C.T
    np.testing.assert_allclose(found, mean, rtol=1e-8)
    E = parts.signal * C @ parts.V
    if parts.H is None:
        assert process._solution.B is not None
        return
    variance = np.outer(parts.variance, parts.signal * (own + parts.kappa)) + parts.noise
    variance -= parts.H @ (E**2).T
    expected = process.deviation * np.sqrt(variance) * parts.inflation[:, None]
    np.testing.assert_allclose(expected, std, rtol=1e-6)


@pytest.mark.slow
def test_order_of_rows_and_columns_does_not_matter(case, between):
    Y, train, test = case
    random = np.random.default_rng(2)
    rows, columns = random.permutation(len(Y)), random.permutation(Y.shape[1])
    few = between[:5]
    found = fit(Y, train, test).predict(None, few)
    other = fit(Y[np.ix_(rows, columns)], train[rows], test[columns]).predict(None, few)
    np.testing.assert_allclose(np.stack(found)[:, rows], np.stack(other), atol=2e-3)


def test_a_known_function_is_recovered_between_the_conditions(fine, between):
    process = fit(smooth(fine, fine), fine, fine)
    for train, true in ((None, smooth(fine, between)), (between, smooth(between, between))):
        mean, std = process.predict(train, between)
        assert np.abs(mean - true).mean() < 0.02
        assert 1 - ((mean - true) ** 2).mean() / true.var() > 0.5
        assert (std > 0).all()


@pytest.mark.slow
def test_intervals_have_their_coverage(fine, between):
    covered, halves = [], []
    for seed in range(3):
        random = np.random.default_rng(seed)
        networks = fine[random.choice(72, 24, replace=False)]
        networks = networks[np.repeat(np.arange(24), 2)]
        own = 0.04 * random.normal(size=(48, 1))
        Y, true = (
            smooth(networks, test) + own + 0.03 * random.normal(size=(48, len(test)))
            for test in (fine, between)
        )
        _, low, high = fit(Y, networks, fine).interval(None, between)
        covered.append((low <= true) & (true <= high))
        halves.append((high - low).mean() / 2)
    assert 0.85 < np.mean(covered) < 0.96
    assert np.mean(halves) < 0.08  # 1.645 × 0.03 is 0.049


def test_below_the_fitted_doses_the_lower_end_is_further_away_and_dice_is_capped(fine):
    """Dice rises towards low doses, which the process would continue."""
    process = fit(1.1 - smooth(fine, fine), fine, fine)
    doses = np.array([400.0, 50, 70.71])
    test, edge = (
        profiled([Condition(9, 20, 12, dose) for dose in each])
        for each in (doses, np.maximum(doses, 100))
    )
    octaves = np.log2(np.maximum(100 / doses, 1))
    plain = np.stack(process.interval(None, test))
    found = np.stack(process.interval(None, test, edge, octaves))
    np.testing.assert_array_equal(found[..., 0], plain[..., 0])  # inside, to the last digit
    at_edge = process.interval(None, edge)[0][:, 1:]
    assert (plain[0, :, 1:] > at_edge).any()
    np.testing.assert_allclose(found[0, :, 1:], np.minimum(plain[0, :, 1:], at_edge))
    mean, low, high = gaussian_process._logit(found[..., 1:])
    below, above = mean - low, high - mean
    added = np.sqrt(np.maximum((below / Z90) ** 2 - (above / Z90) ** 2, 0))
    np.testing.assert_allclose(added, 0.5 * np.sqrt([[1, 0.5]] * len(mean)), rtol=1e-3)


def test_with_few_conditions_intervals_are_wider(fine, grid, between):
    corners = grid[:24:3]
    wide, narrow = (fit(smooth(c, c), c, c).predict(None, between)[1] for c in (corners, fine))
    assert wide.mean() > 2 * narrow.mean()


def test_replicas_keep_their_own_effects(grid, between):
    networks = grid[np.repeat(np.arange(24), 2)]
    own = np.tile([0.05, -0.05], 24)[:, None]
    Y = smooth(networks, grid) + own
    mean, _ = fit(Y, networks, grid).predict(None, between)
    apart = mean[::2] - mean[1::2]
    assert apart.mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.slow
def test_a_mixture_is_predicted_between_tests_without_its_likeness_to_conditions(fine, between):
    """Its Dice depends on the dose, while that of other networks depends on all axes."""

    def mixed(test):
        return 0.6 + 0.1 * test.log_dose

    process = fit(np.vstack([smooth(fine, fine), mixed(fine)]), with_mixture(fine), fine)
    mean, low, high = process.interval(None, between)
    np.testing.assert_allclose(mean[-1], mixed(between), atol=0.02)
    assert ((low[-1] < mixed(between)) & (mixed(between) < high[-1])).mean() > 0.9
    alone = fit(smooth(fine, fine), fine, fine).predict(None, between)[0]
    np.testing.assert_allclose(mean[:-1], alone, atol=0.02)


def test_a_mixture_shares_only_the_constant_with_conditions(fine):
    factor, (prior, _) = Factor.of(with_mixture(fine)), PROFILES.prior
    matrix, _ = factor.covariance(prior)
    constant = np.exp(prior[-1])
    np.testing.assert_allclose(matrix[-1, :-1], constant)
    np.testing.assert_allclose(matrix[-1, -1], 1 + constant)
    np.testing.assert_array_equal(matrix[:-1, :-1], Factor.of(fine).covariance(prior)[0])
    cross, own = factor.to(prior, fine)
    np.testing.assert_allclose(cross[:, -1], constant)
    assert np.isfinite(own).all()


def with_mixture(train):
    """Return the profiles of training conditions and, at the end, that of a mixture."""
    return train.of([*train.ids, "all-1234abcd"])


def test_no_array_has_a_number_for_each_pair_of_networks(grid, between):
    """So the memory is enough for twelve thousand networks of 1,728 training conditions."""
    networks = grid[np.repeat(np.arange(24), 100)]
    random = np.random.default_rng(4)
    Y = smooth(networks, grid) + 0.03 * random.normal(size=(2400, 24))
    tracemalloc.start()
    theta = np.concatenate([*[PROFILES.prior[0]] * 2, np.log([0.01, 0.01, 0.3, 0.02])])
    process = fit(Y, networks, grid, theta=theta)
    process._block.objective(theta)
    process.interval(None, between)
    process.interval(between, grid)
    process.explained()
    process.left_out()
    process.modes(between, grid)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2400**2 * 8 / 2


@pytest.mark.parametrize("number", [2, 4])
def test_few_conditions_are_enough(number, grid, between):
    few = grid[np.linspace(0, 23, number).astype(int)]
    process = fit(smooth(few, few), few, few)
    mean, std = process.predict(None, between)
    assert ((mean >= 0) & (mean <= 1)).all()
    assert np.isfinite(std).all()
    # At the tested conditions, uncertainty is smaller than between them.
    assert process.predict(None, few)[1].mean() < std.mean()


def test_dice_without_variation_is_predicted(grid, between):
    mean, std = fit(np.full((24, 24), 0.8), grid, grid).predict(None, between)
    np.testing.assert_allclose(mean, 0.8, atol=1e-3)
    assert (std < 0.01).all()


def test_too_few_results_are_one_line(grid):
    Y = np.full((24, 24), np.nan)
    Y[0] = 0.5
    with pytest.raises(PassbandError, match=r"^1 training and 24 test conditions with results"):
        fit(Y, grid, grid)
    with pytest.raises(PassbandError, match=r"^0 training and 0 test conditions"):
        fit(np.full((24, 24), np.nan), grid, grid)


def test_sparse_columns_are_left_out_if_too_many_cells_are_missing(grid, monkeypatch):
    monkeypatch.setattr(gaussian_process, "MISSING", 30)
    Y = smooth(grid, grid)
    Y[1:, 3] = np.nan
    Y[:10, 5] = np.nan
    process = fit(Y, grid, grid)
    assert process._block.Y.shape == (24, 23)
    assert process._block.unknown.shape == (2, 10)


@pytest.mark.slow
def test_intervals_from_16_conditions_of_the_pilot_cover_most_conditions_between():
    # Each fit has two values of each axis of the pilot, and predicts the conditions between these.
    matrix = datasets.read(ROOT / "tests/data/pilot_ood.zarr.zip", datasets.OOD).dice
    matrix = matrix.sel(test_specimen="gold").squeeze().transpose("train", "test")
    every = [Condition.parse(id) for id in matrix.test.values]
    microscope = load(ROOT / "studies/pilot.yaml").microscope
    of_every = profiles(every, microscope, SAMPLES, flat_spectrum(0.005))
    axes = {axis: sorted({getattr(c, axis) for c in every}) for axis in MAIN_AXES}
    pairs = list(product(*(combinations(values, 2) for values in axes.values())))
    covered = []
    for pair in pairs[::9]:
        limits = dict(zip(MAIN_AXES, pair, strict=True))
        within = [all(a <= getattr(c, n) <= b for n, (a, b) in limits.items()) for c in every]
        corner = [all(getattr(c, n) in ends for n, ends in limits.items()) for c in every]
        between = np.flatnonzero(np.array(within) & ~np.array(corner))
        corner = np.flatnonzero(corner)
        known = of_every[corner]
        process = fit(matrix.values[np.ix_(corner, corner)], known, known)
        _, low, high = process.interval(None, of_every[between])
        true = matrix.values[np.ix_(corner, between)]
        covered.append(((low <= true) & (true <= high)).ravel())
    assert 0.75 <= np.concatenate(covered).mean() <= 0.95
