"""Every job of a study, whether or not it has run, with its rule, its log and its outputs.

`passband plan` counts these jobs, and `passband status` compares them with the files that exist.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from passband.config import Study
from passband.network_id import NetworkId
from passband.results.figure_list import FIGURES, figures, is_predicted
from passband.results.layout import (
    DISTANCES,
    FIGURE,
    GALLERY,
    IMAGES,
    IMAGES_OF,
    INFORMATION,
    JOB_NAMES,
    OOD,
    PREDICTION,
    RECORD,
    REPORT,
    TABLE,
    WEIGHTS,
    log,
)
from passband.results.shown_networks import distance_parts
from passband.results.training_jobs import jobs_of
from passband.results.wave_layout import shards, spectrum_shards, waves_of
from passband.wave_sets import folder_of

#: The log of a job that makes a store of images, and the store.
_IMAGES = log(JOB_NAMES["images"]), IMAGES


@dataclass(frozen=True)
class Task:
    """A job of a study, whether or not it has run.

    Attributes:
        log: Path of the job's log.
        outputs: Paths of the job's output files.
        cells: The networks of each training condition of a `train` or `evaluate` job. This tuple is
            empty for jobs of other rules.
        networks: The number of networks that the job trains or tests.
        after: When the job's inputs last changed [s since the epoch]. An output that is older is
            not valid.
        needed: Whether a complete study needs the job's outputs.
        on_request: Whether the job runs only if the user names its output.
    """

    rule: str
    log: str
    outputs: tuple[str, ...] = ()
    cells: tuple[NetworkId, ...] = ()
    networks: int = 0
    after: float = 0.0
    needed: bool = True
    on_request: bool = False

    @property
    def stage(self) -> str:
        """The name of the job's rule, or a common name: "figures", "distances" or "gallery"."""
        if self.rule.startswith("figure_"):
            return "figures"
        return {"distances_part": "distances", "gallery_sheet": "gallery"}.get(self.rule, self.rule)

    @property
    def name(self) -> str:
        """The first word of the job's name in the job's log."""
        return self.rule if self.stage == "figures" else self.stage


def tasks(study: Study, times: Mapping[str, float] | None = None) -> Iterator[Task]:
    """Yield the jobs of a study in the workflow's order, including jobs on request.

    A job on request runs only if the user names its output.

    Args:
        times: When each existing file last changed [s since the epoch], by the file's path. Without
            `times`, all networks of the study are assumed to be trained.
    """
    complete = times is None or not study.study.allow_incomplete
    times = times or {}

    def newest(files: Iterable[str]) -> float:
        return max((times.get(file, 0.0) for file in files), default=0.0)

    def single(rule: str, output: str, inputs: Iterable[str], **options) -> Task:
        return Task(rule, log(JOB_NAMES[rule]), (output,), after=newest(inputs), **options)

    # When the exit waves of each specimen, split and set last changed.
    waves: dict[tuple[str, str, str], float] = {}
    for specimen, block in study.specimens.items():
        sets = [(split, id) for split in block.splits for id in study.waves(specimen, split)]
        for split, id in sets:
            files = shards(study, specimen, split, [id])
            waves[specimen, split, id] = newest(files)
            for shard, file in enumerate(files):
                name = JOB_NAMES["simulate"].format(
                    specimen=specimen, waves=folder_of(id), split=split, shard=f"{shard:05d}"
                )
                yield Task("simulate", log(name), (file,))
    tested = max(
        waves[specimen, "test", id] for specimen in study.specimens for id in study.tested_waves
    )

    jobs, needed = list(jobs_of(study)), not study.study.allow_incomplete
    for rule, template in (("train", WEIGHTS), ("evaluate", RECORD)):
        for job in jobs:
            if rule == "train":
                after = max(
                    waves[job.specimen, split, id]
                    for split in ("train", "val")
                    for id in waves_of(job.conditions)
                )
            else:
                own = waves_of(job.conditions) if study.evaluation.test_own else ()
                of_own = [waves[name, "test", id] for name in study.specimens for id in own]
                after = max(tested, newest([job.path(WEIGHTS)]), *of_own)
            yield Task(
                rule,
                log(job.path(JOB_NAMES[rule])),
                (job.path(template),),
                tuple(cell.id for cell in job.cells),
                job.networks,
                after,
                needed,
            )
    networks = [job.path(WEIGHTS) for job in jobs]
    records = [job.path(RECORD) for job in jobs]

    weighted = study.trained_specimens if "specimen" in study.information.weights else ()
    spectra = [file for specimen in weighted for file in spectrum_shards(study, specimen)]
    yield single("information", INFORMATION, spectra)
    yield single("aggregate", TABLE, records)
    yield single("ood", OOD, (TABLE, INFORMATION))

    predicted = is_predicted(study, (r for r in records if complete or r in times))
    with_distances = predicted and study.distances.predict
    options = {"needed": with_distances, "on_request": not with_distances}
    # Distances compare test structures under the training conditions too.
    sets = dict.fromkeys([*study.tested_waves, *study.train_waves])
    compared = [f for name in study.specimens for f in shards(study, name, "test", sets)]
    parts, after = distance_parts(study), newest([*compared, *networks])
    for part in parts:
        # The log has the same name as the file of distances.
        name = part.removesuffix(".zarr.zip")
        yield Task("distances_part", log(name), (part,), after=after, **options)
    yield single("distances", DISTANCES, parts, **options)
    if predicted:
        inputs = (TABLE, OOD, INFORMATION, *[DISTANCES] * with_distances, *spectra)
        yield single("prediction", PREDICTION, inputs)

    drawn = [
        f for name in figures(study, predicted) for f in _in_formats(study, FIGURE, figure=name)
    ]
    on_request = [name for name, figure in FIGURES.items() if figure.on_request]
    for name in (*figures(study, predicted), *on_request):
        yield Task(
            f"figure_{name}",
            log(JOB_NAMES["figure"].format(figure=name)),
            _in_formats(study, FIGURE, figure=name),
            after=newest(FIGURES[name].inputs),
            needed=not FIGURES[name].on_request,
            on_request=FIGURES[name].on_request,
        )
    # The report also reads the table and the information metrics, which the OOD metrics follow.
    yield single("report", REPORT, (OOD, *[PREDICTION] * predicted, *drawn))

    options = {"needed": False, "on_request": True}
    for specimen in study.specimens:
        outputs = _in_formats(study, GALLERY, specimen=specimen)
        name = JOB_NAMES["gallery_sheet"].format(specimen=specimen)
        yield Task("gallery_sheet", log(name), outputs, **options)
    for name in sorted(set(_images(times))):
        job_log, store = (template.replace(IMAGES_OF, name) for template in _IMAGES)
        yield Task("images", job_log, (store,), **options)


def _in_formats(study: Study, template: str, **wildcards: str) -> tuple[str, ...]:
    """Return the paths of a figure's files, one for each format."""
    return tuple(template.format(format=name, **wildcards) for name in study.figures.formats)


def _images(times: Mapping[str, float]) -> Iterator[str]:
    """Yield the specimen, split and condition of stores of images that exist or have a log."""
    for path in times:
        for folder, ending in (template.split(IMAGES_OF) for template in _IMAGES):
            if path.startswith(folder) and path.endswith(ending):
                yield path.removeprefix(folder).removesuffix(ending)
