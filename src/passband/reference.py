"""The configuration's reference, made from its models: a page to read and a schema for editors."""

import json
import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from passband.config import Block, Grid, Range, Study, allowed, block_of
from passband.grid import AXES

_INTRODUCTION = """\
# Configuration

<!-- Made from the models in src/passband/config.py by `make docs`. Edit those, not this page. -->

A study is one YAML file. Every key has a default, and a key left out takes it: a study file says
only what it does differently. Keys carry their unit in their name, unknown keys are refused, and
a mistake is reported before any job starts, in one line that names the key, its value and what is
allowed.

## Choosing a study

`config.yaml` in the repository's root is the study that runs when none is named:

```
snakemake --cores all
```

Any other study file is named on the command line:

```
snakemake --cores all --configfile studies/pilot.yaml
```

It then stands *instead of* `config.yaml`: no key of `config.yaml` leaks into it. To check a file
without running anything, and to see how many networks and jobs it asks for:

```
passband check studies/pilot.yaml
```

An editor that knows YAML schemas completes and checks keys with
[`config.schema.json`](config.schema.json).
"""

_RANGE = """\
## Axes

Each of the grid's four axes is a list of values, `[5, 20, 40]`, or a range:

```yaml
defocus_nm: {start: 5, stop: 40, num: 8}
cs_um: {start: 1.2, stop: 1000, num: 6, spacing: geometric}
```

Values are rounded to the axis's resolution, sorted, and may not stand twice. Changing one makes
only the cells that are new.
"""


def schema() -> str:
    """Return the configuration's JSON schema as text."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """Return the configuration's reference as a Markdown page."""
    parts = [_INTRODUCTION]
    for name, field in Study.model_fields.items():
        parts.extend(_sections(name, field, level=2))
        if block_of(field.annotation) is Grid:
            parts.append(f"{_RANGE}\n{_table(Range, 'axis')}\n")
    return "\n".join(parts)


def _sections(path: str, field: FieldInfo, level: int) -> Iterator[str]:
    """Yield a block's section and then those of the blocks in it."""
    block = block_of(field.annotation)
    text = cleandoc(block.__doc__)
    if get_origin(field.annotation) is dict:
        path += ".<name>"
        text += (
            " There may be several, each under a name of your own; a table's dimension "
            "`specimen` has them."
        )
    yield f"{'#' * level} `{path}`\n\n{text}\n\n{_table(block, path)}\n"
    for name, inner in block.model_fields.items():
        if name not in AXES and block_of(inner.annotation):
            yield from _sections(f"{path}.{name}", inner, level + 1)


def _table(block: type[Block], path: str) -> str:
    """Return the table of a block's keys."""
    rows = [("key", "unit", "default", "allowed", "description"), ("---",) * 5]
    for name, field in block.model_fields.items():
        unit = (field.json_schema_extra or {}).get("unit", "")
        inner = name not in AXES and block_of(field.annotation)
        if inner:
            default, values = "", f"a block, see `{path}.{name}`"
        else:
            default, values = _default(field), _allowed(name, field)
        rows.append((f"`{name}`", unit, default, values, field.description))
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "as `grid`" if value is None else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    """Return a plain value as it is written in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_yaml(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(name: str, field: FieldInfo) -> str:
    if axis := AXES.get(name):
        return (
            f"list or range of values between {axis.minimum} and {axis.maximum}, "
            f"in steps of {10**-axis.decimals:g}"
        )
    words = allowed(name, field.annotation, field.metadata)
    return re.sub(r"'([\w.-]+)'", r"`\1`", words)
