"""The truth of particles, and how found particles are counted."""

import numpy as np
import pytest

from findings.particles import particles, recompute
from passband import PassbandError


def faces():
    """Return the label images of both faces: a disc each, of which one is cut by an edge."""
    y, x = np.indices((64, 64))
    top = 1 * ((y - 20) ** 2 + (x - 20) ** 2 < 10**2)
    bottom = 3 * ((y - 30) ** 2 + (x - 30) ** 2 < 10**2)
    bottom += 5 * (((y + 5) % 64 < 10) & (x > 50))  # on both sides of the periodic field
    return np.stack([top, bottom])


def test_the_truth_has_a_label_for_each_piece_and_the_face_where_the_beam_leaves_above():
    true = particles.truth(faces(), 0.1)
    assert particles.number_of(true) == 4
    assert true[25, 25] == true[15, 15] != true[35, 35]
    assert len({true[2, 60], true[62, 60], 0}) == 3
    assert not particles.truth(faces(), 0.01).any()  # all below the smallest diameter


def test_touching_particles_have_at_most_two_pixels_between_them():
    labels = np.zeros((20, 40), int)
    labels[5:15, 2:10] = 1
    labels[5:15, 12:20] = 2  # two pixels further
    labels[5:15, 23:30] = 3  # three pixels further
    assert particles.touching(labels) == {1, 2}


def test_a_score_counts_matched_particles_and_whole_diameters():
    true = particles.truth(faces(), 0.1)
    score = particles.Score()
    score.add(np.where(true == true[35, 35], 7, 0), true, 0.1)
    assert (score.matched, score.predicted, score.true) == (1, 1, 4)
    assert score.f1 == pytest.approx(2 / 5)
    assert (score.close_matched, score.close_true) == (1, 2)


def test_blur_and_threshold_finds_dark_and_bright_discs():
    image = 100.0 + 60 * (faces()[0] > 0)
    for sign in (1, -1):
        found = particles.blur_and_threshold(sign * image, 2, sign, 0.1)
        assert particles.number_of(found) == 1


def test_another_number_on_the_page_is_named(monkeypatch):
    row = ["A", "`general-2026`", "0.1 (0.1 to 0.1)", "0.1 (0.1 to 0.1)", "1 for 2"]
    row += ["1, 2, 3, 4", "+0.010", "0.9", "+0.010", "0.9", "0.5", "0.9"]
    monkeypatch.setattr(recompute, "rows", lambda *_: [row])
    with pytest.raises(PassbandError, match=r"touching particles: the page has '.* computed again"):
        list(recompute.recompute())
