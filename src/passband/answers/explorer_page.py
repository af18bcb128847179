"""The explorer of a finished study: collects what the page shows, and writes the page.

The workflow's rule `explorer` and the command ``passband explore`` use this module.
"""

import html
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from passband.axes import AXES
from passband.errors import PassbandError
from passband.grid import Condition
from passband.results import Results, layout

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from passband.answers.tested_networks import TestedNetworks
    from passband.config import Study
    from passband.matrices.stored import MatrixName
    from passband.reports.explorer.explorer import Blocks


def write(
    results: Results,
    with_images: bool = True,
    progress: Callable[[Iterable], Iterable] = iter,
    always: bool = False,
) -> str:
    """Write the explorer of a study, whole or not at all.

    Args:
        with_images: Whether to make example images, with the masks of some networks.
        progress: Is given the test conditions of the example images, and yields them.
        always: Whether to write a page that says why there is no explorer, if there is none. A
            damaged store is an error nevertheless.

    Returns:
        Why there is no explorer, or "".
    """
    from passband.storage import StoreError, atomic

    file = results.path(layout.EXPLORER)
    reason = ""
    try:
        text = page(results, with_images, progress)
    except PassbandError as error:
        if not always or isinstance(error, StoreError):
            raise
        reason = str(error)
        text = _without(results, reason)
    try:
        with atomic.replacing(file) as beside:
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise PassbandError(f"{file}: cannot be written: {said}") from None
    return reason


def _without(results: Results, reason: str) -> str:
    """Return a page that says why there is no explorer."""
    title = html.escape(f"{results.study.study.name}: explorer")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<p>There is no explorer of this study: {html.escape(reason)}.</p>\n"
        f'<p><a href="{layout.REPORT}">The report</a></p></html>\n'
    )


def page(results: Results, with_images: bool, progress: Callable[[Iterable], Iterable]) -> str:
    """Return the explorer of a study that has the table of results and the OOD metrics."""
    from passband.reports.collected import Collected
    from passband.reports.explorer import content as explorer_content
    from passband.reports.explorer import explorer

    study = results.study
    found = Collected.of(results)
    blocks = explorer.Blocks()
    rankings, predicted, notes = _models(results, blocks)
    with _information(results) as information:
        content = explorer_content.content(
            study, found.source.matrices, information, blocks, predicted
        )
    content["rankings"] = rankings
    content["report"] = layout.REPORT if results.has(layout.REPORT) else None
    content["notes"] += notes
    content["unlearned"] = found.unlearned
    content["notes"] += [found.unlearned] if found.unlearned else []
    if with_images:
        from passband.answers import explored_images  # torch takes seconds to import

        note = content["notes"].append
        content["examples"] = explored_images.examples(results, blocks, progress, note)
    return explorer.page(f"{study.study.name}: explorer", content, blocks)


@contextmanager
def _information(results: Results) -> "Iterator[xr.Dataset | None]":
    """Open the study's metrics of transfer functions, which can need much memory."""
    from passband.results import stores
    from passband.storage import datasets

    if not results.has(layout.INFORMATION):
        yield None
        return
    path = results.path(layout.INFORMATION)
    with datasets.open_checked(path, datasets.INFORMATION) as opened:
        stores.check_of_study(path, opened, results.study)
        yield opened


def _models(
    results: Results, blocks: "Blocks"
) -> "tuple[list[dict], dict[MatrixName, np.ndarray], list[str]]":
    """Return what the models of Dice are for: rankings, and predicted matrices.

    Returns:
        For each test specimen with a model, see :func:`passband.reports.explorer.ranking.ranking`.
        The predicted matrices, see :func:`passband.reports.explorer.ranking.predicted`.
        Notes on test specimens without a model.
    """
    from passband.answers.tested_networks import TestedNetworks
    from passband.reports.explorer.ranking import MOST_NUMBERS, predicted, ranking

    study = results.study
    rankings = []
    found = {}
    notes = []
    if others := [AXES[name].label for name in study.axes.own if AXES[name].needs_waves]:
        notes.append(
            f"No networks are ranked, since other values of {', '.join(others)} need other exit "
            "waves; passband recommend ranks networks."
        )
        return rankings, found, notes
    for specimen in dict.fromkeys(matrix.test_specimen for matrix in results.matrices()):
        try:
            tested = TestedNetworks.open(results, specimen).within_axes()
            tested = tested.covering(_outermost(study))
            if _numbers(tested) > MOST_NUMBERS and study.study.replicas > 1:
                tested = tested.of_replicas()
                notes.append(
                    f"The ranking for {specimen} has means of replicas, since the study has too "
                    "many networks for this page; passband recommend ranks single networks."
                )
            if (number := _numbers(tested)) > MOST_NUMBERS:
                raise PassbandError(
                    f"networks times test conditions are {number:,}, and this page is large enough "
                    f"for {MOST_NUMBERS:,}; use passband recommend"
                )
            profile = tested.profiles(tested.tested[:1])
            rankings.append(
                ranking(
                    tested.fitted,
                    tested.tested,
                    tested.further,
                    [rows.dice for rows in tested.of_matrices],
                    profile,
                    study.microscope.response(profile.frequency),
                    specimen,
                    blocks,
                    tested.unlearned,
                )
            )
            for rows, fitted in zip(tested.of_matrices, tested.fitted, strict=True):
                found[rows.matrix.name] = predicted(fitted, rows.matrix)
        except PassbandError as error:
            notes.append(f"No networks are ranked for {specimen}: {error}.")
    return rankings, found, notes


def _outermost(study: "Study") -> list[Condition]:
    """Return a condition whose lens is as far from a round lens as the page's sliders allow."""
    from passband.prediction.range_of_use import ranges

    values = {}
    for name, (low, high) in ranges(study.test_conditions).items():
        values[name] = min(high + (high - low) / 4, AXES[name].maximum)
    return [study.axes.condition(values)]


def _numbers(tested: "TestedNetworks") -> int:
    """Return the number of networks times test conditions."""
    return sum(rows.dice.size for rows in tested.of_matrices)
