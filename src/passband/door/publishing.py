"""Networks that are published for others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.door.opened import Opened
from passband.errors import ArgumentError, PassbandError
from passband.mixtures import Mixture
from passband.network_id import NetworkId
from passband.results import Results

if TYPE_CHECKING:
    from passband.learning.network_files import Network
    from passband.sharing.publication import Published

#: The license of a published network, if the user names none.
LICENSE = "CC-BY-4.0"


class Publishing(Opened):
    """The verb that publishes a network."""

    def publish(
        self,
        network: NetworkId | str | None = None,
        out: str | Path | None = None,
        *,
        replica: int | None = None,
        study: str | Path | None = None,
        name: str | None = None,
        license: str = LICENSE,
        authors: Sequence[str] = (),
        force: bool = False,
        report: Callable[[str], object] = lambda line: None,
    ) -> "Published":
        """Write a folder with a network for others to use, completely or not at all.

        Args:
            network: Its id; a weights file with one network needs none.
            out: The folder to write; by default ``published/`` and the network's id.
            replica: The replica, if there are several.
            study: The study that tested the network; by default its own.
            name: The network's name; by default, it is made from its condition.
            license: SPDX id of the license.
            authors: Names of the authors.
            force: Whether an earlier published folder is replaced.
            report: Receives a line for each step that takes seconds.

        Returns:
            The `folder`, and the `card` to read first.

        Raises:
            PassbandError: If there is no such network, if the folder exists, if a name or the
                license is not allowed, if the network is one of a mixture, or if the study's file
                asks for another network.

        Example:
            >>> first = next(iter(demo.networks.values()))
            >>> try:
            ...     card = demo.publish(first.id, out="folder", force=True).card
            ... except passband.PassbandError as error:
            ...     reason = str(error)  # such as a network of a mixture
        """
        from passband import extras
        from passband.sharing import attribution

        extras.check(extras.SHARE, "publish")
        attribution.check(name, license, authors)
        from passband.answers import publishing
        from passband.store import made

        self.refuse_mixed(*made.OF_NETWORKS)
        results = None
        if study is not None:
            results = Results.find(study).existing()
        elif not self._weights and not self.is_published:
            results = self
        chosen = self._one(network, replica)
        return publishing.publish(
            chosen,
            results,
            out=Path("published", str(chosen.id).replace("/", "_")) if out is None else Path(out),
            labels=attribution.Labels(
                name or attribution.default_name(chosen), license, tuple(authors)
            ),
            force=force,
            report=report,
        )

    def _one(self, network: NetworkId | str | None, replica: int | None) -> "Network":
        """Return the one network that is named."""
        networks = self.open_networks(network)
        chosen = [each for each in networks if replica in (None, each.replica)]
        if len(chosen) != 1:
            replicas = ", ".join(str(each.replica) for each in networks)
            given = "is missing" if replica is None else f"= {replica}"
            where = network or self.weights_file or self
            raise ArgumentError(
                f"replica {given}: {where} has the replicas {replicas}; give one of them"
            )
        (found,) = chosen
        if isinstance(found.condition, Mixture):
            raise PassbandError(
                f"{found.id}: is a network of a mixture; only networks of one training condition "
                "can be published"
            )
        return found
