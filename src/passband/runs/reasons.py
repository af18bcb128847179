"""Says in a user's words why each job of a dry run would run, see ``passband run --why``.

Snakemake gives its reason for a job as one line, with file names and, if params of the job's rule
have changed, with those values that only an earlier job had, and those that only this job has. In
the rules, a value that follows from keys of the study is in a mapping by the paths of these keys,
such as ``{"training.epochs": 20}``. So this module finds the key of a changed value in the line
alone, and reads no file but the logs of jobs whose files are missing.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from passband import log_lines
from passband.results import layout
from passband.runs.counts import GROWING
from passband.runs.run import TARGETS
from passband.runs.run_files import tail
from passband.runs.study_jobs import Job
from passband.runs.validity import DAMAGED, UNKNOWN
from passband.store.recipe import differences
from passband.words import number_of

#: The sentences of Snakemake's line (9.27), by how each begins. Files or values follow.
_SENTENCES = {
    "Forced execution": "forced",
    "Missing output files: ": "missing",
    "Incomplete output files: ": "incomplete",
    "Updated input files: ": "newer",
    "Input files updated by another job: ": "made",
    "Set of input files has changed since last execution": "inputs",
    "Params have changed since last execution: Union of exclusive params before and now across all "
    "output: ": "params",
    "Software environment definition has changed since last execution": "environment",
}
_BEGINS = re.compile(f"(?:^|; )({'|'.join(map(re.escape, _SENTENCES))})")
#: How values that only the earlier or only the present params have are given.
_BEFORE = "before: "
_NOW = " now: "
_NONE = "<nothing exclusive>"

#: The number of a stage among the values, such as ``figures 3``.
_STAGE = re.compile(r"[a-z_]+ \d+")
#: What a user calls the files whose paths begin in this way, in the workflow's order.
_KINDS = {
    "waves": "exit waves are",
    layout.NETWORKS: "networks are",
    "records": "records are",
    layout.INFORMATION: "information metrics are",
    layout.TABLE: "the table is",
    layout.OOD: "OOD metrics are",
    layout.PREDICTION: "predictions are",
    "figures": "figures are",
    layout.REPORT: "the report is",
}
#: The stages in the workflow's order. Those of a user's own rules come last.
_STAGES = (
    *("simulate", "train", "evaluate", "information", "aggregate", "ood"),
    *("prediction", "figures", "report", "explorer"),
)


class Reasons:
    """The reasons of all jobs of a dry run, which Snakemake names one after the other."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Job, dict[str, str]]] = []
        #: Whether each output that will be made is made for the first time.
        self._new: dict[str, bool] = {}

    def add(self, job: Job, said: str) -> None:
        """Add a job with Snakemake's line about it."""
        if job.rule in TARGETS:
            return
        sentences = _sentences(said)
        self._jobs.append((job, sentences))
        new = "missing" in sentences and _end_of_last(job) == ""
        self._new |= dict.fromkeys(job.outputs, new)

    def lines(self) -> Iterator[str]:
        """Yield a line for all jobs of a stage that run for the same reason."""
        grouped: dict[tuple[str, str], list[tuple[Job, str]]] = defaultdict(list)
        for job, sentences in self._jobs:
            words, file = self._words(job, sentences)
            grouped[job.stage, words].append((job, file))
        stages = [*_STAGES, *sorted({stage for stage, _ in grouped} - {*_STAGES})]
        for stage, words in sorted(grouped, key=lambda each: (stages.index(each[0]), each[1])):
            jobs = grouped[stage, words]
            job, file = jobs[0]
            number = number_of(len(jobs), "job")
            if len(jobs) == 1:
                if job.rule in GROWING:
                    number += f" ({job.words.partition(' ')[2]})"
                words += f": {file}" * bool(file)
            yield f"{stage}: {number}: {words}"

    def _words(self, job: Job, sentences: Mapping[str, str]) -> tuple[str, str]:
        """Return why a job runs; and the file that this is about, or ""."""
        if "missing" in sentences or "incomplete" in sentences:
            files = _files(sentences.get("missing") or sentences["incomplete"])
            return _missing(job, files[0])
        if "forced" in sentences:
            unfinished = _end_of_last(job) not in ("done", "")
            return ("its last attempt did not end" if unfinished else "an option forces it"), ""
        found = _changes(sentences["params"]) if "params" in sentences else []
        if "newer" in sentences:
            found.append(f"{_last(_files(sentences['newer']))[0]} newer than what it made")
        if "made" in sentences:
            found.append(self._made(_files(sentences["made"])))
        if "environment" in sentences:
            found.append("the conda environment has changed")
        if "inputs" in sentences and not found:
            found.append("it has other inputs than before")
        return "; ".join(found) or "Snakemake gives no reason", ""

    def _made(self, files: Sequence[str]) -> str:
        """Return which inputs of a job are made before it, for the first time or again."""
        subject, last = _last(files)
        new = {self._new.get(file, False) for file in last}
        again = "made for the first time" if new == {True} else "made again"
        return f"{subject} {again}" + ", some for the first time" * (len(new) > 1)


def _sentences(said: str) -> dict[str, str]:
    """Return the sentences of Snakemake's line."""
    _, *found = _BEGINS.split(said)
    return {_SENTENCES[begin]: rest for begin, rest in zip(found[::2], found[1::2], strict=True)}


def _files(text: str) -> list[str]:
    return text.split(", ")


def _last(files: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return what the files of the last kind are called, with a verb; and these files.

    The last alone is named: a table is made again since its records are, for whatever reason.
    """
    first = {file: re.sub(r"^results/[^/]+/", "", file).partition("/")[0] for file in files}
    for kind, subject in reversed(_KINDS.items()):
        if found := [file for file in files if first[file] == kind]:
            return subject, found
    return f"{files[-1]} is", files[-1:]


def _end_of_last(job: Job) -> str | None:
    """Return how the job's last attempt ended, see `log_lines.ended`; "" if there was none."""
    text = tail(job.log) if job.log else ""
    return log_lines.ended(text, r"\S+") if text else ""


def _missing(job: Job, file: str) -> tuple[str, str]:
    """Return why a job's output is not there, and its path."""
    ended = _end_of_last(job)
    if ended == "":
        return "never made", ""
    if ended != "done":
        return "its last attempt " + ("failed" if ended == "failed" else "did not end"), ""
    path = Path(file)
    if path.parent.is_dir() and any(path.parent.glob(f"{path.name}.damaged*")):
        return "its file was damaged and set aside", file
    return "its file was deleted", file


# ── Changed params ───────────────────────────────────────────────────────────────────────────────


def _changes(text: str) -> list[str]:
    """Return which values of a job's params have changed, each with its value before and now."""
    before, now = _values(text)
    if said := [value for value in before if value in (DAMAGED, UNKNOWN)]:
        return said
    settings = [
        {name: x for value in side if isinstance(value, dict) for name, x in value.items()}
        for side in (before, now)
    ]
    found = dict.fromkeys(differences(*settings))
    stages = [
        dict(value.split() for value in side if isinstance(value, str) and _STAGE.fullmatch(value))
        for side in (before, now)
    ]
    for name in stages[0].keys() & stages[1].keys():
        found[f"stage {name} = {stages[0][name]} → {stages[1][name]}"] = None
    return list(found) or ["what it depends on has changed"]


def _values(text: str) -> tuple[list[Any], list[Any]]:
    """Return the values that only the earlier params have, and those that only the present have."""
    text = text.strip().removeprefix(_BEFORE)
    for found in re.finditer(re.escape(_NOW), text):  # a value may contain these words too
        try:
            return _literals(text[: found.start()]), _literals(text[found.end() :])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return [], []


def _literals(text: str) -> list[Any]:
    """Return values that Python wrote with commas between them."""
    return [] if text == _NONE else list(ast.literal_eval(f"({text},)"))
