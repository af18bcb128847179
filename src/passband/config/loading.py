"""Load a study's file as a :class:`Study`, or report each mistake in one line.

Each line names the key, its value and the allowed values. The numbers of values of an axis and of
conditions are checked before conditions are made.
"""

import difflib
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from passband.axes import AXES
from passband.config.base import Block, block_of, blocks_of, keys_of, number_hint, short
from passband.config.grid_blocks import Range
from passband.config.specimen import Specimen
from passband.config.study import Study
from passband.config.study_file import ConfigError, change, dotted, read
from passband.parts import PartError, Parts
from passband.parts.source import FOLDER
from passband.units import in_known_unit
from passband.words import listed, number_of

#: The largest number of mistakes that are reported.
MOST_LINES = 20
#: Keys under which the workflow gives its jobs the path of the study's file, and that of the folder
#: with a copy of the study's own parts.
SOURCE = "__source__"
PARTS = "__parts__"


def validate(config: dict, source: str = "config") -> Study:
    """Return the study that the content of a YAML file describes.

    `source` names the study's file in error messages. Paths in the configuration are relative to
    the folder of this file, or of the file that the key :data:`SOURCE` names. The study's own parts
    are in the folder `parts` there.
    """
    folder = Path(config.get(SOURCE, source)).parent
    try:
        known = Parts.read(folder / FOLDER)
    except PartError as error:
        raise ConfigError(f"{source}: {error}") from None
    return _validated(config, source, known)


def _validated(config: dict, source: str, known: Parts, is_stored: bool = False) -> Study:
    folder = Path(config.get(SOURCE, source)).parent
    config = {name: block for name, block in config.items() if name not in (SOURCE, PARTS)}
    mistakes: list[str] = []
    objections: list[str] = []
    study = None
    context = {
        "folder": folder,
        "objections": objections,
        "parts": known,
        "is_stored": is_stored,
    }
    try:
        study = Study.model_validate(config, context=context)
    except ValidationError as error:
        mistakes += map(_line, error.errors(include_url=False))
    if mistakes or study is None:
        lines = dict.fromkeys(f"{source}: {line}" for line in mistakes[:MOST_LINES])
        if more := len(mistakes[MOST_LINES:]):
            lines[f"{source}: and {number_of(more, 'more mistake')}"] = None
        raise ConfigError(*lines)
    study._objections += objections
    return study


def validate_stored(
    config: dict, source: str = "config", parts: Path | Parts | None = None
) -> Study:
    """Return the study whose configuration is stored with results, see :func:`validate`.

    Keys that are gone may have any values. A name of no known part is that of a part which is
    missing.

    Args:
        parts: The folder with a copy of the study's own parts, if there is one, or what is known of
            them.
    """
    if isinstance(parts, Parts):
        return _validated(config, source, parts.as_stored(), is_stored=True)
    try:
        known = Parts.read(parts, is_stored=True)
    except PartError as error:  # what needs no part can be shown nevertheless
        known = Parts(is_stored=True)
        known.missing.append(str(error))
    return _validated(config, source, known, is_stored=True)


def validate_job(config: dict) -> Study:
    """Return the study of a job of the workflow, whose own parts run, see :func:`validate_stored`.

    Raises:
        ConfigError: If the study or one of its parts is wrong.
    """
    source = config.get(SOURCE, "config")
    folder = config.get(PARTS)
    try:
        known = Parts.read(Path(folder) if folder else None, is_stored=True)
    except PartError as error:
        raise ConfigError(f"{source}: {error}") from None
    study = _validated(config, source, known)
    study.known_parts.trust()
    return study


def load(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """Return the study in a YAML file, after changes such as ``training.epochs=3``."""
    source = f"{path} with --set" if changes else str(path)
    return validate(change(read(path), changes), source)


def load_stored(path: Path) -> Study:
    """Return the study in the YAML file of a published folder, see :func:`validate_stored`."""
    return validate_stored(read(path), str(path), path.parent / FOLDER)


#: Description of the values that ``Name`` allows.
NAME_IN_WORDS = "1 to 40 letters, digits, '.' or '-', beginning with a letter or a digit"


def allowed(name: str, annotation: Any, metadata: Sequence = (), unit: str = "") -> str:
    """Return a description of the values that a key may have.

    `name` is the last part of the key, and shows whether it is an axis of the grid. `annotation`
    and `metadata` are those of pydantic's field. The unit is written after a bound.
    """
    if name in ("grid", "test_grid"):
        return "a block of keys, or a list of 1 to 1,000 blocks"
    if name == "points" and any("weight" in b.model_fields for b in blocks_of(annotation)):
        return "a list of points such as [{defocus_nm: 12, cs_um: 1000, ..., weight: 0.7}]"
    if name == "points" and annotation is not int:
        points = "[{defocus_nm: 12, cs_um: 1000, ...}]"
        return f"a list of points such as {points}, or the path of a CSV file"
    for item in metadata:
        if words := getattr(item, "words", ""):
            return words
    kinds = _types(annotation)
    if name in AXES and kinds & {Range, type(None)}:
        axis = AXES[name]
        if Range in kinds:
            return (
                "a list such as [5, 20] or a range such as {start: 5, stop: 40, num: 8}, of values "
                f"{axis.allowed}"
            )
        return f"[lowest, highest], {axis.allowed}" if list in kinds else f"a number {axis.allowed}"
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        inner = [item for each in inner for item in getattr(each, "metadata", [each])]
        return allowed(name, annotation, inner, unit)
    if get_origin(annotation) in (Union, UnionType):
        kinds = (kind for kind in get_args(annotation) if kind is not type(None))
        return " or ".join(allowed(name, kind, metadata, unit) for kind in kinds)
    if get_origin(annotation) is Literal:
        return listed([repr(value) for value in get_args(annotation)], "or")
    if name == "zone":
        return "three integers such as [1, 1, 0], or [] for a random orientation"
    if name == "surface_energies":
        return 'a block of Miller indices and numbers, such as {"111": 1.28, "100": 1.63}'
    if name == "msd_A2":
        return "a block of chemical symbols and numbers, such as {Ce: 0.003, O: 0.006}"
    if get_origin(annotation) is list:
        (item,) = get_args(annotation)
        if get_origin(item) is list:
            return "a list of pairs such as [[0, 1], [1, 0.4]]"
        if item is float:
            return "a list of ascending numbers such as [0.25, 0.6], or [] for none"
        return f"a list of {'names' if item is str else allowed('', item)}, not empty"
    if get_origin(annotation) is dict:
        return "a block of named blocks, not empty"
    if block_of(annotation):
        return "a block of keys"
    if any(getattr(item, "pattern", None) for item in metadata):
        return NAME_IN_WORDS
    kind = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
    words = kind[annotation]
    bounds = {
        sign: getattr(item, sign)
        for sign in ("ge", "gt", "le", "lt")
        for item in metadata
        if getattr(item, sign, None) is not None
    }
    if {"ge", "le"} <= bounds.keys():
        words += f" between {bounds['ge']} and {bounds['le']}"
    elif bounds:
        says = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        words += " " + " and ".join(f"{says[sign]} {value}" for sign, value in bounds.items())
    return f"{words} {unit}" if bounds and unit else words


def _types(annotation: Any) -> set:
    """Return all types inside an annotation."""
    inner = {kind for argument in get_args(annotation) for kind in _types(argument)}
    own = {annotation, get_origin(annotation)} if isinstance(annotation, Hashable) else set()
    return own | inner


def _line(details: dict) -> str:
    """Return the line for one of pydantic's errors: ``key = value: must be …``."""
    # Without the names that pydantic adds between the keys.
    loc = [part for part in details["loc"] if not re.fullmatch(r"<.*>|\[key\]", str(part))]
    name = dotted(loc) or "the study"
    value = details["input"]
    if details["loc"][-1:] == ("[key]",):
        return f"{dotted(loc[:-1])} = {short(value)}: a name here must be {NAME_IN_WORDS}"
    match details["type"]:
        case "too_long":
            most = details["ctx"]["max_length"]
            return f"{name} = {short(value)}: {len(value):,} values; must not exceed {most:,}"
        case "extra_forbidden":
            keys = _keys(loc[:-1])
            elsewhere = (
                f"{block}.{loc[-1]}".replace("specimens.", "specimens.NAME.")
                for block in Study.model_fields
                if loc[-1] in _keys([block])
            )
            near = (
                in_known_unit(str(loc[-1]), keys)
                or next(iter(difflib.get_close_matches(str(loc[-1]), keys, n=1)), "")
                or next(elsewhere, "")
            )
            hint = f"did you mean {near}? " if near else ""
            return f"{name} = {short(value)}: unknown key; {hint}allowed: {', '.join(keys)}"
        case "invalid_key":
            keys = ", ".join(_keys(loc[:-1]))
            return f"{dotted(loc[:-1]) or 'key'} = {short(loc[-1])}: unknown key; allowed: {keys}"
        case "value_error":
            message = str(details["ctx"]["error"])
            if re.match(rf"(?:{'|'.join(Study.model_fields)})[.\[ ]", message):
                return message  # a rule across blocks names its own key
            in_range = details["loc"][-1:] == ("<range>",)
            if in_range or (isinstance(value, dict) and not _is_axis(loc) and _keys(loc)):
                return f"{name}.{message}"  # a rule within a block names its own key there
            return f"{name} = {message}"
        case "union_tag_invalid" if details["ctx"]["tag"] == "<mixture>":
            what = "must be a block of conditions; mixtures are for grid only"
            return f"{name} = {{mixture: ...}}: {what}"
        case "missing":
            return f"{name}: missing; it has no default"
        case "finite_number":
            return f"{name} = {short(value)}: must be a finite number"
    words = _allowed_at(loc)
    if words.startswith(("a number", "an integer")):
        words += number_hint(value)
    return f"{name} = {short(value)}: must be {words}"


def _is_axis(loc: Sequence) -> bool:
    """Return whether keys lead to an axis of the grid."""
    names = [part for part in loc if not isinstance(part, int)]
    return len(names) == 2 and names[0] in ("grid", "test_grid") and names[1] in AXES


def _allowed_at(loc: list) -> str:
    """Return a description of the values that are allowed at a place in the configuration."""
    _, field = _field(loc)
    if field is None or loc[-2:-1] == ["specimens"]:
        return "a block of keys"
    if _field(loc[:-1])[1] is field and get_origin(field.annotation) is dict:
        return allowed("", get_args(field.annotation)[1])
    if not isinstance(loc[-1], int):
        unit = (field.json_schema_extra or {}).get("unit", "")
        return allowed(loc[-1], field.annotation, field.metadata, unit)
    if axis := AXES.get(loc[-2]):
        return f"a number {axis.allowed}"
    if blocks_of(field.annotation):
        return "a block of keys"
    (item,) = get_args(field.annotation)
    return "a pair of numbers such as [1, 0.4]" if get_origin(item) is list else allowed("", item)


def _field(loc: list) -> tuple[list[type[Block]], Any]:
    """Return the field at a place in the configuration, and the blocks that it may be."""
    models = [Study]
    field = None
    for part in loc:
        if not models or isinstance(part, int):
            continue
        if field is not None and models[0] is Specimen and part not in Specimen.model_fields:
            continue  # a specimen's own name
        known = [model for model in models if part in model.model_fields]
        if not known:
            return models, None
        field = known[0].model_fields[part]
        models = blocks_of(field.annotation)
    return models, field


def _keys(loc: list) -> list[str]:
    """Return the sorted names of the keys of a block."""
    return sorted({name for model in _field(loc)[0] for name in keys_of(model)})
