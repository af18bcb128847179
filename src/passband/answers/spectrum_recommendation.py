"""Recommends networks for images of a microscope by their power spectrum: no lens is needed.

The Gaussian process is that of :mod:`passband.answers.tested_networks`, with the distance of
spectra in place of that of profiles. A training condition has the spectrum of training structures
under it, a test condition that of validation structures, and the microscope that of its images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passband.analysis import image_spectra
from passband.analysis.image_spectra import IMAGES
from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES
from passband.config import Microscope
from passband.errors import PassbandError
from passband.grid import Condition, is_condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import normalise
from passband.imaging.structures import Split
from passband.micrographs.images import background, readers
from passband.micrographs.images.fields import fields, thinned
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.network_id import NetworkId
from passband.outcomes import Outcome
from passband.particle_scores import RATINGS
from passband.prediction import gaussian_process
from passband.prediction.covariance import spectrum_kernel
from passband.prediction.gaussian_process import COVERAGE, GaussianProcess
from passband.prediction.json_values import JsonValues, Rounded
from passband.prediction.range_of_use import between, ranges
from passband.prediction.recommend.network_dice import Dice
from passband.prediction.recommend.recommendation_text import TOP, columns
from passband.results import layout
from passband.seeds import generator
from passband.store import kept
from passband.wave_sets import wave_set
from passband.words import listed, number_of

#: Numbers of drawn microscopes and of structures of each, with which a user's images are compared.
_DRAWN, _MOST = 64, 48
#: What every second drawn microscope has too, up to these values.
_UNKNOWN = {"astigmatism_nm": 10.0, "astigmatism_deg": 180.0, "vibration_A": 0.8}


@dataclass(frozen=True)
class SpectrumRecommendation(Outcome):
    """The networks of a study, ranked for images of a microscope.

    Attributes:
        images: What was compared, in words.
        networks: All networks and their expected Dice, the best first.
        nearest: Id of the test condition whose simulated images have the nearest spectrum.
        unlearned, remark, top, by: See
            :class:`passband.prediction.recommend.network_ranking.Recommendation`.
    """

    study: str
    specimen: str
    images: str
    networks: tuple[tuple[NetworkId, Dice], ...]
    nearest: Condition
    unlearned: tuple[NetworkId, ...]
    remark: str = ""
    top: int | None = None
    by: str = "dice"

    def __str__(self) -> str:
        if not self.networks:
            return self.remark
        score, top = RATINGS[self.by], TOP if self.top is None else self.top
        rows = [
            [f"{rank}", dice.words, str(id)]
            for rank, (id, dice) in enumerate(self.networks[:top], 1)
        ]
        notes = [
            f"Ranked by expected {score}, from the power spectrum of the images. In parentheses: "
            f"the interval that contains the measured {score} in {COVERAGE:.0%} of cases."
        ]
        if (more := len(self.networks) - top) > 0:
            notes.append(f"{more} more networks: --top {len(self.networks)} prints all.")
        return "\n\n".join(
            [
                f"{self.specimen} as in {self.images}, with the networks of the study {self.study}",
                columns([["", f"expected {score}", "network"], *rows]),
                "\n".join([*notes, *filter(None, [self.remark])]),
                f"nearest tested condition, by its simulated images: {self.nearest.words}",
            ]
        )

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "networks": [
                {"id": str(id), "dice": vars(dice)} for id, dice in self.networks[: self.top]
            ],
            "ranked_by": f"expected {RATINGS[self.by]}",
            "images": self.images,
            "specimen": self.specimen,
            "nearest_tested": self.nearest.id,
            "unlearned": list(map(str, self.unlearned)),
        }


@dataclass(frozen=True)
class Simulated(JsonValues):
    """Spectra of simulated images, which are kept.

    Attributes:
        train: (condition, ring) of training conditions, by the specimen.
        test: (condition, ring) of test conditions.
        drawn: (microscope, image, ring), powers of microscopes between the test conditions.
    """

    train: dict[str, Rounded]
    test: Rounded
    drawn: Rounded


def recommend(
    tested: TestedNetworks, paths: Sequence[Path], pixel_size_A: float | None
) -> SpectrumRecommendation:
    """Return the networks of a study, ranked for the microscope of images.

    Args:
        pixel_size_A: The pixel size, if the files do not have one [Å].

    Raises:
        PassbandError: If the study has no exit waves, or images with pixels of several sizes; if an
            image cannot be compared, see :func:`passband.micrographs.images.fields.fields`; or if
            the images are like no simulated images of the study, or are not of one microscope.
    """
    train, tests = _conditions(tested)
    powers = _powers_of(paths, pixel_size_A, tested.study.microscope)
    simulated = _simulated(tested, train, tests)
    for path, own in powers.items():
        if (times := image_spectra.unlikeness(own, simulated.drawn)) > 1:
            raise PassbandError(
                f"{path}: is like no simulated image of the study {tested.study.study.name} "
                f"({times:.2g} of what they allow): another material, noise, contamination, or a "
                "microscope outside the study"
            )
    every = np.concatenate([*powers.values()])
    own = image_spectra.spectrum(np.stack(thinned(every, IMAGES)))[None]
    expected = np.hstack(
        [
            np.clip(model.interval(None, image_spectra.profiles(["images"], own)), 0, 1)[..., 0]
            for model in _models(tested, train, tests, simulated)
        ]
    )
    ids = [id for rows in tested.of_matrices for id in rows.networks]
    dice = {id: Dice(*map(float, ends)) for id, ends in zip(ids, expected.T, strict=True)}
    ranked = sorted(dice.items(), key=lambda each: (-each[1].value, str(each[0])))
    return SpectrumRecommendation(
        study=tested.study.study.name,
        specimen=tested.specimen,
        images=f"{number_of(len(every), 'field')} of {listed([path.name for path in powers])}",
        networks=tuple(each for each in ranked if each[0] not in tested.unlearned),
        nearest=tests[((simulated.test - own) ** 2).mean(1).argmin()],
        unlearned=tuple(id for id in ids if id in tested.unlearned),
        remark=tested.remark,
        by=tested.score,
    )


def _conditions(tested: TestedNetworks) -> tuple[dict[str, list[Condition]], list[Condition]]:
    """Return the training conditions by the specimen, and the test conditions."""
    if tested.results.is_published:
        raise PassbandError(f"{tested.results}: is published, without exit waves; give its study")
    train: dict[str, list[Condition]] = {}
    for rows in tested.of_matrices:
        ids = {id for id in rows.train if is_condition(id)}
        known = train.setdefault(rows.matrix.specimen, [])
        known += tested.study.axes.conditions(ids - {condition.id for condition in known})
    tests = [*tested.tested, *tested.further]
    every = [*tests, *chain.from_iterable(train.values())]
    sizes = sorted({tested.study.microscope.under(c).pixel_size_A for c in every})
    if len(sizes) > 1:
        raise PassbandError(
            f"{tested.results}: has images with pixels of {listed([f'{x:g}' for x in sizes])} Å, "
            "whose spectra cannot be compared"
        )
    return train, tests


def _powers_of(
    paths: Sequence[Path], pixel_size_A: float | None, microscope: Microscope
) -> dict[Path, np.ndarray]:
    """Return the powers of fields of each file, (n, ring)."""
    powers: dict[Path, np.ndarray] = {}
    sizes: dict[float, Path] = {}
    for path in paths:
        found = readers.read(path, pixel_size_A)
        size, first = next(iter(sizes.items()), (found.pixel_size_A, path))
        if abs(found.pixel_size_A / size - 1) > TOLERANCE:
            raise PassbandError(
                f"{path}: has pixels of {found.pixel_size_A:.4g} Å, and {first} of {size:.4g} Å; "
                "give images of one microscope"
            )
        sizes.setdefault(found.pixel_size_A, path)
        powers[path] = _powers(fields(found, microscope, IMAGES))
    return powers


def _powers(images: np.ndarray) -> np.ndarray:
    """Return the powers of images or counts (n, px, px)."""
    return image_spectra.powers(
        normalise(torch.as_tensor(images, dtype=torch.float32), "zscore", 1.0).numpy()
    )


def _simulated(
    tested: TestedNetworks, train: Mapping[str, Sequence[Condition]], tests: Sequence[Condition]
) -> Simulated:
    """Return the spectra of a study's simulated images, which may be known."""
    specimen, microscope = tested.specimen, tested.study.microscope
    drawn = _between(tests, tested.study.study.seed)
    cpu = torch.device("cpu")
    acquisition = Acquisition.from_microscope(microscope, "zscore", cpu)

    @cache
    def split(name: str, waves: str, splits: tuple[str, ...]) -> Split:
        """Return structures with some exit waves, of the first split that has them."""
        every = [tested.results.structures(name, each, [waves], first=_MOST) for each in splits]
        present = (each for each in every if all(Path(file).exists() for file in each.files))
        return next(present, every[0]).load(cpu).sets[waves]

    def powers(name: str, condition: Condition, *splits: str, most: int = IMAGES) -> np.ndarray:
        """Return the powers of images of a specimen under a condition."""
        structures = split(name, wave_set(condition), splits).first(most)
        counts = torch.cat(list(acquisition.counts(structures, condition))).numpy()
        under = microscope.under(condition)
        if not under.background.is_even:  # it is taken off, as off a user's images
            pairs = [background.of_microscope(x, under.pixel_size_A, microscope) for x in counts]
            counts = np.stack([image for image, _ in pairs])
        return _powers(counts)

    def spectra(name: str, conditions: Sequence[Condition], *splits: str) -> np.ndarray:
        return np.stack([image_spectra.spectrum(powers(name, c, *splits)) for c in conditions])

    def make() -> dict[str, Any]:
        own = "train" if tested.study.specimens[specimen].trained else "test"
        every = [powers(specimen, each, own, "test", most=_MOST) for each in drawn]
        same = min(map(len, every))
        return Simulated(
            train={name: spectra(name, of, "train") for name, of in train.items()},
            test=spectra(specimen, tests, "val", "test"),
            drawn=np.stack([each[:same] for each in every]),
        ).to_values()

    leaves = {
        "study": tested.study.digest,
        "train": {name: [c.id for c in of] for name, of in train.items()},
        "test": [c.id for c in tests],
        "drawn": [[c.id for c in drawn], _MOST],
    }
    file = tested.results.path_to_write(layout.FITTED, name=f"{specimen}-spectra")
    return kept.kept(file, kept.recipe("spectra", leaves), make=make, parse=Simulated.from_values)


def _between(tests: Sequence[Condition], seed: int) -> list[Condition]:
    """Return microscopes between test conditions, with exit waves of one of these.

    Every second one also has astigmatism and vibration.
    """
    random = generator(seed, "microscopes of images")
    ends = ranges(tests)
    found = []
    for number in range(_DRAWN):
        of = tests[random.integers(len(tests))]
        values = of.values()
        for name in values:
            if not AXES[name].needs_waves:
                values[name] = between(name, ends[name], random.random())
        if number % 2:
            values |= {name: random.uniform(0, most) for name, most in _UNKNOWN.items()}
        found.append(of.axes.condition(values))
    return found


def _models(
    tested: TestedNetworks,
    train: Mapping[str, Sequence[Condition]],
    tests: Sequence[Condition],
    simulated: Simulated,
) -> list[GaussianProcess]:
    """Return the model of each matrix, fitted or with known parameters."""
    columns = image_spectra.profiles([c.id for c in tests], simulated.test)
    kernels = [spectrum_kernel(simulated.train[r.matrix.specimen]) for r in tested.of_matrices]

    def fitted(theta: Sequence[np.ndarray | None]) -> list[GaussianProcess]:
        models = []
        for rows, kernel, known in zip(tested.of_matrices, kernels, theta, strict=True):
            name = rows.matrix.specimen
            each = image_spectra.profiles([c.id for c in train[name]], simulated.train[name])
            each = each.of(rows.train)
            models.append(gaussian_process.fit(rows.dice, each, columns, known, kernel))
        return models

    def parse(content: dict[str, Any]) -> list[np.ndarray]:
        pairs = zip(content["theta"], kernels, strict=True)
        return [gaussian_process.parse_parameters(*each) for each in pairs]

    def make() -> dict[str, Any]:
        return {"theta": [model.theta.tolist() for model in fitted([None] * len(kernels))]}

    arrays = [rows.dice for rows in tested.of_matrices]
    arrays += [simulated.test, *simulated.train.values()]
    leaves = {"rows": [list(map(str, rows.networks)) for rows in tested.of_matrices]}
    file = tested.results.path_to_write(
        layout.FITTED, name=f"{tested.specimen}-images-{tested.score}"
    )
    recipe = kept.recipe("recommend by images", leaves, arrays)
    return fitted(kept.kept(file, recipe, make=make, parse=parse))
