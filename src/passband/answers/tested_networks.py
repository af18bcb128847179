"""The networks of a finished study, their measured Dice, and the fitted models of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.analysis.spectra import (
    Spectrum,
    flat_spectrum,
    from_json,
    mean_spectrum,
    stored_spectra,
    to_json,
)
from passband.answers import fitted_models
from passband.answers.further_tests import read_extra
from passband.config import Study
from passband.grid import Condition, is_condition, of_conditions
from passband.imaging.structures import Structures
from passband.matrices import leaving
from passband.matrices.leaving import by_image, image_dice
from passband.network_id import NetworkId
from passband.prediction import covariance, gaussian_process
from passband.prediction.range_of_use import TestedDoses
from passband.prediction.recommend import network_ranking
from passband.prediction.recommend.network_ranking import Group, NetworkDice
from passband.results import Results, layout
from passband.words import number_of

#: Smallest number of training conditions, and of test conditions, for a recommendation.
FEWEST = 4


@dataclass(frozen=True)
class TestedNetworks:
    """The networks of a study, and their Dice for one test specimen.

    Attributes:
        results: The study, or the folder of a published network.
        table: The table of results, for the test specimen.
        extra: Results under further conditions, for the test specimen, see
            :func:`passband.answers.further_tests.read_extra`.
        ranked: The networks that are ranked. With None, all networks are ranked.
        means: Whether the Dice of a network is the mean over replicas, see :meth:`of_replicas`.
        structures: A name for the test structures whose mean the Dice is, see
            :meth:`of_structures`; "" for all.
        also: Conditions whose lens the profiles must represent too, see :meth:`covering`.
    """

    __test__ = False  # pytest must not collect this class

    results: Results
    specimen: str
    table: xr.Dataset
    extra: xr.Dataset | None
    ranked: tuple[NetworkId, ...] | None = None
    means: bool = False
    structures: str = ""
    also: tuple[Condition, ...] = ()

    @property
    def study(self) -> Study:
        """The configuration."""
        return self.results.study

    @classmethod
    def open(
        cls, results: Results, specimen: str | None = None, with_extra: bool = True
    ) -> "TestedNetworks":
        """Open the results of a study, or a published folder.

        A published folder has the table of results of all networks of the same specimen and
        architecture, so that a model can be fitted. Only the published network is ranked.

        Args:
            specimen: The test specimen, which is needed if the study has several.
            with_extra: Whether to read results under further conditions.

        Raises:
            PassbandError: If there is no table of results, if its names are not those of the study,
                if the specimen is missing or unknown, or if there are too few conditions.
        """
        results.check_names()
        stored, extra, ranked = results.table, None, None
        names = [str(name) for name in stored.test_specimen.values]
        if specimen is None and len(names) > 1:
            raise PassbandError(f"--specimen is missing: must be one of {', '.join(names)}")
        if specimen is not None and specimen not in names:
            raise PassbandError(f"--specimen = {specimen!r}: must be one of {', '.join(names)}")
        specimen = names[0] if specimen is None else specimen
        if results.is_published:
            from passband.learning.network_files import open_networks  # torch takes seconds

            ranked = tuple(network.id for network in open_networks(results))
        elif with_extra:
            extra = read_extra(results, ["dice"])
        if extra is not None:
            extra = extra.sel(test_specimen=specimen)
        of_specimen = stored.sel(test_specimen=specimen)
        tested = cls(results, specimen, of_specimen, extra, ranked)
        if results.is_published:
            tested = tested.without_mixtures()
        trained = [len(set(filter(is_condition, train))) for train, *_ in tested.of_groups.values()]
        number = {"training": max(trained, default=0), "test": of_specimen.sizes["test"]}
        for which, count in number.items():
            if count < FEWEST:
                raise PassbandError(
                    f"{results}: has {number_of(count, f'{which} condition')} with results; a "
                    f"recommendation needs {FEWEST} or more"
                )
        return tested

    def without_mixtures(self) -> "TestedNetworks":
        """Return the networks of single conditions, for what compares training conditions."""
        extra = None if self.extra is None else of_conditions(self.extra)
        return replace(self, table=of_conditions(self.table), extra=extra)

    def of_replicas(self) -> "TestedNetworks":
        """Return the mean Dice of all replicas of each training condition, as one network each.

        A study can have more networks than a page can rank. The mean has the id of replica 0.
        """

        def mean(store: xr.Dataset) -> xr.Dataset:
            return store[["dice"]].mean("replica", keep_attrs=True).expand_dims(replica=[0])

        extra = None if self.extra is None else mean(self.extra)
        return replace(self, table=mean(self.table), extra=extra, means=True)

    def of_structures(self, places: Sequence[int], name: str) -> "TestedNetworks":
        """Return the same networks with their mean Dice over some test structures.

        Args:
            places: Indices of the structures.
            name: A name for these structures, which the file of fitted models has.
        """

        def mean(store: xr.Dataset, images: xr.DataArray) -> xr.Dataset:
            dims = store.dice.dims
            images = images.isel(structure=list(places)).load()
            return store.assign(dice=(dims, image_dice(images, *dims, "structure").mean(-1)))

        extra = None if self.extra is None else mean(self.extra, self._extra_counts)
        table = mean(self.table, by_image(self.table))
        return replace(self, table=table, extra=extra, structures=name)

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
        lacking = [c.id for c in self.further if not dict(c.further).keys() <= axes]
        return replace(self, extra=self.extra.drop_sel(test=lacking)) if lacking else self

    @property
    def _grid(self) -> list[Condition]:
        """The conditions whose lenses the profiles represent."""
        own = [*self.study.train_conditions, *self.study.test_conditions]
        return [*own, *self.further, *self.also]

    @cached_property
    def tested(self) -> list[Condition]:
        """The test conditions of the study."""
        return [self.study.axes.parse(str(id)) for id in self.table.test.values]

    @cached_property
    def further(self) -> list[Condition]:
        """The further conditions under which all networks were tested.

        While `passband evaluate` runs, it has tested only some networks under its conditions.
        """
        if self.extra is None:
            return []
        known = {condition.id for condition in self.tested}
        trained = self.table.dice.notnull().all("test")
        every = (self.extra.dice.notnull() | ~trained).all(list(trained.dims))
        ids = self.extra.test.values[every.values]
        return [self.study.axes.parse(str(id)) for id in ids if id not in known]

    @cached_property
    def unlearned(self) -> xr.DataArray:
        """Which networks of the study did not learn, see `learned.unlearned`."""
        return leaving.unlearned(self.results.table, self.study)

    @cached_property
    def unlearned_ids(self) -> frozenset[NetworkId]:
        """The networks that did not learn; of means, if no replica has learned."""
        found = self.unlearned
        if self.means:
            trained = self.results.table.dice.notnull().any(["test_specimen", "test"])
            found = (found | ~trained).all("replica").expand_dims(replica=[0])
        order = "specimen", "architecture", "train", "replica"
        names = [found[name].values.tolist() for name in order]
        return frozenset(
            NetworkId(*(values[k] for values, k in zip(names, place, strict=True)))
            for place in np.argwhere(found.transpose(*order).values)
        )

    @cached_property
    def doses(self) -> TestedDoses:
        """The doses of the tests that the models are fitted to."""
        return TestedDoses.of([*self.tested, *self.further])

    @property
    def left_out(self) -> int:
        """The number of further conditions under which not all networks have valid results."""
        if self.extra is None:
            return 0
        known = {c.id for c in (*self.tested, *self.further)}
        return sum(str(id) not in known for id in self.extra.test.values)

    @cached_property
    def of_groups(self) -> dict[tuple[str, str], tuple[list[str], list[NetworkId], np.ndarray]]:
        """For each specimen and architecture, the networks and their mean Dice.

        The values are the ids of the training conditions (one for each network), the ids of the
        networks, and Dice (network, test) over the conditions of `tested` and `further`. A Dice
        that was not measured is NaN.
        """
        order = ("specimen", "architecture", "train", "replica", "test")
        D = self.table.dice.transpose(*order)
        every = D.values.astype(float)
        if self.extra is not None:
            keys = {name: D[name].values for name in order[:-1]}
            ids = [condition.id for condition in self.further]
            more = self.extra.dice.reindex(keys | {"test": ids}).transpose(*order)
            every = np.concatenate([every, more.values.astype(float)], -1)
        every_train = [str(id) for id in D.train.values]
        every_replica = [int(replica) for replica in D.replica.values]
        groups = {}
        for i, specimen in enumerate(D.specimen.values):
            for j, architecture in enumerate(D.architecture.values):
                trained = np.argwhere(np.isfinite(every[i, j, ..., : D.sizes["test"]]).all(-1))
                name = str(specimen), str(architecture)
                ids = [NetworkId(*name, every_train[t], every_replica[r]) for t, r in trained]
                train = [id.condition for id in ids]
                if any(map(is_condition, train)):
                    groups[name] = train, ids, every[i, j][tuple(trained.T)]
        return groups

    @cached_property
    def _weighting(self) -> list[Structures]:
        """The structures of the spectrum; empty if one of their files is missing."""
        return self.results.spectrum_structures(self.specimen)

    def _mean_spectrum(self) -> Spectrum:
        """Return the test specimen's mean power spectral density; flat without exit waves."""
        published = stored_spectra(self.table.attrs, str(self.results))
        if self.specimen in published:
            return published[self.specimen]
        if not self._weighting:
            return flat_spectrum(self.study.information.flat_power_A2)
        return mean_spectrum(self._weighting)

    @cached_property
    def _fitted(self) -> tuple[Spectrum, list[np.ndarray], list[gaussian_process.GaussianProcess]]:
        """The spectrum of the specimen and the parameters of the models, see `fitted_models`.

        The third value has the models if they were fitted now, and is empty if the parameters were
        known.
        """
        key = fitted_models.key(
            [D for _, _, D in self.of_groups.values()],
            [condition.id for condition in (*self.tested, *self.further)],
            [list(map(str, ids)) for _, ids, _ in self.of_groups.values()],
            self.study.digest,
            [SAMPLES, *covariance.DISTANCES],
            bool(self._weighting),  # without exit waves, the spectrum is flat
        )

        models: list[gaussian_process.GaussianProcess] = []

        def make() -> dict[str, Any]:
            found = self._mean_spectrum()
            models.extend(self._models(found, [None] * len(self.of_groups)))
            return {
                "spectrum": to_json(found),
                "theta": [model.theta.tolist() for model in models],
            }

        def parse(content: dict[str, Any]) -> tuple[Spectrum, list[np.ndarray]]:
            theta = [gaussian_process.parse_parameters(values) for values in content["theta"]]
            if len(theta) != len(self.of_groups):
                raise ValueError(f"{len(theta)} models, not {len(self.of_groups)}")
            return from_json(content["spectrum"]), theta

        if self.ranked is not None:  # no file is added to a published folder
            return *parse(make()), models
        # Models that know only the table, as in a check, and models of means have their own files.
        name = self.specimen + "-table" * (self.extra is None) + "-means" * self.means
        name += f"-{self.structures}" * bool(self.structures)
        name += "-mixtures" * (not all(map(is_condition, map(str, self.table.train.values))))
        file = self.results.path_to_write(layout.FITTED, name=name)
        return *fitted_models.kept(file, key, make, parse), models

    def _models(
        self, spectrum: Spectrum, theta: Sequence[np.ndarray | None]
    ) -> list[gaussian_process.GaussianProcess]:
        """Return the model of each group, fitted or with known parameters."""
        of_tests = self._profiles([*self.tested, *self.further], spectrum)
        models = []
        for (train, _, D), known in zip(self.of_groups.values(), theta, strict=True):
            of_networks = self._network_profiles(train, spectrum)
            models.append(gaussian_process.fit(D, of_networks, of_tests, theta=known))
        return models

    def _network_profiles(self, train: Sequence[str], spectrum: Spectrum) -> Profiles:
        conditions = [Condition.parse(id) for id in dict.fromkeys(train) if is_condition(id)]
        return self._profiles(conditions, spectrum).of(train)

    def _profiles(self, conditions: Sequence[Condition], spectrum: Spectrum) -> Profiles:
        study = self.study
        of_study = study.microscope, SAMPLES, spectrum, study.study.seed
        return profiles(conditions, *of_study, grid=self._grid)

    @cached_property
    def _extra_counts(self) -> xr.DataArray:
        """The results of each image under further conditions."""
        if self.extra.data_vars.keys() > {"dice"}:
            return by_image(self.extra)
        extra = read_extra(self.results, ["counts"])
        return extra.counts.sel(test_specimen=self.specimen)

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
        known = {condition.id: k for k, condition in enumerate((*self.tested, *self.further))}
        own_tests = set(self.table.test.values)
        ids = [condition.id for condition in conditions]
        own = [k for k, id in enumerate(ids) if id in known and id in own_tests]
        further = [k for k, id in enumerate(ids) if id in known and id not in own_tests]
        values = []
        for (specimen, architecture), (train, of_group, D) in self.of_groups.items():
            replicas = [id.replica for id in of_group]
            each = xr.Dataset({"train": ("network", train), "replica": ("network", replicas)})
            found = np.full((3, len(of_group), len(ids)), np.nan)
            for here in filter(len, (own, further)):
                images = by_image(self.table) if here is own else self._extra_counts
                chosen = {"test": [ids[k] for k in here], "specimen": specimen}
                cells = images.sel(chosen | {"architecture": architecture}).load()
                of_networks = cells.sel(train=each.train, replica=each.replica)
                half = _half_widths(image_dice(of_networks, "network", "test", "structure"))
                mean = D[:, [known[ids[k]] for k in here]]
                found[:, :, here] = mean, mean - half, mean + half
            values.append(found)
        mean, low, high = np.concatenate(values, axis=1)
        return NetworkDice(
            networks=tuple(id for _, of_group, _ in self.of_groups.values() for id in of_group),
            test=tuple(conditions),
            mean=mean,
            low=low,
            high=high,
            is_measured=np.isfinite(mean),
        )

    def expected(self, conditions: Sequence[Condition]) -> NetworkDice:
        """Return the Dice of all networks under conditions: measured, or else expected.

        See :func:`passband.prediction.recommend.network_ranking.expected_dice`.
        """
        of = self.covering(conditions)
        measured = of.measured(conditions)
        return network_ranking.expected_dice(of.groups, measured, conditions, of.profiles, of.doses)

    @cached_property
    def groups(self) -> list[Group]:
        """The fitted model of each group of networks."""
        spectrum, theta, models = self._fitted
        models = models or self._models(spectrum, theta)
        return [
            Group(specimen, architecture, tuple(ids), model)
            for ((specimen, architecture), (_, ids, _)), model in zip(
                self.of_groups.items(), models, strict=True
            )
        ]


def _half_widths(scores: np.ndarray) -> np.ndarray:
    """Return the half-width of the interval of each mean of scores (…, structure); NaN for one."""
    from scipy.special import stdtrit  # quantiles of t; scipy.stats takes a second to import

    number = scores.shape[-1]
    if number < 2:
        return np.full(scores.shape[:-1], np.nan)
    quantile = stdtrit(number - 1, (1 + network_ranking.COVERAGE) / 2)
    return quantile * scores.std(-1, ddof=1) / np.sqrt(number)
