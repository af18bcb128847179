"""Tells which jobs of a study would run again since the study's file asks for something else.

What a job depends on follows from a study alone, as the params of its rule do. So what it asks for
now is compared with what it asked for under the study that made its outputs. That is the study of
the table for what is older than the table, and that of the configuration that jobs have read last
for what is newer than this. Only files between the two are opened, so that the state of a study
with thousands of networks is read in the time that it takes to list its files.

A stage whose number was raised since, and a crystal file whose content was changed, are not seen.
"""

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

from passband.config import Study
from passband.errors import PassbandError
from passband.results import Results, layout, network_batches, shown_networks, wave_layout
from passband.runs.study_jobs import Job
from passband.store.made import Origins
from passband.store.recipe import Recipes

#: What only their own attributes say of what made them.
_STORES = {
    "information": layout.INFORMATION,
    "aggregate": layout.TABLE,
    "ood": layout.OOD,
    "prediction": layout.PREDICTION,
}
#: The jobs whose outputs can be older than the table, and found again in the study's store.
_KEPT = "simulate", "train", "evaluate"


class Outdated:
    """The jobs of a study whose outputs were made for another study.

    Args:
        results: The study of today's file, with its folder.
    """

    def __init__(self, results: Results):
        self._results = results
        self._origins = Origins(results)
        self._asked: dict[int, _Asked] = {}
        self._opened: dict[tuple[str, float], Study | None] = {}

    def at(self, times: Mapping[str, float]) -> Callable[[Job], bool]:
        """Return a function that returns whether a job, which has outputs, would run again.

        Args:
            times: When each file last changed, see :func:`passband.results.listing.changes`.
        """
        stores = {name: self._made(name, times.get(name, 0.0)) for name in _STORES.values()}
        tabled = times.get(layout.TABLE, 0.0) if stores[layout.TABLE] is not None else 0.0
        copy = self._origins.copy
        copied = copy.stat().st_mtime if copy is not None else 0.0
        handed = None if copy is None else self._origins.of_copy(copy)

        def before(job: Job) -> tuple[Study | None, bool]:
            """Return the study that made a job's outputs, and whether it has made them last."""
            if job.rule in _STORES:
                return stores[_STORES[job.rule]], True
            # What was found in the study's store is older than the job that found it.
            made = max(times.get(path, 0.0) for path in (*job.outputs, job.log))
            if copy is not None and made >= copied:
                return handed, True
            if job.rule not in _KEPT:
                return stores[layout.OOD], True
            if made <= tabled:
                return stores[layout.TABLE], True
            return (None if copy is None else self._made(job.outputs[0], made)), False

        def is_outdated(job: Job) -> bool:
            if job.on_request:
                return False
            study, last = before(job)
            today = self._results.study
            if study is None or study is today:
                return False
            now = self._params(today).of(job)
            then = self._params(study).of(job)
            if last and not then and job.rule in _KEPT:  # from before, and asked for again
                study = self._made(job.outputs[0], times.get(job.outputs[0], 0.0))
                then = self._params(study or today).of(job)
                last = False
            return now != then if last else now[:1] != then[:1]

        return is_outdated

    def _params(self, study: Study) -> "_Asked":
        if id(study) not in self._asked:
            self._asked[id(study)] = _Asked(study)
        return self._asked[id(study)]

    def _made(self, path: str, time: float) -> Study | None:
        """Return the study that an output names, which is read again after a change."""
        if not time:
            return None
        if (path, time) not in self._opened:
            self._opened[path, time] = self._origins.of(self._results.path(path))
        return self._opened[path, time]


class _Asked:
    """What the jobs of a study depend on, as the params of their rules say."""

    def __init__(self, study: Study):
        self._study = study
        self._recipes = Recipes(study)
        self._groups = network_batches.groups_of(study)
        self._networks = cache(self._of_networks)
        self._tests = cache(self._of_tests)

    def of(self, job: Job) -> tuple[Any, ...]:
        """Return what a job depends on: first its recipe, then what else makes it run again.

        It is empty if the study does not have the job.
        """
        try:
            return self._of(job)
        except (KeyError, IndexError, ValueError, PassbandError):
            return ()

    def _of(self, job: Job) -> tuple[Any, ...]:
        recipes = self._recipes
        if job.rule in ("train", "evaluate"):
            sets = tuple(wave_layout.waves_of(self._groups[job.wildcards["condition"]]))
            of = self._networks if job.rule == "train" else self._tests
            return of(job.wildcards["specimen"], job.wildcards["architecture"], sets)
        match job.rule:
            case "simulate":
                specimen, *waves, split, shard = job.wildcards.values()
                recipe = recipes.waves(specimen, split, "".join(waves))
                return recipe.digest, wave_layout.shard_params(self._study, split, shard)
            case "information":
                return recipes.information, self._spectra
            case "aggregate":
                return (recipes.table,)
            case "ood":
                return (recipes.ood,)
            case "prediction":
                return (recipes.prediction,)
            case "figure":
                part = self._study.known_parts.of("figure")[job.wildcards["figure"]]
                return (recipes.figure(part, self._example),)
            case "report":
                shown = recipes.shown_figures(self._study.known_parts.of("figure"))
                return shown, sorted(self._study.figures.formats)  # its inputs
            case _:
                return ("",)

    @cached_property
    def _spectra(self) -> list[str]:
        """The exit waves whose spectra the information metrics read."""
        study = self._study
        return [
            file
            for name in study.trained_specimens
            for file in wave_layout.spectrum_shards(study, name)
        ]

    @cached_property
    def _example(self) -> str | None:
        """The training condition of the network whose images figures show."""
        found = shown_networks.example_cell(self._study, lambda path: True)
        return found and found.condition

    def _of_networks(self, specimen: str, architecture: str, sets: tuple[str, ...]) -> tuple:
        """Return what networks of a group depend on, whose conditions have these exit waves."""
        recipes = self._recipes
        splits = "train", "val"
        waves = [recipes.waves(specimen, split, id).digest for id in sets for split in splits]
        first = recipes.networks(specimen, architecture, self._study.train_ids[0])
        code = {name: x for name, x in first.leaves.items() if name != "condition"}
        return ((recipes.training.digest, code, waves),)

    def _of_tests(self, specimen: str, architecture: str, sets: tuple[str, ...]) -> tuple:
        """Return what records of such a group depend on, besides the networks themselves."""
        study = self._study
        particles = study.training.architecture(architecture).head is not None
        own = sets if study.evaluation.test_own else ()
        waves = dict.fromkeys([*study.tested_waves, *own])
        found = [
            self._recipes.results(name, id, particles).digest
            for name in study.specimens
            for id in waves
        ]
        networks = self._networks(specimen, architecture, sets)
        return (found, networks), self._recipes.tests
