"""Noise models are parts: those of a study draw the counts of its images, and are tried before."""

from pathlib import Path

import pytest
import torch
from own_study import trusted, write

from passband.config import ConfigError, Study, load
from passband.imaging import image_trial, noise
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import drawn, expose
from passband.parts import PACKAGE, PartError, Parts
from passband.store.recipe import Recipes

EXAMPLE = (Path(__file__).parents[2] / "examples/parts/readout.py").read_text()
BATCHES = """
import torch
from passband.parts import noise

@noise(batches=True)
def readout(intensity, electrons, seeds):
    return torch.round(intensity * electrons)
"""
FLAT = torch.ones((3, 64, 64))


def study_file(folder: Path, text: str = EXAMPLE, **microscope) -> Path:
    content = {"microscope": {"noise": "readout", **microscope}}
    return write(folder, text, content, name="camera")


def test_poisson_noise_is_drawn_as_ever_and_is_no_leaf():
    (poisson,) = PACKAGE.of("noise").values()
    assert torch.equal(drawn(poisson, FLAT, 20.0, [1, 2, 3]), expose(FLAT, 20.0, [1, 2, 3]))
    study = Study()
    assert study.microscope.noise == "poisson"
    for recipe in (Recipes(study).training, Recipes(study).testing):
        assert not [name for name in recipe.leaves if name.startswith("microscope.noise")]


def test_the_noise_model_of_the_examples(tmp_path):
    study = trusted(study_file(tmp_path))
    image_trial.check(study)
    counts = drawn(study.microscope.noise_part, FLAT, 20.0, [1, 2, 3])
    assert counts.dtype == torch.float32
    assert counts.mean() == pytest.approx(20, abs=0.2)
    assert counts.var() == pytest.approx(20 + 1.5**2, rel=0.05)
    alone = drawn(study.microscope.noise_part, FLAT[:1], 20.0, [2])
    assert torch.equal(alone[0], counts[1])
    assert not torch.equal(counts[0], counts[1])


def test_images_have_the_noise_of_a_model_of_ones_own(tmp_path):
    study = trusted(study_file(tmp_path, BATCHES, detector={"gain": 2.0}))
    acquisition = Acquisition.from_microscope(study.microscope, "zscore", torch.device("cpu"))
    condition = study.train_conditions[0]
    intensity = torch.rand((2, 128, 128))
    counts = acquisition.exposed(intensity, condition, [1, 2])
    electrons = acquisition.electrons(condition)
    assert torch.equal(counts, 2 * torch.round(intensity * electrons))


def test_networks_and_results_depend_on_the_code_of_a_noise_model_and_exit_waves_do_not(tmp_path):
    before = Recipes(load(study_file(tmp_path)))
    assert before.training.leaves["microscope.noise"] == "readout"
    assert "content of microscope.noise" in before.testing.leaves
    changed = Recipes(load(study_file(tmp_path, EXAMPLE.replace("1.5", "2.5"))))
    (line,) = before.training.differs(changed.training)
    assert line == "the content of microscope.noise has changed"
    assert before.testing.digest != changed.testing.digest
    poisson = Recipes(Study())
    for recipes in (before, changed):
        assert recipes.waves("gold", "train").digest == poisson.waves("gold", "train").digest
    own = load(study_file(tmp_path)).microscope
    assert own.transfer_params() == Study().microscope.transfer_params()
    assert own.lens_params() == Study().microscope.lens_params()


RETURN = "return rng.poisson(electrons) + rng.normal(0, READOUT, electrons.shape)"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("return None", "returns an array () of object; must return numbers, (16, 16)"),
        ("return electrons[0]", "returns an array (16,) of float32; must return numbers, (16, 16)"),
        ("return electrons + 1j", "of complex64; must return numbers"),
        ("return electrons / 0.0 * 0", "FloatingPointError|are not finite|RuntimeWarning"),
        ("return np.random.poisson(electrons)", "draws other counts when it is called again"),
        ("return rng.poison(electrons)", "AttributeError: 'numpy.random._generator.Generator' obj"),
    ],
)
def test_what_a_noise_model_returns_is_checked_before_a_study_runs(tmp_path, returned, message):
    study = trusted(study_file(tmp_path, EXAMPLE.replace(RETURN, returned)))
    with pytest.raises(PartError) as error:
        image_trial.check(study)
    (line,) = str(error.value).splitlines()
    assert line.startswith("noise 'readout' of parts/camera.py, line 14: ")
    assert any(each in line for each in message.split("|"))


@pytest.mark.parametrize("returned", ["intensity[0]", "intensity.numpy()", "None"])
def test_what_a_model_of_batches_returns_is_checked(tmp_path, returned):
    text = BATCHES.replace("torch.round(intensity * electrons)", returned)
    study = trusted(study_file(tmp_path, text))
    with pytest.raises(PartError, match=r"noise 'readout' of parts.*must return a tensor"):
        image_trial.check(study)


def test_a_noise_model_that_is_only_read_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    study = load(study_file(tmp_path, f"open({str(mark)!r}, 'w')\n{EXAMPLE}"))
    assert study.needs_trial
    with pytest.raises(PartError, match="its code is not run"):
        image_trial.check(study)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (EXAMPLE, {"noise": "readot"}, "noise = 'readot': there is no noise of this name; did you"),
        (EXAMPLE.replace("electrons: np.ndarray, ", ""), {}, "takes rng; must take electrons and"),
        (BATCHES.replace(", seeds", ""), {}, "must take intensity, electrons and seeds"),
    ],
)
def test_mistakes_that_are_known_when_the_study_is_read(tmp_path, text, given, message):
    with pytest.raises(ConfigError) as error:
        load(study_file(tmp_path, text, **given))
    (line,) = str(error.value).splitlines()
    assert message in line


def test_a_noise_model_that_is_missing_with_stored_results_is_no_mistake_until_it_is_used():
    stored = {"microscope": {"noise": "readout"}}
    study = Study.model_validate(stored, context={"parts": Parts(is_stored=True)})
    with pytest.raises(PartError, match="noise 'readout': is a part of the study, and is missing"):
        noise.drawn(study.microscope.noise_part, FLAT, 20.0, [1, 2, 3])
