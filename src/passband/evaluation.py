"""Every network of a job on every test condition, as counts of pixels per image."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from passband import devices
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.imaging import normalise
from passband.scores import OUTCOMES


def confusion(logits: Tensor, masks: Tensor) -> Tensor:
    """Return true positives, false positives and false negatives of every image.

    Parameters
    ----------
    logits : (N, 1, H, W) tensor
        A network's output; a pixel is taken for particle where it is above 0.
    masks : (N, 1, H, W) tensor
        The truth, 0 or 1.

    Returns
    -------
    (N, 3) int64 tensor
        In the order of :data:`passband.scores.OUTCOMES`.
    """
    found, true = logits > 0, masks > 0.5
    return torch.stack(
        [o.sum((1, 2, 3)) for o in (found & true, found & ~true, ~found & true)], dim=-1
    )


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Return a network's logits, (N, 1, H, W) float32, for images of the same shape."""
    bfloat16 = devices.precision(precision, images.device) == "bfloat16"
    network = network.to(images.device).eval()
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        return network(images).float()


def evaluate(
    replicas: Mapping[int, nn.Module],
    camera: Camera,
    splits: Mapping[str, Split],
    conditions: Sequence[Condition],
    batch_size: int,
    precision: str = "auto",
    known: xr.Dataset | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Test networks on every condition and test specimen.

    Each batch of images is formed once for all networks.

    Parameters
    ----------
    replicas : mapping of int to Module
        Networks by replica number.
    camera : Camera
        Takes the images; its normalisation must be the one the networks were trained with.
    splits : mapping of str to Split
        Test structures by specimen; all of one number.
    conditions : sequence of Condition
        Test conditions.
    batch_size : int
        Images in a forward pass.
    precision : str
        See :func:`passband.devices.precision`.
    known : Dataset, optional
        A record of the same networks and structures. Its cells are taken over, and only conditions
        it lacks are computed.
    progress : callable
        Wraps the iterable of conditions, to draw a progress bar.

    Returns
    -------
    Dataset
        `counts` (replica, test_specimen, test, structure, outcome) uint32, pixels; coordinates
        `test` are condition ids, `outcome` tp, fp, fn.
    """
    structures = len(next(iter(splits.values())))
    ids = [condition.id for condition in conditions]
    counts = np.zeros(
        (len(replicas), len(splits), len(ids), structures, len(OUTCOMES)), dtype=np.uint32
    )
    missing = list(range(len(ids)))
    if known is not None:
        known = known.sel(replica=list(replicas), test_specimen=list(splits))
        place = {id: k for k, id in enumerate(known.test.values)}
        missing = [k for k, id in enumerate(ids) if id not in place]
        for k, id in enumerate(ids):
            if id in place:
                counts[:, :, k] = known.counts.values[:, :, place[id]]
    for k in progress(missing):
        for s, split in enumerate(splits.values()):
            start = 0
            for batch in camera.counts(split, conditions[k], chunk=batch_size):
                images = normalise(batch, camera.normalisation, camera.electrons(conditions[k]))
                stop = start + len(batch)
                for r, network in enumerate(replicas.values()):
                    logits = predict(network, images[:, None], precision)
                    outcome = confusion(logits, split.masks[start:stop])
                    counts[r, s, k, start:stop] = outcome.cpu().numpy()
                start = stop
    return xr.Dataset(
        {
            "counts": (
                ("replica", "test_specimen", "test", "structure", "outcome"),
                counts,
                {"units": "pixels", "long_name": "pixels by outcome"},
            )
        },
        coords={
            "replica": list(replicas),
            "test_specimen": list(splits),
            "test": ids,
            "outcome": list(OUTCOMES),
        },
    )
