"""Opens the table of results, and checks the names in a study's stores."""

from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from passband.axes import AXES
from passband.config import Study
from passband.errors import PassbandError
from passband.mixtures import MIXTURES, check_id
from passband.storage import datasets, json_text


def load_table(path: str | Path) -> xr.Dataset:
    """Open a study's table of results. Each variable is read from disk when it is used.

    Code that writes the table to another store opens it with
    :func:`passband.storage.datasets.open_folder`, so that the attributes stay.

    Raises:
        StoreError: If there is no table of results at the path, or if the table is damaged.
    """
    return plottable(datasets.open_folder(path, datasets.TABLE))


def plottable(opened: xr.Dataset) -> xr.Dataset:
    """Return a store that xarray can plot along any dimension.

    Text has a fixed width, since xarray cannot plot text of variable width. In long names, the axes
    of training and test conditions differ.
    """
    coords = {
        name: (c.dims, np.array(c.values.tolist(), dtype=str), c.attrs)
        for name, c in opened.coords.items()
        if c.dtype.kind in "OT"
    }
    opened = opened.assign_coords(coords)
    for side, word in (("train", "training"), ("test", "test")):
        for name, axis in AXES.items():
            if (coordinate := f"{side}_{name}") in opened.coords:
                opened[coordinate].attrs["long_name"] = f"{word} {axis.label}"
    return opened


def check_ids(
    source: str | Path, opened: xr.Dataset, known: Mapping[str, Container], advice: str
) -> None:
    """Check that a store has known names along its dimensions, each of them once.

    Args:
        source: What the user calls the store, for the error's message.
        known: For each dimension that is checked, if the store has it, the names that may be there.
        advice: What to do, for the error's message.

    Raises:
        PassbandError: If a name is not known, or is there twice.
    """
    for name, allowed in known.items():
        if name not in opened.dims or name not in opened.coords:
            continue
        for id, number in Counter(opened[name].values.tolist()).items():
            if number > 1:
                raise PassbandError(f"{source}: has {name} = {id} twice; {advice}")
            if id not in allowed:
                raise PassbandError(
                    f"{source}: has {name} = {str(id)[:80]}, which its own configuration has not; "
                    f"{advice}"
                )


class _Ids:
    """The ids of all conditions and mixtures."""

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, str):
            return False
        try:
            check_id(id)
        except ValueError:
            return False
        return True


def _has_mixtures(text: Any) -> bool:
    """Return whether an attribute has the distribution of each mixture."""
    try:
        content = json_text.parse(text)
    except (ValueError, TypeError):
        return False
    return isinstance(content, dict) and all(isinstance(x, dict) for x in content.values())


def check_of_study(path: Path, opened: xr.Dataset, study: Study, whole: bool = True) -> None:
    """Check that the names of a store can be those of a study, and that a table has Dice.

    Its conditions may be others, since the study may have had others when the store was made.

    Args:
        whole: Whether all variables were read, so that Dice cannot be missing.

    Raises:
        PassbandError: If a name is not known or is there twice, or if variables or mixtures are
            damaged.
    """
    advice = "delete it and run the study again"
    if opened.attrs.get("kind") in (datasets.TABLE, datasets.OOD):
        if whole and "dice" not in opened:
            raise PassbandError(f"{path}: has no variable dice; {advice}")
        if "dice" in opened and opened.dice.dtype.kind != "f":
            raise PassbandError(f"{path}: dice is {opened.dice.dtype}, must be numbers; {advice}")
    if not _has_mixtures(opened.attrs.get(MIXTURES, "{}")):
        raise PassbandError(f"{path}: its attribute {MIXTURES} is damaged; {advice}")
    known = {
        "specimen": {*study.specimens},
        "test_specimen": {*study.specimens},
        "architecture": {*study.training.architectures},
        "replica": range(1_000),
        "train": _Ids(),
        "test": _Ids(),
    }
    check_ids(path, opened, known, advice)
