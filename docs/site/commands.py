"""The directive `commands`: every command of Passband with its options, from its own parser."""

import argparse
import os
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from passband import cli

#: The page with the directive, from which links lead to other pages.
PAGE = "docs/site/commands"


class Commands(SphinxDirective):
    """Describes the commands by group, as `passband --help` lists them."""

    def run(self) -> list[nodes.Node]:
        os.environ["COLUMNS"] = "84"
        return [
            titled(group, *(described(command) for command in commands))
            for group, commands in cli.COMMANDS.items()
        ]


def described(command: cli.Command) -> nodes.section:
    """Return a section on a command: its usage, what it does, its options, and an example."""
    parser = cli._parser(command.name)._subparsers._group_actions[0].choices[command.name]
    usage = parser.format_usage().removeprefix("usage: ")
    parts = [code(usage), *prose(parser.description)]
    for group in parser._action_groups:
        shown = [a for a in group._group_actions if a.help not in (None, argparse.SUPPRESS)]
        if shown := [action for action in shown if action.dest != "help"]:
            if group.title not in ("options", "positional arguments"):
                parts += prose(f"{group.title}: {group.description or ''}")
            parts.append(nodes.definition_list("", *map(option, shown), classes=["options"]))
    return titled(f"passband {command.name}", *parts, code(parser.epilog.partition(": ")[2]))


def option(action: argparse.Action) -> nodes.definition_list_item:
    """Return an option with what it takes, and its help."""
    takes = argparse.HelpFormatter("")._format_args(action, action.dest.upper())
    if not action.option_strings:
        takes = action.metavar or action.dest
    named = action.option_strings or [takes if isinstance(takes, str) else " ".join(takes)]
    term = nodes.term("", "", *(nodes.literal(name, name) for name in named))
    for literal in term.children[1:]:
        literal.parent.insert(literal.parent.index(literal), nodes.Text(", "))
    if action.option_strings and takes:
        term += [nodes.Text(" "), nodes.emphasis(takes, takes)]
    values = vars(action) | {"prog": "passband", "default": action.default}
    return nodes.definition_list_item("", term, nodes.definition("", *prose(action.help % values)))


def prose(text: str) -> list[nodes.Node]:
    """Return a paragraph in which the names of pages, such as docs/run.md, are links."""
    paragraph = nodes.paragraph()
    for part in re.split(r"(docs/[a-z-]+)\.md", " ".join(text.split())):
        if part.startswith("docs/") and part.count(" ") == 0:
            name = nodes.literal("", f"{part}.md")
            domain = {"refdomain": "std", "reftype": "doc", "refexplicit": True}
            paragraph += addnodes.pending_xref(
                "", name, reftarget=f"/{part}", refdoc=PAGE, **domain
            )
        else:
            paragraph += nodes.Text(part)
    return [paragraph] if paragraph.astext() else []


def code(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="text")


def titled(title: str, *parts: nodes.Node) -> nodes.section:
    section = nodes.section("", nodes.title(title, title), *parts)
    section["ids"] = [re.sub(r"\W+", "-", title.lower())]
    return section


def setup(app) -> None:
    app.add_directive("commands", Commands)
