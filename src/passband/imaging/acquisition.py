"""Images of a split under a condition. Images are formed in memory when they are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from passband.config import Microscope
from passband.grid import Condition
from passband.imaging import camera
from passband.imaging.imager import Imager
from passband.imaging.noise import drawn, filtered, noise_seeds, normalise
from passband.imaging.structures import Split, Structures
from passband.optics.ctf import Optics


@dataclass(frozen=True)
class Acquisition:
    """Forms the images of a study with one microscope and one normalisation.

    Attributes:
        imager: Forms the noise-free intensities.
        normalisation: See :func:`passband.imaging.noise.normalise`.
    """

    imager: Imager
    microscope: Microscope
    normalisation: str

    @classmethod
    def from_microscope(
        cls, microscope: Microscope, normalisation: str, device: torch.device
    ) -> "Acquisition":
        """Return the acquisition with a study's microscope, which computes on `device`."""
        imager = Imager(
            microscope.wave_sampling,
            microscope.coherence,
            microscope.focal_members,
            device,
            blur=microscope.blur,
            image=microscope.sampling,
        )
        return cls(imager, microscope, normalisation)

    def electrons(self, condition: Condition) -> float:
        """Return the mean number of electrons in a vacuum pixel."""
        return condition.dose_e_per_A2 * self.microscope.under(condition).pixel_size_A ** 2

    def normalised(self, counts: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return the normalised counts, which are the input of a network.

        The normalisation ``vacuum`` divides counts by the mean count of a vacuum pixel under the
        condition.
        """
        vacuum = self.electrons(condition) * self.microscope.detector.gain
        return normalise(counts, self.normalisation, vacuum)

    def under(self, condition: Condition) -> "Acquisition":
        """Return the acquisition with a condition's pixels, vibration and detector."""
        microscope = self.microscope.under(condition)
        if microscope is self.microscope:
            return self
        names = "pixel_size_A", "vibration_A", "detector"
        if all(getattr(microscope, n) == getattr(self.microscope, n) for n in names):
            return self
        if microscope not in self._others:
            other = self.from_microscope(microscope, self.normalisation, self.imager.device)
            self._others.clear()  # a job forms all images of a condition before those of the next
            self._others.extend([microscope, other])
        return self._others[1]

    @cached_property
    def _others(self) -> list:
        """The last microscope with other pixels or another blur, and its acquisition."""
        return []

    def lenses(
        self, split: Split, condition: Condition, draw: int = 0
    ) -> list[tuple[Optics, float]]:
        """Return each image's lens and relative dose; parameters as of :meth:`intensities`."""
        optics = self.microscope.optics(condition)
        return [
            self.lens(optics, split.structures, int(index), condition, draw)
            for index in split.indices
        ]

    def lens(
        self,
        optics: Optics,
        structures: Structures,
        index: int,
        condition: Condition,
        draw: int = 0,
    ) -> tuple[Optics, float]:
        """Return the lens of one image, and the ratio of its dose to the condition's dose.

        `optics` is the lens of the condition without jitter. `index` is that of the image's
        structure within the split.
        """
        names = *structures.names, index, condition.id, "lens", draw
        return self.microscope.jitter.draw(optics, names)

    def intensities(
        self, split: Split, condition: Condition, draw: int = 0, chunk: int = 64
    ) -> Iterator[torch.Tensor]:
        """Yield a split's noise-free images in chunks of (n, px, px), in order.

        An intensity is the expected number of electrons, divided by :meth:`electrons`. If the
        microscope has jitter, every image has its own lens and dose in each draw. All replicas
        have the same lenses and doses.

        Args:
            draw: The number of the draw of the jitter. Without jitter, it has no effect.
            chunk: Number of images that are formed at a time. A small number limits the memory. The
                images do not depend on it.
        """
        jitter = self.microscope.jitter
        drawn = self.lenses(split, condition, draw) if jitter.varies else []
        optics = None if jitter.lens_varies else self.microscope.optics(condition)
        imager = self.under(condition).imager
        for start in range(0, len(split), chunk):
            part = slice(start, start + chunk)
            lenses = [lens for lens, _ in drawn[part]] if jitter.lens_varies else optics
            intensity = imager.intensity(split.spectra[part], lenses)
            if jitter.dose:
                doses = torch.tensor([dose for _, dose in drawn[part]]).to(intensity)
                intensity = intensity * doses[:, None, None]
            yield intensity

    def exposed(
        self, intensity: torch.Tensor, condition: Condition, seeds: Sequence[int]
    ) -> torch.Tensor:
        """Return the counts of (n, px, px) intensities: electrons times the detector's gain.

        If the detector's noise has a spectrum, the counts are filtered after they are drawn, see
        :mod:`passband.optics.noise_filter`. The last step is
        :func:`~passband.imaging.camera.recorded`. `seeds` has the noise seed of each image, from
        :func:`~passband.imaging.noise.noise_seeds`.
        """
        part = self.microscope.noise_part
        counts = drawn(part, intensity, self.electrons(condition), seeds)
        if (noise_filter := self.under(condition)._noise_filter) is not None:
            counts = filtered(counts, noise_filter)
        return camera.recorded(counts, [self.microscope] * len(counts))

    @cached_property
    def _noise_filter(self) -> torch.Tensor | None:
        """The filter of counts on the imager's device, or None."""
        factor = self.microscope.noise_filter
        if factor is None:
            return None
        return torch.as_tensor(factor, dtype=self.imager.dtype, device=self.imager.device)

    def counts(
        self,
        split: Split,
        condition: Condition,
        draw: int = 0,
        replica: int | None = None,
        chunk: int = 64,
    ) -> Iterator[torch.Tensor]:
        """Yield the counts of a split's images in chunks of (n, px, px), in order.

        The parameters are those of :meth:`intensities` and of
        :func:`~passband.imaging.noise.noise_seeds`. The same parameters always give the same
        counts.
        """
        seeds = noise_seeds(split.structures, split.indices, condition, draw, replica)
        start = 0
        for intensity in self.intensities(split, condition, draw, chunk):
            yield self.exposed(intensity, condition, seeds[start : start + len(intensity)])
            start += len(intensity)

    def images(
        self, split: Split, condition: Condition, draw: int = 0, replica: int | None = None
    ) -> torch.Tensor:
        """Return normalised images of a split under a condition: (N, 1, px, px) float32.

        The parameters are those of :meth:`counts`.
        """
        counts = self.counts(split, condition, draw, replica)
        return torch.cat([self.normalised(part, condition) for part in counts])[:, None]
