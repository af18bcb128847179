"""Tests of a study's finished networks under conditions that are not in the study's test grid.

The results are in the study's store, with one file for the networks of each training condition and
batch. No rule of Snakemake has these files as input or output, so a finished study stays finished.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from passband.config import Study
from passband.errors import PassbandError
from passband.grid import Condition
from passband.outcomes import Outcome
from passband.particle_scores import NO_NUMBER, NUMBERS, TRUTHS
from passband.results import Results, layout, listing, network_batches
from passband.results.network_batches import TrainingCell
from passband.scores import OUTCOMES, dice
from passband.storage import lease, records, weights
from passband.storage.partial_record import PartialRecord
from passband.store.results import ResultRecipes, further


@dataclass(frozen=True)
class Evaluated(Outcome):
    """What :func:`evaluate_further` has tested.

    Attributes:
        networks: The number of networks whose results under all of the conditions are there now.
            Beside a study that runs, a network whose job is made again has no file meanwhile.
        store: The folder with the results.
        with_particles: The number of the networks whose particles are counted, too: those with a
            head.
    """

    networks: int
    conditions: tuple[Condition, ...]
    store: Path
    with_particles: int = 0

    def __str__(self) -> str:
        under = f"{len(self.conditions):,} further condition(s)"
        said = f"{self.networks:,} network(s) are tested under {under}"
        if self.with_particles:
            said += f", {self.with_particles:,} of them for the particles that they find"
        return f"{said}; results in {self.store}"

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return vars(self) | {"conditions": [condition.id for condition in self.conditions]}


def evaluate_further(
    results: Results,
    conditions: Iterable[Condition],
    *,
    processes: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    log: Callable[[str], object] = lambda line: None,
) -> Evaluated:
    """Test every finished network of a study under further conditions, and keep the results.

    Networks are tested by the function that the rule `evaluate` uses, on the same test structures.
    Results that are in the study's store already are not computed again, whatever made them. Each
    training job's results are written when they are complete, so that an interrupted call loses
    little. The rule finds them in the store, if a condition becomes a test condition of the study.
    Another process that does the same work waits until this process ends.

    Args:
        conditions: The further conditions, under which images can be formed, see
            :func:`passband.config.given_conditions.conditions`. They may lie outside the study's
            grids.
        processes: Number of processes; by default as many as the machine's cores, memory and the
            work allow. With a GPU, the default is one process.
        log: Receives lines of text, for example if another process does the same work.

    Raises:
        PassbandError: If no network is finished, or if files of networks or exit waves are missing
            or damaged. If only some training jobs fail, the results of all other training jobs are
            written first.
    """
    from passband.answers import further_test_work  # torch takes seconds to import

    wanted = sorted(set(conditions))
    cells = finished_cells(results)
    listing.check(results.folder, [layout.STORE])
    failures: list[str] = []
    with _logged(log), lease.held(results.path(layout.FURTHER_LEASE)):
        work = further_test_work.Work(results, tuple(c.id for c in wanted))
        with contextlib.closing(further_test_work.computed(work, cells, processes)) as made:
            for cell in progress(cells):
                try:
                    done = next(made)
                except BrokenProcessPool:
                    raise PassbandError(
                        "a process of passband evaluate was killed, perhaps for lack of memory; "
                        "use fewer processes: --processes 1"
                    ) from None
                for line in done.remarks:
                    log(line)
                if done.failure:
                    failures.append(done.failure)
                elif done.record is not None:
                    records.write({cell.condition: done.record}, results.further(cell), done.attrs)
                lease.check()
    if failures:
        others = (
            f" ({len(failures)} of {len(cells)} training jobs failed)" if len(cells) > 1 else ""
        )
        raise PassbandError(failures[0] + others)
    architecture = cache(results.study.training.architecture)
    numbers = [(cell.batch.architecture, len(cell.batch.replicas)) for cell in cells]
    return Evaluated(
        networks=sum(number for _, number in numbers),
        conditions=tuple(wanted),
        store=results.path(layout.STORE),
        with_particles=sum(number for name, number in numbers if architecture(name).head),
    )


def finished_cells(results: Results) -> list[TrainingCell]:
    """Return the networks of a study that exist, condition by condition, at least one."""
    every = network_batches.cells_of(results.study)
    cells = [cell for cell in every if results.weights(cell.batch).exists()]
    if not cells:
        raise PassbandError(
            f"{results}: the study has no finished networks yet; run the study first"
        )
    return cells


def read_further(
    results: Results, variables: Collection[str] = ("counts", "dice")
) -> xr.Dataset | None:
    """Return the results of a study's networks under the further conditions.

    Results of networks that have been trained again since then, and results of test structures that
    the configuration describes differently now, count as missing.

    Args:
        variables: Names of the variables to return: `counts`, `dice` and `particles`. With `dice`
            alone, the result needs less memory.

    Returns:
        `dice` (specimen, architecture, train, replica, test_specimen, test), the mean Dice over
        structures; `counts` with the further dimensions (structure, outcome), in pixels; and, if
        networks have a head, `particles` with (structure, truth, number). The coordinates are those
        of the table of results. The dimension `test` has all further conditions, sorted. Missing
        values are NaN, and of `particles` :data:`passband.particle_scores.NO_NUMBER`. None is
        returned if there are no results.

    Raises:
        StoreError: If a store is damaged or has a newer format.
    """
    cells = list(network_batches.cells_of(results.study))
    if unknown := set(variables) - {"counts", "dice", "particles"}:
        raise ValueError(f"{min(unknown)}: must be counts, dice or particles")
    identities = cache(weights.identities)  # a job's file has the networks of many conditions
    recipes = cache(partial(ResultRecipes, results, results.study.test_waves))

    def found(cell: TrainingCell) -> PartialRecord:
        path = results.weights(cell.batch)
        return further(
            results,
            cell,
            lambda: identities(path).get(cell.condition, {}),
            recipes=recipes(cell.id.architecture),
        )

    with ThreadPoolExecutor(4) as pool:
        every = zip(cells, pool.map(found, cells), strict=True)
        made = [(cell, record) for cell, record in every if record.tests]
    return _gathered(results.study, made, variables) if made else None


def _gathered(
    study: Study, made: Sequence[tuple[TrainingCell, PartialRecord]], variables: Collection[str]
) -> xr.Dataset:
    """Return the results of all training jobs, which have one record or none each."""
    sizes: dict[str, list] = {
        "specimen": list(study.trained_specimens),
        "architecture": list(study.training.architectures),
        "train": study.train_ids,
        "replica": list(range(study.study.replicas)),
        "test_specimen": list(study.specimens),
        "test": study.axes.order({id for _, record in made for id in record.tests}),
    }
    dims = tuple(sizes)
    shape = [len(values) for values in sizes.values()]
    attrs = {"units": "1", "long_name": "Dice, mean over structures"}
    empty = {"dice": (dims, np.full(shape, np.nan, "float32"), attrs)}
    coords = dict(sizes)
    for side in ("train", "test"):
        coords |= study.axes.coordinates(sizes[side], side)
    if "counts" in variables:
        counts = np.full((*shape, study.study.structures.test, len(OUTCOMES)), np.nan)
        attrs = {"units": "pixels", "long_name": "pixels by outcome"}
        empty["counts"] = ((*dims, "structure", "outcome"), counts, attrs)
        coords["outcome"] = list(OUTCOMES)
    if "particles" in variables and any("particles" in found.as_record() for _, found in made):
        of_image = study.study.structures.test, len(TRUTHS), len(NUMBERS)
        numbers = np.full((*shape, *of_image), NO_NUMBER, np.uint32)
        empty["particles"] = ((*dims, "structure", "truth", "number"), numbers)
        coords |= {"truth": list(TRUTHS), "number": list(NUMBERS)}
    whole = xr.Dataset(empty, coords)
    for cell, found in made:
        record = found.as_record()
        at = {name: record[name].values.tolist() for name in dims[3:]}
        at |= {"specimen": cell.id.specimen, "architecture": cell.id.architecture}
        at["train"] = cell.condition
        whole.dice.loc[at] = np.where(found.there, dice(record.counts.values).mean(-1), np.nan)
        if "counts" in whole:
            is_there = found.there[..., None, None]
            whole.counts.loc[at] = np.where(is_there, record.counts.values, np.nan)
        if "particles" in whole and "particles" in record:
            is_there = found.there[..., None, None, None]
            whole.particles.loc[at] = np.where(is_there, record.particles.values, NO_NUMBER)
    return whole[[name for name in whole.data_vars if name in variables]]


@contextlib.contextmanager
def _logged(log: Callable[[str], object]) -> Iterator[None]:
    """Pass the log lines of a lease, such as who has the lease, to the function `log`."""

    handler, before = logging.Handler(), lease.logger.level
    handler.emit = lambda record: log(record.getMessage())
    lease.logger.addHandler(handler)
    lease.logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        lease.logger.removeHandler(handler)
        lease.logger.setLevel(before)
