"""What ``passband predict`` says about the trust in a mask: expected Dice, and likeness."""

import argparse
from collections.abc import Iterable, Mapping

from passband import PassbandError
from passband.axes import MAIN_AXES
from passband.commands.arguments import BEHIND_WAVE
from passband.grid import Axes, Condition


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


class Assessors:
    """Opens what assesses the images of networks, once for the same networks."""

    def __init__(self, options: argparse.Namespace):
        self._options, self._condition = options, _condition(options)
        self._known: dict[tuple, tuple[list, dict[str, float]] | None] = {}

    def of(self, networks: list, ctf: Mapping[str, float] | None = None):
        """Return the Assessor of networks for an image, or None after a line with the reason.

        `ctf` is the Dice that the study's model expects under the image's own condition, by the
        network's id. Without it, the condition is that of the options.
        """
        from passband.micrographs.trust.trust import Assessor

        key = (ctf is not None, *((network.path, network.replica) for network in networks))
        if key not in self._known:
            known = self._open(networks, ctf is not None) if self._options.likeness else None
            self._known[key] = known
        if (known := self._known[key]) is None:
            return None
        trusts, of_options = known
        return Assessor(trusts, networks, of_options if ctf is None else ctf, self._options.adapt)

    def _open(self, networks: list, with_ctf: bool) -> tuple[list, dict[str, float]] | None:
        """Return the Trust of each training condition, and the Dice that the options let expect."""
        from tqdm import tqdm

        from passband.answers import trust

        def progress(items: Iterable) -> Iterable:
            return tqdm(list(items), "images of the study", leave=False, disable=None)

        condition = self._condition
        if self._options.normalise == "local":
            print("likeness to the training images: not assessed with --normalise local")
            return None
        with_ctf = with_ctf or condition is not None
        try:
            groups = trust.by_condition(networks)
            trusts = [trust.open_trust(group, progress, with_ctf) for group in groups]
        except PassbandError as error:
            print(f"likeness to the training images: not assessed, since {error}")
            return None
        ctf: dict[str, float] = {}
        if condition is not None:
            try:
                ctf = trust.expected_dice(networks, condition)
            except PassbandError as error:
                print(f"expected Dice: the condition is not used, since {error}")
        if self._options.adapt:
            print("expected Dice: not known with --adapt; images are compared with the training")
        return trusts, ctf
