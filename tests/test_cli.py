"""The commands ``passband table`` and ``export``, and the help of all commands."""

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import passband
from passband import cli
from passband.analysis import ood
from passband.analysis.rows import Row
from passband.axes import FURTHER_AXES, MAIN_AXES
from passband.grid import Axes
from passband.matrices.of_study import matrices
from passband.parts import PACKAGE, TRAIN
from passband.reports import summaries
from passband.storage import datasets

DIMS = ("specimen", "architecture", "test_specimen", "train")
IDS = [
    condition.id
    for condition in Axes.main.conditions(
        {
            "defocus_nm": [5, 20],
            "cs_um": [1.2],
            "aperture_mrad": [15],
            "dose_e_per_A2": [100, 1000],
        }
    )
]


def make_metrics(ids=IDS, specimens=("gold",)):
    """Return the result of ``ood.metrics`` for a table of random Dice."""
    n, k = len(ids), len(specimens)
    M = np.random.default_rng(0).uniform(0.2, 0.9, (k, 1, k, n, n))
    near = np.arange(n) < 2
    rows = [
        Row(row[None, :, None], row[None, [i]], np.ones((n, 1)), i, near)
        for group in M.reshape(-1, n, n)
        for i, row in enumerate(group)
    ]
    values = {
        name: np.reshape([part.load()(row).item() for row in rows], (k, 1, k, n))
        for name, part in PACKAGE.of("ood_metric").items()
        if part.declaration.of == TRAIN
    }
    gap = np.diagonal(M, axis1=3, axis2=4)[..., None, :] - M
    return xr.Dataset(
        {name: (DIMS, value) for name, value in values.items()}
        | {"dice": ((*DIMS, "test"), M), "gap_test": ((*DIMS, "test"), gap)},
        coords={
            "specimen": list(specimens),
            "architecture": ["compact-w4-d2"],
            "test_specimen": list(specimens),
            "train": ids,
            "test": ids,
            **Axes.main.coordinates(ids, "train"),
            **Axes.main.coordinates(ids, "test"),
        },
    )


def rows(text):
    """Return the cells of a Markdown table by row. The header is the first row."""
    head, rule, *body = text.strip().splitlines()
    assert re.fullmatch(r"(\|---)+\|", rule)
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *body)]
    assert all(len(row) == rule.count("---") for row in found)
    return found


def expected(group, where):
    """Return the mean and standard deviation that a row must show, computed from M(i, j)."""
    M = group.dice.values
    other = ~np.eye(len(M), dtype=bool)
    own = np.diag(M)
    out = np.array([row[mask].mean() for row, mask in zip(M, other, strict=True)])
    worst = np.array([row[mask].min() for row, mask in zip(M, other, strict=True)])
    gap = np.array([(own - row)[mask].mean() for row, mask in zip(M, other, strict=True)])
    columns = [v[where] for v in (own, out, worst, gap)]
    return [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for v in columns]


def test_summary_prints_means_by_dose(tmp_path, capsys):
    metrics = make_metrics()
    datasets.write(metrics, tmp_path / "ood.zarr", datasets.OOD, {"study": "test"})
    assert cli.main(["table", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, *body = rows(out)
    assert head == ["networks", "trained at", "conditions", "id", "ood", "worst", "gap_test"]
    group = metrics.isel(specimen=0, architecture=0, test_specimen=0)
    doses = group.train_dose_e_per_A2.values
    for row, (at, where) in zip(
        body,
        [
            ("100 e/Å²", doses == 100),
            ("1000 e/Å²", doses == 1000),
            ("all doses", doses > 0),
        ],
        strict=True,
    ):
        assert row == ["gold, compact-w4-d2", at, str(where.sum()), *expected(group, where)]


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_shows_a_drawn_table_and_a_pipe_markdown(width, tmp_path, capsys, monkeypatch):
    metrics = make_metrics()
    metrics = metrics.assign(dict.fromkeys(ood.SELECTIONS, metrics.dice))  # adds a sentence
    datasets.write(metrics, tmp_path / "ood.zarr", datasets.OOD, {"study": "test"})
    assert cli.main(["table", str(tmp_path)]) == 0
    piped = capsys.readouterr().out
    assert piped == f"{summaries.ood(matrices(metrics=metrics))}\n"
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["table", str(tmp_path)]) == 0
    drawn = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "|" not in drawn
    assert max(map(len, drawn.splitlines())) <= width
    table, sentence = (part.strip() for part in piped.split("\n\n"))
    # Folding puts parts of a cell on several lines. No character is lost.
    letters = Counter("".join(cell for row in rows(table) for cell in row) + sentence)
    shown = Counter(drawn.replace("─", ""))
    assert all(shown[c] == n for c, n in letters.items() if not c.isspace())
    if width == 200:
        for row in rows(table):
            assert re.search(" +".join(map(re.escape, row)), drawn)


@pytest.mark.slow
@pytest.mark.parametrize("specimens", [("gold",), ("gold", "platinum nanorods on thick carbon")])
def test_a_terminal_of_100_columns_shows_each_number_in_one_piece(
    specimens, tmp_path, capsys, monkeypatch
):
    metrics = make_metrics(specimens=specimens)
    names = metrics.architecture.values
    metrics = metrics.assign_coords(architecture=["compact-w16-d4" for _ in names])
    datasets.write(metrics, tmp_path / "ood.zarr", datasets.OOD, {"study": "test"})
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["table", str(tmp_path)]) == 0
    drawn = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, drawn.splitlines())) <= 100
    number = r"-?0\.\d{3} ± 0\.\d{3}"
    table = summaries.ood(matrices(metrics=metrics))
    assert len(re.findall(number, drawn)) == len(re.findall(number, table)) > 0
    heads = "networks", "trained at", "conditions", "id", "ood", "worst", "gap_test"
    assert re.match(rf"\s*{' +'.join(heads)}\s*$", drawn.splitlines()[0] or drawn.splitlines()[1])
    if len(specimens) == 1:
        assert len(drawn.splitlines()) == len(table.splitlines())


def test_summary_of_two_specimens_has_their_pairs():
    metrics = make_metrics(specimens=("gold", "amber"))
    _, *body = rows(summaries.ood(matrices(metrics=metrics)))
    assert len(body) == 4 * 3
    totals = {row[0]: row[3:] for row in body if row[1] == "all doses"}
    for trained in ("gold", "amber"):
        for tested in ("gold", "amber"):
            name = trained if trained == tested else f"{trained} → {tested}"
            group = metrics.sel(specimen=trained, test_specimen=tested).isel(architecture=0)
            assert totals[f"{name}, compact-w4-d2"] == expected(group, slice(None))


def test_summary_leaves_missing_networks_out_of_its_means():
    metrics = make_metrics()
    whole = metrics.id.values.ravel()
    for name in metrics.data_vars:
        metrics[name][:, :, :, 0] = np.nan
    *_, total = rows(summaries.ood(matrices(metrics=metrics)))
    assert total[3] == f"{whole[1:].mean():.3f} ± {whole[1:].std(ddof=1):.3f}"


def test_summary_of_one_condition_has_no_spread_and_no_other():
    *_, total = rows(summaries.ood(matrices(metrics=make_metrics(IDS[:1]))))
    assert total[1:3] == ["all doses", "1"]
    assert re.fullmatch(r"0\.\d{3}", total[3])
    assert total[4:] == ["–"] * 3


def test_summary_of_one_condition_and_several_replicas_says_nothing_of_choosing():
    metrics = make_metrics(IDS[:1])
    for name in ood.SELECTIONS:
        metrics[name] = metrics.dice
    assert "nan" not in summaries.ood(matrices(metrics=metrics))
    assert len(rows(summaries.ood(matrices(metrics=metrics)))) == 1 + 2


@pytest.mark.parametrize("make", [None, "foreign"], ids=["missing", "foreign"])
def test_summary_refuses_in_one_line(tmp_path, capsys, make):
    if make:
        datasets.write(make_metrics(), tmp_path / "none" / "ood.zarr", datasets.TABLE, {})
    assert cli.main(["table", str(tmp_path / "none")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert ("none/ood.zarr" if make else "none: there is no such file or folder") in err


def test_export_writes_the_structure_that_the_study_simulates(tmp_path, capsys):
    from ase.io import read

    from passband import seeds
    from passband.config import Study
    from passband.specimens import structures as specimen

    study, file = tmp_path / "study.yaml", tmp_path / "gold.extxyz"
    study.write_text("study: {seed: 3}\n")
    assert cli.main(["export", str(study), "gold", "val", "1", str(file)]) == 0
    assert f"in {file}" in capsys.readouterr().out
    written = read(file)
    gold, sampling = Study().specimens["gold"], Study().microscope.sampling
    drawn = specimen.draw(gold, sampling, seeds.generator(3, "gold", "val", 1, "structure")).atoms
    np.testing.assert_allclose(written.positions, drawn.positions, atol=1e-7)
    assert (written.numbers == drawn.numbers).all()
    assert (written.arrays["particle"] == drawn.arrays["particle"]).all()
    assert written.cell.lengths() == pytest.approx(drawn.cell.lengths())
    assert written.info["split"] == "val"
    assert [path.name for path in tmp_path.glob("*gold*")] == ["gold.extxyz"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["silver", "val", "0", "a.extxyz"], "specimen = 'silver': must be one of gold"),
        (["gold", "all", "0", "a.extxyz"], "split = 'all': must be one of train, val, test"),
        (["gold", "val", "24", "a.extxyz"], "index = 24: must be between 0 and 23 in val"),
        (["gold", "val", "0", "a.txt"], "file = 'a.txt': must end in .extxyz"),
    ],
)
def test_export_refuses_in_one_line(tmp_path, capsys, arguments, says):
    study = tmp_path / "study.yaml"
    study.write_text("{}\n")
    assert cli.main(["export", str(study), *arguments]) == 1
    assert capsys.readouterr().err.strip() == says


def test_writing_to_a_missing_folder_names_the_given_path(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text("study: {seed: 3}\n")
    for arguments, said in (
        (
            ["export", "study.yaml", "gold", "val", "0", "no/a.extxyz"],
            "file = 'no/a.extxyz': there",
        ),
        (["docs", "--directory", "no"], "--directory = 'no': there is no folder no"),
        (["docs", "--check", "--directory", "no"], "--directory = 'no': there is no folder no"),
    ):
        assert cli.main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(said)
        assert err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_named_as_the_user_named_it(tmp_path, capsys, monkeypatch):
    datasets.write(make_metrics(), tmp_path / "ood.zarr", datasets.OOD, {"study": "test"})

    def fail(table, path, **options):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    file = tmp_path / "metrics.csv"
    assert cli.main(["table", str(tmp_path), "--csv", str(file)]) == 1
    assert capsys.readouterr().err == f"{file}: Read-only file system\n"


def test_too_little_memory_is_one_line(capsys, monkeypatch):
    def fail(options):
        raise MemoryError

    monkeypatch.setattr("passband.commands.check.run", fail)
    assert cli.main(["check", "config.yaml"]) == 1
    assert capsys.readouterr().err == "not enough memory: free some, or use a machine with more\n"


def test_check_reads_crystal_files(tmp_path, capsys):
    crystal, study = tmp_path / "bad.cif", tmp_path / "study.yaml"
    crystal.write_text("data_x\n_cell_length_a 3\n_atom_site_fract_x\n")
    study.write_text(f"specimens: {{a: {{material: {crystal}, shape: sphere}}}}\n")
    assert cli.main(["check", str(study)]) == 1
    err = capsys.readouterr().err
    assert "not a crystal file that ASE reads" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("specimen", "says"),
    [
        (
            'surface_energies: {"111": 1.0}, diameter_nm: {max: 2.9}',
            r"specimens.a: a particle is \d\d.\d Å wide, more than the field of view of 38.4 Å",
        ),
        ('surface_energies: {"001": 0.1}', ""),
        (
            "material: rutile.xyz, shape: sphere, thermal: {msd_A2: {Ti: 0.01, C: 0.01}}",
            "specimens.a: thermal.msd_A2 of material 'rutile.xyz': lacks O; give its mean square",
        ),
    ],
    ids=["too wide", "cube", "element of a file"],
)
def test_check_grows_particles_that_may_not_fit(tmp_path, capsys, monkeypatch, specimen, says):
    monkeypatch.chdir(tmp_path)
    rutile = 'Lattice="4.594 0 0 0 4.594 0 0 0 2.959" pbc="T T T"'
    atoms = ["Ti 0 0 0", "Ti 2.297 2.297 1.48", "O 1.4 1.4 0", "O 3.194 3.194 0"]
    Path("rutile.xyz").write_text("\n".join(["4", rutile, *atoms, ""]))
    Path("study.yaml").write_text(f"specimens: {{a: {{{specimen}}}}}\n")
    assert cli.main(["check", "study.yaml"]) == (1 if says else 0)
    err = capsys.readouterr().err
    assert re.match(says, err)
    assert err.count("\n") == bool(says)


# The help

NAMES = [command.name for group in cli.COMMANDS.values() for command in group]


@pytest.mark.parametrize("words", [["--help"], []])
def test_the_help_lists_every_module_of_commands_once(words, capsys):
    helpers = {"arguments", "conditions", "machine", "predict_options", "progress_bar"}
    helpers |= {"__init__", "outcome_text"}
    folder = Path(cli.__file__).parent / "commands"
    assert sorted(NAMES) == sorted({path.stem for path in folder.glob("*.py")} - helpers)
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^  ([a-z]+) +[a-z]", printed, re.M) == NAMES
    for group in cli.COMMANDS:
        assert f"\n{group}:\n" in printed
    assert "130  stopped by Ctrl-C" in printed
    (pages,) = re.findall(r"^Pages such as docs/run\.md are in (.+)$", printed, re.M)
    assert Path(pages, "docs", "run.md").is_file()
    assert max(map(len, printed.splitlines())) <= 90


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_ends_with_an_example_that_its_parser_accepts(name, capsys):
    (example,) = [c.example for g in cli.COMMANDS.values() for c in g if c.name == name]
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.endswith(f"example: passband {example}")
    words = shlex.split(example)
    assert words[0] == name
    options, rest = cli._parser(name).parse_known_args(cli._spelled_out(name, words))
    assert rest == []
    assert callable(options.run)


@pytest.mark.parametrize("name", ["evaluate", "images", "next", "predict", "recommend"])
def test_the_help_has_one_option_for_all_further_axes(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    text = capsys.readouterr().out
    for axis in MAIN_AXES.values():
        listed = rf"^  {axis.option} X\s+{re.escape(f'{axis.label} [{axis.unit}]')}\S* "
        assert re.search(listed, text, re.M)
    (words,) = re.findall(r"^  --axis NAME=VALUE\s+(.*?)\n  -", text, re.M | re.S)
    assert " ".join(words.split()).count("(default: the study's own value)") == 1
    for axis in FURTHER_AXES.values():
        is_known = name != "predict" or not axis.needs_waves
        assert bool(re.search(rf"\b{axis.name}\b", words)) == is_known


def test_the_help_imports_no_command():
    code = "import sys; from passband import cli; sys.exit(cli.main(['--help']))"
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {code}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "passband.cli" in loaded
    assert not loaded & {"pydantic", "numpy", "yaml", "passband.config", "passband.commands.run"}


@pytest.mark.parametrize("words", [["nothing"], ["run", "--cores"], ["check", "--nothing"]])
def test_wrong_words_end_with_2_and_a_line(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "near"), [("chek", "check? "), ("stats", "status? "), ("nothing", "")]
)
def test_an_unknown_command_is_one_line_with_the_nearest(name, near, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([name])
    assert caught.value.code == 2
    says = f"there is no command {name!r}; {near}`passband --help` lists the commands"
    assert capsys.readouterr().err == f"passband: error: {says}\n"


def test_a_wrong_option_shows_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["check", "--nothing"])
    assert caught.value.code == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: passband check ")
    assert error == "passband check: error: unrecognized arguments: --nothing"


@pytest.mark.parametrize(
    "words",
    [["check", "--\x1b[31mred"], ["status", "a", "b\x1b[1m"]],
)
def test_a_word_that_would_change_the_terminal_is_escaped(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "\\x1b[" in printed


# What a shell completes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("passband st", {"status"}),
        ("passband ", set(NAMES)),
        ("passband plan --sec", {"--seconds"}),
        ("passband status mi", {"mine", "mine.yaml"}),
    ],
)
def test_a_shell_completes_commands_options_and_studies(line, words, tmp_path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "mine.txt").touch()
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "misread.txt").touch()
    found = tmp_path / "found"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "passband.cli"]
    subprocess.run(command, env=os.environ | asked, cwd=tmp_path, timeout=600)
    completed = {word.strip() for word in found.read_text().split("\n") if word}
    assert words <= completed
    assert all(word.startswith("-") for word in completed - words)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--cs-mm", "1.2"], "--cs-mm 1.2; did you mean --cs-um (1 mm is 1000 µm)?"),
        (["--defocus-A=50"], "--defocus-A=50; did you mean --defocus-nm (1 Å is 0.1 nm)?"),
        (["--defcus-nm", "5"], "--defcus-nm 5; did you mean --defocus-nm?"),
        (["--zzz"], "--zzz"),
    ],
)
def test_an_unknown_option_names_the_one_that_was_meant(given, says, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["recommend", "demo", *given])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"passband recommend: error: unrecognized arguments: {says}"


def test_the_package_is_the_command(tmp_path):
    command = [sys.executable, "-m", "passband"]
    shown, refused = (
        subprocess.run([*command, word], capture_output=True, text=True, cwd=tmp_path)
        for word in ("--version", "mien")
    )
    assert (shown.returncode, shown.stdout) == (0, f"passband {passband.__version__}\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("passband: error: there is no command 'mien'")
