"""Measure the time of evaluation relative to its forward passes, and how this time grows.

    python benchmarks/evaluation.py             # one or two minutes
    python benchmarks/evaluation.py --quick     # seconds, with small images and networks

The two times of a ratio are measured in turns within one process. On a CPU, times are the processor
time of one thread, since an evaluate job has one thread. Bare forward passes run each network on
batches that are in memory. An evaluation also forms the images and counts pixels.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice, product

import numpy as np
import torch
from harness import Table, side_by_side

from passband.config import Microscope, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures, Split, Structures
from passband.jobs import running
from passband.learning import backend, devices, evaluation, networks

CONDITIONS = [
    Condition(defocus, 1.2, 16, dose) for defocus, dose in product(range(5, 21), (200, 1000))
]

#: Number of test conditions in a call. A job has many, for which it prepares its networks once.
TESTS = 4


@dataclass
class Case:
    """Architecture, pixels along an image's side, structures, images per batch, and rounds."""

    architecture: str
    px: int
    structures: int
    batch: int
    rounds: int
    device: torch.device

    @property
    def clock(self) -> Callable[[], float]:
        return time.process_time if self.device.type == "cpu" else time.perf_counter

    @property
    def camera(self) -> Acquisition:
        return Acquisition.from_microscope(
            Microscope(field_px=self.px, pixel_size_A=0.3), "zscore", self.device
        )

    def loaded(self, camera: Acquisition) -> dict[str, LoadedStructures]:
        """Structures with random waves. A fifth of their pixels belongs to particles."""
        random = torch.Generator().manual_seed(0)
        side = camera.imager.sampling.cropped
        shape = (self.structures, 1, side, side)
        spectra = torch.randn(shape, dtype=torch.complex64, generator=random) / self.px
        spectra[:, :, side // 2, side // 2] = 1
        masks = torch.rand((self.structures, 1, self.px, self.px), generator=random) < 0.2
        structures = Structures(0, "gold", "test", camera.microscope)
        split = Split(
            structures,
            np.arange(self.structures),
            spectra.to(self.device),
            masks.float().to(self.device),
        )
        return {"gold": LoadedStructures(structures, {"": split})}

    def networks(self, number: int) -> dict[int, torch.nn.Module]:
        return {r: networks.build(self.architecture, r) for r in range(number)}


def against_bare(table: Table, case: Case, replicas: int, groups: int = 1) -> None:
    """Compare the time to evaluate networks with that of their forward passes.

    As in a job, networks of some training conditions (`groups`) are tested under several test
    conditions.
    """
    camera, device = case.camera, case.device
    loaded = case.loaded(camera)
    nets = case.networks(replicas)
    precision = backend.precision(Training(), case.architecture, device)
    layout = devices.layout(precision, device)
    bare = [n.to(device, memory_format=layout).eval() for n in case.networks(replicas).values()]
    compiled = backend.predictor(bare, precision, device)
    split = loaded["gold"].under(CONDITIONS[0])
    images = camera.images(split, CONDITIONS[0]).contiguous(memory_format=layout)
    batches, fresh = images.split(case.batch), cycle(CONDITIONS)

    def evaluate():
        # Each call has new conditions, since the time of transfer functions must be included.
        some, shared = list(islice(fresh, TESTS)), evaluation.SharedImages()
        for _ in range(groups):
            evaluation.evaluate(nets, camera, loaded, some, case.batch, precision, shared=shared)

    @torch.inference_mode()
    def forward():
        for _, batch in product(range(TESTS * groups), batches):
            if compiled:
                compiled(batch)
                continue
            for network in bare:
                with devices.autocast(precision, device):
                    network(batch)
        devices.synchronize(device)

    times = side_by_side(case.rounds, evaluate, forward, clock=case.clock)
    whole, passes = (seconds / TESTS / groups for seconds in times)
    what = f"{replicas} × {case.architecture} at {case.px}² in {precision}"
    if groups > 1:
        what += f", jobs of {groups} training conditions"
    table.row(f"evaluation / bare forward passes, {what}", 1.25, whole / passes)
    beside = 1e3 * (whole - passes) / case.structures
    goal = 0.45 if replicas == 1 and case.px == 128 else None
    table.row("    an image, without the forward passes [ms]", goal, beside)
    cell = 1e3 * whole / replicas
    table.row(f"    a network under a condition, {case.structures} images [ms]", None, cell)


def growth(table: Table, case: Case) -> None:
    """Compare the time of 2 and 4 networks (or conditions) with 2 and 4 times the time of one."""
    camera = case.camera
    loaded = case.loaded(camera)
    nets = case.networks(4)

    def run(replicas: int, conditions: int):
        some = dict(islice(nets.items(), replicas))
        return lambda: evaluation.evaluate(
            some, camera, loaded, CONDITIONS[:conditions], case.batch, precision
        )

    precision = backend.precision(Training(), case.architecture, case.device)
    what, sizes = f"{case.architecture} at {case.px}²", (1, 2, 4)
    for name, calls in (
        ("networks", [run(n, 2) for n in sizes]),
        ("test conditions", [run(1, 2 * n) for n in sizes]),
    ):
        least, *others = side_by_side(case.rounds, *calls, clock=case.clock)
        for n, taken in zip(sizes[1:], others, strict=True):
            where = f"{n} × as many {name} / {n} × the time, {what}"
            table.row(where, 1.1, taken / least / n)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small images and few rounds")
    quick, device = parser.parse_args().quick, devices.device()
    running.cap_threads(1)
    running.keep_memory()  # as every job does
    print(f"torch {torch.__version__}, 1 thread, {devices.describe(device)}\n")
    table = Table()
    small = Case("compact-w8-d3", 128, 24, 24, 12, device)
    large = Case("unet-resnet18", 512, 4, 4, 3, device)
    if quick:
        small = Case("compact-w4-d2", 64, 4, 4, 2, device)
    if not quick:
        cell = Case("compact-w4-d2", 64, 8, 8, 12, device)
        for replicas, groups in ((1, 1), (7, 1), (7, 4)):
            against_bare(table, cell, replicas, groups)
    against_bare(table, small, 1, groups=4)
    for case, replicas in ((small, 1), (small, 4), *([] if quick else [(large, 1)])):
        against_bare(table, case, replicas)
    growth(table, small)


if __name__ == "__main__":
    main()
