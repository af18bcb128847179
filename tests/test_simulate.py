import os
import subprocess
import sys
from types import SimpleNamespace

import abtem
import dask
import numpy as np
import pytest
from ase import Atoms

from passband import ctf, seeds, simulate, specimen, thermal
from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, Thermal
from passband.sampling import Sampling

ENERGY = 300e3
GRID = Sampling(48, 0.3)
MICROSCOPE = Microscope(field_px=48, pixel_size_A=0.3)
TINY = Specimen(
    diameter_nm=Diameter(mean=0.8, std=0.1, min=0.6, max=1.0), particles=Particles(min=1, max=1)
)


def cell(symbols="", positions=None, grid=GRID):
    return Atoms(
        symbols, positions, cell=[grid.field_A, grid.field_A, 4.0], pbc=(True, True, False)
    )


def structure(index=0, spec=TINY, grid=GRID):
    return specimen.draw(spec, grid, seeds.generator("test", index))


def warm(configurations=1):
    return TINY.model_copy(
        update={"thermal": Thermal(temperature_K=300.0, configurations=configurations)}
    )


def run(indices, name="gold", seed=7, split="train", spec=TINY, **more):
    return simulate.simulate(name, spec, MICROSCOPE, seed, split, indices, "cpu", **more)


@pytest.fixture(scope="module")
def dataset():
    return run([0, 1, 2])


# Exit waves


def test_vacuum_is_a_plane_wave_of_amplitude_one():
    wave = simulate.exit_wave(cell(), GRID, ENERGY)
    assert wave.shape == (48, 48)
    assert wave.dtype == np.complex64
    np.testing.assert_allclose(wave, 1, atol=2e-6)


def test_intensity_is_conserved_but_for_what_scatters_beyond_the_cutoff():
    losses = []
    for pixel in (0.3, 0.2, 0.1):
        grid = Sampling(round(14.4 / pixel), pixel)
        wave = simulate.exit_wave(structure(grid=grid).atoms, grid, ENERGY)
        losses.append(1 - np.mean(np.abs(wave) ** 2))
    assert 0 <= losses[2] < 1e-3
    assert losses[2] < losses[1] < losses[0] < 2e-2


def test_crop_loses_nothing():
    wave = simulate.exit_wave(structure().atoms, GRID, ENERGY)
    cropped = GRID.crop(wave)
    margin = (GRID.px - GRID.cropped) // 2
    padded = np.pad(cropped, (margin + 1, GRID.px - GRID.cropped - margin - 1))
    back = np.fft.ifft2(np.fft.ifftshift(padded), norm="forward")
    np.testing.assert_allclose(back, wave, atol=3e-6)
    q = GRID.frequencies()[0]
    assert np.abs(cropped[q > GRID.cutoff]).max() < 1e-6


def test_phase_of_an_atom_is_its_known_scattering():
    # ∫σV over the projected atom is σ·h²/(2πme)·f(0): 6.526e-4 rad/(V Å) at 300 kV (Kirkland,
    # table 5.2), 47.878 V Å² and, for carbon, 2.509 Å (International Tables C, table 4.3.2.2).
    wave = simulate.exit_wave(cell("C", [[7.2, 7.2, 2.0]]), GRID, ENERGY)
    phase = np.angle(wave).mean() * GRID.field_A**2
    assert phase == pytest.approx(6.526e-4 * 47.878 * 2.509, rel=0.02)
    assert wave.imag[24, 24] == wave.imag.max() > 0


def test_projected_potential_is_what_a_thin_atom_shifts_the_phase_by():
    atoms = cell("C", [[GRID.field_A / 2, GRID.field_A / 3, 2.0]])
    potential = simulate.projected_potential(atoms, GRID)
    assert potential.dtype == np.float32
    peak = np.unravel_index(potential.argmax(), potential.shape)
    assert peak == (24, 16)
    # ψ ≈ 1 + iσV for a weak phase object, with V in the wave's band. Of a carbon atom the second
    # order, and the few Å that the wave travels on, are 4%.
    band = GRID.restore(GRID.crop(potential.astype(complex))).real
    phase = np.angle(simulate.exit_wave(atoms, GRID, ENERGY))
    slope = np.vdot(band, phase) / np.vdot(band, band)
    assert slope == pytest.approx(abtem.core.energy.energy2sigma(ENERGY), rel=0.05)


def test_a_structure_is_made_again_from_its_seed(dataset):
    again = simulate.structure("gold", TINY, GRID, 7, "train", 2)
    labels = dataset.instances.sel(structure=2)
    np.testing.assert_array_equal(specimen.instances(again, GRID), labels)


def test_first_axis_is_x_and_the_field_is_periodic():
    wave = simulate.exit_wave(cell("Au", [[3.0, 9.0, 2.0]]), GRID, ENERGY)
    assert np.unravel_index(wave.imag.argmax(), wave.shape) == (10, 30)
    moved = simulate.exit_wave(cell("Au", [[0.0, 14.1, 2.0]]), GRID, ENERGY)
    np.testing.assert_allclose(moved, np.roll(wave, (-10, 17), (0, 1)), atol=1e-5)


def test_wave_is_that_of_abtems_own_settings():
    atoms = structure().atoms
    potential = abtem.Potential(atoms, gpts=48, slice_thickness=simulate.SLICE_A)
    theirs = abtem.PlaneWave(energy=ENERGY).multislice(potential).compute(scheduler="synchronous")
    np.testing.assert_allclose(simulate.exit_wave(atoms, GRID, ENERGY), theirs.array, atol=1e-4)


def test_users_abtem_settings_change_nothing_and_survive():
    atoms = structure().atoms
    expected = simulate.exit_wave(atoms, GRID, ENERGY)
    with abtem.config.set({"antialias.cutoff": 0.5, "precision": "float64"}):
        wave = simulate.exit_wave(atoms, GRID, ENERGY)
        assert abtem.config.get("antialias.cutoff") == 0.5
    np.testing.assert_array_equal(wave, expected)
    assert wave.dtype == np.complex64


def test_dask_stays_out_of_it():
    def forbidden(*_, **__):
        raise AssertionError("a dask graph was computed")

    with dask.config.set(scheduler=forbidden):
        simulate.exit_wave(structure().atoms, GRID, ENERGY)


def test_transforms_are_scipys_on_the_cpu_and_abtems_own_elsewhere(monkeypatch):
    dispatch = abtem.core.fft._fft_dispatch
    atoms = structure().atoms
    wave = simulate.exit_wave(atoms, GRID, ENERGY)
    assert abtem.core.fft._fft_dispatch is dispatch, "what others compute is left alone"
    monkeypatch.setattr(simulate, "_transform", dispatch)
    with abtem.config.set({"fft": "numpy"}):
        numpys = simulate.exit_wave(atoms, GRID, ENERGY)
    np.testing.assert_allclose(wave, numpys, atol=1e-5)
    assert not np.array_equal(wave, numpys)
    monkeypatch.undo()
    monkeypatch.setattr(simulate, "_dispatch", lambda *given, **more: (given, more))
    on_a_gpu = object()
    assert simulate._transform(on_a_gpu, "fft2") == ((on_a_gpu, "fft2"), {"overwrite_x": False})


@pytest.mark.slow
def test_every_process_has_the_same_wave_to_the_last_bit():
    code = """
import sys, zlib, numpy as np
from passband import seeds, simulate, specimen
from passband.config import Specimen
from passband.sampling import Sampling
grid = Sampling(128, 0.3)
atoms = specimen.draw(Specimen(), grid, seeds.generator("test", 0)).atoms
for shift in range(4):  # memory is aligned otherwise
    kept = [np.ones(int(sys.argv[1]) * 1001 + shift, np.uint8) for _ in range(3)]
    print(zlib.crc32(simulate.exit_wave(atoms, grid, 300e3).tobytes()))
"""
    # At once, so that they are in each other's way.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)},
        )
        for number, threads in enumerate((1, 2, 1))
    ]
    printed = [process.communicate(timeout=300)[0].split() for process in processes]
    assert [len(lines) for lines in printed] == [4, 4, 4]
    assert len({line for lines in printed for line in lines}) == 1


@pytest.mark.slow
def test_thinner_slices_hardly_change_the_wave(monkeypatch):
    grid = Sampling(96, 0.3)
    atoms = structure(spec=Specimen(), grid=grid).atoms
    q = grid.frequencies()[0]

    def wave():
        return grid.crop(simulate.exit_wave(atoms, grid, ENERGY))[q < 0.95 * grid.cutoff]

    ours = wave()
    monkeypatch.setattr(simulate, "SLICE_A", 0.25)
    finer = wave()
    scattered = np.linalg.norm(finer[np.abs(finer) < np.abs(finer).max()])
    assert np.linalg.norm(ours - finer) < 0.02 * scattered


# Power


def test_power_is_that_of_the_waves_imaginary_part():
    wave = simulate.exit_wave(structure().atoms, GRID, ENERGY).astype(complex)
    b = np.abs(np.fft.fft2((wave / wave.mean()).imag) / wave.size) ** 2
    k = np.fft.fftfreq(48, 1 / 48)
    ring = np.rint(np.hypot(k[:, None], k))
    expected = [0] + [b[ring == i].mean() for i in range(1, GRID.half + 1)]
    np.testing.assert_allclose(
        simulate.linear_power(GRID.crop(wave)), expected, rtol=1e-4, atol=1e-14
    )


def test_power_ignores_the_waves_amplitude_and_phase():
    spectrum = GRID.crop(simulate.exit_wave(structure().atoms, GRID, ENERGY))
    power = simulate.linear_power(spectrum)
    np.testing.assert_allclose(simulate.linear_power(spectrum * 2j), power, rtol=1e-6)
    assert power[0] == 0
    assert (power[1:-1] > 0).all()


def test_power_times_transfer_is_a_thin_objects_image():
    wave = simulate.exit_wave(cell("C", [[7.2, 7.2, 2.0]]), GRID, ENERGY)
    spectrum = GRID.crop(wave).astype(complex)
    q, phi = GRID.frequencies()
    optics = ctf.Optics(ENERGY, defocus=200.0, cs=1.2e4)
    imaged = spectrum * np.exp(-1j * ctf.aberration_phase(optics, q, phi))
    margin = (48 - GRID.cropped + 1) // 2
    padded = np.pad(imaged, (margin, 48 - GRID.cropped - margin))
    image = np.abs(np.fft.ifft2(np.fft.ifftshift(padded), norm="forward")) ** 2
    contrast = np.abs(GRID.crop(image / image.mean()))
    b2 = simulate.linear_power(spectrum)
    ring = np.rint(q * GRID.field_A).astype(int)
    expected = 2 * np.sqrt(b2[np.minimum(ring, GRID.half)]) * np.abs(ctf.transfer(optics, q, phi))
    linear = (ring > 0) & (q < 0.6 * GRID.cutoff)
    np.testing.assert_allclose(
        contrast[linear], expected[linear], atol=0.06 * expected[linear].max()
    )


# Data sets


def test_dataset_is_labelled(dataset):
    assert dataset.spectrum.dims == ("structure", "configuration", "kx", "ky")
    assert dataset.spectrum.shape == (3, 1, GRID.cropped, GRID.cropped)
    assert dataset.spectrum.dtype == np.complex64
    assert dataset.mask.dims == ("structure", "x", "y")
    assert dataset.mask.shape == (3, 48, 48)
    assert dataset.mask.dtype == np.uint8
    assert dataset.instances.dims == ("structure", "face", "x", "y")
    assert dataset.instances.shape == (3, 2, 48, 48)
    assert dataset.instances.dtype == np.uint8
    assert dataset.face.values.tolist() == ["top", "bottom"]
    assert dataset.power.dims == ("structure", "q")
    assert dataset.power.dtype == np.float64
    assert dataset.structure.dtype == np.int64
    np.testing.assert_allclose(dataset.q, np.arange(GRID.half + 1) / 14.4)
    assert dataset.q.attrs["units"] == "1/Å"
    assert all("units" in v.attrs and "long_name" in v.attrs for v in dataset.variables.values())
    assert dataset.attrs == {
        "pixel_size_A": 0.3,
        "energy_eV": 300e3,
        "field_px": 48,
        "seed": 7,
        "specimen": "gold",
        "split": "train",
    }


def test_dataset_holds_the_wave_mask_and_power_of_its_structures(dataset):
    drawn = specimen.draw(TINY, GRID, seeds.generator(7, "gold", "train", 1, "structure"))
    one = dataset.sel(structure=1)
    wave = simulate.exit_wave(drawn.atoms, GRID, ENERGY)
    np.testing.assert_allclose(one.spectrum[0], GRID.crop(wave), atol=1e-7)
    labels = specimen.instances(drawn, GRID)
    np.testing.assert_array_equal(one.instances, labels)
    np.testing.assert_array_equal(one.mask, labels.any(0))
    assert one.particles == len(drawn.faces)
    np.testing.assert_allclose(one.power, simulate.linear_power(GRID.crop(wave)), rtol=1e-4)


def test_mask_lies_where_the_wave_is_changed_most(dataset):
    wave = simulate.exit_wave(
        specimen.draw(TINY, GRID, seeds.generator(7, "gold", "train", 0, "structure")).atoms,
        GRID,
        ENERGY,
    )
    inside = dataset.mask.sel(structure=0).values.astype(bool)
    change = np.abs(wave - wave.mean()) ** 2
    assert change[inside].mean() > 3 * change[~inside].mean()


def test_structures_do_not_depend_on_order_or_shard(dataset):
    other = run([2, 0])
    assert other.structure.values.tolist() == [2, 0]
    for name in ("spectrum", "mask", "instances", "power"):
        np.testing.assert_array_equal(other[name], dataset[name].sel(structure=[2, 0]))


def test_mask_is_the_union_of_overlapping_instances():
    crowd = TINY.model_copy(
        update={
            "particles": Particles(min=6, max=6),
            "substrate": Substrate(faces="both", thickness_nm=0.2),
        }
    )
    waves = simulate.simulate("gold", crowd, MICROSCOPE, 7, "train", range(4), "cpu")
    labels, masks = waves.instances.values, waves["mask"].values
    np.testing.assert_array_equal(masks, (labels > 0).any(1))
    assert (labels > 0).all(1).any(), "some overlap"
    found = [set(each.ravel()) - {0} for each in labels]
    assert found == [set(range(1, n + 1)) for n in waves.particles.values]


@pytest.mark.parametrize("change", [{"name": "silver"}, {"seed": 8}, {"split": "test"}])
def test_seed_specimen_and_split_make_other_structures(dataset, change):
    assert not np.array_equal(run([0], **change).spectrum[0], dataset.spectrum[0])


def test_different_indices_are_different_structures(dataset):
    assert not np.array_equal(dataset.spectrum[0], dataset.spectrum[1])


def test_configurations_are_independent_and_the_first_ones_stay():
    two, three = (run([0, 1], spec=warm(n)) for n in (2, 3))
    assert three.spectrum.shape[:2] == (2, 3)
    np.testing.assert_array_equal(three.spectrum[:, :2], two.spectrum)
    waves = [wave for structure in three.spectrum.values for wave in structure]
    assert len({wave.tobytes() for wave in waves}) == 6
    alone = run([1], spec=warm(3))
    np.testing.assert_array_equal(alone.spectrum[0], three.spectrum[1])


def test_a_configuration_is_the_displaced_structure():
    resting = structure_of(0)
    rng = seeds.generator(7, "gold", "train", 0, "phonon", 1)
    atoms = thermal.displaced(resting.atoms, warm(), rng)
    assert 0.05 < np.std(atoms.positions[:, 2] - resting.atoms.positions[:, 2]) < 0.12
    wave = simulate.exit_wave(atoms, GRID, ENERGY)
    found = run([0], spec=warm(2)).spectrum[0, 1]
    np.testing.assert_allclose(found, GRID.crop(wave), atol=1e-7)


def structure_of(index):
    return simulate.structure("gold", TINY, GRID, 7, "train", index)


def test_masks_are_of_the_resting_structure_and_power_of_the_mean_wave(dataset):
    moving = run([0], spec=warm(3))
    np.testing.assert_array_equal(moving["mask"][0], dataset["mask"][0])
    mean = simulate.linear_power(moving.spectrum[0].values.mean(0))
    np.testing.assert_allclose(moving.power[0], mean, rtol=1e-4)
    # Thermal diffuse scattering averages out of it.
    each = np.mean([simulate.linear_power(wave) for wave in moving.spectrum[0].values], 0)
    assert each[-5:].mean() > 1.05 * moving.power[0, -5:].mean()


def test_progress_wraps_the_indices():
    seen = []

    def progress(indices):
        for index in indices:
            seen.append(index)
            yield index

    run(range(3, 5), progress=progress)
    assert seen == [3, 4]


def test_no_indices_make_an_empty_dataset():
    assert run([]).sizes["structure"] == 0


# Devices


def test_device_that_is_asked_for_is_taken():
    assert simulate.resolve_device("cpu") == "cpu"
    assert simulate.resolve_device("gpu") == "gpu"


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
    monkeypatch.setattr(simulate, "cupy", fake_cupy(lambda: True))
    assert simulate.resolve_device("auto") == "gpu"


@pytest.mark.parametrize("cupy", [None, fake_cupy(lambda: False)], ids=["no CuPy", "no GPU"])
def test_auto_is_the_cpu_without_cupy_or_gpu(monkeypatch, cupy):
    monkeypatch.setattr(simulate, "cupy", cupy)
    assert simulate.resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    "cupy", [fake_cupy(fails), fake_cupy(lambda: True, fails)], ids=["driver", "transform"]
)
def test_broken_cupy_is_warned_about_and_the_cpu_taken(monkeypatch, cupy):
    monkeypatch.setattr(simulate, "cupy", cupy)
    with pytest.warns(UserWarning, match=r"CuPy does not work: cudaError.*using the CPU"):
        assert simulate.resolve_device("auto") == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize("error", ["RuntimeError", "ImportError"])
def test_cupy_that_does_not_import_stops_nothing(tmp_path, error):
    for name in ("cupy", "cupyx"):
        (tmp_path / f"{name}.py").write_text(f"raise {error}('no libcudart')")
    code = "from passband import simulate; print(simulate.resolve_device('auto'))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "cpu"
    assert "CuPy is installed but does not import: no libcudart" in done.stderr
