"""Pieces of the smallest study, made from the results of the whole."""

import shutil
from pathlib import Path

import yaml

from passband.grid import Condition

STUDY = yaml.safe_load((Path(__file__).parents[1] / "data/smallest.yaml").read_text())
DEFOCUS = (5, 20)


def piece(whole, name, defocus, **blocks):
    """Make results/<name>: the networks of some defocus values, tested under all conditions."""
    study = yaml.safe_load(yaml.safe_dump(STUDY))
    grid = study["grid"]
    study["test_grid"] = blocks.pop("test_grid", grid)
    study["grid"] = grid | {"defocus_nm": list(defocus)}
    study["study"]["name"] = name
    for block, keys in blocks.items():
        study[block] = study.get(block, {}) | keys
    folder = Path("results") / name
    shutil.copytree(whole, folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    for found in [*folder.glob("store/networks/*/*/*"), *folder.glob("store/records/*/*/*")]:
        if Condition.parse(found.name).defocus_nm not in defocus:
            shutil.rmtree(found)
    return name


def halves(whole, **blocks):
    """Make the pieces a and b, each with one of both defocus values; `blocks` change b."""
    return [piece(whole, "a", DEFOCUS[:1]), piece(whole, "b", DEFOCUS[1:], **blocks)]
