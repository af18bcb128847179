"""Noise-free images, formed from exit waves on a CPU or a GPU."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from passband.imaging.compiled import compiled
from passband.imaging.threads import share_images
from passband.optics import ctf
from passband.optics.sampling import Sampling

#: Number of pixels of all waves that are formed at once. More pixels would not fit into the cache
#: of a processor core, and fewer pixels need more function calls.
_AT_ONCE = 100_000


class Transfer(NamedTuple):
    """The factors by which the lens multiplies the spectrum of a wave.

    Attributes:
        inside: The part of the cropped spectrum, along each axis, that the aperture passes.
        weights, defocus: (members,) float64, weight and defocus [Å] of each member of a focal
            series. If the coherence is "quasi-coherent", there is only one member.
        kernels: (members, side, side) complex, the factors exp(−iχ)·E, for the part `inside` of the
            cropped spectrum.
    """

    inside: slice
    weights: np.ndarray
    defocus: np.ndarray
    kernels: torch.Tensor


class Imager:
    """Forms images of exit waves.

    Args:
        sampling: The grid of the waves' pixels.
        coherence: `focal-series` or `quasi-coherent`, what represents the focal spread: an
            incoherent focal series, or the temporal envelope.
        members: Number of members of the focal series.
        dtype: Precision of intensities: float32 or float64.
        blur: (px, px//2 + 1), factor by which the spectrum of every image is multiplied, see
            :func:`passband.optics.detector.blur`.
        image: The grid of the image's pixels, which has the same field and the same or larger
            pixels. By default, the grid of the waves' pixels. Intensities are reduced to larger
            pixels by cropping their spectra, so that no frequency is aliased.
    """

    def __init__(
        self,
        sampling: Sampling,
        coherence: str = "focal-series",
        members: int = 5,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        blur: np.ndarray | None = None,
        image: Sampling | None = None,
    ):
        self.sampling = sampling
        self.image = image or sampling
        self.coherence = coherence
        self.members = members
        self.device = torch.device(device)
        self.dtype = dtype
        self._q, self._phi = sampling.frequencies()
        # A small cache is enough, since a job forms many batches of images under one condition.
        self.transfer = lru_cache(maxsize=4)(self._transfer)
        self._basis = lru_cache(maxsize=1)(self._make_basis)
        self._at_once = max(1, _AT_ONCE // sampling.px**2)
        self._scratch: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._blur = self._factor(blur)

    def _factor(self, blur: np.ndarray | None) -> torch.Tensor | None:
        """Return a blur as a tensor."""
        if blur is None:
            return None
        return torch.as_tensor(blur, dtype=self.dtype, device=self.device)

    @property
    def _complex(self) -> torch.dtype:
        return torch.complex64 if self.dtype == torch.float32 else torch.complex128

    def _inside(self, optics: ctf.Optics) -> slice:
        """Return the part of the cropped spectrum, along each axis, that the aperture passes."""
        half = self.sampling.half
        passed = np.flatnonzero(ctf.aperture(optics, self._q[half]))
        radius = int(passed[-1]) - half if len(passed) else 0
        return slice(half - radius, half + radius + 1)

    def _transfer(self, optics: ctf.Optics) -> Transfer:
        """Return the factors by which the lens multiplies the spectrum of a wave.

        The factors are computed in float64, since the aberration phase χ reaches hundreds of
        radians if Cs is a millimetre.
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
        """Return :func:`ctf.basis`: of the phase in turns and, if needed, of its gradient."""
        inside = self._inside(shared)
        phase, *slopes = ctf.basis(
            shared.energy, self._q[inside, inside], self._phi[inside, inside]
        )
        parts = [phase / (2 * np.pi), *slopes] if shared.source_spread else [phase / (2 * np.pi)]
        return torch.as_tensor(np.stack(parts), device=self.device)

    def _own_kernels(self, shared: ctf.Optics, lens: ctf.Optics) -> torch.Tensor:
        """Return the kernels of a lens that differs from `shared` in aberrations and aperture.

        The aberration phase and its gradient are linear in the aberrations, and are computed as
        float64 sums over a basis. The temporal envelope and the steps of defocus between the
        members of the focal series are those of `shared`, whose aperture is not narrower.
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

        # float32 is precise enough for the aberration phase after whole turns are subtracted.
        turns = total(basis[0])
        angle = turns.sub_(turns.round()).mul_(-2 * np.pi).to(self.dtype)
        kernels = common.kernels * torch.polar(torch.ones_like(angle), angle)
        if source:
            radial, azimuthal = total(basis[1]), total(basis[2]).square_()
            for kernel, distance in zip(kernels, common.defocus.tolist(), strict=True):
                steepness = torch.add(radial, basis[1, 0], alpha=distance).square_()
                steepness.add_(azimuthal).mul_(-((source * 1e-3 / 2) ** 2))
                kernel *= steepness.to(self.dtype).exp_()
        if lens.aperture != shared.aperture:
            passed = ctf.aperture(lens, self._q[common.inside, common.inside])
            kernels *= torch.as_tensor(passed, dtype=self.dtype, device=self.device)
        return kernels

    def intensity(
        self,
        spectra: torch.Tensor,
        optics: ctf.Optics | Sequence[ctf.Optics],
        widest: float | None = None,
        blurs: Sequence[np.ndarray | None] | None = None,
    ) -> torch.Tensor:
        """Return noise-free images. The intensity of vacuum is 1.

        On a CPU, each image is formed by only one thread, so that the bits of the image do not
        depend on the batch or on the number of threads.

        Args:
            spectra: (N, P, cropped, cropped) complex, cropped spectra of exit waves, see
                :meth:`Sampling.crop`, for P frozen configurations of each structure. An image of a
                structure is the mean of the images of its frozen configurations.
            optics: One lens for all images, or a lens for each image. Different lenses may differ
                only in their aberrations, and with `widest` in their aperture.
            widest: The semi-angle [mrad] that no aperture of the lenses exceeds. Images with the
                same value do not depend on the apertures of other images.
            blurs: The blur of each image, in place of the imager's own. None is no blur.

        Returns:
            (N, px, px): intensity relative to the incident beam on the image's pixels, after the
            blur if there is one. Ringing of the blur or of the larger pixels can cause negative
            intensities, and these are set to 0.

        Raises:
            ValueError: If the spectra have a wrong shape, if the number of lenses is wrong, or if
                the lenses differ in more than their aberrations and, with `widest`, their aperture.
        """
        side = self.sampling.cropped
        if spectra.ndim != 4 or spectra.shape[-2:] != (side, side):
            raise ValueError(
                f"spectra of shape {tuple(spectra.shape)}: must be N, P, {side}, {side}"
            )
        if isinstance(optics, ctf.Optics):
            shared, own = optics, None
        else:
            shared, own = _shared(optics, widest), optics
            if len(own) != len(spectra):
                raise ValueError(f"{len(own)} lenses for {len(spectra)} images")
        transfer = self.transfer(replace(shared, source_spread=0.0) if own else shared)
        spectra = spectra[..., transfer.inside, transfer.inside]
        weights = transfer.weights / spectra.shape[1]

        def kernels_of(image: int) -> torch.Tensor:
            return self._own_kernels(shared, own[image]) if own else transfer.kernels

        factors = [self._blur] * len(spectra)
        if blurs is not None:
            if len(blurs) != len(spectra):
                raise ValueError(f"{len(blurs)} blurs for {len(spectra)} images")
            factors = [self._factor(blur) for blur in blurs]
        if self.device.type == "cpu":
            return self._form_each(
                spectra, weights, kernels_of, own_kernels=own is not None, blurs=factors
            )
        kernels = [kernels_of(image) for image in range(len(own) if own else 1)]
        formed = self._form_all(spectra, weights, torch.stack(kernels))
        if blurs is None:
            return self._finished(formed, self._blur)
        return torch.stack([*map(self._finished, formed, factors)])

    def _form_all(
        self, spectra: torch.Tensor, weights: np.ndarray, kernels: torch.Tensor
    ) -> torch.Tensor:
        """Return a batch on the waves' pixels. All are formed at once, which is fast on a GPU.

        `kernels` has the shape (N or 1, members, side, side). Zero frequency stays in the middle of
        the spectrum, since a shift of the spectrum changes only the phase of the wave.
        """
        px = self.sampling.px
        total = torch.zeros((len(spectra), px, px), dtype=self.dtype, device=spectra.device)
        for weight, kernel in zip(weights.tolist(), kernels.unbind(1), strict=True):
            for configuration in spectra.unbind(1):
                # Only columns of the spectrum that the aperture passes are transformed along the
                # first axis.
                wave = torch.fft.ifft(configuration * kernel, n=px, dim=-2, norm="forward")
                wave = torch.fft.ifft(wave, n=px, dim=-1, norm="forward")
                total.add_(torch.view_as_real(wave).square_().sum(-1), alpha=weight)
        return total

    def _form_each(
        self,
        spectra: torch.Tensor,
        weights: np.ndarray,
        kernels_of: Callable[[int], torch.Tensor],
        own_kernels: bool,
        blurs: Sequence[torch.Tensor | None],
    ) -> torch.Tensor:
        """Return the images of a batch. A few are formed at a time, which is fast on a CPU."""
        px, side = self.sampling.px, spectra.shape[-1]
        real, paired = (str(dtype).removeprefix("torch.") for dtype in (self.dtype, self._complex))
        add_power = compiled(_add_power, f"({paired}[:,:,::1], {real}[::1], {real}[:,:,::1])")
        images, weights = np.zeros((len(spectra), px, px), real), weights.astype(real)
        side_px = self.image.px
        finished = images if side_px == px else np.empty((len(spectra), side_px, side_px), real)
        members = min(len(weights), self._at_once)
        groups = [
            slice(first, min(first + members, len(weights)))
            for first in range(0, len(weights), members)
        ]
        # Images with their own kernels cannot be formed together.
        together = 1 if own_kernels else max(1, self._at_once // members)

        def work(numbers: Iterator[int]) -> None:
            tall, wide = scratch = self._take_scratch()
            # Coefficients at frequencies beyond the aperture are zero and stay zero.
            tall[:, side:, :side] = 0
            wide[:, side:] = 0
            for first in numbers:
                part = slice(first, min(first + together, len(spectra)))
                kernels = kernels_of(first)
                for configuration in spectra[part].unbind(1):
                    for group in groups:
                        # The number of waves in a transform is always the same, also for the last
                        # few images: on some processors, the rounding depends on this number.
                        columns, rows = (
                            memory[: together * (group.stop - group.start)] for memory in scratch
                        )
                        columns = columns[:, :, :side].unflatten(0, (together, -1))
                        columns[len(configuration) :] = 0
                        torch.mul(
                            configuration[:, None],
                            kernels[group],
                            out=columns[: len(configuration), :, :side],
                        )
                        columns = columns.flatten(0, 1)
                        # The result of a torch transform along the first axis is transposed in
                        # memory. After two such transforms, the image has its normal order again.
                        rows[:, :side] = torch.fft.ifft(columns, dim=1, norm="forward").mT
                        formed = torch.fft.ifft(rows, dim=1, norm="forward").mT.contiguous()
                        add_power(formed.numpy(), weights[group], images[part])
                for number in range(part.start, part.stop):
                    before = torch.from_numpy(images[number])
                    image = self._finished(before, blurs[number])
                    if image is not before:
                        finished[number] = image.numpy()
            self._scratch.append(scratch)

        share_images(work, range(0, len(spectra), together), images.size)
        return torch.from_numpy(finished)

    def _take_scratch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return memory for spectra before the first transform and between the two transforms.

        Memory of earlier calls is reused if possible: new memory pages from the operating system
        take more time than the computation in them.
        """
        try:
            return self._scratch.pop()
        except IndexError:
            px, cropped = self.sampling.px, self.sampling.cropped
            tall = torch.empty((self._at_once, px, cropped), dtype=self._complex)
            # If the distance between rows in memory were a power of two, all rows would have to
            # share a few cache lines.
            wide = torch.empty((self._at_once, px, px + 16), dtype=self._complex)
            return tall, wide[..., :px]

    def _finished(self, images: torch.Tensor, blur: torch.Tensor | None) -> torch.Tensor:
        """Return intensities on the image's pixels, after the blur."""
        if blur is None and self.image == self.sampling:
            return images
        px, fine = self.image.px, images.shape[-1]
        spectrum = torch.fft.rfft2(images)
        if px != fine:
            # Frequencies at the Nyquist frequency of the image's pixels have no phase there.
            rows = torch.fft.fftfreq(px, 1 / px, device=images.device).round().long()
            spectrum = spectrum[..., rows % fine, : px // 2 + 1] * (px / fine) ** 2
            if px % 2 == 0:
                spectrum[..., px // 2, :] = 0
                spectrum[..., -1] = 0
        if blur is not None:
            spectrum = spectrum * blur
        return torch.fft.irfft2(spectrum, s=(px, px)).clamp_min_(0)


def without_aberrations(lens: ctf.Optics) -> ctf.Optics:
    """Return a lens without aberrations, and otherwise the same."""
    lens = replace(lens, phi12=0.0, phi21=0.0, phi23=0.0)
    return replace(lens, defocus=0.0, cs=0.0, c12=0.0, c21=0.0, c23=0.0)


def _shared(lenses: Sequence[ctf.Optics], widest: float | None = None) -> ctf.Optics:
    """Return what all lenses have in common: a lens without aberrations.

    With `widest`, its aperture passes everything that an aperture of this semi-angle passes, with
    the factor 1 also where an aperture's edge is not sharp.
    """
    if widest is not None:
        lenses = [replace(lens, aperture=widest + lens.aperture_edge) for lens in lenses]
    shared = [without_aberrations(lens) for lens in lenses]
    if any(lens != shared[0] for lens in shared):
        raise ValueError("lenses of one batch must differ only in their aberrations")
    return shared[0]


def _add_power(waves, weights, totals):
    """Add to each image the weighted |ψ|² of the image's waves, in one pass over memory."""
    for image in range(len(totals)):
        for wave in range(len(weights)):
            for i in range(totals.shape[1]):
                for j in range(totals.shape[2]):
                    z = waves[image * len(weights) + wave, i, j]
                    totals[image, i, j] += weights[wave] * (z.real * z.real + z.imag * z.imag)
