"""The base class of the configuration's models, the function for keys, and text for messages.

How to add a key
----------------
1. Add the key to its model with the function :func:`key`. As ``since=``, give the version of
   Passband in which the key will be new; results stay valid from version 0.3.0 on, so every key
   that is newer has one. The key's default must give the same results as before. While the key has
   its default, it is not in the params of Snakemake's rules and not in digests. So finished studies
   stay finished: see :meth:`Block.identity`. A new block inside an existing block needs ``since=``
   too. The keys in the new block do not need ``since=``. If ``since=`` is missing, every network of
   every study is trained again.
2. Some keys affect only some stages, or have an effect only with one value of another key. For such
   a key, change the methods that give the stages their params: ``Microscope.exit_wave_params``,
   ``.imaging_params``, ``.transfer_params`` and ``.lens_params``, ``Specimen.params`` and
   ``Training.params``. All these methods except ``Microscope.exit_wave_params`` include a new key
   automatically.
3. ``Recipes`` in store/recipe.py lists single keys of the blocks `evaluation`, `information` and
   `figures`. For a new key in one of these blocks, such as `information`, add the path
   ``information.key`` to the settings of the jobs that use it, such as ``Recipes.information``.
4. Add the key with its default to config.yaml. Set the key in a study of studies/, such as
   studies/everything.yaml, and run ``make docs``.

How to remove a key
-------------------
In its model, :func:`gone` takes the place of :func:`key`, with the value that every study has from
now on. Where the key was used, this value is a constant.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from passband.axes import AXES, FURTHER_AXES
from passband.parts import PACKAGE, Part, PartError, Parts

SPLITS = ("train", "val", "test")
#: Advice for a number in quotes, or one that YAML takes for text.
UNQUOTED = "write it without quotes, and 1e-3 as 1.0e-3"


class Block(BaseModel):
    """A block of the configuration. Blocks are frozen, and accept only known keys and types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )

    #: The block of the further axes that are keys of this block, see `Axis.block`.
    axes_of: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _without_gone(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse other values of keys that are gone, but in what is stored with results."""
        if not isinstance(given, dict):
            return given
        is_stored = (info.context or {}).get("is_stored", False)
        kept = dict(given)
        for name in given:
            field = cls.model_fields.get(name)
            if field is None or not _is_gone(field):
                continue
            if given[name] == field.default:
                del kept[name]
            elif not is_stored:
                instead = field.json_schema_extra["gone"]
                raise ValueError(f"{name} = {short(given[name])} is gone since 0.4.0: {instead}")
        return kept

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self._check_values()
        return self

    def _check_values(self) -> None:
        """Raise ValueError, with a line that begins with a key, if values do not fit together."""

    def identity(
        self,
        mode: Literal["python", "json"] = "python",
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> dict[str, Any]:
        """Return the values of the keys that results depend on.

        Params of rules and digests are made from these values. Keys with ``since=`` are left out
        while they have their defaults, in this block and in the blocks inside this block.

        Args:
            mode: The argument of pydantic's ``model_dump``.
            only: Names of this block's keys. All other keys are left out.
            without: Names of this block's keys that are left out.
        """
        fields = type(self).model_fields
        names = [name for name in fields if (only is None or name in only) and name not in without]
        dumped = self.model_dump(mode=mode, include=set(names))
        return {
            name: _identity(getattr(self, name), dumped[name], mode)
            for name in names
            if not self._is_left_out(name)
        }

    def at(self, path: str) -> Any:
        """Return the value of a key of this block, or of a block inside it: ``detector.gain``."""
        value = self
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def is_written(self, path: str) -> bool:
        """Return whether the configuration has a value of a key. The path is as in :meth:`at`."""
        first, _, rest = path.partition(".")
        inner = getattr(self, first)
        return first in self.model_fields_set and (not rest or inner.is_written(rest))

    def __copy__(self) -> Self:
        """Return a copy without what was computed from the values, since a copy may change them."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def replaced(self, path: str, value: Any) -> Self:
        """Return a copy with another value of a key, which is not checked. See :meth:`at`."""
        first, _, rest = path.partition(".")
        return self.model_copy(
            update={first: getattr(self, first).replaced(rest, value) if rest else value}
        )

    def having(self, further: Iterable[tuple[str, float]]) -> Self:
        """Return a copy with values of those further axes whose keys the block has."""
        changed = self
        for name, value in further:
            if FURTHER_AXES[name].block == self.axes_of:
                changed = changed.replaced(FURTHER_AXES[name].path, value)
        return changed

    def _is_left_out(self, name: str) -> bool:
        """Return whether a key with ``since=`` has its default."""
        field = type(self).model_fields[name]
        is_later = "since" in (field.json_schema_extra or {})
        return is_later and getattr(self, name) == field.get_default(call_default_factory=True)


@dataclass(frozen=True)
class PartName:
    """Marks the type of a key whose value is the name of a part, for descriptions of the key.

    Attributes:
        kind: The kind of the part.
    """

    kind: str

    @property
    def names(self) -> list[str]:
        """The names of the package's own parts of this kind."""
        return list(PACKAGE.of(self.kind))

    @property
    def words(self) -> str:
        """A description of the values that the key may have."""
        return f"{', '.join(map(repr, self.names))}, or a part of one's own"

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the key, with the package's names as examples."""
        return handler(core_schema) | {"examples": self.names}


class WithParts(Block):
    """A block with keys whose values are names of parts, which are those that its study knows."""

    _parts: Parts = PrivateAttr(default_factory=lambda: PACKAGE)

    def model_post_init(self, context: Any) -> None:
        """Keep the parts of the context, before the values are checked."""
        self._parts = (context or {}).get("parts", PACKAGE)

    def part(self, kind: str, name: str) -> Part:
        """Return a part that the block names.

        Raises:
            PartError: If there is no such part.
        """
        return self._parts.get(kind, name)

    def _check_part(self, kind: str, key: str) -> None:
        """Raise ValueError if a key names no part of a kind."""
        try:
            self.part(kind, getattr(self, key))
        except PartError as error:
            raise ValueError(f"{key} = {error}") from None


def _identity(value: Any, dumped: Any, mode: str) -> Any:
    """Return the value of a key for :meth:`Block.identity`; `dumped` is the value from pydantic."""
    if isinstance(value, Block):
        return value.identity(mode)
    if isinstance(value, dict):
        return {name: _identity(inner, dumped[name], mode) for name, inner in value.items()}
    if isinstance(value, list) and any(isinstance(inner, Block) for inner in value):
        return [_identity(*pair, mode) for pair in zip(value, dumped, strict=True)]
    return dumped


def key(
    default: Any,
    description: str,
    unit: str | None = None,
    since: str | None = None,
    **constraints: Any,
) -> Any:
    """Return the pydantic field of a key.

    Args:
        default: The default of the key, or a function that returns the default.
        description: A sentence about the key for the configuration's reference.
        unit: Unit of the key's value.
        since: The version of Passband that added the key, if it is newer than 0.3.0, whose results
            stay valid. See :meth:`Block.identity` and the docstring of this module.
        **constraints: Bounds of the key's value, as arguments of pydantic's ``Field``.
    """
    extra = {name: text for name, text in (("unit", unit), ("since", since)) if text}
    kind = "default_factory" if callable(default) else "default"
    return Field(
        **{kind: default}, description=description, json_schema_extra=extra or None, **constraints
    )


#: The type of a key that is :func:`gone`. It is in no schema.
Gone = SkipJsonSchema[Any]


def gone(value: Any, instead: str = "", since: str | None = None) -> Any:
    """Return the pydantic field of a key that studies cannot set any more.

    Params and digests keep its value, so that results of earlier versions stay valid. A study may
    still have the key with this value. A configuration that is stored with results may have any.

    Args:
        instead: What to do instead of another value: the end of a sentence in a message.
        since: That of the key, see :func:`key`.
    """
    instead = instead or f"leave the key out, which means {value!r}, or use Passband 0.3"
    extra = {"gone": instead} | ({"since": since} if since else {})
    return Field(default=value, json_schema_extra=extra)


def _is_gone(field: FieldInfo) -> bool:
    return "gone" in (field.json_schema_extra or {})


def keys_of(block: type[Block]) -> dict[str, FieldInfo]:
    """Return the keys that a study can set in a block."""
    return {name: field for name, field in block.model_fields.items() if not _is_gone(field)}


def gone_of(block: type[Block]) -> dict[str, Any]:
    """Return the keys of a block that are gone, with the values that every study has."""
    return {name: field.default for name, field in block.model_fields.items() if _is_gone(field)}


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,39}$")]


class Given(Block):
    """A block that writes and compares only those keys that are given."""

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    def identity(self, mode: Literal["python", "json"] = "python", **chosen: Any) -> dict[str, Any]:
        """Return the values of the keys that are given, see :meth:`Block.identity`."""
        return self.model_dump(mode=mode)


def number_type(name: str) -> Any:
    """Return the type of a value of an axis."""
    axis = AXES[name]
    return Annotated[float, AfterValidator(lambda value: axis.checked(value))]


class Numbers(Given):
    """A block with a number, or a pair of numbers, for each axis."""

    def axes(self) -> dict[str, Any]:
        """Return the values of the axes that are given."""
        given = {name: getattr(self, name) for name in AXES}
        return {name: value for name, value in given.items() if value is not None}


def axis_keys(types: Any) -> dict[str, Any]:
    """Return a key for each axis, for pydantic's `create_model`."""
    return {
        name: (types(name) | None, key(None, axis.description, axis.unit))
        for name, axis in AXES.items()
    }


def remove(content: Any, path: str, value: Any) -> None:
    """Remove a key from a block's content, if it has this value. The path is as in `Block.at`."""
    *blocks, last = path.split(".")
    for name in blocks:
        content = content.get(name) if isinstance(content, dict) else None
    if isinstance(content, dict) and last in content and content[last] == value:
        del content[last]


def block_of(annotation: Any) -> type[Block] | None:
    """Return the model inside an annotation, such as Specimen in dict[Name, Specimen]."""
    return next(iter(blocks_of(annotation)), None)


def blocks_of(annotation: Any) -> list[type[Block]]:
    """Return all models inside an annotation, such as Grid and Points in Grid | Points."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return [annotation]
    # The arguments of Annotated are not in __args__, since they are no types.
    inner = [blocks_of(argument) for argument in getattr(annotation, "__args__", ())]
    return list(dict.fromkeys(model for models in inner for model in models))


def distinct(values: list[str]) -> list[str]:
    """Return a list unchanged. Raise ValueError if the list has a value twice."""
    if (repeated := first_repeated(values)) is not None:
        raise ValueError(f"{short(values)}: {repeated} is listed twice")
    return values


def first_repeated(values: Sequence) -> Any:
    """Return the first value that a sequence has twice, or None."""
    seen = set()
    return next((value for value in values if value in seen or seen.add(value)), None)


def number_hint(value: Any) -> str:
    """Return advice for a number that was given as text, and "" for any other value."""
    if not isinstance(value, str) or number_in(value) is None:
        return ""
    return f", not text; {UNQUOTED}"


def number_in(text: str) -> float | None:
    """Return the number that a text represents, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def short(value: Any) -> str:
    """Return a value as Python writes it, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
