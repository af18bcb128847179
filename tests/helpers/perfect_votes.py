"""Networks with the head of votes that see drawn particles perfectly, and their images."""

import json
from dataclasses import replace

import numpy as np
import torch
from discs import discs
from synthetic import weights_metadata
from thresholds import CONDITION, threshold_weights

from passband.imaging.noise import normalise
from passband.learning import networks
from passband.learning.heads.votes import SCALE_PX, targets
from passband.learning.network_files import open_networks
from passband.storage import weights as files

NAME = "compact-w1-d1+votes"


class Perfect(torch.nn.Module):
    """Returns the targets of labels for an image and its mirror images, whatever its pixels.

    Attributes:
        error: What is added to the further outputs, (3, 1, 1).
    """

    def __init__(self, labels, image, error=(0, 0, 0)):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.labels = labels
        self.image = normalise(torch.from_numpy(image)[None], "zscore", 1.0)[0]
        self.error = torch.tensor(error, dtype=torch.float32)[:, None, None]

    def forward(self, x):
        axes = max(
            ((), (0,), (1,), (0, 1)),
            key=lambda axes: float((self.image.flip(axes) * x[0, 0]).sum()),
        )
        labels = self.labels.flip([1 + axis for axis in axes])
        logit = torch.where(labels.amax(0, keepdim=True) > 0, 9.0, -9.0)
        further = targets(labels)[0] + self.error
        return torch.cat([logit, further])[None]


def labels_of(shape, *faces):
    """Return the labels of discs on the faces, (2, height, width) uint8."""
    found = np.zeros((2, *shape), np.uint8)
    for face, many in zip(found, faces, strict=False):
        for number, disc in enumerate(many, 1):
            face[discs(shape, disc)] = number
    return torch.from_numpy(found)


def image_of(labels, seed=0):
    """Return counts: more in particles, with little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.3, labels.shape[1:])
    return (10 + 10 * labels.amax(0).bool().numpy() + noise).astype(np.float32)


def save_votes(path, diameter_px, pixel_size_A=0.3, replicas=(0,)):
    """Write a weights file of networks that find bright pixels, which vote for themselves.

    Args:
        diameter_px: What all pixels say of the diameter of their particle.
    """
    configuration = {"microscope": {"pixel_size_A": pixel_size_A, "field_px": 64}}
    metadata = weights_metadata(
        replicas,
        architecture=NAME,
        condition=CONDITION,
        provenance={"configuration": json.dumps(configuration)},
    )
    state = networks.build(NAME).state_dict() | threshold_weights(0.5)
    state["further.last.2.weight"].zero_()
    state["further.last.2.bias"][:] = torch.tensor([0, 0, np.log(diameter_px / SCALE_PX)])
    files.save(dict.fromkeys(replicas, state), path, metadata)
    return path


def open_perfect(path, labels, image, pixel_size_A=0.5, errors=((0, 0, 0),)):
    """Write a weights file, and return its networks: one for each error of its outputs."""
    save_votes(path, 1, pixel_size_A, range(len(errors)))
    return [
        replace(each, module=Perfect(labels, image, error))
        for each, error in zip(open_networks(path), errors, strict=True)
    ]
