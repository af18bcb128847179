"""Times of a study's jobs, from the rates of machines in the table ``rates.yaml`` of this folder.

The table says of each rate whether it was measured or is stated. The times on a typical core follow
from measured rates. The times on a GPU follow from its stated peak rates, from the operations and
the bytes of a study's networks, and from two assumptions of how much of the peak rates is reached:
the best case, and the worst case.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import yaml

from passband import PassbandError
from passband.config import Microscope, Specimen, Study, architectures
from passband.runs.calibration import Speeds
from passband.runs.counts import GROWING, count, structures
from passband.units import A_PER_NM

#: Path of the table.
FILE = Path(__file__).with_name("rates.yaml")
#: The name of all rules that are not `GROWING`, in the times of :func:`seconds_by_rule`.
OTHERS = "analysis and figures"
#: A training step computes the forward pass, the gradients of activations, and those of weights.
_PASSES_OF_STEP = 3
#: Bytes of a complex value of an image, and of a real value.
_COMPLEX, _REAL = 8, 4


@cache
def table() -> dict:
    """Return the table."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


#: Seconds to start the two processes of a job on a typical core.
START_S: float = table()["core"]["start_s"]


def others_s(rule: str) -> float:
    """Return the work of a job that hardly grows with the study, on a typical core [s]."""
    others = table()["core"]["others_s"]
    return others.get(rule, others["other"])


def other_seconds(rule: str, speeds: Speeds) -> float:
    """Return the work of another rule's job [s]: that of a typical core, at this machine's speed.

    How much slower or faster this machine is than a typical core is known from the start of jobs.
    """
    return others_s(rule) * speeds.start / START_S


def seconds_by_rule(study: Study, speeds: Speeds) -> dict[str, float]:
    """Return the time of all jobs of each rule [s of a core or of a GPU].

    The last two entries are the time of all other rules, and the time to start all jobs.
    The times of all replicas are added. Vectorized replicas on a GPU take less time than this sum.
    """
    counted = count(study)
    networks = counted.networks / len(study.training.architectures)
    epochs, split = study.training.epochs, study.study.structures
    train = counted.trainings * counted.trained_on * (speeds.image - speeds.noise)
    train += counted.drawn * speeds.noise + counted.mixed * (speeds.image - speeds.noise)
    evaluate = counted.formed * speeds.image
    for name, step in speeds.step.items():
        validation = split.val * speeds.predict[name]
        train += networks * epochs * (split.train * step + validation)
        evaluate += networks * counted.tested_on * speeds.predict[name]
    return {
        "simulate": sum(
            structures(study, name) * speeds.structure[name] for name in study.specimens
        ),
        "train": train,
        "evaluate": evaluate,
        OTHERS: sum(other_seconds(rule, speeds) * n for rule, n in counted.others.items()),
        "starting": speeds.start * (counted.jobs["train"] + counted.jobs["evaluate"])
        + speeds.start_light * (counted.jobs["simulate"] + sum(counted.others.values())),
    }


# ── A typical core ───────────────────────────────────────────────────────────────────────────────


def typical(study: Study) -> Speeds:
    """Return the times of a study's parts on a typical core. Sizes and memory are not estimated."""
    core, microscope = table()["core"], study.microscope
    px, multislice = microscope.field_px**2, microscope.multislice.px**2
    noise = core["noise_s"] * px
    step = {
        name: core["step_s"] * px * architectures.parse(name).bytes_per_pixel
        for name in study.training.architectures
    }
    return Speeds(
        device="a typical core",
        unit="core",
        start=START_S,
        start_light=core["start_light_s"],
        structure={
            name: core["slices_s"][microscope.engine] * multislice * _height(specimen)
            for name, specimen in study.specimens.items()
        },
        wave_bytes={},
        image=core["image_s"] * _wave_values(microscope) + noise,
        noise=noise,
        step=step,
        predict={name: core["predict"] * value for name, value in step.items()},
        weight_bytes={},
        memory={},
    )


def seconds(study: Study) -> dict[str, float]:
    """Return the seconds of one job of each rule on a typical core, with the time to start it.

    `passband plan` measures for many seconds how long a study's parts take on this machine. A run
    that starts has no time for that, and needs only the ratios of these times.
    """
    took = seconds_by_rule(study, typical(study))
    return {
        rule: START_S + (took[rule] / number if rule in GROWING else others_s(rule))
        for rule, number in count(study).jobs.items()
        if number
    }


def _height(specimen: Specimen) -> float:
    """Return the mean height of a specimen's structures [Å], times its configurations."""
    nm = specimen.substrate.thickness_nm + specimen.diameter_nm.mean + 1
    return specimen.thermal.configurations * nm * A_PER_NM


def _wave_values(microscope: Microscope) -> int:
    """Return the number of complex values from which an image is formed."""
    members = microscope.focal_members if microscope.coherence == "focal-series" else 1
    return microscope.field_px**2 * microscope.oversampling**2 * members


# ── GPUs ─────────────────────────────────────────────────────────────────────────────────────────


def check(device: str) -> None:
    """Raise PassbandError if a GPU is not in the table."""
    if device not in table()["gpus"]:
        raise PassbandError(f"--device = {device!r}: must be one of {', '.join(table()['gpus'])}")


def stated(study: Study, device: str, cpu: Speeds) -> tuple[Speeds, Speeds, list[str]]:
    """Return the times of a study's parts on a GPU that nobody has measured, as a range.

    The time of a training step is the longer one of two times: that of its operations at a share of
    the peak rate, and that of moving the activations at a share of the bandwidth. The time to
    launch the kernels is added, and divided by the images of a step.

    Args:
        device: The GPU's name in the table.
        cpu: The times on this machine's CPU, of which those to simulate and to start are kept.

    Returns:
        The shortest times, the longest times, and lines that say where the rates come from and what
        was assumed.
    """
    gpu, assumed = table()["gpus"][device], table()["assumed"]
    single = study.training.precision == "float32"
    peak = gpu["single_flop_per_s" if single else "half_flop_per_s"]
    flops = {name: forward_flops(name) for name in study.training.architectures}
    # A job finds out when it starts whether it trains replicas together.
    cases = [{key: pair[place] for key, pair in assumed.items()} for place in (0, 1)]
    cases[0]["together"], cases[1]["together"] = True, False
    best, worst = (_speeds(study, cpu, peak, gpu, flops, case) for case in cases)
    (most, least), (wide, narrow) = assumed["compute"], assumed["bandwidth"]
    return (
        best,
        worst,
        [
            f"{gpu['name']} was never measured. The {gpu['source']} states {peak / 1e12:,.0f} "
            f"TFLOP/s in {'float32' if single else '16 bits'} and {gpu['bytes_per_s'] / 1e12:.2g} "
            "TB/s.",
            f"Convolutions reach {least:.0%} to {most:.0%} of this rate, and memory {narrow:.0%} "
            f"to {wide:.0%} of this bandwidth.",
            "Activations move {:g} to {:g} times in a step, and images {:g} to {:g} times.".format(
                *assumed["passes"], *assumed["image_passes"]
            ),
            "A step or a batch of tests needs {:g} to {:g} ms to launch.".format(
                *(1000 * value for value in assumed["launch_s"])
            ),
            f"The times to simulate and to start jobs were measured on {cpu.device}.",
        ],
    )


def _speeds(study: Study, cpu: Speeds, peak: float, gpu: dict, flops: dict, case: dict) -> Speeds:
    """Return the times with one value of each assumption."""
    training, px = study.training, study.microscope.field_px**2
    bytes_per_s = case["bandwidth"] * gpu["bytes_per_s"]
    noise = case["image_passes"] * _REAL * px / bytes_per_s
    image = noise + case["image_passes"] * _COMPLEX * _wave_values(study.microscope) / bytes_per_s
    together = min(study.study.replicas, study.study.replicas_per_job) if case["together"] else 1
    launch = case["launch_s"] / (training.batch_size * together)
    tests = case["launch_s"] / min(study.evaluation.batch_size, study.study.structures.test)
    step, predict = {}, {}
    for name, forward in flops.items():
        compute = forward * px / (case["compute"] * peak)
        moved = architectures.parse(name).bytes_per_pixel * px / bytes_per_s
        step[name] = max(_PASSES_OF_STEP * compute, case["passes"] * moved) + launch
        # A prediction keeps no activations: each is written once and read once at the most.
        predict[name] = max(compute, 2 * moved) + tests
    return replace(cpu, device="", unit="GPU", image=image, noise=noise, step=step, predict=predict)


def forward_flops(architecture: str) -> float:
    """Return the floating point operations of a prediction, for each pixel of an image.

    They are counted without computing, see :mod:`torch.utils.flop_counter`.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from passband.learning import networks

    px = 2 * architectures.parse(architecture).smallest_px
    with torch.device("meta"):
        network, image = networks.build(architecture), torch.empty(1, 1, px, px)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    return counter.get_total_flops() / px**2
