"""Measure the memory of a `train` job of studies/paper.yaml; compare it with Passband's estimate.

    python benchmarks/memory.py             # minutes on 2 cores, with 8 GB of memory
    python benchmarks/memory.py --quick     # seconds, with studies/smallest.yaml

The arrays are random and have the shapes of a real job. The memory contains exit waves, masks and
images of all structures. The memory also contains each replica of a job with its optimizer. Each
replica does an optimizer step, and a batch is validated.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from harness import Table

from passband.config import Study, load
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.jobs import running
from passband.learning import backend, devices, memory
from passband.learning.batches import Batches, Images
from passband.learning.learner import Learner

STUDIES = Path(__file__).parents[1] / "studies"


def split(study: Study, name: str, device: torch.device) -> Split:
    """Return random exit waves and masks for all structures of a split."""
    number, sampling = getattr(study.study.structures, name), study.microscope.sampling
    side, px = sampling.cropped, sampling.px
    spectra = torch.zeros((number, 1, side, side), dtype=torch.complex64, device=device)
    for spectrum in spectra[:, 0]:
        spectrum.copy_(torch.randn((side, side), dtype=torch.complex64) / px)
        spectrum[side // 2, side // 2] = 1
    masks = torch.zeros((number, 1, px, px), device=device)
    masks[:, :, : px // 2, : px // 2] = 1
    structures = Structures(0, "gold", name, study.microscope)
    return Split(structures, np.arange(number), spectra, masks)


def job(study: Study, device: torch.device) -> None:
    """Allocate the arrays of a `train` job, and do an optimizer step with each of its networks."""
    training, condition = study.training, study.train_conditions[0]
    camera = Acquisition.from_microscope(study.microscope, training.normalisation, device)
    images, held_out = (
        Images(camera, split(study, name, device), condition) for name in ("train", "val")
    )
    batches = Batches(images, training)
    (architecture, *_), replicas = training.architectures, study.study.replicas_per_job
    learners = [
        Learner(architecture, {r: r}, training, len(batches), device) for r in range(replicas)
    ]
    few = np.arange(min(4 * training.batch_size, len(held_out)))
    for learner in learners:
        learner.step(*next(batches.epoch([0], 0)))
    learners[-1].validate(*held_out.take(few))
    learners[-1].close_epoch(0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="use the smallest study")
    name = "smallest" if parser.parse_args().quick else "paper"
    study, device = load(STUDIES / f"{name}.yaml"), devices.device()
    running.keep_memory()  # as every job does
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {devices.describe(device)}\n")
    table = Table()
    first = study.training.architectures[0]
    precision = backend.precision(study.training, first, device)
    estimated = memory.train_bytes(study, first, precision, gpu=device.type == "cuda") / 1e9
    job(study, device)
    what = f"a train job of {study.study.replicas_per_job} replicas, studies/{name}.yaml [GB]"
    table.row(f"host memory of {what}", 12, memory.peak_process_bytes() / 1e9)
    if device.type == "cuda":
        table.row(f"GPU memory of {what}", None, torch.cuda.max_memory_reserved() / 1e9)
    table.row(f"estimated: {device.type} memory of {what}", None, estimated)


if __name__ == "__main__":
    main()
