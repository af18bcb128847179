"""What ``passband predict`` needs to say whether a mask can be trusted."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from passband.axes import MAIN_AXES
from passband.commands.arguments import BEHIND_WAVE
from passband.errors import PassbandError
from passband.grid import Axes, Condition

if TYPE_CHECKING:
    from passband.answers.assessors import Assessors
    from passband.micrographs.images.segmentation import Settings


def _condition(options: argparse.Namespace) -> Condition | None:
    """Return the condition of the images, or None if the defocus is not given."""
    values = {name: getattr(options, name) for name in BEHIND_WAVE}
    if values["defocus_nm"] is None:
        return None
    for name in MAIN_AXES:
        if values[name] is None:
            raise PassbandError(
                f"{BEHIND_WAVE[name].option} is missing: the expected Dice by the transfer "
                "function needs all of defocus, Cs, aperture and dose"
            )
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        try:
            BEHIND_WAVE[name].within(value, f"{BEHIND_WAVE[name].option} = {value:g}")
        except ValueError as error:
            raise PassbandError(str(error)) from None
    return Axes.main.condition(given)


def assessors(options: argparse.Namespace, settings: "Settings") -> "Assessors | None":
    """Return what opens the assessors of networks, or None if the user does not want them."""
    condition = _condition(options)
    if not options.likeness:
        return None
    from tqdm import tqdm

    from passband.answers.assessors import Assessors

    def progress(items: Iterable) -> Iterable:
        return tqdm(list(items), "images of the study", leave=False, disable=None)

    return Assessors(settings, condition, progress=progress)
