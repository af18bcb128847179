"""Write the report of the pilot, docs/pilot: run it from the repository's root.

    python docs/pilot.py             # after studies/pilot.yaml and studies/specimens.yaml have run
    python docs/pilot.py RESULTS SPECIMENS FOLDER
    python docs/pilot.py --redraw    # only matrix.png, from ood.zarr.zip in docs/pilot

Every number in the text is computed here from the results of both studies. Sections without results
are left out.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr
from PIL import Image

from passband import PassbandError
from passband.analysis import specimen_shift as shifts
from passband.analysis.groups import GROUP, group_label, group_names, groups
from passband.config.analysis import Figures
from passband.config.materials import MATERIALS
from passband.figures import matrix, style
from passband.grid import MAIN_AXES
from passband.optics import ctf
from passband.prediction import completion, cross_validation, prediction
from passband.prediction import models as predictors
from passband.prediction.matrices import predicted_matrices
from passband.reports import markdown, summaries
from passband.reports.markdown import mean_and_deviation
from passband.storage import datasets

#: Thresholds for the prediction of held-out pairs from transfer functions.
GOAL_R2, GOAL_RHO, GOAL_DOSE, GOAL_COVERAGE = 0.85, 0.9, 0.6, 0.03
#: Features that are compared with the transfer functions. Distances between features of the
#: networks are not among them, since they need the network that is left out.
BASELINES = ("mean", "id", "raw", "spectral")
#: Axes whose levels are left out for the thresholds.
LENS = ("defocus_nm", "cs_um", "aperture_mrad")
FIGURES = ("matrix", "prediction", "smoothness", "design")
COLOURS = 256
COMBINED = predictors.COMBINED
_PROCESS = (
    "A Gaussian process on the profiles of both conditions (`process`) needs no features. The "
    "prediction `combined` is the weighted mean of `stacked` and `process`, whose weights are "
    "chosen on the inner folds too. "
)


def account(results: Path, specimens: Path) -> str:
    """Return a report on a finished study, and on a study of several specimens, as Markdown."""
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    with datasets.open_checked(results / "table.zarr", datasets.TABLE) as table:
        replicas = table.dice.load()
    path = results / "prediction.zarr"
    predicted = datasets.read(path, datasets.PREDICTION) if path.exists() else None
    sections = [what_was_run(metrics, replicas, results)]
    if predicted is not None:
        sections.append(claims(metrics, replicas, predicted))
    sections += [distribution(metrics, replicas), by_level(metrics, predicted)]
    if predicted is not None:
        sections += [predictions(predicted), limits(predicted), networks(predicted)]
    sections.append(structure(metrics))
    if (specimens / "distances.zarr").exists():
        sections.append(structures(specimens))
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def picture(name: str, words: str) -> list[str]:
    return [f"![{words}]({name}.png)", ""]


def table_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    return markdown.table(head, rows).splitlines()


def what_was_run(metrics: xr.Dataset, replicas: xr.DataArray, results: Path) -> list[str]:
    study = json.loads(metrics.attrs["configuration"])
    axes = []
    for axis in MAIN_AXES.values():
        values = np.unique(metrics[f"train_{axis.name}"].values)
        axes.append([axis.label, ", ".join(f"{v:g}" for v in values), axis.unit])
    networks = int(replicas.isel(test_specimen=0, test=0).notnull().sum())
    cells = networks * metrics.sizes["test"] * metrics.sizes["test_specimen"]
    structures = study["study"]["structures"]
    text = [
        "# The pilot",
        "",
        f"*Passband {metrics.attrs['passband_version']}, git {metrics.attrs['git_revision']}, made "
        "these results.*",
        "",
        "`make pilot` computes every number and figure on this page from the study's results. "
        "`ood.zarr.zip` beside this page is the study's `ood.zarr` without the confidence "
        "intervals of single pairs of conditions; `python docs/pilot.py --redraw` draws the figure "
        "of the matrix from it. The other figures need all results of the study. "
        "[findings.md](../findings.md) summarises the results and their "
        "limits, and [metrics.md](../metrics.md) defines all terms.",
        "",
        "## The study",
        "",
        f"The study has {networks} networks: {metrics.sizes['train']} training conditions, "
        f"{replicas.sizes['replica']} replicas. Specimen: "
        f"{', '.join(map(str, metrics.specimen.values))}. Architecture: "
        f"{', '.join(map(str, metrics.architecture.values))}. Each network was trained on "
        f"{structures['train']} structures, and {structures['val']} more structures were used to "
        "choose the epoch whose weights are kept. Each network was tested under "
        f"{metrics.sizes['test']} conditions, on {structures['test']} structures of each test "
        f"specimen: {', '.join(map(str, metrics.test_specimen.values))}. In total, there are "
        f"{cells:,} results: one for each network, test condition and test specimen.",
        "",
        *table_of(["axis", "values", "unit"], axes),
    ]
    seconds = [
        float(line.split("\t")[0])
        for file in sorted((results / "benchmarks" / "train").rglob("*.tsv"))
        for line in file.read_text(encoding="utf-8").splitlines()[1:2]
    ]
    if seconds:
        text += ["", f"The train jobs took {sum(seconds) / 3600:.1f} hours in total."]
    return text


def claims(metrics: xr.Dataset, replicas: xr.DataArray, predicted: xr.Dataset) -> list[str]:
    """The paper's three claims."""
    text = ["## Three claims", ""]
    for name, of in matrices(predicted):
        own = replicas.sel({d: of[d].values for d in GROUP})
        M = own.mean("replica")
        other = (own.train != own.test).values
        between = float(M.where(other).std())
        text += [f"**{name}.**", ""]
        if own.sizes["replica"] > 1:
            share = float(of.noise) ** 2 / between**2
            text.append(
                "- *Networks are stable.* Between replicas, the standard deviation of mean Dice is "
                f"{float(of.noise):.3f} (ddof = 1, root mean square over all pairs of a training "
                "and a test condition). Between pairs of different conditions, the standard "
                f"deviation of mean Dice is {between:.3f}. So the random seed explains {share:.1%} "
                "of the variance of mean Dice. A prediction of the mean over replicas can be "
                "expected to reach an R² of at most "
                f"{1 - share / own.sizes['replica']:.3f}."
            )
        steps, bends = (
            [
                f"{MAIN_AXES[str(a)].label} {float(of[k].sel(along=a, step_end=e)):.3f} "
                f"({float(of[f'{k}_noise'].sel(along=a, step_end=e)):.3f} expected from noise)"
                for a in of.along.values
                for e in ["train"]
                if np.isfinite(of[k].sel(along=a, step_end=e))
            ]
            for k in ("step", "bend")
        )
        text.append(
            "- *Dice changes smoothly along the grid of conditions.* For two networks whose "
            "training conditions are neighbours along an axis of the grid, the mean difference of "
            f"Dice under the same test condition is: {'; '.join(steps)}. The mean deviation of a "
            "network's Dice from a straight line through the Dice of its two neighbours along an "
            f"axis is: {'; '.join(bends)}."
        )
        best = {}
        for kind in ("along_rho", "along_rho_dose"):
            values = of[kind].stack(which=("weight", "metric")).dropna("which")
            k = int(np.abs(values.values).argmax())
            weight, metric = values.which.values[k]
            low, high = of[f"{kind}_interval"].sel(weight=weight, metric=metric).values
            best[kind] = (
                f"`{metric}` (weight {weight}), ρ = {float(values[k]):z.2f} "
                f"({low:z.2f} to {high:z.2f})"
            )
        r2 = [
            f"{markdown.interval(part, 'r2')} with a level of {MAIN_AXES[axis].label} left out"
            for axis in LENS
            if (part := scored(of, axis, "both")) is not None
        ]
        text.append(
            "- *Transfer functions quantify the shift.* Over all pairs of different conditions, "
            "the metric with the strongest Spearman rank correlation with mean Dice is "
            f"{best['along_rho']}. Over pairs with the same training dose and the same test dose, "
            f"the metric with the strongest correlation is {best['along_rho_dose']}. Mean Dice is "
            "also predicted from all metrics and the doses, for pairs of conditions that no model "
            f"has seen in training or in testing. Predictions for pairs of "
            f"conditions that no model has seen have R² = {', '.join(r2)}."
        )
        text.append("")
    words = "Changes of Dice along the grid, and rank correlations with metrics"
    return [*text, *picture("smoothness", words)][:-1]


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


def distribution(metrics: xr.Dataset, replicas: xr.DataArray) -> list[str]:
    """Mean Dice in and out of distribution, with standard deviations over replicas."""
    text = [
        "## In and out of distribution",
        "",
        "The table shows the mean of Dice over all training conditions, ± the standard deviation "
        "of this mean between replicas (ddof = 1). The columns “worst” and “10th percentile” show "
        "the minimum and the 10th percentile of each network's Dice over its test conditions. A "
        "column such as “dose only” uses only the pairs of a training and a test condition that "
        "differ in this axis and in no other.",
        "",
    ]
    rows = []
    distance = metrics.near.notnull() & metrics.far.notnull()
    for _, own in groups(replicas):
        if own.isnull().all():
            continue
        train, test = own.train.values, own.test.values
        other = train[:, None] != test
        D = own.transpose("replica", "train", "test").values
        of = metrics.sel(group_names(own))
        out = np.where(other, D, np.nan)
        means = [np.nanmean(values, (1, 2)) for values in (np.where(~other, D, np.nan), out)]
        means += [np.nanmean(np.nanquantile(out, q, axis=2), axis=1) for q in (0, 0.1)]
        cells = [mean_and_deviation(mean) for mean in means]
        if distance.any():
            cells += [f"{float(of[n].mean()):.3f}" for n in ("near", "far")]
        alone = []
        for axis in MAIN_AXES:
            same = other.copy()
            for name in MAIN_AXES:
                equal = own[f"train_{name}"].values[:, None] == own[f"test_{name}"].values
                same &= ~equal if name == axis else equal
            mean = np.nanmean(np.where(same, D, np.nan), (1, 2)) if same.any() else np.empty(0)
            alone.append(mean_and_deviation(mean))
        rows.append([group_label(own), *cells, *alone])
    head = ["networks", "in distribution", "out of distribution", "worst", "10th percentile"]
    head += ["near", "far"] if distance.any() else []
    head += [f"{axis.label} only" for axis in MAIN_AXES.values()]
    text += table_of(head, rows)
    return [*text, "", *picture("matrix", "Every network under every condition")][:-1]


def by_level(metrics: xr.Dataset, predicted: xr.Dataset | None) -> list[str]:
    """Tables of mean Dice by an axis's level in training and in testing, one for each axis."""
    text = [
        "## Along each axis",
        "",
        "Each table below is for one axis of the grid of conditions. Each table shows mean Dice "
        "over all pairs of conditions with a given level of its axis in training (rows) and in "
        "testing (columns). The specimen is the same in training and in testing.",
    ]
    specimens = [s for s in metrics.specimen.values if s in metrics.test_specimen.values]
    own = xr.concat([metrics.dice.sel(specimen=s, test_specimen=s) for s in specimens], "specimen")
    for name, axis in MAIN_AXES.items():
        trained, tested = (metrics[f"{end}_{name}"] for end in ("train", "test"))
        head = [f"{axis.label} [{axis.unit}]", *(f"{b:g}" for b in np.unique(tested))]
        rows = []
        for a in np.unique(trained):
            means = [
                float(own.where((trained == a) & (tested == b)).mean()) for b in np.unique(tested)
            ]
            rows.append([f"**{a:g}**", *(f"{mean:.3f}" for mean in means)])
        if min(len(rows), len(head) - 1) > 1:
            text += ["", *table_of(head, rows)]
    text += fringes(metrics, predicted)
    return text


def fringes(metrics: xr.Dataset, predicted: xr.Dataset | None) -> list[str]:
    """Sentences about apertures that pass no lattice fringe of a specimen, if there are any."""
    study = json.loads(metrics.attrs["configuration"])
    wavelength = ctf.wavelength(1e3 * study["microscope"]["energy_kev"])
    apertures = np.unique(metrics.train_aperture_mrad.values)
    text = []
    for name in map(str, metrics.specimen.values):
        material = MATERIALS.get(study["specimens"].get(name, {}).get("material"))
        if material is None or material.structure != "fcc":
            continue
        spacing = material.lattice_A / 3**0.5
        angle = 1e3 * wavelength / spacing
        below = apertures[apertures < angle]
        if len(below):
            passing = ", ".join(f"{aperture:g}" for aperture in below)
            text += [
                "",
                f"The widest lattice spacing of {name}, {spacing:.2f} Å of its {{111}} planes, "
                f"scatters to {angle:.1f} mrad. So an aperture of {passing} mrad passes no lattice "
                "fringe.",
            ]
            if predicted is not None:
                of = predicted.sel(specimen=name, test_specimen=name, features="ctf")
                r2 = of.r2.sel(model=prediction.headline(of)).mean("architecture")
                levels = (of.part_axis == "aperture_mrad") & (of.part_end == "train")
                levels = levels & (of.part_level != prediction.ALL)
                each = ", ".join(
                    f"{float(value):z.2f} at {level} mrad"
                    for value, level in zip(r2[levels], of.part_level[levels].values, strict=True)
                )
                text[-1] += (
                    " If only one level of the aperture passes no lattice fringe, models fitted to "
                    "the other levels have not seen any network that was trained without lattice "
                    "fringes. The Dice of networks trained at one aperture is predicted from the "
                    f"networks of the other apertures: R² is {each}."
                )
    return text


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


def structure(metrics: xr.Dataset) -> list[str]:
    """Compare Dice on other test specimens with Dice on the specimen of the training."""
    rows = []
    for specimen in metrics.specimen.values:
        for architecture in metrics.architecture.values:
            at = {"specimen": specimen, "architecture": architecture}
            if specimen not in metrics.test_specimen.values:
                continue
            own = metrics.sel(at | {"test_specimen": specimen})
            for test in metrics.test_specimen.values:
                if (
                    test == specimen
                    or metrics.dice.sel(at | {"test_specimen": test}).isnull().all()
                ):
                    continue
                far = metrics.sel(at | {"test_specimen": test})
                same = own.train == own.test
                lost = own.dice - far.dice
                rows.append(
                    [
                        group_label(far),
                        f"{float(own.dice.where(same).mean()):.3f}",
                        f"{float(far.dice.where(same).mean()):.3f}",
                        f"{float(lost.mean()):z.3f} ± {float(lost.std()):z.3f}",
                        f"{float(xr.corr(own.dice, far.dice)) ** 2:.2f}",
                    ]
                )
    if not rows:
        return []
    head = ["networks", "training specimen, training condition"]
    head += ["test specimen, training condition"]
    head += ["loss over all pairs ± standard deviation", "r² between both matrices"]
    text = ["## Other test specimens", "", *table_of(head, rows)]
    return text


def structures(results: Path) -> list[str]:
    """Compare specimens that were each used for training and for testing."""
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    information = datasets.read(results / "information.zarr", datasets.INFORMATION)
    distances = datasets.read(results / "distances.zarr", datasets.DISTANCES)
    found = shifts.explained(metrics, information, distances)
    names = [str(name) for name in found.specimen.values]
    rows = [
        [name, *(f"{float(v):.3f}" for v in found.dice.sel(specimen=name, test_specimen=names))]
        for name in names
    ]
    share = found.share.sel(source="conditions")
    best = {}
    for shift in shifts.SHIFTS:
        rho = found.rho.sel(shift=shift).dropna("predictor")
        k = str(rho.predictor.values[int(np.argmax(rho.values))])
        low, high = found.rho_interval.sel(shift=shift, predictor=k).values
        best[shift] = f"`{k}`, ρ = {float(rho.max()):z.2f} ({low:z.2f} to {high:z.2f})"
    return [
        "## Structure out of distribution",
        "",
        "The results in this section are from another study, `studies/specimens.yaml`, with "
        f"{len(names)} specimens and {metrics.sizes['train']} conditions. Each specimen is used "
        "for training and for testing. The table shows mean Dice under equal training and test "
        "conditions, by training specimen (rows) and test specimen (columns):",
        "",
        *table_of(["", *names], rows),
        "",
        "The gap of a network, at equal doses, is the difference between its Dice and the Dice of "
        "a network that was trained on the test specimen under the test condition. The table shows "
        "Spearman's ρ of the gap with each predictor, and the shares of the gap's variance between "
        "conditions and between specimens. If the training condition and the test condition are "
        "equal, a metric of the two transfer functions differs between specimens only by its "
        "weight of spatial frequencies.",
        "",
        summaries.specimen_shift(found),
        "",
        f"If only the specimen differs, a function of both conditions explains at most "
        f"{max(float(share.sel(shift='structure')), 0):.0%} of the gap's variance. If only the "
        f"lens differs, a function of both conditions explains at most "
        f"{float(share.sel(shift='lens')):.0%} of the gap's variance. The best "
        f"predictor of the gap is {best['structure']}, if only the specimen differs; "
        f"{best['lens']}, if only the lens differs; and {best['both']}, if both differ.",
        "",
        *picture("structure", "Gaps between specimens, and their predictors"),
    ][:-1]


def shrink(source: Path, target: Path) -> None:
    few = Image.open(source).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    few.save(target, optimize=True)


def redraw(folder: Path) -> None:
    """Draw the matrix again, from the metrics beside the page. The results are not needed."""
    metrics = datasets.read(folder / "ood.zarr.zip", datasets.OOD)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "matrix.png"
        style.save(matrix.matrix(metrics, Figures().palette), [path], Figures().dpi)
        shrink(path, folder / "matrix.png")


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--redraw"]:
        redraw(Path(*arguments[1:] or ["docs/pilot"]))
        return 0
    given = (Path(argument) for argument in arguments)
    results = next(given, Path("results/pilot"))
    specimens = next(given, Path("results/specimens"))
    folder = next(given, Path("docs/pilot"))
    try:
        text = account(results, specimens)
        metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    except PassbandError as error:
        print(f"{error}; run `make run STUDY=studies/pilot.yaml` first", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    sources = [results / "figures" / f"{name}.png" for name in FIGURES]
    for source in [*sources, specimens / "figures" / "structure.png"]:
        if source.exists():
            shrink(source, folder / source.name)
        else:
            text = "\n".join(line for line in text.split("\n") if f"]({source.name})" not in line)
    few = metrics.drop_vars(
        n for n, v in metrics.items() if {"train", "test", "bound"} <= {*v.dims}
    )
    small = few.map(lambda v: v.astype("float32"), keep_attrs=True)
    datasets.write(small, folder / "ood.zarr.zip", datasets.OOD, metrics.attrs)
    (folder / "README.md").write_text(text, encoding="utf-8")
    size = (folder / "ood.zarr.zip").stat().st_size / 1e6
    print(f"{folder}/README.md, its figures, and ood.zarr.zip of {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
