"""Distances between the images that a network was trained on and the images it is tested on.

These distances complement the metrics of transfer functions in
:mod:`passband.analysis.information`. Each distance compares two sets of images: images of the
network's training specimen under its training condition i, and images of a test specimen under a
test condition j. Both sets of images show test structures. Three of the four distances use features
of the networks, and one distance uses only the images. The features of a network are the coarsest
output of its encoder, before the decoder.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures
from passband.learning import devices, evaluation
from passband.learning.networks import encoded

#: For each distance between sets of images, its definition and its unit.
DISTANCES: dict[str, tuple[str, str]] = {
    "frechet": (
        "Fréchet distance between the network's features of both sets of images, divided by the "
        "variance of the features under the training condition; 0 or more",
        "1",
    ),
    "mmd": (
        "unbiased squared maximum mean discrepancy of the same features; the width of the Gaussian "
        "kernel is their median distance under the training condition; about 0 to 2",
        "1",
    ),
    "cka": (
        "linear CKA (centred kernel alignment): similarity, 0 to 1, of two networks' features for "
        "images of the test condition: the network, and the one trained under that condition",
        "1",
    ),
    "spectral": (
        "log-spectral distance between the mean power spectra of both sets of images; 0 or more",
        "dB",
    ),
}

#: Number of test structures of each specimen whose images are compared, if there are as many.
STRUCTURES = 16


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return the squared Fréchet distance between two Gaussians fitted to two sets of samples.

    Each Gaussian has the mean μ and the covariance Σ of its set of samples. The squared distance is
    |μ − μ′|² + Tr(Σ + Σ′ − 2(ΣΣ′)^½), the squared 2-Wasserstein distance between the Gaussians
    (Dowson & Landau 1982, doi:10.1016/0047-259X(82)90077-X). The FID uses the same distance for
    features of networks (Heusel et al. 2017, arXiv:1706.08500). With Σ = XᵀX and Σ′ = YᵀY, the
    trace of the matrix root (ΣΣ′)^½ is the sum of the singular values of XYᵀ. This sum can be
    computed for any number of samples, without the root of a singular matrix.

    Args:
        x, y: (n, d) and (m, d), the two sets of samples, with two or more samples each.
    """
    X, Y = ((s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y))
    root = np.linalg.svd(X @ Y.T, compute_uv=False).sum()
    apart = np.sum((x.mean(0) - y.mean(0)) ** 2)
    # Rounding errors can make the computed squared distance slightly negative.
    return max(0.0, float(apart + np.sum(X**2) + np.sum(Y**2) - 2 * root))


def mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    """Return the unbiased squared maximum mean discrepancy (MMD) of two sets of samples.

    The estimate is the U-statistic of Gretton et al. 2012, eq. 4
    (jmlr.org/papers/v13/gretton12a.html): 1/(n(n−1)) Σ_{a≠b} [k(x_a, x_b) + k(y_a, y_b) − k(x_a,
    y_b) − k(x_b, y_a)], with the Gaussian kernel k(x, y) = exp(−|x − y|²/2s²). Pairs of samples
    with the same index (a = b) are left out, so x_a and y_a may be images of the same structure. If
    the distributions of x and y are equal, the mean of the estimate is 0, so single estimates can
    be negative.

    Args:
        x, y: (n, d), the two sets of samples, with two or more samples each.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-_squared(a, b) / (2 * width**2))

    between = kernel(x, y)
    h = kernel(x, x) + kernel(y, y) - between - between.T
    n = len(x)
    return float((h.sum() - np.trace(h)) / (n * (n - 1)))


def median_distance(x: np.ndarray) -> float:
    """Return the median distance between samples (n, d): Gretton et al.'s width of the kernel."""
    return float(np.sqrt(np.median(_squared(x, x)[np.triu_indices(len(x), 1)])))


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared distances (n, m) between samples (n, d) and (m, d)."""
    return np.maximum(0.0, (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T)


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return the linear centred kernel alignment (CKA) of two representations of the same examples.

    CKA is ‖YᵀX‖²/(‖XᵀX‖·‖YᵀY‖) of centred features, with Frobenius norms (Kornblith et al. 2019,
    eq. 4 and section 3, arXiv:1905.00414). Rotating or scaling the features of x or of y does not
    change CKA.

    Args:
        x, y: (n, d) and (n, e), the two representations: features of the same n examples.

    Returns:
        CKA, from 0 to 1; NaN if all features of x, or all features of y, are constant.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else float("nan")


def spectrum(images: np.ndarray) -> np.ndarray:
    """Return the mean power spectrum of images, averaged on rings of spatial frequencies.

    Args:
        images: (N, px, px), square images.

    Returns:
        (px // 2,): mean of |F|²/px² over the images and over the frequencies of each ring; F is the
        Fourier transform of an image. The rings are the frequencies nearest to 1, 2, … periods in
        the field. The images' mean (0 periods) and frequencies above Nyquist's frequency are left
        out. For white noise of variance v, the spectrum has the value v on every ring.
    """
    px = images.shape[-1]
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(0) / px**2
    periods = np.fft.fftfreq(px, 1 / px)
    ring = np.rint(np.hypot(periods[:, None], periods)).astype(int).ravel()
    return (np.bincount(ring, power.ravel()) / np.bincount(ring))[1 : px // 2 + 1]


def spectral(a: np.ndarray, b: np.ndarray) -> float:
    """Return the log-spectral distance between two power spectra [dB].

    The distance is the root mean square, over rings of frequencies, of 10·log₁₀(a/b) (Gray & Markel
    1976, doi:10.1109/TASSP.1976.1162849).
    """
    return float(np.sqrt(np.mean((10 * np.log10(a / b)) ** 2)))


# ── Distances of a study ─────────────────────────────────────────────────────────────────────────


@torch.inference_mode()
def features(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Return the coarsest output of a network's encoder, (N, channels, h, w) float32.

    Args:
        network: A network from :func:`passband.learning.networks.build`, ready to predict.
        images: (N, 1, px, px) float32, the images that are the network's input.
        precision: A precision of networks that the device supports; see
            :func:`passband.learning.devices.precision`.
    """
    with devices.autocast(precision, images.device):
        return encoded(network, images)[-1].float()


def distances(
    load: Callable[[str, Condition], nn.Module | None],
    specimen: str,
    *,
    train: Sequence[Condition],
    test: Sequence[Condition],
    camera: Acquisition,
    structures: Mapping[str, LoadedStructures],
    precision: str = "auto",
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return the distances of each training condition of a specimen to each test condition.

    For the Fréchet distance and MMD, a sample is an image, whose features are averaged over pixels.
    Neither of these two distances depends on the scale of the features, so different networks can
    be compared. For CKA, a sample is a pixel of a network's feature maps.

    Args:
        load: Returns the network that was trained on a specimen under a condition, or None if this
            network does not exist.
        train, test: Training conditions and test conditions. The images and features of all test
            conditions are in memory together, but only one network at a time.
        camera: Makes the images, with the normalisation that the networks were trained with.
        structures: The test structures of each specimen. All specimens have the same number of test
            structures.
        precision: Precision of the networks, see :func:`passband.learning.devices.precision`.

    Returns:
        Each of :data:`DISTANCES` over (test_specimen, train, test), float32. A distance is NaN if
        its network does not exist, or if the features of the network are constant. The attribute
        `structures` is the number of test structures.
    """
    device = camera.imager.device
    precision = devices.precision(precision, device)
    layout = devices.layout(precision, device)

    def ready(name: str, condition: Condition) -> nn.Module | None:
        network = load(name, condition)
        return None if network is None else evaluation.ready(network, precision, device)

    def taken(name: str, condition: Condition) -> Tensor:
        return camera.images(structures[name].under(condition), condition).contiguous(
            memory_format=layout
        )

    images = {
        (name, condition): taken(name, condition) for name in structures for condition in test
    }
    spectra = {place: spectrum(seen[:, 0].cpu().numpy()) for place, seen in images.items()}
    at_home = {}  # features of networks that were trained under the test condition, for CKA
    for (name, condition), seen in images.items():
        if (network := ready(name, condition)) is not None:
            at_home[name, condition] = _examples(features(network, seen, precision))
    shape = len(structures), len(train), len(test)
    values = {name: np.full(shape, np.nan, np.float32) for name in DISTANCES}
    for i, condition in enumerate(progress(list(train))):
        seen = taken(specimen, condition)
        before = spectrum(seen[:, 0].cpu().numpy())
        network = ready(specimen, condition)
        if network is not None:
            x = _pooled(features(network, seen, precision))
            deviation = np.sqrt(x.var(0, ddof=1).sum())
            width = median_distance(x)
        for s, name in enumerate(structures):
            for j, tested in enumerate(test):
                place = s, i, j
                values["spectral"][place] = spectral(before, spectra[name, tested])
                if network is None:
                    continue
                there = features(network, images[name, tested], precision)
                if (name, tested) in at_home:
                    values["cka"][place] = cka(_examples(there), at_home[name, tested])
                if width > 0:
                    y = _pooled(there)
                    values["frechet"][place] = frechet(x / deviation, y / deviation)
                    values["mmd"][place] = mmd(x, y, width)
    dims = "test_specimen", "train", "test"
    ids = {"train": [c.id for c in train], "test": [c.id for c in test]}
    return xr.Dataset(
        {
            name: (dims, values[name], {"units": unit, "long_name": words})
            for name, (words, unit) in DISTANCES.items()
        },
        {
            "test_specimen": list(structures),
            **ids,
            **train[0].axes.coordinates(ids["train"], "train"),
            **train[0].axes.coordinates(ids["test"], "test"),
        },
        {"structures": len(next(iter(structures.values())))},
    )


def _pooled(maps: Tensor) -> np.ndarray:
    """Return the means of feature maps over pixels, as (N, channels) float64."""
    return maps.mean((2, 3)).cpu().numpy().astype(float)


def _examples(maps: Tensor) -> np.ndarray:
    """Return the features of every pixel of feature maps, as (N·h·w, channels) float32."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()


def gather(measured: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the distances of several specimens, architectures and test conditions as one dataset.

    Args:
        measured: Results of :func:`distances`, with the attributes `specimen` and `architecture`.
            Results with the same specimen and architecture must be in the order of their test
            conditions.

    Returns:
        Each of :data:`DISTANCES` over (specimen, architecture, test_specimen, train, test),
        float32.
    """
    rows: dict[str, dict[str, list[xr.Dataset]]] = {}
    for each in measured:
        row = rows.setdefault(each.attrs["specimen"], {})
        plain = each.drop_attrs(deep=False).assign_attrs(structures=each.attrs["structures"])
        row.setdefault(each.attrs["architecture"], []).append(plain)
    by_specimen = [
        xr.concat(
            [xr.concat(tests, "test", data_vars="minimal") for tests in row.values()],
            xr.Variable("architecture", list(row)),
        )
        for row in rows.values()
    ]
    return xr.concat(by_specimen, xr.Variable("specimen", list(rows)))
