"""Multislice compared with abTEM on fine pixels, with direct sums and with known values."""

import os
import subprocess
import sys
from types import SimpleNamespace

import abtem
import numpy as np
import pytest
from abtem.parametrizations import LobatoParametrization
from ase import Atoms

from passband import seeds
from passband.config import Diameter, Microscope, Orientation, Particles, Specimen
from passband.optics.sampling import Sampling
from passband.specimens import multislice
from passband.specimens import structures as specimen
from passband.specimens.multislice import Multislice

ENERGY = 300e3
GRID = Sampling(48, 0.3)
TINY = Specimen(
    diameter_nm=Diameter(mean=0.8, std=0.1, min=0.6, max=1.0), particles=Particles(min=1, max=1)
)


def cell(symbols="", positions=None, grid=GRID):
    return Atoms(
        symbols, positions, cell=[grid.field_A, grid.field_A, 4.0], pbc=(True, True, False)
    )


def atoms(index=0, spec=TINY):
    return specimen.draw(spec, GRID, seeds.generator("test", index)).atoms


def wave(atoms, grid=GRID, energy=ENERGY):
    return Multislice(grid, energy).wave(atoms)


def abtems(atoms, pixel):
    """abTEM's wave of the same slices, without any code of Passband."""
    potential = abtem.Potential(atoms, sampling=pixel, slice_thickness=1.0, projection="infinite")
    with abtem.config.set({"fft": "numpy"}):
        found = abtem.PlaneWave(energy=ENERGY).multislice(potential, lazy=False).array
    return GRID.crop(found)


def error(found, reference, q):
    """Return the difference of two waves up to a frequency, relative to the scattered wave."""
    within = (GRID.frequencies()[0] > 0) & (GRID.frequencies()[0] <= q)
    return np.linalg.norm((found - reference)[within]) / np.linalg.norm(reference[within])


def image(spectrum):
    """Return an image at 10 nm underfocus. The aperture is at the cutoff."""
    q, _ = GRID.frequencies()
    lens = np.exp(1j * np.pi * 0.019687 * 100 * q**2) * GRID.band
    return np.abs(GRID.restore(spectrum * lens)) ** 2


# Convergence


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_waves_are_those_of_abtem_on_fine_pixels(index):
    """The wave's error up to the cutoff is below 2% of the scattered wave.

    The error of the image's contrast is below 2% of the contrast.
    """
    resting = atoms(index)
    coarser, reference = abtems(resting, 0.06), abtems(resting, 0.04)
    # What abTEM is off goes with the square of its pixel: at 0.04 Å about as much as from there to
    # 0.06 Å.
    assert error(coarser, reference, GRID.cutoff) < 0.012
    found = GRID.crop(wave(resting, Microscope(field_px=48).multislice))
    assert error(found, reference, GRID.cutoff) < 0.015
    assert np.std(image(found)) == pytest.approx(np.std(image(reference)), rel=0.015)
    # On the image's own pixels, by shared-out atoms, it was not.
    assert error(abtems(resting, 0.3), reference, GRID.cutoff) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("energy", "limit"), [(80e3, 0.02), (300e3, 0.02)])
def test_a_column_of_atoms_along_the_beam_converges_too(energy, limit):
    """This is the hardest case: the next atoms scatter back what an atom scatters far out."""
    along = TINY.model_copy(
        update={"material": "Pt", "orientation": Orientation(zone=[1, 1, 0], within_deg=0.0)}
    )
    resting = atoms(0, along)
    auto = Microscope(field_px=48, energy_kev=energy / 1e3).multislice
    reference = GRID.crop(wave(resting, GRID.finer(0.04), energy))
    found = GRID.crop(wave(resting, auto, energy))
    assert error(found, reference, GRID.cutoff) < limit
    coarse = GRID.crop(wave(resting, GRID, energy))
    assert error(coarse, reference, GRID.cutoff) > 2 * limit


def test_effective_potential_has_the_true_transmission_function(monkeypatch):
    """For one atom, the coefficients in the band equal those on a grid of 12 times finer pixels."""
    gold = cell("Au", [[7.2, 7.2, 0.5]])
    fine = GRID.crop(wave(gold, Sampling(576, 0.025)))
    assert error(GRID.crop(wave(gold)), fine, GRID.cutoff) < 0.02
    with monkeypatch.context() as without:
        without.setattr(multislice, "effective", lambda *_: np.zeros_like)
        assert error(GRID.crop(wave(gold)), fine, GRID.cutoff) > 0.1
    q = np.array([0.0, 0.5, 1.0])
    added = multislice.effective("Au", 1 / 0.6, ENERGY)(q)
    sigma = multislice.interaction(ENERGY)
    cut_off = sigma * multislice.scattering("Au", q)
    assert (added.imag > 0.03 * cut_off).all(), "what is scattered beyond is lost"
    finer = multislice.effective("Au", 1 / 0.06, ENERGY)(q)
    assert (np.abs(finer) < 0.1 * np.abs(added)).all()


@pytest.mark.slow
def test_effective_potential_of_any_element_on_any_pixel_is_finite():
    for element in ("H", "Cs", "U"):
        for pixel, energy in ((2.0, 2e6), (0.05, 20e3), (0.014, 20e3)):
            added = multislice.effective(element, 1 / (2 * pixel), energy)
            q = np.linspace(0, 1 / (2 * pixel), 5)
            size = multislice.interaction(energy) * multislice.scattering(element, np.zeros(1))
            assert (np.abs(added(q)) < size).all()


def test_intensity_is_conserved_except_for_scattering_beyond_the_grid():
    losses = [1 - np.mean(np.abs(wave(atoms(), Sampling(n, 14.4 / n))) ** 2) for n in (48, 72, 144)]
    assert 0 < losses[2] < 3e-3
    assert losses[2] < losses[1] < losses[0] < 5e-2


@pytest.mark.slow
def test_thinner_slices_change_the_wave_by_a_few_percent(monkeypatch):
    grid, resting = GRID.finer(0.09), atoms(0)
    ours = GRID.crop(wave(resting, grid))
    monkeypatch.setattr(multislice, "SLICE_A", 0.25)
    assert error(ours, GRID.crop(wave(resting, grid)), GRID.cutoff) < 0.03


# Parts


@pytest.mark.slow
def test_interaction_and_atoms_are_abtems():
    for energy in (60e3, 300e3):
        theirs = abtem.core.energy.energy2sigma(energy)
        assert multislice.interaction(energy) == pytest.approx(theirs, rel=1e-7)
    q, r, lobato = np.linspace(0, 5, 11), np.geomspace(1e-3, 5, 9), LobatoParametrization()
    for element in ("H", "C", "O", "Ce", "Au", "Lr"):
        theirs = lobato.projected_scattering_factor(element)(q**2)
        np.testing.assert_allclose(multislice.scattering(element, q), theirs, rtol=1e-4)
        theirs = lobato.projected_potential(element)(r)
        np.testing.assert_allclose(multislice.projected(element, r), theirs, rtol=1e-4)


def test_atoms_are_at_their_positions():
    """For any position of atoms on pixels, the potential's coefficients equal the direct sum."""
    random = np.random.default_rng(0)
    places = np.c_[random.random((20, 2)) * GRID.field_A, np.full(20, 2.0)]
    numbers = random.choice([6, 79], 20)
    potential = Multislice(GRID, ENERGY).potential(cell(numbers, places))
    assert potential.dtype == np.float32
    k = np.arange(-GRID.half, GRID.half + 1) / GRID.field_A
    q, _ = GRID.frequencies()
    expected = 0
    for number, (x, y, _) in zip(numbers, places, strict=True):
        element = "Au" if number == 79 else "C"
        phase = np.exp(-2j * np.pi * (k[:, None] * x + k * y))
        expected = expected + multislice.scattering(element, q) * phase / GRID.field_A**2
    found = GRID.crop(potential.astype(complex))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_vacuum_is_a_plane_wave_of_amplitude_one():
    found = wave(cell())
    assert found.shape == (48, 48)
    assert found.dtype == np.complex64
    np.testing.assert_allclose(found, 1, atol=2e-6)


def test_phase_of_an_atom_is_its_known_scattering():
    # ∫σV over the projected atom is σ·h²/(2πme)·f(0): 6.526e-4 rad/(V Å) at 300 kV (Kirkland,
    # table 5.2), 47.878 V Å² and, for carbon, 2.509 Å (International Tables C, table 4.3.2.2).
    found = wave(cell("C", [[7.2, 7.2, 2.0]]))
    phase = np.angle(found).mean() * GRID.field_A**2
    assert phase == pytest.approx(6.526e-4 * 47.878 * 2.509, rel=0.02)
    assert found.imag[24, 24] == found.imag.max() > 0


def test_potential_is_what_a_thin_atom_shifts_the_phase_by():
    carbon = cell("C", [[GRID.field_A / 2, GRID.field_A / 3, 2.0]])
    potential = Multislice(GRID, ENERGY).potential(carbon)
    peak = np.unravel_index(potential.argmax(), potential.shape)
    assert peak == (24, 16)
    # ψ ≈ 1 + iσV for a weak phase object, with V in the wave's band. For a carbon atom, the
    # second order and the propagation by a few Å change it by 4%.
    band = GRID.restore(GRID.crop(potential.astype(complex))).real
    phase = np.angle(wave(carbon))
    slope = np.vdot(band, phase) / np.vdot(band, band)
    assert slope == pytest.approx(multislice.interaction(ENERGY), rel=0.05)


def test_first_axis_is_x_and_the_field_is_periodic():
    found = wave(cell("Au", [[3.0, 9.0, 2.0]]))
    assert np.unravel_index(found.imag.argmax(), found.shape) == (10, 30)
    moved = wave(cell("Au", [[0.0, 14.1, 2.0]]))
    np.testing.assert_allclose(moved, np.roll(found, (-10, 17), (0, 1)), atol=3e-4)


def test_a_free_wave_travels_by_fresnels_propagator():
    """After an atom at the bottom, the wave propagates to the top through all empty slices."""
    carbon = Atoms("C", [[7.2, 7.2, 0.5]], cell=[14.4, 14.4, 21.0])
    near = carbon.copy()
    near.cell[2, 2] = 1.0
    k = np.arange(-GRID.half, GRID.half + 1) / GRID.field_A
    q2 = k[:, None] ** 2 + k**2
    expected = GRID.crop(wave(near)) * np.exp(-1j * np.pi * 0.0196875 * 20 * q2)
    np.testing.assert_allclose(GRID.crop(wave(carbon)), expected, atol=1e-6)


@pytest.mark.slow
def test_every_process_has_the_same_wave_to_the_last_bit():
    code = """
import sys, zlib, numpy as np
from passband import seeds
from passband.specimens import multislice, structures as specimen
from passband.config import Specimen
from passband.optics.sampling import Sampling
grid = Sampling(128, 0.3)
atoms = specimen.draw(Specimen(), grid, seeds.generator("test", 0)).atoms
sender = multislice.Multislice(grid.finer(0.09), 300e3)
for shift in range(4):  # memory is aligned otherwise
    kept = [np.ones(int(sys.argv[1]) * 1001 + shift, np.uint8) for _ in range(3)]
    print(zlib.crc32(sender.wave(atoms).tobytes()))
"""
    # At once, so that they are in each other's way.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        for number, threads in enumerate((1, 2, 1))
    ]
    printed = [process.communicate(timeout=1500)[0].split() for process in processes]
    assert [len(lines) for lines in printed] == [4, 4, 4]
    assert len({line for lines in printed for line in lines}) == 1


@pytest.mark.slow
def test_abtem_is_not_imported():
    """The import would take seconds in every job. abTEM's table of elements is read as a file."""
    code = (
        "import sys; from passband.specimens import exit_waves, multislice; "
        "multislice.scattering('Au', 0.5); "
        "sys.exit('abtem' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Devices


def test_requested_device_is_used():
    assert multislice.resolve_device("cpu") == "cpu"
    assert multislice.resolve_device("gpu") == "gpu"


def fake_cupy(available, transform=lambda array: array):
    return SimpleNamespace(
        cuda=SimpleNamespace(is_available=available),
        fft=SimpleNamespace(fft2=transform),
        ones=lambda shape, dtype: _OnDevice(),
    )


class _OnDevice:
    def __mul__(self, _):
        return self

    def get(self):
        return None


def fails(*_):
    raise RuntimeError("cudaErrorInsufficientDriver")


def test_auto_is_the_gpu_where_cupy_works(monkeypatch):
    monkeypatch.setattr(multislice, "cupy", fake_cupy(lambda: True))
    assert multislice.resolve_device("auto") == "gpu"


@pytest.mark.parametrize("cupy", [None, fake_cupy(lambda: False)], ids=["no CuPy", "no GPU"])
def test_auto_is_the_cpu_without_cupy_or_gpu(monkeypatch, cupy):
    monkeypatch.setattr(multislice, "cupy", cupy)
    assert multislice.resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    "cupy", [fake_cupy(fails), fake_cupy(lambda: True, fails)], ids=["driver", "transform"]
)
def test_broken_cupy_is_warned_about_and_the_cpu_taken(monkeypatch, cupy):
    monkeypatch.setattr(multislice, "cupy", cupy)
    with pytest.warns(UserWarning, match=r"CuPy does not work: cudaError.*using the CPU"):
        assert multislice.resolve_device("auto") == "cpu"


def test_on_a_gpu_only_cupy_computes(monkeypatch):
    """With numpy and scipy in the place of CuPy, the code for the GPU gives the wave of the CPU."""
    import scipy.fft

    class Array(np.ndarray):
        def get(self):
            return np.asarray(self)

    class Cupy:
        def __getattr__(self, name):
            found = getattr(np, name)
            if name in ("zeros", "asarray", "empty"):
                return lambda *given, **more: found(*given, **more).view(Array)
            return found

    class Transforms:
        def __getattr__(self, name):
            return lambda x, **more: getattr(scipy.fft, name)(np.asarray(x), **more).view(Array)

    monkeypatch.setattr(multislice, "cupy", Cupy())
    monkeypatch.setattr(
        multislice,
        "cupyx",
        SimpleNamespace(scipy=SimpleNamespace(fft=Transforms())),
        raising=False,
    )
    found = Multislice(GRID, ENERGY, "gpu")
    np.testing.assert_array_equal(found.wave(atoms()), wave(atoms()))
    assert type(found.wave(atoms())) is np.ndarray
    np.testing.assert_array_equal(
        found.potential(atoms()), Multislice(GRID, ENERGY).potential(atoms())
    )


@pytest.mark.slow
@pytest.mark.parametrize("error", ["RuntimeError", "ImportError"])
def test_a_failed_import_of_cupy_does_not_stop_the_job(tmp_path, error):
    for name in ("cupy", "cupyx"):
        (tmp_path / f"{name}.py").write_text(f"raise {error}('no libcudart')")
    code = "from passband.specimens import multislice; print(multislice.resolve_device('auto'))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "cpu"
    assert "CuPy is installed but does not import: no libcudart" in done.stderr
