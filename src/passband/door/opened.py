"""What was opened, and conditions of its axes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from passband import extras
from passband.axes import AXES, MAIN_AXES
from passband.config import Study, given_conditions
from passband.config.given_conditions import Given
from passband.console import remark
from passband.errors import ArgumentError, PassbandError
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.results import Results

if TYPE_CHECKING:
    from passband.learning.network_files import Network
    from passband.matrices.matrix import Matrix
    from passband.store.made import Made

AnyOpened = TypeVar("AnyOpened", bound="Opened")
Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")

#: What names a condition: itself, its id, or the values of axes by name.
AnyCondition = Condition | str | Mapping[str, float]
#: What is asked for on an axis: a value, or a range as text or as a slice.
Wanted = float | str | slice | None
#: What names conditions: one, several, or a CSV file.
Conditions = AnyCondition | Sequence[AnyCondition] | Path


def shows(
    verb: Callable[Concatenate[AnyOpened, Arguments], Found],
) -> Callable[Concatenate[AnyOpened, Arguments], Found]:
    """Let a verb show results under the configuration that made them, see :attr:`Opened.made`."""

    @wraps(verb)
    def show(self: AnyOpened, *args: Arguments.args, **named: Arguments.kwargs) -> Found:
        return verb(self.made, *args, **named)

    return show


def makes(
    verb: Callable[Concatenate[AnyOpened, Arguments], Found],
) -> Callable[Concatenate[AnyOpened, Arguments], Found]:
    """Let a verb make what the study's file asks for, see :attr:`Opened.asked`."""

    @wraps(verb)
    def make(self: AnyOpened, *args: Arguments.args, **named: Arguments.kwargs) -> Found:
        found = verb(self.asked, *args, **named)
        if self is not self.asked:
            self._forget()
        return found

    return make


class Opened(Results):
    """A study with its results, or a network without them."""

    #: The weights file that was opened.
    weights_file: Path | None = None

    #: The networks of the weights files that were opened.
    _weights: "tuple[Network, ...]" = ()

    @classmethod
    def of_weights(cls, *paths: str | Path) -> Self:
        """Return the study of weights files or published folders, whose networks go together.

        If the first is in a study's folder of results, it is this study.
        """
        extras.check(extras.GRID, f"network = {str(paths[0])!r}")
        from passband.learning.network_files import open_networks

        networks = [network for path in paths for network in open_networks(path)]
        first = networks[0]
        found = cls(None, first.results.folder if first.results else paths[0])
        found.weights_file = Path(paths[0])
        found._weights = tuple(networks)
        return found

    def _read(self) -> Study:
        return self._weights[0].study if self._weights else super()._read()

    # ── What made the results, and what is asked for ─────────────────────────────────────────────

    @cached_property
    def asked(self) -> Self:
        """The same results with the study of today's file."""
        return self

    @property
    def made(self) -> Self:
        """The same results with the study that made them.

        If today's file asks for others, a line on standard error says so once.
        """
        return self.asked._made

    @cached_property
    def _differs(self) -> "Made | None":
        """What made the results, if today's file asks for others."""
        if self.is_alone:
            return None
        from passband.store import made  # xarray takes a second to import

        if self._weights:  # whose study is the one that made them
            return made.of_network(self.study, self)
        return made.of(self)

    @cached_property
    def _made(self) -> Self:
        found = self._differs
        if found is None:
            return self
        remark(found.line())
        if self._weights:
            return self
        same = type(self)(found.before, self.folder, self._file, self.noun)
        same.trusts_stored = self.trusts_stored
        if self.trusts_stored:
            found.before.known_parts.trust()
        # The code of stored parts must not run because the user has named today's file.
        vars(same).update(study=found.before, asked=self)
        return same

    def refuse_mixed(self, *kinds: str) -> None:
        """Raise PassbandError if what today's file asks for would be mixed with results.

        Args:
            kinds: What would be mixed, of :data:`passband.store.made.KINDS`.
        """
        found = self.asked._differs
        if found is not None and (line := found.line(*kinds)):
            raise PassbandError(line)

    @shows
    def matrices(self) -> "list[Matrix]":
        """Return M(i, j) of each specimen, architecture and test specimen.

        Raises:
            PassbandError: If there is no table of results, or if it is damaged.
        """
        return super().matrices()

    @property
    def is_alone(self) -> bool:
        """Whether this is a network without the folder of its study."""
        return self.is_published or self.weights_file == self.folder

    def check_has(self, store: str) -> None:
        """Raise PassbandError if a store does not exist."""
        if self.weights_file == self.folder:
            raise PassbandError(f"{self}: is a network alone, without the results of its study")
        super().check_has(store)

    def try_parts(self) -> None:
        """Try what may not fit or run: particles of some specimens, and the study's own parts.

        Raises:
            PassbandError: If something does not, or if the study's own parts are not trusted.
        """
        if self.study.needs_trial:
            from passband.imaging import image_trial  # ase takes a second to import

            image_trial.check(self.study)
        if self.study.known_parts.own:
            self.check_trusted()
            from passband.analysis import metric_trial

            metric_trial.check(self.study)
        if self.study.training.has_own_parts:
            from passband.learning import network_trial  # torch takes seconds to import

            network_trial.check(self.study)

    def _forget(self) -> None:
        """Read stores and weights again when they are next used, since they may have changed."""
        for name in ("table", "ood", "information", "prediction", "networks"):
            vars(self).pop(name, None)
        for name in ("present", "source", "_tested", "_made", "_differs"):
            vars(self).pop(name, None)

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
                return axes.asked(given.numbers())
            if isinstance(given, str):
                return axes.parse(given)
            values = {n: AXES[n].parse(str(x), f"{n} = {x!r}") for n, x in given.items()}
            return axes.asked(values)
        except ValueError as error:
            raise PassbandError(str(error)) from None

    def given_conditions(self, conditions: Conditions) -> list[Given]:
        """Return conditions that are given one by one or in a CSV file, whose names end so."""
        if isinstance(conditions, Path):
            return given_conditions.read(conditions)
        if isinstance(conditions, str) and conditions.endswith(".csv"):
            return given_conditions.read(Path(conditions))
        one = isinstance(conditions, Condition | str | Mapping)
        every = [conditions] if one else conditions
        return [Given(self.condition(each).numbers()) for each in every]

    def open_networks(
        self, network: NetworkId | str | Iterable[NetworkId | str] | None = None
    ) -> "list[Network]":
        """Return the networks with an id, or several, with their weights.

        By default, they are those of the weights files that were opened.
        """
        from passband.learning.network_files import open_networks

        ids = [network] if isinstance(network, NetworkId | str) else list(network or ())
        if self._weights and not ids:
            return list(self._weights)
        source = self.weights_file if self.weights_file and self.is_alone else self
        if not self.is_alone:
            self.existing()
        wanted = [NetworkId.parse(id) if isinstance(id, str) else id for id in ids]
        found = [each for id in wanted or [None] for each in open_networks(source, id)]
        return list({(each.path, each.id): each for each in found}.values())


def with_values(
    given: Mapping[str, Wanted] | None, values: Mapping[str, Wanted]
) -> dict[str, float | str | None]:
    """Return values of axes that are given as a mapping, as keywords, or both.

    A slice is a range, as for :meth:`passband.matrices.Matrix.sel`.

    Raises:
        ArgumentError: If a value is given twice, or an end of a slice is missing.
    """
    found: dict[str, float | str | None] = {}
    for name, value in (*(given or {}).items(), *values.items()):
        if name in found:
            raise ArgumentError(f"{name} = {value!r}: is given twice")
        if isinstance(value, slice):
            if value.start is None or value.stop is None or value.step is not None:
                raise ArgumentError(f"{name} = {value!r}: must have two ends, and no step")
            value = f"{value.start}:{value.stop}"
        found[name] = value
    return found


def check_names_of(given: Mapping[str, object]) -> None:
    """Raise PassbandError if a value of a condition is missing, or if a name is no axis."""
    if missing := [name for name in MAIN_AXES if name not in given]:
        raise PassbandError(f"{missing[0]} is missing: give {', '.join(MAIN_AXES)}")
    check_axes(given)


def check_axes(names: Iterable[str]) -> None:
    """Raise ArgumentError if a name is no axis."""
    if unknown := [name for name in names if name not in AXES]:
        raise ArgumentError(f"{unknown[0]!r}: is no axis; axes are {', '.join(AXES)}")
