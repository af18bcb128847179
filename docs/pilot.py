"""Write the report of the pilot, docs/pilot: run it from the repository's root.

    python docs/pilot.py             # after studies/pilot.yaml and studies/specimens.yaml have run
    python docs/pilot.py RESULTS SPECIMENS FOLDER
    python docs/pilot.py --redraw    # only the figures whose stores are in docs/pilot

Every number in the text is computed here from the results of both studies. Sections without results
are left out.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image
from pilot_prediction import (
    LENS,
    limits,
    matrices,
    networks,
    picture,
    predictions,
    scored,
    table_of,
)
from pilot_specimens import read, structure, structures

from passband import PassbandError
from passband.analysis.groups import GROUP, group_label, group_names, groups
from passband.axes import MAIN_AXES
from passband.config.analysis import Figures
from passband.config.materials import MATERIALS
from passband.figures import matrix, smoothness, specimen_shift, style
from passband.figures import prediction as prediction_figures
from passband.optics import ctf
from passband.prediction.matrix import prediction
from passband.reports import markdown
from passband.reports.markdown import mean_and_deviation
from passband.storage import datasets

COLOURS = 256
#: Stores beside the page.
STORES = {"ood.zarr": datasets.OOD, "prediction.zarr": datasets.PREDICTION}
#: The figures of the page that are drawn from one of these stores.
FIGURES = {
    "matrix": ("ood.zarr", matrix.matrix),
    "prediction": ("prediction.zarr", prediction_figures.prediction),
    "smoothness": ("prediction.zarr", smoothness.smoothness),
    "design": ("prediction.zarr", prediction_figures.design),
}


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
        "`make pilot` computes every number and figure on this page from the study's results. The "
        "stores `*.zarr.zip` beside this page are those of the study without the confidence "
        "intervals of single pairs of conditions; `python docs/pilot.py --redraw` draws the "
        "figures again from these stores. The figure of several specimens needs the results. "
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


def small(store: xr.Dataset) -> xr.Dataset:
    """Return a store without intervals of single pairs of conditions, in single precision.

    Predictions that no figure shows are left out.
    """
    pairs = {"train", "test", "bound"}
    store = store.drop_vars(n for n, v in store.items() if pairs <= {*v.dims})
    store = store.sel(end=["train"]) if "end" in store.dims else store
    real = {n: v.astype("float32") for n, v in store.items() if v.dtype == "float64"}
    return store.assign(real)


def save(figure: Figure, path: Path) -> None:
    """Save a figure with few colours, which keeps the file small."""
    with TemporaryDirectory() as temporary:
        whole = Path(temporary) / path.name
        style.save(figure, [whole], Figures().dpi)
        few = Image.open(whole).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)


def draw(folder: Path) -> list[str]:
    """Draw the figures whose stores are beside the page, and return their names."""
    drawn = []
    for name, (store, function) in FIGURES.items():
        path = folder / f"{store}.zip"
        if path.exists():
            save(
                function(datasets.read(path, STORES[store]), Figures().palette),
                folder / f"{name}.png",
            )
            drawn.append(name)
    return drawn


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--redraw"]:
        draw(Path(*arguments[1:] or ["docs/pilot"]))
        return 0
    given = (Path(argument) for argument in arguments)
    results = next(given, Path("results/pilot"))
    specimens = next(given, Path("results/specimens"))
    folder = next(given, Path("docs/pilot"))
    try:
        text = account(results, specimens)
    except PassbandError as error:
        print(f"{error}; run `make run STUDY=studies/pilot.yaml` first", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in STORES.items():
        if (results / name).exists():
            store = datasets.read(results / name, kind)
            datasets.write(small(store), folder / f"{name}.zip", kind, store.attrs)
    draw(folder)
    if (specimens / "distances.zarr").exists():
        figure = specimen_shift.structure(*read(specimens), Figures().palette)
        save(figure, folder / "structure.png")
    (folder / "README.md").write_text(text, encoding="utf-8")
    print(f"{folder}/README.md, its figures, and the stores that they are drawn from")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
