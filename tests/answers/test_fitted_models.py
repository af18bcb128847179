"""Fitted parameters are kept from one version of Passband to the next."""

import numpy as np

from passband.answers import fitted_models

#: The key that version 0.1.0 made of the values below.
OF_0_1_0 = "0a294faf41394d05"


def test_what_version_0_1_0_has_fitted_is_still_found(monkeypatch):
    """Passband's version is in no key, so a new one fits nothing again."""
    installed = {"numpy": "2.0.0", "scipy": "1.14.0"}
    monkeypatch.setattr(fitted_models, "version", installed.__getitem__)
    assert fitted_models.key([np.arange(3.0)], "gold", 1) == OF_0_1_0
    installed["scipy"] = "1.15.0"
    assert fitted_models.key([np.arange(3.0)], "gold", 1) != OF_0_1_0
