"""Kinds of specimens are parts: those of a study draw its structures, and are tried before."""

from pathlib import Path

import numpy as np
import pytest
from own_study import trusted, write

from passband.config import ConfigError, Specimen, Study, load
from passband.errors import PassbandError
from passband.imaging import image_trial
from passband.learning import memory
from passband.parts import PACKAGE, PartError, Parts
from passband.runs import rates
from passband.seeds import generator
from passband.specimens import drawing, exit_waves, structures
from passband.specimens.masks import instances
from passband.store.recipe import Recipes

EXAMPLE = (Path(__file__).parents[2] / "examples/parts/nanorods.py").read_text()
TWO_ATOMS = """
import numpy as np
from ase import Atoms
from passband.parts import specimen

@specimen(height_nm=30.0)
def pair(specimen, field_A, rng):
    atoms = Atoms("PtC", [(-1.0, 2.0, 7.0), (field_A + 3.0, 4.0, 9.0)])
    atoms.new_array("particle", np.array([1, 0]))
    return atoms
"""


def study_file(folder: Path, text: str = EXAMPLE, kind: str = "nanorods", **specimen) -> Path:
    rods = {"kind": kind, "diameter_nm": {"mean": 1.2, "min": 1.2, "max": 1.2, "std": 0.0}}
    return write(folder, text, {"specimens": {"rods": rods | specimen}})


def drawn(study: Study, index: int = 0) -> structures.Structure:
    rods = study.specimens["rods"]
    return exit_waves.structure("rods", rods, study.microscope.sampling, 1, "train", index)


def test_the_packages_kind_draws_what_it_always_drew():
    assert list(PACKAGE.of("specimen")) == ["particles"]
    gold = Specimen()
    sampling = Study().microscope.sampling
    ours = drawing.draw(gold, sampling, generator("a")).atoms
    assert ours == structures.draw(gold, sampling, generator("a")).atoms
    leaves = Recipes(Study()).waves("gold", "train").leaves
    assert not [name for name in leaves if "kind" in name]


def test_the_specimen_of_the_examples(tmp_path):
    study = trusted(study_file(tmp_path))
    assert study.needs_trial
    image_trial.check(study)
    for index in range(3):
        structure = drawn(study, index)
        rod = structure.atoms[structure.atoms.arrays["particle"] == 1]
        assert set(rod.get_chemical_symbols()) == {"Au"}
        field = study.microscope.sampling.field_A
        mask = instances(structure, study.microscope.sampling)
        assert {*np.unique(mask)} == {0, 1}
        area = (mask[0] == 1).sum() * study.microscope.pixel_size_A**2
        ideal = 12 * 18 + np.pi * 36  # a rectangle between two half discs
        assert area == pytest.approx(ideal, rel=0.15)
        assert structure.atoms.cell.lengths()[:2] == pytest.approx(field)
    again = drawn(study, 2)
    np.testing.assert_array_equal(again.atoms.positions, structure.atoms.positions)


def test_exit_waves_of_a_kind_of_ones_own(tmp_path):
    study = trusted(study_file(tmp_path))
    microscope = study.microscope.model_copy(update={"field_px": 100, "multislice_pixel_A": 0.15})
    waves = exit_waves.simulate("rods", study.specimens["rods"], microscope, 1, "test", [0, 1])
    assert waves.particles.values.tolist() == [1, 1]
    assert waves["mask"].values.any((1, 2)).all()


def test_a_structure_is_put_into_its_cell(tmp_path):
    study = trusted(study_file(tmp_path, TWO_ATOMS, "pair"))
    structure = drawn(study)
    field = study.microscope.sampling.field_A
    assert structure.atoms.positions == pytest.approx(
        np.array([(field - 1, 2, structures.PADDING_A), (3, 4, structures.PADDING_A + 2)])
    )
    assert structure.atoms.cell.lengths() == pytest.approx((field, field, 6))
    assert structure.faces == (0,)


def test_times_follow_from_the_declared_height(tmp_path):
    high = load(study_file(tmp_path, TWO_ATOMS, "pair"))
    low = load(study_file(tmp_path, TWO_ATOMS.replace("30.0", "5.0"), "pair"))
    assert high.specimens["rods"].most_height_nm == 31
    assert Specimen().most_height_nm == pytest.approx(1 + 1 + 2 * 2.4)
    assert memory.simulate_minutes(high) >= memory.simulate_minutes(low)
    slow, fast = (rates.typical(each).structure["rods"] for each in (high, low))
    assert slow == pytest.approx(fast * 31 / 6)


def test_exit_waves_depend_on_the_code_of_a_kind_of_ones_own(tmp_path):
    before = Recipes(load(study_file(tmp_path))).waves("rods", "train")
    assert before.leaves["specimens.rods.kind"] == "nanorods"
    changed = Recipes(load(study_file(tmp_path, EXAMPLE.replace("2.5", "2.0"))))
    (line,) = before.differs(changed.waves("rods", "train"))
    assert line == "the content of specimens.rods.kind has changed"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return atoms", "return 3", "returns int; must return ase.Atoms"),
        ("return atoms", "return atoms[:0]", "returns 0 atoms; must be 1 to 10,000,000"),
        ("atoms.new_array", "len", "its atoms lack the array 'particle'"),
        ("[1, 0]", "[1.0, 0.0]", "its atoms lack the array 'particle'"),
        ("[1, 0]", "[2, 0]", "the array 'particle' must have 0, and 1 to the number"),
        ("7.0", "np.nan", "returns atoms at positions that are not finite"),
        ('"PtC"', '"PtX"', "returns an atom of the atomic number 0"),
        ("7.0", "np.random.random()", "draws another structure when it is called again"),
        ("7.0", "rng.missing()", "AttributeError: 'numpy.random._generator.Generator' object"),
        ("field_A + 3.0", "1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_kind_returns_is_checked_before_a_study_runs(tmp_path, before, after, message):
    assert before in TWO_ATOMS
    text = TWO_ATOMS.replace(before, after)
    if "len" in after:
        text = text.replace('len("particle", np.array([1, 0]))', "len(atoms)")
    study = trusted(study_file(tmp_path, text, "pair"))
    with pytest.raises(PassbandError) as error:
        image_trial.check(study)
    (line,) = str(error.value).splitlines()
    assert line.startswith("specimens.rods: specimen 'pair' of parts/own.py, line 6: ")
    assert message in line


def test_an_element_needs_a_mean_square_displacement(tmp_path):
    thermal = {"temperature_K": 300.0, "configurations": 2}
    study = trusted(study_file(tmp_path, TWO_ATOMS, "pair", thermal=thermal))
    with pytest.raises(PassbandError, match=r"^specimens\.rods: .*lacks Pt; give its mean square"):
        image_trial.check(study)
    known = thermal | {"msd_A2": {"Pt": 0.005}}
    image_trial.check(trusted(study_file(tmp_path, TWO_ATOMS, "pair", thermal=known)))


def test_a_kind_that_is_only_read_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    study = load(study_file(tmp_path, f"open({str(mark)!r}, 'w')\n{EXAMPLE}"))
    with pytest.raises(PassbandError, match="its code is not run"):
        image_trial.check(study)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (EXAMPLE, {"kind": "nanorod"}, "kind = 'nanorod': there is no specimen of this name; did "),
        (EXAMPLE.replace("field_A, rng):", "field_A):"), {}, "must take specimen, field_A and rng"),
        (EXAMPLE.replace("4.0", "-4.0"), {}, "height_nm = -4: must be above 0 and at most 1000"),
    ],
)
def test_mistakes_that_are_known_when_the_study_is_read(tmp_path, text, given, message):
    with pytest.raises(ConfigError) as error:
        load(study_file(tmp_path, text, **given))
    (line,) = str(error.value).splitlines()
    assert message in line


def test_a_kind_that_is_missing_with_stored_results_is_no_mistake_until_it_is_used():
    stored = {"specimens": {"rods": {"kind": "nanorods"}}}
    study = Study.model_validate(stored, context={"parts": Parts(is_stored=True)})
    with pytest.raises(PartError, match="specimen 'nanorods': is a part of the study, and is miss"):
        drawn(study)
