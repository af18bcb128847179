"""Equations of a Gaussian process with the covariance K = R ⊗ C + σ²I, solved by eigenvectors.

The factor R = k + ρδ is a covariance of networks, and C = s²(k′ + κδ) is a covariance of test
conditions, see :mod:`passband.prediction.covariance` for k and k′.

The eigenvectors of K are the products of the eigenvectors of R and of C. So the marginal likelihood
and the predictions are exact without a matrix over cells (Saatçi 2011, chapter 5). Cells without a
value are treated as unknown numbers with the joint distribution of all cells, which is exact too:
the inverse of the covariance of the known cells is P_kk − P_ku P_uu⁻¹ P_uk, where P = K⁻¹, and k
and u are the known and the unknown cells.

The replicas of a training condition share their covariances with all other networks. So the
eigenvectors of R follow from those of a matrix over training conditions, see :class:`Basis`. If
all cells are known, no array has a dimension for each pair of networks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from passband.prediction.covariance import Factor, Kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Prior of ρ, κ, s² and σ²: means and standard deviations of their natural logarithms, for
#: values that are scaled to a variance of 1.
_NOISE_MEAN, _NOISE_DEVIATION = np.log([0.01, 0.01, 0.3, 0.02]), np.full(4, 2.0)


def prior(train: Kernel, test: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations of the parameters of a process with these kernels."""
    parts = train.prior, test.prior, (_NOISE_MEAN, _NOISE_DEVIATION)
    mean, deviation = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, deviation


def bounds(train: Kernel, test: Kernel) -> np.ndarray:
    """Return the lowest and the highest value of each parameter of a fit, (parameter, 2)."""
    mean, deviation = prior(train, test)
    return np.stack([mean - 5 * deviation, mean + 5 * deviation], axis=1)


@dataclass(frozen=True)
class Basis:
    """The orthonormal eigenvectors U of R, a (row, a) matrix that is not stored.

    A vector of the first kind has the same value for all replicas of a training condition. There is
    one for each training condition. A vector of the second kind, a contrast, has the sum 0 over the
    replicas of each training condition. So its eigenvalue is ρ. The contrasts come last in `a`.

    Attributes:
        means: (row, train) sparse, for each training condition, a vector with the value 1/√n for
            each of its n networks.
        vectors: (train, train), the vectors of the first kind, in the basis of `means`.
        contrasts: (row, row − train) sparse, the vectors of the second kind.
    """

    means: "csr_array"
    vectors: np.ndarray
    contrasts: "csr_array"

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """Return Uᵀ·values, (a, …), for (row, …) values."""
        first = self.vectors.T @ (self.means.T @ values)
        return np.concatenate([first, self.contrasts.T @ values])

    def values(self, coefficients: np.ndarray) -> np.ndarray:
        """Return U·coefficients, (row, …), for (a, …) coefficients."""
        first, rest = np.split(coefficients, [len(self.vectors)])
        return self.means @ (self.vectors @ first) + self.contrasts @ rest

    def sums_of_squares(self, coefficients: np.ndarray) -> np.ndarray:
        """Return U²·coefficients, (row, …), with the squares of the elements of U."""
        first, rest = np.split(coefficients, [len(self.vectors)])
        return self.means.power(2) @ (self.vectors**2 @ first) + self.contrasts.power(2) @ rest

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows of U as a dense array, (rows, a)."""
        return np.hstack([self.means[rows] @ self.vectors, self.contrasts[rows].toarray()])


@dataclass(frozen=True)
class Solution:
    """The solution of the linear equations of the Gaussian process for some parameters.

    The dimension `row` is that of the networks, and `a` and `b` are the eigenvectors of R and C.

    Attributes:
        U, V: Basis, (test, b), eigenvectors of R and of C.
        R, C: (train, train) and (test, test), the factors, R without row noise, and C with s² and
            column noise.
        eigen: (a,) and (b,), eigenvalues of R and of C.
        D: (a, b), eigenvalues of K.
        weights: (a, b), the inverse of the known cells' covariance times their values y, in the
            basis of eigenvectors. Outside this basis, the weights of unknown cells are 0.
        B: (unknown, a, b), L⁻¹P_u in the basis of eigenvectors, where LLᵀ = P_uu. None if all cells
            are known.
        nll: Negative logarithm of the marginal likelihood, without constants.
    """

    U: Basis
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

    Attributes:
        Y: (row, test), scaled logit of Dice, 0 where `unknown`.
        unknown: (2, cells), rows and columns of the cells without a value.
        group: (row,) int, the training condition of each network, as an index of the factor's
            conditions.
        train, test: Factors over training conditions (each condition once) and over test
            conditions, with the same or with different kernels.
        scale: (train,), √n for each training condition with n networks.
        means, contrasts: See :class:`Basis`.
    """

    Y: np.ndarray
    unknown: np.ndarray
    group: np.ndarray
    train: Factor
    test: Factor
    scale: np.ndarray = field(init=False)
    means: "csr_array" = field(init=False)
    contrasts: "csr_array" = field(init=False)

    def __post_init__(self):
        from scipy.sparse import csc_array, csr_array

        n, number = np.bincount(self.group), len(self.group)
        self.scale = np.sqrt(n)
        self.means = csr_array((1 / self.scale[self.group], (range(number), self.group)))
        columns = [  # Helmert's contrasts: the networks and the values of each column
            (own[: k + 1], np.append(np.ones(k), -k) / np.sqrt(k * (k + 1)))
            for own in np.split(np.argsort(self.group, kind="stable"), np.cumsum(n)[:-1])
            for k in range(1, len(own))
        ]
        rows, values = (
            np.concatenate([[], *part]) for part in zip(*columns, ([], []), strict=True)
        )
        starts = np.cumsum([0, *(len(own) for own, _ in columns)])
        self.contrasts = csc_array(
            (values, rows.astype(int), starts), (number, len(columns))
        ).tocsr()

    @property
    def prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of all parameters, see :meth:`split`."""
        return prior(self.train.kernel, self.test.kernel)

    def split(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the parameters of both factors, and ρ, κ, s² and σ² themselves."""
        train = len(self.train.kernel.names) + 2
        return theta[:train], theta[train:-4], np.exp(theta[-4:])

    def solve(self, theta: np.ndarray) -> Solution:
        return self._solve(theta)[0]

    def objective(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the negative logarithm of likelihood × prior, and its gradient."""
        solution, *slopes = self._solve(theta)
        mean, deviation = self.prior
        z = (theta - mean) / deviation
        gradient = self._gradient(theta, solution, *slopes)
        return solution.nll + (z**2).sum() / 2, gradient + z / deviation

    def _solve(self, theta: np.ndarray) -> tuple[Solution, np.ndarray, np.ndarray]:
        from scipy.linalg import cholesky, solve_triangular

        of_train, of_test, (rho, kappa, signal, noise) = self.split(theta)
        R, R_slope = self.train.covariance(of_train)
        C, C_slope = self.test.covariance(of_test)
        C = signal * (C + kappa * np.eye(len(C)))
        # The mean of the n replicas of a training condition, times √n, has the row noise ρ. So the
        # eigenvectors of R are those of a matrix over training conditions, and the contrasts.
        values, vectors = np.linalg.eigh(self.scale[:, None] * R * self.scale)
        a = np.concatenate([values, np.zeros(self.contrasts.shape[1])])
        a = np.maximum(a, 0) + rho
        b, V = np.linalg.eigh(C)
        b = np.maximum(b, 0)
        U = Basis(self.means, vectors, self.contrasts)
        D = np.outer(a, b) + noise
        Y, B, logdet = self.Y, None, np.log(D).sum()
        i, j = self.unknown
        if len(i):
            W = (U.rows(i)[:, :, None] * V[j][:, None, :]).reshape(len(i), -1)
            P = W / D.ravel()
            L = cholesky(P @ W.T, lower=True)
            B = solve_triangular(L, P, lower=True)
            missed = B @ U.coefficients(Y @ V).ravel()
            Y = Y.copy()
            Y[i, j] = -solve_triangular(L, missed, lower=True, trans="T")
            B = B.reshape(len(i), *D.shape)
            logdet += 2 * np.log(np.diag(L)).sum()
        rotated = U.coefficients(Y @ V)
        weights = rotated / D
        nll = float((rotated * weights).sum() + logdet) / 2
        return Solution(U, V, R, C, (a, b), D, weights, B, nll), R_slope, C_slope

    def _gradient(
        self, theta: np.ndarray, s: Solution, R_slope: np.ndarray, C_slope: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of the negative logarithm of the marginal likelihood."""
        of_train, of_test, (rho, kappa, signal, noise) = self.split(theta)
        a, b = s.eigen
        # Derivatives by the elements of R and C, by ρ, and by σ². The part of R without ρ depends
        # on the eigenvectors of the first kind alone. The derivative by its elements is a
        # difference, x·xᵀ − y·yᵀ, where y has few columns.
        first, inverses, square = len(s.R), 1 / s.D, s.weights**2
        by_rho = (inverses.sum(0) - square.sum(0)) @ b
        by_C = np.diag(a @ inverses) - (s.weights.T * a) @ s.weights
        by_noise = inverses.sum() - square.sum()
        columns = [s.weights[:first] * np.sqrt(b)]
        if s.B is not None:
            columns.append((s.B[:, :first] * np.sqrt(b)).transpose(1, 0, 2).reshape(first, -1))
            x = (s.B * np.sqrt(a)[:, None]).transpose(2, 0, 1).reshape(len(b), -1)
            by_C -= x @ x.T
            squares = s.B**2
            by_rho -= (squares.sum((0, 1)) * b).sum()
            by_noise -= squares.sum()
        vectors = s.U.vectors * self.scale[:, None]
        known = vectors @ np.concatenate(columns, 1)
        vectors *= np.sqrt(inverses[:first] @ b)
        of_R = vectors @ vectors.T
        of_R -= known @ known.T
        of_C = s.V @ by_C @ s.V.T
        gradient = [
            *self.train.gradient(of_train, R_slope, of_R),
            *signal * self.test.gradient(of_test, C_slope, of_C),
            rho * by_rho,
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
        return np.concatenate([e / np.sqrt(v) for _, e, v in self.left_out_tests(s)])

    def predicted_test(self, s: Solution) -> np.ndarray:
        """Return the values of Y, each predicted from all other test conditions; NaN if unknown."""
        predicted = np.full(self.Y.shape, np.nan)
        for j, (here, error, _) in enumerate(self.left_out_tests(s)):
            predicted[here, j] = self.Y[here, j] - error
        return predicted

    def left_out_tests(self, s: Solution) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield, for each test condition, the known rows, and their errors and variances.

        Each test condition is predicted from all others.
        """
        weights, inverses = s.weights @ s.V.T, (1 / s.D) @ (s.V**2).T
        if s.B is None:
            every = np.ones(len(self.Y), dtype=bool)
            errors, variances = s.U.values(weights / inverses), s.U.sums_of_squares(1 / inverses)
            yield from ((every, *both) for both in zip(errors.T, variances.T, strict=True))
            return
        U, known = s.U.rows(np.arange(len(self.Y))), self._known
        for j, row in enumerate(s.V):
            here = known[:, j]
            P = (U[here] * inverses[:, j]) @ U[here].T
            x = (s.B @ row) @ U[here].T
            inverse = np.linalg.inv(P - x.T @ x)
            yield here, inverse @ (U[here] @ weights[:, j]), np.diag(inverse)

    @property
    def _known(self) -> np.ndarray:
        """Whether each cell has a value, (row, test) bool."""
        known = np.ones(self.Y.shape, dtype=bool)
        known[tuple(self.unknown)] = False
        return known

    def left_out_train(self, s: Solution) -> np.ndarray:
        """Return the standardized errors of training conditions, each predicted from all others.

        The errors are those of the means of replicas, under the test conditions in which all
        replicas have a value. Differences between the replicas of a condition are not left out.
        These differences are independent of the mean unless cells lack a value.
        """
        first = len(s.R)
        weights = s.U.vectors @ s.weights[:first]
        inverses = s.U.vectors**2 @ (1 / s.D[:first])
        if s.B is None:
            return ((weights / inverses @ s.V.T) / np.sqrt((1 / inverses) @ (s.V**2).T)).ravel()
        whole, errors = self.means.T @ ~self._known == 0, []
        for here, own, inverse_eigen, vector in zip(
            whole, weights @ s.V.T, inverses, s.U.vectors, strict=True
        ):
            x = np.einsum("uab,a->ub", s.B[:, :first], vector) @ s.V.T
            P = (s.V * inverse_eigen) @ s.V.T - x.T @ x
            inverse = np.linalg.inv(P[np.ix_(here, here)])
            errors.append(inverse @ own[here] / np.sqrt(np.diag(inverse)))
        return np.concatenate(errors)
