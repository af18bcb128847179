"""What a fitted process knows, as terms of its predictions.

See :mod:`passband.prediction.gaussian_process`.
"""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """What the fitted Dice say about networks, see :class:`Explained`.

    `variance` (row,) is the variance of each network's factor. The covariances of the networks with
    the fitted networks are A (row, a) in the basis of eigenvectors. `weights` (row, b) are A times
    the weights of the solution, and H (row, b) is A² D⁻¹. `A` is None if all cells are known.
    """

    variance: np.ndarray
    weights: np.ndarray
    H: np.ndarray
    A: np.ndarray | None


class Modes(NamedTuple):
    """What is unknown about networks of training conditions, see `GaussianProcess.modes`.

    The variance of the scaled logit of Dice in a cell is
    Σ_k projection_jk·covariance_kii + rest_ij + noise.

    Attributes:
        covariance: (mode, condition, condition), covariance of the values of each mode between the
            training conditions.
        projection: (test, mode), squared contribution of each mode to each test condition.
        rest: (condition, test), variance of each cell that no further network reduces.
        noise: Variance of the noise of a tested cell.
    """

    covariance: np.ndarray
    projection: np.ndarray
    rest: np.ndarray
    noise: float


class Explained(NamedTuple):
    """The parts of a prediction that do not depend on the predicted condition x.

    With the covariances C(x, t) of x and the fitted test conditions t, the scaled logit of Dice has
    the mean Σ_t C(x, t)·weights_t and, if all cells are known, the variance
    variance·signal·(C(x, x) + kappa) + noise − Σ_b H_b·E_b², with E_b = signal·Σ_t C(x, t)·V_tb.

    Attributes:
        tests: (test,) of str, ids of the fitted test conditions.
        parameters: Natural logarithms of the parameters of C, see
            :mod:`passband.prediction.covariance`.
        dose: Mean decimal logarithm of the fitted test conditions' doses in e/Å².
        weights: (network, test), weights of the covariances.
        variance: (network,), variance of each network's factor.
        H: (network, b). There is no H if some cells are unknown; then the variance has a further
            part.
        V: (test, b), eigenvectors over the fitted test conditions.
        inflation: (network,), factor of the standard deviation.
        signal, kappa, noise: The parameters s², κ and σ².
    """

    tests: np.ndarray
    parameters: np.ndarray
    dose: float
    weights: np.ndarray
    variance: np.ndarray
    H: np.ndarray | None
    V: np.ndarray
    inflation: np.ndarray
    signal: float
    kappa: float
    noise: float
