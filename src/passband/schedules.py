"""Optimizers and learning rates, as functions of the configuration and the step alone."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from passband.config import Training

#: Of one-cycle: the share of steps on which the rate rises, the rate over its first one and the
#: first over the last, and the momentum at the lowest and the highest rate; torch's own defaults.
RISING, START, END, MOMENTA = 0.3, 25.0, 1e4, (0.95, 0.85)


def rate(settings: Training, step: int, steps_per_epoch: int) -> tuple[float, float | None]:
    """Return the learning rate of a step and, under one-cycle, its momentum (Adam's β₁).

    One-cycle (Smith & Topin 2019) is torch's ``OneCycleLR`` with its defaults: both go along half
    cosines, the momentum against the rate.

    Parameters
    ----------
    settings : Training
        The configuration's block `training`.
    step : int
        Optimizer steps done before.
    steps_per_epoch : int
        Optimizer steps in an epoch.
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
    """Return the optimizer that the configuration names, which steps in one kernel."""
    shared = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, momentum=settings.momentum, **shared)
        case "adamw":
            return torch.optim.AdamW(parameters, **shared)
        case _:
            return torch.optim.Adam(parameters, **shared)


def set_rate(optimizer: torch.optim.Optimizer, rate: float, momentum: float | None) -> None:
    """Give an optimizer a learning rate and, unless it is None, a momentum."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif momentum is not None:
            group["momentum"] = momentum
