"""Tests of a study's finished networks under conditions that are not in the study's test grid.

The results are in ``results/<study>/extra/``, with one store for each training job. No rule of
Snakemake makes or reads these stores, so a finished study stays finished.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import xarray as xr

from passband import PassbandError
from passband.answers import further_test_store
from passband.config import study_checks
from passband.grid import Condition
from passband.results import Results, layout, listing, training_jobs
from passband.results.training_jobs import TrainingCell
from passband.storage import datasets, lease


def evaluate_extra(
    results: Results,
    conditions: Iterable[Condition],
    *,
    processes: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    log: Callable[[str], object] = lambda line: None,
) -> None:
    """Test every finished network of a study under further conditions, and keep the results.

    Networks are tested by the function that the rule `evaluate` uses, on the same test structures.
    Results that are in the study's folder ``extra`` already are not computed again, also if other
    jobs trained the networks, with other replicas or conditions in a job. Each training job's
    results are written when they are complete, so that an interrupted call loses little.
    Another process that does the same work waits until this process ends.

    Args:
        conditions: The further conditions. They may lie outside the study's grids.
        processes: Number of processes; by default as many as the machine's cores, memory and the
            work allow. With a GPU, the default is one process.
        log: Receives lines of text, for example if another process does the same work.

    Raises:
        PassbandError: If a condition's images cannot be formed, if no network is finished, or if
            files of networks or exit waves are missing or damaged. If only some training jobs fail,
            the results of all other training jobs are written first.
    """
    from passband.answers import further_test_jobs  # torch takes seconds to import

    wanted = sorted(set(conditions))
    for condition in wanted:
        try:
            study_checks.check_condition(results.study, condition)
        except ValueError as error:
            raise PassbandError(str(error)) from None
    cells = finished_cells(results)
    listing.check(results.folder, [layout.EXTRAS])
    failures: list[str] = []
    with _logged(log), lease.held(results.path(layout.EXTRA_LEASE)):
        work = further_test_jobs.Work(results, tuple(c.id for c in wanted))
        with further_test_jobs.computed(work, cells, processes) as made:
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
                    path = results.extra(cell)
                    datasets.write(done.record, path, datasets.RECORD, done.attrs)
                lease.check()
    if failures:
        others = (
            f" ({len(failures)} of {len(cells)} training jobs failed)" if len(cells) > 1 else ""
        )
        raise PassbandError(failures[0] + others)


def finished_cells(results: Results) -> list[TrainingCell]:
    """Return the networks of a study that exist, condition by condition, at least one."""
    every = training_jobs.cells_of(results.study)
    cells = [cell for cell in every if results.weights(cell.job).exists()]
    if not cells:
        raise PassbandError(
            f"{results}: the study has no finished networks yet; run the study first"
        )
    return cells


def read_extra(
    results: Results, variables: Collection[str] = ("counts", "dice")
) -> xr.Dataset | None:
    """Return the results of a study's networks under the further conditions.

    Results of networks that have been trained again since then, and results of test structures that
    the configuration describes differently now, count as missing.

    Args:
        variables: Names of the variables to return: `counts` and `dice`. Without `counts`, the
            result needs less memory.

    Returns:
        `dice` (specimen, architecture, train, replica, test_specimen, test), the mean Dice over
        structures; and `counts` with the further dimensions (structure, outcome), in pixels. The
        coordinates are those of the table of results. The dimension `test` has all further
        conditions, sorted. Missing values are NaN. None is returned if there are no results.

    Raises:
        StoreError: If a store is damaged or has a newer format.
    """
    cells = list(training_jobs.cells_of(results.study))
    if unknown := set(variables) - {"counts", "dice"}:
        raise ValueError(f"{min(unknown)}: must be counts or dice")
    networks = further_test_store.Fingerprints(results)

    def read(path: Path) -> xr.Dataset:
        return datasets.read(path, datasets.RECORD, ["counts"])

    def found(cell: TrainingCell) -> list[xr.Dataset]:
        return further_test_store.found(results, cell, read, networks)

    with ThreadPoolExecutor(4) as pool:
        pieces = zip(cells, pool.map(found, cells), strict=True)
        records = [(cell, record) for cell, of_cell in pieces for record in of_cell]
    return further_test_store.gathered(results.study, records, variables) if records else None


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
