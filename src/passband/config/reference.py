"""The reference of the configuration, made from its models: a page, and a schema for editors."""

import json
import re
from collections.abc import Collection, Iterator
from inspect import cleandoc
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from passband.axes import AXES
from passband.config.base import Block, block_of
from passband.config.designs import Ranges
from passband.config.grid_blocks import Grid, Point, Points, Range, TestGrid
from passband.config.loading import allowed
from passband.config.mixture_block import MixtureBlock, MixtureKeys, MixtureRanges, WeightedPoint
from passband.config.study import Study

_KEYS_OF_POINTS = ("points", "design")
#: Kinds of values, or None, that have no section.
_PLAIN = (None, Range, Point, Ranges, WeightedPoint, MixtureRanges)

_INTRODUCTION = """\
# Configuration

<!-- Made by `make docs` from the models in src/passband/config/. Edit those, not this page. -->

A study is one YAML file. Every key has a default, so a study file needs only the keys that have
other values. The name of a key ends with its unit. Unknown keys are refused. A mistake is reported
before any job starts, in one line that names the key, its value and the allowed values.

## Choosing a study

`config.yaml` in the repository's root is the study that runs by default:

```
snakemake --cores all
```

For another study, name its file on the command line:

```
snakemake --cores all --configfile studies/pilot.yaml
```

It then *replaces* `config.yaml`: no key of `config.yaml` is used. To check a file without running
anything, and to see how many networks and jobs it has:

```
passband check studies/pilot.yaml
```

## Mistakes

`passband check` answers within 3 seconds, whatever is in the file, and `passband run` makes the
same checks first. A study is YAML in UTF-8. Text that YAML reads differently than a person does is
refused: `010` (8), `1:00` (60), `0x10` (16), `yes` and `no`, dates. A key that is given twice is
refused too, and the message names both lines. Aliases (`&name`, `*name`) and `<<` are allowed, tags
(`!!int`) are not. An axis has at most 10,000 values, a grid at most 200,000 conditions, and a file
at most 1,000,000 bytes and 25,000 values; an alias counts as many values as it has.

When Snakemake runs, Passband's reader reads the file too and reports the same lines. But if a file
is given by `--configfile`, Snakemake's own reader reads it first. For the following files,
Snakemake's own message or a traceback appears before Passband's line:

| file given by `--configfile` | Snakemake 9.27 |
| --- | --- |
| missing, or a folder | traceback, `FileNotFoundError`, `IsADirectoryError` |
| not in UTF-8: UTF-16, Latin-1, compressed | traceback, `UnicodeDecodeError` |
| hundreds of nested blocks or lists, an alias inside its own block | traceback, `RecursionError` |
| a whole number of more than 4,300 digits, an impossible date | traceback, `ValueError` |
| aliases of blocks with billions of values | no answer; stop it with Ctrl-C |
| a list of 100,000 values | Snakemake takes some seconds; then Passband's line appears |
| not YAML, with tags, not a mapping, empty | a message without the line's number |

`passband check` reports each of these in one line. Without `--configfile`, only Passband's reader
reads `config.yaml`.

Snakemake's `--config` can change keys whose value is text: `--config 'study={name: other}'`. It
passes numbers inside a block as text, and Passband refuses them. Write numbers into the file.

## Editors

An editor that supports YAML schemas can complete and check keys with
[`config.schema.json`](config.schema.json).
"""

_RANGE = """\
## Axes

An axis of the grid is a list of values, `[5, 20, 40]`, or a range:

```yaml
defocus_nm: {start: 5, stop: 40, num: 8}
cs_um: {start: 1.2, stop: 1000, num: 6, spacing: geometric}
```

Values are sorted. The values of a range are rounded to the axis's resolution, and a listed value
that is finer than this resolution is refused. No value may be listed twice, and an axis has at most
10,000 values. If you add a value, only the networks of the new conditions are trained. Without
`test_grid`, the other networks are tested under the new conditions, too.

Every study has the axes defocus, Cs, aperture and dose. Any other axis is a further axis, which has
its own value in the block `microscope` or `specimens`. A condition's id has the value of a further
axis only if this value differs from the study's own value. So `astigmatism_nm: [0]` changes
nothing in a study without astigmatism, and `astigmatism_nm: [0, 5]` adds conditions and keeps the
results of the others. If `microscope` or `specimens` has a value for the axis, this value must be
one of the axis's values. [Some further axes](grid.md#further-axes) need other exit waves.
"""


_POINTS = """\
## Points, designs and several blocks

`grid` and `test_grid` can have conditions that are no product of axes, and can be a list of blocks.
[The page on the grid](grid.md) has examples.

```yaml
grid: {points: microscopes.csv}
test_grid:
  - {}                                   # all conditions of grid
  - points: [{defocus_nm: 12, cs_um: 1000, aperture_mrad: 10, dose_e_per_A2: 400}]
```

In place of the values of axes, a block then has one of the keys `points` and `design`. Axes that
the points do not have can be keys of the block too: each point is combined with all their values.
A block of `grid` can also have the key `mixture`: networks are then trained over a distribution of
conditions.
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
            parts.append(f"{_POINTS}\n{_table(Points, 'grid', _KEYS_OF_POINTS)}\n")
            design = Points.model_fields["design"]
            parts.extend(_sections("grid.design", design, level=3))
            mixture = MixtureBlock.model_fields["mixture"]
            parts.extend(_sections("grid.mixture", mixture, level=3))
    return "\n".join(parts)


def _sections(path: str, field: FieldInfo, level: int) -> Iterator[str]:
    """Yield the section of a block, and then the sections of the blocks inside this block."""
    block = block_of(field.annotation)
    text = cleandoc(block.__doc__)
    if get_origin(field.annotation) is dict:
        path += ".<name>"
        text += (
            " A study may have several specimens, each with a name that you choose. The dimension "
            "`specimen` of the table has these names."
        )
    yield f"{'#' * level} `{path}`\n\n{text}\n\n{_table(block, path)}\n"
    for name, inner in block.model_fields.items():
        if block_of(inner.annotation) not in _PLAIN:
            yield from _sections(f"{path}.{name}", inner, level + 1)


def _table(block: type[Block], path: str, names: Collection[str] = ()) -> str:
    """Return the table of a block's keys, or of the keys with the given names."""
    rows = [("key", "unit", "default", "allowed", "description"), ("---",) * 5]
    for name, field in block.model_fields.items():
        if names and name not in names:
            continue
        unit = (field.json_schema_extra or {}).get("unit", "")
        if block_of(field.annotation) in (Ranges, MixtureRanges):
            default, values = "", "a block such as `{defocus_nm: [0, 40], cs_um: [1, 100], ...}`"
        elif block_of(field.annotation) not in _PLAIN:
            default, values = "", f"a block, see `{path}.{name}`"
        else:
            default, values = _default(field, block), _allowed(name, field)
        rows.append((f"`{name}`", unit, default, values, field.description))
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    )


def _default(field: FieldInfo, block: type[Block]) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None and block in (Points, MixtureKeys):
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
