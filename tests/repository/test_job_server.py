"""Scripts of jobs in forks of a process: they end, and say the same, as in a new process."""

import pytest
from workplace import SNAKEMAKE

SNAKEFILE = 'rule all:\n    output:\n        "made.txt",\n    script:\n        "job.py"\n'
HEAD = "import os, sys\nforked = 'torch' in sys.modules\nprint('forked' if forked else 'new')\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("open(snakemake.output[0], 'w').write(os.environ['WORD'])", 0, ""),
        ("sys.exit(f'no {os.environ[\"WORD\"]}')", 1, "\nno bread\n"),
        ("raise ValueError(os.getcwd())", 1, "\nValueError: {folder}\n"),
        ("os.kill(os.getpid(), 9)", 1, ""),
    ],
)
def test_a_fork_ends_as_a_new_process_does(end, status, said, tmp_path, monkeypatch):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job.py").write_text(HEAD + end)
    monkeypatch.setenv("WORD", "bread")
    for kind in ("new", "forked"):
        if kind == "forked":  # what Passband's Snakefile sets
            monkeypatch.setenv("PYTHONSAFEPATH", "1")
            monkeypatch.setenv("PASSBAND_OWN_SETTINGS", "1")
        found, printed = SNAKEMAKE.run(tmp_path, "--cores", "1", "--nocolor", "--forceall")
        assert found == status, printed
        assert f"{kind}\n" in printed
        assert said.format(folder=tmp_path) in printed
        if not status:
            assert (tmp_path / "made.txt").read_text() == "bread"
