"""Sphinx's settings for the site: `make docs` builds it from the pages as they are in the clone.

The sources are the pages of the whole clone, so a link means the same in a clone and on the site.
"""

import sys
import tomllib
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))
import commands
import demo
import links
import rules
import stores

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: The folders with pages. Sphinx does not look into the others, such as results of studies.
FOLDERS = ROOT / "docs", ROOT / "results", ROOT / "benchmarks", ROOT / "findings"

project, author, release = "Passband", "the authors of Passband", PROJECT["version"]
copyright = f"{author}, GPL-3.0-or-later"
root_doc, language, needs_sphinx = "README", "en", "9.0"
smartquotes = False  # they would make a dash of the two hyphens of an option
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = [
    *("*.md", "docs/**.md", "findings/**.md"),
    *("results/README.md", "benchmarks/README.md"),
]
exclude_patterns = [
    *(p.name for p in ROOT.iterdir() if p.is_dir() and p not in FOLDERS),
    *(f"results/{p.name}" for p in (ROOT / "results").iterdir() if p.is_dir()),
    "findings/twelve_thousand/page.md",  # what its README is made from
]

# Markdown, and notebooks, which open the demo from the folder in which it was run

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4
nb_execution_mode = "cache" if demo.finished() else "off"
nb_execution_cache_path = str(ROOT / "build" / "notebooks")
nb_execution_timeout, nb_execution_show_tb = 900, True  # a failure is a warning, thus an error

# The Python API, from the docstrings

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": False}
napoleon_numpy_docstring, napoleon_use_ivar = False, True
# Public names have a page here; other packages and Passband's other modules have none.
nitpick_ignore_regex = [("py:.*", r"(?!passband\.([A-Z]|open)).*")]

# The look

html_theme, html_title = "pydata_sphinx_theme", f"Passband {release}"
html_static_path, html_css_files = ["static"], ["site.css"]
html_show_sourcelink = html_copy_source = False
html_theme_options = {
    "logo": {"text": "Passband"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_version_warning_banner": False,
}


def add_sections(app, docname, source):
    """Add the site's four parts to the start page, where only Sphinx sees them."""
    if docname == root_doc:
        parts = "\n".join(
            f"docs/site/{name}" for name in ("start", "how-to", "explanation", "reference")
        )
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{parts}\n```\n"


def write_dashes(app, doctree, docname):
    """Write a dash where Sphinx has two hyphens, between a parameter and its description."""
    for text in [*doctree.findall(nodes.Text)]:
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app):
    links.ADDRESS = PROJECT.get("urls", {}).get("Repository", "")
    app.connect("source-read", add_sections)
    app.connect("doctree-resolved", write_dashes)
    for part in (links, rules, commands, stores, demo):
        part.setup(app)
