"""The picture of the sizes."""

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from passband import PassbandError
from passband.micrographs import size_figure
from passband.micrographs.images import own_outputs
from passband.micrographs.images.particles import Particle
from passband.micrographs.summary import Frame


def frames(*diameters):
    return [
        Frame(
            file="a.tif",
            shape=(200, 100),
            pixel_size_A=1.0,
            particles=(Particle(1, 1.0, each, 0, 0, False),),
        )
        for each in diameters
    ]


@pytest.mark.slow
def test_picture_is_written_and_is_recognised_as_an_output(tmp_path):
    (path,), line = size_figure.write(frames(2.0, 3.0, 3.5, 3.5, 3.5), tmp_path)
    assert path == tmp_path / "sizes.png"
    assert own_outputs.is_output(path)
    assert line.startswith("sizes: mean 3.10 nm, SD 0.65 nm; weighted 3.16 nm (")
    assert line.endswith("5 whole particles in 5 images")
    with Image.open(path) as picture:
        assert picture.width > 500
    assert not plt.get_fignums()  # pyplot would have a window for it, in napari
    size_figure.check(tmp_path)
    size_figure.write([], tmp_path)
    assert not list(tmp_path.iterdir())


def test_figure_shows_shares_band_and_numbers():
    figure = size_figure.draw(size_figure.of_frames(frames(2.0, 3.0, 3.5, 3.5, 3.5)))
    (ax,) = figure.axes
    assert ax.get_title(loc="left").splitlines()[2] == "5 whole particles in 5 images"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["90% of resamplings"]
    alone = size_figure.draw(size_figure.of_frames(frames(2.0)))
    assert alone.axes[0].get_legend() is None


def test_without_whole_particles_there_is_no_picture(tmp_path):
    written, line = size_figure.write([], tmp_path)
    assert written == list(tmp_path.iterdir()) == []
    assert line == "no sizes.png: no image that is not flagged has a whole particle"


def test_a_picture_of_somebody_else_is_kept(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "sizes.png")
    with pytest.raises(PassbandError, match=r"sizes\.png: was not written by `predict`"):
        size_figure.check(tmp_path)
    assert (tmp_path / "sizes.png").exists()
