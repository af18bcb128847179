"""A model of the power spectrum of a background with Thon rings, and its fit.

The expected power of a coefficient at the spatial frequency q and the azimuth φ is
P = N(q, φ) + E(q, φ)·sin²(χ(q, φ) − arcsin w), with the aberration phase χ of
:func:`passband.optics.ctf.aberration_phase` and the amplitude contrast w. N is the power that has
no rings, such as noise. E is the envelope of the rings. N and E are smooth and positive: their
logarithms are splines, and large changes of a spline's slope are penalised. So the envelope is no
division of the spectrum by a smoothed spectrum, which would shift the rings. Powers of coefficients
are exponentially distributed, so the mean power of n independent coefficients has a gamma
distribution (Whittle's likelihood). The deviance is minus two times the logarithm of the
likelihood, plus the penalties, without a constant.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from passband.micrographs.rings.azimuth_spectra import Spectrum

#: Distance of the knots of the splines of N and of E [1/Å].
_KNOTS_N, _KNOTS_E = 0.07, 0.09
#: Standard deviations of the second differences of the splines' coefficients.
_BEND_N, _BEND_E = 0.4, 0.6
#: Standard deviation of the coefficients by which N and E depend on the azimuth.
_UNROUND = 0.5
#: Standard deviations of the ring of a lattice [1/Å].
_LATTICE_WIDTHS = 0.02, 0.04
#: Largest change of a coefficient in one step of the fit.
_STRIDE = 2.0


@dataclass(frozen=True)
class Smooth:
    """The smooth parts of the model for one spectrum, and what does not depend on the rings.

    Attributes:
        spectrum: The cells that are fitted.
        noise, envelope: (cells, n), the functions whose weighted sums are ln N and ln E.
        penalty: (parameters, parameters), the deviance of coefficients c is increased by (c −
            centre)·penalty·(c − centre).
        centre, start: (parameters,), centre of the penalty, and where a fit starts.
    """

    spectrum: Spectrum
    noise: np.ndarray
    envelope: np.ndarray
    penalty: np.ndarray
    centre: np.ndarray
    start: np.ndarray

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        low: float,
        high: float,
        round_: bool = False,
        coarser: float = 1.0,
    ) -> "Smooth":
        """Return the smooth parts for the cells of a spectrum between two frequencies [1/Å].

        If `round_` is true, N and E do not depend on the azimuth. The knots' distances are
        multiplied by `coarser`.
        """
        cells = spectrum.within(low, high)
        splines = [_splines(cells.q, low, high, step * coarser) for step in (_KNOTS_N, _KNOTS_E)]
        numbers = [part.shape[1] for part in splines]
        if not round_:
            u = cells.q / high
            turn = np.stack([np.cos(2 * cells.azimuth), np.sin(2 * cells.azimuth)], 1)
            splines = [
                np.c_[splines[0], turn * u[:, None]],
                np.c_[splines[1], turn * u[:, None] ** 2],
            ]
        noise, envelope = splines
        first, total = noise.shape[1], noise.shape[1] + envelope.shape[1]
        penalty = np.zeros((total, total))
        penalty[:first, :first] = _bending(numbers[0], first, _BEND_N)
        penalty[first:, first:] = _bending(numbers[1], total - first, _BEND_E)
        logs, n = np.log(np.maximum(cells.power, 1e-300)), cells.number
        part = penalty[:first, :first]
        mean = np.linalg.solve(noise.T @ (n[:, None] * noise) + part, noise.T @ (n * logs))
        of_envelope = np.linalg.lstsq(envelope, noise @ mean, rcond=None)[0]
        centre = np.zeros(total)
        centre[: numbers[0]] = centre[first : first + numbers[1]] = np.average(logs, weights=n)
        start = np.concatenate([mean, of_envelope])
        start[: numbers[0]] -= np.log(2)
        return cls(cells, noise, envelope, penalty, centre, start)

    def smooth_and_envelope(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return N and E (..., cells) for coefficients (..., parameters)."""
        first = self.noise.shape[1]
        logs = coefficients[..., :first] @ self.noise.T, coefficients[..., first:] @ self.envelope.T
        return np.exp(np.clip(logs[0], -300, 300)), np.exp(np.clip(logs[1], -300, 300))

    def deviance(self, coefficients: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return the deviance for coefficients (..., parameters) and powers (..., cells)."""
        n, power = self.spectrum.number, self.spectrum.power
        misfit = 2 * (n * (np.log(expected / power) + power / expected - 1)).sum(-1)
        off = coefficients - self.centre
        return misfit + ((off @ self.penalty) * off).sum(-1)

    def fit(self, rings: np.ndarray, steps: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return deviance (n,) and coefficients (n, parameters) for n different rings.

        Args:
            rings: (n, cells), sin²(χ − arcsin w) in the cells.
            steps: Number of steps of Fisher's scoring.
        """
        c = np.tile(self.start, (len(rings), 1))
        smooth, envelope = self.smooth_and_envelope(c)
        expected = smooth + envelope * rings
        deviance, damping = self.deviance(c, expected), np.full(len(rings), 1e-3)
        n, power, diagonal = self.spectrum.number, self.spectrum.power, np.arange(c.shape[1])
        for _ in range(steps):
            slopes = np.concatenate(
                [
                    (smooth / expected)[..., None] * self.noise,
                    (1 - smooth / expected)[..., None] * self.envelope,
                ],
                2,
            )
            weighted = (slopes * n[:, None]).transpose(0, 2, 1)
            curvature = weighted @ slopes + self.penalty
            gradient = (weighted @ (power / expected - 1)[..., None])[..., 0]
            gradient -= (c - self.centre) @ self.penalty
            curvature[:, diagonal, diagonal] *= 1 + damping[:, None]
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
            new = c + np.clip(step, -_STRIDE, _STRIDE)
            new_smooth, new_envelope = self.smooth_and_envelope(new)
            new_expected = new_smooth + new_envelope * rings
            new_deviance = self.deviance(new, new_expected)
            better = new_deviance <= deviance
            c[better], smooth[better] = new[better], new_smooth[better]
            expected[better] = new_expected[better]
            deviance = np.where(better, new_deviance, deviance)
            damping = np.where(better, damping / 5, damping * 10)
        return deviance, c

    def lattice(self) -> float:
        """Return the lowest deviance with one ring of a lattice instead of the lens's rings.

        Many small crystals of random orientation have a ring of spots in the spectrum. It is
        narrow, and there is only one, or one is far stronger than the others.
        """
        q = self.spectrum.q
        peaks = [
            np.exp(-(((q - centre) / width) ** 2) / 2)
            for width in _LATTICE_WIDTHS
            for centre in np.arange(q.min() + width, q.max(), width)
        ]
        return min(float(self.fit(peak[None])[0][0]) for peak in peaks)


def _splines(q: np.ndarray, low: float, high: float, step: float) -> np.ndarray:
    """Return cubic B-splines (cells, n) on even knots from `low` to `high`."""
    knots = np.linspace(low, high, max(4, round((high - low) / step) + 1))
    padded = np.concatenate([[low] * 3, knots, [high] * 3])
    return BSpline.design_matrix(np.clip(q, low, high), padded, 3).toarray()


def _bending(number: int, total: int, width: float) -> np.ndarray:
    """Return the penalty of `number` spline coefficients and of the azimuth's coefficients."""
    penalty = np.diag(np.full(total, 1 / _UNROUND**2))
    differences = np.diff(np.eye(number), 2, axis=0)
    penalty[:number, :number] = differences.T @ differences / width**2 + 1e-4 * np.eye(number)
    return penalty
