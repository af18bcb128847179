"""A study in Python: its tables, its networks, its images, and what its networks answer.

`passband.open` returns an :class:`Experiment`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from passband import PassbandError
from passband.axes import AXES, MAIN_AXES
from passband.config import study_checks
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import Results, training_jobs
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from torch import nn

    from passband.learning.network_files import Network
    from passband.micrographs.images.segmentation import Segmentation
    from passband.prediction.recommend.network_ranking import Recommendation


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
    """
    from passband.learning.network_files import shipped
    from passband.results import locate

    named = str(noun) in (known := shipped()) and str(noun) not in locate.study_names()
    path = known[str(noun)] if named else Path(noun)
    return Experiment.of_weights(path) if path.suffix == ".safetensors" else Experiment.find(noun)


class Experiment(Results):
    """A study with its results, its networks and its images.

    Stores are opened when they are first used: `table` (Dice and counts of every network on every
    test image), `ood`, `information`, `prediction` and `distances` are xarray Datasets, which
    docs/metrics.md describes. `study` is the configuration.
    """

    #: The weights file, if this is a network without the folder of its study.
    weights_file: Path | None = None

    @classmethod
    def of_weights(cls, path: Path) -> "Experiment":
        """Return the study of a weights file: its folder of results, if the file is in it."""
        from passband.learning.network_files import open_networks

        (network, *_) = open_networks(path)
        if (results := network.results) is not None:
            return cls(results.study, results.folder)
        found = cls(network.study, path)
        found.weights_file = path
        return found

    def check_has(self, store: str) -> None:
        """Raise PassbandError if a store does not exist."""
        if self.weights_file is not None:
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
        """
        if isinstance(given, Mapping):
            if missing := [name for name in MAIN_AXES if name not in given]:
                raise PassbandError(f"{missing[0]} is missing: give {', '.join(MAIN_AXES)}")
            if unknown := [name for name in given if name not in AXES]:
                raise PassbandError(f"{unknown[0]!r}: is no axis; axes are {', '.join(AXES)}")
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
        """
        from passband.imaging.wave_files import expected_attributes
        from passband.storage import datasets

        names, under, files = self._waves(specimen, split, condition)
        microscope = self.study.microscope.under(under) if under else self.study.microscope
        expected = expected_attributes(names, microscope)
        return datasets.read_many(files, datasets.WAVES, "structure", expected)

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
        """
        from passband.imaging import export
        from passband.imaging.acquisition import Acquisition
        from passband.imaging.splits import Split
        from passband.learning import devices

        names, under, files = self._waves(specimen, split, condition)
        microscope, device = self.study.microscope, devices.device()
        camera = Acquisition.from_microscope(microscope, self.study.training.normalisation, device)
        split_ = Split.load(files, names, microscope.under(under), device, instances=True)
        return export.images(camera, split_, under, draw, replica)

    def _waves(self, specimen, split, condition) -> tuple:
        """Return the names of a split, its condition, and the files of its exit waves."""
        study = self.study
        specimen = specimen or next(iter(study.specimens))
        if specimen not in study.specimens:
            known = ", ".join(study.specimens)
            raise PassbandError(f"specimen = {specimen!r}: must be one of {known}")
        if split not in (splits := study.specimens[specimen].splits):
            raise PassbandError(f"split = {split!r}: must be one of {', '.join(splits)}")
        under = None if condition is None else self.condition(condition)
        id = ""
        if under is not None:
            try:
                study_checks.check_has_waves(study, under, split)
                study_checks.check_aperture(study, under)
            except ValueError as error:
                raise PassbandError(str(error)) from None
            id = wave_set(under)
        files = self.waves(specimen, split, [id])
        for file in files:
            if not Path(file).exists():
                raise PassbandError(f"{self}: there is no {file}; run the study first")
        return (study.study.seed, specimen, split), under, files

    def recommend(
        self,
        condition: Condition | str | Mapping[str, float | str],
        specimen: str | None = None,
    ) -> "Recommendation":
        """Return the networks, ranked by the Dice that they are expected to have.

        Args:
            condition: See :meth:`condition`. A value may also be a range, such as ``"-10:25"``.
            specimen: The test specimen, which is needed if the study has several.

        Raises:
            PassbandError: If the condition is wrong, or if the study has too few results.
        """
        from passband.answers import recommendation
        from passband.answers.tested_networks import TestedNetworks

        if isinstance(condition, str):
            condition = self.condition(condition)
        if isinstance(condition, Condition):
            condition = condition.values()
        asked = recommendation.asked_of(self.study, condition)
        return recommendation.recommend_from(TestedNetworks.open(self, specimen), asked)

    def segment(
        self,
        files: str | Path | Sequence[str | Path],
        network: "NetworkId | str | None" = None,
        pixel_size_A: float | None = None,
        **settings,
    ) -> "dict[Path, list[Segmentation]]":
        """Find the particles in images of a microscope.

        Args:
            files: Image files, or folders with image files; docs/predict.md lists the formats.
            network: Its id; all replicas are used together if the id has none. A published folder
                and a weights file with one training condition need no id.
            pixel_size_A: For files that do not have it [Å].
            settings: See :class:`passband.micrographs.images.segmentation.Settings`.

        Returns:
            The segmentation of each frame of each file.

        Raises:
            PassbandError: If there is no such network or file, or if an image does not fit.
        """
        from passband.micrographs.images import readers
        from passband.micrographs.images.segmentation import Settings
        from passband.micrographs.images.segmentation import segment as segmented

        opened, found = self._open(network), {}
        for path in readers.find([files] if isinstance(files, str | Path) else files):
            read = readers.read(path, pixel_size_A)
            found[path] = [
                segmented(image, read.pixel_size_A, opened, Settings(**settings))
                for image in read.images
            ]
        return found

    def _open(self, network: "NetworkId | str | None") -> "list[Network]":
        from passband.learning.network_files import open_networks

        id = None if network is None else str(network)
        return open_networks(self.folder if self.is_alone else self, id)

    @property
    def is_alone(self) -> bool:
        """Whether this is a network without the folder of its study."""
        return self.is_published or self.weights_file is not None


class Networks(Mapping[NetworkId, "TrainedNetwork"]):
    """The trained networks of a study, by their ids; those whose weights are there.

    A network is also found by the text of its id.
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
    """A trained network of a study."""

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

    def segment(self, image: "np.ndarray", pixel_size_A: float, **settings) -> "Segmentation":
        """Find the particles in an image, see :meth:`Experiment.segment`.

        Args:
            image: (height, width), grey values or counts.

        Raises:
            PassbandError: If the image is no such array, or does not fit the network.
        """
        import numpy as np

        from passband.micrographs.images.segmentation import Settings
        from passband.micrographs.images.segmentation import segment as segmented

        image = np.asarray(image, np.float32)
        if image.ndim != 2 or not np.isfinite(image).all():
            raise PassbandError("image: must be (height, width) finite numbers")
        networks = self.experiment._open(self.id)
        return segmented(image, pixel_size_A, networks, Settings(**settings))
