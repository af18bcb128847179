"""Networks of mixtures beside networks of single conditions, in `passband table` and the report."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matrices import make_table
from report_content import History, make_content, make_stores, numbers_of, source_of

from passband.grid import Axes
from passband.matrices.of_study import matrices
from passband.network_id import NetworkId
from passband.reports import csv_tables, mixture_comparison, summaries
from passband.reports.page import page, tables

GRID = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2],
    "aperture_mrad": [10, 16],
    "dose_e_per_A2": [100, 1000],
}
MIXED = ["all-0123abcd", "soft-0123abcd"]


def mixed(store):
    """Return a store whose last two rows are mixtures."""
    ids = [*store.train.values[:-2].tolist(), *MIXED]
    old = [name for name in store.coords if str(name).startswith("train")]
    return store.drop_vars(old).assign_coords({"train": ids} | Axes.main.coordinates(ids, "train"))


@pytest.fixture(scope="module")
def metrics():
    _, made, _ = make_stores(GRID)
    return mixed(made)


def test_a_mixture_is_compared_with_the_best_network_of_one_condition(metrics):
    found = list(mixture_comparison.comparisons(matrices(metrics=metrics)))
    assert [each.id for each in found] == MIXED
    M = metrics.dice.squeeze().transpose("train", "test").values
    means = M.mean(1)
    best = int(means[:6].argmax())
    for each, row in zip(found, (6, 7), strict=True):
        assert each.mean == pytest.approx(means[row])
        assert each.worst == pytest.approx(M[row].min())
        assert each.best.id == metrics.train.values[best]
        assert each.best_mean == pytest.approx(means[best])
        assert (each.better, each.specialists) == ((means[:6] > means[row]).sum(), 6)
        assert each.home == pytest.approx(float(metrics.id.squeeze()[row]))
        gap = metrics.gap_test.squeeze().transpose("train", "test").values[row]
        assert each.gap == pytest.approx(np.nanmean(gap))


def test_missing_networks_are_left_out(metrics):
    lacking = metrics.copy(deep=True)
    lacking.dice.loc[{"train": [MIXED[0], metrics.train.values[0]]}] = np.nan
    (only,) = mixture_comparison.comparisons(matrices(metrics=lacking))
    assert (only.id, only.specialists) == (MIXED[1], 5)
    alone = lacking.sel(train=MIXED[1:])
    (only,) = mixture_comparison.comparisons(matrices(metrics=alone))
    assert (only.best, only.specialists) == (None, 0)
    assert "–" in mixture_comparison.text(matrices(metrics=alone))


def test_the_table_of_a_study_has_a_table_of_mixtures_and_the_same_rows_before(metrics):
    every = matrices(metrics=metrics)
    conditions = matrices(metrics=metrics.isel(train=slice(6)))
    assert mixture_comparison.text(conditions) == ""
    text = summaries.ood(every)
    assert text == f"{summaries.ood(conditions)}\n\n{mixture_comparison.text(every)}"
    assert all(id in text for id in MIXED)


def test_csv_files_have_rows_without_values_of_axes(metrics):
    rows = csv_tables.by_training_condition(matrices(metrics=metrics)).set_index("train")
    assert rows.loc[MIXED, "train_defocus_nm"].isna().all()
    assert np.isfinite(rows.loc[MIXED, "ood"]).all()
    assert rows.train_defocus_nm.notna().sum() == 6


@pytest.mark.slow
def test_the_report_compares_mixtures_and_shows_single_conditions_elsewhere(metrics):
    content = make_content(GRID)
    found = content.numbers
    trained = [condition.id for condition in found.train[:6]]
    epochs, dice = np.arange(3.0), np.array([0.1, 0.5, 0.7])
    histories = [
        History(NetworkId("gold", "compact", id, 0), epochs, dice, dice)
        for id in [*trained, *MIXED]
    ]
    html = page.render(
        make_content(
            GRID,
            matrices=matrices(metrics=metrics),
            information=content.information.assign_coords(train=metrics.train.values),
            histories=histories,
        )
    )
    section = html.partition("One network for many conditions")[2].partition("</table>")[0]
    assert all(id in section for id in MIXED)
    assert "of 6" in section
    assert ">mixture<" in html  # the legend of the training curves
    assert "One network for many conditions" not in page.render(content)


def test_numbers_of_the_report_are_those_of_single_conditions():
    M = np.random.default_rng(2).uniform(0.3, 0.9, (8, 8))
    whole = make_table(GRID, M)
    with_mixtures = numbers_of(mixed(whole), 0.95)
    without = numbers_of(whole.isel(train=slice(6)), 0.95)
    assert with_mixtures.train == without.train
    for name in ("home", "other", "loss", "worst", "close", "axes"):
        assert getattr(with_mixtures, name) == getattr(without, name)


def test_the_choices_of_the_report_have_mixtures_that_learned(metrics):
    found = make_content(GRID).numbers
    found = replace(found, train=found.train[:6], learned={})
    M = metrics.dice.squeeze().transpose("train", "test").values
    found.learned["gold", "compact"] = M[:6]
    before = [row[1] for row in tables.choice_table(found).rows]
    assert not any("mixture" in text for text in before)
    first, second = f"mixture {MIXED[0]}", f"mixture {MIXED[1]}"
    better = metrics.copy(deep=True)
    better.dice.loc[{"train": MIXED[0]}] = 0.99
    better.dice.loc[{"train": MIXED[1]}] = 0.0
    better.dice.loc[{"train": MIXED[1], "test": metrics.test.values[0]}] = 1.0
    rows = tables.choice_table(found, matrices(metrics=better)).rows
    assert [row[1] for row in rows] == [second, *[first] * 7]
    assert rows[0][2] == "1.00"
    own = [row[3] for row in tables.choice_table(found).rows]
    assert [row[3] for row in rows] == own
    dims = ("specimen", "architecture", "train", "replica")
    failed = np.isin(metrics.train.values, MIXED[:1])[None, None, :, None]
    coords = {**{name: metrics[name].values for name in dims[:3]}, "replica": [0]}
    table = mixed(make_table(GRID, np.ones((8, 8))))
    source = source_of(table, xr.DataArray(failed, coords, dims), better)
    rows = tables.choice_table(found, source.of_metrics).rows
    assert [row[1] for row in rows] == [second, *before[1:]]


def test_the_choices_know_mixtures_of_metrics_that_are_older_than_the_table(metrics):
    """The table may have a test condition more, until the metrics are made again."""
    found = make_content(GRID).numbers
    better = metrics.copy(deep=True)
    better.dice.loc[{"train": MIXED[0]}] = 0.99
    older = better.isel(test=[6, 5, 4, 3, 2, 1, 0])
    rows = tables.choice_table(found, matrices(metrics=older)).rows
    assert [row[1] for row in rows[:-1]] == [f"mixture {MIXED[0]}"] * 7
    assert rows[-1] == tables.choice_table(found).rows[-1]
