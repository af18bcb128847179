"""From exit waves to images: transfer, intensity and electron counts, on torch's devices."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from passband import ctf
from passband.sampling import Sampling

#: Pixels from which on starting threads costs less than they save.
_WORTH_THREADS = 2**14


class Imager:
    """Forms images of exit waves.

    Parameters
    ----------
    sampling : Sampling
        The waves' grid.
    coherence : {"focal-series", "quasi-coherent"}
        Whether focal spread is an incoherent focal series or the temporal envelope.
    members : int
        Members of the focal series.
    device : torch.device or str
        Where to compute.
    dtype : torch.dtype
        Precision of intensities: float32 or float64.
    """

    def __init__(
        self,
        sampling: Sampling,
        coherence: str = "focal-series",
        members: int = 5,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self.sampling = sampling
        self.coherence = coherence
        self.members = members
        self.device = torch.device(device)
        self.dtype = dtype
        self._q, self._phi = sampling.frequencies()
        # Jobs form many batches under one condition; a cache of a few is enough.
        self.kernels = lru_cache(maxsize=4)(self._kernels)

    def _kernels(self, optics: ctf.Optics) -> list[tuple[float, torch.Tensor]]:
        """Return weighted transfer functions exp(−iχ)·E on the cropped spectrum.

        They are computed in float64: with Cs of a millimetre χ reaches hundreds of radians.
        """
        if self.coherence == "focal-series":
            members = ctf.focal_series(optics, self.members)
        else:
            members = [(1.0, optics)]
        complex_dtype = torch.complex64 if self.dtype == torch.float32 else torch.complex128
        return [
            (weight, torch.as_tensor(kernel, dtype=complex_dtype, device=self.device))
            for weight, kernel in (
                (
                    weight,
                    ctf.envelope(member, self._q, self._phi)
                    * np.exp(-1j * ctf.aberration_phase(member, self._q, self._phi)),
                )
                for weight, member in members
            )
        ]

    def intensity(self, spectra: torch.Tensor, optics: ctf.Optics) -> torch.Tensor:
        """Return noise-free images; vacuum is 1.

        Parameters
        ----------
        spectra : (N, cropped, cropped) complex tensor
            Cropped spectra of exit waves, see :meth:`Sampling.crop`.
        optics : Optics
            The microscope under one condition.

        Returns
        -------
        (N, px, px) tensor
            Intensity relative to the incident beam.
        """
        kernels = self.kernels(optics)
        px, half = self.sampling.px, self.sampling.half
        padded = torch.zeros((len(spectra), px, px), dtype=kernels[0][1].dtype, device=self.device)
        passed, total = torch.empty_like(spectra, dtype=padded.dtype), None
        for weight, kernel in kernels:
            torch.mul(spectra, kernel, out=passed)
            # From zero frequency in the centre to the corners that the FFT wants.
            padded[:, : half + 1, : half + 1] = passed[:, half:, half:]
            padded[:, : half + 1, px - half :] = passed[:, half:, :half]
            padded[:, px - half :, : half + 1] = passed[:, :half, half:]
            padded[:, px - half :, px - half :] = passed[:, :half, :half]
            parts = torch.view_as_real(torch.fft.ifft2(padded, norm="forward"))
            # In place and one by one: a sum over the short last axis takes longer than the FFT.
            parts.square_()
            member = torch.add(parts[..., 0], parts[..., 1]).mul_(weight)
            total = member if total is None else total.add_(member)
        return total


def expose(intensity: torch.Tensor, electrons: float, seeds: Sequence[int]) -> torch.Tensor:
    """Return electron counts, drawn from the Poisson distribution.

    Every image has a generator of its own, so its noise depends neither on the batch it is in nor
    on what was drawn before.

    Parameters
    ----------
    intensity : (N, px, px) tensor
        Noise-free images, vacuum 1.
    electrons : float
        Mean count of a vacuum pixel: dose × pixel area.
    seeds : sequence of N int
        One seed an image.

    Returns
    -------
    (N, px, px) tensor
        Whole numbers, in the dtype of `intensity`.
    """
    counts = intensity * electrons

    def draw(image: torch.Tensor, seed: int) -> None:
        random = torch.Generator(device=image.device).manual_seed(seed)
        image.copy_(torch.poisson(image, generator=random))

    threads = 1 if counts.device.type != "cpu" else min(torch.get_num_threads(), len(counts))
    if threads > 1 and counts.numel() > _WORTH_THREADS:
        # torch draws on one thread, and lets others run meanwhile.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, counts, seeds))
    else:
        for image, seed in zip(counts, seeds, strict=True):
            draw(image, seed)
    return counts


def normalise(counts: torch.Tensor, name: str, electrons: float) -> torch.Tensor:
    """Return what a network sees of electron counts.

    Parameters
    ----------
    counts : (N, px, px) tensor
        Electron counts.
    name : {"zscore", "minmax", "vacuum"}
        Zero mean and unit variance per image; 0 to 1 per image; or counts over `electrons` less 1.
    electrons : float
        Mean count of a vacuum pixel.

    Raises
    ------
    ValueError
        If the name is none of these.
    """
    if name == "zscore":
        std, mean = torch.std_mean(counts, dim=(-2, -1), keepdim=True)
        return (counts - mean) / std.clamp_min(1e-12)
    if name == "minmax":
        low, high = counts.amin((-2, -1), True), counts.amax((-2, -1), True)
        return (counts - low) / (high - low).clamp_min(1e-12)
    if name == "vacuum":
        return counts / electrons - 1
    raise ValueError(f"normalisation {name!r}: must be zscore, minmax or vacuum")
