"""The page about versions says what the code and the workflow do."""

import re
from pathlib import Path

import passband
from passband.results import layout
from passband.storage import integrity

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/versions.md").read_text(encoding="utf-8")
#: The stage of each kind of recipe that rules have as a param.
RECIPES = {"waves(": "simulate", "training.params": "train", "tests": "evaluate"}
ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", PAGE, re.M)


def made_by_stage() -> dict[str, set[str]]:
    """Return the folders and stores that the rules of each stage make."""
    made: dict[str, set[str]] = {stage: set() for stage in passband.STAGES}
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^\s*rule ", file.read_text(encoding="utf-8"), flags=re.M)[1:]:
            stages = re.findall(r'"(\w+)"', "".join(re.findall(r"STAGES\[(.*?)\]", rule)))
            # A recipe has the number of its stage.
            stages = stages or [RECIPES[name] for name in RECIPES if f"RECIPES.{name}" in rule]
            output = re.search(r"^\s+output:\n(.*?)^\s+log:", rule, re.M | re.S)
            if "result_recipes(" in rule:  # those of networks with a head have one more number
                stages.append("particles")
            assert stages or not output or "layout.PREFLIGHT" in output[1], rule
            of_layout = r"layout\.([A-Z_]+)|\b(RECORD)\b|\b(figure)\("
            names = re.findall(of_layout, output[1]) if output else []
            for stage in stages:
                for name in ("".join(found).upper() for found in names):
                    first, _, rest = getattr(layout, name).partition("/")
                    made[stage].add(first + "/" * bool(rest))
    return made


def test_the_page_has_the_number_and_the_files_of_every_stage():
    assert [(stage, int(number)) for stage, number, _ in ROWS] == list(passband.STAGES.items())
    files = {stage: set(re.findall(r"`(.+?)`", named)) for stage, _, named in ROWS}
    assert files == made_by_stage()


def test_the_page_has_the_format():
    assert f"published folders](publish.md), is {integrity.FORMAT}" in " ".join(PAGE.split())
