"""What the compiled functions know of a study's settings. Torch trains with all others.

A setting may change what an optimizer step computes: the loss, the weights that it sees (all
weights of a network are one row here, so that an optimizer must treat each weight alone), or the
layers. Whoever adds one writes it into these tables when the compiled functions compute it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from numbers import Real
from typing import Any

from passband.config import Training
from passband.config.base import keys_of
from passband.learning.architectures.compact import Compact

#: The keys of `training`, and what they may be: a number (or yes or no), or one of some words.
SETTINGS: Mapping[str, type | tuple[str, ...]] = {
    "epochs": Real,
    "batch_size": Real,
    "learning_rate": Real,
    "schedule": ("one-cycle", "exponential", "cosine", "constant"),
    "decay": Real,
    "loss": ("entropy-dice",),
    "dice_weight": Real,
    "normalisation": ("zscore", "minmax", "vacuum"),
    "noise": ("fresh", "fixed"),
    "augment": Real,
    "crop_px": Real,
    "precision": ("auto", "float32", "bfloat16", "float16"),
}
#: The values of a recipe are in the other keys, and an architecture has its own table.
_ELSEWHERE = ("recipe", "architectures")

#: The fields of :class:`Compact`, and what they may be.
ARCHITECTURE: Mapping[str, type | tuple[str, ...]] = {"width": Real, "depth": Real}


def unknown(architecture: Compact, training: Training | None = None) -> str:
    """Return the first setting that the compiled functions do not know, and its value, or "".

    A key with ``since=``, or a field of the architecture, that is not in the tables is no obstacle
    while it has its default, which leaves networks as they are.

    Args:
        training: None for trained networks, which depend on the architecture alone.
    """
    if type(architecture) is not Compact:
        return f"the architecture {type(architecture).__name__}"
    given = {
        field.name: value
        for field in fields(architecture)
        if (value := getattr(architecture, field.name)) != field.default or field.default is MISSING
    }
    if name := _first(given, ARCHITECTURE):
        return f"{name} = {given[name]!r}"
    keys = {}
    if training:
        keys = training.identity(only=keys_of(type(training)), without=_ELSEWHERE)
    if name := _first(keys, SETTINGS):
        return f"training.{name} = {keys[name]!r}"
    return ""


def _first(given: Mapping[str, Any], known: Mapping[str, type | tuple[str, ...]]) -> str | None:
    """Return the first name whose value is not known."""

    def is_known(value: Any, allowed: type | tuple[str, ...]) -> bool:
        return isinstance(value, allowed) if isinstance(allowed, type) else value in allowed

    return next((n for n, value in given.items() if not is_known(value, known.get(n, ()))), None)
