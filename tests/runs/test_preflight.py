"""The checks of the preflight: their results on this machine, and their failures."""

import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from passband import PassbandError, cli
from passband.config import load, validate
from passband.results import Results
from passband.runs import counts, file_sizes, preflight
from passband.runs.preflight import FAILED, OK, WARNING

ROOT = Path(__file__).parents[2]
SMALLEST = load(ROOT / "tests/data/smallest.yaml")
NEEDED = round(file_sizes.at_most(SMALLEST).total(SMALLEST))


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    """Make the machine look as if it had no cluster and no allotted GPU."""
    for name in (*preflight._ALLOTTED, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


# ── Imports and GPU ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_packages_are_imported_and_named():
    found = preflight.imports()
    assert found.level == OK
    assert f"torch {version('torch')}" in found.found


def test_a_package_that_does_not_import_is_named_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise OSError('libfoo.so: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    found = preflight.imports(["numpy", "broken_package", "no_such_package"])
    assert found.level == FAILED
    assert "broken_package (OSError: libfoo.so: not found)" in found.found
    assert "no_such_package (ModuleNotFoundError: " in found.found
    assert "numpy" not in found.found
    assert "install Passband again" in found.remedy


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", "")


def test_without_a_gpu_networks_train_on_the_cpu(no_gpu, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    found = preflight.gpu()
    assert (found.level, found.remedy) == (OK, "")
    assert "networks train on the CPU" in found.found


def test_a_job_of_a_cluster_without_a_gpu_is_told_what_its_profile_may_lack(no_gpu, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    found = preflight.gpu()
    assert found.level == WARNING
    assert "gpu: 1" in found.remedy


@pytest.mark.parametrize("allotted", preflight._ALLOTTED)
def test_an_allotted_gpu_that_torch_does_not_find_fails(no_gpu, monkeypatch, allotted):
    monkeypatch.setenv(allotted, "3")
    found = preflight.gpu()
    assert found.level == FAILED
    assert f"{allotted}=3" in found.found
    assert "nvidia-smi" in found.remedy


@pytest.fixture
def a_gpu(monkeypatch):
    """A fake GPU, in whose place torch uses the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, device: ones(*shape))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")


def test_a_gpu_is_named_with_its_cuda_and_its_number(a_gpu):
    found = preflight.gpu()
    assert (found.level, found.remedy) == (OK, "")
    assert found.found == "1 × H100, CUDA 12.8, CUDA_VISIBLE_DEVICES=2"


@pytest.mark.parametrize("result", [RuntimeError("CUDA error: busy"), torch.zeros(1)])
def test_a_gpu_that_does_not_compute_fails(a_gpu, monkeypatch, result):
    def conv2d(*arguments):
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    assert preflight.gpu().level == FAILED


# ── File system and disk ─────────────────────────────────────────────────────────────────────────


def test_a_folder_that_cannot_be_made_is_no_bug_of_the_check(tmp_path):
    (tmp_path / "file").touch()
    found = preflight.file_system(tmp_path / "file" / "results")
    assert (found.level, found.remedy) == (preflight.FAILED, "results must be written there")
    assert found.found.endswith("file/results: Not a directory")


def test_check_of_the_file_system_removes_its_files(tmp_path):
    found = preflight.file_system(tmp_path / "results" / "a")
    assert found.level == OK
    assert list((tmp_path / "results" / "a").iterdir()) == []


def _copies(self, target):
    shutil.copytree(self, target, dirs_exist_ok=True) if self.is_dir() else shutil.copy(
        self, target
    )


def _raises(*arguments):
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize(
    ("what", "owner", "name", "fault"),
    [
        ("a file renamed over another", Path, "replace", _raises),
        ("a file renamed over another", Path, "replace", _copies),
        ("a folder renamed into place", Path, "rename", _copies),
        ("a file flushed to disk", preflight.os, "fsync", _raises),
        (
            "a rename over a folder that is not empty refused",
            Path,
            "rename",
            lambda self, target: (shutil.rmtree(target), os.rename(self, target)),
        ),
    ],
)
def test_file_system_that_cannot_do_it_fails(tmp_path, monkeypatch, what, owner, name, fault):
    monkeypatch.setattr(owner, name, fault)
    found = preflight.file_system(tmp_path)
    assert found.level == FAILED
    assert what in found.found
    assert "another file system" in found.remedy


@pytest.mark.parametrize(
    ("free", "level"), [(1.01, OK), (0.99, FAILED)], ids=["enough", "not enough"]
)
def test_disk_must_have_space_for_the_study(tmp_path, monkeypatch, free, level):
    usage = SimpleNamespace(free=int(free * NEEDED))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    found = preflight.disk(Results(SMALLEST, tmp_path / "not" / "there"))
    assert found.level == level
    assert bool(found.remedy) == (level == FAILED)


def test_disk_needs_no_space_for_existing_files(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=NEEDED // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    (tmp_path / "waves").mkdir()
    (tmp_path / "waves/a").write_bytes(bytes(NEEDED // 4 + 1000))
    (tmp_path / "waves/b").hardlink_to(tmp_path / "waves/a")  # a second name needs no space
    assert preflight.disk(Results(SMALLEST, tmp_path)).level == FAILED
    (tmp_path / "waves/c").write_bytes(bytes(NEEDED // 4 + 1000))
    assert preflight.disk(Results(SMALLEST, tmp_path)).level == OK


def test_disk_must_have_room_for_as_many_files(tmp_path, monkeypatch):
    counted = counts.count(SMALLEST)
    files = counted.files + sum(counted.jobs.values())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e12))
    for favail, level in ((files - 1, FAILED), (files, OK), (0, OK)):  # 0: there is no limit
        monkeypatch.setattr(os, "statvfs", lambda path, n=favail: SimpleNamespace(f_favail=n))
        assert preflight.disk(Results(SMALLEST, tmp_path)).level == level


# ── Profile ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The function ``cluster(scontrol, sacct)``, which makes both commands.

    Each command prints the given text, or fails if the text is None.
    """

    def make(scontrol, sacct=None):
        for name, text in (("scontrol", scontrol), ("sacct", sacct)):
            file = tmp_path / name
            file.write_text(
                "#!/bin/sh\nexit 1\n" if text is None else f"#!/bin/sh\necho '{text}'\n"
            )
            file.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def configuration(kind, age=300):
    return (
        f"AccountingStorageType   = {kind}\nClusterName             = sun\n"
        f"MinJobAge               = {age} sec\n"
    )


DATABASE = "accounting_storage/slurmdbd"


@pytest.mark.parametrize(
    ("scontrol", "sacct", "inside", "level", "says"),
    [
        (configuration(DATABASE), "12", True, OK, "--profile slurm"),
        (configuration(DATABASE), "", False, OK, "--profile slurm"),
        (configuration(DATABASE), "", True, WARNING, "does not list"),
        (configuration(DATABASE), None, False, WARNING, "does not list"),
        (configuration(DATABASE, 2), "12", True, OK, "--profile slurm"),
        (configuration("(null)"), None, True, OK, "profiles/slurm-noaccounting"),
        (configuration("accounting_storage/none", 60), None, True, OK, "slurm-noaccounting"),
        (configuration("(null)", 59), None, True, FAILED, "would not notice the end"),
        (None, None, True, WARNING, "does not answer"),
        (None, None, False, OK, "no cluster answers"),
    ],
)
def test_slurm_fits_a_profile(cluster, monkeypatch, scontrol, sacct, inside, level, says):
    cluster(scontrol, sacct)
    if inside:
        monkeypatch.setenv("SLURM_JOB_ID", "77")
    found = preflight.profile()
    assert (found.level, says in found.found) == (level, True), found
    assert bool(found.remedy) == (level != OK)


def test_a_machine_without_slurm_is_fine(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert preflight.profile() == preflight.Result(OK, "not installed on this node")


# ── All of them ──────────────────────────────────────────────────────────────────────────────────


def test_an_error_in_a_check_is_a_result(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "imports", lambda _: 1 / 0)
    monkeypatch.setattr(preflight, "gpu", lambda: preflight.Result(OK, "fine"))
    found = preflight.run(Results(SMALLEST, tmp_path)).checks
    assert (found["imports"].level, found["GPU"].level) == (FAILED, OK)
    assert "ZeroDivisionError: division by zero" in found["imports"].found


@pytest.mark.parametrize("engine", ["passband", "abtem"])
def test_abtem_is_imported_if_the_study_chose_it(tmp_path, monkeypatch, engine):
    (tmp_path / "abtem.py").write_text("raise ImportError('libfftw3.so: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "abtem", raising=False)
    for check in ("gpu", "profile"):
        monkeypatch.setattr(preflight, check, lambda: preflight.Result(OK, "fine"))
    chosen = SMALLEST.microscope.model_dump() | {"engine": engine}
    study = validate(SMALLEST.model_dump() | {"microscope": chosen})
    found = preflight.run(Results(study, tmp_path / "results")).checks["imports"]
    assert found.level == (OK if engine == "passband" else FAILED)
    assert ("not importable: abtem (ImportError: libfftw3" in found.found) == (engine == "abtem")


def test_the_table_has_remedies_and_the_error_names_failed_checks():
    results = {
        "GPU": preflight.Result(OK, "one"),
        "disk": preflight.Result(FAILED, "full", "make room"),
        "profile": preflight.Result(WARNING, "none", "choose one"),
    }
    assert str(preflight.Preflight(results)).splitlines() == [
        "GPU      ok       one",
        "disk     FAILED   full",
        "                  → make room",
        "profile  warning  none",
        "                  → choose one",
    ]
    with pytest.raises(PassbandError, match=r"^1 of 3 checks failed: disk; "):
        preflight.Preflight(results).raise_on_failure()
    del results["disk"]
    preflight.Preflight(results).raise_on_failure()


def test_the_command_fails_with_its_checks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    results = {"disk": preflight.Result(FAILED, "full", "make room")}
    monkeypatch.setattr(preflight, "run", lambda *arguments: preflight.Preflight(results))
    study = str(ROOT / "tests/data/smallest.yaml")
    assert cli.main(["preflight", study]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "disk  FAILED   full"
    assert err.startswith("1 of 1 checks failed: disk; ")
    results["disk"] = preflight.Result(OK, "room")
    assert cli.main(["preflight", study]) == 0
