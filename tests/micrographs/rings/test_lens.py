"""The lens of image files."""

import numpy as np
import pytest
import zarr
from carbon_images import film_image

from passband import PassbandError
from passband.micrographs.rings import lens
from passband.micrographs.rings.lens import Known


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
    content = found.values()
    assert content["defocus_nm"]["value"] == pytest.approx(60, abs=2)
    lam, defocus = 0.019687, content["defocus_nm"]["value"] * 10
    scaled = content["scaled"]["wavelength_defocus_per_pixel2"]
    assert scaled == pytest.approx(lam * defocus / 0.16, rel=1e-3)
    assert content["amplitude_contrast"]["value"] == 0.1
    assert content["signs"][0]["likelihood"] == 1


@pytest.mark.slow
def test_frames_of_a_stack_are_images(tmp_path):
    stack = np.stack([film_image(px=160, seed=k, defocus=600, dose=2000) for k in range(2)])
    path = write(tmp_path, "a.zarr", stack)
    known = Known(energy_keV=300, cs_um=0, sign=1)
    both = lens.measure([path], None, known)
    assert [each.name for each in both] == ["a.zarr frame 0", "a.zarr frame 1"]
    (first,) = lens.measure([path], None, known, most_frames=1)
    assert first.notes == ("measured in 1 of 2 frames",)


@pytest.mark.parametrize(
    ("cs", "energy", "message"),
    [
        ("0000.000", 200.0, r"b\.zarr: states 200 keV, and .*one beam energy"),
        ("1200.000", 300.0, r"b\.zarr: states a Cs of 1200 µm, and .*a Cs of 0 µm; .*give --cs-um"),
    ],
)
def test_files_of_different_lenses_are_refused(tmp_path, cs, energy, message):
    files = [
        write(
            tmp_path,
            f"{name}.zarr",
            film_image(px=160),
            condition=f"df+0060.00_cs+{cs}_ap030.00_ds002000.00",
            energy_kev=energy,
        )
        for name, cs, energy in (("a", "0000.000", 300.0), ("b", cs, energy))
    ]
    with pytest.raises(PassbandError, match=message):
        lens.measure(files, None, Known())


@pytest.mark.slow
def test_every_file_has_its_own_aperture(tmp_path):
    files = [
        write(
            tmp_path,
            f"{aperture}.zarr",
            film_image(px=160, seed=k, defocus=600, dose=2000),
            condition=f"df+0060.00_cs+0000.000_ap0{aperture}.00_ds002000.00",
            energy_kev=300.0,
        )
        for k, aperture in enumerate((30, 14))
    ]
    found = lens.measure(files, None, Known(sign=1))
    assert [each.settings.aperture_mrad for each in found] == [30, 14]
    limits = [each.measurement.image.high for each in found]
    assert limits[1] < 0.014 / 0.0197 < limits[0]
