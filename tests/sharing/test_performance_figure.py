"""The picture of measured Dice over defocus and dose."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from passband.grid import Axes, Condition
from passband.sharing.performance_figure import dice_over_defocus_and_dose

MAIN_AXES = {
    "defocus_nm": [-5, 5, 20],
    "cs_um": [1.2, 60],
    "aperture_mrad": [10, 18],
    "dose_e_per_A2": [100, 1000],
}


def test_each_panel_shows_the_dice_of_its_lens():
    tested = Axes.main.conditions(MAIN_AXES)
    values = np.linspace(0, 1, len(tested))
    dice = xr.DataArray(values, {"test": [c.id for c in tested]}, "test")
    trained = Condition(5, 60, 18, 1000)
    figure = dice_over_defocus_and_dose(dice, trained)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert len(panels) == 4
    for number, panel in enumerate(panels):
        cs, aperture = [(1.2, 10), (1.2, 18), (60, 10), (60, 18)][number]
        assert panel.get_title() == f"Cs {cs:g} µm, aperture {aperture:g} mrad"
        shown = panel.collections[0].get_array().reshape(2, 3)
        for row, dose in enumerate(MAIN_AXES["dose_e_per_A2"]):
            for column, defocus in enumerate(MAIN_AXES["defocus_nm"]):
                id = Condition(defocus, cs, aperture, dose).id
                assert shown[row, column] == dice.sel(test=id).item()
    frames = {panel.get_title(): [p.get_xy() for p in panel.patches] for panel in panels}
    assert frames.pop(panels[3].get_title()) == [(1, 1)]
    assert set(map(tuple, frames.values())) == {()}
    bottom, top = panels[0].get_ylim()
    assert bottom < top  # a higher dose is higher in the picture
    plt.close(figure)


@pytest.mark.slow
def test_condition_that_was_not_tested_is_empty_and_the_training_value_is_shown():
    many = {**MAIN_AXES, "cs_um": [float(value) for value in range(10)]}
    tested = Axes.main.conditions(many)[1:]
    dice = xr.DataArray(np.full(len(tested), 0.5), {"test": [c.id for c in tested]}, "test")
    figure = dice_over_defocus_and_dose(dice, Condition(5, 4, 10, 100))
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    assert len(panels) == 8
    assert "Cs 4 µm, aperture 10 mrad" in panels
    cells = panels["Cs 0 µm, aperture 10 mrad"].collections[0].get_array()
    assert np.ma.getmaskarray(cells).ravel().tolist() == [True] + [False] * 5
    plt.close(figure)


def test_the_title_has_the_networks_own_values_of_further_axes():
    axes = Axes({"energy_kev": 300.0})
    ids = [c.id for c in axes.conditions({**MAIN_AXES, "energy_kev": [200.0]})]
    places = {"test": ids, **axes.coordinates(ids, "test")}
    dice = xr.DataArray(np.full(len(ids), 0.5), places, "test")
    figure = dice_over_defocus_and_dose(dice, Condition.parse(ids[0]))
    assert figure.get_suptitle() == "beam energy 200 keV"
    panels = [ax for ax in figure.axes if ax.get_title()]
    for panel in panels:
        assert not np.ma.getmaskarray(panel.collections[0].get_array()).any()
    assert [len(panel.patches) for panel in panels] == [1, 0, 0, 0]
    plt.close(figure)
