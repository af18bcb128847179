"""Images of a specimen's structures under a condition, formed in memory as they are needed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr

from passband import detector, store, units
from passband.config import Microscope
from passband.ctf import Optics
from passband.grid import Condition
from passband.imaging import Imager, expose, normalise
from passband.lens import Spread
from passband.seeds import seed


@dataclass(frozen=True)
class Split:
    """The exit waves and masks of one specimen's train, val or test split, on a device.

    Attributes
    ----------
    names : tuple
        (study seed, specimen, split): what the seeds of the images' noise start with.
    structures : (N,) int array
        Index of each structure within the split.
    spectra : (N, P, cropped, cropped) complex64 tensor
        Cropped spectra of the exit waves, P frozen-phonon configurations of each structure.
    masks : (N, 1, px, px) float32 tensor
        Ground truth, 0 or 1.
    instances : (N, 2, px, px) uint8 array, optional
        Which particle is where, see :func:`passband.specimen.instances`; only if it was asked for.
    """

    names: tuple[int, str, str]
    structures: np.ndarray
    spectra: torch.Tensor
    masks: torch.Tensor
    instances: np.ndarray | None = None

    @classmethod
    def load(
        cls,
        paths: Sequence[str],
        names: tuple[int, str, str],
        microscope: Microscope,
        device: torch.device,
        instances: bool = False,
    ) -> "Split":
        """Read a split from its shards.

        Parameters
        ----------
        paths : sequence of str
            The shards of exit waves.
        names : (int, str, str)
            Study seed, specimen and split.
        microscope : Microscope
            Whose field, pixels and energy the waves must have.
        device : torch.device
            Where to keep them.
        instances : bool
            Whether to read the instances too, which networks are not trained on.

        Raises
        ------
        StoreError
            If a shard is missing, torn, or of another specimen, split, field or energy.
        """
        variables = ["spectrum", "mask"] + ["instances"] * instances
        waves = store.read_many(
            paths, store.WAVES, "structure", expected(names, microscope), variables
        )
        return cls.from_dataset(waves, names[0], device)

    @classmethod
    def from_dataset(cls, waves: xr.Dataset, study_seed: int, device: torch.device) -> "Split":
        """Return the split in a dataset of exit waves."""
        return cls(
            (study_seed, waves.attrs["specimen"], waves.attrs["split"]),
            waves.structure.values,
            torch.as_tensor(waves.spectrum.values, device=device),
            torch.as_tensor(waves["mask"].values[:, None], dtype=torch.float32, device=device),
            waves.instances.values if "instances" in waves else None,
        )

    def __len__(self) -> int:
        return len(self.structures)

    def first(self, number: int) -> "Split":
        """Return the split's first structures, at most so many."""
        return self.take(np.arange(min(number, len(self))))

    def take(self, indices: np.ndarray) -> "Split":
        """Return structures by their place in the split."""
        return Split(
            self.names,
            self.structures[indices],
            self.spectra[indices],
            self.masks[indices],
            None if self.instances is None else self.instances[indices],
        )

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digits that stand for all that networks see: waves, masks, noise's seeds."""
        return digest(self.names, (self.take(np.array([place])) for place in range(len(self))))


def expected(names: tuple[int, str, str], microscope: Microscope) -> dict[str, object]:
    """Return the attributes that stores of a split's exit waves have."""
    return {
        "seed": names[0],
        "specimen": names[1],
        "split": names[2],
        "field_px": microscope.field_px,
        "pixel_size_A": microscope.pixel_size_A,
        "energy_eV": units.energy(microscope),
    }


def digest(names: tuple[int, str, str], structures: Iterable[Split]) -> str:
    """Return hexadecimal digits that stand for a split, given structure by structure."""
    hashed = hashlib.blake2b(repr(names).encode(), digest_size=8)
    for part in structures:
        hashed.update(repr(part.structures.tolist()).encode())
        for tensor in (part.spectra, part.masks):
            hashed.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return hashed.hexdigest()


@dataclass(frozen=True)
class Camera:
    """Takes the images of a study: one microscope, one normalisation.

    Attributes
    ----------
    imager : Imager
        Forms intensities.
    microscope : Microscope
        The study's microscope.
    normalisation : str
        See :func:`passband.imaging.normalise`.
    """

    imager: Imager
    microscope: Microscope
    normalisation: str

    @classmethod
    def of(cls, microscope: Microscope, normalisation: str, device: torch.device) -> "Camera":
        """Return the camera of a configuration's microscope, computing on a device."""
        blur = detector.blur(
            microscope.sampling,
            microscope.vibration_A,
            microscope.detector.mtf,
            microscope.detector.mtf_nyquist,
            microscope.detector.mtf_table,
        )
        imager = Imager(
            microscope.sampling,
            microscope.coherence,
            microscope.focal_members,
            device,
            blur=blur,
        )
        return cls(imager, microscope, normalisation)

    def electrons(self, condition: Condition) -> float:
        """Return the mean number of electrons in a vacuum pixel."""
        return condition.dose_e_per_A2 * self.microscope.pixel_size_A**2

    def seen(self, counts: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Return what a network sees of counts; `vacuum` goes by the condition's own dose."""
        vacuum = self.electrons(condition) * self.microscope.detector.gain
        return normalise(counts, self.normalisation, vacuum)

    def seeds(self, split: Split, condition: Condition, draw: int = 0) -> list[int]:
        """Return the seed of each image's noise; see :meth:`counts`."""
        return [seed(*split.names, int(i), condition.id, "noise", draw) for i in split.structures]

    def lenses(
        self, split: Split, condition: Condition, draw: int = 0
    ) -> list[tuple[Optics, float]]:
        """Return each image's lens, and its dose over the condition's; see :meth:`counts`."""
        optics, spread = units.optics(condition, self.microscope), units.spread(self.microscope)
        return [
            spread.draw(optics, (*split.names, int(i), condition.id, "lens", draw))
            for i in split.structures
        ]

    def counts(
        self, split: Split, condition: Condition, draw: int = 0, chunk: int = 64
    ) -> Iterator[torch.Tensor]:
        """Yield the counts of a split's images in chunks of (n, px, px), in order.

        They are whole numbers of electrons times the detector's gain. Where the microscope has
        spreads, every image has a lens and a dose of its own.

        Parameters
        ----------
        split : Split
            Whose images.
        condition : Condition
            Under which imaging condition.
        draw : int
            Which draw of the noise and of the spreads; the same draw always gives the same counts.
        chunk : int
            Images formed at a time; it bounds memory and changes nothing else.
        """
        optics, spread = units.optics(condition, self.microscope), units.spread(self.microscope)
        gain = self.microscope.detector.gain
        seeds = self.seeds(split, condition, draw)
        drawn = self.lenses(split, condition, draw) if spread != Spread() else []
        for start in range(0, len(split), chunk):
            part = slice(start, start + chunk)
            lenses = [lens for lens, _ in drawn[part]] if spread.of_lens else optics
            intensity = self.imager.intensity(split.spectra[part], lenses)
            if spread.dose:
                doses = torch.tensor([dose for _, dose in drawn[part]]).to(intensity)
                intensity = intensity * doses[:, None, None]
            counts = expose(intensity, self.electrons(condition), seeds[part])
            yield counts if gain == 1 else counts * gain

    def images(self, split: Split, condition: Condition, draw: int = 0) -> torch.Tensor:
        """Return what a network sees of a split under a condition: (N, 1, px, px) float32."""
        return torch.cat(
            [self.seen(counts, condition) for counts in self.counts(split, condition, draw)]
        )[:, None]
