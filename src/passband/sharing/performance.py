"""How well a network segments images of each test condition, as its study measured it."""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from passband.analysis.spectra import SPECTRUM, mean_spectrum, to_json
from passband.axes import AXES
from passband.grid import Axes, Condition, axes_of
from passband.groups import may_have
from passband.learning.network_files import Network
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import matrices
from passband.matrices.table_images import PARTICLES
from passband.network_id import NetworkId
from passband.results import Results, layout
from passband.storage import StoreError, datasets, records
from passband.words import span

#: The columns of the file of measured Dice in a published folder, besides the imaging parameters.
_COLUMNS = ("test_specimen", "dice", "standard_error", "images", "condition")
#: Means of scores of single particles, which a network with a head has beside them.
OF_PARTICLES = ("instance_f1", "count_error", "diameter_bias")
#: Number of intervals of the defocus between tested conditions.
_STEPS = 30


@dataclass(frozen=True)
class Performance:
    """The performance of one network, which is read when it is first asked for.

    Attributes:
        results: The network's study; None if its results are not at hand.
        expected: Returns the expected Dice of the network on its training specimen under
            conditions. It is used only if the performance was measured.
    """

    network: Network
    results: Results | None
    expected: Callable[[Sequence[Condition]], np.ndarray] | None = None

    @property
    def measured(self) -> xr.Dataset | None:
        """The measured performance, or None without any.

        It has `dice` (test_specimen, test), the mean Dice over test images, and its
        `standard_error`, over the same dimensions; and of a network with a head, if its particles
        were tested, :data:`OF_PARTICLES`. The attribute `images` is the number of test images of a
        test specimen under a condition. The coordinates are those of the table.

        Raises:
            StoreError: If the table or the record is damaged.
        """
        return self._measured[0]

    @property
    def source(self) -> str:
        """The file that was read, or the reason why there is no measured performance."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[xr.Dataset | None, str]:
        network, results = self.network, self.results
        if results is None:
            return None, "the study's results were not at hand"
        found, source = self._tests
        if not found:
            return None, source
        # The networks may have been trained again since they were tested.
        loss = network.metadata.best[network.replica].val_loss
        if not np.isclose(found[0].training.val_loss.values.item(), loss, rtol=1e-5, atol=0):
            return None, f"{source} was made with other weights: the validation loss differs"
        each = np.stack([matrix.images(0)[0] for matrix in found])
        images = each.shape[-1]
        ids = found[0].columns
        if not (own := found[0].axes.own):
            seen = (network.condition, *found[0].test)
            named = {name for condition in seen for name, _ in condition.further}
            axes = results.study.axes  # a record does not have the study's own values
            own = {name: x for name, x in (axes.own | axes.others).items() if name in named}
        missing = np.full(each.shape[:-1], np.nan)
        error = each.std(-1, ddof=1) / np.sqrt(images) if images > 1 else missing
        dims = "test_specimen", "test"
        of_particles = {
            name: (dims, np.stack([matrix.images(0, score=name)[0].mean(-1) for matrix in found]))
            for name in OF_PARTICLES
            if network.architecture.head and name in found[0].score_names
        }
        return xr.Dataset(
            {"dice": (dims, each.mean(-1)), "standard_error": (dims, error), **of_particles},
            {
                "test_specimen": [matrix.test_specimen for matrix in found],
                "test": list(ids),
                **Axes(own).coordinates(ids, "test"),
            },
            {"images": images},
        ), source

    @property
    def _tests(self) -> tuple[list[Matrix], str]:
        """The matrices of the network alone and the file that has them; or none, and a reason.

        If there is no table of results, the record of the network's batch is read.
        """
        id, path, results = self.network.id, self.network.path, self.results
        if results.has(layout.TABLE):
            found = _of_network(results.matrices(), id)
            if found and found[0].trained.all():
                return found, f"{results.name}/{layout.TABLE}"
        # A job with several training conditions has one record for all of them.
        group = path.parent.name if may_have(path.parent.name, id.condition) else id.condition
        batch = (id.specimen, id.architecture, group, path.stem)
        wildcards = dict(zip(layout.BATCH_WILDCARDS, batch, strict=True))
        record = results.path(layout.RECORD, **wildcards)
        if record.exists():
            names = ["counts", "val_loss", *([PARTICLES] if self.network.architecture.head else [])]
            opened = records.read(record, id.condition, names).expand_dims(
                specimen=[id.specimen], architecture=[id.architecture], train=[id.condition]
            )
            if found := _of_network(matrices(opened), id):
                return found, f"{results.name}/{record.relative_to(results.folder).as_posix()}"
        return [], f"the study {results.name} has not tested this network"

    @cached_property
    def alike(self) -> xr.DataArray | None:
        """Dice (test) on the training specimen under own values of further axes, or None."""
        if self.measured is None:
            return None
        dice = own_specimen(self.measured, self.network.metadata.specimen)
        if dice is None:
            return None
        alike = as_trained(dice, self.network.condition)
        return alike if alike.size else None

    def between(self) -> xr.DataArray | None:
        """Return the expected Dice (test) at and between the tested conditions, or None."""
        if self.expected is None or self.alike is None:
            return None
        conditions = between(self.alike.test.values)
        ids = [condition.id for condition in conditions]
        return xr.DataArray(self.expected(conditions), {"test": ids}, "test")

    def write_table(self, path: Path) -> bool:
        """Write the table of all networks of the specimen and architecture to one zip file.

        With this table, `passband recommend` computes the expected Dice under other conditions. The
        attribute :data:`passband.analysis.spectra.SPECTRUM` of the table has the specimen's
        spectrum, if the study's exit waves exist.

        Args:
            path: The zip file to write. Its kind is that of the study's table of results.

        Returns:
            Whether the study has a table of results that includes the network. Without such a
            table, no file is written.

        Raises:
            StoreError: If the table is damaged.
        """
        if not self.results.has(layout.TABLE):
            return False
        opened = datasets.open_folder(self.results.path(layout.TABLE), datasets.TABLE)
        of = self.network.metadata
        group = {"specimen": [of.specimen], "architecture": [of.architecture]}
        if not all(value in opened[name].values for name, (value,) in group.items()):
            return False
        part = opened.sel(group).load().drop_encoding()
        datasets.write(part, path, datasets.TABLE, _spectrum(self.results, of.specimen))
        return True


def _of_network(every: Sequence[Matrix], id: NetworkId) -> list[Matrix]:
    """Return the matrix of one network alone on each test specimen; none if it is not there."""
    return [
        matrix.take(train=[matrix.row(id.condition)], replica=[matrix.replicas.index(id.replica)])
        for matrix in every
        if (matrix.specimen, matrix.architecture) == (id.specimen, id.architecture)
        and id.condition in matrix.rows
        and id.replica in matrix.replicas
    ]


def _spectrum(results: Results, specimen: str) -> dict[str, str]:
    """Return the attribute with the specimen's spectrum; no attribute without its exit waves."""
    if not (structures := results.spectrum_structures(specimen)):
        return {}
    with contextlib.suppress(StoreError):
        curve = mean_spectrum(structures)
        return {SPECTRUM: json.dumps({specimen: to_json(curve)})}
    return {}


def to_table(performance: xr.Dataset) -> pd.DataFrame:
    """Return the performance as a table with a row for each test specimen and test condition."""
    frame = performance.to_dataframe().reset_index().rename(columns={"test": "condition"})
    axes = axes_of(performance)
    frame = frame.rename(columns={f"test_{axis}": axis for axis in axes})
    frame["images"] = performance.attrs["images"]
    specimen, *others = _COLUMNS
    of_particles = [name for name in OF_PARTICLES if name in performance]
    return frame[[specimen, *axes, *others, *of_particles]]


def own_specimen(performance: xr.Dataset, specimen: str) -> xr.DataArray | None:
    """Return Dice (test) on the training specimen, or None if it was not tested on it."""
    if specimen not in performance.test_specimen.values:
        return None
    return performance.dice.sel(test_specimen=specimen)


def as_trained(dice: xr.DataArray, trained: Condition) -> xr.DataArray:
    """Return the Dice (test) under conditions with a network's own values of further axes.

    Args:
        dice: (test,), mean Dice by the id of the test condition.
        trained: The network's training condition.
    """
    alike = [Condition.parse(str(id)).further == trained.further for id in dice.test.values]
    return dice.isel(test=np.flatnonzero(alike))


def further_words(trained: Condition, dice: xr.DataArray) -> str:
    """Return a network's own values of the study's further axes, such as ``astigmatism 0 nm``.

    `dice` has the coordinates of :meth:`passband.grid.Axes.coordinates`. The words of a study
    without further axes are "".
    """
    values = Axes.of(dice).own | dict(trained.further)
    return ", ".join(AXES[name].named(f"{x:g}") for name, x in values.items())


def between(tested: Iterable[str]) -> list[Condition]:
    """Return the tested conditions, and conditions at values of defocus between them.

    The tested conditions that differ only in defocus get :data:`_STEPS` intervals between their
    smallest and their largest defocus.

    Args:
        tested: Ids of the tested conditions.
    """
    found, defoci = {Condition.parse(id) for id in tested}, {}
    for c in found:
        others = c.cs_um, c.aperture_mrad, c.dose_e_per_A2, c.further
        defoci.setdefault(others, []).append(c.defocus_nm)
    for others, values in defoci.items():
        for value in np.linspace(min(values), max(values), _STEPS + 1):
            found.add(Condition(value, *others))
    return sorted(found)


def region(dice: xr.DataArray, least: float) -> dict[tuple[float, float], dict[float, list]]:
    """Return, by lens and dose, at which values of defocus Dice is above a limit.

    Args:
        dice: (test,), measured or expected mean Dice by condition. All conditions have the same
            values of further axes, see :func:`as_trained`.

    Returns:
        For each pair of Cs [µm] and aperture [mrad], and then for each dose [e/Å²]: a list of
        (defocus [nm], whether Dice is above the limit), by increasing defocus.
    """
    found: dict[tuple[float, float], dict[float, list]] = {}
    above = zip(map(Condition.parse, dice.test.values), dice.values > least, strict=True)
    for c, is_above in sorted(above):
        doses = found.setdefault((c.cs_um, c.aperture_mrad), {})
        doses.setdefault(c.dose_e_per_A2, []).append((c.defocus_nm, bool(is_above)))
    return dict(sorted(found.items()))


def runs(defoci: list[tuple[float, bool]]) -> str:
    """Return the defocus values that are above a limit as text, such as ``-10 to 5, 20``.

    Neighbouring values are joined, if all values between them are above the limit too.
    """
    texts = []
    for above, run in groupby(defoci, lambda pair: pair[1]):
        values = [defocus for defocus, _ in run]
        texts += [span(values[0], values[-1])] * above
    return ", ".join(texts) or "none"
