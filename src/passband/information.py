"""What the contrast transfer function alone says of two conditions: information metrics.

The paper names an information-transfer metric ε(χ) and an overlap metric σ(χ, χ′) of the transfer
T(q); the expressions here are Passband's own, and `docs/metrics.md` says what each means. To add a
metric, write a function and register it; it then is in the store and the table of metrics.

Signal and noise. Of a wave ψ̄(1 + a + ib), linear imaging shows the contrast 2b(q)T(q). With P(q)
the power spectral density of b [Å²], ∫P d²q = ⟨b²⟩, the contrast has 4PT². Counts are Poisson: a
pixel of area p holds p·dose electrons on average, so that its contrast has the variance
1/(p·dose), and independent pixels make that a flat power spectral density of 1/dose [Å²]. The
spectral signal-to-noise ratio is their quotient, s(q) = 4·dose·P(q)·T(q)².

Integrals run over the two-dimensional plane of spatial frequencies up to the band limit of the exit
waves. For round lenses T depends on |q| alone, so that d²q = 2πq dq; otherwise the integrals run
over the azimuth as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from passband import ctf, detector, units
from passband.compiled import compiled
from passband.grid import Condition, coordinates
from passband.lens import NUMBERS, Spread
from passband.seeds import stratified_normal

if TYPE_CHECKING:
    from passband.config import Microscope

#: Numbers in an array over (conditions, frequencies) that is worked on at a time, 8 MB, and in the
#: transfers that are kept meanwhile, 256 MB at most.
_AT_ONCE, _KEPT = 2**20, 2**25


@dataclass(frozen=True)
class View:
    """What some conditions show of a specimen, to first order.

    Attributes
    ----------
    T : (conditions, frequencies) float64 array
        Linear transfer, from the wave to the counts. Of a lens that is not round, a frequency is
        one of |q| and φ.
    dose : (conditions,) float64 array
        Dose [e/Å²].
    power : (frequencies,) float64 array
        Power spectral density P of b, the wave's linear phase contrast [Å²].
    area : (frequencies,) float64 array
        d²q, what each frequency stands for in an integral over the plane [1/Å²].
    """

    T: np.ndarray
    dose: np.ndarray
    power: np.ndarray
    area: np.ndarray

    @cached_property
    def u(self) -> np.ndarray:
        """w d²q of integrals weighted by the specimen's power, w = P."""
        return self.power * self.area

    @cached_property
    def T2(self) -> np.ndarray:
        """T²."""
        return self.T**2

    @cached_property
    def s(self) -> np.ndarray:
        """Spectral signal-to-noise ratio s = 4·dose·P·T² [1]."""
        return 4 * self.dose[:, None] * self.power * self.T2

    @cached_property
    def bits(self) -> np.ndarray:
        """½log₂(1 + s), what a frequency carries: Shannon's capacity of a Gaussian channel."""
        return np.log2(1 + self.s) / 2

    @cached_property
    def W(self) -> np.ndarray:
        """Wiener filter W = T/(T² + 1/(4·dose·P)): W/2 of the contrast is closest to b."""
        return 4 * self.dose[:, None] * self.power * self.T / (1 + self.s)


@dataclass(frozen=True)
class Pair:
    """What training and test conditions show of the same specimen; all arrays are (train, test)."""

    train: View
    test: View

    @cached_property
    def unsigned(self) -> "Pair":
        """The same with |T| and |T′|, as if every contrast reversal were known and undone."""
        return Pair(*(replace(view, T=np.abs(view.T)) for view in (self.train, self.test)))

    @cached_property
    def shared_bits(self) -> np.ndarray:
        """½∫log₂(1 + min(s, s′)) d²q [bits/Å²]."""
        return _least(self.train.bits, self.test.bits, self.test.area)

    @cached_property
    def cross(self) -> np.ndarray:
        """∫wWT′ d²q: covariance with b of what W/2 makes of the test condition's contrast."""
        return (self.train.W * self.test.u) @ self.test.T.T

    @cached_property
    def power(self) -> np.ndarray:
        """∫wW²T′² d²q + ∫W² d²q/(4·dose′): its power, signal and noise."""
        W2 = self.train.W**2
        signal = (W2 * self.test.u) @ self.test.T2.T
        return signal + np.outer(W2 @ self.test.area, 1 / (4 * self.test.dose))


@dataclass(frozen=True)
class Metric:
    """A registered function, and the unit of what it returns."""

    function: Callable[..., np.ndarray]
    units: str

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of its variable in a data set."""
        words = self.function.__doc__ or self.function.__name__
        return {"units": self.units, "long_name": " ".join(words.split())}


#: Metrics of a condition: View → (conditions,).
SINGLE: dict[str, Metric] = {}

#: Metrics of a training and a test condition: Pair → (train, test).
PAIR: dict[str, Metric] = {}


def register(table: dict[str, Metric], units: str = "1") -> Callable:
    """Return a decorator that adds a metric to :data:`SINGLE` or :data:`PAIR` under its name."""

    def add(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        table[function.__name__] = Metric(function, units)
        return function

    return add


@register(SINGLE)
def transfer(view: View) -> np.ndarray:
    """ε(χ) = ∫wT²/∫w: the share of the weighted band that is transferred, 0 to 1."""
    return view.T2 @ view.u / view.u.sum()


@register(SINGLE, "bits/Å²")
def capacity(view: View) -> np.ndarray:
    """C(χ) = ½∫log₂(1 + s) d²q: information that an image holds of the specimen, from 0 up."""
    return view.bits @ view.area


@register(SINGLE)
def residual(view: View) -> np.ndarray:
    """E(χ→χ) = ∫w/(1 + s)/∫w: the share of the specimen's power that no linear filter restores at
    the dose, 0 to 1: the `wiener` error of a condition under itself.
    """
    return 1 / (1 + view.s) @ view.u / view.u.sum()


@register(PAIR)
def overlap(pair: Pair) -> np.ndarray:
    """σ(χ, χ′) = ∫wTT′/√(∫wT²·∫wT′²): likeness of two transfers with their signs, −1 to 1."""
    train, test = pair.train, pair.test
    norm = np.outer(np.sqrt(train.T2 @ train.u), np.sqrt(test.T2 @ test.u))
    return _quotient((train.T * train.u) @ test.T.T, norm, 0)


@register(PAIR)
def overlap_abs(pair: Pair) -> np.ndarray:
    """σ of |T| and |T′|: likeness that ignores contrast reversals, 0 to 1."""
    return overlap(pair.unsigned)


@register(PAIR)
def coverage(pair: Pair) -> np.ndarray:
    """κ(χ→χ′) = ∫w·min(T², T′²)/∫wT′²: the share of what the test condition shows that the
    training condition showed too, 0 to 1. Not symmetric; 1 where the test condition shows nothing.
    """
    train, test = pair.train, pair.test
    return _quotient(_least(train.T2, test.T2, test.u), test.T2 @ test.u, 1)


@register(PAIR, "bits/Å²")
def shared_capacity(pair: Pair) -> np.ndarray:
    """C(χ, χ′) = ½∫log₂(1 + min(s, s′)) d²q: information at the frequencies, and to the extent,
    that both conditions hold it, from 0 to the lesser capacity.
    """
    return pair.shared_bits


@register(PAIR)
def capacity_coverage(pair: Pair) -> np.ndarray:
    """C(χ, χ′)/C(χ′): the share of the test condition's information that the training condition
    held too, 0 to 1: coverage that knows of the dose; 1 where the test condition holds none.
    """
    return _quotient(pair.shared_bits, capacity(pair.test), 1)


@register(PAIR)
def wiener(pair: Pair) -> np.ndarray:
    """E(χ→χ′) = ∫w[(1 − WT′)² + W²/(4·dose′·w)]/∫w, w = P: the share of the specimen's power that
    the training condition's Wiener filter W gets wrong under the test condition, from 0 up; 1 is
    what no output at all has.
    """
    return 1 + (pair.power - 2 * pair.cross) / pair.test.u.sum()


@register(PAIR)
def wiener_abs(pair: Pair) -> np.ndarray:
    """E of |T| and |T′|: the error of a filter that knew of contrast reversals, 0 up."""
    return wiener(pair.unsigned)


@register(PAIR)
def wiener_excess(pair: Pair) -> np.ndarray:
    """E(χ→χ′) − E(χ′→χ′): what the filter gets wrong because it is another condition's, 0 up."""
    return wiener(pair) - residual(pair.test)


@register(PAIR)
def fidelity(pair: Pair) -> np.ndarray:
    """ρ(χ→χ′): correlation of what the training condition's Wiener filter makes of the test
    condition's images with the specimen itself, −1 to 1, however images are scaled; 0 where the
    filter or its output is nothing.
    """
    return _quotient(pair.cross, np.sqrt(pair.power * pair.test.u.sum()), 0)


@register(PAIR)
def fidelity_abs(pair: Pair) -> np.ndarray:
    """ρ of |T| and |T′|: the same of a filter that knew of contrast reversals, 0 to 1."""
    return fidelity(pair.unsigned)


def _quotient(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    """Return part/whole, and something else where the whole is nothing."""
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)


def _least(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return Σ u·min(a, b) over frequencies as (train, test)."""
    matrix = "float64[:,::1]"
    add = compiled(_add_least, f"({matrix}, {matrix}, float64[::1], {matrix})")
    result = np.empty((len(a), len(b)))
    for first in range(0, len(b), 128):  # that many at a time stay in the cache
        part = np.ascontiguousarray(b[first : first + 128].T)
        sums = np.zeros((len(a), part.shape[1]))
        add(np.ascontiguousarray(a), part, u, sums)
        result[:, first : first + 128] = sums
    return result


def _add_least(a, b, u, sums):
    """Add Σ u·min(a, b) of a (train, frequencies) and b (frequencies, test), in one pass."""
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            x, weight = a[i, k], u[k]
            for j in range(b.shape[1]):  # innermost, so that it is vector arithmetic
                y = b[k, j]
                sums[i, j] += weight * (y if y < x else x)


def metrics(
    train: Sequence[Condition],
    test: Sequence[Condition],
    microscope: "Microscope",
    samples: int,
    spectra: dict[str, tuple[np.ndarray, np.ndarray]],
    seed: int = 0,
    draws: int = 32,
    bands: Sequence[float] = (),
) -> xr.Dataset:
    """Return every registered metric for every pair of conditions and every weight.

    Where the microscope has spreads, a condition is a distribution, and a metric its expectation:
    of single ones over the distribution, of pairs over independent draws of both ends, one image's
    lens and dose against another's. The draws are a Latin hypercube over both ends, the same for
    all conditions, so that differences between conditions are not those of their draws; each counts
    both ways round, so that a symmetric metric stays symmetric.

    Parameters
    ----------
    train, test : sequences of Condition
        Training and test conditions.
    microscope : Microscope
        What is fixed in the study.
    samples : int
        Radial frequencies between 0 and the band limit; midpoint rule. For a lens that is not
        round, each along as many azimuths as :func:`passband.ctf.azimuths_needed` says.
    spectra : dict of str to (q, P)
        Specimens by name of the weight: frequencies [1/Å] and power spectral densities there [Å²],
        interpolated linearly and constant beyond both ends.
    seed : int
        Study seed, for the draws.
    draws : int
        Draws of two images' lenses and doses, of a microscope with spreads.
    bands : sequence of float
        Frequencies [1/Å], ascending, that divide each spectrum but the flat one into bands. Each
        band is a weight of its own, such as ``gold/0.25-0.6``, the last of them ``gold/0.6-``; one
        that lies beyond the band limit is left out.

    Returns
    -------
    Dataset
        Each of :data:`SINGLE` as `{name}_train` (weight, train) and `{name}_test` (weight, test),
        and each of :data:`PAIR` (weight, train, test), all float64.
    """
    spread = units.spread(microscope)
    normals = np.zeros((1, NUMBERS))
    if spread != Spread():
        both = stratified_normal(draws, 2 * NUMBERS, seed, "information")
        # One image's draws, then the other's in reverse: first and last are of one pair, and so on.
        normals = np.concatenate([both[:, :NUMBERS], both[::-1, NUMBERS:]])
    ends = {"train": train, "test": test}
    lenses = {
        end: [[spread.at(units.optics(c, microscope), z) for c in conditions] for z in normals]
        for end, conditions in ends.items()
    }
    every = [optics for drawn in (*lenses["train"], *lenses["test"]) for optics, _ in drawn]
    q, phi, area = _plane(every, microscope.sampling.cutoff, samples)
    powers = {}
    for name, curve in spectra.items():
        powers[name] = np.interp(q, *curve)
        if bands and name != "flat":
            powers |= _divided(name, q, powers[name], bands)
    # Frequencies without power add nothing to any integral.
    kept = [slice(None) if (p > 0).all() else np.flatnonzero(p) for p in powers.values()]
    blur = _blur(q, microscope)

    @lru_cache(maxsize=1 + _KEPT // len(q))
    def transfer_of(optics: ctf.Optics) -> np.ndarray:
        return ctf.transfer(optics, q, phi) * blur

    def views(end: str, k: int, part: slice) -> list[View]:
        """Return what some of an end's conditions show in the k-th draw, by each weight."""
        chosen, doses = zip(*lenses[end][k][part], strict=True)
        T = np.stack([transfer_of(optics) for optics in chosen])
        dose = np.array(doses) * [c.dose_e_per_A2 for c in ends[end][part]]
        return [
            View(np.ascontiguousarray(T[:, few]), dose, power[few], area[few])
            for power, few in zip(powers.values(), kept, strict=True)
        ]

    rows = max(1, _AT_ONCE // len(q))
    parts = {
        end: [slice(first, first + rows) for first in range(0, len(conditions), rows)]
        for end, conditions in ends.items()
    }
    shape = {end: (len(powers), len(conditions)) for end, conditions in ends.items()}
    single = {(name, end): np.zeros(shape[end]) for name in SINGLE for end in ends}
    pairs = {name: np.zeros((*shape["train"], len(test))) for name in PAIR}
    for k in range(len(normals)):
        for end, of_end in parts.items():
            for part in of_end:
                for weight, view in enumerate(views(end, k, part)):
                    for name, metric in SINGLE.items():
                        single[name, end][weight, part] += metric.function(view) / len(normals)
        for part in parts["train"]:
            left = views("train", k, part)
            for other in parts["test"]:
                right = views("test", -1 - k, other)
                for weight, pair in enumerate(map(Pair, left, right)):
                    for name, metric in PAIR.items():
                        pairs[name][weight, part, other] += metric.function(pair) / len(normals)
    train_ids, test_ids = [c.id for c in train], [c.id for c in test]
    return xr.Dataset(
        {
            **{
                f"{name}_{end}": (("weight", end), values, SINGLE[name].attrs)
                for (name, end), values in single.items()
            },
            **{
                name: (("weight", "train", "test"), values, PAIR[name].attrs)
                for name, values in pairs.items()
            },
        },
        coords={
            "weight": list(powers),
            "train": train_ids,
            "test": test_ids,
            **coordinates(train_ids, "train"),
            **coordinates(test_ids, "test"),
        },
    )


def _divided(
    name: str, q: np.ndarray, power: np.ndarray, edges: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return what of a spectrum is in each band, by the band's name, 0 elsewhere."""
    found = {}
    for low, high in pairwise([0.0, *edges, np.inf]):
        inside = np.where((low <= q) & (q < high), power, 0.0)
        if inside.any():
            found[f"{name}/{low:g}-{'' if high == np.inf else f'{high:g}'}"] = inside
    return found


def _plane(
    lenses: Sequence[ctf.Optics], cutoff: float, samples: int
) -> tuple[np.ndarray, np.ndarray | float, np.ndarray]:
    """Return where integrals are sampled: |q| [1/Å], φ [rad] and d²q [1/Å²].

    Midpoints of `samples` radii below the cutoff; a round lens needs no azimuth.
    """
    q = (np.arange(samples) + 0.5) * cutoff / samples
    azimuths = max(ctf.azimuths_needed(optics, cutoff) for optics in lenses)
    area = 2 * np.pi / azimuths * q * cutoff / samples
    if azimuths == 1:
        return q, 0.0, area
    q, phi = (axis.ravel() for axis in np.meshgrid(q, ctf.azimuths(azimuths)))
    return q, phi, np.tile(area, azimuths)


def _blur(q: np.ndarray, microscope: "Microscope") -> np.ndarray:
    """Return what vibration and detector leave of the contrast at frequencies [1/Å]."""
    camera = microscope.detector
    return detector.response(
        microscope.sampling,
        q * microscope.pixel_size_A,
        microscope.vibration_A,
        camera.mtf,
        camera.mtf_nyquist,
        camera.mtf_table,
    )
