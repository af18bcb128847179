"""The status of a study as a page for the terminal, and as values for scripts."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from passband.axes import AXES, MAIN_AXES
from passband.console import clean
from passband.network_id import NetworkId
from passband.results import listing
from passband.runs.display import bar, clock, dice, last_lines
from passband.runs.job_states import Run
from passband.runs.study_jobs import STATES
from passband.storage import integrity
from passband.words import duration, number_of

_SYMBOLS = {"done": "█", "partly": "▒", "running": ">", "failed": "x", "waiting": "·"}
_STYLES = {
    "done": "green", "partly": "green", "running": "yellow", "failed": "red", "waiting": "dim"
}  # fmt: skip


def render(run: Run, width: int = 80, colour: bool = False, failures: int = 3) -> str:
    """Return a page with the jobs of each stage, the networks, the training grid, and failures.

    Args:
        run: A run that was read with its logs.
        width: Number of columns of the terminal. A training grid that is wider is divided into
            parts.
        colour: Whether to colour the page with ANSI sequences. Without colours, the page is plain
            text.
        failures: Maximum number of failed jobs. The last lines of their logs are shown.
    """
    counts = Counter(run.cells.values())
    legend = (
        Text.assemble((symbol, _STYLES[state]), f" {state} {counts[state]:,}")
        for state, symbol in _SYMBOLS.items()
    )
    title = Text.assemble(
        (clean(run.name), "bold"), f"  {clean(str(run.results))}  {clock(run.now, run.now)}"
    )
    parts = [
        Group(title, bar(run, run.now, width)),
        _stages(run),
        Group(*map(Text, _networks(run))),
        *(Group(*lines) for lines in _conditions(run, width)),
        Text("   ").join(legend),
    ]
    if failed := run.failures:
        parts.append(Text(f"{len(failed):,} failed, the newest first:", style="red"))
    for job in failed[:failures]:
        title = f"{clean(job.log)}, {duration(run.now - job.time)} ago"
        parts.append(Group(*map(Text, (title, *last_lines(job)))))
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(part, soft_wrap=True)  # a path or a line of a log is not broken
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _stages(run: Run) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("jobs", min_width=10)
    for state in STATES:
        table.add_column(state, justify="right", min_width=7)
    for stage, of_stage in run.stages.items():
        counts = Counter(job.state for job in of_stage)
        cells = (
            Text(f"{counts[state]:,}", _STYLES[state]) if counts[state] else "–" for state in STATES
        )
        table.add_row(clean(stage), *cells)
    return table


def _networks(run: Run) -> Iterator[str]:
    (trained, total), (tested, _) = run.networks("train"), run.networks("evaluate")
    yield f"networks    {trained:,} of {total:,} trained ({trained / total:.0%}), {tested:,} tested"
    if run.dice:
        yield f"            {dice(run.dice)}"
    if run.complete:
        yield "            the study is complete"
        if run.running:
            yield f"            {at_work(run)}"
        return
    if found := run.rate("train"):
        rate, hours = found
        until, period = run.until("train"), duration(3600 * hours)
        when = f"the last {period}"
        if until < run.now:
            when = f"{period}, up to {clock(until, run.now)}"
        yield f"            {_number(rate)} trained an hour over {when}"
    yield f"            {at_work(run)}"


def at_work(run: Run) -> str:
    """Return a line about the running jobs, or about the next step if no job runs."""
    since = clock(run.since, run.now)
    if run.running:
        stages = Counter(job.stage for job in run.running.values())
        return f"running: {', '.join(f'{n:,} {clean(stage)}' for stage, n in stages.items())}"
    if run.snakemake == "running":
        return f"Snakemake runs since {since}; no job runs at this moment"
    if run.snakemake == "locked":
        return (
            f"Snakemake runs on another machine since {since}, or it was killed; if it was killed, "
            "run its command once with --unlock, and then again without"
        )
    if run.failures:
        return "no job runs; correct the failures, and run Snakemake's command again to continue"
    if listing.is_of_02(run.results.folder):
        return integrity.MADE_BY_02
    left = number_of(run.left, "job")
    return f"no job runs; {left} to run: `passband run` or Snakemake's command continues"


def _conditions(run: Run, width: int) -> Iterator[list[Text]]:
    """Yield lines with a character for each training condition, by specimen and architecture."""
    study = run.results.study
    kinds = list(product(study.trained_specimens, study.training.architectures))
    if study.mixtures:
        yield [
            Text("mixtures of conditions", "bold"),
            *(
                Text.assemble("  ", *_marks(run, kind, [m.id]), f" {m.id} ({', '.join(kind)}): ")
                + Text(m.words())
                for kind, m in product(kinds, study.mixtures)
            ),
        ]
    for kind in kinds:
        yield from (_grids if len(study.train_products) == 1 else _points)(run, kind, width)


def _marks(run: Run, kind: tuple[str, str], ids: Iterable[str]) -> list[tuple[str, str]]:
    """Return the symbol of each condition's state, and its style."""
    states = (run.cells[NetworkId(*kind, id)] for id in ids)
    return [(_SYMBOLS[state], _STYLES[state]) for state in states]


def _grids(run: Run, kind: tuple[str, str], width: int) -> Iterator[list[Text]]:
    """Yield the training grid, for each combination of the values of further axes.

    Each row belongs to an aperture and a dose. Each group of columns belongs to a defocus, and each
    character of a group belongs to a Cs.
    """
    axes, of_study = run.results.study.train_axes, run.results.study.axes
    defoci, spherical, apertures, doses = (axes[name] for name in MAIN_AXES)
    a_width, d_width = (max(len(f"{v:g}") for v in values) for values in (apertures, doses))
    group = max(len(spherical), *(len(f"{defocus:g}") for defocus in defoci)) + 1
    margin = 2 + a_width + 2 + d_width + 2
    fits = max(1, (width - margin) // group)
    cs = ", ".join(f"{value:g}" for value in spherical)
    for values in product(*(axes[name] for name in of_study.own)):
        given = dict(zip(of_study.own, values, strict=True))
        words = [*kind, *(AXES[name].named(f"{x:g}") for name, x in given.items())]
        lines = [
            Text(", ".join(words), "bold"),
            Text("  down: aperture [mrad] and dose [e/Å²]; across: defocus [nm]"),
            Text(f"  and, at each defocus, Cs of {cs} µm"),
        ]
        for first in range(0, len(defoci), fits):
            shown = defoci[first : first + fits]
            lines.append(Text(" " * margin + "".join(f"{x:<{group}g}" for x in shown)))
            for aperture, dose in product(apertures, doses):
                label = f"{aperture:g}" if dose == doses[0] else ""
                row = Text(f"  {label:>{a_width}}  {dose:>{d_width}g}  ")
                for defocus in shown:
                    mains = ((defocus, c, aperture, dose) for c in spherical)
                    ids = (
                        of_study.condition(given | dict(zip(MAIN_AXES, main, strict=True))).id
                        for main in mains
                    )
                    row += Text.assemble(*_marks(run, kind, ids), " " * (group - len(spherical)))
                lines.append(row)
        yield lines


def _points(run: Run, kind: tuple[str, str], width: int) -> Iterator[list[Text]]:
    """Yield the training conditions of several blocks, sorted by their values."""
    marks = _marks(run, kind, (condition.id for condition in run.results.study.train_conditions))
    size = max(1, width - 2)
    yield [
        Text(", ".join(kind), "bold"),
        Text(f"  {len(marks):,} training conditions, sorted by defocus, Cs, aperture and dose"),
        *(Text.assemble("  ", *marks[k : k + size]) for k in range(0, len(marks), size)),
    ]


# ── As JSON ──────────────────────────────────────────────────────────────────────────────────────


def values(run: Run) -> dict[str, Any]:
    """Return a study's status as values of JSON. docs/cluster.md describes the keys."""
    (trained, total), (tested, _) = run.networks("train"), run.networks("evaluate")
    rates = {stage: run.rate(stage) for stage in ("train", "evaluate")}
    return {
        "study": run.name,
        "results": str(run.results),
        "time": run.now,
        "complete": run.complete,
        "over": run.over,
        "left": run.left,
        "snakemake": run.snakemake or "not running",
        "jobs": {
            stage: {s: sum(job.state == s for job in of_stage) for s in STATES}
            for stage, of_stage in run.stages.items()
        },
        "networks": {"total": total, "trained": trained, "tested": tested},
        "networks_per_hour": {stage: rate and rate[0] for stage, rate in rates.items()},
        "end": run.end,
        "cells": [
            {
                "specimen": cell.specimen,
                "architecture": cell.architecture,
                "condition": cell.condition,
                "state": state,
            }
            for cell, state in run.cells.items()
        ],
        "failures": [
            {"stage": job.stage, "log": job.log, "time": job.time, "silent": job.silent}
            for job in run.failures
        ],
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
