"""Spreads of the lens and of the dose: a condition as a narrow distribution, as in real data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from passband.ctf import Optics
from passband.seeds import generator

#: Random numbers in a draw: defocus, dose, and two for each complex coefficient.
NUMBERS = 8


@dataclass(frozen=True)
class Spread:
    """How much images under one condition differ, in internal units.

    Attributes
    ----------
    defocus : float
        Standard deviation of the defocus [Å]; it is normally distributed.
    dose : float
        Standard deviation of an image's dose over the condition's [1]; it is lognormally
        distributed about a mean of 1, so that it stays positive.
    c12, c21, c23 : float
        Root mean square length of what is added to each aberration's complex coefficient
        C·exp(inφ) [Å], n = 2, 1 and 3. It has the circular complex normal distribution: no
        direction is preferred.
    """

    defocus: float = 0.0
    dose: float = 0.0
    c12: float = 0.0
    c21: float = 0.0
    c23: float = 0.0

    @property
    def of_lens(self) -> bool:
        """Whether images under a condition have lenses of their own."""
        return any((self.defocus, self.c12, self.c21, self.c23))

    def extreme(self, optics: Optics, sign: int) -> Optics:
        """Return a lens that few images exceed: every aberration three spreads off.

        Of a normally distributed defocus one in 370 is further off, of a complex coefficient one in
        8,000. `sign` is the defocus's, 1 or −1; azimuths stay.
        """
        return replace(
            optics,
            defocus=optics.defocus + sign * 3 * self.defocus,
            c12=optics.c12 + 3 * self.c12,
            c21=optics.c21 + 3 * self.c21,
            c23=optics.c23 + 3 * self.c23,
        )

    def draw(self, optics: Optics, names: Sequence[str | int]) -> tuple[Optics, float]:
        """Return the lens of one image, and its dose over the condition's.

        Parameters
        ----------
        optics : Optics
            The condition's.
        names : sequence of str or int
            What the random numbers are for; see :func:`passband.seeds.seed`.

        Returns
        -------
        (Optics, float)
            See :meth:`at`.
        """
        return self.at(optics, generator(*names).standard_normal(NUMBERS))

    def at(self, optics: Optics, normal: np.ndarray) -> tuple[Optics, float]:
        """Return the lens and the dose that normal random numbers stand for.

        Parameters
        ----------
        optics : Optics
            The condition's.
        normal : (NUMBERS,) float array
            Independent standard normal numbers. Every quantity has its own, which the other
            spreads do not change.

        Returns
        -------
        (Optics, float)
            The condition's optics with defocus and aberrations of the image's own; its dose over
            the condition's [1].
        """
        # Of a lognormal distribution, var/mean² = exp(σ²) − 1 and mean = exp(μ + σ²/2).
        variance = np.log1p(self.dose**2)
        dose = float(np.exp(np.sqrt(variance) * normal[1] - variance / 2))
        changed = {"defocus": optics.defocus + self.defocus * float(normal[0])}
        for k, (order, folds) in enumerate((("12", 2), ("21", 1), ("23", 3))):
            spread = getattr(self, f"c{order}")
            if spread:
                real, imaginary = normal[2 + 2 * k : 4 + 2 * k] / np.sqrt(2)
                mean = getattr(optics, f"c{order}") * np.exp(
                    1j * folds * getattr(optics, f"phi{order}")
                )
                drawn = mean + spread * (real + 1j * imaginary)
                changed[f"c{order}"] = float(np.abs(drawn))
                changed[f"phi{order}"] = float(np.angle(drawn)) / folds
        return replace(optics, **changed), dose
