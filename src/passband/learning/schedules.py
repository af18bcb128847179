"""The optimizer, and the learning rate as a function of the configuration and of the step."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from passband.config import Training

#: torch's defaults for the schedule ``one-cycle``: the share of steps with a rising learning rate,
#: the ratio of the highest rate to the first rate, the ratio of the first rate to the last rate,
#: and the momenta at the lowest rate and at the highest rate.
RISING, START, END, MOMENTA = 0.3, 25.0, 1e4, (0.95, 0.85)


def rate(settings: Training, step: int, steps_per_epoch: int) -> tuple[float, float | None]:
    """Return the learning rate and the momentum β₁ of a step of Adam.

    Only the schedule ``one-cycle`` (Smith & Topin 2019) changes the momentum. For
    other schedules, the returned momentum is None. ``one-cycle`` equals torch's ``OneCycleLR``
    with its defaults. The learning rate and the momentum follow half cosines, and the momentum
    decreases while the learning rate increases.

    Args:
        step: Number of optimizer steps before this step.
    """
    steps, highest = steps_per_epoch * settings.epochs, settings.learning_rate
    match settings.schedule:
        case "one-cycle":
            top = RISING * steps - 1
            if step <= top:
                return (
                    _cosine(highest / START, highest, step / top),
                    _cosine(*MOMENTA, step / top),
                )
            along = (step - top) / (steps - 1 - top)
            return _cosine(highest, highest / START / END, along), _cosine(*MOMENTA[::-1], along)
        case "exponential":
            return highest * settings.decay ** (step // steps_per_epoch), None
        case "cosine":
            return _cosine(highest, 0.0, step / steps), None
        case _:
            return highest, None


def _cosine(start: float, end: float, along: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * along))


def optimizer(settings: Training, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Return Adam, in torch's fused implementation."""
    return torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, momentum: float | None) -> None:
    """Set the learning rate of an optimizer. If `momentum` is a number, set the momentum too."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        if momentum is not None:
            group["betas"] = (momentum, *group["betas"][1:])
