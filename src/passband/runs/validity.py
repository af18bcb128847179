"""Lets Snakemake find by the results alone which of them are valid.

What an output was made from, Snakemake writes into the folder ``.snakemake`` beside the results. If
that did not travel with them, Snakemake would take every output for valid; and if it is older than
they are, it would speak of earlier outputs. So the log of each job, which is among the results,
ends with what its result depends on, see :class:`passband.log_lines.Dependence`, and Snakemake
reads this line where it has no record of the output as it is now.

The stores at the end of the workflow are also opened, since no job would read one that is damaged
before somebody wants to see it.
"""

import functools
import os
from typing import TYPE_CHECKING, Any

from passband import log_lines
from passband.errors import PassbandError
from passband.results import layout
from passband.runs.run_files import tail
from passband.storage import DamagedError, StoreError

if TYPE_CHECKING:
    from snakemake.jobs import Job
    from snakemake.persistence import MetadataRecord, PersistenceBase

#: In place of the params of an output that was made by nobody knows what, so that its job runs.
UNKNOWN = "its log does not say what it depends on"
#: In place of the params of a damaged store.
DAMAGED = "its file is damaged"

#: The rules whose stores are opened, and the kinds of these in `passband.storage.datasets`.
_CHECKED = {
    "information": "INFORMATION",
    "aggregate": "TABLE",
    "ood": "OOD",
    "prediction": "PREDICTION",
}
#: A store that has more bytes in memory is opened, and its values are not read.
_MOST_BYTES = 10**8
#: How much of a log's end is read: more if its last two lines are longer.
_ENDS = 1 << 12, 1 << 16, 1 << 20, 1 << 24


def apply() -> None:
    """Let Snakemake read logs. A second call changes nothing.

    Snakemake before 9.27 keeps its records in another way, and knows only them.
    """
    try:
        from snakemake.persistence import PersistenceBase
    except ImportError:
        return
    recorded = PersistenceBase.metadata
    if hasattr(recorded, "__wrapped__"):
        return

    @functools.wraps(recorded)
    def metadata(self: "PersistenceBase", target: Any) -> "MetadataRecord | None":
        if "passband" not in vars(self):
            vars(self)["passband"] = _Outputs(self)
        return vars(self)["passband"].record(str(target), recorded(self, target))

    PersistenceBase.metadata = metadata


class _Outputs:
    """What is known about the outputs of a run of Snakemake. Each log is read once."""

    def __init__(self, persistence: "PersistenceBase"):
        self._jobs = {str(file): job for job in persistence.dag.jobs for file in job.output}
        self._records: dict[str, MetadataRecord | None] = {}
        self._said: dict[str, log_lines.Dependence | None] = {}

    def record(self, path: str, recorded: "MetadataRecord | None") -> "MetadataRecord | None":
        """Return what an output was made from; `recorded` is what Snakemake has in its folder."""
        if path not in self._jobs:
            return recorded
        if path not in self._records:
            self._records[path] = self._find(path, self._jobs[path], recorded)
        return self._records[path]

    def _find(
        self, path: str, job: "Job", recorded: "MetadataRecord | None"
    ) -> "MetadataRecord | None":
        made = _changed(path)
        if made is None:
            return recorded
        if is_damaged(path, job.rule.name):
            return record(job, made, params=[repr(DAMAGED)])
        if recorded is not None and recorded.endtime == made:
            return recorded
        if said := self._depends(job):
            same = said.inputs == log_lines.Dependence.of((), job.input).inputs
            inputs = sorted(job.input) if same else []
            return record(job, made, params=list(said.params), inputs=inputs)
        if recorded is None and job.rule.name in layout.JOB_NAMES:
            return record(job, made, params=[repr(UNKNOWN)])
        return recorded

    def _depends(self, job: "Job") -> log_lines.Dependence | None:
        log = str(job.log[0]) if job.log else ""
        if log not in self._said:
            self._said[log] = log_lines.dependence(_end(log)) if log else None
        return self._said[log]


def record(
    job: "Job", made: float, *, params: list[str], inputs: list[str] | None = None
) -> "MetadataRecord":
    """Return a record as Snakemake would have written it after a job.

    Args:
        made: When the output changed last [s since the epoch].
        params: Its params, as Python writes them.
        inputs: The sorted names of its inputs; None if they do not matter.
    """
    from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

    return MetadataRecord(
        rule=job.rule.name,
        params=params,
        input=inputs,
        log=list(job.log),
        record_format_version=RECORD_FORMAT_VERSION,
        job_hash=hash(job),
        starttime=made,
        endtime=made,
    )


def _changed(path: str) -> float | None:
    """Return when an output changed last, as Snakemake counts [s since the epoch], or None."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            try:
                return os.stat(os.path.join(path, ".snakemake_timestamp")).st_mtime
            except FileNotFoundError:
                pass
        return os.lstat(path).st_mtime
    except OSError:
        return None


def _end(log: str) -> str:
    """Return at least the last two lines of a log; "" if it cannot be read."""
    text = ""
    try:
        for most in _ENDS:
            text = tail(log, most)
            if text.count("\n") > 1:
                break
    except PassbandError:
        return ""
    return text


def is_damaged(path: str, rule: str) -> bool:
    """Return whether the output of a rule is one of the stores that are opened, and is damaged.

    A store that cannot be read now, or that a newer version wrote, is not.
    """
    if rule not in _CHECKED:
        return False
    from passband.storage import datasets  # takes a second to import

    try:
        datasets.check(path, getattr(datasets, _CHECKED[rule]), _MOST_BYTES)
    except DamagedError:
        return True
    except StoreError:
        return False
    return False
