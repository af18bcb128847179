"""Pictures inside the page: URIs of files, and figures whose text has the page's colours."""

import base64
import io
import re

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from passband.figures import style
from passband.reports.page.text import tight

#: Size of a figure on the page [CSS pixels for each inch]. In print, an inch has 96 pixels, and
#: text of 7 pt would be small on a screen.
SCALE = 125.0


def inline(figure: Figure, name: str, alt: str = "") -> Markup:
    """Return a figure as an SVG element without names of other files, in the page's colours.

    Args:
        name: Words for the element's class, which no other figure of the page has.
        alt: Text in place of the picture; "" if the caption says it all.
    """
    text = io.StringIO()
    # Without its own salt, the ids in a figure could be those in another, which may be hidden.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", dpi=SCALE, transparent=True, metadata={"Date": None})
    matplotlib.pyplot.close(figure)
    svg = text.getvalue()
    head, body = svg[svg.index("<svg") :].split(">", 1)
    view = re.search(r' viewBox="[^"]+"', head)[0]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'<g id="[^"]+"', "<g", body).replace("xlink:href", "href")
    for colour, place in (
        ("#262626", "currentColor"),
        (style.OWN.lower(), "var(--train)"),
        (style.OTHER.lower(), "var(--test)"),
    ):
        body = body.replace(colour, place)
    said = f'role="img" aria-label="{Markup.escape(tight(alt))}"' if alt else 'aria-hidden="true"'
    width = round(SCALE * figure.get_figwidth())
    return Markup(f'<svg class="{name}" {said} width="{width}"{view}>{body}')


def png_uri(pixels: np.ndarray) -> str:
    """Return an image (y, x) or (y, x, channel) of uint8 as the URI of a PNG file."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "png", optimize=True)
    return data_uri("image/png", packed.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Return a file of a kind such as ``image/png`` as a URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
