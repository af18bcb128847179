"""The command ``passband explore``, and its page in a real Chromium."""

import base64
import io
import json
import os
import re

import browser
import numpy as np
import pytest
from explored import large_results, large_study, make_explored, spectra
from PIL import Image
from recommended import make_study

from passband import cli
from passband.analysis.information import PAIR
from passband.reports import explorer, explorer_colours, explorer_content
from passband.reports.recommendation import condition_words
from passband.storage import datasets

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


def test_the_keyboard_reaches_every_cell(fresh):
    fresh.evaluate("document.getElementById('overlay').focus()")
    for key in ("End", "ArrowUp", "ArrowDown", "ArrowDown", "Enter"):
        fresh.key(key)
    assert fresh.evaluate("explorer.view.hovered") == [2, 15]
    assert fresh.evaluate("explorer.state.cell") == [2, 15]
    assert "tested at 20 nm" in fresh.evaluate("document.getElementById('said').textContent")
    fresh.key("+")
    shown = fresh.evaluate("explorer.view.shown.x1 - explorer.view.shown.x0")
    assert 2 <= shown < 16
    fresh.key("0")
    assert fresh.evaluate("explorer.view.view") is None


def test_a_large_matrix_is_drawn_pixel_by_pixel(tmp_path):
    study = large_study()
    metrics, table = large_results(study)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, metrics, table, spectra(study), None, blocks)
    text = explorer.page("large", content, blocks)
    assert len(text) < 8e6
    (tmp_path / "explorer.html").write_text(text, encoding="utf-8")
    rng = np.random.default_rng(1)
    values = metrics.dice.values[0, 0, 0]
    with browser.opened(tmp_path / "explorer.html") as page:
        page.wait(READY)
        _, shades = check_pixels(page, values, rng)
        assert len(shades) > 20
        outwards(page, "dose")
        check_pixels(page, values, rng)
        page.evaluate("explorer.view.zoom(20)")
        check_pixels(page, values, rng)
        page.evaluate("explorer.change({metric: 'dice_std', view: null})")
        check_pixels(page, metrics.dice_std.values[0, 0, 0], rng)
        assert page.problems == []


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


def test_a_study_without_results_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = make_study()
    (tmp_path / "config.yaml").write_text(study.model_dump_json(), encoding="utf-8")
    status, out, err = explore(capsys)
    assert (status, out) == (1, "")
    assert err == "results/known: the study has no ood.zarr yet; run the study first\n"


def test_a_folder_without_write_permission_is_named(tmp_path, capsys):
    results = make_explored(make_study(defocus_nm=[5], cs_um=[1.2], aperture_mrad=[15]), tmp_path)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)  # so that another user reaches the folder
    results.chmod(0o555)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        status, out, err = explore(capsys, results)
    finally:
        os.seteuid(me)
        results.chmod(0o755)
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
def test_unusual_studies_have_a_page(tmp_path, capsys, options, without, rows, note):
    study = make_study(**options)
    results = make_explored(study, tmp_path, without=without)
    assert explore(capsys, results) == (0, f"{results / 'explorer.html'}\n", "")
    with browser.opened(results / "explorer.html") as page:
        page.wait(READY)
        groups = page.evaluate("document.getElementById('group').options.length")
        assert groups == len(study.specimens) ** 2
        assert page.evaluate("explorer.view.rows.order.length") == rows
        assert note in page.evaluate("document.getElementById('notes').textContent")
        shown = matrix_of(page, "dice")
        assert np.isnan(shown).any(1).sum() == without
        for name in page.evaluate("explorer.metrics()"):
            page.evaluate(f"explorer.change({{group: {groups - 1}, metric: {name!r}}})")
            page.frame()
        page.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
        page.frame()
        assert page.problems == []


def test_names_cannot_contain_markup(tmp_path):
    bad = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>@@DATA@@"
    study = make_study()
    metrics, table = large_results(study)
    names = {"specimen": [bad], "test_specimen": [bad]}
    metrics, table = metrics.assign_coords(names), table.assign_coords(names)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, metrics, table, spectra(study), None, blocks)
    content["study"]["name"] = bad
    (tmp_path / "page.html").write_text(explorer.page(bad, content, blocks), encoding="utf-8")
    with browser.opened(tmp_path / "page.html") as page:
        page.wait(READY)
        page.evaluate("explorer.view.hover([0, 0])")
        assert page.evaluate("document.title") == bad
        assert page.evaluate("document.getElementById('name').textContent") == bad
        assert bad in page.evaluate("document.getElementById('group').textContent")
        assert page.evaluate("[window.bad, document.images.length]") == [None, 0]
        assert page.problems == []
