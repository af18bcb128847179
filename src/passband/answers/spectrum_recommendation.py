"""Recommends networks for images of a microscope by their power spectrum: no lens is needed.

The Gaussian process is that of :mod:`passband.answers.tested_networks`, with the distance of
spectra in place of that of profiles. A training condition has the spectrum of training structures
under it, a test condition that of validation structures, and the microscope that of its images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from passband.analysis import image_spectra
from passband.analysis.image_spectra import IMAGES
from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES
from passband.config.background import Background
from passband.errors import PassbandError
from passband.grid import Condition, is_condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import normalise
from passband.imaging.structures import Split
from passband.learning.network_files import Network, open_networks
from passband.micrographs.images import readers
from passband.micrographs.images.fields import fields, thinned
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.micrographs.images.readers import Micrograph
from passband.network_id import NetworkId
from passband.outcomes import Outcome
from passband.prediction import gaussian_process
from passband.prediction.covariance import spectrum_kernel
from passband.prediction.gaussian_process import COVERAGE, GaussianProcess
from passband.prediction.json_values import JsonValues, Rounded
from passband.prediction.range_of_use import between, ranges
from passband.prediction.recommend.network_dice import Dice
from passband.prediction.recommend.network_ranking import TOP
from passband.results import layout
from passband.seeds import generator
from passband.store import kept
from passband.wave_sets import wave_set
from passband.words import columns, listed, number_of

#: Numbers of drawn microscopes and of structures of each, with which a user's images are compared.
_DRAWN = 64
_MOST = 48
#: What every second drawn microscope has too, up to these values.
_UNKNOWN = {"astigmatism_nm": 10.0, "astigmatism_deg": 180.0, "vibration_A": 0.8}
_CPU = torch.device("cpu")


class Ranked(NamedTuple):
    """A network and the Dice to expect."""

    id: NetworkId
    dice: Dice


@dataclass(frozen=True)
class SpectrumRecommendation(Outcome):
    """The networks of a study, ranked for images of a microscope.

    Attributes:
        images: What was compared, in words.
        networks: The networks that have learned and their expected Dice, the best first.
        nearest: The test condition whose simulated images have the nearest spectrum.
        remark, top: See
            :class:`passband.prediction.recommend.network_ranking.Recommendation`.
    """

    study: str
    specimen: str
    images: str
    networks: tuple[Ranked, ...]
    nearest: Condition
    remark: str = ""
    top: int | None = None

    def __str__(self) -> str:
        shown = self.networks[: TOP if self.top is None else self.top]
        rows = [[f"{rank}", dice.words, str(id)] for rank, (id, dice) in enumerate(shown, 1)]
        paragraphs = [
            f"{self.specimen} as in {self.images}, with the networks of the study {self.study}",
            columns([["", "expected Dice", "network"], *rows]),
            f"{len(shown)} of {number_of(len(self.networks), 'network')}, ranked by expected Dice, "
            "from the power spectrum of the images.\nIn parentheses: the interval that contains "
            f"the measured Dice in {COVERAGE:.0%} of cases.",
            f"nearest tested condition, by its simulated images: {self.nearest.words}",
        ]
        return "\n\n".join([*(paragraphs if shown else []), *filter(None, [self.remark])])

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        ranked = [{"id": str(id), "dice": vars(dice)} for id, dice in self.networks[: self.top]]
        return {
            "networks": ranked,
            "ranked_by": "expected Dice",
            "images": self.images,
            "specimen": self.specimen,
            "nearest_tested": self.nearest.id,
        }


@dataclass(frozen=True)
class Simulated(JsonValues):
    """What is kept of simulated images.

    Attributes:
        train: The spectrum (ring,) of a specimen under a training condition, by both names.
        test: (condition, ring), the spectra of the test conditions.
        drawn: (microscope, image, ring), powers of microscopes between the test conditions.
    """

    train: dict[str, Rounded]
    test: Rounded
    drawn: Rounded


def recommend(
    tested: TestedNetworks,
    paths: Sequence[Path],
    pixel_size_A: float | None,
    report: Callable[[str], object] = lambda line: None,
) -> SpectrumRecommendation:
    """Return the networks of a study, ranked for the microscope of images.

    Args:
        pixel_size_A: The pixel size, if the files do not have one [Å].
        report: Receives a line about how a file was read.

    Raises:
        PassbandError: If the study has no exit waves, or images with pixels of several sizes; if an
            image cannot be compared, see :func:`passband.micrographs.images.fields.fields` and
            :func:`passband.analysis.image_spectra.apart`; or if the images have different pixel
            sizes, differ from each other, or are like no simulated image of the study.
    """
    results = tested.results
    if results.is_published:
        raise PassbandError(f"{results}: is published, without exit waves; give its study")
    if "pixel_size_A" in tested.study.axes.own:
        raise PassbandError(f"{results}: has images of several pixel sizes, of which one is needed")
    ids = [id for rows in tested.of_matrices for id in rows.networks]
    micrographs = [readers.read(path, pixel_size_A) for path in paths]
    for found in micrographs:
        for note in found.notes:
            report(f"{found.path}: {note}")
    powers = _powers_of(micrographs, open_networks(results, ids[0])[0])
    simulated = _simulated(tested)
    for path, own in powers.items():
        if (times := image_spectra.unlikeness(own, simulated.drawn)) > 1:
            raise PassbandError(
                f"{path}: is like no simulated image of the study {tested.study.study.name}, by "
                f"{times:.2g} times the limit: another material, noise, contamination, or a "
                "microscope outside the study"
            )
    first, *others = powers
    for path in others:
        if (times := image_spectra.apart(powers[first], powers[path], simulated.drawn)) > 1:
            raise PassbandError(
                f"{path}: differs from {first} by {times:.2g} times what images of one microscope "
                "may; give images of one specimen with one defocus and dose"
            )
    used = thinned([field for own in powers.values() for field in own], IMAGES)
    spectrum = image_spectra.spectrum(np.stack(used))[None]
    here = image_spectra.profiles(["images"], spectrum)
    ends = np.hstack([model.interval(None, here) for model in _models(tested, simulated)])[..., 0]
    dice = {id: Dice(*map(float, each)) for id, each in zip(ids, ends.T, strict=True)}
    best_first = sorted(dice.items(), key=lambda each: (-each[1].value, str(each[0])))
    return SpectrumRecommendation(
        study=tested.study.study.name,
        specimen=tested.specimen,
        images=f"{number_of(len(used), 'field')} of {listed([path.name for path in powers])}",
        networks=tuple(Ranked(*each) for each in best_first if each[0] not in tested.unlearned),
        nearest=_tests(tested)[((simulated.test - spectrum) ** 2).mean(1).argmin()],
        remark=tested.remark,
    )


def _powers_of(every: Sequence[Micrograph], network: Network) -> dict[Path, np.ndarray]:
    """Return the powers (n, ring) of fields of each file."""
    for found in every:
        if abs(found.pixel_size_A / every[0].pixel_size_A - 1) > TOLERANCE:
            raise PassbandError(
                f"{found.path}: has pixels of {found.pixel_size_A:.4g} Å, and {every[0].path} of "
                f"{every[0].pixel_size_A:.4g} Å; give images of one microscope"
            )
    return {found.path: _powers(fields(found, network, IMAGES)) for found in every}


def _powers(images: np.ndarray) -> np.ndarray:
    """Return the powers (n, ring) of images (n, px, px) in any unit."""
    return image_spectra.powers(normalise(torch.as_tensor(images), "zscore", 1.0).numpy())


def _tests(tested: TestedNetworks) -> list[Condition]:
    return [*tested.tested, *tested.further]


def _simulated(tested: TestedNetworks) -> Simulated:
    """Return the spectra of a study's simulated images, which may be known."""
    study = tested.study
    specimen = tested.specimen
    tests = _tests(tested)
    random = generator(study.study.seed, "microscopes of images")
    drawn = [_between(tests, random, number % 2 > 0) for number in range(_DRAWN)]
    train = {
        f"{rows.matrix.specimen}/{id}": (rows.matrix.specimen, study.axes.parse(id))
        for rows in tested.of_matrices
        for id in rows.train
        if is_condition(id)
    }
    even = study.microscope.replaced("background", Background())  # it is taken off users' images
    acquisition = Acquisition.from_microscope(even, "zscore", _CPU)

    @cache
    def structures(name: str, split: str, waves: str) -> Split:
        """Return structures of a split, or of the test split if that has no such exit waves."""
        if not (study.specimens[name].trained and waves in study.train_waves):
            split = "test"
        return tested.results.structures(name, split, [waves], first=_MOST).load(_CPU).sets[waves]

    def powers(name: str, split: str, condition: Condition, most: int = IMAGES) -> np.ndarray:
        images = structures(name, split, wave_set(condition)).first(most)
        return _powers(np.concatenate([*acquisition.counts(images, condition)]))

    def make() -> dict[str, Any]:
        own = {key: powers(name, "train", each) for key, (name, each) in train.items()}
        every = [powers(specimen, "train", each, _MOST) for each in drawn]
        return Simulated(
            train={key: image_spectra.spectrum(each) for key, each in own.items()},
            test=np.stack([image_spectra.spectrum(powers(specimen, "val", c)) for c in tests]),
            drawn=np.stack([each[: min(map(len, every))] for each in every]),
        ).to_values()

    leaves = {"study": study.digest, "train": [*train], "most": _MOST}
    leaves |= {"test": [c.id for c in tests], "drawn": [c.id for c in drawn]}
    file = tested.results.path_to_write(layout.FITTED, name=f"{specimen}-spectra")
    return kept.kept(file, kept.recipe("spectra", leaves), make=make, parse=Simulated.from_values)


def _between(tests: Sequence[Condition], random: np.random.Generator, more: bool) -> Condition:
    """Return a microscope between test conditions, perhaps with astigmatism and vibration.

    Its exit waves are those of one of the test conditions.
    """
    one = tests[int(random.integers(len(tests)))]
    values = one.values()
    for name, ends in ranges(tests).items():
        if not AXES[name].needs_waves:
            values[name] = between(name, ends, random.random())
    if more:
        values |= {name: random.uniform(0, most) for name, most in _UNKNOWN.items()}
    return one.axes.condition(values)


def _models(tested: TestedNetworks, simulated: Simulated) -> list[GaussianProcess]:
    """Return the model of each matrix, fitted or with known parameters."""
    columns = image_spectra.profiles([c.id for c in _tests(tested)], simulated.test)
    sides = []
    for rows in tested.of_matrices:
        ids = [id for id in dict.fromkeys(rows.train) if is_condition(id)]
        values = np.stack([simulated.train[f"{rows.matrix.specimen}/{id}"] for id in ids])
        train = image_spectra.profiles(ids, values).of(rows.train)
        sides.append((rows.dice, train, spectrum_kernel(values)))

    def fitted(known: Sequence[np.ndarray | None]) -> list[GaussianProcess]:
        return [
            gaussian_process.fit(dice, train, columns, theta=theta, kernel=kernel)
            for (dice, train, kernel), theta in zip(sides, known, strict=True)
        ]

    def parse(content: dict[str, Any]) -> list[np.ndarray]:
        kernels = [kernel for *_, kernel in sides]
        pairs = zip(content["theta"], kernels, strict=True)
        return [gaussian_process.parse_parameters(*each) for each in pairs]

    recipe = kept.recipe(
        "recommend by image",
        {"networks": [list(map(str, rows.networks)) for rows in tested.of_matrices]},
        [*(dice for dice, *_ in sides), simulated.test, *simulated.train.values()],
    )
    name = f"{tested.specimen}-image-dice"
    file = tested.results.path_to_write(layout.FITTED, name=name)

    def make() -> dict[str, Any]:
        return {"theta": [model.theta.tolist() for model in fitted([None] * len(sides))]}

    return fitted(kept.kept(file, recipe, make=make, parse=parse))
