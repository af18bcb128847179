"""Fine-tunes a network on a few labelled images, with steps that are fixed beforehand.

There is no validation: pieces of an image that the network has seen say nothing about other images,
and few images are too precious to be left out of the only training.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from passband.imaging.square_symmetry import turn
from passband.learning import devices, schedules
from passband.learning.loss_of_study import LossOfStudy
from passband.learning.network_files import Network
from passband.seeds import generator

#: Number of crops in a step, and the largest side of a crop [pixels of the network].
CROPS = 8
CROP_PX = 128


@dataclass(frozen=True)
class Schedule:
    """How long a network is tuned, and how fast.

    The defaults were chosen on simulated microscopes, see findings/tune.

    Attributes:
        rate: The learning rate of the first step. It falls to 0 along half a cosine.
    """

    steps: int = 60
    rate: float = 3e-4

    def rate_of(self, step: int) -> float:
        """Return the learning rate of a step; the first has the number 0."""
        return self.rate / 2 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class Example:
    """A labelled image as a network sees it.

    Attributes:
        image: (height, width) float32, normalised, with the network's pixels.
        labels: (height, width) int, 0 in the background, and above 0 in particles.
        is_numbered: Whether each particle has a number of its own.
    """

    image: np.ndarray
    labels: np.ndarray
    is_numbered: bool = False


def needs_numbers(network: Network) -> bool:
    """Return whether the loss of a network's training needs a number for each particle."""
    return "instances" in LossOfStudy(network.study.training).targets


def tuned(
    network: Network,
    examples: Sequence[Example],
    schedule: Schedule,
    names: Sequence[str | int],
    step: Callable[[], object] = lambda: None,
) -> nn.Module:
    """Return a network after its training went on with labelled images.

    The loss is that of its training, without that of a head if particles have no numbers; the
    optimizer is Adam. Each step has :data:`CROPS` crops at random places of random images, each
    turned or mirrored at random. Batch normalisation keeps the statistics of the first training:
    those of a few crops would depend on the crops.

    Args:
        names: What the random numbers depend on. The same names, examples, processor and number of
            threads give the same bits.
        step: Is called after each step.

    Returns:
        A copy of `network.module`, on the CPU and in evaluation mode.
    """
    random = generator(*names, "tune")
    device = devices.device()
    precision = devices.precision("auto", device)
    if precision == "float16":  # whose small gradients would be 0
        precision = "float32"
    layout = devices.layout(precision, device)
    # In evaluation mode, batch normalisation neither uses nor changes the statistics of a batch.
    module = copy.deepcopy(network.module).eval().to(device)
    module = module.to(memory_format=layout)
    head = network.architecture.head
    with_head = head is not None and all(example.is_numbered for example in examples)
    loss = LossOfStudy(network.study.training, head if with_head else None)
    needs_instances = with_head or "instances" in loss.targets
    optimizer = torch.optim.Adam(module.parameters(), lr=schedule.rate)
    side = _side(network, examples)
    for number in range(schedule.steps):
        schedules.set_rate(optimizer, schedule.rate_of(number), None)
        images, labels = _batch(examples, side, random)
        images = images.to(device).contiguous(memory_format=layout)
        masks = (labels > 0).float().to(device)
        instances = _instances(labels).to(device) if needs_instances else None
        optimizer.zero_grad()
        with devices.autocast(precision, device):
            logits = module(images)[None]  # the first axis is that of networks
        if head and not with_head:
            logits = logits[:, :, :1]
        loss(logits, masks, instances).sum().backward()
        optimizer.step()
        step()
    return module.to("cpu").to(memory_format=torch.contiguous_format)


def _side(network: Network, examples: Sequence[Example]) -> int:
    """Return the side of crops, which all images have and the network allows [pixels]."""
    most = min(CROP_PX, *(n for example in examples for n in example.image.shape))
    return max(most // network.divisor * network.divisor, network.smallest_px)


def _batch(
    examples: Sequence[Example], side: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return crops of images and labels, (CROPS, 1, side, side) float32 and int64."""
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for which in random.integers(len(examples), size=CROPS):
        example = examples[which]
        corner = (random.integers(n - side + 1) for n in example.image.shape)
        place = tuple(slice(first, first + side) for first in corner)
        how = int(random.integers(8))
        images.append(turn(torch.from_numpy(example.image[place]), how))
        labels.append(turn(torch.from_numpy(example.labels[place].astype(np.int64)), how))
    return torch.stack(images)[:, None], torch.stack(labels)[:, None]


def _instances(labels: Tensor) -> Tensor:
    """Return the numbers of particles as losses get them: (N, 2, side, side) uint8.

    A labelled image has one face. In each crop, particles are numbered from 1 on.
    """
    result = torch.zeros(len(labels), 2, *labels.shape[-2:], dtype=torch.uint8)
    for crop, numbers in zip(result, labels, strict=True):
        found, places = torch.unique(numbers, return_inverse=True)
        crop[0] = (places + int(found[0] > 0)).reshape(crop[0].shape).byte()
    return result
