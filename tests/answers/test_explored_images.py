"""How many example images the explorer has."""

import numpy as np
import pytest

from passband.answers import explored_images
from passband.config import validate
from passband.results import Results


@pytest.mark.parametrize(
    ("field_px", "groups", "sizes"),
    [
        (64, 1, (1, 2, 16)),
        (136, 1, (1, 2, 16)),
        (273, 1, (1, 2, 4)),
        (274, 1, (2, 2, 15)),
        (512, 1, (2, 2, 4)),
        (128, 8, (2, 2, 9)),
        (64, 400, (1, 1, 1)),
        (48, 1000, (1, 1, 1)),
    ],
)
def test_large_fields_are_binned_and_have_images_of_fewer_conditions(field_px, groups, sizes):
    assert explored_images._sizes(field_px, 2, groups) == sizes


@pytest.mark.parametrize("field_px", [16, 100, 300, 1111, 4096])
@pytest.mark.parametrize("groups", [1, 3, 50])
def test_all_images_together_have_a_limit(field_px, groups):
    binning, structures, tests = explored_images._sizes(field_px, 2, groups)
    px = field_px // binning
    assert groups * structures * tests * px**2 <= explored_images._PIXELS
    assert px >= min(field_px, explored_images._SMALLEST_PX)


def test_specimens_and_architectures_share_the_limit(tmp_path, monkeypatch):
    asked, sizes = [], explored_images._sizes
    monkeypatch.setattr(
        explored_images, "_sizes", lambda *given: asked.append(given) or sizes(*given)
    )
    names = ["compact-w4-d2", "compact-w8-d2", "compact-w8-d3"]
    study = validate({"training": {"architectures": names}})
    study = study.model_copy(update={"specimens": dict.fromkeys("ab", study.specimens["gold"])})
    assert explored_images.examples(Results(study, tmp_path), None) == []
    assert [groups for _, _, groups in asked] == [2 * 3]


def test_an_incomplete_square_of_pixels_is_left_out():
    images = np.arange(25.0).reshape(1, 5, 5)
    found = explored_images._binned(images, 2)
    assert found.tolist() == [[[3, 5], [13, 15]]]
    np.testing.assert_array_equal(explored_images._binned(images, 1), images)
