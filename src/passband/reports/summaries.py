"""Summaries of a study's results as Markdown, such as the output of ``passband table``."""

from collections.abc import Iterator, Sequence

import numpy as np

from passband.analysis.ood import SELECTIONS
from passband.matrices.matrix import Matrix
from passband.prediction.matrix.predicted_matrix import PredictedMatrix
from passband.reports import mixture_comparison
from passband.reports.markdown import mean_and_deviation, table
from passband.reports.means import of_rows
from passband.reports.predicted import level_rows, sentences
from passband.reports.unlearned import MARK, is_marked, sentence

#: Largest number of doses that have a row each, and number of rows for more doses.
_MOST_DOSES, _GROUPS_OF_DOSES = 12, 4


def ood(matrices: Sequence[Matrix]) -> str:
    """Return means over rows of the OOD metrics, see `means`, with a line for each dose.

    If there are more than 12 doses, each of four lines has training conditions of similar doses.

    The numbers after ± are standard deviations over training conditions (ddof = 1). For a single
    training condition, the standard deviation is left out. A dash means that there is no value. If
    there are several replicas, a line below the table compares the mean Dice out of distribution
    for different rules to choose one replica. Networks of mixtures have a separate table. If the
    matrices know which networks did not learn, rows with such networks have a mark, and a line says
    which they are.

    Args:
        matrices: All matrices of a study, with OOD metrics.
    """
    names = ["id", "ood", "worst", "gap_test"]
    remark = sentence(matrices)
    compared = mixture_comparison.text(matrices)
    matrices = [matrix.of_conditions() for matrix in matrices]
    rows = []
    for matrix in sorted(matrices, key=lambda matrix: matrix.name):
        cells = matrix.metrics
        networks = f"{matrix.name.specimens}, {matrix.architecture}"
        values = {name: cells[name].values for name in names[:3]}
        values["gap_test"] = of_rows(cells.gap_test)
        marked = is_marked(matrix)
        doses = np.array([condition.dose_e_per_A2 for condition in matrix.train])
        for label, chosen in _by_dose(doses):
            shown = (values[name][chosen] for name in names)
            means = [mean_and_deviation(v[np.isfinite(v)]) for v in shown]
            means[0] += f" {MARK}" * bool(marked[chosen].any())
            rows.append([networks, label, str(chosen.sum()), *means])
    text = table(["networks", "trained at", "conditions", *names], rows)
    parts = [text, f"{MARK} {remark}" if remark else "", _replicas(matrices), compared]
    return "\n\n".join(part for part in parts if part)


def _replicas(matrices: Sequence[Matrix]) -> str:
    """Return the mean Dice over pairs, see `means`, for each rule to choose a replica.

    A training condition counts if all its replicas have learned. Returns "" for single replicas.
    """
    cells = [matrix.metrics for matrix in matrices]
    if any("dice_oracle" not in each for each in cells):
        return ""
    learned = np.stack([~is_marked(matrix)[:, None] for matrix in matrices])
    counted = np.stack([(each.train != each.test).values for each in cells]) & learned
    means = []
    for name in ("dice", *SELECTIONS):
        M = np.stack([each[name].transpose("train", "test").values for each in cells])
        known = counted & np.isfinite(M)
        means.append(M.mean(where=known) if known.any() else np.nan)
    every, chosen, oracle = means
    if np.isnan(every):
        return ""
    return (
        f"Under other conditions, the mean Dice is {every:.3f} for all replicas, {chosen:.3f} for "
        f"the replicas with the lowest validation loss, and {oracle:.3f} for the replicas that are "
        "best under each test condition. The last value is an oracle: this choice uses the test "
        "results."
    )


def _by_dose(doses: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a label for each row of the table, and which training conditions belong to the row.

    With many doses, each of a few rows has conditions of similar doses.
    """
    different = np.unique(doses)
    if len(different) <= _MOST_DOSES:
        for dose in different:
            yield f"{dose:g} e/Å²", doses == dose
    else:
        for part in np.array_split(different, _GROUPS_OF_DOSES):
            chosen = (doses >= part[0]) & (doses <= part[-1])
            yield f"{part[0]:.4g} to {part[-1]:.4g} e/Å²", chosen
    yield "all doses", np.full(len(doses), True)


def prediction(predicted: Sequence[PredictedMatrix]) -> str:
    """Return scores of predicted Dice of levels left out, with a row for each axis and side.

    Sentences below the table say what is expected where there are no networks, how well the
    interaction of networks and tests is predicted, and how smooth Dice is. A dash means that there
    is no value; ``scaled`` are scaled parameters, and ``at most`` is what noise of replicas allows.
    """
    names = ["T(q)", "scaled", "at most"]
    head = ["matrix", "left out", "in", *(f"R², {name}" for name in names)]
    head += [*(f"interaction, {name}" for name in names), "RMSE / replica's σ"]
    rows = []
    for row in level_rows(predicted):
        values = (*row.r2, *row.interaction, row.rmse_replicas)
        shown = (f"{value:z.2f}" if np.isfinite(value) else "–" for value in values)
        rows.append([row.matrix, row.axis, row.end, *shown])
    return "\n\n".join([*([table(head, rows)] if rows else []), *sentences(predicted)])
