"""What a study asks for, before anything is submitted: jobs, steps, images, files, bytes, hours.

Counts follow from the configuration alone. Hours follow from a calibration: some seconds in which
this machine makes a few of the study's own structures, images, optimizer steps and predictions, at
their real size and precision.
"""

import itertools
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from passband.config import FEWEST_PREDICTED, Specimen, Study
from passband.grid import batches

#: Jobs that a study has one of, beside simulate, train and evaluate; the last five draw figures.
SINGLE = (
    "information", "aggregate", "ood", "figure_ctf", "figure_decay", "figure_examples",
    "figure_matrix", "figure_metrics",
)  # fmt: skip
#: And if its matrix is large enough to be predicted; the last three draw figures.
PREDICTED = ("prediction", "figure_prediction", "figure_smoothness", "figure_design")

#: Bytes of a stored count of pixels, out of 4, as measured of counts spread widely.
_COUNT_BYTES = 2.0
#: Bytes of a shard, a record and others that do not grow: attributes and metadata.
_SHARD_BYTES, _RECORD_BYTES, _JOB_BYTES, _FIGURES_BYTES = 11_000, 9_500, 1_000, 2_000_000

#: Files of prediction.zarr, whose arrays are a chunk each, and its bytes but for what grows.
_PREDICTION_FILES, _PREDICTION_BYTES = 144, 200_000

# What a job imports in each of its two processes, and what that takes is most of a small job.
_PROCESSES = (
    "import snakemake.cli, passband.config",
    "import snakemake.cli, passband.training, passband.table",
)


@dataclass(frozen=True)
class Counts:
    """What a study asks for, in numbers.

    Attributes
    ----------
    jobs : dict of str to int
        Jobs by rule.
    cells : int
        Specimens trained on × architectures × training conditions.
    networks, steps_per_network : int
        All networks, and each one's optimizer steps, unless `training.patience` ends it before.
    trained_on, tested_on : int
        Images formed by a train job, if its memory holds them, and by an evaluate job.
    files : dict of str to int
        Files by folder under ``results/<study>/``.
    """

    jobs: dict[str, int]
    cells: int
    networks: int
    steps_per_network: int
    trained_on: int
    tested_on: int
    files: dict[str, int]


def counts(study: Study) -> Counts:
    """Return what a study asks for."""
    from passband import information  # xarray takes a second to import

    of, training = study.study, study.training
    split = of.structures
    train, test = len(study.train_conditions), len(study.test_conditions)
    cells = len(study.trained_specimens) * train * len(training.architectures)
    groups = batches(of.replicas, of.replicas_per_job)
    shards = sum(
        math.ceil(getattr(split, name) / of.structures_per_shard)
        for specimen in study.specimens.values()
        for name in specimen.splits
    )
    jobs = {"simulate": shards, "train": cells * len(groups), "evaluate": cells * len(groups)}
    jobs |= dict.fromkeys(SINGLE + PREDICTED * study.predictable, 1)
    # As passband.batches: a last image alone joins the batch before it.
    in_epoch = len(range(training.batch_size, split.train - 1, training.batch_size)) + 1
    draws = training.epochs if training.noise == "fresh" else 1
    files = {
        "waves": shards,
        "networks": 2 * jobs["train"],
        "records": jobs["evaluate"],
        # The folder has a file of metadata and one of Snakemake's; so has each of 20 arrays, and 18
        # a chunk; counts and Dice have one a cell.
        "table.zarr": 2 + 20 + 18 + 2 * cells,
        "ood.zarr, information.zarr": 94
        + 2 * (2 * len(information.SINGLE) + len(information.PAIR))
        + 4 * (of.replicas > 1)
        - 20 * (study.evaluation.bootstrap == 0),
        **({"prediction.zarr": _PREDICTION_FILES} if study.predictable else {}),
        "figures": (5 + 3 * study.predictable) * len(study.figures.formats),
        "logs, benchmarks": 2 * sum(jobs.values()),
    }
    return Counts(
        jobs=jobs,
        cells=cells,
        networks=cells * of.replicas,
        steps_per_network=training.epochs * in_epoch,
        trained_on=split.train * draws + split.val,
        tested_on=len(study.specimens) * split.test * test,
        files=files,
    )


def _structures(study: Study, specimen: Specimen) -> int:
    """Return how many structures of a specimen are simulated."""
    return sum(getattr(study.study.structures, name) for name in specimen.splits)


def summary(study: Study) -> str:
    """Return in a few lines how much a study asks for."""
    counted = counts(study)
    product = " × ".join(
        _count(number, noun)
        for number, noun in (
            (len(study.trained_specimens), "specimen"),
            (len(study.train_conditions), "condition"),
            (len(study.training.architectures), "architecture"),
            (study.study.replicas, "replica"),
        )
    )
    train, test = len(study.train_conditions), len(study.test_conditions)
    trained, tested = len(study.trained_specimens), len(study.specimens)
    jobs = ", ".join(f"{counted.jobs[rule]:,} {rule}" for rule in ("simulate", "train", "evaluate"))
    return _aligned(
        {
            "study": study.study.name,
            "specimens": f"{trained:,} to train on, {tested:,} to test on",
            "conditions": f"{train:,} to train under, {test:,} to test under",
            "networks": f"{counted.networks:,} = {product}",
            "jobs": jobs,
            "prediction": "of each pair from the others"
            if study.predictable
            else f"none, for want of {FEWEST_PREDICTED} conditions at both ends",
        }
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _aligned(lines: dict[str, str | list[str]]) -> str:
    """Return lines after their names, further lines of a name below its first."""
    rows = [
        (name if not place else "", text)
        for name, texts in lines.items()
        for place, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    return "\n".join(f"{name:<10}  {text}" for name, text in rows)


# ── Calibration ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Speeds:
    """What this machine takes: seconds of one core, or of a GPU where there is one; and bytes.

    Attributes
    ----------
    device : str
        In words.
    unit : str
        "core" or "GPU".
    start : float
        A job, before it begins.
    structure, wave_bytes : dict of str to float
        A structure of each specimen, and what it takes in a file.
    image : float
        An image formed, its share of a condition's transfer function included.
    step, predict : dict of str to float
        An image in an optimizer step and in a prediction, for each architecture.
    weight_bytes, memory : dict of str to float
        A network in a file, and the memory of a train job, for each architecture.
    """

    device: str
    unit: str
    start: float
    structure: dict[str, float]
    wave_bytes: dict[str, float]
    image: float
    step: dict[str, float]
    predict: dict[str, float]
    weight_bytes: dict[str, float]
    memory: dict[str, float]


def per_item(
    call: Callable[[int], object],
    most: int,
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return the seconds that each of many items takes, by calls with some of them.

    Parameters
    ----------
    call : callable
        Takes a number of items.
    most : int
        Items of a real call. If they would take longer than there is time for, fewer stand for
        them, two at least or `most` itself.
    seconds : float
        Time for all calls. The first one, which sets things up, does not count.
    """
    number, ends = min(2, most), time.perf_counter() + seconds
    call(number)
    best = math.inf
    for _ in range(10):
        began, started = time.perf_counter(), clock()
        call(number)
        best = min(best, (clock() - started) / number)
        now = time.perf_counter()
        affordable = int((ends - now) / 2 / max((now - began) / number, 1e-9))
        if number < most and affordable > number:
            number, best = min(most, affordable), math.inf  # larger batches take less an image
            call(number)
        elif now > ends:
            break
    return best


def calibrate(study: Study, seconds: float = 30.0) -> Speeds:
    """Measure what this machine takes for a study's parts, each at its real size and precision.

    On a CPU, processor time of one thread, since that is what the rules give to a job; on a GPU,
    the clock's. Of `seconds`, a third goes to structures and images and the rest to networks; one
    of each is made however long it takes.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from passband import devices, jobs

    jobs.keep_memory()  # as every job does
    device, threads = devices.device(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1), torch.random.fork_rng():
            return _calibrate(study, seconds, device)
    finally:
        torch.set_num_threads(threads)


def _calibrate(study: Study, seconds: float, device) -> Speeds:
    # Imported here since `passband check` counts without them.
    import torch

    from passband import devices, evaluation, memory, networks, simulate, store
    from passband.examples import Camera, Split
    from passband.learner import Learner

    microscope, training = study.microscope, study.training
    px, gpu = microscope.field_px, device.type == "cuda"

    def clock() -> float:
        devices.synchronize(device)
        return time.perf_counter() if gpu else time.process_time()

    def share(part: float, among: int) -> float:
        return seconds * part / among

    structure, wave_bytes, waves = {}, {}, None
    for name, specimen in study.specimens.items():

        def make(number: int, name=name, specimen=specimen):
            nonlocal waves
            seed = study.study.seed
            waves = simulate.simulate(name, specimen, microscope, seed, "test", range(number))

        test = study.study.structures.test
        structure[name] = per_item(make, min(test, 8), share(0.25, len(study.specimens)), clock)
        with tempfile.TemporaryDirectory() as folder:
            written = []
            for some in (waves, waves.isel(structure=slice(1))):
                file = Path(folder) / "waves.zarr.zip"
                store.write(some, file, store.WAVES, {}, {"structure": 1})
                written.append(file.stat().st_size)
        others = waves.sizes["structure"] - 1
        wave_bytes[name] = (written[0] - written[1]) / others if others else float(written[1])

    camera = Camera.of(microscope, training.normalisation, device)
    split = Split.from_dataset(waves, study.study.seed, device)
    conditions = itertools.cycle(study.test_conditions)

    def several(number: int) -> Split:
        return split.take(torch.arange(number).remainder(len(split)).numpy())

    tested = min(study.evaluation.batch_size, study.study.structures.test)
    image = per_item(
        lambda n: camera.images(several(n), next(conditions)), tested, share(0.1, 1), clock
    )

    step, predict, weight_bytes, needs = {}, {}, {}, {}
    precision = devices.precision(training.precision, device)
    kinds = len(training.architectures)
    for name in training.architectures:
        needs[name] = memory.of_job(study, name, device)
        learner = Learner(name, {0: 0}, training, 10**6, device)

        def train(number: int, learner=learner):
            shape = 1, number, 1, px, px
            learner.step(torch.rand(shape, device=device), torch.ones(shape, device=device))

        step[name] = per_item(train, training.batch_size, share(0.4, kinds), clock)
        network = networks.build(name)
        weight_bytes[name] = float(sum(t.nbytes for t in network.state_dict().values()))

        def test_it(number: int, network=network):
            one = [next(conditions)]
            evaluation.evaluate({0: network}, camera, {"": several(number)}, one, number, precision)

        both = per_item(test_it, tested, share(0.25, kinds), clock)
        predict[name] = max(both - image, 0.0)
    return Speeds(
        device=devices.describe(device),
        unit="GPU" if gpu else "core",
        start=sum(map(_processor_seconds, _PROCESSES)),
        structure=structure,
        wave_bytes=wave_bytes,
        image=image,
        step=step,
        predict=predict,
        weight_bytes=weight_bytes,
        memory=needs,
    )


def _processor_seconds(code: str) -> float:
    """Return the processor time of a Python process."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL)
    return used() - before


# ── What follows ─────────────────────────────────────────────────────────────────────────────────


def hours(study: Study, speeds: Speeds) -> dict[str, float]:
    """Return core- or GPU-hours by rule, the last of them what starting all jobs takes.

    Replicas count one after another; stacked on a GPU, they take less.
    """
    counted, of = counts(study), study.study
    networks = counted.networks / len(study.training.architectures)
    jobs = counted.jobs["train"] / len(study.training.architectures)
    epochs, split = study.training.epochs, of.structures
    train = counted.jobs["train"] * counted.trained_on * speeds.image
    evaluate = jobs * len(speeds.step) * counted.tested_on * speeds.image
    for name, step in speeds.step.items():
        validation = split.val * speeds.predict[name]
        train += networks * epochs * (split.train * step + validation)
        evaluate += networks * counted.tested_on * speeds.predict[name]
    seconds = {
        "simulate": sum(
            _structures(study, specimen) * speeds.structure[name]
            for name, specimen in study.specimens.items()
        ),
        "train": train,
        "evaluate": evaluate,
        "starting": sum(counted.jobs.values()) * speeds.start,
    }
    return {rule: value / 3600 for rule, value in seconds.items()}


def sizes(
    study: Study, wave_bytes: dict[str, float], weight_bytes: dict[str, float]
) -> dict[str, float]:
    """Return the bytes to be written, by the same names as :attr:`Counts.files`.

    Parameters
    ----------
    study : Study
        What is to be done.
    wave_bytes, weight_bytes : dict of str to float
        As in :class:`Speeds`.
    """
    from passband import information  # xarray takes a second to import

    counted = counts(study)
    waves = sum(
        _structures(study, specimen) * wave_bytes[name]
        for name, specimen in study.specimens.items()
    )
    kinds = len(study.training.architectures)
    pixels = counted.networks * counted.tested_on * 3 * _COUNT_BYTES
    pairs = counted.cells * len(study.specimens) * len(study.test_conditions)
    spectra = len(study.trained_specimens)
    bands = len(study.information.bands_per_A)
    weights_of = {"flat": 1, "specimen": spectra * (1 + (bands + 1 if bands else 0))}
    compared = len(study.train_conditions) * len(study.test_conditions) * len(information.PAIR)
    compared *= sum(weights_of[kind] for kind in study.information.weights)
    weights = counted.networks / kinds * sum(weight_bytes.values())
    matrices = 3 + 6 * (study.evaluation.bootstrap > 0)  # Dice and gaps, and ends of intervals
    return {
        "waves": waves + counted.files["waves"] * _SHARD_BYTES,
        "networks": weights + counted.jobs["train"] * 15_000,
        "records": pixels + counted.jobs["evaluate"] * _RECORD_BYTES,
        "table.zarr": pixels + counted.files["table.zarr"] * 600,
        "ood.zarr, information.zarr": 8 * (pairs * matrices + compared) + 100_000,
        # 15 ways to leave cells out, each with a prediction and both ends of its interval.
        **(
            {"prediction.zarr": 15 * 3 * 4.0 * pairs + _PREDICTION_BYTES}
            if study.predictable
            else {}
        ),
        "figures": float(_FIGURES_BYTES),
        "logs, benchmarks": counted.files["logs, benchmarks"] * _JOB_BYTES / 2,
    }


def left(study: Study, results: Path) -> dict[str, float]:
    """Return the share of each of simulate, train and evaluate that is still to do.

    By networks, or by structures' files for simulate, as far as names and times of files in the
    study's `results` tell: what a changed configuration makes again counts as done.
    """
    from passband import status  # no other part of a plan reads what is there

    stages = status.look(study, results).stages
    shares = {}
    for stage in ("simulate", "train", "evaluate"):
        sizes = [(job.networks or 1, job.state != "done") for job in stages[stage]]
        shares[stage] = sum(n for n, open_ in sizes if open_) / sum(n for n, _ in sizes)
    return shares


def _left(study: Study, shares: dict[str, float], took: dict[str, float], unit: str) -> list[str]:
    """Return lines of what is left; none if all of it is."""
    if min(shares.values()) == 1:
        return []
    if not any(shares.values()):
        return ["no structure, network or test: all are there"]
    counted, stages = counts(study), ("simulate", "train", "evaluate")
    files, *networks = (
        round(shares[stage] * number)
        for stage, number in zip(
            stages, (counted.jobs["simulate"], counted.networks, counted.networks), strict=True
        )
    )
    jobs = sum(shares[stage] * counted.jobs[stage] for stage in stages)
    starting = took["starting"] * jobs / sum(counted.jobs[stage] for stage in stages)
    time = starting + sum(shares[stage] * took[stage] for stage in stages)
    return [
        f"{_count(files, 'file')} of structures to simulate, {_count(networks[0], 'network')} to "
        f"train and {networks[1]:,} to test",
        f"{networks[0] * counted.steps_per_network:,} steps and {_number(time)} {unit}-hours",
    ]


def text(study: Study, results: Path, seconds: float = 30.0) -> str:
    """Return in aligned lines what a study asks for, after a calibration of some seconds, and what
    of it is left, if some is there in its folder of results."""
    speeds = calibrate(study, seconds)
    counted, took = counts(study), hours(study, speeds)
    written, of = sizes(study, speeds.wave_bytes, speeds.weight_bytes), study.study
    steps = counted.networks * counted.steps_per_network
    at_most = "at most " if study.training.patience else ""
    trained = counted.jobs["train"] * counted.trained_on
    tested = counted.jobs["evaluate"] * counted.tested_on
    total = sum(took.values())
    replicas = min(of.replicas, of.replicas_per_job)
    where = f"on {speeds.device}"
    if speeds.unit == "core":
        cores = os.cpu_count() or 1
        where += f"; {_number(total / cores)} hours of the clock on this machine's {cores} cores"
    rows = {
        "steps": f"{at_most}{steps:,} of {study.training.batch_size} images",
        "images": f"{trained:,} formed to train, if memory holds them, and {tested:,} to test",
        "memory": [
            f"{need / 1e9:.1f} GB in a train job of {_count(replicas, 'replica')} of {name}"
            for name, need in speeds.memory.items()
        ],
        "files": [
            f"{sum(counted.files.values()):,} of {_bytes(sum(written.values()))}",
            *(
                f"{name:<26}  {counted.files[name]:>7,}  {_bytes(written[name]):>8}"
                for name in written
            ),
        ],
        "time": [
            f"{_number(total)} {speeds.unit}-hours {where}",
            *(f"{rule:<26}  {_number(t):>7}  {t / total:>8.0%}" for rule, t in took.items()),
        ],
    }
    if lines := _left(study, left(study, results), took, speeds.unit):
        rows["left"] = lines
    return f"{summary(study)}\n{_aligned(rows)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e3:.3g} kB"
