"""Figures are parts: one rule draws all of them, and a study may bring its own."""

import re
import shutil
import subprocess

import pytest
from runs import ROOT
from workplace import Workplace

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STUDY = "study.yaml"


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> Workplace:
    """The study that 0.3.0 has finished, and its report. Tests must not change it."""
    place = Workplace(tmp_path_factory.mktemp("reported"))
    archive = ROOT / "tests/data/finished_03.tar.xz"
    subprocess.run(["tar", "xf", archive], cwd=place.folder, check=True)
    assert jobs(place.run(study=STUDY)) == ["report"]
    return place


@pytest.fixture
def own(reported, tmp_path) -> Workplace:
    """A copy of it, which a test may change."""
    place = Workplace(tmp_path / "copy")
    place.take(reported.folder)
    shutil.copy(reported.folder / STUDY, place.folder)
    (place.folder / "parts").mkdir()
    return place


def jobs(printed: str) -> list[str]:
    """Return the jobs that Snakemake has printed; those of figures with the figure's name."""
    found = re.findall(r"^(?:local)?rule (\w+):\n((?: .+\n)+)", printed, re.M)
    names = [(rule, re.search(r"wildcards: figure=(\w+)", lines)) for rule, lines in found]
    return sorted(f"{rule} {name[1]}" if name else rule for rule, name in names if rule != "all")


def listed(place: Workplace, *words: str) -> list[str]:
    """Return the jobs of a dry run."""
    return jobs(place.run("--dry-run", *words, study=STUDY))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 2}, ["figure decay", "report"]),
        ({"caption": "**Another caption.**", "memory_mb": 9000}, ["report"]),
    ],
)
def test_an_edited_part_lists_its_figure_and_the_report(reported, changes, expected):
    (reported.folder / "edited.smk").write_text(
        "from passband.parts import PACKAGE\n\n"
        'part = PACKAGE.get("figure", "decay")\n'
        f"vars(part.declaration).update({changes!r})\n\n\n"
        'include: "Snakefile"\n'
    )
    assert listed(reported, "all", "--snakefile", "edited.smk") == expected


def test_a_figure_of_a_users_own_is_drawn_and_shown_and_trains_nothing(own):
    """The user copies the example into the folder `parts` beside the study's file."""
    file = own.folder / "parts/dice_histogram.py"
    shutil.copy(ROOT / "examples/parts/dice_histogram.py", file)
    printed = own.run(study=STUDY)
    assert jobs(printed) == ["figure dice_histogram", "report"]
    picture = "results/smallest/figures/dice_histogram.png"
    assert f"figure dice_histogram: {picture} in " in printed
    assert (own.folder / picture).stat().st_size > 2000
    page = (own.folder / "results/smallest/report.html").read_text(encoding="utf-8")
    assert '<figure id="figure-dice_histogram"' in page
    assert "<strong>How often each Dice occurs.</strong>" in page
    assert listed(own) == []
    file.write_text(file.read_text().replace("0, 1, 21", "0, 1, 11"))
    assert listed(own) == ["figure dice_histogram", "report"]
    file.unlink()
    assert listed(own) == ["report"]


def test_a_figure_that_cannot_be_drawn_is_refused_before_any_job(own):
    file = own.folder / "parts/mine.py"
    file.write_text(
        "from passband.parts import figure\n\n\n"
        "@figure(caption='**Mine.**', name='decay')\ndef mine(matrices, width_cm): ...\n"
    )
    printed = own.run("--dry-run", study=STUDY, fails=True)
    (line,) = [line for line in printed.splitlines() if "has a figure of this name, too" in line]
    assert "parts/mine.py" in line
    assert "Traceback" not in printed
