"""What networks find in images of a microscope."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from passband.door.opened import Opened
from passband.network_id import NetworkId

if TYPE_CHECKING:
    from passband.micrographs.images.readers import Micrograph
    from passband.micrographs.images.segmentation import Segmentation


class Segmenting(Opened):
    """The verbs that use a study's networks."""

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
        found = self.segmented(micrographs, network, settings, likeness)
        is_folder = is_one and Path(files).is_dir() and paths != [Path(files)]
        if is_one and not is_folder and len(found[paths[0]]) == 1:
            return found[paths[0]][0]
        return found

    def segmented(
        self,
        micrographs: "Iterable[Micrograph]",
        network: NetworkId | str | None,
        settings: Mapping[str, object],
        likeness: bool | None,
    ) -> "dict[Path, list[Segmentation]]":
        from passband.answers.assessors import Assessors
        from passband.micrographs.images.segmentation import Settings
        from passband.micrographs.predictions import UNASSESSED, segment_frames

        chosen, opened = Settings.of(settings), self.open_networks(network)
        assessor = UNASSESSED
        if likeness is not False:
            assessor = Assessors(chosen, measure=bool(likeness)).of(opened)
        return {
            of.path: segment_frames(
                of.path, list(of.images), of.pixel_size_A, opened, chosen, assessor=assessor
            )
            for of in micrographs
        }
