"""Jitter: random changes of the lens and the dose between images of one condition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from passband.optics.ctf import Optics
from passband.seeds import generator, stratified_normal

#: Number of random numbers for the jitter of an image: one for the defocus, one for the dose, and
#: two for the complex coefficient of each aberration.
NUMBERS = 8


@dataclass(frozen=True)
class Jitter:
    """Standard deviations of the lens and the dose between images of one condition.

    Attributes:
        defocus: Standard deviation of the normally distributed defocus [Å].
        dose: Standard deviation of the ratio of an image's dose to the condition's dose [1]. The
            ratio has a lognormal distribution with the mean 1, so that it is positive.
        c12, c21, c23: Root mean square length of the random complex number that is added to an
            aberration's complex coefficient C·exp(inφ) [Å], with n = 2, 1 and 3. The complex number
            has a circular normal distribution, so that no direction is preferred.
    """

    defocus: float = 0.0
    dose: float = 0.0
    c12: float = 0.0
    c21: float = 0.0
    c23: float = 0.0

    @property
    def varies(self) -> bool:
        """Whether images of one structure under one condition differ in more than the noise."""
        return self.lens_varies or self.dose != 0

    @property
    def lens_varies(self) -> bool:
        """Whether images under one condition have different defocus or different aberrations."""
        return any((self.defocus, self.c12, self.c21, self.c23))

    def extreme(self, optics: Optics, sign: int) -> Optics:
        """Return a lens in which every aberration differs from its mean by 3 standard deviations.

        Few images have a lens that differs more: one of 370 images in its defocus, and one of 8,000
        images in one complex coefficient. `sign` is the sign of the change of defocus, 1 or −1. The
        azimuths of the aberrations do not change.
        """
        return replace(
            optics,
            defocus=optics.defocus + sign * 3 * self.defocus,
            c12=optics.c12 + 3 * self.c12,
            c21=optics.c21 + 3 * self.c21,
            c23=optics.c23 + 3 * self.c23,
        )

    def normals(self, draws: int, seed: int, name: str) -> np.ndarray:
        """Return random numbers for :meth:`apply` as (draws, NUMBERS); zeros without jitter."""
        if not self.varies:
            return np.zeros((1, NUMBERS))
        return stratified_normal(draws, NUMBERS, seed, name)

    def draw(self, optics: Optics, names: Sequence[str | int]) -> tuple[Optics, float]:
        """Return the lens of one image and its relative dose, see :meth:`apply`.

        Args:
            names: Names that determine the random numbers; see :func:`passband.seeds.seed`.
        """
        return self.apply(optics, generator(*names).standard_normal(NUMBERS))

    def apply(self, optics: Optics, normal: np.ndarray) -> tuple[Optics, float]:
        """Return the lens and the dose that follow from normal random numbers.

        Args:
            optics: The condition's optics.
            normal: (NUMBERS,), independent standard normal numbers. Defocus, dose and each
                aberration use different numbers, so that the draw of one quantity does not depend
                on the other quantities.

        Returns:
            The condition's optics with the image's own defocus and aberrations, and the ratio of
            the image's dose to the condition's dose [1].
        """
        # A lognormal distribution has var/mean² = exp(σ²) − 1 and mean = exp(μ + σ²/2).
        variance = np.log1p(self.dose**2)
        dose = float(np.exp(np.sqrt(variance) * normal[1] - variance / 2))
        changed = {"defocus": optics.defocus + self.defocus * float(normal[0])}
        for k, (order, folds) in enumerate((("12", 2), ("21", 1), ("23", 3))):
            length = getattr(self, f"c{order}")
            if length:
                real, imaginary = normal[2 + 2 * k : 4 + 2 * k] / np.sqrt(2)
                mean = getattr(optics, f"c{order}") * np.exp(
                    1j * folds * getattr(optics, f"phi{order}")
                )
                drawn = mean + length * (real + 1j * imaginary)
                changed[f"c{order}"] = float(np.abs(drawn))
                changed[f"phi{order}"] = float(np.angle(drawn)) / folds
        return replace(optics, **changed), dose
