"""Shapes are parts: those of a study are validated, tried, drawn, and leaves of exit waves."""

from pathlib import Path

import numpy as np
import pytest
from own_study import trusted, write

from passband.config import ConfigError, Study, load
from passband.errors import PassbandError
from passband.parts import PACKAGE, PartError, Parts
from passband.specimens import bodies, crystals, exit_waves, structures
from passband.store.recipe import Recipes

EXAMPLE = (Path(__file__).parents[2] / "examples/parts/octahedron.py").read_text()
GOLD = crystals.crystal("Au")


def study_file(folder: Path, text: str = EXAMPLE, **specimen) -> Path:
    content = {
        "specimens": {"gold": {"shape": "octahedron", "diameter_nm": {"max": 2.2}, **specimen}}
    }
    return write(folder, text, content)


def test_the_packages_shapes_are_the_first_choice():
    names = ["sphere", "wulff", "truncated-octahedron", "cube", "decahedron", "icosahedron"]
    assert list(PACKAGE.of("shape")) == names


def test_a_shape_of_ones_own_is_checked_and_drawn(tmp_path):
    study = trusted(study_file(tmp_path))
    gold = study.specimens["gold"]
    assert gold.widest == 1.5
    assert gold.needs_trial_particles
    structures.check(study)
    form = bodies.form(GOLD, gold.shape_part)
    assert len(form.normals[0]) == 8
    assert np.abs(form.normals[0]) == pytest.approx(1 / 3**0.5)
    assert form.volume == pytest.approx(4 * 3**0.5)  # of the octahedron with the insphere 1
    drawn = exit_waves.structure("gold", gold, study.microscope.sampling, 1, "train", 0)
    assert (drawn.atoms.arrays["particle"] == 1).sum() > 50


def test_exit_waves_depend_on_the_code_of_a_shape_of_ones_own(tmp_path):
    before = Recipes(load(study_file(tmp_path))).waves("gold", "train")
    assert "content of specimens.gold.shape" in before.leaves
    changed = Recipes(load(study_file(tmp_path, EXAMPLE.replace("1.0}", "2.0}"))))
    (line,) = before.differs(changed.waves("gold", "train"))
    assert line == "the content of specimens.gold.shape has changed"
    own = Recipes(Study()).waves("gold", "train").leaves
    assert not [name for name in own if "content" in name]


def test_a_shape_that_is_only_read_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    study = load(study_file(tmp_path, f"open({str(mark)!r}, 'w')\n{EXAMPLE}"))
    with pytest.raises(PassbandError, match=r"^specimens\.gold: shape 'octahedron' of parts"):
        structures.check(study)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("3", "returns 3; must return the distances of faces by Miller indices"),
        ("{}", "returns {}; must return the distances of faces"),
        ("{(1, 1): 1.0}", "returns {(1, 1): 1.0}; must return"),
        ("{(1, 1, 1): -1.0}", "returns {(1, 1, 1): -1.0}; must return"),
        ("{(1, 1, 1): float('nan')}", "returns {(1, 1, 1): nan}; must return"),
        ("crystal.no_such_thing", "AttributeError: 'Crystal' object has no attribute"),
    ],
)
def test_what_a_shape_returns_is_checked_before_a_study_runs(tmp_path, returned, message):
    text = EXAMPLE.replace("{(1, 1, 1): 1.0}", returned)
    study = trusted(study_file(tmp_path, text))
    with pytest.raises(PassbandError) as error:
        structures.check(study)
    (line,) = str(error.value).splitlines()
    assert line.startswith("specimens.gold: shape 'octahedron' of parts/own.py, line 9: ")
    assert message in line


def test_faces_that_enclose_no_body(tmp_path):
    text = (
        "from passband.parts import shape\n"
        "from passband.specimens.bodies import single\n"
        "import numpy as np\n"
        "@shape(is_twinned=True)\n"
        "def flat(crystal):\n"
        "    return single(crystal, np.eye(3), np.ones(3))\n"
        "@shape(is_twinned=True)\n"
        "def twins(crystal):\n"
        "    return single(crystal, np.concatenate([np.eye(3), -np.eye(3)]), np.ones(6))\n"
    )
    (tmp_path / "own.py").write_text(text)
    parts = Parts.read(tmp_path)
    parts.trust()
    with pytest.raises(PassbandError, match="their faces enclose no body"):
        bodies.form(GOLD, parts.get("shape", "flat"))
    with pytest.raises(PartError, match="is_twinned = True: the form that it returns has no sect"):
        bodies.form(GOLD, parts.get("shape", "twins"))


@pytest.mark.parametrize(
    ("specimen", "text", "message"),
    [
        ({"material": "Fe"}, EXAMPLE, "is for fcc, rocksalt and fluorite, not for material 'Fe'"),
        ({"shape": "octahedrn"}, EXAMPLE, "did you mean octahedron? allowed: sphere, wulff"),
        ({"surface_energies": {"111": 1.0}}, EXAMPLE, "are for shape = 'wulff', not 'octahedron'"),
        ({"closed_shells": True}, EXAMPLE, "must be false for shape = 'octahedron'"),
        ({}, EXAMPLE.replace('"fcc"', '"hcp"'), "structures: 'hcp': must be fcc, bcc"),
        ({}, EXAMPLE.replace("1.5", "0.5"), "widest = 0.5: must be between 1 and 10"),
        ({}, EXAMPLE.replace("(crystal)", "(a, b)"), "takes a and b; must take crystal"),
        ({}, EXAMPLE.replace("octahedron", "cube"), "has a shape of this name, too"),
    ],
)
def test_mistakes_that_are_known_when_the_study_is_read(tmp_path, specimen, text, message):
    with pytest.raises(ConfigError) as error:
        load(study_file(tmp_path, text, **specimen))
    (line,) = str(error.value).splitlines()
    assert message in line


def test_a_shape_that_is_missing_with_stored_results_is_no_mistake_until_it_is_used():
    stored = {"specimens": {"gold": {"shape": "octahedron"}}}
    study = Study.model_validate(stored, context={"parts": Parts(is_stored=True)})
    with pytest.raises(PassbandError, match="shape 'octahedron': is a part of the study, and"):
        structures.check(study)
