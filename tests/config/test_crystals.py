"""Materials are data of parts: the package's own, and those of a study, which are never run."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from passband.config import ConfigError, Specimen, Study, load
from passband.config.crystals import MATERIALS, Material
from passband.errors import PassbandError
from passband.parts import PACKAGE, PartError, Parts
from passband.parts.kinds_of_images import STRUCTURES
from passband.specimens import crystals, exit_waves, structures
from passband.store.recipe import Recipes

EXAMPLES = Path(__file__).parents[2] / "examples/parts"
MGO = (EXAMPLES / "magnesia.py").read_text()
ENERGIES = "surface_energies={(1, 0, 0): 1.16, (1, 1, 0): 2.92},"
FACETED = MGO.replace("lattice_A", f"{ENERGIES} lattice_A")


def study_file(folder: Path, text: str = MGO, **specimen) -> Path:
    """Write a study whose specimen has a material of its own, declared in a file of that text."""
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts/oxides.py").write_text(text)
    small = {"diameter_nm": {"mean": 1.5, "std": 0.0, "min": 1.5, "max": 1.5}}
    content = {"specimens": {"smoke": {"material": "MgO", "shape": "cube", **small, **specimen}}}
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    return folder / "study.yaml"


def waves(file: Path):
    return Recipes(load(file)).waves("smoke", "train")


def test_the_packages_materials_are_those_that_results_know():
    assert list(MATERIALS) == ["Ag", "Au", "CdSe", "CeO2", "Cu", "Fe", "Pd", "Pt"]
    assert all(name == material.symbol for name, material in MATERIALS.items())
    faces = {(1, 1, 1): 1.283, (1, 0, 0): 1.627, (1, 1, 0): 1.700}
    assert MATERIALS["Au"] == Material("Au", "fcc", 4.078, faces, 0.62)


@pytest.mark.parametrize(
    ("symbol", "structure", "lattice_A", "planes", "neighbour_A"),
    [
        ("Si", "diamond", 5.431, ["111", "220", "311", "400"], 2.352),
        ("MgO", "rocksalt", 4.212, ["111", "200", "220", "311"], 2.106),
    ],
)
def test_further_crystal_structures(symbol, structure, lattice_A, planes, neighbour_A):
    material = Material(symbol, structure, lattice_A)
    assert ["".join(map(str, plane)) for plane, _ in material.planes(4)] == planes
    crystal = crystals.crystal(symbol, material=material)
    shortest = min(bond for bond, _ in crystal.bonds.values())
    assert material.neighbour_A == pytest.approx(shortest) == pytest.approx(neighbour_A, abs=1e-3)
    atoms = len(crystal.cell) / crystal.cell.get_volume()
    assert material.atoms_per_A3 == pytest.approx(atoms)


def test_all_crystal_structures_are_those_of_declarations():
    symbols = {1: "Pd", 2: "MgO", 3: "CeO2"}
    for structure, (_, atoms) in STRUCTURES.items():
        assert crystals.crystal("x", material=Material(symbols[atoms], structure, 4.2)).name == "x"


def test_a_material_of_ones_own_is_used_and_its_file_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    study = load(study_file(tmp_path, f"open({str(mark)!r}, 'w')\n{MGO}"))
    smoke = study.specimens["smoke"]
    assert smoke.known.lattice_A == 4.212
    assert smoke.structure == "rocksalt"
    assert smoke.needs_trial_particles
    assert study.spacings == {"smoke": list(smoke.known.spacings_A)}
    structures.check(study)
    drawn = exit_waves.structure("smoke", smoke, study.microscope.sampling, 1, "train", 0)
    particle = drawn.atoms[drawn.atoms.arrays["particle"] == 1]
    assert set(particle.get_chemical_symbols()) == {"Mg", "O"}
    sides = np.linalg.norm(particle.positions[:, None] - particle.positions[None], axis=-1)
    assert sides[sides > 0].min() == pytest.approx(2.106)
    assert not mark.exists()


def test_a_wulff_body_has_the_surface_energies_of_a_material_of_ones_own(tmp_path):
    smoke = load(study_file(tmp_path, FACETED, shape="wulff")).specimens["smoke"]
    assert crystals.of_specimen(smoke).surface_energies == {(1, 0, 0): 1.16, (1, 1, 0): 2.92}


def test_exit_waves_depend_on_the_values_of_a_material_and_not_on_the_rest_of_its_file(tmp_path):
    before = waves(study_file(tmp_path))
    assert before.leaves["specimens.smoke.material.values.lattice_A"] == 4.212
    commented = waves(study_file(tmp_path, MGO + "\n# a comment\n"))
    assert commented.digest == before.digest
    changed = waves(study_file(tmp_path, MGO.replace("4.212", "4.3")))
    assert before.differs(changed) == ["specimens.smoke.material.values.lattice_A = 4.212 → 4.3"]


def test_the_packages_materials_are_no_leaves():
    leaves = Recipes(Study()).waves("gold", "train").leaves
    assert not [name for name in leaves if "values" in name]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"rocksalt"', '"hcp"', "structure = 'hcp': must be fcc, bcc, diamond, rocksalt"),
        ("4.212", "0.4", "lattice_A = 0.4: must be between 1 and 50 Å"),
        ("4.212", '"4"', "lattice_A = '4': must be a number"),
        ("4.212", "side()", "lattice_A = side(): must be written out, since it is read without"),
        ("1.16", "-1.0", "surface_energies = {(1, 0, 0): -1}: must have three Miller indices"),
        ("lattice_A=4.212,", "", "lattice_A: is missing"),
        ("lattice_A=", "lattice=", "lattice: is unknown; allowed: "),
        (
            'structure="rocksalt"',
            'structure="rocksalt", b_A2=0.3',
            "b_A2 = 0.3: must be above 0 and at most 20 Å², and is for elements only",
        ),
        (
            'structure="rocksalt"',
            'structure="rocksalt", symbol="MgO2"',
            "symbol = 'MgO2': must be a chemical formula for rocksalt, such as MgO",
        ),
    ],
)
def test_a_wrong_declaration_has_one_line_with_its_place(tmp_path, before, after, message):
    assert before in FACETED
    with pytest.raises(ConfigError) as error:
        load(study_file(tmp_path, FACETED.replace(before, after, 1)))
    (line,) = str(error.value).splitlines()
    assert "parts/oxides.py, line 8: material: " in line
    assert message in line


def test_a_name_that_is_no_formula_needs_a_symbol(tmp_path):
    (tmp_path / "own.py").write_text(
        "from passband.parts import material\n"
        'palladium = material(structure="fcc", lattice_A=3.891)\n'
        'tin = material(symbol="Xy", structure="fcc", lattice_A=3.891)\n'
    )
    parts = Parts.read(tmp_path).of("material")
    with pytest.raises(PartError, match="symbol = 'palladium': must be a chemical formula for fcc"):
        Material.of(parts["palladium"])
    with pytest.raises(PassbandError, match="ASE makes no fcc crystal of Xy"):
        crystals.crystal("tin", material=Material.of(parts["tin"]))


def test_an_unknown_material_lists_those_of_the_study_too(tmp_path):
    with pytest.raises(ConfigError, match=r"allowed are Ag, .*Fe, MgO, Pd, Pt, or the path of a"):
        load(study_file(tmp_path, material="ZnO"))


def test_a_material_that_is_missing_with_stored_results_is_no_mistake():
    stored = {"specimens": {"smoke": {"material": "MgO", "shape": "cube"}}}
    context = {"parts": Parts(is_stored=True)}
    smoke = Study.model_validate(stored, context=context).specimens["smoke"]
    assert smoke.known is None
    assert smoke.content == ""
    assert Specimen().known == MATERIALS["Au"]
    assert PACKAGE.of("material").keys() == MATERIALS.keys()
