"""The measured performance of one network, from the table or from a record."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from synthetic import weights_metadata

from passband.analysis import table
from passband.config import Microscope, Study
from passband.grid import Axes, Condition
from passband.learning.network_files import Network
from passband.particle_scores import NUMBERS, TRUTHS
from passband.results import Results
from passband.scores import OUTCOMES, dice
from passband.sharing import performance
from passband.sharing.performance import Performance
from passband.storage import datasets, records

IDS = [
    c.id
    for c in Axes.main.conditions(
        {
            "defocus_nm": [-5, 5, 20],
            "cs_um": [1.2],
            "aperture_mrad": [10],
            "dose_e_per_A2": [100, 1000],
        }
    )
]
TRAINED = IDS[1]
STUDY = Study.model_validate(
    {
        "specimens": {"gold": {}, "platinum": {"material": "Pt"}},
        "training": {"architectures": ["compact-w4-d2"]},
    }
)


def network(folder, replica=1, loss=1.5):
    best = weights_metadata((0, 1)).best
    record = type(best[0])(**vars(best[0]) | {"val_loss": loss})
    metadata = weights_metadata((0, 1), condition=TRAINED, best=dict.fromkeys((0, 1), record))
    path = folder / "networks/gold/compact-w4-d2" / TRAINED / "r000-001.safetensors"
    condition = Condition.parse(TRAINED)
    return Network(torch.nn.Identity(), replica, metadata, Microscope(), condition, path)


def of(network):
    """Return the performance of a network in the study to whose results its file belongs."""
    return Performance(network, Results(STUDY, network.path.parents[4]))


@pytest.fixture
def results(tmp_path):
    """A folder of results with a record; the counts are returned too."""
    counts = np.random.default_rng(0).integers(1, 1000, (2, 2, len(IDS), 5, 3))
    record = xr.Dataset(
        {
            "counts": (("replica", "test_specimen", "test", "structure", "outcome"), counts),
            "val_loss": ("replica", [1.25, 1.5]),
            "best_epoch": ("replica", [0, 0]),
        },
        {
            "replica": [0, 1],
            "test_specimen": ["gold", "platinum"],
            "test": IDS,
            "outcome": list(OUTCOMES),
        },
    )
    cell = {"specimen": "gold", "architecture": "compact-w4-d2", "condition": TRAINED}
    folder = tmp_path / "study"
    path = folder.joinpath("records", *cell.values(), "r000-001.zarr.zip")
    records.write({cell.pop("condition"): record}, path, cell)
    return folder, counts


def aggregate(folder):
    path = folder.joinpath("records/gold/compact-w4-d2", TRAINED, "r000-001.zarr.zip")
    cell = table.Cell("gold", "compact-w4-d2", TRAINED, (0, 1), str(path))
    tested, path = list(map(Condition.parse, IDS)), folder / "table.zarr"
    table.aggregate([cell], tested, ["gold", "platinum"], path, {"study": "study"})


def test_a_network_with_a_head_has_the_scores_of_its_particles(results):
    folder, _ = results
    name = "compact-w4-d2+votes"
    file = f"{TRAINED}/r000-001.zarr.zip"
    record = records.read(folder / "records/gold/compact-w4-d2" / file)
    dims = "replica", "test_specimen", "test", "structure", "truth", "number"
    shape = tuple(record.sizes[each] for each in dims[:-2])
    numbers = np.zeros((*shape, len(TRUTHS), len(NUMBERS)), np.uint32)
    for number, value in {"true": 4, "found": 3, "matched": 2}.items():
        numbers[1, 0, 1, ..., NUMBERS.index(number)] = value
    cell = {"specimen": "gold", "architecture": name, "condition": TRAINED}
    record = record.assign(particles=(dims, numbers)).drop_encoding()
    record = record.assign_coords(truth=list(TRUTHS), number=list(NUMBERS))
    path = folder / "records/gold" / name / file
    records.write({TRAINED: record}, path, record.attrs | cell)
    plain = network(folder)
    own = replace(plain, metadata=replace(plain.metadata, architecture=name))
    own = replace(own, path=folder / "networks/gold" / name / TRAINED / "r000-001.safetensors")
    measured = of(own).measured
    place = {"test_specimen": "gold", "test": TRAINED}
    assert measured.instance_f1.sel(place).item() == pytest.approx(2 * 2 / 7)
    assert measured.count_error.sel(place).item() == pytest.approx(-1 / 4)
    columns = performance.to_table(measured).columns
    assert [*columns[-3:]] == ["instance_f1", "count_error", "diameter_bias"]
    assert "instance_f1" not in of(plain).measured
    assert "instance_f1" not in performance.to_table(of(plain).measured)


@pytest.mark.parametrize("finished", [False, True])
def test_dice_is_that_of_the_networks_own_replica(results, finished):
    folder, counts = results
    if finished:
        aggregate(folder)
    tested = of(network(folder))
    found = tested.measured
    expected = dice(counts[1])
    np.testing.assert_allclose(found.dice, expected.mean(-1), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, expected.std(-1, ddof=1) / np.sqrt(5))
    assert found.attrs["images"] == 5
    assert list(found.test_defocus_nm.values) == [-5, -5, 5, 5, 20, 20]
    assert tested.source.startswith("study/table.zarr" if finished else "study/records/gold/")


def test_a_record_has_the_axes_of_its_conditions(results):
    folder, _ = results
    path = folder.joinpath("records/gold/compact-w4-d2", TRAINED, "r000-001.zarr.zip")
    record = records.read(path).load()
    further = [Condition.parse(id) for id in IDS[:3]]
    ids = IDS[:3] + [replace(c, further=(("coma_nm", 50),)).id for c in further]
    cell = {"specimen": "gold", "architecture": "compact-w4-d2", "condition": TRAINED}
    records.write({TRAINED: record.assign_coords(test=ids)}, path, cell)
    found = of(network(folder)).measured
    assert found.test_coma_nm.values.tolist() == [0, 0, 0, 50, 50, 50]
    assert Axes.of(found).own == {"coma_nm": 0}
    assert performance.further_words(Condition.parse(TRAINED), found) == "coma 0 nm"
    own = performance.own_specimen(found, "gold")
    assert performance.as_trained(own, Condition.parse(TRAINED)).test.values.tolist() == ids[:3]
    other = Condition.parse(ids[3])
    assert performance.as_trained(own, other).test.values.tolist() == ids[3:]
    assert performance.further_words(other, found) == "coma 50 nm"


def test_network_that_was_trained_again_has_no_measured_performance(results):
    folder, _ = results
    tested = of(network(folder, loss=1.4))
    assert tested.measured is None
    assert "was made with other weights" in tested.source


def test_network_that_was_not_tested_has_no_measured_performance(results, tmp_path):
    tested = of(network(tmp_path))
    assert tested.measured is None
    assert tested.source == f"the study {tmp_path.name} has not tested this network"


@pytest.mark.slow
def test_table_in_the_folder_has_all_networks_of_specimen_and_architecture(results, tmp_path):
    folder, counts = results
    path = tmp_path / "table.zarr.zip"
    assert not of(network(folder)).write_table(path)
    aggregate(folder)
    assert of(network(folder)).write_table(path)
    copied = datasets.read(path, datasets.TABLE)
    np.testing.assert_array_equal(copied.counts.squeeze(), counts)
    assert copied.attrs["study"] == "study"


def test_region_lists_defocus_values_by_lens_and_dose():
    values = xr.DataArray([0.9, 0.7, 0.95, 0.9, 0.6, 0.81], {"test": IDS}, "test")
    found = performance.region(values, 0.8)
    assert found == {
        (1.2, 10.0): {
            100.0: [(-5.0, True), (5.0, True), (20.0, False)],
            1000.0: [(-5.0, False), (5.0, True), (20.0, True)],
        }
    }
    assert [performance.runs(part) for part in found[1.2, 10.0].values()] == ["-5 to 5", "5 to 20"]


@pytest.mark.parametrize(
    ("above", "text"),
    [("111", "1 to 3"), ("101", "1, 3"), ("000", "none"), ("011", "2 to 3"), ("100", "1")],
)
def test_neighbouring_values_of_defocus_are_joined(above, text):
    assert performance.runs([(k, sign == "1") for k, sign in enumerate(above, 1)]) == text


def test_conditions_between_tested_ones_have_the_same_lens_and_dose():
    found = performance.between([IDS[0], IDS[4], IDS[1]])  # -5 and 20 nm at 100, -5 nm at 1000 e/Å²
    at_low_dose = [c.defocus_nm for c in found if c.dose_e_per_A2 == 100]
    np.testing.assert_allclose(at_low_dose, np.linspace(-5, 20, 31), atol=0.005)
    assert [c.defocus_nm for c in found if c.dose_e_per_A2 == 1000] == [-5]
    assert {(c.cs_um, c.aperture_mrad) for c in found} == {(1.2, 10)}
    further = [f"{id}_as0010.000" for id in (IDS[0], IDS[4])]
    assert {c.further for c in performance.between(further)} == {(("astigmatism_nm", 10.0),)}
