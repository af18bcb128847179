"""Measures in a few seconds how long the stages of a study take on this machine.

One structure, one optimizer step and one test are timed, with the size and the precision of the
study's jobs. What is not timed takes as much longer than on a typical core as these.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from passband.config import Study
from passband.runs import file_sizes, rates
from passband.runs.file_sizes import FileSizes
from passband.runs.rates import Speeds
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Calibration:
    """What is measured of a study on this machine.

    Attributes:
        speeds: The times of the study's stages.
        sizes: The bytes of its files.
        by_torch: Lines that say why torch, which is slower, trains narrow networks of this study.
    """

    speeds: Speeds
    sizes: FileSizes
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

    On a CPU, times are the processor time of one thread, since the rules give one thread to a job.
    On a GPU, times are elapsed times. A third of `seconds` is for structures, a third for steps,
    and a third for tests. At least one of each is made, even if this takes longer than `seconds`.
    `say` is called with the name of each part before the part is measured.
    """
    import torch

    from passband.jobs import running
    from passband.learning import devices

    running.keep_memory()  # as every job does
    with running.one_thread(), torch.random.fork_rng():
        return _calibrate(study, seconds, devices.device(), say)


def _calibrate(study: Study, seconds: float, device, say) -> Calibration:
    # Imported here since `passband check` counts jobs without these modules.
    import torch

    from passband.imaging.acquisition import Acquisition
    from passband.imaging.structures import LoadedStructures, Split, Structures
    from passband.learning import backend, devices, evaluation, networks
    from passband.learning.learner import Learner
    from passband.specimens import exit_waves as simulate

    microscope = study.microscope
    training = study.training
    seed = study.study.seed
    px = microscope.field_px
    gpu = device.type == "cuda"
    typical = rates.typical(study)

    def clock() -> float:
        devices.synchronize(device)
        return time.perf_counter() if gpu else time.process_time()

    name = next(iter(study.specimens))
    waves = None

    def make(number: int):
        nonlocal waves
        waves = simulate.simulate(
            name, study.specimens[name], microscope, seed, "test", range(number)
        )

    say(f"structures of {name}")
    most = min(study.study.structures.test, 8)
    slower = per_item(make, most, seconds / 3, clock) / typical.structure[name]

    camera = Acquisition.from_microscope(microscope, training.normalisation, device)
    structures = Structures(seed, name, "test", microscope)
    split = Split.from_dataset(waves, structures, device)
    conditions = itertools.cycle(study.test_conditions)
    tested = min(study.evaluation.batch_size, study.study.structures.test)
    share = seconds / 3 / len(training.architectures)
    step = {}
    test = {}
    for architecture in training.architectures:
        learner = Learner(architecture, {0: 0}, training, 10**6, device)

        def train(number: int, learner=learner):
            shape = 1, number, 1, px, px
            learner.step(torch.rand(shape, device=device), *learner.example_targets(number, px))

        say(f"training with {architecture}")
        step[architecture] = per_item(train, training.batch_size, share, clock)
        network = networks.build(training.architecture(architecture))
        precision = backend.precision(training, architecture, device)

        def test_it(number: int, network=network, precision=precision):
            chosen = next(conditions)
            several = split.take(torch.arange(number).remainder(len(split)).numpy())
            loaded = LoadedStructures(structures, {wave_set(chosen): several})
            evaluation.evaluate({0: network}, camera, {"": loaded}, [chosen], number, precision)

        say(f"tests with {architecture}")
        test[architecture] = per_item(test_it, tested, share, clock)
    expected = sum(typical.image + typical.predict[architecture] for architecture in test)
    image = sum(test.values()) / expected * typical.image
    # A GPU does not make the start of jobs faster.
    core = 1.0 if gpu else slower
    speeds = replace(
        typical,
        device=devices.describe(device),
        unit="GPU" if gpu else "core",
        start=core * typical.start,
        start_light=core * typical.start_light,
        structure={name: slower * value for name, value in typical.structure.items()},
        image=image,
        noise=image / typical.image * typical.noise,
        step=step,
        predict={architecture: max(both - image, 0.0) for architecture, both in test.items()},
    )
    return Calibration(speeds, file_sizes.measured(study, waves), by_torch(study, device))


def by_torch(study: Study, device: "torch.device") -> list[str]:
    """Return lines that say why torch trains networks that compiled functions could train."""
    from passband.learning import backend

    names = study.training.architectures
    lines = (backend.hindrance(study.training, name, device) for name in names)
    return [line for line in lines if line]
