"""A study in Python: its tables, its networks, its images, and what its networks answer.

`passband.open` returns an :class:`Experiment`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from passband.axes import AXES, MAIN_AXES
from passband.config import study_checks
from passband.errors import PassbandError
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import Results, locate, training_jobs
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr
    from torch import nn

    from passband.answers.tested_networks import TestedNetworks
    from passband.imaging.structures import Structures
    from passband.learning.network_files import Network
    from passband.micrographs.images.readers import Micrograph
    from passband.micrographs.images.segmentation import Segmentation
    from passband.prediction.recommend.network_ranking import Recommendation
    from passband.prediction.recommend.recommendation_scores import RecommendationCheck


#: What names a condition: itself, its id, or the values of axes by name.
AnyCondition = Condition | str | Mapping[str, float]


def open(noun: str | Path) -> "Experiment":
    """Open a study, finished or not, a published network, or a network of the package.

    Args:
        noun: A study's name, file, folder, or folder of results; a published folder; a weights
            file; or ``"general"``.

    Raises:
        ConfigError: If the study's file is wrong.
        PassbandError: If there is no such study, folder or network.

    Example:
        >>> demo = passband.open("demo")
        >>> general = passband.open("general")
    """
    noun = locate.path_of(noun)
    path = locate.network_path(noun)
    if path is None:
        return Experiment.find(noun)
    return Experiment(None, path) if path.is_dir() else Experiment.of_weights(path)


class Experiment(Results):
    """A study with its results, its networks and its images.

    :meth:`matrices` returns M(i, j) of each specimen, architecture and test specimen. Stores are
    opened when they are first used: `table` (Dice and counts of every network on every test image),
    `ood`, `information`, `prediction` and `distances` are xarray Datasets, which docs/metrics.md
    describes. `study` is the configuration.

    Example:
        >>> (matrix,) = demo.matrices()
        >>> lost = demo.ood.gap_model.max("test")
        >>> len(demo.study.test_conditions)
        16
    """

    #: The weights file that was opened.
    weights_file: Path | None = None

    @classmethod
    def of_weights(cls, path: Path) -> "Experiment":
        """Return the study of a weights file: its folder of results, if the file is in it."""
        from passband.learning.network_files import open_networks

        (network, *_) = open_networks(path)
        found = cls(network.study, network.results.folder if network.results else path)
        found.weights_file = path
        return found

    @property
    def is_alone(self) -> bool:
        """Whether this is a network without the folder of its study."""
        return self.is_published or self.weights_file == self.folder

    def check_has(self, store: str) -> None:
        """Raise PassbandError if a store does not exist."""
        if self.weights_file == self.folder:
            raise PassbandError(f"{self}: is a network alone, without the results of its study")
        super().check_has(store)

    @cached_property
    def networks(self) -> "Networks":
        """The trained networks, by :class:`NetworkId` or its text."""
        return Networks(self)

    def condition(self, given: AnyCondition) -> Condition:
        """Return a condition of the study's axes, inside or outside its grid.

        Args:
            given: A condition, its id, or values by name: each of `defocus_nm`, `cs_um`,
                `aperture_mrad` and `dose_e_per_A2`, and any further axes. A further axis that is
                missing has the study's own value.

        Raises:
            PassbandError: If a value is missing, or is no value of its axis.

        Example:
            >>> here = demo.condition("df+0012.00_cs+0005.000_ap015.00_ds000400.00")
            >>> here.defocus_nm
            12.0
        """
        if isinstance(given, Mapping):
            _check_names(given)
        axes = self.study.axes
        try:
            if isinstance(given, Condition):
                return axes.condition(given.values())
            if isinstance(given, str):
                return axes.parse(given)
            values = {n: AXES[n].parse(str(x), f"{n} = {x!r}") for n, x in given.items()}
            return axes.condition(values)
        except ValueError as error:
            raise PassbandError(str(error)) from None

    def exit_waves(
        self,
        specimen: str | None = None,
        split: str = "test",
        condition: AnyCondition | None = None,
    ) -> "xr.Dataset":
        """Return the exit waves of a specimen's structures, and their masks.

        Args:
            specimen: By default, the study's first.
            split: ``train``, ``val`` or ``test``.
            condition: Chooses among several sets of exit waves, if the beam energy, the pixels or a
                key of the specimen is an axis.

        Returns:
            `spectrum` (structure, configuration, …), complex64: the Fourier transform of each exit
            wave, cropped; `mask` and `instances`, see docs/specimens.md.

        Raises:
            PassbandError: If there are no such structures, or if their files do not exist.

        Example:
            >>> waves = demo.exit_waves("gold", split="val").spectrum
        """
        under = None if condition is None else self.condition(condition)
        (structures,) = self._structures(specimen, split, under).sets.values()
        return structures.read()

    def images(
        self,
        condition: AnyCondition,
        specimen: str | None = None,
        split: str = "test",
        draw: int = 0,
        replica: int | None = None,
    ) -> "xr.Dataset":
        """Form the images of a specimen's structures under any condition.

        Under a condition of the study, they are the images that its networks were tested on.

        Args:
            condition: See :meth:`condition`.
            specimen: By default, the study's first.
            split: ``train``, ``val`` or ``test``.
            draw, replica: Which draw of the noise, see :func:`passband.imaging.export.images`.

        Returns:
            `counts`, `mask` and `instances` (structure, x, y) and more, see
            :func:`passband.imaging.export.images`.

        Raises:
            PassbandError: As :meth:`condition` and :meth:`exit_waves`.

        Example:
            >>> images = demo.images(demo.study.test_conditions[0])
            >>> image = images.counts[0].where(images["mask"][0]).plot()  # only particles
        """
        from passband.imaging import export
        from passband.imaging.acquisition import Acquisition
        from passband.learning import devices

        under = self.condition(condition)
        structures = self._structures(specimen, split, under)
        microscope, device = self.study.microscope, devices.device()
        camera = Acquisition.from_microscope(microscope, self.study.training.normalisation, device)
        loaded = structures.load(device, instances=True)
        return export.images(camera, loaded.under(under), under, draw, replica)

    def transfer(self, condition: AnyCondition) -> "xr.Dataset":
        """Return what the lens passes under a condition, before noise.

        Returns:
            `transfer` (q), the linear transfer T(q) that docs/transfer.md defines, and `envelope`
            (q), the largest ``|T|`` at any defocus; q is in 1/Å, up to the band limit of the
            images. If the lens is not round, they are those along the first axis of the image.

        Raises:
            PassbandError: As :meth:`condition`.

        Example:
            >>> lines = demo.transfer(demo.study.test_conditions[0]).transfer.plot()
        """
        import numpy as np
        import xarray as xr

        from passband.optics import ctf
        from passband.storage.datasets import described

        microscope = self.study.microscope.under(under := self.condition(condition))
        lens, q = microscope.optics(under), np.linspace(0, microscope.sampling.cutoff, 512)
        values = {"transfer": ctf.transfer(lens, q), "envelope": ctf.envelope(lens, q)}
        passed = {k: described("q", v * microscope.response(q), k) for k, v in values.items()}
        return xr.Dataset(passed, {"q": described("q", q, "spatial frequency", "1/Å")})

    def _structures(
        self, specimen: str | None, split: str, under: Condition | None
    ) -> "Structures":
        """Return the structures of a split, with the exit waves of a condition."""
        specimen = study_checks.check_split(self.study, specimen, split)
        if under is not None:
            try:
                study_checks.check_condition(self.study, under, split)
            except ValueError as error:
                raise PassbandError(str(error)) from None
        structures = self.structures(specimen, split, [wave_set(under) if under else ""])
        for file in structures.files:
            if not Path(file).exists():
                raise PassbandError(f"{self}: there is no {file}; run the study first")
        return structures

    def recommend(
        self,
        condition: Condition | str | Mapping[str, float | str | None],
        specimen: str | None = None,
    ) -> "Recommendation":
        """Return the networks, ranked by the Dice that is expected under the condition.

        Args:
            condition: See :meth:`condition`. A value may also be a range, such as ``"-10:25"``.
            specimen: The test specimen, which is needed if the study has several.

        Returns:
            `networks`, the best first, each with its `id` and the `dice` to expect, and more, see
            :class:`passband.prediction.recommend.network_ranking.Recommendation`.

        Raises:
            PassbandError: If the condition is wrong, or if the study has too few results.

        Example:
            >>> here = {"defocus_nm": "5:15", "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 400}
            >>> for network in demo.recommend(here).networks:
            ...     expected = network.id, network.dice.value
        """
        from passband.answers import recommendation

        if isinstance(condition, str):
            condition = self.condition(condition)
        if isinstance(condition, Condition):
            condition = condition.values()
        _check_names(condition)
        asked = recommendation.asked_of(self.study, condition)
        return recommendation.recommend_from(self.tested(specimen), asked)

    def check_recommendations(self, specimen: str | None = None) -> "RecommendationCheck":
        """Return what recommendations are worth, with each test condition left out in turn.

        Args:
            specimen: The test specimen, which is needed if the study has several.

        Returns:
            `every` and `new`, what recommended networks lose against the best if every network can
            be chosen, and without those trained there; `coverage` of the intervals and more, see
            :class:`passband.prediction.recommend.recommendation_scores.RecommendationCheck`.

        Raises:
            PassbandError: If the study has too few results, or is a published network.

        Example:
            >>> found = demo.check_recommendations()
            >>> lost = found.every.recommended.value, found.every.nearest.value
            >>> true = found.coverage.value
        """
        from passband.answers import recommendation_check

        self.refuse_published()
        return recommendation_check.check(self.tested(specimen))

    def tested(self, specimen: str | None = None) -> "TestedNetworks":
        """Return the networks with the models of their Dice, see :meth:`recommend`.

        They are read once, as the stores are: open the study again after new results.
        """
        from passband.answers.tested_networks import TestedNetworks

        if specimen not in self._tested:
            self._tested[specimen] = TestedNetworks.open(self, specimen)
        return self._tested[specimen]

    @cached_property
    def _tested(self) -> "dict[str | None, TestedNetworks]":
        return {}

    @overload
    def segment(
        self,
        files: str | Path,
        network: NetworkId | str | None = None,
        pixel_size_A: float | None = None,
        likeness: bool | None = None,
        **settings: Any,
    ) -> "Segmentation | dict[Path, list[Segmentation]]": ...

    @overload
    def segment(
        self,
        files: Sequence[str | Path],
        network: NetworkId | str | None = None,
        pixel_size_A: float | None = None,
        likeness: bool | None = None,
        **settings: Any,
    ) -> "dict[Path, list[Segmentation]]": ...

    def segment(
        self,
        files: str | Path | Sequence[str | Path],
        network: NetworkId | str | None = None,
        pixel_size_A: float | None = None,
        likeness: bool | None = None,
        **settings: Any,
    ) -> "Segmentation | dict[Path, list[Segmentation]]":
        """Find the particles in images of a microscope.

        Args:
            files: Image files, or folders with image files; docs/predict.md lists the formats.
                ``"sample"`` is the simulated image of the package.
            network: Its id; all replicas are used together if the id has none. A published folder
                and a weights file with one training condition need no id.
            pixel_size_A: For files that do not have it [Å].
            likeness: Whether images are compared with the training images, for `expected_dice` and
                `flags`. By default, only if the network has a file of measurements, as those of the
                package and published ones have; with True, others are measured, which takes
                minutes.
            settings: See :class:`passband.micrographs.images.segmentation.Settings`.

        Returns:
            For one file with one image, its segmentation with `mask`, `probability`, `labels`,
            `particles`, `expected_dice`, `flags` and more, see
            :class:`passband.micrographs.images.segmentation.Segmentation`. For several files, a
            folder or a stack, a list of those of its frames for each file.

        Raises:
            PassbandError: If there is no such network or file, if an image does not fit, or if a
                setting is wrong.

        Example:
            >>> first, *others = demo.networks
            >>> found = demo.segment("image.tif", network=first.cell, smallest_nm=1)
            >>> verdict = found.expected_dice, found.flags
        """
        from passband.micrographs.images import readers

        is_one = isinstance(files, str | Path)
        paths = readers.find([files] if is_one else files)
        micrographs = (readers.read(path, pixel_size_A) for path in paths)
        found = self._segmented(micrographs, network, settings, likeness)
        is_folder = is_one and Path(files).is_dir() and paths != [Path(files)]
        if is_one and not is_folder and len(found[paths[0]]) == 1:
            return found[paths[0]][0]
        return found

    def _segmented(
        self,
        micrographs: "Iterable[Micrograph]",
        network: NetworkId | str | None,
        settings: Mapping[str, object],
        likeness: bool | None,
    ) -> "dict[Path, list[Segmentation]]":
        from passband.answers.assessors import Assessors
        from passband.micrographs.images.segmentation import Settings
        from passband.micrographs.predictions import UNASSESSED, segment_frames

        chosen, opened = Settings.of(settings), self._open(network)
        assessor = UNASSESSED
        if likeness is not False:
            assessor = Assessors(chosen, measure=bool(likeness)).of(opened)
        return {
            of.path: segment_frames(
                of.path, list(of.images), of.pixel_size_A, opened, chosen, assessor=assessor
            )
            for of in micrographs
        }

    def _open(self, network: NetworkId | str | None) -> "list[Network]":
        from passband.learning.network_files import open_networks

        alone = self.weights_file if network is None or self.is_alone else None
        wanted = NetworkId.parse(network) if isinstance(network, str) else network
        return open_networks(alone or self, wanted)


def _check_names(given: Mapping[str, object]) -> None:
    """Raise PassbandError if a value of a condition is missing, or if a name is no axis."""
    if missing := [name for name in MAIN_AXES if name not in given]:
        raise PassbandError(f"{missing[0]} is missing: give {', '.join(MAIN_AXES)}")
    if unknown := [name for name in given if name not in AXES]:
        raise PassbandError(f"{unknown[0]!r}: is no axis; axes are {', '.join(AXES)}")


class Networks(Mapping[NetworkId, "TrainedNetwork"]):
    """The trained networks of a study, by their ids; those whose weights are there.

    A network is also found by the text of its id.

    Example:
        >>> best = max(demo.networks.values(), key=lambda network: float(network.dice.mean()))
        >>> best == demo.networks[str(best.id)]
        True
    """

    def __init__(self, experiment: Experiment):
        self._experiment = experiment

    @cached_property
    def _ids(self) -> dict[NetworkId, None]:
        experiment = self._experiment
        if experiment.is_alone:
            return {network.id: None for network in experiment._open(None)}
        return {
            replace(cell.id, replica=replica): None
            for job in training_jobs.jobs_of(experiment.study)
            if experiment.weights(job).exists()
            for cell in job.cells
            for replica in job.replicas
        }

    def __getitem__(self, id: NetworkId | str) -> "TrainedNetwork":
        wanted = NetworkId.parse(id) if isinstance(id, str) else id
        if wanted not in self._ids:
            raise KeyError(str(id))
        return TrainedNetwork(self._experiment, wanted)

    def __iter__(self) -> Iterator[NetworkId]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network of a study.

    Example:
        >>> network = next(iter(demo.networks.values()))
        >>> own = network.dice.sel(test=network.condition.id)
        >>> weights = sum(each.numel() for each in network.load().parameters())
    """

    experiment: Experiment
    id: NetworkId

    @property
    def condition(self) -> Condition | Mixture:
        """The training condition, or the mixture of training conditions."""
        return self.experiment.study.trained_under(self.id.condition)

    @property
    def dice(self) -> "xr.DataArray":
        """Mean Dice over the test images, by `test_specimen` and `test` condition."""
        of = self.id
        chosen = {"specimen": of.specimen, "architecture": of.architecture}
        dice = self.experiment.table.dice.sel(train=of.condition, replica=of.replica, **chosen)
        return dice.compute()

    def load(self) -> "nn.Module":
        """Return the network on the CPU: (N, 1, H, W) normalised images to logits."""
        (network,) = self.experiment._open(self.id)
        return network.module

    def segment(
        self,
        image: "npt.ArrayLike",
        pixel_size_A: float,
        likeness: bool | None = None,
        **settings: Any,
    ) -> "Segmentation":
        """Find the particles in an image, see :meth:`Experiment.segment`.

        Args:
            image: (height, width), grey values or counts.
            likeness: See :meth:`Experiment.segment`.

        Raises:
            PassbandError: If the image is no such array, if it does not fit the network, or if a
                setting is wrong.
        """
        from passband.micrographs.images import readers

        micrograph = readers.of_array(image, pixel_size_A)
        found = self.experiment._segmented([micrograph], self.id, settings, likeness)
        ((result,),) = found.values()
        return result
