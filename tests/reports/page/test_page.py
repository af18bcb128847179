"""The page that presents a study: it needs no other file, escapes all text, and keeps its data."""

import base64
import csv
import gzip
import hashlib
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import browser
import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_table
from report_content import PAPER, make_content, make_stores, make_study, numbers_of, picture

from passband.axes import MAIN_AXES
from passband.config import validate
from passband.grid import Axes
from passband.matrices.of_study import matrices
from passband.parts import PACKAGE
from passband.prediction.matrix.predicted_matrix import predicted_matrices
from passband.reports.page import page
from passband.reports.page import text as page_text
from passband.reports.page.job_files import Cost
from passband.reports.page.numbers import Numbers

ROOT = Path(__file__).parents[3]
EVIL = "<script>alert(1)</script>"


def saved(text: str, name: str) -> list[dict]:
    """Return the rows of a CSV file inside the page."""
    packed = re.search(rf'id="data-{name}"[^>]*>([^<]*)</script>', text)[1]
    return list(csv.DictReader(io.StringIO(gzip.decompress(base64.b64decode(packed)).decode())))


@pytest.fixture(scope="module")
def whole() -> str:
    return page.render(make_content())


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_page_names_no_host_and_no_other_file(whole):
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", whole)
    assert "://" not in whole
    assert "@import" not in whole
    assert not re.findall(r"url\((?!#)", whole)
    assert "default-src 'none'" in html.unescape(whole)


def test_the_first_screen_has_question_answer_matrix_and_five_numbers(whole):
    first = whole[: whole.index('id="trained"')]
    word, one, two = page_text.answer(make_content().numbers)
    steps = "tiny</b> · 144 steps a network"  # longer training makes networks brittle
    facts = "26 November 2026", "0123456789ab"
    for text in (page_text.QUESTION, word, one, two, *facts):
        assert html.escape(text, quote=False) in first
    assert steps in first
    assert first.count("<svg") == 4  # Dice and its loss, for wide and for narrow screens
    assert first.count("<dd>") == 5
    assert first.count("<small>range ") == 5


def test_every_figure_has_a_caption_an_alternative_text_and_its_data(whole):
    figures = re.findall(r'<figure id="figure-(\w+)".*?</figure>', whole, re.S)
    assert set(figures) == {*PACKAGE.of("figure")} - {"matrix"}  # it is on the first screen
    for part in re.findall(r'<figure id="figure-.*?</figure>', whole, re.S):
        image = (
            r'<img src="data:image/png;base64,[^"]+" style="width: \d+px" alt="Figure: [^"]{10,}"'
        )
        assert re.search(image, part)
        assert re.search(r"<figcaption><p><strong>.{5,}</strong> .{40,}</p>", part, re.S)
    for name in ("ctf", "matrix", "decay", "metrics"):
        assert f'data-source="data-{name}.csv"' in whole


def test_the_contents_lead_to_every_section(whole):
    targets = re.findall(r'<a href="#([\w-]+)"', whole)
    assert len(targets) >= 7
    assert all(f'id="{target}"' in whole for target in targets)
    assert set(re.findall(r'<section id="(\w+)"', whole)) == {*targets, "answer"}


def test_the_data_of_the_matrix_are_those_of_the_store(whole):
    _, metrics, _ = make_stores(GRID)
    rows = saved(whole, "matrix.csv")
    assert len(rows) == metrics.dice.size
    np.testing.assert_allclose(
        [float(r["dice"]) for r in rows], metrics.dice.values.ravel(), rtol=1e-4
    )
    first, last = Axes.main.conditions(GRID)[0], Axes.main.conditions(GRID)[-1]
    assert float(rows[-1]["train_dose_e_per_A2"]) == last.dose_e_per_A2
    assert float(rows[len(metrics.train) - 1]["train_defocus_nm"]) == first.defocus_nm
    assert float(rows[0]["dice_low"]) == pytest.approx(float(rows[0]["dice"]) - 0.01, abs=1e-4)


def test_other_data_have_their_rows(whole):
    number = len(Axes.main.conditions(GRID))
    assert len(saved(whole, "metrics.csv")) == 2 * number**2
    assert len(saved(whole, "training.csv")) == 2 * number * 5
    assert {row["changed_axis"] for row in saved(whole, "decay.csv")} == {"none", *GRID}
    lenses = {(c.defocus_nm, c.cs_um, c.aperture_mrad) for c in make_study().train_conditions}
    curves = saved(whole, "ctf.csv")
    assert len(curves) == 256 * len(lenses)
    assert all(abs(float(r["transfer"])) <= float(r["envelope"]) + 1e-4 for r in curves)
    best = saved(whole, "choices.csv")
    assert len(best) == number
    assert all(float(row["dice"]) >= float(row["dice_own"]) for row in best)


@pytest.mark.slow
def test_a_study_of_135_conditions_fits_into_six_megabytes():
    figures = {name: {"png": picture(60)} for name in PACKAGE.of("figure")}
    figures["examples"] = {"png": picture(700)}  # 1.5 MB
    text = page.render(make_content(PAPER, study=make_study(grid=PAPER), figures=figures))
    assert len(saved(text, "matrix.csv")) == 135**2
    assert len(saved(text, "metrics.csv")) == 2 * 135**2
    assert "image/webp" in text
    # The largest figures of the demo have 250 kB in the page.
    assert len(text.encode()) + len(figures) * 250_000 < 6e6


@pytest.mark.slow
def test_a_click_saves_the_data_that_the_store_has(tmp_path):
    browser.require()
    file = tmp_path / "report.html"
    file.write_text(page.render(make_content()), encoding="utf-8")
    with browser.opened(file) as shown:
        shown.evaluate("document.querySelector('[data-source=\"data-matrix.csv\"]').click()")
        with shown.download("tiny-matrix.csv").open(encoding="utf-8") as saved:
            rows = list(csv.DictReader(saved))
        _, metrics, _ = make_stores(GRID)
        found = [float(row["dice"]) for row in rows]
        np.testing.assert_allclose(found, metrics.dice.values.ravel(), rtol=1e-4)
        shown.resize(390, 844)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390
        assert shown.evaluate("getComputedStyle(document.querySelector('svg.wide')).display") == (
            "none"
        )
        assert not shown.problems


# ── Text that must not become a part of the page ─────────────────────────────────────────────────


def captioned(caption):
    """Return the figure of decay with another caption."""
    part = PACKAGE.of("figure")["decay"]
    return replace(part, declaration=replace(part.declaration, caption=caption))


@pytest.mark.slow
def test_text_of_others_is_escaped(tmp_path, rutile):
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    crystal = Path(rutile).rename(folder / f"{EVIL.replace('/', '')}.cif")
    evil = make_study(specimens={"gold": {"material": str(crystal), "shape": "sphere"}})
    text = page.render(
        make_content(
            study=evil,
            results=f"/home/{EVIL}/results",
            revision=EVIL,
            made=EVIL,
            missing=[f"{EVIL} is missing"],
            failures=[page.Failure(EVIL, f"logs/{EVIL}.log", (f"error: {EVIL}", "</pre>" + EVIL))],
            failed=1,
            citation=[EVIL],
            parts=PACKAGE.of("figure") | {"decay": captioned(f"**{EVIL}.** {EVIL} ``{EVIL}``")},
            costs=[Cost(EVIL, 1, 2, 3, 4)],
        )
    )
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 8
    # The page's own script, and data, which are base64, are all scripts.
    scripts = re.findall(r"<script([^>]*)>", text)
    assert [s for s in scripts if not s.startswith(' type="text/plain"')] == [""]


def test_only_the_pages_own_script_may_run(whole):
    script = re.findall(r"<script>(.*?)</script>", whole, re.S)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(whole)


# ── Unusual studies ──────────────────────────────────────────────────────────────────────────────


def test_a_study_of_one_condition_cannot_answer_the_question():
    one = {name: values[:1] for name, values in GRID.items()}
    found, metrics, _ = make_stores(one)
    tested = matrices(metrics=metrics)
    text = page.render(
        make_content(one, study=make_study(grid=one), numbers=found, matrices=tested)
    )
    assert "This study cannot say." in text
    first = text[: text.index('id="trained"')]
    assert first.count("<dd>") == 1  # Dice under its own condition
    assert "<svg" not in first


def test_a_study_without_results_has_a_page():
    text = page.render(
        page.Content(
            make_study(), "today", "", "results/tiny", missing=["0 of 4 networks are trained"]
        )
    )
    for words in ("There is no answer yet.", "0 of 4 networks are", "No network has been tested"):
        assert words in text
    assert "nan" not in re.sub(r"base64,[^\"]*", "", text)


@pytest.mark.slow
def test_all_figures_have_the_same_scale_unless_they_are_high():
    svg = b'<?xml?><svg xmlns="x" width="144pt" height="72pt" viewBox="0 0 1 1"></svg>'
    figures = {
        "structure": {"svg": svg},  # 2 inches
        "decay": {"png": picture(300)},  # 2 inches at 150 dpi
        "examples": {"png": picture(1200)},  # 8 inches
        "ctf": {"png": b"not a picture"},
        "metrics": {"svg": b"<svg></svg>"},
    }
    text = page.render(make_content(figures=figures))
    widths = re.findall(r'alt="Figure|style="width: (\d+)px"', text)
    assert sorted(int(width) for width in widths if width) == [250, 250, 900]
    assert "The figure “ctf” is not drawn yet." in text
    assert "The figure “metrics” is not drawn yet." in text


@pytest.mark.slow
def test_a_figure_that_is_missing_is_named():
    figures = {name: {"png": picture(20)} for name in PACKAGE.of("figure") if name != "decay"}
    text = page.render(make_content(figures=figures, expected=make_study().drawn))
    assert "The figure “decay” is not drawn yet." in text
    assert text.count("is not drawn yet") == 1


def two_specimens(**changes):
    """Return the page of a study of gold and silver, with both crossed matrices."""
    found, metrics, _ = make_stores(GRID)
    both = xr.concat([metrics, metrics.assign_coords(specimen=["silver"])], "specimen")
    both = xr.concat([both, both.assign_coords(test_specimen=["silver"])], "test_specimen")
    both_names = [("gold", "compact"), ("silver", "compact")]
    M = dict.fromkeys(both_names, found.matrices["gold", "compact"])
    two = Numbers(**{**vars(found), "matrices": M, "learned": M})
    specimens = {"gold": {}, "silver": {"material": "Ag"}}
    study = make_study(specimens=specimens)
    tested = matrices(metrics=both)
    return page.render(make_content(study=study, matrices=tested, numbers=two, **changes))


@pytest.mark.slow
def test_two_specimens_and_architectures_have_a_row_each():
    text = two_specimens()
    assert "compact, gold → silver" in text
    assert "Specimen silver" in text
    assert "(silver, compact)" in text
    assert len(saved(text, "matrix.csv")) == 4 * len(Axes.main.conditions(GRID)) ** 2


@pytest.mark.slow
def test_large_matrices_after_the_first_are_not_on_the_first_screen(monkeypatch):
    cells = len(Axes.main.conditions(GRID)) ** 2
    for most, number in ((2 * cells, 4), (2 * cells - 1, 2), (1, 2)):
        monkeypatch.setattr(page, "_MOST_CELLS", most)
        text = two_specimens()
        assert text.count('<svg class="matrix wide') == number
        assert ("Another matrix is" in text) == (number == 2)
        assert text.count('type="radio"') == number


@pytest.mark.slow
def test_each_matrix_can_be_chosen_and_all_are_printed(tmp_path):
    browser.require()
    file = tmp_path / "report.html"
    file.write_text(two_specimens(explorer="explorer.html"), encoding="utf-8")
    visible = (
        "Array.from(document.querySelectorAll('.choice figure'))"
        ".filter(figure => figure.offsetHeight).map(figure => "
        "figure.querySelector('strong').textContent)"
    )
    with browser.opened(file) as shown:
        names = [
            f"{specimen}, compact: {view}."
            for specimen in ("Gold", "Silver")
            for view in ("mean Dice", "loss against the network trained there")
        ]
        assert shown.evaluate(visible) == names[:1]
        shown.evaluate("document.querySelectorAll('.choice label')[1].click()")
        assert shown.evaluate(visible) == names[1:2]
        shown.evaluate("document.querySelector('.choice :checked').focus()")
        shown.key("ArrowLeft")
        assert shown.evaluate(visible) == names[:1]
        shown.command("Emulation.setEmulatedMedia", media="print")
        assert shown.evaluate(visible) == names
        assert not shown.problems


@pytest.mark.slow
def test_many_networks_are_drawn_as_bands_and_the_worst_ten_are_named():
    few, many = page.render(make_content(replicas=1)), page.render(make_content(replicas=7))
    assert "Each of the 24 lines is a network" in few
    assert "The line is the median of 168 networks" in many
    names = re.search(r'<ol class="names">(.*?)</ol>', many, re.S)[1]
    assert names.count("<li>") == 10
    scores = [float(v) for v in re.findall(r"</code> ([\d.]+)", names)]
    finals = sorted(h.final for h in make_content(replicas=7).histories)
    assert scores == [round(v, 2) for v in finals[:10]]


def make_prediction(r2: dict[str, float]) -> xr.Dataset:
    """Return a store with the predictions of a matrix; `r2` is R² by the axis left out."""
    found, _, _ = make_stores(GRID)
    M, axes = found.matrices["gold", "compact"], list(r2)
    of = ("specimen", "architecture", "test_specimen")
    values = np.array([[value, value - 0.3] for value in r2.values()])[None, None, None]
    score = (*of, "level", "distances")
    return xr.Dataset(
        {
            "level_r2": (score, values),
            "level_interaction": (score, values - 0.1),
            "level_ceiling": (score, 0 * values + 0.957),
            "level_r2_ceiling": (score[:-1], np.nan * values[..., 0]),
            "level_rmse_replicas": (score, 0 * values + 1.5),
            "true": ((*of, "train", "test"), M[None, None, None]),
            "predicted": (
                (*of, "axis", "end", "train", "test"),
                np.stack([M + k / 100 for k in range(len(axes))])[None, None, None, :, None],
            ),
        },
        coords={
            "specimen": ["gold"],
            "architecture": ["compact"],
            "test_specimen": ["gold"],
            "level": [f"{axis}/train/all" for axis in axes],
            "distances": ["T(q)", "scaled"],
            "axis": axes,
            "end": ["train"],
            "train": [condition.id for condition in found.train],
            "test": [condition.id for condition in found.test],
        },
    )


@pytest.mark.slow
def test_the_prediction_is_said_to_fail_where_its_r2_is_low():
    r2 = {"conditions": 0.95, "dose_e_per_A2": 0.8, "aperture_mrad": -0.12}
    predicted = make_prediction(r2)
    text = page.render(make_content(prediction=predicted_matrices(predicted)))
    assert "predicted best if groups of conditions are left out of training (R² 0.95)." in text
    assert "It fails if levels of aperture are left out of training (R² −0.12)." in text
    assert text.count("R² of the interaction of networks and tests at given doses") == 1
    assert "is 0.850 from T(q) and 0.550 from scaled parameters; noise of replicas" in text
    for cell in ("levels of dose, training", "0.80", "0.50", "0.70", "0.40", "0.96"):
        assert re.search(f"<t[hd][^>]*>{cell}</t[hd]>", text), cell
    assert "is not predicted" in page.render(make_content())
    assert "is not predicted" not in text
    assert len(saved(text, "prediction.csv")) == 4 * 3 * 2 + 3  # a ceiling of each level
    rows = saved(text, "predicted.csv")
    assert len(rows) == 24**2
    np.testing.assert_allclose(
        [float(r["predicted_without_aperture_mrad"]) - float(r["dice"]) for r in rows],
        0.02,
        atol=2e-4,
    )


@pytest.mark.slow
def test_the_page_of_an_unfinished_study_has_the_dice_expected_of_its_other_networks():
    whole = make_prediction({"conditions": 0.95})
    dims = whole.true.dims
    lacking = np.arange(24) >= 5
    true = whole.true.where(xr.DataArray(~lacking, dims="train"))
    expected = whole.true.where(xr.DataArray(lacking, dims="train"))
    bounds = np.stack([expected - 0.1, expected + 0.1], -1)
    predicted = xr.Dataset(
        {
            "true": true,
            "expected": expected,
            "expected_interval": ((*dims, "bound"), bounds),
        }
    ).assign_coords(bound=["low", "high"])
    content = make_content(prediction=predicted_matrices(predicted))
    figures = {name: of for name, of in content.figures.items() if name != "prediction"}
    text = page.render(replace(content, figures=figures))
    assert "19 of 24 training conditions have no network yet" in text
    assert f"{19 * 24} cells of the matrix, is predicted" in text
    assert "is not predicted" not in text
    rows = saved(text, "predicted.csv")
    assert sum(row["expected"] != "" for row in rows) == 19 * 24
    assert all((row["dice"] == "") != (row["expected"] == "") for row in rows)
    (row, *_) = (row for row in rows if row["expected"])
    assert float(row["expected_high"]) - float(row["expected_low"]) == pytest.approx(0.2, abs=1e-4)


def test_the_command_has_exit_waves_of_the_study():
    own = {"energy_kev": [200, 300], "substrate_thickness_nm": [1, 2], "astigmatism_nm": [0, 5]}
    for grid, expected in (
        (own, ["dose_e_per_A2", "astigmatism_nm"]),
        (own | {"energy_kev": [200]}, ["astigmatism_nm", "energy_kev"]),
    ):
        found = page._microscope(validate({"grid": grid}))
        assert [each["axis"].name for each in found if each["asked"]][-2:] == expected
        fixed = {each["axis"].name: each for each in found if each["axis"].needs_waves}
        assert all(each["low"] == each["high"] == each["value"] for each in fixed.values())
    assert fixed["energy_kev"]["value"] == 200


def test_sliders_start_in_the_middle_of_the_studys_range():
    found = {each["axis"].name: each for each in page._microscope(make_study(grid=GRID))}
    assert list(found) == list(GRID)
    for name, each in found.items():
        assert (each["low"], each["high"]) == (min(GRID[name]), max(GRID[name]))
        assert each["low"] < each["value"] < each["high"]
    assert found["dose_e_per_A2"]["value"] == pytest.approx(np.sqrt(100 * 800), rel=0.01)


@pytest.mark.slow
def test_sliders_set_the_command_and_lead_to_the_explorer(tmp_path):
    """The address has the microscope, and the axes in the order of the page's matrix."""
    browser.require()
    file = tmp_path / "report.html"
    content = make_content(study=make_study(grid=GRID), explorer="explorer.html")
    file.write_text(page.render(content), encoding="utf-8")
    with browser.opened(file) as shown:
        for share in (0, 1):
            shown.evaluate(
                "document.querySelectorAll('#microscope input').forEach(input => {"
                f"input.value = {share} * input.max; input.dispatchEvent(new Event('input')); }})"
            )
            values = [f"{(min, max)[share](of):g}" for of in GRID.values()]
            address = shown.evaluate("document.getElementById('explored').href")
            assert address.endswith(f"&tab=microscope&microscope={','.join(values)}")
            rows = re.search(r"explorer\.html#rows=([\w,]+)&columns=\1&", address)[1].split(",")
            assert set(rows) == set(GRID)
            command = shown.evaluate("document.querySelector('#microscope pre').textContent")
            options = [f"{MAIN_AXES[n].option} {v}" for n, v in zip(GRID, values, strict=True)]
            assert command == f"passband recommend tiny {' '.join(options)}"
            heights = "[...document.querySelectorAll('.option')].map(o => o.offsetHeight)"
            found = shown.evaluate(heights)  # no line ends within an option
            assert len(found) == len(options)
            assert max(found) < 25
        assert not shown.problems


@pytest.mark.parametrize("name", sorted(PACKAGE.of("figure")))
def test_captions_have_three_lines(name):
    assert len(PACKAGE.of("figure")[name].declaration.caption) <= 3 * 115


def test_inline_pictures_have_the_pages_colours_and_share_no_ids(whole):
    """Text that is black or of a network's colour must be read on a dark page too."""
    pictures = re.findall(r"<svg.*?</svg>", whole, re.S)
    assert len(pictures) == 5
    ids = [id for each in pictures for id in re.findall(r' id="([^"]+)"', each)]
    assert len(ids) == len({*ids})
    for each in pictures:
        assert "currentColor" in each
        assert "#262626" not in each
        assert "DejaVu Sans" in each  # as the other figures


@pytest.mark.slow
def test_the_page_says_what_the_column_of_own_dice_is():
    content = make_content()
    (names,) = content.numbers.matrices
    own = {names: np.full(len(content.numbers.train), 0.5)}
    whole = replace(content, numbers=replace(content.numbers, home_rows=own))
    assert "The column “own” has networks" in page.render(whole)
    assert "The column “own” has networks" not in page.render(content)


@pytest.mark.slow
def test_a_table_of_networks_that_are_all_missing_has_no_answer():
    nothing = numbers_of(make_table(GRID, np.full((24, 24), np.nan)), None)
    text = page.render(make_content(numbers=nothing))
    assert "There is no answer yet." in text
    assert "Grey: not tested yet." in text
