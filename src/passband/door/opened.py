"""What was opened, and conditions of its axes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from passband.axes import AXES, MAIN_AXES
from passband.errors import PassbandError
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.results import Results

if TYPE_CHECKING:
    from passband.learning.network_files import Network

#: What names a condition: itself, its id, or the values of axes by name.
AnyCondition = Condition | str | Mapping[str, float]


class Opened(Results):
    """A study with its results, or a network without them."""

    #: The weights file that was opened.
    weights_file: Path | None = None

    @classmethod
    def of_weights(cls, path: Path) -> Self:
        """Return the study of a weights file: its folder of results, if the file is in it."""
        from passband.learning.network_files import open_networks

        (network, *_) = open_networks(path)
        found = cls(network.study, network.results.folder if network.results else path)
        found.weights_file = path
        return found

    @property
    def is_alone(self) -> bool:
        """Whether this is a network without the folder of its study."""
        return self.is_published or self.weights_file == self.folder

    def check_has(self, store: str) -> None:
        """Raise PassbandError if a store does not exist."""
        if self.weights_file == self.folder:
            raise PassbandError(f"{self}: is a network alone, without the results of its study")
        super().check_has(store)

    def condition(self, given: AnyCondition) -> Condition:
        """Return a condition of the study's axes, inside or outside its grid.

        Args:
            given: A condition, its id, or values by name: each of `defocus_nm`, `cs_um`,
                `aperture_mrad` and `dose_e_per_A2`, and any further axes. A further axis that is
                missing has the study's own value.

        Raises:
            PassbandError: If a value is missing, or is no value of its axis.

        Example:
            >>> here = demo.condition("df+0012.00_cs+0005.000_ap015.00_ds000400.00")
            >>> here.defocus_nm
            12.0
        """
        if isinstance(given, Mapping):
            check_names_of(given)
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

    def open_networks(self, network: NetworkId | str | None) -> "list[Network]":
        """Return the networks with an id, with their weights; by default, of the weights file."""
        from passband.learning.network_files import open_networks

        alone = self.weights_file if network is None or self.is_alone else None
        wanted = NetworkId.parse(network) if isinstance(network, str) else network
        return open_networks(alone or self, wanted)


def check_names_of(given: Mapping[str, object]) -> None:
    """Raise PassbandError if a value of a condition is missing, or if a name is no axis."""
    if missing := [name for name in MAIN_AXES if name not in given]:
        raise PassbandError(f"{missing[0]} is missing: give {', '.join(MAIN_AXES)}")
    if unknown := [name for name in given if name not in AXES]:
        raise PassbandError(f"{unknown[0]!r}: is no axis; axes are {', '.join(AXES)}")
