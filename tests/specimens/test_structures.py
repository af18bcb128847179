from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import distance_transform_edt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from passband import PassbandError, seeds
from passband.config import Diameter, Orientation, Particles, Planes, Specimen, Substrate
from passband.config.crystals import MATERIALS
from passband.optics.sampling import Sampling
from passband.specimens import bodies, contact, crystals, masks, shells
from passband.specimens import carbon as carbon_film
from passband.specimens import structures as specimen
from passband.specimens.structures import Structure

GOLD = MATERIALS["Au"]
FCC = [symbol for symbol, material in MATERIALS.items() if material.structure == "fcc"]
SMALL = Sampling(64, 0.3)
VACUUM = Substrate(thickness_nm=0.0)


def rng(*names):
    return seeds.generator("test", *names)


def exactly(diameter):
    return Diameter(mean=diameter, std=0.0, min=diameter, max=diameter)


def exactly_so_many(number):
    return Particles(min=number, max=number)


def nearest(a, b, field):
    """The distance of each point of `a` to the nearest other point of `b`, periodic in x and y."""
    apart = a[:, None] - b
    apart[..., :2] -= field * np.round(apart[..., :2] / field)
    distance = np.linalg.norm(apart, axis=-1)
    distance[distance == 0] = np.inf
    return distance.min(1)


def particle(material, shape, diameter, rng):
    """Return the positions of the atoms in a particle of a named material."""
    crystal, spec = (
        crystals.crystal(material.symbol),
        Specimen(material=material.symbol, shape=shape),
    )
    return specimen.particle(crystal, spec, diameter, rng).positions


def of_gold(xy, sampling, substrate=()):
    """Return a structure with gold atoms at the given positions and carbon below them."""
    xy = np.concatenate([np.reshape(substrate, (-1, 2)), np.reshape(xy, (-1, 2))])
    atoms = Atoms(
        ["C"] * len(substrate) + ["Au"] * (len(xy) - len(substrate)),
        np.pad(xy, ((0, 0), (0, 1)), constant_values=2.0),
        cell=[sampling.field_A, sampling.field_A, 4.0],
        pbc=(True, True, False),
    )
    atoms.new_array("particle", (atoms.numbers == 79).astype(int))
    return Structure(atoms, GOLD, (0,))


def mask(structure, sampling):
    """Return the semantic mask of a structure, and check the labels of the masks."""
    labels = masks.instances(structure, sampling)
    assert labels.dtype == np.uint8
    assert labels.shape == (2, sampling.px, sampling.px)
    assert labels.max() <= len(structure.faces)
    return labels.any(0)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def disc(sampling, centre, radius):
    x = np.arange(sampling.px) * sampling.pixel_A
    return np.hypot(x[:, None] - centre, x - centre) <= radius


# Substrate


@settings(max_examples=25)
@given(
    field=st.floats(8, 20),
    thickness=st.floats(1, 12),
    density=st.floats(0.5, 2.5),
    distance=st.floats(0.5, 1.5),
    seed=st.integers(0, 2**32),
)
def test_carbon_has_its_density_and_keeps_its_distance(field, thickness, density, distance, seed):
    box = field, field, thickness
    carbon = carbon_film.amorphous_carbon(
        field, thickness, density, distance, np.random.default_rng(seed)
    )
    grams = len(carbon) * 12.011 * 1.66053907e-24
    assert grams / np.prod(box) / 1e-24 == pytest.approx(density, abs=21 / np.prod(box))
    assert ((carbon >= 0) & (carbon < box)).all()
    assert nearest(carbon, carbon, field).min() >= distance


def test_carbon_fills_the_slab_evenly():
    carbon = carbon_film.amorphous_carbon(60.0, 10.0, 2.0, carbon_film.DISTANCE_A, rng("carbon"))
    for x, length in zip(carbon.T, (60, 60, 10), strict=True):
        # A wider tolerance than for independent points: hard cores make the counts more equal, and
        # the slab's free faces have a few atoms more than its middle.
        counts = np.histogram(x, 5, (0, length))[0]
        np.testing.assert_allclose(counts, len(carbon) / 5, rtol=0.15)


def test_first_come_is_sequential():
    # The second yields to the first, so the third, near the second alone, stays.
    points = np.array([[1.0, 1, 1], [2, 1, 1], [3, 1, 1], [9.5, 1, 1]])
    assert carbon_film._first_come(points, 1.2, 30.0).tolist() == [True, False, True, True]
    assert carbon_film._first_come(points, 1.6, 10.0).tolist() == [True, False, True, False]


def test_density_out_of_reach_is_said_in_one_line():
    with pytest.raises(PassbandError, match=r"cannot reach .*9 g/cm³ .* 1\.4 Å apart") as error:
        carbon_film.amorphous_carbon(10.0, 5.0, 9.0, 1.4, rng())
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_densest_carbon_that_a_configuration_allows_can_be_made():
    carbon = carbon_film.amorphous_carbon(30.0, 20.0, 3.0, carbon_film.DISTANCE_A, rng())
    assert nearest(carbon, carbon, 30.0).min() >= carbon_film.DISTANCE_A


# Particles


def test_diameters_follow_the_truncated_normal_distribution():
    d = Diameter(mean=2.0, std=0.5, min=1.8, max=3.0)
    draws = specimen.diameters(d, 2000, rng("diameters"))
    assert draws.min() >= d.min
    assert draws.max() <= d.max
    exact = stats.truncnorm((d.min - d.mean) / d.std, (d.max - d.mean) / d.std, d.mean, d.std)
    assert stats.kstest(draws, exact.cdf).pvalue > 0.01


def test_diameters_without_spread_are_the_mean():
    assert (specimen.diameters(exactly(2.0), 3, rng()) == 2.0).all()
    tight = Diameter(mean=2.0, std=0.5, min=2.0, max=2.0)
    assert (specimen.diameters(tight, 3, rng()) == 2.0).all()


@pytest.mark.parametrize("symbol", FCC)
def test_ball_has_its_crystals_density_and_spacing(symbol):
    material = MATERIALS[symbol]
    balls = [particle(material, "sphere", 36.0, rng(i)) for i in range(4)]
    expected = material.atoms_per_A3 * np.pi / 6 * 36.0**3
    assert np.mean([len(ball) for ball in balls]) == pytest.approx(expected, rel=0.02)
    for ball in balls:
        assert np.linalg.norm(ball, axis=1).max() <= 19.0
        assert pdist(ball).min() == pytest.approx(material.neighbour_A)
    assert len({len(ball) for ball in balls}) == 1, "of equal diameter"
    nearest_to_centre = {round(np.linalg.norm(ball, axis=1).min(), 3) for ball in balls}
    assert len(nearest_to_centre) == 4, "the lattice's offset is random"


def test_ball_reaches_its_radius_on_every_side():
    ball = particle(GOLD, "sphere", 40.0, rng())
    for direction in np.random.default_rng(0).normal(size=(50, 3)):
        assert (ball @ direction).max() / np.linalg.norm(direction) == pytest.approx(20, abs=1.5)


def test_smallest_ball_has_an_atom():
    assert all(len(particle(GOLD, "sphere", 0.1, rng(i))) == 1 for i in range(5))


@pytest.mark.slow
@pytest.mark.parametrize("symbol", FCC)
def test_wulff_particle_has_the_cubes_symmetry_and_wulffs_proportions(symbol):
    material = MATERIALS[symbol]
    atoms = shells._wulff(MATERIALS[symbol], 3000)
    assert len(atoms) == pytest.approx(3000, rel=0.1)
    assert pdist(atoms).min() == pytest.approx(material.neighbour_A)
    half = np.rint(atoms * 2 / material.lattice_A).astype(int)
    points = set(map(tuple, half))
    for turned in (-half, half[:, [1, 2, 0]], half[:, [1, 0, 2]], half * [1, 1, -1]):
        assert set(map(tuple, turned)) == points
    # Wulff's theorem: facets lie at distances in proportion to their surface energies. The
    # distances are whole numbers of layers.
    distance = {
        face: (atoms @ face).max() / np.linalg.norm(face) for face in [(1, 1, 1), (1, 0, 0)]
    }
    energy = material.surface_energies
    assert distance[1, 0, 0] / distance[1, 1, 1] == pytest.approx(
        energy[1, 0, 0] / energy[1, 1, 1], rel=0.1
    )


@pytest.mark.parametrize("number", [1, 2, 13, 50, 100, 500])
def test_wulff_particle_comes_as_close_as_complete_shells_allow(number):
    assert len(shells._wulff(GOLD, number)) == pytest.approx(number, rel=0.4, abs=6)


def test_wulff_particle_of_a_diameter_has_the_balls_volume():
    atoms = particle(GOLD, "wulff", 40.0, rng())
    assert len(atoms) / GOLD.atoms_per_A3 == pytest.approx(np.pi / 6 * 40.0**3, rel=0.005)


def test_orientation_is_a_uniformly_random_rotation():
    shells, gold = Specimen(closed_shells=True), crystals.crystal("Au")
    draws = [specimen.particle(gold, shells, 8.0, rng(i)).positions for i in range(400)]
    assert pdist(draws[0]) == pytest.approx(pdist(draws[1]))
    turn = np.linalg.lstsq(*draws[:2], rcond=None)[0]
    assert np.linalg.det(turn) == pytest.approx(1), "a rotation, not a reflection"
    tip = np.linalg.norm(draws[0], axis=1).argmax()
    tips = np.array([d[tip] / np.linalg.norm(d[tip]) for d in draws])
    for cosine in tips.T:  # Archimedes: each is uniform between −1 and 1
        assert stats.kstest(cosine, stats.uniform(-1, 2).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("distribution", "exact"),
    [
        ("uniform", stats.uniform(1.0, 3.0)),
        # scipy's parameters of mean 2 and standard deviation 0.5, from its definition
        ("lognormal", stats.lognorm(np.sqrt(np.log(1.0625)), scale=2 / np.sqrt(1.0625))),
    ],
)
def test_other_distributions_of_diameters(distribution, exact):
    d = Diameter(distribution=distribution, mean=2.0, std=0.5, min=1.0, max=4.0)
    draws = specimen.diameters(d, 2000, rng(distribution))
    assert draws.min() >= 1.0
    assert draws.max() <= 4.0
    low, high = exact.cdf([1.0, 4.0])
    assert stats.kstest(draws, lambda x: (exact.cdf(x) - low) / (high - low)).pvalue > 0.01
    if distribution == "lognormal":
        assert exact.mean() == pytest.approx(2.0)
        assert exact.std() == pytest.approx(0.5)
        assert draws.mean() == pytest.approx(2.0, abs=0.05)
        assert draws.std() == pytest.approx(0.5, rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("zone", [(1, 1, 0), (1, 1, 1), (0, 0, -1), (0, 1, 2)])
def test_zone_axis_is_within_its_angle_of_the_beam(zone):
    gold = crystals.crystal("Au")
    within = Orientation(zone=list(zone), within_deg=20.0)
    axis = np.array(zone) / np.linalg.norm(zone)
    turns = [specimen.orientation(within, gold, rng(i)) for i in range(400)]
    cosine = np.array([turn.apply(axis)[2] for turn in turns])
    cap = 1 - np.cos(np.radians(20))
    # Uniform over the cap of the sphere: its cosine is uniform (Archimedes).
    assert stats.kstest(cosine, stats.uniform(1 - cap, cap).cdf).pvalue > 0.01
    across = np.cross(axis, [0.3, 0.5, 0.7])
    azimuths = [np.arctan2(*turn.apply(across)[:2]) for turn in turns]
    assert stats.kstest(azimuths, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_particle_on_its_zone_axis_shows_its_columns():
    spec = Specimen(
        shape="sphere",
        orientation=Orientation(zone=[1, 0, 0], within_deg=0.0),
        diameter_nm=exactly(2.0),
        particles=exactly_so_many(1),
        substrate=VACUUM,
    )
    z = np.sort(specimen.draw(spec, Sampling(96, 0.3), rng()).atoms.positions[:, 2])
    steps = np.diff(z)[np.diff(z) > 1e-6]
    assert steps == pytest.approx(GOLD.lattice_A / 2), "layers of (200)"


def test_particle_may_have_defects_and_roughness():
    gold = crystals.crystal("Au")
    one = Planes(min=1, max=1)
    plain, faulted, rough = (
        specimen.particle(gold, Specimen(shape="cube", **more), 20.0, rng())
        for more in ({}, {"twins": one, "stacking_faults": one}, {"roughness": 0.3})
    )
    assert len(faulted) == pytest.approx(len(plain), rel=0.03), "less what hangs over"
    assert len(plain) > len(rough)
    assert pdist(faulted.positions).min() == pytest.approx(GOLD.neighbour_A)
    lattice = {tuple(np.round(np.sort(pdist(plain.positions)), 2))}
    assert not set(np.round(pdist(faulted.positions), 2)) <= set(*lattice), "new distances"


# Structures


def test_structure_lies_in_its_cell():
    structure = specimen.draw(Specimen(), Sampling(96, 0.3), rng())
    atoms = structure.atoms
    x, y, z = atoms.positions.T
    field = Sampling(96, 0.3).field_A
    assert atoms.cell.orthorhombic
    assert atoms.cell.lengths()[:2] == pytest.approx(field)
    assert atoms.pbc.tolist() == [True, True, False]
    assert min(x.min(), y.min()) >= 0
    assert max(x.max(), y.max()) < field
    assert z.min() == pytest.approx(specimen.PADDING_A)
    assert atoms.cell.lengths()[2] - z.max() == pytest.approx(specimen.PADDING_A)
    assert structure.material == GOLD
    labels = atoms.arrays["particle"]
    assert labels.dtype.kind == "i"
    assert set(atoms.numbers[labels == 0]) == {6}
    assert set(atoms.numbers[labels > 0]) == {79}


def test_particles_lie_on_the_substrate():
    spec = Specimen(particles=exactly_so_many(2), diameter_nm=exactly(1.2))
    atoms = specimen.draw(spec, Sampling(128, 0.3), rng()).atoms
    z, labels = atoms.positions[:, 2], atoms.arrays["particle"]
    top = z[labels == 0].min() + 10.0  # less the lowest atom's depth in the slab
    assert labels.max() == 2
    for label in (1, 2):
        assert z[labels == label].min() == pytest.approx(top + specimen.CONTACT_A, abs=0.1)
    assert z[labels > 0].min() - z[labels == 0].max() >= specimen.CONTACT_A


def test_without_thickness_there_is_no_substrate():
    atoms = specimen.draw(Specimen(substrate=VACUUM), Sampling(96, 0.3), rng()).atoms
    assert (atoms.arrays["particle"] > 0).all()


@pytest.mark.parametrize("shape", ["sphere", "wulff"])
@pytest.mark.parametrize("seed", range(5))
def test_particles_keep_their_gap(shape, seed):
    sampling = Sampling(160, 0.3)
    spec = Specimen(
        shape=shape,
        diameter_nm=Diameter(mean=1.0, std=0.2, min=0.7, max=1.3),
        particles=exactly_so_many(4),
        gap_nm=0.5,
        substrate=VACUUM,
    )
    atoms = specimen.draw(spec, sampling, rng(seed)).atoms
    labels = atoms.arrays["particle"]
    assert set(labels) == {1, 2, 3, 4}
    for label in (1, 2, 3, 4):
        mine, others = (atoms.positions[s, :2] for s in (labels == label, labels != label))
        assert nearest(mine, others, sampling.field_A).min() >= GOLD.neighbour_A + 5.0


CROWD = {"diameter_nm": exactly(1.0), "gap_nm": 1.0, "particles": exactly_so_many(4)}
WIDE = Sampling(300, 0.3)


def smallest_distances(structure, sampling):
    """Return, for each particle but the first of a face, how near it is to an earlier one [Å]."""
    atoms = structure.atoms
    labels = atoms.arrays["particle"]
    found = []
    for face in set(structure.faces):
        bodies = [
            atoms.positions[labels == number, :2]
            for number, on in enumerate(structure.faces, 1)
            if on == face
        ]
        found += [
            min(contact.distance(body, other, sampling.field_A) for other in bodies[:k])
            for k, body in enumerate(bodies)
            if k
        ]
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["sphere", "wulff"])
def test_particles_touch_as_often_as_the_key_says_and_never_overlap(shape):
    near = GOLD.neighbour_A
    spec = Specimen(shape=shape, substrate=VACUUM, touching=0.5, **CROWD)
    apart = np.concatenate(
        [smallest_distances(specimen.draw(spec, WIDE, rng(k)), WIDE) for k in range(60)]
    )
    touch = apart < 1.05 * near
    assert apart.min() >= contact.CLEARANCE * near
    assert apart[touch] == pytest.approx(near, rel=0.05)
    # The others have gaps of 1 nm between the circles around them.
    assert apart[~touch].min() >= near + 10.0
    assert stats.binomtest(int(touch.sum()), len(touch), 0.5).pvalue > 0.01


def test_all_particles_of_each_face_touch_with_one():
    spec = Specimen(touching=1.0, substrate=Substrate(thickness_nm=1.0, faces="both"), **CROWD)
    structures = [specimen.draw(spec, WIDE, rng(k)) for k in range(6)]
    assert {len(each.faces) for each in structures} == {4}
    apart = np.concatenate([smallest_distances(each, WIDE) for each in structures])
    assert apart == pytest.approx(GOLD.neighbour_A, rel=0.05)


def test_without_touching_structures_are_as_before_the_key():
    """Particles have the positions that the generator gave before there was the key."""
    spec = Specimen(diameter_nm=exactly(0.6), particles=exactly_so_many(3), substrate=VACUUM)
    assert Specimen(**spec.model_dump() | {"touching": 0.0}) == spec
    dots = [np.zeros((1, 3))] * 3
    field, gap, margin = 50.0, 3.0, 1.0
    found = np.array(specimen.place(dots, field, gap, margin, rng(1)))[:, 0, :2]
    random = rng(1)
    wanted = np.empty((0, 2))
    for _ in dots:
        tries = random.random((specimen.PLACE_TRIES, 2)) * field
        apart = tries[:, None] - wanted
        apart -= field * np.round(apart / field)
        fits = (np.linalg.norm(apart, axis=-1) >= 2 * margin + gap).all(1)
        wanted = np.vstack([wanted, tries[fits.argmax()]])
    np.testing.assert_array_equal(found, wanted)


def test_a_particle_that_no_direction_has_room_for_is_placed_as_one_that_need_not_touch():
    """A field of nearly one particle: whatever touches it overlaps its periodic image."""
    spec = Specimen(diameter_nm=exactly(1.2), touching=1.0, particles=exactly_so_many(2))
    found = specimen.draw(spec, SMALL, rng())
    assert len(found.faces) == 1


@pytest.mark.parametrize("angle", [0.3, 2.0, 4.5])
def test_a_body_stops_where_it_touches_first(angle):
    body = np.stack(np.meshgrid(np.arange(-6, 7, 2.0), np.arange(-6, 7, 2.0)), -1).reshape(-1, 2)
    other = body + 50
    centre = contact.slide(body, other, 2.9, angle)
    assert contact.distance(body + centre, other, 100.0) == pytest.approx(2.9, abs=0.05)
    along = np.array([np.cos(angle), np.sin(angle)])
    # It came from there, and aimed at the middle of the other one.
    assert (centre - other.mean(0)) @ along > 0
    across = np.array([-along[1], along[0]])
    assert (centre - other.mean(0)) @ across == pytest.approx(0, abs=1e-9)


def test_particles_cross_the_periodic_border_whole():
    sampling = Sampling(80, 0.3)
    spec = Specimen(
        diameter_nm=exactly(1.6), shape="wulff", particles=exactly_so_many(1), substrate=VACUUM
    )
    whole = pdist(particle(GOLD, "wulff", 16.0, rng()))
    crossing = 0
    for seed in range(10):
        atoms = specimen.draw(spec, sampling, rng(seed)).atoms
        crossing += np.ptp(atoms.positions[:, :2], axis=0).max() > 17
        assert len(atoms) == (1 + np.sqrt(1 + 8 * len(whole))) / 2
        nearest_neighbours = nearest(atoms.positions, atoms.positions, sampling.field_A)
        assert nearest_neighbours == pytest.approx(GOLD.neighbour_A)
    assert crossing


def test_crowded_field_holds_fewer_but_at_least_one():
    crowd = Specimen(diameter_nm=exactly(1.0), particles=exactly_so_many(50), substrate=VACUUM)
    labels = specimen.draw(crowd, SMALL, rng()).atoms.arrays["particle"]
    assert 1 <= labels.max() < 50
    assert set(labels) == set(range(1, labels.max() + 1))
    full = Specimen(diameter_nm=exactly(1.2), particles=exactly_so_many(2), substrate=VACUUM)
    assert specimen.draw(full, SMALL, rng()).atoms.arrays["particle"].max() == 1


def test_particle_wider_than_the_field_is_refused():
    wide = Specimen(diameter_nm=exactly(1.9), shape="sphere", substrate=VACUUM)
    with pytest.raises(PassbandError, match=r"Å wide, more than the field of view of 19\.2 Å"):
        specimen.draw(wide, SMALL, rng())


@pytest.mark.slow
def test_number_of_particles_is_uniform():
    spec = Specimen(diameter_nm=exactly(0.4), particles=Particles(min=1, max=3), substrate=VACUUM)
    numbers = [
        specimen.draw(spec, Sampling(200, 0.3), rng(i)).atoms.arrays["particle"].max()
        for i in range(300)
    ]
    values, counts = np.unique(numbers, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert stats.chisquare(counts).pvalue > 0.01


def test_places_are_uniform_over_the_field():
    dot = np.zeros((1, 3))
    xy = np.concatenate([specimen.place([dot], 10.0, 0.0, 1.0, rng(i))[0] for i in range(400)])
    for x in xy[:, :2].T:
        assert stats.kstest(x, stats.uniform(0, 10).cdf).pvalue > 0.01
    assert (xy[:, 2] == 0).all()


def test_compound_keeps_its_composition_and_its_atoms_apart():
    spec = Specimen(
        material="CeO2", shape="sphere", diameter_nm=exactly(2.0), particles=exactly_so_many(2)
    )
    atoms = specimen.draw(spec, Sampling(256, 0.3), rng()).atoms
    labels = atoms.arrays["particle"]
    assert labels.max() == 2
    for label in (1, 2):
        mine = atoms[labels == label]
        assert set(mine.numbers) == {8, 58}
        assert (mine.numbers == 8).sum() / (mine.numbers == 58).sum() == pytest.approx(2, rel=0.15)
    assert set(atoms.numbers[labels == 0]) == {6}


def test_particle_without_room_leaves_the_others_their_elements():
    spec = Specimen(
        material="CdSe", shape="sphere", diameter_nm=exactly(0.8), particles=exactly_so_many(20)
    )
    atoms = specimen.draw(spec, SMALL, rng()).atoms
    labels = atoms.arrays["particle"]
    assert 1 <= labels.max() < 20
    d = atoms[labels == 1].get_all_distances(mic=True)
    bonded = (d > 0.1) & (d < 2.7)
    numbers = atoms.numbers[labels == 1]
    assert bonded.any()
    assert not (bonded & (numbers[:, None] == numbers)).any(), "unlike atoms are bonded"


def test_particles_lie_on_both_faces():
    substrate = Substrate(faces="both", thickness_nm=1.0)
    spec = Specimen(
        diameter_nm=exactly(1.2), particles=exactly_so_many(4), gap_nm=0.0, substrate=substrate
    )
    above = below = overlaps = 0
    for seed in range(12):
        structure = specimen.draw(spec, Sampling(128, 0.3), rng(seed))
        z, labels = structure.atoms.positions[:, 2], structure.atoms.arrays["particle"]
        carbon = z[labels == 0]
        for label in range(1, labels.max() + 1):
            mine = z[labels == label]
            above += mine.min() - carbon.max() >= specimen.CONTACT_A
            below += carbon.min() - mine.max() >= specimen.CONTACT_A
        assert z.min() == pytest.approx(specimen.PADDING_A)
        for number, face in enumerate(structure.faces, 1):
            mine = z[labels == number]
            beyond = carbon.min() - mine.max() if face else mine.min() - carbon.max()
            assert beyond >= specimen.CONTACT_A
        found = masks.instances(structure, Sampling(128, 0.3))
        assert [set(face.ravel()) - {0} for face in found] == [
            {n for n, on in enumerate(structure.faces, 1) if on == face} for face in (0, 1)
        ]
        overlaps += found.all(0).any()
    total = above + below
    assert total == pytest.approx(48, abs=12)
    assert stats.binomtest(above, total).pvalue > 0.01
    assert overlaps


def test_thickness_is_normal_and_never_negative():
    spec = Specimen(substrate=Substrate(thickness_nm=1.0, thickness_std_nm=1.0))
    draws = [specimen._thickness(spec, rng(i)) for i in range(1000)]
    exact = stats.truncnorm(-1, np.inf, 10.0, 10.0)
    assert min(draws) >= 0
    assert stats.kstest(draws, exact.cdf).pvalue > 0.01
    carbon = set()
    for i in range(3):
        atoms = specimen.draw(spec, Sampling(96, 0.3), rng(i)).atoms
        carbon.add((atoms.numbers == 6).sum())
    assert len(carbon) == 3, "drawn anew for every structure"


@pytest.mark.parametrize("shape", ["sphere", "wulff"])
def test_structure_depends_only_on_its_generator(shape):
    spec = Specimen(shape=shape)
    first, other, again = (specimen.draw(spec, Sampling(96, 0.3), rng(i)) for i in (0, 1, 0))
    assert (first.atoms.positions == again.atoms.positions).all()
    assert (first.atoms.numbers == again.atoms.numbers).all()
    assert not np.array_equal(first.atoms.positions, other.atoms.positions)


# Masks


def test_mask_of_one_atom_is_its_disc():
    sampling = Sampling(200, 0.05)
    m = mask(of_gold([5.0, 5.0], sampling), sampling)
    assert m.sum() * 0.05**2 == pytest.approx(np.pi * (GOLD.neighbour_A / 2) ** 2, rel=0.03)
    assert iou(m, disc(sampling, 5.0, GOLD.neighbour_A / 2)) > 0.96


@pytest.mark.parametrize("pixel", [0.1, 0.2, 0.3, 0.4])
def test_mask_of_a_densely_filled_disc_is_a_disc_half_a_neighbour_wider(pixel):
    sampling = Sampling(round(60 / pixel), pixel)
    r = 20 * np.sqrt(rng().random(20_000))
    phi = rng("phi").random(20_000) * 2 * np.pi
    atoms = of_gold(30 + np.stack([r * np.cos(phi), r * np.sin(phi)], 1), sampling)
    m = mask(atoms, sampling)
    radius = 20 + GOLD.neighbour_A / 2
    assert m.sum() * pixel**2 == pytest.approx(np.pi * radius**2, rel=0.015)
    assert iou(m, disc(sampling, 30.0, radius)) > 0.98


def centred(sampling, rng, **of):
    """Return one particle of 4 nm in the middle of the field."""
    spec = Specimen(diameter_nm=exactly(4.0), particles=exactly_so_many(1), substrate=VACUUM, **of)
    structure = specimen.draw(spec, sampling, rng)
    angle = np.exp(2j * np.pi * structure.atoms.positions[:, :2] / sampling.field_A).sum(0)
    centre = np.angle(angle) / 2 / np.pi * sampling.field_A
    structure.atoms.positions[:, :2] += sampling.field_A / 2 - centre
    structure.atoms.wrap()
    return structure


@pytest.mark.parametrize("seed", range(3))
def test_mask_of_a_ball_is_its_outline(seed):
    sampling = Sampling(200, 0.3)
    structure = centred(sampling, rng(seed), shape="sphere")
    m = mask(structure, sampling)
    # A little wider than the ball: by r less the depth at which its outermost atoms lie.
    assert np.sqrt(m.sum() * 0.3**2 / np.pi) == pytest.approx(20.5, abs=0.3)
    assert iou(m, disc(sampling, 30.0, 20.5)) > 0.95
    assert m[90:110, 90:110].all(), "no holes between projected columns"


@pytest.mark.slow
@pytest.mark.parametrize("pixel", [0.3, 0.7])
def test_mask_is_what_the_docs_say_pixel_by_pixel(pixel):
    sampling = Sampling(48, pixel)
    r, reach = GOLD.neighbour_A / 2, masks.CLOSING_A
    pixels = np.stack(np.indices((48, 48)), -1).reshape(-1, 2)

    def distance(a, b):
        """Return the distance from each pixel to the nearest other pixel, across borders [Å]."""
        apart = (a[:, None] - b + 24) % 48 - 24
        return np.hypot(*np.moveaxis(apart, -1, 0)).min(1) * pixel

    for seed in range(3):
        xy = (2.0 + 5.0 * rng(seed).random((12, 2))) % sampling.field_A - 1.0
        atoms = np.rint(xy / pixel).astype(int) % 48
        near = distance(pixels, atoms) <= reach
        depth = distance(pixels, pixels[~near]) - pixel / 2
        expected = near & (depth > reach - r)
        found = mask(of_gold(xy % sampling.field_A, sampling), sampling)
        np.testing.assert_array_equal(found, expected.reshape(48, 48))


@pytest.mark.parametrize(
    ("zone", "area"),
    # A cube's projections, in squares of its edge: a square, a rectangle, a regular hexagon.
    [([0, 0, 1], 1), ([1, 1, 0], 2**0.5), ([1, 1, 1], 3**0.5)],
)
def test_mask_of_a_cube_along_a_zone_axis_is_its_projection(zone, area):
    sampling = Sampling(200, 0.3)
    along = Orientation(zone=zone, within_deg=0.0)
    structure = centred(sampling, rng(*zone), material="Cu", shape="cube", orientation=along)
    hull = ConvexHull(structure.atoms.positions[:, :2])
    edge = 40 * (np.pi / 6) ** (1 / 3)  # of the cube of the ball's volume
    layer, jitter = structure.material.lattice_A / 2, bodies.JITTER
    smallest, largest = edge * (1 - jitter) - 2 * layer, edge * (1 + jitter)
    assert area * smallest**2 < hull.volume <= area * largest**2
    x = np.arange(200) * 0.3
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1)
    inside = (grid @ hull.equations[:, :2].T + hull.equations[:, 2] <= 0).all(-1)
    outline = distance_transform_edt(~inside) * 0.3 <= structure.material.neighbour_A / 2
    # The outline of a convex body; at this one's corners a few atoms are missing.
    assert iou(mask(structure, sampling), outline) > 0.95


@settings(max_examples=25)
@given(dx=st.integers(-100, 100), dy=st.integers(-100, 100))
def test_mask_is_periodic_and_its_first_axis_is_x(dx, dy):
    sampling = Sampling(60, 0.3)
    xy = np.array([[20, 20], [24, 20], [30, 33], [41, 20]]) * 0.3
    still = mask(of_gold(xy, sampling), sampling)
    moved = mask(of_gold((xy + np.array([dx, dy]) * 0.3) % 18.0, sampling), sampling)
    np.testing.assert_array_equal(moved, np.roll(still, (dx, dy), (0, 1)))


def test_mask_fills_holes_up_to_the_closing_and_leaves_wider_ones():
    sampling = Sampling(300, 0.1)
    phi = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for radius, filled in ((masks.CLOSING_A - 0.5, 1), (masks.CLOSING_A + 0.5, 0)):
        ring = 15 + radius * np.stack([np.cos(phi), np.sin(phi)], 1)
        assert mask(of_gold(ring, sampling), sampling)[150, 150] == filled


def test_mask_may_cover_the_whole_field():
    grid = np.stack(np.meshgrid(*[np.arange(0, 12, 1.0)] * 2), -1)
    assert mask(of_gold(grid, Sampling(40, 0.3)), Sampling(40, 0.3)).all()


def test_substrate_is_not_in_the_mask():
    sampling = Sampling(64, 0.3)
    bare = mask(of_gold([[5.0, 5.0]], sampling), sampling)
    on_carbon = of_gold([[5.0, 5.0]], sampling, substrate=[[12.0, 12.0], [5.0, 9.0]])
    np.testing.assert_array_equal(mask(on_carbon, sampling), bare)


def of_faces(places, faces, sampling):
    """Return particles of one gold atom each, at given positions on given faces."""
    structure = of_gold(places, sampling)
    structure.atoms.arrays["particle"][:] = np.arange(len(places)) + 1
    return replace(structure, faces=faces)


def test_instances_are_each_particles_own_mask_on_its_face():
    places = [[5.0, 5.0], [13.0, 13.0], [6.0, 5.0]]
    found = masks.instances(of_faces(places, (0, 0, 1), SMALL), SMALL)
    for number, face in ((1, 0), (2, 0), (3, 1)):
        alone = mask(of_gold([places[number - 1]], SMALL), SMALL)
        np.testing.assert_array_equal(found[face] == number, alone)
    assert set(found[0].ravel()) == {0, 1, 2}
    assert found.all(0).sum() > 40, "particles on opposite faces overlap, each whole"


def test_gap_between_two_particles_is_in_neither():
    # Closer than holes within one particle are filled, further than their discs touch.
    places = [[8.0, 9.6], [8.0 + GOLD.neighbour_A + 0.9, 9.6]]
    middle = tuple(np.rint(np.mean(places, 0) / 0.3).astype(int))
    assert mask(of_gold(places, SMALL), SMALL)[middle]
    assert not mask(of_faces(places, (0, 0), SMALL), SMALL)[middle]


def test_pixel_that_two_particles_of_a_face_touch_is_the_laters():
    found = masks.instances(of_faces([[5.0, 5.0], [6.0, 5.0]], (0, 0), SMALL), SMALL)
    later = mask(of_gold([[6.0, 5.0]], SMALL), SMALL)
    np.testing.assert_array_equal(found[0] == 2, later)
    assert (found[0] == 1).any()
    assert not found[1].any()


def test_particle_that_is_nearly_as_wide_as_the_field_leaves_a_gap_to_its_image():
    row = np.stack([np.arange(8.0, 24.0, 1.0) % 19.2, np.full(16, 9.6)], 1)
    m = mask(of_gold(row, SMALL), SMALL)[:, 32]
    # From r before the first atom to r behind the last, across the border.
    inside = (np.arange(64) * 0.3 - 8.0 + GOLD.neighbour_A / 2) % 19.2 <= 15 + GOLD.neighbour_A
    assert (m != inside).sum() <= 2
    assert not m.all()


def test_atoms_further_apart_than_the_closing_reaches_keep_their_discs():
    sparse = Structure(of_gold([5.0, 5.0], SMALL).atoms, replace(GOLD, lattice_A=10.0), (0,))
    radius = 10 / 2**0.5 / 2
    assert radius > masks.CLOSING_A
    assert iou(mask(sparse, SMALL), disc(SMALL, 5.0, radius)) > 0.9
