"""What networks find in images of a microscope."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from passband.door.answering import Answering
from passband.door.known_condition import KnownCondition, expected_under, given_values
from passband.door.opened import shows
from passband.errors import ArgumentError
from passband.network_id import NetworkId
from passband.outcomes import Progress

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from passband.micrographs.choices import Choice
    from passband.micrographs.images.segmentation import Segmentation
    from passband.micrographs.segmented_files import SegmentedFiles

#: What names networks: an id, several, or ``"auto"``.
AnyNetworks = NetworkId | str | Sequence[NetworkId | str]
#: The network that is recommended for each image.
AUTO = "auto"


class Segmenting(Answering):
    """The verbs that use a study's networks."""

    @overload
    def segment(
        self,
        files: "np.ndarray | xr.DataArray",
        network: AnyNetworks | None = None,
        pixel_size_A: float | None = None,
        likeness: bool | None = None,
        **others: Any,
    ) -> "Segmentation": ...

    @overload
    def segment(
        self,
        files: str | Path,
        network: AnyNetworks | None = None,
        pixel_size_A: float | None = None,
        likeness: bool = True,
        *,
        out: None = None,
        **others: Any,
    ) -> "Segmentation | dict[Path, list[Segmentation]]": ...

    @overload
    def segment(
        self,
        files: Sequence[str | Path],
        network: AnyNetworks | None = None,
        pixel_size_A: float | None = None,
        likeness: bool = True,
        *,
        out: None = None,
        **others: Any,
    ) -> "dict[Path, list[Segmentation]]": ...

    @overload
    def segment(
        self,
        files: str | Path | Sequence[str | Path],
        network: AnyNetworks | None = None,
        pixel_size_A: float | None = None,
        likeness: bool = True,
        *,
        out: str | Path,
        **others: Any,
    ) -> "SegmentedFiles": ...

    @shows
    def segment(
        self,
        files: "str | Path | Sequence[str | Path] | np.ndarray | xr.DataArray",
        network: AnyNetworks | None = None,
        pixel_size_A: float | None = None,
        likeness: bool = True,
        *,
        out: str | Path | None = None,
        truth: str | Path | None = None,
        jobs: int = 1,
        replicas: Sequence[int] | None = None,
        condition: KnownCondition | None = None,
        specimen: str | None = None,
        amplitude_contrast: float | None = None,
        sign: int = 0,
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
            network: Its id; all replicas are used together if the id has none. Several ids are used
                together, too. A published folder and a weights file with one training condition
                need no id. With ``"auto"``, the condition of each image is measured, and the
                network that is recommended there is used.
            pixel_size_A: For files that do not have it, and for an array [Å].
            likeness: Whether images are compared with the training images, for `expected_dice` and
                `flags`. The networks of the package and published ones have a file for it.
            out: A folder: masks, overlays and tables are written into it, each file complete or not
                at all. What is there already is not done again, and a file that fails does not stop
                the others. Images are not kept in memory.
            truth: With `out`, a folder of true masks with the names of the images.
            jobs: With `out`, the number of processes.
            replicas: Numbers of the replicas that are used; by default all.
            condition: The condition of the images, for the expected Dice: all of defocus, Cs,
                aperture and dose. With ``"auto"``, what is known of it beside the defocus.
            specimen, amplitude_contrast, sign: With ``"auto"``, see :meth:`recommend_like`.
            readers_of: The file of a study, whose own readers read files of other formats. By
                default, it is this study.
            verbose: Whether `report` also receives the networks and each step of the preparation.
            report: Receives lines about files that are left out, about networks that are chosen
                and, with `out`, what was found in each image, as soon as it is written.
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
            PassbandError: If there is no such network or file, if an image does not fit, or if an
                argument is wrong.

        Example:
            >>> first, *others = demo.networks
            >>> found = demo.segment("image.tif", network=first.cell, smallest_nm=1)
            >>> verdict = found.expected_dice, found.flags
            >>> labels = demo.segment(found.probability, network=first, pixel_size_A=0.5).labels
            >>> found = demo.segment(["image.tif"], network=first, out="masks")
            >>> [image.verdict[:13] for image in found.images]
            ['not assessed,']
        """
        from passband.micrographs import segmenting
        from passband.micrographs.assessors import Assessors
        from passband.micrographs.choices import Choice, of_replicas
        from passband.micrographs.images import suffixes
        from passband.micrographs.images.settings import Settings

        given = given_values(condition, settings)
        chosen = Settings.of(settings)
        chosen.check([])
        if readers_of is None and self._is_known_study:
            suffixes.use(self.study.known_parts)
        else:
            suffixes.use_of(readers_of)
        expected = None
        if network == AUTO:
            _check_auto(given, replicas, files)
            choose = partial(
                self._recommended,
                specimen=specimen,
                given=given,
                amplitude_contrast=amplitude_contrast,
                sign=sign,
                pixel_size_A=pixel_size_A,
                report=report,
            )
        else:
            check_named(specimen, amplitude_contrast, sign)
            expected = expected_under(given)
            own = of_replicas(self.open_networks(network), replicas)
            chosen.check(own)

            def choose(paths: Sequence[Path]) -> dict[Path, "Choice | str"]:
                return dict.fromkeys(paths, Choice(own))

        return segmenting.segment(
            files,
            choose,
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

    def _recommended(
        self,
        paths: Sequence[Path],
        *,
        specimen: str | None,
        given: Mapping[str, float],
        amplitude_contrast: float | None,
        sign: int,
        pixel_size_A: float | None,
        report: Callable[[str], object],
    ) -> "dict[Path, Choice | str]":
        """Return the network that is recommended for each file."""
        from passband.answers import networks_for_files

        known = networks_for_files.known(given, amplitude_contrast, sign)
        return networks_for_files.recommended(
            self.tested(specimen),
            paths,
            known,
            given=given,
            pixel_size_A=pixel_size_A,
            report=report,
        )

    @property
    def _is_known_study(self) -> bool:
        """Whether this is a study whose configuration is found."""
        return not self.is_alone and self.is_known


def _check_auto(given: Mapping[str, float], replicas: Sequence[int] | None, files: object) -> None:
    """Raise ArgumentError if what is given does not go together with a network that is chosen."""
    if hasattr(files, "__array__"):
        raise ArgumentError("network = 'auto': needs image files, from which conditions are read")
    if replicas is not None:
        raise ArgumentError("replicas: cannot be given together with the network 'auto'")
    if "defocus_nm" in given:
        raise ArgumentError(
            f"defocus_nm = {given['defocus_nm']:g}: cannot be used together with the network "
            "'auto', which measures the defocus"
        )


def check_named(specimen: str | None, amplitude_contrast: float | None, sign: int) -> None:
    """Raise ArgumentError if what is given has no effect on a network with a name."""
    for name, value in (
        ("specimen", specimen),
        ("amplitude_contrast", amplitude_contrast),
        ("sign", sign or None),
    ):
        if value is not None:
            raise ArgumentError(f"{name} = {value!r}: has an effect only with the network 'auto'")
