"""The sections of the pilot's page on predictions, from prediction.zarr; see docs/pilot.py."""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband.axes import MAIN_AXES
from passband.prediction.matrix import completion, cross_validation, prediction
from passband.prediction.matrix import models as predictors
from passband.prediction.matrix.matrices import predicted_matrices
from passband.reports import markdown, summaries

#: Thresholds for the prediction of held-out pairs from transfer functions.
GOAL_R2, GOAL_RHO, GOAL_DOSE, GOAL_COVERAGE = 0.85, 0.9, 0.6, 0.03
#: Features that are compared with the transfer functions. Distances between features of the
#: networks are not among them, since they need the network that is left out.
BASELINES = ("mean", "id", "raw", "spectral")
#: Axes whose levels are left out for the thresholds.
LENS = ("defocus_nm", "cs_um", "aperture_mrad")
COMBINED = predictors.COMBINED
_PROCESS = (
    "A Gaussian process on the profiles of both conditions (`process`) needs no features. The "
    "prediction `combined` is the weighted mean of `stacked` and `process`, whose weights are "
    "chosen on the inner folds too. "
)


def picture(name: str, words: str) -> list[str]:
    return [f"![{words}]({name}.png)", ""]


def table_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    return markdown.table(head, rows).splitlines()


def matrices(predicted: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """The predicted matrices with their names, own specimens first."""
    return sorted(predicted_matrices(predicted).items(), key=lambda one: "→" in one[0])


def scored(of: xr.Dataset, axis: str, end: str, features: str = "ctf") -> xr.Dataset | None:
    """The scores of the final prediction, each level of an axis left out in turn, or None.

    For features other than the transfer functions, the scores are those of the model `stacked`.
    """
    name = f"{axis}/{end}/{prediction.ALL}"
    if name not in of.part.values:
        return None
    model = prediction.headline(of) if features == "ctf" else predictors.STACKED
    return of.sel(part=name, features=features, model=model)


def predictions(predicted: xr.Dataset) -> list[str]:
    text = [
        "## Prediction of pairs never seen",
        "",
        "Groups of conditions, or whole levels of an axis, are left out as training conditions, as "
        "test conditions, or as both. Models fitted to the remaining pairs of conditions predict "
        "Dice for the pairs that were left out. The same models are used for every set of "
        "features: a monotonic additive model, gradient-boosted trees, the mean of a Gaussian "
        "process, and a weighted sum of these three (`stacked`). The weights of the sum "
        "`stacked` are chosen on inner folds, which leave out conditions in the same way as the "
        f"outer folds. {_PROCESS if COMBINED in predicted.model.values else ''}The intervals in "
        "parentheses are 95% bootstrap intervals, with training and test conditions as clusters.",
        "",
        summaries.prediction(predicted),
        "",
        "The next table shows R² of each model, if its features are the metrics of the transfer "
        "functions and the doses:",
        "",
    ]
    rows = []
    for name, of in matrices(predicted):
        for part in of.part.values[of.part_level.values == prediction.ALL]:
            one = of.sel(part=part, features="ctf")
            left = f"{one.part_axis.values}, {one.part_end.values}"
            rows.append([name, left, *(f"{float(one.r2.sel(model=m)):z.2f}" for m in one.model)])
    text += table_of(["matrix", "left out", *map(str, predicted.model.values)], rows)
    return [*text, "", *picture("prediction", "Prediction of pairs never seen"), *goals(predicted)]


def goals(predicted: xr.Dataset) -> list[str]:
    """Compare the scores of held-out pairs with thresholds."""
    rows = []
    for name, of in matrices(predicted):
        for axis in LENS:
            for end in cross_validation.SIDES:
                one = scored(of, axis, end)
                if one is None:
                    continue
                where = f"{MAIN_AXES[axis].label} left out, {end}"
                others = [f for f in map(str, of.features.values) if f in BASELINES]
                part = f"{axis}/{end}/{prediction.ALL}"
                low = {f: float(of.gain_interval.sel(features=f, part=part)[0]) for f in others}
                low = {f: v for f, v in low.items() if np.isfinite(v)}
                checks = [
                    (f"R² ≥ {GOAL_R2}", float(one.r2), one.r2 >= GOAL_R2),
                    (f"ρ ≥ {GOAL_RHO}", float(one.rho), one.rho >= GOAL_RHO),
                    (
                        f"R² ≥ {GOAL_DOSE} within pairs of doses",
                        float(one.r2_dose),
                        one.r2_dose >= GOAL_DOSE,
                    ),
                    (
                        "intervals cover 90% within 3 points",
                        float(one.coverage),
                        abs(one.coverage - predictors.COVERAGE) <= GOAL_COVERAGE,
                    ),
                ]
                if low:
                    least = min(low, key=low.get)
                    checks.append(
                        (
                            f"better than each baseline (closest: {least})",
                            low[least],
                            low[least] > 0,
                        )
                    )
                rows += [
                    [name, where, threshold, f"{value:z.3f}", "reached" if reached else "missed"]
                    for threshold, value, reached in checks
                ]
        if np.isfinite(of.reach):
            for hidden, words in completion.HIDDEN.items():
                half = of.completion.sel(share=0.5, hidden=hidden).isel(choice=slice(None, -1))
                ratio = float(half.mean() / of.reach)
                rows.append(
                    [
                        name,
                        f"half of the matrix, {words}",
                        "error at most that of another replica",
                        f"{ratio:.2f} times that",
                        "reached" if ratio <= 1 else "missed",
                    ]
                )
    if not rows:
        return []
    met = sum(row[-1] == "reached" for row in rows)
    return [
        "### Comparison with thresholds",
        "",
        f"{met} of {len(rows)} thresholds are reached. Baselines are predictions from other "
        "features than the transfer functions. In a row with “better than each baseline”, the "
        "result is for the closest baseline: the lower end of the interval of the difference of "
        "R².",
        "",
        *table_of(["matrix", "hidden", "threshold", "result", ""], rows),
    ]


def limits(predicted: xr.Dataset) -> list[str]:
    text = [
        "## Where predictions from transfer functions are not better",
        "",
        "Two sets of features are compared by the difference of their R². A set is called not "
        "better if the bootstrap interval of this difference includes 0 or is below 0.",
        "",
    ]
    for name, of in matrices(predicted):
        lines = []
        for f in map(str, of.features.values):
            if f == "ctf":
                continue
            whole = of.sel(features=f).isel(part=of.part_level.values == prediction.ALL)
            low = whole.gain_interval.sel(bound="low")
            weak = [
                f"{p.rsplit('/', 1)[0].replace('/', ', ')} ({float(whole.gain.sel(part=p)):+z.2f})"
                for p in whole.part.values
                if np.isfinite(low.sel(part=p)) and low.sel(part=p) <= 0
            ]
            if weak:
                lines.append(
                    "- With these parts of the grid left out, predictions from transfer functions "
                    f"are not better than predictions from `{f}` (the difference of R² is in "
                    f"parentheses): {'; '.join(weak)}."
                )
        levels = of.sel(features="ctf", model=prediction.headline(of))
        levels = levels.isel(part=of.part_level.values != prediction.ALL)
        order = np.argsort(levels.r2.values)[:3]
        lines.append(
            "- These levels of an axis, each left out in training, in testing or in both, have the "
            "lowest R² of all levels: "
            + "; ".join(
                f"{levels.part_axis.values[k]} {levels.part_level.values[k]}, "
                f"{levels.part_end.values[k]}, R² {levels.r2.values[k]:z.2f}"
                for k in order
            )
            + "."
        )
        most = np.abs(of.along_rho_dose).max("weight")
        weak = [f"`{m}`" for m in of.metric.values[(most < 0.3).values]]
        if weak:
            lines.append(
                "- These metrics have a rank correlation |ρ| below 0.3 with mean Dice for every "
                "weight of spatial frequencies, if only pairs with the same training dose and the "
                "same test dose are compared: "
                f"{', '.join(weak)}."
            )
        text += [f"**{name}.**", "", *lines, ""]
    return text[:-1]


def networks(predicted: xr.Dataset) -> list[str]:
    text = ["## What to train", ""]
    for name, of in matrices(predicted):
        size = min(4, of.sizes["size"])
        worth = {
            s: [float(of.design.sel(strategy=s, size=size, worth=w)) for w in ("worst", "mean")]
            for s in ("predicted", "coverage", "random", "true")
        }
        words = {
            "predicted": "by predicted Dice",
            "coverage": "by coverage",
            "random": "at random",
            "true": "by the true matrix (an upper bound)",
        }
        text += [
            f"**{name}.** {size} networks are chosen one after another. Under each test condition, "
            "the best of these networks is used. The table shows the lowest and the mean Dice of "
            "this best network over all test conditions:",
            "",
            *table_of(
                ["chosen", "lowest Dice", "mean Dice"],
                [[words[s], *(f"{v:.3f}" for v in worth[s])] for s in words],
            ),
            "",
        ]
        errors = []
        for share in of.share.values:
            at = of.completion.sel(share=share)
            random = at.isel(choice=slice(None, -1)).mean("choice")
            found = [at.sel(hidden="networks", choice="designed"), random.sel(hidden="networks")]
            found += [random.sel(hidden="cells")]
            errors.append([f"{share:.0%}", *(f"{float(value):.3f}" for value in found)])
        text += [
            "The next table shows the root mean square error of predicted Dice, if a part of the "
            "matrix is known. For a network that was not trained, Dice is predicted from networks "
            "with similar transfer functions. For a cell of the matrix that was not tested, Dice "
            "is predicted from the tested cells.",
            "",
            *table_of(
                [
                    "known",
                    "networks not trained, known networks far apart",
                    "networks not trained, known networks at random",
                    "cells not tested",
                ],
                errors,
            ),
        ]
        if np.isfinite(of.reach):
            text += [
                "",
                f"The error of another replica is {float(of.reach):.3f}. The error of another "
                "replica is the error if the Dice of one more replica is used as the prediction.",
            ]
        text.append("")
    return [*text, *picture("design", "What to train")][:-1]
