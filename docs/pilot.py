"""Write the account of the pilot, docs/pilot: run it from the repository's root.

    python docs/pilot.py             # after studies/pilot.yaml and studies/specimens.yaml have run
    python docs/pilot.py RESULTS SPECIMENS FOLDER

Every number in the text is computed here from the results of both; what they do not have is left
out.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image

from passband import PassbandError, completion, ctf, holdout, prediction, predictors, store
from passband import structure as shifts
from passband.grid import AXES
from passband.materials import MATERIALS

#: The first is of the issue's goals: what held-out pairs are predicted by, from transfer functions.
GOAL_R2, GOAL_RHO, GOAL_DOSE, GOAL_COVERAGE = 0.85, 0.9, 0.6, 0.03
#: What transfer functions have to be better than. The distances in a network's own features are no
#: baselines: they ask the network that is left out.
BASELINES = ("mean", "id", "raw", "spectral")
#: Axes whose levels are left out for the goals.
LENS = ("defocus_nm", "cs_um", "aperture_mrad")
FIGURES = ("matrix", "prediction", "smoothness", "design")
COLOURS = 256


def account(results: Path, specimens: Path) -> str:
    """Return the account of a finished study as Markdown, and of one of several specimens."""
    metrics = store.read(results / "ood.zarr", store.OOD)
    with store.reading(results / "table.zarr", store.TABLE) as table:
        replicas = table.dice.load()
    path = results / "prediction.zarr"
    predicted = store.read(path, store.PREDICTION) if path.exists() else None
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
    head = list(head)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def what_was_run(metrics: xr.Dataset, replicas: xr.DataArray, results: Path) -> list[str]:
    study = json.loads(metrics.attrs["configuration"])
    axes = []
    for axis in AXES.values():
        values = np.unique(metrics[f"train_{axis.name}"].values)
        axes.append([axis.label, ", ".join(f"{v:g}" for v in values), axis.unit])
    networks = int(replicas.isel(test_specimen=0, test=0).notnull().sum())
    cells = networks * metrics.sizes["test"] * metrics.sizes["test_specimen"]
    structures = study["study"]["structures"]
    text = [
        "# The pilot",
        "",
        "Every number and figure on this page is computed from the study's results by "
        "`make pilot`. Nothing is entered by hand. `ood.zarr.zip` beside it has the study's "
        "`ood.zarr` but for the intervals of single pairs.",
        "",
        "## What was run",
        "",
        f"{networks} networks: {metrics.sizes['train']} training conditions, "
        f"{replicas.sizes['replica']} replicas, on {structures['train']} structures each "
        f"({structures['val']} to choose the epoch by), of "
        f"{', '.join(map(str, metrics.specimen.values))}; architecture "
        f"{', '.join(map(str, metrics.architecture.values))}. Each was tested under "
        f"{metrics.sizes['test']} conditions on {structures['test']} structures of "
        f"{', '.join(map(str, metrics.test_specimen.values))}, {cells:,} results in all.",
        "",
        *table_of(["axis", "values", "unit"], axes),
    ]
    seconds = [
        float(line.split("\t")[0])
        for file in sorted((results / "benchmarks" / "train").rglob("*.tsv"))
        for line in file.read_text(encoding="utf-8").splitlines()[1:2]
    ]
    if seconds:
        text += ["", f"Training took {sum(seconds) / 3600:.1f} job hours."]
    return text


def claims(metrics: xr.Dataset, replicas: xr.DataArray, predicted: xr.Dataset) -> list[str]:
    """The paper's three claims."""
    text = ["## Three claims", ""]
    for (name, _), of in matrices(predicted):
        own = replicas.sel({d: of[d].values for d in prediction.GROUP})
        M = own.mean("replica")
        other = (own.train != own.test).values
        between = float(M.where(other).std())
        text += [f"**{name}.**", ""]
        if own.sizes["replica"] > 1:
            share = float(of.noise) ** 2 / between**2
            text.append(
                f"- *Networks are stable.* Replicas differ by {float(of.noise):.3f} (standard "
                f"deviation of mean Dice, ddof = 1, root mean square over all pairs), conditions "
                f"out of distribution by {between:.3f}: the seed makes {share:.1%} of the "
                "variance, and no prediction of the mean over replicas can be expected to have an "
                f"R² above {1 - share / own.sizes['replica']:.3f}."
            )
        steps, bends = (
            [
                f"{AXES[str(a)].label} {float(of[k].sel(along=a, step_end=e)):.3f} "
                f"({float(of[f'{k}_noise'].sel(along=a, step_end=e)):.3f} from noise alone)"
                for a in of.along.values
                for e in ["train"]
                if np.isfinite(of[k].sel(along=a, step_end=e))
            ]
            for k in ("step", "bend")
        )
        text.append(
            "- *They worsen smoothly.* From one training condition to its neighbour on the grid, "
            f"Dice under the same test condition changes on average along {'; '.join(steps)}; it "
            f"deviates from a straight line between both neighbours along {'; '.join(bends)}."
        )
        best = {}
        for kind in ("along_rho", "along_rho_dose"):
            values = of[kind].stack(which=("weight", "metric")).dropna("which")
            k = int(np.abs(values.values).argmax())
            weight, metric = values.which.values[k]
            low, high = of[f"{kind}_interval"].sel(weight=weight, metric=metric).values
            best[kind] = (
                f"`{metric}` (weight {weight}), ρ = {float(values[k]):.2f} "
                f"({low:.2f} to {high:.2f})"
            )
        r2 = [
            f"{prediction.interval(part, 'r2')} with a level of {AXES[axis].label} left out"
            for axis in LENS
            if (part := scored(of, axis, "both")) is not None
        ]
        text.append(
            f"- *Transfer functions quantify the shift.* The best single metric is "
            f"{best['along_rho']} with mean Dice of all pairs of different conditions; within "
            f"pairs of doses, {best['along_rho_dose']}. All metrics and the doses together "
            "predict pairs that no model has seen in training or in testing with R² = "
            f"{', '.join(r2)}."
        )
        text.append("")
    return [*text, *picture("smoothness", "Steps on the grid, and monotonicity")][:-1]


def matrices(predicted: xr.Dataset) -> list[tuple[tuple[str, dict], xr.Dataset]]:
    """The groups that were predicted, own specimens first, with a name."""
    found = []
    for specimen in predicted.specimen.values:
        for architecture in predicted.architecture.values:
            for test in predicted.test_specimen.values:
                at = dict(zip(prediction.GROUP, (specimen, architecture, test), strict=True))
                of = predicted.sel(at)
                if of.r2.notnull().any():
                    tested = "" if specimen == test else f" → {test}"
                    found.append(((f"{architecture}, {specimen}{tested}", at), of))
    return sorted(found, key=lambda one: one[0][1]["specimen"] != one[0][1]["test_specimen"])


def scored(of: xr.Dataset, axis: str, end: str, features: str = "ctf") -> xr.Dataset | None:
    """The stack's scores with all levels of an axis left out in turn, None if there are none."""
    name = f"{axis}/{end}/{prediction.ALL}"
    if name not in of.part.values:
        return None
    return of.sel(part=name, features=features, model=predictors.STACKED)


def distribution(metrics: xr.Dataset, replicas: xr.DataArray) -> list[str]:
    """In and out of distribution, as the community prints it."""
    text = [
        "## In and out of distribution",
        "",
        "Mean Dice over training conditions, ± standard deviation over replicas (ddof = 1) of that "
        "mean. Worst and 10th percentile are over the test conditions of each network; along an "
        "axis, the pairs that differ in it alone.",
        "",
    ]
    rows = []
    distance = metrics.near.notnull() & metrics.far.notnull()
    for at, own in groups(replicas):
        train, test = own.train.values, own.test.values
        other = train[:, None] != test
        D = own.transpose("replica", "train", "test").values
        of = metrics.sel(at)
        values = [np.where(~other, D, np.nan)]
        out = np.where(other, D, np.nan)
        values.append(out)
        cells = [over(v) for v in (np.nanmean(v, (1, 2)) for v in values)]
        cells += [over(np.nanmean(np.nanquantile(out, q, axis=2), axis=1)) for q in (0, 0.1)]
        if distance.any():
            cells += [f"{float(of[n].mean()):.3f}" for n in ("near", "far")]
        alone = []
        for axis in AXES:
            same = other.copy()
            for name in AXES:
                equal = own[f"train_{name}"].values[:, None] == own[f"test_{name}"].values
                same &= ~equal if name == axis else equal
            alone.append(over(np.nanmean(np.where(same, D, np.nan), (1, 2))) if same.any() else "–")
        tested = "" if at["specimen"] == at["test_specimen"] else f" → {at['test_specimen']}"
        rows.append([f"{at['architecture']}, {at['specimen']}{tested}", *cells, *alone])
    head = ["networks", "in distribution", "out of it", "worst", "10th percentile"]
    head += ["near", "far"] if distance.any() else []
    head += [f"{axis.label} alone" for axis in AXES.values()]
    text += table_of(head, rows)
    return [*text, "", *picture("matrix", "Every network under every condition")][:-1]


def by_level(metrics: xr.Dataset, predicted: xr.Dataset | None) -> list[str]:
    """Mean Dice by the level of each axis in training and in testing."""
    text = [
        "## Along each axis",
        "",
        "Mean Dice of all pairs of conditions with a level of training (rows) and of testing "
        "(columns), on the networks' own specimen.",
    ]
    specimens = [s for s in metrics.specimen.values if s in metrics.test_specimen.values]
    own = xr.concat([metrics.dice.sel(specimen=s, test_specimen=s) for s in specimens], "specimen")
    for name, axis in AXES.items():
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
    """Apertures that pass no lattice fringe of a specimen, if there are any."""
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
                f"scatters to {angle:.1f} mrad: an aperture of {passing} mrad passes no lattice "
                "fringe.",
            ]
            if predicted is not None:
                of = predicted.sel(specimen=name, test_specimen=name, features="ctf")
                r2 = of.r2.sel(model=predictors.STACKED).mean("architecture")
                levels = (of.part_axis == "aperture_mrad") & (of.part_end == "train")
                levels = levels & (of.part_level != prediction.ALL)
                each = ", ".join(
                    f"{float(value):.2f} at {level} mrad"
                    for value, level in zip(r2[levels], of.part_level[levels].values, strict=True)
                )
                text[-1] += (
                    " Where there is one such level, models that have not seen its networks do not "
                    "know what fringes do to a network that has never met any: predicted from the "
                    f"other levels, R² is {each}."
                )
    return text


def groups(data: xr.DataArray) -> Iterable[tuple[dict, xr.DataArray]]:
    for specimen in data.specimen.values:
        for architecture in data.architecture.values:
            for test in data.test_specimen.values:
                at = dict(zip(prediction.GROUP, (specimen, architecture, test), strict=True))
                if data.sel(at).notnull().any():
                    yield at, data.sel(at)


def over(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def predictions(predicted: xr.Dataset) -> list[str]:
    text = [
        "## Prediction of pairs never seen",
        "",
        "Groups of conditions, or whole levels of an axis, are left out in training, in testing, "
        "or wherever they stand; models fitted to the rest predict them. All sets of features go "
        "through the same models (a monotonic additive one, gradient-boosted trees, a Gaussian "
        "process's mean, stacked by inner folds that leave out the same way). In parentheses: "
        "95% bootstrap intervals over training and test conditions as clusters.",
        "",
        prediction.summary(predicted),
        "",
        "R² of each model by itself, from transfer functions and doses:",
        "",
    ]
    rows = []
    for (name, _), of in matrices(predicted):
        for part in of.part.values[of.part_level.values == prediction.ALL]:
            one = of.sel(part=part, features="ctf")
            left = f"{one.part_axis.values}, {one.part_end.values}"
            rows.append([name, left, *(f"{float(one.r2.sel(model=m)):.2f}" for m in one.model)])
    text += table_of(["matrix", "left out", *map(str, predicted.model.values)], rows)
    return [*text, "", *picture("prediction", "Prediction of pairs never seen"), *goals(predicted)]


def goals(predicted: xr.Dataset) -> list[str]:
    """What was hoped for, before the study was run, and what came out."""
    rows = []
    for (name, _), of in matrices(predicted):
        for axis in LENS:
            for end in holdout.ENDS:
                one = scored(of, axis, end)
                if one is None:
                    continue
                where = f"{AXES[axis].label} left out, {end}"
                others = [f for f in map(str, of.features.values) if f in BASELINES]
                part = f"{axis}/{end}/{prediction.ALL}"
                low = {f: float(of.gain_interval.sel(features=f, part=part)[0]) for f in others}
                low = {f: v for f, v in low.items() if np.isfinite(v)}
                checks = [
                    (f"R² ≥ {GOAL_R2}", float(one.r2), one.r2 >= GOAL_R2),
                    (f"ρ ≥ {GOAL_RHO}", float(one.rho), one.rho >= GOAL_RHO),
                    (
                        f"R² ≥ {GOAL_DOSE} at given doses",
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
                            f"better than each baseline (least sure: {least})",
                            low[least],
                            low[least] > 0,
                        )
                    )
                rows += [
                    [name, where, g, f"{v:.3f}", "met" if ok else "missed"] for g, v, ok in checks
                ]
        if np.isfinite(of.reach):
            for hidden, words in completion.HIDDEN.items():
                half = of.completion.sel(share=0.5, hidden=hidden).isel(choice=slice(None, -1))
                ratio = float(half.mean() / of.reach)
                rows.append(
                    [
                        name,
                        f"half of the matrix, {words}",
                        "error within another replica's",
                        f"{ratio:.2f} of it",
                        "met" if ratio <= 1 else "missed",
                    ]
                )
    if not rows:
        return []
    met = sum(row[-1] == "met" for row in rows)
    return [
        "### The goals, set beforehand",
        "",
        f"{met} of {len(rows)} are met. The number beside a comparison with baselines is the lower "
        "end of the interval of the difference of R².",
        "",
        *table_of(["matrix", "what", "goal", "found", ""], rows),
    ]


def limits(predicted: xr.Dataset) -> list[str]:
    text = ["## Where the transfer functions do not help", ""]
    for (name, _), of in matrices(predicted):
        lines = []
        for f in map(str, of.features.values):
            if f == "ctf":
                continue
            whole = of.sel(features=f).isel(part=of.part_level.values == prediction.ALL)
            low = whole.gain_interval.sel(bound="low")
            weak = [
                f"{p.rsplit('/', 1)[0].replace('/', ', ')} ({float(whole.gain.sel(part=p)):+.2f})"
                for p in whole.part.values
                if np.isfinite(low.sel(part=p)) and low.sel(part=p) <= 0
            ]
            if weak:
                lines.append(
                    f"- No better than `{f}`, within the interval of the difference of R² (in "
                    f"parentheses), with left out: {'; '.join(weak)}."
                )
        levels = of.sel(features="ctf", model=predictors.STACKED)
        levels = levels.isel(part=of.part_level.values != prediction.ALL)
        order = np.argsort(levels.r2.values)[:3]
        lines.append(
            "- The levels predicted worst: "
            + "; ".join(
                f"{levels.part_axis.values[k]} {levels.part_level.values[k]}, "
                f"{levels.part_end.values[k]}, R² {levels.r2.values[k]:.2f}"
                for k in order
            )
            + "."
        )
        most = np.abs(of.along_rho_dose).max("weight")
        weak = [f"`{m}`" for m in of.metric.values[(most < 0.3).values]]
        if weak:
            lines.append(
                f"- Within pairs of doses, |ρ| with mean Dice is below 0.3 under every weight for "
                f"{', '.join(weak)}."
            )
        text += [f"**{name}.**", "", *lines, ""]
    return text[:-1]


def networks(predicted: xr.Dataset) -> list[str]:
    text = ["## What to train", ""]
    for (name, _), of in matrices(predicted):
        size = min(4, of.sizes["size"])
        worth = {
            s: [float(of.design.sel(strategy=s, size=size, worth=w)) for w in ("worst", "mean")]
            for s in ("predicted", "coverage", "random", "true")
        }
        words = {
            "predicted": "by predicted Dice",
            "coverage": "by coverage",
            "random": "at random",
            "true": "by the true matrix, which no one has",
        }
        text += [
            f"**{name}.** The best of {size} networks under each of the test conditions, chosen "
            "one after another, has",
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
            "Dice that is hidden, of whole networks from those alike by their transfer functions, "
            "of single cells from the rest of the matrix, has a root mean square error of",
            "",
            *table_of(
                [
                    "known",
                    "of networks not trained, the others far apart",
                    "the others chosen at random",
                    "of cells not tested",
                ],
                errors,
            ),
        ]
        if np.isfinite(of.reach):
            text += ["", f"Another replica would be off by {float(of.reach):.3f}."]
        text.append("")
    return [*text, *picture("design", "What to train")][:-1]


def structure(metrics: xr.Dataset) -> list[str]:
    """Other specimens than that of the training: left out where there are none."""
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
                        f"{architecture}, {specimen} → {test}",
                        f"{float(own.dice.where(same).mean()):.3f}",
                        f"{float(far.dice.where(same).mean()):.3f}",
                        f"{float(lost.mean()):.3f} ± {float(lost.std()):.3f}",
                        f"{float(xr.corr(own.dice, far.dice)) ** 2:.2f}",
                    ]
                )
    if not rows:
        return []
    head = ["networks", "own specimen, own condition", "other specimen, own condition"]
    head += ["loss over all pairs ± spread", "r² of both matrices"]
    text = ["## Other structures", "", *table_of(head, rows)]
    return text


def structures(results: Path) -> list[str]:
    """Specimens that were trained on and tested on each other."""
    metrics = store.read(results / "ood.zarr", store.OOD)
    information = store.read(results / "information.zarr", store.INFORMATION)
    distances = store.read(results / "distances.zarr", store.DISTANCES)
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
        best[shift] = f"`{k}`, ρ = {float(rho.max()):.2f} ({low:.2f} to {high:.2f})"
    return [
        "## Structure out of distribution",
        "",
        "From another study, `studies/specimens.yaml`: "
        f"{len(names)} specimens, {metrics.sizes['train']} conditions, each trained on and each "
        "tested on. Mean Dice where the condition is the same, trained on (rows) and tested on "
        "(columns):",
        "",
        *table_of(["", *names], rows),
        "",
        "The gap to a network that was trained on what it is tested on, at equal doses: Spearman's "
        "ρ with each predictor, and what its variance lies between. Under the same condition, "
        "metrics of pairs of conditions are the same for all specimens, but for their weights.",
        "",
        shifts.summary(found),
        "",
        f"Where the specimen alone differs, no function of both conditions explains more than "
        f"{max(float(share.sel(shift='structure')), 0):.0%} of the gap's variance; where the lens "
        f"alone differs, {float(share.sel(shift='lens')):.0%}. The best predictor of the first is "
        f"{best['structure']}; of the second {best['lens']}; of both together {best['both']}.",
        "",
        *picture("structure", "Gaps between specimens and what explains them"),
    ][:-1]


def shrink(source: Path, target: Path) -> None:
    few = Image.open(source).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    few.save(target, optimize=True)


def main(arguments: list[str]) -> int:
    given = (Path(argument) for argument in arguments)
    results = next(given, Path("results/pilot"))
    specimens = next(given, Path("results/specimens"))
    folder = next(given, Path("docs/pilot"))
    try:
        text = account(results, specimens)
        metrics = store.read(results / "ood.zarr", store.OOD)
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
    store.write(small, folder / "ood.zarr.zip", store.OOD, metrics.attrs)
    (folder / "README.md").write_text(text, encoding="utf-8")
    size = (folder / "ood.zarr.zip").stat().st_size / 1e6
    print(f"{folder}/README.md, its figures, and ood.zarr.zip of {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
