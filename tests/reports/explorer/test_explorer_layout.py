"""How the page of ``passband explore`` looks: on wide and narrow screens, dark, and on paper."""

import base64
import io
import re

import browser
import numpy as np
import pytest
from explored import large_results, large_study, make_explored
from explorer_page import READY
from PIL import Image
from recommended import make_study

from passband import cli
from passband.matrices.of_study import matrices
from passband.reports.explorer import content, explorer

pytestmark = pytest.mark.slow

SCREENS = [(1400, 900), (1024, 768), (390, 844)]

#: Draws the matrix, and returns each text with the corners of its box in CSS pixels.
TEXTS = """
(() => {
  const [kept, found] = [CanvasRenderingContext2D.prototype.fillText, []];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const {width} = this.measureText(text);
    const left = x - {left: 0, center: 0.5, right: 1}[this.textAlign] * width;
    const at = this.getTransform();
    const scaled = ([x, y]) => {
      const place = at.transformPoint({x, y});
      return [place.x / explorer.view.scale, place.y / explorer.view.scale];
    };
    const [a, b] = [[left, y - 3], [left + width, y + 3]].map(scaled);
    found.push([text, Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]),
      Math.max(a[1], b[1])]);
  };
  explorer.view.draw();
  CanvasRenderingContext2D.prototype.fillText = kept;
  explorer.view.draw();
  return found;
})()
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The explorer of 16 conditions, as many as the demo has."""
    results = make_explored(make_study(replicas=2), tmp_path_factory.mktemp("small"))
    assert cli.main(["explore", str(results)]) == 0
    return results / "explorer.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The explorer of a study with as many networks and conditions as the twelve thousand."""
    study = large_study((12, 4, 6, 6), (4, 3, 4, 3), 7)
    blocks = explorer.Blocks()
    metrics, table = large_results(study)
    found = content.content(study, matrices(table, metrics), None, blocks)
    file = tmp_path_factory.mktemp("large") / "explorer.html"
    file.write_text(explorer.page("large", found, blocks), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=["small", "large"])
def page(request):
    with browser.opened(request.getfixturevalue(request.param)) as page:
        page.wait(READY)
        page.evaluate("explorer.change({rows: [0, 1, 2, 3], columns: [0, 1, 2, 3]})")
        page.name = request.param
        yield page
        assert page.problems == []


def resized(page, width, height):
    page.resize(width, height)
    page.frame()
    page.frame()  # the page measures its width after a frame


@pytest.mark.parametrize("screen", SCREENS)
def test_the_matrix_fills_its_column_and_no_label_is_cut_or_hidden(page, screen):
    resized(page, *screen)
    width, height, column = page.evaluate(
        "[explorer.view.width, explorer.view.height, document.getElementById('stage').clientWidth]"
    )
    wide, high = page.evaluate("(c => [c.clientWidth, c.clientHeight])(explorer.view.canvas)")
    assert width > 0.58 * column or high > 0.78 * screen[1]
    if page.name == "small":
        assert width == pytest.approx(height, abs=1)  # cells are squares
    assert wide <= column
    assert page.evaluate("document.documentElement.scrollWidth") <= screen[0]
    texts = page.evaluate(TEXTS)
    for n, (text, *box) in enumerate(texts):
        assert 0 <= box[0] < box[2] <= wide, text
        assert 0 <= box[1] < box[3] <= high, text
        for other, *its in texts[n + 1 :]:
            apart = box[2] <= its[0] or its[2] <= box[0] or box[3] <= its[1] or its[3] <= box[1]
            assert apart, (text, other)
    labels = [text for text, *_ in texts]
    for axis in ("defocus [nm]", "Cs [µm]", "aperture [mrad]", "dose [e/Å²]"):
        assert labels.count(axis) == 2  # of the rows, and of the columns
    if page.name == "small":
        assert labels.count("100") == labels.count("1000") == 16  # each dose of both sides


def test_thousands_are_separated(large, other):
    other.open(large.as_uri())
    other.wait(f"location.href !== 'about:blank' && {READY}")
    summary = other.evaluate("document.getElementById('summary').textContent")
    assert summary.startswith("12,096 networks, 1,728 training and 144 test conditions · ")
    other.evaluate("explorer.change({tab: 'networks', brush: [0, 1]})")
    text = other.evaluate("document.getElementById('panel-networks').innerText")
    assert text.startswith("2 of 1,728 training conditions: mean Dice ")


def test_page_one_on_paper_has_the_matrix(page):
    """It is sharp, in the colours of paper also on a dark screen, and not erased by its overlay."""
    resized(page, 1400, 1000)
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.command("Emulation.setEmulatedMedia", features=scheme)
    page.evaluate("explorer.change({cell: [3, 5], tab: 'cell'})")
    page.evaluate(
        "window.addEventListener('beforeprint', () => { window.corner = Array.from("
        "explorer.view.canvas.getContext('2d').getImageData(0, 0, 1, 1).data)}, {once: true})"
    )
    pdf = page.command("Page.printToPDF", pageRanges="1")["data"]
    images = re.findall(rb"/Subtype /Image\s+/Width (\d+)\s+/Height (\d+)", base64.b64decode(pdf))
    assert max(min(map(int, size)) for size in images) > 1000
    assert page.evaluate("window.corner") == [255, 255, 255, 255]
    page.command("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.evaluate("getComputedStyle(explorer.view.overlay).display") == "none"
    page.command("Emulation.setEmulatedMedia", media="", features=[])
    width = page.evaluate("explorer.view.canvas.clientWidth")
    assert width > 0.8 * page.evaluate("document.getElementById('stage').clientWidth")


def luminance(page, colour):
    """Return the relative luminance of a CSS colour, as WCAG defines it."""
    rgb = page.evaluate(
        f"(c => {{c.fillStyle = {colour}; c.fillRect(0, 0, 1, 1);"
        "return Array.from(c.getImageData(0, 0, 1, 1).data)})"
        "(document.createElement('canvas').getContext('2d'))"
    )[:3]
    share = np.array(rgb) / 255
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_a_dark_page_and_a_saved_matrix_is_light(page, scheme):
    page.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    page.evaluate("explorer.change({cell: [3, 5], tab: 'cell'})")
    page.frame()
    paper = luminance(page, "getComputedStyle(document.body).backgroundColor")
    assert (paper < 0.02) == (scheme == "dark")
    for place in ("body", "#notes", "#panel-cell .train", "#panel-cell .test", "#summary"):
        ink = luminance(page, f"getComputedStyle(document.querySelector({place!r})).color")
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 4.5, place
    canvas = "document.getElementById('matrix').toDataURL().split(',')[1]"
    shown = Image.open(io.BytesIO(base64.b64decode(page.evaluate(canvas)))).convert("L")
    pixels = np.asarray(shown) / 255
    assert (pixels[0, 0] < 0.2) == (scheme == "dark")
    assert np.ptp(pixels[:, :30]) > 0.4  # "trained at"
    page.evaluate("document.querySelector('#saving button').click()")
    file = page.download(page.evaluate("document.getElementById('name').textContent") + "-dice.png")
    with Image.open(file) as saved:
        assert saved.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    file.unlink()
    assert page.evaluate(canvas) == page.evaluate(f"(explorer.view.draw(), {canvas})")
    page.command("Emulation.setEmulatedMedia", features=[])


def test_no_line_ends_between_a_number_and_its_unit(small, other):
    other.open(small.as_uri())
    other.wait(f"location.href !== 'about:blank' && {READY}")
    lines = """
    (() => {
      const found = [];
      for (const place of document.querySelectorAll('#ranked button, p.train, p.test')) {
        if (!place.checkVisibility()) continue;
        const node = place.firstChild;
        for (const {0: value, index} of node.data.matchAll(/[\\d.]+.[^\\s·]+/g)) {
          const range = document.createRange();
          range.setStart(node, index);
          range.setEnd(node, index + value.length);
          found.push(new Set(Array.from(range.getClientRects(), ({y}) => Math.round(y))).size);
        }
      }
      return found;
    })()
    """
    for tab, values in (("microscope", 40), ("cell", 8)):
        other.evaluate(f"explorer.change({{cell: [3, 5], tab: '{tab}'}})")
        for width in range(120, 330, 6):
            other.evaluate(f"document.getElementById('details').style.width = '{width}px'")
            found = other.evaluate(lines)
            assert len(found) >= values
            assert set(found) == {1}, (tab, width)


def test_no_line_of_a_lattice_plane_crosses_the_name_of_another(small, other):
    other.open(small.as_uri())
    other.wait(f"location.href !== 'about:blank' && {READY}")
    other.evaluate("explorer.change({cell: [2, 7], tab: 'cell'})")
    names, lines = other.evaluate(
        """(plot => [
          Array.from(plot.querySelectorAll('.mark'), t => {
            const {x, y, width, height} = t.getBBox();
            return [t.textContent, x, x + width, y, y + height];
          }),
          Array.from(plot.querySelectorAll('line[stroke-dasharray]'), l => l.x1.baseVal.value),
        ])(document.querySelector('#panel-cell svg.plot'))"""
    )
    assert [name for name, *_ in names] == ["111", "200", "220", "311", "222"]
    assert len(lines) == 5
    for n, (name, left, right, top, bottom) in enumerate(names):
        assert not [x for x in lines if left < x < right], name
        for other_name, its_left, its_right, its_top, its_bottom in names[n + 1 :]:
            beside = right <= its_left or its_right <= left
            assert beside or bottom - 3 <= its_top or its_bottom - 3 <= top, (name, other_name)


def test_screen_readers_find_no_canvas_without_a_name(small, other):
    other.open(small.as_uri())
    other.wait(f"location.href !== 'about:blank' && {READY}")
    nodes = other.command("Accessibility.getFullAXTree")["nodes"]
    shown = [node for node in nodes if not node["ignored"]]
    roles = [node["role"]["value"] for node in shown]
    assert "application" in roles  # the matrix, which is described
    unnamed = [
        node
        for node, role in zip(shown, roles, strict=True)
        if role in ("Canvas", "canvas", "image") and not node["name"]["value"]
    ]
    assert unnamed == []


@pytest.mark.parametrize("tab", ["tab=microscope&", ""])
def test_an_address_opens_the_page_with_a_microscope(small, other, tab):
    """The report links to such addresses. The numbers are in the order and units of the axes."""
    asked = [7.5, 30, 12, 250]
    other.open("about:blank")
    other.wait("location.href === 'about:blank'")
    other.open(f"{small.as_uri()}#{tab}microscope={','.join(map(str, asked))}")
    other.wait(f"location.href !== 'about:blank' && {READY}")
    shown = "Array.from(document.querySelectorAll('.sliders input[type=number]'), i => +i.value)"
    assert other.evaluate(shown) == asked
    best = other.evaluate(f"explorer.rank(0, {asked}).then(found => found.networks[0].id)")
    assert other.evaluate("document.querySelector('#ranked tr[data-id]').dataset.id") == best
