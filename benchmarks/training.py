"""Measure the time of training, relative to its arithmetic and relative to a plain program.

    python benchmarks/training.py               # a few minutes on 2 cores
    python benchmarks/training.py --compiled    # only compiled functions beside torch
    python benchmarks/training.py --against DIR # only whole trainings beside those of another clone
    python benchmarks/training.py --quick       # seconds, with small images and networks

The plain program trains a network by Lightning with a `DataLoader` over image files. The two
times of a ratio are measured in turns within one process, so that other programs on the machine
affect both times equally. The ratio is that of the fastest rounds. The last column of the table
shows whether the goal is reached. A missed goal is not an error. On a GPU, 21 vectorized replicas
of the compact U-Net are measured too.
"""

import argparse
import contextlib
import logging
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from harness import Table
from torch.utils.flop_counter import FlopCounterMode

from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.jobs import running
from passband.learning import backend, devices, networks, training
from passband.learning.batches import Batches, Images
from passband.learning.compact_unet import CompactUNet
from passband.learning.evaluation import confusion
from passband.learning.learner import Learner
from passband.learning.losses import entropy_dice
from passband.scores import dice
from passband.specimens import exit_waves as simulate
from passband.storage import datasets

#: Networks, pixels, and how many times as many networks an hour are the goal.
PAIRS = [("compact-w4-d2", 64, 2.0), ("compact-w8-d3", 128, 1.3)]
CONDITION = Condition(defocus_nm=20, cs_um=1.2, aperture_mrad=16, dose_e_per_A2=1000)
SEED = 2512


@dataclass
class Case:
    """The networks and data of a measurement.

    Attributes:
        architecture, px, train, val, epochs: Network, pixels along an image's side, number of
            structures of each split, and number of epochs.
        rounds, steps, replicas: Number of measurements of a ratio, of optimizer steps in each
            measurement, and of vectorized networks.
    """

    architecture: str
    px: int
    train: int
    val: int
    epochs: int
    rounds: int
    steps: int
    replicas: int

    @property
    def microscope(self) -> Microscope:
        return Microscope(field_px=self.px, pixel_size_A=0.35)

    def settings(self, **changes) -> Training:
        given = {"architectures": [self.architecture], "epochs": self.epochs, "batch_size": 8}
        return Training(**given | changes)


def make_waves(case: Case, folder: Path) -> dict[str, str]:
    """Simulate the splits `train` and `val`, and return their files."""
    specimen = Specimen(
        diameter_nm=Diameter(mean=1.3, std=0.2, min=1.0, max=1.6),
        particles=Particles(min=1, max=1),
        substrate=Substrate(thickness_nm=0.6),
    )
    paths = {}
    for split, number in (("train", case.train), ("val", case.val)):
        paths[split] = str(folder / f"{split}.zarr.zip")
        waves = simulate.simulate(
            "gold", specimen, case.microscope, SEED, split, range(number), "cpu"
        )
        datasets.write(waves, paths[split], datasets.WAVES, {}, {"structure": 1})
    return paths


def load(
    case: Case, paths: dict[str, str], device: torch.device
) -> tuple[Acquisition, list[Split]]:
    camera = Acquisition.from_microscope(case.microscope, "zscore", device)
    splits = [
        Structures(SEED, "gold", split, case.microscope, (path,)).load(device).sets[""]
        for split, path in paths.items()
    ]
    return camera, splits


def bare(case: Case, settings: Training, pair: tuple[torch.Tensor, torch.Tensor]):
    """Return a function that does optimizer steps on one batch and returns their median time."""
    device = pair[0].device
    precision = backend.precision(settings, case.architecture, device)
    if backend.compiles(settings, case.architecture, device):
        return bare_compiled(case, settings, pair)
    layout = devices.layout(precision, device)
    network = networks.build(case.architecture, 1).to(device, memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    images, masks = pair[0][0].contiguous(memory_format=layout), pair[1]

    def steps(number: int) -> float:
        at = [time.perf_counter()]
        for _ in range(number):
            with devices.autocast(precision, device):
                logits = network(images)
            entropy_dice(logits[None], masks, settings).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            devices.synchronize(device)
            at.append(time.perf_counter())
        return np.median(np.diff(at))

    return steps


def bare_compiled(case: Case, settings: Training, pair: tuple[torch.Tensor, torch.Tensor]):
    """Return the same as :func:`bare`, for a network that Passband's own functions compute."""
    network = backend.CompactNetworks([networks.build(case.architecture, 1)])
    optimizer = torch.optim.Adam(network.parameters.values(), lr=1e-4, fused=True)

    def steps(number: int) -> float:
        at = [time.perf_counter()]
        for _ in range(number):
            network.accumulate(*pair, settings)
            optimizer.step()
            at.append(time.perf_counter())
        return np.median(np.diff(at))

    return steps


def step_in_job(case: Case, camera: Acquisition, splits: list[Split], table: Table) -> None:
    """Compare an optimizer step in a job, with batches and Lightning, with the step alone."""
    epochs = -(-case.steps // max(1, case.train // 8))
    settings = case.settings(noise="fixed", epochs=epochs)
    batches = Batches(Images(camera, splits[0], CONDITION), settings)
    alone = bare(case, settings, next(batches.epoch([1], 0)))
    device, at = camera.imager.device, []
    step = Learner.step

    def timed(self, *pair):
        devices.synchronize(device)
        at.append(time.perf_counter())
        step(self, *pair)

    medians = []
    Learner.step = timed
    try:
        for round in range(case.rounds + 1):
            at.clear()
            training.train(case.architecture, camera, splits, CONDITION, settings, {0: 1})
            # Times between the starts of two steps, without those that include a validation.
            between = np.diff(at)[[k for k in range(len(at) - 1) if (k + 1) % len(batches)]]
            other = alone(len(between))
            if round:
                medians.append((np.median(between), other))
    finally:
        Learner.step = step
    table.row(
        f"step in the job / bare step, {case.architecture} at {case.px}²",
        1.10,
        min(job for job, _ in medians) / min(other for _, other in medians),
    )


START = """
import sys, time, os
from passband.jobs import running
from passband.learning import devices, streaming as sources, training, networks
from passband.learning.learner import Learner
running.keep_memory()
sys.path[:0] = [{folder!r}]
import training as benchmark
case = benchmark.Case(*{case!r})
step = Learner.step
def first(self, *pair):
    step(self, *pair)
    print("first step", flush=True)
    os._exit(0)
Learner.step = first
camera, splits = benchmark.load(case, {paths!r}, devices.device())
training.train(case.architecture, camera, splits, benchmark.CONDITION, case.settings(), {{0: 1}})
"""


def start_up(case: Case, paths: dict[str, str], table: Table) -> None:
    """Measure the time from the start of a process to the end of its first step."""
    code = START.format(folder=str(Path(__file__).parent), case=astuple(case), paths=paths)
    seconds, processor = [], []
    for _ in range(case.rounds):
        started, used = time.perf_counter(), child_seconds()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
        processor.append(child_seconds() - used)
        if "first step" not in done.stdout:
            raise RuntimeError(done.stderr)
    table.row("start of a process to the end of its first step [s]", 10, min(seconds))
    table.row("    the same in processor time [s]", None, min(processor))


def child_seconds() -> float:
    """Return the processor time of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Files(torch.utils.data.Dataset):
    """Images and masks from .npy files, in the plain program."""

    def __init__(self, folder: Path, augment: bool):
        self.files, self.augment = sorted(folder.glob("*-image.npy")), augment

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        file = self.files[index]
        image, mask = np.load(file), np.load(str(file).replace("-image", "-mask"))
        if self.augment:
            turns, flip = torch.randint(4, ()).item(), torch.randint(2, ()).item()
            image, mask = (
                np.rot90(x[..., ::-1] if flip else x, turns, (-2, -1)) for x in (image, mask)
            )
        return torch.from_numpy(image.copy()), torch.from_numpy(mask.copy())


class PlainUNet(CompactUNet):
    """The compact U-Net in its usual form: upsampling, concatenation and convolution."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *skips, x = self.encoder(x)
        for block in self.up:
            x = torch.nn.functional.interpolate(x, scale_factor=2)
            x = block(torch.cat((skips.pop(), x), dim=1))
        return self.head(x)


class Naive(lightning.LightningModule):
    """Network, loss and optimizer of the plain program."""

    def __init__(self, case: Case, settings: Training, steps: int, seed: int):
        super().__init__()
        self.network = networks.build(case.architecture, seed)
        self.network.__class__ = PlainUNet
        self.settings, self.steps, self.scores, self.best = settings, steps, [], 0.0

    def training_step(self, batch, index):
        return entropy_dice(self.network(batch[0])[None], batch[1], self.settings).sum()

    def validation_step(self, batch, index):
        logits = self.network(batch[0])
        self.scores.append(confusion(logits, batch[1]))

    def on_validation_epoch_end(self):
        self.best = max(self.best, dice(torch.cat(self.scores).cpu().numpy()).mean())
        self.scores.clear()

    def configure_optimizers(self):
        rate = self.settings.learning_rate
        optimizer = torch.optim.Adam(self.parameters(), lr=rate)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=self.steps)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


def naive(case: Case, folder: Path, seed: int) -> tuple[float, float]:
    """Train one network by the plain program, and return the time [s] and the best Dice."""
    with silent():
        return _naive(case, folder, seed)


def _naive(case: Case, folder: Path, seed: int) -> tuple[float, float]:
    settings = case.settings()
    started = time.perf_counter()
    workers = 2 if case.rounds > 1 else 0  # a quick run does not start further processes
    loaders = [
        torch.utils.data.DataLoader(
            Files(folder / split, split == "train"),
            8,
            shuffle=split == "train",
            num_workers=workers,
            persistent_workers=workers > 0,
            drop_last=split == "train",
        )
        for split in ("train", "val")
    ]
    module = Naive(case, settings, len(loaders[0]) * settings.epochs, seed)
    trainer = lightning.Trainer(
        max_epochs=settings.epochs,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *loaders)
    return time.perf_counter() - started, module.best


def networks_per_hour(
    case: Case, camera: Acquisition, splits: list[Split], table: Table, folder: Path
) -> None:
    """Compare the networks per hour of Passband and of the plain program.

    Passband's time includes image formation. The plain program reads images from .npy files."""
    for split in splits:
        there = folder / split.structures.split
        there.mkdir()
        for k, image in enumerate(camera.images(split, CONDITION).cpu().numpy()):
            np.save(there / f"{k:05d}-image.npy", image)
            np.save(there / f"{k:05d}-mask.npy", split.masks[k].cpu().numpy())
    seconds = {"naive": [], "float32": [], "auto": []}
    scores = {name: [] for name in seconds}
    auto = backend.precision(Training(), case.architecture, camera.imager.device)
    kinds = ["float32"] + (["auto"] if auto != "float32" else [])
    # The plain program runs in a separate process, since this process keeps freed memory.
    apart = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    for round in range(max(1, case.rounds // 2)):
        taken, score = apart.submit(naive, case, folder, round).result()
        seconds["naive"].append(taken)
        scores["naive"].append(score)
        for precision in kinds:
            started = time.perf_counter()
            settings = case.settings(precision=precision)
            made = training.train(
                case.architecture, camera, splits, CONDITION, settings, {0: round, 1: round + 100}
            )
            seconds[precision].append((time.perf_counter() - started) / len(made))
            scores[precision] += [trained.best.val_dice for trained in made.values()]
    apart.shutdown()
    for precision in kinds:
        goal = 1.3 if precision == "float32" else 3.0
        name = "float32" if precision == "float32" else auto
        table.row(
            f"networks per hour in {name} / Lightning + DataLoader, {case.architecture} at "
            f"{case.px}²",
            goal,
            min(seconds["naive"]) / min(seconds[precision]),
            least=True,
        )
        table.row(
            f"    mean Dice in {name} less mean Dice of Lightning + DataLoader "
            f"({np.mean(scores['naive']):.3f})",
            None,
            np.mean(scores[precision]) - np.mean(scores["naive"]),
        )


@contextlib.contextmanager
def by_torch():
    """Let torch compute all layers of networks, also those that compiled functions compute."""
    before = backend.WIDEST, backend.fuse
    backend.WIDEST, backend.fuse = 0, None
    try:
        yield
    finally:
        backend.WIDEST, backend.fuse = before


def against_torch(
    case: Case, camera: Acquisition, splits: list[Split], table: Table, goal: float
) -> None:
    """Compare the trainings of replicas with trainings by torch alone, in its fastest precision.

    The times are the processor times of one thread, without the start of the process. Trainings of
    both kinds are done in turns.
    """
    if camera.imager.device.type != "cpu":
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seeds, settings = {r: r for r in range(case.replicas)}, case.settings()
    seconds, scores = {True: [], False: []}, {}
    for _ in range(max(1, case.rounds)):
        for compiled, kind in ((True, contextlib.nullcontext), (False, by_torch)):
            with kind():
                started = time.process_time()
                made = training.train(case.architecture, camera, splits, CONDITION, settings, seeds)
                seconds[compiled].append((time.process_time() - started) / len(made))
            scores[compiled] = np.mean([trained.best.val_dice for trained in made.values()])
    torch.set_num_threads(threads)
    what = f"{case.replicas} × {case.architecture} at {case.px}²"
    gain = min(seconds[False]) / min(seconds[True])
    table.row(
        f"networks an hour, with compiled functions / by torch alone, {what}",
        goal,
        gain,
        least=True,
    )
    table.row("    processor time of a network [s]", None, min(seconds[True]))
    table.row("    its mean Dice less that by torch", None, scores[True] - scores[False])


WHOLE = """
import sys, tempfile, time
from pathlib import Path
sys.path[:0] = [{root!r} + "/src", {root!r} + "/benchmarks"]
import torch
torch.set_num_threads(1)
import training as benchmark
from passband.jobs import running
from passband.learning import training
running.keep_memory()
case = benchmark.Case(*{case!r})
with tempfile.TemporaryDirectory() as folder, benchmark.silent():
    paths = benchmark.make_waves(case, Path(folder))
    camera, splits = benchmark.load(case, paths, torch.device("cpu"))
    started = time.process_time()
    made = training.train(
        case.architecture, camera, splits, benchmark.CONDITION, case.settings(),
        {{replica: replica for replica in range(case.replicas)}},
    )
    seconds = time.process_time() - started
print(seconds / len(made), sum(trained.best.val_dice for trained in made.values()) / len(made))
"""


def against(other: Path, table: Table, quick: bool) -> None:
    """Compare whole trainings with those of another clone of Passband, in turns.

    The times are the processor times of one thread, without starts and without exit waves. Every
    training has its own process.
    """
    here = Path(__file__).resolve().parents[1]
    for name, px, goal in PAIRS[:1] if quick else PAIRS:
        case = Case(name, px, 8 if quick else 64, 16, 2 if quick else 24, 1, 1, 2)
        seconds, scores = {here: [], other: []}, {}
        for _ in range(1 if quick else 2):
            for root, taken in seconds.items():
                code = WHOLE.format(root=str(root), case=astuple(case))
                done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                time_of_one, scores[root] = map(float, done.stdout.split()[-2:])
                taken.append(time_of_one)
        what = f"{case.replicas} × {name} at {px}²"
        gain = min(seconds[other]) / min(seconds[here])
        table.row(f"networks an hour, this version / the other, {what}", goal, gain, least=True)
        table.row("    processor time of a network [s]", None, min(seconds[here]))
        table.row("    its mean Dice less that of the other", None, scores[here] - scores[other])


def matrix_rate(precision: str, device: torch.device, side: int) -> float:
    """Return the device's measured rate of a matrix product [FLOP/s]."""
    a, b = (torch.randn(side, side, device=device, dtype=devices.DTYPES[precision]) for _ in "ab")
    seconds = []
    for _ in range(6):
        devices.synchronize(device)
        started = time.perf_counter()
        a @ b
        devices.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def stacked(
    case: Case, camera: Acquisition, splits: list[Split], table: Table, quick: bool
) -> None:
    """Compare optimizer steps of vectorized replicas with as many steps of separate replicas."""
    device = camera.imager.device
    for precision in dict.fromkeys(("float32", devices.precision("auto", device))):
        settings = case.settings(precision=precision, noise="fixed")
        batches = Batches(Images(camera, splits[0], CONDITION), settings)
        seeds = {replica: replica for replica in range(case.replicas)}
        one, stack = (
            Learner(case.architecture, some, settings, len(batches), device)
            for some in ({0: 0}, seeds)
        )
        pair = next(batches.epoch(list(seeds), 0))
        # torch counts only operations of torch, and not those of compiled functions.
        reference = Learner(
            case.architecture, {0: 0}, case.settings(precision="bfloat16"), len(batches), device
        )
        with FlopCounterMode(display=False) as counted:
            reference.step(*(part[:1] for part in pair))
        times = {one: [], stack: []}
        for _ in range(case.rounds + 1):
            for learner, taken in times.items():
                part = [x[: len(learner.seeds)] for x in pair]
                devices.synchronize(device)
                started = time.perf_counter()
                learner.step(*part)
                devices.synchronize(device)
                taken.append(time.perf_counter() - started)
        alone, together = (min(taken[1:]) for taken in times.values())
        what = f"{case.replicas} × {case.architecture} at {case.px}² in {precision}"
        gain = alone * case.replicas / together
        goal = 5.0 if device.type == "cuda" and case.px == 128 else None
        table.row(f"one after another / vectorized, {what}", goal, gain, least=True)
        rate = matrix_rate(
            precision, device, 8192 if device.type == "cuda" else 1024 // (1 + quick)
        )
        work = case.replicas * counted.get_total_flops()
        share = work / min(together, alone * case.replicas) / rate
        table.row(f"    share of the measured matrix rate, {rate / 1e12:.2g} TFLOP/s", None, share)


class Shared(Images):
    """Images whose noise is drawn once per epoch for all replicas, which is the fastest way."""

    drawn: tuple[int, torch.Tensor] | None = None

    def take(self, places, draw=0, replicas=None, turns=None):
        if self.drawn is None or self.drawn[0] != draw:
            self.drawn = draw, self._acquisition.images(self._source, self._condition, draw)
        return self.drawn[1][places.ravel()], self._source.masks[places.ravel()]


def own_noise(case: Case, camera: Acquisition, splits: list[Split], table: Table) -> None:
    """Compare an epoch of replicas with separate noise with an epoch of replicas with shared noise.

    On a CPU, times are the processor time of one thread, as in a job.
    """
    device, replicas, settings = camera.imager.device, range(7), case.settings()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shared, own = (
        Batches(kind(camera, splits[0], CONDITION), settings) for kind in (Shared, Images)
    )
    learners = [Learner(case.architecture, {r: r}, settings, len(own), device) for r in replicas]
    times = {(batches, step): [] for batches in (shared, own) for step in (True, False)}
    for epoch in range(case.rounds + 1):
        for (batches, step), taken in times.items():
            started = clock()
            for replica, learner in zip(replicas, learners, strict=True):
                for pair in batches.epoch([replica], 2 * epoch + step):  # draws new noise
                    if step:
                        learner.step(*pair)
            devices.synchronize(device)
            taken.append((clock() - started) / len(own) / len(replicas))
    torch.set_num_threads(threads)
    best = {what: min(taken[1:]) for what, taken in times.items()}
    what = f"{len(replicas)} × {case.architecture} at {case.px}²"
    table.row(
        f"step, own noise / one noise for all, {what}", 1.05, best[own, True] / best[shared, True]
    )
    for batches, whose in ((own, "separate"), (shared, "shared")):
        seconds = best[batches, False] * len(batches) / len(splits[0])
        table.row(f"    a network's training image, noise {whose} [ms]", None, 1e3 * seconds)


@contextlib.contextmanager
def silent():
    """Silence Lightning's hints and warnings, so that the table is readable."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small images and few rounds")
    parser.add_argument(
        "--compiled", action="store_true", help="only the rows of compiled functions beside torch"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="only whole trainings beside those of another clone",
    )
    options, device = parser.parse_args(), devices.device()
    quick = options.quick
    running.keep_memory()  # as every job does
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {devices.describe(device)}\n")
    table = Table()
    if options.against is not None:
        against(options.against.resolve(), table, quick)
        return
    case = Case("compact-w8-d3", 128, 96, 24, 12, 3, 36, 4)
    if quick:
        case = Case("compact-w4-d2", 64, 16, 4, 2, 1, 4, 2)
    with tempfile.TemporaryDirectory() as folder, silent():
        if not options.compiled:
            paths = make_waves(case, Path(folder))
            camera, splits = load(case, paths, device)
            step_in_job(case, camera, splits, table)
            own_noise(case, camera, splits, table)
            start_up(case, paths, table)
            networks_per_hour(case, camera, splits, table, Path(folder))
            stacked(case, camera, splits, table, quick)
        for name, px, goal in PAIRS[:1] if quick else PAIRS:
            number, epochs = (8, 2) if quick else (64, 24)  # 192 steps of 8 images
            many = Case(name, px, number, 16, epochs, 1 if quick else 2, 1, 2 if quick else 7)
            there = Path(folder) / f"torch{px}"
            there.mkdir()
            camera, splits = load(many, make_waves(many, there), device)
            against_torch(many, camera, splits, table, goal)
        if device.type == "cuda" and not quick and not options.compiled:
            for px in (128, 512):
                many = Case("compact-w8-d3", px, 32, 4, 1, 5, 4, 21)
                there = Path(folder) / str(px)
                there.mkdir()
                camera, splits = load(many, make_waves(many, there), device)
                stacked(many, camera, splits, table, quick)


if __name__ == "__main__":
    main()
