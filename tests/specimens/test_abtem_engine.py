"""The engine abTEM compared with Passband's own multislice, and what it obeys and refuses."""

import os
import subprocess
import sys
import zlib
from types import SimpleNamespace

import abtem
import abtem.core.backend
import numpy as np
import pytest
from ase import Atoms

from passband import PassbandError, seeds
from passband.config import Diameter, Microscope, Orientation, Particles, Specimen, Thermal
from passband.optics.sampling import Sampling
from passband.specimens import exit_waves
from passband.specimens import structures as specimen
from passband.specimens.abtem_engine import AbtemMultislice
from passband.specimens.multislice import Multislice

ENERGY = 300e3
GRID = Sampling(48, 0.3)
FINE = GRID.finer(0.1)
MICROSCOPE = Microscope(field_px=48, engine="abtem")
#: Materials, each with what its frozen configurations need.
MATERIALS = {
    "Au": {"thermal": Thermal(temperature_K=300.0, configurations=2)},
    "Pt": {"thermal": Thermal(temperature_K=300.0, configurations=2)},
    "CeO2": {
        "shape": "sphere",
        "thermal": Thermal(msd_A2={"Ce": 0.003, "O": 0.006, "C": 0.005}, configurations=2),
    },
}


def tiny(material="Au", **more):
    diameter = Diameter(mean=0.8, std=0.1, min=0.6, max=1.0)
    particles = Particles(min=1, max=1)
    return Specimen(material=material, diameter_nm=diameter, particles=particles, **more)


def cell(symbols="", positions=None, side=GRID.field_A, height=4.0):
    return Atoms(symbols, positions, cell=[side, side, height], pbc=(True, True, False))


def drawn(spec, index=0):
    return specimen.draw(spec, GRID, seeds.generator("test", index)).atoms


def wave(atoms, grid=FINE, energy=ENERGY):
    return AbtemMultislice(grid, energy).wave(atoms)


def error(found, reference):
    """Return the difference of two waves up to the cutoff, relative to the scattered wave."""
    within = (GRID.frequencies()[0] > 0) & GRID.band
    return np.linalg.norm((found - reference)[..., within]) / np.linalg.norm(reference[..., within])


# Both engines


@pytest.mark.slow
@pytest.mark.parametrize("material", MATERIALS)
def test_both_engines_give_the_same_waves_of_eight_structures(material):
    """Each engine on its own converged pixels; masks and particles have nothing to do with it.

    Of eight structures, this material has every third, with two frozen configurations each.
    """
    spec = tiny(material, **MATERIALS[material])
    which = range(8)[list(MATERIALS).index(material) :: 3]
    ours, theirs = (
        exit_waves.simulate(material, spec, microscope, 7, "train", which, "cpu")
        for microscope in (Microscope(field_px=48), MICROSCOPE)
    )
    assert theirs.spectrum.shape == (len(which), 2, GRID.cropped, GRID.cropped)
    for one, other in zip(theirs.spectrum.values, ours.spectrum.values, strict=True):
        for found, reference in zip(one, other, strict=True):
            assert error(found, reference) < 0.02
            assert error(found, reference) > 1e-4, "they are not the same computation"
            assert not found[~GRID.band].any()
        assert error(one[1], one[0]) > 0.05, "frozen configurations differ"
    for name in ("mask", "instances", "particles"):
        np.testing.assert_array_equal(theirs[name], ours[name])
    np.testing.assert_allclose(theirs.power[:, 1:], ours.power[:, 1:], rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [80e3, 300e3])
def test_a_column_of_atoms_along_the_beam_converges_on_the_pixels_of_auto(energy):
    along = tiny("Pt", orientation=Orientation(zone=[1, 1, 0], within_deg=0.0))
    atoms = drawn(along)
    auto = Microscope(field_px=48, engine="abtem", energy_kev=energy / 1e3).multislice
    reference = GRID.crop(Multislice(GRID.finer(0.03), energy).wave(atoms))
    assert error(GRID.crop(wave(atoms, auto, energy)), reference) < 0.02
    # This is why `auto` has smaller pixels than random orientations need.
    assert error(GRID.crop(wave(atoms, GRID.finer(0.05), energy)), reference) > 0.02


@pytest.mark.slow
def test_attributes_name_the_engine():
    coarse = {"field_px": 48, "multislice_pixel_A": 0.2}
    made = {
        engine: exit_waves.simulate(
            "gold", tiny(), Microscope(**coarse, engine=engine), 7, "test", [0], "cpu"
        )
        for engine in ("passband", "abtem")
    }
    assert made["abtem"].attrs == made["passband"].attrs | {"engine": "abtem"}
    assert not np.array_equal(made["abtem"].spectrum, made["passband"].spectrum)


def test_the_studys_engine_computes_on_the_multislice_grid():
    chosen = exit_waves.engine(MICROSCOPE, "cpu")
    assert isinstance(chosen, AbtemMultislice)
    assert chosen.sampling == MICROSCOPE.multislice == Sampling(720, GRID.field_A / 720)
    assert isinstance(exit_waves.engine(Microscope(), "cpu"), Multislice)


# Waves


def test_vacuum_is_a_plane_wave_of_amplitude_one():
    found = wave(cell())
    assert found.shape == (FINE.px, FINE.px)
    assert found.dtype == np.complex64
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, 1, atol=1e-5)


def test_first_axis_is_x_and_the_field_is_periodic():
    found = wave(cell("Au", [[3.0, 9.0, 2.0]]))
    assert np.unravel_index(found.imag.argmax(), found.shape) == (30, 90)
    moved = wave(cell("Au", [[0.0, 14.1, 2.0]]))
    np.testing.assert_allclose(moved, np.roll(found, (-30, 51), (0, 1)), atol=1e-4)


@pytest.mark.parametrize(("beyond", "face"), [(-0.3, 0.0), (8.3, 7.9)])
def test_an_atom_that_leaves_the_cell_along_the_beam_stays_at_its_face(beyond, face):
    """By default, abTEM would let the atom enter at the opposite face: 8 Å away along the beam."""
    displaced, there = (wave(cell("Au", [[7.2, 7.2, z]], height=8.0)) for z in (beyond, face))
    np.testing.assert_array_equal(displaced, there)
    opposite = wave(cell("Au", [[7.2, 7.2, beyond % 8.0]], height=8.0))
    assert np.abs(displaced - opposite).max() > 0.1


def test_the_atoms_are_not_changed():
    atoms = cell("Au", [[-1.0, 15.0, 8.3]], height=8.0)
    wave(atoms)
    assert atoms.positions.tolist() == [[-1.0, 15.0, 8.3]]


# Settings and bits

SETTINGS = (
    "precision: float64\nfft: fftw\nantialias: {cutoff: 0.4, taper: 0.1}\ndask: {lazy: true}\n"
)


def test_settings_are_those_of_passband_only_while_it_computes():
    atoms = drawn(tiny())
    expected = wave(atoms)
    given = {"precision": "float64", "fft": "fftw", "antialias.cutoff": 0.4, "device": "gpu"}
    with abtem.config.set(given):
        np.testing.assert_array_equal(wave(atoms), expected)
        assert {key: abtem.config.get(key) for key in given} == given


@pytest.mark.slow
def test_every_process_has_the_same_wave_to_the_last_bit(tmp_path):
    """Whatever the user's settings of abTEM, the number of threads and the place in memory are."""
    (tmp_path / "abtem.yaml").write_text(SETTINGS)
    atoms = drawn(tiny())
    expected = zlib.crc32(wave(atoms).tobytes())
    code = """
import sys, zlib, numpy as np
from passband import seeds
from passband.config import Diameter, Particles, Specimen
from passband.optics.sampling import Sampling
from passband.specimens import structures
from passband.specimens.abtem_engine import AbtemMultislice
grid = Sampling(48, 0.3)
spec = Specimen(
    material="Au",
    diameter_nm=Diameter(mean=0.8, std=0.1, min=0.6, max=1.0),
    particles=Particles(min=1, max=1),
)
atoms = structures.draw(spec, grid, seeds.generator("test", 0)).atoms
engine = AbtemMultislice(grid.finer(0.1), 300e3)
for shift in range(3):  # memory is aligned otherwise
    kept = [np.ones(int(sys.argv[1]) * 1001 + shift, np.uint8) for _ in range(3)]
    print(zlib.crc32(engine.wave(atoms).tobytes()))
import abtem
print(abtem.config.get("precision"))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(threads)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)} | settings,
        )
        for threads, settings in ((1, {}), (2, {"ABTEM_CONFIG": str(tmp_path)}))
    ]
    printed = [process.communicate(timeout=1500)[0].split() for process in processes]
    assert [lines.pop() for lines in printed] == ["float32", "float64"]
    assert printed == [[str(expected)] * 3] * 2


# Devices


def test_on_a_gpu_abtems_arrays_are_made_by_cupy(monkeypatch):
    """With numpy in the place of CuPy, abTEM's path for a GPU gives the wave of the CPU."""
    asked = set()

    class Cupy:
        cuda = SimpleNamespace(Device=lambda: SimpleNamespace(id=0))

        def __getattr__(self, name):
            asked.add(name)
            return getattr(np, name)

    atoms = drawn(tiny())
    expected = wave(atoms)
    monkeypatch.setattr(abtem.core.backend, "cp", Cupy())
    np.testing.assert_allclose(
        AbtemMultislice(FINE, ENERGY, "gpu").wave(atoms), expected, atol=1e-6
    )
    assert {"zeros", "asarray", "sin"} <= asked
    asked.clear()
    wave(atoms)
    assert "zeros" not in asked


def test_the_device_is_chosen_when_it_runs(monkeypatch):
    chosen = []
    monkeypatch.setattr(exit_waves, "resolve_device", lambda device: chosen.append(device) or "gpu")
    assert exit_waves.engine(MICROSCOPE)._device == "gpu"
    assert chosen == ["auto"]


# What is refused


def test_a_structure_that_is_not_the_field_is_refused():
    with pytest.raises(PassbandError, match=r"^a structure of 12 × 12 Å: must fill the multislice"):
        wave(cell("Au", [[3.0, 9.0, 2.0]], side=12.0))


@pytest.mark.parametrize(("device", "where"), [("cpu", "CPU"), ("gpu", "GPU")])
def test_too_little_memory_is_said_in_one_line(monkeypatch, device, where):
    def fails(*_, **__):
        raise MemoryError("Unable to allocate 2.4 TiB")

    monkeypatch.setattr(abtem, "Potential", fails)
    with pytest.raises(
        PassbandError, match=rf"^microscope.multislice_pixel_A: .* the {where}; take"
    ):
        AbtemMultislice(FINE, ENERGY, device).wave(cell())


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        ("ImportError('numpy 3\\nis too new')", "ImportError: numpy 3 is too new"),
        ("OSError('libfftw3.so: not found')", "OSError: libfftw3.so: not found"),
    ],
)
def test_an_abtem_that_does_not_import_is_said_in_one_line(tmp_path, monkeypatch, raised, why):
    (tmp_path / "abtem.py").write_text(f"raise {raised}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "abtem")
    with pytest.raises(PassbandError) as found:
        exit_waves.engine(MICROSCOPE, "cpu")
    assert str(found.value).startswith(
        f"microscope.engine = 'abtem': abTEM does not import ({why}); install it again"
    )
    assert "\n" not in str(found.value)
    exit_waves.engine(Microscope(), "cpu")  # the other engine needs only its table


def test_every_element_of_a_crystal_has_a_potential():
    from passband.specimens.crystals import ELEMENTS

    for number in (ELEMENTS[0], ELEMENTS[-1]):
        assert np.abs(wave(cell([number], [[7.2, 7.2, 2.0]])) - 1).max() > 0.01


@pytest.mark.slow
def test_a_study_that_chose_it_is_read_without_importing_it(tmp_path):
    (tmp_path / "study.yaml").write_text("study: {name: s}\nmicroscope: {engine: abtem}\n")
    code = (
        "import sys; from passband.config import load; from passband.learning import memory; "
        "from passband.runs import plan, preflight, rates; from passband.specimens import "
        "exit_waves; study = load('study.yaml'); rates.seconds(study); memory.simulate_mb(study); "
        "assert study.microscope.engine == 'abtem'; sys.exit('abtem' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
