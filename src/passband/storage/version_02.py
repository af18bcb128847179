"""What differs in files of Passband 0.2, which are format 1: they are read and never written.

A function takes what a reader has found, and returns it as this version would have written it; what
this version has written is returned as it is. No other reader asks about an earlier version, but
for keys of the configuration, see :mod:`passband.config.removed_keys`. Results of 0.2 are not
continued, see :mod:`passband.results.earlier`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passband.storage import checked_json, json_text
from passband.storage.integrity import CHECKSUMS, check_regular

if TYPE_CHECKING:
    import xarray as xr

#: The format of stores and of files of weights that 0.2 wrote.
FORMAT = 1

#: What records, tables and packed tables had along these dimensions, and one more variable: sums of
#: probabilities, and the results of first replicas under drawn microscopes.
_RESULTS = "record", "table", "packed table"
_DIMENSIONS = "statistic", "bin", "pair", "product", "microscope"
_SOFT_DICE = "soft_dice"

#: Names of attributes of stores and of values of a file of weights, with those of this version. The
#: digest of 0.2 is that of no recipe, see :mod:`passband.store.version_02.adopted`.
_NAMES = {"stacked": "vectorized", "context": "recipe_digest"}

#: The preparation of images that a published folder describes if it states no version of it.
PREPARATION = 1


def store(found: "xr.Dataset") -> "xr.Dataset":
    """Return a store without what only 0.2 had, and without its format."""
    if found.attrs.pop("format") != FORMAT:
        return found
    found = found.copy()
    found.attrs = {_NAMES.get(name, name): value for name, value in found.attrs.items()}
    if found.attrs.get("kind") in _RESULTS:
        return found.drop_dims(_DIMENSIONS, errors="ignore").drop_vars(_SOFT_DICE, errors="ignore")
    if "level_r2" in found:  # predictions, the earlier of which lack a ceiling
        unknown = found.level_r2.isel(distances=0, drop=True) * float("nan")
        lacking = {"level_r2_ceiling", "level_ceiling"} - found.data_vars.keys()
        return found.assign(dict.fromkeys(lacking, unknown))
    return found


def draws_otherwise(predictions: "xr.Dataset") -> bool:
    """Return whether the figure `prediction` of these predictions shows something else than now."""
    return "smoothness" not in predictions


def weights(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file of weights, without its format.

    In format 1, each cell of several has a checksum of its own too.
    """
    now = dict(values)
    if now.pop("format") != FORMAT:
        return now
    now = _renamed(now)
    if "parts" in now:
        now["parts"] = {id: _renamed(cell) for id, cell in now["parts"].items()}
    return now


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): value for name, value in values.items() if name != "checksum"}


def record(found: "xr.Dataset") -> "xr.Dataset":
    """Return a record with the dimension `train`, which those of one condition had not."""
    return found if "train" in found.dims else found.expand_dims(train=[found.condition])


def is_unlisted(folder: Path, format: int) -> bool:
    """Return whether the folder of a store is one of the first of 0.2, without checksums."""
    return format == FORMAT and not (folder / CHECKSUMS).exists()


def likeness(path: Path) -> dict[str, Any]:
    """Return the content of a published ``likeness.json``, see :func:`checked_json.read`.

    The first one of 0.2 has no checksum, and no smallest `evenness`, so that it flags no image.
    """
    check_regular(path)
    content = json_text.read(path)
    if not isinstance(content, dict) or "checksum" in content:
        return checked_json.read(path)
    return content | {"limits": {"evenness": 0.0} | content["limits"]}
