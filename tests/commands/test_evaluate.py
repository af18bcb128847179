"""The command ``passband evaluate`` and the conditions that a user gives to a command."""

import numpy as np
import pytest
import yaml
from finished_study import small_study, write_finished

from passband import cli
from passband.answers import further_tests
from passband.axes import MAIN_AXES
from passband.config.given_conditions import read
from passband.grid import Axes, Condition
from passband.results import Results

HEAD = ",".join(MAIN_AXES)
GOOD = ["--defocus-nm", "12", "--cs-um", "5", "--aperture-mrad", "15", "--dose-e-per-A2", "400"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the file of a small study, study.yaml, and finished networks."""
    folder, study = tmp_path_factory.mktemp("finished"), small_study()
    text = yaml.safe_dump(study.model_dump(mode="json", exclude_unset=True))
    (folder / "study.yaml").write_text(text)
    write_finished(study, folder / "results" / "tiny")
    return folder


@pytest.fixture
def run(finished, monkeypatch, capsys):
    """Run the command on the study, and return its exit status, output and errors."""
    monkeypatch.chdir(finished)

    def call(*arguments):
        status = cli.main(["evaluate", "study.yaml", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_options_make_all_combinations(run, finished):
    values = [
        "--defocus-nm=-5,12.5",
        "--cs-um",
        "5",
        "--aperture-mrad=15",
        "--dose-e-per-A2=100,400",
    ]
    status, out, err = run(*values)
    assert (status, err) == (0, "")
    assert (
        out
        == "4 network(s) are tested under 4 further condition(s); results in results/tiny/store\n"
    )
    found = further_tests.read_further(Results(small_study(), finished / "results/tiny"))
    pairs = zip(found.test_defocus_nm.values, found.test_dose_e_per_A2.values, strict=True)
    assert {(-5, 100), (-5, 400), (12.5, 100), (12.5, 400)} <= set(pairs)
    assert not np.isnan(found.dice).any()


def test_conditions_of_a_file_are_tested(run, finished, tmp_path):
    file = tmp_path / "conditions.csv"
    # As a spreadsheet program writes it: a byte order mark, a further column, and spaces.
    # It also has Cs in another unit, which is rounded.
    rows = [",0.01,7,5,15,300", "", "x,0.01,8,5,15,300"]
    file.write_text("\r\n".join([f"\ufeffnote, cs_mm, {HEAD.replace(',', ', ')}", *rows, ""]))
    assert run("--conditions", file)[0] == 0
    found = further_tests.read_further(Results(small_study(), finished / "results/tiny"))
    assert {7, 8} <= set(found.test_defocus_nm.values)
    assert [Axes.main.condition(given.values) for given in read(file)] == [
        Condition(7, 5, 15, 300),
        Condition(8, 5, 15, 300),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no condition is given; give --defocus-nm"),
        (GOOD[:6], "--dose-e-per-A2 is missing; give all of --defocus-nm"),
        ([*GOOD[:7], "400e"], "--dose-e-per-A2 = '400e': must be between 0.01"),
        ([*GOOD, "--defocus-nm", "12nm"], "and 9999.99 nm, a number without its unit"),
        ([*GOOD, "--defocus-nm", "5,,6"], "--defocus-nm = '': must be between"),
        ([*GOOD, "--dose-e-per-A2", "0"], "--dose-e-per-A2 = '0': must be between 0.01"),
        ([*GOOD, "--dose-e-per-A2", "nan"], "--dose-e-per-A2 = 'nan': must be between"),
        ([*GOOD, "--cs-um", "1.23456"], "is finer than the axis's resolution of 0.001 µm"),
        ([*GOOD, "--aperture-mrad", "60"], "aperture_mrad = 60: must not exceed"),
        ([*GOOD, "--conditions", "x.csv"], "must not be given together with --conditions"),
        ([*GOOD, "--processes", "0"], "--processes = 0: must be between 1 and 1024"),
        (
            [
                *GOOD,
                "--defocus-nm",
                ",".join(map(str, range(1000))),
                "--cs-um",
                ",".join(map(str, range(1000))),
            ],
            "1,000,000 conditions; must not exceed 100,000",
        ),
        (["--conditions", "none.csv"], "'none.csv': there is no such file; give the path"),
    ],
)
def test_wrong_options_are_refused_in_one_line(run, options, message):
    status, out, err = run(*options)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": line 1: is empty; must have names of columns such as defocus_nm,cs_um"),
        (f"{HEAD}\n", ": has no point below its first line"),
        ("defocus_nm,cs_um,aperture_mrad\n1,2,3\n", ": line 1: has no column dose_e_per_A2; the"),
        (f"{HEAD},cs_um\n1,2,3,4,5\n", ": line 1: has two columns for cs_um"),
        (f"{HEAD},energy_kev\n5,1,15,100,200\n", ": line 2: energy_kev = 200: needs exit waves"),
        (
            f"{HEAD}\n5,1,15,100\n5,1 µm,15,100\n",
            ": line 3: cs_um = 1 µm: must be between -9999.999 and 9999.999 µm, a number without",
        ),
        (f"{HEAD}\n5,1,15\n", ": line 2: has 3 values; must have 4"),
        (f"{HEAD}\n5,1,15,0\n", ": line 2: dose_e_per_A2 = 0: must be between"),
        (f"{HEAD}\n\n5,1,60,100\n", ": line 3: aperture_mrad = 60: must not exceed"),
        ("\udcff\udcfe", ": line 1: is not UTF-8"),
    ],
)
def test_wrong_files_are_refused_in_one_line(run, tmp_path, text, message):
    file = tmp_path / "c.csv"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    status, out, err = run("--conditions", file)
    assert (status, out) == (1, "")
    assert err.startswith(f"{str(file)!r}{message}")
    assert err.count("\n") == 1


def test_a_study_that_has_not_run_is_refused_in_one_line(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", str(finished / "study.yaml"), *GOOD]) == 1
    err = capsys.readouterr().err
    assert err == "results/tiny: the study has no finished networks yet; run the study first\n"


@pytest.mark.slow
def test_further_axes_are_options_and_columns(run, finished, tmp_path):
    own = small_study().microscope.vibration_A
    assert own == 0
    assert run(*GOOD, "--axis", f"vibration_A={own},0.5", "--axis=astigmatism_nm=4")[0] == 0
    file = tmp_path / "conditions.csv"
    file.write_text(f"{HEAD},coma_nm\n12,5,15,400,0\n12,5,15,400,150\n")
    assert run("--conditions", file)[0] == 0
    ids = set(
        further_tests.read_further(Results(small_study(), finished / "results/tiny")).test.values
    )
    here = "df+0012.00_cs+0005.000_ap015.00_ds000400.00"
    assert {here, f"{here}_as0004.000", f"{here}_as0004.000_vb00.500"} <= ids
    assert f"{here}_co000150.00" in ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--axis=vibration_A=1"], "--defocus-nm is missing; give all of"),
        ([*GOOD, "--axis=vibration_A=1 Å"], "--axis vibration_A = '1 Å': must be between 0.0 and"),
        (
            [*GOOD, "--axis=mtf_nyquist=2"],
            "--axis mtf_nyquist = '2': must be between 0.001 and",
        ),
        ([*GOOD, "--axis=focal_spread_nm=99"], "microscope.focal_members = "),
    ],
)
def test_wrong_further_values_are_refused_in_one_line(run, options, message):
    status, out, err = run(*options)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
