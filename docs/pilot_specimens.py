"""The sections of the pilot's page on other specimens; see docs/pilot.py."""

from pathlib import Path

import numpy as np
import xarray as xr
from pilot_prediction import picture, table_of

from passband.analysis import specimen_shift as shifts
from passband.analysis.groups import group_label
from passband.reports import markdown
from passband.storage import datasets

#: Stores of the study of several specimens.
SPECIMENS = {
    "ood.zarr": datasets.OOD,
    "information.zarr": datasets.INFORMATION,
    "distances.zarr": datasets.DISTANCES,
}


def read(results: Path) -> list[xr.Dataset]:
    """Return the OOD metrics, information metrics and distances of the study of specimens."""
    return [datasets.read(results / name, kind) for name, kind in SPECIMENS.items()]


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


def effects(explained: xr.Dataset) -> str:
    """Return a table of correlations and shares of variance, with a column for each shift."""
    rows = []
    for name in explained.predictor.values:
        cells = []
        for shift in shifts.SHIFTS:
            cell = explained.sel(shift=shift, predictor=name)
            cells.append(markdown.interval(cell, "rho") if cell.rho.notnull() else "constant")
        rows.append([f"ρ of {name}", *cells])
    for source in explained.source.values:
        # Adding 0 removes the minus sign of a share that rounds to −0%.
        shares = (f"{round(float(v), 2) + 0.0:.0%}" for v in explained.share.sel(source=source))
        rows.append([f"variance between {source}", *shares])
    rows.append(["cells", *(f"{int(value):,}" for value in explained.cells)])
    return markdown.table(["", *shifts.SHIFTS.values()], rows)


def structures(results: Path) -> list[str]:
    """Compare specimens that were each used for training and for testing."""
    metrics, information, distances = read(results)
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
        effects(found),
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
