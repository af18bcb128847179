"""What a verb returns, and how it refuses an argument."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from passband import cli
from passband.errors import ArgumentError
from passband.outcomes import Outcome


@dataclass
class Found(Outcome):
    file: Path
    dice: np.ndarray
    number: np.int64
    rest: dict

    def __str__(self) -> str:
        return f"<b>{self.file}</b>"


def test_an_outcome_has_text_a_face_and_json():
    found = Found(Path("a&b"), np.array([0.5, np.nan]), np.int64(3), {"inner": (True, None)})
    assert found._repr_html_() == "<pre>&lt;b&gt;a&amp;b&lt;/b&gt;</pre>"
    assert json.loads(found.to_json()) == {
        "file": "a&b",
        "dice": [0.5, None],
        "number": 3,
        "rest": {"inner": [True, None]},
    }


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArgumentError("smallest_nm = 'smallest_nm': no"), "--smallest-nm = 'smallest_nm': no"),
        (
            ArgumentError("smallest_nm: not with tile", "smallest_nm", "tile"),
            "--smallest-nm: not with --tile",
        ),
        (ArgumentError("split = 'no': no"), "split = 'no': no"),
    ],
)
def test_a_command_names_its_options(error, text):
    assert cli._with_options(error, {"smallest_nm": "--smallest-nm", "tile": "--tile"}) == text
