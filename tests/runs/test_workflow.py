"""The command that runs Snakemake."""

from pathlib import Path

import pytest
import yaml

from passband import PassbandError
from passband.runs import workflow

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_in_another_folder_names_the_workflow_and_the_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = workflow.command(Path("a/config.yaml"), Path(), ["x"], profile="slurm", words=["-k"])
    assert words[1:3] == ["-m", "snakemake"]
    assert words[words.index("--snakefile") + 1] == str(ROOT / "Snakefile")
    assert words[words.index("--profile") + 1] == str(ROOT / "profiles/slurm")
    assert words[words.index("--workflow-profile") + 1] == "none"
    assert words[-5:] == ["-k", "--configfile", "a/config.yaml", "--", "x"]
    assert "--cores" not in words


def test_the_command_in_a_clone_is_short(monkeypatch):
    monkeypatch.chdir(ROOT)
    words = workflow.command(Path("config.yaml"), Path(), cores="2")
    assert words[3:7] == ["--logger", "passband", "--profile", "none"]
    assert words[-4:] == ["--cores", "2", "--configfile", "config.yaml"]


@pytest.mark.slow  # Snakemake's imports
def test_snakemake_reads_the_options_as_it_reads_the_profile_of_all_runs(tmp_path):
    from snakemake.cli import get_argument_parser

    given = get_argument_parser().parse_args(workflow.command(Path("config.yaml"), tmp_path)[3:])
    read = get_argument_parser(profiles=[str(ROOT / "profiles/default")]).parse_args([])
    for name in ("rerun_incomplete", "rerun_triggers"):
        assert getattr(given, name) == getattr(read, name)
    assert str(given.report_stylesheet) == str(ROOT / read.report_stylesheet)
    keys = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert list(keys) == ["rerun-incomplete", "rerun-triggers", "report-stylesheet"]


def test_snakemake_itself_reads_a_profile_of_all_runs_with_a_block(tmp_path, monkeypatch):
    for path in ("Snakefile", "workflow/rules/common.smk", "src/passband/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr("passband.repository.__file__", str(tmp_path / "src/passband/__init__.py"))
    profile = tmp_path / "profiles/default"
    profile.mkdir(parents=True)
    (profile / "config.yaml").write_text("set-threads: {train: 4}\nkeep-going: true\n")
    words = workflow.command(Path("config.yaml"), tmp_path)
    assert words[words.index("--workflow-profile") + 1] == str(profile)
    assert "--keep-going" not in words
    (profile / "config.yaml").write_text("keep-going: true\nforce: false\nretries: 3\n")
    words = workflow.command(Path("config.yaml"), tmp_path)
    start = words.index("--keep-going")
    expected = ["--keep-going", "--retries", "3", "--workflow-profile", "none"]
    assert words[start : start + 5] == expected


def test_a_profile_is_passbands_by_name_and_a_users_by_its_path_from_here(tmp_path, monkeypatch):
    here, theirs = tmp_path / "here", tmp_path / "theirs"
    for folder in (here / "mine", here / "slurm", theirs / "mine", theirs / "slurm"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)

    def profile(name):
        words = workflow.command(Path("config.yaml"), theirs, profile=name)
        return words[words.index("--profile") + 1]

    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert profile(None) == "none"
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "")
    assert profile(None) == "none"
    assert profile("./mine") == str(here / "mine")
    assert profile("../theirs/slurm") == str(theirs / "slurm")
    passbands = str(ROOT / "profiles/slurm")
    assert profile("slurm") == passbands
    refused = ": must be one of perlmutter, slurm, slurm-noaccounting, or the path of another"
    for name in ("mine", "nowhere", "./nowhere"):
        with pytest.raises(PassbandError, match=f"^profile = '{name}'{refused}"):
            profile(name)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "slurm")
    assert profile(None) == passbands
    assert "--cores" not in workflow.command(Path("config.yaml"), theirs)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
    assert profile("slurm") == passbands
    with pytest.raises(PassbandError, match=f"^SNAKEMAKE_PROFILE = 'mine'{refused}"):
        profile(None)


def test_a_default_profile_of_the_users_folder_is_named_as_not_loaded(tmp_path):
    assert workflow.profiles_left_out(tmp_path) == []
    (tmp_path / "profiles/default").mkdir(parents=True)
    where = tmp_path / "profiles/default"
    said = f"{where} is not loaded; if it is yours, give --profile {where}"
    assert workflow.profiles_left_out(tmp_path) == [said]
    # Passband's own profile is loaded, in a clone too.
    assert workflow.profiles_left_out(ROOT) == []


def test_an_empty_word_for_snakemake_is_refused_before_snakemake_is_imported():
    with pytest.raises(PassbandError, match=r"^passband run: '': is an empty word; ") as refused:
        workflow.check_words(["--keep-going", ""])
    assert refused.value.exit_status == 2
