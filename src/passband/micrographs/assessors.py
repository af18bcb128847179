"""What assesses the images of networks: opened once for the same networks."""

from collections.abc import Callable, Mapping, Sequence

from passband.errors import PassbandError
from passband.micrographs.models.network import Network
from passband.micrographs.trust.trust import Assessor, Trust, Unassessed
from passband.micrographs.trust.trust_files import by_condition, open_trust
from passband.network_id import NetworkId
from passband.results import published


class Assessors:
    """Opens what assesses the images of networks, once for the same networks.

    Args:
        expected: If the condition of all images is known, returns the Dice that the study's model
            expects of networks under it, by their ids.
    """

    def __init__(
        self, expected: Callable[[Sequence[Network]], Mapping[NetworkId, float]] | None = None
    ):
        self._expected = expected
        self._known: dict[tuple, tuple[list[Trust], Mapping[NetworkId, float]] | str] = {}
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
    ) -> tuple[list[Trust], Mapping[NetworkId, float]] | str:
        """Return the Trust of each training condition and the Dice of the condition, or why not."""
        try:
            trusts = [open_trust(group) for group in by_condition(networks)]
        except PassbandError as error:
            return str(error)
        if self._expected is None:
            return trusts, {}
        try:
            return trusts, self._expected(networks)
        except PassbandError as error:
            self.notes.append(f"the condition is not used for the expected Dice, since {error}")
            return trusts, {}
