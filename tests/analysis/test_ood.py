"""OOD metrics, compared with values that were computed by hand, and with simulations."""

import shutil
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from passband.analysis import ood
from passband.analysis.information import metrics
from passband.analysis.rows import Row
from passband.config import Microscope, Spread, load
from passband.errors import PassbandError
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.optics import ctf
from passband.particle_scores import NO_NUMBER, NUMBERS, SCORES, TRUTHS
from passband.parts import PACKAGE, PAIR, TRAIN, PartError, Parts
from passband.reports import summaries
from passband.storage import datasets

ROOT = Path(__file__).parents[2]

#: Names of the metrics of a training condition, and of two conditions.
SUMMARIES, PAIRS = (
    [
        name
        for name, part in PACKAGE.of("ood_metric").items()
        if part.declaration.of == of and not part.declaration.needs
    ]
    for of in (TRAIN, PAIR)
)
WITH_INTERVALS = [*SUMMARIES, *PAIRS]


def ids(n, start=0):
    return [Condition(5 * (start + k), 1.2, 15, 100).id for k in range(n)]


def make_table(D, train=None, test=None, specimens=("gold",)):
    """Return a table whose images have the Dice D, a multiple of 1/1000. Missing Dice is NaN.

    The axes of D are (train, replica, test, structure). The axes (specimen, architecture,
    test_specimen) may come before them.
    """
    D = np.asarray(D, dtype=float)
    if D.ndim == 4:
        D = D[None, None, None]
    tp = np.round(1000 * D)
    counts = np.stack([tp, 1000 - tp, 1000 - tp], axis=-1)
    train, test = train or ids(D.shape[3]), test or ids(D.shape[5])
    dims = ("specimen", "architecture", "test_specimen", "train", "replica", "test", "structure")
    return xr.Dataset(
        {
            "counts": ((*dims, "outcome"), counts),
            "dice": (dims[:-1], (tp / 1000).mean(-1)),
            "val_loss": (
                (*dims[:2], *dims[3:5]),
                np.where(np.isnan(D[:, :, 0, ..., 0, 0]), np.nan, 0.5),
            ),
        },
        coords={
            "specimen": list(specimens),
            "architecture": [f"compact-w{a + 1}-d1" for a in range(D.shape[1])],
            "test_specimen": [f"s{k}" for k in range(D.shape[2])],
            "train": train,
            "replica": range(D.shape[4]),
            "test": test,
            "outcome": ["tp", "fp", "fn"],
            **Axes.main.coordinates(train, "train"),
            **Axes.main.coordinates(test, "test"),
        },
    )


def make_information(table, shared=None, weights=("flat",)):
    """Return information metrics in which each condition has one bit of information.

    The larger the distance of two conditions, the less of this bit they share.
    """
    if shared is None:
        i, j = table.train_defocus_nm.values[:, None], table.test_defocus_nm.values
        shared = 1 - np.abs(i - j) / 1000
    return xr.Dataset(
        {
            "capacity_train": (("weight", "train"), np.ones((len(weights), len(shared)))),
            "capacity_test": (("weight", "test"), np.ones((len(weights), len(shared[0])))),
            "shared_capacity": (("weight", "train", "test"), np.stack([shared] * len(weights))),
        },
        coords={"weight": list(weights), "train": table.train.values, "test": table.test.values},
    )


def run(D, confidence=None, train=None, test=None, shared=None, **options):
    table = make_table(D, train, test)
    found = ood.metrics(matrices(table), make_information(table, shared), confidence, **options)
    return found.isel(specimen=0, architecture=0, test_specimen=0)


def random_dice(*shape, seed=0):
    return np.round(np.random.default_rng(seed).uniform(0.3, 0.9, shape), 3)


M = np.array([[0.9, 0.5, 0.2], [0.7, 0.8, 0.6], [0.1, 0.4, 0.6]])  # M[i, j], by hand below
MATRIX = M[:, None, :, None]


# One training condition


def summaries_of(values, own, near):
    """Return the metrics of a training condition with one network, from one image each."""
    dice = np.array(values)[None, :, None]
    home = np.full((1, 1), np.nan) if own is None else dice[:, own]
    row = Row(dice, home, np.full_like(dice[0], np.nan), own, np.array(near))
    return {name: PACKAGE.get("ood_metric", name).load()(row).item() for name in SUMMARIES}


def test_summaries_by_hand():
    found = summaries_of([0.9, 0.5, 0.2, 0.4, 0.7], 0, [True, True, False, False, True])
    assert found["id"] == 0.9
    assert found["ood"] == pytest.approx((0.5 + 0.2 + 0.4 + 0.7) / 4)
    assert found["worst"] == 0.2
    assert found["p10"] == pytest.approx(0.2 + 0.3 * 0.2)  # 0.3 of the way from 1st to 2nd of four
    assert found["near"] == pytest.approx((0.5 + 0.7) / 2)
    assert found["far"] == pytest.approx((0.2 + 0.4) / 2)


def test_condition_that_is_not_tested_on_has_no_id_and_all_others():
    found = summaries_of([0.9, 0.5], None, [True, False])
    assert np.isnan(found["id"])
    assert found["ood"] == pytest.approx(0.7)
    assert (found["worst"], found["near"], found["far"]) == (0.5, 0.9, 0.5)


def test_no_other_condition_leaves_nan():
    found = summaries_of([0.9], 0, [True])
    assert found["id"] == 0.9
    assert all(np.isnan(found[name]) for name in ("ood", "worst", "p10", "near", "far"))


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["finished_03", "grouped_03"])
def test_metrics_of_studies_of_earlier_versions_are_the_same(tmp_path, archive):
    with tarfile.open(ROOT / f"tests/data/{archive}.tar.xz") as opened:
        opened.extractall(tmp_path, filter="data")
    (results,) = (tmp_path / "results").iterdir()
    stored = datasets.read(results / "ood.zarr", datasets.OOD)
    information = datasets.read(results / "information.zarr", datasets.INFORMATION)
    with datasets.open_checked(results / "table.zarr", datasets.TABLE) as table:
        found = ood.metrics(matrices(table), information)
        assert "particles" not in table
    assert {*found.data_vars} == {*stored.data_vars}
    for name, variable in found.items():
        expected = stored[name].variable
        assert variable.attrs == expected.attrs
        # Another kind of processor rounds differently.
        xr.testing.assert_allclose(variable.variable, expected, rtol=1e-6, atol=1e-9)


# Metrics of a study's own

OWN = """
from passband.parts import PAIR, ood_metric


@ood_metric(PAIR, against="ideal")
def missed(row):
    \"\"\"the loss against the networks trained there, again\"\"\"
    return row.ideal - row.dice


@ood_metric(PAIR)
def overlapping(row):
    return row.score("iou")
"""


def own_parts(folder, text=OWN):
    """Return the parts of a study with the example of an OOD metric, and others of its own."""
    (folder / "parts").mkdir()
    shutil.copy(ROOT / "examples/parts/failed.py", folder / "parts")
    (folder / "parts/own.py").write_text(text, encoding="utf-8")
    known = Parts.read(folder / "parts")
    known.trust()
    return known


def test_a_study_s_own_metrics_have_values_and_intervals(tmp_path):
    D = random_dice(3, 4, 3, 6)
    D[1, 2] = np.nan  # a missing network
    found = run(D, 0.95, parts=own_parts(tmp_path))
    names = ["failed", "missed", "overlapping"]
    own = [name for name in found.data_vars if name.removesuffix("_interval") in names]
    xr.testing.assert_identical(found.drop_vars(own), run(D, 0.95))
    assert len(own) == 6
    for i in range(3):
        there = D[i][np.isfinite(D[i, :, 0, 0])]
        others = [j for j in range(3) if j != i]
        expected = (there[:, others] < 0.5).mean()
        assert found.failed[i].item() == pytest.approx(expected)
        iou = there / (2 - there)
        np.testing.assert_allclose(found.overlapping[i], iou.mean((0, 2)), atol=1e-3)
    assert found.failed.attrs == {
        "units": "1",
        "long_name": "share of images with Dice below 0.5 under the other test conditions",
        "label": "failed images",
    }
    # A difference to the networks trained there has the interval of the package's.
    np.testing.assert_array_equal(found.missed, found.gap_test)
    np.testing.assert_array_equal(np.clip(found.missed_interval, -1, 1), found.gap_test_interval)
    assert ((found.failed_interval >= 0) & (found.failed_interval <= 1)).all()


def test_a_study_s_own_metrics_are_listed_after_those_of_the_package(tmp_path):
    found = run(random_dice(2, 1, 2, 3), parts=own_parts(tmp_path))
    turned = found[sorted(found.data_vars)]  # as a store may have them
    assert ood.of_rows(turned) == [*SUMMARIES, "failed"]
    assert ood.of_pairs(turned) == [*PAIRS, "missed", "overlapping"]


@pytest.mark.parametrize(
    ("of", "code", "words"),
    [
        ("TRAIN", "return row.mean", r"must be \(replica, structure\), here \(1, 3\)"),
        ("PAIR", "return row.home", r"must be \(replica, test, structure\), here \(1, 2, 3\)"),
        ("PAIR", "return row.dice > row.nothing", "AttributeError: .* no attribute 'nothing'"),
    ],
)
def test_a_metric_that_is_wrong_is_named(tmp_path, of, code, words):
    text = (
        f"from passband.parts import {of}, ood_metric\n\n"
        f"@ood_metric({of})\ndef odd(row):\n    {code}\n"
    )
    with pytest.raises(PartError, match=rf"^ood_metric 'odd' of parts/own.py, line 3: .*{words}"):
        run(random_dice(2, 1, 2, 3), parts=own_parts(tmp_path, text))


# Effective robustness


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_networks_on_a_line_have_no_effective_robustness():
    x = np.array([0.1, 0.5, 1.0, 2.0])
    found = ood.effective_robustness(logistic(x), logistic(0.7 * x - 0.5))
    np.testing.assert_allclose(found, 0, atol=1e-9)


def test_network_above_the_line_is_more_robust():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    y = 0.5 * x - 1
    y[1] += 0.4
    found = ood.effective_robustness(logistic(x), logistic(y))
    # Least squares by hand: the residuals of a bump of 0.4 at x = 1 of 0, 1, 2, 3.
    np.testing.assert_allclose(found, 0.4 * np.array([-0.4, 0.7, -0.2, -0.1]), atol=1e-9)


def test_effective_robustness_where_it_is_not_defined():
    assert np.isnan(ood.effective_robustness(np.array([0.5, 0.6]), np.array([0.5, 0.6]))).all()
    assert np.isnan(ood.effective_robustness(np.full(4, 0.5), np.array([0.1, 0.2, 0.3, 0.4]))).all()
    found = ood.effective_robustness(
        np.array([0.5, np.nan, 0.7, 0.8, 0.6]), np.array([0.4, 0.3, 0.6, 0.6, np.nan])
    )
    assert np.isnan(found).tolist() == [False, True, False, False, True]


def test_perfect_scores_are_finite():
    found = ood.effective_robustness(np.array([0.5, 1.0, 0.9, 0.7]), np.array([0.0, 1, 0.8, 0.5]))
    assert np.isfinite(found).all()


# Tables, without intervals


def test_matrices_and_summaries_by_hand():
    found = run(MATRIX)
    np.testing.assert_allclose(found.dice, M)
    np.testing.assert_allclose(found.id, [0.9, 0.8, 0.6])
    np.testing.assert_allclose(found.ood, [0.35, 0.65, 0.25])
    np.testing.assert_allclose(found.worst, [0.2, 0.6, 0.1])
    np.testing.assert_allclose(
        found.gap_model, [[0, 0.4, 0.7], [0.1, 0, 0.2], [0.5, 0.2, 0]], atol=1e-12
    )
    np.testing.assert_allclose(
        found.gap_test, [[0, 0.3, 0.4], [0.2, 0, 0], [0.8, 0.4, 0]], atol=1e-12
    )
    # Gaps are oriented (train, test): rows are networks.
    assert found.gap_test.dims == ("train", "test")
    np.testing.assert_allclose(
        found.effective_robustness,
        ood.effective_robustness(found.id.values, found.ood.values),
    )


def test_dice_is_the_mean_over_structures_and_replicas():
    D = random_dice(2, 3, 2, 4)
    found = run(D)
    np.testing.assert_allclose(found.dice, D.mean((1, 3)))
    np.testing.assert_allclose(found.dice_std, D.mean(3).std(1, ddof=1))


def test_single_replica_has_no_deviation():
    found = run(MATRIX, confidence=0.95)
    assert np.isnan(found.dice_std).all()
    assert np.isfinite(found.dice).all()


def test_near_and_far_are_divided_at_the_median_distance():
    shared = np.array([[1, 0.9, 0.2], [0.9, 1, 0.5], [0.2, 0.5, 1]])
    # Distances of other conditions: 0.1, 0.8, 0.1, 0.5, 0.8, 0.5; the median is 0.5.
    found = run(MATRIX, shared=shared)
    np.testing.assert_allclose(found.near, [0.5, 0.7, np.nan])
    np.testing.assert_allclose(found.far, [0.2, 0.6, 0.25])


def test_distance_is_that_of_the_specimens_own_weight():
    table = make_table(MATRIX)
    flat = make_information(table, np.array([[1, 0.9, 0.2], [0.9, 1, 0.5], [0.2, 0.5, 1]]))
    mirrored = np.array([[1, 0.2, 0.9], [0.2, 1, 0.5], [0.9, 0.5, 1]])
    own = make_information(table, mirrored, ["gold"])
    both = xr.concat([flat, own], "weight")
    by_own, by_flat = (ood.metrics(matrices(table), i, None).squeeze() for i in (both, flat))
    np.testing.assert_allclose(by_flat.near, [0.5, 0.7, np.nan])
    np.testing.assert_allclose(by_own.near, [0.2, np.nan, 0.1])
    np.testing.assert_allclose(ood.distance(both, "gold"), 1 - mirrored)
    np.testing.assert_allclose(by_own.distance, 1 - mirrored)
    assert by_own.distance.attrs["units"] == "1"


def apart(train, test=None, power=0.005, **microscope):
    """Return the distances between conditions for a specimen with a flat power spectrum."""
    curve = {"flat": (np.array([0.0]), np.array([power]))}
    test = train if test is None else test
    return ood.distance(metrics(train, test, Microscope(**microscope), curve, samples=256), "flat")


LENSES = st.tuples(
    st.floats(-40, 40).map(lambda x: round(x, 2)), st.sampled_from([1.2, 60.0, 1000.0]),
    st.sampled_from([8.0, 12.0, 18.0]), st.sampled_from([1.0, 50.0, 1000.0]),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=40)
@given(lenses=st.lists(LENSES, min_size=2, max_size=4, unique=True), power=st.floats(1e-4, 1.0))
def test_distance_is_symmetric_zero_to_itself_and_at_most_one(lenses, power):
    found = apart([Condition(*lens) for lens in lenses], power=power)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0)
    others = found[~np.eye(len(lenses), dtype=bool)]
    assert (others > 0).all()  # no two have equal spectra of signal to noise
    assert (others <= 1).all()


@settings(max_examples=25)
@given(lens=LENSES, first=st.floats(1.2, 50.0), second=st.floats(1.2, 50.0))
def test_distance_rises_with_the_ratio_of_doses(lens, first, second):
    """The conditions have equal transfer functions, so that 1 − σ would be 0."""
    *lens, dose = lens
    one, *others = (Condition(*lens, dose * r) for r in (1.0, first, first * second))
    (near, far), (back, _) = apart([one], others)[0], apart(others, [one])
    assert 0 < near < far < 1
    assert back == near


def test_distance_by_direct_integration():
    """The distance is integrated over the plane, independently of the code of Passband."""
    train, test = (Condition(15, 1.2, 16, 100), Condition(-8, 60, 12, 1000))
    microscope, power = Microscope(focal_spread_nm=4.0), 0.01
    lenses = [microscope.optics(c) for c in (train, test)]

    def capacity(*which):
        def least(q):
            s = [
                4 * (train, test)[k].dose_e_per_A2 * power * ctf.transfer(lenses[k], q, 0.0) ** 2
                for k in which
            ]
            return np.pi * q * np.log2(1 + np.min(s, axis=0))

        # Either aperture ends what it passes: 12 and 16 mrad.
        edges = [0.0, *(a * 1e-3 / ctf.wavelength(300e3) for a in (12, 16))]
        parts = (np.linspace(a, b, 200_001) for a, b in pairwise(edges))
        return sum(np.trapezoid(least(q), q) for q in parts)

    expected = 1 - capacity(0, 1) / max(capacity(0), capacity(1))
    assert 0.1 < expected < 0.9
    curve = {"flat": (np.array([0.0]), np.array([power]))}
    found = ood.distance(metrics([train], [test], microscope, curve, samples=4096), "flat")
    assert found[0, 0] == pytest.approx(expected, rel=1e-3)


def test_conditions_without_information_are_alike_and_far_from_all_others():
    nothing = xr.Dataset(
        {
            "capacity_train": (("weight", "train"), [[0.0, 2.0]]),
            "capacity_test": (("weight", "test"), [[0.0, 1.0]]),
            "shared_capacity": (("weight", "train", "test"), [[[0.0, 0.0], [0.0, 1.0]]]),
        },
        coords={"weight": ["flat"]},
    )
    np.testing.assert_array_equal(ood.distance(nothing, "flat"), [[0, 1], [1, 0.5]])


def test_no_two_of_the_demos_conditions_are_at_no_distance():
    """By the transfer alone, 16 pairs whose doses differ by a factor of ten had no distance."""
    of = load(Path(__file__).parents[2] / "config.yaml").train_conditions
    found = apart(of)
    assert ((found == 0) == np.eye(16, dtype=bool)).all()


def test_with_spreads_a_condition_is_apart_from_itself():
    (found,) = apart([Condition(15, 1.2, 16, 100)], spread=Spread(focus_nm=3.0))
    assert 0 < found[0] < 0.5


def test_distances_that_differ_only_by_rounding_are_equal():
    table = make_table(MATRIX)
    information = make_information(table)
    information["shared_capacity"] = information.shared_capacity * (1 - 1e-15)
    assert (np.diag(ood.distance(information, "flat")) == 0).all()


def test_test_grid_that_differs_from_the_training_grid():
    train, test = ids(2), ids(3, start=1)  # only the second training condition is tested on
    D = random_dice(2, 2, 3, 4)
    found = run(D, confidence=0.95, train=train, test=test)
    mean = D.mean((1, 3))
    np.testing.assert_allclose(found.dice, mean)
    np.testing.assert_allclose(found.id, [np.nan, mean[1, 0]])
    np.testing.assert_allclose(found.ood, [mean[0].mean(), mean[1, 1:].mean()])
    np.testing.assert_allclose(found.gap_model, [[np.nan] * 3, mean[1, 0] - mean[1]], atol=1e-12)
    ideal = [mean[1, 0], np.nan, np.nan]  # nobody was trained on the other two
    np.testing.assert_allclose(found.gap_test, ideal - mean, atol=1e-12)
    np.testing.assert_array_equal(
        np.isnan(found.gap_test_interval), np.isnan(found.gap_test.values)[..., None] & [True, True]
    )
    assert found.test_defocus_nm.values.tolist() == [5, 10, 15]


def test_groups_do_not_mix():
    D = random_dice(2, 2, 2, 3, 2, 3, 4)
    table = make_table(D, specimens=("gold", "silver"))
    found = ood.metrics(matrices(table), make_information(table, weights=("flat", "gold")), 0.95)
    np.testing.assert_allclose(found.dice, D.mean((4, 6)))
    np.testing.assert_allclose(found.id, np.diagonal(D.mean((4, 6)), axis1=3, axis2=4))
    for s in range(2):
        for a in range(2):
            for t in range(2):
                one = run(D[s, a, t], confidence=0.95)
                for name in (*WITH_INTERVALS, "gap_test_interval", "effective_robustness"):
                    np.testing.assert_allclose(
                        found[name].isel(specimen=s, architecture=a, test_specimen=t),
                        one[name],
                        atol=1e-12,
                    )


def test_order_of_the_tables_dimensions_changes_nothing():
    table = make_table(random_dice(3, 2, 3, 4))
    turned = table.transpose("outcome", "structure", "test", "replica", "train", ...)
    information = make_information(table)
    assert ood.metrics(matrices(turned), information).equals(
        ood.metrics(matrices(table), information)
    )


def test_result_is_labelled():
    table = make_table(random_dice(2, 2, 2, 3))
    found = ood.metrics(matrices(table), make_information(table), confidence=0.9)
    dims = ("specimen", "architecture", "test_specimen", "train")
    for name in (*SUMMARIES, "effective_robustness"):
        assert found[name].dims == dims
    for name in (*PAIRS, "dice_std"):
        assert found[name].dims == (*dims, "test")
    for name in WITH_INTERVALS:
        assert found[f"{name}_interval"].dims == (*found[name].dims, "bound")
        assert "90%" in found[f"{name}_interval"].attrs["long_name"]
        assert "moderated" in found[f"{name}_interval"].attrs["method"]
    assert found.bound.values.tolist() == ["low", "high"]
    assert all(v.attrs["units"] == "1" for v in found.data_vars.values())
    assert found.train_defocus_nm.attrs["units"] == "nm"
    assert "replica" not in found.coords


def test_progress_wraps_the_groups():
    seen = []
    table = make_table(random_dice(2, 1, 1, 2, 1, 2, 2), specimens=("gold", "silver"))
    ood.metrics(
        matrices(table),
        make_information(table),
        confidence=None,
        progress=lambda every: [seen.append(x) or x for x in every],
    )
    assert len(seen) == 2


# Missing networks


def test_condition_without_networks_is_nan_and_spoils_no_other():
    D = random_dice(3, 2, 3, 5)
    whole = run(D, confidence=0.95)
    D[1] = np.nan
    found = run(D, confidence=0.95)
    for name in WITH_INTERVALS:
        if name != "effective_robustness":
            assert np.isnan(found[name][1]).all()
            assert np.isnan(found[f"{name}_interval"][1]).all()
    for name in ("id", "ood", "worst", "dice", "gap_model"):
        np.testing.assert_array_equal(found[name][[0, 2]], whole[name][[0, 2]])
    # Only the variance over replicas is shared, and a row without networks has none.
    left = run(D[[0, 2]], 0.95, [ids(3)[0], ids(3)[2]], ids(3))
    for name in ("id", "dice", "gap_model"):
        interval = f"{name}_interval"
        np.testing.assert_allclose(found[interval][[0, 2]], left[interval])
    assert np.isnan(found.gap_test[:, 1]).all()
    np.testing.assert_array_equal(
        found.gap_test[[0, 2]][:, [0, 2]], whole.gap_test[[0, 2]][:, [0, 2]]
    )


# Intervals


def test_intervals_contain_the_estimate():
    found = run(random_dice(4, 3, 4, 12), 0.95)
    for name in WITH_INTERVALS:
        low, high = (found[f"{name}_interval"].sel(bound=b) for b in ("low", "high"))
        there = np.isfinite(found[name])
        assert there.any()
        inside = (low <= found[name] + 1e-12) & (found[name] <= high + 1e-12)
        assert inside.where(there, True).all(), name
        if name in ("id", "ood", "worst", "dice"):
            assert (low < high).all()


def test_intervals_are_dice_and_differences_of_dice():
    found = run(random_dice(4, 2, 4, 2), 0.999)
    for name, least in (("dice", 0), ("gap_test", -1)):
        interval = found[f"{name}_interval"]
        assert [interval.min(), interval.max()] == [least, 1]


def test_without_a_confidence_there_are_no_intervals():
    found = run(MATRIX)
    assert not [name for name in found.data_vars if name.endswith("_interval")]
    assert "bound" not in found.coords


def width(found, name="dice"):
    return found[f"{name}_interval"].diff("bound").mean().item()


def test_intervals_shrink_with_structures_and_with_replicas():
    few, more = (run(random_dice(6, 1, 2, n), 0.95) for n in (16, 64))
    quantiles = stats.t.ppf(0.975, 15) / stats.t.ppf(0.975, 63)
    assert width(few) / width(more) == pytest.approx(2 * quantiles, rel=0.1)
    effect = np.random.default_rng(1).normal(0, 0.1, (6, 32, 1, 1))
    D = np.round(np.clip(0.6 + effect + np.zeros((6, 32, 2, 3)), 0, 1), 3)
    assert width(run(D[:, :8], 0.95)) / width(run(D, 0.95)) == pytest.approx(2, rel=0.25)


def test_intervals_widen_with_confidence():
    D = random_dice(3, 1, 3, 20)
    assert width(run(D, 0.5)) < width(run(D, 0.95)) / 2


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2, 7])
def test_intervals_cover_the_truth_as_often_as_they_say(replicas):
    """All training conditions have other images. The true Dice of each of them is 0.6."""
    studies, structures = 600, 8
    random = np.random.default_rng(3)
    D = 0.6 + random.normal(0, 0.04, (studies, 1, 1, structures))
    if replicas > 1:
        D = D + random.normal(0, 0.03, (studies, replicas, 1, 1))
        D = D + random.normal(0, 0.02, (studies, replicas, 1, structures))
    found = run(np.round(D, 3), 0.9, ids(studies), ids(1))
    inside = (found.dice_interval[..., 0] <= 0.6) & (found.dice_interval[..., 1] >= 0.6)
    assert 0.87 < inside.mean().item() < 0.95


@pytest.mark.slow
def test_a_single_replica_has_the_variance_over_replicas_of_the_study():
    random = np.random.default_rng(4)
    D = 0.6 + random.normal(0, 0.05, (400, 2, 1, 1)) + random.normal(0, 0.03, (400, 1, 1, 8))
    D[::2, 1] = np.nan
    found = run(np.round(D, 3), 0.95, ids(400), ids(1)).dice_interval[::2, 0]
    alone = run(np.round(D[::2, :1], 3), 0.95, ids(200), ids(1)).dice_interval[:, 0]
    covered = [((one[:, 0] <= 0.6) & (one[:, 1] >= 0.6)).mean().item() for one in (found, alone)]
    assert 0.92 < covered[0] < 0.99
    assert covered[1] < 0.75
    assert "other networks" in found.attrs["method"]
    assert "other images and the same networks" in alone.attrs["method"]


def test_one_image_has_intervals_over_replicas_and_one_network_has_none():
    D = random_dice(5, 3, 5, 1)
    found = run(D, 0.95)
    assert "the same image" in found.dice_interval.attrs["method"]
    assert (found.dice_interval.diff("bound") > 0).all()
    assert (found.dice_interval[0, 1].values == run(D[..., ::-1], 0.95).dice_interval[0, 1]).all()
    found = run(MATRIX, 0.95)
    assert np.isnan(found.dice_interval).all()
    np.testing.assert_array_equal(found.dice, M)


def test_a_missing_replica_is_left_out():
    D = random_dice(4, 3, 4, 6)
    missing = D.copy()
    missing[1, 2] = np.nan
    np.testing.assert_allclose(run(missing).dice, np.nanmean(missing, (1, 3)))
    np.testing.assert_allclose(run(missing).dice_std[1], D[1, :2].mean(2).std(0, ddof=1))
    other = np.concatenate([missing[:, 2:], missing[:, :2]], axis=1)
    found = run(missing, 0.95)
    for name in WITH_INTERVALS:
        interval = f"{name}_interval"
        np.testing.assert_array_equal(np.isnan(found[interval][..., 0]), np.isnan(found[name]))
        xr.testing.assert_allclose(found[interval], run(other, 0.95)[interval])


def test_intervals_do_not_depend_on_the_order_of_conditions_and_images():
    D, order = random_dice(5, 2, 5, 6), [3, 0, 4, 1, 2]
    found = run(D, 0.95)
    images = run(D[..., ::-1], 0.95)
    xr.testing.assert_allclose(found, images)
    turned = run(D[order][:, :, order], 0.95, *[[ids(5)[k] for k in order]] * 2)
    for name in WITH_INTERVALS:
        expected = found[f"{name}_interval"].sel(train=turned.train)
        if name in PAIRS:
            expected = expected.sel(test=turned.test)
        xr.testing.assert_allclose(turned[f"{name}_interval"], expected)


def test_threads_change_nothing():
    D = random_dice(7, 3, 7, 5)
    xr.testing.assert_identical(run(D, 0.95), run(D, 0.95, threads=3))


def test_structures_are_paired_across_conditions():
    """If two conditions have equal Dice on every structure, their difference is known."""
    alike = np.broadcast_to(random_dice(1, 1, 1, 8), (3, 3, 3, 8))
    found = run(alike, 0.95)
    assert width(found, "dice") > 0.01
    for name in ("gap_model", "gap_test"):
        np.testing.assert_allclose(found[f"{name}_interval"], 0, atol=1e-9)


def test_replicas_of_different_conditions_are_independent():
    """If networks differ only by replica, the gap of a condition to itself is known to be zero.

    The gap to the networks of another condition is as uncertain as the difference of two means.
    """
    replicas = np.linspace(0.3, 0.9, 40).reshape(1, 40, 1, 1)
    found = run(np.broadcast_to(replicas, (2, 40, 2, 5)), 0.95)
    np.testing.assert_allclose(found.gap_model_interval, 0, atol=1e-9)
    assert width(found, "gap_test") > 0
    one = width(found, "dice")
    other = found.gap_test_interval.diff("bound").squeeze().values[[0, 1], [1, 0]].mean()
    assert other == pytest.approx(np.sqrt(2) * one, rel=0.05)


def test_constant_gap_is_known_exactly_though_structures_scatter():
    D = np.repeat(random_dice(1, 1, 1, 8), 2, axis=0) + np.zeros((2, 1, 2, 8))
    D[:, :, 1] -= 0.25  # the second condition is harder, by the same for every structure
    found = run(D, 0.95)
    np.testing.assert_allclose(found.gap_model_interval[0, 1], 0.25, atol=1e-9)
    np.testing.assert_allclose(found.gap_test_interval[0, 1], 0, atol=1e-9)


def test_intervals_by_hand():
    """One training condition, so that no other one moderates its variance over replicas."""
    D = random_dice(1, 4, 3, 6)
    found = run(D, 0.9, ids(1), ids(3))
    lowest = (
        D.mean((0, 1, 3)).argmin()
        if D.mean((0, 1, 3)).argmin()
        else 1 + D[0].mean((0, 2))[1:].argmin()
    )
    for name, Y in {
        "dice": D[0, :, 2],
        "ood": D[0, :, 1:].mean(1),
        "worst": D[0, :, lowest],
        "gap_model": D[0, :, 0] - D[0, :, 2],
    }.items():
        of_replicas, of_images = Y.mean(1).var(ddof=1) / 4, Y.mean(0).var(ddof=1) / 6
        total = of_replicas + of_images
        freedom = total**2 / (of_replicas**2 / 3 + of_images**2 / 5)
        half = stats.t.ppf(0.95, freedom) * np.sqrt(total)
        interval = found[f"{name}_interval"].squeeze()
        interval = interval[2] if name in PAIRS else interval
        np.testing.assert_allclose(interval, [Y.mean() - half, Y.mean() + half], rtol=1e-6)


# One replica of several


def chosen(table):
    (matrix,) = matrices(table)
    return xr.Dataset(ood.selections(matrix))


def selected(D, losses):
    """Return what is selected from Dice (train, replica, test, structure) and from losses.

    The losses have the axes (train, replica).
    """
    table = make_table(D)
    table["val_loss"] = table.val_loss.copy(data=np.reshape(losses, table.val_loss.shape))
    return chosen(table)


#: Two training conditions, three replicas, two test conditions, two structures.
CHOICE = np.array(
    [
        [[[0.9, 0.7], [0.2, 0.4]], [[0.6, 0.6], [0.9, 0.7]], [[0.1, 0.1], [0.5, 0.5]]],
        [[[0.3, 0.3], [0.8, 0.6]], [[0.4, 0.2], [0.9, 0.9]], [[0.5, 0.7], [0.6, 0.6]]],
    ]
)


def test_oracle_is_the_best_replica_under_each_test_condition_by_hand():
    found = selected(CHOICE, [[0.3, 0.2, 0.9], [0.5, 0.4, 0.1]])
    np.testing.assert_allclose(found.dice_oracle, [[0.8, 0.8], [0.6, 0.9]])
    # By validation loss: the second replica of the first condition, the third of the second.
    np.testing.assert_allclose(found.dice_selected, [[0.6, 0.8], [0.6, 0.6]])
    assert (found.dice_oracle >= found.dice_selected).all()
    assert "oracle" in found.dice_oracle.attrs["selection"]
    assert "validation loss" in found.dice_selected.attrs["selection"]


def test_missing_replicas_are_not_chosen():
    D = CHOICE.copy()
    D[0, 1] = np.nan
    D[1] = np.nan
    found = selected(D, [[0.3, np.nan, 0.9], [np.nan] * 3])
    np.testing.assert_allclose(found.dice_oracle, [[0.8, 0.5], [np.nan, np.nan]])
    np.testing.assert_allclose(found.dice_selected, [[0.8, 0.3], [np.nan, np.nan]])


def test_selections_of_a_table_on_disk_are_those_of_one_in_memory():
    table = make_table(CHOICE)
    xr.testing.assert_identical(chosen(table.chunk()), chosen(table))


def test_selections_are_there_with_several_replicas_only():
    assert set(ood.SELECTIONS) <= set(run(CHOICE).data_vars)
    assert not set(ood.SELECTIONS) & set(run(CHOICE[:, :1]).data_vars)


def test_summary_shows_the_effect_of_selection_on_the_mean():
    table = make_table(CHOICE)
    table["val_loss"] = table.val_loss.copy(
        data=np.reshape([[0.1, 0.2, 0.9], [0.5, 0.4, 0.1]], table.val_loss.shape)
    )
    metrics = ood.metrics(matrices(table), make_information(table), None)
    *_, empty, line = summaries.ood(matrices(metrics=metrics)).splitlines()
    # M(0, 1) and M(1, 0): of all replicas, of the chosen, of the best.
    every = (np.mean(CHOICE[0, :, 1]) + np.mean(CHOICE[1, :, 0])) / 2
    assert empty == ""
    assert f"the mean Dice is {every:.3f} for all replicas" in line
    assert f"{(0.3 + 0.6) / 2:.3f} for the replicas with the lowest validation loss" in line
    assert f"{(0.8 + 0.6) / 2:.3f} for the replicas that are best" in line


# Metrics of particles


def with_particles(table, architecture=0):
    """Return a table in which the networks of an architecture find particles."""
    dims = [name for name in table.counts.dims if name != "outcome"]
    shape = [table.sizes[name] for name in dims]
    values = np.full((*shape, len(TRUTHS), len(NUMBERS)), NO_NUMBER, np.uint32)
    own = np.moveaxis(values, dims.index("architecture"), 0)[architecture]
    numbers = np.random.default_rng(3).integers(1, 9, own.shape)
    place = NUMBERS.index("matched")
    for whole in ("true", "found"):
        numbers[..., place] = np.minimum(numbers[..., place], numbers[..., NUMBERS.index(whole)])
    own[:] = numbers
    found = table.assign(particles=((*dims, "truth", "number"), values))
    return found.assign_coords(truth=list(TRUTHS), number=list(NUMBERS)), numbers


OF_PARTICLES = ["instance_f1", "count_error", "diameter_bias"]


def test_metrics_of_particles_are_left_out_of_a_table_without_them():
    table = make_table(random_dice(2, 2, 2, 4))
    found = ood.metrics(matrices(table), make_information(table))
    assert not {*OF_PARTICLES} & {*found}


def test_metrics_of_particles_are_means_of_scores_and_nan_for_networks_without_a_head():
    table, numbers = with_particles(make_table(random_dice(1, 2, 1, 2, 2, 2, 4)))
    found = ood.metrics(matrices(table), make_information(table), 0.9)
    of_one = found.isel(specimen=0, architecture=0, test_specimen=0)
    assert [name for name in ood.of_pairs(of_one) if name in OF_PARTICLES] == OF_PARTICLES
    first, second = matrices(table)
    for name in OF_PARTICLES:
        own = found[name].sel(architecture="compact-w1-d1").squeeze(drop=True)
        expected = SCORES[name](numbers.squeeze()).mean((1, 3))
        np.testing.assert_allclose(own.transpose("train", "test"), expected)
        np.testing.assert_allclose(first.score(name), expected)
        interval = found[f"{name}_interval"].sel(architecture="compact-w1-d1").squeeze(drop=True)
        assert (interval.sel(bound="low") <= own).all()
        assert (own <= interval.sel(bound="high")).all()
        assert np.isnan(found[name].sel(architecture="compact-w2-d1")).all()
        assert np.isnan(second.score(name)).all()
    without = ood.metrics(matrices(table.drop_vars("particles")), make_information(table), 0.9)
    assert without.equals(found[[*without]])


def test_scores_that_a_table_lacks_are_named():
    table = make_table(random_dice(2, 2, 2, 4))
    (matrix,) = matrices(table)
    allowed = r"^score = 'instance_f1': must be one of dice, iou, precision, recall$"
    with pytest.raises(PassbandError, match=allowed):
        matrix.score("instance_f1")
    with pytest.raises(PassbandError, match=allowed):
        matrix.images(0, score="instance_f1")
    (matrix,) = matrices(with_particles(table)[0])
    with pytest.raises(PassbandError, match=r"recall, instance_f1, instance_f1_visible, count_err"):
        matrix.score("f1")
