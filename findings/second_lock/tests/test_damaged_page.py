"""The page of damaged images says what its files say."""

import json
from dataclasses import replace

import numpy as np
import pytest

from findings.second_lock import damaged_page as page
from findings.second_lock import locked
from findings.second_lock.damaged import result
from findings.second_lock.locked import in_units
from passband import PassbandError

PLACES = "claims", "lines", "patches"


@pytest.fixture
def opened(made, tmp_path, monkeypatch):
    """The page's files, as if the lock were open."""
    lines, patches = made
    monkeypatch.setattr(locked, "FOLDER", tmp_path)
    path = tmp_path / "damaged.md"
    monkeypatch.setattr(page, "PAGE", replace(page.PAGE, path=path, statements=lambda found: {}))
    page.LOCK.write(lines)
    stored = {patch: in_units(D) for patch, D in patches.items()}
    np.savez_compressed(page.LOCK.truth, allow_pickle=False, **stored)
    found = result(page.LOCK.read(), page.LOCK.dice())
    page.LOCK.result.write_text(json.dumps({"time": "now"} | found))
    places = [f"<!-- {name} begin -->\nearlier\n<!-- {name} end -->\n" for name in PLACES]
    path.write_text("\n".join(["# Title\n", *places, "Text.\n"]))
    return path


def test_tables_are_written_between_the_marks(opened):
    page.PAGE.write()
    text = opened.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("Text.\n")
    assert "earlier" not in text
    assert "| the right network is found | **holds** |" in text
    assert "| Dice, 8 mrad, dose × 0.125 |" in text
    assert "| defocus and dose of A | 20 nm, 200 e/Å² |" in text
    assert "| defocus and dose of dose | –, " in text
    page.PAGE.write()
    assert opened.read_text() == text


def test_files_and_page_are_compared(opened):
    page.PAGE.write()
    assert len(list(page.PAGE.recompute())) == 4
    opened.write_text(opened.read_text().replace("200 e/Å²", "201 e/Å²"))
    with pytest.raises(PassbandError, match="201"):
        list(page.PAGE.recompute())


def test_a_result_that_does_not_follow_is_named(opened):
    page.PAGE.write()
    found = json.loads(page.LOCK.result.read_text())
    found["constant"]["value"] += 0.01
    page.LOCK.result.write_text(json.dumps(found))
    with pytest.raises(PassbandError, match=r"constant\.value"):
        list(page.PAGE.recompute())


def test_a_closed_lock_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(locked, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match="is not open"):
        page.PAGE.write()
