"""The text of a study's file: only the keys that differ from their defaults."""

from collections.abc import Mapping
from typing import Any

import yaml

from passband.config.specimen import Specimen
from passband.config.study import Study
from passband.config.training import RECIPES

#: The longest line that has a comment beside its value.
_LONGEST = 110
#: Keys that a reader looks for, which are written whatever they have.
_SHOWN = ("study", "name"), ("microscope", "energy_kev"), ("microscope", "pixel_size_A")


def of(content: Mapping[str, Any], before: Mapping[str, Any], its: str) -> str:
    """Return the content of a study as YAML, with earlier values in comments.

    Args:
        content: The values of keys, as :meth:`Study.written` returns them.
        before: The same of another study, with the same names of specimens. A key with another
            value is written, also if it has its default, and a comment has the value from there.
        its: The name of the other study, for the comments.
    """
    defaults = Study().written()
    defaults["training"] |= RECIPES[content["training"]["recipe"]]
    for block, name in _SHOWN:
        del defaults[block][name]
    plain = Specimen().model_dump(mode="json")
    del plain["material"]
    defaults["specimens"] = dict.fromkeys(content["specimens"], plain)
    written = []
    for block, values in content.items():
        of_grid = block in ("grid", "test_grid")
        default = {} if of_grid else defaults[block]
        earlier = before.get(block, {})
        lines = _lines(values, default, earlier, its=its, of_blocks=block == "specimens")
        if lines:
            written.append("\n".join([f"{block}:", *lines]))
    return "\n\n".join(written) + "\n"


def _lines(
    values: dict, default: dict, before: dict, *, its: str, of_blocks: bool = False
) -> list[str]:
    """Return the lines of a block's keys; of one with named blocks, those of each of them."""
    if of_blocks:
        return [
            line
            for name, keys in values.items()
            for line in (
                f"  {name}:",
                *(f"  {each}" for each in _lines(keys, default[name], before[name], its=its)),
            )
        ]
    lines = []
    for name, value in _differing(values, default, before).items():
        line = f"  {_flow({name: value})}"
        if name in before and before[name] != values[name]:
            earlier = _differing({name: before[name]}, {name: values[name]}, {})
            said = f"# {its}: {_flow(earlier).partition(': ')[2]}"
            beside = f"{line}  {said}"
            lines += [beside] if len(beside) <= _LONGEST else [f"  {said}", line]
        else:
            lines.append(line)
    return lines


def _differing(values: dict, default: dict, before: dict) -> dict:
    """Return the keys that differ from their default, or from what they were before."""
    found = {}
    for name, value in values.items():
        usual = default.get(name)
        earlier = before.get(name, value)
        if value is None or (name in default and value == usual == earlier):
            continue
        if isinstance(value, dict) and isinstance(usual, dict):
            inner = earlier if isinstance(earlier, dict) else {}
            value = _differing(value, usual, inner)
        found[name] = value
    return found


def _flow(values: dict) -> str:
    """Return one key with its value in a line of YAML."""
    text = yaml.safe_dump(
        _plain(values),
        default_flow_style=True,
        width=10**6,
        sort_keys=False,
        allow_unicode=True,
    )
    return text.strip()[1:-1]


def _plain(value: Any) -> Any:
    """Return a value with whole numbers as people write them: 300, not 300.0."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
