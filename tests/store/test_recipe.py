"""A recipe has everything that a result depends on, and nothing else."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from passband import STAGES, PassbandError
from passband.config import Study, load, validate
from passband.config.specimen import Specimen
from passband.parts import PACKAGE
from passband.results import network_batches
from passband.store.recipe import CONTENT, Recipe, Recipes, differences

STUDY = load(Path(__file__).parents[1] / "data" / "smallest.yaml")
CONDITION = STUDY.train_conditions[0].id
ARCHITECTURE = STUDY.training.architectures[0]
# One value of each kind that a user may change, and what is made again.
WAVES, NETWORKS, RESULTS = "exit waves", "networks", "results"
EDITS = {
    "study.seed": (1, {WAVES, NETWORKS, RESULTS}),
    "study.structures.train": (13, {NETWORKS}),
    "study.structures.test": (5, {RESULTS}),
    "study.structures_per_shard": (4, set()),
    "study.replicas": (3, set()),
    "study.replicas_per_job": (1, set()),
    "study.conditions_per_job": (2, set()),
    "microscope.field_px": (80, {WAVES, NETWORKS, RESULTS}),
    "microscope.energy_kev": (200.0, {WAVES, NETWORKS, RESULTS}),
    "microscope.detector.gain": (2.0, {NETWORKS, RESULTS}),
    "microscope.engine": ("abtem", {WAVES, NETWORKS, RESULTS}),
    "specimens.gold.roughness": (0.1, {WAVES, NETWORKS, RESULTS}),
    "grid.defocus_nm": ([5.0, 20.0, 30.0], set()),
    "training.epochs": (3, {NETWORKS}),
    "training.noise": ("fixed", {NETWORKS}),
    "evaluation.bootstrap": (30, set()),
    "evaluation.batch_size": (8, set()),
    "figures.dpi": (90, set()),
}


def edited(path: str, value: object) -> Study:
    """Return the study with another value of a key."""
    config = STUDY.model_dump(mode="json")
    block = config
    *blocks, last = path.split(".")
    for name in blocks:
        block = block[name]
    assert last in block
    block[last] = value
    return validate(config)


def recipes_of(study: Study) -> dict[str, Recipe]:
    recipes = Recipes(study)
    return {
        WAVES: recipes.waves("gold", "train"),
        NETWORKS: recipes.networks("gold", ARCHITECTURE, CONDITION),
        RESULTS: recipes.results("gold"),
    }


@pytest.mark.parametrize("path", EDITS)
def test_an_edit_changes_what_depends_on_it_and_is_named_alone(path):
    value, expected = EDITS[path]
    before = recipes_of(STUDY)
    after = recipes_of(edited(path, value))
    assert {name for name in before if before[name].digest != after[name].digest} == expected
    for name in before:
        differences = before[name].differs(after[name])
        named = [line for line in differences if line.startswith(f"{path} = ")]
        assert len(named) == (name in expected)
        # `multislice_pixel_A` is `auto`, so the grid of atoms depends on energy, field and engine.
        others = {line.partition(" = ")[0] for line in differences} - {path}
        assert others <= {"microscope.multislice_pixel_A"}


def test_a_difference_has_the_value_before_and_the_value_now():
    before = Recipes(STUDY).networks("gold", ARCHITECTURE, CONDITION)
    after = Recipes(edited("training.epochs", 20)).networks("gold", ARCHITECTURE, CONDITION)
    assert before.differs(after) == ["training.epochs = 2 → 20"]
    assert after.differs(before) == ["training.epochs = 20 → 2"]
    assert before.differs(before) == []


def test_a_stage_with_another_number_is_another_recipe(monkeypatch):
    before = recipes_of(STUDY)
    monkeypatch.setitem(STAGES, "simulate", STAGES["simulate"] + 1)
    after = recipes_of(STUDY)
    for name in before:
        assert before[name].digest != after[name].digest
        assert before[name].differs(after[name]) == ["stage simulate = 3 → 4"]


def test_results_of_networks_without_a_head_do_not_depend_on_how_particles_are_counted(monkeypatch):
    def both() -> list[Recipe]:
        return [Recipes(STUDY).results("gold", particles=has_head) for has_head in (False, True)]

    without, with_head = both()
    monkeypatch.setitem(STAGES, "particles", STAGES["particles"] + 1)
    without_then, with_head_then = both()
    assert without.digest == without_then.digest
    assert with_head.differs(with_head_then) == ["stage particles = 1 → 2"]


def test_networks_and_sets_of_exit_waves_have_recipes_of_their_own():
    recipes = Recipes(STUDY)
    others = [
        recipes.networks("gold", ARCHITECTURE, other.id) for other in STUDY.train_conditions
    ] + [
        recipes.networks("gold", "compact-w4-d3", CONDITION),
        recipes.waves("gold", "train"),
        recipes.waves("gold", "val"),
        recipes.waves("gold", "val", "en0200.00"),
        recipes.results("gold"),
        recipes.results("gold", "en0200.00"),
        recipes.results("gold", particles=True),
    ]
    assert len({recipe.digest for recipe in others}) == len(others)


def test_other_exit_waves_do_not_depend_on_the_studys_own_value_of_their_axis():
    """But on the particles of the study's own specimen, which they keep."""
    low = Recipes(edited("microscope.energy_kev", 80.0))
    assert low.waves("gold", "val", "en0200.00") == Recipes(STUDY).waves("gold", "val", "en0200.00")
    rough = Recipes(edited("specimens.gold.roughness", 0.1)).waves("gold", "val", "rg0.200")
    smooth = Recipes(STUDY).waves("gold", "val", "rg0.200")
    assert smooth.differs(rough) == ["own specimens.gold.roughness = 0 → 0.1"]


def test_exit_waves_depend_on_the_content_of_a_crystal_file_and_on_nothing_without_one(monkeypatch):
    name = f"{CONTENT}specimens.gold.material"
    assert name not in Recipes(STUDY).waves("gold", "train").leaves
    monkeypatch.setattr(Specimen, "content", "0123456789abcdef")
    assert Recipes(STUDY).waves("gold", "train").leaves[name] == "0123456789abcdef"


def test_long_values_are_cut():
    long = Recipe("train", {"list": [*range(100)], "text": "a" * 100, "same": "b" * 100})
    other = Recipe("train", {"list": [1], "text": "", "same": "b" * 99 + "c"})
    assert long.differs(other) == [
        "list = 100 values → [1]",
        f"text = {'a' * 57}... → ",
        f"same = {'b' * 57}... → {'b' * 57}..., others",
    ]


def test_what_networks_share_is_put_together_once():
    """The workflow asks for the digest of each of thousands of networks whenever it starts."""
    (batch, *_) = network_batches.batches_of(STUDY)

    def seconds(recipes: Iterable[Recipes]) -> float:
        started = time.process_time()
        for each in recipes:
            each.networks(batch.specimen, batch.architecture, CONDITION).digest  # noqa: B018
        return time.process_time() - started

    number = 300
    anew = seconds(Recipes(STUDY) for _ in range(number))
    assert seconds([Recipes(STUDY)] * number) < anew / 4


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────


def figure(name, **changes):
    """Return a figure of the package with another declaration."""
    part = PACKAGE.get("figure", name)
    return replace(part, declaration=replace(part.declaration, **changes))


@pytest.mark.parametrize(
    ("path", "value", "drawn"),
    [
        ("figures.dpi", 90, {"ctf", "decay", "examples", "matrix", "metrics"}),
        ("figures.examples", 1, {"examples"}),
        ("study.seed", 1, {"examples"}),
        ("microscope.focal_spread_nm", 2.0, {"ctf", "examples"}),
        ("microscope.detector.gain", 2.0, {"examples"}),
        ("grid.defocus_nm", [5.0, 20.0, 30.0], {"ctf"}),
        ("specimens.gold.material", "Pt", {"ctf"}),
        ("training.epochs", 3, set()),
    ],
)
def test_a_figure_depends_on_the_keys_that_its_part_names(path, value, drawn):
    """Apart from its stores: a change of one is a newer file."""
    before, after = Recipes(STUDY), Recipes(edited(path, value))
    changed = {
        name
        for name in STUDY.drawn
        if before.figure(figure(name), CONDITION) != after.figure(figure(name), CONDITION)
    }
    assert changed == drawn


def test_a_raised_number_of_a_figure_and_its_settings_are_in_its_params():
    recipes = Recipes(STUDY)
    before = recipes.figure(figure("decay"), None)
    assert recipes.figure(figure("decay", caption="**Another.**"), None) == before
    settings = "evaluation.confidence", "test conditions"
    after = recipes.figure(figure("decay", version=2, settings=settings), None)
    assert list(differences(before, after)) == [
        "evaluation.confidence = none → 0.95",
        "defocus_nm of test conditions = none → [5, 20]",
        "cs_um of test conditions = none → [1.2]",
        "aperture_mrad of test conditions = none → [16]",
        "dose_e_per_A2 of test conditions = none → [200, 1000]",
        "version of the figure decay = none → 2",
    ]
    for key in ("evaluation.colour", "colour.dpi"):
        with pytest.raises(PassbandError, match=f"settings = '{key}': the study has no such key"):
            recipes.figure(figure("decay", settings=(key,)), None)


def test_the_page_depends_on_captions_and_places():
    def shown(**changes):
        return Recipes(STUDY).shown_figures({"decay": figure("decay", **changes)})

    before = shown()
    assert list(differences(before, shown(caption="**Another.**"))) == [
        "the content of the caption of the figure decay has changed"
    ]
    assert list(differences(before, shown(place="choice"))) == [
        "place of the figure decay = results → choice"
    ]
    assert shown(version=2) == before


def test_a_head_makes_other_networks_of_the_same_waves_and_results():
    """A study whose architectures have none has the recipes that it had."""
    headed = edited("training.architectures", ["compact-w4-d2", "compact-w4-d2+votes"])
    before = recipes_of(STUDY)
    after = recipes_of(headed)
    assert {name: each.digest for name, each in after.items()} == {
        name: each.digest for name, each in before.items()
    }
    other = Recipes(headed).networks("gold", "compact-w4-d2+votes", CONDITION)
    assert before[NETWORKS].differs(other) == ["architecture = compact-w4-d2 → compact-w4-d2+votes"]
