"""Measure what evaluation costs beside its bare forward passes, and how it grows: ratios.

    python benchmarks/evaluation.py             # a minute or two
    python benchmarks/evaluation.py --quick     # seconds: small images and networks, for a look

Both sides of a ratio are timed in turns within one process, on a CPU as processor time of one
thread, which is what an evaluate job has. Bare are the forward passes of every network alone, on
batches that lie in memory; evaluation forms the images too, and counts pixels.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
import torch
from harness import Table, side_by_side

from passband import devices, evaluation, jobs, networks
from passband.config import Microscope
from passband.examples import Camera, Split
from passband.grid import Condition

CONDITIONS = [
    Condition(defocus, 1.2, 16, dose) for defocus, dose in product(range(5, 21), (200, 1000))
]


@dataclass
class Case:
    """What is evaluated: networks, side of an image, structures, images a batch, rounds."""

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
    def camera(self) -> Camera:
        return Camera.of(Microscope(field_px=self.px, pixel_size_A=0.3), "zscore", self.device)

    def split(self, camera: Camera) -> Split:
        """Structures of random waves, a fifth of whose pixels are particle."""
        random = torch.Generator().manual_seed(0)
        side = camera.imager.sampling.cropped
        shape = (self.structures, 1, side, side)
        spectra = torch.randn(shape, dtype=torch.complex64, generator=random) / self.px
        spectra[:, :, side // 2, side // 2] = 1
        masks = torch.rand((self.structures, 1, self.px, self.px), generator=random) < 0.2
        return Split(
            (0, "gold", "test"),
            np.arange(self.structures),
            spectra.to(self.device),
            masks.float().to(self.device),
        )

    def networks(self, number: int) -> dict[int, torch.nn.Module]:
        return {r: networks.build(self.architecture, r) for r in range(number)}


def against_bare(table: Table, case: Case, replicas: int) -> None:
    """Evaluation of some networks on a condition against their forward passes."""
    camera, device = case.camera, case.device
    split, nets = case.split(camera), case.networks(replicas)
    precision = devices.precision("auto", device)
    layout = devices.layout(precision, device)
    bare = [n.to(device, memory_format=layout).eval() for n in case.networks(replicas).values()]
    images = camera.images(split, CONDITIONS[0]).contiguous(memory_format=layout)
    batches, fresh = images.split(case.batch), iter(CONDITIONS)

    def evaluate():
        # Another condition every time: its transfer function is part of the cost.
        some = [next(fresh)]
        evaluation.evaluate(nets, camera, {"gold": split}, some, case.batch)

    @torch.inference_mode()
    def forward():
        for batch, network in product(batches, bare):
            with devices.autocast(precision, device):
                network(batch)
        devices.synchronize(device)

    whole, passes = side_by_side(case.rounds, evaluate, forward, clock=case.clock)
    what = f"{replicas} × {case.architecture} at {case.px}² in {precision}"
    table.row(f"evaluation / bare forward passes, {what}", 1.25, whole / passes)


def growth(table: Table, case: Case) -> None:
    """Seconds of twice and four times as many networks or conditions, over as many times one's."""
    camera = case.camera
    split, nets = case.split(camera), case.networks(4)

    def run(replicas: int, conditions: int):
        some = dict(islice(nets.items(), replicas))
        return lambda: evaluation.evaluate(
            some, camera, {"gold": split}, CONDITIONS[:conditions], case.batch
        )

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
    jobs.cap_threads(1)
    jobs.keep_memory()  # as every job does
    print(f"torch {torch.__version__}, 1 thread, {devices.describe(device)}\n")
    table = Table()
    small = Case("compact-w8-d3", 128, 24, 24, 12, device)
    large = Case("unet-resnet18", 512, 4, 4, 3, device)
    if quick:
        small = Case("compact-w4-d2", 64, 4, 4, 2, device)
    for case, replicas in ((small, 1), (small, 4), *([] if quick else [(large, 1)])):
        against_bare(table, case, replicas)
    growth(table, small)


if __name__ == "__main__":
    main()
