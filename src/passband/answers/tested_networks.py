"""The networks of a finished study, their measured Dice, and the fitted models of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.analysis.spectra import (
    Spectrum,
    flat_spectrum,
    from_json,
    mean_spectrum,
    stored_spectra,
    to_json,
)
from passband.answers.further_tests import read_further
from passband.answers.tested_rows import TestedRows
from passband.config import Study
from passband.errors import ArgumentError, PassbandError
from passband.grid import Condition
from passband.imaging.structures import Structures
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import matrices
from passband.matrices.stored import NETWORK
from passband.network_id import NetworkId
from passband.prediction import covariance, gaussian_process
from passband.prediction.range_of_use import TestedDoses
from passband.prediction.recommend import network_dice
from passband.prediction.recommend.network_dice import FittedNetworks, NetworkDice, half_widths
from passband.reports.unlearned import sentence
from passband.results import Results, layout
from passband.store import kept
from passband.words import number_of

#: Smallest number of training conditions, and of test conditions, for a recommendation.
FEWEST = 4


@dataclass(frozen=True)
class TestedNetworks:
    """The networks of a study, and their Dice for one test specimen.

    Attributes:
        results: The study, or the folder of a published network.
        specimen: The test specimen.
        matrices: The matrices of the test specimen.
        further_matrices: The matrices of the same networks under further conditions, in the same
            order, see :func:`passband.answers.further_tests.read_further`; None without any.
        ranked: The networks that are ranked. With None, all networks are ranked.
        means: Whether the Dice of a network is the mean over replicas, see :meth:`of_replicas`.
        places: Indices of the test structures whose mean the Dice is; () for all.
        structures: A name for these structures, see :meth:`of_structures`; "" for all.
        also: Conditions whose lens the profiles must represent too, see :meth:`covering`.
    """

    __test__ = False  # pytest must not collect this class

    results: Results
    specimen: str
    matrices: tuple[Matrix, ...]
    further_matrices: tuple[Matrix, ...] | None = None
    ranked: tuple[NetworkId, ...] | None = None
    means: bool = False
    places: tuple[int, ...] = ()
    structures: str = ""
    also: tuple[Condition, ...] = ()

    @property
    def study(self) -> Study:
        """The configuration."""
        return self.results.study

    @classmethod
    def open(
        cls,
        results: Results,
        specimen: str | None = None,
        with_further: bool = True,
    ) -> "TestedNetworks":
        """Open the results of a study, or a published folder.

        A published folder has the table of results of all networks of the same specimen and
        architecture, so that a model can be fitted. Only the published network is ranked.

        Args:
            specimen: The test specimen, which is needed if the study has several.
            with_further: Whether to read results under further conditions.

        Raises:
            PassbandError: If there is no table of results, if its names are not those of the study,
                if the specimen is missing or unknown, or if there are too few conditions.
        """
        results.check_names()
        every = results.matrices()
        names = list(dict.fromkeys(matrix.test_specimen for matrix in every))
        if specimen is None and len(names) > 1:
            raise ArgumentError(f"specimen is missing: must be one of {', '.join(names)}")
        if specimen is not None and specimen not in names:
            raise ArgumentError(f"specimen = {specimen!r}: must be one of {', '.join(names)}")
        specimen = names[0] if specimen is None else specimen
        matrices = tuple(matrix for matrix in every if matrix.test_specimen == specimen)
        if results.is_published:
            from passband.learning.network_files import open_networks  # torch takes seconds

            ranked = tuple(network.id for network in open_networks(results))
            tested = cls(results, specimen, matrices, ranked=ranked)
            tested = tested.without_mixtures()
        else:
            further = _read_further(results, specimen, "dice") if with_further else None
            tested = cls(results, specimen, matrices, further)
        trained = [len(set(rows.train) - {*rows.matrix.mixtures}) for rows in tested.of_matrices]
        number = {"training": max(trained, default=0), "test": len(tested.tested)}
        for which, count in number.items():
            if count < FEWEST:
                raise PassbandError(
                    f"{results}: has {number_of(count, f'{which} condition')} with results; a "
                    f"recommendation needs {FEWEST} or more"
                )
        return tested

    def without_mixtures(self) -> "TestedNetworks":
        """Return the networks of single conditions, for what compares training conditions."""
        further = self.further_matrices and tuple(
            matrix.of_conditions() for matrix in self.further_matrices
        )
        own = tuple(matrix.of_conditions() for matrix in self.matrices)
        return replace(self, matrices=own, further_matrices=further)

    def of_replicas(self) -> "TestedNetworks":
        """Return the mean Dice of all replicas of each training condition, as one network each.

        A study can have more networks than a page can rank. The mean has the id of replica 0.
        """
        return replace(self, means=True)

    def of_structures(self, places: Sequence[int], name: str) -> "TestedNetworks":
        """Return the same networks with their mean Dice over some test structures.

        Args:
            places: Indices of the structures.
            name: A name for these structures, which the file of fitted models has.
        """
        return replace(
            self, further_matrices=self._further_images, places=tuple(places), structures=name
        )

    def covering(self, conditions: Iterable[Condition]) -> "TestedNetworks":
        """Return the same networks, with profiles that represent the lens of further conditions.

        The number of azimuths of the profiles is that of the study's lenses. A lens that is less
        round needs more azimuths. The parameters of the fitted models stay the same: for the
        conditions of the study, both numbers of azimuths give the same distances.
        """
        known = {condition.further for condition in self._grid}
        found = {c.further: c for c in conditions if c.further not in known}
        return replace(self, also=(*self.also, *found.values())) if found else self

    def within_axes(self) -> "TestedNetworks":
        """Return the same networks, without further conditions on axes that the study lacks."""
        axes = set(self.study.axes.own)
        lacking = {c.id for c in self.further if not dict(c.further).keys() <= axes}
        if not lacking:
            return self
        kept = [k for k, id in enumerate(self.further_matrices[0].columns) if id not in lacking]
        return replace(
            self, further_matrices=tuple(matrix.take(test=kept) for matrix in self.further_matrices)
        )

    @property
    def _grid(self) -> list[Condition]:
        """The conditions whose lenses the profiles represent."""
        own = [*self.study.train_conditions, *self.study.test_conditions]
        return [*own, *self.further, *self.also]

    @cached_property
    def tested(self) -> list[Condition]:
        """The test conditions of the study."""
        return [self.study.axes.parse(id) for id in self.matrices[0].columns]

    @cached_property
    def further(self) -> list[Condition]:
        """The further conditions under which all networks were tested.

        While `passband evaluate` runs, it has tested only some networks under its conditions.
        """
        if self.further_matrices is None:
            return []
        known = {condition.id for condition in self.tested}
        everywhere = [
            (np.isfinite(there) | ~np.isfinite(here).all(-1, keepdims=True)).all((0, 1))
            for here, there in zip(self._table_dice, self._further_dice, strict=True)
        ]
        ids = [self.further_matrices[0].columns[k] for k in np.flatnonzero(np.all(everywhere, 0))]
        return [self.study.axes.parse(id) for id in ids if id not in known]

    @cached_property
    def unlearned(self) -> frozenset[NetworkId]:
        """The networks that did not learn; of means, if no replica has learned."""
        found: set[NetworkId] = set()
        for matrix in self.matrices:
            none = ~matrix.learned.any(1, keepdims=True)
            found |= {*self._ids(matrix, none if self.means else matrix.unlearned)}
        return frozenset(found)

    @cached_property
    def remark(self) -> str:
        """A sentence on the networks that did not learn; "" if there are none."""
        return sentence(self.results.matrices())

    @cached_property
    def doses(self) -> TestedDoses:
        """The doses of the tests that the models are fitted to."""
        return TestedDoses.of([*self.tested, *self.further])

    @property
    def left_out(self) -> int:
        """The number of further conditions under which not all networks have valid results."""
        if self.further_matrices is None:
            return 0
        known = {c.id for c in (*self.tested, *self.further)}
        return sum(id not in known for id in self.further_matrices[0].columns)

    @cached_property
    def of_matrices(self) -> list[TestedRows]:
        """The networks of each matrix that has some of a single training condition."""
        places = [
            self.further_matrices[0].columns.index(condition.id) for condition in self.further
        ]
        found = []
        for k, matrix in enumerate(self.matrices):
            dice = self._table_dice[k]
            is_tested = np.isfinite(dice).all(-1)
            if places:
                dice = np.concatenate([dice, self._further_dice[k][..., places]], -1)
            if is_tested[~matrix.is_mixture].any():
                ids = tuple(self._ids(matrix, is_tested))
                found.append(TestedRows(matrix, is_tested, ids, dice[is_tested]))
        return found

    @cached_property
    def _table_dice(self) -> list[np.ndarray]:
        return [self._dice(matrix) for matrix in self.matrices]

    @cached_property
    def _further_dice(self) -> list[np.ndarray]:
        return [self._dice(matrix) for matrix in self.further_matrices or ()]

    def _dice(self, matrix: Matrix) -> np.ndarray:
        """Return the mean Dice of a matrix's networks, (row, replica, test) float64."""
        if self.places:
            return matrix.images(structures=self.places).mean(-1)
        found = matrix.by_network
        if self.means:
            found = found.mean("replica").expand_dims("replica", 1)
        return found.values.astype(float)

    def _ids(self, matrix: Matrix, which: np.ndarray) -> Iterator[NetworkId]:
        """Yield the ids of some networks, (row, replica) bool."""
        replicas = [0] if self.means else matrix.replicas
        for row, place in np.argwhere(which):
            yield NetworkId(matrix.specimen, matrix.architecture, matrix.rows[row], replicas[place])

    @cached_property
    def _weighting(self) -> list[Structures]:
        """The structures of the spectrum; empty if one of their files is missing."""
        return self.results.spectrum_structures(self.specimen)

    def _mean_spectrum(self) -> Spectrum:
        """Return the test specimen's mean power spectral density; flat without exit waves."""
        published = stored_spectra(self.results.table.attrs, str(self.results))
        if self.specimen in published:
            return published[self.specimen]
        if not self._weighting:
            return flat_spectrum()
        return mean_spectrum(self._weighting)

    @cached_property
    def _fitted(self) -> tuple[Spectrum, list[np.ndarray], list[gaussian_process.GaussianProcess]]:
        """The spectrum of the specimen and the parameters of the models, see `passband.store.kept`.

        The third value has the models if they were fitted now, and is empty if the parameters were
        known.
        """
        recipe = kept.recipe(
            "recommend",
            {
                "study": self.study.digest,
                "tests": [condition.id for condition in (*self.tested, *self.further)],
                "networks": [list(map(str, rows.networks)) for rows in self.of_matrices],
                "model": [SAMPLES, *covariance.DISTANCES],
                "weighted": bool(self._weighting),  # without exit waves, the spectrum is flat
            },
            [rows.dice for rows in self.of_matrices],
        )

        models: list[gaussian_process.GaussianProcess] = []

        def make() -> dict[str, Any]:
            found = self._mean_spectrum()
            models.extend(self._models(found, [None] * len(self.of_matrices)))
            return {
                "spectrum": to_json(found),
                "theta": [model.theta.tolist() for model in models],
            }

        def parse(content: dict[str, Any]) -> tuple[Spectrum, list[np.ndarray]]:
            theta = [gaussian_process.parse_parameters(values) for values in content["theta"]]
            if len(theta) != len(self.of_matrices):
                raise ValueError(f"{len(theta)} models, not {len(self.of_matrices)}")
            return from_json(content["spectrum"]), theta

        if self.ranked is not None:  # no file is added to a published folder
            return *parse(make()), models
        # Models that know only the table, as in a check, and models of means have their own files.
        name = self.specimen + "-table" * (self.further_matrices is None) + "-means" * self.means
        name += f"-{self.structures}" * bool(self.structures)
        name += "-mixtures" * any(matrix.mixtures for matrix in self.matrices)
        file = self.results.path_to_write(layout.FITTED, name=name)
        return *kept.kept(file, recipe, make=make, parse=parse), models

    def _models(
        self, spectrum: Spectrum, theta: Sequence[np.ndarray | None]
    ) -> list[gaussian_process.GaussianProcess]:
        """Return the model of each matrix, fitted or with known parameters."""
        test = self._profiles([*self.tested, *self.further], spectrum)
        models = []
        for rows, known in zip(self.of_matrices, theta, strict=True):
            train = self._network_profiles(rows.train, spectrum)
            models.append(gaussian_process.fit(rows.dice, train, test, theta=known))
        return models

    def _network_profiles(self, train: Sequence[str], spectrum: Spectrum) -> Profiles:
        mixtures = {id for matrix in self.matrices for id in matrix.mixtures}
        conditions = [Condition.parse(id) for id in dict.fromkeys(train) if id not in mixtures]
        return self._profiles(conditions, spectrum).of(train)

    def _profiles(self, conditions: Sequence[Condition], spectrum: Spectrum) -> Profiles:
        study = self.study
        of_study = study.microscope, SAMPLES, spectrum, study.study.seed
        return profiles(conditions, *of_study, grid=self._grid)

    @cached_property
    def _further_images(self) -> tuple[Matrix, ...] | None:
        """The results of each image under further conditions, which are read when needed."""
        has_images = bool(self.further_matrices) and self.further_matrices[0].has_images
        if self.further_matrices is None or has_images:
            return self.further_matrices
        found = {each.name: each for each in _read_further(self.results, self.specimen, "counts")}
        return tuple(found[means.name].like(means) for means in self.further_matrices)

    def profiles(self, conditions: Sequence[Condition]) -> Profiles:
        """Return the profiles of conditions, see :func:`passband.analysis.profiles.profiles`."""
        return self._profiles(conditions, self._fitted[0])

    def network_profiles(self, train: Sequence[str]) -> Profiles:
        """Return the profile of each network's training condition; NaN for that of a mixture."""
        return self._network_profiles(train, self._fitted[0])

    def measured(self, conditions: Sequence[Condition]) -> NetworkDice:
        """Return measured mean Dice of all networks under conditions; NaN where none was tested.

        The interval of the mean over structures is the one of Student's t distribution.
        """
        every = [condition.id for condition in (*self.tested, *self.further)]
        ids = [condition.id for condition in conditions]
        own = [k for k, id in enumerate(ids) if id in every[: len(self.tested)]]
        further = [k for k, id in enumerate(ids) if id in every[len(self.tested) :]]
        values = []
        for rows in self.of_matrices:
            found = np.full((3, len(rows.networks), len(ids)), np.nan)
            for here in filter(None, (own, further)):
                matrix = rows.matrix
                if here is further:
                    matrix = self._further_images[self.matrices.index(matrix)]
                tests = [ids[k] for k in here]
                images = matrix.images(tests=tests)[rows.is_tested]
                half = half_widths(images)
                mean = rows.dice[:, [every.index(ids[k]) for k in here]]
                found[:, :, here] = mean, mean - half, mean + half
            values.append(found)
        mean, low, high = np.concatenate(values, axis=1)
        return NetworkDice(
            networks=tuple(id for rows in self.of_matrices for id in rows.networks),
            test=tuple(conditions),
            mean=mean,
            low=low,
            high=high,
            is_measured=np.isfinite(mean),
        )

    def expected(self, conditions: Sequence[Condition]) -> NetworkDice:
        """Return the Dice of all networks under conditions: measured, or else expected.

        See :func:`passband.prediction.recommend.network_dice.expected_dice`.
        """
        of = self.covering(conditions)
        measured = of.measured(conditions)
        return network_dice.expected_dice(of.fitted, measured, conditions, of.profiles, of.doses)

    @cached_property
    def fitted(self) -> list[FittedNetworks]:
        """The networks of each matrix with their fitted model."""
        spectrum, theta, models = self._fitted
        models = models or self._models(spectrum, theta)
        return [
            FittedNetworks(rows.matrix.specimen, rows.matrix.architecture, rows.networks, model)
            for rows, model in zip(self.of_matrices, models, strict=True)
        ]


def _read_further(results: Results, specimen: str, variable: str) -> tuple[Matrix, ...] | None:
    """Return the results of the table's networks under further conditions, or None.

    Args:
        variable: ``dice``; or ``counts`` or ``particles``, which need more memory.
    """
    found = read_further(results, [variable])
    if found is None or variable not in found:
        return None
    of_table = {name: results.table[name].values for name in NETWORK}
    return tuple(matrices(found.sel(test_specimen=[specimen]).reindex(of_table, copy=False)))
