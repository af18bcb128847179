"""Measure what a head costs: a training step with it relative to one without, its decoder, and the
share of an evaluation that finding and matching particles takes.

    python benchmarks/heads.py           # a minute on one core
    python benchmarks/heads.py --quick   # seconds, with small images and networks

The times are processor times of one thread, measured in turns.
"""

import argparse
import time

import numpy as np
import torch
from harness import Table, side_by_side

from passband.config import Microscope, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures, Split, Structures
from passband.jobs import running
from passband.learning import backend, evaluation, networks
from passband.learning.heads.votes import targets, votes
from passband.learning.learner import Learner

CPU = torch.device("cpu")
BATCH = 8
PIXEL_NM = 0.05
CONDITION = Condition(25, 1.2, 12, 400)


def fields(number: int, px: int) -> torch.Tensor:
    """Return labels of discs on both faces, some of which overlap, (number, 2, px, px) uint8."""
    rng = np.random.default_rng(2512)
    y, x = np.indices((px, px))
    found = np.zeros((number, 2, px, px), np.uint8)
    for labels in found.reshape(-1, px, px):
        for particle in range(1, 5):
            row, column = rng.random(2) * px
            labels[np.hypot(y - row, x - column) < rng.uniform(0.08, 0.18) * px] = particle
    return torch.from_numpy(found)


def steps(table: Table, name: str, px: int, rounds: int) -> None:
    """Compare optimizer steps of a network with the head with those without."""
    images = torch.randn(1, BATCH, 1, px, px)
    instances = fields(BATCH, px)[None]
    masks = (instances.amax(2, keepdim=True) > 0).float()
    for precision in ("auto", "float32"):
        settings = Training(precision=precision)
        plain, headed = (
            Learner(each, {0: 1}, settings, 10**6, CPU) for each in (name, f"{name}+votes")
        )
        without, with_head = side_by_side(
            rounds,
            lambda plain=plain: plain.step(images, masks),
            lambda headed=headed: headed.step(images, masks, instances),
            clock=time.process_time,
        )
        what = f"{name} on {BATCH} images of {px}² in {plain.precision}"
        table.row(f"step with votes / without, {what}", 1.2, with_head / without)
        table.row("    the step without [ms]", None, 1e3 * without)


def decoding(table: Table, name: str, px: int, rounds: int) -> None:
    """Measure targets and decoder for a field, and compare the decoder with the network."""
    labels = fields(1, px)[0]
    wanted, _ = targets(labels)
    mask = torch.where(labels.amax(0, keepdim=True) > 0, 5.0, -5.0)
    logits = torch.cat([mask, wanted]).numpy()
    network = networks.build(f"{name}+votes").eval()
    image = torch.randn(1, 1, px, px)

    @torch.inference_mode()
    def predict():
        network(image)

    made, decoded, predicted = side_by_side(
        rounds,
        lambda: targets(labels),
        lambda: votes().decode(logits, PIXEL_NM),
        predict,
        clock=time.process_time,
    )
    table.row(f"decoder / network {name} on a field of {px}²", 1.0, decoded / predicted)
    table.row("    the decoder [ms]", None, 1e3 * decoded)
    table.row("    targets of the field [ms]", None, 1e3 * made)


def known(network: torch.nn.Module, outputs: torch.Tensor) -> torch.nn.Module:
    """Return a network that takes its time, and has these outputs, (images, channels, px, px).

    A network that has learned nothing finds no particles, and decoding takes the longer the more
    there are.
    """
    network.register_forward_hook(lambda *_: outputs)
    return network


def share(table: Table, name: str, px: int, rounds: int) -> None:
    """Compare the evaluation of a network with the head with the same one of its mask alone."""
    microscope = Microscope(field_px=px, pixel_size_A=10 * PIXEL_NM)
    camera = Acquisition.from_microscope(microscope, "zscore", CPU)
    labels = fields(BATCH, px)
    side = camera.imager.sampling.cropped
    random = torch.Generator().manual_seed(0)
    spectra = torch.randn((BATCH, 1, side, side), dtype=torch.complex64, generator=random) / px
    spectra[:, :, side // 2, side // 2] = 1
    masks = (labels.amax(1, keepdim=True) > 0).float()
    structures = Structures(0, "gold", "test", microscope)
    split = Split(structures, np.arange(BATCH), spectra, masks, instances=labels.numpy())
    loaded = {"gold": LoadedStructures(structures, {"": split})}
    wanted = torch.stack([targets(each)[0] for each in labels])
    outputs = torch.cat([torch.where(masks > 0, 5.0, -5.0), wanted], 1)
    precision = backend.precision(Training(), f"{name}+votes", CPU)
    network = known(networks.build(f"{name}+votes"), outputs)

    def evaluate(head):
        conditions = [CONDITION]
        return lambda: evaluation.evaluate(
            {0: network}, camera, loaded, conditions, BATCH, precision, head=head
        )

    without, whole = side_by_side(
        rounds, evaluate(None), evaluate(votes()), clock=time.process_time
    )
    what = f"{name} on {BATCH} fields of {px}² in {precision}"
    table.row(f"particles / whole evaluation, {what}", 0.5, 1 - without / whole)
    table.row("    a field [ms]", None, 1e3 * whole / BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images and few rounds")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    running.keep_memory()  # as every job does
    table = Table()
    name = "compact-w8-d2" if quick else "compact-w8-d4"
    rounds = 2 if quick else 20
    steps(table, name, 32 if quick else 128, rounds)
    decoding(table, name, 64 if quick else 192, rounds)
    for each in [name] if quick else ["compact-w8-d3", name]:
        share(table, each, 64 if quick else 128, rounds)


if __name__ == "__main__":
    main()
