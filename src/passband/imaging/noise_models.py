"""The noise models of the package: how counts are drawn from the expected numbers of electrons."""

from collections.abc import Sequence

import torch

from passband.imaging.noise import expose
from passband.parts import noise


@noise(batches=True)
def poisson(intensity: torch.Tensor, electrons: float, seeds: Sequence[int]) -> torch.Tensor:
    """Return counts of a detector that counts each electron once."""
    return expose(intensity, electrons, seeds)
