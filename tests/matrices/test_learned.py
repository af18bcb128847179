"""Networks that did not learn, with tables whose masks and predictions are known."""

import json

import numpy as np
import pytest
import xarray as xr

from passband.analysis import ood
from passband.config import Study, validate
from passband.grid import Axes, Condition
from passband.matrices import table_images
from passband.matrices.of_study import StudyMatrices, matrices
from passband.matrices.stored import NETWORK
from passband.mixtures import MIXTURES
from passband.scores import OUTCOMES, dice

PIXELS = 64 * 64
IDS = [Condition(5 * k, 1.2, 15, 100).id for k in range(4)]
#: Particle pixels of each test image.
TRUE = np.array([900, 1300, 1100, 1500, 1200])
#: The Dice of a mask of all pixels.
LEAST = (2 * TRUE / (TRUE + PIXELS)).mean()


def configuration(field_px: int, bootstrap: int = 200) -> Study:
    small = {"diameter_nm": {"mean": 0.7, "std": 0.1, "min": 0.6, "max": 0.9}}
    given = {"specimens": {"gold": small}, "microscope": {"field_px": field_px}}
    return validate({**given, "evaluation": {"bootstrap": bootstrap}})


@pytest.fixture(scope="module")
def study() -> Study:
    return configuration(64)


def predicting(found: float, wrong: float) -> np.ndarray:
    """Return counts (structure, outcome) of a network, as shares of particle and other pixels."""
    tp = np.round(found * TRUE)
    fp = np.round(wrong * (PIXELS - TRUE))
    return np.stack([tp, fp, TRUE - tp], -1)


def make(of_network, train=IDS, test=IDS, replicas=2, specimens=("gold",), attrs=None):
    """Return a table; `of_network` returns a network's counts for (train, replica, test)."""
    specimens = list(specimens)
    shape = (len(specimens), 1, len(train), replicas, len(specimens), len(test), len(TRUE), 3)
    counts = np.full(shape, np.nan)
    for i, r, j in np.ndindex(len(train), replicas, len(test)):
        counts[:, 0, i, r, :, j] = of_network(train[i], r, test[j])
    dims = (*NETWORK, "test_specimen", "test", "structure", "outcome")
    means = np.where(np.isnan(counts).any((-1, -2)), np.nan, dice(np.nan_to_num(counts)).mean(-1))
    return xr.Dataset(
        {"counts": (dims, counts), "dice": (dims[:-2], means.astype("float32"))},
        {"specimen": specimens, "architecture": ["net"], "train": train, "test": test}
        | {"replica": range(replicas), "test_specimen": specimens, "outcome": list(OUTCOMES)}
        | Axes.main.coordinates(test, "test"),
        attrs or {},
    )


def unlearned(table, study):
    """Return which networks of a table did not learn."""
    return StudyMatrices(table, study=study).unlearned


def at_home(good, bad):
    """Return a function for `make`: networks are `good` or, by (train, replica), `bad` at home."""
    return lambda train, replica, test: bad.get((train, replica), good) if train == test else good


GOOD = predicting(0.9, 0.02)
ALL = predicting(1, 1)
NOTHING = predicting(0, 0)


def test_a_mask_of_all_pixels_or_of_none_is_not_learned_and_each_replica_counts(study):
    bad = {(IDS[0], 0): ALL, (IDS[1], 1): NOTHING, (IDS[2], 0): NOTHING, (IDS[2], 1): ALL}
    found = unlearned(make(at_home(GOOD, bad)), study)
    assert found.dims == ("specimen", "architecture", "train", "replica")
    where = {(str(id), int(r)) for id in IDS for r in (0, 1) if found.sel(train=id, replica=r)}
    assert where == set(bad)
    assert found.attrs["learned"] == 4


#: Half of the range of the share of particle pixels that a network finds in an image.
WIDTHS = (0.002, 0.01, 0.2, 0.3)


@pytest.mark.parametrize("draws", [0, 50])
def test_the_interval_is_the_one_of_the_oods_metric_id(draws):
    """With one replica, a network is judged by the low end of the interval in ood.zarr."""
    study = configuration(64, draws)
    share = {id: 0.64 + wide * np.linspace(-1, 1, 5) for id, wide in zip(IDS, WIDTHS, strict=True)}
    table = make(lambda i, r, j: predicting(share[i], 0.35), replicas=1)
    ends = {"train": IDS, "test": IDS}
    dims = {"shared_capacity": ("train", "test")}
    dims |= {f"capacity_{end}": (end,) for end in ends}
    capacities = {
        name: (("weight", *own), np.ones([1] + [len(IDS)] * len(own))) for name, own in dims.items()
    }
    information = xr.Dataset(capacities, {"weight": ["flat"], **ends})
    metrics = ood.metrics(matrices(table), information, 0.95 if draws else None)
    low = metrics.id_interval.sel(bound="low") if draws else metrics.id
    expected = (low <= LEAST).values.ravel()
    if draws:
        assert 0 < expected.sum() < len(IDS)
        assert (metrics.id.values.ravel()[expected] > LEAST).any()  # the interval decides
    np.testing.assert_array_equal(unlearned(table, study).values.ravel(), expected)


def test_only_networks_in_doubt_are_read(study, monkeypatch):
    read = []
    of = table_images.Images.scores
    monkeypatch.setattr(
        table_images.Images,
        "scores",
        lambda of_matrix, row, *given: read.append(IDS[row]) or of(of_matrix, row, *given),
    )
    assert unlearned(make(at_home(predicting(1, 0), {(IDS[3], 1): ALL})), study).sum() == 1
    assert read == [IDS[3]]


def test_missing_networks_have_not_failed(study):
    table = make(at_home(GOOD, {(IDS[0], 0): np.full((len(TRUE), 3), np.nan), (IDS[1], 0): ALL}))
    table["counts"] = table.counts.where((table.train != IDS[0]) | (table.replica != 0))
    table["dice"] = table.dice.where((table.train != IDS[0]) | (table.replica != 0))
    found = unlearned(table, study)
    assert found.sum() == 1
    assert found.sel(train=IDS[1], replica=0).all()
    assert found.attrs["learned"] == 6


def test_a_network_is_judged_on_its_own_specimen(study):
    table = make(at_home(GOOD, {}), specimens=("gold", "silver"))
    for test_specimen, failed in ((1, []), (0, ["gold"])):
        table["counts"][0, 0, :, :, test_specimen] = NOTHING  # of networks trained on gold
        table["dice"][0, 0, :, :, test_specimen] = 0
        found = unlearned(table, study).all(["architecture", "train", "replica"])
        assert found.specimen.values[found.values].tolist() == failed


def test_a_home_that_is_no_test_condition_needs_its_own_test(study):
    table = make(lambda i, r, j: NOTHING, test=IDS[1:])
    found = unlearned(table, study)
    assert not found.sel(train=IDS[0]).any()
    assert found.sel(train=IDS[1:]).all()
    own = make(at_home(GOOD, {}))
    places = xr.DataArray(range(len(IDS)), dims="train")
    table["own_counts"] = own.counts.isel(test=places, train=places).drop_vars("test")
    table["own_dice"] = own.dice.isel(test=places, train=places).drop_vars("test")
    assert not unlearned(table, study).sel(train=IDS[0]).any()
    table["own_counts"] = xr.where(table.own_counts.outcome == "fn", 1200, 0).broadcast_like(
        table.own_counts
    )
    table["own_dice"] = table.own_dice * 0
    assert unlearned(table, study).sel(train=IDS[0]).all()


def test_a_mixture_is_judged_by_the_expectation_over_it(study):
    content = {"all-1c9d04aa": {"points": dict.fromkeys(IDS[:2], 1.0)}}
    attrs = {MIXTURES: json.dumps(content)}
    ids = [*IDS, "all-1c9d04aa"]

    def of_network(train, replica, test):
        # Replica 0 works in the mixture alone, and replica 1 everywhere else alone.
        inside = test in IDS[:2]
        return GOOD if train in IDS or inside == (replica == 0) else NOTHING

    found = unlearned(make(of_network, ids, attrs=attrs), study)
    assert found.sel(train="all-1c9d04aa").values.ravel().tolist() == [False, True]
    assert not found.sel(train=IDS).any()
    assert not unlearned(make(of_network, ids), study).any()  # its conditions are not known


def test_a_table_of_larger_images_judges_nothing(study):
    block = study.microscope.model_copy(update={"field_px": 32})
    smaller = study.model_copy(update={"microscope": block})
    table = make(at_home(GOOD, {(IDS[0], 0): ALL}))
    assert unlearned(table, study).any()
    assert not unlearned(table, smaller).any()
