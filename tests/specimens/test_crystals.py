"""Crystals and the bodies that are cut from them, compared with analytic values."""

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal as ase_crystal
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from passband import PassbandError, seeds
from passband.config.crystals import MATERIALS
from passband.specimens import crystals

#: Textbook coordination of each element in its crystal.
COORDINATION = {
    "fcc": {12},
    "bcc": {8},
    "zincblende": {4},
    "fluorite": {4, 8},
}


def rng(*names):
    return seeds.generator("crystals", *names)


def ball_of(name, diameter=30.0, seed=0):
    """Return a ball of atoms around a random point of a crystal."""
    return crystals.lattice(crystals.crystal(name), diameter / 2, rng(name, seed).random(3))


@pytest.mark.parametrize("name", MATERIALS)
def test_named_material_is_the_crystal_that_ase_builds(name):
    material, crystal = MATERIALS[name], crystals.crystal(name)
    shortest = min(bond for bond, _ in crystal.bonds.values())
    assert material.neighbour_A == pytest.approx(shortest)
    volume = crystal.cell.get_volume()
    assert volume == pytest.approx(material.lattice_A**3)
    assert material.atoms_per_A3 == pytest.approx(len(crystal.cell) / volume)
    assert {number for _, number in crystal.bonds.values()} == COORDINATION[material.structure]


def test_handbook_distances_and_densities():
    bonds = {name: MATERIALS[name].neighbour_A for name in ("Au", "Fe", "CdSe", "CeO2")}
    assert bonds == pytest.approx(
        {"Au": 2.884, "Fe": 2.482, "CdSe": 2.620, "CeO2": 2.343}, abs=2e-3
    )
    grams = {"Ag": 107.868, "Au": 196.967, "Cu": 63.546, "Fe": 55.845, "Pd": 106.42, "Pt": 195.084}
    grams |= {"CdSe": 191.37 / 2, "CeO2": 172.115 / 3}
    density = {n: MATERIALS[n].atoms_per_A3 * m * 1.66054 for n, m in grams.items()}
    expected = {"Ag": 10.5, "Au": 19.3, "Cu": 8.96, "Fe": 7.87, "Pd": 12.0, "Pt": 21.5}
    expected |= {"CdSe": 5.74, "CeO2": 7.22}
    assert density == pytest.approx(expected, rel=0.01)
    assert set(density) == set(MATERIALS)


def test_surface_energies_are_as_anisotropic_as_metals_are():
    for material in MATERIALS.values():
        energies = material.surface_energies
        if material.structure == "fcc":
            # Breaking bonds of nearest neighbours gives ratios of 2/√3 and √(3/2).
            assert energies[1, 0, 0] / energies[1, 1, 1] == pytest.approx(2 / 3**0.5, abs=0.15)
            assert energies[1, 1, 0] / energies[1, 1, 1] == pytest.approx(1.5**0.5, abs=0.2)
        elif energies:
            assert max(energies.values()) < 1.3 * min(energies.values())


def test_crystal_from_a_file(rutile):
    crystal = crystals.crystal(rutile)
    volume = 4.594**2 * 2.959
    assert crystal.atoms_per_A3 == pytest.approx(6 / volume, rel=1e-4)
    # The four equatorial bonds of rutile, from its geometry.
    d = np.hypot(np.sqrt(2) * (0.5 - 0.305) * 4.594, 2.959 / 2)
    assert crystal.neighbour_A == pytest.approx(d, rel=1e-3)
    assert crystal.bonds[22][1] == 6
    assert crystal.bonds[8][1] == 3
    ball = ball_of(rutile)
    assert len(ball) == pytest.approx(6 / volume * np.pi / 6 * 30**3, rel=0.03)
    assert pdist(ball.positions).min() == pytest.approx(d, rel=1e-3)


def test_a_block_of_billions_of_atoms_is_refused_before_it_is_made():
    """A ball of this radius has 4/3 π r³ × 4/a³ = 3.9 · 10⁹ atoms."""
    with pytest.raises(PassbandError, match=r"reaches 2,500 Å .* more than 20,000,000 atoms"):
        crystals.lattice(crystals.crystal("Au"), 2500.0, np.zeros(3))


@pytest.mark.parametrize("text", ["", "not a crystal", "data_x\n_cell_length_a 3\n"])
def test_file_that_is_no_crystal_is_one_line(tmp_path, text):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(PassbandError, match=r"^material = '.*bad.cif': ") as error:
        crystals.crystal(str(path))
    assert "\n" not in str(error.value)


def test_sites_that_share_a_place_are_refused(tmp_path):
    path = tmp_path / "disordered.cif"
    Atoms("AuAg", [(0, 0, 0), (0.3, 0, 0)], cell=[4, 4, 4], pbc=True).write(path)
    with pytest.raises(PassbandError, match=r"two atoms are 0\.30 Å apart; the file must not"):
        crystals.crystal(str(path))


def test_every_element_has_bonds_of_its_own(tmp_path):
    """In perovskite, oxygen is near titanium, and strontium is farther from oxygen."""
    path, a = tmp_path / "perovskite.cif", 3.905
    ase_crystal(
        ["Sr", "Ti", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[a, a, a, 90, 90, 90],
    ).write(path)
    crystal = crystals.crystal(str(path))
    assert crystal.bonds == {
        38: (pytest.approx(a / 2**0.5), 12),
        22: (pytest.approx(a / 2), 6),
        8: (pytest.approx(a / 2), 2),
    }
    ball = ball_of(str(path))
    at_surface = crystals.surface(ball, crystal)
    assert not at_surface[np.linalg.norm(ball.positions, axis=1) < 15 - a].any()
    assert set(ball.numbers[at_surface]) == {38, 22, 8}


def test_molecule_is_no_crystal(tmp_path):
    path = tmp_path / "molecule.xyz"
    path.write_text("1\n\nAu 0 0 0\n")
    with pytest.raises(PassbandError, match="no three-dimensional unit cell"):
        crystals.crystal(str(path))


@pytest.mark.parametrize(
    ("indices", "planes"), [((1, 0, 0), 6), ((1, 1, 1), 8), ((1, 1, 0), 12), ((2, 1, 0), 24)]
)
def test_cubic_families_have_their_multiplicity(indices, planes):
    normals = crystals.family(np.eye(3) * 4.0, indices)
    assert len(normals) == planes
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
    assert len(crystals.family(np.diag([4.0, 4.0, 3.0]), (0, 0, 1))) == 2


@pytest.mark.parametrize("indices", [(1, 1, 1), (2, 1, 1), (1, 2, 3)])
def test_planes_cut_the_axes_at_their_indices(indices):
    """In any lattice, the plane (hkl) contains the points a/h, b/k and c/l."""
    cell = np.array([[4.0, 0, 0], [-1.0, 3.5, 0], [0.5, 0.7, 5.0]])
    cuts = cell / np.array(indices)[:, None]
    for normal in crystals.family(cell, indices)[-1:]:
        assert cuts @ normal == pytest.approx(np.full(3, cuts[0] @ normal))


def test_surface_of_a_cube_is_its_faces():
    atoms = crystals.lattice(crystals.crystal("Fe"), 30.0, np.full(3, 0.3))
    atoms = atoms[np.abs(atoms.positions).max(1) < 12.0]
    at_surface = crystals.surface(atoms, crystals.crystal("Fe"))
    low, high = atoms.positions.min(0) + 1e-6, atoms.positions.max(0) - 1e-6
    outermost = ((atoms.positions < low) | (atoms.positions > high)).any(1)
    np.testing.assert_array_equal(at_surface, outermost)


@pytest.mark.parametrize("name", ["Au", "Fe", "CeO2"])
def test_roughness_depends_only_on_surface_atoms(name):
    crystal, atoms = crystals.crystal(name), ball_of(name)
    at_surface = crystals.surface(atoms, crystal)
    rough = crystals.roughen(atoms, crystal, 0.3, rng())
    assert len(atoms) - len(rough) == round(0.3 * at_surface.sum())
    left = set(map(tuple, rough.positions))
    assert set(map(tuple, atoms.positions[~at_surface])) <= left
    gone = [p for p in map(tuple, atoms.positions[at_surface]) if p not in left]
    assert np.linalg.norm(np.mean(gone, 0)) < 3, "on all sides"


@pytest.mark.parametrize(
    ("name", "twins", "faults"),
    # Not faults in fluorite, which a configuration refuses.
    [(name, *of) for name in ("Au", "CdSe") for of in ((1, 0), (0, 1), (3, 0), (0, 3), (2, 2))]
    + [("CeO2", 1, 0), ("CeO2", 3, 0)],
)
def test_planar_defects_keep_bonds(name, twins, faults):
    crystal = crystals.crystal(name)
    for seed in range(4):
        atoms = ball_of(name, 30.0, seed)
        defect = crystals.add_planar_defects(atoms, crystal, twins, faults, rng(seed))
        assert (defect.numbers == atoms.numbers).all()
        assert not np.allclose(defect.positions, atoms.positions)
        # Nothing is closer than in the crystal, and like atoms no closer than like atoms.
        for number in crystal.bonds:
            of = atoms.numbers == number
            ideal, real = (pdist(a.positions[of]).min() for a in (atoms, defect))
            assert real == pytest.approx(ideal)
        assert pdist(defect.positions).min() == pytest.approx(crystal.neighbour_A)
        coordination = crystals.coordination(defect, crystal)
        inside = np.linalg.norm(defect.positions, axis=1) < 15 - 2.2 * crystal.neighbour_A
        inside &= np.linalg.norm(atoms.positions, axis=1) < 15 - 2.2 * crystal.neighbour_A
        perfect = np.array([crystal.bonds[number][1] for number in atoms.numbers])
        missing = (perfect - coordination)[inside]
        if name == "CeO2":
            assert missing.max() <= 1
            assert missing.min() >= 0
        else:
            assert (missing == 0).all()


def test_no_glide_is_a_stacking_fault_in_fluorite():
    """A configuration refuses stacking faults in fluorite: a glide brings some ions too close."""
    crystal = crystals.crystal("CeO2")
    atoms = crystals.lattice(crystal, 18.0, rng().random(3))
    height = atoms.positions @ np.ones(3) / 3**0.5
    order = np.sort(height)
    edges = np.flatnonzero(np.diff(order) > 0.1)
    gaps = (order[edges] + order[edges + 1]) / 2
    step = np.array([1, 1, -2]) * 5.411 / 6
    inside = np.linalg.norm(atoms.positions, axis=1) < 10

    def nearest(gap, shift):
        above = height > gap
        return {
            pair: min(
                cKDTree(atoms.positions[above & (atoms.numbers == upper)] + shift)
                .query(atoms.positions[inside & ~above & (atoms.numbers == lower)])[0]
                .min()
                for upper, lower in (pair, pair[::-1])
            )
            for pair in ((58, 58), (8, 8), (58, 8))
        }

    found = set()
    for gap in gaps[np.argsort(np.abs(gaps))[:3]]:  # the three kinds
        perfect = nearest(gap, 0)
        for way in (1, -1):
            faulted = nearest(gap, way * step)
            pair = min(faulted, key=lambda p: faulted[p] / perfect[p])
            found.add((*pair, round(float(faulted[pair]), 2)))
            assert faulted[pair] < 0.82 * perfect[pair]
    assert found == {(8, 8, 1.56), (58, 58, 3.12), (58, 8, 0.78)}


@pytest.mark.parametrize("name", ["Au", "CdSe"])
def test_twin_mirrors_the_lattice(name):
    crystal, atoms = crystals.crystal(name), ball_of(name, 40.0)
    # In a compound, only the cations: their fcc lattice is mirrored, and the polarity is inverted.
    cation = atoms.numbers == (79 if name == "Au" else 48)
    checked = 0
    for seed in range(12):
        twinned = crystals.add_planar_defects(atoms, crystal, 1, 0, rng(name, seed))
        shift = twinned.positions - atoms.positions
        normals = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]) / 3**0.5
        n = min(normals, key=lambda v: np.ptp(shift @ v))
        height = atoms.positions @ n
        # Atoms on the axis stay where they are, the others of their layer do not.
        moved = height > height[np.linalg.norm(shift, axis=1) > 1e-6].min() - 0.1
        below, above = atoms.positions[~moved & cation], twinned.positions[moved & cation]
        on_axis = cation[~moved][height[~moved].argmax()]  # the side whose cations are on the axis
        plane = (below @ n).max() if on_axis else (above @ n).min()
        if abs(plane) > 8:
            continue
        checked += 1

        def mirror(points, n=n, plane=plane):
            points = points - 2 * np.outer(points @ n - plane, n)
            return points[(points @ n < plane - 0.1) & (np.linalg.norm(points, axis=1) < 14)]

        mirrored, tree = mirror(above), cKDTree(below)
        assert len(mirrored) > 30
        assert tree.query(mirrored)[0].max() < 1e-6
        # The perfect crystal is not its own mirror image there.
        assert tree.query(mirror(atoms.positions[moved & cation]))[0].max() > 1
    assert checked >= 2


def test_a_gap_has_one_defect():
    crystal, atoms = crystals.crystal("Au"), ball_of("Au", 12.0)
    full, more = (crystals.add_planar_defects(atoms, crystal, 99, n, rng()) for n in (0, 9))
    np.testing.assert_array_equal(more.positions, full.positions)


def test_defects_have_random_heights_and_the_requested_density():
    crystal, atoms = crystals.crystal("Au"), ball_of("Au")
    heights, shifts = set(), set()
    for seed in range(30):
        defect = crystals.add_planar_defects(atoms, crystal, 0, 1, rng(seed))
        moved = np.linalg.norm(defect.positions - atoms.positions, axis=1)
        assert moved[moved > 0] == pytest.approx(MATERIALS["Au"].lattice_A / 6**0.5)
        heights.add((moved > 0).sum())
        shifts.add(tuple(np.round((defect.positions - atoms.positions)[moved.argmax()], 2)))
    assert len(heights) > 10
    assert len(shifts) > 6, "four planes, on each one of three"
    tiny = Atoms("Au", [(0, 0, 0)])
    assert len(crystals.add_planar_defects(tiny, crystal, 2, 2, rng())) == 1
