"""Designs: conditions that fill ranges of imaging parameters evenly."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, create_model

from passband.axes import AXES
from passband.config.base import Block, Numbers, axis_keys, key, number_type
from passband.config.study_file import MOST_IN_LIST
from passband.grid import Axes, Condition
from passband.optics import ctf

if TYPE_CHECKING:
    from passband.config.microscope import Microscope

#: The largest number of points of a design with the method `maximin`, which compares all points.
MOST_MAXIMIN = 1000
#: Number of candidates from which the method `maximin` chooses: so many, or so many for each point.
_CANDIDATES, _CANDIDATES_PER_POINT = 2048, 8
#: Number of radial frequencies, and of azimuths for a lens that is not round, at which transfer
#: functions are compared.
_SAMPLES, _AZIMUTHS = 96, 12
#: The axis whose values are spread evenly on a logarithmic scale.
_LOGARITHMIC = "dose_e_per_A2"


def unit_points(method: str, number: int, dimensions: int, seed: int) -> np.ndarray:
    """Return points (number, dimensions) that fill the unit cube evenly, float64 from 0 to 1.

    Args:
        method: `sobol`: the first points of a scrambled Sobol' sequence (Owen, *J. Complexity* 14,
            466, 1998). `latin-hypercube`: each of `number` equal intervals of each dimension has
            one point (McKay, Beckman & Conover, *Technometrics* 21, 239, 1979). `maximin`: points
            of a Sobol' sequence that are far apart, see :func:`far_apart`.
    """
    from scipy.stats import qmc  # takes a second to import

    if method == "latin-hypercube":
        return qmc.LatinHypercube(dimensions, rng=np.random.default_rng(seed)).random(number)
    if method == "maximin":
        candidates = unit_points("sobol", _candidates(number), dimensions, seed)
        return candidates[far_apart(candidates, number)]
    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    return sequence.random_base2(max(0, number - 1).bit_length())[:number]


def far_apart(features: np.ndarray, number: int) -> np.ndarray:
    """Return the indices (number,) of points that are far from each other.

    The first point is the one nearest to the mean of all points. Each further point is the one with
    the largest distance to its nearest chosen point. The smallest distance between the chosen
    points is at least half of the largest that is possible (Gonzalez, *Theor. Comput. Sci.* 38,
    293, 1985).

    Args:
        features: (points, features), coordinates of the points, with Euclidean distances.
        number: Number of points to choose.
    """
    from threadpoolctl import threadpool_limits

    squares = (features**2).sum(1)

    def distances(center: np.ndarray) -> np.ndarray:
        # Twice the center, and not twice all features, which gives the same bits.
        return np.maximum(squares + center @ center - features @ (2 * center), 0)

    # Each product takes a millisecond, and threads would wait for each other for longer.
    with threadpool_limits(1):
        chosen = [int(distances(features.mean(0)).argmin())]
        nearest = distances(features[chosen[0]])
        while len(chosen) < number:
            nearest[chosen[-1]] = -1.0
            chosen.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, distances(features[chosen[-1]]))
    return np.array(chosen)


def _ends(name: str) -> Any:
    """Return the type of a range of an axis in a design: its lowest and its highest value."""

    def check(ends: list[float]) -> list[float]:
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError(f"{ends}: must be the lowest and the highest value, such as [5, 40]")
        return ends

    return Annotated[list[number_type(name)], AfterValidator(check)]


Ranges = create_model(
    "Ranges",
    __base__=Numbers,
    __doc__="The ranges that a design fills: `[lowest, highest]` for each axis.",
    **axis_keys(_ends),
)
# `in` is a word of Python, so that it cannot be written as an attribute of a class.
_Space = create_model(
    "_Space",
    __base__=Block,
    **{
        "in": (
            Literal["parameters", "transfer"],
            key(
                "parameters",
                "`parameters`: the points fill the ranges of imaging parameters, the dose on a "
                "logarithmic scale. `transfer`: the points are far apart in transfer T(q) and "
                "information bits(q); only for `maximin`.",
            ),
        )
    },
)


class Design(_Space):
    """Points that fill ranges of imaging parameters evenly."""

    method: Literal["sobol", "latin-hypercube", "maximin"] = key(
        "sobol",
        "`sobol`: a scrambled Sobol' sequence. `latin-hypercube`: the range of each parameter is "
        "divided into as many intervals as there are points, and each interval has one point. "
        "`maximin`: the points are far apart.",
    )
    points: int = key(
        16,
        f"Number of points. `maximin` has at most {MOST_MAXIMIN:,} points.",
        ge=1,
        le=MOST_IN_LIST,
    )
    ranges: Ranges = key(Ranges, "The ranges that the points fill.")
    seed: int = key(0, "Seed of the design's random numbers.", ge=0, le=2**63 - 1)

    def _check_values(self) -> None:
        if getattr(self, "in") == "transfer" and self.method != "maximin":
            raise ValueError(f"method = {self.method!r}: must be 'maximin' for in = 'transfer'")
        if self.method == "maximin" and self.points > MOST_MAXIMIN:
            raise ValueError(
                f"points = {self.points}: must not exceed {MOST_MAXIMIN:,} for method = 'maximin'"
            )

    def made(
        self, microscope: "Microscope", others: Mapping[str, float], flat_power: float
    ) -> list[dict[str, float]]:
        """Return the points, rounded to the resolution of each axis and sorted.

        Args:
            others: The values of the axes that are not in `ranges`, for transfer functions.
            flat_power: Power spectral density [Å²] for the information of
                :func:`transfer_features`.

        Raises:
            ValueError: If the ranges have fewer different points than the design. The message
                begins with a key.
        """
        ranges, number = self.ranges.axes(), self.points
        if getattr(self, "in") == "parameters":
            cube = unit_points(self.method, number, len(ranges), self.seed)
            found = _distinct(_scaled(cube, ranges))
        else:
            cube = unit_points("sobol", _candidates(number), len(ranges), self.seed)
            candidates = _distinct(_scaled(cube, ranges))
            found = candidates
            if len(candidates) > number:
                conditions = [Axes.main.condition({**others, **point}) for point in candidates]
                features = transfer_features(conditions, microscope, flat_power)
                found = [candidates[k] for k in far_apart(features, number)]
        if len(found) < number:
            raise ValueError(
                f"points = {number}: the ranges have room for {len(found)} different points, which "
                "are rounded to the resolution of each axis; take wider ranges or fewer points"
            )
        return sorted(found, key=lambda point: tuple(point.values()))


def transfer_features(
    conditions: Sequence[Condition], microscope: "Microscope", flat_power: float
) -> np.ndarray:
    """Return features (conditions, features) whose distances compare transfer and information.

    The squared distance of two conditions is ∫(T − T′)² d²q + ∫(bits − bits′)² d²q, where each
    integral is divided by its mean over all pairs of the conditions. T(q) is the linear transfer of
    the nominal lens, and bits(q) = ½log₂(1 + 4·dose·P·T²) is the information for a flat power
    spectral density P.

    Args:
        flat_power: P [Å²].
    """
    radial = (np.arange(_SAMPLES) + 0.5) / _SAMPLES * microscope.sampling.cutoff
    optics = [microscope.optics(condition) for condition in conditions]
    azimuths = 1 if all(lens.round for lens in optics) else _AZIMUTHS
    q = np.repeat(radial, azimuths)
    phi = np.tile(np.arange(azimuths) * 2 * np.pi / azimuths, _SAMPLES)
    curves = {lens: ctf.transfer(lens, q, phi) for lens in dict.fromkeys(optics)}
    blurs = microscope.responses(conditions, q)
    T = np.stack(
        [curves[lens] * blurs[c.further] for c, lens in zip(conditions, optics, strict=True)]
    )
    dose = np.array([condition.dose_e_per_A2 for condition in conditions])
    bits = np.log2(1 + 4 * dose[:, None] * flat_power * T**2) / 2
    parts = []
    for values in (T, bits):
        values = values * np.sqrt(q)  # the area of a frequency is proportional to |q|
        # The mean squared distance of all pairs is twice the variance.
        spread = 2 * values.var(0).sum()
        parts.append(values / np.sqrt(spread) if spread > 1e-12 else 0 * values)
    return np.concatenate(parts, axis=1)


def _candidates(number: int) -> int:
    return max(_CANDIDATES, _CANDIDATES_PER_POINT * number)


def _scaled(cube: np.ndarray, ranges: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Return points of the unit cube as values of axes. Doses are spread on a logarithmic scale."""
    columns = {}
    for (name, ends), x in zip(ranges.items(), cube.T, strict=True):
        low, high = min(ends), max(ends)
        logarithmic = name == _LOGARITHMIC
        values = low * (high / low) ** x if logarithmic else low + (high - low) * x
        columns[name] = [AXES[name].canonical(float(v)) for v in np.clip(values, low, high)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _distinct(points: list[dict[str, float]]) -> list[dict[str, float]]:
    return list({tuple(point.values()): point for point in points}.values())
