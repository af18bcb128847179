"""The explorer: a page that shows every cell of a study's matrices, in a browser and offline.

The page is one HTML file. Its program is the source in the folder `explorer_page`, unchanged: plain
JavaScript without any library, so that nothing has to be built and nothing is loaded from a host.
Numbers are in compressed blocks, which the browser decompresses itself.
"""

import base64
import gzip
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

#: The files of the page's program, in the order in which the page runs them.
SCRIPTS = (
    "elements.js",
    "data.js",
    "conditions.js",
    "metrics.js",
    "lens.js",
    "colours.js",
    "axes.js",
    "matrix.js",
    "plot.js",
    "ranking.js",
    "state.js",
    "images.js",
    "cell.js",
    "networks.js",
    "microscope.js",
    "save.js",
    "main.js",
)
#: Number of a missing value in a block of 16-bit and of 8-bit integers.
MISSING = {"u2": 2**16 - 1, "u1": 2**8 - 1}


class Blocks:
    """Arrays of numbers, compressed for the page.

    A block is the gzip-compressed bytes of an array, in base64, which is a third longer. Arrays of
    16-bit integers are stored as all low bytes and then all high bytes, since the high bytes of
    neighbours are similar and compress well.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []

    def integers(self, values: np.ndarray, step: float, kind: str = "u2") -> dict[str, Any]:
        """Add an array as integers, and return the block's description for the page.

        Args:
            values: The numbers; NaN where a number is missing.
            step: Largest allowed distance between two neighbours of the stored numbers. The step is
                increased if the range of the numbers is too large for the integers.
            kind: ``u2`` for 16 bits or ``u1`` for 8 bits.

        Returns:
            `block`, the block's number; `kind`; `shape`; `low` and `step`: the integer k is the
            number low + k·step, and the largest integer means that the number is missing.
        """
        missing = MISSING[kind]
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        if kind == "u1":
            step = 0.0
        step = max(step, (high - low) / (missing - 1)) or 1.0
        places = np.full(values.shape, missing, dtype=f"<{kind}")
        places[np.isfinite(values)] = np.round((known - low) / step)
        stored = places.reshape(-1)
        if kind == "u2":
            stored = stored.view(np.uint8).reshape(-1, 2).T
        return self._add(stored, kind, values.shape) | {"low": low, "step": step}

    def floats(self, values: np.ndarray, kind: str = "f8") -> dict[str, Any]:
        """Add an array as floats of 4 or 8 bytes, and return the block's description."""
        return self._add(np.ascontiguousarray(values, dtype=f"<{kind}"), kind, np.shape(values))

    def short_floats(self, values: np.ndarray) -> dict[str, Any]:
        """Add an array as floats of 3 bytes, with errors up to 2e-5; return its description."""
        bits = np.ascontiguousarray(values, dtype="<f4").view("<u4").astype(np.uint64) + 128
        planes = [bits >> shift & 255 for shift in (8, 16, 24)]  # the first byte is rounded
        return self._add(np.array(planes, dtype=np.uint8), "f3", np.shape(values))

    def bytes(self, values: np.ndarray) -> dict[str, Any]:
        """Add an array of numbers from 0 to 255, and return the block's description."""
        return self._add(np.ascontiguousarray(values, dtype=np.uint8), "b1", np.shape(values))

    def _add(self, stored: np.ndarray, kind: str, shape: tuple[int, ...]) -> dict[str, Any]:
        # Without a time in the header, the same study gives the same page.
        packed = gzip.compress(stored.tobytes(), compresslevel=6, mtime=0)
        self.texts.append(base64.b64encode(packed).decode("ascii"))
        return {"block": len(self.texts) - 1, "kind": kind, "shape": list(shape)}


def page(title: str, content: Mapping[str, Any], blocks: Blocks) -> str:
    """Return the page.

    Args:
        content: What the page shows, as JSON; arrays are descriptions of blocks.
    """
    parts = {
        "TITLE": html.escape(title),
        "STYLE": _source("style.css"),
        "SCRIPT": "\n".join(_source(name) for name in SCRIPTS),
        "DATA": "\n".join(
            [
                f'<script type="application/json" id="content">{_json(content)}</script>',
                *(
                    f'<script type="text/plain" id="block-{number}">{text}</script>'
                    for number, text in enumerate(blocks.texts)
                ),
            ]
        ),
    }
    # The template is divided first, so that no part can contain the mark of another part.
    head, *rest = _source("index.html").split("@@")
    made = [head]
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        made += [parts[name], text]
    return "".join(made)


def _source(name: str) -> str:
    return (resources.files(__package__) / "explorer_page" / name).read_text(encoding="utf-8")


def _json(content: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the element of the page that contains it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
