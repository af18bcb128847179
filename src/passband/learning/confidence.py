"""Sums over an image's pixels that describe how sure a network is, without a ground truth.

From these sums, the quality of a prediction can be estimated for images without labels. `p` is the
probability that a pixel is in a particle, and a pixel is predicted to be in a particle if p > ½.

=========================  ====================================================================
sum                        over all pixels of an image
=========================  ====================================================================
``p``                      p: the expected number of particle pixels
``p2``                     p²
``p_predicted``            p in the pixels that are predicted to be in a particle, otherwise 0: the
                           expected number of true positives, if the probabilities are right
``p_max``                  max(p, 1 − p): the expected number of correct pixels
``entropy``                −p ln p − (1 − p) ln(1 − p), the entropy of p [nat]
=========================  ====================================================================

Two replicas r and s of a job agree if the sums of pᵣpₛ and of ŷᵣŷₛ are large, where ŷ is 1 in the
pixels that are predicted to be in a particle, and otherwise 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from passband.imaging.compiled import compiled
from passband.scores import BINS, PRODUCTS, STATISTICS, pairs

#: The value of a histogram's bin that has all pixels. The bins are stored as 16-bit integers.
ALL_PIXELS = 2**16 - 1

# The logits of the limits between two bins, in float32.
_LIMITS = tuple(np.float32(math.log(k / (BINS - k))) for k in range(1, BINS))
#: Number of pixels of each network that are processed at a time, on a CPU and on a GPU.
CPU_PIXELS, _GPU_PIXELS = 2**18, 2**26
# Number of pixels that are added in float32 before the sum is added to a float64 sum.
_ADDED_TOGETHER = 4096


@dataclass(frozen=True)
class Confidence:
    """The sums of R networks' predictions for N images.

    Attributes:
        sums: (R, N, 5) float32, the sums in the order of :data:`passband.scores.STATISTICS`.
        histogram: (R, N, 8) int64, number of pixels with p in each of the bins [0, ⅛), [⅛, ¼), …,
            [⅞, 1].
        products: (R(R − 1)/2, N, 2) float32, the sums of pᵣpₛ and of ŷᵣŷₛ, in the order of
            :func:`passband.scores.pairs` and of :data:`passband.scores.PRODUCTS`.
    """

    sums: Tensor
    histogram: Tensor
    products: Tensor


def confidence(logits: Sequence[Tensor]) -> Confidence:
    """Return the sums of the predictions of a job's networks for the same images.

    Few images are processed at a time, so that their probabilities stay in the processor's cache.

    Args:
        logits: (R, N, 1, H, W), or sequence of R (N, 1, H, W), the output of each network. Logits
            of a lower precision are first converted to float32.
    """
    networks, images, pixels = len(logits), len(logits[0]), logits[0][0].numel()
    on_cpu = logits[0].device.type == "cpu"
    number = max(1, (CPU_PIXELS if on_cpu else _GPU_PIXELS) // pixels)
    first, second = np.triu_indices(networks, 1)
    sums, histogram, products = [], [], []
    for start in range(0, images, number):
        part = [each[start : start + number] for each in logits]
        part = torch.stack([each.flatten(1).float() for each in part])
        # The probabilities of all networks, and 1 in the pixels that are predicted.
        both = torch.empty((2, *part.shape), device=part.device)
        terms, above = (_on_cpu if on_cpu else _on_gpu)(part.flatten(0, 1), *both.flatten(1, 2))
        sums.append(terms.unflatten(0, (networks, -1)))
        ends = above.new_full((len(above), 1), pixels), above.new_zeros((len(above), 1))
        counts = -torch.diff(above, dim=-1, prepend=ends[0], append=ends[1])
        histogram.append(counts.unflatten(0, (networks, -1)))
        if networks > 1:
            # (N, R, pixels) times its transpose: for each image, the products of all pairs.
            by_image = both.transpose(1, 2)
            pairwise = torch.stack([torch.bmm(each, each.mT) for each in by_image], -1)
            products.append(pairwise[:, first, second].transpose(0, 1))
    empty = sums[0].new_empty((0, images, len(PRODUCTS)))
    return Confidence(
        torch.cat(sums, 1),
        torch.cat(histogram, 1),
        torch.cat(products, 1) if products else empty,
    )


def fractions(histogram: np.ndarray) -> np.ndarray:
    """Return the parts of all pixels in each of (..., 8) bins, in units of 1/65535."""
    parts = histogram / histogram.sum(-1, keepdims=True)
    return np.round(parts * ALL_PIXELS).astype(np.uint16)


def missing(
    replicas: Sequence[int], specimens: int, conditions: int, structures: int
) -> xr.Dataset:
    """Return the variables of a record for these sums, in which all values are missing.

    Missing sums are NaN. In a missing histogram, all bins are 0.

    Returns:
        `confidence` (replica, test_specimen, test, structure, statistic) float32: the sums over the
        pixels of each image. `histogram` (replica, test_specimen, test, bin) uint16: the part of
        the pixels of all images of a cell with p in each bin, see :func:`fractions`. For several
        replicas, `agreement` (pair, test_specimen, test, structure, product) float32: the sums of
        products of two replicas. The names along the new dimensions are in attributes, since each
        coordinate would be a further array, and the time to read a record grows with the number of
        its arrays. The order of the pairs is that of :func:`passband.scores.pairs`.
    """
    cell = specimens, conditions
    couples = pairs(replicas)
    variables = {
        "confidence": (
            ("replica", "test_specimen", "test", "structure", "statistic"),
            np.full((len(replicas), *cell, structures, len(STATISTICS)), np.nan, np.float32),
            {
                "units": "pixels",
                "long_name": "sums over pixels of terms of the probability p",
                "statistic": " ".join(STATISTICS),
            },
        ),
        "histogram": (
            ("replica", "test_specimen", "test", "bin"),
            np.zeros((len(replicas), *cell, BINS), np.uint16),
            {"units": "1/65535", "long_name": "part of the pixels with p in a bin; 0: missing"},
        ),
    }
    if couples:
        variables["agreement"] = (
            ("pair", "test_specimen", "test", "structure", "product"),
            np.full((len(couples), *cell, structures, len(PRODUCTS)), np.nan, np.float32),
            {
                "units": "pixels",
                "long_name": "sums over pixels of products of two replicas",
                "product": " ".join(PRODUCTS),
                "pair": " ".join(f"{first}-{second}" for first, second in couples),
            },
        )
    return xr.Dataset(variables)


def write(arrays: Mapping[str, np.ndarray], s: int, k: int, parts: Sequence[Confidence]) -> None:
    """Write the sums of the test specimen `s` under the test condition `k` to a record's arrays."""
    arrays["confidence"][:, s, k] = torch.cat([part.sums for part in parts], 1).cpu()
    histogram = torch.stack([part.histogram.sum(1) for part in parts]).sum(0)
    arrays["histogram"][:, s, k] = fractions(histogram.cpu().numpy())
    if "agreement" in arrays:
        products = torch.cat([part.products for part in parts], 1)
        arrays["agreement"][:, s, k] = products.cpu()


def same_pairs(known: xr.Dataset, record: xr.Dataset) -> list[int]:
    """Return for each pair of replicas of a record its index in an earlier record."""

    places = {pair: place for place, pair in enumerate(pairs(known.replica.values.tolist()))}
    return [places[pair] for pair in pairs(record.replica.values.tolist())]


def _on_gpu(logits: Tensor, probability: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums, (N, 5), and the numbers of pixels above each limit between bins, (N, 7).

    The probability of each pixel, and 1 if the pixel is predicted, are written to the two other
    arguments of the shape (N, pixels).
    """
    decay = torch.exp(-logits.abs())  # at most 1, for positive and negative logits
    larger = 1 / (1 + decay)
    positive = logits > 0
    p = torch.where(positive, larger, decay * larger)
    probability.copy_(p)
    predicted.copy_(positive)
    entropy = torch.log1p(decay) + logits.abs() * decay * larger
    terms = (p, p * p, p * predicted, larger, entropy)
    above = [torch.count_nonzero(logits >= float(limit), 1) for limit in _LIMITS]
    return torch.stack([term.sum(1) for term in terms], -1), torch.stack(above, -1)


def _on_cpu(logits: Tensor, probability: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same as :func:`_on_gpu`, in less time on a CPU."""
    images = len(logits)
    sums, above = np.zeros((images, len(STATISTICS))), np.zeros((images, BINS - 1), np.int64)
    pixelwise = ", ".join(["f4[:,::1]"] * 5)
    add = compiled(_add, f"({pixelwise}, f8[:,::1], i8[:,::1])", reorder=True)
    decay = logits.abs().neg_().exp_()
    arrays = logits, decay, torch.log1p(decay), probability, predicted
    add(*(array.numpy() for array in arrays), sums, above)
    return torch.from_numpy(sums).float(), torch.from_numpy(above)


def _add(logits, decay, log_term, probability, predicted, sums, above):
    """Add the terms of all pixels to `sums` and `above`, in one pass over the pixels."""
    one, zero = np.float32(1), np.float32(0)
    images, pixels = logits.shape
    for i in range(images):
        for start in range(0, pixels, _ADDED_TOGETHER):
            s0 = s1 = s2 = s3 = s4 = zero
            # Counted in float32, so that all terms of a pixel have the same width.
            c0 = c1 = c2 = c3 = c4 = c5 = c6 = zero
            for j in range(start, min(start + _ADDED_TOGETHER, pixels)):
                x, larger = logits[i, j], one / (one + decay[i, j])
                smaller = decay[i, j] * larger
                is_predicted = one if x > zero else zero
                p = larger if x > zero else smaller
                probability[i, j], predicted[i, j] = p, is_predicted
                s0 += p
                s1 += p * p
                s2 += p * is_predicted
                s3 += larger
                s4 += log_term[i, j] + abs(x) * smaller
                c0 += one if x >= _LIMITS[0] else zero
                c1 += one if x >= _LIMITS[1] else zero
                c2 += one if x >= _LIMITS[2] else zero
                c3 += one if x >= _LIMITS[3] else zero
                c4 += one if x >= _LIMITS[4] else zero
                c5 += one if x >= _LIMITS[5] else zero
                c6 += one if x >= _LIMITS[6] else zero
            sums[i, 0] += s0
            sums[i, 1] += s1
            sums[i, 2] += s2
            sums[i, 3] += s3
            sums[i, 4] += s4
            above[i, 0] += np.int64(c0)
            above[i, 1] += np.int64(c1)
            above[i, 2] += np.int64(c2)
            above[i, 3] += np.int64(c3)
            above[i, 4] += np.int64(c4)
            above[i, 5] += np.int64(c5)
            above[i, 6] += np.int64(c6)
