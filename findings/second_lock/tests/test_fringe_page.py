"""The opening of part 2, and its page, whose tables are those of the results."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from findings.pages import filled
from findings.second_lock import bands, fringe_page, fringe_scores, fringes, locked
from findings.second_lock.fringe_page import PATH, recompute
from findings.twelve_thousand import history, pieces
from passband import PassbandError


def pretended(arm, folder):
    """What networks of an arm would have done."""
    random = np.random.default_rng(len(arm.name))
    shape = len(arm.conditions), len(arm.replicas), len(arm.tests), 2
    row = random.uniform(0.5, 0.9, (shape[0], 1, 1, 1))
    dice = row + random.uniform(0, 0.1, shape)
    cell = "condition", "replica", "test", "structure"
    home = xr.DataArray(dice[:, :, 0], dims=("condition", "replica", "structure"))
    variables = {"dice": (cell, dice), "home_dice": home}
    return xr.Dataset(variables, attrs={"processor": "one"})


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The folders of both openings, after all networks are pretended to be there."""
    folder = tmp_path_factory.mktemp("locked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked, "FOLDER", folder)
        patch.setattr(history, "git", lambda *words: "")  # the folder is in no repository
        for part in (fringes, bands):
            patch.setattr(part, "results", pretended)
            patch.setattr(part, "FOLDER", folder)
        patch.setattr(fringes, "home_of_pilot", lambda pilot: 0.9)
        patch.setattr(fringe_scores, "FOLDS", 2)
        patch.setattr(fringes, "spectrum", lambda study, folder: np.full((2, 3), [0, 0.5, 1]))
        pieces.append(folder / "costs.csv", {"arm": "plain", "seconds": 2})
        for part in (fringes, bands):
            part.opened((0, 1))
        openings = {part: part.OPENING for part in (fringes, bands)}
        yield {part: (each.arrays(), each.found()) for part, each in openings.items()}


def test_what_is_opened_follows_from_its_file_again(opened):
    for part, (arrays, result) in opened.items():
        again = part.scored(arrays)
        assert again["claims"] == result["claims"]
        assert result["seconds"] == 2
        assert result["protocol"] == locked.digest()
        assert all(
            array.dtype == np.uint16 for name, array in arrays.items() if "power" not in name
        )


def test_a_part_is_not_opened_twice(opened):
    with pytest.raises(PassbandError, match="opened before"):
        bands.opened((0, 1))


def test_the_page_has_a_place_for_every_table(opened, tmp_path):
    of = fringe_page.PAGE.made([result for _, result in opened.values()])
    text = filled(PATH, of)
    for table in of.values():
        assert table in text
    page = tmp_path / "fringes.md"
    page.write_text(text)
    assert filled(page, of) == text
    assert "| CeO₂ |" in of["lattices"]
    assert of["claims"].count("**") == 2 * 5
    with pytest.raises(PassbandError, match="lacks <!-- another begin -->"):
        filled(page, {"another": ""})


def test_the_page_is_compared_with_what_follows_from_the_files(opened, tmp_path, monkeypatch):
    of = fringe_page.PAGE.made([result for _, result in opened.values()])
    page = tmp_path / "fringes.md"
    monkeypatch.setattr(
        fringe_page, "PAGE", replace(fringe_page.PAGE, path=page, statements=lambda found: {})
    )
    text = filled(PATH, of)
    page.write_text(text)
    for part, (_, result) in opened.items():
        monkeypatch.setattr(part, "scored", lambda arrays, result=result: result)
    lines = list(recompute())
    assert len(lines) == 2 + len(of)
    page.write_text(text.replace("| cut | ", "| cut | 9"))
    with pytest.raises(PassbandError, match="gaps"):
        list(recompute())
