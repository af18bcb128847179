"""The equations of the Gaussian process against a dense matrix over all cells."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import profiles_with_parameters
from scipy.optimize import check_grad

from passband.prediction.covariance import Factor, Kernel
from passband.prediction.kronecker import Block, bounds, prior


def apart(a, b):
    """Return the squared distances of x, (1, a, b)."""
    return ((a.parameters["x"][:, None] - b.parameters["x"]) ** 2)[None]


KERNEL = Kernel(("x",), (0.7,), apart)


def profiles(rng, number):
    """Return conditions with a place x and a dose."""
    x = rng.uniform(0, 2, number)
    return profiles_with_parameters({"x": x}, rng.uniform(2, 4, number))


@st.composite
def cases(draw, most_replicas=3, most_unknown=6):
    """Draw a block of networks and tests, some cells without a value, and parameters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = draw(st.lists(st.integers(1, most_replicas), min_size=2, max_size=4))
    group = rng.permutation(np.repeat(np.arange(len(numbers)), numbers))
    shape = len(group), draw(st.integers(2, 4))
    Y = rng.normal(size=shape)
    # Each row and each column keeps a value.
    free = np.argwhere((np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % shape[1]) != 0)
    free = free[(free[:, 0] > 0) | (free[:, 1] == 0)]
    chosen = rng.permutation(free)[: draw(st.integers(0, most_unknown))].T.reshape(2, -1)
    Y[tuple(chosen)] = 0.0
    factors = (Factor.of(profiles(rng, n), KERNEL) for n in (len(numbers), shape[1]))
    block = Block(Y, chosen, group, *factors)
    theta = block.prior[0] + rng.normal(0, 0.4, len(block.prior[0]))
    return SimpleNamespace(block=block, theta=theta, dense=Dense(block, theta))


class Dense:
    """The covariance of all cells as one matrix."""

    def __init__(self, block, theta):
        of_train, of_test, (rho, kappa, signal, noise) = block.split(theta)
        k, _ = block.train.covariance(of_train)
        c, _ = block.test.covariance(of_test)
        self.R = k[np.ix_(block.group, block.group)] + rho * np.eye(len(block.group))
        C = signal * (c + kappa * np.eye(len(c)))
        self.K = np.kron(self.R, C) + noise * np.eye(block.Y.size)
        self.y = block.Y.ravel()
        known = np.ones(block.Y.shape, dtype=bool)
        known[tuple(block.unknown)] = False
        self.known = known
        self.at = np.flatnonzero(known.ravel())

    def nll(self):
        K, y = self.K[np.ix_(self.at, self.at)], self.y[self.at]
        return (y @ np.linalg.solve(K, y) + np.linalg.slogdet(K)[1]) / 2

    def left_out(self, cells, combine=None):
        """Return errors and standard deviations of cells, predicted from the other known cells."""
        others = np.setdiff1d(self.at, cells)
        combine = np.eye(len(cells)) if combine is None else combine
        cross = combine @ self.K[np.ix_(cells, others)]
        inner = np.linalg.solve(self.K[np.ix_(others, others)], cross.T)
        variances = combine @ self.K[np.ix_(cells, cells)] @ combine.T - cross @ inner
        return combine @ self.y[cells] - inner.T @ self.y[others], np.sqrt(np.diag(variances))


@settings(max_examples=25, deadline=None)
@given(cases())
def test_the_basis_is_orthonormal_and_diagonalises_the_covariance_of_networks(case):
    solution = case.block.solve(case.theta)
    rows = len(case.block.group)
    U = solution.U.rows(np.arange(rows))
    np.testing.assert_allclose(U.T @ U, np.eye(rows), atol=1e-10)
    np.testing.assert_allclose((U * solution.eigen[0]) @ U.T, case.dense.R, atol=1e-8)
    x = np.arange(2.0 * rows).reshape(rows, 2)
    np.testing.assert_allclose(solution.U.coefficients(x), U.T @ x, atol=1e-10)
    np.testing.assert_allclose(solution.U.values(x), U @ x, atol=1e-10)
    np.testing.assert_allclose(solution.U.sums_of_squares(x), U**2 @ x, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(cases())
def test_likelihood_and_weights_are_those_of_the_dense_matrix(case):
    solution, dense = case.block.solve(case.theta), case.dense
    assert solution.nll == pytest.approx(dense.nll(), rel=1e-8, abs=1e-8)
    expected = np.zeros(case.block.Y.size)
    expected[dense.at] = np.linalg.solve(dense.K[np.ix_(dense.at, dense.at)], dense.y[dense.at])
    found = solution.U.values(solution.weights) @ solution.V.T
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-7)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(cases())
def test_the_gradient_is_that_of_differences(case):
    block = case.block
    error = check_grad(
        lambda theta: block.objective(theta)[0],
        lambda theta: block.objective(theta)[1],
        case.theta,
        epsilon=1e-6,
    )
    assert error < 1e-4 * (1 + np.linalg.norm(block.objective(case.theta)[1]))


@settings(max_examples=25, deadline=None)
@given(cases())
def test_a_test_condition_is_predicted_from_all_others(case):
    block, dense = case.block, case.dense
    solution = block.solve(case.theta)
    every, predicted = [], np.full(block.Y.shape, np.nan)
    for j in range(block.Y.shape[1]):
        rows = np.flatnonzero(dense.known[:, j])
        error, deviation = dense.left_out(rows * block.Y.shape[1] + j)
        every.append(error / deviation)
        predicted[rows, j] = block.Y[rows, j] - error
    np.testing.assert_allclose(
        block.left_out_test(solution), np.concatenate(every), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(block.predicted_test(solution), predicted, rtol=1e-6, atol=1e-7)


def left_out_train(case):
    """Return the standardized errors of means of replicas under tests that all of them have."""
    block, dense, every = case.block, case.dense, []
    tests = block.Y.shape[1]
    for condition in range(len(block.scale)):
        rows = np.flatnonzero(block.group == condition)
        here = np.flatnonzero(dense.known[rows].all(0))
        cells = (rows[:, None] * tests + here).ravel()
        combine = np.kron(np.full((1, len(rows)), 1 / len(rows)), np.eye(len(here)))
        error, deviation = dense.left_out(cells, combine)
        every.append(error / deviation)
    return np.concatenate(every)


@settings(max_examples=25, deadline=None)
@given(cases(most_unknown=0))
def test_a_training_condition_is_predicted_from_all_others(case):
    found = case.block.left_out_train(case.block.solve(case.theta))
    np.testing.assert_allclose(found, left_out_train(case), rtol=1e-6, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(cases(most_replicas=1))
def test_a_single_network_with_unknown_cells_is_predicted_from_all_others(case):
    found = case.block.left_out_train(case.block.solve(case.theta))
    np.testing.assert_allclose(found, left_out_train(case), rtol=1e-6, atol=1e-7)


def test_the_prior_has_the_parameters_of_both_factors_and_the_noise():
    mean, deviation = prior(KERNEL, KERNEL)
    np.testing.assert_allclose(np.exp(mean), [0.7, 0.3, 1, 0.7, 0.3, 1, 0.01, 0.01, 0.3, 0.02])
    np.testing.assert_allclose(deviation, [1, 1.5, 1.5, 1, 1.5, 1.5, 2, 2, 2, 2])
    np.testing.assert_allclose(bounds(KERNEL, KERNEL).mean(1), mean)
    np.testing.assert_allclose(np.ptp(bounds(KERNEL, KERNEL), axis=1), 10 * deviation)
