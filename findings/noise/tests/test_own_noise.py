"""Treatments of noise, and what the pages say of them."""

import numpy as np
import pytest

from findings.noise import own_noise, recompute
from passband import PassbandError


@pytest.mark.parametrize(("by", "quality"), [("Fourier", 0), ("Lanczos", 60), ("bilinear", 0)])
def test_an_enlarged_image_has_eight_bits_and_the_same_grey_values(by, quality):
    image = np.full((66, 66), 100, np.uint8)
    image[20:40, 20:40] = 160
    found = own_noise.enlarged(image, 0.388, by, quality)
    assert found.shape == (132, 132)
    assert np.array_equal(found, found.round())
    assert found[5:30, 5:30].mean() == pytest.approx(100, abs=3)
    assert found[50:70, 50:70].mean() == pytest.approx(160, abs=3)


def test_the_pages_are_compared_with_the_rows(monkeypatch, tmp_path):
    """Rows of the page itself are in order; another number is named, and patches are skipped."""
    page = recompute.PAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if "| white, " in line]
    assert len(rows) == 3
    monkeypatch.setattr(own_noise, "of_simulated", lambda: rows)
    lines = [*recompute.recompute(tmp_path)]
    assert [line.startswith("skipped: ") for line in lines] == [False] * 3 + [True] * 2
    rows[1][1] = "0.5 (0)"
    with pytest.raises(PassbandError, match=r"simulated images: the page has '\| white, 200"):
        [*recompute.recompute(tmp_path)]
