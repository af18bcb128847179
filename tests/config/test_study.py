"""The configuration: accepted values, and one line for each error."""

import re
import tomllib
from pathlib import Path
from typing import get_origin

import pytest
import yaml

from passband import cli
from passband.axes import AXES, FURTHER_AXES
from passband.config import (
    SOURCE,
    Block,
    ConfigError,
    Microscope,
    Specimen,
    Study,
    Training,
    block_of,
    load,
    reference,
    validate,
)
from passband.config.base import keys_of
from passband.jobs.running import Running

ROOT = Path(__file__).parents[2]
STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]


def nested(path: str, value: object) -> dict:
    """Return the nested blocks ``{a: {b: value}}`` for the key ``a.b``."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def lines(config: dict) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(config, "file.yaml")
    return str(caught.value).split("\n")


def blocks(model: type[Block] = Study):
    yield model
    for field in model.model_fields.values():
        if inner := block_of(field.annotation):
            yield from blocks(inner)


# What is accepted


def test_default_is_valid():
    study = validate({})
    assert len(study.train_conditions) == len(study.test_conditions) == 16


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_are_valid(path):
    load(path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_name_the_schema_for_editors(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / schema).resolve() == ROOT / "docs" / "config.schema.json"


def test_config_yaml_is_the_default_study():
    assert load(ROOT / "config.yaml") == Study()


def test_config_yaml_shows_every_key():
    def keys(value, prefix=""):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield f"{prefix}{name}"
                yield from keys(inner, f"{prefix}{name}.")

    shown = set(keys(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))))
    every = set(keys(Study().written()))
    every -= {f"test_grid.{axis}" for axis in AXES}
    every -= {f"grid.{axis}" for axis in FURTHER_AXES}
    assert shown == every


#: Keys that no study in studies/ sets, and why.
UNSET = {
    "study.allow_incomplete": "a run from scratch has no record yet; tests of holes set it",
    "specimens.kind": "the package has one kind of specimen; tests/specimens/test_drawing.py",
    "microscope.noise": "the package has one noise model; tests/imaging/test_noise_models.py",
    "microscope.engine": "tests/workflow/test_engines.py has a study with abTEM",
    "microscope.detector.noise.table": "unused with a kernel; unit tests have the other forms",
    "microscope.detector.mtf_nyquist": "unused with a table; unit tests have the other forms",
    **{
        f"{block}.{axis}": "tests/config/test_axes.py sets them"
        for block in ("grid", "test_grid")
        for axis in FURTHER_AXES
    },
}


def test_every_key_is_set_by_a_study():
    def inner(name, field):
        return None if name in AXES else block_of(field.annotation)

    def keys(model, prefix=""):
        for name, field in keys_of(model).items():
            block = inner(name, field)
            yield from keys(block, f"{prefix}{name}.") if block else [f"{prefix}{name}"]

    def given(values, model, prefix=""):
        for name, value in values.items():
            field = model.model_fields[name]
            if not (block := inner(name, field)):
                yield f"{prefix}{name}"
            elif isinstance(value, list):
                continue  # several blocks of a grid
            else:
                named = get_origin(field.annotation) is dict
                for each in value.values() if named else [value]:
                    yield from given(each, block, f"{prefix}{name}.")

    unset = set(keys(Study))
    assert len(unset) > 100
    for path in (ROOT / "studies").glob("*.yaml"):
        unset -= set(given(yaml.safe_load(path.read_text(encoding="utf-8")), Study))
    assert unset == UNSET.keys()


@pytest.mark.parametrize(
    ("name", "conditions", "networks"),
    [
        ("smallest", 4, 8),
        ("everything", 2, 4),
        ("pilot", 135, 270),
        ("specimens", 4, 40),
        ("paper", 576, 12_096),
    ],
)
def test_study_sizes(name, conditions, networks):
    study = load(ROOT / "studies" / f"{name}.yaml")
    assert study.study.name == name
    assert len(study.train_conditions) == conditions
    assert len(study.trained_specimens) * conditions * study.study.replicas == networks


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([20, 5.0, 10], [5.0, 10.0, 20.0]),
        ([-5.0], [-5.0]),
        ({"start": 5, "stop": 40, "num": 8}, [5, 10, 15, 20, 25, 30, 35, 40]),
        ({"start": 40, "stop": 5, "num": 2}, [5, 40]),
        ({"start": 0, "stop": 1, "num": 4}, [0, 0.33, 0.67, 1]),
        ({"start": 7, "stop": 7, "num": 1}, [7]),
        ({"start": 5, "stop": 80, "num": 5, "spacing": "geometric"}, [5, 10, 20, 40, 80]),
        ({"start": -5, "stop": -20, "num": 3, "spacing": "geometric"}, [-20, -10, -5]),
    ],
)
def test_axis(given, expected):
    study = validate(nested("grid.defocus_nm", given))
    assert study.grid.axes()["defocus_nm"] == expected


def test_test_grid_falls_back_axis_by_axis():
    study = validate({"grid": {"cs_um": [1, 2, 3]}, "test_grid": {"defocus_nm": [7.5]}})
    assert {c.defocus_nm for c in study.test_conditions} == {7.5}
    assert {c.cs_um for c in study.test_conditions} == {1, 2, 3}
    assert {c.defocus_nm for c in study.train_conditions} == {5, 20}
    assert len(study.test_conditions) == 1 * 3 * 2 * 2


def test_integers_serve_as_numbers():
    assert validate(nested("microscope.energy_kev", 200)).microscope.energy_kev == 200.0


def test_cs_in_micrometres_is_fine_and_in_metres_is_not():
    validate(nested("grid.cs_um", [1.2]))
    (line,) = lines(nested("grid.cs_um", [1.2e6]))
    assert "between -9999.999 and 9999.999 µm" in line


def test_recipe_supplies_missing_values():
    recipe = {"architectures": ["unet-resnet18"], "epochs": 25, "batch_size": 16}
    recipe |= {"learning_rate": 0.001, "schedule": "exponential", "normalisation": "minmax"}
    given = Training(recipe="group-2024", epochs=3, noise="fixed")
    expected = Training(**recipe | {"recipe": "group-2024", "epochs": 3, "noise": "fixed"})
    assert given == expected
    assert Training(**given.model_dump()) == given
    paper = load(ROOT / "studies/paper.yaml").training
    assert paper == Training(recipe="group-2024")
    assert (paper.decay, paper.dice_weight, paper.augment) == (0.8, 1, True)


def test_digest_follows_the_values_and_not_their_spelling():
    assert validate(nested("grid.defocus_nm", [5, 20])).digest == Study().digest
    assert validate(nested("study.seed", 1)).digest != Study().digest


# What is refused: path, value, and what the line must say

BAD = [
    # unknown keys
    ("stdy", {}, "stdy = {}: unknown key; did you mean study? allowed: "),
    ("study.sede", 1, "study.sede = 1: unknown key; did you mean seed? allowed: "),
    ("grid.defocus", [5], "grid.defocus = [5]: unknown key; did you mean defocus_nm? allowed: "),
    ("specimens.gold.size", 2, "specimens.gold.size = 2: unknown key; allowed: closed_shells, "),
    ("specimens.gold.substrate.thickness", 1, "unknown key; did you mean thickness_nm? allowed: "),
    # names
    ("study.name", "a b", "study.name = 'a b': must be 1 to 40 letters, digits, '.' or '-'"),
    ("study.name", "../x", "study.name = '../x': must be 1 to 40 letters, digits, '.' or '-'"),
    ("study.name", "", "study.name = '': must be 1 to 40 letters, digits, '.' or '-'"),
    ("study.name", 5, "study.name = 5: must be 1 to 40 letters, digits, '.' or '-'"),
    ("specimens", {"a b": {}}, "specimens = 'a b': a name here must be 1 to 40 letters, "),
    ("specimens", {1: {}}, "specimens = 1: a name here must be 1 to 40 letters, "),
    ("specimens", {}, "specimens = {}: must be a block of named blocks, not empty"),
    ("specimens.gold.trained", False, "gold.trained = False: must be true for one specimen or"),
    ("specimens.gold.trained", "no", "specimens.gold.trained = 'no': must be true or false"),
    # types
    ("study", None, "study = None: must be a block of keys"),
    ("study", 3, "study = 3: must be a block of keys"),
    ("specimens.gold", None, "specimens.gold = None: must be a block of keys"),
    ("study.seed", True, "study.seed = True: must be an integer between 0 and "),
    ("study.replicas", 2.0, "study.replicas = 2.0: must be an integer between 1 and 999"),
    ("study.replicas", "2", "must be an integer between 1 and 999, not text"),
    ("study.allow_incomplete", 1, "study.allow_incomplete = 1: must be true or false"),
    ("study.allow_incomplete", "no", "study.allow_incomplete = 'no': must be true or false"),
    ("microscope.energy_kev", True, "must be a number between 20 and 2000 keV"),
    ("microscope.energy_kev", float("nan"), "microscope.energy_kev = nan: must be a finite number"),
    ("training.learning_rate", "1e-3", "must be a number above 0 and at most 1, not text; "),
    ("training.architectures", "unet-resnet18", "must be a list of names, not empty"),
    ("training.architectures", [3], "training.architectures[0] = 3: must be a string"),
    # bounds
    ("study.seed", -1, "study.seed = -1: must be an integer between 0 and "),
    ("study.structures.train", 0, "must be an integer between 2 and 1000000"),
    ("study.structures.val", 0, "must be an integer between 1 and 1000000"),
    ("training.batch_size", 1, "must be an integer between 2 and 4096"),
    ("grid.cs_um", {"start": 1, "stop": 5, "num": 1}, "grid.cs_um.num = 1: start = 1 and stop = 5"),
    ("figures.formats", ["png", "png"], "png is listed twice"),
    ("grid.cs_um", [1.2, 5000], "grid.cs_um = 5000 with defocus_nm = 5 and aperture_mrad = 18"),
    ("test_grid.cs_um", [5000], "test_grid.cs_um = 5000 with defocus_nm = 5"),
    ("study.structures.val", 0, "study.structures.val = 0: must be an integer between 1 and "),
    ("study.structures.test", 0, "study.structures.test = 0: must be an integer between 1 and "),
    ("study.replicas_per_job", 2, "must not exceed study.replicas = 1"),
    ("microscope.energy_kev", 300_000, "= 300000: must be a number between 20 and 2000 keV"),
    ("microscope.focal_spread_nm", -1.0, "must be a number between 0 and 100 nm"),
    ("training.epochs", 0, "training.epochs = 0: must be an integer between 1 and 10000 epochs"),
    ("evaluation.confidence", 95, "= 95: must be a number above 0 and below 1"),
    ("figures.dpi", 1, "must be an integer between 30 and 1200 dots/inch"),
    ("figures.width_cm", 18, "figures.width_cm = 18: must be a number between 8.5 and 17 cm"),
    ("figures.width_cm", "17 cm", "must be a number between 8.5 and 17 cm"),
    # choices
    ("microscope.coherence", "full", "must be 'focal-series' or 'quasi-coherent'"),
    ("training.schedule", "step", "must be 'one-cycle', 'exponential', 'cosine' or 'constant'"),
    ("training.recipe", "group-2023", "must be 'none' or 'group-2024'"),
    ("training.recipe", ["none"], "training.recipe = ['none']: must be 'none' or 'group-2024'"),
    ("training.precision", "float64", "must be 'auto', 'float32', 'bfloat16' or 'float16'"),
    ("training.normalisation", "z", "must be 'zscore', 'minmax' or 'vacuum'"),
    ("figures.formats", ["pdf"], "figures.formats[0] = 'pdf': must be 'png' or 'svg'"),
    ("figures.formats", [], "figures.formats = []: must be a list of 'png' or 'svg', not empty"),
    ("specimens.gold.material", "Xx", "= 'Xx': allowed are Ag, Au, CdSe, CeO2, Cu, Fe, Pd, Pt, or"),
    ("specimens.gold.material", "no.cif", "the path of a crystal file; there is no file no.cif"),
    (
        "specimens.gold.shape",
        "ball",
        "there is no shape of this name; allowed: sphere, wulff,",
    ),
    ("specimens.gold", {"material": "Fe", "shape": "decahedron"}, "gold.shape = 'decahedron': is "),
    ("specimens.gold.material", "CdSe", "gold.surface_energies = {}: the shape 'wulff' of materi"),
    ("specimens.gold.surface_energies", {"111": 0.0}, "surface_energies.111 = 0: must be above 0"),
    ("specimens.gold.surface_energies", {"11": 1.0}, "surface_energies = '11': must be three Mil"),
    ("specimens.gold.surface_energies", {"000": 1.0}, "surface_energies = '000': must be three Mi"),
    ("specimens.gold.surface_energies", 5, "surface_energies = 5: must be a block of Miller indic"),
    (
        "specimens.gold",
        {"shape": "cube", "surface_energies": {"111": 1.0}},
        "gold.surface_energies = {...}: are for shape = 'wulff', not 'cube'",
    ),
    ("specimens.gold.diameter_nm.distribution", "flat", "'normal', 'uniform' or 'lognormal'"),
    ("specimens.gold.thermal.temperature_K", -5.0, "temperature_K = -5.0: must be a number betwee"),
    ("specimens.gold.thermal.msd_A2", {"Au": -0.1}, "msd_A2.Au = -0.1: must be between 0 and 0.1"),
    ("specimens.gold.thermal.msd_A2", {"gold": 0.1}, "msd_A2 = 'gold': must be a chemical symbol"),
    ("specimens.gold.thermal.msd_A2", {"Au": "big"}, "thermal.msd_A2.Au = 'big': must be a numb"),
    ("specimens.gold.thermal.msd_A2", 5, "thermal.msd_A2 = 5: must be a block of chemical symb"),
    ("specimens.gold.thermal.msd_A2", {"Au": 0.01}, "thermal.msd_A2 = {'Au': 0.01}: lacks C, wh"),
    (
        "specimens.gold.thermal",
        {"temperature_K": 300.0, "msd_A2": {"Pt": 0.01}},
        "gold.thermal.msd_A2.Pt = 0.01: must be for Au or C, the elements of this specimen",
    ),
    (
        "specimens.gold",
        {"material": "CeO2", "shape": "sphere", "thermal": {"temperature_K": 300.0}},
        "lacks Ce, O, which temperature_K = 300 does not give for material 'CeO2'",
    ),
    (
        "specimens.gold.thermal.configurations",
        4,
        "thermal.configurations = 4: must be 1 where atoms are at rest, temperature_K = 0",
    ),
    ("specimens.gold.closed_shells", "yes", "closed_shells = 'yes': must be true or false"),
    (
        "specimens.gold",
        {"shape": "sphere", "closed_shells": True},
        "gold.closed_shells = True: must be false for shape = 'sphere' of material 'Au'; complete",
    ),
    (
        "specimens.gold",
        {"material": "Fe", "closed_shells": True},
        "gold.closed_shells = True: must be false for shape = 'wulff' of material 'Fe'; complete",
    ),
    (
        "specimens.gold",
        {"surface_energies": {"111": 1.0}, "closed_shells": True},
        "gold.closed_shells = True: must be false for shape = 'wulff' of material 'Au'; complete",
    ),
    ("specimens.gold.roughness", 0.6, "roughness = 0.6: must be a number between 0 and 0.5"),
    ("specimens.gold.twins", {"min": 2, "max": 1}, "gold.twins.min = 2: must not exceed max = 1"),
    ("specimens.gold.stacking_faults.max", -1, "must be an integer between 0 and 20"),
    (
        "specimens.gold",
        {"material": "Fe", "twins": {"max": 1}},
        "gold.twins.max = 1: must be 0 for",
    ),
    (
        "specimens.gold",
        {"shape": "icosahedron", "stacking_faults": {"max": 1}},
        "gold.stacking_faults.max = 1: must be 0 for shape = 'icosahedron'",
    ),
    (
        "specimens.gold.orientation.zone",
        [0, 0, 0],
        "orientation.zone = [0, 0, 0]: must be three in",
    ),
    (
        "specimens.gold.orientation.zone",
        [1, 1],
        "orientation.zone = [1, 1]: must be three integers",
    ),
    ("specimens.gold.orientation.zone", "110", "zone = '110': must be three integers such as [1,"),
    ("specimens.gold.orientation.within_deg", -1, "= -1: must be a number between 0 and 180 °"),
    (
        "specimens.gold",
        {"shape": "decahedron", "orientation": {"zone": [1, 1, 0]}},
        "gold.orientation.zone = [1, 1, 0]: must be [] for shape = 'decahedron'",
    ),
    (
        "specimens.gold.substrate",
        {"thickness_nm": 0, "thickness_std_nm": 1},
        "substrate.thickness_std_nm = 1: must be 0 where thickness_nm is 0, vacuum",
    ),
    (
        "specimens.gold.substrate",
        {"thickness_nm": 0, "faces": "both"},
        "substrate.faces = 'both': must be 'top' where thickness_nm is 0, vacuum",
    ),
    # axes
    ("grid.defocus_nm", [], "grid.defocus_nm = []: an axis needs at least one value"),
    ("grid.defocus_nm", 5, "must be a list such as [5, 20] or a range such as {start: 5, "),
    ("grid.defocus_nm", None, "must be a list such as [5, 20] or a range such as {start: 5, "),
    ("grid.defocus_nm", [5, 5.0], "grid.defocus_nm = 5: is listed twice"),
    ("grid.defocus_nm", [True], "grid.defocus_nm[0] = True: must be a number between -9999.99"),
    ("grid.defocus_nm", [5, "20"], "grid.defocus_nm[1] = '20': must be a number between -9999.99"),
    ("grid.defocus_nm", [float("inf")], "grid.defocus_nm[0] = inf: must be a finite number"),
    ("grid.defocus_nm", [5.001], "finer than the axis's resolution of 0.01 nm"),
    ("grid.dose_e_per_A2", [-100], "= -100: must be between 0.01 and 999999.99 e/Å²"),
    ("grid.dose_e_per_A2", [100, 0], "= 0: must be between 0.01 and 999999.99 e/Å²"),
    ("grid.cs_um", [1.2e6], "grid.cs_um = 1.2e+06: must be between -9999.999 and 9999.999 µm"),
    ("grid.cs_um", {"start": 1, "stop": 5}, "grid.cs_um.num: missing; it has no default"),
    ("grid.cs_um", {"start": 1, "stop": 5, "num": 0}, "grid.cs_um.num = 0: must be an integer"),
    ("grid.cs_um", {"start": 1, "stop": 1, "num": 2}, "grid.cs_um = 1: is listed twice"),
    ("grid.cs_um", {"start": 1, "stop": 2e4, "num": 2}, "grid.cs_um = 20000: must be between"),
    (
        "grid.cs_um",
        {"start": 0, "stop": 5, "num": 2, "spacing": "geometric"},
        "grid.cs_um.start = 0, stop = 5: a geometric range needs two values of the same sign",
    ),
    (
        "grid.cs_um",
        {"start": 1, "stop": 5, "num": 2, "spacing": "log"},
        "grid.cs_um.spacing = 'log': must be 'linear' or 'geometric'",
    ),
    ("test_grid.dose_e_per_A2", [-1], "test_grid.dose_e_per_A2 = -1: must be between 0.01 and "),
    ("test_grid.cs_um", [], "test_grid.cs_um = []: an axis needs at least one value"),
    # what does not fit together
    ("microscope.field_px", 88, "microscope.field_px = 88: has the prime factor 11"),
    (
        "microscope.multislice_pixel_A",
        0.31,
        "= 0.31: must not exceed the image's pixel, microscope.",
    ),
    (
        "microscope.multislice_pixel_A",
        0.005,
        "= 0.005: must be 'auto' or a number between 0.01 and",
    ),
    ("microscope.engine", "abtme", "microscope.engine = 'abtme': there is no engine of this name"),
    (
        "microscope.engine",
        ["abtem"],
        "microscope.engine = ['abtem']: must be 'passband', 'abtem', or a part of one's own",
    ),
    ("microscope.multislice_pixel_A", "fine", "= 'fine': must be 'auto' or a number between 0.01"),
    (
        "microscope.multislice_pixel_A",
        "0.1",
        "between 0.01 and 2 Å, not text; write it without quot",
    ),
    ("microscope.multislice_pixel_A", True, "= True: must be 'auto' or a number between 0.01 and"),
    (
        "microscope.multislice_pixel_A",
        {"a": 1},
        "multislice_pixel_A = {'a': 1}: must be 'auto' or a",
    ),
    (
        "microscope.field_px",
        8192,
        "A = auto: makes 27440 pixels a side, which must not exceed 16384",
    ),
    ("microscope.field_px", 108, "must be a multiple of 8, 16 or more, for training.arch"),
    ("microscope.pixel_size_A", 1.0, "grid.aperture_mrad = 18: must not exceed 6.56 mrad"),
    ("microscope.focal_spread_nm", 20.0, "microscope.focal_members = 5: must be at least "),
    ("microscope.aberrations.coma_nm", -1.0, "must be a number between 0 and 100000 nm"),
    ("microscope.aberrations.coma_deg", 400, "must be a number between -360 and 360 °"),
    ("microscope.aberrations.coma", 1, "unknown key; did you mean coma_nm? allowed: "),
    (
        "microscope.aberrations.astigmatism_nm",
        120,
        "with defocus_nm = 5 and aperture_mrad = 18: displaces image detail by up to 22 Å, which "
        "must not exceed half the field of view, 19 Å; take more pixels, smaller microscope.",
    ),
    ("microscope.spread.dose", 1.5, "must be a number between 0 and 1"),
    ("microscope.spread.focus_nm", -1, "must be a number between 0 and 100 nm"),
    (
        "microscope.spread.coma_nm",
        3000,
        "displaces image detail by up to 30 Å, which must not exceed half the field of view, 19 Å; "
        "take more pixels, a smaller microscope.spread or a smaller aperture",
    ),
    ("microscope.spread.focus_nm", 50, "must not exceed half the field of view, 19 Å; take more"),
    ("microscope.vibration_A", -0.1, "must be a number between 0 and 10 Å"),
    ("microscope.detector.mtf", "sinc", "'none', 'gaussian', 'lorentzian' or 'table'"),
    ("microscope.detector.mtf", "table", "microscope.detector.mtf_table = []: must have pairs "),
    (
        "microscope.detector.mtf_table",
        [[0, 1]],
        "microscope.detector.mtf = 'none': must be 'table'",
    ),
    ("information.bands_per_A", 0.3, "= 0.3: must be a list of ascending numbers such as [0.25, "),
    ("information.bands_per_A", ["a"], "information.bands_per_A[0] = 'a': must be a number"),
    ("information.bands_per_A", [0.5, 0.2], "= 0.2 after 0.5: edges must ascend, from above 0 to "),
    ("information.bands_per_A", [0], "information.bands_per_A = 0 after 0: edges must ascend, "),
    ("microscope.detector.mtf_table", 3, "must be a list of pairs such as [[0, 1], [1, 0.4]]"),
    ("microscope.detector.mtf_table", [3], "mtf_table[0] = 3: must be a pair of numbers such as "),
    ("microscope.detector.mtf_table", [[0, "a"]], "= 'a': must be a pair of numbers such as "),
    ("microscope.detector.mtf_table", [[0, 2.0]], "= [0.0, 2.0]: must be a pair of a fraction of"),
    ("microscope.detector.mtf_table", [[0.5, 1]], "= [0.5, 1.0]: the first pair must be [0, 1]"),
    (
        "microscope.detector.mtf_table",
        [[0, 1], [0.5, 0.7], [0.5, 0.4]],
        "microscope.detector.mtf_table = 0.5 after 0.5: fractions must ascend",
    ),
    ("microscope.detector.mtf_nyquist", 0, "must be a number above 0 and at most 1"),
    ("microscope.detector.clip_high", 0.5, "must be a number between 0 and 0.25, or a range "),
    ("microscope.background.slope_sd", -1, "must be a number between 0 and 20 sd, or a range "),
    ("microscope.detector.noise.form", "pink", "'white', 'binned', 'hann' or 'table'"),
    ("microscope.detector.noise.form", "table", "noise.table = []: must have pairs such as "),
    ("microscope.detector.noise.table", [[0, 1]], "noise.form = 'white': must be 'table'"),
    ("microscope.detector.noise.table", [[0, 3]], "= [0.0, 3.0]: must be a pair of a spatial "),
    ("microscope.detector.noise.table", [[1, 1]], "= [1.0, 1.0]: the first pair must be [0, 1]"),
    ("microscope.detector.noise.width_A", -1, "must be a number between 0 and 20 Å"),
    ("microscope.detector.noise.width_A", 3, "noise.form = 'white': must be 'binned' or 'hann'"),
    ("microscope.detector.noise.stored_pixel_A", 15, "= 15: must be at most 2.4 Å, a sixteenth"),
    ("microscope.detector.noise.stored_pixel_A", -1, "must be a number between 0 and 20"),
    ("training.crop_px", 20, "must be 0, or a multiple of 8 between 16 and microscope.field_px"),
    ("training.crop_px", 136, "must be 0, or a multiple of 8 between 16 and microscope.field_px"),
    ("microscope.detector.gain", 0, "must be a number above 0 and at most 1000000.0 counts/"),
    ("grid.aperture_mrad", [10, 40], "grid.aperture_mrad = 40: must not exceed 21.87 mrad"),
    ("test_grid.aperture_mrad", [40], "test_grid.aperture_mrad = 40: must not exceed 21.87 mrad"),
    (
        "specimens.gold.diameter_nm.max",
        5.0,
        "= 5: must not exceed 2.95 nm, to fit the field of view of 3.84 nm",
    ),
    (
        "specimens.gold",
        {"shape": "cube", "diameter_nm": {"max": 2.6}},
        "diameter_nm.max = 2.6: must not exceed 2.53 nm",
    ),
    ("specimens.gold.stacking_faults.max", 6, "diameter_nm.max = 2.4: must not exceed 2.12 nm"),
    (
        "specimens.gold",
        {"twins": {"max": 9}, "diameter_nm": {"max": 2.8}},
        "diameter_nm.max = 2.8: must not exceed 2.67 nm",
    ),
    ("specimens.gold.diameter_nm.mean", 1.0, "= 1.0: must lie between min = 1.2 and max = 2.4"),
    ("specimens.gold.diameter_nm.min", 3.0, "= 3.0: must not exceed max = 2.4"),
    ("specimens.gold.particles.min", 3, "= 3: must not exceed max = 2"),
    ("training.architectures", [], "training.architectures = []: must be a list of names"),
    ("training.architectures", ["unet-resnet17"], "[0] = 'unet-resnet17': unknown architecture"),
    ("training.architectures", ["compact-w8-d3"] * 2, "[0] = 'compact-w8-d3': is listed twice"),
    (
        "training.architectures",
        ["compact-w8-d8"],
        "must be a multiple of 256, 512 or more, for training",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "says"), BAD, ids=[f"{path}={value!r}"[:60] for path, value, _ in BAD]
)
def test_mistake_is_one_line_naming_key_value_and_what_is_allowed(path, value, says):
    (line,) = lines(nested(path, value))
    assert line.startswith("file.yaml: ")
    assert says in line


def test_miller_indices_may_be_written_as_a_number():
    study = validate({"specimens": {"a": {"surface_energies": {100: 1.0, "1-10": 2.0}}}})
    assert study.specimens["a"].surface_energies == {"100": 1.0, "1-10": 2.0}


def test_crystal_file_is_looked_at(tmp_path):
    path = tmp_path / "crystal.cif"
    path.write_text("data_x\n_cell_length_a 3\n")
    (line,) = lines({"specimens": {"a": {"material": str(path), "shape": "cube"}}})
    assert "not a CIF of a crystal: has no _atom_site_fract_x" in line
    path.write_text("data_x\n_cell_length_a 3\n_atom_site_fract_x\n")
    validate({"specimens": {"a": {"material": str(path), "shape": "cube"}}})
    (line,) = lines({"specimens": {"a": {"material": str(path), "shape": "truncated-octahedron"}}})
    assert "rocksalt, zincblende and fluorite, not for" in line
    (line,) = lines(
        {
            "specimens": {
                "a": {"material": str(path), "shape": "cube", "thermal": {"temperature_K": 300}}
            }
        }
    )
    assert "a.thermal.msd_A2 = {}: lacks every element" in line


def test_a_crystal_file_is_sought_from_the_study_first(tmp_path, monkeypatch):
    """A study does not depend on its folder. Only the crystal file's path differs."""
    monkeypatch.chdir(tmp_path)
    found = []
    for folder in ("mine", "moved/further"):
        Path(folder).mkdir(parents=True)
        Path(folder, "gold.xyz").write_text("gold")
        Path(folder, "study.yaml").write_text("specimens: {a: {material: gold.xyz, shape: sphere}}")
        found.append(load(f"{folder}/study.yaml"))
        assert found[-1].specimens["a"].file == Path(folder, "gold.xyz")
        assert found[-1].remarks == []
    here, moved = found
    assert here.specimens["a"].content == moved.specimens["a"].content != ""
    assert here.digest == moved.digest
    assert here.model_dump() == moved.model_dump()


def test_a_crystal_file_found_from_the_working_directory_alone_works_with_a_remark(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    study = Path("studies/study.yaml")
    study.write_text("specimens: {a: {material: gold.xyz, shape: sphere}}\n")
    with pytest.raises(ConfigError, match=r"there is no file studies/gold.xyz or gold.xyz"):
        load(study)
    Path("gold.xyz").write_text("here")
    found = load(study)
    assert found.specimens["a"].file == Path("gold.xyz")
    (remark,) = found.remarks
    assert "specimens.a.material = 'gold.xyz': found in the working directory" in remark
    assert cli.main(["status", str(study)]) == 0
    assert capsys.readouterr().err == f"{remark}\n"
    Path("studies/gold.xyz").write_text("beside the study")
    assert load(study).specimens["a"].content != found.specimens["a"].content
    assert load(study).remarks == []


def test_jobs_find_a_crystal_file_by_the_study_that_the_workflow_names(tmp_path):
    (tmp_path / "gold.xyz").write_text("gold")
    specimens = {"a": {"material": "gold.xyz", "shape": "sphere"}}
    configuration = {"specimens": specimens, SOURCE: str(tmp_path / "study.yaml")}
    study = validate(configuration)
    assert study.specimens["a"].file == tmp_path / "gold.xyz"
    assert SOURCE in configuration
    assert SOURCE not in study.model_dump()
    job = Running("simulate", configuration, tmp_path / "simulate.log")
    assert job.study.specimens["a"].file == tmp_path / "gold.xyz"


def test_the_content_of_a_crystal_file_counts(tmp_path):
    path = tmp_path / "crystal.cif"
    study = {"specimens": {"a": {"material": str(path), "shape": "cube"}}}
    found = []
    for a in (3, 4, 3):
        path.write_text(f"data_x\n_cell_length_a {a}\n_atom_site_fract_x\n")
        found.append((validate(study).digest, validate(study).specimens["a"].content))
    assert found[0] == found[2]
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]
    assert Specimen().content == ""


def test_mistakes_that_only_a_particle_shows_need_trial_particles(tmp_path):
    path = tmp_path / "crystal.xyz"
    path.write_text("")
    for change in (
        {"material": str(path), "shape": "cube"},
        {"surface_energies": {"111": 1.0}},
        {"twins": {"max": 1}},
        {"stacking_faults": {"max": 1}},
    ):
        assert validate({"specimens": {"plain": {}, "a": change}}).needs_trial
    assert not Study().needs_trial


def test_uniform_diameters_need_no_mean():
    diameter = {"distribution": "uniform", "min": 0.5, "max": 1.0}
    validate({"specimens": {"a": {"diameter_nm": diameter}}})


def test_key_that_is_no_text():
    (line,) = lines({1: 2})
    assert "key = 1: unknown key; allowed: evaluation, " in line


def test_key_with_a_line_break_stays_on_one_line():
    (line,) = lines({"a\nb": 2})
    assert r"'a\nb' = 2: unknown key" in line


def test_specimen_may_bear_any_name():
    (line,) = lines(nested("specimens.range.material", 3))
    assert "specimens.range.material = 3: must be a string" in line


def test_long_values_are_shortened():
    (line,) = lines(nested("study.name", "x" * 500))
    assert "..." in line
    assert len(line) < 200


def test_several_mistakes_give_several_lines():
    found = lines({"grid": {"cs_um": 5}, "training": {"epochs": 0, "augment": "yes"}, "x": 1})
    assert [line.split(" = ")[0] for line in found] == [
        "file.yaml: grid.cs_um",
        "file.yaml: training.epochs",
        "file.yaml: training.augment",
        "file.yaml: x",
    ]


# Files


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"^study file '.*nope.yaml': No such file"):
        load(tmp_path / "nope.yaml")


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("study: {seed: -1}\n")
    with pytest.raises(ConfigError, match=rf"^{path}: study.seed = -1: "):
        load(path)


# The command and the reference


def test_check_sums_up(capsys):
    assert cli.main(["check", str(ROOT / "studies" / "paper.yaml")]) == 0
    printed = capsys.readouterr().out
    assert "576 to train under" in printed
    assert "12,096 = 1 specimen × 576 conditions × 1 architecture × 21 replicas" in printed
    assert "1,728 train, 1,728 evaluate" in printed


def test_check_refuses_in_one_line(tmp_path, capsys):
    path = tmp_path / "study.yaml"
    path.write_text("study: {seed: -1}\n")
    assert cli.main(["check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "study.seed = -1: must be an integer" in err


def test_reference_is_in_step_with_the_models(capsys):
    assert cli.main(["docs", "--check", "--directory", str(ROOT / "docs")]) == 0, (
        capsys.readouterr().err
    )


def test_docs_check_notices_a_difference(tmp_path, capsys):
    assert cli.main(["docs", "--directory", str(tmp_path)]) == 0
    assert cli.main(["docs", "--check", "--directory", str(tmp_path)]) == 0
    (tmp_path / "configuration.md").write_text("")
    (tmp_path / "config.schema.json").unlink()
    assert cli.main(["docs", "--check", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("run `passband docs`") == 2


@pytest.mark.parametrize("model", list(blocks()), ids=lambda model: model.__name__)
def test_every_key_is_described(model):
    assert model.__doc__
    for name, field in keys_of(model).items():
        assert field.description, name


def test_reference_has_every_block_and_key():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "*.md" in declared["package-data"]["passband.config"]  # or a wheel would lack the text
    page = reference.markdown()
    assert "{{" not in page
    for model in blocks():
        for name in keys_of(model):
            assert f"`{name}`" in page or f"## `{name}" in page, name


def test_the_reference_begins_with_what_a_person_sets():
    page = reference.markdown()
    _, first, *rest = re.split(r"^## .+$", page, flags=re.M)
    rows = re.findall(r"^\| `(.+?)` \|(.*)$", first, re.M)
    assert [path for path, _ in rows] == list(reference.FIRST)
    for block in ("grid", "specimens", "training"):
        assert any(path.startswith(f"{block}.") for path in reference.FIRST)
    assert {"study.replicas", "training.architectures", "training.epochs"} <= {*reference.FIRST}
    for path, others in rows:  # the same as in the table of the block
        assert f"\n| `{path.rpartition('.')[2]}` |{others}\n" in "".join(rest), path
    # What goes wrong comes last.
    heads = re.findall(r"^## (.+)$", page, re.M)
    assert heads[0] == "What you set first"
    assert heads[-2:] == ["Mistakes", "Editors"]


def test_keys_that_name_a_unit_have_it():
    for model in blocks():
        for name, field in model.model_fields.items():
            has_unit = bool((field.json_schema_extra or {}).get("unit"))
            if name.endswith(("_kev", "_A", "_px", "_nm", "_um", "_mrad", "_A2", "_cm3")):
                assert has_unit or block_of(field.annotation), name


# Multislice


@pytest.mark.parametrize(
    ("energy", "pixel", "expected"),
    [
        (300, 0.3, 0.09),
        (80, 0.3, 0.09),
        (300, 0.2, 0.09),
        (300, 0.1, 0.07),  # an image that reaches further needs more
        (1000, 0.3, 0.06),  # what is scattered far stays in step for longer
        (20, 0.3, 0.051),  # and more is scattered
        (300, 0.02, 0.014),
    ],
)
def test_auto_pixel_of_multislice(energy, pixel, expected):
    given = {"energy_kev": energy, "pixel_size_A": pixel}
    microscope = Microscope(**given)
    assert microscope.multislice_A == expected
    assert microscope.multislice.field_A == pytest.approx(128 * pixel, rel=1e-15)
    written_out = Microscope(**given, multislice_pixel_A=expected)
    assert written_out.multislice_A == expected
    assert written_out.multislice == microscope.multislice


@pytest.mark.parametrize(
    ("energy", "pixel", "expected"),
    [(300, 0.3, 0.02), (80, 0.6, 0.02), (300, 0.1, 0.01), (300, 0.06, 0.006)],
)
def test_auto_pixel_of_abtem_is_smaller(energy, pixel, expected):
    given = {"energy_kev": energy, "pixel_size_A": pixel}
    microscope = Microscope(**given, engine="abtem")
    assert microscope.multislice_A == expected < Microscope(**given).multislice_A
    assert microscope.multislice.field_A == pytest.approx(128 * pixel, rel=1e-15)


@pytest.mark.parametrize(("oversampling", "least"), [(1, 0.291), (2, 0.145)])
def test_pixels_too_coarse_for_abtem_are_refused(oversampling, least):
    given = {"engine": "abtem", "oversampling": oversampling}
    says = (
        rf"= {0.3 / oversampling:g}: is too coarse for microscope\.engine = 'abtem', which "
        rf"would cut the image's frequencies; take {least:g} Å or less"
    )
    with pytest.raises(ConfigError, match=says):
        validate({"microscope": given | {"multislice_pixel_A": 0.3 / oversampling}})
    kept = validate({"microscope": given | {"multislice_pixel_A": least}}).microscope
    # From there on, abTEM's aperture is 1 up to the cutoff of the image, see `abtem.antialias`.
    taper = 0.01
    cutoff = 1 / 3
    assert (cutoff - taper) / kept.multislice.pixel_A >= kept.wave_sampling.cutoff


def test_a_field_too_large_for_abtem_names_the_pixel_that_fits():
    says = (
        r"microscope\.multislice_pixel_A = auto: makes 30720 pixels a side, which must not exceed "
        r"16384; take 0\.038 Å or more, or a smaller field$"
    )
    with pytest.raises(ConfigError, match=says):
        validate({"microscope": {"engine": "abtem", "field_px": 2048}})


def test_specimens_have_the_lattice_spacings_of_their_materials():
    specimens = {"gold": {}, "wires": {"shape": "sphere"}, "iron": {"material": "Fe"}}
    found = validate({"specimens": specimens}).spacings
    assert list(found) == ["gold, wires", "iron"]
    # Bragg spacings by hand: {111}, {200}, {220} of 4.078 Å; {110}, {200}, {211} of 2.867 Å.
    assert found["gold, wires"] == pytest.approx([2.354, 2.039, 1.442], abs=1e-3)
    assert found["iron"] == pytest.approx([2.027, 1.434, 1.170], abs=1e-3)
