"""Networks that are adapted to labelled images."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from passband.door.opened import Opened
from passband.errors import ArgumentError
from passband.network_id import NetworkId
from passband.outcomes import Progress

if TYPE_CHECKING:
    from passband.answers.tuning import Tuned
    from passband.learning.network_files import Network


class Tuning(Opened):
    """The verb that tunes a network."""

    def tune(
        self,
        images: str | Path,
        labels: str | Path,
        out: str | Path,
        *,
        network: NetworkId | str | None = None,
        pixel_size_A: float | None = None,
        seed: int = 0,
        report: Callable[[str], object] = lambda line: None,
        progress: Progress | None = None,
    ) -> "Tuned":
        """Go on training a network with labelled images, and write it if it is better.

        With four images or more, each is left out once, and a network is tuned on the others: the
        gain is that of images that tuning has not seen. The network is written if the mean gain is
        above 0, and if no image loses more than 0.05 in Dice. With two or three images, it is
        written without a test. Files whose images are turned copies of each other count as one.

        Args:
            images: A folder with image files of one pixel size, each with one image.
            labels: A folder with files of the same names: 0 in the background, and 1 or the number
                of the particle in particles. Corrected files of ``predict`` keep their names.
            out: The folder to write, which must not exist.
            network: The network's id; a network alone needs none.
            pixel_size_A: For files that do not have it [Å].
            seed: The same seed, files and processor give the same network.
            report: Receives a line about files that are left out.
            progress: Is called with the number of finished steps, that of all, and the word steps.

        Returns:
            `gain` with its `interval`, `left_out` with the Dice of each image, and the `folder`,
            which is None if no network was written.

        Raises:
            PassbandError: If there is no such network or file, if there are too few images, or if
                images or labels cannot be used. Then nothing is written.

        Example:
            >>> general = passband.open("general")
            >>> try:
            ...     gain = general.tune("images", "labels", out="tuned").gain
            ... except passband.PassbandError as error:
            ...     reason = str(error)  # such as a folder that is missing
        """
        from passband.answers import tuning
        from passband.micrographs import labelled_images
        from passband.micrographs.images import pixel_size, readers

        pixel_size.check_option(pixel_size_A)
        chosen = self._only(network)
        tuning.check(Path(out), chosen)
        paths = readers.find([images], report)
        found = labelled_images.read(paths, Path(labels), pixel_size_A)
        return tuning.tune(chosen, found, Path(out), seed=seed, progress=progress)

    def _only(self, network: NetworkId | str | None) -> "Network":
        """Return the one network that is named, or that there is."""
        found = self.open_networks(network)
        if len(found) > 1:
            every = ", ".join(str(each.id) for each in found)
            raise ArgumentError(
                f"network = {str(network or self)!r}: has {every}; give the id of one"
            )
        return found[0]
