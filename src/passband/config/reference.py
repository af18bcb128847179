"""The reference of the configuration, made from its models: a page, and a schema for editors."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from passband.axes import AXES, MAIN_AXES
from passband.config.base import SPLITS, Block, block_of, keys_of
from passband.config.grid_blocks import Point, Points, Range, TestGrid
from passband.config.loading import allowed
from passband.config.mixture_block import MixtureBlock, MixtureKeys, MixtureRanges, WeightedPoint
from passband.config.study import Study

#: The keys that most studies set, which the page has first.
FIRST = (
    "study.name",
    *(f"specimens.<name>.{key}" for key in ("material", "shape", "diameter_nm.mean")),
    *(f"specimens.<name>.{key}" for key in ("particles.max", "substrate.thickness_nm")),
    *(f"grid.{name}" for name in MAIN_AXES),
    "study.replicas",
    *(f"study.structures.{split}" for split in SPLITS),
    *(f"microscope.{key}" for key in ("energy_kev", "pixel_size_A", "field_px")),
    *(f"training.{key}" for key in ("architectures", "epochs", "batch_size")),
)
#: Kinds of values, or None, that have no section.
_PLAIN = (None, Range, Point, WeightedPoint, MixtureRanges)


def schema() -> str:
    """Return the configuration's JSON schema as text."""
    found = Study.model_json_schema()
    found["description"] = found["description"].partition("\n\n")[0]  # without the example
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """Return the configuration's reference as a Markdown page: a text with tables of keys."""
    blocks = {
        **Study.model_fields,
        "grid.mixture": MixtureBlock.model_fields["mixture"],
    }
    parts = {
        "first": _lines(map(_first_row, FIRST)),
        "axes": _table(Range, "axis"),
        "points": _table(Points, "grid", ["points"]),
        **{path: "\n\n".join(_sections(path, field)) for path, field in blocks.items()},
    }
    text = Path(__file__).with_name("reference.md").read_text(encoding="utf-8")
    return re.sub("{{ (.*) }}", lambda found: parts[found[1]], text)


def _sections(path: str, field: FieldInfo) -> Iterator[str]:
    """Yield the section of a block, and then the sections of the blocks inside this block."""
    block = block_of(field.annotation)
    level = 2 + path.replace(".<name>", "").count(".")
    text = cleandoc(block.__doc__)
    if get_origin(field.annotation) is dict:
        path += ".<name>"
        text += (
            " A study may have several specimens, each with a name that you choose. The dimension "
            "`specimen` of the table has these names."
        )
    yield f"{'#' * level} `{path}`\n\n{text}\n\n{_table(block, path)}"
    for name, inner in block.model_fields.items():
        if block_of(inner.annotation) not in _PLAIN:
            yield from _sections(f"{path}.{name}", inner)


def _table(block: type[Block], path: str, names: Collection[str] = ()) -> str:
    """Return the table of a block's keys, or of the keys with the given names."""
    chosen = (name for name in keys_of(block) if not names or name in names)
    return _lines(_row(block, path, name) for name in chosen)


def _first_row(path: str) -> tuple[str, ...]:
    """Return the row of a key that has the blocks around it in its name."""
    *outer, name = path.replace(".<name>", "").split(".")
    block: type[Block] = Study
    for part in outer:
        block = block_of(block.model_fields[part].annotation)
    _, *others = _row(block, ".".join(outer), name)
    return f"`{path}`", *others


def _row(block: type[Block], path: str, name: str) -> tuple[str, ...]:
    field = block.model_fields[name]
    unit = (field.json_schema_extra or {}).get("unit", "")
    if block_of(field.annotation) is MixtureRanges:
        default = ""
        values = "a block such as `{defocus_nm: [0, 40], cs_um: [1, 100], ...}`"
    elif block_of(field.annotation) not in _PLAIN:
        default = ""
        values = f"a block, see `{path}.{name}`"
    else:
        default = _default(field, block)
        values = _allowed(name, field)
    return f"`{name}`", unit, default, values, field.description


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    """Return rows of keys as a table in Markdown."""
    head = ("key", "unit", "default", "allowed", "description"), ("---",) * 5
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        for row in (*head, *rows)
    )


def _default(field: FieldInfo, block: type[Block]) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None and block is MixtureKeys:
        return "none"
    if value is None:
        return "as `grid`" if block is TestGrid else "the study's own value"
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    """Return a plain value in YAML's notation."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_yaml(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(name: str, field: FieldInfo) -> str:
    if block_of(field.annotation) is Range:
        axis = AXES[name]
        return (
            f"list or range of values between {axis.minimum} and {axis.maximum}, "
            f"in steps of {10**-axis.decimals:g}"
        )
    words = allowed(name, field.annotation, field.metadata)
    return re.sub(r"'([\w.-]+)'", r"`\1`", words)
