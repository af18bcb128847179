"""Data of figures that a page leaves out."""

import base64
import gzip
import io

import numpy as np
import pandas as pd
import pytest
from matrices import GRID
from report_content import make_content, make_stores

from passband.config import Microscope
from passband.grid import Condition
from passband.matrices.of_study import matrices
from passband.optics import ctf
from passband.reports.page import data, page


@pytest.mark.slow
def test_a_table_that_is_too_large_is_not_in_the_page(monkeypatch):
    monkeypatch.setattr(data, "MOST_VALUES", 1000)
    text = page.render(make_content())
    assert 'id="data-matrix.csv"' not in text
    assert "too large for this page; they are in the stores under results/tiny" in text


@pytest.mark.slow
def test_information_of_other_conditions_is_not_in_the_page():
    """The grid lost a condition, and only `information.zarr` was made again."""
    _, metrics, information = make_stores(GRID)
    tested = matrices(metrics=metrics)
    assert data.covers(information, tested)
    for side in ("train", "test"):
        newer = information.isel({side: slice(1, None)})
        assert not data.covers(newer, tested)
        text = page.render(make_content(information=newer))
        assert 'id="data-metrics.csv"' not in text
        assert 'id="data-matrix.csv"' in text
    fewer = matrices(metrics=metrics.isel(train=slice(1, None)))
    more = page.render(make_content(matrices=fewer))
    assert 'id="data-metrics.csv"' in more


def transfer_table(conditions):
    content = data.transfer(conditions, Microscope(), 50).content
    return pd.read_csv(io.BytesIO(gzip.decompress(base64.b64decode(content))))


def test_the_data_of_transfer_functions_have_further_axes():
    here = Condition(5, 1.2, 15, 100)
    main = ["defocus_nm", "cs_um", "aperture_mrad"]
    plain = transfer_table([here, Condition(5, 1.2, 15, 400)])
    assert list(plain) == [*main, "frequency_per_A", "transfer", "envelope"]
    assert len(plain) == 50
    astigmatic = Condition(5, 1.2, 15, 100, {"astigmatism_nm": 8})
    table = transfer_table([here, astigmatic])
    ends = ["transfer_lowest", "transfer_highest"]
    assert list(table) == [
        *main,
        "astigmatism_nm",
        "frequency_per_A",
        "transfer",
        *ends,
        "envelope",
    ]
    assert table.astigmatism_nm.tolist() == [0] * 50 + [8] * 50
    first, second = table[:50], table[50:]
    for name in ("transfer", *ends):
        np.testing.assert_allclose(first[name], plain.transfer, atol=1e-5)
    q, phi = second.frequency_per_A.to_numpy(), np.linspace(0, np.pi, 181)[:, None]
    T = ctf.transfer(Microscope().optics(astigmatic), q, phi)
    np.testing.assert_allclose(second.transfer_lowest, T.min(0), atol=0.02)
    np.testing.assert_allclose(second.transfer_highest, T.max(0), atol=0.02)


def test_the_data_of_transfer_functions_have_no_axis_of_the_specimen():
    thick = Condition(5, 1.2, 15, 100, {"substrate_thickness_nm": 5})
    slow = Condition(5, 1.2, 15, 100, {"substrate_thickness_nm": 5, "energy_kev": 200})
    table = transfer_table([Condition(5, 1.2, 15, 100), thick, slow])
    assert "substrate_thickness_nm" not in table
    assert table.energy_kev.tolist() == [300] * 50 + [200] * 50
