"""Draws the text of an outcome in a terminal."""

import sys
from itertools import groupby

#: Columns of a terminal to which the names in a table are folded at most.
_NARROWEST = 12


def draw(text: str) -> None:
    """Print a text, whose Markdown tables are drawn in a terminal.

    rich's own `Markdown` would cut the names of networks in a narrow terminal.
    """
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    for is_table, lines in groupby(text.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            head, _, *rows = (line[2:-2].split(" | ") for line in lines)
            widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
            # A wide table has a space between columns instead of three. If it is too wide even so,
            # names are folded, or else all cells; then blank lines tell its rows apart.
            tight = sum(widths) + 3 * len(widths) > console.width
            left = console.width - sum(widths[1:]) - len(widths[1:])
            table = Table(
                box=SIMPLE_HEAD,
                padding=(0, 0 if tight else 1),
                show_edge=not tight,
                show_lines=left < widths[0],
            )
            for place, name in enumerate(head):
                whole = place > 0 and left >= _NARROWEST
                table.add_column(name, overflow="fold", no_wrap=whole)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        else:
            console.print(*lines, sep="\n")
