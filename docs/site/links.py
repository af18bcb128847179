"""Where links lead that no page of the site can follow: to the files of the repository."""

from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

#: The address of the repository; "" if it has none yet.
ADDRESS = ""


class Repository(SphinxTransform):
    """Lets a link to a file that is no page lead to the repository, or show the file's path."""

    default_priority = 5

    def apply(self, **_) -> None:
        root = Path(self.env.srcdir)
        for link in [*self.document.findall(is_unresolved)]:
            _, target = self.env.relfn2path(link["reftarget"], self.env.docname)
            path = Path(target)
            if path.exists():
                link.replace_self(resolved(link, path.resolve().relative_to(root.resolve())))


def is_unresolved(node: nodes.Node) -> bool:
    """Return whether MyST knows no page that is the target of a link."""
    is_link = isinstance(node, addnodes.download_reference | addnodes.pending_xref)
    return is_link and node["reftype"] == "myst" and node["refdomain"] is None


def resolved(link: nodes.Element, path: Path) -> nodes.Element:
    """Return what takes the place of a link to a file or folder of the repository."""
    words, name = link.astext(), PurePosixPath(path).as_posix()
    if ADDRESS:
        shown = [child.deepcopy() for child in link.children]
        return nodes.reference("", "", *shown, refuri=f"{ADDRESS.rstrip('/')}/blob/main/{name}")
    if path.name in words:
        return nodes.literal(words, words)
    return nodes.inline(
        "", "", nodes.Text(f"{words} ("), nodes.literal(name, name), nodes.Text(")")
    )


def setup(app) -> None:
    app.add_transform(Repository)
