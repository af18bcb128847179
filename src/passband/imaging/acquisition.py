"""Images of a split under a condition. Images are formed in memory when they are needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from passband.config import Microscope
from passband.config.drawn import is_range
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
        condition, with the study's own gain, or the middle of its range: an image with another gain
        is brighter.
        """
        vacuum = self.electrons(condition) * self.microscope.middle.detector.gain
        return normalise(counts, self.normalisation, vacuum)

    def imager_under(self, condition: Condition) -> Imager:
        """Return the imager with a condition's pixels, vibration and MTF."""
        under = self.microscope.under(condition)
        if _formed_by(under) == _formed_by(self.microscope):
            return self.imager
        if _formed_by(under) not in self._others:
            self._others.clear()  # a job forms all images of a condition before those of the next
            other = self.from_microscope(under, self.normalisation, self.imager.device)
            self._others[_formed_by(under)] = other.imager
        return self._others[_formed_by(under)]

    @cached_property
    def _others(self) -> dict[str, Imager]:
        """The last imager with other pixels or another blur."""
        return {}

    def cameras(
        self, structures: Structures, indices: Iterable[int], condition: Condition, draw: int = 0
    ) -> list[Microscope]:
        """Return the microscope of each image, which has one number in place of each range.

        All replicas have the same microscopes. `indices` are those of the images' structures within
        the split.
        """
        under = self.microscope.under(condition)
        if not under.ranges:
            return [under for _ in indices]
        names = structures.names
        id = condition.id
        return [under.drawn(*names, int(index), id, "camera", draw) for index in indices]

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
        microscope has jitter, every image has its own lens and dose in each draw; its vibration is
        that of :meth:`cameras`. All replicas have the same lenses and doses.

        Args:
            draw: The number of the draw of the jitter. Without jitter, it has no effect.
            chunk: Number of images that are formed at a time. A small number limits the memory. The
                images do not depend on it.
        """
        jitter = self.microscope.jitter
        drawn = self.lenses(split, condition, draw) if jitter.varies else []
        optics = None if jitter.lens_varies else self.microscope.optics(condition)
        imager = self.imager_under(condition)
        blurs = None
        if is_range(self.microscope.under(condition).vibration_A):
            cameras = self.cameras(split.structures, split.indices, condition, draw)
            blurs = [each.blur for each in cameras]
        for start in range(0, len(split), chunk):
            part = slice(start, start + chunk)
            lenses = [lens for lens, _ in drawn[part]] if jitter.lens_varies else optics
            own = None if blurs is None else blurs[part]
            intensity = imager.intensity(split.spectra[part], lenses, blurs=own)
            if jitter.dose:
                doses = torch.tensor([dose for _, dose in drawn[part]]).to(intensity)
                intensity = intensity * doses[:, None, None]
            yield intensity

    def exposed(
        self,
        intensity: torch.Tensor,
        condition: Condition,
        seeds: Sequence[int],
        cameras: Sequence[Microscope] = (),
    ) -> torch.Tensor:
        """Return the counts of (n, px, px) intensities: electrons times the detector's gain.

        If the detector's noise has a spectrum, the counts are filtered after they are drawn, see
        :mod:`passband.optics.noise_filter`. The last step is
        :func:`~passband.imaging.camera.recorded`.

        Args:
            seeds: The noise seed of each image, from :func:`~passband.imaging.noise.noise_seeds`.
            cameras: The microscope of each image, see :meth:`cameras`; by default the middle of
                all ranges.
        """
        part = self.microscope.noise_part
        counts = drawn(part, intensity, self.electrons(condition), seeds)
        cameras = cameras or [self.microscope.under(condition).middle] * len(counts)
        factors = [self._noise_filter(each) for each in cameras]
        if all(factor is factors[0] for factor in factors):
            if factors[0] is not None:
                counts = filtered(counts, factors[0])
        else:
            pairs = zip(counts.split(1), factors, strict=True)
            counts = torch.cat([c if f is None else filtered(c, f) for c, f in pairs])
        return camera.recorded(counts, cameras)

    def _noise_filter(self, microscope: Microscope) -> torch.Tensor | None:
        """Return the filter of counts on the imager's device, or None."""
        key = repr((microscope.pixel_size_A, microscope.detector.noise))
        if key not in self._filters:
            self._filters.clear()
            factor = microscope.noise_filter
            if factor is not None:
                factor = torch.as_tensor(factor, dtype=self.imager.dtype, device=self.imager.device)
            self._filters[key] = factor
        return self._filters[key]

    @cached_property
    def _filters(self) -> dict[str, torch.Tensor | None]:
        """The last filter of counts."""
        return {}

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
        cameras = self.cameras(split.structures, split.indices, condition, draw)
        start = 0
        for intensity in self.intensities(split, condition, draw, chunk):
            part = slice(start, start + len(intensity))
            yield self.exposed(intensity, condition, seeds[part], cameras[part])
            start += len(intensity)

    def images(
        self, split: Split, condition: Condition, draw: int = 0, replica: int | None = None
    ) -> torch.Tensor:
        """Return normalised images of a split under a condition: (N, 1, px, px) float32.

        The parameters are those of :meth:`counts`.
        """
        counts = self.counts(split, condition, draw, replica)
        return torch.cat([self.normalised(part, condition) for part in counts])[:, None]


def _formed_by(microscope: Microscope) -> str:
    """Return what an imager depends on that a condition may change."""
    return repr((microscope.pixel_size_A, microscope.blurred_by))
