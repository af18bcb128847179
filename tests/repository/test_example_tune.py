"""The example that goes on training a network with labelled images."""

import labelled
import pytest

import passband
from examples import tune


@pytest.mark.slow
def test_a_network_that_gains_is_written_and_finds_the_particles(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tune.tuned, "__defaults__", ((0,), 20, 0.05))
    labelled.write_images(tmp_path, 3)
    labelled.write_network(tmp_path / "before.safetensors")
    out = tmp_path / "mine.safetensors"
    words = [str(tmp_path / name) for name in ("before.safetensors", "images", "labels")]
    pixel = ["--pixel-size-A", str(labelled.PIXEL_A)]
    tune.main([*words, str(out), *pixel])
    first, *_, gain, last = capsys.readouterr().out.splitlines()
    assert first.startswith("0.npy: Dice 0.000, tuned on the others ")
    assert float(gain.removeprefix("mean gain ").split(",")[0]) > 0.9
    assert last == f"{out} is written: passband predict {out} FILES"
    found = passband.open(out).segment(tmp_path / "images/0.npy", pixel_size_A=labelled.PIXEL_A)
    assert tune.dice_of_masks(found.mask, labelled.mask(0)) > 0.9

    monkeypatch.setattr(tune.tuned, "__defaults__", ((0,), 1, 0.0))
    other = tmp_path / "other.safetensors"
    with pytest.raises(SystemExit):
        tune.main([*words, str(other), *pixel])
    assert capsys.readouterr().err == f"{other} is not written\n"
    assert not other.exists()
