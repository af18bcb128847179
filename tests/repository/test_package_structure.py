"""CONTRIBUTING's tables name the rooms and their tests, and names that the code has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/passband"
ROOMS = sorted(
    path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/**/__init__.py")
)
#: Files of tests about several modules of their room.
SEVERAL = {
    "": {"public_names"},
    "analysis": {"own"},
    "answers": {"recommendation_by"},
    "commands": {"mixtures", "trust_parts"},
    "config": {"axes", "odd_studies", "stage_keys", "study_waves"},
    "door": {"calls"},
    "figures": {"points"},
    "imaging": {"drawn_images", "oversampling"},
    "jobs": {"single_conditions"},
    "learning": {"mixed_training", "own_parts"},
    "micrographs": {"shipped"},
    "prediction": {"points"},
    "reports/explorer": {"explorer_layout", "explorer_page"},
    "results": {"shipped_studies", "trusted_parts"},
    "specimens": {"steps"},
}


def test_every_room_is_in_the_table_with_its_tests():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = page.partition("## Rooms")[2].partition("## Words")[0].splitlines()
    assert len(ROOMS) > 5
    for room in ROOMS:
        (row,) = [row for row in rows if row.count("|") > 4 and f"`{room}/`" in row.split("|")[2]]
        assert f"`tests/{room}/`" in row


def test_names_for_what_is_added_are_names_of_the_code():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## I want to add")[2].partition("\n## ")[0]
    names = re.findall(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)`", table)
    paths = (path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*"))
    code = [path for path in paths if path.suffix in (".py", ".js")]
    words = {w for path in code for w in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    assert len(names) > 50
    files = {path.name for path in ROOT.glob("*")} | {path.name for path in PACKAGE.rglob("*")}
    assert [n for n in names if n not in files and not words.issuperset(n.split("."))] == []


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_files_of_tests_have_the_names_of_modules(room):
    modules = {path.stem for path in (PACKAGE / room).glob("*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / room).glob("test_*.py")}
    assert tested - modules <= SEVERAL.get(room, set())
