"""The words of a study's page: numbers for readers, the answer, and the captions of figures."""

import re
from importlib.resources import files

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from passband.analysis.bootstrap import Estimate
from passband.axes import AXES
from passband.reports.page.numbers import CLOSE, Numbers
from passband.reports.unlearned import REMEDY

QUESTION = "Do networks trained under one microscope’s condition work under another?"


def source(name: str) -> str:
    """Return the text of a file of the page's templates."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def template(name: str) -> Template:
    """Return a template, which escapes every value."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source(name))


def number(value: float, digits: int = 2) -> str:
    """Return a number with a true minus sign, and a dash for NaN: ``−0.12``."""
    if not np.isfinite(value):
        return "–"
    return f"{value:z,.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    """Return a share as per cent, ``34%``; a dash for NaN."""
    return f"{number(100 * share, 0)}%" if np.isfinite(share) else "–"


def ranged(value: Estimate, form=number) -> str:
    """Return an interval, ``0.70 to 0.78``, or "" without one."""
    if not np.isfinite([value.low, value.high]).all():
        return ""
    return f"{form(value.low)} to {form(value.high)}"


def tight(words: str) -> str:
    """Return words with true minus signs, and without a line break between number and unit."""
    return re.sub(r"(?<=\d) ", "\N{NO-BREAK SPACE}", words).replace("-", "−")


def axis_words(axis: str) -> str:
    """Return an axis's name within a sentence: ``the dose``, ``Cs``."""
    return "Cs" if axis == "cs_um" else f"the {AXES[axis].label}"


def answer(found: Numbers) -> tuple[str, str, str]:
    """Return the answer in a word, and in two sentences.

    The word follows from the share of pairs of different conditions in which the network is as good
    as one that was trained under the test condition, see :data:`CLOSE`.
    """
    if not any(np.isfinite(M).any() for M in found.matrices.values()):
        return (
            "There is no answer yet.",
            "No network of this study has been tested yet.",
            "Run the study, and make this page again with passband report.",
        )
    learned = any(np.isfinite(M).any() for M in found.learned.values())
    if found.unlearned and not learned:
        return (
            "No network learned.",
            "Under its own condition, none is better than a mask of all pixels, so nothing is "
            "concluded.",
            f"For an answer, {REMEDY}.",
        )
    if not found.other:
        return (
            "This study cannot say.",
            "It tests each network only under the condition of its training, where the mean Dice "
            f"is {number(found.home.value)}.",
            "Add a value to an axis of the grid, and run the study again, to compare conditions.",
        )
    if not found.loss:
        return (
            "Only in part.",
            f"Under other conditions than that of its training, a network reaches a mean Dice of "
            f"{number(found.other.value)}"
            + (f", and {number(found.home.value)} under its own." if found.home else "."),
            "No test condition is also a training condition, so there is no network to compare "
            "with that was trained there.",
        )
    share = found.close.value
    names = (
        (0.9, "Yes, nearly always."),
        (0.6, "Mostly."),
        (0.3, "Sometimes."),
        (-1, "Rarely."),
    )
    word = next(name for least, name in names if share >= least)
    first = (
        f"Under its own condition, a network reaches a mean Dice of {number(found.home.value)}; "
        f"under the other conditions {number(found.other.value)}, and in {percent(share)} of these "
        "cases it is as good as a network that was trained there (Dice lower by at most "
        f"{CLOSE:g})."
    )
    return word, first, _axes_sentence(found)


def _axes_sentence(found: Numbers) -> str:
    losses = {axis: value for axis, value in found.axes.items() if value}
    if not losses:
        return (
            f"The mean loss of Dice against a network that was trained there is "
            f"{number(found.loss.value)}."
        )
    most = max(losses, key=lambda axis: losses[axis].value)
    least = min(losses, key=lambda axis: losses[axis].value)
    if losses[most].value < 0.005:
        return "No change of a single axis costs Dice on average."
    sentence = (
        f"A change of {axis_words(most)} alone costs "
        f"{'the most Dice, ' if most != least else 'a Dice of '}{number(losses[most].value)} on "
        "average"
    )
    if most != least:
        sentence += (
            f", and a change of {axis_words(least)} alone the least, {number(losses[least].value)}"
        )
    return f"{sentence}."


def caption(text: str) -> tuple[str, Markup]:
    """Return the title and the HTML of a figure's caption.

    Args:
        text: Paragraphs with ``**bold**`` and ````code````.
    """
    text = text.strip()
    bold = re.match(r"\*\*(.+?)\*\*", text, re.S)
    title = " ".join((bold[1] if bold else text.split(".")[0]).split()).rstrip(".")
    html = str(escape(text))
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html, flags=re.S)
    html = re.sub(r"``(.+?)``|`(.+?)`", lambda m: f"<code>{m[1] or m[2]}</code>", html)
    paragraphs = re.split(r"\n\s*\n", html)
    return title, Markup("".join(f"<p>{' '.join(p.split())}</p>" for p in paragraphs))
