"""What networks find in images of a microscope."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, overload

from passband.door.answering import Answering
from passband.door.opened import check_axes, shows
from passband.errors import ArgumentError
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.outcomes import Progress
from passband.results import published

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from passband.answers.networks_for_files import Choice
    from passband.micrographs.images.segmentation import Segmentation
    from passband.micrographs.models.network import Network
    from passband.micrographs.segmented_files import SegmentedFiles

#: What names networks: an id, several, or ``"auto"``.
AnyNetworks = NetworkId | str | Sequence[NetworkId | str]
#: What names a condition of images, of which only some values may be known.
KnownCondition = Condition | str | Mapping[str, float]
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
        from passband.answers import networks_for_files
        from passband.answers.assessors import Assessors
        from passband.micrographs import segmented_files
        from passband.micrographs.images import pixel_size, readers, suffixes
        from passband.micrographs.images.settings import Settings

        pixel_size.check_option(pixel_size_A)
        given = _given(condition, settings)
        chosen_settings = Settings.of(settings)
        chosen_settings.check([])
        _check_files(out, truth, jobs)
        if readers_of is None and self._is_known_study:
            suffixes.use(self.study.known_parts)
        else:
            suffixes.use_of(readers_of)
        own: Sequence[Network] = []
        of_all = None
        if network == AUTO:
            _check_auto(given, replicas)
        else:
            _check_named(specimen, amplitude_contrast, sign)
            of_all = networks_for_files.condition_of(given)
            own = networks_for_files.of_replicas(
                self._seeing(network, chosen_settings.precision), replicas
            )
            chosen_settings.check(own)
        named: Any = files
        micrograph = None
        if hasattr(files, "__array__"):
            _check_array(network, pixel_size_A, out)
            micrograph = readers.of_array(named, pixel_size_A or 0)
            paths = [micrograph.path]
        else:
            paths = readers.find([files] if isinstance(files, str | Path) else named, report)
        folder = None if out is None else Path(out)
        if folder is not None:
            segmented_files.check_folder(folder, paths)
        chosen: dict[Path, Choice | str] = dict.fromkeys(paths, networks_for_files.Choice(own))
        if network == AUTO:
            known = networks_for_files.known(given, amplitude_contrast, sign)
            tested = self.tested(specimen)
            chosen = networks_for_files.recommended(
                tested, paths, known, given=given, pixel_size_A=pixel_size_A, report=report
            )
        if verbose:
            for line in networks_for_files.described(chosen, chosen_settings):
                report(line)
        assessors = Assessors(chosen_settings, of_all) if likeness else None
        tasks = networks_for_files.tasks(
            chosen,
            chosen_settings,
            assessors,
            folder=folder,
            pixel_size_A=pixel_size_A,
            masks=None if truth is None else Path(truth),
        )
        if folder is None:
            if micrograph is not None:
                return tasks[0].segment(micrograph)[0]
            found = {task.path: task.segment() for task in tasks}
            return _only(found, named) or found
        return segmented_files.segment(
            tasks,
            folder,
            jobs=jobs,
            verbose=verbose,
            remarks=networks_for_files.remarks(chosen, assessors),
            report=report,
            progress=progress,
        )

    def _seeing(self, network: AnyNetworks | None, precision: str) -> "Sequence[Network]":
        """Return networks as they look at images: by its ONNX file that of a published folder.

        Torch computes other precisions, and computes on a GPU.
        """
        has_onnx = (self.folder / published.NETWORK).is_file() and not self._weights
        if has_onnx and precision == "float32" and not which("nvidia-smi"):
            from passband.micrographs.models.published_network import PublishedNetwork

            found = PublishedNetwork.open(self.folder)
            if network is None or str(network) in (str(found.id), str(found.id.cell)):
                return [found]
        return self.open_networks(network)

    @property
    def _is_known_study(self) -> bool:
        """Whether this is a study whose configuration is found."""
        return not self.is_alone and self.is_known


def _only(
    found: "dict[Path, list[Segmentation]]", files: str | Path | Sequence[str | Path]
) -> "Segmentation | None":
    """Return the segmentation of the only image of a file that is given alone, or None."""
    if not isinstance(files, str | Path) or (Path(files).is_dir() and Path(files) not in found):
        return None
    ((_, frames),) = found.items()
    return frames[0] if len(frames) == 1 else None


def _given(condition: KnownCondition | None, settings: dict[str, Any]) -> dict[str, float]:
    """Return the values of a condition, whose dose is one of the settings too."""
    if isinstance(condition, str):
        condition = Condition.parse(condition)
    if isinstance(condition, Condition):
        condition = condition.values()
    check_axes(condition or {})
    values: dict[str, float] = {}
    for name, value in (condition or {}).items():
        try:
            values[name] = float(value)
        except (TypeError, ValueError):
            raise ArgumentError(f"{name} = {value!r}: must be a number") from None
    dose = settings.get("dose_e_per_A2")
    if "dose_e_per_A2" in values:
        settings.setdefault("dose_e_per_A2", values["dose_e_per_A2"])
    elif isinstance(dose, int | float):
        values["dose_e_per_A2"] = float(dose)
    return values


def _check_files(out: str | Path | None, truth: str | Path | None, jobs: int) -> None:
    """Raise ArgumentError if what is said about output files cannot be used."""
    if jobs < 1:
        raise ArgumentError(f"jobs = {jobs}: must be at least 1")
    if out is None and truth is not None:
        raise ArgumentError(f"truth = {str(truth)!r}: has an effect only together with out")
    if truth is not None and not Path(truth).is_dir():
        raise ArgumentError(f"truth = {str(truth)!r}: there is no such folder")


def _check_array(
    network: AnyNetworks | None, pixel_size_A: float | None, out: str | Path | None
) -> None:
    """Raise ArgumentError if what is given does not go together with an array."""
    if pixel_size_A is None:
        raise ArgumentError("pixel_size_A is missing: an array does not state it; give it in Å")
    if out is not None:
        raise ArgumentError(f"out = {str(out)!r}: needs image files; an array has no name")
    if network == AUTO:
        raise ArgumentError("network = 'auto': needs image files, from which conditions are read")


def _check_auto(given: Mapping[str, float], replicas: Sequence[int] | None) -> None:
    """Raise ArgumentError if what is given has no effect on a network that is chosen."""
    if replicas is not None:
        raise ArgumentError("replicas: cannot be given together with the network 'auto'")
    if "defocus_nm" in given:
        raise ArgumentError(
            f"defocus_nm = {given['defocus_nm']:g}: cannot be used together with the network "
            "'auto', which measures the defocus"
        )


def _check_named(specimen: str | None, amplitude_contrast: float | None, sign: int) -> None:
    """Raise ArgumentError if what is given has no effect on a network with a name."""
    for name, value in (
        ("specimen", specimen),
        ("amplitude_contrast", amplitude_contrast),
        ("sign", sign or None),
    ):
        if value is not None:
            raise ArgumentError(f"{name} = {value!r}: has an effect only with the network 'auto'")
