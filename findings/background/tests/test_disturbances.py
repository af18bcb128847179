"""Disturbances of images, and what the pages say of them."""

import numpy as np
import pytest

from findings.background import disturbances, recompute
from passband import PassbandError

IMAGE = np.random.default_rng(0).normal(100, 10, (48, 48)).astype(np.float32)
MASK = np.zeros((48, 48), bool)
MASK[10:20, 30:40] = True


def test_a_slope_has_its_height_over_the_field_and_its_direction():
    changed, mask, _ = disturbances.sloped(2, 0)(IMAGE, MASK)
    slope = changed - IMAGE
    assert np.ptp(slope) == pytest.approx(2 * IMAGE.std(), rel=1e-5)
    assert np.ptp(slope[:, 7]) == pytest.approx(0, abs=1e-4)
    assert mask is MASK


def test_a_vignette_is_darkest_in_the_corners():
    light = disturbances.vignetted(1)(IMAGE, MASK)[0] - IMAGE
    assert np.ptp(light) == pytest.approx(IMAGE.std(), rel=1e-5)
    assert light[24, 24] == pytest.approx(light.max(), abs=1e-4)
    assert light[0, 0] == pytest.approx(light.min(), abs=1e-4)


@pytest.mark.parametrize("edge", range(4))
def test_a_bar_is_added_at_an_edge_and_has_no_particles(edge):
    changed, mask, _ = disturbances.barred(0, False, edge=edge)(IMAGE, MASK)
    assert changed.shape == mask.shape
    assert sorted(changed.shape) == [48, 54]
    bar = changed == 0
    assert np.count_nonzero(bar) == 6 * 48
    assert not mask[bar].any()
    assert np.array_equal(changed[mask], IMAGE[MASK])


def test_an_enlarged_image_has_smaller_pixels():
    changed, mask, pixel_A = disturbances.enlarged(2, "NEAREST")(IMAGE, MASK)
    assert pixel_A == disturbances.PATCH_A / 2
    assert changed.shape == (96, 96)
    assert mask.sum() == 4 * MASK.sum()


def test_a_particle_is_moved_across_the_periodic_edge():
    image, mask = disturbances.moved(IMAGE, MASK, (2, 46))
    assert mask[2, 46]
    assert mask[47, 0]
    assert sorted(image[mask]) == sorted(IMAGE[MASK])


@pytest.mark.slow
def test_rows_have_all_kinds_of_changes_and_their_sums(monkeypatch):
    patch = disturbances.Patch("a", IMAGE, MASK)
    few = {"slope": [disturbances.sloped(2, 0)], "turned": [disturbances.turned(30)]}
    monkeypatch.setattr(disturbances, "changes", lambda: few)
    none, *rows, every = disturbances.disturbed([patch])
    assert [cells[0] for cells in (none, *rows, every)] == ["none", "slope", "turned", "all"]
    assert {len(cells) for cells in (none, *rows, every)} == {len(disturbances.OF_CHANGES)}
    assert sum(map(int, (every[5], every[7]))) == 2


def test_the_pages_are_compared_with_the_rows(monkeypatch, tmp_path):
    """Rows of the page itself are in order; another number is named, and patches are skipped."""
    text = recompute.PAGE.read_text(encoding="utf-8")
    head = "| disturbance | aim |"
    tables = [head + each.split("\n\n")[0] for each in text.split(head)[1:]]
    alone = recompute.alone
    monkeypatch.setattr(alone, "waves", lambda seed, number: seed)
    monkeypatch.setattr(alone, "fields", lambda seed: [seed])
    monkeypatch.setattr(alone, "real", lambda patches: ["patches"])
    of_tables = {(alone.REPORT, alone.TUNING): tables[0], ("patches", "patches"): tables[1]}
    monkeypatch.setattr(
        alone, "table_of_losses", lambda networks, of, chosen: of_tables[*of, *chosen]
    )
    lines = [*recompute.recompute(tmp_path)]
    assert [line.startswith("skipped: ") for line in lines] == [False] * 4 + [True] * 3
    page = text.split("| change | ")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines()[2:]]
    monkeypatch.setattr(recompute, "disturbed", lambda _: rows)
    monkeypatch.setattr(recompute, "read", lambda _: [])
    (tmp_path / "images").mkdir()
    assert len([*recompute.recompute(tmp_path)]) == 9
    rows[2][2] = "0.5"
    with pytest.raises(PassbandError, match=r"disturbed patches: the page has '\| slope of 1 sd"):
        [*recompute.recompute(tmp_path)]
