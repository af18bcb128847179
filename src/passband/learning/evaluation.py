"""Tests of a job's networks under all test conditions.

The result is the numbers of correctly and wrongly predicted pixels in every image, and for networks
with a head those of particles.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.compiled import compiled
from passband.imaging.structures import LoadedStructures, Split
from passband.learning import backend, devices, instance_counts
from passband.learning.heads.found import Head
from passband.learning.instance_counts import Truth
from passband.learning.memory import SHARED_BYTES
from passband.mixtures import Mixture
from passband.particle_scores import NO_NUMBER, NUMBERS, TRUTHS
from passband.scores import OUTCOMES, dice
from passband.storage.records import CELL, DEVICES
from passband.units import A_PER_NM


def confusion(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the numbers of true positives, false positives and false negatives in every image.

    Args:
        logits: (N, 1, H, W), a network's output. If the logit of a pixel is above 0, the pixel is
            predicted to be in a particle.
        masks: (N, 1, H, W), the ground truth, bool or 0 and 1.

    Returns:
        (N, 3) int64, numbers of pixels, in the order of :data:`passband.scores.OUTCOMES`.
    """
    if logits.device.type == "cpu":
        true = masks if masks.dtype == torch.bool else masks > 0
        arrays = (x.flatten(1).contiguous().numpy() for x in (logits.float(), true))
        counts = np.zeros((len(logits), len(OUTCOMES)), np.int64)
        compiled(_count, "(f4[:,::1], b1[:,::1], i8[:,::1])")(*arrays, counts)
        return torch.from_numpy(counts)
    predicted, true = ((x > 0).flatten(1) for x in (logits, masks))
    hits, predicted, true = (torch.count_nonzero(x, 1) for x in (predicted & true, predicted, true))
    return torch.stack([hits, predicted - hits, true - hits], dim=-1)


def _count(logits, masks, counts):
    """Count the true positives, false positives and false negatives of every image."""
    images, pixels = logits.shape
    for i in range(images):
        hits = predicted = true = 0
        for j in range(pixels):
            hits += (logits[i, j] > 0) & masks[i, j]
            predicted += logits[i, j] > 0
            true += masks[i, j]
        counts[i, 0], counts[i, 1], counts[i, 2] = hits, predicted - hits, true - hits


class SharedImages:
    """Normalised test images of a job, which the networks of all training conditions share.

    The first images that are formed are kept, and the others are formed again each time. So if the
    images of all test conditions do not fit into the limit, those that fit are used by the networks
    of every training condition. The images that are kept have at most `limit` bytes.
    """

    def __init__(self, limit: int = SHARED_BYTES):
        self._kept: dict[tuple, list[Tensor]] = {}
        self._bytes_left = limit

    def batches(
        self, acquisition: Acquisition, split: Split, under: Condition | Mixture, batch_size: int
    ) -> Iterator[Tensor]:
        """Yield the images of a split in batches: (n, 1, px, px) float32.

        Args:
            acquisition: Forms the images. All calls have the same microscope.
            split: The structures. All calls have the same structures of a specimen.
        """
        key = acquisition.normalisation, split.structures.names, under.id, batch_size
        if key in self._kept:
            yield from self._kept[key]
            return
        size = len(split) * acquisition.imager.image.px**2 * 4
        keeps, made = size <= self._bytes_left, []
        for batch in mixture_images.batches(acquisition, split, under, batch_size):
            images = batch[:, None]
            if keeps:
                made.append(images)
            yield images
        if keeps:
            self._kept[key] = made
            self._bytes_left -= size


@torch.inference_mode()
def _outputs(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    with devices.autocast(precision, images.device):
        return network(images)


def predict(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Return a network's float32 logits of (N, 1, H, W) images; a copy of it predicts."""
    precision = devices.precision(precision, images.device)
    layout = devices.layout(precision, images.device)
    copied = devices.ready(copy.deepcopy(network), precision, images.device)
    outputs = _outputs(copied, images.contiguous(memory_format=layout), precision)
    return outputs[:, :1].float()


def examples(
    network: nn.Module,
    acquisition: Acquisition,
    structures: LoadedStructures,
    conditions: Sequence[Condition],
    precision: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return images, a network's predictions and its scores, by the id of the imaging condition.

    Returns:
        Counts [electrons per pixel], each (structure, x, y).
        Whether each pixel is predicted to be in a particle, (structure, x, y) bool.
        Dice score of each image, (structure,).
    """
    images, predictions, scores = {}, {}, {}
    for condition in conditions:
        split = structures.under(condition)
        counts = torch.cat(list(acquisition.counts(split, condition)))
        normalised = acquisition.normalised(counts, condition)
        logits = predict(network, normalised[:, None], precision)
        images[condition.id] = counts.cpu().numpy()
        predictions[condition.id] = (logits > 0)[:, 0].cpu().numpy()
        scores[condition.id] = dice(confusion(logits, split.masks).cpu().numpy())
    return images, predictions, scores


def evaluate(
    replicas: Mapping[int, nn.Module],
    acquisition: Acquisition,
    structures: Mapping[str, LoadedStructures],
    conditions: Sequence[Condition | Mixture],
    batch_size: int,
    precision: str = "auto",
    wanted: np.ndarray | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    shared: SharedImages | None = None,
    head: Head | None = None,
) -> xr.Dataset:
    """Test networks on every test specimen under every test condition.

    Each batch of images is formed once for all networks.

    Args:
        replicas: Networks by replica number. The networks are moved to the acquisition's device,
            into the device's fast layout, and stay in evaluation mode.
        acquisition: Forms the images. The acquisition must have the normalisation with which the
            networks were trained.
        structures: Test structures by specimen. All specimens have the same number of them.
        conditions: Test conditions. Under a mixture, each image has its own condition.
        precision: See :func:`passband.learning.devices.precision`.
        wanted: Which results are computed, (test_specimen, test) bool; the others are 0. By
            default, all are.
        shared: The images of other networks of the job. By default, all images are formed.
        head: What finds particles in the outputs of the networks. The structures then have their
            instances.

    Returns:
        `counts` (replica, test_specimen, test, structure, outcome) uint32: numbers of pixels. The
        coordinate `test` has the ids of the test conditions. The coordinate `outcome` has tp, fp
        and fn: true positives, false positives and false negatives. The attribute `devices` has
        the kind of device. With a head also `particles` (replica, test_specimen, test, structure,
        truth, number) uint32, see :mod:`passband.particle_scores`.
    """
    ids = [condition.id for condition in conditions]
    record = _empty(list(replicas), structures, ids, with_particles=head is not None)
    if wanted is None:
        wanted = np.ones((len(structures), len(conditions)), bool)
    device = acquisition.imager.device
    precision = devices.precision(precision, device)
    layout = devices.layout(precision, device)
    networks = list(replicas.values())
    logits_of = backend.predictor(networks, precision, device)
    if logits_of is None:
        networks = [devices.ready(network, precision, device) for network in networks]
    shared = shared or SharedImages(limit=0)
    loaded = list(structures.values())
    pixel_nm = acquisition.imager.image.pixel_A / A_PER_NM
    known: Split | None = None
    truths: list[dict[str, Truth]] = []
    for s, k in progress(np.argwhere(wanted).tolist()):
        split = loaded[s].under(conditions[k])
        if head and split is not known:  # conditions with the same exit waves follow each other
            known = split
            truths = [Truth.of(each, pixel_nm) for each in split.instances]
        start = 0
        outcomes = []
        for images in shared.batches(acquisition, split, conditions[k], batch_size):
            images = images.contiguous(memory_format=layout)
            masks = split.truth[start : start + len(images)]
            if logits_of:
                outputs = logits_of(images)
            else:
                outputs = [_outputs(network, images, precision) for network in networks]
            outcomes.append(torch.stack([confusion(each[:, :1], masks) for each in outputs]))
            if head:
                places = slice(start, start + len(images))
                found = [_particles(each, head, truths[places], pixel_nm) for each in outputs]
                record.particles.values[:, s, k, places] = found
            start += len(images)
        # Each copy from the GPU waits for the GPU, so that there are only few copies for each test
        # condition.
        record.counts.values[:, s, k] = torch.cat(outcomes, dim=1).cpu().numpy()
    return record.assign_attrs({DEVICES: json.dumps([devices.describe(device)])})


def _particles(
    outputs: Tensor, head: Head, truths: Sequence[Mapping[str, Truth]], pixel_nm: float
) -> np.ndarray:
    """Return the numbers of particles of a network's images, (images, truth, number) int64.

    Args:
        outputs: (images, 1 + outputs of the head, px, px).
    """
    numbers = []
    for logits, of_image in zip(outputs.float().cpu().numpy(), truths, strict=True):
        found = head.decode(logits, pixel_nm)
        numbers.append(instance_counts.count(of_image, found.labels, found.diameters_nm))
    return np.stack(numbers)


def _empty(
    replicas: Sequence[int],
    structures: Mapping[str, Sized],
    ids: Sequence[str],
    with_particles: bool = False,
) -> xr.Dataset:
    """Return a record without results."""
    number = len(next(iter(structures.values())))
    shape = len(replicas), len(structures), len(ids), number, len(OUTCOMES)
    record = xr.Dataset(
        {
            "counts": (
                (*CELL, "structure", "outcome"),
                np.zeros(shape, dtype=np.uint32),
                {"units": "pixels", "long_name": "pixels by outcome"},
            )
        },
        coords={
            "replica": list(replicas),
            "test_specimen": list(structures),
            "test": list(ids),
            "outcome": list(OUTCOMES),
        },
    )
    if with_particles:
        record["particles"] = (
            (*CELL, "structure", "truth", "number"),
            np.zeros((*shape[:-1], len(TRUTHS), len(NUMBERS)), np.uint32),
            {"units": "1", "long_name": "particles by outcome", "missing": NO_NUMBER},
        )
        record = record.assign_coords(truth=list(TRUTHS), number=list(NUMBERS))
    return record
