"""What the site has of the finished demo: its report, its explorer, and notebooks that open it."""

import os
import re
import shutil
from pathlib import Path

import jupytext

NEEDED = "report.html", "explorer.html", "table.zarr", "ood.zarr", "information.zarr"
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "demo"
NOTEBOOKS = "docs/notebooks/"
PAGES = """

<p>Made by <code>make demo</code>: <a href="../demo/report.html">the report</a> and
<a href="../demo/explorer.html">the explorer</a> of the demo.</p>
"""
NOTEBOOK_PAGES = "\n```{toctree}\n:caption: Notebooks\n:glob:\n\n../notebooks/*\n```\n"
DOWNLOAD = '\n<p><a href="{0}.ipynb" download>Download this notebook</a></p>\n\n'


def finished() -> bool:
    """Return whether the demo has run to its end in this clone."""
    return all((RESULTS / name).exists() for name in NEEDED)


def begin(app) -> None:
    """Say in one line what is missing, and let notebooks run in the folder of the clone."""
    if not finished():
        print(
            "results/demo is not finished (make demo): the site is without its report and its "
            "explorer, and notebooks are not executed"
        )
    # Kernels run in the clone, and without the settings of the user.
    profile = Path(app.doctreedir).parent / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    settings = f"import os\n\nos.chdir({str(ROOT)!r})\nc.IPKernelApp.log_level = 'ERROR'\n"
    (profile / "ipython_kernel_config.py").write_text(settings, encoding="utf-8")
    os.environ["IPYTHONDIR"] = str(profile.parent)


def add_links(app, docname: str, source: list[str]) -> None:
    """Add the links to what `end` copies to the pages that name it."""
    if docname == "docs/gallery" and finished():
        source[0] += PAGES
    if docname == "docs/site/start" and (ROOT / NOTEBOOKS).is_dir():
        source[0] += NOTEBOOK_PAGES
    if docname.startswith(NOTEBOOKS):
        title, name = re.search("^# .+\n", source[0], re.M), docname.removeprefix(NOTEBOOKS)
        at = title.end() if title else len(source[0])
        source[0] = source[0][:at] + DOWNLOAD.format(name) + source[0][at:]


def end(app, error: Exception | None) -> None:
    """Copy the demo's pages to the site, and write the notebooks as .ipynb files."""
    if error:
        return
    target = Path(app.outdir)
    shutil.copy(target / "README.html", target / "index.html")
    if finished():
        (target / "demo").mkdir(exist_ok=True)
        for page in ("report.html", "explorer.html"):
            shutil.copy(RESULTS / page, target / "demo")
    for page in sorted((ROOT / NOTEBOOKS).glob("*.md")):
        jupytext.write(jupytext.read(page), target / NOTEBOOKS / f"{page.stem}.ipynb")


def setup(app) -> None:
    app.connect("builder-inited", begin)
    app.connect("source-read", add_links)
    app.connect("build-finished", end)
