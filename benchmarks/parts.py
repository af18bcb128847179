"""Measure how long it takes until a new part works in a finished study.

    python benchmarks/parts.py           # every kind
    python benchmarks/parts.py figure loss

The study is `studies/smallest.yaml`. To a copy of the finished study, the example of each kind is
added and named, as `docs/add.md` says. Then `passband check` tries it and `passband run` makes
what depends on it: with most kinds, the exit waves or the networks of the whole study.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from harness import Table
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parents[1]
#: Cubes and octahedra are wider than the study's particles, and have to fit its field.
SMALLER = {"diameter_nm": {"mean": 1.15, "max": 1.25}}
#: By kind, the keys that name its example.
NAMED = {
    "figure": {},
    "metric": {},
    "ood_metric": {},
    "loss": {"training": {"loss": "tversky"}},
    "architecture": {"training": {"architectures": ["dilated"]}},
    "head": {"training": {"architectures": ["compact-w4-d2+blobs"]}},
    "material": {"specimens": {"gold": {"material": "MgO", "shape": "cube", **SMALLER}}},
    "shape": {"specimens": {"gold": {"shape": "octahedron", **SMALLER}}},
    "specimen": {"specimens": {"gold": {"kind": "nanorods"}}},
    "engine": {"microscope": {"engine": "projection"}},
    "noise": {"microscope": {"noise": "readout"}},
}


def seconds(folder: Path, *words: str) -> float:
    """Run a command of Passband in a folder, and return how long it takes [s]."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "passband.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"passband {' '.join(words)} failed:\n{done.stderr[-4000:]}")
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(NAMED)}")
    kinds = parser.parse_args().kinds or list(NAMED)
    if unknown := [kind for kind in kinds if kind not in NAMED]:
        parser.error(f"KIND = {unknown[0]!r}: must be one of {', '.join(NAMED)}")
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        finished = Path(folder) / "finished"
        finished.mkdir()
        study = (ROOT / "studies/smallest.yaml").read_text(encoding="utf-8")
        (finished / "config.yaml").write_text(study, encoding="utf-8")
        table.row("the whole study: run [s]", None, seconds(finished, "run"))
        for kind in kinds:
            place = Path(folder) / kind
            shutil.copytree(finished, place)
            seconds(place, "new", "--part", kind)
            content = yaml.safe_load(study)
            update_config(content, NAMED[kind])
            (place / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            table.row(f"{kind}: check [s]", None, seconds(place, "check"))
            table.row(f"{kind}: run [s]", None, seconds(place, "run"))


if __name__ == "__main__":
    main()
