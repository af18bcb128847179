"""Writes docs/twelve-thousand/README.md: its tables and figures, from the merged parts.

The text is in docs/twelve-thousand/page.md, in which a word such as ``$matrix`` is the place of
something that this module computes.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image
from twelve_baselines import BLURS_PX
from twelve_check import checks
from twelve_costs import costs
from twelve_networks import choices, correlations, failures
from twelve_parts import FOLDER, WHOLE, check_lines, check_parts, read
from twelve_results import (
    DOSE,
    SOURCES,
    Scores,
    along,
    lasting_loss,
    losses,
    noise_of_one,
    variance,
)

from passband import PassbandError
from passband.analysis import table_union
from passband.answers import recommendation_check
from passband.axes import MAIN_AXES
from passband.config import Study, load, validate
from passband.config.analysis import Figures
from passband.config.materials import MATERIALS
from passband.figures import matrix, style
from passband.grid import Condition
from passband.learning import networks
from passband.optics import ctf
from passband.prediction.matrix import smoothness
from passband.reports import markdown
from passband.reports import recommendation_text as recommendation_report
from passband.results import Results, layout, parts
from passband.results.stores import load_table
from passband.storage import datasets

#: Losses of Dice that the page looks for.
LOSSES = (0.01, 0.05)
#: Number of metrics in the table of correlations.
STRONGEST = 5
#: The kinds of noise that steps between neighbours are compared with.
NOISES = ("noise of replicas", "noise of replicas and images")
#: Number of colours of a picture, which keeps its file small.
COLOURS = 256
#: Largest number of values with a label along an axis of the figure.
_LABELLED = 8


def fields(
    scores: Scores, stored: xr.Dataset, results: Path, folder: Path, whole: Path = WHOLE
) -> dict[str, str]:
    """Return the content of each place in the page's text.

    Args:
        scores: Dice of all networks.
        stored: The merged table.
        results, folder, whole: See :func:`write`.
    """
    study = validate(json.loads(stored.attrs["configuration"]), str(results))
    information = datasets.read(results / layout.INFORMATION, datasets.INFORMATION)
    taken = pd.read_csv(folder / "parts.csv", dtype={"commit": str})
    simple = pd.read_csv(folder / "baselines.csv").set_index("test").loc[list(scores.test.ids)]
    found = counts(scores) | costs(taken, folder, load(whole)) | {"overview": overview(scores)}
    found["weights"] = f"{weights(study):,}"
    found |= decays(scores) | defocus(scores) | variances(scores)
    found |= failed(scores, simple) | baselines(scores, simple)
    found |= {
        "oscillation": oscillation(study),
        "steps": steps(stored),
        "choices": chosen(scores),
        "correlations": correlation(scores, information),
        "recommend": recommended(Results(study, results)),
        "checks": checks(folder),
    }
    return found


def rows_of(found: Mapping[object, Iterable[str]]) -> list[list[str]]:
    return [[f"**{name}**", *cells] for name, cells in found.items()]


# ── What was run, and what it took ───────────────────────────────────────────────────────────────


def counts(scores: Scores) -> dict[str, str]:
    train, replicas, test, images = scores.images.shape
    return {
        "networks": f"{train * replicas:,}",
        "trained": f"{train:,}",
        "tested": f"{test:,}",
        "replicas": f"{replicas}",
        "images": f"{images}",
        "cells": f"{train * replicas * test:,}",
        "one_noise": f"{noise_of_one(scores):.1%}",
    }


def weights(study: Study) -> int:
    """Return the number of weights of a network."""
    network = networks.build(study.training.architectures[0])
    return sum(parameter.numel() for parameter in network.parameters())


# ── The matrix ───────────────────────────────────────────────────────────────────────────────────


def overview(scores: Scores) -> str:
    """Return Dice in and out of distribution, by training dose."""
    other = np.not_equal.outer(np.array(scores.train.ids), np.array(scores.test.ids))
    doses = scores.train.values[DOSE]
    groups = {f"{dose:g} e/Å²": doses == dose for dose in scores.train.levels(DOSE)}
    groups["all doses"] = np.ones_like(doses, bool)
    lines = {}
    for name, where in groups.items():
        estimates = [
            scores.estimate(lambda M, own, w=where: float(own[w].mean())),
            scores.estimate(lambda M, own, w=where: float(M[w][other[w]].mean())),
            scores.estimate(lambda M, own, w=where: float(M[w].min(1).mean())),
        ]
        deviation = scores.replicas[where].std(1, ddof=1).mean()
        lines[name] = [f"{where.sum()}", *(e.words() for e in estimates), f"{deviation:.3f}"]
    head = ["trained at", "conditions", "in distribution", "out of distribution", "worst"]
    return markdown.table([*head, "standard deviation between replicas"], rows_of(lines))


def decays(scores: Scores) -> dict[str, str]:
    """Return a table for each axis: Dice by the value in training and in testing."""
    found = {}
    for name, axis in MAIN_AXES.items():
        cells = along(scores, name)
        head = [f"{axis.label} [{axis.unit}]", *(f"{b:g}" for b in scores.test.levels(name))]
        lines = {
            f"{a:g}": [
                cells[a, b].words() if (a, b) in cells else markdown.NONE
                for b in scores.test.levels(name)
            ]
            for a in map(float, scores.train.levels(name))
        }
        found[f"along_{name}"] = markdown.table(head, rows_of(lines))
    return found


def decay_figure(scores: Scores, palette: str) -> Figure:
    """Return the figure of Dice against each training parameter, with a line for each test value.

    The two conditions of each cell are equal on all other axes. Shaded areas are the intervals, and
    filled markers are the Dice of networks that were trained at the tested value.
    """
    style.set_theme()
    size = style.inches(style.PAGE_CM), style.inches(13)
    figure, axes = plt.subplots(2, 2, figsize=size, sharey=True, layout="constrained")
    for ax, (name, axis) in zip(axes.flat, MAIN_AXES.items(), strict=True):
        cells = along(scores, name)
        tested = [float(b) for b in scores.test.levels(name)]
        colours = style.levels(palette, len(tested))
        for b, colour, marker in zip(tested, colours, style.MARKERS, strict=False):
            trained = [a for a, other in cells if other == b]
            estimates = [cells[a, b] for a in trained]
            ends = [[getattr(e, end) for e in estimates] for end in ("low", "high")]
            ax.fill_between(trained, *ends, color=colour, alpha=0.2, lw=0)
            values = [e.value for e in estimates]
            line = {"color": colour, "lw": 1.3, "marker": marker, "ms": 4}
            ax.plot(trained, values, mfc="white", label=style.short(b), **line)
            if (b, b) in cells:
                ax.plot(b, cells[b, b].value, marker, color=colour, ms=6, mec="white", zorder=4)
        if name == DOSE:
            ax.set_xscale("log")
            ax.minorticks_off()
        values = scores.train.levels(name)
        every = -(-len(values) // _LABELLED)  # more labels would overlap
        ax.set_xticks(values, ["" if k % every else style.short(x) for k, x in enumerate(values)])
        ax.set_xlabel(f"training {axis.label} ({axis.unit})")
        ax.legend(title=f"tested at ({axis.unit})", ncols=2)
    for row in axes:
        row[0].set_ylabel("mean Dice")
    return figure


def variances(scores: Scores) -> dict[str, str]:
    found = variance(scores)
    lines = [[SOURCES[name], share.words("z.1%")] for name, share in found.shares.items()]
    return {
        "variance": markdown.table(["source", "share"], lines),
        "variance_noise": f"{found.noise:.1%}",
    }


# ── What the large grid shows ────────────────────────────────────────────────────────────────────


def defocus(scores: Scores) -> dict[str, str]:
    """Return the losses by the distance along each axis, and where they begin along defocus."""
    found = {name: losses(scores, name) for name in MAIN_AXES}
    lines = [
        [_steps(k), *(of[k].words() if k in of else markdown.NONE for of in found.values())]
        for k in sorted({steps for of in found.values() for steps in of})
    ]
    head = ["trained at", *(axis.label for axis in MAIN_AXES.values())]
    step = float(np.diff(scores.train.levels("defocus_nm")).mean())
    return {
        "losses": markdown.table(head, lines),
        "defocus_step": f"{step:.1f}",
        "defocus_losses": "; ".join(
            f"above {least:g} {_distance(lasting_loss(found['defocus_nm'], least, sign), step)} "
            f"for networks trained at a {side} defocus"
            for least in LOSSES
            for side, sign in (("lower", -1), ("higher", 1))
        ),
    }


def _steps(steps: int) -> str:
    return f"{abs(steps)} step{'s' * (abs(steps) > 1)} {'lower' if steps < 0 else 'higher'}"


def _distance(steps: int | None, step: float) -> str:
    if steps is None:
        return "at no distance"
    return f"from {steps} step{'s' * (steps > 1)} on ({steps * step:.0f} nm)"


def oscillation(study: Study) -> str:
    """Return how fine the grid is against the oscillation of the transfer function.

    The phase of the transfer function at the spatial frequency q is π λ Δf q² − ½ π Cs λ³ q⁴. So
    the sign of the transfer repeats after a change of the defocus of 2/(λ q²), and of Cs of
    4/(λ³ q⁴).
    """
    wavelength = ctf.wavelength(1e3 * study.microscope.energy_kev)
    lines, axes, tested = [], study.train_axes, np.diff(study.test_axes["defocus_nm"])
    frequencies = {f"{1e3 * d:g} mrad": d / wavelength for d in _apertures(study)}
    for specimen in study.trained_specimens.values():
        if specimen.material in MATERIALS:
            spacings = MATERIALS[specimen.material].spacings_A[:2]
            frequencies |= {f"{d:.2f} Å, {specimen.material}": 1 / d for d in spacings}
    steps = [np.diff(axes[name]).max(initial=0) for name in ("defocus_nm", "cs_um")]
    for name, q in sorted(frequencies.items(), key=lambda item: item[1]):
        periods = 2 / (wavelength * q**2) / 10, 4 / (wavelength**3 * q**4) / 1e4
        cells = [f"{q:.2f}"]
        for period, step in zip(periods, steps, strict=True):
            cells += [f"{period:.0f}", f"{period / step:.1f}" if step else markdown.NONE]
        of_tests = periods[0] / tested.max() if tested.size else np.nan
        lines.append([name, *cells, f"{of_tests:.1f}" if tested.size else markdown.NONE])
    head = ["spatial frequency", "q [1/Å]"]
    for words in ("period of the defocus [nm]", "period of Cs [µm]"):
        head += [words, "largest training steps in a period"]
    return markdown.table([*head, "largest test steps of the defocus in a period"], lines)


def _apertures(study: Study) -> list[float]:
    """Return the smallest and the largest aperture [rad]."""
    values = study.train_axes["aperture_mrad"]
    return [1e-3 * value for value in dict.fromkeys((values[0], values[-1]))]


def steps(stored: xr.Dataset) -> str:
    """Return the steps between neighbours, and what two kinds of noise alone would cause."""
    # Lines over the dose are straight on its logarithm.
    doses = (f"{end}_dose_e_per_A2" for end in ("train", "test"))
    stored = stored.assign_coords({name: np.log10(stored[name]) for name in doses})
    replicas, both = (
        smoothness.steps(stored, of_images=of_images).squeeze() for of_images in (False, True)
    )
    lines = []
    for end, words in (("train", "networks"), ("test", "test conditions")):
        for name in MAIN_AXES:
            kinds = [of.sel(along=name, step_end=end) for of in (replicas, both)]
            if not np.isfinite(kinds[0].step):
                continue
            cells = [_dice(kinds[0].step)]
            for of in kinds:
                cells += [_dice(of.step_noise), f"{float(of.step_resolved):.0%}"]
            cells += [_dice(kinds[0].bend), *(_dice(of.bend_noise) for of in kinds)]
            lines.append([words, MAIN_AXES[name].label, f"{int(kinds[0].steps):,}", *cells])
    head = ["between", "along", "steps", "mean of the absolute step"]
    for kind in NOISES:
        head += [f"from {kind}", "steps beyond it"]
    head += ["mean distance from a line", *(f"from {kind}" for kind in NOISES)]
    return markdown.table(head, lines)


def _dice(value: xr.DataArray) -> str:
    return f"{float(value):.3f}" if np.isfinite(value) else markdown.NONE


def subsets(scores: Scores) -> dict[str, np.ndarray]:
    """Return sets of training conditions: those that are test conditions, and all."""
    number = len(scores.train.ids)
    few = np.sort(scores.own_columns())
    return {f"{len(few)} conditions": few, f"{number:,} conditions": np.arange(number)}


def chosen(scores: Scores) -> str:
    """Return the Dice of networks that are chosen from few and from all training conditions."""
    found = choices(scores, subsets(scores))
    none = markdown.NONE
    lines = [["trained under the test condition", none, found.matched.words(), none]]
    for name in found.best:
        cells = found.best[name].words(), found.best_gain[name].words("+z.4f")
        lines.append(["the best for each test condition", name, *cells])
    for name in found.general:
        cells = found.general[name].words(), found.general_gain[name].words("+z.4f")
        words = " or ".join(Condition.parse(id).words for id in found.general_ids[name])
        lines.append([f"the best on average ({words})", name, *cells])
    head = ["networks", "chosen from", "mean Dice", "minus trained under the test condition"]
    return markdown.table(head, lines)


def failed(scores: Scores, simple: pd.DataFrame) -> dict[str, str]:
    """Return the networks that are worse under their own condition than a mask of all pixels."""
    least = simple.everything.mean()
    lines = [
        [f"{dose:g}", f"{number}", f"{whole:,}", f"{number / whole:.1%}"]
        for dose, (number, whole) in failures(scores, least).items()
    ]
    return {
        "failures": markdown.table(["training dose [e/Å²]", "failed", "networks", "share"], lines),
        "failed_below": f"{least:.3f}",
        "lowest": f"{scores.own_images.mean(-1).min():.3f}",
    }


def correlation(scores: Scores, information: xr.Dataset) -> str:
    lines = []
    for name, weight, *rhos in correlations(scores, information)[:STRONGEST]:
        words = style.METRICS.get(name, name).replace("|", "\\|")  # the bars of |T|
        lines.append([words, weight, *map(_number, rhos)])
    return markdown.table(["metric", "weight", "ρ", "ρ at given doses"], lines)


def _number(value: float) -> str:
    return f"{value:z.2f}" if np.isfinite(value) else markdown.NONE


# ── Beside it ────────────────────────────────────────────────────────────────────────────────────


def baselines(scores: Scores, simple: pd.DataFrame) -> dict[str, str]:
    """Return Dice of networks and of the simplest methods under the same test conditions."""
    own = scores.own_columns()
    doses = scores.test.values[DOSE]
    groups = {f"{dose:g} e/Å²": doses == dose for dose in scores.test.levels(DOSE)}
    groups["all doses"] = np.ones_like(doses, bool)
    lines = {}
    for name, where in groups.items():
        columns = np.flatnonzero(where)
        blur, every = (simple[n].to_numpy()[where] for n in ("dice", "everything"))
        M = scores.mean[:, columns]
        matched = M[own[columns], np.arange(len(columns))]
        lines[name] = [
            scores.estimate(lambda M, _, c=columns: float(M[own[c], c].mean())).words(),
            f"{M.mean():.3f}",
            f"{blur.mean():.3f}",
            f"{every.mean():.3f}",
            f"{(matched > blur).sum()} of {len(columns)}",
            f"{(blur > M).mean():.0%}",
            f"{(every > M).mean():.1%}",
        ]
    head = ["tested at", "networks trained there", "all networks", "blur and threshold"]
    head += ["everything is particle", "networks trained there are better than blur"]
    head += ["training conditions below blur", "training conditions below everything"]
    largest = simple.blur_px.to_numpy() == max(BLURS_PX)
    return {
        "baselines": markdown.table(head, rows_of(lines)),
        "largest_blur": f"{max(BLURS_PX):g}",
        "with_largest_blur": f"{largest.sum()} of {len(largest)}",
    }


def recommended(results: Results) -> str:
    """Return the check of recommendations under the drawn microscopes of the study."""
    number = results.study.evaluation.microscopes
    if not number:
        return "The networks of this study were not tested under drawn microscopes."
    return recommendation_report.check(recommendation_check.run(results, number))


def write(results: Path, folder: Path = FOLDER, whole: Path = WHOLE) -> int:
    """Write the page and its figures, and return the exit status 0.

    Args:
        results: The folder of the merged results.
        folder: The folder of the page, with its text ``page.md``, ``parts.csv``, ``baselines.csv``
            and ``check.json``.
        whole: The file of the whole study.

    Raises:
        PassbandError: If a file is missing, networks are missing, or the merged results are older
            than a part.
    """
    for path in (
        *(results / name for name in (layout.TABLE, layout.INFORMATION, layout.OOD)),
        *(folder / name for name in ("page.md", "parts.csv", "baselines.csv", "check.json")),
    ):
        if not path.exists():
            raise PassbandError(f"{path}: is missing; run the other commands of this script first")
    check_lines(read(folder / "parts.csv"), folder / "parts.csv", whole)
    stored = load_table(results / layout.TABLE)
    check_parts(map(str, stored.train.values), results, whole)
    check_age(stored, results, folder)
    scores = Scores.from_table(stored)
    text = Template((folder / "page.md").read_text(encoding="utf-8"))
    made = text.substitute(fields(scores, stored, results, folder, whole))
    palette = Figures().palette
    metrics = datasets.read(results / layout.OOD, datasets.OOD)
    save(matrix.matrix(metrics, palette), folder / "matrix.png")
    save(decay_figure(scores, palette), folder / "decay.png")
    (folder / "README.md").write_text(made, encoding="utf-8")
    print(f"{folder}/README.md and its figures")
    return 0


def save(figure: Figure, path: Path) -> None:
    """Save a figure with few colours."""
    with TemporaryDirectory() as temporary:
        whole = Path(temporary) / path.name
        style.save(figure, [whole], Figures().dpi)
        few = Image.open(whole).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)


def check_age(stored: xr.Dataset, results: Path, folder: Path) -> None:
    """Check that a merged table was made from the packed parts that are in the folder now.

    Raises:
        PassbandError: If a packed part is not the one that was merged.
    """
    then = json.loads(stored.attrs.get(table_union.PARTS, "[]"))
    of_then = {(part["part"], part.get("created")) for part in then}
    for path in sorted((folder / "parts").glob("*.zarr.zip")):
        if (path.name, parts.find(path).attrs.get("created")) not in of_then:
            raise PassbandError(f"{results}: is older than {path}; delete this folder, and merge")
