"""The table of what disturbances cost networks that were trained without and with them."""

import pandas as pd

from findings.background import trained
from passband.grid import Condition


def test_a_disturbance_has_its_words():
    home = Condition(10, 1.2, 18, 400)
    assert trained.disturbance(home) == "none"
    assert trained.disturbance(Condition(10, 1.2, 18, 400, {"slope_sd": 2})) == (
        "slope of the light 2 sd"
    )


def test_the_table_has_a_loss_for_each_method_but_at_home():
    rows = [
        {"disturbance": name, "method": method, "dice": dice, "lost": lost, "half_interval": 0.01}
        for name, dice, lost in (("none", 0.9, 0.0), ("vignette 1 sd", 0.7, 0.2))
        for method in trained.METHODS
    ]
    head, _, none, vignette = trained.of_table(pd.DataFrame(rows)).splitlines()
    assert head.count("loses") == 3
    assert none.count("0.900") == 3
    assert "+" not in none
    assert vignette.count("+0.200 ± 0.010") == 3
