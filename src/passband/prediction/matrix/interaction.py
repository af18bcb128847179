"""The interaction of networks and tests in a Dice matrix, and how well it is predicted.

A matrix Y (train, test) is the sum of four parts that are orthogonal to each other,

    Y = H_r Y H_c + (I − H_r) Y H_c + H_r Y (I − H_c) + (I − H_r) Y (I − H_c):

what the doses explain, the effect of the networks, the effect of the tests, and their interaction.
H_r and H_c project the networks and the tests on functions of their dose. These are indicators if
doses are levels; then the interaction is Y, centred by network and by test within each pair of
doses. For random doses, they are 1, ℓ, ℓ² and ℓ³, where ℓ is the logarithm of the dose.

Most of the variance of Dice is that of the doses and of both effects, which simple models predict
too. The interaction says which network suits which test.
"""

import numpy as np

#: Fewest networks and fewest tests at a dose. Most of the interaction of fewer conditions would be
#: taken out with their effects.
FEWEST = 10

#: Scores of a predicted matrix. The ceiling does not depend on the prediction.
SCORES: dict[str, str] = {
    "r2": "R² of predicted Dice",
    "interaction": "R² of the interaction of networks and tests at given doses",
    "ceiling": "R² of the interaction, if the true means over all replicas were predicted",
    "main_train": "R² of the effect of networks at given doses",
    "main_test": "R² of the effect of tests at given doses",
    "rmse_replicas": "RMSE of predicted Dice, in standard deviations of one replica's Dice",
}


def basis(dose: np.ndarray) -> np.ndarray:
    """Return orthonormal functions of the dose of conditions, (conditions, functions).

    Doses are levels if there are at most half as many doses as conditions. A condition at a level
    with fewer than :data:`FEWEST` conditions has NaN, as have fewer conditions with random doses.
    """
    levels, level, number = np.unique(dose, return_inverse=True, return_counts=True)
    if 2 * len(levels) <= len(dose):
        columns = (np.eye(len(levels)) / np.sqrt(number))[level]
        return np.where(number[level, None] < FEWEST, np.nan, columns)
    if len(dose) < FEWEST:
        return np.full((len(dose), 1), np.nan)
    x = np.log(dose)
    return np.linalg.qr(np.vander((x - x.mean()) / x.std(), 4))[0]


def parts(Y: np.ndarray, doses: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the four parts of a matrix, each (train, test); see the module.

    Args:
        Y: (train, test), without NaN.
        doses: (train,) and (test,), doses of both sides. Where too few conditions have a dose, all
            parts are NaN.
    """
    few, (Q, P) = _few(doses), (np.nan_to_num(basis(dose)) for dose in doses)
    by_test, by_network = Q @ (Q.T @ Y), (Y @ P) @ P.T
    both = (by_test @ P) @ P.T
    found = {
        "doses": both,
        "main_train": by_network - both,
        "main_test": by_test - both,
        "interaction": Y - by_network - by_test + both,
    }
    return {name: np.where(few, np.nan, part) for name, part in found.items()}


def noise(replicas: np.ndarray, doses: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the expected sum of squares of the interaction of the noise of means of replicas.

    Replicas are independent, and the values of a replica under several tests are not. So each
    replica's deviation is projected on the tests' side; a projection of the networks' side takes
    out the share 1 − (H_r)_ii of the noise of the network i.

    Args:
        replicas: (train, replica, test), Dice; NaN for a replica that is missing. A training
            condition with a single replica has the mean noise of the others. Without any replicas,
            the result is NaN.
    """
    Q, P = map(basis, doses)
    kept, columns = np.isfinite(Q).all(1), np.isfinite(P).all(1)
    deviations, number = _deviations(replicas[kept][..., columns])
    deviations -= (deviations @ P[columns]) @ P[columns].T
    several = number > 1
    if not several.any():
        return np.nan
    of_mean = (deviations**2).sum((1, 2))[several] / (number * (number - 1))[several]
    squares = np.full(len(number), of_mean.mean())
    squares[several] = of_mean
    return float(squares @ (1 - (Q[kept] ** 2).sum(1)))


def _deviations(replicas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations from the mean over replicas, and the number of replicas (train,).

    A replica without the Dice of all tests is not counted, and has the deviation 0.
    """
    there = np.isfinite(replicas).all(2)
    number = there.sum(1)
    values = np.where(there[..., None], replicas, 0)
    means = values.sum(1, keepdims=True) / np.maximum(number, 1)[:, None, None]
    return np.where(there[..., None], values - means, 0), number


def scores(
    true: np.ndarray,
    predicted: np.ndarray,
    doses: tuple[np.ndarray, np.ndarray],
    replicas: np.ndarray,
) -> dict[str, float]:
    """Return each of :data:`SCORES` of a predicted matrix, NaN where one is not defined.

    Args:
        true, predicted: (train, test), Dice, without NaN. Each R² is 1 − Σ(error)²/Σ(part)², for
            the part of the matrix that it names, and the same part of the errors.
        doses: See :func:`parts`.
        replicas: See :func:`noise`. The mean over replicas is `true`.
    """
    error = true - predicted
    of_true, of_error = parts(true, doses), parts(error, doses)
    deviations, number = _deviations(replicas)
    degrees = np.maximum(number - 1, 0).sum() * true.shape[1]
    single = _squares(deviations) / degrees if degrees else np.nan
    unexplained = {name: _share(_squares(of_error[name]), part) for name, part in of_true.items()}
    unexplained |= {
        "r2": _share(_squares(error), true - true.mean()),
        "ceiling": _share(noise(replicas, doses), of_true["interaction"]),
    }
    found = {name: 1 - share for name, share in unexplained.items()}
    found["rmse_replicas"] = float(np.sqrt(_squares(error) / error.size / single))
    return {name: found[name] for name in SCORES}


def _few(doses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return whether each cell (train, test) has too few conditions at a dose."""
    rows, columns = (np.isnan(basis(dose)).any(1) for dose in doses)
    return np.logical_or.outer(rows, columns)


def _squares(part: np.ndarray) -> float:
    return float(np.nansum(part**2))


def _share(squares: float, part: np.ndarray) -> float:
    """Return squares divided by those of a part; NaN if the part has no variance."""
    total = _squares(part)
    return squares / total if total > 1e-20 * part.size else np.nan
