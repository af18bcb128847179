"""The content of figures that are drawn from small synthetic data."""

from dataclasses import replace
from string import ascii_lowercase

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_data import (
    GRID,
    ONE,
    WIDTHS,
    check,
    drawn,
    letters,
    make_information,
    make_ood,
    panels,
    words,
)
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from PIL import Image
from scipy.stats import spearmanr

from passband.axes import MAIN_AXES
from passband.figures import generalization, style
from passband.figures import images as image_figures
from passband.figures import outlines as example_figures
from passband.figures import transfer_functions as transfer_figures
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.optics import ctf

# Names and files


def test_label_has_every_parameter_with_its_unit():
    condition = Condition(20, 1.2, 18, 400)
    assert style.condition_label(condition) == "20 nm · 1.2 µm · 18 mrad · 400 e/Å²"
    axes = Axes({"astigmatism_nm": 0, "mtf_nyquist": 0.5})
    assert style.condition_label(replace(condition, axes=axes)).endswith(
        "400 e/Å² · astigmatism 0 nm · MTF at the Nyquist frequency 0.5"
    )
    assert (
        style.condition_label(Condition(-7.5, 0, 10, 0.5)) == "−7.5 nm · 0 µm · 10 mrad · 0.5 e/Å²"
    )


def test_save_writes_every_format(tmp_path):
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.set_title("a title")
    paths = [tmp_path / "new" / "a.png", tmp_path / "new" / "a.svg"]
    style.save(figure, paths, dpi=100)
    with Image.open(paths[0]) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((100, 100), abs=0.1)
    assert paths[1].read_text().startswith("<?xml")
    assert paths[1].read_text().rstrip().endswith("</svg>")
    assert sorted(paths[0].parent.iterdir()) == paths
    assert not plt.get_fignums()


def test_save_leaves_no_part_of_a_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    figure, _ = plt.subplots()
    (tmp_path / "a.png").write_text("old")

    def torn(path, **options):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", torn)
    for name in ("a.png", "b.png"):
        with pytest.raises(OSError, match="disk full"):
            style.save(figure, [tmp_path / name], 100)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "old"
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("number", "shown"), [(1, [0]), (4, [0, 1, 2, 3]), (5, [0, 1, 3, 4]), (9, [0, 3, 5, 8])]
)
def test_spread_keeps_the_ends(number, shown):
    assert style.evenly_spaced(list(range(number))[::-1]) == shown


# Transfer functions


def of_label(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


SPACINGS = {"gold": [2.35, 2.04, 1.44]}


@pytest.mark.parametrize("width_cm", WIDTHS)
@pytest.mark.parametrize("grid", [GRID, ONE], ids=["grid", "one condition"])
def test_ctf_lines_are_the_transfer_and_its_envelope(grid, width_cm, microscope):
    figure = transfer_figures.ctf_curves(Axes.main.conditions(grid), microscope, SPACINGS, width_cm)
    check(figure, width_cm)
    most = 2 if width_cm < 10 else 4
    shown = style.evenly_spaced(grid["defocus_nm"], most)
    pairs = [(cs, defocus) for cs in grid["cs_um"] for defocus in shown]
    assert len(figure.axes) == len(pairs)
    titles = [ax.get_title() for ax in figure.axes[: len(shown)]]
    assert titles == [f"defocus {style.number(defocus)} nm" for defocus in shown]
    for ax, (cs, defocus) in zip(figure.axes, pairs, strict=True):
        widest = max(grid["aperture_mrad"])
        optics = microscope.optics(Condition(defocus, cs, widest, 100))
        for label, function in (
            (f"transfer T(q), aperture {widest:g} mrad", ctf.transfer),
            ("envelope", ctf.envelope),
        ):
            (line,) = of_label(ax, label)
            q, values = line.get_data()
            assert q[0] == 0
            assert q[-1] == pytest.approx(microscope.sampling.cutoff)
            np.testing.assert_allclose(values, function(optics, q), atol=1e-12)
            low, high = ax.get_ylim()
            assert low <= values.min() <= values.max() <= high
        # The frequency axis ends a little beyond the widest aperture.
        cut = widest * 1e-3 / ctf.wavelength(300e3)
        assert 1.05 * cut < ax.get_xlim()[1] < 1.2 * cut
    assert words(figure.axes[len(shown) - 1]) == [f"Cs {style.number(grid['cs_um'][0])} µm"]
    assert "atoms are dark below 0" in figure.get_supylabel()
    assert letters(figure) == list(ascii_lowercase[: len(pairs)]) * (len(pairs) > 1)


def test_atoms_are_dark_if_the_transfer_is_negative(microscope):
    """The image of a weak phase object with a peak is dark there at a small underfocus."""
    optics = microscope.optics(Condition(10, 1.2, 15, 100))
    q = np.linspace(0.01, 0.3, 50)
    assert (ctf.transfer(optics, q) < 0).all()
    x = np.linspace(-5, 5, 101)
    contrast = 2 * sum(
        t * np.cos(2 * np.pi * f * x) for f, t in zip(q, ctf.transfer(optics, q), strict=True)
    )
    assert x[contrast.argmin()] == pytest.approx(0, abs=0.01)


def test_ctf_has_lines_where_narrower_apertures_cut_and_at_lattice_spacings(microscope):
    grid = GRID | {"aperture_mrad": [5.0, 10.0, 15.0]}
    figure = transfer_figures.ctf_curves(Axes.main.conditions(grid), microscope, SPACINGS)
    wavelength = ctf.wavelength(300e3)
    assert figure.axes
    for ax in figure.axes:
        upright = [line for line in ax.lines if np.ptp(line.get_xdata()) == 0]
        at = [line.get_xdata()[0] for line in upright]
        expected = [*(np.array([5, 10]) * 1e-3 / wavelength), 1 / 2.35, 1 / 2.04, 1 / 1.44]
        assert at == pytest.approx(expected)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "envelope",
        "transfer T(q), aperture 15 mrad",
        "narrower apertures end: 5, 10 mrad",
        "lattice spacings of gold: 2.35, 2.04, 1.44 Å",
    ]


def test_ctf_of_one_aperture_without_spacings_has_no_upright_line(microscope):
    figure = transfer_figures.ctf_curves(
        Axes.main.conditions(GRID | {"aperture_mrad": [15.0]}), microscope
    )
    assert not [x for ax in figure.axes for x in ax.lines if np.ptp(x.get_xdata()) == 0]
    assert len(figure.legends[0].get_texts()) == 2


@pytest.mark.slow
def test_ctf_has_each_lens_of_further_axes(microscope):
    """A lens that is not round has an area from the lowest to the highest transfer."""
    further = {"astigmatism_nm": [0.0, 8.0], "astigmatism_deg": [0.0, 45.0], "vibration_A": [0, 1]}
    own = Axes({"astigmatism_nm": 0.0, "astigmatism_deg": 0.0, "vibration_A": 0.0})
    figure = transfer_figures.ctf_curves(own.conditions(GRID | further), microscope)
    check(figure, style.PAGE_CM)
    (legend,) = figure.legends
    start = f"transfer T(q), aperture {max(GRID['aperture_mrad']):g} mrad, "
    named = [text.get_text() for text in legend.get_texts() if "transfer" in text.get_text()]
    assert named == [
        f"{start}astigmatism {length} nm, azimuth of astigmatism {azimuth} °"
        for length, azimuth in ((0, 0), (8, 0), (8, 45))
    ]
    assert "areas: range over azimuths" in figure.get_supylabel()
    # The lenses are in the order of their values, and not in the order of their ids.
    both = {"astigmatism_nm": [0.0, 8.0], "focal_spread_nm": [3.0, 6.0]}
    own_spread = Axes({"astigmatism_nm": 0.0, "focal_spread_nm": microscope.focal_spread_nm})
    other = transfer_figures.ctf_curves(own_spread.conditions(GRID | both), microscope)
    listed = [text.get_text() for text in other.legends[0].get_texts()[1:5]]
    assert [each.partition("mrad, ")[2] for each in listed] == [
        f"astigmatism {a} nm, focal spread {f} nm" for a in (0, 8) for f in (3, 6)
    ]
    defocus, cs = GRID["defocus_nm"][0], GRID["cs_um"][0]
    ax = figure.axes[0]
    (line,) = of_label(ax, named[0])
    q = line.get_xdata()
    lens = Condition(defocus, cs, max(GRID["aperture_mrad"]), 1)
    np.testing.assert_allclose(line.get_ydata(), ctf.transfer(microscope.optics(lens), q))
    (area,) = [c for c in ax.collections if c.get_label() == named[1]]
    optics = microscope.optics(replace(lens, further={"astigmatism_nm": 8}))
    azimuths = np.linspace(0, np.pi, 200)[:, None]
    T = ctf.transfer(optics, q, azimuths)
    found = area.get_paths()[0].vertices
    at = found[np.isclose(found[:, 0], q[500])][:, 1]
    np.testing.assert_allclose([at.min(), at.max()], [T.min(0)[500], T.max(0)[500]], atol=0.01)


def test_ctf_has_each_beam_energy_and_no_axis_of_the_specimen(microscope):
    own = Axes({"energy_kev": 300.0, "substrate_thickness_nm": 1.0})
    grid = own.conditions(GRID | {"energy_kev": [200, 300], "substrate_thickness_nm": [1, 5]})
    figure = transfer_figures.ctf_curves(grid, microscope)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    ends = [text.partition("mrad, ")[2] for text in named if text.startswith("transfer")]
    assert ends == ["beam energy 200 keV", "beam energy 300 keV"]
    # The curve of the shortest wavelength ends within the figure.
    limit = max(GRID["aperture_mrad"]) * 1e-3 / ctf.wavelength(300e3)
    assert limit < figure.axes[0].get_xlim()[1] < 1.2 * limit


@pytest.mark.slow
def test_ctf_shows_four_of_many_values(microscope):
    grid = ONE | {"defocus_nm": list(range(-20, 50, 10)), "cs_um": [1, 2, 3, 4, 5]}
    figure = transfer_figures.ctf_curves(Axes.main.conditions(grid), microscope)
    assert len(figure.axes) == 16
    titles = [ax.get_title().split()[1] for ax in figure.axes[:4]]
    assert titles == ["−20", "0", "20", "40"]
    named = [words(ax)[0] for ax in figure.axes[3::4]]
    assert named == ["Cs 1 µm", "Cs 2 µm", "Cs 4 µm", "Cs 5 µm"]


# Dice over information metrics

METRICS = ("overlap", "overlap_abs", "coverage")
WORDS = ["overlap σ", "overlap σ of |T|", "coverage κ"]


def dice_panels(figure):
    return [ax for ax in figure.axes[1:] if ax.axison]


def points(ax):
    (found,) = (c for c in ax.collections if isinstance(c, PathCollection))
    return found.get_offsets()


def rhos(figure):
    """Return Spearman's ρ with the axes (weights, all pairs or pairs of equal dose, metrics)."""
    return np.reshape([c.get_offsets()[:, 0] for c in figure.axes[0].collections], (-1, 2, 3))


@pytest.mark.slow
def test_metrics_are_pairs_of_different_conditions_that_exist():
    data = make_ood()
    data.dice[..., 1, 2:4] = np.nan  # two pairs of different conditions
    information = make_information(data, ("flat", "gold"))
    figure = drawn(generalization.metrics(matrices(metrics=data), information))
    assert len(dice_panels(figure)) == 2
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == WORDS
    M = data.dice.squeeze().values
    n = len(M)
    good = np.isfinite(M) & ~np.eye(n, dtype=bool)
    same = (data.train_dose_e_per_A2.values[:, None] == data.test_dose_e_per_A2.values) & good
    assert good.sum() == n * n - n - 2
    weights = ("flat", "gold")
    for ax, weight, found in zip(dice_panels(figure), weights, rhos(figure), strict=True):
        of = information.sel(weight=weight)
        for pairs, row in zip((good, same), found, strict=True):
            expected = [spearmanr(of[name].values[pairs], M[pairs]).statistic for name in METRICS]
            np.testing.assert_allclose(row, expected)
        best = METRICS[np.abs(found[0]).argmax()]
        assert ax.get_xlabel() == WORDS[METRICS.index(best)]
        shown = points(ax)
        assert len(shown) == good.sum()
        expected = np.stack([of[best].values[good], M[good]], axis=1)
        np.testing.assert_allclose(shown[np.lexsort(shown.T)], expected[np.lexsort(expected.T)])
        every, equal = found[:, np.abs(found[0]).argmax()]
        every, equal = (style.number(rho, "z.2f") for rho in (every, equal))
        assert ax.get_title() == (
            f"{style.weight_words(weight)}\nρ = {every} (n = {good.sum()})\n"
            f"equal dose: ρ = {equal}\n(n = {same.sum()})"
        )


def test_metrics_are_all_that_compare_pairs_with_their_units():
    data = make_ood()
    information = make_information(data)
    information["transfer_train"] = ("weight", "train"), np.ones((1, data.sizes["train"]))
    bits = information.coverage.copy(data=data.dice.squeeze().values[None])
    information["shared_capacity"] = bits.assign_attrs(units="bits/Å²")
    figure = drawn(generalization.metrics(matrices(metrics=data), information))
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == [*WORDS, "shared capacity C"]
    assert figure.axes[1].get_xlabel() == "shared capacity C [bits/Å²]"
    assert figure.axes[1].get_title().startswith("weight: all frequencies equal\nρ = 1.00")


def test_metrics_have_the_colour_of_the_ratio_of_doses():
    grid = ONE | {"defocus_nm": [5.0, 10.0], "dose_e_per_A2": [0.3, 3, 30]}
    data = make_ood(grid)
    figure = drawn(generalization.metrics(matrices(metrics=data), make_information(data)))
    (found,) = (c for c in figure.axes[1].collections if isinstance(c, PathCollection))
    assert sorted({round(float(ratio), 6) for ratio in found.get_array()}) == [-2, -1, 0, 1, 2]
    (bar,) = figure.axes[-1].child_axes
    assert bar.get_xlabel() == "dose in the test / dose in the training"
    assert [text.get_text() for text in bar.get_xticklabels()] == ["0.01", "1", "100"]


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
@pytest.mark.parametrize("weights", [("flat",), ("flat", "gold", "silver")])
def test_metrics_can_be_read(weights, width_cm):
    data = make_ood(specimens=("gold", "silver"))
    figure = generalization.metrics(
        matrices(metrics=data), make_information(data, weights), width_cm
    )
    check(figure, width_cm)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [*map(style.weight_words, weights), "open: at equal dose"]
    assert letters(figure) == list("abcd"[: 1 + len(weights)])
    assert {ax.get_ylabel() for ax in dice_panels(figure)} == {"mean Dice"}


@pytest.mark.slow
def test_a_metric_without_words_has_its_name():
    data = make_ood()
    information = make_information(data).rename(overlap="mine")
    figure = drawn(generalization.metrics(matrices(metrics=data), information))
    assert figure.axes[0].get_yticklabels()[0].get_text() == "mine"


def test_metrics_meet_dice_by_name_not_by_place():
    data = make_ood()
    information = make_information(data)
    turned = information.isel(train=slice(None, None, -1)).transpose("test", "train", "weight")
    found = [rhos(generalization.metrics(matrices(metrics=data), i)) for i in (information, turned)]
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_metrics_of_constant_dice_have_no_correlation():
    data = make_ood()
    data.dice[:] = 0.5
    figure = drawn(generalization.metrics(matrices(metrics=data), make_information(data)))
    assert figure.axes[1].get_title() == (
        "weight: all frequencies equal\nρ undefined (n = 552)\nequal dose: ρ undefined\n(n = 264)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("missing", [False, True], ids=["one condition", "nothing"])
def test_metrics_without_pairs_are_empty(missing):
    data = make_ood(GRID if missing else ONE)
    if missing:
        data.dice[:] = np.nan
    figure = drawn(generalization.metrics(matrices(metrics=data), make_information(data)))
    assert not sum(len(c.get_offsets()) for c in figure.axes[1].collections)
    assert figure.axes[1].get_title().endswith("\nno pairs of different conditions")
    check(figure, style.PAGE_CM)


@pytest.mark.slow
def test_metrics_weighted_by_a_specimen_are_of_its_networks():
    data = make_ood(specimens=("gold", "silver"))
    information = make_information(data, ("flat", "gold", "silver"))
    figure = drawn(generalization.metrics(matrices(metrics=data), information))
    pairs = 24 * 23
    assert [len(points(ax)) for ax in dice_panels(figure)] == [2 * pairs, pairs, pairs]
    M = data.dice.sel(specimen="silver", test_specimen="silver").squeeze().values
    other = ~np.eye(24, dtype=bool)
    x = information.overlap.sel(weight="silver").values
    assert rhos(figure)[2, 0, 0] == pytest.approx(spearmanr(x[other], M[other]).statistic)


# Decay


def value_of(text):
    return float(text.replace("−", "-"))


def lines(ax):
    """Return the (x, y) of each training value's line, by the labels in the legend."""
    drawn_lines = {line.get_label(): np.transpose(line.get_data()) for line in ax.lines}
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    return {value_of(name): drawn_lines[name] for name in names}


def own(ax):
    """Return mean Dice in distribution and the colour of its marker, by the training value."""
    marked = [line for line in ax.lines if line.get_label().startswith("_")]
    return {
        float(np.ravel(line.get_xdata())[0]): (np.ravel(line.get_ydata())[0], line.get_color())
        for line in marked
        if len(np.ravel(line.get_xdata())) == 1
    }


def differ_only_in(data, axis):
    """Return which pairs (train, test) have equal values of all other axes, as a bool array."""
    return np.logical_and.reduce(
        [
            data[f"train_{o}"].values[:, None] == data[f"test_{o}"].values
            for o in MAIN_AXES
            if o != axis
        ]
    )


def mean_over_matching(data, axis, train, test):
    """Return M, averaged over specimens, architectures and pairs of equal values."""
    of = (data[f"train_{axis}"].values[:, None] == train) & (data[f"test_{axis}"].values == test)
    pairs = of & differ_only_in(data, axis)
    # On the specimen that a network was trained on.
    own = [data.dice.values[k, :, k][:, pairs] for k in range(data.sizes["specimen"])]
    return np.nanmean(own)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"specimens": ("gold", "silver"), "architectures": ("a", "b")},
        {"test": GRID | {"defocus_nm": [-10.0, 0.0, 20.0], "dose_e_per_A2": [100.0, 1000, 9000]}},
    ],
    ids=["grid", "specimens", "test grid"],
)
def test_decay_is_the_mean_over_pairs_that_share_the_rest(options):
    data = make_ood(**options)
    data.dice[..., 0, 0] = np.nan
    figure = drawn(generalization.decay(matrices(metrics=data)))
    assert len(figure.axes) == 4
    assert [ax.get_ylabel() for ax in figure.axes] == ["mean Dice", "", "", ""]
    for ax, axis in zip(figure.axes, MAIN_AXES.values(), strict=True):
        assert ax.get_xlabel() == f"tested at {axis.label} [{axis.unit}]"
        train, test = (sorted({*data[f"{d}_{axis.name}"].values}) for d in ("train", "test"))
        found = lines(ax)
        assert list(found) == train
        for value, line in found.items():
            assert line[:, 0].tolist() == test
            expected = [mean_over_matching(data, axis.name, value, t) for t in test]
            np.testing.assert_allclose(line[:, 1], expected)
        marked = own(ax)
        assert list(marked) == [value for value in train if value in test]
        named = [line.get_color() for line in ax.lines if line.get_label()[0] != "_"]
        colours = dict(zip(found, named, strict=True))
        for value, (y, colour) in marked.items():
            assert y == pytest.approx(mean_over_matching(data, axis.name, value, value))
            assert colour == colours[value]
        number = len(options.get("specimens", "1")) * len(options.get("architectures", "1"))
        alike = differ_only_in(data, axis.name).sum()
        title = ax.get_legend().get_title().get_text()
        assert title == f"trained at [{axis.unit}], n = {number * alike // len(train) // len(test)}"


def test_bands_of_decay_are_intervals_of_the_mean():
    random = np.random.default_rng(0)
    values = random.normal(0.5, 0.1, 100)
    low, high = generalization._interval(values)
    expected = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - expected, abs=0.004)
    assert high == pytest.approx(values.mean() + expected, abs=0.004)
    assert generalization._interval(np.array([0.5])).tolist() == [0.5, 0.5]


@pytest.mark.slow
def test_decay_axis_is_logarithmic_over_a_wide_positive_range():
    figure = drawn(generalization.decay(matrices(metrics=make_ood())))
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log", "linear", "log"]
    ticks = [[text.get_text() for text in ax.get_xticklabels()] for ax in figure.axes]
    assert ticks == [["−10", "5", "20"], ["1.2", "60"], ["10", "15"], ["100", "1000"]]


@pytest.mark.slow
def test_decay_of_one_condition_is_a_point_in_each_panel():
    data = make_ood(ONE)
    figure = drawn(generalization.decay(matrices(metrics=data)))
    for ax, values in zip(figure.axes, ONE.values(), strict=True):
        assert {value: y for value, (y, _) in own(ax).items()} == {values[0]: data.dice.item()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.2, 34.641, 1000], "log"),
        ([0, 1.2, 1000], "symlog"),
        ([-1000, -1.2, 60], "symlog"),
        ([-10, 0, 10], "linear"),
        ([10, 12, 15], "linear"),
    ],
)
def test_decay_over_cs_has_a_scale_on_which_values_are_apart(values, scale):
    figure = drawn(generalization.decay(matrices(metrics=make_ood(ONE | {"cs_um": values}))))
    # Other parameters have one value, and no panel.
    (ax,) = figure.axes
    assert ax.get_xscale() == scale
    place = np.sort(
        ax.transAxes.inverted().transform(ax.transData.transform([(v, 0) for v in values])), 0
    )[:, 0]
    assert place[0] > 0.02
    assert place[-1] < 0.98
    assert np.diff(place).min() > 0.1


def test_decay_has_a_panel_for_a_further_axis():
    axes = Axes({"astigmatism_nm": 0})
    varied = ONE | {"defocus_nm": [5.0, 20.0], "astigmatism_nm": [0.0, 5.0]}
    ids = [condition.id for condition in axes.conditions(varied)]
    data = make_ood(ids)
    sides = (axes.coordinates(ids, side) for side in ("train", "test"))
    data = data.assign_coords({name: one for side in sides for name, one in side.items()})
    figure = drawn(generalization.decay(matrices(metrics=data)))
    names = [ax.get_xlabel().split()[2] for ax in figure.axes]
    assert names == ["defocus", "astigmatism"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decay", "metrics"])
def test_mixtures_are_left_out(name):
    data = make_ood()
    mixed = ["all-0123abcd", *data.train.values[1:].tolist()]
    renamed = data.drop_vars([n for n in data.coords if str(n).startswith("train")])
    renamed = renamed.assign_coords({"train": mixed} | Axes.main.coordinates(mixed, "train"))
    information = () if name == "decay" else (make_information(data),)
    draw = getattr(generalization, name)
    found, expected = (
        draw(matrices(metrics=each), *information)
        for each in (renamed, data.isel(train=slice(1, None)))
    )
    assert pixels(found) == pixels(expected)


def pixels(figure):
    """Return what is drawn, as bytes."""
    figure.canvas.draw()
    return bytes(figure.canvas.buffer_rgba())


@pytest.mark.slow
def test_decay_starts_where_the_data_start():
    data = make_ood()
    data["dice"] = 0.54 + 0.01 * data.dice
    low, high = drawn(generalization.decay(matrices(metrics=data))).axes[0].get_ylim()
    assert low == pytest.approx(0.48)
    assert high == pytest.approx(1.02)


@pytest.mark.slow
@pytest.mark.parametrize("width_cm", WIDTHS)
def test_decay_can_be_read(width_cm):
    grid = {
        "defocus_nm": list(range(-20, 30, 5)),
        "cs_um": [-10, 1.2, 60, 1000, 2000],
        "aperture_mrad": [5, 10],
        "dose_e_per_A2": [30, 1600],
    }
    check(generalization.decay(matrices(metrics=make_ood(grid)), width_cm), width_cm)


def test_decay_draws_six_of_many_training_values():
    data = make_ood(ONE | {"defocus_nm": list(range(-40, 50, 10))})
    ax = generalization.decay(matrices(metrics=data)).axes[0]
    assert list(lines(ax)) == [-40, -20, -10, 10, 20, 40]
    assert all(len(line) == 9 for line in lines(ax).values())


@pytest.mark.slow
@pytest.mark.parametrize("why", ["missing", "apart"])
def test_decay_without_pairs_is_empty(why):
    if why == "missing":
        data = make_ood()
        data.dice[:] = np.nan
    else:  # no two conditions share three parameters
        data = make_ood(ONE, {axis: [2 * values[0]] for axis, values in ONE.items()})
    figure = drawn(generalization.decay(matrices(metrics=data)))
    assert not [line for ax in figure.axes for line in ax.lines if len(line.get_xdata())]


# Examples

PX = 32


def make_examples():
    """Two structures, a disc and an empty one; predictions are right, missing, or everywhere."""
    x = np.arange(PX)
    disc = np.hypot(x[:, None] - 10, x[None, :] - 20) < 6
    masks = np.stack([disc, np.zeros_like(disc)]).astype(float)
    train, other = Condition(5, 1.2, 15, 1000).id, Condition(20, 60, 15, 100).id
    random = np.random.default_rng(0)
    images = {id: random.poisson(50, (2, PX, PX)) for id in (train, other)}
    predictions = {
        train: np.stack([disc, ~disc]),
        other: np.stack([np.zeros_like(disc), np.ones_like(disc)]),
    }
    scores = {train: np.array([1.0, 0.126]), other: np.array([0.0, 0.5])}
    labels = {id: style.condition_label(Condition.parse(id)) for id in images}
    return {
        "images": images,
        "predictions": predictions,
        "masks": dict.fromkeys(images, masks),
        "scores": scores,
        "train": train,
        "pixel_size_A": dict.fromkeys(images, 0.5),
        "there": {},
        "labels": labels,
    }


def examples(given, width_cm=style.PAGE_CM):
    return example_figures.examples(example_figures.Examples(**given), width_cm)


def outlines(ax):
    named = {style.TRUTH: "truth", style.OWN: "own", style.OTHER: "other"}
    named = {to_hex(colour): name for colour, name in named.items()}
    found = [c.get_edgecolor()[0] for c in ax.collections if isinstance(c, ContourSet)]
    return [named[to_hex(colour)] for colour in found]


def test_examples_are_of_the_training_condition_and_the_worst_at_its_dose_and_of_all():
    grid = ONE | {"defocus_nm": [5.0, 10.0, 20.0], "dose_e_per_A2": [100.0, 1000.0]}
    data = make_ood(grid)
    # by defocus, at each dose
    low = [0.5, 0.4, 0.7]
    high = [0.9, 0.8, 0.6]
    data.dice[..., 3, :] = np.stack([low, high], -1).ravel()
    (of,) = matrices(metrics=data)
    own = of.train[3]
    assert (own.defocus_nm, own.dose_e_per_A2) == (10, 1000)
    shown = example_figures.shown_conditions(of, own.id)
    assert [(c.defocus_nm, c.dose_e_per_A2) for c in shown] == [(10, 1000), (20, 1000), (10, 100)]
    data.dice[..., 3, 3] = 0.1
    assert example_figures.shown_conditions(*matrices(metrics=data), own.id) == [own]


def test_examples_outline_truth_and_prediction_where_there_is_one():
    figure = drawn(examples(make_examples()))
    first, second, third, fourth = figure.axes  # rows are structures, columns conditions
    assert outlines(first) == ["truth", "own"]
    assert outlines(second) == ["truth"]  # nothing predicted
    assert outlines(third) == ["own"]  # nothing there
    assert outlines(fourth) == []  # nothing there, everything predicted


def test_examples_outlines_lie_on_the_particle():
    given = make_examples()
    ax = examples(given).axes[0]
    drawn_contours = [c for c in ax.collections if isinstance(c, ContourSet)]
    assert len(drawn_contours) == 2  # the truth, and the network's own
    for contours in drawn_contours:
        (path,) = contours.get_paths()
        centre = (path.vertices.min(0) + path.vertices.max(0)) / 2
        assert centre == pytest.approx([10.5 * 0.05, 20.5 * 0.05], abs=0.05)  # nm
        assert np.ptp(path.vertices, axis=0) == pytest.approx([0.6, 0.6], abs=0.1)


def test_examples_show_each_image_with_its_score():
    given = make_examples()
    figure = drawn(examples(given))
    shown = [(id, n) for n in range(2) for id in given["images"]]
    for ax, (id, n) in zip(figure.axes, shown, strict=True):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), given["images"][id][n].T)
        assert image.get_extent() == [0, 1.6, 0, 1.6]
        assert (*ax.get_xlim(), *ax.get_ylim()) == pytest.approx((0, 1.6, 0, 1.6))
        assert f"Dice {given['scores'][id][n]:.2f}" in [text.get_text() for text in ax.texts]
    titles = [ax.get_title() for ax in figure.axes[:2]]
    assert titles == [
        "trained and tested at\n5 nm · 1.2 µm · 15 mrad · 1000 e/Å²",
        "tested at\n20 nm · 60 µm · 15 mrad · 100 e/Å²",
    ]


def test_examples_show_the_network_that_was_trained_there_in_the_same_column():
    given = make_examples()
    other = next(id for id in given["images"] if id != given["train"])
    disc = given["masks"][other][0].astype(bool)
    there = {other: (np.stack([disc, disc]), np.array([0.91, 0.42]))}
    figure = drawn(examples(given | {"there": there}))
    first, second, _, fourth = figure.axes
    assert outlines(first) == ["truth", "own"]
    assert outlines(second) == ["truth", "own"]  # the shown network predicts nothing here
    assert outlines(fourth) == ["own"]
    dashed = [
        c.get_linestyle()[0][1] is not None for c in (*first.collections, *second.collections)
    ]
    assert dashed == [False, False, False, True]
    assert words(second) == ["Dice 0.00", "Dice 0.91"]
    colours = [to_hex(text.get_bbox_patch().get_facecolor()) for text in second.texts[:2]]
    assert letters(figure) == ["a", "b"]
    assert colours == [to_hex(style.OTHER), to_hex(style.OWN)]


def test_examples_have_no_entry_for_lines_that_are_nowhere():
    given = make_examples()
    train = given["train"]

    def entries(**changes):
        (legend,) = examples(given | changes).legends
        return [text.get_text() for text in legend.get_texts()]

    truth, own, other = entries()
    assert (truth, own) == ("truth", "the network, at its training condition")
    assert other == "the network, at another condition"
    names = ("images", "predictions", "scores", "labels")
    one = {name: {train: given[name][train]} for name in names}
    assert entries(**one) == [truth, own]


@pytest.mark.parametrize("width_cm", WIDTHS)
def test_examples_can_be_read(width_cm):
    given = make_examples()
    other = next(id for id in given["images"] if id != given["train"])
    there = {other: (given["predictions"][other], given["scores"][other])}
    check(examples(given | {"there": there}, width_cm), width_cm)


@pytest.mark.slow
def test_examples_scale_bar_is_as_long_as_it_says():
    given = make_examples()
    wide = dict.fromkeys(given["images"], 2.0)  # a field of 6.4 nm
    figure = examples(given | {"pixel_size_A": wide})
    with_bar = [ax for ax in figure.axes if ax.lines]
    assert with_bar == [figure.axes[2]]
    (bar,) = with_bar[0].lines
    (words,) = (t.get_text() for t in with_bar[0].texts if "nm" in t.get_text())
    assert f"{np.ptp(bar.get_xdata()):g} nm" == words == "2 nm"


def test_examples_of_one_structure_one_condition_and_a_constant_image():
    given = make_examples()
    train = given["train"]
    for name in ("images", "predictions", "scores", "masks"):
        given[name] = {train: given[name][train][:1]}
    given["labels"] = {train: given["labels"][train]}
    given["images"][train] = np.zeros((1, PX, PX))
    figure = drawn(examples(given))
    assert len(figure.axes) == 1


# Gallery


@pytest.mark.slow
def test_gallery_has_a_row_for_each_structure_on_common_scales():
    random = np.random.default_rng(0)
    instances = np.zeros((3, 2, 16, 16), np.uint8)
    instances[:2, 0, 4:9, 6:12] = 2
    instances[0, 1, 7:14, 3:8] = 1  # overlaps the other
    instances[2] = 1  # no background to compare with, and no outline
    masks = instances.any(1)
    potentials = random.uniform(0, 2000, masks.shape)
    # A phase of 0.3 rad in the particles, whatever that of the whole wave.
    waves = (1 + 0.1 * masks) * np.exp(1j * (0.3 * masks + np.array([0.1, 2, -3])[:, None, None]))
    images = random.poisson(50, masks.shape)
    id = Condition(5, 1.2, 18, 400).id
    names = ["test 0", "test 1", "test 5"]
    figure = image_figures.gallery(potentials, waves, images, instances, "gold", names, id, 2.0)
    check(figure, style.PAGE_CM)
    shown = np.reshape(panels(figure), (3, 5))
    assert figure.get_suptitle() == f"gold · image at {style.condition_label(Condition.parse(id))}"
    assert [row[0].get_ylabel() for row in shown] == names
    assert letters(figure) == list("abcde")
    for row in range(3):
        potential, amplitude, phase, image, mask = (ax.get_images()[0] for ax in shown[row])
        np.testing.assert_allclose(potential.get_array(), potentials[row].T / 1e3)
        np.testing.assert_allclose(amplitude.get_array(), 1 + 0.1 * masks[row].T)
        expected = 0.3 * masks[row].T if row < 2 else 0
        np.testing.assert_allclose(phase.get_array(), expected, atol=1e-9)
        np.testing.assert_array_equal(image.get_array(), images[row].T)
        np.testing.assert_array_equal(mask.get_array(), masks[row].T)
        assert words(shown[row][0]) == ["1 nm"]
    for column in shown.T:
        assert len({ax.get_images()[0].get_clim() for ax in column}) == 1
    assert all(len(ax.get_title()) > 0 for ax in shown[0])
    plt.close(figure)


@pytest.mark.slow
def test_gallery_outlines_each_particle_in_the_line_of_its_face():
    instances = np.zeros((1, 2, 16, 16), np.uint8)
    instances[0, 0, 4:9, 6:12] = 2
    instances[0, 1, 7:14, 3:8] = 1
    flat = np.ones((1, 16, 16))
    id = Condition(5, 1.2, 18, 400).id
    figure = drawn(
        image_figures.gallery(flat, flat + 0j, flat, instances, "gold", ["test 0"], id, 0.3)
    )
    bottom, top = panels(figure)[-1].collections  # in the order of their numbers
    for outline, (face, number), dashed in ((top, (0, 2), False), (bottom, (1, 1), True)):
        assert (outline.get_linestyle()[0][1] is not None) == dashed
        x, y = np.nonzero(instances[0, face] == number)
        corners = np.concatenate([path.vertices for path in outline.get_paths()]) / 0.03 - 0.5
        np.testing.assert_allclose(corners.min(0), [x.min() - 0.5, y.min() - 0.5], atol=1e-6)
        np.testing.assert_allclose(corners.max(0), [x.max() + 0.5, y.max() + 0.5], atol=1e-6)
    assert not np.array_equal(top.get_edgecolor(), bottom.get_edgecolor())
    (legend,) = (ax.get_legend() for ax in figure.axes if ax.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == list(image_figures.OUTLINES)
    plt.close(figure)


# Masks


def test_masks_go_from_atoms_to_instances():
    instances = np.zeros((2, 20, 20), np.uint8)
    instances[0, 4:9, 6:12] = 1
    instances[1, 7:14, 3:8] = 2
    atoms = np.array([[6.0, 8.0], [5.0, 9.0], [10.0, 5.0], [1.0, 1.0]])
    figure = image_figures.masks(atoms, np.array([1, 1, 2, 0]), 1.4, 3.0, instances, 1.0)
    check(figure, style.PAGE_CM)
    dots, discs, closed, mask = figure.axes
    titles = [ax.get_title() for ax in figure.axes]
    assert "1.40 Å" in titles[1]
    assert "1.60 Å" in titles[2]
    for ax, radius in ((dots, 0.35), (discs, 1.4), (closed, 1.4)):
        carbon, *particles = ax.collections[:3]
        assert carbon.get_widths() == pytest.approx(0.07)
        for collection, places in zip(particles, (atoms[:2], atoms[2:3]), strict=True):
            assert collection.get_widths() == pytest.approx(2 * radius / 10)
            offsets = collection.get_offsets()
            assert len(offsets) == 9 * len(places), "the field is periodic"
            for place in places / 10:
                assert np.abs(offsets - place).sum(1).min() < 1e-9
                assert np.abs(offsets - place - [2.0, 0]).sum(1).min() < 1e-9
    # Pixel i lies at i: the outline runs half a pixel outside the outermost.
    outline = closed.collections[3].get_paths()
    corners = np.concatenate([path.vertices for path in outline])
    np.testing.assert_allclose(corners.min(0), [0.35, 0.55])
    np.testing.assert_allclose(corners.max(0), [0.85, 1.15])
    np.testing.assert_array_equal(mask.get_images()[0].get_array(), instances.any(0).T)
    assert len(mask.collections) == 2
    plt.close(figure)
