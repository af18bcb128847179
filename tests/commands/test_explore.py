"""The command ``passband explore``, and its page in a real Chromium."""

import base64
import io
import json
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import browser
import firefox
import numpy as np
import pandas as pd
import pytest
from explored import large_results, large_study, make_explored, spectra
from PIL import Image
from recommended import make_study

from passband import cli
from passband.analysis import table
from passband.analysis.information import PAIR
from passband.config import validate
from passband.grid import MAIN_AXES, coordinates
from passband.jobs import explored_images, recommendation
from passband.jobs.locate import locate_study
from passband.jobs.recommendation_check import microscopes
from passband.optics import ctf
from passband.prediction.asked import Asked
from passband.reports import explorer, explorer_colours, explorer_content, explorer_ranking
from passband.reports.recommendation import condition_words
from passband.scores import dice
from passband.storage import datasets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

#: A page's numbers have a step of at most 1e-4; numbers that people read have 3 decimals.
STEP, READ = 6e-5, 5.6e-4
READY = "window.explorer !== undefined && explorer.ready.then(() => true)"


def explore(capsys, *arguments):
    status = cli.main(["explore", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


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


@pytest.fixture(scope="module")
def chromium():
    with browser.opened("about:blank") as page:
        yield page


@pytest.fixture
def other(chromium):
    """A Chromium in which a test can open another page."""
    chromium.problems.clear()
    yield chromium
    assert chromium.problems == []


def show(page, file):
    page.open("about:blank")
    page.wait("location.href === 'about:blank'")
    page.open(file.as_uri())
    page.wait(f"location.href !== 'about:blank' && {READY}")


@pytest.fixture
def fresh(page):
    """The page in its first state."""
    page.evaluate("location.hash = ''; explorer.change({...explorer.initial()})")
    page.evaluate("document.getElementById('linked').checked = true; explorer.view.hover(null)")
    return page


def matrix_of(page, name, weight=0):
    """Return the matrix of a metric as the page has it, (train, test)."""
    text = page.evaluate(
        f"explorer.matrixOf(0, {name!r}, {weight}).then(m => JSON.stringify(Array.from(m, "
        "v => Number.isFinite(v) ? v : null)))"
    )
    values = np.array([np.nan if v is None else v for v in json.loads(text)], dtype=float)
    return values.reshape(page.evaluate("[explorer.train.size, explorer.test.size]"))


def check_pixels(page, values, rng, number=50):
    """Check that pixels of the canvas at known cells have the colours of the table's values.

    Returns
    -------
    (set, set)
        The cells and their colours.
    """
    page.frame()
    picture = page.evaluate("document.getElementById('matrix').toDataURL().split(',')[1]")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))
    colours = explorer_colours.table(page.evaluate("document.getElementById('colours').value"))
    low, high = page.evaluate("explorer.view.bar.range")
    left, top, width, height, scale = page.evaluate(
        "['left', 'top', 'width', 'height', 'scale'].map(n => explorer.view[n])"
    )
    x0, x1, y0, y1 = page.evaluate("(s => [s.x0, s.x1, s.y0, s.y1])(explorer.view.shown)")
    size = np.array([width / (x1 - x0), height / (y1 - y0)])
    corner = np.array([left, top])
    places = np.floor(corner + rng.uniform(0, [width, height], (number, 2)))
    if size.min() > 4:  # large cells have outlines, so their centres are used
        places = np.floor((places - corner) / size + [x0, y0]) + 0.5 - [x0, y0]
        places = np.floor(places * size + corner)
        places = places[((places >= corner) & (places - corner < [width, height])).all(1)]
    centres = ((places * scale + 0.5) / scale).tolist()
    cells = page.evaluate(f"{json.dumps(centres)}.map(([x, y]) => explorer.view.cellAt(x, y))")
    assert len(cells) >= number // 2
    shades = set()
    for (x, y), (i, j) in zip((places * scale).astype(int), cells, strict=True):
        share = 256 * (values[i, j] - low) / (high - low)
        # The page's number differs from the table's by half a step.
        step = 256 * STEP / (high - low)
        near = [int(np.clip(np.floor(share + d), 0, 255)) for d in (-step, 0, step)]
        assert any((pixels[y, x] == colours[k]).all() for k in near), (i, j, pixels[y, x])
        shades.add(tuple(pixels[y, x]))
    return set(map(tuple, cells)), shades


def outwards(page, axis):
    """Click the button that moves an axis outwards."""
    page.click(
        *page.evaluate(
            "(r => [r.x + r.width / 2, r.y + r.height / 2])(Array.from(document.querySelectorAll("
            f"'#row-axes li')).find(li => li.textContent.startsWith({axis!r}))"
            ".querySelector('button').getBoundingClientRect())"
        )
    )
    page.frame()


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
        lines = said.splitlines()
        low, high = found.dice_interval.values[i, j]
        numbers = re.fullmatch(r"Dice (\S+) \(bootstrap range (\S+) to (\S+)\)", lines[0]).groups()
        expected = [found.dice.values[i, j], low, high]
        assert np.allclose(list(map(float, numbers)), expected, rtol=0, atol=READ)
        assert lines[1:] == [
            f"trained at {condition_words(str(found.train.values[i]))}",
            f"tested at {condition_words(str(found.test.values[j]))}",
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
    assert set(PAIR) <= set(fresh.evaluate("explorer.metrics()"))
    for name in PAIR:
        expected = stored[name].transpose("train", "test").values
        assert np.allclose(matrix_of(fresh, name), expected, rtol=1e-6, atol=1e-6), name
    distance = datasets.read(known / "ood.zarr", datasets.OOD).distance.values[0]
    assert np.allclose(matrix_of(fresh, "distance"), distance, rtol=0, atol=1e-6)


def test_ranked_networks_are_those_of_recommend(known, fresh):
    """20 microscopes off the grid, some of them outside of the study, and one on the grid."""
    tested = recommendation.TestedNetworks.open(*locate_study(known))
    inside, outside = microscopes(tested.study, 15, 3)
    on_grid = tested.tested[5]
    assert len(outside) == 5
    for condition in (*inside, *outside, on_grid):
        expected = recommendation.recommend_from(tested, Asked.at(condition))
        asked = [getattr(condition, name) for name in MAIN_AXES]
        found = fresh.evaluate(
            f"explorer.rank(0, {json.dumps(asked)}).then(found => ({{outside: found.outside, "
            "networks: found.networks.map(n => [n.id, n.dice, n.low, n.high])}))"
        )
        assert found["outside"] == [excess.words for excess in expected.outside]
        if condition == on_grid:  # measured Dice of several networks can be equal
            best = {id: dice for id, dice, *_ in found["networks"]}
            assert all(abs(best[n.id] - n.dice.value) < STEP for n in expected.networks)
            assert expected.networks[0].how == "measured"
            continue
        ids = [id for id, *_ in found["networks"]]
        assert ids[:3] == [network.id for network in expected.networks[:3]]
        by_id = {network.id: network.dice for network in expected.networks}
        for id, *numbers in found["networks"]:
            wanted = [by_id[id].value, by_id[id].low, by_id[id].high]
            assert np.allclose(numbers, wanted, rtol=0, atol=1e-4)


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
    assert "defocus: 280 nm above the range from 5 to 20 nm" in words
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
        ("of a network trained under the test condition", there),
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
    study = locate_study(known)[0]
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
    conditions = locate_study(known)[0].train_conditions
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
    for given, kept in (("1,2,3,-5", None), ("1,2,300,5", None), ("1,2,30,5", [1, 2, 30, 5])):
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
    assert "tested at 20 nm" in fresh.evaluate("document.getElementById('said').textContent")
    for key, chosen in (("b", [2]), ("Escape", []), ("B", [2])):
        fresh.key(key)
        assert fresh.evaluate("explorer.state.brush") == chosen
    fresh.key("+")
    shown = fresh.evaluate("explorer.view.shown.x1 - explorer.view.shown.x0")
    assert 2 <= shown < 16
    fresh.key("0")
    assert fresh.evaluate("explorer.view.view") is None


def test_a_large_matrix_is_drawn_pixel_by_pixel(tmp_path, other):
    study = large_study()
    metrics, table = large_results(study)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, metrics, table, spectra(study), None, blocks)
    text = explorer.page("large", content, blocks)
    assert len(text) < 8e6
    (tmp_path / "explorer.html").write_text(text, encoding="utf-8")
    rng = np.random.default_rng(1)
    values = metrics.dice.values[0, 0, 0]
    show(other, tmp_path / "explorer.html")
    _, shades = check_pixels(other, values, rng)
    assert len(shades) > 20
    outwards(other, "dose")
    check_pixels(other, values, rng)
    other.evaluate("explorer.view.zoom(20)")
    check_pixels(other, values, rng)
    other.evaluate("explorer.change({metric: 'dice_std', view: null})")
    check_pixels(other, metrics.dice_std.values[0, 0, 0], rng)


def test_the_page_of_a_finished_study_has_its_numbers_and_example_images(tmp_path, capsys, other):
    """The study is the smallest study, which an earlier version has finished."""
    with tarfile.open(ROOT / "tests/data/finished.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    results = tmp_path / "results/smallest"
    (results / "report.html").touch()
    status, out, _ = explore(capsys, results)
    assert (status, out) == (0, f"{results / 'explorer.html'}\n")
    whole = table.load(results / "table.zarr").isel(specimen=0, architecture=0, test_specimen=0)
    counts = whole.counts.isel(replica=0).transpose("train", "test", "structure", "outcome")
    ood = datasets.read(results / "ood.zarr", datasets.OOD).isel(
        specimen=0, architecture=0, test_specimen=0
    )
    information = datasets.read(results / "information.zarr", datasets.INFORMATION)
    show(other, results / "explorer.html")
    for name, expected in (
        ("dice", ood.dice),
        ("gap_test", ood.gap_test),
        ("wiener", information.wiener.sel(weight="gold")),
    ):
        found = other.evaluate(f"explorer.matrixOf(0, {name!r}, 1).then(m => Array.from(m))")
        expected = expected.transpose("train", "test").values.ravel()
        assert np.allclose(found, expected, rtol=0, atol=1e-4), name
    scores = dice(counts.values[:, :, :2].astype(float))
    for i in range(4):
        for j in range(4):
            other.evaluate(f"explorer.change({{cell: [{i}, {j}], tab: 'cell'}})")
            shown = other.evaluate(
                "Array.from(document.querySelectorAll('.examples figcaption'))"
                ".map(caption => Number(/Dice (\\S+);/.exec(caption.textContent)[1]))"
            )
            assert np.allclose(shown, scores[i, j], rtol=0, atol=0.0051)
    outlined = other.evaluate(
        "(canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, "
        "canvas.height).data).filter((v, n, all) => n % 4 === 0 && v === 244 && "
        "all[n + 1] === 211 && all[n + 2] === 94).length)"
        "(document.querySelector('.examples canvas'))"
    )
    assert outlined > 50  # pixels of the true outline
    assert other.evaluate("document.getElementById('report').href").endswith("/report.html")
    assert other.evaluate("document.getElementById('report').checkVisibility()")


def test_large_images_are_binned(tmp_path, capsys, other, monkeypatch):
    with tarfile.open(ROOT / "tests/data/finished.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    results = tmp_path / "results/smallest"
    study = locate_study(results)[0]
    field = study.microscope.field_px // 2
    monkeypatch.setattr(explored_images, "_SMALLEST_PX", field)
    monkeypatch.setattr(explored_images, "_PIXELS", 2 * 4 * field**2)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    other.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
    text = other.evaluate("document.querySelector('#panel-cell .examples').innerText")
    assert text.count("binned 2 × 2 to keep the file small") == 2
    drawn = other.evaluate("document.querySelector('.examples canvas').width")
    assert drawn == 3 * field
    assert not other.evaluate("document.getElementById('report').checkVisibility()")


@pytest.mark.parametrize(("most", "listed"), [(16 * 16 * 2, 32), (16 * 16, 16), (16 * 16 - 1, 0)])
def test_many_networks_are_ranked_by_means_of_replicas(
    tmp_path, capsys, other, monkeypatch, most, listed
):
    monkeypatch.setattr(explorer_ranking, "MOST_NUMBERS", most)
    results = make_explored(make_study(replicas=2), tmp_path)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    notes = other.evaluate("document.getElementById('notes').textContent")
    assert ("has means of replicas" in notes) == (listed < 32)
    assert ("No networks are ranked for gold" in notes) == (listed == 0)
    if not listed:
        return
    tested = recommendation.TestedNetworks.open(*locate_study(results))
    tested = tested.of_replicas() if listed == 16 else tested
    (inside, *_), _ = microscopes(tested.study, 1, 0)
    expected = recommendation.recommend_from(tested, Asked.at(inside)).networks
    asked = [getattr(inside, name) for name in MAIN_AXES]
    found = other.evaluate(
        f"explorer.rank(0, {asked}).then(found => found.networks.map(n => [n.id, n.dice]))"
    )
    assert len(found) == len(expected) == listed
    assert [id for id, _ in found[:3]] == [network.id for network in expected[:3]]
    wanted = {network.id: network.dice.value for network in expected}
    assert all(abs(wanted[id] - value) < 1e-4 for id, value in found)


def test_a_lens_that_is_not_round_and_varies_has_the_ranking_of_recommend(tmp_path, capsys, other):
    given = json.loads(make_study(cs_um=[1.2], aperture_mrad=[15]).model_dump_json())
    given["microscope"] |= {
        "aberrations": {"astigmatism_nm": 2, "coma_nm": 20, "threefold_nm": 20},
        "spread": {"focus_nm": 1, "dose": 0.1, "astigmatism_nm": 0.5},
        "vibration_A": 0.2,
    }
    given["information"] |= {"samples": 64}
    results = make_explored(validate(given), tmp_path)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    stored = datasets.read(results / "information.zarr", datasets.INFORMATION).sel(weight="flat")
    names = set(other.evaluate("explorer.metrics()"))
    assert names & set(PAIR) == {"overlap", "coverage", "wiener"}
    for name in ("overlap", "coverage", "wiener"):
        expected = stored[name].transpose("train", "test").values
        assert np.allclose(matrix_of(other, name), expected, rtol=0, atol=STEP), name
    tested = recommendation.TestedNetworks.open(*locate_study(results))
    (inside, *_), _ = microscopes(tested.study, 1, 0)
    expected = recommendation.recommend_from(tested, Asked.at(inside)).networks
    asked = [getattr(inside, name) for name in MAIN_AXES]
    found = other.evaluate(
        f"explorer.rank(0, {asked}).then(found => found.networks.map(n => [n.id, n.dice]))"
    )
    assert [id for id, _ in found[:3]] == [network.id for network in expected[:3]]
    wanted = {network.id: network.dice.value for network in expected}
    assert all(abs(wanted[id] - value) < 1e-4 for id, value in found)
    other.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
    drawn = other.evaluate("document.querySelector('#panel-cell .legend').innerText")
    assert "trained (mean, azimuth 0)" in drawn
    assert "tested (mean, azimuth 0)" in drawn


def test_groups_of_networks_are_not_confused(tmp_path, capsys, other):
    """Two specimens. The file has no ranking for one of them and lacks some matrices."""
    study = make_study(specimens=("gold", "silver"), cs_um=[1185], aperture_mrad=[10])
    results = make_explored(study, tmp_path)
    assert explore(capsys, results)[0] == 0
    file = results / "explorer.html"
    head, start, rest = file.read_text(encoding="utf-8").partition('id="content">')
    text, end, rest = rest.partition("</script>")
    content = json.loads(text)
    assert content["rankings"].pop()["specimen"] == "silver"
    content["groups"][0]["left_out"] = ["low", "high", "dice_std", "single"]
    file.write_text("".join([head, start, json.dumps(content), end, rest]), encoding="utf-8")
    show(other, file)
    summary, notes = other.evaluate(
        "['summary', 'notes'].map(id => document.getElementById(id).textContent)"
    )
    assert summary.startswith("8 networks, 4 training")
    left_out = "bootstrap range, standard deviation over replicas, Dice of single networks"
    assert f"does not contain: {left_out}." in notes
    # The middle of a range with one value is inside the range, though it has four digits.
    words = "document.getElementById('inside').textContent"
    assert other.evaluate(words).startswith("Inside")
    gold, silver = (
        next(n for n, g in enumerate(content["groups"]) if g["test_specimen"] == name)
        for name in ("gold", "silver")
    )
    for group in (silver, gold):
        other.evaluate(f"explorer.change({{group: {group}}})")
        listed = other.evaluate("document.querySelectorAll('#ranked tr[data-id]').length")
        assert listed == (8 if group == gold else 0)
    # What is read for a group is not shown if it arrives after another group was chosen.
    text = other.evaluate(
        """(async (groups) => {
          const [real, held] = [fetch, []];
          window.fetch = (address) => new Promise((go) => held.push(() => go(real(address))));
          const both = [];
          for (const group of groups) {
            both.push(explorer.change({group, cell: [0, 3], tab: 'cell'}));
            while (held.length < both.length) await new Promise(requestAnimationFrame);
          }
          window.fetch = real;
          for (const n of [1, 0]) {
            held[n]();
            await both[n];
          }
          return document.getElementById('panel-cell').innerText;
        })"""
        f"([{gold}, {silver}])"
    )
    (number,) = re.findall(r"^Dice\s+(0\.\d\d\d)", text, re.M)
    dice = datasets.read(results / "ood.zarr", datasets.OOD).dice
    cells = [dice.sel(specimen="gold", test_specimen=name)[0] for name in ("gold", "silver")]
    of_gold, of_silver = (float(c.transpose("train", "test")[0, 3]) for c in cells)
    assert abs(float(number) - of_silver) < READ < abs(of_gold - of_silver) / 2


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


def test_a_study_without_results_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = make_study()
    (tmp_path / "config.yaml").write_text(study.model_dump_json(), encoding="utf-8")
    status, out, err = explore(capsys)
    assert (status, out) == (1, "")
    assert err == "results/known: the study has no ood.zarr yet; run the study first\n"


def test_a_folder_without_write_permission_is_named(tmp_path, refuse_writing, capsys):
    study = make_study(defocus_nm=[5], cs_um=[1.2], aperture_mrad=[15])
    results = make_explored(study, tmp_path)
    refuse_writing(results)
    status, out, err = explore(capsys, results)
    assert (status, out) == (1, "")
    assert err == f"{results / 'explorer.html'}: cannot be written: permission denied\n"
    assert not (results / "explorer.html").exists()


@pytest.mark.parametrize(
    ("options", "without", "rows", "note"),
    [
        (
            {"defocus_nm": [5], "cs_um": [1.2], "aperture_mrad": [15], "dose_e_per_A2": [100]},
            0,
            1,
            "",
        ),
        ({"specimens": ("gold", "silver"), "cs_um": [1.2], "aperture_mrad": [15]}, 0, 4, ""),
        ({"cs_um": [1.2]}, 3, 8, "3 of 8 training conditions have no results yet (grey rows)."),
    ],
    ids=["one condition", "two specimens", "incomplete"],
)
def test_unusual_studies_have_a_page(tmp_path, capsys, other, options, without, rows, note):
    study = make_study(**options)
    results = make_explored(study, tmp_path, without=without)
    assert explore(capsys, results) == (0, f"{results / 'explorer.html'}\n", "")
    show(other, results / "explorer.html")
    groups = other.evaluate("document.getElementById('group').options.length")
    assert groups == len(study.specimens) ** 2
    assert other.evaluate("explorer.view.rows.order.length") == rows
    assert note in other.evaluate("document.getElementById('notes').textContent")
    shown = matrix_of(other, "dice")
    assert np.isnan(shown).any(1).sum() == without
    for name in other.evaluate("explorer.metrics()"):
        other.evaluate(f"explorer.change({{group: {groups - 1}, metric: {name!r}}})")
        other.frame()
    other.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
    other.frame()


def test_a_file_a_folder_and_an_error_cannot_contain_markup(tmp_path, rutile, capsys, other):
    """The study has one condition, so the page names the error that nothing can be ranked."""
    bad = "<script>window.bad=1<" + "img src=x onerror=window.bad=1>"
    crystal = Path(rutile).rename(tmp_path / f"{bad}.cif")
    given = {"defocus_nm": [5], "cs_um": [1.2], "aperture_mrad": [15], "dose_e_per_A2": [100]}
    study = json.loads(make_study(**given).model_dump_json())
    study["specimens"]["gold"] |= {"material": str(crystal), "shape": "sphere"}
    results = make_explored(validate(study), tmp_path / bad)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    assert f"{bad}/results/known: has 1 training" in other.evaluate(
        "document.getElementById('notes').textContent"
    )
    assert other.evaluate("[window.bad, document.images.length]") == [None, 0]


def test_names_cannot_contain_markup(tmp_path, other):
    bad = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>@@DATA@@"
    study = make_study()
    metrics, table = large_results(study)
    names = {"specimen": [bad], "test_specimen": [bad]}
    metrics, table = metrics.assign_coords(names), table.assign_coords(names)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, metrics, table, spectra(study), None, blocks)
    content["study"]["name"] = bad
    (tmp_path / "page.html").write_text(explorer.page(bad, content, blocks), encoding="utf-8")
    show(other, tmp_path / "page.html")
    other.evaluate("explorer.view.hover([0, 0])")
    assert other.evaluate("document.title") == bad
    assert other.evaluate("document.getElementById('name').textContent") == bad
    assert bad in other.evaluate("document.getElementById('group').textContent")
    assert other.evaluate("[window.bad, document.images.length]") == [None, 0]


def test_mixtures_have_rows_below_those_of_conditions(tmp_path, other):
    study = make_study()
    metrics, table = large_results(study)
    ids = [*metrics.train.values[:-2].tolist(), "all-0123abcd", "soft-0123abcd"]
    metrics = metrics.drop_vars("train").assign_coords({"train": ids} | coordinates(ids, "train"))
    table = table.assign_coords(train=ids)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, metrics, table, spectra(study), None, blocks)
    (tmp_path / "page.html").write_text(explorer.page("mixed", content, blocks), encoding="utf-8")
    show(other, tmp_path / "page.html")
    rank = other.evaluate("Array.from(explorer.view.rows.rank)")
    assert rank[-2:] == [len(ids) - 2, len(ids) - 1]
    outwards(other, "dose")  # another order of the axes
    assert other.evaluate("Array.from(explorer.view.rows.rank).slice(-2)") == rank[-2:]
    assert other.evaluate("explorer.train.words(explorer.train.size - 1)") == f"mixture {ids[-1]}"
    check_pixels(other, metrics.dice.values[0, 0, 0], np.random.default_rng(1))
    metric = other.evaluate("explorer.metrics()")
    assert "coverage" not in metric  # the page cannot compute an expectation
    other.evaluate("explorer.change({cell: [explorer.train.size - 1, 0], tab: 'cell'})")
    other.wait("document.querySelector('#panel-cell .train') !== null")
    assert ids[-1] in other.evaluate("document.querySelector('#panel-cell .train').textContent")
    # Only the test condition has a curve of its transfer, which may have several parts.
    colours = other.evaluate(
        "Array.from(document.querySelectorAll('#panel-cell svg:first-of-type polyline'), "
        "(line) => line.getAttribute('stroke'))"
    )
    assert "#c14a00" in colours
    assert "#0072b2" not in colours
    notes = " ".join(content["notes"])
    assert "The last 2 row(s) are mixtures of conditions" in notes
