"""A repository with a protocol; real images, damaged on purpose, and what lines predict of them."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from findings.second_lock import locked
from findings.second_lock.damage import DOSES
from findings.second_lock.damaged_lines import ALL_DOSES, DEFOCI

#: Arms, networks and doses.
SHAPE = 3, 7, 4


@pytest.fixture
def folder(tmp_path):
    """A folder with an image of noise with a bright square, and an empty image."""
    random = np.random.default_rng(0)
    for name, size in (("a", 40), ("empty", 0)):
        values = random.normal(100, 10, (132, 132))
        mask = np.zeros((132, 132), np.uint8)
        mask[20 : 20 + size, 20 : 20 + size] = 255
        values[mask > 0] += 60
        for kind, image in (("images", values), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
                tmp_path / kind / f"{name}.png"
            )
    return tmp_path


@pytest.fixture
def made():
    """Predictions and Dice that B, and A at 20 nm and 200 e/Å², predict up to a patch's level."""
    random = np.random.default_rng(0)
    truth = random.random(SHAPE) * 0.4 + 0.2
    patches = {name: truth + 0.075 * k for k, name in enumerate("abcde")}
    lens = random.random((*SHAPE[:2], len(DEFOCI), len(ALL_DOSES)))
    at = DEFOCI.index(20)
    for k, share in enumerate(DOSES):
        lens[:, :, at, ALL_DOSES.index(200 * share)] = truth[..., k]
    lines = {
        "known": random.random((*SHAPE[:2], 9)),
        "B": np.stack([truth] * 5, 2),
        "A": lens,
        "raw": random.random(lens.shape),
        "dose": random.random(lens.shape),
    }
    return lines, patches


@pytest.fixture
def commit():
    """What commits everything in the current folder."""

    def everything(text="a message"):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        for words in (("add", "-A"), ("commit", "-m", text)):
            subprocess.run(["git", *who, *words], check=True, capture_output=True)

    return everything


@pytest.fixture
def protocol(tmp_path, monkeypatch, commit):
    """The protocol of a repository with nothing else, in which a test runs."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-b", "main"], check=True, capture_output=True)
    locked.PROTOCOL.parent.mkdir(parents=True)
    locked.PROTOCOL.write_text("margins")
    commit()
    return locked.PROTOCOL
