"""Image formation compared with abTEM, with published and with analytic values; noise of images."""

from dataclasses import replace

import abtem
import ase
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from passband.imaging.imager import Imager
from passband.imaging.noise import expose, normalise
from passband.optics import ctf
from passband.optics.ctf import Optics
from passband.optics.detector import blur
from passband.optics.sampling import Sampling

GRID = Sampling(48, 0.3)
ROUND = Optics(300e3, defocus=150, cs=1.2e4, aperture=18, focal_spread=30, source_spread=0.2)


def random_wave(seed, grid=GRID, contrast=0.4):
    """Return a wave with phase and amplitude contrast at all spatial frequencies of the band."""
    rng = np.random.default_rng(seed)
    spectrum = np.zeros((grid.px, grid.px), complex)
    index = np.arange(-grid.half, grid.half + 1)
    inside = np.ix_(index, index)
    shape = (grid.cropped, grid.cropped)
    spectrum[inside] = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    spectrum *= contrast / np.linalg.norm(spectrum)
    spectrum[0, 0] = 0.95
    return np.fft.ifft2(spectrum, norm="forward")


def random_optics(seed, astigmatic=True):
    rng = np.random.default_rng(seed)
    azimuth = rng.uniform(-np.pi, np.pi, 3)
    return Optics(
        energy=rng.choice([80e3, 200e3, 300e3]),
        defocus=rng.uniform(-400, 400),
        cs=rng.choice([1.2e4, 6e5, 1.2e7]) * rng.choice([-1, 1]),
        aperture=rng.uniform(8, 30),
        focal_spread=rng.uniform(10, 50),
        source_spread=rng.uniform(0.05, 0.3),
        c12=astigmatic * rng.uniform(0, 200),
        phi12=azimuth[0],
        c21=astigmatic * rng.uniform(0, 3e3),
        phi21=azimuth[1],
        c23=astigmatic * rng.uniform(0, 3e3),
        phi23=azimuth[2],
    )


def spectra(*waves, grid=GRID, dtype=torch.complex128):
    return torch.as_tensor(grid.crop(np.stack(waves))[:, None], dtype=dtype)


@pytest.fixture
def threads():
    """``threads(n)`` sets torch's threads to n until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def exact(grid=GRID, coherence="quasi-coherent", members=5):
    return Imager(grid, coherence, members, dtype=torch.float64)


def abtem_image(wave, optics, grid=GRID):
    """Return abTEM's image in float64.

    The energy is that at which abTEM's constants give Passband's wavelength.
    """
    u = abtem.core.energy.units
    rest = u._me * u._c**2 / u._e
    momentum = u._hplanck * u._c / u._e * 1e10 / ctf.wavelength(optics.energy)
    energy = float(np.hypot(rest, momentum) - rest)
    with abtem.config.set({"precision": "float64", "fft": "numpy"}):
        lens = abtem.CTF(
            energy=energy,
            soft=False,
            defocus=optics.defocus,
            Cs=optics.cs,
            semiangle_cutoff=optics.aperture,
            focal_spread=optics.focal_spread,
            angular_spread=optics.source_spread,
            C12=optics.c12,
            phi12=optics.phi12,
            C21=optics.c21,
            phi21=optics.phi21,
            C23=optics.c23,
            phi23=optics.phi23,
        )
        waves = abtem.Waves(wave, energy=energy, sampling=grid.pixel_A)
        return waves.apply_ctf(lens).intensity().array


# Against abTEM


@pytest.mark.parametrize("seed", range(20))
def test_quasi_coherent_images_are_abtems(seed):
    optics, wave = random_optics(seed), random_wave(seed)
    theirs = abtem_image(wave, optics)
    image = exact().intensity(spectra(wave), optics)[0].numpy()
    np.testing.assert_allclose(image, theirs, rtol=1e-9)
    single = Imager(GRID, "quasi-coherent").intensity(spectra(wave, dtype=torch.complex64), optics)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single[0].numpy(), theirs, rtol=1e-4)
    assert theirs.std() > 0.02  # there is contrast to compare


@pytest.mark.slow
def test_200_random_conditions_are_abtems():
    largest = {torch.float64: 0.0, torch.float32: 0.0}
    for seed in range(200):
        optics, wave = random_optics(1000 + seed), random_wave(1000 + seed)
        theirs = abtem_image(wave, optics)
        for dtype, complex_dtype in (
            (torch.float64, torch.complex128),
            (torch.float32, torch.complex64),
        ):
            imager = Imager(GRID, "quasi-coherent", dtype=dtype)
            batch = spectra(wave, dtype=complex_dtype)
            for lens in (optics, [optics]):  # shared by a batch, or each image's own
                image = imager.intensity(batch, lens)[0].double().numpy()
                largest[dtype] = max(largest[dtype], np.abs(image / theirs - 1).max())
    assert largest[torch.float64] < 1e-5
    assert largest[torch.float32] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_focal_series_is_the_weighted_sum_of_abtems_images(seed):
    optics, wave = random_optics(seed), random_wave(seed)
    # The trapezium rule converges faster than any power on a Gaussian.
    steps = np.linspace(-4.5, 4.5, 61)
    weights = np.exp(-(steps**2)) / np.exp(-(steps**2)).sum()
    theirs = sum(
        weight
        * abtem_image(
            wave,
            replace(optics, defocus=optics.defocus + step * optics.focal_spread, focal_spread=0.0),
        )
        for step, weight in zip(steps, weights, strict=True)
    )
    image = exact(coherence="focal-series", members=40).intensity(spectra(wave), optics)[0]
    np.testing.assert_allclose(image.numpy(), theirs, rtol=1e-7)
    coherent = exact().intensity(spectra(wave), optics)[0]
    assert np.abs(coherent.numpy() - theirs).max() > 1e-3  # the two differ


@pytest.mark.parametrize("px", [45, 46, 64])
def test_any_grid_will_do(px):
    grid = Sampling(px, 0.35)
    optics, wave = random_optics(px), random_wave(px, grid)
    image = exact(grid).intensity(spectra(wave, grid=grid), optics)[0]
    np.testing.assert_allclose(image.numpy(), abtem_image(wave, optics, grid), rtol=1e-9)


# Published values


@pytest.mark.slow
def test_five_atoms_look_as_kirklands():
    """Single atoms of C, Si, Cu, Au and U, 10 Å apart on 512² pixels of a field of 50 Å, as phase
    objects at 200 keV: with Cs 1.3 mm, a defocus of 700 Å and an aperture of 10.37 mrad, the
    image's intensity runs from 0.72 to 1.03 (Kirkland, *Advanced Computing in Electron Microscopy*,
    2nd ed., fig. 5.12; the potentials are abTEM's of Kirkland's parameters)."""
    grid = Sampling(512, 50 / 512)
    atoms = ase.Atoms("CSiCuAuU", [(x, 25, 1) for x in (5, 15, 25, 35, 45)], cell=(50, 50, 2))
    potential = abtem.Potential(
        atoms, gpts=512, slice_thickness=2, parametrization="kirkland", projection="infinite"
    ).build(lazy=False)
    interaction = abtem.core.energy.energy2sigma(200e3)
    wave = np.exp(1j * interaction * potential.array[0].astype(float))
    optics = Optics(200e3, defocus=700, cs=1.3e7, aperture=10.37)
    image = exact(grid).intensity(spectra(wave, grid=grid), optics)[0].numpy()
    assert round(image.min(), 2) == 0.72
    assert round(image.max(), 2) == 1.03
    # The heavier an atom, the darker it is.
    along = image[(np.array([5, 15, 25, 35, 45]) / grid.pixel_A).astype(int), 256]
    assert np.all(np.diff(along) < 0)


# Analytic values


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
@pytest.mark.parametrize("seed", range(3))
def test_vacuum_is_one(coherence, seed):
    vacuum = spectra(np.ones((48, 48)))
    image = exact(coherence=coherence).intensity(vacuum, random_optics(seed))
    np.testing.assert_allclose(image.numpy(), 1, atol=1e-13)
    single = Imager(GRID, coherence).intensity(vacuum.to(torch.complex64), random_optics(seed))
    np.testing.assert_allclose(single.numpy(), 1, atol=1e-6)


def test_without_a_lens_the_image_is_the_waves_intensity():
    wave = random_wave(0)
    image = exact().intensity(spectra(wave), Optics(300e3))[0]
    np.testing.assert_allclose(image.numpy(), np.abs(wave) ** 2, rtol=1e-12)


def test_mean_intensity_is_the_intensity_through_the_aperture():
    wave, q = random_wave(1), GRID.frequencies()[0]
    passed = np.abs(GRID.crop(wave)[q * ctf.wavelength(300e3) <= 18e-3]) ** 2
    optics = replace(ROUND, source_spread=0.0)
    image = exact(coherence="focal-series").intensity(spectra(wave), optics)
    # A focal series moves electrons about and loses none; the temporal envelope does lose some.
    assert image.mean().item() == pytest.approx(passed.sum(), rel=1e-12)
    assert exact().intensity(spectra(wave), optics).mean().item() < passed.sum() * 0.999


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
@pytest.mark.parametrize("index", [(2, 0), (0, 5), (4, 3), (-6, 2), (9, 9)])
def test_weak_phase_is_transferred_by_the_ctf(coherence, index):
    # ψ = exp(iε cos 2πqx): of 1 + iε cos, the lens makes 1 + iεE·exp(−iχ)·cos, whose intensity is
    # 1 + 2εE·sin χ·cos. With underfocus, atoms (ε > 0) are dark.
    optics = replace(ROUND, c12=60.0, phi12=0.4)
    epsilon, x = 1e-5, np.arange(48) / 48
    cosine = np.cos(2 * np.pi * (index[0] * x[:, None] + index[1] * x[None, :]))
    wave = np.exp(1j * epsilon * cosine)
    image = exact(coherence=coherence, members=30).intensity(spectra(wave), optics)[0].numpy()
    q, phi = np.hypot(*index) / GRID.field_A, np.arctan2(index[1], index[0])
    contrast = 2 * np.mean((image - 1) * cosine)
    # The source's envelope is each member's own in a focal series, at its own defocus.
    members = ctf.focal_series(optics, 30) if coherence == "focal-series" else [(1, optics)]
    T = sum(weight * ctf.transfer(member, q, phi) for weight, member in members)
    assert abs(ctf.transfer(optics, q, phi)) > 1e-3
    assert pytest.approx(ctf.transfer(optics, q, phi), abs=0.01) == T
    assert contrast == pytest.approx(2 * epsilon * T, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
def test_weak_random_phases_show_their_power_through_the_ctf(coherence):
    # White phases of standard deviation s have power s²/N a frequency; of a weak one, the image
    # has 4·T² of it. Over n images, its mean is spread by 1/√n of itself.
    number, s, px = 400, 1e-3, GRID.px
    optics = replace(ROUND, focal_spread=20.0, c12=50.0, phi12=0.5)
    phases = np.random.default_rng(5).normal(0, s, (number, px, px))
    index = np.fft.fftfreq(px, 1 / px)
    band = np.maximum(np.abs(index[:, None]), np.abs(index)) <= GRID.half
    waves = np.fft.ifft2(np.fft.fft2(np.exp(1j * phases)) * band)
    images = exact(coherence=coherence, members=20).intensity(spectra(*waves), optics).numpy()
    power = np.mean(np.abs(np.fft.fft2(images, norm="forward")) ** 2, 0)
    q = np.hypot(index[:, None], index) / GRID.field_A
    phi = np.arctan2(index[None, :], index[:, None])
    E, chi = ctf.envelope(optics, q, phi), ctf.aberration_phase(optics, q, phi)
    expected = 4 * np.sin(chi) ** 2 * E**2 * s**2 / px**2
    # The lens is even and an image real, so that half of the plane says all.
    use = (expected > 0.1 * expected.max()) & band & (index[:, None] > 0)
    ratio = power[use] / expected[use]
    assert use.sum() > 150
    assert ratio.mean() == pytest.approx(1, abs=4 / np.sqrt(number * use.sum()) + 0.003)
    assert ratio.std() == pytest.approx(1 / np.sqrt(number), rel=0.25)
    assert power[(expected < 1e-4 * expected.max()) & (q > 0)].mean() < 1e-3 * power[use].mean()


def test_a_phase_object_is_dark_at_underfocus_and_bright_at_overfocus():
    x = GRID.pixel_A * (np.arange(48) - 24)
    atom = 0.1 * np.exp(-(x[:, None] ** 2 + x[None, :] ** 2) / 2)
    for defocus, sign in ((80, -1), (-80, 1)):
        image = exact().intensity(spectra(np.exp(1j * atom)), Optics(300e3, defocus=defocus))[0]
        assert sign * (image[24, 24] - 1) > 0.02


# Symmetries


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
def test_a_round_lens_has_no_orientation(coherence):
    spectrum = spectra(random_wave(2))
    image = exact(coherence=coherence).intensity(spectrum, ROUND)
    turned = exact(coherence=coherence).intensity(spectrum.rot90(dims=(-2, -1)), ROUND)
    # A turn of the spectrum about zero frequency is a turn about pixel (0, 0).
    expected = image.roll(-1, -1).rot90(dims=(-2, -1))
    torch.testing.assert_close(turned, expected, rtol=1e-12, atol=0)
    mirrored = exact(coherence=coherence).intensity(spectrum.mT.contiguous(), ROUND)
    torch.testing.assert_close(mirrored, image.mT, rtol=1e-12, atol=0)
    astigmatic = replace(ROUND, c12=100.0, phi12=0.3)
    assert not torch.allclose(
        exact().intensity(spectrum.mT.contiguous(), astigmatic),
        exact().intensity(spectrum, astigmatic).mT,
        rtol=1e-3,
    )


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
@pytest.mark.parametrize("seed", range(3))
def test_a_quarter_turn_of_wave_and_lens_turns_the_image(coherence, seed):
    optics, spectrum = random_optics(seed), spectra(random_wave(seed))
    azimuths = {name: getattr(optics, name) - np.pi / 2 for name in ("phi12", "phi21", "phi23")}
    image = exact(coherence=coherence).intensity(spectrum, optics)
    lens = replace(optics, **azimuths)
    turned = exact(coherence=coherence).intensity(spectrum.rot90(-1, dims=(-2, -1)), lens)
    torch.testing.assert_close(
        turned, image.rot90(-1, dims=(-2, -1)).roll(1, -1), atol=1e-10, rtol=0
    )
    unturned = exact(coherence=coherence).intensity(spectrum.rot90(-1, dims=(-2, -1)), optics)
    assert (turned - unturned).abs().max() > 1e-3


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
def test_friedel(coherence):
    # An image is real: its spectrum is conjugate at −q. And an even lens does to a wave's mirror
    # image through a point what it does to the wave.
    wave, optics = random_wave(3), replace(ROUND, c12=80.0, phi12=0.4)
    spectrum = spectra(wave)
    image = exact(coherence=coherence).intensity(spectrum, optics)
    found = torch.fft.fft2(image)[0]
    mirrored = found.flip(0, 1).roll((1, 1), (0, 1))
    torch.testing.assert_close(found, mirrored.conj(), rtol=1e-10, atol=1e-9)
    through = exact(coherence=coherence).intensity(spectrum.flip(2, 3), optics)
    torch.testing.assert_close(through, image.flip(1, 2).roll((1, 1), (1, 2)), rtol=1e-10, atol=0)
    odd = replace(optics, c21=2e3)
    other = exact(coherence=coherence)
    assert not torch.allclose(
        other.intensity(spectrum.flip(2, 3), odd),
        other.intensity(spectrum, odd).flip(1, 2).roll((1, 1), (1, 2)),
        rtol=1e-3,
    )


@settings(max_examples=20)
@given(st.integers(0, 47), st.integers(0, 47), st.integers(0, 100))
def test_a_shifted_wave_makes_a_shifted_image(down, right, seed):
    wave, optics = random_wave(seed), random_optics(seed)
    shifted = np.roll(wave, (down, right), (0, 1))
    image, moved = exact(coherence="focal-series").intensity(spectra(wave, shifted), optics)
    torch.testing.assert_close(moved, image.roll((down, right), (0, 1)), rtol=1e-10, atol=1e-12)


# Batches


@pytest.mark.slow
@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
@pytest.mark.parametrize(
    ("px", "number", "blurred"),
    [(48, 7, False), (50, 7, True), (96, 7, False), (256, 4, True), (512, 3, False)],
)
def test_an_image_depends_on_neither_batch_nor_threads(coherence, px, number, blurred, threads):
    grid = Sampling(px, 0.3)
    batch = spectra(
        *(random_wave(i, grid) for i in range(number)), grid=grid, dtype=torch.complex64
    )
    given = blur(grid, 0.3, "gaussian", 0.4) if blurred else None
    imager = Imager(grid, coherence, members=2, blur=given)
    threads(1)
    whole = imager.intensity(batch, ROUND)
    noisy = expose(whole, 90.0, range(number))
    order = torch.arange(number).flip(0).roll(1)
    for several in (1, 2, 3):
        threads(several)
        assert torch.equal(imager.intensity(batch[order], ROUND), whole[order])
        assert torch.equal(expose(whole[order], 90.0, order.tolist()), noisy[order])
        for size in (1, 2, number):
            parts = [imager.intensity(part, ROUND) for part in batch.split(size)]
            assert torch.equal(torch.cat(parts), whole)
        assert torch.equal(expose(whole[2:3], 90.0, [2]), noisy[2:3])
        assert torch.get_num_threads() == several


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("own", [False, True])
def test_a_batch_equals_its_single_images(dtype, own):
    """The operations for a GPU run on the CPU."""
    each, grid = lenses(5), Sampling(50, 0.3)
    given = torch.as_tensor(
        grid.crop(np.stack([[random_wave(10 * i + p, grid) for p in range(2)] for i in range(5)])),
        dtype=torch.complex64 if dtype == torch.float32 else torch.complex128,
    )
    imager = Imager(grid, dtype=dtype, blur=blur(grid, 0.3))
    one_by_one = imager.intensity(given, each if own else each[0])
    imager.device = torch.device("cuda")  # nothing is made there
    at_once = imager.intensity(given, each if own else each[0])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(at_once, one_by_one, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_makes_the_cpus_images():
    batch = spectra(*(random_wave(i) for i in range(4)), dtype=torch.complex64)
    for optics in (ROUND, lenses(4)):
        image = Imager(GRID).intensity(batch, optics)
        there = Imager(GRID, device="cuda").intensity(batch.cuda(), optics)
        torch.testing.assert_close(there.cpu(), image, rtol=1e-5, atol=1e-5)
    counts = expose(torch.ones((8, 128, 128), device="cuda"), 36.0, range(8)).cpu()
    assert counts.mean().item() == pytest.approx(36, abs=4 * 6 / np.sqrt(counts.numel()))
    assert counts.var().item() == pytest.approx(36, rel=4 * np.sqrt(2 / counts.numel()))


def test_frozen_phonons_are_averaged_in_intensity():
    given = torch.cat([spectra(random_wave(i), random_wave(10 + i)) for i in range(3)], 1)
    assert given.shape[:2] == (2, 3)
    for coherence in ("focal-series", "quasi-coherent"):
        imager = exact(coherence=coherence)
        for optics in (ROUND, lenses(2)):
            image = imager.intensity(given, optics)
            alone = [imager.intensity(given[:, p : p + 1], optics) for p in range(3)]
            torch.testing.assert_close(image, sum(alone) / 3, rtol=1e-12, atol=0)
            of_the_mean = imager.intensity(given.mean(1, keepdim=True), optics)
            assert (image - of_the_mean).abs().max() > 0.05  # waves are not averaged


@pytest.mark.parametrize("shape", [(2, 33, 33), (1, 1, 33, 32), (2, 1, 31, 31)])
def test_spectra_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="must be N, P, 33, 33"):
        exact().intensity(torch.zeros(shape, dtype=torch.complex128), ROUND)


def test_images_are_formed_where_gradients_are_off():
    batch = spectra(
        *(random_wave(i, Sampling(256, 0.3)) for i in range(3)), grid=Sampling(256, 0.3)
    )
    imager = Imager(Sampling(256, 0.3), blur=blur(Sampling(256, 0.3), 0.3))
    image = imager.intensity(batch, ROUND)
    with torch.inference_mode():
        assert torch.equal(imager.intensity(batch.clone(), ROUND), image)
        assert torch.equal(expose(image.clone(), 9.0, range(3)), expose(image, 9.0, range(3)))


def test_a_closed_aperture_passes_the_unscattered_beam():
    wave = random_wave(1)
    image = exact().intensity(spectra(wave), replace(ROUND, aperture=0.0))
    np.testing.assert_allclose(image, np.abs(wave.mean()) ** 2, rtol=1e-12)


def test_one_imager_keeps_conditions_apart():
    imager, batch = exact(coherence="focal-series"), spectra(random_wave(3))
    conditions = [random_optics(i) for i in range(6)]
    conditions.insert(3, replace(conditions[0], focal_spread=0.0))  # a series of one
    first = [imager.intensity(batch, optics) for optics in conditions]
    again = [imager.intensity(batch, optics) for optics in conditions]
    assert all(map(torch.equal, first, again))
    fresh = [exact(coherence="focal-series").intensity(batch, optics) for optics in conditions]
    assert all(map(torch.equal, first, fresh))


# A lens for every image


def lenses(number, **shared):
    """Return lenses that differ only in their aberrations."""
    shared = {
        "energy": 300e3,
        "aperture": 18.0,
        "focal_spread": 30.0,
        "source_spread": 0.2,
    } | shared
    return [replace(random_optics(i), **shared) for i in range(number)]


@pytest.mark.parametrize("coherence", ["focal-series", "quasi-coherent"])
@pytest.mark.parametrize("source", [0.0, 0.2])
def test_a_batch_of_lenses_equals_single_lenses(coherence, source):
    each = lenses(6, source_spread=source)
    batch = spectra(*(random_wave(i) for i in range(6)))
    alone = [
        exact(coherence=coherence).intensity(batch[i : i + 1], lens) for i, lens in enumerate(each)
    ]
    images = exact(coherence=coherence).intensity(batch, each)
    torch.testing.assert_close(images, torch.cat(alone), rtol=1e-9, atol=1e-12)
    single = Imager(GRID, coherence).intensity(batch.to(torch.complex64), each)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), images, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("several", [1, 2, 3])
def test_an_image_with_a_separate_lens_does_not_depend_on_its_batch(several, threads):
    grid, each = Sampling(96, 0.3), lenses(7)
    batch = spectra(*(random_wave(i, grid) for i in range(7)), grid=grid, dtype=torch.complex64)
    imager = Imager(grid)
    threads(1)
    whole = imager.intensity(batch, each)
    threads(several)
    order = [3, 6, 0, 5, 1, 4, 2]
    assert torch.equal(imager.intensity(batch[order], [each[i] for i in order]), whole[order])
    for i in range(7):
        assert torch.equal(imager.intensity(batch[i : i + 1], each[i : i + 1])[0], whole[i])


def test_lenses_of_one_batch_share_everything_else():
    each = [ROUND, replace(ROUND, aperture=12.0)]
    batch = spectra(random_wave(0), random_wave(1))
    with pytest.raises(ValueError, match="must differ only in their aberrations"):
        exact().intensity(batch, each)
    with pytest.raises(ValueError, match="1 lenses for 2 images"):
        exact().intensity(batch, [ROUND])


# Noise


def test_counts_follow_the_image():
    image = torch.ones(1, 128, 128)
    image[:, 64:] = 3
    counts = expose(image, 50.0, [1])[0]
    assert counts[:64].mean().item() == pytest.approx(50, abs=0.4)
    assert counts[64:].mean().item() == pytest.approx(150, abs=0.7)
    assert torch.all(expose(torch.zeros(1, 8, 8), 50.0, [1]) == 0)


def test_noise_belongs_to_its_seed():
    image = torch.ones(3, 32, 32)
    first, second, third = expose(image, 20.0, [11, 12, 11])
    assert torch.equal(first, third)
    correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert abs(correlation) < 4 / 32
    torch.manual_seed(0)
    assert torch.equal(expose(image, 20.0, [11, 12, 11])[1], second)  # not the global stream


def test_a_seed_for_every_image():
    with pytest.raises(ValueError, match="1 seeds for 2 images"):
        expose(torch.ones(2, 8, 8), 20.0, [1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_counts_keep_their_dtype(dtype):
    assert expose(torch.ones(1, 8, 8, dtype=dtype), 20.0, [1]).dtype == dtype


# Normalisation


def counts(seed=0):
    rate = torch.linspace(0.5, 2, 3)[:, None, None].expand(3, 32, 32)
    return expose(rate, 100.0, [seed, seed + 1, seed + 2])


def test_zscore_has_mean_zero_and_variance_one_in_each_image():
    seen = normalise(counts(), "zscore", 100.0)
    torch.testing.assert_close(seen.mean((1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.var((1, 2)), torch.ones(3), atol=1e-5, rtol=0)


def test_minmax_runs_from_zero_to_one_in_each_image():
    seen = normalise(counts(), "minmax", 100.0)
    assert torch.equal(seen.amin((1, 2)), torch.zeros(3))
    assert torch.equal(seen.amax((1, 2)), torch.ones(3))


def test_vacuum_normalisation_is_the_deviation_from_vacuum_counts():
    seen = normalise(torch.tensor([[[0.0, 50.0, 100.0, 250.0]]]), "vacuum", 100.0)
    torch.testing.assert_close(seen, torch.tensor([[[-1.0, -0.5, 0.0, 1.5]]]))


@pytest.mark.parametrize("name", ["zscore", "minmax", "vacuum"])
def test_normalisation_is_increasing_and_per_image(name):
    image = counts()
    seen = normalise(image, name, 100.0)
    for one, other in zip(image, seen, strict=True):
        slope = np.polyfit(one.ravel().numpy(), other.ravel().numpy(), 1)[0]
        assert slope > 0
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(1, abs=1e-5)
    assert torch.equal(normalise(image[1:2], name, 100.0), seen[1:2])


@pytest.mark.parametrize("name", ["zscore", "minmax"])
@pytest.mark.parametrize("value", [0.0, 1.0, 3.0, 333.0, 99999.0])
@pytest.mark.parametrize("px", [8, 100, 512])
def test_a_constant_image_is_zero_and_not_a_division_by_nothing(name, value, px):
    seen = normalise(torch.full((2, px, px), value), name, 100.0)
    assert torch.equal(seen, torch.zeros_like(seen))


def test_an_unknown_normalisation_is_named():
    with pytest.raises(ValueError, match=r"normalisation 'log': must be zscore, minmax or vacuum"):
        normalise(counts(), "log", 100.0)


def test_neither_spectra_nor_intensities_are_changed():
    imager = Imager(Sampling(32, 0.4), "focal-series", 3)
    side = imager.sampling.cropped
    spectra = torch.randn((2, 1, side, side), dtype=torch.complex64) / 32
    kept = spectra.clone()
    optics = ctf.Optics(energy=300e3, defocus=100, cs=0, aperture=15, focal_spread=30)
    intensity = imager.intensity(spectra, optics)
    before = intensity.clone()
    expose(intensity, 10.0, [1, 2])
    assert torch.equal(spectra, kept)
    assert torch.equal(intensity, before)
    assert torch.equal(imager.intensity(spectra, optics), intensity)
