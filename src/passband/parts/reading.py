"""Reads the declarations of parts from the text of a file, without running any of its code."""

import ast
import dataclasses
import difflib
import re
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from passband.parts.kinds import CONSTANTS, KINDS, Kind
from passband.parts.part import Part
from passband.parts.source import FOLDER, PartError, content, parsed
from passband.words import listed

_THIS = "passband.parts"

_Function = ast.FunctionDef | ast.ClassDef
#: Names of parts: they are also those of files and of variables in stores.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_NAME_IN_WORDS = "1 to 40 letters, digits, '_', '.' or '-', beginning with a letter"


def read(file: Path, module: str = "") -> list[Part]:
    """Return the parts that a file declares, in their order.

    Args:
        module: The package's module of the file; "" for a file in a study's folder ``parts/``.

    Raises:
        PartError: If the file is no Python, or if a declaration is wrong; its line says where.
    """
    shown = module or f"{FOLDER}/{file.name}"
    found = _read(content(file, shown), file, module, shown)
    if isinstance(found, str):
        raise PartError(found)
    return list(found)


@lru_cache(maxsize=64)  # several studies have one folder of parts
def _read(text: bytes, file: Path, module: str, shown: str) -> tuple[Part, ...] | str:
    """Return the parts that a file's content declares, or the line that says what is wrong."""
    try:
        return _declared_in(text, file, module, shown)
    except PartError as error:
        return str(error)
    except (RecursionError, MemoryError):
        return f"{shown}: has expressions that are nested too deeply"


def _declared_in(text: bytes, file: Path, module: str, shown: str) -> tuple[Part, ...]:
    tree = parsed(text, shown)
    names = _names(tree, shown)
    if not module:
        _check_places(tree, names, shown)
    found: list[Part] = []
    for node in tree.body:
        for attribute, kind, call in _declared(node, names):
            place = f"{shown}, line {call.lineno}"
            if any(attribute == part.attribute for part in found):
                raise PartError(f"{place}: {attribute}: the file has two parts of this name")
            declaration = _declaration(KINDS[kind], call, place)
            name = declaration.name or _name(KINDS[kind], attribute)
            written = re.sub(r"<([a-z_]+)>", r"\1", name) if KINDS[kind].families else name
            if not _NAME.fullmatch(written):
                raise PartError(f"{place}: {kind}: name = {name[:60]!r}: must be {_NAME_IN_WORDS}")
            try:
                declaration.check_name(name)
            except ValueError as error:
                raise PartError(f"{place}: {kind}: {error}") from None
            found.append(
                Part(
                    kind=kind,
                    name=name,
                    declaration=declaration,
                    attribute=attribute,
                    file=file,
                    line=call.lineno,
                    module=module,
                    is_data=not isinstance(node, _Function),
                    doc=_doc(node),
                )
            )
            if isinstance(node, _Function):
                _check_parameters(found[-1], node)
    return tuple(found)


@cache
def read_package(kind: str) -> tuple[Part, ...]:
    """Return the package's own parts of a kind, in the order of files and of lines."""
    root = Path(__file__).parents[1]
    files = [file for pattern in KINDS[kind].home for file in sorted(root.glob(pattern))]
    of_kind = f"@{kind}", f"= {kind}("
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        if any(words in text for words in of_kind):  # parsing takes a hundred times as long
            inner = file.relative_to(root).with_suffix("").parts
            module = ".".join(("passband", *inner)).removesuffix(".__init__")
            found += read(file, module)
    return tuple(part for part in found if part.kind == kind)


def _names(tree: ast.Module, shown: str) -> dict[str, str]:
    """Return the names by which a file calls what it imports from :mod:`passband.parts`.

    Raises:
        PartError: If there is no such name. A misspelt decorator would declare no part, in silence.
    """
    names: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_THIS):
            for alias in node.names:
                if node.module == _THIS and not _is_exported(alias.name):
                    near = difflib.get_close_matches(alias.name, KINDS, 1)
                    meant = f"did you mean {near[0]}? " if near else ""
                    raise PartError(
                        f"{shown}, line {node.lineno}: {alias.name}: is no name of {_THIS}; "
                        f"{meant}the kinds are {listed([*KINDS])}"
                    )
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
            if "*" in names:
                names |= {name: name for name in (*KINDS, *CONSTANTS)}
        elif isinstance(node, ast.ImportFrom) and node.module == "passband":
            modules = {a.asname or a.name for a in node.names if a.name == "parts"}
            names |= {f"{m}.{name}": name for m in modules for name in (*KINDS, *CONSTANTS)}
        elif isinstance(node, ast.Import):
            modules = {a.asname or a.name for a in node.names if a.name == _THIS}
            names |= {f"{m}.{name}": name for m in modules for name in (*KINDS, *CONSTANTS)}
    return names


def _check_places(tree: ast.Module, names: dict[str, str], shown: str) -> None:
    """Raise PartError if a decorator is inside something else, where it would declare no part."""
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, (*get_args(_Function), ast.AsyncFunctionDef)):
            is_wrong = node not in top or isinstance(node, ast.AsyncFunctionDef)
            for decorator in node.decorator_list if is_wrong else ():
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if (kind := names.get(ast.unparse(called), "")) in KINDS:
                    raise PartError(
                        f"{shown}, line {decorator.lineno}: {kind}: {node.name} is no part; must "
                        "be a function or class at the top of the file, neither async nor inside "
                        "another or an if"
                    )


def _is_exported(name: str) -> bool:
    return name == "*" or hasattr(sys.modules[_THIS], name)


def _declared(node: ast.stmt, names: dict[str, str]) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield attribute, kind and call of each declaration in a statement of a module."""
    if isinstance(node, _Function):
        for decorator in node.decorator_list:
            called = decorator if isinstance(decorator, ast.Call) else None
            kind = names.get(ast.unparse(called.func if called else decorator), "")
            if kind in KINDS:
                called = called or ast.Call(decorator, [], [])
                yield node.name, kind, ast.copy_location(_resolved(called, names), decorator)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        kind = names.get(ast.unparse(node.value.func), "")
        if kind in KINDS and KINDS[kind].is_data and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, kind, _resolved(node.value, names)


def _resolved(call: ast.Call, names: dict[str, str]) -> ast.Call:
    """Return a call with the constants of :mod:`passband.parts` instead of their names."""

    class Constants(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return self._value(node)

        def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
            return self._value(node)

        def _value(self, node: ast.expr) -> ast.expr:
            name = names.get(ast.unparse(node))
            return (
                ast.copy_location(ast.Constant(CONSTANTS[name]), node)
                if name in CONSTANTS
                else node
            )

    arguments = [Constants().visit(each) for each in call.args]
    keywords = [ast.keyword(each.arg, Constants().visit(each.value)) for each in call.keywords]
    return ast.copy_location(ast.Call(call.func, arguments, keywords), call)


def _declaration(kind: type[Kind], call: ast.Call, place: str) -> Kind:
    """Return what a decorator says."""
    fields = {each.name: each for each in dataclasses.fields(kind) if each.init}
    positional = [name for name, each in fields.items() if not each.kw_only]
    of = f"{place}: {kind.__name__}"
    if len(call.args) > len(positional):
        raise PartError(
            f"{of}: takes {_counted(positional)}, then only keywords: {listed([*fields])}"
        )
    given: dict[str, Any] = {}
    pairs = [*zip(positional, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
    for name, node in pairs:
        if name is None:
            raise PartError(f"{of}: **: arguments must be written out, each with its name")
        if name in given:
            raise PartError(f"{of}: {name}: is given twice")
        if name not in fields:
            raise PartError(f"{of}: {name}: is unknown; allowed: {listed([*fields])}")
        try:
            given[name] = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            shown = ast.unparse(node)[:60]
            if shown in CONSTANTS:
                raise PartError(f"{of}: {shown}: is not imported from {_THIS}") from None
            raise PartError(
                f"{of}: {name} = {shown}: must be written out, since it is read without running "
                "the file"
            ) from None
        given[name] = _checked(given[name], get_type_hints(kind)[name], f"{of}: {name}")
    missing = [
        name
        for name, each in fields.items()
        if name not in given
        and each.default is dataclasses.MISSING
        and each.default_factory is dataclasses.MISSING
    ]
    if missing:
        is_first = missing[0] in positional
        which = f"{missing[0]}, its first argument," if is_first else f"{missing[0]}:"
        raise PartError(f"{of}: {which} is missing")
    declaration = kind(**given)
    try:
        declaration.check()
    except ValueError as error:
        raise PartError(f"{of}: {error}") from None
    return declaration


def _counted(positional: list[str]) -> str:
    return f"the value of {listed(positional)}" if positional else "no value without its name"


#: Types of what a decorator is given, in words.
_WORDS = {str: "text", int: "an integer", float: "a number", bool: "True or False"}


def _checked(value: Any, hint: Any, named: str) -> Any:
    """Return a value of an argument. Raise PartError if it is not of the argument's type."""
    origin = get_origin(hint) or hint
    if origin is tuple and isinstance(value, list):
        value = tuple(value)
    if origin is tuple and isinstance(value, tuple):
        (item, *_) = get_args(hint)
        return tuple(_checked(each, item, named) for each in value)
    if origin is dict and isinstance(value, dict):
        keys, values = get_args(hint)
        return {_checked(k, keys, named): _checked(v, values, named) for k, v in value.items()}
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    is_one = isinstance(origin, type) and isinstance(value, origin)
    if is_one and isinstance(value, bool) == (origin is bool):
        return value
    kinds = get_args(hint) if origin not in (tuple, dict) else ()
    for each in kinds:  # a union
        try:
            return None if each is type(None) and value is None else _checked(value, each, named)
        except PartError:
            continue
    words = {tuple: "a tuple such as ('ood',)", dict: "a dictionary"} | _WORDS
    said = words.get(origin) or listed([words.get(each, "None") for each in kinds], "or")
    raise PartError(f"{named} = {repr(value)[:60]}: must be {said}")


def _name(kind: type[Kind], attribute: str) -> str:
    return attribute.replace("_", "-") if kind.hyphens else attribute


def _check_parameters(part: Part, node: _Function) -> None:
    """Raise PartError if a part cannot be called with what its kind is called with."""
    expected = part.declaration.arguments
    if expected is None:
        return
    if isinstance(node, ast.ClassDef):
        inner = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        made = next((each for each in inner if each.name == "__init__"), None)
        if made is None:
            return  # a base class may have it
        names = [each.arg for each in (*made.args.posonlyargs, *made.args.args)][1:]
        arguments = made.args
    else:
        arguments = node.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    needed = len(names) - len(arguments.defaults)
    most = len(expected) if arguments.vararg else len(names)
    unknown = [
        a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None
    ]
    swapped = any(
        name in expected and expected[place : place + 1] != (name,)
        for place, name in enumerate(names)
    )
    if needed <= len(expected) <= most and not unknown and not swapped:
        return
    takes = listed([*names, *unknown]) if names or unknown else "nothing"
    must = f"{listed(expected)}{', in this order' if swapped else ''}" if expected else "nothing"
    raise PartError(f"{part}: takes {takes}; must take {must}")


def _doc(node: ast.stmt) -> str:
    text = ast.get_docstring(node) if isinstance(node, _Function) else None
    sentence, *_ = re.split(r"(?<=[.!?])\s", (text or "").partition("\n\n")[0], maxsplit=1)
    return " ".join(sentence.split())
