"""Networks with random weights whose batch normalisation has statistics."""

import torch

from passband.learning import networks


def of_noise(name: str) -> torch.nn.Module:
    """Return a network whose batch normalisation has statistics of noise."""
    built = networks.build(name, seed=3).train()
    for seed in range(20):
        built(torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(seed)))
    return built.eval()
