"""What the page and the table say of networks that did not learn."""

import re

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_table
from report_content import make_content, make_stores, numbers_of, source_of

from passband.matrices.of_study import matrices
from passband.reports import summaries
from passband.reports.page import page
from passband.reports.unlearned import MARK, REMEDY, sentence

M = np.random.default_rng(1).uniform(0.2, 0.9, (24, 24))
TABLE = make_table(GRID, M, sd_structure=0.02)
IDS = [str(id) for id in TABLE.train.values]
NAMES = ("home", "other", "loss", "worst", "close")


def of(*places):
    """Return which networks did not learn; a place is the index of a condition and a replica."""
    found = np.zeros((1, 1, len(IDS), 2), dtype=bool)
    for condition, replica in places:
        found[:, :, condition, replica] = True
    coords = {"specimen": ["gold"], "architecture": ["compact"], "train": IDS, "replica": [0, 1]}
    attrs = {"learned": int((~found).sum())}
    return xr.DataArray(found, coords, tuple(coords), attrs=attrs)


NONE, EVERY = of(), of(*((i, r) for i in range(len(IDS)) for r in (0, 1)))
SOME = of((0, 0), (0, 1), (3, 1))


def said(unlearned):
    return sentence(source_of(TABLE, unlearned).matrices)


def test_a_sentence_names_some_or_says_that_all_failed():
    assert sentence([]) == said(NONE) == ""
    text = said(SOME)
    assert text.startswith("3 of 48 networks did not learn: under their own training condition")
    assert "(5 nm · 1.2 µm · 9 mrad · 100 e/Å²; 5 nm · 1.2 µm · 12 mrad · 800 e/Å²)" in text
    assert text.endswith(f"{REMEDY}.")
    assert "; and 2 more conditions)" in said(of(*((k, 0) for k in range(6))))
    assert said(EVERY).startswith("No network learned: ")
    assert said(EVERY).endswith(f"{REMEDY}.")


def test_what_did_not_learn_counts_as_missing_in_all_means_but_is_in_the_matrix():
    found = numbers_of(TABLE, 0.95, SOME)
    missing = TABLE.assign(counts=TABLE.counts.where(~SOME))
    missing["counts"] = missing.counts.transpose(*TABLE.counts.dims)
    expected = numbers_of(missing, 0.95)
    before = numbers_of(TABLE, 0.95)
    assert [getattr(found, n) for n in NAMES] == [getattr(expected, n) for n in NAMES]
    assert found.home != before.home
    assert found.axes == expected.axes
    group = "gold", "compact"
    np.testing.assert_array_equal(found.learned[group], expected.matrices[group])
    np.testing.assert_allclose(found.matrices[group], before.matrices[group])
    alike = numbers_of(TABLE, 0.95, NONE)
    assert [getattr(alike, n) for n in NAMES] == [getattr(before, n) for n in NAMES]


@pytest.mark.slow
def test_the_page_leaves_them_out_of_its_choices():
    best = np.full((24, 24), 0.5)
    best[0] = 0.9  # the first network would be chosen everywhere
    table = make_table(GRID, best)
    few = of((0, 0), (0, 1))
    found = numbers_of(table, None, few)
    assert found.unlearned == 2
    text = page.render(make_content(numbers=found, unlearned=said(few)))
    assert "2 of 48 networks did not learn" in text
    assert "the highest mean Dice, 0.50" in text
    whole = page.render(make_content(numbers=numbers_of(table, None, NONE)))
    assert "the highest mean Dice, 0.90" in whole
    assert "did not learn" not in whole


@pytest.mark.slow
def test_the_page_concludes_nothing_if_no_network_learned():
    found = numbers_of(TABLE, None, EVERY)
    text = page.render(make_content(numbers=found, unlearned=said(EVERY)))
    assert "<strong>No network learned.</strong>" in text
    assert REMEDY in text
    assert "No network learned, so none is recommended." in text
    assert "The means are over" not in text
    assert not re.search("Rarely|Sometimes|Mostly|If one network must|costs the most", text)
    for view in ("view-0", "view-1"):  # Dice and its loss: the results are shown all the same
        assert f'<svg class="matrix wide {view}"' in text


def test_rows_of_the_table_stay_and_are_marked():
    _, metrics, _ = make_stores(GRID)
    before = summaries.ood(matrices(metrics=metrics))
    text = summaries.ood(source_of(TABLE, SOME, metrics).of_metrics)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row.replace(f" {MARK}", "") for row in rows] == before.splitlines()[: len(rows)]
    assert [MARK in row for row in rows[2:]] == [True, True, True]  # 100, 800 and all doses
    assert f"\n\n{MARK} 3 of 48 networks did not learn" in text
    only = summaries.ood(source_of(TABLE, of((0, 0)), metrics).of_metrics)
    assert [MARK in row for row in only.splitlines()[2:5]] == [True, False, True]
    assert summaries.ood(source_of(TABLE, NONE, metrics).of_metrics) == before


def test_metrics_of_conditions_that_a_newer_table_lacks_are_shown_without_a_mark():
    _, metrics, _ = make_stores(GRID)
    newer = source_of(TABLE.isel(train=slice(2, None)), metrics=metrics)
    assert summaries.ood(newer.of_metrics) == summaries.ood(matrices(metrics=metrics))
    fewer = source_of(TABLE.isel(train=slice(2, None)), SOME.isel(train=slice(2, None)), metrics)
    marked = summaries.ood(fewer.of_metrics).splitlines()
    assert [MARK in row for row in marked[2:5]] == [False, True, True]
