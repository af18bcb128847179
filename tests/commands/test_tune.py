"""The command `passband tune`."""

import labelled
import numpy as np
import pytest

import passband
from passband import cli
from passband.learning import tuning

PIXEL = "--pixel-size-A", str(labelled.PIXEL_A)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a network and two labelled images; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    labelled.write_images(tmp_path, 2)
    labelled.write_network(tmp_path / "one.safetensors")
    monkeypatch.setattr(tuning.Schedule.__init__, "__defaults__", (2, 1e-6))
    return tmp_path


def run(capsys, *words):
    """Return the command's exit status, and the lines of its output and of its errors."""
    status = cli.main([*map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


def test_a_network_is_written_and_segments_images(place, capsys):
    words = "tune", "one.safetensors", "images", "labels", *PIXEL, "--out", "mine"
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, [])
    assert out == [
        "not tested: 2 images are too few; label 4 or more",
        "mine is written; use it as a network: passband predict mine FILES",
    ]
    assert sorted(path.name for path in (place / "mine").iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "study.yaml",
        "weights.safetensors",
    ]
    for likeness in ((), ("--likeness",)):
        status, out, err = run(
            capsys, "predict", "mine", "images", *PIXEL, "--out", f"out{len(likeness)}", *likeness
        )
        assert (status, err) == (0, [])
        assert out[1].strip() == (
            "not assessed, because the network was tuned on 2 labelled images, and nothing has "
            "been compared with it since"
        )


def test_the_command_is_the_call(place, capsys):
    words = "one.safetensors", "images", "labels", *PIXEL
    _, out, _ = run(capsys, "tune", *words, "--out", "a", "--seed", 3)
    called = passband.open("one.safetensors").tune(
        "images", "labels", "b", pixel_size_A=labelled.PIXEL_A, seed=3
    )
    assert out == str(called).replace("b is", "a is").replace("predict b", "predict a").split("\n")
    a, b = (passband.open(name).networks for name in "ab")
    (one,), (two,) = (list(each.values()) for each in (a, b))
    assert one.id == two.id
    assert all(
        np.array_equal(x.detach(), y.detach())
        for x, y in zip(one.load().parameters(), two.load().parameters(), strict=True)
    )


def test_a_network_that_does_not_gain_is_not_written(place, capsys):
    for k in (2, 3):
        np.save(place / f"images/{k}.npy", labelled.image_of(labelled.mask(k), k))
        np.save(place / f"labels/{k}.npy", labelled.mask(k))
    status, out, err = run(
        capsys, "tune", "one.safetensors", "images", "labels", *PIXEL, "--out", "mine"
    )
    assert (status, err) == (1, [])
    assert out[0] == "0.npy: Dice 0.000, tuned without it 0.000 (+0.000)"
    assert out[-1] == "mine is not written: on average, tuning gains nothing: +0.000"
    assert not (place / "mine").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("images", "labels", "--out", "images"), "--out = 'images': exists; give another name"),
        (("images", "labels", "--out", "mine"), "images/0.npy has none; give --pixel-size-A"),
        (("nothing", "labels", *PIXEL, "--out", "mine"), "nothing: no such file or folder"),
        (("images", "nothing", *PIXEL, "--out", "mine"), "labels = 'nothing': there is no such"),
        (("images", "labels/0.npy", *PIXEL, "--out", "mine"), "is one file for 2 images"),
        (("images/0.npy", "labels", *PIXEL, "--out", "mine"), "1 labelled image: must be at"),
    ],
)
def test_wrong_input_is_one_line(place, capsys, words, message):
    status, out, err = run(capsys, "tune", "one.safetensors", *words)
    assert (status, out) == (1, [])
    (line,) = err
    assert message in line
    assert not (place / "mine").exists()


def test_one_of_several_networks_must_be_named(place, capsys):
    labelled.write_network(place / "two.safetensors", replicas=2)
    words = "tune", "two.safetensors", "images", "labels", *PIXEL, "--out", "mine"
    status, _, (line,) = run(capsys, *words)
    assert status == 1
    assert line.startswith("--network = 'two.safetensors': has gold/compact-w1-d1/")
    id = line.split("has ")[1].split(", ")[0]
    assert run(capsys, *words, "--network", id)[0] == 0
