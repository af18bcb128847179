"""A network that looks at images: :func:`passband.open` returns it for a published folder."""

import html
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from passband import extras
from passband.console import escaped
from passband.door.known_condition import KnownCondition, expected_under, given_values
from passband.errors import PassbandError
from passband.grid import Condition, is_condition
from passband.micrographs.models import network
from passband.micrographs.models.published_network import PublishedNetwork
from passband.network_id import NetworkId
from passband.outcomes import Progress
from passband.results import published

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from passband.door.experiment import Experiment
    from passband.micrographs.images.segmentation import Segmentation
    from passband.micrographs.segmented_files import SegmentedFiles
    from passband.micrographs.trust.trust import Trust


class Network:
    """A network in a published folder, and how it finds particles in images.

    Its ONNX file is computed by onnxruntime. No code of the folder runs.

    Args:
        folder: What ``passband publish`` has written. It has the file ``network.json``.

    Raises:
        PassbandError: If a file is missing, damaged, changed, or of a newer Passband.

    Example:
        >>> general = passband.open("general")
        >>> found = general.segment("image.tif")
        >>> general.pixel_size_A
        0.5
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._file = PublishedNetwork.open(self.folder)

    def __repr__(self) -> str:
        return f"Network({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        said = "\n".join([self.limits or f"network {self.folder}", str(self.id)])
        return f"<pre>{html.escape(escaped(said))}</pre>"

    @property
    def id(self) -> NetworkId:
        """Its id in its study."""
        return self._file.id

    @property
    def condition(self) -> Condition | str:
        """The training condition, or the id of the mixture of training conditions."""
        text = self.id.condition
        return Condition.parse(text) if is_condition(text) else text

    @property
    def pixel_size_A(self) -> float:
        """The side of a pixel of the training images [Å]; other images are resampled."""
        return self._file.pixel_size_A

    @property
    def limits(self) -> str:
        """Where a network of the package holds, in one line; empty for others."""
        return self._file.limits

    @property
    def card(self) -> str:
        """The text of the folder's README, in Markdown."""
        path = self.folder / published.CARD
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PassbandError(f"{path}: cannot be read: {error}") from None

    @cached_property
    def trust(self) -> "Trust":
        """What is known about images that the network has not seen, by which images are assessed.

        Raises:
            PassbandError: If the folder has no ``likeness.json``, or if it is damaged.
        """
        from passband.micrographs.trust.trust_files import open_trust

        return open_trust([self._file])

    def segment(
        self,
        files: "str | Path | Sequence[str | Path] | np.ndarray | xr.DataArray",
        pixel_size_A: float | None = None,
        likeness: bool = True,
        *,
        out: str | Path | None = None,
        truth: str | Path | None = None,
        jobs: int = 1,
        condition: KnownCondition | None = None,
        readers_of: str | Path | None = None,
        verbose: bool = False,
        report: Callable[[str], object] = lambda line: None,
        progress: Progress | None = None,
        **settings: Any,
    ) -> "Segmentation | dict[Path, list[Segmentation]] | SegmentedFiles":
        """Find the particles in images of a microscope.

        Args:
            files: Image files, or folders with image files; docs/predict.md lists the formats.
                ``"sample"`` is the simulated image of the package. Or one image as an array,
                (height, width).
            pixel_size_A: For files that do not have it, and for an array [Å].
            likeness: Whether images are compared with the training images, for `expected_dice` and
                `flags`.
            out: A folder: masks, overlays and tables are written into it, each file complete or not
                at all. What is there already is not done again, and a file that fails does not stop
                the others. Images are not kept in memory.
            truth: With `out`, a folder of true masks with the names of the images.
            jobs: With `out`, the number of processes.
            condition: The condition of the images, for the expected Dice: all of defocus, Cs,
                aperture and dose.
            readers_of: A study, whose own readers read files of other formats.
            verbose: Whether `report` also receives the network and each step of the preparation.
            report: Receives lines about files that are left out and, with `out`, what was found in
                each image, as soon as it is written.
            progress: Is called with the number of finished files, that of all, and what is done.
            settings: See :class:`passband.micrographs.images.settings.Settings`.

        Returns:
            For an array, or one file with one image, its segmentation with `mask`, `probability`,
            `labels`, `particles`, `expected_dice`, `flags` and more, see
            :class:`passband.micrographs.images.segmentation.Segmentation`. For several files, a
            folder or a stack, a list of those of its frames for each file. With `out`, what the
            tables have of each image, with its `verdict`, and why files failed, see
            :class:`passband.micrographs.segmented_files.SegmentedFiles`.

        Raises:
            PassbandError: If there is no such file, if an image does not fit, or if an argument is
                wrong.

        Example:
            >>> found = general.segment("image.tif", smallest_nm=1)
            >>> verdict = found.expected_dice, found.flags
            >>> found = general.segment(["image.tif"], out="masks")
            >>> [image.verdict[:38] for image in found.images]
            ['looks like the training images; expect']
        """
        from passband.micrographs import segmenting
        from passband.micrographs.assessors import Assessors
        from passband.micrographs.choices import Choice
        from passband.micrographs.images import suffixes
        from passband.micrographs.images.settings import Settings

        given = given_values(condition, settings)
        chosen = Settings.of(settings)
        chosen.check([])
        suffixes.use_of(readers_of)
        expected = expected_under(given)
        own = self._seeing(chosen.precision)
        chosen.check(own)
        return segmenting.segment(
            files,
            lambda paths: dict.fromkeys(paths, Choice(own)),
            chosen,
            Assessors(expected) if likeness else None,
            pixel_size_A=pixel_size_A,
            out=out,
            truth=truth,
            jobs=jobs,
            verbose=verbose,
            report=report,
            progress=progress,
        )

    def _seeing(self, precision: str) -> Sequence[network.Network]:
        """Return what computes the network: torch for other precisions and on a GPU."""
        has_gpu = which("nvidia-smi") and not extras.missing(extras.GRID)
        if precision == "float32" and not has_gpu:
            return [self._file]
        extras.check(extras.GRID, f"precision = {precision!r}")
        return self._as_experiment.open_networks(None)

    @property
    def _as_experiment(self) -> "Experiment":
        from passband.door.experiment import Experiment

        return Experiment(None, self.folder)

    if not TYPE_CHECKING:  # former names are no part of the interface

        def __getattr__(self, name: str):
            """Return what `passband.open` returned for a published folder until Passband 0.4."""
            from passband.door.experiment import Experiment

            if name.startswith("_") or not hasattr(Experiment, name):
                own = ", ".join(each for each in dir(type(self)) if not each.startswith("_"))
                raise AttributeError(f"a network has no {name!r}; it has {own}")
            said = (
                f"passband.open({str(self.folder)!r}) is a passband.Network; for .{name}, open "
                f"the study, or passband.Experiment.find({str(self.folder)!r})"
            )
            warnings.warn(said, DeprecationWarning, stacklevel=2)
            return getattr(self._as_experiment, name)
