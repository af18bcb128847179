"""Exit waves, computed by multislice. All images of a structure are formed from its exit wave."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import xarray as xr
from ase import Atoms

from passband import seeds
from passband.config import Microscope, Specimen
from passband.optics.sampling import Sampling
from passband.parts import PartError
from passband.specimens import thermal
from passband.specimens.drawing import draw
from passband.specimens.masks import instances
from passband.specimens.multislice import resolve_device
from passband.specimens.structures import FACES, Structure
from passband.storage.datasets import described


def linear_power(spectrum: np.ndarray) -> np.ndarray:
    """Return the power of a wave's linear phase contrast at each spatial frequency.

    A wave ψ with the mean ψ̄ is written as ψ = ψ̄(1 + a + ib), with real functions a and b. To
    first order, the image of ψ under an aberration phase χ has the Fourier coefficients
    2(a(q) cos χ + b(q) sin χ). For a thin object, ψ ≈ 1 + iσV and a = 0. The linear transfer
    sin χ(q) makes b visible (Kirkland, 2nd ed., sec. 3.1). The Fourier coefficients of
    b = Im ψ/ψ̄ follow from the wave's Fourier coefficients ψ(q):
    b(q) = [ψ(q)/ψ̄ − (ψ(−q)/ψ̄)*]/2i.

    Args:
        spectrum: (cropped, cropped) complex, the cropped spectrum of the wave, see
            :meth:`Sampling.crop`.

    Returns:
        (half + 1,) float64: mean of |b(q)|² over each ring of the spectrum. Ring n has the Fourier
        coefficients whose distance from zero frequency, in steps of the spectrum, rounds to n. The
        value of ring 0 is set to 0.
    """
    half = len(spectrum) // 2
    relative = spectrum.astype(np.complex128) / spectrum[half, half]
    b = (relative - relative[::-1, ::-1].conj()) / 2j
    k = np.arange(-half, half + 1)
    ring = np.rint(np.hypot(k[:, None], k)).astype(int)
    inside = ring <= half
    power = np.bincount(ring[inside], np.abs(b[inside]) ** 2) / np.bincount(ring[inside])
    power[0] = 0
    return power


def structure(
    specimen_name: str,
    specimen: Specimen,
    sampling: Sampling,
    seed: int,
    split: str,
    index: int,
    own: tuple[Specimen, Sampling] | None = None,
) -> Structure:
    """Return a structure of a split, with its atoms at rest: the one that :func:`simulate` uses.

    `own` has the study's own specimen and grid, see :func:`passband.specimens.drawing.draw`.
    """
    rng = seeds.generator(seed, specimen_name, split, int(index), "structure")
    return draw(specimen, sampling, rng, own)


def configurations(
    specimen_name: str, specimen: Specimen, atoms: Atoms, seed: int, split: str, index: int
) -> Iterator[Atoms]:
    """Yield a structure's atoms in each of its frozen configurations.

    The frozen configuration k depends only on the study's seed, the specimen's name, the split, the
    structure's index and k. So a larger number of configurations does not change the first ones. If
    atoms are at rest, the only configuration is `atoms`.
    """
    for k in range(specimen.thermal.configurations):
        rng = seeds.generator(seed, specimen_name, split, int(index), "phonon", k)
        yield thermal.displaced(atoms, specimen, rng)


class Engine(Protocol):
    """What computes exit waves, see :class:`passband.parts.engine`."""

    def wave(self, atoms: Atoms) -> np.ndarray:
        """Return the wave behind a structure."""


def engine(microscope: Microscope, device: str = "auto") -> Engine:
    """Return what computes exit waves, by `microscope.engine`.

    Raises:
        PassbandError: If the study chose abTEM, and abTEM cannot be imported.
        PartError: If the engine is the study's own, and must not run or fails.
    """
    part = microscope.engine_part
    device = resolve_device(device)
    return part.call(part.load(), microscope.multislice, microscope.energy_eV, device)


def wave_of(atoms: Atoms, computes: Engine, microscope: Microscope) -> np.ndarray:
    """Return the wave behind a structure, on the multislice grid.

    Args:
        computes: The engine, from :func:`engine`.

    Raises:
        PartError: If the engine is the study's own, and fails or returns something else.
    """
    part = microscope.engine_part
    wave = part.call(lambda: computes.wave(atoms))
    px = microscope.multislice.px
    found = np.shape(wave), getattr(wave, "dtype", None)
    if found[0] != (px, px) or found[1] not in (np.complex64, np.complex128):
        raise PartError(
            f"{part}: its wave has the shape {found[0]} and the type {found[1]}; must be complex, "
            f"({px}, {px})"
        )
    if not np.isfinite(wave).all():
        raise PartError(f"{part}: its wave has values that are not finite")
    return wave


def simulate(
    specimen_name: str,
    specimen: Specimen,
    microscope: Microscope,
    seed: int,
    split: str,
    indices: Sequence[int],
    device: str = "auto",
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda indices: indices,
    own: tuple[Specimen, Sampling] | None = None,
) -> xr.Dataset:
    """Return exit waves and masks of structures of a split.

    A structure and its frozen configurations depend only on the study's seed, the specimen's name,
    the split and the structure's index. So any division of the split into shards gives the same
    structures. An image of a structure is the mean of the images of all its frozen configurations.
    Exit waves are computed on the multislice grid, `microscope.multislice`, and their spectra are
    cropped to the cutoff of the image.

    Args:
        device: `auto`, `cpu` or `gpu`, see :func:`resolve_device`.
        progress: Wraps the iteration over `indices`, as tqdm does.
        own: The specimen and the grid of pixels with the study's own values, if `specimen` or
            `microscope` has other values. The structures then have the particles of these, see
            :func:`passband.specimens.drawing.draw`.

    Returns:
        `spectrum` (structure, configuration, kx, ky) complex64 is :meth:`Sampling.crop` of the exit
        wave, and 0 beyond its cutoff. `mask` and `instances` are uint8, see
        :func:`passband.specimens.masks.instances`. `power` (structure, q) is :func:`linear_power`
        of the mean of the spectra. The attributes of each variable describe it.

    Raises:
        PassbandError: If a structure cannot be made, see
            :func:`passband.specimens.drawing.draw`; or if abTEM cannot compute, see
            :class:`passband.specimens.abtem_engine.AbtemMultislice`.
    """
    sampling = microscope.sampling
    waves = microscope.wave_sampling
    multislice = engine(microscope, device)
    shape = len(indices), specimen.thermal.configurations, waves.cropped, waves.cropped
    spectrum = np.empty(shape, np.complex64)
    labels = np.empty((len(indices), len(FACES), sampling.px, sampling.px), np.uint8)
    power = np.empty((len(indices), waves.half + 1))
    particles = np.empty(len(indices), np.int64)
    for i, index in enumerate(progress(indices)):
        drawn = structure(specimen_name, specimen, sampling, seed, split, index, own)
        particles[i] = len(drawn.faces)
        labels[i] = instances(drawn, sampling)
        frozen = configurations(specimen_name, specimen, drawn.atoms, seed, split, index)
        for k, atoms in enumerate(frozen):
            spectrum[i, k] = waves.crop(wave_of(atoms, multislice, microscope)) * waves.band
        # The linear contrast of the mean image is the linear contrast of the mean wave. The mean
        # wave does not include the differences between frozen configurations, which are thermal
        # diffuse scattering.
        power[i] = linear_power(spectrum[i].mean(0))
    found = _described(indices, spectrum, labels, particles, power)
    found["q"] = described(
        "q", np.arange(waves.half + 1) / waves.field_A, "spatial frequency", "1/Å"
    )
    return found.assign_attrs(
        pixel_size_A=sampling.pixel_A,
        multislice_pixel_A=microscope.multislice.pixel_A,
        energy_eV=microscope.energy_eV,
        field_px=sampling.px,
        seed=seed,
        specimen=specimen_name,
        split=split,
        engine=microscope.engine,
    )


def _described(
    indices: Sequence[int],
    spectrum: np.ndarray,
    labels: np.ndarray,
    particles: np.ndarray,
    power: np.ndarray,
) -> xr.Dataset:
    """Return what was computed of structures, with descriptions, see :func:`simulate`."""
    image = "structure", "x", "y"
    return xr.Dataset(
        {
            "spectrum": described(
                ("structure", "configuration", "kx", "ky"),
                spectrum,
                "Fourier coefficients of the exit wave",
            ),
            "mask": described(image, labels.any(1).astype(np.uint8), "particles in projection"),
            "instances": described(
                ("structure", "face", "x", "y"),
                labels,
                "number of the particle in projection, 0 is none",
            ),
            "particles": described("structure", particles, "number of particles that found room"),
            "power": described(("structure", "q"), power, "power of the linear phase contrast"),
        },
        structure_coordinates(indices),
    )


def structure_coordinates(indices: Sequence[int]) -> dict[str, tuple]:
    """Return the coordinates `structure` and `face` of masks and instances."""
    structures = np.asarray(indices, np.int64)
    return {
        "structure": described("structure", structures, "index within the split"),
        "face": described("face", list(FACES), "face of the substrate that a particle lies on"),
    }
