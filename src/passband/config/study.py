"""The study: all blocks of the configuration, and checks that involve several blocks."""

from itertools import product
from math import ceil, prod
from typing import Any, Self

from pydantic import PrivateAttr, model_validator

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.config import architectures, points
from passband.config.analysis import (
    FEWEST_PREDICTED,
    FIGURES,
    FIGURES_OF_PREDICTION,
    Distances,
    Evaluation,
    Figures,
    Information,
)
from passband.config.base import Block, Name, key
from passband.config.conditions import Grid, TestGrid
from passband.config.materials import MATERIALS
from passband.config.microscope import Microscope
from passband.config.specimen import Specimen
from passband.config.study_conditions import ConditionsOfStudy
from passband.config.study_waves import WavesOfStudy
from passband.config.training import Training
from passband.grid import Condition
from passband.optics import ctf
from passband.seeds import digest
from passband.wave_sets import WAVE_AXES

#: The largest number of training conditions, and the largest number of test conditions.
MOST_CONDITIONS = 200_000
#: The largest number of jobs of a study. Snakemake needs about 20 GB for a graph of so many jobs.
MOST_JOBS = 1_000_000


class Structures(Block):
    """Number of random structures of each specimen in each split. No structure is in two splits."""

    train: int = key(96, "Number of structures for training.", ge=2, le=1_000_000)
    val: int = key(
        24,
        "Number of structures for validation, which chooses the best epoch.",
        ge=1,
        le=1_000_000,
    )
    test: int = key(24, "Number of structures for tests of networks.", ge=1, le=1_000_000)


class StudyBlock(Block):
    """The study as a whole."""

    name: Name = key("demo", "Name of the study. Results are in `results/<name>`.")
    seed: int = key(
        2512, "Seed from which all random numbers of the study follow.", ge=0, le=2**63 - 1
    )
    structures: Structures = key(Structures, "Number of structures of each specimen in each split.")
    structures_per_shard: int = key(
        64,
        "Number of structures in a shard: a `simulate` job makes one shard, which is one file.",
        ge=1,
        le=100_000,
    )
    replicas: int = key(
        1,
        "Number of networks for each specimen, architecture and training condition. Each network "
        "has its own initial weights, and its own noise, order and augmentation of training "
        "images. All networks have the same validation images and test images.",
        ge=1,
        le=999,
    )
    replicas_per_job: int = key(
        1,
        "Number of replicas in a `train` job and in an `evaluate` job. If you change this number, "
        "new jobs take the networks and their results from the files of earlier jobs.",
        ge=1,
        le=999,
    )
    conditions_per_job: int = key(
        1,
        "Number of training conditions in a `train` job and in an `evaluate` job. Each of these "
        "jobs has `replicas_per_job` networks for each of its conditions, and writes one file of "
        "networks and one file of results. With several conditions, a study of small networks "
        "needs less time to start its jobs, and has fewer files. If you change this number, new "
        "jobs take the networks and their results from the files of earlier jobs.",
        since="0.1.0",
        ge=1,
        le=10_000,
    )
    allow_incomplete: bool = key(
        False,
        "true: the table of results is made from the records that exist, with NaN for missing "
        "networks. false: all networks are trained and tested before the table is made.",
    )


class Study(ConditionsOfStudy, WavesOfStudy, Block):
    """The whole configuration of a study."""

    study: StudyBlock = key(StudyBlock, "The study as a whole.")
    microscope: Microscope = key(
        Microscope, "Parameters of the microscope that are the same under all conditions."
    )
    specimens: dict[Name, Specimen] = key(
        lambda: {"gold": Specimen()},
        "Distributions of atomic structures by name.",
        min_length=1,
        max_length=1000,
    )
    grid: points.TrainBlocks = key(Grid, "The training conditions.")
    test_grid: points.TestBlocks = key(TestGrid, "The test conditions.")
    training: Training = key(Training, "How networks are trained.")
    evaluation: Evaluation = key(Evaluation, "How networks are tested.")
    information: Information = key(Information, "How transfer functions are compared.")
    distances: Distances = key(
        Distances, "How distances between training images and test images are measured."
    )
    figures: Figures = key(Figures, "How figures look.")

    _objections: list[str] = PrivateAttr(default_factory=list)

    @property
    def needs_trial_particles(self) -> bool:
        """Whether any specimen needs trial particles."""
        return any(specimen.needs_trial_particles for specimen in self.specimens.values())

    @property
    def predictable(self) -> bool:
        """Whether there are enough conditions to predict the matrix of scores.

        So many conditions are also enough to evaluate the predictions.
        """
        trained = self.train_number - self.mixture_number
        return min(trained, self.test_number) >= FEWEST_PREDICTED

    @property
    def drawn(self) -> list[str]:
        """The names of figures that every run draws. Other figures are drawn on request."""
        return [*FIGURES, *(FIGURES_OF_PREDICTION if self.predictable else ())]

    @property
    def spacings(self) -> dict[str, list[float]]:
        """The widest lattice spacings [Å] of each trained specimen with a known material.

        Specimens of the same material are together, under the names of all of them.
        """
        names: dict[str, list[str]] = {}
        for name, specimen in self.trained_specimens.items():
            if specimen.material in MATERIALS:
                names.setdefault(specimen.material, []).append(name)
        return {
            ", ".join(named): list(MATERIALS[material].spacings_A)
            for material, named in names.items()
        }

    @property
    def compared(self) -> dict[str, list[str]]:
        """The ids of the test conditions in each job that measures distances, by the job's name."""
        ids, size = [c.id for c in self.test_conditions], self.distances.conditions_per_job
        return {f"{k // size:05d}": ids[k : k + size] for k in range(0, len(ids), size)}

    @property
    def trained_specimens(self) -> dict[str, Specimen]:
        """The specimens that networks are trained on."""
        return {name: specimen for name, specimen in self.specimens.items() if specimen.trained}

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the study's configuration and crystal files."""
        files = {name: s.content for name, s in self.specimens.items() if s.structure == "file"}
        return digest(self.identity(mode="json"), *([files] if files else []))

    def written(self) -> dict[str, Any]:
        """Return the values of all keys, as JSON has them, so that they make this study again.

        The key of a further axis that leaves out the study's own value is left out, unless the
        configuration has it, since :meth:`check_own_values` refuses it.
        """
        content = self.model_dump(mode="json")
        for name, axis in FURTHER_AXES.items():
            values = self.given_values(name)
            if not values or self.written_values[name] in values:
                continue
            block, _, path = axis.key.partition(".")
            if block == "microscope" and not self.microscope.is_written(path):
                _remove(content[block], path)
            for specimen in content[block] if block == "specimens" else ():
                if not self.specimens[specimen].is_written(path):
                    _remove(content[block][specimen], path)
        return content

    @property
    def objections(self) -> list[str]:
        """What a new study must not have, one line each, see
        :meth:`passband.results.Results.check_new`."""
        return [*self._objections, *self.objections_to_conditions()]

    @property
    def remarks(self) -> list[str]:
        """Warnings about the configuration, one line each."""
        return [
            f"specimens.{name}.material = {specimen.material!r}: found in the working directory; "
            "write the path relative to the study's folder, so that it is found from any folder"
            for name, specimen in self.specimens.items()
            if specimen.is_elsewhere
        ]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.trained_specimens:
            name = next(iter(self.specimens))
            raise ValueError(
                f"specimens.{name}.trained = False: must be true for one specimen or more"
            )
        self._check_specimens()
        self.check_mixtures()
        self.make_designs()
        self.check_own_values()
        self.check_effects()
        self._check_numbers("grid", self.train_products)
        self._check_numbers("test_grid", self.test_products)
        self._check_jobs()
        self.check_waves()
        self._check_architectures()
        products = self.blocks
        given = points.named("grid", self.grid) | points.named("test_grid", self.test_grid)
        for name, block in given.items():
            if points.given_products(block) != [{}]:
                self._check_block(name, block, products[name])
        self._check_microscopes()
        for name, block in points.mixture_blocks("grid", self.grid).items():
            for place, axes in block.extremes().items():
                self._check_optics(f"{name}.{place}.", axes)
        return self

    def _check_microscopes(self) -> None:
        number, axes = self.evaluation.microscopes, self.test_axes
        if number and not any(len(axes[name]) > 1 for name in MAIN_AXES):
            raise ValueError(
                f"evaluation.microscopes = {number}: must be 0, since all test conditions have the "
                f"same {', '.join(MAIN_AXES)}; microscopes are drawn within their ranges"
            )
        # A set of exit waves with an id has another value of an axis than the study's own.
        if number and "" not in self.tested_waves:
            own = (f"{name} = {self.own_values[name]:g}" for name in WAVE_AXES if name in axes)
            raise ValueError(
                f"evaluation.microscopes = {number}: must be 0, since no test condition has the "
                f"study's own {', '.join(own)}; the microscopes have these values"
            )

    def _check_specimens(self) -> None:
        """Refuse names of specimens that differ only in case, and the name of a weight."""
        if "flat" in self.specimens:
            raise ValueError(
                "specimens.flat = {...}: the flat weight of information metrics has this "
                "name; choose another"
            )
        alike: dict[str, str] = {}
        for name in self.specimens:
            other = alike.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(
                    f"specimens.{name} = {{...}}: differs from specimens.{other} only in case, and "
                    "some file systems do not distinguish case; choose another name"
                )

    def _check_numbers(self, block: str, products: points.Products) -> None:
        number = sum(prod(map(len, axes.values())) for axes in products)
        if number > MOST_CONDITIONS:
            lengths = " × ".join(f"{len(axis):,}" for axis in products[0].values())
            what = f"{lengths} values" if len(products) == 1 else f"{len(products):,} products"
            raise ValueError(
                f"{block} = {what}: {number:,} conditions; must not exceed {MOST_CONDITIONS:,}"
            )

    def _check_block(self, name: str, block: Block, products: points.Products) -> None:
        """Check that images can be formed under all conditions of a block."""
        if not isinstance(block, points.Points):
            for axes in products:
                self._check_optics(f"{name}.", axes)
            return
        self._check_points(name, block, products, range(len(products)))

    def _check_points(
        self, name: str, block: points.Points, products: points.Products, numbers: range
    ) -> None:
        """Check the points with the given numbers, and name the first that is not allowed.

        The combination of all points' ranges is checked before single points, which are many.
        """
        try:
            self._check_optics("", points.joined_axes(products[numbers.start : numbers.stop]))
        except ValueError as error:
            if len(numbers) == 1:
                # The message begins with an axis, or another key, such as that of a focal series.
                axis = str(error).partition(" ")[0]
                place = f"{name}.{block.where(numbers[0], axis)}" if axis in AXES else ""
                raise ValueError(f"{place}{error}") from None
            half = len(numbers) // 2
            self._check_points(name, block, products, numbers[:half])
            self._check_points(name, block, products, numbers[half:])

    def _check_jobs(self) -> None:
        block = self.study
        if block.replicas_per_job > block.replicas:
            raise ValueError(
                f"study.replicas_per_job = {block.replicas_per_job}: must not exceed "
                f"study.replicas = {block.replicas}"
            )
        simulate = self.number_of_shards()
        groups = len(self.trained_specimens) * len(self.training.architectures)
        groups *= self.group_number
        others = 2 * groups * ceil(block.replicas / block.replicas_per_job)
        if simulate + others > MOST_JOBS:
            key, value = (
                ("structures_per_shard", block.structures_per_shard)
                if simulate > others
                else ("replicas_per_job", block.replicas_per_job)
            )
            raise ValueError(
                f"study.{key} = {value}: makes {simulate:,} jobs to simulate and {others:,} to "
                f"train and evaluate; must not exceed {MOST_JOBS:,} together"
            )

    def _check_architectures(self) -> None:
        for i, name in enumerate(self.training.architectures):
            architecture = architectures.parse(name)
            px, least = self.microscope.field_px, architecture.smallest_px
            crop = self.training.crop_px
            if crop and (crop % architecture.divisor or not least <= crop <= px):
                raise ValueError(
                    f"training.crop_px = {crop}: must be 0, or a multiple of "
                    f"{architecture.divisor} between {least} and microscope.field_px = {px}"
                )
            if px % architecture.divisor or px < least:
                raise ValueError(
                    f"microscope.field_px = {px}: must be a multiple of {architecture.divisor}, "
                    f"{least} or more, for training.architectures[{i}] = {name!r}"
                )

    def check_condition(self, condition: Condition, split: str = "test") -> None:
        """Check that images of a split can be formed under a condition that is not in the grid.

        Raises:
            ValueError: If the pixels, the field of view or the focal series are not sufficient, or
                if the study does not have the exit waves. The message of one line begins with the
                name of an axis.
        """
        values = condition.values(self.own_values)
        self.check_has_waves(condition, split)
        self._check_optics("", {name: [value] for name, value in values.items()})

    def check_aperture(self, condition: Condition) -> None:
        """Raise ValueError, as :meth:`check_condition`, if the pixels cannot show the aperture."""
        microscope = self.microscope.under(condition)
        _check_aperture("", condition.aperture_mrad, microscope)

    def _check_optics(self, block: str, axes: dict[str, list[float]]) -> None:
        # The limits are monotonic functions of every axis except azimuths.
        ends = [
            (name, axes[name] if axis.unit == "°" else (axes[name][0], axes[name][-1]))
            for name, axis in FURTHER_AXES.items()
            if name in axes and not axis.key.startswith("specimens.")
        ]
        for values in product(*(values for _, values in ends)):
            further = dict(zip((name for name, _ in ends), values, strict=True))
            words = "".join(f" with {name} = {value:g}" for name, value in further.items())
            own = Condition(0, 0, 1, 1, further)
            self._check_microscope(block, axes, self.microscope.under(own), words)

    def _check_microscope(
        self, block: str, axes: dict[str, list[float]], microscope: Microscope, words: str
    ) -> None:
        sampling = microscope.wave_sampling
        widest = axes["aperture_mrad"][-1]
        _check_aperture(block, widest, microscope, words)
        if microscope.coherence == "focal-series":
            optics = microscope.optics(Condition(0, 0, widest, 1))
            needed = ctf.members_needed(optics, sampling.cutoff)
            if needed > microscope.focal_members:
                raise ValueError(
                    f"microscope.focal_members = {microscope.focal_members}: must be at least "
                    f"{needed} to represent a focal spread of {microscope.focal_spread_nm:g} nm "
                    f"up to {widest:g} mrad{words}"
                )
        # The displacement of image detail is a convex function of defocus and of Cs. So it is
        # largest at one of the extreme combinations of defocus and Cs.
        corners = product(*((axes[name][0], axes[name][-1]) for name in ("defocus_nm", "cs_um")))
        jitter = microscope.jitter
        for defocus, cs in corners:
            optics = microscope.optics(Condition(defocus, cs, widest, 1))
            signs = (-1, 1) if jitter.lens_varies else (1,)
            displaced = max(ctf.displacement(jitter.extreme(optics, sign)) for sign in signs)
            if displaced > sampling.field_A / 2:
                raise ValueError(
                    f"{block}cs_um = {cs:g} with defocus_nm = {defocus:g} and aperture_mrad = "
                    f"{widest:g}{words}: displaces image detail by up to {displaced:.0f} Å, which "
                    f"must not exceed half the field of view, {sampling.field_A / 2:.0f} Å; take "
                    f"more pixels{'' if optics.round else ', smaller microscope.aberrations'}"
                    f"{', a smaller microscope.spread' if jitter.lens_varies else ''} or a "
                    "smaller aperture"
                )


def _check_aperture(block: str, widest: float, microscope: Microscope, words: str = "") -> None:
    """Raise ValueError if an aperture [mrad] is beyond the band limit of the pixels."""
    sampling = microscope.wave_sampling
    cutoff = sampling.cutoff * ctf.wavelength(microscope.energy_eV) * 1e3
    limit = cutoff - microscope.aperture_edge_mrad / 2
    if widest > limit:
        raise ValueError(
            f"{block}aperture_mrad = {widest:g}{words}: must not exceed {limit:.2f} mrad, the "
            f"band limit of pixels of {sampling.pixel_A:g} Å at {microscope.energy_kev:g} "
            "keV; take smaller pixels or a smaller aperture"
        )


def _remove(content: dict[str, Any], path: str) -> None:
    """Remove a key of a block or of a block inside it, such as ``detector.gain``."""
    *blocks, last = path.split(".")
    for name in blocks:
        content = content[name]
    del content[last]
