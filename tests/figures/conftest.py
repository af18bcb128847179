"""Figures in tests are drawn without a screen, once each, and closed after the test."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True, scope="module")
def _without_a_screen():
    before = plt.get_backend()
    plt.switch_backend("Agg")
    yield
    plt.switch_backend(before)


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch):
    """Draw the whole figure only once.

    To see whether labels overlap, seaborn would draw the whole figure for every heat map.
    """
    monkeypatch.setattr("seaborn.matrix._draw_figure", lambda figure: None)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")
