"""The status of a study as a page for the terminal, and as JSON for scripts."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from passband.console import clean
from passband.grid import AXES, MAIN_AXES, Condition
from passband.jobs.status import STATES, Job, Status, tail

_SYMBOLS = {"done": "█", "partly": "▒", "running": ">", "failed": "x", "waiting": "·"}
_COLOURS = {"done": 32, "partly": 32, "running": 33, "failed": 31, "waiting": 2}


def render(status: Status, width: int = 80, colour: bool = False, failures: int = 3) -> str:
    """Return a page with the jobs of each stage, the networks, the training grid, and failures.

    Parameters
    ----------
    status : Status
        See :func:`passband.jobs.status.scan`.
    width : int
        Number of columns of the terminal. A training grid that is wider is divided into parts.
    colour : bool
        Whether to colour the states of jobs with ANSI sequences.
    failures : int
        Maximum number of failed jobs. The last lines of their logs are shown.
    """

    def paint(words: str, state: str) -> str:
        return f"\x1b[{_COLOURS[state]}m{words}\x1b[0m" if colour and words else words

    parts = [
        f"{status.study.study.name}  {status.results}  {_clock(status.now, status.now)}",
        "\n".join(_stages(status, paint)),
        "\n".join(_networks(status)),
        *("\n".join(lines) for lines in _grids(status, width, paint)),
    ]
    counts = Counter(status.cells.values())
    legend = (
        f"{paint(_SYMBOLS[state], state)} {state} {counts[state]:,}"
        for state in ("done", "partly", "running", "failed", "waiting")
    )
    parts.append("   ".join(legend))
    if failed := status.failures:
        parts.append(f"{len(failed):,} failed, the newest first:")
        parts += ["\n".join(_failure(job, status.now)) for job in failed[:failures]]
    return "\n\n".join(parts)


def _stages(status: Status, paint) -> Iterator[str]:
    yield f"{'jobs':<12}" + "".join(f"{state:>9}" for state in STATES)
    for stage, of_stage in status.stages.items():
        counts = Counter(job.state for job in of_stage)
        cells = (
            paint(f"{counts[state]:>9,}", state) if counts[state] else f"{'–':>9}"
            for state in STATES
        )
        yield f"{stage:<12}" + "".join(cells)


def _networks(status: Status) -> Iterator[str]:
    (trained, total), (tested, _) = status.networks("train"), status.networks("evaluate")
    yield f"networks    {trained:,} of {total:,} trained ({trained / total:.0%}), {tested:,} tested"
    if status.complete:
        yield "            the study is complete"
        if status.running:
            yield f"            {_at_work(status)}"
        return
    if found := status.rate("train"):
        rate, hours = found
        until, duration = status.until("train"), _duration(3600 * hours)
        when = f"the last {duration}"
        if until < status.now:
            when = f"{duration}, up to {_clock(until, status.now)}"
        yield f"            {_number(rate)} trained an hour over {when}"
    if status.end is not None:
        end, left = _clock(status.end, status.now), _duration(status.end - status.now)
        yield f"            at this rate, all are tested at {end}, in {left}"
    yield f"            {_at_work(status)}"


def _at_work(status: Status) -> str:
    """Return a line about the running jobs, or about the next step if no job runs."""
    since = _clock(status.since, status.now)
    if running := status.running:
        jobs_of = ", ".join(f"{number:,} {stage}" for stage, number in running.items())
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


def _grids(status: Status, width: int, paint) -> Iterator[list[str]]:
    """Yield the lines that show the training grid, for each specimen and architecture.

    Each combination of the values of further axes has a grid. Each row belongs to an aperture and a
    dose. Each group of columns belongs to a defocus, and each character of a group belongs to a Cs.
    """
    if len(status.study.train_products) > 1:
        yield from _points(status, width, paint)
        return
    axes, own = status.study.train_axes, status.study.own_values
    further = {name: axes[name] for name in own}
    defoci, spherical, apertures, doses = (axes[name] for name in MAIN_AXES)
    group = max(len(spherical), *(len(f"{defocus:g}") for defocus in defoci)) + 1
    margin = 2 + max(len(f"{a:g}") for a in apertures) + 2 + max(len(f"{d:g}") for d in doses) + 2
    a_width, d_width = (max(len(f"{v:g}") for v in values) for values in (apertures, doses))
    fits = max(1, (width - margin) // group)
    shown = [defoci[k : k + fits] for k in range(0, len(defoci), fits)]
    for specimen, architecture, *values in product(
        status.study.trained_specimens, status.study.training.architectures, *further.values()
    ):
        given = dict(zip(further, values, strict=True))
        words = [f", {AXES[n].label} {value:g} {AXES[n].unit}" for n, value in given.items()]
        cs = ", ".join(f"{value:g}" for value in spherical)
        lines = [
            f"{specimen}, {architecture}{''.join(words)}",
            "  down: aperture [mrad] and dose [e/Å²]; across: defocus [nm]",
            f"  and, at each defocus, Cs of {cs} µm",
        ]
        for part in shown:
            lines.append(" " * margin + "".join(f"{d:<{group}g}" for d in part).rstrip())
            for aperture, dose in product(apertures, doses):
                label = f"{aperture:g}" if dose == doses[0] else ""
                row = f"  {label:>{a_width}}  {dose:>{d_width}g}  "
                for defocus in part:
                    main = (
                        dict(zip(MAIN_AXES, (defocus, c, aperture, dose), strict=True))
                        for c in spherical
                    )
                    ids = (Condition.of(each | given, own).id for each in main)
                    states = [status.cells[specimen, architecture, id] for id in ids]
                    row += _run(states, paint) + " " * (group - len(states))
                lines.append(row.rstrip())
        yield lines


def _points(status: Status, width: int, paint) -> Iterator[list[str]]:
    """Yield the lines that show training conditions that are no product of axes.

    Each character belongs to a condition. The conditions are sorted by their values.
    """
    ids = [condition.id for condition in status.study.train_conditions]
    for specimen, architecture in product(
        status.study.trained_specimens, status.study.training.architectures
    ):
        states = [status.cells[specimen, architecture, id] for id in ids]
        size = max(1, width - 2)
        yield [
            f"{specimen}, {architecture}",
            f"  {len(ids):,} training conditions, sorted by defocus, Cs, aperture and dose",
            *("  " + _run(states[k : k + size], paint) for k in range(0, len(states), size)),
        ]


def _run(states: Iterable[str], paint) -> str:
    return "".join(paint(_SYMBOLS[state], state) for state in states)


def _failure(job: Job, now: float) -> Iterator[str]:
    yield f"{clean(job.log)}, {_duration(now - job.time)} ago"
    for line in tail(job.log).splitlines()[-5:]:
        yield f"    {clean(line)}"
    if job.silent:
        yield "    (the log ends here: the job was killed, or its node went down)"


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
                    "specimen": specimen,
                    "architecture": architecture,
                    "condition": id,
                    "state": state,
                }
                for (specimen, architecture, id), state in status.cells.items()
            ],
            "failures": [
                {"stage": job.stage, "log": job.log, "time": job.time, "silent": job.silent}
                for job in status.failures
            ],
        },
        ensure_ascii=False,
    )


def _clock(when: float, now: float) -> str:
    """Return the time of day in hours and minutes. The date is added if it is not today's."""
    there = time.localtime(when)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if today else "%a %d %b, %H:%M", there)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(0, round(seconds))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{round(seconds / 86400)} days"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
