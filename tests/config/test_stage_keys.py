"""The keys of the configuration that each stage depends on.

If a later version adds a key or removes one, no result is made again.
"""

from pathlib import Path

import pytest
from pydantic import BaseModel

from passband.config import (
    ConfigError,
    Microscope,
    Specimen,
    Study,
    Training,
    load,
    reference,
    validate,
    validate_job,
    validate_stored,
)
from passband.config.base import Block, key, keys_of

ROOT = Path(__file__).parents[2]
SMALLEST = load(ROOT / "tests" / "data" / "smallest.yaml")
GIVEN = SMALLEST.model_dump(exclude_unset=True)

# Params of the smallest study, as its results have them since 0.3.0: another value makes its
# networks again.

EXIT_WAVES = {
    "energy_kev": 300.0,
    "pixel_size_A": 0.35,
    "field_px": 64,
    "oversampling": 1,
    "engine": "passband",
    "multislice_pixel_A": 0.09,
}
LENS = {
    "energy_kev": 300.0,
    "pixel_size_A": 0.35,
    "field_px": 64,
    "focal_spread_nm": 3.0,
    "source_spread_mrad": 0.1,
    "aperture_edge_mrad": 0.0,
    "aberrations": {
        "astigmatism_nm": 0.0,
        "astigmatism_deg": 0.0,
        "coma_nm": 0.0,
        "coma_deg": 0.0,
        "threefold_nm": 0.0,
        "threefold_deg": 0.0,
    },
}
TRANSFER = LENS | {
    "spread": {
        "focus_nm": 0.0,
        "dose": 0.0,
        "astigmatism_nm": 0.0,
        "coma_nm": 0.0,
        "threefold_nm": 0.0,
    },
    "vibration_A": 0.0,
    "detector": {
        "mtf": "none",
        "mtf_nyquist": 0.5,
        "mtf_table": [],
        "gain": 1.0,
        "noise": {"form": "white", "width_A": 1.0, "table": [], "stored_pixel_A": 0.0},
    },
}
IMAGING = {
    "energy_kev": 300.0,
    "pixel_size_A": 0.35,
    "field_px": 64,
    "oversampling": 1,
    "coherence": "focal-series",
    "focal_members": 5,
} | {name: TRANSFER[name] for name in list(TRANSFER)[3:]}
TRAINING = {
    "epochs": 2,
    "batch_size": 4,
    "optimizer": "adam",
    "learning_rate": 0.004,
    "weight_decay": 0.0,
    "schedule": "one-cycle",
    "entropy_weight": 1.0,
    "focal_gamma": 0.0,
    "dice_weight": 1.0,
    "patience": 0,
    "normalisation": "zscore",
    "noise": "fresh",
    "augment": True,
    "crop_px": 0,
    "precision": "auto",
}
GOLD = {
    "material": "Au",
    "shape": "wulff",
    "surface_energies": {},
    "diameter_nm": {"distribution": "normal", "mean": 1.3, "std": 0.2, "min": 1.0, "max": 1.6},
    "closed_shells": False,
    "roughness": 0.0,
    "twins": {"min": 0, "max": 0},
    "stacking_faults": {"min": 0, "max": 0},
    "orientation": {"zone": [], "within_deg": 5.0},
    "thermal": {"temperature_K": 0.0, "msd_A2": {}, "configurations": 1},
    "particles": {"min": 1, "max": 1},
    "gap_nm": 0.3,
    "substrate": {
        "thickness_nm": 0.6,
        "thickness_std_nm": 0.0,
        "faces": "top",
        "density_g_per_cm3": 2.0,
    },
}


def params(study: Study) -> list[dict]:
    """Return the params of every stage's rule."""
    microscope = study.microscope
    return [
        microscope.exit_wave_params(),
        microscope.imaging_params(),
        microscope.transfer_params(),
        microscope.lens_params(),
        study.training.params(),
        *(specimen.params() for specimen in study.specimens.values()),
    ]


def test_params_of_the_smallest_study_are_those_of_its_results():
    expected = [EXIT_WAVES, IMAGING, TRANSFER, LENS, TRAINING, GOLD]
    assert params(SMALLEST) == expected
    assert [list(block) for block in params(SMALLEST)] == [list(block) for block in expected]
    assert SMALLEST.digest == "0209e98eff7fe0e0"


def test_exit_waves_depend_on_the_pixel_of_multislice_and_images_do_not():
    given = Microscope(multislice_pixel_A=0.1)
    assert given.exit_wave_params() == Microscope().exit_wave_params() | {"multislice_pixel_A": 0.1}
    assert given.imaging_params() == Microscope().imaging_params()
    assert given.transfer_params() == Microscope().transfer_params()
    # `auto` and its own number are the same.
    explicit = Microscope(multislice_pixel_A=Microscope().multislice_A)
    assert explicit.exit_wave_params() == Microscope().exit_wave_params()


def test_only_exit_waves_depend_on_the_engine():
    other = Microscope(engine="abtem")
    changed = {"engine": "abtem", "multislice_pixel_A": 0.02}
    assert other.exit_wave_params() == Microscope().exit_wave_params() | changed
    assert other.imaging_params() == Microscope().imaging_params()
    assert other.transfer_params() == Microscope().transfer_params()
    assert other.lens_params() == Microscope().lens_params()
    # On the same pixels, the waves are others.
    same = {"multislice_pixel_A": 0.05}
    ours = Microscope(**same)
    theirs = Microscope(**same, engine="abtem")
    assert ours.multislice == theirs.multislice
    assert ours.exit_wave_params() != theirs.exit_wave_params()


def test_only_a_focal_series_depends_on_focal_members():
    given = {"coherence": "quasi-coherent", "focal_members": 7}
    assert Microscope(focal_members=7).imaging_params()["focal_members"] == 7
    assert "focal_members" not in Microscope(**given).imaging_params()
    assert Microscope(**given).imaging_params()["coherence"] == "quasi-coherent"
    assert Microscope(**given).transfer_params() == Microscope().transfer_params()


@pytest.mark.parametrize(
    "changes",
    [
        {"spread": {"focus_nm": 2.0, "dose": 0.1}},
        {"vibration_A": 0.3},
        {"detector": {"mtf": "table", "mtf_table": [[0, 1], [1, 0.4]], "gain": 3.0}},
    ],
)
def test_jitter_and_detector_matter_to_images_and_metrics_but_not_to_the_lens(changes):
    given = Microscope(**changes)
    assert given.exit_wave_params() == Microscope().exit_wave_params()
    assert given.imaging_params() == Microscope().imaging_params() | given.identity(only=changes)
    assert given.transfer_params() == Microscope().transfer_params() | given.identity(only=changes)
    assert given.lens_params() == Microscope().lens_params()


def test_aberrations_matter_to_the_lens():
    given = Microscope(aberrations={"coma_nm": 30.0})
    assert given.lens_params()["aberrations"]["coma_nm"] == 30
    assert given.exit_wave_params() == Microscope().exit_wave_params()


@pytest.mark.parametrize(
    ("changes", "more", "fewer"),
    [
        ({"schedule": "exponential"}, {"decay"}, set()),
        ({"schedule": "cosine"}, set(), set()),
        ({"recipe": "group-2024"}, {"decay"}, set()),
        ({"architectures": ["unet-resnet18"]}, set(), set()),
    ],
)
def test_keys_of_the_training_matter_where_they_are_used(changes, more, fewer):
    given = set(Training(**changes).params())
    assert given - set(Training().params()) == more
    assert set(Training().params()) - given == fewer


def test_other_architectures_train_nothing_again():
    others = Training(architectures=["unet-resnet18"])
    assert others.params() == Training().params()
    assert Training(epochs=3).params() != Training().params()


def test_whether_networks_are_trained_on_a_specimen_does_not_matter_to_its_exit_waves():
    assert Specimen(trained=False).params() == Specimen().params()


# Keys that are gone

GONE = {
    "optimizer": "sgd",
    "momentum": 0.8,
    "weight_decay": 1,
    "entropy_weight": 0.5,
    "focal_gamma": 1.0,
    "patience": 2,
}


@pytest.mark.parametrize("name", GONE)
def test_another_value_of_a_key_that_is_gone_is_named_in_one_line(name):
    value = Training.model_fields[name].default
    with pytest.raises(ConfigError) as raised:
        validate(GIVEN | {"training": {name: GONE[name]}}, "mine.yaml")
    assert str(raised.value) == (
        f"mine.yaml: training.{name} = {GONE[name]!r} is gone since 0.4.0: leave the key out, "
        f"which means {value!r}, or use Passband 0.3"
    )
    # Jobs do not run with it, either.
    with pytest.raises(ConfigError, match="is gone since"):
        validate_job(GIVEN | {"training": {name: GONE[name]}})


@pytest.mark.parametrize("name", GONE)
def test_a_key_that_is_gone_may_have_its_value(name):
    value = Training.model_fields[name].default
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    given = Training(epochs=2, **{name: whole})
    assert given == Training(epochs=2)
    assert repr(given.params()) == repr(Training(epochs=2).params())  # 0.0 and not 0


@pytest.mark.parametrize("name", GONE)
def test_no_study_is_told_of_a_key_that_is_gone(name):
    assert name not in keys_of(Training)
    assert f"`{name}`" not in reference.markdown()
    assert f'"{name}"' not in reference.schema()
    with pytest.raises(ConfigError, match="unknown key; ") as raised:
        validate({"training": {f"{name}x": 1}})
    assert f" {name}," not in str(raised.value)


def test_results_tell_with_which_values_they_were_made():
    training = GIVEN["training"] | GONE
    stored = validate_stored(GIVEN | {"training": training})
    assert stored.training.params() == TRAINING | GONE
    assert stored.written()["training"].keys() >= GONE.keys()
    assert not SMALLEST.written()["training"].keys() & GONE.keys()
    assert validate_stored(stored.written()).digest == stored.digest != SMALLEST.digest


def test_a_key_of_development_versions_that_is_gone_is_in_no_digest():
    assert validate(GIVEN | {"study": GIVEN["study"] | {"parts": []}}).digest == SMALLEST.digest
    with pytest.raises(ConfigError, match=r"parts = .'a:b'. is gone .* put the part's file into"):
        validate({"study": {"parts": ["a:b"]}})


# A key that is added later


def extended(model: type[BaseModel], **fields: tuple) -> type[BaseModel]:
    """Return a model with more keys, or changed types of keys, as in a later Passband."""
    body = {"__annotations__": {name: kind for name, (kind, _) in fields.items()}}
    body |= {name: default for name, (_, default) in fields.items()}
    return type(model.__name__, (model,), body | {"__module__": __name__})


class Tilt(Block):
    """A block of the configuration in a later version of Passband."""

    tilt_deg: float = key(0.0, "A tilt.", "°")


def later(since: str | None) -> type[Study]:
    """Return the study's model in a later version of Passband, with a new key in several blocks."""

    def new(default):
        return key(default, "A new key.", since=since)

    detector = extended(Microscope.model_fields["detector"].annotation, dark=(float, new(0.0)))
    microscope = extended(
        Microscope,
        detector=(detector, key(detector, "The detector.")),
        drift_A=(float, new(0.0)),
        tilt=(Tilt, new(Tilt)),
    )
    substrate = extended(Specimen.model_fields["substrate"].annotation, holes=(int, new(0)))
    specimen = extended(
        Specimen,
        substrate=(substrate, key(substrate, "The substrate.")),
        strains=(list[float], new(list)),
    )
    training = extended(Training, warm_up=(int, new(0)))
    return extended(
        Study,
        microscope=(microscope, key(microscope, "The microscope.")),
        specimens=(dict[str, specimen], key(lambda: {"gold": specimen()}, "Specimens.")),
        training=(training, key(training, "The training.")),
    )


CHANGES = [
    ({"microscope": {"drift_A": 0.2}}, {1, 2, 3}),
    ({"microscope": {"tilt": {"tilt_deg": 1.0}}}, {1, 2, 3}),
    ({"microscope": {"detector": {"dark": 0.1}}}, {1, 2}),
    ({"training": {"warm_up": 2}}, {4}),
    ({"specimens": {"gold": {"strains": [0.1]}}}, {5}),
    ({"specimens": {"gold": {"substrate": {"holes": 3}}}}, {5}),
]


def merged(values: dict, changes: dict) -> dict:
    both = values.keys() & changes.keys()
    inner = {k: merged(values[k], changes[k]) for k in both if isinstance(changes[k], dict)}
    return values | changes | inner


def test_a_key_added_later_changes_nothing_while_it_has_its_default():
    study = later("0.4.0").model_validate(GIVEN)
    assert params(study) == params(SMALLEST)
    assert study.digest == SMALLEST.digest
    # Whether it is left out or given.
    for changes, _ in CHANGES:
        defaults = merged(GIVEN, zeroed(changes))
        assert params(later("0.4.0").model_validate(defaults)) == params(SMALLEST)
    # It does without the mark.
    unmarked = later(None).model_validate(GIVEN)
    assert unmarked.digest != SMALLEST.digest
    assert sum(a != b for a, b in zip(params(unmarked), params(SMALLEST), strict=True)) == 5


def zeroed(changes: dict) -> dict:
    """Return changes of keys, with every value replaced by the default."""
    return {k: zeroed(v) if isinstance(v, dict) else type(v)() for k, v in changes.items()}


@pytest.mark.parametrize(("changes", "stages"), CHANGES)
def test_a_key_added_later_counts_where_it_is_set(changes, stages):
    study = later("0.4.0").model_validate(merged(GIVEN, changes))
    assert study.digest != SMALLEST.digest
    pairs = zip(params(study), params(SMALLEST), strict=True)
    assert {k for k, (now, before) in enumerate(pairs) if now != before} == stages
    # Jobs read the blocks' values from the params.
    assert type(study.training)(**study.training.params()).params() == study.training.params()


def test_a_key_that_a_rule_has_by_itself_is_no_param_at_its_default():
    model = extended(Training, warm_up=(int, key(0, "A new key.", since="0.4.0")))
    assert model().identity(only=("warm_up",)) == {}
    assert model(warm_up=3).identity(only=("warm_up",)) == {"warm_up": 3}
