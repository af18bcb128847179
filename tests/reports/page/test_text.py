"""The words of the page that presents a study."""

from pathlib import Path

import numpy as np
import pytest

from passband.analysis.bootstrap import NOTHING, Estimate
from passband.parts import PACKAGE
from passband.reports.page import text as page_text
from passband.reports.page.numbers import Numbers

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
        home=Estimate(0.9),
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
        home=Estimate(0.3),
        other=Estimate(0.3),
        loss=Estimate(0.0),
        close=Estimate(1.0),
        axes={"dose_e_per_A2": Estimate(0.004), "defocus_nm": Estimate(-0.02)},
        matrices={("gold", "unet"): np.zeros((2, 2))},
    )
    assert page_text.answer(found)[2] == "No change of a single axis costs Dice on average."


@pytest.mark.parametrize("name", PACKAGE.of("figure"))
def test_captions_begin_with_a_bold_title(name):
    title, shown = page_text.caption(PACKAGE.of("figure")[name].declaration.caption)
    assert len(title) > 5
    assert shown.startswith(f"<p><strong>{title}.</strong>")
    assert "*" not in shown
    assert "`" not in shown


def test_a_caption_is_text_and_no_template():
    title, shown = page_text.caption("**Title.** In {{ 1 + 1 }}, ``a < b``.\n\nMore.")
    assert title == "Title"
    assert shown == (
        "<p><strong>Title.</strong> In {{ 1 + 1 }}, <code>a &lt; b</code>.</p><p>More.</p>"
    )
