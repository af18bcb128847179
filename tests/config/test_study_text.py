"""The text of a study's file with only what differs."""

from pathlib import Path

import pytest
import yaml

from passband.config import load, study_text

REAL = Path(__file__).parents[2] / "studies/real.yaml"


@pytest.mark.parametrize("changes", [[], ["training.recipe=group-2024", "training.epochs=12"]])
def test_a_text_has_what_differs_and_makes_the_same_study(changes, tmp_path):
    written = load(REAL, changes).written()
    text = study_text.of(written, written, "real")
    assert "#" not in text
    assert len(text) < 0.5 * len(yaml.safe_dump(written))
    (tmp_path / "a.yaml").write_text(text)
    assert load(tmp_path / "a.yaml").written() == written


def test_what_changed_is_written_with_what_it_was():
    before = load(REAL).written()
    # A default, and keys of a block, of which the others are not repeated.
    changes = ["training.crop_px=0", "specimens.gold.diameter_nm.mean=3.1"]
    text = study_text.of(load(REAL, changes).written(), before, "real")
    lines = [line for line in text.splitlines() if "# real" in line]
    kept = "distribution: lognormal, mean: 3.1, std: 1.4, min: 1.4, max: 4.6"
    assert lines == [
        f"    diameter_nm: {{{kept}}}  # real: {{mean: 2.6}}",
        "  crop_px: 0  # real: 112",
    ]
    # The line is too long for a comment beside it.
    changes += [f"specimens.gold.diameter_nm.{key}" for key in ("std=1.5", "min=1.5", "max=4.7")]
    text = study_text.of(load(REAL, changes).written(), before, "real")
    earlier = "    # real: {mean: 2.6, std: 1.4, min: 1.4, max: 4.6}"
    following = text.splitlines()[text.splitlines().index(earlier) + 1]
    assert following.startswith("    diameter_nm: {distribution: lognormal, mean: 3.1, ")
