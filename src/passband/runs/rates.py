"""Rates of machines on which a study may run, from the table ``rates.yaml`` in this folder.

The table says of each rate whether it was measured or is stated. The times on a GPU follow from its
stated peak rates, from the operations and the bytes of a study's networks, and from two assumptions
of how much of the peak rates is reached: the best case, and the worst case.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from passband import PassbandError
from passband.config import Study, architectures
from passband.runs.calibration import Speeds

#: Path of the table.
FILE = Path(__file__).with_name("rates.yaml")
#: A training step computes the forward pass, the gradients of activations, and those of weights.
_PASSES_OF_STEP = 3
#: Bytes of a complex value of an image, and of a real value.
_COMPLEX, _REAL = 8, 4


@cache
def table() -> dict:
    """Return the table."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Stated:
    """The times of a study's parts on a GPU that nobody has measured.

    Attributes:
        best, worst: The shortest and the longest times. The times to simulate and to start are
            those of the given speeds of a CPU.
        assumptions: Where the rates come from and what was assumed, in lines of text.
    """

    best: Speeds
    worst: Speeds
    assumptions: list[str]


def others_s(rule: str) -> float:
    """Return the work of a job that hardly grows with the study, on a typical core [s]."""
    others = table()["core"]["others_s"]
    return others.get(rule, others["other"])


def check(device: str) -> None:
    """Raise PassbandError if a GPU is not in the table."""
    if device not in table()["gpus"]:
        raise PassbandError(f"--device = {device!r}: must be one of {', '.join(table()['gpus'])}")


def stated(study: Study, device: str, cpu: Speeds) -> Stated:
    """Return the times of a study's parts on a GPU, as a range.

    The time of a training step is the longer one of two times: that of its operations at a share of
    the peak rate, and that of moving the activations at a share of the bandwidth. The time to
    launch the kernels is added, and divided by the images of a step.

    Args:
        device: The GPU's name in the table.
        cpu: The times on this machine's CPU, of which those to simulate and to start are kept.
    """
    gpu, assumed = table()["gpus"][device], table()["assumed"]
    single = study.training.precision == "float32"
    peak = gpu["single_flop_per_s" if single else "half_flop_per_s"]
    flops = {name: forward_flops(name) for name in study.training.architectures}
    # Unless the study says it, a job finds out when it starts whether it trains replicas together.
    way = study.training.replicas_together
    cases = [{key: pair[place] for key, pair in assumed.items()} for place in (0, 1)]
    cases[0]["together"], cases[1]["together"] = way != "never", way == "always"
    best, worst = (_speeds(study, cpu, peak, gpu, flops, case) for case in cases)
    (most, least), (wide, narrow) = assumed["compute"], assumed["bandwidth"]
    return Stated(
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
    microscope, training = study.microscope, study.training
    px, bytes_per_s = microscope.field_px**2, case["bandwidth"] * gpu["bytes_per_s"]
    members = microscope.focal_members if microscope.coherence == "focal-series" else 1
    fine = px * microscope.oversampling**2 * members
    noise = case["image_passes"] * _REAL * px / bytes_per_s
    image = noise + case["image_passes"] * _COMPLEX * fine / bytes_per_s
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
