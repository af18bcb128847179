"""Schedules of learning rates, and optimizers."""

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
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_one_cycle_is_torchs(epochs, steps_per_epoch, optimizer):
    settings = Training(epochs=epochs, learning_rate=0.01, optimizer=optimizer)
    theirs = schedules.optimizer(settings, [torch.zeros(1)])
    steps = epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.01, total_steps=steps)
    for rate, momentum in rates(steps_per_epoch, epochs=epochs):
        (group,) = theirs.param_groups
        assert rate == pytest.approx(group["lr"])
        theirs_now = group["betas"][0] if optimizer == "adam" else group["momentum"]
        assert momentum == pytest.approx(theirs_now)
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


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_optimizer_is_the_one_that_is_named(name, kind):
    settings = Training(optimizer=name, weight_decay=0.1, momentum=0.7)
    weight = torch.full((1,), 2.0, requires_grad=True)
    made = schedules.optimizer(settings, [weight])
    assert type(made) is kind
    (group,) = made.param_groups
    assert group["weight_decay"] == 0.1
    assert group.get("momentum", 0.7) == 0.7
    schedules.set_rate(made, 0.5, None)
    weight.grad = torch.ones(1)
    made.step()
    # By hand: Adam's first step is lr · sign(g + wd·w); decoupled decay takes off lr·wd·w first.
    expected = {"adam": 1.5, "adamw": 2 - 0.5 * 0.1 * 2 - 0.5, "sgd": 2 - 0.5 * 1.2}
    assert weight.item() == pytest.approx(expected[name])


def test_momentum_goes_where_the_optimizer_has_it():
    for name in ("adam", "sgd"):
        made = schedules.optimizer(Training(optimizer=name), [torch.zeros(1)])
        schedules.set_rate(made, 0.1, 0.6)
        (group,) = made.param_groups
        assert group["lr"] == 0.1
        assert (group["betas"] == (0.6, 0.999)) if name == "adam" else (group["momentum"] == 0.6)
