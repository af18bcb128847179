"""Every network of a job on every test condition, as counts of pixels per image."""

import copy
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
        The truth, bool or 0 and 1.

    Returns
    -------
    (N, 3) int64 tensor
        In the order of :data:`passband.scores.OUTCOMES`.
    """
    found, true = ((x > 0).flatten(1) for x in (logits, masks))
    hits, found, true = (torch.count_nonzero(x, 1) for x in (found & true, found, true))
    return torch.stack([hits, found - hits, true - hits], dim=-1)


def ready(network: nn.Module, precision: str, device: torch.device) -> nn.Module:
    """Return the network itself, moved, laid out and in evaluation mode."""
    return network.to(device, memory_format=devices.layout(precision, device)).eval()


@torch.inference_mode()
def _logits(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    with devices.autocast(precision, images.device):
        return network(images)


def predict(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Return a network's logits, (N, 1, H, W) float32, of images of the same shape.

    The network stays as it is: a copy of it predicts.
    """
    precision = devices.precision(precision, images.device)
    layout = devices.layout(precision, images.device)
    copied = ready(copy.deepcopy(network), precision, images.device)
    return _logits(copied, images.contiguous(memory_format=layout), precision).float()


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
        Networks by replica number; they are moved to the camera's device, laid out as is fast
        there, and left in evaluation mode.
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
    device = camera.imager.device
    precision = devices.precision(precision, device)
    layout = devices.layout(precision, device)
    networks = [ready(network, precision, device) for network in replicas.values()]
    truth = {specimen: split.masks > 0.5 for specimen, split in splits.items()}
    for s, specimen, k in progress(missing):
        split, start, found = splits[specimen], 0, []
        for batch in camera.counts(split, conditions[k], chunk=batch_size):
            images = camera.seen(batch, conditions[k])[:, None].contiguous(memory_format=layout)
            masks = truth[specimen][start : start + len(batch)]
            of_each = [confusion(_logits(n, images, precision), masks) for n in networks]
            found.append(torch.stack(of_each))
            start += len(batch)
        # A GPU is asked for its counts once a cell, since every answer is waited for.
        counts[:, s, k] = torch.cat(found, dim=1).cpu().numpy()
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
