"""Correlations of published losses, on made tables."""

import numpy as np
import pandas as pd
import pytest
from real_data import real

from findings.published_tables import published_tables as tables
from findings.published_tables import recompute
from passband import PassbandError

TRAIN, TEST = np.arange(-100.0, 101, 50), np.arange(-250.0, 251, 50)
DOSES = np.array([30.0, 75, 150, 300, 600])
WHERE = np.not_equal.outer(TRAIN, TEST)


@pytest.fixture(autouse=True)
def few_zeros(monkeypatch):
    """Each zero takes time."""
    monkeypatch.setattr(tables, "ZEROS", np.arange(-60.0, 61, 60))


def of(values, train=TRAIN, test=TEST):
    return pd.DataFrame(values, index=train, columns=test)


def test_means_of_rows_and_columns_are_taken_from_both_sides():
    apart = np.abs(np.subtract.outer(TRAIN, TEST))
    easy = 1e3 * np.sin(np.arange(5))[:, None] + 1e3 * np.cos(np.arange(11))
    rho, left = tables.correlations(of(apart + easy), apart, WHERE)
    assert left == pytest.approx(1)
    assert abs(rho) < 0.5
    rho, left = tables.correlations(of(easy), easy, WHERE)
    assert rho == pytest.approx(1)
    assert np.isnan(left)  # nothing is left
    assert tables.correlations(of(-apart), apart, WHERE)[0] == pytest.approx(-1)


def test_distances_that_differ_by_rounding_only_have_equal_ranks():
    apart = np.abs(np.subtract.outer(TRAIN, TEST)) / 500
    rounded = apart * (1 + 1e-14 * np.random.default_rng(0).normal(size=apart.shape))
    loss = of(np.random.default_rng(1).normal(size=apart.shape))
    assert tables.correlations(loss, rounded, WHERE) == tables.correlations(loss, apart, WHERE)


def test_the_diagonal_does_not_count():
    apart = np.abs(np.subtract.outer(TRAIN, TEST))
    loss = np.where(WHERE, apart, 1e6)
    first = tables.of_defocus(of(loss))[0]
    assert first["cells"] == 50
    assert first["rho"] == pytest.approx(1)


def test_the_zero_of_the_defocus_is_found_on_its_side(monkeypatch):
    monkeypatch.setattr(tables, "ZEROS", np.arange(-60.0, 61, 20))
    name = "1 − overlap of T² to 0.6 1/Å"
    loss = tables.distances(TRAIN - 40, TEST - 40, 0.6)[name].round(9)
    minus, plus = (row for row in tables.of_defocus(of(loss)) if row["predictor"] == name)
    assert (minus["rho"], minus["rho_zero_A"]) == (pytest.approx(1), -40)
    assert (minus["rho_left"], minus["rho_left_zero_A"]) == (pytest.approx(1), -40)
    assert (minus["zeros_A"], plus["zeros_A"]) == ("-60 to 0", "0 to 60")
    assert plus["rho"] < 0.999
    assert minus["rho_lowest"] <= plus["rho"]  # both sides have the zero 0
    # The other sign of the defocus is the other side.
    mirrored = tables.distances(40 - TRAIN, 40 - TEST, 0.6)[name]
    np.testing.assert_allclose(mirrored, loss, atol=1e-9)


def test_distances_are_0_for_equal_transfer_and_coverage_has_a_direction():
    found = tables.distances(np.array([100.0, 300.0]), np.array([100.0, 300.0]), 0.25)
    overlap, coverage = found.values()
    np.testing.assert_allclose([np.diag(overlap), np.diag(coverage)], 0, atol=1e-12)
    assert overlap[0, 1] == pytest.approx(overlap[1, 0])
    # Below the first maximum of T², a smaller defocus has less transfer at every frequency.
    assert coverage[0, 1] > 0.5
    assert coverage[1, 0] < 0.1


def test_both_directions_of_the_dose_are_shown():
    up = np.log(DOSES)[None] - np.log(DOSES)[:, None]
    loss = of(tables.LEAST + np.where(up > 0, up, -0.1 * up), DOSES, DOSES)
    every, higher, lower = tables.of_doses(loss)
    assert [row["cells"] for row in (every, higher, lower)] == [20, 10, 10]
    assert higher["rho"] == lower["rho"] == pytest.approx(1)
    assert 0 < every["rho"] < 1
    text = tables.directions(loss)
    assert f"30 → 600 e/Å²: loss {np.log(20):.3f}" in text
    assert f"600 → 30 e/Å²: loss {np.log(20) / 10:.3f}" in text


def test_tables_are_read_and_written(tmp_path, capsys):
    assert tables.main([str(tmp_path), str(tmp_path / "out.csv")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    random = np.random.default_rng(0)
    for name, trained, column, train, tested, before in (
        (tables.DEFOCUS, "pretrain_defocus", "{:.0f}", TRAIN, TEST, "best_pretrain_val_"),
        (tables.DOSE, "pretrain_dose", "{:.0f}", DOSES, DOSES, "pretrain_validation_"),
    ):
        rows = {before + column.format(b): random.random(3 * len(train)) for b in tested[::-1]}
        pd.DataFrame({trained: np.tile(train, 3), **rows}).to_csv(tmp_path / name, index=False)
    assert tables.main([str(tmp_path), str(tmp_path / "out.csv")]) == 0
    written, printed = pd.read_csv(tmp_path / "out.csv"), capsys.readouterr().out
    assert len(written) == 2 + 4 * len(tables.BANDS) + 3
    assert (written.rho_lowest <= written.rho)[written.zeros_A.notna()].all()
    assert f"| \\|log dose ratio\\| | – | {written.rho.iloc[-3]:+.2f} |" in printed
    assert "nan" not in printed
    found = tables.losses(tmp_path / tables.DOSE, "pretrain_dose", "pretrain_validation_")
    assert list(found.columns) == list(found.index) == list(DOSES)
    read = pd.read_csv(tmp_path / tables.DOSE)
    of_75 = read[read.pretrain_dose == 75].pretrain_validation_300
    assert found.loc[75, 300] == of_75.median()


def test_published_correlations_with_the_distance_of_the_defoci():
    path = real("transfer-learning", tables.DEFOCUS)
    loss = tables.losses(path, "pretrain_defocus", "best_pretrain_val_")
    assert loss.shape == (5, 11)
    apart, sizes = tables.of_defocus(loss)[:2]
    assert apart["rho"] == pytest.approx(0.47, abs=0.005)
    assert sizes["rho"] == pytest.approx(0.50, abs=0.005)


def test_the_page_is_compared_with_the_file_also_without_the_published_tables(tmp_path):
    compared, skipped = recompute.recompute(tmp_path)
    assert compared.startswith(
        "findings/published_tables/README.md: correlations, from published.csv: "
    )
    assert skipped.startswith("skipped: ")
    assert skipped.endswith(str(tmp_path / tables.DEFOCUS))


def test_another_number_in_the_file_is_named(tmp_path, monkeypatch):
    committed = pd.read_csv(tables.OUTPUT)
    committed.loc[committed.predictor == "|log dose ratio|", "rho_left"] = 0.88
    committed.to_csv(tmp_path / "published.csv", index=False)
    monkeypatch.setattr(recompute, "OUTPUT", tmp_path / "published.csv")
    words = r"published.csv: the page has '.*\+0.83 \|', computed again: '.*\+0.88 \|'"
    with pytest.raises(PassbandError, match=words):
        next(recompute.recompute(tmp_path))


def test_another_number_in_the_published_tables_is_named(monkeypatch):
    source = real("transfer-learning")
    rows = pd.read_csv(tables.OUTPUT)
    monkeypatch.setattr(recompute, "computed", lambda _: (rows.assign(cells=49), ""))
    with pytest.raises(PassbandError, match="cells = 50, computed again: 49"):
        [*recompute.recompute(source)]
