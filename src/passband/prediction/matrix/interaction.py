"""The interaction of networks and tests in a Dice matrix, and how well it is predicted.

A matrix Y (train, test) is the sum of four components that are orthogonal to each other,

    Y = H_r Y H_c + (I − H_r) Y H_c + H_r Y (I − H_c) + (I − H_r) Y (I − H_c):

what doses explain, the effects of networks and of tests, and their interaction, which says which
network suits which test. H_r and H_c project networks and tests on functions of their dose:
indicators if doses are levels, so that the interaction is Y, centred by network and by test within
pairs of doses; and 1, ℓ, ℓ² and ℓ³ of the logarithm ℓ of the dose if doses are random.
"""

import numpy as np

#: Fewest networks and fewest tests at a dose: effects take out most of the interaction of fewer.
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

Doses = tuple[np.ndarray, np.ndarray]


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


def components(Y: np.ndarray, doses: Doses) -> dict[str, np.ndarray]:
    """Return the four components of a matrix (train, test) without NaN, each (train, test).

    All components are NaN where too few conditions have the dose, see :func:`basis`.
    """
    bases = [basis(dose) for dose in doses]
    few = np.logical_or.outer(*(np.isnan(each).any(1) for each in bases))
    Q, P = map(np.nan_to_num, bases)
    by_test, by_network = Q @ (Q.T @ Y), (Y @ P) @ P.T
    both = (by_test @ P) @ P.T
    found = {
        "doses": both,
        "main_train": by_network - both,
        "main_test": by_test - both,
        "interaction": Y - by_network - by_test + both,
    }
    return {name: np.where(few, np.nan, component) for name, component in found.items()}


def noise(replicas: np.ndarray, doses: Doses) -> float:
    """Return the expected sum of squares of the interaction of the noise of means of replicas.

    Networks are independent, and one network's values under several tests are not. So deviations of
    replicas (train, replica, test) are projected on the tests' side, and 1 − (H_r)_ii of the noise
    of network i is left. A condition with a single replica has the mean noise of the others.
    """
    Q, P = map(basis, doses)
    rows, columns = np.isfinite(Q).all(1), np.isfinite(P).all(1)
    deviations, number = _deviations(replicas[rows][..., columns])
    deviations -= (deviations @ P[columns]) @ P[columns].T
    return float(_of_means(deviations, number) @ (1 - (Q[rows] ** 2).sum(1)))


def ceiling(replicas: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the sums over cells whose ratio is R² of Dice if the true means were predicted, (2,).

    Args:
        replicas, true: See :func:`scores`.
    """
    return np.array([_of_means(*_deviations(replicas)).sum(), _squares(true - true.mean())])


def scores(
    true: np.ndarray, predicted: np.ndarray, doses: Doses, replicas: np.ndarray
) -> dict[str, float]:
    """Return each of :data:`SCORES` of a predicted matrix, NaN where one is not defined.

    An R² of a component is 1 − Σ(that of the errors)²/Σ(that of the true matrix)².

    Args:
        true, predicted: (train, test), Dice without NaN.
        replicas: (train, replica, test), Dice whose mean is `true`, without replicas that have NaN.
    """
    return dict(zip(SCORES, pooled(squares(true, predicted, doses, replicas)[None]), strict=True))


def squares(
    true: np.ndarray, predicted: np.ndarray, doses: Doses, replicas: np.ndarray
) -> np.ndarray:
    """Return the sums over cells whose ratio each of :data:`SCORES` is, (scores, 2)."""
    error = true - predicted
    of_true = components(true, doses)
    of_error = components(error, doses)
    deviations, number = _deviations(replicas)
    degrees = np.maximum(number - 1, 0).sum() * true.shape[1]
    single = _squares(deviations) / degrees if deviations.any() else np.nan
    left = {"r2": _squares(error), "ceiling": noise(replicas, doses)}
    left |= {name: _squares(component) for name, component in of_error.items()}
    of_true |= {"r2": true - true.mean(), "ceiling": of_true["interaction"]}
    pairs = {name: (left[name], _squares(component)) for name, component in of_true.items()}
    # Without variance, a component has only rounding errors.
    pairs = {k: v if v[1] > 1e-20 * true.size else (np.nan, np.nan) for k, v in pairs.items()}
    pairs["rmse_replicas"] = left["r2"], error.size * single
    return np.array([pairs[name] for name in SCORES])


def pooled(several: np.ndarray) -> np.ndarray:
    """Return the scores (…, scores) of matrices together, from squares (matrix, …, scores, 2)."""
    there = np.isfinite(several).all(-1, keepdims=True)
    left, total = np.moveaxis(np.where(there, several, 0).sum(0), -1, 0)
    share = left / np.where(total > 0, total, np.nan)
    return np.where(np.array([*SCORES]) == "rmse_replicas", np.sqrt(share), 1 - share)


def _deviations(replicas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations from the mean over replicas, 0 if left out, and their numbers (train,)."""
    there = np.isfinite(replicas).all(2)
    number, values = there.sum(1), np.where(there[..., None], replicas, 0)
    means = values.sum(1, keepdims=True) / np.maximum(number, 1)[:, None, None]
    return np.where(there[..., None], values - means, 0), number


def _of_means(deviations: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return the expected sum of squares of the noise of each condition's mean over replicas."""
    several = number > 1
    if not several.any():
        return np.full(len(number), np.nan)
    squares = (deviations**2).sum((1, 2)) / np.where(several, number * (number - 1), np.nan)
    squares[~several] = squares[several].mean()
    return squares


def _squares(component: np.ndarray) -> float:
    return float(np.nansum(component**2))
