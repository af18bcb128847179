"""What Snakemake is told about outputs of which it has no record, or one of earlier outputs."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from snakemake.io import IOFile
from snakemake.persistence import PersistenceBase
from snakemake.persistence.file import FilePersistence

from passband import log_lines
from passband.runs import validity
from passband.storage import datasets, integrity

PARAMS = [{"training.epochs": 12}, ["0123456789abcdef"]]
INPUTS = ["waves/b.zarr.zip", "waves/a.zarr.zip"]
TIME = "12:00:00 "


class Job:
    """A job, as far as Snakemake's records need it."""

    def __init__(self, folder: Path, rule: str = "train"):
        self.rule = SimpleNamespace(name=rule, shellcmd=None, run_func_src=None)
        self.input = [IOFile(name) for name in INPUTS]
        self.output = [IOFile(str(folder / "r000-001.safetensors"))]
        self.log = [str(folder / "r000-001.log")]
        self.non_derived_params = PARAMS
        self.shellcmd = self.conda_env = self.env_modules = self.container_img_url = None
        Path(self.output[0]).touch()

    def says(self, *lines: str) -> None:
        """Write the log."""
        Path(self.log[0]).write_text("".join(f"{TIME}{line}\n" for line in lines))

    def succeeds(self, params=PARAMS, inputs=INPUTS) -> None:
        """Write the log of a job that has succeeded."""
        on = log_lines.Dependence.of(params, inputs)
        done = log_lines.finished("train gold", "2 network(s)", 1.5)
        self.says("epoch 1 of 2", log_lines.depends(on), done)


@pytest.fixture
def job(tmp_path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def records(job, tmp_path, monkeypatch) -> FilePersistence:
    """Snakemake's records of the job: there are none."""
    monkeypatch.setattr(PersistenceBase, "metadata", PersistenceBase.metadata)
    validity.apply()
    settings = SimpleNamespace(max_checksum_file_size=0)
    workflow = SimpleNamespace(
        dag_settings=settings, deployment_settings=SimpleNamespace(deployment_method=set())
    )
    dag = SimpleNamespace(jobs=[job], workflow=workflow)
    return FilePersistence(dag=dag, path=tmp_path / ".snakemake")


def recorded(records: FilePersistence, job: Job, params: list, inputs: list, made: float) -> None:
    """Let Snakemake have a record of the job's output as it was at a time."""
    record = validity.record(job, made, params=list(map(repr, params)), inputs=sorted(inputs))
    records._write_record(str(job.output[0]), record)
    records._clear_cache()


def changes(records: FilePersistence, job: Job) -> tuple[bool, bool]:
    """Return whether params and inputs have changed."""
    assert records.has_metadata(job)
    assert not records.has_outdated_metadata(job)
    assert not any(records.software_stack_changed(job))
    assert not any(records.code_changed(job))
    return bool(records.params_changed(job)), any(records.input_changed(job))


def test_the_log_says_that_nothing_has_changed(records, job):
    job.succeeds()
    assert changes(records, job) == (False, False)


def test_the_log_says_which_param_has_changed(records, job):
    job.succeeds(params=[{"training.epochs": 3}, PARAMS[1]])
    assert changes(records, job) == (True, False)
    assert records.params_changed(job).only_old == {"{'training.epochs': 3}"}


def test_the_log_says_that_inputs_have_changed(records, job):
    job.succeeds(inputs=INPUTS[:1])
    assert changes(records, job) == (False, True)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [log_lines.finished("train gold", "2 network(s)", 1.5)],  # of Passband 0.3
        [log_lines.depends(log_lines.Dependence.of(PARAMS, INPUTS))],  # killed
        [
            log_lines.depends(log_lines.Dependence.of(PARAMS, INPUTS)),
            log_lines.finished("train gold", "2 network(s)", 1.5),
            log_lines.started("node", 3),
        ],
        [
            log_lines.depends(log_lines.Dependence.of(PARAMS, INPUTS)),
            log_lines.failed("train gold", "the disk is full"),
        ],
        ['depends on: {"params": ', log_lines.finished("train gold", "2 network(s)", 1.5)],
    ],
)
def test_a_log_without_the_line_lets_the_job_run(records, job, lines):
    job.says(*lines)
    assert changes(records, job) == (True, False)
    assert records.params_changed(job).only_old == {repr(validity.UNKNOWN)}


def test_a_lost_log_lets_the_job_run(records, job):
    assert records.params_changed(job).only_old == {repr(validity.UNKNOWN)}


def test_a_rule_of_somebody_else_is_left_to_snakemake(records, job):
    job.rule.name = "mine"
    assert not records.has_metadata(job)


def test_a_record_of_snakemake_counts_for_the_output_that_it_is_about(records, job):
    made = os.stat(job.output[0]).st_mtime
    recorded(records, job, PARAMS, INPUTS, made)
    job.succeeds(params=[{"training.epochs": 3}, PARAMS[1]])  # `snakemake --touch` was given
    assert changes(records, job) == (False, False)


def test_the_log_counts_if_snakemakes_record_is_of_an_earlier_output(records, job):
    recorded(records, job, [{"training.epochs": 3}, PARAMS[1]], INPUTS, 1e9)
    assert changes(records, job) == (True, False)  # 0.3 made both
    job.succeeds()
    records = FilePersistence(dag=records.dag, path=records.path)
    assert changes(records, job) == (False, False)


def test_an_output_that_is_not_there_has_no_record(records, job):
    job.succeeds()
    Path(job.output[0]).unlink()
    assert records.metadata(job.output[0]) is None


def test_each_log_is_read_once_and_only_its_end(records, job, monkeypatch):
    params = [{"test conditions": ["x" * 40] * 200}]  # a long line
    job.non_derived_params = params
    job.output.append(IOFile(f"{job.output[0]}.csv"))
    Path(job.output[1]).touch()
    job.succeeds(params=params)
    log = Path(job.log[0])
    log.write_text(f"{TIME}an epoch\n" * 10**5 + log.read_text())
    read = []
    tail = validity.tail
    monkeypatch.setattr(validity, "tail", lambda log, most: read.append(most) or tail(log, most))
    assert changes(records, job) == (False, False)
    assert read == [1 << 12, 1 << 16]


# ── Damaged stores ───────────────────────────────────────────────────────────────────────────────


STORES = {
    "aggregate": datasets.TABLE,
    "ood": datasets.OOD,
    "information": datasets.INFORMATION,
    "prediction": datasets.PREDICTION,
}


def flip(folder: Path) -> None:
    chunk = next((folder / "dice").glob("c*"))
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)


def lose(folder: Path) -> None:
    next((folder / "dice").glob("c*")).unlink()


def tear(folder: Path) -> None:
    metadata = folder / "zarr.json"
    metadata.write_bytes(metadata.read_bytes()[:-9])


@pytest.fixture
def store(tmp_path) -> Callable[[str], Path]:
    """Return a function that writes the store of a rule."""

    def write(rule: str) -> Path:
        dice = xr.Dataset({"dice": ("train", np.linspace(0, 1, 9))})
        datasets.write(dice, tmp_path / "it.zarr", STORES[rule], {})
        return tmp_path / "it.zarr"

    return write


@pytest.mark.slow
@pytest.mark.parametrize("rule", STORES)
@pytest.mark.parametrize("damage", [flip, lose, tear])
def test_a_damaged_store_at_the_end_of_the_workflow_is_found(store, rule, damage):
    path = store(rule)
    assert not validity.is_damaged(str(path), rule)
    damage(path)
    assert validity.is_damaged(str(path), rule)
    assert not validity.is_damaged(str(path), "mine")


def test_a_large_store_is_opened_and_not_read(store, monkeypatch):
    path = store("aggregate")
    flip(path)
    monkeypatch.setattr(validity, "_MOST_BYTES", 9)
    assert not validity.is_damaged(str(path), "aggregate")
    tear(path)
    assert validity.is_damaged(str(path), "aggregate")


def test_a_store_of_a_newer_version_is_kept(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", integrity.FORMAT + 1)
        path = store("aggregate")
    assert not validity.is_damaged(str(path), "aggregate")


def test_a_damaged_store_lets_its_job_run(records, job, store):
    path = store("aggregate")
    job.rule.name = "aggregate"
    job.output[:] = [IOFile(str(path))]
    job.succeeds()
    assert changes(records, job) == (False, False)
    tear(path)
    records = FilePersistence(dag=records.dag, path=records.path)
    assert records.params_changed(job).only_old == {repr(validity.DAMAGED)}
