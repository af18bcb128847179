"""Measures in a few seconds how long the stages of a study take on this machine.

The calibration makes a few structures, images, optimizer steps and predictions, with the size and
the precision of the study's jobs.
"""

import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from passband import processes
from passband.config import Study
from passband.runs import file_sizes
from passband.runs.file_sizes import FileSizes
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import torch

# The imports of a job's two processes. These imports take most of a small job's time.
_PROCESSES = (
    "import snakemake.cli, passband.config",
    "import snakemake.cli, passband.learning.training, passband.analysis.table",
)

#: The two processes of a job that imports no torch need this many times the time of the first.
#: Its second process imports xarray or matplotlib, and takes longer than the first.
_LIGHT = 2.5


@dataclass(frozen=True)
class Speeds:
    """Times of a study's stages on a machine.

    Times are seconds of one core, or seconds of a GPU if the machine has one.

    Attributes:
        device: The name of the CPU or GPU.
        unit: "core" or "GPU".
        start, start_light: Time to start a job of `train` or `evaluate`, and of the other rules,
            which import less [s].
        structure: For each specimen, the time to simulate a structure [s].
        image, noise: Time to form an image [s], and the part of this time for noise and
            normalisation [s]. The time to form an image includes its share of the time to compute a
            transfer function.
        step, predict: For each architecture, the time per image of an optimizer step and of a
            prediction [s].
    """

    device: str
    unit: str
    start: float
    start_light: float
    structure: dict[str, float]
    image: float
    noise: float
    step: dict[str, float]
    predict: dict[str, float]


@dataclass(frozen=True)
class Calibration:
    """What is measured of a study on this machine.

    Attributes:
        speeds: The times of the study's stages.
        sizes: The bytes of its files.
        memory: For each architecture, the memory of a `train` job [bytes].
        by_torch: Lines that say why torch, which is slower, trains narrow networks of this study.
    """

    speeds: Speeds
    sizes: FileSizes
    memory: dict[str, float]
    by_torch: Sequence[str] = ()


def per_item(
    call: Callable[[int], object],
    most: int,
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return the seconds that a function takes per item if it is called for many items.

    If a call for many items would take too long, fewer items are measured.

    Args:
        call: Processes a given number of items.
        most: Number of items in a call of a real job. The measured calls have at least two items;
            but one item if `most` is less than two, or if the first call took longer than
            `seconds`.
        seconds: Time for all calls [s]. The first call is not measured, because it includes the
            set-up.
    """
    ends = time.perf_counter() + seconds
    call(1)
    number = 1 if time.perf_counter() > ends else min(2, most)
    best = math.inf
    for _ in range(10):
        began, started = time.perf_counter(), clock()
        call(number)
        best = min(best, (clock() - started) / number)
        now = time.perf_counter()
        affordable = int((ends - now) / 2 / max((now - began) / number, 1e-9))
        if number < most and affordable > number:
            number, best = min(most, affordable), math.inf  # larger batches need less per image
            call(number)
        elif now > ends:
            break
    return best


def calibrate(
    study: Study,
    seconds: float = 12.0,
    say: Callable[[str], object] = lambda part: None,
) -> Calibration:
    """Measure the times of a study's stages, and the sizes of its files, on this machine.

    Structures, images and networks have the size and the precision that they have in the study's
    jobs. On a CPU, times are the processor time of one thread, since the rules give one thread to a
    job. On a GPU, times are elapsed times. A third of `seconds` is for structures and images, and
    two thirds are for networks. At least one structure, image, optimizer step and prediction is
    made, even if this takes longer than `seconds`. `say` is called with the name of each part
    before the part is measured.
    """
    say("the start of jobs")
    # These processes run while this process imports the same packages. Nothing is measured then.
    starting = [_start(code) for code in _PROCESSES]
    import torch

    from passband.jobs import running
    from passband.learning import devices

    running.keep_memory()  # as every job does
    with running.one_thread(), torch.random.fork_rng():
        return _calibrate(study, seconds, devices.device(), starting, say)


def _calibrate(study: Study, seconds: float, device, starting: list, say) -> Calibration:
    # Imported here since `passband check` counts jobs without these modules.
    import numpy as np
    import torch

    from passband.imaging.acquisition import Acquisition
    from passband.imaging.structures import LoadedStructures, Split, Structures
    from passband.learning import backend, devices, evaluation, networks
    from passband.learning.batches import Images
    from passband.learning.learner import Learner
    from passband.specimens import exit_waves as simulate

    microscope = study.microscope
    training = study.training
    px = microscope.field_px
    gpu = device.type == "cuda"
    light, heavy = map(_processor_seconds, starting)

    def clock() -> float:
        devices.synchronize(device)
        return time.perf_counter() if gpu else time.process_time()

    def share(part: float, among: int) -> float:
        return seconds * part / among

    structure = {}
    shards = {}
    waves = None
    for name, specimen in study.specimens.items():

        def make(number: int, name=name, specimen=specimen):
            nonlocal waves
            seed = study.study.seed
            waves = simulate.simulate(name, specimen, microscope, seed, "test", range(number))

        say(f"structures of {name}")
        test = study.study.structures.test
        structure[name] = per_item(make, min(test, 8), share(0.25, len(study.specimens)), clock)
        shards[name] = file_sizes.of_shard(study, waves)

    say("images")
    camera = Acquisition.from_microscope(microscope, training.normalisation, device)
    structures = Structures(study.study.seed, waves.attrs["specimen"], "test", microscope)
    split = Split.from_dataset(waves, structures, device)
    conditions = itertools.cycle(study.test_conditions)

    def several(number: int) -> Split:
        return split.take(torch.arange(number).remainder(len(split)).numpy())

    tested = min(study.evaluation.batch_size, study.study.structures.test)
    image = per_item(
        lambda n: camera.images(several(n), next(conditions)), tested, share(0.07, 1), clock
    )
    condition = study.train_conditions[0]
    validation = Images(camera, several(tested), condition)
    noise = per_item(
        lambda n: validation.take(np.arange(n), replicas=[0]), tested, share(0.03, 1), clock
    )

    step = {}
    predict = {}
    kinds = len(training.architectures)
    for name in training.architectures:
        say(f"training with {name}")
        learner = Learner(name, {0: 0}, training, 10**6, device)

        def train(number: int, learner=learner):
            shape = 1, number, 1, px, px
            learner.step(torch.rand(shape, device=device), *learner.example_targets(number, px))

        step[name] = per_item(train, training.batch_size, share(0.4, kinds), clock)
        network = networks.build(training.architecture(name))

        precision = backend.precision(training, name, device)

        def test_it(number: int, network=network, precision=precision):
            chosen = next(conditions)
            loaded = LoadedStructures(structures, {wave_set(chosen): several(number)})
            evaluation.evaluate({0: network}, camera, {"": loaded}, [chosen], number, precision)

        say(f"tests with {name}")
        both = per_item(test_it, tested, share(0.25, kinds), clock)
        predict[name] = max(both - image, 0.0)
    speeds = Speeds(
        device=devices.describe(device),
        unit="GPU" if gpu else "core",
        start=light + heavy,
        start_light=_LIGHT * light,
        structure=structure,
        image=image,
        noise=min(noise, image),
        step=step,
        predict=predict,
    )
    sizes = file_sizes.with_shards(study, shards)
    return Calibration(
        speeds,
        sizes,
        memory=train_memory(study, device),
        by_torch=by_torch(study, device),
    )


def train_memory(study: Study, device: "torch.device") -> dict[str, float]:
    """Return the memory of a `train` job on a device, for each architecture [bytes]."""
    from passband.learning import backend, memory

    gpu = device.type == "cuda"
    return {
        name: memory.train_bytes(study, name, backend.precision(study.training, name, device), gpu)
        for name in study.training.architectures
    }


def by_torch(study: Study, device: "torch.device") -> list[str]:
    """Return lines that say why torch trains networks that compiled functions could train."""
    from passband.learning import backend

    names = study.training.architectures
    lines = (backend.hindrance(study.training, name, device) for name in names)
    return [line for line in lines if line]


def _start(code: str) -> subprocess.Popen:
    """Start a Python process."""
    environment = os.environ | processes.of_children()
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, env=environment)


def _processor_seconds(process: subprocess.Popen) -> float:
    """Wait for a process, and return its processor time [s]."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime
