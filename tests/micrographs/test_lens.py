"""The lens of image files."""

import numpy as np
import pytest
import zarr
from carbon_images import film_image

from passband import PassbandError
from passband.micrographs import lens
from passband.micrographs.lens import Known


def write(folder, name, image, **attributes):
    array = zarr.create_array(folder / name, data=image)
    array.attrs.update({"pixel_size_A": 0.4} | attributes)
    return folder / name


def test_what_a_file_states_is_used(tmp_path):
    image = film_image(px=160, defocus=600, dose=2000)
    state = {"condition": "df+0060.00_cs+0000.000_ap030.00_ds002000.00", "energy_kev": 300.0}
    path = write(tmp_path, "a.zarr", image, **state)
    (found,) = lens.measure([path], None, Known(sign=1))
    assert found.settings.energy_eV == 300e3
    assert found.settings.cs_A == 0
    assert found.settings.aperture_mrad == 30
    content = found.as_dict()
    assert content["defocus_nm"]["value"] == pytest.approx(60, abs=2)
    lam, defocus = 0.019687, content["defocus_nm"]["value"] * 10
    scaled = content["scaled"]["wavelength_defocus_per_pixel2"]
    assert scaled == pytest.approx(lam * defocus / 0.16, rel=1e-3)
    assert content["amplitude_contrast"]["value"] == 0.1
    assert content["signs"][0]["likelihood"] == 1


def test_frames_of_a_stack_are_images(tmp_path):
    stack = np.stack([film_image(px=160, seed=k, defocus=600, dose=2000) for k in range(2)])
    path = write(tmp_path, "a.zarr", stack)
    known = Known(energy_keV=300, cs_um=0, sign=1)
    both = lens.measure([path], None, known)
    assert [each.name for each in both] == ["a.zarr frame 0", "a.zarr frame 1"]
    assert len(lens.measure([path], None, known, most_frames=1)) == 1


def test_files_of_different_energies_are_refused(tmp_path):
    image = film_image(px=160)
    first = write(
        tmp_path,
        "a.zarr",
        image,
        condition="df+0060.00_cs+0000.000_ap030.00_ds002000.00",
        energy_kev=300.0,
    )
    second = write(
        tmp_path,
        "b.zarr",
        image,
        condition="df+0060.00_cs+0000.000_ap030.00_ds002000.00",
        energy_kev=200.0,
    )
    with pytest.raises(PassbandError, match=r"b\.zarr: states 200 keV, and .*one beam energy"):
        lens.measure([first, second], None, Known())
