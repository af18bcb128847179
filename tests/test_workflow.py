"""The workflow itself: real runs of the smallest study, dry runs of the others."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from ase.build import bulk
from snakemake.utils import update_config

from passband import ctf, plan, status, store, table, units
from passband.config import Study, load
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.lease import Holder
from passband.networks import load as load_weights

ROOT = Path(__file__).parents[1]
SMALLEST = ROOT / "studies" / "smallest.yaml"
# The condition whose network is in the figure of examples.
MIDDLE = "df+0020.00_cs+0001.200_ap016.00_ds001000.00"
SILVER = {"material": "Ag", "diameter_nm": {"mean": 1.3, "max": 1.6}}
FIGURES = ("ctf", "decay", "examples", "matrix", "metrics")


class Workplace:
    """A folder that looks like a clone, with results of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in (
            "Snakefile",
            "config.yaml",
            "workflow",
            "studies",
            "profiles",
            "envs",
            "slurm",
        ):
            (folder / name).symlink_to(ROOT / name)

    def study(self, name: str = "study.yaml", **changes: dict) -> str:
        """Write the smallest study with blocks changed, and return the file's name."""
        study = yaml.safe_load(SMALLEST.read_text())
        update_config(study, changes)  # merges blocks as deep as they go
        (self.folder / name).write_text(yaml.safe_dump(study))
        return name

    def start(self, *arguments: str, study: str | None = None) -> subprocess.Popen:
        which = ["--configfile", study] if study else []
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", *arguments, *which],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, study: str | None = None, fails: bool = False) -> str:
        """Run Snakemake, check its exit status, and return what it printed."""
        process = self.start(*arguments, study=study)
        printed, _ = process.communicate(timeout=500)
        assert (process.returncode != 0) == fails, printed
        return printed

    def jobs(self, *arguments: str, study: str | None = None) -> dict[str, int]:
        """Return the number of jobs by rule that a dry run announces."""
        printed = self.run("--quiet", "rules", "--dry-run", *arguments, study=study)
        stats = printed.partition("Job stats:")[2].partition("\n\n")[0]
        counts = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) +(\d+)$", stats, re.M)}
        counts.pop("total", None)
        counts.pop("all", None)
        return counts


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workplace:
    """A folder where the smallest study has run to its end, from scratch. Tests must not run in it
    what changes its results."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    started = cpu_seconds()
    place.printed = place.run(study="studies/smallest.yaml")
    place.cpu_seconds = cpu_seconds() - started
    return place


@pytest.fixture
def copied(finished, tmp_path) -> Workplace:
    """A copy of the finished study, to change."""
    place = Workplace(tmp_path / "copy")
    for name in ("results", ".snakemake"):
        subprocess.run(["cp", "-a", finished.folder / name, place.folder / name], check=True)
    return place


def wait(process: subprocess.Popen, until: Callable[[], object], seconds: float = 120) -> object:
    """Wait until something is true while Snakemake runs, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(FileNotFoundError):  # jobs may delete what is being looked at
            if found := until():
                return found
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cpu_seconds() -> float:
    """Processor time of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def counts(place: Workplace) -> np.ndarray:
    return table.load(place.folder / "results/smallest/table.zarr").counts.values


# ── What a run leaves ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_smallest_study_takes_less_than_a_minute(finished):
    """Of two cores. Not of the clock, which also measures what else the machine does."""
    assert finished.cpu_seconds < 2 * 60


@pytest.mark.slow
def test_a_run_leaves_table_metrics_and_figures(finished):
    results = finished.folder / "results/smallest"
    whole = table.load(results / "table.zarr")
    assert dict(whole.sizes) == {
        "specimen": 1,
        "architecture": 1,
        "train": 4,
        "replica": 2,
        "test_specimen": 1,
        "test": 4,
        "structure": 4,
        "outcome": 3,
    }
    assert not np.isnan(whole.counts).any()
    assert (whole.status == table.STATUS["done"]).all()
    assert sorted(set(whole.train_defocus_nm.values)) == [5, 20]
    assert whole.train_defocus_nm.attrs["units"] == "nm"
    assert whole.attrs["study"] == "smallest"
    assert whole.attrs["config_digest"] == load(SMALLEST).digest
    metrics = xr.open_zarr(results / "ood.zarr")
    assert metrics.gap_test.sizes == {
        "specimen": 1,
        "architecture": 1,
        "test_specimen": 1,
        "train": 4,
        "test": 4,
    }
    np.testing.assert_allclose(
        metrics.dice, whole.dice.mean("replica").transpose(*metrics.dice.dims)
    )
    for name in FIGURES:
        for format in ("png", "svg"):
            assert (results / f"figures/{name}.{format}").stat().st_size > 5000


@pytest.mark.slow
def test_every_job_logs_one_line_of_what_it_made_and_is_benchmarked(finished):
    results = finished.folder / "results/smallest"
    logs = list((results / "logs").rglob("*.log"))
    assert len(logs) == sum(finished.jobs("--forceall", study="studies/smallest.yaml").values())
    for log in logs:
        last = log.read_text().splitlines()[-1]
        assert re.fullmatch(r"\d\d:\d\d:\d\d .+ in \d+\.\d s", last)
        assert last in finished.printed
    assert len(list((results / "benchmarks").rglob("*.tsv"))) == len(logs)


@pytest.mark.slow
def test_status_finds_every_file_of_a_finished_study(finished):
    """It knows their names by itself: were one of the workflow's another, its job would wait."""
    found = status.look(load(SMALLEST), finished.folder / "results/smallest")
    assert found.complete
    assert found.networks("train") == found.networks("evaluate") == (8, 8)
    assert all(Path(job.log).is_file() for job in found.jobs)
    jobs = finished.jobs("--forceall", study="studies/smallest.yaml")
    figures = {rule: n for rule, n in jobs.items() if rule.startswith("figure_")}
    counted = {stage: len(of_stage) for stage, of_stage in found.stages.items()}
    assert jobs == counted | figures


@pytest.mark.slow
def test_nothing_is_left_half_written(finished):
    results = finished.folder / "results/smallest"
    assert not [path for path in results.rglob(".*") if path.name != ".snakemake_timestamp"]
    assert not list((results / "unfinished").rglob("*.safetensors"))


@pytest.mark.slow
def test_the_report_is_one_page_with_captions(finished):
    finished.run("--report", "report.html", study="studies/smallest.yaml")
    page = (finished.folder / "report.html").read_text()
    for text in ("Generalization", "Transfer functions", "Decay along each axis", "ctf.png"):
        assert text in page


@pytest.mark.slow
def test_the_same_study_run_again_gives_the_same_table(finished, tmp_path):
    again = Workplace(tmp_path / "again")
    again.run("results/smallest/table.zarr", study="studies/smallest.yaml")
    # On one kind of device and number of threads nothing differs, not even in the last pixel.
    np.testing.assert_array_equal(counts(again), counts(finished))


@pytest.mark.slow
def test_information_has_the_signal_of_the_studys_own_waves(finished):
    study, results = load(SMALLEST), finished.folder / "results/smallest"
    found = store.read(results / "information.zarr", store.INFORMATION)
    expected = {"specimen": "gold", "split": "train", "seed": study.study.seed}
    shards = sorted((results / "waves/gold/train").glob("*.zarr.zip"))
    waves = store.read_many(shards, store.WAVES, "structure", expected, ["spectrum"])
    b = [(s / s[len(s) // 2, len(s) // 2]) for s in waves.spectrum.values[:, 0].astype(complex)]
    b2 = np.mean([np.abs((x - x[::-1, ::-1].conj()) / 2) ** 2 for x in b], 0)
    # Of the condition's own lens, on the waves' own frequencies.
    sampling, condition = study.microscope.sampling, study.train_conditions[0]
    q, phi = sampling.frequencies()
    # Rings have one power, the mean of theirs; their widths are what the two integrals differ by.
    ring = np.rint(q * sampling.field_A).astype(int)
    b2 = (np.bincount(ring.ravel(), b2.ravel()) / np.bincount(ring.ravel()))[ring]
    T = ctf.transfer(units.optics(condition, study.microscope), q, phi)
    inside = (q > 0) & (q <= sampling.cutoff)
    share = np.sum((b2 * T**2)[inside]) / np.sum(b2[inside])
    assert found.transfer_train.sel(weight="gold")[0] == pytest.approx(share, rel=0.1)
    for weight, power in (("gold", b2 * sampling.field_A**2), ("flat", 0.005)):
        s = 4 * condition.dose_e_per_A2 * power * T**2
        bits = np.sum(np.log2(1 + s)[inside]) / 2 / sampling.field_A**2
        assert found.capacity_train.sel(weight=weight)[0] == pytest.approx(bits, rel=0.03)


@pytest.mark.slow
def test_a_plan_foretells_jobs_files_bytes_and_hours(finished):
    study = load(SMALLEST)
    counted = plan.counts(study)
    assert counted.jobs == finished.jobs("--forceall", study="studies/smallest.yaml")
    speeds = plan.calibrate(study, 5)
    results = finished.folder / "results/smallest"
    for names, size in plan.sizes(study, speeds.wave_bytes, speeds.weight_bytes).items():
        found = [p for n in names.split(", ") for p in (results / n).rglob("*") if p.is_file()]
        assert len(found) == counted.files[names], names
        written = sum(path.stat().st_size for path in found)
        assert 1 / 3 < size / written < 3, names
        # Waves are those of the few structures that seconds of calibration made.
        if tolerance := {"waves": 0.25, "networks": 0.1}.get(names):
            assert size == pytest.approx(written, rel=tolerance), names
    # Five seconds of calibration beside whatever else runs on the machine: the order of magnitude.
    took = sum(plan.hours(study, speeds).values()) / (finished.cpu_seconds / 3600)
    assert 1 / 4 < took < 4


# ── What is made again, and what is not ──────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_second_run_does_nothing(finished):
    assert "Nothing to be done" in finished.run("--dry-run", study="studies/smallest.yaml")


@pytest.mark.slow
def test_adding_a_defocus_simulates_nothing_and_trains_the_new_cells(finished):
    study = finished.study(grid={"defocus_nm": [5, 10, 20]})
    jobs = finished.jobs(study=study)
    assert "simulate" not in jobs
    assert jobs["train"] == 2  # one new defocus × two doses
    assert jobs["evaluate"] == 6  # the four old jobs for the new test conditions alone


@pytest.mark.slow
def test_adding_a_test_condition_computes_only_its_cells(copied):
    before = counts(copied)
    study = copied.study(test_grid={"dose_e_per_A2": [200, 500, 1000]})
    jobs = copied.jobs(study=study)
    assert "simulate" not in jobs
    assert "train" not in jobs
    printed = copied.run("results/smallest/table.zarr", study=study)
    assert printed.count("on 6 conditions, 2 of them computed") == 4
    whole = table.load(copied.folder / "results/smallest/table.zarr")
    old = whole.counts.sel(test=whole.test_dose_e_per_A2 != 500)
    np.testing.assert_array_equal(old.values, before)


@pytest.mark.slow
def test_changing_a_figure_option_draws_and_does_no_more(finished):
    jobs = finished.jobs(study=finished.study(figures={"dpi": 90}))
    assert set(jobs) == {f"figure_{name}" for name in FIGURES}


@pytest.mark.slow
def test_changing_the_bootstrap_trains_and_evaluates_nothing(finished):
    jobs = finished.jobs(study=finished.study(evaluation={"bootstrap": 30}))
    assert not set(jobs) & {"simulate", "train", "evaluate", "information", "aggregate"}
    assert jobs["ood"] == 1


@pytest.mark.slow
def test_changing_the_specimen_remakes_all_that_depends_on_it(finished):
    jobs = finished.jobs(study=finished.study(specimens={"gold": {"material": "Pt"}}))
    # Less the transfer functions, which the specimen does not change.
    everything = finished.jobs("--forceall", study="studies/smallest.yaml")
    assert jobs == {rule: n for rule, n in everything.items() if rule != "figure_ctf"}


@pytest.mark.slow
def test_a_crystal_file_is_read_before_any_job_and_edited_makes_its_waves_again(tmp_path):
    place = Workplace(tmp_path / "w")
    file = place.folder / "gold.xyz"
    study = place.study(specimens={"gold": {"material": file.name, "shape": "sphere"}})
    target = "results/smallest/waves/gold/val/00000.zarr.zip"
    file.write_text("no crystal")
    printed = place.run(target, study=study, fails=True)
    assert "specimens.gold: material = 'gold.xyz': not a crystal file that ASE reads" in printed
    assert "Traceback" not in printed
    assert not (place.folder / "results").exists()

    def crystal(a):
        bulk("Au", "fcc", a, cubic=True).write(file, format="extxyz")
        os.utime(file, (0, 0))  # one that is older than what was made of the other

    crystal(4.078)
    place.run(target, study=study)
    crystal(4.078)
    assert "Nothing to be done" in place.run("--dry-run", target, study=study)
    crystal(4.1)
    assert place.jobs(target, study=study) == {"simulate": 1}


@pytest.mark.slow
def test_more_structures_simulate_only_the_shards_that_change(finished):
    jobs = finished.jobs(study=finished.study(study={"structures": {"train": 24}}))
    assert jobs["simulate"] == 2  # of three shards of 8, the first is full already


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation": {"batch_size": 16}},
        {"training": {"decay": 0.5, "momentum": 0.5, "save_every_s": 5.0}},
    ],
    ids=["evaluation.batch_size", "what Adam and one-cycle do not use"],
)
def test_what_changes_no_result_makes_nothing_again(finished, changes):
    study = finished.study(**changes)
    assert "Nothing to be done" in finished.run("--dry-run", study=study)


@pytest.mark.slow
def test_a_new_specimen_is_tested_on_without_repeating_the_old(copied):
    study = copied.study(
        specimens={"silver": SILVER},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
    )
    jobs = copied.jobs(study=study)
    assert jobs["train"] == 1
    before = table.load(copied.folder / "results/smallest/table.zarr").counts.load()
    printed = copied.run("results/smallest/table.zarr", study=study)
    assert "on 2 conditions, 1 of them computed" in printed  # gold's network, now on silver too
    assert "on 2 conditions, 2 of them computed" in printed  # silver's network
    after = table.load(copied.folder / "results/smallest/table.zarr").counts
    only = {"specimen": ["gold"], "test_specimen": ["gold"]}
    kept = before.sel(train=after.train.values, test=after.test.values)
    np.testing.assert_array_equal(after.sel(only).values, kept.values)


@pytest.mark.slow
def test_a_specimen_that_is_only_tested_on_trains_nothing(copied):
    study = copied.study(specimens={"silver": SILVER | {"trained": False}})
    others = {"aggregate": 1, "ood": 1, "all": 1} | {f"figure_{name}": 1 for name in FIGURES}
    others.pop("all"), others.pop("figure_ctf")
    assert copied.jobs(study=study) == {"simulate": 1, "evaluate": 4} | others
    network = f"results/smallest/networks/silver/compact-w4-d2/{MIDDLE}/r000-001.safetensors"
    assert "MissingRuleException" in copied.run("-n", network, study=study, fails=True)
    table_file = copied.folder / "results/smallest/table.zarr"
    before = table.load(table_file).counts.load()
    printed = copied.run("results/smallest/ood.zarr", "gallery", study=study)
    assert printed.count("on 8 conditions, 4 of them computed") == 4
    after = table.load(table_file)
    assert list(after.specimen.values) == ["gold"]
    assert list(after.test_specimen.values) == ["gold", "silver"]
    assert np.isfinite(after.dice).all()
    np.testing.assert_array_equal(after.counts.sel(test_specimen=["gold"]).values, before.values)
    waves = copied.folder / "results/smallest/waves/silver"
    assert [path.name for path in waves.iterdir()] == ["test"]
    assert (copied.folder / "results/smallest/gallery/silver.png").is_file()
    # Trained on after all, it keeps its test structures.
    study = copied.study(specimens={"silver": SILVER})
    jobs = copied.jobs(study=study)
    assert (jobs["simulate"], jobs["train"]) == (3, 4)


@pytest.mark.slow
def test_changing_the_training_keeps_the_exit_waves(finished):
    jobs = finished.jobs(study=finished.study(training={"epochs": 3}))
    assert "simulate" not in jobs
    assert jobs["train"] == 4


@pytest.mark.slow
def test_changing_the_focal_spread_keeps_the_exit_waves(finished):
    jobs = finished.jobs(study=finished.study(microscope={"focal_spread_nm": 2.0}))
    assert "simulate" not in jobs
    assert jobs["train"] == 4


# ── Interruptions and damage ─────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_killed_training_job_goes_on_from_where_it_was(finished, tmp_path):
    place = Workplace(tmp_path / "killed")
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, place.folder / "results/killed/waves")
    study = place.study(
        study={"name": "killed", "replicas": 3, "replicas_per_job": 3},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
        training={"epochs": 30, "save_every_s": 0.0, "replicas_together": "never"},
    )
    network = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-002"
    target = f"results/killed/networks/{network}.safetensors"
    left = place.folder / "results/killed/unfinished" / network.replace("/", "_")
    process = place.start(target, study=study)
    wait(process, (left / "002.safetensors").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (place.folder / target).exists()
    place.run("--unlock", study=study)
    printed = place.run(target, study=study)
    assert len(re.findall(r"replica [012]: goes on after [1-9]\d* steps", printed)) == 3
    assert not left.exists()
    killed, metadata = load_weights(place.folder / target)
    assert metadata["stacked"] is False
    shutil.rmtree(place.folder / "results/killed/kept")
    place.run(target, "--forcerun", "train", study=study)
    through, _ = load_weights(place.folder / target)
    assert sorted(killed) == [0, 1, 2]
    for replica, weights in through.items():
        assert all(torch.equal(weights[name], killed[replica][name]) for name in weights)


@pytest.mark.slow
def test_a_training_job_out_of_time_says_so_in_a_line_and_goes_on_when_retried(finished, tmp_path):
    place = Workplace(tmp_path / "late")
    shutil.copytree(finished.folder / "results/smallest/waves", place.folder / "results/late/waves")
    study = place.study(
        study={"name": "late", "replicas": 2},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
        training={"epochs": 30},
    )
    target = "results/late/networks/gold/compact-w4-d2"
    target = f"{target}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")  # as inside a job of SLURM, which enforces runtime
        arguments = target, "--set-resources", "train:runtime=0", "--retries", "1"
        printed = place.run(*arguments, study=study, fails=True)
    assert (
        len(re.findall(r"error: train .*: stopped in epoch 1 of 30 for its time being", printed))
        == 2
    )
    assert "goes on after 1 steps" in printed  # the retry
    assert "Traceback" not in printed
    assert "2 network(s)" in place.run(target, study=study)


def training(place: Workplace) -> set[int]:
    """The processes that hold the lease of a train job."""
    holders = [
        Holder.of(file)
        # It passes over folders that go meanwhile, as those do by which a lease is asked for.
        for folder, _, files in os.walk(place.folder / "results/smallest/logs/train")
        if re.match(r"[^.].*\.lease$", os.path.basename(folder))
        for file in files
    ]
    return {int(holder.process) for holder in holders if not holder.gone}


def said(logs: Path) -> str:
    """What all logs under a folder say."""
    return "".join(log.read_text() for log in logs.rglob("*.log"))


@pytest.mark.slow
def test_jobs_that_a_killed_snakemake_left_are_waited_for(finished, tmp_path):
    """The next Snakemake does not know of them, and starts them again."""
    place = Workplace(tmp_path / "left")
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, place.folder / "results/smallest/waves")
    study, target = "studies/smallest.yaml", "results/smallest/table.zarr"
    first, left = place.start(target, study=study), set()

    def stopped() -> bool:
        for process in training(place) - left:
            os.kill(process, signal.SIGSTOP)
            left.add(process)
        return len(left) == 2

    wait(first, stopped)
    first.kill()
    first.wait()
    first.stdout.close()  # as a terminal that is gone
    place.run("--unlock", study=study)
    second = place.start(target, study=study)
    try:
        logs = place.folder / "results/smallest/logs/train"
        waits = [f"is waited for: process {process} on" for process in left]

        wait(second, lambda: all(words in said(logs) for words in waits))
        assert training(place) == left
    finally:
        for process in left:
            os.kill(process, signal.SIGCONT)
    printed, _ = second.communicate(timeout=500)
    assert second.returncode == 0, printed
    assert len(re.findall(r"train .*, made by an earlier job, in", printed)) == 2
    assert said(logs).count("replica 0: val_loss") == 4  # jobs, of which each has trained once
    np.testing.assert_array_equal(counts(place), counts(finished))
    assert not list((place.folder / "results").rglob("*.lease"))
    assert "Nothing to be done" in place.run("--dry-run", target, study=study)


@pytest.mark.slow
def test_ctrl_c_loses_nothing(finished, tmp_path):
    place = Workplace(tmp_path / "interrupted")
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, place.folder / "results/smallest/waves")
    study = place.study(training={"save_every_s": 0.0})
    target = "results/smallest/table.zarr"
    process = place.start(target, study=study)
    unfinished = place.folder / "results/smallest/unfinished"
    wait(process, lambda: list(unfinished.rglob("0*.safetensors")))
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode != 0
    assert not training(place)
    assert not list((place.folder / "results").rglob("*.lease"))
    assert "goes on after" in place.run(target, study=study)
    np.testing.assert_array_equal(counts(place), counts(finished))


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_rest_is_made_when_there_is_room(finished, disk, tmp_path):
    place = Workplace(tmp_path / "full")
    (place.folder / "results").symlink_to(disk.folder)
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, disk.folder / "smallest/waves")
    study = place.study(training={"save_every_s": 0.0})
    target = "results/smallest/table.zarr"
    disk.fill()
    printed = place.run(target, study=study, fails=True)
    assert re.search(
        r"error: train .*: results/smallest/kept/.*\.safetensors: no space left: 0 of 0\.0021 GB "
        r"are free; make room and run again\n",
        printed,
    )
    assert "not saved: results/smallest/unfinished/" in printed
    assert "Traceback" not in printed
    left = [path for path in disk.folder.rglob("*") if path.suffix in (".safetensors", ".csv")]
    assert left == []
    (disk.folder / "filling").unlink()
    place.run(target, study=study)
    np.testing.assert_array_equal(counts(place), counts(finished))


def until_done(place: Workplace, *targets: str, study: str) -> tuple[str, int]:
    """Call Snakemake until it succeeds; return what it printed, and how often it was called."""
    printed = ""
    for calls in range(1, 7):
        process = place.start("--keep-going", *targets, study=study)
        printed += process.communicate(timeout=500)[0]
        if process.returncode == 0:
            return printed, calls
    raise AssertionError(printed)


@pytest.mark.slow
def test_damaged_stores_are_set_aside_and_made_again(copied):
    """A call of Snakemake names at least one, and remakes those that the one before has named."""
    before = counts(copied)
    results = copied.folder / "results/smallest"
    cells = sorted(path.parent.name for path in (results / "networks").rglob("*.safetensors"))
    networks = [results / f"networks/gold/compact-w4-d2/{c}/r000-001.safetensors" for c in cells]
    records = [results / f"records/gold/compact-w4-d2/{c}/r000-001.zarr.zip" for c in cells]
    shard = results / "waves/gold/test/00000.zarr.zip"
    networks[0].write_bytes(networks[0].read_bytes()[:1000])
    flipped = bytearray(networks[1].read_bytes())
    flipped[-1] ^= 1
    networks[1].write_bytes(flipped)
    networks[2].unlink()
    shutil.copy(networks[3], networks[2])
    shard.write_bytes(shard.read_bytes()[:2000])
    # A new test condition, so that every evaluation runs, and fails while its old record is there.
    study = copied.study(test_grid={"dose_e_per_A2": [200, 500, 1000]})
    targets = "results/smallest/table.zarr", "results/smallest/ood.zarr"
    printed, calls = until_done(copied, *targets, study=study)
    assert 2 <= calls <= 5
    named = re.findall(
        r"error: evaluate .*: results/smallest/(\S+): (?:not a|its) .*; set aside as", printed
    )
    assert sorted(named) == sorted(str(p.relative_to(results)) for p in (*networks[:3], shard))
    assert "its condition is" in printed
    assert "Traceback" not in printed
    # What is whole is not made again, neither networks nor cells of records.
    assert printed.count("replica 0: val_loss") == 2
    assert len(re.findall(r"train .*made by an earlier job", printed)) == 1
    assert printed.count("on 6 conditions, 2 of them computed") == 4
    whole = table.load(results / "table.zarr").counts.load()
    old = whole.sel(test=whole.test_dose_e_per_A2 != 500)
    np.testing.assert_array_equal(old.values, before)

    records[0].write_bytes(records[0].read_bytes()[:-100])
    next((results / "information.zarr/overlap").glob("c*")).unlink()
    printed, calls = until_done(copied, *targets, study=study)
    assert calls == 3
    for job, name in (("aggregate", "records/"), ("ood", "information.zarr")):
        assert re.search(rf"error: {job}: .*/{name}.*: not a whole store .*; set aside", printed)
    xr.testing.assert_identical(table.load(results / "table.zarr").counts.load(), whole)


@pytest.mark.slow
def test_a_truncated_exit_wave_is_named_and_nothing_is_made_of_it(copied):
    shard = copied.folder / "results/smallest/waves/gold/val/00000.zarr.zip"
    shard.write_bytes(shard.read_bytes()[:2000])
    network = "results/smallest/networks/gold/compact-w4-d2"
    network = f"{network}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    printed = copied.run(network, "--forcerun", "train", study="studies/smallest.yaml", fails=True)
    assert re.search(r"error: train .*waves/gold/val/00000\.zarr\.zip: not a whole store", printed)
    assert "Traceback" not in printed
    assert not (copied.folder / network).exists()


@pytest.mark.slow
def test_an_exit_wave_of_another_split_is_named(copied):
    waves = copied.folder / "results/smallest/waves/gold"
    shutil.copy(waves / "val/00000.zarr.zip", waves / "train/00001.zarr.zip")
    network = "results/smallest/networks/gold/compact-w4-d2"
    network = f"{network}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    printed = copied.run(network, "--forcerun", "train", study="studies/smallest.yaml", fails=True)
    assert re.search(r"error: train .*train/00001\.zarr\.zip: its split is 'val', exp", printed)
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_hole_is_an_error_unless_allowed(copied):
    record = "results/smallest/records/gold/compact-w4-d2"
    record = f"{record}/{MIDDLE}/r000-001.zarr.zip"
    (copied.folder / record).unlink()
    again = copied.jobs("--forcerun", "aggregate", study="studies/smallest.yaml")
    assert again["evaluate"] == 1
    study = copied.study(study={"allow_incomplete": True})
    printed = copied.run(study=study)  # with figures: another network is pictured
    assert "3 of 4 records in" in printed
    whole = table.load(copied.folder / "results/smallest/table.zarr")
    hole = {"train": MIDDLE}
    assert (whole.status.sel(hole) == table.STATUS["missing"]).all()
    assert np.isnan(whole.dice.sel(hole)).all()
    assert int((whole.status == table.STATUS["missing"]).sum()) == 2


@pytest.mark.slow
def test_holes_are_not_allowed_to_be_everything(tmp_path):
    place = Workplace(tmp_path / "w")
    printed = place.run(study=place.study(study={"allow_incomplete": True}), fails=True)
    assert "there is no record under results/smallest/records yet" in printed
    assert "Traceback" not in printed


# ── Images to look at ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_condition_of_the_test_grid_is_written_as_images(copied):
    # 12 nm is tested under and never trained under; the test split is what evaluation sees.
    study = copied.study(test_grid={"defocus_nm": [5, 12]})
    id = "df+0012.00_cs+0001.200_ap016.00_ds001000.00"
    target = f"results/smallest/images/gold/test/{id}.zarr"
    assert copied.jobs(target, study=study) == {"images": 1}
    assert f"4 images in {target}" in copied.run(target, study=study)
    path = copied.folder / target
    images = xr.open_zarr(path)
    assert images.defocus_nm == 12
    assert images.attrs["command"] == f"snakemake --cores all {target}"
    assert images.attrs["study"] == "smallest"
    assert sum(file.is_file() for file in path.rglob("*")) < 30
    microscope = load(SMALLEST).microscope
    waves = str(copied.folder / "results/smallest/waves/gold/test/00000.zarr.zip")
    names = (load(SMALLEST).study.seed, "gold", "test")
    split = Split.load([waves], names, microscope, torch.device("cpu"))
    camera = Camera.of(microscope, "zscore", torch.device("cpu"))
    expected = torch.cat(list(camera.counts(split, Condition.parse(id))))
    np.testing.assert_array_equal(images.counts.values, expected.numpy())
    assert "Nothing to be done" in copied.run("--dry-run", target, study=study)


@pytest.mark.slow
def test_images_of_the_training_grid_only_are_written_too(copied):
    study = copied.study(test_grid={"defocus_nm": [12]})
    targets = [f"results/smallest/images/gold/train/{MIDDLE}{d}.zarr" for d in ("", "_draw12")]
    assert copied.jobs(*targets, study=study) == {"images": 2}
    copied.run(targets[1], study=study)
    images = xr.open_zarr(copied.folder / targets[1])
    assert images.attrs["draw"] == 12
    np.testing.assert_array_equal((images.instances > 0).any("face"), images["mask"])


@pytest.mark.slow
def test_images_of_no_grid_are_refused(tmp_path):
    place = Workplace(tmp_path / "w")
    # Defocus of one grid with dose of the other: a condition of neither.
    study = place.study(test_grid={"defocus_nm": [12], "dose_e_per_A2": [500]})
    for id in (
        "df+0012.00_cs+0001.200_ap016.00_ds001000.00",
        MIDDLE.replace("20", "21"),
        f"{MIDDLE}_draw0",  # has no name beside the condition's
    ):
        target = f"results/smallest/images/gold/test/{id}.zarr"
        printed = place.run("--dry-run", target, study=study, fails=True)
        assert "MissingRuleException" in printed


@pytest.mark.slow
def test_the_gallery_is_a_sheet_for_each_specimen_and_no_part_of_a_run(copied):
    everything = copied.jobs("--forceall", study="studies/smallest.yaml")
    assert not {"gallery", "gallery_sheet", "images"} & set(everything)
    assert copied.jobs("gallery", study="studies/smallest.yaml") == {
        "gallery": 1,
        "gallery_sheet": 1,
    }
    assert "4 structures in" in copied.run("gallery", study="studies/smallest.yaml")
    for format in ("png", "svg"):
        assert (copied.folder / f"results/smallest/gallery/gold.{format}").stat().st_size > 20_000


@pytest.mark.slow
def test_distances_are_of_finished_networks_and_no_part_of_a_run(copied):
    several = {"conditions_per_job": 3, "structures": 3}
    faint = {"silver": SILVER | {"trained": False}}
    study = copied.study(specimens=faint, distances=several)
    target = "results/smallest/distances.zarr"
    assert "distances" not in copied.jobs("--forceall", study=study)
    expected = {"simulate": 1, "distances_part": 2, "distances": 1}
    assert copied.jobs(target, study=study) == expected
    printed = copied.run(target, study=study)
    assert "24 pairs of 3 structures" in printed
    assert "8 pairs of 3 structures" in printed
    found = store.read(copied.folder / target, store.DISTANCES)
    assert found.attrs["structures"] == 3
    assert found.attrs["command"] == f"snakemake --cores all {target}"
    assert found.sizes["test_specimen"] == 2
    assert np.isfinite(found[["frechet", "mmd", "spectral"]].to_dataarray()).all()
    own = found.sel(test_specimen="gold").squeeze()
    np.testing.assert_allclose(np.diag(own.cka), 1, atol=1e-4)
    assert not found.cka.sel(test_specimen="silver").count()
    # Other numbers make other distances, and train nothing.
    study = copied.study(specimens=faint, distances=several | {"structures": 4})
    assert copied.jobs(target, study=study) == {"distances_part": 2, "distances": 1}


# ── Configuration on the command line ────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_without_a_name_config_yaml_is_the_study(tmp_path):
    jobs = Workplace(tmp_path / "w").jobs()
    study = Study()
    assert jobs["train"] == jobs["evaluate"] == len(study.train_conditions) == 16
    assert jobs["simulate"] == 2 + 1 + 1


def test_a_named_study_stands_instead_of_config_yaml(tmp_path):
    place = Workplace(tmp_path / "w")
    study = place.study(specimens={"silver": SILVER})
    content = yaml.safe_load((place.folder / study).read_text())
    del content["specimens"]["gold"]
    (place.folder / study).write_text(yaml.safe_dump(content))
    printed = place.run("--dry-run", study=study)
    assert "waves/silver/" in printed
    assert "waves/gold/" not in printed


BAD = {
    "key": ({"grod": {"defocus_nm": [5]}}, ("grod", "unknown key", "did you mean grid?")),
    "metres": ({"grid": {"cs_um": [1.2e6]}}, ("grid.cs_um", "1.2e+06", "9999.999 µm")),
    "negative": ({"grid": {"dose_e_per_A2": [-5]}}, ("grid.dose_e_per_A2", "-5", "0.01")),
    "aperture": ({"grid": {"aperture_mrad": [30]}}, ("grid.aperture_mrad", "30", "18.75 mrad")),
    "material": (
        {"specimens": {"gold": {"material": "Unobtainium"}}},
        ("material", "Unobtainium", "Au"),
    ),
    "empty split": (
        {"study": {"structures": {"train": 0}}},
        ("study.structures.train = 0", "between 2 and"),
    ),
    "architecture": (
        {"training": {"architectures": ["unet-zero"]}},
        ("unet-zero", "unet-resnet18"),
    ),
}


# A start of Snakemake takes seconds; test_config has the same without, and more.
@pytest.mark.parametrize(
    "which", ["key", *(pytest.param(w, marks=pytest.mark.slow) for w in list(BAD)[1:])]
)
def test_bad_input_is_one_line_before_any_job(tmp_path, which):
    changes, words = BAD[which]
    place = Workplace(tmp_path / "w")
    study = place.study(**changes)
    printed = place.run(study=study, fails=True)
    lines = [line for line in printed.splitlines() if line.startswith(f"{study}: ")]
    assert len(lines) == 1
    assert all(word in lines[0] for word in words), lines[0]
    assert "Traceback" not in printed
    assert not (place.folder / "results").exists()


@pytest.mark.slow
def test_a_file_that_is_not_yaml_is_refused_without_a_traceback(tmp_path):
    place = Workplace(tmp_path / "w")
    (place.folder / "broken.yaml").write_text("study: [1, 2")
    printed = place.run(study="broken.yaml", fails=True)
    assert "not valid JSON or YAML" in printed
    assert "Traceback" not in printed


# ── Scale and style ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_papers_graph_is_built_in_twenty_seconds_and_a_gigabyte():
    started = cpu_seconds()
    # The benchmark is a small process: a child of this one would begin with its peak memory.
    printed = subprocess.run(
        [sys.executable, ROOT / "benchmarks/graph.py", "--repeat", "1"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    study = load(ROOT / "studies/paper.yaml")
    assert len(study.train_conditions) * study.study.replicas == 12_096
    simulate = (512 + 64 + 32) // 32
    # Beside them information, aggregate, ood and prediction, eight figures, and all.
    assert f"graph    {simulate + 2 * 576 * 3 + 4 + 8 + 1:,} jobs" in printed
    assert int(re.search(r"memory +(\d+) MB", printed)[1]) < 1000
    assert (cpu_seconds() - started) / 2 < 20  # it builds the graph twice, once to count its files


@pytest.mark.slow
def test_snakemake_finds_nothing_to_criticise(tmp_path):
    assert "Congratulations" in Workplace(tmp_path / "w").run("--lint")


@pytest.mark.slow
def test_the_slurm_profile_is_found_from_the_root(tmp_path):
    printed = Workplace(tmp_path / "w").run("--profile", "slurm", "--dry-run", "--quiet", "rules")
    assert "train" in printed


@pytest.mark.slow
def test_job_arrays_are_refused_in_a_line(tmp_path):
    workplace = Workplace(tmp_path / "w")
    options = "--profile", "slurm", "--slurm-array-jobs", "all", "--retries", "0"
    printed = workplace.run(*options, fails=True)
    assert "slurm-array-jobs = 'all': must not be set" in printed
    assert "Traceback" not in printed
    assert "sbatch" not in printed
