"""The tools of the small studies beside findings/twelve_thousand, on tables that tests make up."""

from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from findings.twelve_thousand import scherzer, steps, studies
from passband.axes import MAIN_AXES
from passband.config import load
from passband.grid import Condition
from passband.matrices.of_study import matrices

ROOT = Path(__file__).parents[3]
STUDIES = ROOT / "findings" / "twelve_thousand" / "studies"


def line(dip: float, replicas: int = 7) -> pd.DataFrame:
    """Return a table of networks whose Dice abroad has a dip of a given depth, and noise."""
    random, rows = np.random.default_rng(0), []
    for condition in load(STUDIES / "scherzer.yaml").train_conditions:
        unit = np.sqrt(condition.cs_um * 1e3 * scherzer.wavelength(300e3) / 10)
        is_dip = 0.95 < condition.defocus_nm / unit < 1.25
        for replica in range(replicas):
            noise = random.normal(0, 0.01)
            for image in range(8):
                abroad = 0.7 - dip * is_dip + noise + random.normal(0, 0.01)
                row = {name: getattr(condition, name) for name in MAIN_AXES}
                row |= {"replica": replica, "image": image, "home": 0.9 + 0.02 * is_dip}
                rows.append(row | dict.fromkeys(scherzer.ABROAD, abroad))
    return pd.DataFrame(rows)


def test_a_dip_holds_where_there_is_one_and_not_where_there_is_none(tmp_path):
    for dip, words in ((0.1, "holds, below 0 in 4 of 4"), (0.0, "does not hold")):
        line(dip).to_csv(tmp_path / "table.csv", index=False)
        rows = scherzer.rows_of(scherzer.load(tmp_path / "table.csv"), "networks")
        assert [(row["cs_um"], row["dose_e_per_A2"]) for row in rows] == [
            (50, "1600"), (50, "400"), (400, "1600"), (400, "400"),
        ]  # fmt: skip
        for row in rows:
            assert row["abroad_difference"] == pytest.approx(-dip, abs=0.01)
            assert row["abroad_low"] < row["abroad_difference"] < row["abroad_high"]
            assert row["home_difference"] == pytest.approx(0.02)
            assert row["abroad_50_difference"] == pytest.approx(row["abroad_difference"])
        assert words in scherzer.verdict(rows)
        assert "home above 0 in 4 of 4" in scherzer.verdict(rows)
    # Neither two pairs that have run, nor a dip in three of four pairs, are enough.
    below = [row | {"abroad_high": -0.01} for row in rows]
    assert "is open (4 pairs are planned), below 0 in 2 of 2" in scherzer.verdict(below[:2])
    rows[0]["abroad_high"] = rows[1]["abroad_high"] = rows[2]["abroad_high"] = -0.01
    rows[3]["abroad_high"] = 0.01
    assert "does not hold, below 0 in 3 of 4" in scherzer.verdict(rows)


def test_networks_of_all_doses_make_a_pair_for_each_cs(tmp_path):
    frame = line(0.1, 2)
    single = frame.iloc[:16]  # the condition beside the mixtures
    mixed = frame[frame.dose_e_per_A2 == 400].assign(dose_e_per_A2=np.nan)
    pd.concat([single, mixed]).to_csv(tmp_path / "table.csv", index=False)
    rows = scherzer.rows_of(scherzer.load(tmp_path / "table.csv"), "networks")
    assert [(row["cs_um"], row["dose_e_per_A2"]) for row in rows] == [
        (50, "50-1600"), (400, "50-1600"),
    ]  # fmt: skip


def test_missing_networks_and_unplanned_defocus_are_refused():
    frame = line(0.1, 2)
    frame["u"] = scherzer.units(frame)
    of = frame[(frame.cs_um == 50) & (frame.dose_e_per_A2 == 400)].assign(dose="400")
    of.loc[of.index[of.u == 1.1][0], "home"] = np.nan
    with pytest.raises(ValueError, match=r"u = 1\.1, 11\.5 mrad lack home"):
        scherzer.contrast(of, "home")
    with pytest.raises(ValueError, match="from the nearest planned value"):
        scherzer.units(frame.assign(defocus_nm=frame.defocus_nm + 1))


def test_the_panel_has_a_line_for_each_pair_and_score(tmp_path):
    line(0.1, 1).to_csv(tmp_path / "table.csv", index=False)
    figure, axes = plt.subplots()
    scherzer.panel(axes, scherzer.load(tmp_path / "table.csv"))
    assert len(axes.lines) == 8
    home = axes.lines[0]
    assert list(home.get_xdata()) == list(scherzer.UNITS)
    assert home.get_ydata()[scherzer.UNITS.index(1.1)] == pytest.approx(0.92)
    plt.close(figure)


def test_the_studies_have_the_planned_conditions_and_the_old_tests():
    old = load(ROOT / "studies" / "twelve-thousand.yaml")
    names = [path.stem for kind in ("scherzer", "steps") for path in STUDIES.glob(f"{kind}*.yaml")]
    assert len(names) == 9
    for name in names:
        study = load(STUDIES / f"{name}.yaml")
        assert {c.id for c in old.test_conditions} <= {c.id for c in study.test_conditions}
        assert study.study.seed == old.study.seed
        for block in ("microscope", "specimens"):
            assert getattr(study, block) == getattr(old, block)
    mixed = [STUDIES / f"scherzer-doses{rest}.yaml" for rest in ("", "-50", "-rest")]
    mixtures = [studies.lenses(file) for file in mixed]
    study = load(STUDIES / "scherzer.yaml")
    of = pd.DataFrame([{n: getattr(c, n) for n in MAIN_AXES} for c in study.train_conditions])
    assert of.groupby(["cs_um", "aperture_mrad", "dose_e_per_A2"]).ngroups == 8
    for _, group in of.groupby(["cs_um", "aperture_mrad", "dose_e_per_A2"]):
        assert tuple(scherzer.units(group)) == scherzer.UNITS
    lenses = {tuple(lens.values()) for of in mixtures for lens in of.values()}
    assert lenses == {(c.defocus_nm, c.cs_um, c.aperture_mrad) for c in study.train_conditions}
    wide = [load(STUDIES / f"scherzer-w8{rest}.yaml") for rest in ("", "-50", "-rest")]
    assert {c for each in wide for c in each.train_ids} == {*study.train_ids}
    assert [len(each.train_ids) for each in wide] == [20, 20, 56]
    old_conditions = {c.id for c in old.train_conditions}
    assert {c.id for c in load(STUDIES / "steps-768.yaml").train_conditions} <= old_conditions


def test_the_table_of_dice_has_means_by_test_dose_and_the_homes_of_mixtures():
    tests = [Condition(10, 1.2, 9, dose) for dose in (50, 200, 1600)]
    tests += [Condition(0, 1.2, 9, 400)]
    random = np.random.default_rng(0)
    counts = random.integers(1, 50, (1, 1, 2, 2, 1, 4, 3, 3)).astype(float)
    cell = ("specimen", "architecture", "train", "replica", "test_specimen", "test")
    dims = (*cell, "structure", "outcome")
    nan = [np.nan]
    coords = {"train": [tests[0].id, "c050-a12-01-12345678"], "test": [c.id for c in tests]}
    for name in MAIN_AXES:
        coords[f"train_{name}"] = "train", [getattr(tests[0], name), *nan]
        coords[f"test_{name}"] = "test", [getattr(c, name) for c in tests]
    own = counts[:, :, :, :, :, 0]
    table = xr.Dataset(
        {"counts": (dims, counts), "own_counts": ((*dims[:5], *dims[6:]), own)}, coords
    )
    (matrix,) = matrices(table)
    lens = {"c050-a12-01": {"defocus_nm": 0, "cs_um": 1.2, "aperture_mrad": 9}}
    frame = studies.dice_table(matrix, [c.id for c in tests[:3]], lens)
    dice = 2 * counts[..., 0] / (2 * counts[..., 0] + counts[..., 1] + counts[..., 2])
    assert len(frame) == 2 * 2 * 3
    row = frame[(frame.defocus_nm == 10) & (frame.replica == 1) & (frame.image == 2)].iloc[0]
    assert row.abroad_200 == pytest.approx(dice[0, 0, 0, 1, 0, 1, 2])
    assert row.home == pytest.approx(dice[0, 0, 0, 1, 0, 0, 2])
    row = frame[(frame.defocus_nm == 0) & (frame.replica == 0) & (frame.image == 1)].iloc[0]
    assert np.isnan(row.dose_e_per_A2)
    assert row.abroad_1600 == pytest.approx(dice[0, 0, 1, 0, 0, 2, 1])
    assert row.home == pytest.approx(dice[0, 0, 1, 0, 0, 3, 1])


# ── Steps ────────────────────────────────────────────────────────────────────────────────────────


def steps_table(home: float, abroad: float) -> pd.DataFrame:
    """Return a table of 12 conditions, 4 replicas and 8 images."""
    random, rows = np.random.default_rng(0), []
    for condition in load(STUDIES / "steps-768.yaml").train_conditions:
        for replica, image in product(range(4), range(8)):
            row = {name: getattr(condition, name) for name in MAIN_AXES}
            row |= {"replica": replica, "image": image, "home": home + random.normal(0, 0.01)}
            for dose in (50, 200, 1600):
                row[f"abroad_{dose}"] = abroad + random.normal(0, 0.01)
            rows.append(row)
    return pd.DataFrame(rows)


def test_longer_training_is_compared_with_192_steps():
    few = steps_table(0.90, 0.70)
    for change in (-0.04, 0.04):
        many = steps_table(0.92, 0.70 + change).sample(frac=1, random_state=0)
        home, abroad = steps.rows_of(few, many, 3072)
        assert (home["score"], abroad["score"]) == ("home", "abroad")
        assert abroad["difference"] == pytest.approx(change)
        assert abroad["low"] < change < abroad["high"]
        assert (abroad["high"] < 0) == (change < 0)
        assert abroad["conditions_below_0"] == f"{12 if change < 0 else 0} of 12"


def test_the_networks_of_192_steps_are_those_of_the_packed_pieces():
    few = steps.fewest()
    assert len(few) == 12 * 4 * 8
    assert 0.5 < few.home.mean() < 1
