"""What README.md and docs/findings.md say was found has the numbers of the findings."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
ACCOUNT = ROOT / "findings" / "twelve_thousand"
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def words(text: str) -> str:
    """Return a text in one line."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def seen() -> pd.DataFrame:
    """R² of what predicts the locked networks, by line and cells."""
    return pd.read_csv(ACCOUNT / "data/afterwards.csv").set_index(["line", "cells"]).sort_index()


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    claims = pd.read_csv(ACCOUNT / "data/claims.csv")
    return claims.set_index(["claim", "networks", "tests"]).sort_index()


@pytest.fixture(scope="module")
def below() -> list[str]:
    """How far the two chosen rows are below networks that were trained there for as long."""
    table = pd.read_csv(ROOT / "findings/train_this/train-this.csv")
    judged = table.query("cells == '24 new'").set_index("row")
    names = [f"{name}_equal_steps" for name in ("difference", "high", "low")]
    rows = (-judged.loc[row, names] for row in ("doses", "all"))
    return ["{:.3f} ({:.3f} to {:.3f}) below".format(*row) for row in rows]


def test_the_time_of_the_twelve_thousand_networks_is_that_of_their_pieces():
    hours = pd.read_csv(ACCOUNT / "data/parts.csv").wall_s.sum() / 3600
    page = (ROOT / "docs/ten-minutes.md").read_text(encoding="utf-8")
    assert f"in {hours:.1f} hours on 2 busy cores" in words(page)


# ── docs/findings.md ─────────────────────────────────────────────────────────────────────────────


def test_the_page_is_short_and_has_one_figure():
    assert len(PAGE.split()) <= 500
    (figure,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE)
    assert (ROOT / "docs" / figure).resolve() == ROOT / "docs/images/findings.png"


def test_its_table_has_what_predicts_the_locked_networks(seen):
    lines = json.loads((ACCOUNT / "locked/result.json").read_text())["lines"]
    nearest = [lines["nearest"][cells]["r2"] for cells in ("primary", "new tests")]
    expected = {"the nearest condition (simplest)": nearest}
    for row, line in {
        "defocus, Cs, aperture, dose": "scaled",
        "power spectra of 16 images (seen afterwards)": "power spectrum of 16 images",
        "T(q) with the dose": "T(q), bits and dose",
    }.items():
        expected[row] = [seen.r2[line, cells] for cells in ("old tests", "new tests")]
    for row, (old, new) in expected.items():
        assert f"| {row} | {old:.3f} | {new:.3f} |" in PAGE
    ahead = seen.loc[("T(q), bits and dose", "new tests")]
    names = [f"minus_scaled{end}" for end in ("", "_low", "_high")]
    assert "by {:.3f} ({:.3f} to {:.3f})".format(*ahead[names]) in words(PAGE)


def test_its_claims_have_their_intervals(claims, below):
    ends = ["value", "low", "high"]
    for part in ("pair of doses", "lens × lens"):
        share = 100 * claims.loc[("share of variance", "all", part), ends]
        assert "{:.0f}% ({:.0f} to {:.0f})".format(*share) in words(PAGE)
    longer = claims.loc["change against 192 steps"]
    high_doses = "3072 steps, trained at ≥ 400 e/Å²"
    for networks, tests in ((high_doses, "50 e/Å²"), ("3072 steps, all", "144 tests")):
        value, low, high = -longer.loc[(networks, tests), ends]
        assert f"{value:.3f} ({high:.3f} to {low:.3f})" in words(PAGE)
    for row in below:
        assert row in words(PAGE)


def test_its_simplest_method_is_that_of_the_account():
    simple = json.loads((ACCOUNT / "data/matrix.json").read_text())["simple"]["all"]
    text = words(PAGE)
    assert f"reach {simple['blur and threshold']:.3f}" in text
    assert f"better under {simple['trained there above blur']:.0%} of the tests" in text
    assert f"the mean of all networks is {simple['all networks']:.3f}" in text


# ── README.md ────────────────────────────────────────────────────────────────────────────────────


def test_the_findings_are_those_of_the_accounts(claims):
    findings = words(README.split("## Findings")[1].split("\n## ")[0])
    locked = json.loads((ROOT / "findings/second_lock/locked/part1/result.json").read_text())
    lens, images, raw = (locked["lines"][name]["r2"] for name in ("A", "B", "raw"))
    assert min(lens, images) > raw + 0.05
    assert "better than imaging parameters do" in findings
    assert f"which of the two says more is {locked['primary']['verdict']}" in findings
    line = claims.loc["trough − shoulders"].reset_index()
    series = line[line.networks.str.match(r"compact-w4-d2, \d+ µm")]
    troughs = series[series.high < 0].groupby("tests").size()
    assert (troughs["144 tests"], troughs["50 e/Å²"], troughs.get("1600 e/Å²", 0)) == (3, 4, 0)
    assert "in three of four series, mostly at low dose" in findings
    longer = claims.loc["change against 192 steps"]
    assert longer.high[("3072 steps, trained at ≥ 400 e/Å²", "50 e/Å²")] < 0
    assert "Longer training makes high-dose networks worse at low dose" in findings
