"""A study's exit waves and images."""

from pathlib import Path
from typing import TYPE_CHECKING

from passband.config import given_conditions, study_checks
from passband.door.opened import AnyCondition, Conditions, makes, shows
from passband.door.running import Running
from passband.errors import PassbandError
from passband.grid import Condition
from passband.outcomes import Progress
from passband.results import layout
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import xarray as xr

    from passband.imaging.structures import Structures
    from passband.runs.ended import Made


class Imaging(Running):
    """The verbs that form images of a study's structures."""

    @shows
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

    @shows
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
        microscope = self.study.microscope
        device = devices.device()
        camera = Acquisition.from_microscope(microscope, self.study.training.normalisation, device)
        loaded = structures.load(device, instances=True)
        return export.images(camera, loaded.under(under), under, draw=draw, replica=replica)

    @makes
    def write_images(
        self,
        conditions: Conditions,
        specimen: str | None = None,
        split: str = "test",
        *,
        cores: int | str | None = None,
        profile: str | None = None,
        progress: Progress | None = None,
    ) -> "Made":
        """Write the images of a specimen's structures under conditions of the study's grids.

        They are stores in the folder of results, made with Snakemake, with masks.

        Args:
            conditions: One or several, see :meth:`condition`; or a CSV file, see docs/metrics.md.
            specimen: By default, the study's first.
            split: ``train``, ``val`` or ``test``.
            cores, profile, progress: See :meth:`run`.

        Returns:
            `files`, the stores.

        Raises:
            PassbandError: If a condition is in neither grid, as :meth:`run`, or if the study's file
                asks for other exit waves or images than those of its results.

        Example:
            >>> demo.write_images(demo.study.test_conditions[0])  # doctest: +SKIP
        """
        from passband.store import made

        specimen = study_checks.check_split(self.study, specimen, split)
        self.refuse_mixed(made.WAVES, made.IMAGES)
        given = self.given_conditions(conditions)
        found = given_conditions.conditions(self.study, given, split)
        given_conditions.check_in_grids(self.study, found, given)
        files = [
            layout.IMAGES.format(specimen=specimen, split=split, condition=c.id, whose="")
            for c in dict.fromkeys(found)
        ]
        return self.make(files, cores, profile=profile, progress=progress)

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

        under = self.condition(condition)
        microscope = self.study.microscope.under(under)
        lens = microscope.optics(under)
        q = np.linspace(0, microscope.sampling.cutoff, 512)
        values = {"transfer": ctf.transfer(lens, q), "envelope": ctf.envelope(lens, q)}
        passed = {k: described("q", v * microscope.response(q), k) for k, v in values.items()}
        return xr.Dataset(passed, {"q": described("q", q, "spatial frequency", "1/Å")})

    def _structures(
        self, specimen: str | None, split: str, under: Condition | None
    ) -> "Structures":
        """Return the structures of a split, with the exit waves of a condition."""
        from passband.store import made
        from passband.store.recipe import Recipes

        specimen = study_checks.check_split(self.study, specimen, split)
        if under is not None:
            try:
                study_checks.check_condition(self.study, under, split)
            except ValueError as error:
                raise PassbandError(str(error)) from None
        waves = wave_set(under) if under else ""
        structures = self.structures(specimen, split, [waves])
        recipe = Recipes(self.study).waves(specimen, split, waves)
        for file in map(Path, structures.files):
            if not file.exists():
                raise PassbandError(f"{self}: there is no {file}; run the study first")
            made.check_waves(self, file, recipe)
        return structures
