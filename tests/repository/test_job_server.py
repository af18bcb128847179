"""Scripts of jobs in forks of a process: they end, and say the same, as in a new process."""

import pytest
from workplace import SNAKEMAKE

#: How each job ends, after its first lines.
ENDS = {
    "made": "open(snakemake.output[0], 'w').write(os.environ['WORD'])",
    "exits": "sys.exit(f'no {os.environ[\"WORD\"]}')",
    "fails": "raise ValueError(os.getcwd())",
    "is_killed": "os.kill(os.getpid(), 9)",
}
HEAD = "import os, sys\nforked = 'torch' in sys.modules\nprint('forked' if forked else 'new')\n"


@pytest.mark.slow
def test_a_fork_ends_as_a_new_process_does(tmp_path, monkeypatch):
    rules = [f"rule:\n    input:\n        {[f'{name}.txt' for name in ENDS]},\n"]
    for name, end in ENDS.items():
        (tmp_path / f"{name}.py").write_text(HEAD + end)
        rules += [f"rule {name}:\n    output:\n        '{name}.txt',\n"]
        rules += [f"    script:\n        '{name}.py'\n"]
    (tmp_path / "Snakefile").write_text("".join(rules))
    monkeypatch.setenv("WORD", "bread")
    for kind in ("new", "forked"):
        if kind == "forked":  # what Passband's Snakefile sets
            monkeypatch.setenv("PYTHONSAFEPATH", "1")
            monkeypatch.setenv("PASSBAND_OWN_SETTINGS", "1")
        words = "--cores", "1", "--nocolor", "--forceall", "--keep-going"
        status, printed = SNAKEMAKE.run(tmp_path, *words)
        assert status == 1, printed
        assert printed.count(f"{kind}\n") == len(ENDS)
        for name in ENDS:
            assert (f"Error in rule {name}:" in printed) == (name != "made"), printed
        assert "\nno bread\n" in printed
        assert f"\nValueError: {tmp_path}\n" in printed
        assert (tmp_path / "made.txt").read_text() == "bread"
        (tmp_path / "made.txt").unlink()
