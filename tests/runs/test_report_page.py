"""The page of finished and of incomplete studies, made from their files."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from passband import PassbandError, cli
from passband.config import Study, validate
from passband.results import Results
from passband.runs import report_page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(archived, tmp_path, monkeypatch) -> Path:
    """A copy of a finished study of four conditions, as the working directory."""
    shutil.copytree(archived, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def study_of(place: Path) -> Study:
    return validate(yaml.safe_load((place / "study.yaml").read_text()), "study.yaml")


def test_the_command_makes_the_page_of_a_finished_study(place, capsys):
    assert cli.main(["report", "study.yaml"]) == 0
    page = place / "results/smallest/report.html"
    printed = capsys.readouterr()
    assert printed.out.startswith("results/smallest/report.html: 0.")
    assert printed.err == ""
    text = page.read_text()
    assert "This study is incomplete" not in text
    for name in ("ctf", "decay", "examples", "metrics"):
        assert f'id="figure-{name}"' in text
    assert "Each of the 8 lines is a network" in text
    assert "Phase of the exit wave" in text
    assert "Rangel DaCosta" in text
    order = "defocus_nm,dose_e_per_A2"  # no network learned, so no axis costs more than another
    assert f'<a href="explorer.html#rows={order}&amp;columns={order}">' in text
    assert "No network learned" in text
    assert "<dd>" not in text  # so no numbers lead the page


def test_the_numbers_of_an_incomplete_study_are_those_of_its_records(place, capsys, all_learned):
    results, study = place / "results/smallest", study_of(place)
    whole = report_page.collect(Results(study, results)).numbers
    shutil.rmtree(results / "table.zarr")
    shutil.rmtree(results / "ood.zarr")
    (results / "figures/decay.png").unlink()
    again = report_page.collect(Results(study, results)).numbers
    assert (again.home, again.other, again.pairs) == (whole.home, whole.other, whole.pairs)
    records = sorted((results / "records").rglob("*.zarr.zip"))
    records[0].unlink()
    weights = sorted((results / "networks").rglob("*.safetensors"))
    weights[0].unlink()
    log = results / "logs/train" / weights[0].relative_to(results / "networks")
    log = log.with_suffix(".log")
    log.write_text("08:00:00 error: train gold: <script>alert(1)</script>: cannot be read\n")
    os.utime(log)
    assert cli.main(["report", "study.yaml"]) == 0
    said = capsys.readouterr().err
    for words in ("6 of 8 networks are trained", "6 of 8 networks are tested", "aggregate", "ood"):
        assert words in said
    text = (results / "report.html").read_text()
    assert "This study is incomplete" in text
    assert "The figure “decay” is not drawn yet." in text
    assert "<script>alert" not in text
    assert "1 job has failed." in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: cannot be read" in text
    found = report_page.collect(Results(study, results)).numbers
    assert found.pairs < whole.pairs


def test_a_study_without_any_network_has_a_page(place):
    results = place / "results/smallest"
    for name in ("table.zarr", "ood.zarr", "records", "networks", "benchmarks", "figures", "waves"):
        shutil.rmtree(results / name)
    missing = report_page.write(Results(study_of(place), results), results / "report.html")
    assert "0 of 8 networks are trained" in missing
    assert "There is no answer yet." in (results / "report.html").read_text()


def test_a_damaged_store_is_named(place):
    results = place / "results/smallest"
    (results / "ood.zarr/zarr.json").write_text("{")
    missing = report_page.write(Results(study_of(place), results), results / "report.html")
    assert any("ood.zarr" in line for line in missing)


def test_a_figure_of_gigabytes_is_left_out(place, capsys):
    figure = Path("results/smallest/figures/examples.png")
    with figure.open("r+b") as file:
        file.truncate(10**12)  # takes no place on the disk
    assert cli.main(["report", "smallest"]) == 0
    assert Path("results/smallest/report.html").stat().st_size < 10**7


def test_a_study_without_results_is_an_error_of_one_line(place, capsys):
    shutil.rmtree(place / "results")
    assert cli.main(["report", "study.yaml"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "study.yaml: there is no folder results/smallest yet; run the study first"


def test_results_without_write_permission_are_an_error_of_one_line(place, refuse_writing):
    results = place / "results/smallest"
    refuse_writing(results)
    with pytest.raises(PassbandError) as error:
        report_page.write(Results(study_of(place), results), results / "report.html")
    assert str(error.value) == (
        f"{results / 'report.html'}: cannot be written: Permission denied; write the page to "
        "another folder: passband report smallest --output FILE.html"
    )


def test_the_page_may_be_written_elsewhere(place, capsys):
    assert cli.main(["report", "smallest", "--output", "page.html"]) == 0
    assert "passband explore smallest" in (place / "page.html").read_text()
    assert "explorer.html" not in (place / "page.html").read_text()
    assert not (place / "results/smallest/report.html").exists()
    assert cli.main(["report", "smallest", "--output", "no/page.html"]) == 1
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("px", [32, 20, 9])
def test_a_wave_is_shown_on_any_number_of_pixels(px):
    """The spectrum has a wave of two periods along y. Oversampled waves have more frequencies."""
    spectrum = np.zeros((21, 21), complex)
    spectrum[10, 10], spectrum[10, 12] = 1, 0.5
    wave = report_page._sampled(spectrum, px)
    expected = 1 + 0.5 * np.exp(2j * np.pi * 2 * np.arange(px) / px)
    np.testing.assert_allclose(wave / wave.mean(), np.tile(expected, (px, 1)), atol=1e-5)
