"""Grids that are no product of axes: points and several blocks."""

import math
import re
from pathlib import Path

import pytest

from passband.config import ConfigError, validate
from passband.config.base import Numbers
from passband.grid import Condition
from passband.runs import plan

POINT = {"defocus_nm": 12.0, "cs_um": 300.0, "aperture_mrad": 10.0, "dose_e_per_A2": 400.0}
OTHER = {"defocus_nm": 5.0, "cs_um": 1.2, "aperture_mrad": 16.0, "dose_e_per_A2": 80.0}
HEAD = "defocus_nm,cs_um,aperture_mrad,dose_e_per_A2\n"


def ids(*points):
    return [condition.id for condition in sorted(Condition(**point) for point in points)]


# Points and blocks


def test_one_microscope_beside_a_product_is_one_column():
    """The product of all values would have 81 columns."""
    study = validate({"grid": {}, "test_grid": [{}, {"points": [POINT]}]})
    assert (study.train_number, study.test_number) == (16, 17)
    assert len(study.test_conditions) == 17
    assert Condition(**POINT) in study.test_conditions
    assert {*study.train_conditions} < {*study.test_conditions}


def test_points_are_tested_under_themselves_by_default():
    study = validate({"grid": {"points": [POINT, OTHER]}})
    assert [c.id for c in study.train_conditions] == ids(POINT, OTHER)
    assert study.test_conditions == study.train_conditions


def test_points_of_a_file_are_the_points_of_a_list(tmp_path):
    (tmp_path / "a.csv").write_text(f"\ufeff{HEAD}12,300,10,400\n\n 5, 1.2, 16, 80\n")
    (tmp_path / "b.csv").write_text(
        "dose_e_per_nm2,defocus_A,cs_mm,aperture_rad\n40000,120,0.3,0.01\n8000,50,0.0012,0.016\n"
    )
    source = str(tmp_path / "study.yaml")
    listed = validate({"grid": {"points": [POINT, OTHER]}})
    for name in ("a.csv", "b.csv"):
        study = validate({"grid": {"points": name}}, source)
        assert study.train_conditions == listed.train_conditions
        assert study.digest == listed.digest


def test_axes_beside_points_are_combined_with_each_point():
    points = [{"defocus_nm": 5.0}, {"defocus_nm": 9.0}]
    others = {"cs_um": [1.2], "aperture_mrad": [10.0]}
    doses = {"dose_e_per_A2": {"start": 100.0, "stop": 300.0, "num": 3}}
    study = validate({"grid": {"points": points} | others | doses})
    assert study.train_number == 6
    assert study.train_axes["dose_e_per_A2"] == [100, 200, 300]


def test_a_condition_of_two_blocks_occurs_once():
    blocks = [{"points": [POINT, OTHER]}, {"points": [OTHER]}]
    study = validate({"grid": blocks})
    assert study.train_number == len(study.train_conditions) == 2


def test_further_axes_of_points_have_the_study_s_own_value_where_they_are_missing():
    study = validate({"grid": {"points": [POINT, POINT | {"astigmatism_nm": 5.0}]}})
    assert study.axes.own == {"astigmatism_nm": 0}
    plain, astigmatic = study.train_conditions
    assert plain.id == Condition(**POINT).id
    assert astigmatic.value("astigmatism_nm") == 5
    assert study.condition_settings("train")["own astigmatism_nm"] == 0


def test_a_list_with_one_product_is_the_product():
    """So the list changes no params of rules, and no results are made again."""
    block = {"cs_um": [1.2], "aperture_mrad": [10.0]}
    one, listed = validate({"grid": block}), validate({"grid": [block]})
    assert one.condition_settings("train", "test") == listed.condition_settings("train", "test")
    assert one.digest == listed.digest


@pytest.mark.parametrize(
    "grid",
    [
        {"points": [POINT, OTHER]},
        [{"cs_um": [1.2]}, {"points": [POINT], "astigmatism_nm": [0.0, 3.0]}],
    ],
)
def test_a_study_is_the_same_after_it_was_written_for_jobs(grid):
    study = validate({"grid": grid})
    again = validate(study.written())
    assert again.train_conditions == study.train_conditions
    assert again.test_conditions == study.test_conditions
    assert again.digest == study.digest


def test_optics_are_checked_at_each_point():
    """The largest Cs and the largest aperture occur under different conditions."""
    wide, strong = OTHER | {"aperture_mrad": 20.0}, POINT | {"cs_um": 1000.0}
    validate({"grid": {"points": [wide, strong]}})
    with pytest.raises(ConfigError, match=r"grid\.points\[1\]\.cs_um = 1000 with .*displaces"):
        validate({"grid": {"points": [wide, strong | {"aperture_mrad": 20.0}]}})
    axes = {name: sorted({wide[name], strong[name]}) for name in wide}
    with pytest.raises(ConfigError, match=r"grid\.cs_um = 1000 with .*displaces"):
        validate({"grid": axes})


def test_a_product_of_test_grid_needs_all_axes_if_grid_is_no_product():
    grid = {"points": [POINT, OTHER]}
    with pytest.raises(
        ConfigError, match=r"test_grid\[1\]\.defocus_nm: missing; grid is no single"
    ):
        validate({"grid": grid, "test_grid": [{}, {"cs_um": [1.0]}]})
    whole = {name: [value] for name, value in POINT.items()} | {"cs_um": [1.0, 2.0]}
    assert validate({"grid": grid, "test_grid": [{}, whole]}).test_number == 4


def test_check_lists_the_first_and_last_conditions_of_each_block():
    study = validate({"grid": {}, "test_grid": [{}, {"points": [POINT]}]})
    lines = plan.summary(study, listed=True).splitlines()
    assert sum("(10 more)" in line for line in lines) == 1
    assert "test_grid[0]  the conditions of grid" in lines
    place = lines.index("test_grid[1]  1 condition")
    assert lines[place + 1].split(", ")[1:] == ["Cs 300 µm", "aperture 10 mrad", "dose 400 e/Å²"]
    assert "conditions    16 to train under, 17 to test under" in lines


def test_points_are_read_once(monkeypatch):
    """So 10,000 points are checked within 3 s."""
    calls, read = [], Numbers.axes
    monkeypatch.setattr(Numbers, "axes", lambda self: calls.append(self) or read(self))
    points = [POINT | {"defocus_nm": float(k)} for k in range(50)]
    assert validate({"grid": {"points": points}}).train_number == len(points)
    assert len(calls) == len(points)


# Bad files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (HEAD + "5,1.2,16,80\n\n99999,1.2,16,80\n", "line 4: defocus_nm = 99999: must be between"),
        (
            HEAD + "5,1.2,16,80\n5,1.2,190,80\n",
            "line 3: aperture_mrad = 190: must not exceed 21.87",
        ),
        ("defocus_nm,cs_um,dose_e_per_A2\n5,1.2,80\n", "line 1: has no column aperture_mrad"),
        (
            HEAD.replace("nm", "km") + "5,1.2,16,80\n",
            "line 1: column 'defocus_km' has unknown unit",
        ),
        (HEAD.replace("_nm", "") + "5,1.2,16,80\n", "line 1: column 'defocus' has no unit in its"),
        ("x," + HEAD + "1,5,1.2,16,80\n", "line 1: unknown column 'x'; allowed: defocus_nm, cs_um"),
        (HEAD + "5,1.2,16,80\n6,1.2,16,80\n5,1.20,16,80\n", "line 4: is the same point as line 2"),
        ("defocus_A," + HEAD + "50,5,1.2,16,80\n", "line 1: has two columns for defocus_nm"),
        (HEAD + "5 nm,1.2,16,80\n", "line 2: defocus_nm = 5 nm: must be between"),
        (HEAD + "nan,1.2,16,80\n", "line 2: defocus_nm = nan: must be between"),
        (HEAD + ",1.2,16,80\n", "line 2: defocus_nm = nothing: must be between"),
        (
            HEAD + "5.001,1.2,16,80\n",
            "line 2: defocus_nm = 5.001: is finer than the axis's resolution",
        ),
        (HEAD + "5,1.2,16\n", "line 2: has 3 values; must have 4, as line 1"),
        (HEAD + '5,1.2,16,"80\n', "line 2: is no CSV: unexpected end of data"),
        (HEAD, "has no point below its first line"),
        ("", "line 1: is empty; must have names of columns such as defocus_nm,cs_um"),
        ("\x00", "is binary; must be a table as CSV in UTF-8"),
        (HEAD + "\xff", "line 2: is not UTF-8; save the table as CSV in UTF-8"),
        (
            HEAD + "".join(f"{k / 100},1,9,80\n" for k in range(10_001)),
            "line 10002: is point 10,001",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_its_line(content, says, tmp_path):
    (tmp_path / "points.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        validate({"test_grid": {"points": "points.csv"}}, str(tmp_path / "study.yaml"))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{tmp_path}/study.yaml: test_grid.points = 'points.csv': {says}")


def test_conditions_of_many_points_are_made_few_times(monkeypatch):
    """`passband check` of 10,000 points must take seconds. Each property made them all again."""
    made, whole = [], Condition.__post_init__
    monkeypatch.setattr(Condition, "__post_init__", lambda self: (made.append(1), whole(self))[1])
    study = validate({"grid": {"points": [POINT | {"defocus_nm": k / 10} for k in range(200)]}})
    assert "200 to train under, 200 to test under" in plan.summary(study, listed=True)
    # The training conditions, the test conditions, and those that are listed.
    assert len(made) < 4 * 200


def test_a_point_that_is_not_allowed_is_named_by_the_key_of_the_study(tmp_path):
    """An axis beside the points was written once."""
    beside = {name: x for name, x in POINT.items() if name != "aperture_mrad"}
    beside = {"points": [beside], "aperture_mrad": [90.0]}
    (tmp_path / "a.csv").write_text("defocus_nm,cs_um,dose_e_per_A2\n5,1.2,80\n")
    for grid, says in (
        ({"points": [POINT | {"aperture_mrad": 90.0}]}, "grid.points[0].aperture_mrad = 90: must"),
        (beside, "grid.aperture_mrad = 90: must not exceed"),
        ({"points": "a.csv", "aperture_mrad": [90.0]}, "grid.aperture_mrad = 90: must not exceed"),
        ({"points": [POINT], "focal_spread_nm": [3, 90]}, "microscope.focal_members = 5: must be"),
    ):
        with pytest.raises(ConfigError) as caught:
            validate({"grid": grid}, str(tmp_path / "study.yaml"))
        assert str(caught.value).startswith(f"{tmp_path}/study.yaml: {says}")


def test_the_pages_points_that_fill_ranges_make_a_study(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "grid.md").read_text(encoding="utf-8")
    (code,) = re.findall("```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # the page's code
    study = validate({"grid": {"points": "microscopes.csv"}}, str(tmp_path / "study.yaml"))
    assert study.train_number == 128
    ranges = {
        "defocus_nm": (0, 40),
        "cs_um": (1, 100),
        "aperture_mrad": (8, 16),
        "dose_e_per_A2": (50, 1600),
    }
    for name, (low, high) in ranges.items():
        values = study.train_axes[name]
        assert low <= values[0] <= values[-1] <= high
    # Half of the doses are below the geometric middle of their range.
    doses = [condition.dose_e_per_A2 for condition in study.train_conditions]
    assert sum(dose < math.sqrt(50 * 1600) for dose in doses) == 64
