"""The trained networks of a study."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from passband.grid import Condition
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import network_batches

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr
    from torch import nn

    from passband.door.segmenting import Segmenting
    from passband.micrographs.images.segmentation import Segmentation


class Networks(Mapping[NetworkId, "TrainedNetwork"]):
    """The trained networks of a study, by their ids; those whose weights are there.

    A network is also found by the text of its id.

    Example:
        >>> best = max(demo.networks.values(), key=lambda network: float(network.dice.mean()))
        >>> best == demo.networks[str(best.id)]
        True
    """

    def __init__(self, experiment: "Segmenting"):
        self._experiment = experiment

    @cached_property
    def _ids(self) -> dict[NetworkId, None]:
        experiment = self._experiment
        if experiment.is_alone:
            return {network.id: None for network in experiment.open_networks(None)}
        return {
            replace(cell.id, replica=replica): None
            for batch in network_batches.batches_of(experiment.study)
            if experiment.weights(batch).exists()
            for cell in batch.cells
            for replica in batch.replicas
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

    experiment: "Segmenting"
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
        (network,) = self.experiment.open_networks(self.id)
        return network.module

    def segment(
        self,
        image: "npt.ArrayLike",
        pixel_size_A: float,
        likeness: bool = True,
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
        import numpy as np

        return self.experiment.segment(
            np.asarray(image), self.id, pixel_size_A, likeness, **settings
        )
