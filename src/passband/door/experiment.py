"""A study in Python: its tables, its networks, its images, and what its networks answer.

`passband.open` returns an :class:`Experiment` for a study.
"""

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from passband import extras
from passband.console import escaped
from passband.door.checking import Checking
from passband.door.choosing import Choosing
from passband.door.evaluating import Evaluating
from passband.door.imaging import Imaging
from passband.door.known_parts import KnowsParts
from passband.door.publishing import Publishing
from passband.door.segmenting import Segmenting
from passband.door.showing import Showing
from passband.door.trained_networks import Networks
from passband.errors import PassbandError
from passband.results import layout, locate, network_batches, published
from passband.words import number_of

if TYPE_CHECKING:
    from passband.door.network import Network


def open(noun: str | Path, *, trust_parts: bool = False) -> "Experiment | Network":
    """Open a study, finished or not, a published network, or a network of the package.

    Args:
        noun: A study's name, file, folder, or folder of results; a published folder; a weights
            file; or ``"general"``.
        trust_parts: Whether the code of parts that are stored with results or networks may run.
            Parts beside a study's file that `noun` names run without it, where they are used.

    Returns:
        A :class:`passband.Network` for a published folder and a network of the package; otherwise a
        :class:`passband.Experiment`.

    Raises:
        ConfigError: If the study's file is wrong.
        PassbandError: If there is no such study, folder or network.

    Example:
        >>> demo = passband.open("demo")
        >>> general = passband.open("general")
    """
    noun = locate.path_of(noun)
    path = locate.network_path(noun)
    if path is not None and (path / published.NETWORK).is_file():
        from passband.door.network import Network

        return Network(path)
    if path is None:
        locate.folder_of(noun)  # says first that there is no such study
    extras.check(extras.GRID, str(noun) if path is None else f"{noun} without {published.NETWORK}")
    if path is None:
        found = Experiment.find(noun)
    else:
        found = Experiment(None, path) if path.is_dir() else Experiment.of_weights(path)
    if trust_parts:
        found.trusts_stored = True
    # Results that are named by their folder are those of the study that made them.
    return found if path is not None or found.names_file else found.made


class Experiment(
    Checking, Showing, Choosing, Imaging, Evaluating, Segmenting, Publishing, KnowsParts
):
    """A study with its results, its networks and its images.

    :meth:`matrices` returns M(i, j) of each specimen, architecture and test specimen. Stores are
    opened when they are first used: `table` (Dice and counts of every network on every test image),
    `ood`, `information` and `prediction` are xarray Datasets, which docs/metrics.md
    describes. `study` is the configuration.

    Example:
        >>> (matrix,) = demo.matrices()
        >>> lost = demo.ood.gap_model.max("test")
        >>> len(demo.study.test_conditions)
        16
    """

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._face)}</pre>"

    @property
    def _face(self) -> str:
        """What this is, and what is there of it, in a few lines."""
        name = escaped(str(self.noun))
        try:
            ids = [*self.networks]
            if self.is_alone:
                (first, *_) = self.open_networks(ids[0])
                return "\n".join([first.limits or f"network {name}", *map(str, ids)])
            study = self.study
            batches = network_batches.batches_of(study)
            number = sum(len(batch.cells) * len(batch.replicas) for batch in batches)
            lines = [
                f"study {study.study.name} in {escaped(str(self))}",
                f"specimens: {', '.join(study.specimens)}",
                f"{len(ids)} of {number_of(number, 'network')} trained",
                number_of(study.test_number, "test condition"),
            ]
            stores = layout.TABLE, layout.OOD, layout.INFORMATION, layout.PREDICTION
            there = [store for store in stores if self.path(store).exists()]
            return "\n".join([*lines, f"results: {', '.join(there) or 'none yet'}"])
        except PassbandError as error:
            return f"{name}: {error}"

    @cached_property
    def networks(self) -> Networks:
        """The trained networks, by :class:`NetworkId` or its text."""
        return Networks(self.made)
