"""The words of the page that presents a study."""

from pathlib import Path

import numpy as np
import pytest

from passband.analysis.bootstrap import NOTHING, Estimate
from passband.reports.page import text as page_text
from passband.reports.page.numbers import Numbers
from passband.results import figure_list

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("value", "text"), [(-0.123, "−0.12"), (-0.001, "0.00"), (np.nan, "–"), (1234.5, "1,234.50")]
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value, text):
    assert page_text.number(value) == text


@pytest.mark.parametrize(
    ("share", "word"),
    [(0.95, "Yes, nearly always."), (0.7, "Mostly."), (0.3, "Sometimes."), (0.0, "Rarely.")],
)
def test_the_answers_word_follows_from_the_share_of_pairs(share, word):
    found = Numbers(
        own=Estimate(0.9),
        other=Estimate(0.6),
        loss=Estimate(0.3),
        close=Estimate(share),
        axes={"dose_e_per_A2": Estimate(0.31), "cs_um": Estimate(0.02), "defocus_nm": NOTHING},
        matrices={("gold", "unet"): np.zeros((2, 2))},
    )
    said, first, second = page_text.answer(found)
    assert said == word
    assert "0.90" in first
    assert "0.60" in first
    assert f"{share:.0%}" in first
    assert second == (
        "A change of the dose alone costs the most Dice, 0.31 on average, and a change of Cs alone "
        "the least, 0.02."
    )


def test_an_axis_that_costs_nothing_is_not_said_to_cost_the_most():
    found = Numbers(
        own=Estimate(0.3),
        other=Estimate(0.3),
        loss=Estimate(0.0),
        close=Estimate(1.0),
        axes={"dose_e_per_A2": Estimate(0.004), "defocus_nm": Estimate(-0.02)},
        matrices={("gold", "unet"): np.zeros((2, 2))},
    )
    assert page_text.answer(found)[2] == "No change of a single axis costs Dice on average."


@pytest.mark.parametrize("name", sorted(figure_list.FIGURES))
def test_captions_are_those_of_snakemakes_report(name):
    text = (ROOT / f"workflow/report/{name}.rst").read_text()
    title, shown = page_text.caption(text, {"snakemake": {"config": {}}})
    assert len(title) > 5
    assert shown.startswith(f"<p><strong>{title}.</strong>")
    assert "*" not in shown
    assert "`" not in shown


def test_a_caption_may_be_a_template():
    values = {"snakemake": {"config": {"study": {"name": "<b>"}}}}
    title, shown = page_text.caption(
        "**Title.** In {{ snakemake.config.study.name }}, ``a < b``.", values
    )
    assert (title, shown) == (
        "Title",
        "<p><strong>Title.</strong> In &lt;b&gt;, <code>a &lt; b</code>.</p>",
    )
