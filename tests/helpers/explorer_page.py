"""Functions that read the page of ``passband explore`` in a browser."""

import base64
import io
import json

import numpy as np
from PIL import Image

from passband.reports.explorer import content

#: A page's numbers have a step of at most 1e-4; numbers that people read have 3 decimals.
STEP, READ = 6e-5, 5.6e-4
READY = "window.explorer !== undefined && explorer.ready.then(() => true)"


def show(page, file):
    page.open("about:blank")
    page.wait("location.href === 'about:blank'")
    page.open(file.as_uri())
    page.wait(f"location.href !== 'about:blank' && {READY}")


def plain(text):
    """Return the page's text without what keeps a number and its unit on one line."""
    return text.replace("\u00a0", " ").replace("\u2060", "")


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

    Returns:
        (set, set): the cells and their colours.
    """
    page.frame()
    picture = page.evaluate("document.getElementById('matrix').toDataURL().split(',')[1]")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))
    colours = content.colour_table(page.evaluate("document.getElementById('colours').value"))
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
