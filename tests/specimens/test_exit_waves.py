import numpy as np
import pytest
from ase import Atoms

from passband import seeds
from passband.config import Diameter, Microscope, Particles, Specimen, Substrate, Thermal
from passband.optics import ctf
from passband.optics.sampling import Sampling
from passband.specimens import exit_waves as simulate
from passband.specimens import masks, thermal
from passband.specimens import structures as specimen
from passband.specimens.multislice import Multislice

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


def test_waves_are_computed_on_a_finer_grid_and_cut_off_at_the_images_band(dataset):
    assert MICROSCOPE.multislice == Sampling(160, 14.4 / 160)
    drawn = simulate.structure("gold", TINY, GRID, 7, "train", 2)
    wave = Multislice(Sampling(160, 14.4 / 160), ENERGY).wave(drawn.atoms)
    spectrum, q = dataset.spectrum.sel(structure=2)[0].values, GRID.frequencies()[0]
    inside = q <= GRID.cutoff * (1 + 1e-9)
    np.testing.assert_array_equal(spectrum, np.where(inside, GRID.crop(wave), 0))
    assert (spectrum[inside] != 0).all()
    assert spectrum[0, GRID.half] != 0, "the last one on the axis is in"


def test_pixel_of_multislice_may_be_given():
    given = MICROSCOPE.model_copy(update={"multislice_pixel_A": 0.15})
    waves = simulate.simulate("gold", TINY, given, 7, "train", [2], "cpu")
    assert waves.attrs["multislice_pixel_A"] == pytest.approx(0.15)
    drawn = simulate.structure("gold", TINY, GRID, 7, "train", 2)
    wave = Multislice(Sampling(96, 0.15), ENERGY).wave(drawn.atoms)
    np.testing.assert_array_equal(waves.spectrum[0, 0], GRID.crop(wave) * GRID.band)


def test_a_structure_is_made_again_from_its_seed(dataset):
    again = simulate.structure("gold", TINY, GRID, 7, "train", 2)
    labels = dataset.instances.sel(structure=2)
    np.testing.assert_array_equal(masks.instances(again, GRID), labels)


# Power


def test_power_is_that_of_the_waves_imaginary_part():
    wave = Multislice(GRID, ENERGY).wave(structure().atoms).astype(complex)
    b = np.abs(np.fft.fft2((wave / wave.mean()).imag) / wave.size) ** 2
    k = np.fft.fftfreq(48, 1 / 48)
    ring = np.rint(np.hypot(k[:, None], k))
    expected = [0] + [b[ring == i].mean() for i in range(1, GRID.half + 1)]
    np.testing.assert_allclose(
        simulate.linear_power(GRID.crop(wave)), expected, rtol=1e-4, atol=1e-14
    )


def test_power_ignores_the_waves_amplitude_and_phase():
    spectrum = GRID.crop(Multislice(GRID, ENERGY).wave(structure().atoms))
    power = simulate.linear_power(spectrum)
    np.testing.assert_allclose(simulate.linear_power(spectrum * 2j), power, rtol=1e-6)
    assert power[0] == 0
    assert (power[1:-1] > 0).all()


def test_power_times_transfer_is_a_thin_objects_image():
    wave = Multislice(GRID, ENERGY).wave(cell("C", [[7.2, 7.2, 2.0]]))
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
        contrast[linear], expected[linear], atol=0.07 * expected[linear].max()
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
        "multislice_pixel_A": 0.09,
        "energy_eV": 300e3,
        "field_px": 48,
        "seed": 7,
        "specimen": "gold",
        "split": "train",
        "engine": "passband",
    }


def test_dataset_holds_the_wave_mask_and_power_of_its_structures(dataset):
    drawn = specimen.draw(TINY, GRID, seeds.generator(7, "gold", "train", 1, "structure"))
    one = dataset.sel(structure=1)
    kept = GRID.crop(Multislice(MICROSCOPE.multislice, ENERGY).wave(drawn.atoms)) * GRID.band
    np.testing.assert_allclose(one.spectrum[0], kept, atol=1e-7)
    labels = masks.instances(drawn, GRID)
    np.testing.assert_array_equal(one.instances, labels)
    np.testing.assert_array_equal(one.mask, labels.any(0))
    assert one.particles == len(drawn.faces)
    np.testing.assert_allclose(one.power, simulate.linear_power(kept), rtol=1e-4)


def test_mask_lies_where_the_wave_is_changed_most(dataset):
    drawn = specimen.draw(TINY, GRID, seeds.generator(7, "gold", "train", 0, "structure"))
    wave = Multislice(GRID, ENERGY).wave(drawn.atoms)
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
    wave = Multislice(MICROSCOPE.multislice, ENERGY).wave(atoms)
    found = run([0], spec=warm(2)).spectrum[0, 1]
    np.testing.assert_allclose(found, GRID.crop(wave) * GRID.band, atol=1e-7)


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
