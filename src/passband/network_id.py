"""The name of a trained network: what it was trained on, its architecture and its replica."""

from dataclasses import dataclass, replace

from passband.errors import PassbandError
from passband.mixtures import check_id


@dataclass(frozen=True)
class NetworkId:
    """The id ``<specimen>/<architecture>/<condition>/<replica>`` of a network.

    Ids are in the order of their texts.

    Attributes:
        specimen: The specimen of the training images.
        condition: Id of the training condition, or of the mixture of training conditions.
        replica: None stands for all replicas; their id has three parts.

    Example:
        >>> text = "gold/compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0"
        >>> passband.NetworkId.parse(text).architecture
        'compact-w8-d3'
    """

    specimen: str
    architecture: str
    condition: str
    replica: int | None = None

    @classmethod
    def parse(cls, text: str) -> "NetworkId":
        """Return the id that a text has, with or without a replica.

        Raises:
            PassbandError: If the text is not the id of a network.
        """
        parts = text.split("/")
        try:
            if len(parts) not in (3, 4) or not all(parts):
                raise ValueError("must have three or four parts")
            check_id(parts[2])
            replica = int(parts[3]) if len(parts) == 4 else None
            if replica is not None and parts[3] != str(abs(replica)):
                raise ValueError("the replica must be a number such as 0")
        except ValueError as error:
            raise PassbandError(
                f"network = {text!r}: must be an id such as gold/compact-w8-d3/"
                f"df+0005.00_cs+0001.200_ap010.00_ds000100.00/0 ({error})"
            ) from None
        return cls(*parts[:3], replica=replica)

    @property
    def cell(self) -> "NetworkId":
        """All replicas of the same specimen, architecture and condition."""
        return replace(self, replica=None)

    def __str__(self) -> str:
        text = f"{self.specimen}/{self.architecture}/{self.condition}"
        return text if self.replica is None else f"{text}/{self.replica}"

    def __lt__(self, other: "NetworkId") -> bool:
        return str(self) < str(other)


def is_id(text: str) -> bool:
    """Return whether a text has the form of a network's id, with or without the replica."""
    try:
        NetworkId.parse(text)
    except PassbandError:
        return False
    return True
