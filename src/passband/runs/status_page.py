"""The status of a study as a page for the terminal, and as JSON for scripts."""

import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from passband.axes import AXES, MAIN_AXES
from passband.console import clean
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.runs.progress_display import SILENT, bar, dice
from passband.runs.run_files import Followed
from passband.runs.status import STATES, Job, Status, tail
from passband.words import duration

_SYMBOLS = {"done": "█", "partly": "▒", "running": ">", "failed": "x", "waiting": "·"}
_STYLES = {
    "done": "green", "partly": "green", "running": "yellow", "failed": "red", "waiting": "dim"
}  # fmt: skip


def render(status: Status, width: int = 80, colour: bool = False, failures: int = 3) -> str:
    """Return a page with the jobs of each stage, the networks, the training grid, and failures.

    Args:
        status: See :func:`passband.runs.status.scan`.
        width: Number of columns of the terminal. A training grid that is wider is divided into
            parts.
        colour: Whether to colour the page with ANSI sequences. Without colours, the page is plain
            text.
        failures: Maximum number of failed jobs. The last lines of their logs are shown.
    """
    followed = Followed(status.study)
    followed.update(status)
    counts = Counter(status.cells.values())
    legend = (
        Text.assemble((symbol, _STYLES[state]), f" {state} {counts[state]:,}")
        for state, symbol in _SYMBOLS.items()
    )
    name = clean(status.study.study.name)
    title = Text.assemble(
        (name, "bold"), f"  {clean(str(status.results))}  {clock(status.now, status.now)}"
    )
    parts = [
        Group(title, bar(followed.progress, status.now, width)),
        _stages(status),
        Group(*map(Text, _networks(status, followed))),
        *(Group(*lines) for lines in _grids(status, width)),
        Text("   ").join(legend),
    ]
    if failed := status.failures:
        parts.append(Text(f"{len(failed):,} failed, the newest first:", style="red"))
        parts += [Group(*map(Text, _failure(job, status.now))) for job in failed[:failures]]
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


def _stages(status: Status) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("jobs", min_width=10)
    for state in STATES:
        table.add_column(state, justify="right", min_width=7)
    for stage, of_stage in status.stages.items():
        counts = Counter(job.state for job in of_stage)
        cells = (
            Text(f"{counts[state]:,}", _STYLES[state]) if counts[state] else "–" for state in STATES
        )
        table.add_row(clean(stage), *cells)
    return table


def _networks(status: Status, followed: Followed) -> Iterator[str]:
    (trained, total), (tested, _) = status.networks("train"), status.networks("evaluate")
    yield f"networks    {trained:,} of {total:,} trained ({trained / total:.0%}), {tested:,} tested"
    if followed.progress.dice:
        yield f"            {dice(followed.progress)}"
    if status.complete:
        yield "            the study is complete"
        if status.running:
            yield f"            {at_work(status)}"
        return
    if found := status.rate("train"):
        rate, hours = found
        until, period = status.until("train"), duration(3600 * hours)
        when = f"the last {period}"
        if until < status.now:
            when = f"{period}, up to {clock(until, status.now)}"
        yield f"            {_number(rate)} trained an hour over {when}"
    yield f"            {at_work(status)}"


def at_work(status: Status) -> str:
    """Return a line about the running jobs, or about the next step if no job runs."""
    since = clock(status.since, status.now)
    if running := status.running:
        jobs_of = ", ".join(f"{number:,} {clean(stage)}" for stage, number in running.items())
        return f"running: {jobs_of}"
    if status.snakemake == "running":
        return f"Snakemake runs since {since}; no job runs at this moment"
    if status.snakemake == "locked":
        return (
            f"Snakemake runs on another machine since {since}, or it was killed; if it was killed, "
            "run its command once with --unlock, and then again without"
        )
    if status.failures:
        return "no job runs; correct the failures, and run Snakemake's command again to continue"
    return "no job runs; run Snakemake's command to continue"


def _grids(status: Status, width: int) -> Iterator[list[RenderableType]]:
    """Yield the tables that show the training grid, for each specimen and architecture.

    Each combination of the values of further axes has a grid. Each row belongs to an aperture and a
    dose. Each group of columns belongs to a defocus, and each character of a group belongs to a Cs.
    """
    if mixed := status.study.mixtures:
        yield [Text("mixtures of conditions", "bold"), *_mixtures(status, mixed)]
    if len(status.study.train_products) > 1:
        yield from _points(status, width)
        return
    axes, of_study = status.study.train_axes, status.study.axes
    further = {name: axes[name] for name in of_study.own}
    defoci, spherical, apertures, doses = (axes[name] for name in MAIN_AXES)
    group = max(len(spherical), *(len(f"{defocus:g}") for defocus in defoci)) + 1
    margin = 2 + max(len(f"{a:g}") for a in apertures) + 2 + max(len(f"{d:g}") for d in doses) + 2
    fits = max(1, (width - margin) // group)
    for specimen, architecture, *values in product(
        status.study.trained_specimens, status.study.training.architectures, *further.values()
    ):
        given = dict(zip(further, values, strict=True))
        words = [f", {AXES[n].named(f'{x:g}')}" for n, x in given.items()]
        cs = ", ".join(f"{value:g}" for value in spherical)
        lines: list[RenderableType] = [
            Text(f"{specimen}, {architecture}{''.join(words)}", "bold"),
            Text("  down: aperture [mrad] and dose [e/Å²]; across: defocus [nm]"),
            Text(f"  and, at each defocus, Cs of {cs} µm"),
        ]
        for first in range(0, len(defoci), fits):
            shown = defoci[first : first + fits]
            table = Table(box=None, padding=0, header_style="", pad_edge=False)
            table.add_column(width=margin)
            for defocus in shown:
                table.add_column(f"{defocus:g}", width=group)
            for aperture, dose in product(apertures, doses):
                label = f"{aperture:g}" if dose == doses[0] else ""
                a_width, d_width = (max(len(f"{v:g}") for v in vs) for vs in (apertures, doses))
                cells = []
                for defocus in shown:
                    main = (
                        dict(zip(MAIN_AXES, (defocus, c, aperture, dose), strict=True))
                        for c in spherical
                    )
                    ids = (of_study.condition(each | given).id for each in main)
                    states = (status.cells[NetworkId(specimen, architecture, id)] for id in ids)
                    cells.append(Text.assemble(*((_SYMBOLS[s], _STYLES[s]) for s in states)))
                table.add_row(f"  {label:>{a_width}}  {dose:>{d_width}g}  ", *cells)
            lines.append(table)
        yield lines


def _mixtures(status: Status, mixed: Sequence[Mixture]) -> Iterator[Text]:
    """Yield a line for each specimen, architecture and mixture."""
    study = status.study
    for names in product(study.trained_specimens, study.training.architectures):
        for mixture in mixed:
            state = status.cells[NetworkId(*names, mixture.id)]
            words = f" {mixture.id} ({', '.join(names)}): {mixture.words()}"
            yield Text.assemble("  ", (_SYMBOLS[state], _STYLES[state]), words)


def _points(status: Status, width: int) -> Iterator[list[RenderableType]]:
    """Yield lines with a character for each training condition, sorted by their values."""
    ids = [condition.id for condition in status.study.train_conditions]
    for specimen, architecture in product(
        status.study.trained_specimens, status.study.training.architectures
    ):
        states = [status.cells[NetworkId(specimen, architecture, id)] for id in ids]
        size = max(1, width - 2)
        yield [
            Text(f"{specimen}, {architecture}", "bold"),
            Text(f"  {len(ids):,} training conditions, sorted by defocus, Cs, aperture and dose"),
            *(
                Text.assemble("  ", *((_SYMBOLS[s], _STYLES[s]) for s in states[k : k + size]))
                for k in range(0, len(states), size)
            ),
        ]


def _failure(job: Job, now: float) -> Iterator[str]:
    yield f"{clean(job.log)}, {duration(now - job.time)} ago"
    for line in tail(job.log).splitlines()[-5:]:
        yield f"    {clean(line)}"
    if job.silent:
        yield f"    {SILENT}"


# ── As JSON ──────────────────────────────────────────────────────────────────────────────────────


def as_json(status: Status) -> str:
    """Return a study's status as one line of JSON. docs/cluster.md describes its keys."""
    (trained, total), (tested, _) = status.networks("train"), status.networks("evaluate")
    rates = {stage: status.rate(stage) for stage in ("train", "evaluate")}
    return json.dumps(
        {
            "study": status.study.study.name,
            "results": str(status.results),
            "time": status.now,
            "complete": status.complete,
            "over": status.over,
            "snakemake": status.snakemake or "not running",
            "jobs": {
                stage: {s: sum(job.state == s for job in of_stage) for s in STATES}
                for stage, of_stage in status.stages.items()
            },
            "networks": {"total": total, "trained": trained, "tested": tested},
            "networks_per_hour": {stage: rate and rate[0] for stage, rate in rates.items()},
            "end": status.end,
            "cells": [
                {
                    "specimen": cell.specimen,
                    "architecture": cell.architecture,
                    "condition": cell.condition,
                    "state": state,
                }
                for cell, state in status.cells.items()
            ],
            "failures": [
                {"stage": job.stage, "log": job.log, "time": job.time, "silent": job.silent}
                for job in status.failures
            ],
        },
        ensure_ascii=False,
    )


def clock(when: float, now: float) -> str:
    """Return the time of day in hours and minutes. The date is added if it is not today's."""
    there = time.localtime(when)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if today else "%a %d %b, %H:%M", there)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
