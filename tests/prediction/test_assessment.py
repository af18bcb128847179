"""All results of the stage `prediction` fit into one data set."""

import pytest
from matrices import GRID, make_metrics, make_profiles, make_table, matrix

from passband.prediction import cross_validation
from passband.prediction.assessment import assess

pytestmark = pytest.mark.usefixtures("few_folds")


@pytest.mark.slow
def test_the_results_have_no_names_in_common(monkeypatch):
    monkeypatch.setattr(cross_validation, "SIDES", ("train",))  # a third of the folds
    metrics, information = make_metrics(noise=0.01)
    table = make_table(GRID, matrix(metrics).dice.transpose("train", "test").values)
    found = assess(table, metrics, information, None, make_profiles(metrics), 5, 0.95, 0)
    for name in ("predicted", "process_weight", "along_rho", "step", "design", "completion"):
        assert name in found.data_vars, name
