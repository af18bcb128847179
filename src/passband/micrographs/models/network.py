"""What looks at images asks of a network, wherever it comes from."""

from functools import cached_property
from pathlib import Path
from typing import Protocol

from passband.config.detector import DetectorNoise
from passband.micrographs.models.model import Model
from passband.network_id import NetworkId
from passband.parts import Part
from passband.results import Results


class Network(Protocol):
    """A network, and how images are prepared for it.

    Attributes:
        id: Its id in its study.
        path: The file that computes it.
        is_published: Whether this file is in a published folder.
        limits: Where a network of the package holds, in one line; empty for other networks.
        results: The results of its study, if it is in them.
        unmeasured: Why images are not assessed without a file about the training images.
        unchecked: A line if the files of its folder are not checked, otherwise empty.
        normalisation: That of the training images, see :func:`passband.imaging.noise.normalise`.
        pixel_size_A: Side of a pixel of the training images [Å].
        finest_A: Side of the pixels that show the finest detail that all training images have [Å].
        field_px: Pixels along a side of a field of the study.
        noise: The filter of the training images' counts.
        smallest_px: The smallest side of the network's input [pixels].
        outputs: The number of outputs, with that of the mask.
        head: What finds single particles in further outputs, if there is anything.
    """

    @property
    def id(self) -> NetworkId: ...
    @property
    def path(self) -> Path: ...
    @property
    def is_published(self) -> bool: ...
    @property
    def limits(self) -> str: ...
    @cached_property
    def results(self) -> Results | None: ...
    @property
    def unmeasured(self) -> str: ...
    @property
    def unchecked(self) -> str: ...
    @property
    def normalisation(self) -> str: ...
    @property
    def pixel_size_A(self) -> float: ...
    @property
    def finest_A(self) -> float: ...
    @property
    def field_px(self) -> int: ...
    @property
    def noise(self) -> DetectorNoise: ...
    @property
    def smallest_px(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def head(self) -> Part | None: ...

    def model(self, precision: str = "float32") -> Model:
        """Return the network as it computes; the precision is one of ``Settings``."""
        ...

    def share(self, jobs: int) -> None:
        """Leave this process its share of the cores, if so many processes use them."""
        ...
