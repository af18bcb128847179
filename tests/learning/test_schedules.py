"""Schedules of learning rates, and the optimizer."""

import numpy as np
import pytest
import torch

from passband.config import Training
from passband.learning import schedules


def rates(steps_per_epoch=1, **changes):
    settings = Training(**({"learning_rate": 0.01} | changes))
    steps = settings.epochs * steps_per_epoch
    return [schedules.rate(settings, step, steps_per_epoch) for step in range(steps)]


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, 1), (1, 3), (2, 5), (10, 7)])
def test_one_cycle_is_torchs(epochs, steps_per_epoch):
    settings = Training(epochs=epochs, learning_rate=0.01)
    theirs = schedules.optimizer(settings, [torch.zeros(1)])
    steps = epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.01, total_steps=steps)
    for rate, momentum in rates(steps_per_epoch, epochs=epochs):
        (group,) = theirs.param_groups
        assert rate == pytest.approx(group["lr"])
        assert momentum == pytest.approx(group["betas"][0])
        theirs.step()
        if schedule.last_epoch < steps - 1:
            schedule.step()


def test_exponential_multiplies_by_decay_every_epoch():
    found = rates(2, epochs=3, schedule="exponential", decay=0.5)
    assert found == [(r, None) for r in (0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025)]


def test_cosine_falls_to_zero():
    found = [rate for rate, _ in rates(2, epochs=4, schedule="cosine")]
    assert found == pytest.approx(0.005 * (1 + np.cos(np.pi * np.arange(8) / 8)))


def test_constant_stays():
    assert rates(2, epochs=2, schedule="constant") == [(0.01, None)] * 4


def test_the_optimizer_is_adam():
    weight = torch.full((1,), 2.0, requires_grad=True)
    made = schedules.optimizer(Training(), [weight])
    assert type(made) is torch.optim.Adam
    schedules.set_rate(made, 0.5, None)
    (group,) = made.param_groups
    assert group["betas"] == (0.9, 0.999)
    assert group["weight_decay"] == 0
    weight.grad = torch.ones(1)
    made.step()
    assert weight.item() == pytest.approx(1.5)  # by hand: the first step is lr · sign(g)
    schedules.set_rate(made, 0.1, 0.6)
    assert group["lr"] == 0.1
    assert group["betas"] == (0.6, 0.999)
