"""What assesses the images of networks: opened once for the same networks."""

from collections.abc import Mapping, Sequence

from passband.answers import trust
from passband.errors import PassbandError
from passband.grid import Condition
from passband.micrographs.images.settings import Settings
from passband.micrographs.models.network import Network
from passband.micrographs.trust.trust import Assessor, Trust, Unassessed
from passband.network_id import NetworkId
from passband.results import published


class Assessors:
    """Opens what assesses the images of networks, once for the same networks.

    Args:
        condition: The condition of all images, if it is known: the expected Dice then also uses
            what the study's model expects under it.
    """

    def __init__(self, settings: Settings, condition: Condition | None = None):
        self._settings = settings
        self._condition = condition
        self._known: dict[tuple, tuple[list[Trust], dict[NetworkId, float]] | str] = {}
        #: What the user should know about the condition.
        self.notes: list[str] = []

    def of(
        self, networks: Sequence[Network], ctf: Mapping[NetworkId, float] | None = None
    ) -> Assessor | Unassessed:
        """Return what assesses images of networks.

        Args:
            ctf: The Dice that the study's model expects under the image's own condition, by the
                network's id. Without it, the condition is that of all images.
        """
        key = tuple((network.path, network.id.replica) for network in networks)
        if key not in self._known:
            self._known[key] = self._open(networks)
        if isinstance(known := self._known[key], str):
            return Unassessed(known)
        trusts, of_all = known
        ctf = of_all if ctf is None else ctf
        is_shipped = all(published.is_shipped(network.path) for network in networks)
        return Assessor(trusts, networks, ctf, flags_shades=is_shipped)

    def _open(
        self, networks: Sequence[Network]
    ) -> tuple[list[Trust], dict[NetworkId, float]] | str:
        """Return the Trust of each training condition and the Dice of the condition, or why not."""
        try:
            trusts = [trust.open_trust(group) for group in trust.by_condition(networks)]
        except PassbandError as error:
            return str(error)
        if self._condition is None:
            return trusts, {}
        try:
            return trusts, trust.expected_dice(networks, self._condition)
        except PassbandError as error:
            self.notes.append(f"the condition is not used for the expected Dice, since {error}")
            return trusts, {}
