"""The locked set: its draw, its digests and its scores."""

import json

import numpy as np
import pytest
import yaml

from findings.twelve_thousand import locked, locked_scores
from passband import PassbandError
from passband.axes import MAIN_AXES


def test_the_committed_study_and_predictions_have_the_committed_digests():
    digests = json.loads(locked.DIGESTS.read_text())
    content = locked.study_content(locked.WHOLE, *locked.drawn(digests["protocol"]))
    assert yaml.safe_load(locked.STUDY.read_text()) == content
    arrays = dict(np.load(locked.PREDICTIONS))
    assert locked.array_digest(arrays) == digests["predictions"]
    arrays["scaled"][0, 0] += 1
    assert locked.array_digest(arrays) != digests["predictions"]


@pytest.mark.parametrize("byte", [0, 300, -30])
def test_a_damaged_file_of_arrays_is_named(tmp_path, byte):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, scaled=np.arange(1000, dtype=np.uint16) ** 2)
    content = bytearray(path.read_bytes())
    assert locked.read_arrays(path)["scaled"][3] == 9
    content[byte] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(PassbandError, match=r"arrays.npz: cannot be read: "):
        locked.read_arrays(path)


def test_a_changed_protocol_or_prediction_has_another_digest(tmp_path, monkeypatch):
    assert set(locked.check_digests()) == {"protocol", "predictions"}
    words = "digests.json: the protocol or the predictions have changed"
    changed = tmp_path / "protocol.md"
    changed.write_bytes(locked.PROTOCOL.read_bytes() + b"and more\n")
    monkeypatch.setattr(locked, "PROTOCOL", changed)
    with pytest.raises(PassbandError, match=words):
        locked.check_digests()
    monkeypatch.setattr(locked, "PROTOCOL", locked.FOLDER / "protocol.md")
    arrays = dict(np.load(locked.PREDICTIONS))
    arrays["scaled"][0, 0] += 1
    np.savez(tmp_path / "predictions.npz", **arrays)
    monkeypatch.setattr(locked, "PREDICTIONS", tmp_path / "predictions.npz")
    with pytest.raises(PassbandError, match=words):
        locked.check_digests()


def test_conditions_are_inside_the_ranges_and_outside_on_one_axis():
    train, test = locked.drawn("0" * 64)
    assert (len(train), len(test)) == (240, 150)
    assert train != locked.drawn("1" * 64)[0]

    def beyond(condition):
        return [
            axis
            for axis in MAIN_AXES
            if not locked.INSIDE[axis][0] <= getattr(condition, axis) <= locked.INSIDE[axis][1]
        ]

    assert all(beyond(each) == [] for each in [*train[:200], *test])
    expected = [[axis] for axis, _, number in locked.OUTSIDE for _ in range(number)]
    assert [beyond(each) for each in train[200:]] == expected
    # The dose is uniform in its logarithm: half of the conditions are below 283 e/Å².
    assert 70 < sum(each.dose_e_per_A2 < 283 for each in train[:200]) < 130


def synthetic(random, error):
    """Return predictions with the given error of each line, the true Dice, and the doses."""
    true = random.uniform(0.3, 0.9, (240, 294))
    dice = {
        name: true[:, None] + 0.02 * random.normal(size=(240, 7, 294)) for name in ("old", "new")
    }
    predicted = {name: true + e * random.normal(size=true.shape) for name, e in error.items()}
    predicted |= {"low": true - 0.1, "high": true + 0.1}
    levels = np.log10(np.repeat([50, 200, 1600], 48))
    doses = random.uniform(1.7, 3.2, 240), random.uniform(1.7, 3.2, 150), levels
    return predicted, dice, *doses, random.uniform(7, 13, 240)


@pytest.mark.parametrize(("of_bands", "holds"), [(0.01, True), (0.1, False), (0.05, None)])
def test_the_comparison_holds_if_its_interval_is_above_0(monkeypatch, of_bands, holds):
    monkeypatch.setattr(locked_scores, "DRAWS", 400)
    monkeypatch.setattr(locked_scores, "FEWER", 50)
    names = {name for each in locked_scores.SECONDARY for name in each[:2]}
    error = dict.fromkeys(names, 0.05) | {"T(q) in bands": of_bands}
    found = locked_scores.result(*synthetic(np.random.default_rng(0), error))
    primary, (low, high) = found["primary"], found["primary"]["interval"]
    assert low <= primary["difference"] <= high
    assert primary["holds"] == (low > 0)
    if holds is None:
        assert low < 0 < high
    else:
        assert primary["holds"] is holds
        assert all(each["p_holm"] < 0.05 for each in found["secondary"])
    assert found["intervals"]["inside"] == {"coverage": 1.0, "half_width": pytest.approx(0.1)}


def test_scores_are_those_of_scikit_learn_and_of_resampled_matrices():
    from sklearn.metrics import r2_score

    random = np.random.default_rng(1)
    true, predicted = random.uniform(size=(2, 6, 5))
    assert locked_scores.r2(true, predicted) == pytest.approx(
        r2_score(true.ravel(), predicted.ravel())
    )
    rows, columns = random.integers(0, 3, (2, 1, 6))[0], random.integers(1, 3, (1, 5))
    k, m = np.repeat(np.arange(6), rows[0]), np.repeat(np.arange(5), columns[0])
    expected = r2_score(true[k][:, m].ravel(), predicted[k][:, m].ravel())
    assert locked_scores.r2(true, predicted, rows, columns) == pytest.approx([expected])
    assert locked_scores.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_intervals_of_the_process_cover_where_the_noise_differs():
    """Where conditions and tests differ in noise, the factors follow."""
    from passband.analysis.profiles import profiles
    from passband.analysis.spectra import flat_spectrum
    from passband.config import Microscope
    from passband.grid import Axes
    from passband.prediction import gaussian_process

    axes = {
        "defocus_nm": list(range(0, 40, 4)),
        "cs_um": [1.2],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 200, 400, 800],
    }
    conditions = Axes.main.conditions(axes)
    microscope = Microscope(field_px=64, pixel_size_A=0.5)
    of = profiles(conditions, microscope, 32, flat_spectrum(0.005))
    random = np.random.default_rng(0)
    noisy = np.where(of.log_dose > 2.5, 0.08, 0.02)
    Y = 0.7 + noisy[:, None] * random.normal(size=(40, 12))
    model = gaussian_process.fit(Y, of, of[:12])
    factor = locked.factors(model, of)
    assert factor.shape == (40, 12)
    assert factor[noisy > 0.05].mean() > 1.5 * factor[noisy < 0.05].mean()
