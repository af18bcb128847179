"""Parts 3 and 4 are opened once, and their pages and results follow from committed files."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from findings.second_lock import (
    conditions,
    expensive,
    expensive_page,
    fields,
    lens_or_image,
    locked,
    particle_page,
    particles,
)
from findings.second_lock.lens_or_image import LENS
from findings.second_lock.lines import LINES
from findings.second_lock.particle_scores import SCORES
from findings.second_lock.particles import TEST_MEAN, key
from passband import PassbandError
from passband.particle_scores import NUMBERS, TRUTHS


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    """Locks are in a folder of their own, in which nothing was opened."""
    monkeypatch.setattr(locked, "FOLDER", tmp_path)
    monkeypatch.setattr(locked.Lock, "check", lambda self: "0" * 40)
    for module in (locked, conditions):
        monkeypatch.setattr(module, "digest", lambda: "0" * 64)


def follows(page, made, tmp_path, monkeypatch):
    """Check that a page is written, and compared with what follows from the files."""
    copy = tmp_path / page.PATH.name
    copy.write_text(page.PATH.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", replace(page.PAGE, path=copy, statements=lambda found: {}))
    with pytest.raises(SystemExit, match=r"result\.json: is missing; the lock is not open"):
        page.PAGE.write()
    made()
    page.PAGE.write()
    tables = page.PAGE.made(page.LOCK.found())
    text = copy.read_text(encoding="utf-8")
    assert all(table in text for table in tables.values())
    assert len(list(page.PAGE.recompute())) == 1 + len(tables)
    copy.write_text(text.replace("| A | ", "| A | 9", 1), encoding="utf-8")
    with pytest.raises(PassbandError, match=copy.name):
        list(page.PAGE.recompute())
    return text


def test_expensive(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    small = rng.random((12, 72)) * np.linspace(0.3, 1, 12)[:, None]

    def did(name):
        replicas = small[:, None] + rng.normal(scale=0.01, size=(12, 2, 72))
        replicas = np.clip(replicas, 0.01, 1)
        if name == expensive.GROUP:
            replicas[8:, 1] = np.nan
        return {"dice": replicas, "home": replicas[..., 0], "seconds": np.full(12, 30.0)}

    monkeypatch.setattr(expensive, "arms", lambda: {n: n for n in expensive.ARCHITECTURES})
    monkeypatch.setattr(expensive, "cut", lambda name: name)
    monkeypatch.setattr(expensive, "by_replica", did)

    def made():
        expensive.LOCK.write({LENS: small})
        expensive.opened()

    text = follows(expensive_page, made, tmp_path, monkeypatch)
    assert "| `unet-resnet18` | 20 |" in text
    assert "**holds**" in text
    assert "6 min" in text


@pytest.mark.parametrize("learned", [True, False])
def test_particles(tmp_path, monkeypatch, learned):
    rng = np.random.default_rng(0)
    _, judged = particles.halves()
    of, _ = particles.of_votes()
    arms = {"rule": (lens_or_image.arm(), judged)}
    if learned:
        arms["votes"] = particles.votes(of), np.flatnonzero(np.isin(of, judged))
    monkeypatch.setattr(particles, "groups", lambda half: arms)
    monkeypatch.setattr(particles, "seen", lambda: None)
    predictions = {
        key(group, name, line): rng.uniform(0.2, 0.6, (len(numbers), 60))
        for group, (_, numbers) in arms.items()
        for name in SCORES
        for line in (*LINES, TEST_MEAN)
    }

    def found(arm, kept, seen, numbers):
        shape = len(numbers), 2, 60, 3, len(TRUTHS), len(NUMBERS)
        cell = "condition", "replica", "test"
        image = "structure", "truth", "number"
        numbers = rng.integers(1, 9, shape, np.uint32)
        apart = rng.uniform(0.1, 0.4, shape[:3])
        apart[0, :, 0] = np.nan
        return xr.Dataset(
            {
                "particles": ((*cell, *image), numbers),
                "home_particles": (("condition", "replica", *image), numbers[:, :, 0]),
                "apart": (cell, apart),
            }
        )

    monkeypatch.setattr(fields, "results", found)

    def made():
        particles.LOCK.write(predictions)
        particles.opened()

    text = follows(particle_page, made, tmp_path, monkeypatch)
    assert "**refuted**" in text
    assert "| distance of diameters [nm] | A |" in text
    assert ("Networks did not learn the head `votes`." in text) != learned
    assert "| A − raw |" in text
