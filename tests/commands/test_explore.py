"""The command ``passband explore``, and its page for unusual studies."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import off_grid
import pytest
import xarray as xr
from explored import large_results, large_study, make_explored, use_few_samples
from explorer_page import READ, STEP, check_pixels, matrix_of, outwards, show
from recommended import make_study

from passband import cli
from passband.answers import explored_images, recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.axes import MAIN_AXES
from passband.config import validate
from passband.grid import Axes
from passband.matrices import of_study
from passband.matrices.of_study import matrices
from passband.matrices.stored import NETWORK
from passband.prediction.range_of_use import Asked
from passband.reports.explorer import content as explorer_content
from passband.reports.explorer import explorer, ranking
from passband.results import Results
from passband.results.stores import load_table
from passband.scores import dice
from passband.storage import datasets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def explore(capsys, *arguments):
    status = cli.main(["explore", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_large_matrix_is_drawn_pixel_by_pixel(tmp_path, other):
    study = large_study()
    metrics, table = large_results(study)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, matrices(table, metrics), None, blocks)
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
    """The study is the smallest study."""
    with tarfile.open(ROOT / "tests/data/finished_03.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    results = tmp_path / "results/smallest"
    (results / "report.html").touch()
    status, out, _ = explore(capsys, results)
    assert (status, out) == (0, f"{results / 'explorer.html'}\n")
    whole = load_table(results / "table.zarr").isel(specimen=0, architecture=0, test_specimen=0)
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
    sizes = "Array.from(document.querySelectorAll('.examples canvas'), c => c.clientWidth)"
    for width in (1400, 390):
        other.resize(width, 900)
        assert min(other.evaluate(sizes)) > 170
    other.resize(1400, 1000)
    assert other.evaluate("document.getElementById('report').href").endswith("/report.html")
    assert other.evaluate("document.getElementById('report').checkVisibility()")


def test_large_images_are_binned(tmp_path, capsys, other, monkeypatch):
    with tarfile.open(ROOT / "tests/data/finished_03.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    results = tmp_path / "results/smallest"
    study = Results.find(results).study
    field = study.microscope.field_px // 2
    monkeypatch.setattr(explored_images, "_SMALLEST_PX", field)
    monkeypatch.setattr(explored_images, "_PIXELS", 2 * 4 * field**2)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    other.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
    text = other.evaluate("document.querySelector('#panel-cell .examples').innerText")
    assert text.count("binned 2 × 2 to keep the file small") == 2
    drawn = other.evaluate("document.querySelector('.examples canvas').width")
    assert drawn == 6 * field
    assert not other.evaluate("document.getElementById('report').checkVisibility()")


@pytest.mark.parametrize(("most", "listed"), [(16 * 16, 16), (16 * 16 - 1, 0)])
def test_many_networks_are_ranked_by_means_of_replicas(
    tmp_path, capsys, other, monkeypatch, most, listed
):
    monkeypatch.setattr(ranking, "MOST_NUMBERS", most)
    results = make_explored(make_study(replicas=2), tmp_path)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    notes = other.evaluate("document.getElementById('notes').textContent")
    assert ("has means of replicas" in notes) == (listed < 32)
    assert ("No networks are ranked for gold" in notes) == (listed == 0)
    if not listed:
        return
    tested = TestedNetworks.open(Results.find(results))
    tested = tested.of_replicas() if listed == 16 else tested
    (inside,) = off_grid.inside(tested.study, 1)
    expected = recommendation.recommend_from(tested, Asked.at(inside)).networks
    asked = [getattr(inside, name) for name in MAIN_AXES]
    found = other.evaluate(
        f"explorer.rank(0, {asked}).then(found => found.networks.map(n => [n.id, n.dice]))"
    )
    assert len(found) == len(expected) == listed
    assert [id for id, _ in found[:3]] == [str(network.id) for network in expected[:3]]
    wanted = {str(network.id): network.dice.value for network in expected}
    assert all(abs(wanted[id] - value) < 1e-4 for id, value in found)


def test_networks_that_did_not_learn_are_not_ranked(tmp_path, capsys, other, monkeypatch):
    results = make_explored(make_study(), tmp_path)
    stored = datasets.read(results / "table.zarr", datasets.TABLE)
    coords = {name: stored[name].values for name in NETWORK}
    ranked = []
    for number in (1, 16):
        failed = (np.arange(16) < number).reshape(1, 1, 16, 1)
        found = xr.DataArray(failed, coords, tuple(coords), attrs={"learned": 16 - number})
        monkeypatch.setattr(of_study, "unlearned", lambda *_, found=found: found)
        assert explore(capsys, results)[0] == 0
        show(other, results / "explorer.html")
        asked = [5, 1.2, 10, 100]
        ids = other.evaluate(
            f"explorer.rank(0, {asked}).then(found => found.networks.map(n => n.train))"
        )
        assert sorted(ids) == sorted(map(str, coords["train"][number:]))
        notes = other.evaluate("document.getElementById('notes').textContent")
        assert ("1 of 16 networks did not learn" if number == 1 else "No network learned") in notes
        ranked.append(other.evaluate("document.getElementById('ranked').innerText"))
    assert "expected Dice" in ranked[0]
    assert ranked[1].startswith("No network learned: ")


def test_a_lens_that_is_not_round_and_varies_has_the_ranking_of_recommend(
    tmp_path, capsys, other, monkeypatch
):
    given = json.loads(make_study(cs_um=[1.2], aperture_mrad=[15]).model_dump_json())
    given["microscope"] |= {
        "aberrations": {"astigmatism_nm": 2, "coma_nm": 20, "threefold_nm": 20},
        "spread": {"focus_nm": 1, "dose": 0.1, "astigmatism_nm": 0.5},
        "vibration_A": 0.2,
    }
    use_few_samples(monkeypatch)
    results = make_explored(validate(given), tmp_path)
    assert explore(capsys, results)[0] == 0
    show(other, results / "explorer.html")
    stored = datasets.read(results / "information.zarr", datasets.INFORMATION).sel(weight="flat")
    for name in ("overlap", "coverage", "wiener", "fidelity_abs"):
        expected = stored[name].transpose("train", "test").values
        assert np.allclose(matrix_of(other, name), expected, rtol=0, atol=STEP), name
    tested = TestedNetworks.open(Results.find(results))
    (inside,) = off_grid.inside(tested.study, 1)
    expected = recommendation.recommend_from(tested, Asked.at(inside)).networks
    asked = [getattr(inside, name) for name in MAIN_AXES]
    found = other.evaluate(
        f"explorer.rank(0, {asked}).then(found => found.networks.map(n => [n.id, n.dice]))"
    )
    assert [id for id, _ in found[:3]] == [str(network.id) for network in expected[:3]]
    wanted = {str(network.id): network.dice.value for network in expected}
    assert all(abs(wanted[id] - value) < 1e-4 for id, value in found)
    other.evaluate("explorer.change({cell: [0, 0], tab: 'cell'})")
    drawn = other.evaluate("document.querySelector('#panel-cell .legend').innerText")
    assert "trained (root mean square over azimuths)" in drawn
    assert "tested (root mean square over azimuths)" in drawn


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
    left_out = "interval, standard deviation over replicas, Dice of single networks"
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
        ({"cs_um": [1.2]}, 3, 8, "3 of 8 training conditions have no results yet (grey rows)."),
    ],
    ids=["one condition", "incomplete"],
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
    content = explorer_content.content(study, matrices(table, metrics), None, blocks)
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
    metrics = metrics.drop_vars("train").assign_coords(
        {"train": ids} | Axes.main.coordinates(ids, "train")
    )
    table = table.assign_coords(train=ids)
    blocks = explorer.Blocks()
    content = explorer_content.content(study, matrices(table, metrics), None, blocks)
    (tmp_path / "page.html").write_text(explorer.page("mixed", content, blocks), encoding="utf-8")
    show(other, tmp_path / "page.html")
    rank = other.evaluate("Array.from(explorer.view.rows.rank)")
    assert rank[-2:] == [len(ids) - 2, len(ids) - 1]
    outwards(other, "dose")  # another order of the axes
    assert other.evaluate("Array.from(explorer.view.rows.rank).slice(-2)") == rank[-2:]
    assert other.evaluate("explorer.train.words(explorer.train.size - 1)") == f"mixture {ids[-1]}"
    check_pixels(other, metrics.dice.values[0, 0, 0], np.random.default_rng(1))
    other.evaluate("explorer.change({cell: [explorer.train.size - 1, 0], tab: 'cell'})")
    other.wait("document.querySelector('#panel-cell .train') !== null")
    assert ids[-1] in other.evaluate("document.querySelector('#panel-cell .train').textContent")
    # Only the test condition has a curve of its transfer, which may have several parts.
    colours = other.evaluate(
        "Array.from(document.querySelectorAll('#panel-cell svg:first-of-type polyline'), "
        "(line) => line.getAttribute('stroke'))"
    )
    assert "var(--test)" in colours
    assert "var(--train)" not in colours
    notes = " ".join(content["notes"])
    assert "The last 2 row(s) are mixtures of conditions" in notes
