"""Draws a mermaid flowchart, such as the graph of Snakemake's rules, without mermaid's script."""

import re

import networkx as nx
from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.transforms import SphinxTransform

WIDTH, HEIGHT, ACROSS, DOWN = 96, 30, 116, 46


class Flowcharts(SphinxTransform):
    """Lets a drawing take the place of each block of code in the language mermaid."""

    default_priority = 5

    def apply(self, **_) -> None:
        for block in [*self.document.findall(nodes.literal_block)]:
            if block.get("language") == "mermaid":
                block.replace_self(nodes.raw("", drawn(graph_of(block.astext())), format="html"))


def graph_of(text: str) -> nx.DiGraph:
    """Return a flowchart's graph without the arrows that follow from others."""
    names = dict(re.findall(r"^\s*(\w+)\[(.+)\]$", text, re.M))
    arrows = re.findall(r"^\s*(\w+) --> (\w+)$", text, re.M)
    return nx.transitive_reduction(nx.DiGraph((names[a], names[b]) for a, b in arrows))


def drawn(graph: nx.DiGraph) -> str:
    """Return a graph as SVG, from left to right, in the colours of the page."""
    column: dict[str, int] = {}  # as close as possible to what reads its files
    for name in reversed([*nx.topological_sort(graph)]):
        column[name] = min((column[after] for after in graph.successors(name)), default=0) - 1
    layers: dict[int, list[str]] = {}
    for name in sorted(graph):
        layers.setdefault(column[name] - min(column.values()), []).append(name)
    tallest = max(map(len, layers.values())) - 1
    place = {
        name: (of * ACROSS, (row + (tallest - len(names) + 1) / 2) * DOWN)
        for of, names in layers.items()
        for row, name in enumerate(names)
    }
    parts = []
    for before, after in graph.edges:
        (x, y), (to_x, to_y) = place[before], place[after]
        x, y, to_y = x + WIDTH, y + HEIGHT / 2, to_y + HEIGHT / 2
        path = f"M{x} {y}C{x + 9} {y} {x + 5} {to_y} {x + 14} {to_y}H{to_x - 4}"
        parts.append(f'<path d="{path}" marker-end="url(#tip)"/>')
    for name, (x, y) in place.items():
        parts.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>')
        parts.append(f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 4}">{name}</text>')
    size = f"-2 -2 {ACROSS * max(layers) + WIDTH + 4} {DOWN * tallest + HEIGHT + 4}"
    tip = '<marker id="tip" orient="auto" markerWidth="8" markerHeight="8" refX="4" refY="4">'
    tip += '<path d="M0 0L8 4L0 8Z"/></marker>'
    return f'<svg class="rules" viewBox="{size}" role="img">{tip}{"".join(parts)}</svg>'


def setup(app) -> None:
    app.add_transform(Flowcharts)
    app.add_lexer("csv", TextLexer)
