"""The networks of one matrix of a finished study, and what each of them reached."""

from dataclasses import dataclass

import numpy as np

from passband.matrices.matrix import Matrix
from passband.network_id import NetworkId


@dataclass(frozen=True)
class TestedRows:
    """The networks of one specimen and architecture, and their Dice.

    Attributes:
        matrix: Their results under the study's test conditions.
        is_tested: (row, replica) bool, which networks were tested under all of these conditions.
        networks: These networks, by row and replica.
        dice: (network, test) float64, mean Dice, or the rating by another score, under all test
            conditions and then the further ones of :class:`TestedNetworks`; NaN if it was not
            measured.
    """

    matrix: Matrix
    is_tested: np.ndarray
    networks: tuple[NetworkId, ...]
    dice: np.ndarray

    @property
    def train(self) -> list[str]:
        """The id of each network's training condition or mixture."""
        return [network.condition for network in self.networks]
