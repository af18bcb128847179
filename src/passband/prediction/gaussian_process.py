"""A Gaussian process of Dice over networks and test conditions, from the profiles of conditions.

The covariance of the Dice of two cells of the matrix is a product of a covariance of two networks
and a covariance of two test conditions, plus the noise of the cells:

    K = R ⊗ C + σ²I,    R = k + ρδ,    C = s²(k′ + κδ),

where k and k′ are factors over training conditions and test conditions, see
:mod:`passband.prediction.covariance`. Each factor is a kernel plus a constant. So the product
contains an effect of the training condition, an effect of the test condition, and their
interaction. The row noise ρ gives every network its own effect, also a network that shares its
training condition with another replica. The column noise κ is the effect of the test images.

The process is not one of Dice D itself, but of its logit, log((D + ε)/(1 − D + ε)), since Dice near
1 has a much smaller noise than Dice near 0.5. With ε = 0.02, the logit of Dice 0 and 1 is finite.
The module :mod:`passband.prediction.kronecker` solves the equations exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passband.analysis.profiles import Profiles
from passband.errors import PassbandError
from passband.prediction.covariance import PROFILES, Factor, Kernel
from passband.prediction.kronecker import Block, Solution, bounds
from passband.prediction.process_terms import Explained, Modes, Rows

#: ε of the logit of Dice.
_OFFSET = 0.02
#: Fewest training conditions and fewest test conditions of a fit.
FEWEST = 2
#: Largest number of cells without a value inside the fitted block, and the largest product of this
#: number and the block's number of cells, which limits the memory (240 MB for each array).
MISSING, MISSING_TIMES_CELLS = 1000, 3e7
#: The 95th percentile of the standard normal distribution. 90% lie within ± this number.
Z90 = 1.6448536269514722
#: Coverage of the intervals of expected Dice.
COVERAGE = 0.9
#: Standard deviation of the logit of Dice that is added one octave (a factor of 2) below the lowest
#: fitted dose; the variance grows linearly with the octaves. It was chosen after looking at the
#: twelve thousand networks with the lower doses left out, see docs/recommend.md.
BELOW_STD = 0.5
#: Number of conditions at which a factor of 1 for standard deviations has the same weight as the
#: errors of left-out conditions. The number was chosen after looking at two sets of 16 conditions:
#: intervals cover 95% of the microscopes inside the demo, and 81% of the pilot's conditions between
#: two values of each axis. Without left-out conditions, intervals would cover 99% and 91%.
_PRIOR_CONDITIONS = 8
#: Largest number of steps of the optimizer.
_STEPS = 60


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process that is fitted to the Dice of networks under test conditions; see `fit`.

    Attributes:
        theta: Natural logarithms of the parameters: those of the factor over training conditions,
            those of the factor over test conditions, ρ, κ, s² and σ².
        mean, deviation: Mean and standard deviation of the logit of the fitted Dice.
        inflation: Factors by which standard deviations are multiplied for new training conditions,
            and for new test conditions. They are computed from the errors of left-out conditions.
    """

    theta: np.ndarray
    mean: float
    deviation: float
    inflation: tuple[float, float]
    _block: Block
    _solution: Solution
    _rows: np.ndarray
    _networks: Profiles

    def predict(
        self, train: Profiles | None, test: Profiles | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected Dice of networks under test conditions, and standard deviations.

        Args:
            train: Profiles of the training conditions of networks that do not exist yet. With None,
                the networks are those of the rows of the fitted Dice. A network without any known
                Dice is predicted from its training condition, as a network that does not exist yet.
            test: Profiles of the test conditions, whose images differ from all fitted ones. With
                None, the test conditions are the fitted ones, with the same images.

        Returns:
            mean, std: (row, test) float64, the expected mean Dice, 0 to 1, and the standard
                deviation of the Dice that a test of this network would measure. The 90% interval of
                :meth:`interval` is 2·:data:`Z90` standard deviations wide.
        """
        expected, low, high = self.interval(train, test)
        return expected, (high - low) / (2 * Z90)

    def interval(
        self,
        train: Profiles | None,
        test: Profiles | None,
        edge: Profiles | None = None,
        octaves: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the expected Dice, and the ends of the 90% interval, see :meth:`predict`.

        90% of the values that a test of the network would measure are expected in the interval. The
        interval is not symmetric about the expected Dice.

        Args:
            train, test: See :meth:`predict`.
            edge: Profiles of the same test conditions at the nearest fitted dose. They are needed
                if a dose is below all fitted ones. There, Dice is at most that of the edge, and
                the lower end of the interval is further away, see :data:`BELOW_STD`.
            octaves: (test,), how far each dose is below all fitted ones, 0 for others.

        Returns:
            expected, low, high: (row, test) float64, Dice, 0 to 1.
        """
        mean, std = self._logits(train, test)
        downwards = std
        if edge is not None:
            at_edge, _ = self._logits(train, edge)
            mean = np.where(octaves > 0, np.minimum(mean, at_edge), mean)
            wider = np.sqrt(std**2 + BELOW_STD**2 * octaves)
            downwards = np.where(octaves > 0, wider, std)
        return tuple(_dice(x) for x in (mean, mean - Z90 * downwards, mean + Z90 * std))

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the Dice of fitted networks, each predicted from all other test conditions.

        The parameters of the process are those of the fit to all test conditions.

        Returns:
            (test,) of str: ids of the fitted test conditions.
            (row, test) float64: predicted Dice; NaN where the Dice is not known, and in rows
                without any Dice.
        """
        block = self._block
        predicted = np.full((len(self._rows), block.Y.shape[1]), np.nan)
        scaled = block.predicted_test(self._solution)
        predicted[self._rows >= 0] = _dice(self.mean + self.deviation * scaled)
        return block.test.fitted.ids, predicted

    def left_out_interval(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the Dice of :meth:`left_out`, and the ends of its 90% interval, (row, test) each.

        The factor of the standard deviations of a test condition, see :attr:`inflation`, is
        computed from the errors of the others.
        """
        block = self._block
        logits = np.full((3, *block.Y.shape), np.nan)
        tests = list(block.left_out_tests(self._solution))
        scaled = [error / np.sqrt(variance) for _, error, variance in tests]
        for j, (rows, error, variance) in enumerate(tests):
            of_others = np.concatenate([*scaled[:j], *scaled[j + 1 :]])
            factor = _inflation(of_others, len(tests) - 1)
            half = Z90 * factor * np.sqrt(variance)
            expected = block.Y[rows, j] - error
            logits[:, rows, j] = expected, expected - half, expected + half
        ends = np.full((3, len(self._rows), block.Y.shape[1]), np.nan)
        ends[:, self._rows >= 0] = _dice(self.mean + self.deviation * logits)
        return tuple(ends)

    def explained(self) -> Explained:
        """Return the parts of the prediction for fitted networks that a condition does not change.

        Networks without any known Dice are included, see :meth:`predict`.
        """
        block, s = self._block, self._solution
        _, of_test, (_, kappa, signal, noise) = block.split(self.theta)
        rows = self._all_rows()
        return Explained(
            tests=block.test.fitted.ids,
            parameters=of_test,
            dose=float(block.test.fitted.log_dose.mean()),
            weights=signal * rows.weights @ s.V.T,
            variance=rows.variance,
            H=rows.H if s.B is None else None,
            V=s.V,
            inflation=self._inflations,
            signal=signal,
            kappa=kappa,
            noise=noise,
        )

    def modes(self, train: Profiles, test: Profiles | None, replicas: int = 1) -> Modes:
        """Return what is unknown about networks of training conditions that were not fitted.

        The values of a network under the fitted test conditions are written in the basis of the
        eigenvectors of C. In this basis, the values of different modes are independent, if all
        cells are known. Cells without a value are treated as known.

        Args:
            train: Profiles of the training conditions, each condition once.
            test: Profiles of test conditions whose images differ from all fitted ones. With None,
                the test conditions are the fitted ones, with the same images.
            replicas: Number of networks of each condition. The values are means over these
                networks.
        """
        block, s = self._block, self._solution
        of_train, of_test, (rho, kappa, signal, noise) = block.split(self.theta)
        b = np.maximum(s.eigen[1], 1e-12)
        cross, variance = block.train.to(of_train, train)
        A = (cross * block.scale) @ s.U.vectors
        prior = Factor.of(train, block.train.kernel).covariance_about(of_train, block.train)
        prior[np.diag_indices_from(prior)] += rho / replicas
        weights = b**2 / (np.outer(s.eigen[0][: len(s.R)], b) + noise)
        covariance = np.stack(
            [k * prior - (A * w) @ A.T for k, w in zip(b, weights.T, strict=True)]
        )
        if test is None:
            return Modes(covariance, s.V**2, np.zeros((len(A), len(s.V))), noise / replicas)
        C, test_variance = block.test.to(of_test, test)
        E = signal * C @ s.V
        left = np.maximum(signal * (test_variance + kappa) - (E**2 / b).sum(1), 0)
        rest = np.outer(variance + rho / replicas, left)
        return Modes(covariance, (E / b) ** 2, rest, noise / replicas)

    def slopes(self, train: Profiles, test: Profiles | None) -> np.ndarray:
        """Return the derivative of Dice by the scaled logit in each cell, (row, test) float64.

        The derivative is taken at the expected Dice. It is multiplied by the factor of standard
        deviations for new training conditions, :attr:`inflation`.

        Args:
            train, test: See :meth:`modes`.
        """
        of_test = self._block.test.fitted if test is None else test
        mean, _ = self._logits(train, of_test)
        share = 1 / (1 + np.exp(-mean))
        inflation = self.inflation[0] if test is None else max(self.inflation)
        return inflation * self.deviation * (1 + 2 * _OFFSET) * share * (1 - share)

    def _logits(
        self, train: Profiles | None, test: Profiles | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of the logit of Dice, (row, test)."""
        if train is None:
            rows = self._all_rows()
            inflation = self._inflations[:, None]
        else:
            rows = self._new_rows(train)
            inflation = self.inflation[0]
        s = self._solution
        _, of_test, (_, kappa, signal, noise) = self._block.split(self.theta)
        if test is None:
            E = s.V * s.eigen[1]
            test_variance = np.diag(s.C)
        else:
            inflation = np.maximum(inflation, self.inflation[1])
            C, own_variance = self._block.test.to(of_test, test)
            E = signal * C @ s.V
            test_variance = signal * (own_variance + kappa)
        variance = np.outer(rows.variance, test_variance) + noise
        variance -= rows.H @ (E**2).T
        if s.B is not None:
            by_row = np.einsum("ra,uab->rub", rows.A, s.B, optimize=True)
            variance += np.stack([((part @ E.T) ** 2).sum(0) for part in by_row])
        std = self.deviation * np.sqrt(np.maximum(variance, 0)) * inflation
        return self.mean + self.deviation * rows.weights @ E.T, std

    @property
    def _inflations(self) -> np.ndarray:
        """The factor of standard deviations of each network for new test conditions, (row,)."""
        return np.where(self._rows >= 0, self.inflation[1], max(self.inflation))

    def _all_rows(self) -> Rows:
        """Return what is known about the networks of the rows of the fitted Dice."""
        fitted, lacking = self._fitted_rows(), np.flatnonzero(self._rows < 0)
        if not len(lacking):
            return fitted
        new = self._new_rows(self._networks[lacking])
        order = np.argsort(np.concatenate([np.flatnonzero(self._rows >= 0), lacking]))
        pairs = zip(fitted, new, strict=True)
        return Rows(
            *(known if known is None else np.concatenate([known, x])[order] for known, x in pairs)
        )

    def _fitted_rows(self) -> Rows:
        block, s = self._block, self._solution
        a = s.eigen[0][:, None]  # the eigenvalues of R, so that R·U = U·a
        variance = (np.diag(s.R) + block.split(self.theta)[2][0])[block.group]
        A = None if s.B is None else s.U.rows(np.arange(len(variance))) * a.T
        return Rows(variance, s.U.values(a * s.weights), s.U.sums_of_squares(a**2 / s.D), A)

    def _new_rows(self, train: Profiles) -> Rows:
        """Return what is known about networks that were not fitted, with training profiles."""
        block, s = self._block, self._solution
        of_train, _, (rho, *_) = block.split(self.theta)
        R, variance = block.train.to(of_train, train)
        # The covariances are the same for all replicas, so that contrasts contribute nothing.
        A, first = (R * block.scale) @ s.U.vectors, len(s.R)
        rows = variance + rho, A @ s.weights[:first], A**2 @ (1 / s.D[:first])
        return Rows(*rows, None if s.B is None else np.pad(A, ((0, 0), (0, len(s.D) - first))))


def fit(
    Y: np.ndarray,
    train: Profiles,
    test: Profiles,
    theta: np.ndarray | None = None,
    kernel: Kernel = PROFILES,
) -> GaussianProcess:
    """Fit a Gaussian process to the Dice of networks under test conditions.

    The parameters maximise the marginal likelihood times the prior. The result does not depend on
    the order of rows and columns beyond rounding.

    Args:
        Y: (row, test), mean Dice of each network, or of each training condition, under each test
            condition. NaN where there is no value. Rows and columns without any value are not used
            in the fit. If more cells lack a value than :data:`MISSING` allows, the columns and rows
            that lack most values are not used either.
        train: The profile of the training condition of each row. Rows with the same condition are
            replicas.
        test: The profile of the test condition of each column.
        theta: The parameters, if they are known from an earlier fit with the same kernel to the
            same data, or to a part of it. Then no optimizer runs.
        kernel: The distances between conditions, on both sides.

    Raises:
        PassbandError: If fewer than :data:`FEWEST` training conditions or test conditions have a
            value.
    """
    from threadpoolctl import threadpool_limits

    Y = np.asarray(Y, dtype=float)
    rows, columns = _fitted_block(np.isfinite(Y))
    ids, group = np.unique(train.ids[rows], return_inverse=True)
    if min(len(ids), len(columns)) < FEWEST:
        raise PassbandError(
            f"{len(ids)} training and {len(columns)} test conditions with results: a prediction "
            f"needs at least {FEWEST} of each"
        )
    first = rows[np.unique(group, return_index=True)[1]]
    values = _logit(Y[np.ix_(rows, columns)])
    mean, deviation = float(np.nanmean(values)), max(float(np.nanstd(values)), 1e-3)
    scaled = (values - mean) / deviation
    unknown = np.array(np.nonzero(~np.isfinite(scaled)))
    block = Block(
        np.where(np.isfinite(scaled), scaled, 0.0),
        unknown,
        group,
        Factor.of(train[first], kernel),
        Factor.of(test[columns], kernel),
    )
    # The matrices are small. If other programs run, threads wait for each other for longer than one
    # thread computes.
    with threadpool_limits(1):
        theta = _optimum(block) if theta is None else theta
        solution = block.solve(theta)
        inflation = (
            _inflation(block.left_out_train(solution), len(ids)),
            _inflation(block.left_out_test(solution), len(columns)),
        )
    place = np.full(len(Y), -1)
    place[rows] = np.arange(len(rows))
    return GaussianProcess(theta, mean, deviation, inflation, block, solution, place, train)


def parse_parameters(values: Sequence[float], kernel: Kernel = PROFILES) -> np.ndarray:
    """Return the parameters `theta` of an earlier fit, from a list of numbers.

    Raises:
        ValueError, TypeError: If no fit with the kernel can have these parameters.
    """
    theta = np.array(values, dtype=float)
    within = bounds(kernel, kernel)
    if theta.shape != within.shape[:1]:
        raise ValueError(f"{theta.size} parameters, not {len(within)}")
    if not ((theta >= within[:, 0]) & (theta <= within[:, 1])).all():
        raise ValueError("a parameter is outside the bounds of a fit")
    return theta


def _optimum(block: Block) -> np.ndarray:
    from scipy.optimize import minimize

    options = {"maxiter": _STEPS, "ftol": 1e-6, "gtol": 1e-3}
    mean, _ = block.prior
    within = bounds(block.train.kernel, block.test.kernel)
    found = minimize(
        block.objective, mean, jac=True, method="L-BFGS-B", bounds=within, options=options
    )
    return found.x


def _inflation(errors: np.ndarray, conditions: int) -> float:
    """Return the factor of standard deviations for new conditions.

    With many conditions, the factor is such that 90% of the standardized errors of left-out
    conditions are within ± Z90.
    """
    measured = np.quantile(np.abs(errors), 0.9) / Z90 if len(errors) else 1.0
    weight = (_PRIOR_CONDITIONS / conditions) ** 2
    return float((measured + weight) / (1 + weight))


def _fitted_block(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the columns that the fit uses, in ascending order."""
    rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
    while True:
        lacking = ~known[np.ix_(rows, columns)]
        number = lacking.sum()
        if number <= MISSING and number * lacking.size <= MISSING_TIMES_CELLS:
            return rows, columns
        by_row, by_column = lacking.mean(1), lacking.mean(0)
        if by_column.max() >= by_row.max():
            columns = np.delete(columns, by_column.argmax())
        else:
            rows = np.delete(rows, by_row.argmax())


def _logit(dice: np.ndarray) -> np.ndarray:
    return np.log(dice + _OFFSET) - np.log(1 - dice + _OFFSET)


def _dice(logit: np.ndarray) -> np.ndarray:
    """Return the Dice, 0 to 1, of logits."""
    share = 1 / (1 + np.exp(-logit))
    return np.clip((1 + 2 * _OFFSET) * share - _OFFSET, 0, 1)
