"""Equations of a Gaussian process with the covariance K = R ⊗ C + σ²I, solved by eigenvectors.

The factor R = k + ρδ is a covariance of networks, and C = s²(k′ + κδ) is a covariance of test
conditions, see :mod:`passband.prediction.covariance` for k and k′.

The eigenvectors of K are the products of the eigenvectors of R and of C. So the marginal likelihood
and the predictions are exact without a matrix over cells (Saatçi 2011, chapter 5). Cells without a
value are treated as unknown numbers with the joint distribution of all cells, which is exact too:
the inverse of the covariance of the known cells is P_kk − P_ku P_uu⁻¹ P_uk, where P = K⁻¹, and k
and u are the known and the unknown cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from passband.prediction.covariance import PRIOR_DEVIATION, PRIOR_MEAN, Factor

#: Prior of ρ, κ, s² and σ²: means and standard deviations of their natural logarithms, for
#: values that are scaled to a variance of 1.
_NOISE_MEAN, _NOISE_DEVIATION = np.log([0.01, 0.01, 0.3, 0.02]), np.full(4, 2.0)
MEAN = np.concatenate([PRIOR_MEAN, PRIOR_MEAN, _NOISE_MEAN])
DEVIATION = np.concatenate([PRIOR_DEVIATION, PRIOR_DEVIATION, _NOISE_DEVIATION])
N = len(PRIOR_MEAN)


@dataclass(frozen=True)
class Solution:
    """The solution of the linear equations of the Gaussian process for some parameters.

    The dimension `row` is that of the networks, and `a` and `b` are the eigenvectors of R and C.

    Attributes
    ----------
    U, V : (row, a) array, (test, b) array
        Eigenvectors of R and of C.
    R, C : (train, train) array, (test, test) array
        The factors, R without row noise, and C with s² and column noise.
    eigen : (a,) array, (b,) array
        Eigenvalues of R and of C.
    D : (a, b) array
        Eigenvalues of K.
    weights : (a, b) array
        The inverse of the known cells' covariance times their values y, in the basis of
        eigenvectors. Outside this basis, the weights of unknown cells are 0.
    B : (unknown, a, b) array, or None
        L⁻¹P_u in the basis of eigenvectors, where LLᵀ = P_uu. None if all cells are known.
    nll : float
        Negative logarithm of the marginal likelihood, without constants.
    """

    U: np.ndarray
    V: np.ndarray
    R: np.ndarray
    C: np.ndarray
    eigen: tuple[np.ndarray, np.ndarray]
    D: np.ndarray
    weights: np.ndarray
    B: np.ndarray | None
    nll: float


@dataclass
class Block:
    """The cells that the Gaussian process is fitted to, scaled to mean 0 and variance 1.

    Attributes
    ----------
    Y : (row, test) array
        Scaled logit of Dice, 0 where `unknown`.
    unknown : (2, cells) array
        Rows and columns of the cells without a value.
    group : (row,) int array
        The training condition of each network, as an index of the factor's conditions.
    train, test : Factor
        Factors over training conditions (each condition once) and over test conditions.
    contrasts : (row, row − train) array
        Orthonormal vectors over networks. The sum of a vector over the replicas of each training
        condition is 0. So the vectors are eigenvectors of R with the eigenvalue ρ.
    """

    Y: np.ndarray
    unknown: np.ndarray
    group: np.ndarray
    train: Factor
    test: Factor
    contrasts: np.ndarray = field(init=False)

    def __post_init__(self):
        n = np.bincount(self.group)
        self.scale = np.sqrt(n)
        self.contrasts = np.zeros((len(self.group), len(self.group) - len(n)))
        column = 0
        for g in np.flatnonzero(n > 1):
            rows = np.flatnonzero(self.group == g)
            for k in range(1, n[g]):  # Helmert's contrasts
                self.contrasts[rows[:k], column] = 1 / np.sqrt(k * (k + 1))
                self.contrasts[rows[k], column] = -np.sqrt(k / (k + 1))
                column += 1

    def solve(self, theta: np.ndarray) -> Solution:
        return self._solve(theta)[0]

    def objective(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the negative logarithm of likelihood × prior, and its gradient."""
        solution, R_slopes, C_slopes = self._solve(theta)
        z = (theta - MEAN) / DEVIATION
        gradient = self._gradient(theta, solution, R_slopes, C_slopes)
        return solution.nll + (z**2).sum() / 2, gradient + z / DEVIATION

    def _solve(self, theta: np.ndarray) -> tuple[Solution, list, list]:
        from scipy.linalg import cholesky, solve_triangular

        rho, kappa, signal, noise = np.exp(theta[2 * N :])
        R, R_slopes = self.train.covariance(theta[:N])
        C, C_slopes = self.test.covariance(theta[N : 2 * N])
        C = signal * (C + kappa * np.eye(len(C)))
        # The mean of the n replicas of a training condition, times √n, has the row noise ρ. So the
        # eigenvectors of R are those of a matrix over training conditions, and the contrasts.
        values, vectors = np.linalg.eigh(self.scale[:, None] * R * self.scale)
        a = np.concatenate([values, np.zeros(self.contrasts.shape[1])])
        a = np.maximum(a, 0) + rho
        b, V = np.linalg.eigh(C)
        b = np.maximum(b, 0)
        U = np.concatenate([(vectors / self.scale[:, None])[self.group], self.contrasts], axis=1)
        D = np.outer(a, b) + noise
        Y, B, logdet = self.Y, None, np.log(D).sum()
        i, j = self.unknown
        if len(i):
            W = (U[i][:, :, None] * V[j][:, None, :]).reshape(len(i), -1)
            P = W / D.ravel()
            L = cholesky(P @ W.T, lower=True)
            B = solve_triangular(L, P, lower=True)
            missed = B @ (U.T @ Y @ V).ravel()
            Y = Y.copy()
            Y[i, j] = -solve_triangular(L, missed, lower=True, trans="T")
            B = B.reshape(len(i), *D.shape)
            logdet += 2 * np.log(np.diag(L)).sum()
        rotated = U.T @ Y @ V
        weights = rotated / D
        nll = float((rotated * weights).sum() + logdet) / 2
        return Solution(U, V, R, C, (a, b), D, weights, B, nll), R_slopes, C_slopes

    def _gradient(
        self, theta: np.ndarray, s: Solution, R_slopes: list, C_slopes: list
    ) -> np.ndarray:
        """Return the gradient of the negative logarithm of the marginal likelihood."""
        rho, kappa, signal, noise = np.exp(theta[2 * N :])
        a, b = s.eigen
        # Derivatives by the elements of R and C, in the bases of their eigenvectors, and by σ².
        by_R = np.diag((b / s.D).sum(1)) - (s.weights * b) @ s.weights.T
        by_C = np.diag((a[:, None] / s.D).sum(0)) - (s.weights.T * a) @ s.weights
        by_noise = (1 / s.D).sum() - (s.weights**2).sum()
        if s.B is not None:
            x = (s.B * np.sqrt(b)).transpose(1, 0, 2).reshape(len(a), -1)
            by_R -= x @ x.T
            x = (s.B * np.sqrt(a)[:, None]).transpose(2, 0, 1).reshape(len(b), -1)
            by_C -= x @ x.T
            by_noise -= (s.B**2).sum()
        first = len(s.R)
        vectors = np.zeros_like(s.R)
        vectors[self.group] = s.U[:, :first]
        vectors *= (self.scale**2)[:, None]
        of_R = vectors @ by_R[:first, :first] @ vectors.T
        of_C = s.V @ by_C @ s.V.T
        gradient = [
            *(np.vdot(of_R, slope) for slope in R_slopes),
            *(signal * np.vdot(of_C, slope) for slope in C_slopes),
            rho * np.trace(by_R),
            signal * kappa * np.trace(of_C),
            np.vdot(of_C, s.C),
            noise * by_noise,
        ]
        return np.array(gradient) / 2

    def left_out_test(self, s: Solution) -> np.ndarray:
        """Return the standardized errors of test conditions, each predicted from all others.

        The errors are differences of known and predicted logits of single networks, divided by the
        predicted standard deviations (Rasmussen & Williams 2006, eqs. 5.10–5.12 for blocks).
        """
        return np.concatenate([e / np.sqrt(v) for _, e, v in self._left_out_test(s)])

    def predicted_test(self, s: Solution) -> np.ndarray:
        """Return the values of Y, each predicted from all other test conditions; NaN if unknown."""
        predicted = np.full(self.Y.shape, np.nan)
        for j, (here, error, _) in enumerate(self._left_out_test(s)):
            predicted[here, j] = self.Y[here, j] - error
        return predicted

    def _left_out_test(self, s: Solution) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield, for each test condition, the known rows, and their errors and variances."""
        weights = s.U @ s.weights @ s.V.T
        known = np.ones(self.Y.shape, dtype=bool)
        known[tuple(self.unknown)] = False
        for j, row in enumerate(s.V):
            eigen = (row**2 / s.D).sum(1)
            here = known[:, j]
            if s.B is None:
                error = s.U @ ((s.U.T @ weights[:, j]) / eigen)
                variance = s.U**2 @ (1 / eigen)
            else:
                P = (s.U[here] * eigen) @ s.U[here].T
                x = (s.B @ row) @ s.U[here].T
                inverse = np.linalg.inv(P - x.T @ x)
                error, variance = inverse @ weights[here, j], np.diag(inverse)
            yield here, error, variance

    def left_out_train(self, s: Solution) -> np.ndarray:
        """Return the standardized errors of training conditions, each predicted from all others.

        The errors are those of the means of replicas, under the test conditions in which all
        replicas have a value. Differences between the replicas of a condition are not left out.
        These differences are independent of the mean unless cells lack a value.
        """
        weights = s.U @ s.weights @ s.V.T
        means = np.zeros((len(self.Y), len(self.scale)))
        means[np.arange(len(self.group)), self.group] = 1 / self.scale[self.group]
        known = np.ones(self.Y.shape, dtype=bool)
        known[tuple(self.unknown)] = False
        errors = []
        for g, mean in enumerate(means.T):
            row = mean @ s.U
            P = (s.V * (row**2 / s.D.T).sum(1)) @ s.V.T
            if s.B is not None:
                x = np.einsum("uab,a->ub", s.B, row) @ s.V.T
                P -= x.T @ x
            here = known[self.group == g].all(0)
            inverse = np.linalg.inv(P[np.ix_(here, here)])
            errors.append(inverse @ (mean @ weights)[here] / np.sqrt(np.diag(inverse)))
        return np.concatenate(errors)
