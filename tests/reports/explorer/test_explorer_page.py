"""The page of ``passband explore`` in a real Chromium, for a study of 16 conditions."""

import base64
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import browser
import firefox
import numpy as np
import off_grid
import pandas as pd
import pytest
from explored import make_explored
from explorer_page import READ, READY, STEP, check_pixels, matrix_of, outwards, plain
from PIL import Image
from recommended import make_study

from passband import cli
from passband.answers import recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.axes import MAIN_AXES
from passband.figures.matrix import outermost
from passband.grid import Condition, along
from passband.optics import ctf
from passband.prediction.range_of_use import Asked
from passband.results import Results
from passband.storage import datasets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The results of a study of 16 conditions with two replicas, and its explorer."""
    folder = tmp_path_factory.mktemp("known")
    results = make_explored(make_study(replicas=2), folder)
    assert cli.main(["explore", str(results)]) == 0
    return results


@pytest.fixture(scope="module")
def page(known):
    with browser.opened(known / "explorer.html") as page:
        page.wait(READY)
        yield page
        assert page.problems == []


@pytest.fixture
def fresh(page):
    """The page in its first state, with the axes in their own order."""
    page.evaluate(
        "location.hash = ''; explorer.change("
        "{...explorer.initial(), rows: [0, 1, 2, 3], columns: [0, 1, 2, 3]})"
    )
    page.evaluate("document.getElementById('linked').checked = true; explorer.view.hover(null)")
    return page


def test_every_pixel_of_the_matrix_has_the_colour_of_its_value(known, fresh):
    rng = np.random.default_rng(0)
    found = of_matrix(known)
    _, shades = check_pixels(fresh, found.dice.values, rng)
    assert len(shades) > 10
    for _ in range(3):
        outwards(fresh, "dose")
    listed = "Array.from(document.querySelectorAll('#row-axes span')).map(s => s.textContent)"
    assert fresh.evaluate(listed) == ["dose", "defocus", "Cs", "aperture"]
    for side in ("row", "column"):
        doses = fresh.evaluate(
            f"(s => Array.from(s.order).map(i => s.side.values[i][3]))(explorer.view.{side}s)"
        )
        assert doses == sorted(doses)
        assert len(set(doses)) == 2
    check_pixels(fresh, found.dice.values, rng)
    fresh.evaluate("explorer.view.zoom(3)")
    zoomed, _ = check_pixels(fresh, found.dice.values, rng)
    assert all(len({cell[side] for cell in zoomed}) <= 7 for side in (0, 1))
    fresh.evaluate("explorer.change({metric: 'gap_test'})")
    check_pixels(fresh, found.gap_test.values, rng)


def of_matrix(results):
    """Return the OOD metrics of the only matrix of a study, with the dimensions (train, test)."""
    metrics = datasets.read(results / "ood.zarr", datasets.OOD)
    return metrics.isel(specimen=0, architecture=0, test_specimen=0).transpose("train", "test", ...)


def test_numbers_below_the_pointer_are_those_of_the_table(known, fresh):
    found = of_matrix(known)
    for i, j in ((0, 0), (3, 12), (15, 2)):
        x, y = fresh.evaluate(
            f"(([x, y], r) => [x + r.x, y + r.y])(explorer.view.centre([{i}, {j}]), "
            "document.getElementById('overlay').getBoundingClientRect())"
        )
        fresh.mouse("mouseMoved", x, y)
        said = fresh.wait(
            "explorer.cellNumbers([0, 0]).low && document.getElementById('tip').innerText"
        )
        lines = plain(said).splitlines()
        low, high = found.dice_interval.values[i, j]
        numbers = re.fullmatch(r"Dice (\S+) \(interval (\S+) to (\S+)\)", lines[0]).groups()
        expected = [found.dice.values[i, j], low, high]
        assert np.allclose(list(map(float, numbers)), expected, rtol=0, atol=READ)
        assert lines[1:] == [
            f"trained at {Condition.parse(str(found.train.values[i])).words}",
            f"tested at {Condition.parse(str(found.test.values[j])).words}",
            "n = 2 networks × 6 structures",
        ]


def test_firefox_shows_the_page_without_an_error(known):
    with firefox.opened(known / "explorer.html") as page:
        page.wait("document.querySelectorAll('#ranked tr[data-id]').length === 10")
        check_pixels(page, of_matrix(known).dice.values, np.random.default_rng(0))
    assert page.problems == []


def test_derived_matrices_are_those_of_the_study(known, fresh):
    found = of_matrix(known)
    for name in ("dice", "gap_model", "gap_test", "dice_std", "dice_oracle"):
        assert np.allclose(matrix_of(fresh, name), found[name].values, rtol=0, atol=2 * STEP), name
    interval = found.dice_interval.values
    width = interval[..., 1] - interval[..., 0]
    assert np.allclose(matrix_of(fresh, "range"), width, rtol=0, atol=2 * STEP)


def test_metrics_of_transfer_functions_are_those_of_the_study(known, fresh):
    stored = datasets.read(known / "information.zarr", datasets.INFORMATION).sel(weight="flat")
    assert {*stored.data_vars} <= {*fresh.evaluate("explorer.metrics()")}
    for name, variable in stored.items():
        expected = np.broadcast_to(
            variable.values[:, None] if variable.dims == ("train",) else variable.values, (16, 16)
        )
        step = max(STEP, np.ptp(expected) / 60_000)
        assert np.allclose(matrix_of(fresh, name), expected, rtol=0, atol=step), name
    distance = datasets.read(known / "ood.zarr", datasets.OOD).distance.values[0]
    assert np.allclose(matrix_of(fresh, "distance"), distance, rtol=0, atol=STEP)


def test_ranked_networks_are_those_of_recommend(known, fresh):
    """Microscopes off the grid, some of them outside of the study, and one on the grid.

    Beyond the tested doses, from 100 to 1,000 e/Å², both say the same.
    """
    tested = TestedNetworks.open(Results.find(known))
    inside = off_grid.inside(tested.study, 15)
    on_grid = tested.tested[5]
    outside = off_grid.outside(tested.study, 5)
    outside = [each for each in outside if each.dose_e_per_A2 >= tested.doses.lowest]
    assert len(outside) >= 3
    far = [replace(inside[0], dose_e_per_A2=dose) for dose in (50, 77, 100_000)]
    for condition in (*inside, *outside, *far, on_grid):
        expected = recommendation.recommend_from(tested, Asked.at(condition))
        asked = [getattr(condition, name) for name in MAIN_AXES]
        found = fresh.evaluate(
            f"explorer.rank(0, {json.dumps(asked)}).then(found => ({{outside: found.outside, "
            "by: found.by, networks: found.networks.map("
            "n => [n.id, n.dice, n.low, n.high])}))"
        )
        assert found["by"] == expected.ranked_by
        assert list(map(plain, found["outside"])) == [excess.words for excess in expected.outside]
        if condition == on_grid:  # measured Dice of several networks can be equal
            best = {id: dice for id, dice, *_ in found["networks"]}
            assert all(abs(best[str(n.id)] - n.dice.value) < STEP for n in expected.networks)
            assert expected.networks[0].how == "measured"
            continue
        by_id = {str(network.id): network for network in expected.networks}
        ids = [id for id, *_ in found["networks"]]
        assert sorted(ids) == sorted(by_id)
        # The page's numbers have fewer digits, which can exchange networks of almost equal Dice.
        assert (np.diff([by_id[id].dice.value for id in ids]) < 1e-4).all()
        for id, *numbers in found["networks"]:
            dice = by_id[id].dice
            assert np.allclose(numbers, [dice.value, dice.low, dice.high], rtol=0, atol=1e-4)


def test_beyond_the_tested_doses_the_page_says_what_it_knows(fresh):
    fresh.evaluate("explorer.change({tab: 'microscope'})")
    for dose, words, networks in (
        (100_000, "Expected Dice is as at 1,000 e/Å², the highest tested dose.", 10),
        (60, "Below 100 e/Å², the lowest tested dose, expected Dice is at most that at 100", 10),
        (49, "No Dice is expected below 50 e/Å², half of the lowest tested dose. Train net", 0),
        (400, "Networks are ranked by expected Dice.", 10),
    ):
        fresh.evaluate(f"explorer.change({{microscope: [12, 5, 15, {dose}]}})")
        said = "document.getElementById('inside').textContent"
        fresh.wait(
            f"{said}.replace(/[\u00a0\u2060]/g, c => c === '\u00a0' ? ' ' : '').includes({words!r})"
        )
        assert fresh.evaluate("document.querySelectorAll('#ranked tr[data-id]').length") == networks


def test_intervals_are_drawn_on_a_common_scale(fresh):
    fresh.evaluate("explorer.change({tab: 'microscope', microscope: [12, 5, 15, 400]})")
    fresh.wait("document.querySelectorAll('#ranked .interval').length === 10")
    start = fresh.evaluate("Number(document.querySelector('#ranked .scale span').textContent)")
    found = fresh.evaluate("explorer.rank(0, [12, 5, 15, 400]).then(({networks}) => networks)")
    drawn = fresh.evaluate(
        "Array.from(document.querySelectorAll('#ranked .track'), track => {"
        "const box = track.getBoundingClientRect();"
        "const at = x => (x - box.left) / box.width;"
        "const bar = track.querySelector('.interval').getBoundingClientRect();"
        "const dot = track.querySelector('.dot').getBoundingClientRect();"
        "return [at(bar.left), at((dot.left + dot.right) / 2), at(bar.right)]})"
    )
    for network, places in zip(found, drawn, strict=False):
        dice = [network[name] for name in ("low", "dice", "high")]
        assert np.allclose(start + np.array(places) * (1 - start), dice, rtol=0, atol=0.003)


def test_the_page_opens_with_the_report_s_order_of_axes(known, fresh):
    """The axis with the largest loss is the outermost."""
    found = of_matrix(known)
    train, test = along(found, "train"), along(found, "test")
    order = outermost(train, test, [found.gap_test.values])
    assert order != list(MAIN_AXES)
    names = "explorer.initial().rows.map(a => explorer.axes[a].name)"
    assert fresh.evaluate(names) == order
    assert fresh.evaluate(names.replace("rows", "columns")) == order


def test_a_moved_slider_changes_the_ranked_networks(fresh):
    fresh.evaluate("explorer.change({tab: 'microscope'})")
    first = fresh.wait("document.querySelector('#ranked tr[data-id]')?.dataset.id")
    assert "Inside" in fresh.evaluate("document.getElementById('inside').textContent")
    fresh.evaluate(
        "(input => {input.value = 300; input.dispatchEvent(new Event('change'))})"
        "(document.querySelector('input[type=number][data-axis=\"0\"]'))"
    )
    fresh.wait("document.getElementById('inside').className === 'warning'")
    words = fresh.evaluate("document.getElementById('inside').textContent")
    assert "defocus: 280 nm above the range from 5 to 20 nm" in plain(words)
    fresh.wait(f"document.querySelector('#ranked tr[data-id]').dataset.id !== {first!r}")


def test_a_cell_has_its_transfer_functions_and_decay(known, fresh):
    fresh.evaluate("explorer.change({cell: [3, 12], tab: 'cell'})")
    text = fresh.wait(
        "document.querySelectorAll('#panel-cell svg.plot').length === 5 &&"
        "document.getElementById('panel-cell').innerText"
    )
    found = of_matrix(known)
    own, there = (found.dice.values[k, k] for k in (3, 12))
    for words, value in (
        ("Dice", found.dice.values[3, 12]),
        ("of this network, in distribution", own),
        ("of the network trained at the test condition", there),
    ):
        (number,) = re.findall(rf"^{words}\s+(0\.\d\d\d)", text, re.M)
        assert abs(float(number) - value) < READ, words
    single = datasets.read(known / "table.zarr", datasets.TABLE).dice[0, 0, 3, :, 0, 12].values
    (numbers,) = re.findall(r"^of its replicas\s+(.+)$", text, re.M)
    assert np.allclose(list(map(float, numbers.split(", "))), single, rtol=0, atol=0.0051)
    planes = fresh.evaluate(
        "Array.from(document.querySelectorAll('#panel-cell svg .mark')).map(t => t.textContent)"
    )
    assert planes[:3] == ["111", "200", "220"]
    # The curve is the transfer that the study computes.
    study = Results.find(known).study
    q = np.linspace(0.01, 1, 50)
    optics = study.microscope.optics(study.train_conditions[3])
    drawn = fresh.evaluate(f"explorer.transfer(explorer.train.values[3], {q.tolist()})")
    assert np.allclose(drawn, ctf.transfer(optics, q), rtol=0, atol=1e-9)


def test_chosen_networks_have_a_summary_and_are_saved_as_csv(known, fresh):
    rows = fresh.evaluate(
        "(v => {const r = document.getElementById('overlay').getBoundingClientRect();"
        "return [r.x + v.left - 60, r.y + v.y(0) + 3, r.y + v.y(8) - 3]})(explorer.view)"
    )
    x, y, _ = rows
    fresh.click(x, y)  # the label of an aperture: both doses
    chosen = fresh.wait("explorer.state.brush.length && explorer.state.brush")
    assert chosen == [0, 1]
    dice = of_matrix(known).dice.values
    text = fresh.wait(
        "document.querySelector('#panel-networks .plot') && "
        "document.getElementById('panel-networks').innerText"
    )
    (mean,) = re.findall(r"mean Dice (\S+) over 16 test", text)
    (worst,) = re.findall(r"Worst: Dice (\S+),", text)
    assert abs(float(mean) - dice[:2].mean()) < READ
    assert abs(float(worst) - dice[:2].min()) < READ
    fresh.evaluate("document.getElementById('save-csv').click()")
    table = pd.read_csv(fresh.download("known-networks.csv"))
    assert len(table) == 32
    assert np.allclose(table.dice, dice[:2].ravel(), rtol=0, atol=2 * STEP)
    conditions = Results.find(known).study.train_conditions
    doses = [condition.dose_e_per_A2 for condition in conditions[:2] for _ in dice]
    assert table.train_dose_e_per_A2.tolist() == doses
    assert set(table.networks) == {2}


def test_the_view_is_saved_as_png_and_svg(known, fresh):
    fresh.evaluate("Array.from(document.querySelectorAll('#saving button')).map(b => b.click())")
    width, height = fresh.evaluate("[explorer.view.canvas.width, explorer.view.canvas.height]")
    with Image.open(fresh.download("known-dice.png")) as picture:
        assert picture.size == (width, height + 30)
    text = fresh.download("known-dice.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "known: Dice"
    assert {"← trained at", "tested at →", "100", "1000"} <= set(words)
    (image,) = root.iter("{http://www.w3.org/2000/svg}image")
    png = base64.b64decode(image.get("href").partition(",")[2])
    assert Image.open(io.BytesIO(png)).size == (16, 16)


def test_the_address_keeps_the_view(known, fresh):
    fresh.evaluate(
        "explorer.change({metric: 'gap_test', rows: [3, 0, 1, 2], columns: [3, 0, 1, 2], "
        "brush: [1, 2, 3, 7], cell: [3, 5], tab: 'cell', low: -0.5, high: 0.5})"
    )
    fresh.evaluate("explorer.view.show(2, 10, 1, 6)")
    names = "metric", "rows", "columns", "brush", "cell", "tab", "low", "high", "view"
    wanted = fresh.evaluate(f"{list(names)}.map(name => explorer.state[name])")
    address = fresh.evaluate("location.href")
    fresh.open("about:blank")
    fresh.open(address)
    fresh.wait(f"location.href !== 'about:blank' && {READY}")
    assert fresh.evaluate(f"{list(names)}.map(name => explorer.state[name])") == wanted
    assert fresh.evaluate("explorer.view.shown") == {"x0": 2, "x1": 10, "y0": 1, "y1": 6}
    assert fresh.evaluate("document.getElementById('metric').value") == "gap_test"
    for wrong in (
        "metric=nothing",
        "rows=dose",
        "view=9,1,a",
        "cell=x~y",
        "brush=99-3,a",
        "%",
        "=",
    ):
        fresh.evaluate(f"location.hash = {wrong!r}")
        fresh.wait("explorer.state.metric === 'dice'")
        assert fresh.evaluate("explorer.state.view") is None


def test_an_address_cannot_ask_for_what_is_impossible(fresh):
    tab = "explorer.state.tab"
    for given, kept in (("1,2,3,-5", None), ("1,2,300,5", None), ("1,2,30,500", [1, 2, 30, 500])):
        fresh.evaluate(f"location.hash = 'tab=constructor&microscope={given}'")
        # The address is read in a later task.
        fresh.wait(f"{tab} === 'constructor'")
        assert fresh.evaluate("explorer.state.microscope") == kept
        shown = "document.querySelector('[role=tab][aria-selected=true]').id"
        fresh.wait(f"{shown} === 'tab-microscope'")
        fresh.evaluate("explorer.change({tab: null})")
    fresh.wait("document.querySelector('#ranked tr[data-id]') !== null")


def test_an_address_sets_whether_both_sides_have_the_same_order(fresh):
    axes = "dose_e_per_A2,defocus_nm,cs_um,aperture_mrad"
    for address, linked in ((f"rows={axes}", "false"), (f"rows={axes}&columns={axes}", "true")):
        fresh.evaluate(f"location.hash = {address!r}")
        fresh.wait(f"document.getElementById('linked').checked === {linked}")
        assert fresh.evaluate("document.getElementById('column-axes').hidden") == (linked == "true")


def test_the_keyboard_reaches_every_cell(fresh):
    fresh.evaluate("document.getElementById('overlay').focus()")
    for key in ("End", "ArrowUp", "ArrowDown", "ArrowDown", "Enter"):
        fresh.key(key)
    assert fresh.evaluate("explorer.view.hovered") == [2, 15]
    assert fresh.evaluate("explorer.state.cell") == [2, 15]
    said = fresh.evaluate("document.getElementById('said').textContent")
    assert "tested at 20 nm" in plain(said)
    for key, chosen in (("b", [2]), ("Escape", []), ("B", [2])):
        fresh.key(key)
        assert fresh.evaluate("explorer.state.brush") == chosen
    fresh.key("+")
    shown = fresh.evaluate("explorer.view.shown.x1 - explorer.view.shown.x0")
    assert 2 <= shown < 16
    fresh.key("0")
    assert fresh.evaluate("explorer.view.view") is None
