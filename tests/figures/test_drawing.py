"""Figures that parts declare: what their functions get, and what they must return."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matrices import make_table

from passband import PassbandError
from passband.config import Study
from passband.figures import drawing
from passband.matrices.of_study import matrices
from passband.parts import PACKAGE, Part, Parts

EXAMPLE = Path(__file__).parents[2] / "examples/parts/dice_histogram.py"
HEAD = "from matplotlib.figure import Figure\nfrom passband.parts import figure\n"


def part_of(folder: Path, text: str) -> Part:
    """Return the only figure of a file in a study's folder of parts, trusted."""
    file = folder / "parts" / "mine.py"
    file.parent.mkdir()
    file.write_text(text)
    known = Parts.read(file.parent)
    known.trust()
    (part,) = known.own_of("figure")
    return part


def test_a_figure_gets_its_inputs_in_their_order_and_its_width(tmp_path, monkeypatch):
    stores = {"information": object(), "prediction": object()}
    for name, store in stores.items():
        monkeypatch.setattr(drawing.Inputs, name, store)
    text = (
        "@figure(inputs=('prediction', 'study', 'information'), caption='**Mine.**')\n"
        "def mine(predicted, study, information, width_cm):\n"
        "    drawn = Figure()\n"
        "    drawn.given = predicted, study, information, width_cm\n"
        "    return drawn\n"
    )
    study = Study(figures={"width_cm": 8.5})
    drawn = drawing.draw(part_of(tmp_path, HEAD + text), study, {})
    assert isinstance(drawn, Figure)
    assert drawn.given == (stores["prediction"], study, stores["information"], 8.5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returns NoneType; must return a Matplotlib figure"),
        ("return [Figure()]", "returns list; must return a Matplotlib figure"),
        ("raise KeyError('cells')", "KeyError: 'cells'"),
    ],
)
def test_a_figure_that_fails_is_one_line_with_its_file(tmp_path, body, said):
    text = f"{HEAD}@figure(inputs=(), caption='**Mine.**')\ndef mine(width_cm):\n    {body}\n"
    with pytest.raises(PassbandError) as error:
        drawing.draw(part_of(tmp_path, text), Study(), {})
    assert str(error.value) == f"figure 'mine' of parts/mine.py, line 3: {said}"


@pytest.mark.parametrize("name", PACKAGE.of("figure"))
def test_each_figure_of_the_package_has_a_function(name):
    part = PACKAGE.get("figure", name)
    assert callable(part.load())
    assert part.declaration.caption.startswith("**")


def test_the_example_shows_the_share_of_images_by_their_dice(tmp_path):
    grid = {
        "defocus_nm": [5.0, 20.0],
        "cs_um": [1.2],
        "aperture_mrad": [16.0],
        "dose_e_per_A2": [200.0, 1000.0],
    }
    M = np.where(np.eye(4, dtype=bool), 0.9, 0.4)
    (matrix,) = matrices(make_table(grid, M, sd_structure=0.02))
    draw = part_of(tmp_path, EXAMPLE.read_text()).load()
    drawn = draw([matrix], 8.5)
    (axes,) = drawn.axes
    heights = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    np.testing.assert_allclose(heights, 1)
    # Each of four rows has one column of its own; two replicas, and 12 structures.
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels == ["at home (n = 96)", "other conditions (n = 288)"]
    means = [
        sum(bar.get_height() * (bar.get_x() + bar.get_width() / 2) for bar in bars)
        for bars in axes.containers
    ]
    assert means == pytest.approx([0.9, 0.4], abs=0.05)
