"""A network in a published folder: its ONNX file, and what images are prepared by."""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from passband.config.detector import DetectorNoise
from passband.errors import PassbandError
from passband.micrographs.models.network import Network
from passband.micrographs.models.onnx_model import OnnxModel
from passband.network_id import NetworkId
from passband.parts import PACKAGE, Part
from passband.pools import cores
from passband.results import Results, published
from passband.storage import StoreError, checked_json
from passband.version import __version__

#: The version of the content of ``network.json``.
FORMAT = 1

#: The number of threads of a network; 0 stands for all cores.
_threads = 0


class _Content(BaseModel):
    """The values of ``network.json`` besides its format, see :class:`PublishedNetwork`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    passband: str = Field(max_length=40)
    id: str = Field(max_length=1000)
    limits: str = Field(max_length=1000)
    normalisation: Literal["zscore", "minmax", "vacuum"]
    pixel_size_A: float = Field(gt=0, le=100)
    finest_A: float = Field(gt=0, le=100)
    field_px: int = Field(gt=0, le=100_000)
    noise: dict[str, Any]
    divisor: int = Field(gt=0, le=10_000)
    smallest_px: int = Field(gt=0, le=100_000)
    outputs: int = Field(gt=0, le=100)
    halo: int | None = Field(ge=0, le=100_000)
    bytes_per_pixel: float = Field(gt=0, le=1e6)
    head_name: str = Field(max_length=100)
    digest: str = Field(pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    """A network in a published folder, see :class:`passband.micrographs.models.network.Network`.

    Neither torch nor code of the folder runs.

    Attributes:
        path: The ONNX file.
        head_name: The name of the head; empty without one.
        digest: The SHA-256 of the ONNX file.
        divisor, halo, bytes_per_pixel: See :class:`passband.micrographs.models.model.Model`.
    """

    path: Path
    id: NetworkId
    limits: str
    normalisation: str
    pixel_size_A: float
    finest_A: float
    field_px: int
    noise: DetectorNoise
    divisor: int
    smallest_px: int
    outputs: int
    halo: int | None
    bytes_per_pixel: float
    head_name: str
    digest: str

    @classmethod
    def open(cls, folder: str | Path) -> "PublishedNetwork":
        """Return the network of a folder, whose files are checked.

        Raises:
            PassbandError: If a file is missing, damaged, changed, or of a newer Passband. The
                message has one line.
        """
        published.check(Path(folder))
        path = Path(folder) / published.NETWORK
        try:
            values = checked_json.read(path)
            if values.pop("format", None) != FORMAT:
                made = str(values.get("passband"))[:40]
                raise PassbandError(f"has another format; open it with Passband {made}")
            content = dict(_Content.model_validate(values))
            noise = DetectorNoise.model_validate(content.pop("noise"))
            id = NetworkId.parse(content.pop("id"))
        except StoreError:
            raise
        except PassbandError as error:
            raise PassbandError(f"{path}: {error}") from None
        except FileNotFoundError:
            raise PassbandError(f"{path}: there is no such file") from None
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]
            where = ".".join(map(str, reason["loc"]))
            raise PassbandError(f"{path}: {where}: {reason['msg']}") from None
        except (ValueError, OSError) as error:
            raise PassbandError(f"{path}: is damaged: {error}") from None
        del content["passband"]
        return cls(path=path.with_name(published.ONNX), id=id, noise=noise, **content)

    @property
    def is_published(self) -> bool:
        """Whether the network is in a published folder."""
        return True

    @cached_property
    def results(self) -> Results | None:
        """None: the network is not in the results of its study."""
        return None

    @property
    def unmeasured(self) -> str:
        """Why images are not assessed without a file about the training images."""
        return f"{self.path.parent} has no {published.LIKENESS}"

    @property
    def unchecked(self) -> str:
        """See :func:`passband.results.published.unchecked`."""
        return published.unchecked(self.path.parent)

    @property
    def head(self) -> Part | None:
        """What finds single particles in further outputs, if there is anything.

        Raises:
            PartError: If the package has no head of this name.
        """
        return PACKAGE.get("head", self.head_name) if self.head_name else None

    def model(self, precision: str = "float32") -> OnnxModel:
        """Return the network as it computes, in float32. Each process opens the file once."""
        return _opened(self, _threads)

    def share(self, jobs: int) -> None:
        """Leave this process its share of the cores, if so many processes use them."""
        global _threads
        _threads = max(1, cores() // jobs)


@lru_cache(maxsize=8)
def _opened(network: PublishedNetwork, threads: int) -> OnnxModel:
    return OnnxModel.open(
        network.path,
        digest=network.digest,
        name=network.id.architecture,
        divisor=network.divisor,
        smallest_px=network.smallest_px,
        outputs=network.outputs,
        halo=network.halo,
        bytes_per_pixel=network.bytes_per_pixel,
        threads=threads or cores(),
    )


def write(network: Network, folder: Path, limits: str = "") -> None:
    """Write ``network.json`` into a folder that has the network's ONNX file.

    Args:
        limits: Where a network of the package holds, in one line.
    """
    model = network.model()
    content = _Content(
        passband=__version__,
        id=str(network.id),
        limits=limits,
        normalisation=network.normalisation,
        pixel_size_A=network.pixel_size_A,
        finest_A=network.finest_A,
        field_px=network.field_px,
        noise=network.noise.model_dump(mode="json"),
        divisor=model.divisor,
        smallest_px=model.smallest_px,
        outputs=model.outputs,
        halo=model.halo,
        bytes_per_pixel=model.bytes_per_pixel,
        head_name="" if network.head is None else network.head.name,
        digest=hashlib.sha256((folder / published.ONNX).read_bytes()).hexdigest(),
    )
    values = {"format": FORMAT, **content.model_dump(mode="json")}
    checked_json.write(folder / published.NETWORK, values)
