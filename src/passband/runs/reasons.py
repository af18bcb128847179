"""Says in a user's words why each job of a dry run would run, see ``passband run --why``.

Snakemake gives its reason for a job as one line, with file names and, if params of the job's rule
have changed, with those values that only an earlier job had, and those that only this job has. In
the rules, a value that follows from keys of the study is in a mapping by the paths of these keys,
such as ``{"training.epochs": 20}``. So this module finds the key of a changed value in the line
alone. It reads the logs of jobs whose files are missing, and looks whether the store has what they
make.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from passband import log_lines
from passband.results import Results, layout
from passband.runs.counts import GROWING
from passband.runs.in_store import InStore
from passband.runs.job_states import TARGETS
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
_WAVES = "exit waves are"
#: What a user calls the files whose paths begin in this way, in the workflow's order.
_KINDS = {
    "waves": _WAVES,
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


#: How outputs are made, in words; and in this order in a sentence about several.
_NEW = "made for the first time"
_AGAIN = "made again"
_STORED = "taken from the store"
_REGROUPED = "regrouped"
_HOW = _AGAIN, _STORED, _REGROUPED, _NEW

_NEVER = "never made"
_MORE, _LESS = "it depends on more than before", "it depends on less than before"
_OTHER_INPUTS = "it has other inputs than before"
_OTHER_FIGURES = "figures.formats, or which figures are drawn, has changed"
#: The key with the number of structures of a shard, and how those with all structures begin.
_SHARD, _STRUCTURES = "study.structures_per_shard", "study.structures."


class Reasons:
    """The reasons of all jobs of a dry run, which Snakemake names one after the other.

    Args:
        results: The study; without it, nobody knows what its store has.
    """

    def __init__(self, results: Results | None = None) -> None:
        self._jobs: list[tuple[Job, dict[str, str]]] = []
        #: The job that makes an output, with its place in `_jobs`; and how, one of `_HOW`.
        self._makers: dict[str, int] = {}
        self._how: dict[int, str] = {}
        self._store = results and InStore(results)
        self._has_several = results is not None and len(results.study.specimens) > 1

    def add(self, job: Job, said: str) -> None:
        """Add a job with Snakemake's line about it."""
        if job.rule in TARGETS:
            return
        self._makers |= dict.fromkeys(job.outputs, len(self._jobs))
        self._jobs.append((job, _sentences(said)))

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
            specimens = {job.wildcards.get("specimen") for job, _ in jobs}
            if len(jobs) == 1:
                if job.rule in GROWING:
                    number += f" ({job.words.partition(' ')[2]})"
                words += f": {file}" * bool(file)
            elif self._has_several and words == _NEVER and len(specimens) == 1:
                number += f" ({specimens.pop()})"
            yield f"{stage}: {number}: {words}"

    def _words(self, job: Job, sentences: Mapping[str, str]) -> tuple[str, str]:
        """Return why a job runs; and the file that this is about, or ""."""
        if "missing" in sentences or "incomplete" in sentences:
            files = _files(sentences.get("missing") or sentences["incomplete"])
            if self._how_of(files[0]) in (_STORED, _REGROUPED) and _end_of_last(job) == "":
                what = "exit waves" if job.rule == "simulate" else "networks"
                return f"its {what} are only regrouped", ""
            return _missing(job, files)
        if "forced" in sentences:
            unfinished = _end_of_last(job) not in ("done", "")
            return ("its last attempt did not end" if unfinished else "an option forces it"), ""
        found = _changes(sentences["params"], job) if "params" in sentences else []
        if "newer" in sentences:
            found.append(f"{_last(_files(sentences['newer']))[0]} newer than what it made")
        if "made" in sentences:
            found = [each for each in found if each != _MORE]  # what is made says it
            found.append(self._made(_files(sentences["made"])))
        if "environment" in sentences:
            found.append("the conda environment has changed")
        if "inputs" in sentences and not found:
            found.append(_OTHER_FIGURES if job.rule == "report" else _OTHER_INPUTS)
        return "; ".join(found) or "Snakemake gives no reason", ""

    def _made(self, files: Sequence[str]) -> str:
        """Return which inputs of a job are made before it, and how."""
        subject, last = _last(files)
        specimens = {file.split("/")[3] for file in last if subject == _WAVES}
        if self._has_several and len(specimens) == 1:
            subject = subject.replace(" are", f" of {specimens.pop()} are")
        found = {self._how_of(file) for file in last}
        first, *others = [how for how in _HOW if how in found]
        if first == _AGAIN:
            others = [how.removeprefix("made ") for how in others]
        return ", some ".join([f"{subject} {first}", *others])

    def _how_of(self, file: str) -> str:
        """Return how a file is made."""
        if file not in self._makers:
            return _AGAIN
        place = self._makers[file]
        if place not in self._how:
            job, sentences = self._jobs[place]
            is_new = "missing" in sentences and _end_of_last(job) == ""
            if self._is_in_store(job, sentences, is_new=is_new):
                self._how[place] = _REGROUPED if job.rule == "evaluate" else _STORED
            else:
                self._how[place] = _NEW if is_new else _AGAIN
        return self._how[place]

    def _is_in_store(self, job: Job, sentences: Mapping[str, str], *, is_new: bool) -> bool:
        """Return whether a job only takes what it makes from the store.

        That is looked up only if it is possible, since it takes time.
        """
        if self._store is None or (job.rule == "evaluate" and not is_new):
            return False
        if job.rule != "simulate":
            made = _files(sentences["made"]) if "made" in sentences else []
            if "params" in sentences or any(self._how_of(file) != _STORED for file in made):
                return False
        return self._store.has(job)


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


def _missing(job: Job, files: Sequence[str]) -> tuple[str, str]:
    """Return why a job's outputs are not there, and the path of the first."""
    ended = _end_of_last(job)
    if ended == "":
        return _NEVER, ""
    if ended != "done":
        return "its last attempt " + ("failed" if ended == "failed" else "did not end"), ""
    path = Path(files[0])
    if path.parent.is_dir() and any(path.parent.glob(f"{path.name}.damaged*")):
        return "its file was damaged and set aside", files[0]
    if job.rule in ("figure", "gallery_sheet"):
        wanted = {Path(file) for file in files}
        if any(other not in wanted for other in path.parent.glob(f"{path.stem}.*")):
            formats = " and ".join(sorted(each.suffix[1:] for each in wanted))
            return f"figures.formats has {formats}, of which there is no file", ""
    return "its file was deleted", files[0]


# ── Changed params ───────────────────────────────────────────────────────────────────────────────


def _changes(text: str, job: Job) -> list[str]:
    """Return which values of a job's params have changed, each with its value before and now."""
    before, now = _values(text)
    if said := [value for value in before if value in (DAMAGED, UNKNOWN)]:
        return said
    settings = [_settings(side) for side in (before, now)]
    _tell_structures(settings, job.wildcards.get("shard", ""))
    found = dict.fromkeys(differences(*settings))
    stages = [
        dict(value.split() for value in side if isinstance(value, str) and _STAGE.fullmatch(value))
        for side in (before, now)
    ]
    for name in stages[0].keys() & stages[1].keys():
        found[f"stage {name} = {stages[0][name]} → {stages[1][name]}"] = None
    return list(found) or [_of_digests(before, now)]


def _settings(side: Sequence[Any]) -> dict[str, Any]:
    """Return all values that have names."""
    found = {}
    for name, value in (pair for each in side if isinstance(each, dict) for pair in each.items()):
        if isinstance(value, dict):
            found |= {f"{name} of {inner}": each for inner, each in value.items()}
        else:
            found[name] = value
    return found


def _tell_structures(settings: Sequence[dict[str, Any]], shard: str) -> None:
    """Say how many structures there are where a shard has all that it can have.

    The number is a param of the last shard alone. If only the size of shards has changed, shards
    become the last ones or cease to be, and nothing is said about the number.
    """
    before, now = (side.get(_SHARD) for side in settings)
    if before is None or now is None:
        return
    for name in {name for side in settings for name in side if name.startswith(_STRUCTURES)}:
        if all(name in side for side in settings):
            continue
        for side in settings:
            if before != now:
                side.pop(name, None)
            else:
                side.setdefault(name, f"{now * (int(shard) + 1)} or more")


def _of_digests(before: Sequence[Any], now: Sequence[Any]) -> str:
    """Return what has changed in values without names, which are digests."""
    old, new = (
        {item for value in side if isinstance(value, list) for item in value}
        for side in (before, now)
    )
    if old and old < new:
        return _MORE
    return _LESS if new and new < old else "what it depends on has changed"


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
