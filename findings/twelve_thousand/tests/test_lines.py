"""The lines of lines.py: what they see, and the table of their scores."""

import numpy as np
import pandas as pd
import pytest
from matrices import make_metrics, make_profiles, matrix

from findings import committed
from findings.twelve_thousand import lines, pieces, recompute
from findings.twelve_thousand.rivals import transfer_features
from passband import PassbandError
from passband.axes import MAIN_AXES
from passband.prediction import gaussian_process
from passband.prediction.matrix import interaction
from passband.prediction.matrix.level_scores import left_out, scaled

GRID = {
    "defocus_nm": [5, 12, 19, 26],
    "cs_um": [100, 1000],
    "aperture_mrad": [9, 11, 12],
    "dose_e_per_A2": [100, 800],
}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(gaussian_process, "_STEPS", 8)  # to save time
    monkeypatch.setattr(interaction, "FEWEST", 6)  # networks of a level at a dose


@pytest.fixture
def cells():
    """A small matrix whose networks have three replicas."""
    metrics, information = make_metrics(GRID, noise=0.01)
    D = matrix(metrics).dice.transpose("train", "test").values
    noise = 0.01 * np.random.default_rng(1).normal(size=(len(D), 3, len(D)))
    ends = (make_profiles(metrics)["gold"],) * 2
    return lines.Cells(D[:, None] + noise, ends, transfer_features(information, ["flat"]))


def test_scaled_parameters_are_those_of_the_package_in_other_units(cells):
    of, _ = cells.ends
    mine, package = lines.KERNELS["scaled"], scaled(of, of)
    # The further axes of the toy profiles have one value each.
    theirs = dict(zip(package.names, package.squared(of, of), strict=True))
    names = "defocus_nm", "cs_um", "aperture_mrad", "log_dose"
    for one, name in zip(mine.squared(of, of), names, strict=True):
        np.testing.assert_allclose(one / one.max(), theirs[name] / theirs[name].max(), atol=1e-9)


def test_no_line_sees_what_is_left_out(cells):
    for side in (0, 1):
        out = cells.ends[side].parameters["defocus_nm"] == 12
        hidden = cells.replicas.copy()
        hidden[(out,) if side == 0 else (..., out)] = 0.5
        other = lines.Cells(hidden, cells.ends, cells.features)
        known = lines.predictions(cells, side, "defocus_nm", out)
        blind = lines.predictions(other, side, "defocus_nm", out)
        assert len(known) == len(lines.KERNELS) + 3
        for name, predicted in known.items():
            np.testing.assert_array_equal(predicted, blind[name], err_msg=name)
            assert predicted.shape == ((12, 48) if side == 0 else (48, 12))


def test_the_weight_of_a_mean_is_that_of_the_better_line(cells):
    """Dice that changes with the defocus is not predicted by doses."""
    defocus = cells.ends[0].parameters["defocus_nm"]
    aperture = cells.ends[1].parameters["aperture_mrad"]
    Y = 0.5 + 0.01 * np.add.outer(defocus, 4 * aperture) / 2
    out, (train, test) = defocus == 12, cells.ends
    thetas = {
        name: left_out(Y, cells.ends, 0, out, lines.KERNELS[name])[1] for name in ("raw", "doses")
    }
    seen = Y[~out], (train[~out], test)
    weights = [
        lines.share(*seen, 0, "defocus_nm", {name: thetas[name] for name in names})
        for names in (("raw", "doses"), ("doses", "raw"))
    ]
    assert weights[0] > 0.7
    assert sum(weights) == pytest.approx(1)


def test_the_table_has_each_slice_and_the_whole_matrix(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(lines, "MAIN_AXES", {name: MAIN_AXES[name] for name in ("defocus_nm",)})
    monkeypatch.setattr(lines.Cells, "of_pieces", lambda: cells)
    few = {name: lines.KERNELS[name] for name in ("scaled", "T(q)", lines.PROFILES_LINE)}
    monkeypatch.setattr(lines, "KERNELS", few)
    assert lines.write(tmp_path) == 0
    rows = pieces.read(tmp_path / "lines.csv")
    slices = [*(f"{value:g}" for value in GRID["defocus_nm"]), "all"]
    names = list(dict.fromkeys(row["line"] for row in rows))
    assert len(names) == 6
    expected = [("defocus_nm", side, each) for side in ("train", "test") for each in slices]
    for line in names:
        own = [row for row in rows if row["line"] == line]
        of = [(row["axis"], row["side"], row["slice"]) for row in own]
        assert of == [*expected, ("lens", "train", "all")]
        # The lens has the sums over slices, the matrix the interaction of the whole.
        within = own[:4]
        total = np.array([float(row["cells"]) * float(row["square"]) for row in within])
        left = total * (1 - np.array([float(row["interaction"]) for row in within]))
        assert float(own[-1]["interaction"]) == pytest.approx(
            1 - left.sum() / total.sum(), abs=2e-3
        )
        assert (own[0]["low"], own[0]["minus_scaled_low"]) == ("", "")
    # What follows from the single levels of a table is in the table.
    path = tmp_path / "lines.csv"
    for made, number in zip(recompute.pooled(pd.read_csv(path), cells), (12, 6), strict=True):
        keys = ("line", "axis", "side", "slice")
        assert len(made) == number
        assert committed.table(path, made, keys, 1e-3)
        name = "r2" if "r2" in made else "interaction"
        with pytest.raises(PassbandError, match=rf"all: {name} = .*, computed again"):
            committed.table(path, made.assign(**{name: made[name] + 0.01}), keys, 1e-3)
    scaled = [row for row in rows if row["line"] == "scaled"]
    assert {float(row["minus_scaled"]) for row in scaled} == {0.0}
    of_one = next(row for row in rows if row["line"] == "T(q)" and row["slice"] == "12")
    out = cells.ends[0].parameters["defocus_nm"] == 12
    Y = cells.replicas.mean(1)
    predicted = left_out(Y, cells.ends, 0, out, few["T(q)"])[0]
    r2 = 1 - ((Y[out] - predicted) ** 2).mean() / Y[out].var()
    assert float(of_one["r2"]) == pytest.approx(r2, abs=1e-4)
