"""The directive `stores`: the variables of stores, from those of a small finished study."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import xarray as xr
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from zarr.storage import ZipStore

import passband

ARCHIVE = Path(__file__).parents[2] / "tests" / "data" / "finished_03.tar.xz"
STUDY = "results/smallest"
MARK = "<!-- variables -->"
STORES = {
    "table.zarr": "table.zarr",
    "ood.zarr": "ood.zarr",
    "information.zarr": "information.zarr",
    "records": "records/**/*.zarr.zip",
    "waves": "waves/*/test/*.zarr.zip",
}


class Stores(SphinxDirective):
    """A table for each store: the names of its variables, their dimensions, units and meanings."""

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.doctreedir).parent / "finished"
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        return [part for name, store in opened(folder / STUDY) for part in described(name, store)]


def opened(results: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield each store of a study, and its images under a condition."""
    for name, pattern in STORES.items():
        path = min(results.glob(pattern))
        store = ZipStore(path, mode="r") if path.suffix == ".zip" else path
        yield name, xr.open_zarr(store, consolidated=path.suffix != ".zip")
    study = passband.open(results)
    yield "images", study.images(study.study.test_conditions[0])


def described(name: str, store: xr.Dataset) -> list[nodes.Node]:
    """Return the title and the table of a store."""
    title = nodes.rubric("", "", nodes.literal(name, name))
    head = row(*map(nodes.Text, ("variable", "dimensions", "type, unit", "content")))
    rows = []
    for variable in sorted(store.data_vars):
        of = store[variable]
        unit = of.attrs.get("units", "1")
        rows.append(
            row(
                nodes.literal(variable, variable),
                nodes.Text(", ".join(map(str, of.dims))),
                nodes.Text(f"{of.dtype}, {unit}" if unit != "1" else str(of.dtype)),
                nodes.Text(of.attrs.get("long_name", "")),
            )
        )
    columns = [nodes.colspec(colwidth=width) for width in (22, 38, 14, 46)]
    body = nodes.tgroup("", *columns, nodes.thead("", head), nodes.tbody("", *rows), cols=4)
    return [title, nodes.table("", body)]


def row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def add_directive(app, docname: str, source: list[str]) -> None:
    """Put the directive where a page has its mark, which a reader of the clone does not see."""
    source[0] = source[0].replace(MARK, "```{stores}\n```")


def setup(app) -> None:
    app.add_directive("stores", Stores)
    app.connect("source-read", add_directive)
