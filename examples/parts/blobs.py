"""A head that marks the centre of each particle by a blob."""

import numpy as np
import torch
from scipy import ndimage

from passband.learning.heads.found import Found
from passband.parts import head

#: The standard deviation of a blob, compared with the diameter of its particle.
WIDTH = 0.15
#: The lowest top of a blob that is a particle.
LEAST = 0.3


@head(outputs=1)
class blobs:  # noqa: N801, the name of the part
    """One output, a Gaussian around the centre of each particle, with the height 1."""

    def loss(self, further, instances):
        """The mean square error: further is (network, image, 1, y, x)."""
        labels = instances.cpu().numpy()
        wanted = torch.tensor(np.array([[_blobs(image) for image in each] for each in labels]))
        return (further[:, :, 0] - wanted.to(further)).square().mean((1, 2, 3))

    def decode(self, logits, pixel_nm):
        """The pixels of the mask are those of the nearest centre: logits are (2, y, x)."""
        mask = logits[0] > 0
        blob = ndimage.gaussian_filter(logits[1], 2)
        is_top = (blob == ndimage.maximum_filter(blob, 9)) & (blob > LEAST) & mask
        tops, number = ndimage.label(is_top, np.ones((3, 3)))
        nearest = ndimage.distance_transform_edt(tops == 0, return_indices=True)[1]
        labels = np.where(mask, tops[tuple(nearest)], 0).astype(np.int32)
        areas = np.bincount(labels.ravel(), minlength=number + 1)[1:]
        heights = ndimage.maximum(blob, labels, np.arange(1, number + 1))
        return Found(labels, 2 * np.sqrt(areas / np.pi) * pixel_nm, np.clip(heights, 0, 1))


def _blobs(instances):
    """The output for an image whose labels on both faces are (2, y, x)."""
    y, x = np.indices(instances.shape[1:])
    found = np.zeros(instances.shape[1:], np.float32)
    for face in instances:
        for number in np.unique(face[face > 0]):
            pieces, many = ndimage.label(face == number)  # several, if the edge cuts it
            for piece in range(1, many + 1):
                rows, columns = np.nonzero(pieces == piece)
                width = WIDTH * 2 * np.sqrt(len(rows) / np.pi)
                squares = (y - rows.mean()) ** 2 + (x - columns.mean()) ** 2
                found = np.maximum(found, np.exp(-squares / (2 * width**2)))
    return found
