"""M(i, j): the Dice of networks of one specimen and architecture on one test specimen."""

import html
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from passband.errors import PassbandError
from passband.grid import axes_of
from passband.matrices.conditions import Conditions
from passband.matrices.selection import Place, Wanted, selected
from passband.matrices.stored import GROUP, NETWORK, MatrixName, Source
from passband.matrices.table_images import Images, reading
from passband.network_id import NetworkId
from passband.parts import PACKAGE
from passband.words import number_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SIDES = ("train", "test")


class Matrix(Conditions):
    """M(i, j) of one specimen, architecture and test specimen, from `passband.open(…).matrices()`.

    Row i has the networks that were trained under a condition or a mixture of conditions, and
    column j has a test condition. Results are read when they are used.

    Args:
        name: Specimen, architecture and test specimen.
        source: The results of the study.
        cells: The matrix's part of the table, or of the OOD metrics.
        images: The images of this part of the table; None without a table.
        whole: The matrix that this one is a part of; None if it is whole.

    Example:
        >>> (matrix,) = demo.matrices()
        >>> lost = matrix.loss.max("test")
        >>> high = matrix.sel(dose_e_per_A2=1000).dice
    """

    def __init__(
        self,
        name: MatrixName,
        source: Source,
        cells: xr.Dataset,
        images: Images | None = None,
        whole: "Matrix | None" = None,
    ):
        super().__init__(name, cells)
        self.source = source
        self._images = images
        self._whole = self if whole is None else whole

    # ── Networks ──────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def replicas(self) -> tuple[int, ...]:
        """The numbers of the replicas."""
        return tuple(int(number) for number in self._tests.table.replica.values)

    @cached_property
    def trained(self) -> np.ndarray:
        """Whether each network was tested under all conditions, (row, replica) bool."""
        return np.asarray(np.isfinite(self.by_network.values).all(-1))

    @property
    def ids(self) -> tuple[NetworkId, ...]:
        """Ids of the networks of :attr:`trained`, by row and replica."""
        return tuple(
            NetworkId(self.specimen, self.architecture, self.rows[row], self.replicas[replica])
            for row, replica in np.argwhere(self.trained)
        )

    @cached_property
    def unlearned(self) -> np.ndarray:
        """Which networks did not learn, (row, replica) bool, see :mod:`passband.matrices.learned`.

        Raises:
            PassbandError: If the matrix has no table of results.
        """
        of: dict[str, list] = {
            "specimen": [self.specimen],
            "architecture": [self.architecture],
            "train": list(self.rows),
        }
        if self._images is not None:
            of["replica"] = list(self.replicas)
        # OOD metrics may have networks that a newer table has not: NaN, which is not above 0.
        found = self.source.unlearned.astype(float).reindex(of)
        return found.transpose(*NETWORK).values[0, 0] > 0

    @property
    def learned(self) -> np.ndarray:
        """Which networks have results and learned, (row, replica) bool, see :attr:`unlearned`."""
        return self.trained & ~self.unlearned

    # ── Dice ──────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def dice(self) -> xr.DataArray:
        """M(i, j), (train, test): the mean Dice over replicas and test structures."""
        if self._images is None:
            return self.metrics.dice.transpose(*_SIDES)
        return self.score("dice")

    @property
    def diagonal(self) -> np.ndarray:
        """M(j, j), (test,): NaN if no network was trained under the test condition.

        Networks that were left out by :meth:`sel` or :meth:`take` count, too.
        """
        whole = self._whole
        M = whole.dice.values
        own = {whole.columns[k]: M[row, k] for row, k in enumerate(whole.own) if k is not None}
        return np.array([own.get(id, np.nan) for id in self.columns])

    @property
    def loss(self) -> xr.DataArray:
        """M(j, j) − M(i, j), (train, test): what a network loses to one trained under j.

        It is NaN where :attr:`diagonal` is. Without a table of results, it is the OOD metric
        `gap_test`.
        """
        if self._images is None and "gap_test" in self._cells:
            return self._cells.gap_test.transpose(*_SIDES).rename("loss")
        words = {"units": "1", "long_name": "loss of Dice, M(j, j) − M(i, j)"}
        lost = self.diagonal - self.dice.values
        return self.dice.copy(data=lost).assign_attrs(words).rename("loss")

    def score(self, name: str) -> xr.DataArray:
        """Return a score, (train, test): its mean over replicas and test structures.

        Args:
            name: ``dice``, ``iou``, ``precision`` or ``recall``; for networks with a head also
                ``instance_f1``, ``instance_f1_visible``, ``count_error`` or ``diameter_bias``, see
                docs/metrics.md.

        Raises:
            PassbandError: If the results do not have the score.
        """
        found = self.by_network if name == "dice" else self._tests.mean_scores(name)
        return found.mean("replica", keep_attrs=True).transpose(*_SIDES)

    @cached_property
    @reading()
    def by_network(self) -> xr.DataArray:
        """The mean Dice of each network, (train, replica, test); NaN if it is missing."""
        return self._tests.mean_scores().transpose("train", "replica", "test").compute()

    @property
    @reading()
    def training(self) -> xr.Dataset:
        """What is known of networks from their training: `val_loss` and `best_epoch`.

        They are (train, replica), see docs/metrics.md.
        """
        table = self._tests.table
        names = [name for name in ("val_loss", "best_epoch") if name in table]
        return table[names].transpose("train", "replica").compute()

    @property
    def structures(self) -> int:
        """The number of test structures."""
        return self._tests.table.sizes["structure"]

    def images(
        self,
        row: Place | None = None,
        tests: Place | slice | Sequence[Place] | np.ndarray = slice(None),
        score: str = "dice",
        structures: slice | Sequence[int] = slice(None),
    ) -> np.ndarray:
        """Return a score of each image of a row's networks, (replica, test, structure) float64.

        Args:
            row: Its index, or the training condition or mixture. Without it, the result has all
                rows, (row, replica, test, structure), which may need much memory.
            tests: A column, or several, as rows are given; by default all.
            score: See :meth:`score`.
            structures: Indices of test structures; by default all.
        """
        if isinstance(tests, Place | np.integer):
            tests = [tests]
        if not isinstance(tests, slice):
            tests = [self.column(each) for each in tests]
        rows = slice(None) if row is None else self.row(row)
        return self._tests.scores(rows, tests, score, structures)

    @property
    def score_names(self) -> tuple[str, ...]:
        """The names of the scores that :meth:`score` and :meth:`images` can return."""
        return self._tests.score_names

    def has_variable(self, name: str) -> bool:
        """Return whether the table of results has a variable, see :meth:`variable`."""
        return self._images is not None and name in self._images.table

    def variable(self, name: str) -> xr.DataArray:
        """Return any variable of the table of results, (train, replica, test, structure, …).

        It is not read yet, and need not have all of these dimensions.
        """
        return self._tests.variable(name)

    def sums(self, row: Place) -> dict[str, np.ndarray]:
        """Return the pixels of each outcome, summed over images, each (replica, test).

        They are `tp`, `fp` and `fn`.
        """
        return self._tests.sums(self.row(row))

    @property
    def has_images(self) -> bool:
        """Whether the results have images, and not means alone."""
        return self._images is not None and self._images.has_any

    @property
    def has_own_tests(self) -> bool:
        """Whether networks were tested under their own conditions, apart from the columns."""
        return self._tests.has_own

    def home(self, row: Place, images: np.ndarray | None = None) -> np.ndarray | None:
        """Return the Dice of each image under a row's own condition, (replica, structure) float64.

        It is that of the row's own column, or of the network's own test, or for a mixture the
        expectation over it. None without any of them.

        Args:
            images: What :meth:`images` returns, if it is known.
        """
        row = self.row(row)
        own = self.own[row]
        if own is not None:
            return self.images(row, [own])[:, 0] if images is None else images[:, own]
        if self.has_own_tests:
            return self._tests.own_scores(row)
        weights = self.expectations.get(row)
        if weights is None:
            return None
        return np.einsum("t,rts->rs", weights, self.images(row) if images is None else images)

    def home_mean(self, row: Place) -> np.ndarray | None:
        """Return the mean of :meth:`home` over images, (replica,) float64, from means alone."""
        row = self.row(row)
        own = self.own[row]
        if own is None and self.has_own_tests:
            return self._tests.own_mean(row)
        means = self.by_network.isel(train=row).values.astype(float)
        if own is not None:
            return means[:, own]
        weights = self.expectations.get(row)
        return None if weights is None else means @ weights

    @cached_property
    def metrics(self) -> xr.Dataset:
        """The OOD metrics, (train, test) and (train,), see docs/metrics.md.

        Raises:
            PassbandError: If there are none.
        """
        if self._images is None:
            return self._cells
        found = self.source.metrics
        if self.name not in found:
            raise PassbandError(f"{self.label}: there are no OOD metrics of it; run the study")
        stored = found[self.name]
        places = {}
        for side, ids in zip(_SIDES, (self.rows, self.columns), strict=True):
            known = stored[side].values.tolist()
            if known != [*ids]:  # the same conditions need no copy
                places[side] = list(ids)
            if lacking := sorted({*ids} - {*known}):
                raise PassbandError(
                    f"{self.label}: the OOD metrics have no {side} = {lacking[0]}, which the table "
                    "of results has; run the study again"
                )
        return stored.sel(places)

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────

    def take(
        self,
        train: Sequence[int] | np.ndarray | None = None,
        test: Sequence[int] | np.ndarray | None = None,
        replica: Sequence[int] | np.ndarray | None = None,
    ) -> "Matrix":
        """Return the matrix of some rows, columns and replicas, by their indices."""
        given = {"train": train, "test": test, "replica": replica}
        chosen = {name: list(places) for name, places in given.items() if places is not None}
        cells = self._cells.isel(chosen)
        images = self._images and self._images.of(cells)
        return Matrix(self.name, self.source, cells, images, self._whole)

    def of_conditions(self) -> "Matrix":
        """Return the matrix without the rows of mixtures."""
        return self.take(np.flatnonzero(~self.is_mixture)) if self.mixtures else self

    def like(self, other: "Matrix") -> "Matrix":
        """Return the rows, columns and replicas that another matrix has, in its order."""
        sides = (
            (self.rows, other.rows),
            (self.columns, other.columns),
            (self.replicas, other.replicas),
        )
        chosen = []
        for own, wanted in sides:
            place = {each: k for k, each in enumerate(own)}
            chosen.append([place[each] for each in wanted])
        return self.take(*chosen)

    def sel(self, **values: Wanted) -> "Matrix":
        """Return the matrix of the conditions with some values of axes.

        Mixtures, which have no such values, are left out if training conditions are selected.

        Args:
            values: By the name of an axis, for both sides, or by ``train_`` or ``test_`` and its
                name, for one side. A value, several, or a slice, whose ends belong to it.

        Raises:
            PassbandError: If there is no such axis, or no condition with such a value.

        Example:
            >>> noisy = matrix.sel(dose_e_per_A2=100)
            >>> elsewhere = matrix.sel(train_defocus_nm=slice(0, 10), test_defocus_nm=[20, 30])
        """
        return self.take(**selected(self._cells, values))

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a table with a row for each cell: conditions, their values, Dice and loss."""
        cells = xr.Dataset({"dice": self.dice, "loss": self.loss})
        frame = cells.to_dataframe(dim_order=_SIDES).reset_index()
        sides = [c for s in _SIDES for c in (s, *(f"{s}_{n}" for n in axes_of(self._cells)))]
        return frame.assign(**self.name._asdict()).loc[:, [*GROUP, *sides, "dice", "loss"]]

    def plot(self, width_cm: float = 17.0) -> "Figure":
        """Return the figure of the matrix and of :attr:`loss`, as the report has it.

        A notebook shows the figure that a cell returns.
        """
        import matplotlib.pyplot as plt

        draw = PACKAGE.get("figure", "matrix").load()
        with plt.rc_context():  # the theme is that of this figure alone
            figure = draw([self], width_cm)
        if "inline" in plt.get_backend():
            plt.close(figure)  # a notebook shows all open figures, and so this one twice
        return figure

    def __repr__(self) -> str:
        mixed = f" and {number_of(len(self.mixtures), 'mixture')}" if self.mixtures else ""
        train = number_of(len(self.train), "training condition")
        test = number_of(len(self.test), "test condition")
        return f"<Matrix {self.label}: {train}{mixed} × {test}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a line, and Dice."""
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.dice._repr_html_()}"

    @property
    def _tests(self) -> Images:
        if self._images is None:
            raise PassbandError(f"{self.label}: these are OOD metrics, without a table of results")
        return self._images
