"""What is known of the condition of images that networks look at."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from passband import extras
from passband.axes import BEHIND_WAVE, FURTHER_AXES, MAIN_AXES
from passband.door.opened import check_axes
from passband.errors import ArgumentError
from passband.grid import Axes, Condition
from passband.network_id import NetworkId

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network

#: What names a condition of images, of which only some values may be known.
KnownCondition = Condition | str | Mapping[str, float]


def given_values(condition: KnownCondition | None, settings: dict[str, Any]) -> dict[str, float]:
    """Return the values of a condition, whose dose is one of the settings too."""
    if isinstance(condition, str):
        condition = Condition.parse(condition)
    if isinstance(condition, Condition):
        condition = condition.values()
    check_axes(condition or {})
    values: dict[str, float] = {}
    for name, value in (condition or {}).items():
        try:
            values[name] = float(value)
        except (TypeError, ValueError):
            raise ArgumentError(f"{name} = {value!r}: must be a number") from None
    dose = settings.get("dose_e_per_A2")
    if "dose_e_per_A2" in values:
        settings.setdefault("dose_e_per_A2", values["dose_e_per_A2"])
    elif isinstance(dose, int | float):
        values["dose_e_per_A2"] = float(dose)
    return values


def expected_under(
    given: Mapping[str, float],
) -> "Callable[[Sequence[Network]], Mapping[NetworkId, float]] | None":
    """Return what tells the Dice that is expected of networks under the condition of all images.

    It is None if the defocus is not given.

    Raises:
        ArgumentError: If a value is missing or wrong, or has no effect without the defocus.
    """
    condition = _condition_of(given)
    if condition is None:
        return None
    return partial(_expected_dice, condition=condition)


def _expected_dice(
    networks: "Sequence[Network]", condition: Condition
) -> Mapping[NetworkId, float]:
    extras.check(extras.GRID, "a study's model")
    from passband.answers import trust

    return trust.expected_dice(networks, condition)


def _condition_of(given: Mapping[str, float]) -> Condition | None:
    """Return the condition of all images, or None if its defocus is not given.

    Raises:
        ArgumentError: If a value is missing or wrong, or has no effect without the defocus.
    """
    for name, value in given.items():
        if name not in BEHIND_WAVE:
            raise ArgumentError(f"{name} = {value:g}: has an effect only with the network 'auto'")
    if "defocus_nm" not in given:
        for name in ("cs_um", "aperture_mrad", *FURTHER_AXES):
            if name in given:
                raise ArgumentError(
                    f"{name} = {given[name]:g}: has an effect only together with defocus_nm or the "
                    "network 'auto'",
                    name,
                    "defocus_nm",
                )
        return None
    for name in MAIN_AXES:
        if name not in given:
            raise ArgumentError(
                f"{name} is missing: the expected Dice by the transfer function needs all of "
                "defocus, Cs, aperture and dose"
            )
    for name, value in given.items():
        try:
            BEHIND_WAVE[name].within(value, f"{name} = {value:g}")
        except ValueError as error:
            raise ArgumentError(str(error)) from None
    return Axes.main.condition(given)
