"""Random numbers that a structure keeps when a parameter of its specimen changes.

All random numbers of a structure come from one generator, one after another. If the substrate were
thicker, its atoms would take more of the numbers, and the particles would get other ones. Therefore
the steps of a draw are recorded: the specimen with the study's own values is drawn first, and a
specimen with other values then begins each step with the numbers that this step had.
"""

import numpy as np

from passband.seeds import generator


class Steps:
    """The steps of a draw, and the state of the generator at the beginning of each of them.

    Attributes:
        kept: For each face of the substrate, the random positions of its particles, see
            :func:`passband.specimens.structures.place`.
    """

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._states: dict[tuple, dict] = {}
        self._again = False
        self.kept: dict[int, dict[int, int]] = {}

    def repeat(self) -> None:
        """Begin the draw again, with the same random numbers in each step."""
        self._again = True

    def begin(self, *step: str | int) -> np.random.Generator:
        """Return the generator at the beginning of a step.

        In a repeated draw, a step that the first draw did not have has a separate generator.
        """
        if not self._again:
            self._states[step] = self._rng.bit_generator.state
        elif step in self._states:
            self._rng.bit_generator.state = self._states[step]
        else:
            return generator(repr(next(iter(self._states.values()))), *step)
        return self._rng
