"""Every job of a study, whether or not it has run."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from passband.axes import AXES, MAIN_AXES
from passband.config import Study
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.results.figure_list import figures, is_predicted, on_request, stores_of
from passband.results.layout import (
    EXPLORER,
    FIGURE,
    GALLERY,
    IMAGES,
    IMAGES_OF,
    INFORMATION,
    JOB_NAMES,
    LOGS,
    OOD,
    PREDICTION,
    RECORD,
    REPORT,
    TABLE,
    WEIGHTS,
    log,
)
from passband.results.network_batches import NetworkBatch, batches_of
from passband.results.wave_layout import shards, spectrum_shards, waves_of
from passband.wave_sets import folder_of

#: The states of a job.
STATES = ("done", "running", "failed", "waiting")
#: The log of a job that makes a store of images, and the store.
_IMAGES = log(JOB_NAMES["images"]), IMAGES
#: The stages of rules that share one.
_STAGES = {"figure": "figures", "gallery_sheet": "gallery"}

#: The stages whose outputs the workflow's rule `all` asks for.
_ASKED_FOR = ("aggregate", "ood", "prediction", "figures", "report", "explorer")


@dataclass(slots=True)
class Job:
    """A job that Snakemake runs, and its state.

    Attributes:
        log: Path of the job's log, or "".
        wildcards: The values of the job's wildcards by name.
        outputs: Paths of the job's output files.
        cells: The networks of each training condition of a `train` or `evaluate` job. This tuple is
            empty for jobs of other rules.
        networks: The number of networks that the job trains or tests.
        after: When the job's inputs last changed. An output that is older is not valid. This time
            and the other times are in seconds since the epoch, and 0 if unknown. It is infinite if
            the outputs were made for another study, or if inputs will be made again.
        needed: Whether a complete study needs the job's outputs.
        on_request: Whether the job runs only if the user names its output.
        state: One of :data:`STATES`.
        since: When a running job was started.
        share: The share of a running job's work that is done, from 0 to 1; None if it is unknown.
        host: The machine on which a running job runs, or "".
        lived: When the job's log or lease last changed.
        time: When the output of a job that is done last changed, and when the log or the lease of
            another job last changed.
        silent: Whether the job failed without a message, because the job was killed or its node
            went down.
        deleted: Whether the job was done, and its output is not there any more. Snakemake makes it
            again only if another job needs it.
    """

    rule: str
    log: str = ""
    wildcards: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    cells: tuple[NetworkId, ...] = ()
    networks: int = 0
    after: float = field(default=0.0, compare=False)
    needed: bool = True
    on_request: bool = False
    state: str = "waiting"
    since: float = 0.0
    share: float | None = field(default=None, compare=False)
    host: str = field(default="", compare=False)
    lived: float = field(default=0.0, compare=False)
    time: float = 0.0
    silent: bool = False
    deleted: bool = False

    @property
    def stage(self) -> str:
        """The name of the job's rule, or a common name: "figures" or "gallery"."""
        return _STAGES.get(self.rule, self.rule)

    @property
    def is_asked_for(self) -> bool:
        """Whether the workflow's rule `all` asks for the job's outputs."""
        return self.stage in _ASKED_FOR

    @property
    def words(self) -> str:
        """The job in words, such as ``train gold compact-w8-d3, 5 nm, 1.2 µm, 10 mrad, 50 e/Å²``.

        A condition has its units, which show the main axis of a number. A further axis is there
        only if its value differs from the study's own.
        """
        words = [self.rule]
        condition = ""
        for name, value in self.wildcards.items():
            if name == "condition":
                first, *others = value.split("~")  # the name of a group, see passband.groups
                try:
                    values = Condition.parse(first).values()
                except ValueError:
                    words.append(value)
                    continue
                in_words = (
                    ("" if axis in MAIN_AXES else f"{AXES[axis].label} ")
                    + AXES[axis].words(f"{x:g}")
                    for axis, x in values.items()
                )
                condition = f", {', '.join(in_words)}{' and others' if others else ''}"
            elif value and (name != "batch" or value != "r000-000"):
                words.append(value.rstrip("/"))  # the folder of a set of exit waves has a slash
        return " ".join(words) + condition


def named(rule: str, name: str, outputs: Sequence[str] = (), **options) -> Job:
    """Return a job whose wildcards are the parts of the name of its log, see :data:`JOB_NAMES`."""
    return Job(rule, log(name), dict(enumerate(name.split("/")[1:])), outputs, **options)


def jobs(
    study: Study,
    times: Mapping[str, float] | None = None,
    is_outdated: Callable[[Job], bool] = lambda job: False,
) -> Iterator[Job]:
    """Yield the jobs of a study in the workflow's order, including jobs on request.

    Paths are relative to the study's folder of results.

    Args:
        times: When each existing file last changed [s since the epoch], by the file's path. Without
            `times`, all networks of the study are assumed to be trained.
        is_outdated: Returns whether a job's outputs, which exist, were made for another study, see
            :mod:`passband.runs.outdated`.
    """
    complete = times is None or not study.study.allow_incomplete
    changed = dict(times or {})
    for job in _jobs(study, changed, complete):
        made = [changed.get(output, 0.0) for output in job.outputs]
        if any(made) and is_outdated(job):
            job.after = math.inf
        if min(made) < job.after and (any(made) or job.is_asked_for):
            # It will run again, and so will those that follow, which are yielded after it.
            changed |= dict.fromkeys(job.outputs, math.inf)
        yield job


def _jobs(study: Study, times: Mapping[str, float], complete: bool) -> Iterator[Job]:
    """Yield the jobs, each after those that its inputs are from, whose times may change before."""
    requested = {"needed": False, "on_request": True}

    def newest(files: Iterable[str]) -> float:
        return max((times.get(file, 0.0) for file in files), default=0.0)

    def single(rule: str, output: str, inputs: Iterable[str], **options) -> Job:
        return named(rule, JOB_NAMES[rule], (output,), after=newest(inputs), **options)

    def training(rule: str, batch: NetworkBatch, output: str, after: float) -> Job:
        return Job(
            rule,
            log(batch.path(JOB_NAMES[rule])),
            batch.wildcards,
            (batch.path(output),),
            tuple(cell.id for cell in batch.cells),
            batch.networks,
            after,
            needed=not study.study.allow_incomplete,
        )

    def drawings(template: str, **wildcards: str) -> tuple[str, ...]:
        return tuple(template.format(format=name, **wildcards) for name in study.figures.formats)

    for specimen, block in study.specimens.items():
        sets = [(split, id) for split in block.splits for id in study.waves(specimen, split)]
        for split, id in sets:
            for shard, file in enumerate(shards(study, specimen, split, [id])):
                name = JOB_NAMES["simulate"].format(
                    specimen=specimen, waves=folder_of(id), split=split, shard=f"{shard:05d}"
                )
                yield named("simulate", name, (file,))
    # When the exit waves of each specimen, split and set last changed.
    waves = {
        (specimen, split, id): newest(shards(study, specimen, split, [id]))
        for specimen, block in study.specimens.items()
        for split in block.splits
        for id in study.waves(specimen, split)
    }
    tested = max(
        waves[specimen, "test", id] for specimen in study.specimens for id in study.tested_waves
    )

    batches = list(batches_of(study))
    for batch in batches:
        sets = waves_of(batch.conditions)
        after = max(waves[batch.specimen, split, id] for split in ("train", "val") for id in sets)
        yield training("train", batch, WEIGHTS, after)
    for batch in batches:
        own = waves_of(batch.conditions) if study.evaluation.test_own else ()
        of_own = [waves[name, "test", id] for name in study.specimens for id in own]
        after = max(tested, newest([batch.path(WEIGHTS)]), *of_own)
        yield training("evaluate", batch, RECORD, after)
    records = [batch.path(RECORD) for batch in batches]

    trained = study.trained_specimens
    spectra = [file for specimen in trained for file in spectrum_shards(study, specimen)]
    yield single("information", INFORMATION, spectra)
    yield single("aggregate", TABLE, records)
    yield single("ood", OOD, (TABLE, INFORMATION))

    predicted = is_predicted(study, (r for r in records if complete or r in times))
    if predicted:
        yield single("prediction", PREDICTION, (TABLE, *spectra))

    drawn = figures(study, predicted)
    others = on_request(study)
    for name in (*drawn, *others):
        yield Job(
            "figure",
            log(JOB_NAMES["figure"].format(figure=name)),
            {"figure": name},
            drawings(FIGURE, figure=name),
            after=newest(stores_of(study.known_parts.get("figure", name)).values()),
            **(requested if name in others else {}),
        )
    # The report also reads the table and the information metrics, which the OOD metrics follow.
    shown = (file for name in drawn for file in drawings(FIGURE, figure=name))
    stores = [OOD, PREDICTION] if predicted else [OOD]
    yield single("report", REPORT, (*stores, *shown))
    # A study is complete without its explorer, which `passband run --no-explorer` leaves out.
    yield single("explorer", EXPLORER, (TABLE, OOD, INFORMATION), needed=False)

    for specimen in study.specimens:
        name = JOB_NAMES["gallery_sheet"].format(specimen=specimen)
        yield named("gallery_sheet", name, drawings(GALLERY, specimen=specimen), **requested)
    for of in sorted(set(_images(times))):
        name = JOB_NAMES["images"].replace(IMAGES_OF, of)
        yield named("images", name, (IMAGES.replace(IMAGES_OF, of),), **requested)


def others(times: Mapping[str, float], known: Iterable[Job]) -> Iterator[Job]:
    """Yield a job for each log of another rule, such as the user's, which counts if it was started.

    The job `preflight` is left out, because it prints its own results.
    """
    logs = {job.log for job in known} | {log(JOB_NAMES["preflight"])}
    for path in sorted(path for path in times.keys() - logs if path.endswith(".log")):
        folder, _, name = path.removesuffix(".log").partition("/")
        if folder == LOGS:
            yield named(name.split("/")[0], name, needed=False, on_request=True)


def _images(times: Mapping[str, float]) -> Iterator[str]:
    """Yield the specimen, split and condition of stores of images that exist or have a log."""
    for path in times:
        for folder, ending in (template.split(IMAGES_OF) for template in _IMAGES):
            if path.startswith(folder) and path.endswith(ending):
                yield path.removeprefix(folder).removesuffix(ending)
