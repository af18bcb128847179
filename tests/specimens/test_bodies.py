"""Bodies with continuous diameters, and bodies with complete atomic shells."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, HalfspaceIntersection, cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from passband import PassbandError, seeds
from passband.config import Diameter, Planes, Specimen, validate
from passband.config.crystals import MATERIALS
from passband.parts import PACKAGE
from passband.specimens import bodies, crystals, shells
from passband.specimens import structures as specimen

SHAPES = tuple(PACKAGE.of("shape"))
#: Every shape of every named material; compounds have no surface energies.
KINDS = [
    (name, shape)
    for name, material in MATERIALS.items()
    for shape in SHAPES
    if (material.surface_energies or shape != "wulff")
    and (material.structure == "fcc" or shape not in ("decahedron", "icosahedron"))
]
GOLD = crystals.crystal("Au")
DEFAULT = Diameter()


def grow(crystal, shape, *args, **named):
    return bodies.grow(crystal, PACKAGE.get("shape", shape), *args, **named)


def form_of(crystal, shape):
    return bodies.form(crystal, PACKAGE.get("shape", shape))


def rng(*names):
    return seeds.generator("bodies", *names)


def diameter(atoms, crystal):
    """Return the diameter of a ball with the volume of these atoms in the crystal [Å]."""
    return (6 / np.pi * len(atoms) / crystal.atoms_per_A3) ** (1 / 3)


def width(atoms):
    return 2 * np.linalg.norm(atoms.positions, axis=1).max()


def fingerprint(atoms):
    """Return a value that is equal for bodies that differ only by a rotation or a reflection."""
    return tuple(np.rint(np.sort(pdist(atoms.positions)) * 100).astype(int))


def asked(distribution, number, *names):
    """Return the diameters of bodies, and their distribution in the specimen [Å]."""
    d = distribution
    exact = stats.truncnorm(
        (d.min - d.mean) / d.std, (d.max - d.mean) / d.std, d.mean * 10, d.std * 10
    )
    return specimen.diameters(d, number, rng(*names)) * 10, exact


def grown(spec, number, *names):
    """Return bodies of the kind that a specimen's structures have."""
    crystal, diameters = crystals.crystal(spec.material), asked(spec.diameter_nm, number, *names)[0]
    return [specimen.particle(crystal, spec, d, rng(*names, i)) for i, d in enumerate(diameters)]


# What varies


@pytest.mark.parametrize(("name", "shape"), KINDS)
def test_body_has_the_number_of_atoms_of_its_diameter(name, shape):
    crystal = crystals.crystal(name)
    for i, d in enumerate(rng(name, shape).uniform(12, 24, 6)):
        atoms = grow(crystal, shape, d, rng(name, shape, i))
        assert diameter(atoms, crystal) == pytest.approx(d, rel=0.012)


@pytest.mark.slow
def test_diameters_have_the_requested_distribution_and_bodies_differ():
    spec, number = Specimen(), 300
    found = grown(spec, number, "gold")
    sizes = np.array([diameter(atoms, GOLD) for atoms in found])
    diameters, _ = asked(DEFAULT, number, "gold")
    assert stats.ks_2samp(sizes, diameters).statistic < 0.03, "not the same distribution"
    assert sizes.mean() == pytest.approx(diameters.mean(), rel=0.001)
    alike = Counter(map(fingerprint, found))
    assert len(alike) >= 290
    assert max(alike[fingerprint(a)] for a, d in zip(found, sizes, strict=True) if d > 16) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "number"),
    [
        ("wulff", 600),
        pytest.param("wulff", 2000, marks=pytest.mark.long),
        pytest.param("icosahedron", 2000, marks=pytest.mark.long),
    ],
)
def test_many_bodies_are_all_different(shape, number):
    found = grown(Specimen(shape=shape), number, "many", shape)
    sizes = np.array([diameter(atoms, GOLD) for atoms in found])
    _, exact = asked(DEFAULT, 1)
    assert stats.kstest(sizes, exact.cdf).statistic < 0.04
    assert sizes.mean() == pytest.approx(exact.mean(), rel=0.01)
    assert len(set(map(fingerprint, found[:300]))) >= 290
    # Icosahedra of 147 atoms or a few less may be the perfect one, less the same corners.
    near_magic = range(143, 148) if shape == "icosahedron" else ()
    large = [a for a, d in zip(found, sizes, strict=True) if d > 16 and len(a) not in near_magic]
    assert len(set(map(fingerprint, large))) == len(large)


@pytest.mark.slow
def test_facets_keep_their_areas_on_average():
    """The areas of facets {100} over those of facets {111}.

    The facets are those of polyhedra, or are the planes through outermost atoms.
    """
    generator = rng("areas")
    for name in ("Au", "Ag", "Cu", "Pd", "Pt"):
        form = form_of(crystals.crystal(name), "wulff")
        one, other = _areas(form.normals[0], form.distances[0])
        varied = [form.varied(0.0, generator) for _ in range(150)]
        areas = np.array([_areas(of.normals[0], of.distances[0]) for of in varied])
        assert np.divide(*areas.mean(0)) == pytest.approx(one / other, rel=0.12)
    planes = np.concatenate([crystals.family(np.eye(3), of) for of in FACETS])
    found = {}
    for jitter in (bodies.JITTER, 0.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bodies, "JITTER", jitter)
            particles = [grow(GOLD, "wulff", 30.0, generator) for _ in range(60)]
        outermost = [(atoms.positions @ planes.T).max(0) for atoms in particles]
        found[jitter] = np.mean([_areas(planes, of) for of in outermost], axis=0)
    assert np.divide(*found[bodies.JITTER]) == pytest.approx(np.divide(*found[0.0]), rel=0.15)


FACETS = ((1, 0, 0), (1, 1, 1), (1, 1, 0))


def _areas(normals, distances):
    """Return the areas of the {100} and {111} facets of a polyhedron."""
    half_spaces = np.c_[normals, -distances]
    corners = HalfspaceIntersection(half_spaces, np.zeros(3)).intersections
    hull = ConvexHull(corners)
    a, b, c = corners[hull.simplices].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    cosine = [
        (hull.equations[:, :3] @ crystals.family(np.eye(3), of).T).max(1) for of in FACETS[:2]
    ]
    return [area[of > 1 - 1e-6].sum() for of in cosine]


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_each_facet_is_elsewhere(shape):
    form = form_of(GOLD, shape)
    ratios = [form.varied(0.0, rng(i)).distances / form.distances for i in range(200)]
    each = np.array(ratios).reshape(200, -1)
    assert stats.kstest(each.ravel(), stats.uniform(0.9, 0.2).cdf).pvalue > 0.01
    correlated = np.corrcoef(each.T) - np.eye(each.shape[1])
    assert np.abs(correlated).max() < 0.35
    shifted = form.varied(0.1, rng()).distances / form.varied(0.0, rng()).distances
    assert 0.01 < np.abs(shifted - 1).max() < 0.3


@pytest.mark.slow
def test_bodies_are_centred_anywhere_in_the_unit_cell():
    """Minus a lattice vector, an atom's position from the centre is uniform in the unit cell."""
    a = MATERIALS["Fe"].lattice_A
    places = []
    for i in range(300):
        atoms = grow(crystals.crystal("Fe"), "cube", 16.0, rng("offset", i))
        places.append(atoms.positions[0] / a % 0.5)  # of a body-centred cell, either atom
    for x in np.transpose(places):
        assert stats.kstest(x, stats.uniform(0, 0.5).cdf).pvalue > 0.01


# What does not


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    d=st.floats(0.5, 26.0),
    seed=st.integers(0, 2**32),
)
def test_any_body_is_one_piece_of_crystal_without_loose_atoms(kind, d, seed):
    name, shape = kind
    crystal = crystals.crystal(name)
    atoms, again = (grow(crystal, shape, d, np.random.default_rng(seed)) for _ in range(2))
    assert (atoms.positions == again.positions).all()
    assert (atoms.numbers == again.numbers).all()
    wanted = max(1, round(crystal.atoms_per_A3 * np.pi / 6 * d**3))
    assert len(atoms) == pytest.approx(wanted, rel=0.02, abs=6)
    assert atoms.positions.mean(0) == pytest.approx(0, abs=1e-9)
    assert set(atoms.numbers) <= set(crystal.bonds)
    if len(atoms) == 1:
        return
    strain = 0.06 if shape in ("decahedron", "icosahedron") else 1e-6
    nearest = pdist(atoms.positions).min()
    assert nearest >= crystal.neighbour_A * (1 - strain)
    most = max(count for _, count in crystal.bonds.values())
    if wanted <= most + 1:
        return
    inside = np.array([crystal.bonds[number][1] for number in atoms.numbers])
    assert (crystals.coordination(atoms, crystal) >= inside / 3).all()
    bond = max(of for of, _ in crystal.bonds.values())
    i, j = cKDTree(atoms.positions).query_pairs(1.1 * bond, output_type="ndarray").T
    pairs = coo_array((np.ones(len(i)), (i, j)), (len(atoms), len(atoms)))
    assert connected_components(pairs, directed=False)[0] == 1


@pytest.mark.parametrize("shape", SHAPES[:4])
@pytest.mark.parametrize(("name", "most"), [("Au", 10), ("Fe", 7)])
def test_nothing_is_missing_below_the_surface(name, most, shape):
    """An empty lattice site is not enclosed, since neighbouring lattice sites are empty too."""
    crystal = crystals.crystal(name)
    for i in range(8):
        atoms = grow(crystal, shape, 22.0, rng("inside", name, shape, i))
        tree = cKDTree(atoms.positions)
        middle = tree.query(np.zeros(3))[1]
        near = tree.query_ball_point(atoms.positions[middle], 1.1 * crystal.neighbour_A)
        steps = atoms.positions[near] - atoms.positions[middle]
        places = (atoms.positions[:, None] + steps).reshape(-1, 3)
        free = places[tree.query(places)[0] > 0.5]
        around = tree.query_ball_point(free, 1.1 * crystal.neighbour_A, return_length=True)
        assert around.max() <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", MATERIALS)
@pytest.mark.parametrize("shape", ["sphere", "cube", "truncated-octahedron", "wulff"])
def test_compounds_keep_their_composition(name, shape):
    crystal = crystals.crystal(name)
    energies = None if crystal.surface_energies else {(1, 1, 1): 1.0, (1, 0, 0): 1.2}
    drawn = [grow(crystal, shape, 30.0, rng(name, i), energies) for i in range(6)]
    assert pdist(drawn[0].positions).min() == pytest.approx(crystal.neighbour_A)
    numbers = np.concatenate([atoms.numbers for atoms in drawn])
    for number in crystal.bonds:
        share = (crystal.cell.numbers == number).mean()
        assert (numbers == number).mean() == pytest.approx(share, rel=0.06)


def test_cube_is_a_cube():
    side = 40 * (np.pi / 6) ** (1 / 3)
    extents = [
        np.ptp(grow(crystals.crystal("Fe"), "cube", 40.0, rng(i)).positions, axis=0)
        for i in range(10)
    ]
    # Two facets, each within the jitter, and an incomplete layer on either.
    assert np.abs(np.array(extents) - side).max() <= bodies.JITTER * side + 2.867
    assert np.mean(extents) == pytest.approx(side, abs=2.867 / 2)


def test_truncated_octahedron_has_its_faces():
    edge = 60 * (np.pi / 6 / (8 * 2**0.5)) ** (1 / 3)  # volume 8√2 edge³
    square = np.concatenate([np.eye(3), -np.eye(3)])
    hexagon = np.array(list(product((1, -1), repeat=3))) / 3**0.5
    for normals, ideal in ((square, 2**0.5 * edge), (hexagon, 1.5**0.5 * edge)):
        distances = []
        for i in range(5):
            atoms = grow(GOLD, "truncated-octahedron", 60.0, rng("octahedron", i))
            distances.append((atoms.positions @ normals.T).max(0))
        assert np.abs(np.array(distances) - ideal).max() <= bodies.JITTER * ideal + 3.5
        # The outermost atoms lie half a layer inside the surface.
        assert np.mean(distances) == pytest.approx(ideal - 1.1, abs=1.0)


def test_given_surface_energies_place_the_faces():
    energies = {(1, 0, 0): 1.0, (1, 1, 0): 10.0}
    atoms = grow(GOLD, "wulff", 40.0, rng(), energies)
    side = 40 * (np.pi / 6) ** (1 / 3)
    extents = np.ptp(atoms.positions, axis=0)
    assert extents == pytest.approx(side, abs=2.1 + bodies.JITTER * side), "a cube"
    assert extents.max() < np.ptp(grow(GOLD, "wulff", 40.0, rng()).positions, axis=0).max()


def test_wulff_of_a_tetragonal_crystal(rutile):
    crystal = crystals.crystal(rutile)
    energies = {(1, 0, 0): 1.0, (0, 0, 1): 2.0}
    extents = [
        np.ptp(grow(crystal, "wulff", 30.0, rng(i), energies).positions, axis=0) for i in range(8)
    ]
    x, y, z = np.mean(extents, axis=0)
    assert x == pytest.approx(30 * (np.pi / 12) ** (1 / 3), abs=1.5)
    assert y == pytest.approx(x, abs=2)
    assert z == pytest.approx(2 * x, abs=3)


def test_faces_that_enclose_nothing_are_refused(rutile):
    crystal = crystals.crystal(rutile)
    with pytest.raises(PassbandError, match="their faces enclose no body; give more faces"):
        grow(crystal, "wulff", 30.0, rng(), {(1, 0, 0): 1.0})


# Multiply twinned bodies


@pytest.mark.parametrize("shape", ["icosahedron", "decahedron"])
def test_sectors_are_those_of_the_perfect_cluster(shape):
    """ASE makes its cluster in a different way, and has the same atoms in the inscribed ball."""
    a = MATERIALS["Pt"].lattice_A
    bonds = 4
    cluster = Icosahedron("Pt", 8, a) if shape == "icosahedron" else Decahedron("Pt", 9, 9, 0, a)
    theirs = cluster.positions - cluster.positions.mean(0)
    if shape == "decahedron":
        theirs = theirs[:, [1, 0, 2]] * [1, -1, 1]  # its first corner lies along y
    radius = bonds * MATERIALS["Pt"].neighbour_A + 1e-6
    theirs = theirs[np.linalg.norm(theirs, axis=1) < radius]
    form = form_of(crystals.crystal("Pt"), shape)
    ours = bodies._twinned_lattice(form, MATERIALS["Pt"], bonds).positions
    assert len(ours) == len(theirs)
    assert cKDTree(ours).query(theirs)[0].max() < 1e-6


@pytest.mark.parametrize(("shape", "sectors"), [("icosahedron", 20), ("decahedron", 5)])
def test_multiply_twinned_forms_have_their_volume_and_all_axes(shape, sectors):
    for name in ("Au", "Ag"):
        form = form_of(crystals.crystal(name), shape)
        assert form.normals.shape[0] == sectors
        points = rng(shape).uniform(-1, 1, (100_000, 3)) * form.reach
        inside = form.sizes(points) <= 1
        assert inside.mean() * (2 * form.reach) ** 3 == pytest.approx(form.volume, rel=0.03)
        assert np.linalg.norm(points[inside], axis=1).max() <= form.reach


def test_decahedron_has_the_facets_of_a_cluster_of_atoms():
    """ASE places atoms. Planes through its outermost atoms are caps {111} and facets {100}."""
    cluster = Decahedron("Pt", 5, 4, 0, MATERIALS["Pt"].lattice_A)
    hull = ConvexHull(cluster.positions[:, [1, 0, 2]] * [1, -1, 1])  # its first corner lies along y
    planes = np.unique(np.round(hull.equations[:, :3], 6), axis=0)
    assert len(planes) == 10 + 5
    normals = form_of(crystals.crystal("Pt"), "decahedron").normals.reshape(-1, 3)
    distances, nearest = cKDTree(normals).query(planes)
    assert distances.max() < 1e-5
    assert len(set(nearest)) == len(planes)


@pytest.mark.parametrize("name", ["Au", "Pt"])
def test_decahedron_has_the_symmetry_of_its_five_sectors(name):
    """A rotation by a fifth of a turn, and mirrors at the equator and at a twin plane."""
    form = form_of(crystals.crystal(name), "decahedron")
    points = rng("symmetry").normal(size=(500, 3))
    turn = Rotation.from_rotvec([0, 0, 2 * np.pi / 5]).as_matrix()
    for operation in (turn, np.diag([1, 1, -1]), np.diag([1, -1, 1])):
        assert form.sizes(points @ operation.T) == pytest.approx(form.sizes(points), rel=1e-9)


def test_decahedron_has_marks_notches():
    """At the twin planes, a decahedron is narrower than an envelope without notches."""
    form = form_of(GOLD, "decahedron")
    angles = np.linspace(0, 2 * np.pi, 721)
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    outline = 1 / form.sizes(ring)
    assert outline[0] == pytest.approx(1 / np.sin(np.radians(72)))
    assert outline[0] < outline[44] > outline[72], "twin plane, corner, {100} facet"


# The width that a configuration is checked for


class Ends(np.random.Generator):
    """A random generator that draws only the limits of a uniform distribution."""

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.choice([low, high], size)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), KINDS)
@pytest.mark.parametrize("d", [1.0, 2.4])
def test_no_particle_is_wider_than_the_check_allows(name, shape, d):
    spec = Specimen(material=name, shape=shape, diameter_nm=Diameter(mean=d, std=0.0, min=d, max=d))
    crystal = crystals.crystal(name)
    for seed in range(6):
        limit = spec.widest * 10 * d
        atoms = specimen.particle(crystal, spec, 10 * d, Ends(np.random.PCG64(seed)), limit)
        assert width(atoms) <= limit
        assert diameter(atoms, crystal) == pytest.approx(10 * d, rel=0.05)


@pytest.mark.parametrize(("name", "faults"), [("Au", 2), ("CdSe", 1), ("CeO2", 0)])
def test_planar_defects_are_in_the_width_and_leave_nothing_loose(name, faults):
    spec = Specimen(
        material=name,
        shape="truncated-octahedron",
        twins=Planes(min=1, max=3),
        stacking_faults=Planes(min=faults, max=faults),
    )
    crystal = crystals.crystal(name)
    limit = specimen.widest_A(crystal, spec)
    assert limit == pytest.approx(10 * (1.2 * 2.4 + spec.steps_nm), rel=0.05)
    for seed in range(15):
        atoms = specimen.particle(crystal, spec, 24.0, rng("planar", name, seed), limit)
        assert width(atoms) <= limit
        inside = np.array([crystal.bonds[number][1] for number in atoms.numbers])
        assert (crystals.coordination(atoms, crystal) >= inside / 3).all()
        assert diameter(atoms, crystal) == pytest.approx(24.0, rel=0.02)


def test_check_knows_how_wide_a_given_form_may_become():
    energies = {"100": 1.0, "111": 1.5}
    given = {"surface_energies": energies, "diameter_nm": {"mean": 2.0, "std": 0.0, "max": 2.0}}
    spec = Specimen.model_validate(given)
    limit = specimen.widest_A(GOLD, spec)
    assert limit > 10 * 2.0 * 1.25, "more than a configuration knows of"
    for seed in range(20):
        atoms = specimen.particle(GOLD, spec, 20.0, Ends(np.random.PCG64(seed)), limit)
        assert width(atoms) <= limit
    study = {"specimens": {"a": given}, "microscope": {"field_px": 128}}
    for room, fits in ((-0.1, False), (0.1, True)):
        side = limit + GOLD.neighbour_A + room
        study["microscope"]["pixel_size_A"] = side / 128
        study["grid"] = {"aperture_mrad": [10]}
        if fits:
            specimen.check(validate(study))
        else:
            with pytest.raises(
                PassbandError, match=r"^specimens\.a: a particle is \d\d\.\d Å wide"
            ):
                specimen.check(validate(study))


# Complete shells


@pytest.mark.parametrize(("number", "magic"), [(1, 1), (12, 13), (60, 55), (140, 147), (330, 309)])
def test_icosahedron_has_the_nearest_magic_number(number, magic):
    assert len(shells.cluster(MATERIALS["Au"], "icosahedron", number)) == magic


@pytest.mark.parametrize("magic", [1, 7, 13, 75, 101, 146, 192])
def test_decahedron_has_a_magic_number(magic):
    """The pentagonal bipyramid has 7 atoms, and Marks's decahedra have 75, 101, 146, 192, …"""
    assert len(shells.cluster(MATERIALS["Au"], "decahedron", magic)) == magic


@pytest.mark.slow
def test_complete_shells_are_an_option_of_a_few_bodies():
    spec = Specimen(closed_shells=True)
    found = grown(spec, 300, "shells")
    # What the default specimen was made of before bodies varied.
    assert {len(atoms) for atoms in found} == {55, 79, 85, 165, 201, 225, 405}
    assert len(set(map(fingerprint, found))) == 7
    for shape in ("decahedron", "icosahedron"):
        atoms = grow(GOLD, shape, 20.0, rng(), closed_shells=True)
        number = round(GOLD.atoms_per_A3 * np.pi / 6 * 20.0**3)
        expected = shells.cluster(MATERIALS["Au"], shape, number)
        np.testing.assert_array_equal(atoms.positions, expected.positions)


@pytest.mark.parametrize("shape", ["icosahedron", "decahedron"])
def test_multiply_twinned_particles_have_fivefold_axes(shape):
    atoms = shells.cluster(MATERIALS["Pt"], shape, 400)
    assert len(atoms) == pytest.approx(400, rel=0.25)
    assert pdist(atoms.positions).min() == pytest.approx(MATERIALS["Pt"].neighbour_A, rel=0.06)
    tree = cKDTree(atoms.positions)
    r = np.linalg.norm(atoms.positions, axis=1)
    tip = np.eye(3)[2] if shape == "decahedron" else atoms.positions[r.argmax()] / r.max()
    c, s = np.cos(2 * np.pi / 5), np.sin(2 * np.pi / 5)
    p = atoms.positions
    turned = p * c + np.cross(tip, p) * s + np.outer(p @ tip, tip) * (1 - c)
    assert tree.query(turned)[0].max() < 1e-6
