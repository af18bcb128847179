"""The tables of a study's page."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import yaml

from passband.axes import AXES
from passband.config import Specimen, Study
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName
from passband.prediction.matrix.predicted_matrix import PredictedMatrix
from passband.reports.means import of_rows, over_rows
from passband.reports.mixture_comparison import comparisons
from passband.reports.page.data import Data, compressed
from passband.reports.page.job_files import Cost
from passband.reports.page.numbers import Numbers
from passband.reports.page.text import axis_words, number, ranged, tight
from passband.reports.predicted import ENDS, level_rows, sentences
from passband.reports.unlearned import MARK, is_marked
from passband.words import duration, number_of, span

#: A prediction with a smaller R² fails.
FAILS = 0.3
#: Number of microscopes in the table of choices; the CSV file has all of them.
MOST_CHOICES = 24
#: More values of an axis than this are written as a range.
_MOST_VALUES = 8


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        head: Heads of the columns.
        rows: Cells. The first cell of a row is the row's head.
        data: The table's data as CSV, if there are more than the cells show.
    """

    head: list[str]
    rows: list[list[str]]
    data: Data | None = None


def study_table(study: Study) -> Table:
    """Return what the study trained, in words."""
    block, microscope, training = study.study, study.microscope, study.training
    networks = (
        len(study.trained_specimens)
        * study.train_number
        * len(training.architectures)
        * block.replicas
    )
    # What is an axis of the study has its own row.
    said = {
        "pixel_size_A": f" of {microscope.pixel_size_A:g} Å",
        "energy_kev": f" at {microscope.energy_kev:g} keV",
        "focal_spread_nm": f"; focal spread {microscope.focal_spread_nm:g} nm",
    }
    words = "".join(text for name, text in said.items() if name not in study.axes.own)
    side = microscope.field_px
    rows = [
        *(
            [f"Specimen {name}", _specimen(specimen, study.axes.names)]
            for name, specimen in study.specimens.items()
        ),
        [
            "Structures",
            f"{block.structures.train:,} for training, {block.structures.val:,} for validation, "
            f"{block.structures.test:,} for tests, of each specimen; none is in two of these sets",
        ],
        ["Images", f"{side} × {side} pixels{words}"],
    ]
    for name, trained in study.train_axes.items():
        axis, tested = AXES[name], study.test_axes[name]
        label = axis.label[0].upper() + axis.label[1:]
        text = _values(trained, axis.unit)
        if trained != tested:
            text = f"trained {text}; tested {_values(tested, axis.unit)}"
        rows.append([label, text])
    conditions = f"{study.train_number:,} to train under, {study.test_number:,} to test under"
    made = (
        f"{networks:,}: {', '.join(training.architectures)}, "
        f"{number_of(block.replicas, 'replica')} for each condition, "
        f"{number_of(training.epochs, 'epoch')}"
    )
    rows += [["Conditions", conditions], ["Networks", made]]
    return Table(["What", "Value"], rows)


def _specimen(specimen: Specimen, axes: Sequence[str]) -> str:
    name = specimen.material if specimen.known else f"crystal from the file {specimen.material}"
    diameter = specimen.diameter_nm
    few, most = specimen.particles.min, specimen.particles.max
    particles, noun = span(few, most), "particle" if most == 1 else "particles"
    layer = specimen.substrate.thickness_nm
    below = f"on {layer:g} nm of amorphous carbon" if layer else "in vacuum"
    if "substrate_thickness_nm" in axes:
        below = "on amorphous carbon"
    if specimen.kind_part.is_own:
        text = f"{specimen.kind} of {name}"
        return text if specimen.trained else f"{text}; only for tests"
    text = (
        f"{name}, shape {specimen.shape}, diameter {diameter.min:g} to {diameter.max:g} nm, "
        f"{particles} {noun} {below}"
    )
    return text if specimen.trained else f"{text}; only for tests"


def _values(values: Sequence[float], unit: str) -> str:
    text = f"{', '.join(f'{value:g}' for value in values)} {unit}"
    if len(values) > _MOST_VALUES:
        text = f"{values[0]:g} to {values[-1]:g} {unit}, {len(values)} values"
    return text.replace("-", "−")


def axes_table(found: Numbers) -> Table | None:
    """Return what a change of a single axis costs, or None if no pair differs in a single axis."""
    rows = [
        [axis_words(axis).removeprefix("the "), number(value.value), ranged(value)]
        for axis, value in sorted(found.axes.items(), key=lambda item: -item[1].value)
        if value
    ]
    if not rows:
        return None
    return Table(["Only this differs", "Loss of Dice", "Range"], rows)


def groups_table(matrices: Sequence[Matrix]) -> Table | None:
    """Return means over rows of the OOD metrics of each matrix, see :mod:`passband.reports.means`.

    Matrices with networks that did not learn have a mark. Returns None if there is only one matrix.
    """
    if len(matrices) < 2:
        return None
    rows = []
    for matrix in matrices:
        cells = matrix.metrics
        values = [cells.id.values, cells.ood.values, cells.worst.values, of_rows(cells.gap_test)]
        label = matrix.label + f" {MARK}" * bool(is_marked(matrix).any())
        rows.append([label, *(number(over_rows(each)) for each in values)])
    head = ["Networks, specimen", "Own condition", "Other conditions", "Worst condition", "Loss"]
    return Table(head, rows)


def choice_table(found: Numbers, matrices: Sequence[Matrix] = ()) -> Table | None:
    """Return the best network for each test condition, and the network that was trained there.

    The best network may be one of a mixture, if `matrices`, which have OOD metrics, have mixtures.

    At most :data:`MOST_CHOICES` conditions are shown, at even intervals; the CSV file has all.
    Returns None if no network has learned.
    """
    rows, records = [], []
    for names, M in found.learned.items():
        mixed = _of_mixtures(found, matrices, *names)
        trained = [(c.id, tight(c.words)) for c in found.train]
        trained += [(id, f"mixture {id}") for id in mixed]
        M = np.concatenate([M, *(row[None] for row in mixed.values())])
        for j in np.flatnonzero(np.isfinite(M).any(0)):
            column, test = M[:, j], found.test[j]
            best = int(np.nanargmax(column))
            home = column[found.train.index(test)] if test in found.train else np.nan
            records.append((*names, test, trained[best], column[best], home))
    if not records:
        return None
    several = len(found.learned) > 1
    places = np.linspace(0, len(records) - 1, min(len(records), MOST_CHOICES)).round().astype(int)
    for k in places:
        specimen, architecture, test, best, dice, home = records[k]
        name = tight(test.words)
        name += f" ({specimen}, {architecture})" if several else ""
        trained = "itself" if best[0] == test.id else best[1]
        rows.append([name, trained, number(dice), number(home)])
    head = ["specimen", "architecture", "tested_under", "best_trained_under", "dice", "dice_own"]
    listed = [(s, a, test.id, best[0], *dice) for s, a, test, best, *dice in records]
    data = compressed("choices.csv", pd.DataFrame(listed, columns=head))
    return Table(
        ["Microscope", "Best network was trained at", "Its Dice", "Trained there"], rows, data
    )


def _of_mixtures(
    found: Numbers, matrices: Sequence[Matrix], specimen: str, architecture: str
) -> dict[str, np.ndarray]:
    """Return mean Dice (test,) by the mixture's id; of mixtures whose replicas have all learned."""
    # The table may be newer than the OOD metrics, and have other test conditions.
    ids = [condition.id for condition in found.test]
    name = MatrixName(specimen, architecture, specimen)
    mixed = {}
    for matrix in matrices:
        if matrix.name == name:
            M = matrix.metrics.dice.reindex(test=ids).transpose("train", "test").values
            kept = np.flatnonzero(matrix.is_mixture & ~is_marked(matrix))
            mixed |= {matrix.rows[row]: M[row] for row in kept}
    return mixed


def mixtures_table(matrices: Sequence[Matrix]) -> Table | None:
    """Return networks of mixtures beside the best network of one condition; None without any.

    Args:
        matrices: Matrices with OOD metrics.
    """
    rows = [
        [
            f"{each.id} ({each.networks})",
            *(number(value) for value in (each.home, each.mean, each.worst)),
            f"{number(each.best_mean)}, {tight(each.best.words)}" if each.best else "–",
            f"{each.better} of {each.specialists}",
            number(each.gap),
        ]
        for each in comparisons(matrices)
    ]
    if not rows:
        return None
    head = ["Mixture", "Own conditions", "All conditions", "Worst condition"]
    head += ["Best single network", "Single networks above it", "Loss"]
    return Table(head, rows)


def all_rounders(found: Numbers) -> list[str]:
    """Return sentences about the single network that is best over all test conditions."""
    best: dict[str, tuple[float, str]] = {}
    for (specimen, architecture), M in found.learned.items():
        whole = np.isfinite(M).all(1)
        if not whole.any() or M.shape[0] < 2:
            continue
        for name, values in (("mean", M.mean(1)), ("worst", M.min(1))):
            row = int(np.where(whole, values, -1).argmax())
            words = tight(found.train[row].words)
            if len(found.learned) > 1:
                words += f" ({specimen}, {architecture})"
            best[name] = max(best.get(name, (-1.0, "")), (float(values[row]), words))
    if not best:
        return []
    (mean, at), (worst, there) = best["mean"], best["worst"]
    first = (
        f"If one network must serve all conditions, the one trained at {at} has the highest "
        f"mean Dice, {number(mean)}."
    )
    if there == at:
        return [first, f"It also has the highest worst case, {number(worst)}."]
    return [first, f"The one trained at {there} has the highest worst case, {number(worst)}."]


def prediction_table(predicted: Sequence[PredictedMatrix]) -> Table | None:
    """Return R² of Dice with levels left out; None if there is no such score."""
    rows = level_rows(predicted)
    several = len({row.matrix for row in rows}) > 1
    cells = []
    for row in rows:
        words = "groups of conditions"
        if row.axis in AXES:
            words = f"levels of {axis_words(row.axis).removeprefix('the ')}"
        what = f"{f'{row.matrix}: ' * several}{words}, {ENDS[row.end]}"
        cells.append([what, *map(number, (*row.r2, *row.interaction))])
    names = ["from T(q)", "from scaled parameters", "at most"]
    head = ["Left out", *(f"R² {name}" for name in names)]
    head += [f"Interaction, {name}" for name in names]
    return Table(head, cells) if cells else None


def prediction_sentences(predicted: Sequence[PredictedMatrix]) -> list[str]:
    """Return sentences about where the prediction from transfer functions works and fails."""
    table = prediction_table(predicted)
    rows = table.rows if table else []
    values = [(float(row[1].replace("−", "-")), row[0]) for row in rows if row[1] != "–"]
    found = []
    if values:
        (low, there) = min(values)
        (high, best) = max(values)
        found.append(
            "From transfer functions and doses alone, Dice of levels that no network has seen is "
            f"predicted best if {_left_out(best)} (R² {number(high)})."
        )
        if len(values) > 1:
            last = "It fails" if low < FAILS else "It is least certain"
            found.append(f"{last} if {_left_out(there)} (R² {number(low)}).")
    return [*found, *sentences(predicted)]


def _left_out(row: str) -> str:
    """Return ``levels of dose are left out of training`` from ``levels of dose, training``."""
    what, _, where = row.rpartition(", ")
    return f"{what} are left out of {where}"


def cost_table(costs: Sequence[Cost]) -> Table | None:
    """Return time and memory of each stage, and their sum; None without benchmarks."""
    if not costs:
        return None
    _, *columns = zip(*map(astuple, costs), strict=True)
    total = Cost("all", *map(sum, columns[:-1]), max(columns[-1]))
    rows = [
        [
            cost.stage,
            f"{cost.jobs:,}",
            duration(cost.wall_s),
            _core_hours(cost.cpu_s),
            f"{cost.memory_MB / 1000:.1f} GB" if cost.memory_MB else "–",
        ]
        for cost in (*costs, total)
    ]
    head = ["stage", "jobs", "wall_s", "cpu_s", "max_rss_MB"]
    data = compressed("cost.csv", pd.DataFrame(map(astuple, costs), columns=head))
    return Table(["Stage", "Jobs", "Time of all jobs", "Core-hours", "Largest memory"], rows, data)


def _core_hours(seconds: float) -> str:
    value = seconds / 3600
    return "< 0.01" if value < 0.01 else number(value, 2 if value < 100 else 0)


def configuration(study: Study) -> str:
    """Return the whole configuration as the YAML of a valid study, with the values of all keys."""
    values = study.written()
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
