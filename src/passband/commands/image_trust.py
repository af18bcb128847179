"""What ``passband predict`` says about the trust in a mask: expected Dice, and likeness."""

import argparse
from collections.abc import Iterable

from passband import PassbandError


def _condition(options: argparse.Namespace):
    """Return the condition of the images, or None if the defocus is not given.

    Raises
    ------
    PassbandError
        If only a part of the condition is given, or a value is not allowed.
    """
    from passband.grid import AXES, Condition

    values = {name: getattr(options, name) for name in AXES}
    if values["defocus_nm"] is None:
        return None
    for name, axis in AXES.items():
        option = "--" + name.replace("_", "-")
        if values[name] is None:
            raise PassbandError(
                f"{option} is missing: the expected Dice by the transfer function needs all of "
                "defocus, Cs, aperture and dose"
            )
        if not axis.minimum <= values[name] <= axis.maximum:
            raise PassbandError(
                f"{option} = {values[name]:g}: must be between {axis.minimum} and {axis.maximum} "
                f"{axis.unit}"
            )
    return Condition(**values)


class Assessors:
    """Opens what assesses the images of networks, once for the same networks."""

    def __init__(self, options: argparse.Namespace):
        self._options, self._condition = options, _condition(options)
        self._known: dict[tuple, object] = {}

    def of(self, networks: list):
        """Return the Assessor of networks, or None after a line with the reason."""
        key = tuple((network.path, network.replica) for network in networks)
        if key not in self._known:
            self._known[key] = self._open(networks) if self._options.likeness else None
        return self._known[key]

    def _open(self, networks: list):
        from tqdm import tqdm

        from passband.jobs import trust
        from passband.micrographs.trust import Assessor

        def progress(items: Iterable) -> Iterable:
            return tqdm(list(items), "images of the study", leave=False, disable=None)

        condition, adapt = self._condition, self._options.adapt
        if self._options.normalise == "local":
            print("likeness to the training images: not assessed with --normalise local")
            return None
        try:
            groups = trust.by_condition(networks)
            trusts = [trust.open_trust(group, progress, condition is not None) for group in groups]
        except PassbandError as error:
            print(f"likeness to the training images: not assessed, since {error}")
            return None
        ctf: dict[str, float] = {}
        if condition is not None:
            try:
                ctf = trust.expected_dice(networks, condition)
            except PassbandError as error:
                print(f"expected Dice: the condition is not used, since {error}")
        if adapt:
            print("expected Dice: not known with --adapt; images are compared with the training")
        return Assessor(trusts, networks, ctf, adapt)
