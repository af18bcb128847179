"""How a different specimen changes a network's Dice, and what correlates with this change."""

import numpy as np
import pytest
from figure_data import WIDTHS, check, letters, words
from scipy.stats import spearmanr
from specimen_pairs import DOSE, GRID, SPECIMENS, of_specimens, study

from passband import PassbandError
from passband.analysis import specimen_shift as structure
from passband.figures import specimen_shift as figures
from passband.matrices.stored import MatrixName


def of_conditions(a, b, i, j):
    return 0.02 * np.abs(i - j) + 0 * a


def test_a_gap_is_to_the_network_of_the_test_specimen_and_condition():
    random = np.random.default_rng(1)
    every, *_ = study(lambda a, b, i, j: random.random(a.shape))
    of = {each.name: each for each in every}
    gold_on_cubes, cubes = (MatrixName(name, "u", "cubes") for name in ("gold", "cubes"))
    found = structure.gaps(every)
    assert [*found] == [*of]
    i = 1
    j = 4
    expected = of[cubes].dice.values[j, j] - of[gold_on_cubes].dice.values[i, j]
    assert found[gold_on_cubes][i, j] == expected


def test_there_is_no_gap_without_a_network_to_compare_with():
    every, *_ = study(of_specimens, SPECIMENS[:2], [*SPECIMENS[:2], "platinum"], GRID[:6])
    for name, found in structure.gaps(every).items():
        if name.test_specimen == "platinum":
            assert np.isnan(found).all()
        else:
            assert np.isfinite(found[:, :6]).all()
            assert np.isnan(found[:, 6:]).all()


def test_only_transfer_functions_predict_gaps_of_the_lens():
    found = structure.explained(*study(of_conditions))
    rho = found.rho.sel(predictor="overlap_abs")
    assert float(rho.sel(shift="lens")) > 0.95
    assert float(found.share.sel(shift="lens", source="conditions")) == pytest.approx(1)
    assert float(found.share.sel(shift="lens", source="specimens")) < 0.05
    assert np.isnan(found.rho.sel(shift="structure", predictor="overlap_abs")), "it is constant"


def test_transfer_functions_say_nothing_of_gaps_of_specimens():
    found = structure.explained(*study(of_specimens))
    at = found.sel(shift="structure")
    assert np.isnan(at.rho.sel(predictor="overlap_abs")), "it is constant"
    assert float(at.share.sel(source="specimens")) == pytest.approx(1)
    assert float(at.share.sel(source="conditions")) < 0.05
    both = found.sel(shift="both")
    assert abs(float(both.rho.sel(predictor="overlap_abs"))) < 0.2
    low, high = both.rho_interval.sel(predictor="overlap_abs").values
    assert -1 <= low <= float(both.rho.sel(predictor="overlap_abs")) <= high <= 1


def test_cells_are_of_equal_dose():
    found = structure.explained(*study(of_conditions), draws=0)
    pairs = np.equal.outer(DOSE, DOSE).sum()
    expected = {"lens": 4 * (pairs - 12), "structure": 12 * 12, "both": 12 * (pairs - 12)}
    assert dict(zip(found["shift"].values, found.cells.values, strict=True)) == expected
    assert found.rho_interval.isnull().all()


def test_correlation_and_interval_are_those_of_resampled_cells():
    random = np.random.default_rng(2)
    x, clusters = random.normal(size=200), np.repeat(np.arange(10), 20)
    y = x + random.normal(size=200) + random.normal(size=10)[clusters]
    draws = structure.resample(10, 400, 0)
    rho, low, high = structure._rank_correlation(x, y, clusters, draws)
    assert rho == pytest.approx(spearmanr(x, y).statistic)
    again = []
    for count in draws.astype(int):
        some = np.repeat(np.arange(200), count[clusters])
        again.append(spearmanr(x[some], y[some]).statistic)
    np.testing.assert_allclose([low, high], np.quantile(again, [0.025, 0.975]), atol=0.02)


def test_a_specimens_own_weight_counts_where_there_is_one():
    every, information = study(of_conditions)
    without = information.assign(overlap_abs=information.overlap_abs * 0)
    without.overlap_abs.loc[{"weight": "gold"}] = information.overlap_abs.sel(weight="gold")
    only_gold = [each for each in every if {*each.name} <= {"gold", "cubes", "u"}]
    found = structure.explained(only_gold, without, draws=0)
    # Cubes have no specimen weight, and the flat weight is constant here.
    whole = structure.explained(only_gold, information, draws=0)
    pick = {"shift": "lens", "predictor": "overlap_abs"}
    assert float(whole.rho.sel(pick)) > float(found.rho.sel(pick)) + 0.1


def test_share_of_noise_is_none():
    found = structure.explained(*study(lambda a, b, i, j: 0.0 * a, noise=0.1), draws=0)
    np.testing.assert_allclose(found.share, 0, atol=0.15)


def test_dice_is_of_equal_conditions():
    def function(a, b, i, j):
        return of_specimens(a, b, i, j) + 0.3 * (i != j)

    found = structure.explained(*study(function), draws=0)
    assert found.dice.dims == ("specimen", "test_specimen")
    np.testing.assert_allclose(np.diag(found.dice), 0.9)
    assert float(found.dice.sel(specimen="copper", test_specimen="cubes")) == pytest.approx(0.8)


def test_one_specimen_has_no_other():
    with pytest.raises(PassbandError, match="specimens = gold: two or more training specimens"):
        structure.explained(*study(of_specimens, SPECIMENS[:1]))


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_shows_dice_correlations_and_shares(width_cm):
    drawn = check(figures.structure(*study(of_specimens), width_cm), width_cm)
    matrix, dots, bars = drawn.axes[:3]
    values = words(matrix)
    assert len(values) == 16
    assert values[:2] == ["0.90", "0.85"]
    assert letters(drawn) == ["a", "b", "c"]
    names = [label.get_text() for label in dots.get_yticklabels()]
    assert names == ["overlap σ of |T|"]
    widths = [patch.get_height() for patch in bars.patches]
    assert max(widths) == pytest.approx(1)
