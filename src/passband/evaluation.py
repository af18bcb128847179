"""Every network of a job on every test condition, as counts of pixels per image."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from passband import devices
from passband.examples import Camera, Split
from passband.grid import Condition
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
    precision = devices.precision(precision, images.device)
    layout = devices.layout(precision, images.device)
    network = network.to(images.device, memory_format=layout).eval()
    with devices.autocast(precision, images.device):
        return network(images.contiguous(memory_format=layout)).float()


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
        A record of the same networks, and of the same structures in the test specimens it has. Its
        cells are taken over, and only those it lacks are computed.
    progress : callable
        Wraps the list of cells to compute, to draw a progress bar.

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
    missing = []
    for s, specimen in enumerate(splits):
        have = known is not None and specimen in known.test_specimen.values
        have = set(known.test.values) if have else set()
        for k, id in enumerate(ids):
            if id in have:
                cell = known.counts.sel(replica=list(replicas), test_specimen=specimen, test=id)
                counts[:, s, k] = cell.values
            else:
                missing.append((s, specimen, k))
    for s, specimen, k in progress(missing):
        split, start = splits[specimen], 0
        for batch in camera.counts(split, conditions[k], chunk=batch_size):
            images = camera.seen(batch, conditions[k])
            stop = start + len(batch)
            for r, network in enumerate(replicas.values()):
                logits = predict(network, images[:, None], precision)
                counts[r, s, k, start:stop] = confusion(logits, split.masks[start:stop]).cpu()
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
