"""Axes without any effect, whose values would be trained as other conditions."""

from passband.axes import FURTHER_AXES
from passband.config import grid_blocks
from passband.config.base import short
from passband.words import listed

#: The axis with the amplitude of an aberration, by the axis with the aberration's azimuth.
AMPLITUDES = {
    name: name.replace("_deg", "_nm") for name, axis in FURTHER_AXES.items() if axis.unit == "°"
}


def check(study) -> None:
    """Raise ValueError, with a line that begins with a key, if an axis has no effect."""
    axes = grid_blocks.joined_axes([*study.train_products, *study.test_products])
    mtf = study.microscope.detector.mtf
    modelled = ("gaussian", "lorentzian")
    if "mtf_nyquist" in axes and mtf not in modelled:
        raise ValueError(
            f"microscope.detector.mtf = {mtf!r}: has no mtf_nyquist, which is an axis of the "
            f"grid; must be {listed([*map(repr, modelled)], 'or')}"
        )
    mixed = {
        name
        for block in study.mixture_blocks.values()
        for given in block.extremes().values()
        for name in given
    }
    if "noise_kernel_A" in axes.keys() | mixed:
        check_kernel(study)
    normalisation = study.training.normalisation
    if "gain" in axes.keys() | mixed and normalisation != "vacuum":
        raise ValueError(
            f"training.normalisation = {normalisation!r}: takes away the gain, which is an axis of "
            "the grid; must be 'vacuum'"
        )
    for azimuth, amplitude in AMPLITUDES.items():
        own = study.axes.own_value(amplitude)
        if azimuth in axes and not any(axes.get(amplitude, [own])):
            raise ValueError(
                f"{FURTHER_AXES[amplitude].key} = {own:g}: has no azimuth, but {azimuth} = "
                f"{short(axes[azimuth])} is an axis of the grid; give a value above 0, or "
                f"values of the axis {amplitude}"
            )

    warmed = any(specimen.feels_temperature for specimen in study.specimens.values())
    if "temperature_K" in axes and "substrate_thickness_nm" not in axes and not warmed:
        name, specimen = next(iter(study.specimens.items()))
        raise ValueError(
            f"specimens.{name}.thermal.msd_A2 = {short(specimen.thermal.msd_A2)}: replaces the "
            "temperature for every element, but temperature_K is an axis of the grid; remove "
            "the axis, or the displacement of a metal or of C"
        )


def check_kernel(study) -> None:
    """Raise ValueError if the noise has no kernel, whose width is the axis `noise_kernel_A`."""
    noise = study.microscope.detector.noise
    if not noise.has_kernel:
        raise ValueError(
            f"microscope.detector.noise.form = {noise.form!r}: has no kernel, whose width is the "
            "axis noise_kernel_A; must be 'binned' or 'hann', with width_A = 0 for white noise"
        )
