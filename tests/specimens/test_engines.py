"""Engines are parts: those of a study are tried, and their pixels, memory and times are known."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from own_study import trusted, write

from passband.config import ConfigError, Microscope, Study, load
from passband.errors import PassbandError
from passband.imaging import image_trial
from passband.learning import memory
from passband.parts import PACKAGE, PartError, Parts
from passband.runs import preflight, rates
from passband.specimens import exit_waves
from passband.store.recipe import Recipes

PHASE_GRATING = """
import numpy as np
from passband.parts import engine
from passband.specimens.multislice import Multislice

@engine(bytes_per_pixel=2000, seconds_per_pixel=1e-5, pixel_A=0.1)
class PhaseGrating:
    def __init__(self, sampling, energy, device):
        self.ours = Multislice(sampling, energy, "cpu")

    def wave(self, atoms):
        return np.exp(1j * np.angle(self.ours.wave(atoms)))
"""
FIELD = {"pixel_size_A": 0.3, "field_px": 40}


def study_file(folder: Path, text: str = PHASE_GRATING, **microscope) -> Path:
    content = {
        "microscope": {"engine": "PhaseGrating", **FIELD, **microscope},
        "specimens": {"gold": {"diameter_nm": {"mean": 0.5, "std": 0, "min": 0.4, "max": 0.6}}},
    }
    return write(folder, text, content)


def test_the_packages_engines():
    assert list(PACKAGE.of("engine")) == ["passband", "abtem"]
    leaves = Recipes(Study()).waves("gold", "train").leaves
    assert not [name for name in leaves if "engine" in name and name != "microscope.engine"]


def test_exit_waves_are_those_of_an_engine_of_ones_own(tmp_path):
    study = trusted(study_file(tmp_path))
    assert study.needs_trial
    image_trial.check(study)
    given = ("gold", study.specimens["gold"], study.microscope, 1, "test", [0])
    waves = exit_waves.simulate(*given)
    assert waves.attrs["engine"] == "PhaseGrating"
    ours = exit_waves.simulate(*given[:2], Microscope(**FIELD, multislice_pixel_A=0.1), *given[3:])
    assert waves.spectrum.shape == ours.spectrum.shape
    assert not np.array_equal(waves.spectrum, ours.spectrum)
    np.testing.assert_array_equal(waves["mask"], ours["mask"])


def test_the_engine_of_the_examples_agrees_for_a_light_atom(tmp_path):
    text = (Path(__file__).parents[2] / "examples/parts/projection.py").read_text()
    study = trusted(study_file(tmp_path, text, engine="projection"))
    image_trial.check(study)
    microscope = study.microscope
    ours = Microscope(**FIELD)
    assert microscope.multislice == ours.multislice
    side = ours.multislice.field_A
    atoms = Atoms("C", [(5.0, 7.0, 1.0)], cell=(side, side, 2.0), pbc=(True, True, False))
    crop = ours.wave_sampling.crop
    found = crop(exit_waves.engine(microscope, "cpu").wave(atoms)) * ours.wave_sampling.band
    expected = crop(exit_waves.engine(ours, "cpu").wave(atoms)) * ours.wave_sampling.band
    middle = len(found) // 2
    found[middle, middle] = expected[middle, middle] = 0  # vacuum
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


def test_pixels_memory_and_times_follow_from_the_declaration(tmp_path):
    study = load(study_file(tmp_path, field_px=512))
    ours = load(study_file(tmp_path, engine="passband", field_px=512, multislice_pixel_A=0.1))
    assert study.microscope.multislice_A == 0.1
    assert study.microscope.multislice == ours.microscope.multislice
    assert memory.simulate_mb(study) > memory.simulate_mb(ours)
    assert memory.simulate_minutes(study) > memory.simulate_minutes(ours)
    slow = rates.typical(study).structure["gold"]
    fast = rates.typical(ours).structure["gold"]
    assert slow == pytest.approx(100 * fast)


def test_preflight_tries_the_modules_that_an_engine_needs():
    engines = PACKAGE.of("engine")
    assert engines["abtem"].declaration.imports == ("abtem",)
    assert engines["passband"].declaration.imports == ()
    found = preflight.imports(["numpy", "absent_module_of_an_engine"])
    assert "absent_module_of_an_engine" in found.found


def test_exit_waves_depend_on_the_code_of_an_engine_of_ones_own(tmp_path):
    before = Recipes(load(study_file(tmp_path))).waves("gold", "train")
    assert before.leaves["microscope.engine"] == "PhaseGrating"
    changed = Recipes(load(study_file(tmp_path, PHASE_GRATING + "\n# edited\n")))
    (line,) = before.differs(changed.waves("gold", "train"))
    assert line == "the content of microscope.engine has changed"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("np.exp(", "np.abs(", "its wave has the shape (120, 120) and the type float"),
        ("return np", "return 3; np", "its wave has the shape () and the type None; must be compl"),
        ("return np", "return np.nan * np", "its wave has values that are not finite"),
        ("self.ours.wave(", "self.other.wave(", "has no attribute 'other'"),
        ("import numpy", "import absent_module, numpy", "its import fails: ModuleNotFoundError"),
    ],
)
def test_what_an_engine_returns_is_checked_before_a_study_runs(tmp_path, before, after, message):
    study = trusted(study_file(tmp_path, PHASE_GRATING.replace(before, after)))
    with pytest.raises(PartError) as error:
        image_trial.check(study)
    (line,) = str(error.value).splitlines()
    assert line.startswith("engine 'PhaseGrating' of parts/own.py, line 6: ")
    assert message in line


def test_an_engine_that_is_only_read_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    study = load(study_file(tmp_path, f"open({str(mark)!r}, 'w')\n{PHASE_GRATING}"))
    with pytest.raises(PartError, match="its code is not run"):
        image_trial.check(study)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (PHASE_GRATING, {"engine": "PhaseGratin"}, "did you mean PhaseGrating?"),
        (PHASE_GRATING.replace("1e-5", "0"), {}, "seconds_per_pixel = 0: must be above 0 and at"),
        (
            PHASE_GRATING.replace("energy, device", "energy"),
            {},
            "must take sampling, energy",
        ),
        (
            PHASE_GRATING.replace("pixel_A=0.1", "coarsest=0.5"),
            {"multislice_pixel_A": 0.3},
            "is too coarse for microscope.engine = 'PhaseGrating'",
        ),
    ],
)
def test_mistakes_that_are_known_when_the_study_is_read(tmp_path, text, given, message):
    with pytest.raises(ConfigError) as error:
        load(study_file(tmp_path, text, **given))
    (line,) = str(error.value).splitlines()
    assert message in line


def test_an_engine_that_is_missing_with_stored_results_is_no_mistake_until_it_is_used():
    stored = {"microscope": {"engine": "PhaseGrating"}}
    study = Study.model_validate(stored, context={"parts": Parts(is_stored=True)})
    assert study.microscope.multislice_A == Microscope().multislice_A
    with pytest.raises(PassbandError, match="engine 'PhaseGrating': is a part of the study, and i"):
        exit_waves.engine(study.microscope)
