"""Exit waves by multislice: what every image of a structure is made from."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import scipy.fft
import xarray as xr
from ase import Atoms

from passband import seeds, thermal, units
from passband.config import Microscope, Specimen
from passband.sampling import ANTIALIAS, Sampling
from passband.specimen import FACES, Structure, draw, instances

try:
    import cupy
except ModuleNotFoundError:
    cupy = None
except Exception as error:
    warnings.warn(f"CuPy is installed but does not import: {error}; using the CPU", stacklevel=2)
    # A CuPy that fails to import takes abTEM down with it, one that is not there does not.
    sys.modules["cupy"] = sys.modules["cupyx"] = cupy = None

import abtem
import abtem.core.fft

#: Largest thickness of a slice [Å]. Within 0.95 of the cutoff a wave changes by less than 1% of
#: its own contrast when slices are made thinner.
SLICE_A = 1.0

#: abTEM's settings that results depend on, so that nobody's ``~/.config/abtem`` changes a study.
_SETTINGS = {
    "fft": "numpy",
    "precision": "float32",
    "antialias.cutoff": ANTIALIAS,
    "antialias.taper": 0.01,
}


_dispatch = abtem.core.fft._fft_dispatch


def _transform(x: Any, func_name: str, overwrite_x: bool = False, **options: Any) -> Any:
    """Return a Fourier transform by scipy on the CPU, and as abTEM does it elsewhere."""
    if isinstance(x, np.ndarray):
        return getattr(scipy.fft, func_name)(x, overwrite_x=overwrite_x, workers=1, **options)
    return _dispatch(x, func_name, overwrite_x=overwrite_x, **options)


@contextlib.contextmanager
def _abtem() -> Iterator[None]:
    """Hold abTEM to settings and transforms that give the same bits in every process.

    FFTW, its default, picks an algorithm by timing, anew in each process, and without timing
    (FFTW_ESTIMATE) picks one that takes sixteen times as long at 512². numpy and scipy always take
    the same one; scipy's is as fast as what FFTW finds, seven times as fast as numpy's at 512², and
    abTEM has no setting for it.
    """
    with (
        abtem.config.set(_SETTINGS),
        mock.patch.object(abtem.core.fft, "_fft_dispatch", _transform),
    ):
        yield


def resolve_device(device: str = "auto") -> str:
    """Return "cpu" or "gpu" for "auto", "cpu" or "gpu".

    "auto" is the GPU if CuPy can compute on one. A CuPy that finds a GPU or a driver and cannot
    use it is warned about, and the CPU taken.
    """
    if device != "auto":
        return device
    try:
        if cupy is None or not cupy.cuda.is_available():
            return "cpu"
        # An arithmetic and a transform need all the libraries that multislice does.
        (cupy.fft.fft2(cupy.ones((8, 8), np.complex64)) * 2).get()
    except Exception as error:
        warnings.warn(f"CuPy does not work: {error}; using the CPU", stacklevel=2)
        return "cpu"
    return "gpu"


def exit_wave(
    atoms: Atoms, sampling: Sampling, energy_eV: float, device: str = "cpu"
) -> np.ndarray:
    """Return the wave behind a structure for a plane wave of amplitude 1.

    Multislice by abTEM (Madsen & Susi, *Open Research Europe* 1, 24, 2021) with Lobato's
    independent-atom potentials, each projected whole into one slice. The beam runs along +z and
    the wave is that at the top of the cell. What scatters beyond the antialiasing cutoff is lost,
    so the mean intensity is slightly less than 1.

    Parameters
    ----------
    atoms : ase.Atoms
        Orthorhombic cell, field × field × height [Å], all atoms inside.
    sampling : Sampling
        The grid; its field is the cell's side.
    energy_eV : float
        Beam energy [eV].
    device : "cpu" or "gpu"
        Where to compute.

    Returns
    -------
    (px, px) complex64 array
        The first axis is x. The spectrum is zero beyond `sampling.cutoff`.
    """
    with _abtem():
        potential = _potential(atoms, sampling, device)
        plane = abtem.PlaneWave(energy=energy_eV, device=device)
        # Not lazy: dask, and its threads, stay out of it.
        return plane.multislice(potential, lazy=False).to_cpu().array


def projected_potential(atoms: Atoms, sampling: Sampling, device: str = "cpu") -> np.ndarray:
    """Return a structure's potential, projected along the beam.

    It is the sum of the slices that :func:`exit_wave` sends the wave through.

    Parameters
    ----------
    atoms, sampling, device
        As for :func:`exit_wave`.

    Returns
    -------
    (px, px) float32 array
        Projected potential [V·Å]; the first axis is x.
    """
    with _abtem():
        potential = _potential(atoms, sampling, device).build(lazy=False)
        return potential.project().to_cpu().array


def _potential(atoms: Atoms, sampling: Sampling, device: str) -> abtem.Potential:
    return abtem.Potential(
        atoms,
        gpts=sampling.px,
        slice_thickness=SLICE_A,
        projection="infinite",
        device=device,
    )


def linear_power(spectrum: np.ndarray) -> np.ndarray:
    """Return the power of a wave's linear phase contrast by spatial frequency.

    Write ψ = ψ̄(1 + a + ib) with mean ψ̄ and real a and b. To first order the image of ψ under an
    aberration phase χ has the Fourier coefficients 2(a(q) cos χ + b(q) sin χ), and of a thin
    object, ψ ≈ 1 + iσV, only b is there: it is what linear transfer, sin χ(q), makes visible
    (Kirkland, 2nd ed., sec. 3.1). From the wave's coefficients ψ(q), those of the real b = Im ψ/ψ̄
    are b(q) = [ψ(q)/ψ̄ − (ψ(−q)/ψ̄)*]/2i.

    Parameters
    ----------
    spectrum : (cropped, cropped) complex array
        From :meth:`Sampling.crop`.

    Returns
    -------
    (half + 1,) float64 array
        Mean of |b(q)|² over ring k, the pixels with round(|k|) = k; ring 0 is set to 0.
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
    specimen_name: str, specimen: Specimen, sampling: Sampling, seed: int, split: str, index: int
) -> Structure:
    """Return a split's structure, at rest: what :func:`simulate` sends its waves through."""
    rng = seeds.generator(seed, specimen_name, split, int(index), "structure")
    return draw(specimen, sampling, rng)


def configurations(
    specimen_name: str, specimen: Specimen, atoms: Atoms, seed: int, split: str, index: int
) -> Iterator[Atoms]:
    """Yield a structure's atoms as they are in each of its frozen configurations.

    The k-th depends on study seed, specimen's name, split, index and k alone, so that with more of
    them the first ones stay what they are. Where atoms are at rest there is one, `atoms` itself.
    """
    for k in range(specimen.thermal.configurations):
        rng = seeds.generator(seed, specimen_name, split, int(index), "phonon", k)
        yield thermal.displaced(atoms, specimen, rng)


def simulate(
    specimen_name: str,
    specimen: Specimen,
    microscope: Microscope,
    seed: int,
    split: str,
    indices: Sequence[int],
    device: str = "auto",
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda indices: indices,
) -> xr.Dataset:
    """Return exit waves and masks of some of a split's structures.

    A structure and its configurations depend on study seed, specimen's name, split and index
    alone, so any division into shards gives the same ones. An image is to be formed of each
    configuration's wave, and their mean taken.

    Parameters
    ----------
    specimen_name : str
        The specimen's key in the study.
    specimen : config.Specimen
        The distribution of structures.
    microscope : config.Microscope
        Beam energy, field and pixel size.
    seed : int
        The study's seed.
    split : str
        "train", "val" or "test".
    indices : sequence of int
        Indices of structures within the split.
    device : "auto", "cpu" or "gpu"
        See :func:`resolve_device`.
    progress : callable
        Wraps the iteration over `indices`, as tqdm does.

    Returns
    -------
    xarray.Dataset
        ========== ========= ================================== ================================
        name       type      dimensions
        ========== ========= ================================== ================================
        spectrum   complex64 (structure, configuration, kx, ky) :meth:`Sampling.crop` of the
                                                                exit wave
        mask       uint8     (structure, x, y)                  1 where there is a particle, else 0
        instances  uint8     (structure, face, x, y)            which:
                                                                :func:`passband.specimen.instances`
        particles  int64     (structure)                        particles that found room
        power      float64   (structure, q)                     :func:`linear_power` of the mean
                                                                of the spectra
        structure  int64     (structure)                        index within the split
        face       str       (face)                             the substrate's: top or bottom
        q          float64   (q)                                ring's spatial frequency [1/Å]
        ========== ========= ================================== ================================

    Raises
    ------
    PassbandError
        If a structure cannot be made; see :func:`passband.specimen.draw`.
    """
    sampling, energy, device = microscope.sampling, units.energy(microscope), resolve_device(device)
    shape = len(indices), specimen.thermal.configurations, sampling.cropped, sampling.cropped
    spectrum = np.empty(shape, np.complex64)
    labels = np.empty((len(indices), len(FACES), sampling.px, sampling.px), np.uint8)
    power = np.empty((len(indices), sampling.half + 1))
    particles = np.empty(len(indices), np.int64)
    for i, index in enumerate(progress(indices)):
        drawn = structure(specimen_name, specimen, sampling, seed, split, index)
        particles[i] = len(drawn.faces)
        labels[i] = instances(drawn, sampling)
        frozen = configurations(specimen_name, specimen, drawn.atoms, seed, split, index)
        for k, atoms in enumerate(frozen):
            spectrum[i, k] = sampling.crop(exit_wave(atoms, sampling, energy, device))
        # The linear contrast of a mean of images is that of the mean wave: what differs from one
        # configuration to the next, the thermal diffuse scattering, is not in it.
        power[i] = linear_power(spectrum[i].mean(0))
    return xr.Dataset(
        {
            "spectrum": (
                ("structure", "configuration", "kx", "ky"),
                spectrum,
                {"long_name": "Fourier coefficients of the exit wave", "units": "1"},
            ),
            "mask": (
                ("structure", "x", "y"),
                labels.any(1).astype(np.uint8),
                {"long_name": "particles in projection", "units": "1"},
            ),
            "instances": (
                ("structure", "face", "x", "y"),
                labels,
                {"long_name": "number of the particle in projection, 0 is none", "units": "1"},
            ),
            "particles": (
                "structure",
                particles,
                {"long_name": "number of particles that found room", "units": "1"},
            ),
            "power": (
                ("structure", "q"),
                power,
                {"long_name": "power of the linear phase contrast", "units": "1"},
            ),
        },
        {
            "structure": (
                "structure",
                np.asarray(indices, np.int64),
                {"long_name": "index within the split", "units": "1"},
            ),
            "face": (
                "face",
                list(FACES),
                {"long_name": "face of the substrate that a particle lies on", "units": "1"},
            ),
            "q": (
                "q",
                np.arange(sampling.half + 1) / sampling.field_A,
                {"long_name": "spatial frequency", "units": "1/Å"},
            ),
        },
        {
            "pixel_size_A": sampling.pixel_A,
            "energy_eV": energy,
            "field_px": sampling.px,
            "seed": seed,
            "specimen": specimen_name,
            "split": split,
        },
    )
