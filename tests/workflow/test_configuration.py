"""Which study Snakemake runs, and the errors of wrong studies."""

import pytest
import yaml
from odd_studies import NASTIEST
from runs import SILVER
from workplace import Workplace, cpu_seconds

from passband.config import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_without_a_name_config_yaml_is_the_study(tmp_path):
    jobs = Workplace(tmp_path / "w").jobs()
    study = Study()
    assert jobs["train"] == jobs["evaluate"] == len(study.train_conditions) == 16
    assert jobs["simulate"] == 2 + 1 + 1


def test_a_named_study_replaces_config_yaml(tmp_path):
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
    "architecture": (
        {"training": {"architectures": ["unet-zero"]}},
        ("unet-zero", "resnet18"),
    ),
}


# tests/config has more cases without Snakemake.
@pytest.mark.parametrize("which", BAD)
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


def test_a_bad_study_ends_in_one_line_and_soon(tmp_path):
    place = Workplace(tmp_path / "w")
    config = place.folder / "config.yaml"
    started = cpu_seconds()
    # Values of --config have an effect.
    renamed = ("--dry-run", "--config", "study={name: other}")
    assert "results/other/" in place.run(*renamed, study="studies/smallest.yaml")
    allowed = 10 * (cpu_seconds() - started)  # benchmarks/studies.py measures the time

    def refused(name: str, content: bytes) -> str:
        config.unlink(missing_ok=True)  # a link to the repository's file
        (place.folder / name).write_bytes(content)
        started = cpu_seconds()
        # Snakemake reads the file of --configfile before Passband.
        printed = place.run("--dry-run", study=None if name == config.name else name, fails=True)
        assert cpu_seconds() - started < allowed
        assert "Traceback" not in printed
        return printed.partition("command line arguments.\n")[2]

    for name in ("alias bomb of blocks", "UTF-16"):  # the others are in tests/config
        line = refused(config.name, NASTIEST[name])
        assert line.count("\n") == 1, (name, line)
    twice = b"study: {seed: 1}\nstudy: {seed: 2}\n"
    line = "study.yaml: lines 1 and 2: study is given twice; keep one of them\n"
    assert refused("study.yaml", twice) == line
    assert "not valid JSON or YAML" in refused("study.yaml", b"study: [1, 2")
    # Snakemake makes text of the number, without quotes of the user.
    number = ("--dry-run", "--config", "training={epochs: 3}")
    printed = place.run(*number, study="studies/smallest.yaml", fails=True)
    assert "= '3': must be an integer between 1 and 10000 epochs, not text; S" in printed
    assert "use `passband run --set`" in printed
    assert "quotes" not in printed
