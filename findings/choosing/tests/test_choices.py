"""The table of choices, from a file like choices.csv."""

import numpy as np
import pytest

from findings.choosing import choices


def test_the_table_of_choices_has_what_is_recommended_minus_each_rule(tmp_path):
    random = np.random.default_rng(0)
    lines = [["microscope", "rule", "train", "8", "9"]]
    for rule, mean in ((choices.OURS, 0.9), (choices.NEAREST, 0.8)):
        lines += [[f"m{k}", rule, "a", *(mean + random.normal(0, 0.01, 2))] for k in range(20)]
    text = "\n".join(",".join(map(str, line)) for line in lines)
    (tmp_path / "choices.csv").write_text(text)
    _, _, ours, nearest = choices.summary(tmp_path).splitlines()
    assert "| 0.0000 (0.0000 to 0.0000) |" in ours
    value, low, _, high = nearest.split("|")[3].replace("(", "").replace(")", "").split()
    assert float(low) < 0.1 < float(high)
    assert float(value) == pytest.approx(0.1, abs=0.01)
