"""Distances between what a network was trained on and what it is tested on, but for the CTF's.

All are of images of the specimens' test structures: under the training condition i of a network's
own specimen, and under a test condition j of a test specimen. Three ask the networks, one does not.
A network's features are its encoder's coarsest output, from before the decoder.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from passband import devices, evaluation
from passband.examples import Camera, Split
from passband.grid import Condition, coordinates

#: Every distance, what it is, and its unit.
DISTANCES: dict[str, tuple[str, str]] = {
    "frechet": (
        "Fréchet distance of the network's features of both sets of images, over their variance "
        "under the training condition; 0 or more",
        "1",
    ),
    "mmd": (
        "squared maximum mean discrepancy of the same features, unbiased, Gaussian kernel of the "
        "median distance under the training condition; about 0 to 2",
        "1",
    ),
    "cka": (
        "linear CKA of the network and of the one trained under the test condition on the test "
        "specimen, on images of that condition: a likeness, 0 to 1",
        "1",
    ),
    "spectral": (
        "log-spectral distance of the mean power spectra of both sets of images; 0 or more",
        "dB",
    ),
}


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return the squared Fréchet distance of two Gaussians that have the samples' moments.

    |μ − μ′|² + Tr(Σ + Σ′ − 2(ΣΣ′)^½), the squared 2-Wasserstein distance of the Gaussians (Dowson &
    Landau 1982, doi:10.1016/0047-259X(82)90077-X; of features as the FID, Heusel et al. 2017,
    arXiv:1706.08500). With Σ = XᵀX and Σ′ = YᵀY, the root's trace is the sum of the singular values
    of XYᵀ, which needs no more samples than there are and no root of a singular matrix.

    Parameters
    ----------
    x, y : (n, d), (m, d) float arrays
        Samples, two or more of each.
    """
    X, Y = ((s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y))
    root = np.linalg.svd(X @ Y.T, compute_uv=False).sum()
    apart = np.sum((x.mean(0) - y.mean(0)) ** 2)
    # Rounding can leave a little less than nothing.
    return max(0.0, float(apart + np.sum(X**2) + np.sum(Y**2) - 2 * root))


def mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    """Return the squared maximum mean discrepancy, unbiased.

    1/(n(n−1)) Σ_{a≠b} [k(x_a, x_b) + k(y_a, y_b) − k(x_a, y_b) − k(x_b, y_a)], the U-statistic of
    Gretton et al. 2012, eq. 4 (jmlr.org/papers/v13/gretton12a.html), with the Gaussian kernel
    k(x, y) = exp(−|x − y|²/2s²). It leaves out pairs of the same place, so that x_a and y_a may be
    images of the same structure. It is 0 on average, and so at times below 0, where both
    distributions are the same.

    Parameters
    ----------
    x, y : (n, d) float arrays
        Samples, two or more of each.
    width : float
        The kernel's s.
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
    """Return squared distances (n, m) of samples (n, d) and (m, d)."""
    return np.maximum(0.0, (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T)


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return the linear centred kernel alignment of two representations of the same examples.

    ‖YᵀX‖²/(‖XᵀX‖·‖YᵀY‖) of centred features, Frobenius norms (Kornblith et al. 2019, eq. 4 and
    section 3, arXiv:1905.00414). Neither an orthogonal map nor a scale of either side changes it.

    Parameters
    ----------
    x, y : (n, d), (n, e) float arrays
        Features of n examples.

    Returns
    -------
    float
        0 to 1; NaN where all features of a side are constant.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else float("nan")


def spectrum(images: np.ndarray) -> np.ndarray:
    """Return the mean power spectrum of images on rings.

    Parameters
    ----------
    images : (N, px, px) float array
        Square images.

    Returns
    -------
    (px // 2,) float array
        Mean of |F|²/px² over the images and over the frequencies nearest to 1, 2, … periods in the
        field; the mean of the images (0 periods) and what lies beyond Nyquist's are left out. White
        noise of variance v has v on every ring.
    """
    px = images.shape[-1]
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(0) / px**2
    periods = np.fft.fftfreq(px, 1 / px)
    ring = np.rint(np.hypot(periods[:, None], periods)).astype(int).ravel()
    return (np.bincount(ring, power.ravel()) / np.bincount(ring))[1 : px // 2 + 1]


def spectral(a: np.ndarray, b: np.ndarray) -> float:
    """Return the log-spectral distance of two power spectra [dB].

    The root mean square over rings of 10·log₁₀ of their ratio (Gray & Markel 1976,
    doi:10.1109/TASSP.1976.1162849).
    """
    return float(np.sqrt(np.mean((10 * np.log10(a / b)) ** 2)))


# ── Of a study ───────────────────────────────────────────────────────────────────────────────────


@torch.inference_mode()
def features(network: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Return the coarsest output of a network's encoder, (N, channels, h, w) float32.

    Parameters
    ----------
    network : Module
        One of :func:`passband.networks.build`'s, ready to predict.
    images : (N, 1, px, px) float32 tensor
        What it sees.
    precision : str
        One that the device has, see :func:`passband.devices.precision`.
    """
    with devices.autocast(precision, images.device):
        return network.encoder(images)[-1].float()


def distances(
    load: Callable[[str, Condition], nn.Module | None],
    specimen: str,
    train: Sequence[Condition],
    test: Sequence[Condition],
    camera: Camera,
    splits: Mapping[str, Split],
    precision: str = "auto",
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return every distance between training conditions of a specimen and test conditions.

    Fréchet distance and MMD are of the features' means over an image's pixels, in units of their
    standard deviation under the training condition, so that networks can be compared. CKA takes
    every pixel of the features for an example.

    Parameters
    ----------
    load : callable
        Gives the network trained on a specimen under a condition, None if there is none.
    specimen : str
        What the networks were trained on.
    train, test : sequences of Condition
        Training conditions, and test conditions. Images and features of the test conditions are in
        memory at once, networks one at a time.
    camera : Camera
        Takes the images, as the networks see them.
    splits : mapping of str to Split
        Test structures by specimen, all of one number.
    precision : str
        The networks', see :func:`passband.devices.precision`.
    progress : callable
        Wraps the list of training conditions.

    Returns
    -------
    Dataset
        Each of :data:`DISTANCES` (test_specimen, train, test) float32. NaN where there is no such
        network, and where a network's features do not vary. Its attribute `structures` says of how
        many they are.
    """
    device = camera.imager.device
    precision = devices.precision(precision, device)
    layout = devices.layout(precision, device)

    def ready(name: str, condition: Condition) -> nn.Module | None:
        network = load(name, condition)
        return None if network is None else evaluation.ready(network, precision, device)

    def taken(name: str, condition: Condition) -> Tensor:
        return camera.images(splits[name], condition).contiguous(memory_format=layout)

    images = {(name, condition): taken(name, condition) for name in splits for condition in test}
    spectra = {place: spectrum(seen[:, 0].cpu().numpy()) for place, seen in images.items()}
    own = {}  # features of the networks that were trained where the others are tested
    for (name, condition), seen in images.items():
        if (network := ready(name, condition)) is not None:
            own[name, condition] = _examples(features(network, seen, precision))
    shape = len(splits), len(train), len(test)
    found = {name: np.full(shape, np.nan, np.float32) for name in DISTANCES}
    for i, condition in enumerate(progress(list(train))):
        seen = taken(specimen, condition)
        before = spectrum(seen[:, 0].cpu().numpy())
        network = ready(specimen, condition)
        if network is not None:
            x = _pooled(features(network, seen, precision))
            deviation = np.sqrt(x.var(0, ddof=1).sum())
            width = median_distance(x)
        for s, name in enumerate(splits):
            for j, tested in enumerate(test):
                place = s, i, j
                found["spectral"][place] = spectral(before, spectra[name, tested])
                if network is None:
                    continue
                there = features(network, images[name, tested], precision)
                if (name, tested) in own:
                    found["cka"][place] = cka(_examples(there), own[name, tested])
                if width > 0:
                    y = _pooled(there)
                    found["frechet"][place] = frechet(x / deviation, y / deviation)
                    found["mmd"][place] = mmd(x, y, width)
    dims = "test_specimen", "train", "test"
    ids = {"train": [c.id for c in train], "test": [c.id for c in test]}
    return xr.Dataset(
        {
            name: (dims, found[name], {"units": unit, "long_name": words})
            for name, (words, unit) in DISTANCES.items()
        },
        {
            "test_specimen": list(splits),
            **ids,
            **coordinates(ids["train"], "train"),
            **coordinates(ids["test"], "test"),
        },
        {"structures": len(next(iter(splits.values())))},
    )


def _pooled(maps: Tensor) -> np.ndarray:
    """Return means over pixels as (N, channels) float64."""
    return maps.mean((2, 3)).cpu().numpy().astype(float)


def _examples(maps: Tensor) -> np.ndarray:
    """Return every pixel's features as (N·h·w, channels) float32."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()


def gather(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return distances of several specimens, architectures and test conditions as one.

    Parameters
    ----------
    parts : sequence of Dataset
        From :func:`distances`, with the attributes `specimen` and `architecture`; those of one
        pair in the order of their test conditions.

    Returns
    -------
    Dataset
        Each of :data:`DISTANCES` (specimen, architecture, test_specimen, train, test) float32.
    """
    rows: dict[str, dict[str, list[xr.Dataset]]] = {}
    for part in parts:
        of = rows.setdefault(part.attrs["specimen"], {})
        alike = part.drop_attrs(deep=False).assign_attrs(structures=part.attrs["structures"])
        of.setdefault(part.attrs["architecture"], []).append(alike)
    by_specimen = [
        xr.concat(
            [xr.concat(row, "test", data_vars="minimal") for row in of.values()],
            xr.Variable("architecture", list(of)),
        )
        for of in rows.values()
    ]
    return xr.concat(by_specimen, xr.Variable("specimen", list(rows)))
