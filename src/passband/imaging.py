"""From exit waves to images: transfer, intensity and electron counts, on torch's devices."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
    blur : (px, px//2 + 1) array, optional
        What multiplies the spectrum of every image; see :func:`passband.detector.blur`.
    """

    def __init__(
        self,
        sampling: Sampling,
        coherence: str = "focal-series",
        members: int = 5,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        blur: np.ndarray | None = None,
    ):
        self.sampling = sampling
        self.coherence = coherence
        self.members = members
        self.device = torch.device(device)
        self.dtype = dtype
        self._q, self._phi = sampling.frequencies()
        # Jobs form many batches under one condition; a cache of a few is enough.
        self.kernels = lru_cache(maxsize=4)(self._kernels)
        self._basis = lru_cache(maxsize=1)(self._make_basis)
        self._blur = None if blur is None else torch.as_tensor(blur, dtype=dtype, device=device)

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

    def _make_basis(self, energy: float) -> torch.Tensor:
        return torch.as_tensor(ctf.basis(energy, self._q, self._phi), device=self.device)

    def _kernels_each(self, lenses: Sequence[ctf.Optics]) -> Iterator[tuple[float, torch.Tensor]]:
        """Yield weighted transfer functions as `kernels` has them, one lens an image.

        The phase and its gradient are linear in the aberrations, so that in float64 they are sums
        over a basis, element by element: nothing depends on the batch. What the lenses share, the
        aperture and the temporal envelope, is computed once.
        """
        shared = [
            replace(lens, defocus=0.0, cs=0.0, c12=0.0, c21=0.0, c23=0.0)
            for lens in (replace(lens, phi12=0.0, phi21=0.0, phi23=0.0) for lens in lenses)
        ]
        if any(lens != shared[0] for lens in shared):
            raise ValueError("lenses of one batch must differ in nothing but their aberrations")
        if self.coherence == "focal-series":
            members = ctf.focal_series(shared[0], self.members)
        else:
            members = [(1.0, shared[0])]
        basis = self._basis(shared[0].energy)
        numbers = torch.as_tensor(np.stack([ctf.coefficients(lens) for lens in lenses]))
        numbers = numbers.to(self.device)[:, :, None, None]

        def total(terms: torch.Tensor) -> torch.Tensor:
            result = numbers[:, 0] * terms[0]
            for k in range(1, len(terms)):
                result.addcmul_(numbers[:, k], terms[k])
            return result

        phase, source = total(basis[0]), shared[0].source_spread
        if source:
            radial, azimuthal = total(basis[1]), total(basis[2]).square_()
        for weight, member in members:
            # A member's defocus is its distance from the lens's.
            passed = ctf.aperture(member, self._q) * ctf.temporal_envelope(member, self._q)
            size = torch.as_tensor(passed, device=self.device).expand_as(phase)
            if source:
                steepness = (radial + member.defocus * basis[1, 0]).square_().add_(azimuthal)
                size = size * steepness.mul_(-((source * 1e-3 / 2) ** 2)).exp_()
            # float32 has digits enough for a phase once whole turns are gone.
            angle = torch.remainder(-(phase + member.defocus * basis[0, 0]), 2 * np.pi)
            yield weight, torch.polar(size.to(self.dtype), angle.to(self.dtype))

    def intensity(
        self, spectra: torch.Tensor, optics: ctf.Optics | Sequence[ctf.Optics]
    ) -> torch.Tensor:
        """Return noise-free images; vacuum is 1.

        Parameters
        ----------
        spectra : (N, [P,] cropped, cropped) complex tensor
            Cropped spectra of exit waves, see :meth:`Sampling.crop`.
        optics : Optics or sequence of N Optics
            The microscope under one condition, or as it is for each image; those may differ in
            their aberrations alone.

        Returns
        -------
        (N, px, px) tensor
            Intensity relative to the incident beam, blurred if there is a blur; what a blur brings
            below 0, by ringing, is 0.
        """
        if spectra.ndim == 4:
            return torch.stack([self.intensity(s, optics) for s in spectra.unbind(1)]).mean(0)
        if isinstance(optics, ctf.Optics):
            kernels: Iterable = self.kernels(optics)
        else:
            if len(optics) != len(spectra):
                raise ValueError(f"{len(optics)} lenses for {len(spectra)} images")
            kernels = self._kernels_each(optics)
        complex_dtype = torch.complex64 if self.dtype == torch.float32 else torch.complex128
        px, half = self.sampling.px, self.sampling.half
        padded = torch.zeros((len(spectra), px, px), dtype=complex_dtype, device=self.device)
        passed, total = torch.empty_like(spectra, dtype=complex_dtype), None
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
        if self._blur is not None:
            total = torch.fft.irfft2(torch.fft.rfft2(total) * self._blur, s=(px, px)).clamp_min_(0)
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
