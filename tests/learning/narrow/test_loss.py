"""The loss and its gradient by a compiled function: those of torch."""

import pytest
import torch

from passband.config import Training
from passband.learning.losses import entropy_dice
from passband.learning.narrow.loss import loss_with_gradient


def test_the_gradient_of_the_loss_is_torchs():
    random = torch.manual_seed(0)
    logits = (3 * torch.randn(1, 2, 1, 8, 8, generator=random)).requires_grad_()
    masks = (torch.rand(1, 2, 1, 8, 8, generator=random) < 0.2).float()
    given = Training(dice_weight=1.9)
    value = entropy_dice(logits, masks, given)
    value.sum().backward()
    found, gradient = loss_with_gradient(logits.detach(), masks, given)
    assert found.item() == pytest.approx(value.item(), rel=1e-5)
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-4, atol=1e-7)
    for sign in (-1, 1):
        ends = torch.tensor([-200.0, 200.0, 0.0, 9.0]).reshape(1, 1, 1, 2, 2) * sign
        for mask in (torch.zeros_like(ends), torch.ones_like(ends)):
            assert all(torch.isfinite(x).all() for x in loss_with_gradient(ends, mask, given))
