"""The images of a table of results, which has the counts of pixels of every image.

Nothing is converted, and images are read when they are asked for.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import xarray as xr

from passband import particle_scores
from passband.errors import PassbandError
from passband.matrices.stored import NETWORK
from passband.scores import OUTCOMES, dice, iou, precision, recall

_Score = Callable[[np.ndarray], np.ndarray]
#: Scores of an image that counts of pixels give.
_OF_PIXELS: Mapping[str, _Score] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
}
#: The variable with numbers of particles, which only networks with a head have.
PARTICLES = "particles"
#: The beginning of the names of variables under each network's own training condition.
OWN = "own_"
_ORDER = ("replica", "test", "structure")


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn the error of a reader, in a block or a function, into one that names the damaged table.

    Raises:
        StoreError: If a table of results that was opened is damaged.
    """
    try:
        yield
    except (ValueError, RuntimeError):  # those of Zarr for a damaged chunk
        from passband.storage import datasets  # zarr takes a second to import

        datasets.check_opened()
        raise


class Images:
    """The images of a table, or of one matrix of it. Missing values are NaN.

    Attributes:
        table: The table of results, or those of its cells that belong to a matrix.
        rounding: The largest error that rounding causes in the Dice of an image.
    """

    rounding = 1e-9
    _variable = "counts"

    def __init__(self, table: xr.Dataset):
        self.table = table

    @cached_property
    def _cells(self) -> xr.DataArray:
        if not self.has_any:
            raise PassbandError("the results have means alone, and no images")
        return self.table[self._variable]

    @cached_property
    def _own(self) -> xr.DataArray:
        return self.table[f"{OWN}{self._variable}"]

    @property
    def has_any(self) -> bool:
        """Whether the table has images, and not means alone."""
        return self._variable in self.table

    @property
    def has_own(self) -> bool:
        """Whether networks were tested under their own training conditions, too."""
        return f"{OWN}{self._variable}" in self.table

    @reading()
    def scores(
        self,
        row: int | slice,
        tests: slice | Sequence[int] = slice(None),
        name: str = "dice",
        structures: slice | Sequence[int] = slice(None),
    ) -> np.ndarray:
        """Return a score of each image, (replica, test, structure) float64.

        Args:
            row: Index along `train`; a slice gives the rows as a first dimension.
            tests: Indices along `test`.
            name: One of :attr:`score_names`.
            structures: Indices along `structure`.

        Raises:
            PassbandError: If the table does not give the score.
        """
        self._check(name)
        order = ("train", *_ORDER) if isinstance(row, slice) else _ORDER
        given = {"test": tests, "structure": structures}
        # A tuple would be a variable to xarray.
        places = {dim: x if isinstance(x, slice) else list(x) for dim, x in given.items()}
        return self._scores(self._of_score(name).isel(train=row, **places), order, name)

    @reading()
    def own_scores(self, row: int) -> np.ndarray:
        """Return Dice under the row's own condition, (replica, structure) float64."""
        return self._scores(self._own.isel(train=row), ("replica", "structure"), "dice")

    def mean_scores(self, name: str = "dice") -> xr.DataArray:
        """Return the mean of a score over images; `train`, `replica`, `test` are in any order."""
        found = self.table.dice
        if name == "dice":
            return found
        rows = [self.scores(row, name=name).mean(-1) for row in range(self.table.sizes["train"])]
        dims = ("train", "replica", "test")
        coords = {n: c.variable for n, c in found.coords.items() if {*c.dims} <= {*dims}}
        attrs = {"units": "1", "long_name": f"{name}, mean over structures"}
        return xr.DataArray(np.stack(rows), coords, dims, name, attrs)

    @reading()
    def own_mean(self, row: int) -> np.ndarray:
        """Return the mean Dice under the row's own condition, (replica,) float64."""
        if f"{OWN}dice" not in self.table:
            return self.own_scores(row).mean(-1)
        return self.table[f"{OWN}dice"].isel(train=row).values.astype(float)

    def variable(self, name: str) -> xr.DataArray:
        """Return a variable of the table by its name, with the dimensions of images first.

        Raises:
            PassbandError: If the table has no such variable.
        """
        if name not in self.table.data_vars:
            known = ", ".join(sorted(map(str, self.table.data_vars)))
            raise PassbandError(f"variable = {name!r}: must be one of {known}")
        found = self.table[name]
        return found.transpose(*(d for d in ("train", *_ORDER) if d in found.dims), ...)

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores of images that the table gives."""
        return (*_OF_PIXELS, *(particle_scores.SCORES if PARTICLES in self.table else ()))

    def _check(self, name: str) -> None:
        """Raise PassbandError if the table does not give a score."""
        if name not in self.score_names:
            raise PassbandError(f"score = {name!r}: must be one of {', '.join(self.score_names)}")

    def _of_score(self, name: str) -> xr.DataArray:
        """Return the variable that a score is computed from."""
        return self._cells if name in _OF_PIXELS else self.table[PARTICLES]

    def of(self, table: xr.Dataset) -> "Images":
        """Return the images of some cells of the table, which are given as a table."""
        return type(self)(table)

    @reading()
    def sums(self, row: int) -> dict[str, np.ndarray]:
        """Return the pixels of each outcome, summed over images, (replica, test)."""
        counts = self._cells.isel(train=row).transpose(*_ORDER, "outcome").values.sum(-2)
        return {name: counts[..., k] for k, name in enumerate(OUTCOMES)}

    @reading()
    def particle_pixels(self, test_specimen: int, own: bool = False) -> np.ndarray:
        """Return the particle pixels of images that all networks have in common, float64.

        Args:
            test_specimen: Index along `test_specimen`.
            own: Whether images are under the networks' own conditions.

        Returns:
            (test, structure), or (train, structure) under own conditions.
        """
        kept = "train" if own else "test"
        counts = (self._own if own else self._cells).isel(test_specimen=test_specimen)
        if not own:  # any network, since all have the same images
            done = np.isfinite(self.table.dice.isel(test_specimen=test_specimen, test=0))
            first = np.argwhere(done.transpose(*NETWORK).values)[0]
            counts = counts.isel(dict(zip(NETWORK, first, strict=True)))
        of = {name: counts.isel(outcome=place) for place, name in enumerate(OUTCOMES)}
        true = of["tp"] + of["fn"]
        true = true.max([name for name in true.dims if name not in (kept, "structure")])
        return true.transpose(kept, "structure").values

    def _scores(self, cells: xr.DataArray, order: tuple[str, ...], name: str) -> np.ndarray:
        if name in _OF_PIXELS:
            return _OF_PIXELS[name](cells.transpose(*order, "outcome").values)
        numbers = cells.transpose(*order, "truth", "number").values
        return particle_scores.SCORES[name](numbers)
