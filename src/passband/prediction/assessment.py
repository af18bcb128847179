"""All results of the stage `prediction`: predictions, smoothness, design and completion."""

from collections.abc import Callable, Iterable, Mapping

import xarray as xr

from passband.prediction import completion, design, prediction, smoothness


def assess(
    table: xr.Dataset,
    metrics: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None,
    profiles: Mapping[str, xr.Dataset],
    draws: int,
    confidence: float,
    seed: int,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return the results of all analyses of the Dice matrix in one data set.

    Args:
        table: The table of results, see :func:`passband.analysis.table.load`.
        metrics, information, distances, profiles, draws, confidence, seed, progress, threads: See
            :func:`passband.prediction.prediction.predict`.

    Returns:
        The variables of :func:`passband.prediction.prediction.predict`,
        :func:`passband.prediction.smoothness.monotonicity`,
        :func:`passband.prediction.smoothness.steps`, :func:`passband.prediction.design.design` and
        :func:`passband.prediction.completion.completion`.

    Raises:
        TooFewError: If all Dice matrices are too small, see
            :func:`passband.prediction.matrices.matrices`.
    """
    sampled = {"confidence": confidence, "seed": seed}
    predicted = prediction.predict(
        metrics,
        information,
        distances,
        draws,
        **sampled,
        progress=progress,
        threads=threads,
        profiles=profiles,
    )
    parts = [
        predicted,
        smoothness.monotonicity(metrics, information, draws, **sampled),
        smoothness.steps(table),
        design.design(metrics, information, predicted, seed),
        completion.completion(metrics, information, table.sizes["replica"], seed, progress),
    ]
    return xr.merge(parts, combine_attrs="drop")
