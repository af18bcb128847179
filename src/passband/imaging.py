"""From exit waves to images: transfer, intensity and electron counts, on torch's devices."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from passband import ctf, poisson
from passband.compiled import compiled
from passband.sampling import Sampling

#: Pixels from which on starting threads costs less than they save.
_WORTH_THREADS = 2**16
#: Pixels of waves formed at once: more would not stay in a core's cache, and fewer are more calls.
_AT_ONCE = 100_000


class Transfer(NamedTuple):
    """What a lens does to a wave.

    Attributes
    ----------
    inside : slice
        The part of the cropped spectrum, along either axis, that the aperture passes.
    weights, defocus : (members,) float64 array
        Of the members of a focal series, or of the one wave of a quasi-coherent image.
    kernels : (members, side, side) complex tensor
        exp(−iχ)·E inside.
    """

    inside: slice
    weights: np.ndarray
    defocus: np.ndarray
    kernels: torch.Tensor


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
        self.transfer = lru_cache(maxsize=4)(self._transfer)
        self._basis = lru_cache(maxsize=1)(self._make_basis)
        self._at_once = max(1, _AT_ONCE // sampling.px**2)
        self._scratch: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._blur = None if blur is None else torch.as_tensor(blur, dtype=dtype, device=device)

    @property
    def _complex(self) -> torch.dtype:
        return torch.complex64 if self.dtype == torch.float32 else torch.complex128

    def _inside(self, optics: ctf.Optics) -> slice:
        """Return the part of the cropped spectrum, along either axis, that the aperture passes."""
        half = self.sampling.half
        passed = np.flatnonzero(ctf.aperture(optics, self._q[half]))
        radius = int(passed[-1]) - half if len(passed) else 0
        return slice(half - radius, half + radius + 1)

    def _transfer(self, optics: ctf.Optics) -> Transfer:
        """Return what the lens does to a wave.

        It is computed in float64: with Cs of a millimetre χ reaches hundreds of radians.
        """
        inside = self._inside(optics)
        q, phi = self._q[inside, inside], self._phi[inside, inside]
        series = [(1.0, optics)]
        if self.coherence == "focal-series":
            series = ctf.focal_series(optics, self.members)
        kernels = [
            ctf.envelope(member, q, phi) * np.exp(-1j * ctf.aberration_phase(member, q, phi))
            for _, member in series
        ]
        return Transfer(
            inside,
            np.array([weight for weight, _ in series]),
            np.array([member.defocus for _, member in series]),
            torch.as_tensor(np.stack(kernels), dtype=self._complex, device=self.device),
        )

    def _make_basis(self, shared: ctf.Optics) -> torch.Tensor:
        """Return :func:`ctf.basis`: of the phase, in turns, and of its gradient if it matters."""
        inside = self._inside(shared)
        phase, *slopes = ctf.basis(
            shared.energy, self._q[inside, inside], self._phi[inside, inside]
        )
        parts = [phase / (2 * np.pi), *slopes] if shared.source_spread else [phase / (2 * np.pi)]
        return torch.as_tensor(np.stack(parts), device=self.device)

    def _own_kernels(self, shared: ctf.Optics, lens: ctf.Optics) -> torch.Tensor:
        """Return the kernels of a lens that differs from `shared` in its aberrations.

        The phase and its gradient are linear in the aberrations: in float64 they are sums over a
        basis. What lenses share, the aperture, the temporal envelope and the members' distances
        in focus, is `shared`'s transfer.
        """
        source = shared.source_spread
        common = self.transfer(replace(shared, source_spread=0.0))
        basis = self._basis(shared)
        numbers = [(k, float(x)) for k, x in enumerate(ctf.coefficients(lens)) if x]

        def total(terms: torch.Tensor) -> torch.Tensor:
            result = torch.zeros_like(terms[0])
            for k, x in numbers:
                result.add_(terms[k], alpha=x)
            return result

        # float32 has digits enough for a phase once whole turns are gone.
        turns = total(basis[0])
        angle = turns.sub_(turns.round()).mul_(-2 * np.pi).to(self.dtype)
        kernels = common.kernels * torch.polar(torch.ones_like(angle), angle)
        if source:
            radial, azimuthal = total(basis[1]), total(basis[2]).square_()
            for kernel, distance in zip(kernels, common.defocus.tolist(), strict=True):
                steepness = torch.add(radial, basis[1, 0], alpha=distance).square_()
                steepness.add_(azimuthal).mul_(-((source * 1e-3 / 2) ** 2))
                kernel *= steepness.to(self.dtype).exp_()
        return kernels

    def intensity(
        self, spectra: torch.Tensor, optics: ctf.Optics | Sequence[ctf.Optics]
    ) -> torch.Tensor:
        """Return noise-free images; vacuum is 1.

        On a CPU, every image is formed by one thread: neither the batch nor the number of threads
        changes a bit of it.

        Parameters
        ----------
        spectra : (N, P, cropped, cropped) complex tensor
            Cropped spectra of exit waves, see :meth:`Sampling.crop`, of P frozen-phonon
            configurations of each structure; an image is the mean of theirs.
        optics : Optics or sequence of N Optics
            The microscope under one condition, or as it is for each image; those may differ in
            their aberrations alone.

        Returns
        -------
        (N, px, px) tensor
            Intensity relative to the incident beam, blurred if there is a blur; what a blur brings
            below 0, by ringing, is 0.

        Raises
        ------
        ValueError
            If the spectra have another shape, or the lenses another number or other differences.
        """
        side = self.sampling.cropped
        if spectra.ndim != 4 or spectra.shape[-2:] != (side, side):
            raise ValueError(
                f"spectra of shape {tuple(spectra.shape)}: must be N, P, {side}, {side}"
            )
        if isinstance(optics, ctf.Optics):
            shared, own = optics, None
        else:
            shared, own = _shared(optics), optics
            if len(own) != len(spectra):
                raise ValueError(f"{len(own)} lenses for {len(spectra)} images")
        transfer = self.transfer(replace(shared, source_spread=0.0) if own else shared)
        spectra = spectra[..., transfer.inside, transfer.inside]
        weights = transfer.weights / spectra.shape[1]

        def kernels_of(image: int) -> torch.Tensor:
            return self._own_kernels(shared, own[image]) if own else transfer.kernels

        if self.device.type == "cpu":
            return self._form_each(spectra, weights, kernels_of, own is not None)
        kernels = [kernels_of(image) for image in range(len(own) if own else 1)]
        return self._form_all(spectra, weights, torch.stack(kernels))

    def _form_all(
        self, spectra: torch.Tensor, weights: np.ndarray, kernels: torch.Tensor
    ) -> torch.Tensor:
        """Return the images of a batch at once, what suits a GPU.

        `kernels` are (N or 1, members, side, side). Zero frequency may stay in the middle: a
        shift of the spectrum changes the wave's phase alone.
        """
        px = self.sampling.px
        total = torch.zeros((len(spectra), px, px), dtype=self.dtype, device=spectra.device)
        for weight, kernel in zip(weights.tolist(), kernels.unbind(1), strict=True):
            for configuration in spectra.unbind(1):
                # Along the first axis, only the frequencies that the aperture passes.
                wave = torch.fft.ifft(configuration * kernel, n=px, dim=-2, norm="forward")
                wave = torch.fft.ifft(wave, n=px, dim=-1, norm="forward")
                total.add_(torch.view_as_real(wave).square_().sum(-1), alpha=weight)
        return self._blurred(total)

    def _form_each(
        self,
        spectra: torch.Tensor,
        weights: np.ndarray,
        kernels_of: Callable[[int], torch.Tensor],
        own_kernels: bool,
    ) -> torch.Tensor:
        """Return a batch's images, a few at a time: what suits a CPU, as `_form_all` would."""
        px, side = self.sampling.px, spectra.shape[-1]
        real, paired = (str(dtype).removeprefix("torch.") for dtype in (self.dtype, self._complex))
        add_power = compiled(_add_power, f"({paired}[:,:,::1], {real}[::1], {real}[:,:,::1])")
        images, weights = np.zeros((len(spectra), px, px), real), weights.astype(real)
        members = min(len(weights), self._at_once)
        groups = [
            slice(first, min(first + members, len(weights)))
            for first in range(0, len(weights), members)
        ]
        # With kernels of their own, images have nothing in common.
        together = 1 if own_kernels else max(1, self._at_once // members)

        def work(numbers: Iterator[int]) -> None:
            tall, wide = scratch = self._take_scratch()
            # What lies beyond the aperture's frequencies is zero and stays so.
            tall[:, side:, :side] = 0
            wide[:, side:] = 0
            for first in numbers:
                part = slice(first, min(first + together, len(spectra)))
                kernels = kernels_of(first)
                for configuration in spectra[part].unbind(1):
                    for group in groups:
                        waves = len(configuration) * (group.stop - group.start)
                        columns, rows = tall[:waves, :, :side], wide[:waves]
                        torch.mul(
                            configuration[:, None],
                            kernels[group],
                            out=columns[:, :side].unflatten(0, (len(configuration), -1)),
                        )
                        # torch leaves what it transforms along the first axis transposed in
                        # memory: after two such transforms, the image is the right way round.
                        rows[:, :side] = torch.fft.ifft(columns, dim=1, norm="forward").mT
                        formed = torch.fft.ifft(rows, dim=1, norm="forward").mT.contiguous()
                        add_power(formed.numpy(), weights[group], images[part])
                if self._blur is not None:
                    for number in range(part.start, part.stop):
                        images[number] = self._blurred(torch.from_numpy(images[number])).numpy()
            self._scratch.append(scratch)

        _share(work, range(0, len(spectra), together), images.size)
        return torch.from_numpy(images)

    def _take_scratch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return memory for spectra before and between the transforms, of earlier use if it can.

        The system's pages cost more than what is done with them.
        """
        try:
            return self._scratch.pop()
        except IndexError:
            px, cropped = self.sampling.px, self.sampling.cropped
            tall = torch.empty((self._at_once, px, cropped), dtype=self._complex)
            # Rows that are a power of two apart would fall on few lines of the cache.
            wide = torch.empty((self._at_once, px, px + 16), dtype=self._complex)
            return tall, wide[..., :px]

    def _blurred(self, images: torch.Tensor) -> torch.Tensor:
        if self._blur is None:
            return images
        spectrum = torch.fft.rfft2(images) * self._blur
        return torch.fft.irfft2(spectrum, s=images.shape[-2:]).clamp_min_(0)


def _shared(lenses: Sequence[ctf.Optics]) -> ctf.Optics:
    """Return what lenses have in common: one without their aberrations."""
    shared = [
        replace(lens, defocus=0.0, cs=0.0, c12=0.0, c21=0.0, c23=0.0)
        for lens in (replace(lens, phi12=0.0, phi21=0.0, phi23=0.0) for lens in lenses)
    ]
    if any(lens != shared[0] for lens in shared):
        raise ValueError("lenses of one batch must differ in nothing but their aberrations")
    return shared[0]


def _add_power(waves, weights, totals):
    """Add the weighted |ψ|² of images' waves to them, in one pass over memory for each."""
    for image in range(len(totals)):
        for wave in range(len(weights)):
            for i in range(totals.shape[1]):
                for j in range(totals.shape[2]):
                    z = waves[image * len(weights) + wave, i, j]
                    totals[image, i, j] += weights[wave] * (z.real * z.real + z.imag * z.imag)


def _share(work: Callable[[Iterator[int]], None], shares: Sequence[int], pixels: int) -> None:
    """Share images out among as many threads as torch has.

    Every thread calls `work` once, with an iterator that hands each share's number to one of them.
    Meanwhile torch keeps to one thread within each: how it divides a transform among threads, and
    with it the last bit, depends on how many there are.
    """
    threads, numbers = torch.get_num_threads(), iter(shares)
    others = min(threads, len(shares)) - 1 if pixels >= _WORTH_THREADS else 0
    try:
        torch.set_num_threads(1)
        if others < 1:
            work(numbers)
            return
        with ThreadPoolExecutor(others, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            jobs = [pool.submit(work, numbers) for _ in range(others)]
            work(numbers)
        for job in jobs:
            job.result()
    finally:
        torch.set_num_threads(threads)


def expose(intensity: torch.Tensor, electrons: float, seeds: Sequence[int]) -> torch.Tensor:
    """Return electron counts, drawn from the Poisson distribution.

    Every image has a generator of its own, so its noise depends on its seed and its intensity, and
    neither on the batch it is in nor on what was drawn before. On a CPU it is
    :mod:`passband.poisson`'s; a GPU has torch's, whose counts are others of the same distribution.

    Parameters
    ----------
    intensity : (N, px, px) tensor
        Noise-free images, vacuum 1.
    electrons : float
        Mean count of a vacuum pixel: dose × pixel area.
    seeds : sequence of N int
        One seed an image, from 0 to 2**63 − 1.

    Returns
    -------
    (N, px, px) tensor
        Whole numbers, in the dtype of `intensity`: float32 rounds those above 2**24.

    Raises
    ------
    ValueError
        If there are not as many seeds as images, or on a CPU if a mean is negative or no number.
    """
    if len(seeds) != len(intensity):
        raise ValueError(f"{len(seeds)} seeds for {len(intensity)} images")
    if intensity.device.type != "cpu":
        counts = intensity * electrons
        for image, seed in zip(counts, seeds, strict=True):
            random = torch.Generator(device=image.device).manual_seed(seed)
            image.copy_(torch.poisson(image, generator=random))
        return counts
    images = intensity.contiguous().numpy()
    counts = np.empty_like(images)

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            poisson.draw(images[number], electrons, seeds[number], counts[number])

    _share(work, range(len(images)), images.size)
    return torch.from_numpy(counts)


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
