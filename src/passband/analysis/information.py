"""Information metrics: functions of the contrast transfer of one condition or of two conditions.

The paper names an information-transfer metric ε(χ) and an overlap metric σ(χ, χ′) of the transfer
T(q). The expressions in this module are Passband's own, not the paper's; `docs/metrics.md` explains
each expression. A metric is a part, one function with the decorator :func:`passband.parts.metric`:
it is then computed, stored and drawn like all others, also from a study's own folder of parts.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from passband.analysis.metric_function import MetricFunction
from passband.analysis.spectra import Spectrum, cutoff, weights_under
from passband.analysis.views import Pair, View, least
from passband.grid import Condition
from passband.optics import ctf
from passband.optics.jitter import NUMBERS
from passband.parts import PACKAGE, PAIR, SINGLE, Parts, metric
from passband.seeds import stratified_normal
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import xarray as xr

    from passband.config import Microscope

#: Number of draws of the jitter, for a microscope with jitter.
DRAWS = 32
#: Largest number of elements of one array over (conditions, frequencies) that is computed at a time
#: (8 MB), and largest number of elements of all cached transfer functions (256 MB).
_AT_ONCE, _KEPT = 2**20, 2**25


@metric(SINGLE, label="transfer ε")
def transfer(view: View) -> np.ndarray:
    """ε(χ) = ∫wT²/∫w: the share of the band that is transferred, weighted by w; 0 to 1."""
    return view.T2 @ view.u / view.u.sum()


@metric(SINGLE, units="bits/Å²", label="capacity C")
def capacity(view: View) -> np.ndarray:
    """C(χ) = ½∫log₂(1 + s) d²q: the information about the specimen in an image; 0 or more."""
    return view.bits @ view.area


@metric(SINGLE, label="residual error E")
def residual(view: View) -> np.ndarray:
    """E(χ→χ) = ∫w/(1 + s)/∫w: the share of the specimen's power that no linear filter can restore
    at this dose; 0 to 1. It is the `wiener` error of a condition under itself.
    """
    return 1 / (1 + view.s) @ view.u / view.u.sum()


@metric(PAIR, label="overlap σ")
def overlap(pair: Pair) -> np.ndarray:
    """σ(χ, χ′) = ∫wTT′/√(∫wT²·∫wT′²): similarity of two transfers with their signs; −1 to 1."""
    train, test = pair.train, pair.test
    norm = np.outer(np.sqrt(train.T2 @ train.u), np.sqrt(test.T2 @ test.u))
    return _quotient((train.T * pair.u) @ test.T.T, norm, 0)


@metric(PAIR, label="overlap σ of |T|")
def overlap_abs(pair: Pair) -> np.ndarray:
    """σ of |T| and |T′|: similarity that ignores contrast reversals; 0 to 1."""
    return overlap(pair.unsigned)


@metric(PAIR, label="coverage κ")
def coverage(pair: Pair) -> np.ndarray:
    """κ(χ→χ′) = ∫w·min(T², T′²)/∫wT′²: the share of the test condition's transfer that the
    training condition also has; 0 to 1. Not symmetric. It is 1 if the test condition has no
    transfer.
    """
    train, test = pair.train, pair.test
    contrast = train.T2 * _quotient(train.u, test.u, 0)  # in units of the test condition's weight
    return _quotient(least(contrast, test.T2, test.u), test.T2 @ test.u, 1)


@metric(PAIR, units="bits/Å²", label="shared capacity C")
def shared_capacity(pair: Pair) -> np.ndarray:
    """C(χ, χ′) = ½∫log₂(1 + min(s, s′)) d²q: the information that both conditions have at the same
    frequencies; from 0 to the smaller of the two capacities.
    """
    return pair.shared_bits


@metric(PAIR, label="share of capacity")
def capacity_coverage(pair: Pair) -> np.ndarray:
    """C(χ, χ′)/C(χ′): the share of the test condition's information that the training condition
    also has; 0 to 1. It is a coverage that depends on the dose, and 1 if the test condition has no
    information.
    """
    return _quotient(pair.shared_bits, capacity(pair.test), 1)


@metric(PAIR, label="Wiener error E")
def wiener(pair: Pair) -> np.ndarray:
    """E(χ→χ′) = ∫w[(1 − WT′)² + W²/(4·dose′·w)]/∫w, w = P: the error of the training condition's
    Wiener filter W under the test condition, as a share of the specimen's power; 0 or more. A
    filter without any output has the error 1.
    """
    return 1 + (pair.power - 2 * pair.cross) / pair.test.u.sum()


@metric(PAIR, label="Wiener error E of |T|")
def wiener_abs(pair: Pair) -> np.ndarray:
    """E of |T| and |T′|: the error if all contrast reversals were corrected; 0 or more."""
    return wiener(pair.unsigned)


@metric(PAIR, label="excess of E")
def wiener_excess(pair: Pair) -> np.ndarray:
    """E(χ→χ′) − E(χ′→χ′): the part of the error that is due to the shift; 0 or more."""
    return wiener(pair) - residual(pair.test)


@metric(PAIR, label="fidelity")
def fidelity(pair: Pair) -> np.ndarray:
    """ρ(χ→χ′): correlation of the specimen with the output of the training condition's Wiener
    filter for images of the test condition; −1 to 1. It does not depend on the scale of the images.
    It is 0 if the filter or its output is 0.
    """
    return _quotient(pair.cross, np.sqrt(pair.power * pair.test.u.sum()), 0)


@metric(PAIR, label="fidelity of |T|")
def fidelity_abs(pair: Pair) -> np.ndarray:
    """ρ of |T| and |T′|: the correlation if all contrast reversals were corrected; 0 to 1."""
    return fidelity(pair.unsigned)


def _quotient(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    """Return `part / whole`, and the value `otherwise` where `whole` is 0."""
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)


def radial_samples(microscope: "Microscope") -> int:
    """Return the number of radial frequencies of an integral, which the field of view needs.

    No condition displaces image detail by more than half a field, so that T² has at most a third as
    many periods up to the band limit as a field has pixels: at least 24 samples are in each.
    """
    return max(2048, 8 * microscope.field_px)


def metrics(
    train: Sequence[Condition],
    test: Sequence[Condition],
    microscope: "Microscope",
    spectra: Mapping[str, Spectrum],
    seed: int = 0,
    draws: int = DRAWS,
    bands: Sequence[float] = (),
    samples: int | None = None,
    parts: Parts = PACKAGE,
) -> "xr.Dataset":
    """Return every metric for every pair of conditions and every weight.

    If the microscope has jitter, every image has its own lens and dose, and each metric is an
    expectation. For a metric of one condition, it is the expectation over the lens and dose of one
    image. For a metric of two conditions, it is the expectation over the lens and dose of a
    training image and, independently, of a test image. The draws of lenses and doses are a Latin
    hypercube over both images. All conditions have the same draws of the jitter, so that
    differences between conditions are not caused by the draws. Each draw of two images is used a
    second time with the two images exchanged, so that a symmetric metric stays symmetric.

    Args:
        spectra: For the name of each weight of spatial frequencies: frequencies [1/Å] and the power
            spectral densities at these frequencies [Å²], see
            :func:`passband.analysis.spectra.power_under`.
        seed: Study seed, for the draws of the jitter.
        draws: Number of draws of the jitter, for a microscope with jitter. Each draw gives the lens
            and dose of two images.
        bands: Frequencies [1/Å], ascending, that divide every spectrum except the flat one into
            bands. Each band of a spectrum is one more weight of the metrics, with a name such as
            ``gold/0.25-0.6``, or ``gold/0.6-`` for the last band. Bands beyond the band limit are
            left out.
        samples: Number of radial frequencies between 0 and the band limit, at which integrals are
            sampled (midpoint rule); by default :func:`radial_samples`. For a lens that is not
            round, each radial frequency has :func:`passband.optics.ctf.azimuths_needed` azimuths.
        parts: All parts that the study knows.

    Returns:
        Each metric of one condition as `{name}_train` (weight, train) and `{name}_test` (weight,
        test), and each metric of two conditions (weight, train, test), all float64.

    Raises:
        PartError: If a metric of the study's own cannot be computed.
    """
    import xarray as xr

    known = parts.of("metric")
    functions = {name: MetricFunction(part) for name, part in known.items()}
    alone, paired = (
        {name: each for name, each in functions.items() if each.declared.of == of}
        for of in (SINGLE, PAIR)
    )
    jitter = microscope.jitter
    normals = _normals(draws, seed) if jitter.varies else np.zeros((1, NUMBERS))
    ends = {"train": train, "test": test}
    lenses = {}
    for end, conditions in ends.items():
        optics = [microscope.optics(condition) for condition in conditions]
        lenses[end] = [[jitter.apply(o, z) for o in optics] for z in normals]
    every = [optics for drawn in (*lenses["train"], *lenses["test"]) for optics, _ in drawn]
    # A condition of each set of exit waves, all of whose conditions have the same spectra.
    sets = {wave_set(condition): condition for condition in (*train, *test)}
    limits = {id: cutoff(condition, microscope) for id, condition in sets.items()}
    q, phi, area = ctf.plane(every, max(limits.values()), samples or radial_samples(microscope))
    powers = weights_under(spectra, sets, microscope, q, bands)
    areas = {id: np.where(q <= limit, area, 0.0) for id, limit in limits.items()}
    names = list(next(iter(powers.values())))
    # Frequencies without power of the specimen are left out, because they add 0 to all integrals.
    total = {name: sum(of_set[name] for of_set in powers.values()) for name in names}
    kept = [slice(None) if (p > 0).all() else np.flatnonzero(p) for p in total.values()]
    # Vibration and MTF may be axes, which are among the further axes of conditions.
    blurs = microscope.responses((*train, *test), q)

    @lru_cache(maxsize=1 + _KEPT // len(q))
    def transfer_of(optics: ctf.Optics, further: tuple) -> np.ndarray:
        return ctf.transfer(optics, q, phi) * blurs[further]

    def views(end: str, k: int, places: np.ndarray) -> list[View]:
        """Return a view for each weight, of conditions with one set of waves, in the k-th draw."""
        members = [ends[end][place] for place in places]
        drawn, doses = zip(*(lenses[end][k][place] for place in places), strict=True)
        T = np.stack([transfer_of(o, c.further) for o, c in zip(drawn, members, strict=True)])
        dose = np.array(doses) * [c.dose_e_per_A2 for c in members]
        id = wave_set(members[0])
        return [
            View(np.ascontiguousarray(T[:, few]), dose, power[few], areas[id][few], q[few])
            for power, few in zip(powers[id].values(), kept, strict=True)
        ]

    rows = max(1, _AT_ONCE // len(q))
    blocks = {end: _blocks(conditions, rows) for end, conditions in ends.items()}
    shape = {end: (len(names), len(conditions)) for end, conditions in ends.items()}
    single = {(name, end): np.zeros(shape[end]) for name in alone for end in ends}
    pairs = {name: np.zeros((*shape["train"], len(test))) for name in paired}
    for k in range(len(normals)):
        for end in ends:
            for places in blocks[end]:
                for weight, view in enumerate(views(end, k, places)):
                    for name, function in alone.items():
                        found = function(view, (len(places),), "(condition,)")
                        single[name, end][weight, places] += found / len(normals)
        for places in blocks["train"]:
            left = views("train", k, places)
            for others in blocks["test"]:
                right = views("test", -1 - k, others)
                for weight, pair in enumerate(map(Pair, left, right)):
                    for name, function in paired.items():
                        found = function(pair, (len(places), len(others)), "(train, test)")
                        pairs[name][weight, places[:, None], others] += found / len(normals)
    variables = {
        f"{name}_{end}": (("weight", end), values, functions[name].attrs)
        for (name, end), values in single.items()
    }
    for name, values in pairs.items():
        variables[name] = ("weight", "train", "test"), values, functions[name].attrs
    train_ids = [condition.id for condition in train]
    test_ids = [condition.id for condition in test]
    return xr.Dataset(
        variables,
        coords={
            "weight": names,
            "train": train_ids,
            "test": test_ids,
            **train[0].axes.coordinates(train_ids, "train"),
            **train[0].axes.coordinates(test_ids, "test"),
        },
    )


def _normals(draws: int, seed: int) -> np.ndarray:
    """Return draws of the jitter of two images, those of the first before those of the second.

    The second image's are in reverse order. So the first and the last draw of the array are a pair,
    the second and the last but one are a pair, and so on.
    """
    both = stratified_normal(draws, 2 * NUMBERS, seed, "information")
    return np.concatenate([both[:, :NUMBERS], both[::-1, NUMBERS:]])


def _blocks(conditions: Sequence[Condition], most: int) -> list[np.ndarray]:
    """Return the places of conditions in blocks with the same exit waves and a largest size."""
    sets = np.array([wave_set(condition) for condition in conditions])
    places = (np.flatnonzero(sets == id) for id in dict.fromkeys(sets.tolist()))
    return [
        of_set[first : first + most] for of_set in places for first in range(0, len(of_set), most)
    ]
