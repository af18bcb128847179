"""Files that `passband predict` has written are recognised, and those of a user are not."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from passband import PassbandError
from passband.micrographs import outputs
from passband.micrographs.images import readers
from passband.micrographs.images.own_outputs import KINDS, is_output, png_info, title
from passband.results import published


@pytest.mark.parametrize("kind", KINDS)
def test_output_files_are_recognised_under_any_name(tmp_path, kind):
    outputs.write_tiff(tmp_path / "a.ome.tif", [np.zeros((40, 40))], 0.02, title("x & y", kind))
    assert is_output(tmp_path / "a.ome.tif")


def test_a_picture_is_recognised_by_its_text(tmp_path):
    picture = Image.fromarray(np.zeros((40, 40), np.uint8))
    picture.save(tmp_path / "a.png", pnginfo=png_info())
    picture.save(tmp_path / "b_overlay.png")
    assert is_output(tmp_path / "a.png")
    assert not is_output(tmp_path / "b_overlay.png")
    (tmp_path / "b_mask.ome.tif").touch()  # of a version that did not mark its overlays
    assert is_output(tmp_path / "b_overlay.png")


def test_files_of_a_user_are_images_whatever_their_name_is(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    tifffile.imwrite(tmp_path / "a_mask.ome.tif", mask, metadata={"Name": "a mask"})
    outputs.write_tiff(tmp_path / "simulated.ome.tif", [mask], 0.02, "simulated")
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    os.mkfifo(tmp_path / "pipe.tif")
    assert not any(map(is_output, tmp_path.iterdir()))
    assert not is_output(published.SAMPLE)


def test_output_files_are_left_out_with_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    tifffile.imwrite("images/gold.tif", np.eye(40, dtype=np.float32))
    for kind in KINDS:
        outputs.write_tiff(
            tmp_path / f"images/gold_{kind}.ome.tif", [np.eye(40)], 0.02, title("gold", kind)
        )
    said = []
    assert [path.name for path in readers.find(["images"], said.append)] == ["gold.tif"]
    assert said == [
        "images/gold_disagreement.ome.tif and 3 other files: written by `passband predict`, no "
        "image of a microscope: left out"
    ]
    with pytest.raises(PassbandError, match=r"^images/gold_mask.ome.tif: written by `passband pre"):
        readers.find(["images/gold_mask.ome.tif"])
