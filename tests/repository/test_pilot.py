"""The pilot's page, its figures, and the figures of prediction, from a small synthetic study."""

import re
import runpy
import shutil
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from figure_data import WIDTHS, check
from matrices import GRID, make_information, make_metrics, make_table
from specimen_pairs import of_specimens, study

from passband.analysis import ood
from passband.analysis import specimen_shift as structure
from passband.config import load
from passband.figures import prediction as figures
from passband.figures import smoothness as smoothness_figure
from passband.figures import style
from passband.prediction.matrix import completion, cross_validation, design, prediction, smoothness
from passband.reports import markdown
from passband.storage import datasets

ROOT = Path(__file__).parents[2]
ENDS = ("train", "test")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of a study of 24 conditions, in files with the workflow's names."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("GROUPS", 3), ("INNER", 2)):
            patch.setattr(cross_validation, name, value)
        for name, value in (("SHARES", (0.3, 0.5)), ("CHOICES", 2)):
            patch.setattr(completion, name, value)
        table = make_table(GRID, make_metrics()[0].dice.values[0, 0, 0], sd_replica=0.01)
        tp, fp, fn = np.moveaxis(table.counts.values, -1, 0)
        table["dice"] = (table.counts.dims[:-2], (2 * tp / (2 * tp + fp + fn)).mean(-1))
        table["val_loss"] = (table.counts.dims[:4], np.zeros(table.counts.shape[:4]))
        information = make_information(table.train.values, table.test.values)
        information["overlap_abs"] = shared = np.abs(information.overlap)
        ones = {f"capacity_{e}": xr.ones_like(information[f"transfer_{e}"]) for e in ENDS}
        with_distances = information.assign(ones | {"shared_capacity": shared})
        metrics = ood.metrics(table, with_distances, 10)
        predicted = prediction.predict(
            metrics,
            information,
            draws=20,
            axes=[cross_validation.CONDITIONS, "defocus_nm"],
            threads=2,
        )
        of = [
            predicted,
            smoothness.monotonicity(metrics, information, 20),
            smoothness.steps(table),
            design.design(metrics, information, predicted),
            completion.completion(metrics, information, 2),
        ]
    folder = tmp_path_factory.mktemp("results")
    attrs = {"configuration": load(ROOT / "studies" / "pilot.yaml").model_dump_json()}
    attrs |= {"passband_version": "9.8", "git_revision": "abcdef"}
    datasets.write(table, folder / "table.zarr", datasets.TABLE, attrs)
    datasets.write(metrics, folder / "ood.zarr", datasets.OOD, attrs)
    whole = xr.merge(of, combine_attrs="drop")
    datasets.write(whole, folder / "prediction.zarr", datasets.PREDICTION, attrs)
    return folder


@pytest.fixture(scope="module")
def predicted(results):
    return datasets.read(results / "prediction.zarr", datasets.PREDICTION)


@pytest.fixture
def pilot(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return runpy.run_path(str(ROOT / "docs" / "pilot.py"))


def test_account_has_the_results_numbers(results, predicted, pilot, tmp_path):
    assert pilot["main"]([str(results), "none", str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# The pilot\n\n*Passband 9.8, git abcdef, made these results.*\n")
    assert "48 networks: 24 training conditions, 2 replicas" in text
    assert not re.search(r"-0\.0+(?!\d)", text)
    of = predicted.sel(part="defocus_nm/both/all", features="ctf", model="stacked").squeeze()
    assert markdown.interval(of, "r2") in text
    assert f"| {float(of.r2):.3f} | {'reached' if of.r2 >= 0.85 else 'missed'} |" in text
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    assert f"| {float(metrics.id.mean()):.3f} ± " in text
    assert f"The error of another replica is {float(of.reach):.3f}." in text
    trained = metrics.dice.where(metrics.train_cs_um == 1.2)
    means = [f"{float(trained.where(metrics.test_cs_um == cs).mean()):.3f}" for cs in (1.2, 1000)]
    assert f"| **1.2** | {' | '.join(means)} |" in text
    assert "scatters to 8.4 mrad" not in text  # no narrower aperture exists
    assert "nan" not in text
    assert "## Other test specimens" not in text  # the study has none
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert pictures
    for name in pictures:
        assert (tmp_path / name).exists()
    copy = datasets.read(tmp_path / "ood.zarr.zip", datasets.OOD)
    np.testing.assert_allclose(copy.dice, metrics.dice, rtol=1e-6)
    # The figures can be drawn again from what is beside the page.
    before = {name: (tmp_path / name).read_bytes() for name in pictures}
    assert set(before) == {"matrix.png", "prediction.png", "smoothness.png", "design.png"}
    for name in before:
        (tmp_path / name).unlink()
    assert pilot["main"](["--redraw", str(tmp_path)]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in pictures} == before


def test_account_leaves_out_what_was_not_predicted(results, pilot, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("table.zarr", "ood.zarr"):
        (bare / name).symlink_to(results / name)
    assert pilot["main"]([str(bare), "none", str(tmp_path / "docs")]) == 0
    text = (tmp_path / "docs" / "README.md").read_text(encoding="utf-8")
    assert "## In and out of distribution" in text
    assert "## Prediction" not in text
    assert re.findall(r"\w+\.png", text) == ["matrix.png"]
    assert [path.name for path in (tmp_path / "docs").glob("*.png")] == ["matrix.png"]


@pytest.fixture
def effects(pilot):
    """The function with the table of effects, whose module the script imports."""
    return import_module("pilot_specimens").effects


def test_account_has_the_effect_of_other_specimens(results, pilot, effects, tmp_path):
    metrics, information, distances = study(of_specimens, noise=0.01)
    folder = tmp_path / "specimens"
    attrs = {"configuration": "{}"}
    datasets.write(metrics, folder / "ood.zarr", datasets.OOD, attrs)
    datasets.write(information, folder / "information.zarr", datasets.INFORMATION, attrs)
    datasets.write(distances, folder / "distances.zarr", datasets.DISTANCES, attrs)
    assert pilot["main"]([str(results), str(folder), str(tmp_path / "docs")]) == 0
    text = (tmp_path / "docs" / "README.md").read_text(encoding="utf-8")
    found = structure.explained(metrics, information, distances)
    assert set(effects(found).splitlines()) <= set(text.splitlines())
    low, high = found.rho_interval.sel(shift="structure", predictor="frechet").values
    rho = float(found.rho.sel(shift="structure", predictor="frechet"))
    assert f"`frechet`, ρ = {rho:.2f} ({low:.2f} to {high:.2f}), if only the specimen" in text
    assert "| gold | 0.900 |" in text
    assert (tmp_path / "docs" / "structure.png").exists()


def test_account_without_results_is_one_line(pilot, tmp_path, capsys):
    assert pilot["main"]([str(tmp_path), "none", str(tmp_path / "docs")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "docs").exists()


def test_the_matrix_is_drawn_again_from_the_metrics_beside_the_page(pilot, tmp_path):
    shutil.copy(ROOT / "docs/pilot/ood.zarr.zip", tmp_path)
    assert pilot["main"](["--redraw", str(tmp_path)]) == 0
    drawn, committed = (
        plt.imread(folder / "matrix.png") for folder in (tmp_path, ROOT / "docs/pilot")
    )
    assert drawn.shape == committed.shape
    assert np.abs(drawn - committed).mean() < 0.02


def single_points(ax):
    """Return the (x, y) of the lines of a panel that are single points."""
    points = [line.get_data() for line in ax.lines if line.get_marker() != "None"]
    return [(float(np.ravel(x)[0]), float(np.ravel(y)[0])) for x, y in points]


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_prediction_has_a_dot_for_each_level(predicted, width_cm):
    figure = check(figures.prediction(predicted, "viridis", width_cm), width_cm)
    _, single, compared = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    of = predicted.sel(features="ctf", model="stacked").squeeze()
    # A row for each level, with a dot for each side that is held out.
    found = single_points(single)
    assert len({y for _, y in found}) == len(found) == of.sizes["part"]
    assert sorted(x for x, _ in found) == pytest.approx(sorted(of.r2.values))
    names = [text.get_text() for text in single.get_yticklabels()]
    levels = ["5 nm", "15 nm", "25 nm"]
    assert names == ["groups of conditions", "group 1", "group 2", "group 3", "defocus", *levels]
    # A row for each set of features, with a dot for each axis, all held out as both.
    sets = [f for f in ("ctf", "raw", "id") if f in predicted.features.values]
    expected = [
        float(predicted.r2.sel(part=f"{axis}/both/all", features=f, model="stacked").squeeze())
        for f in sets
        for axis in ("conditions", "defocus_nm")
    ]
    found = single_points(compared)
    assert [x for x, _ in found] == pytest.approx(expected)
    assert len({y for _, y in found}) == len(found)
    names = [text.get_text() for text in compared.get_yticklabels()]
    assert names == [figures.FEATURES[f] for f in sets]
    plt.close(figure)


def test_a_score_below_the_axis_is_an_arrow_at_its_edge(predicted):
    low = predicted.copy(deep=True)
    low.r2.loc[{"features": "raw", "part": "defocus_nm/both/all"}] = -7
    figure = figures.prediction(low, "viridis")
    _, _, compared = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    assert compared.get_legend().get_title().get_text() == "sets of features"
    (arrow,) = (line for line in compared.lines if line.get_marker() == 8)
    assert np.ravel(arrow.get_xdata()) == [-1]
    assert compared.get_xlim()[0] < -1
    plt.close(figure)


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_smoothness_shows_steps_beside_their_noise(predicted, width_cm):
    figure = check(smoothness_figure.smoothness(predicted, "viridis", width_cm), width_cm)
    above, below = figure.axes
    of = predicted.squeeze()
    drawn = {line.get_label(): line.get_ydata() for line in above.lines}
    for name, (value, end) in {
        "step, networks": ("step", "train"),
        "off a line, test conditions": ("bend", "test"),
    }.items():
        np.testing.assert_allclose(drawn[name], of[value].sel(step_end=end))
    np.testing.assert_allclose(drawn["noise alone"], of.step_noise.sel(step_end="train"))
    names = [text.get_text() for text in below.get_yticklabels()]
    assert names == [style.METRICS[name] for name in of.metric.values]
    plt.close(figure)


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_figure_of_design_shows_every_strategy(predicted, width_cm):
    figure = check(figures.design(predicted, "viridis", width_cm), width_cm)
    of = predicted.squeeze().design.sel(worth="worst")
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(drawn["chosen by predicted Dice"], of.sel(strategy="predicted"))
    np.testing.assert_allclose(drawn["chosen by coverage"], of.sel(strategy="coverage"))
    plt.close(figure)


def test_account_says_which_apertures_pass_no_fringe(pilot):
    configuration = load(ROOT / "studies" / "pilot.yaml").model_dump_json()
    metrics = xr.Dataset(
        coords={"train_aperture_mrad": ("train", [6.0, 9.0]), "specimen": ["gold"]},
        attrs={"configuration": configuration},
    )
    # Bragg's law by hand: 1.9687 pm over 4.078 Å/√3.
    assert "2.35 Å of its {111} planes, scatters to 8.4 mrad. So an aperture of 6 mrad" in " ".join(
        pilot["fringes"](metrics, None)
    )


def test_effects_of_specimens_have_a_row_for_each_predictor_and_source(effects):
    text = effects(structure.explained(*study(of_specimens), draws=50))
    assert "| ρ of overlap_abs | 0." not in text
    row = next(line for line in text.splitlines() if line.startswith("| ρ of overlap_abs"))
    assert row.split(" | ")[2] == "constant"
    assert "| variance between specimens | " in text
    assert "100%" in text
    assert "| cells | 240 | 144 | 720 |" in text
