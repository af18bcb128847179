"""The axes of the grid: the imaging parameters of a study, with their units and limits."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """An imaging parameter: its key in the configuration and its format in a condition's id.

    Attributes:
        name: Key of the parameter in the configuration, and name of its coordinate in the table of
            results. The key ends with the unit.
        label, unit: Name and unit of the parameter in figures and in attributes of data sets.
        token: Prefix of the parameter's value in a condition's id.
        digits, decimals: Number of digits before and after the decimal point in a condition's id.
            All values of the parameter are multiples of 10**−decimals, so that a value can be
            converted to text in an id, and back to a number, without loss.
        minimum, maximum: Smallest and largest allowed value of the parameter. These limits detect
            values in a wrong unit.
        key: The key of the configuration that has the study's own value of a further axis, such as
            ``microscope.aberrations.astigmatism_nm``. A key that begins with ``specimens`` is a key
            of every specimen. It is "" for an axis of :data:`MAIN_AXES`, which has no value
            elsewhere.
        description: A sentence about the axis for the configuration's reference.
    """

    name: str
    label: str
    unit: str
    token: str
    digits: int
    decimals: int
    minimum: float
    maximum: float
    key: str = ""
    description: str = ""

    @property
    def signed(self) -> bool:
        return self.minimum < 0

    @property
    def needs_waves(self) -> bool:
        """Whether another value of the parameter needs other exit waves.

        Exit waves follow from the specimen, the beam energy and the pixels. Everything else acts
        behind the exit wave.
        """
        return self.block == "specimens" or self.key in _WAVE_KEYS

    @property
    def block(self) -> str:
        """The block that has :attr:`key`: ``microscope`` or ``specimens``."""
        return self.key.partition(".")[0]

    @property
    def path(self) -> str:
        """The place of :attr:`key` in its block, such as ``aberrations.astigmatism_nm``."""
        return self.key.partition(".")[2]

    def canonical(self, value: float) -> float:
        """Return the multiple of the axis's resolution nearest to `value`."""
        return round(value, self.decimals) + 0.0  # + 0.0 turns −0.0 into 0.0

    @property
    def step(self) -> str:
        """The axis's resolution in words, such as ``0.001 nm``."""
        return self.words(f"{10**-self.decimals:g}")

    @property
    def allowed(self) -> str:
        """The limits in words, such as ``between 0.1 and 200.0 mrad``."""
        return self.words(f"between {self.minimum} and {self.maximum}")

    def within(self, value: float, said: str = "") -> float:
        """Return a value; ValueError if it is outside the limits.

        The error begins with `said`: what the user wrote, or by default the value.
        """
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{said or f'{value:g}'}: must be {self.allowed}")
        return value

    def checked(self, value: float, said: str = "") -> float:
        """Return a value of the axis's resolution; ValueError if it is no value of the axis."""
        rounded = self.canonical(self.within(value, said))
        if abs(value - rounded) > 1e-9 * max(1, abs(value)):
            said = said or repr(value)
            raise ValueError(f"{said}: is finer than the axis's resolution of {self.step}")
        return rounded

    def parse(self, text: str, said: str, factor: float = 1.0) -> float:
        """Return the value that a text has in a unit of `factor` times the axis's unit.

        Raises:
            ValueError: If it is no number or no value of the axis. The message begins with `said`.
        """
        try:
            value = float(text) * factor
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            unit = "" if self.unit == "1" else " without its unit"
            raise ValueError(f"{said}: must be {self.allowed}, a number{unit}")
        return self.checked(value, said)

    @property
    def option(self) -> str:
        """The option of a command for the axis, such as ``--defocus-nm``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def example(self) -> str:
        """A range of values, as an example for a user."""
        if self.signed and self.maximum >= 25:
            return "-10:25"
        if self.maximum >= 25:
            return f"{max(10, self.minimum):g}:25"
        return f"{self.maximum / 10:g}:{self.maximum / 2:g}"

    @property
    def title(self) -> str:
        """The axis's label with the unit, such as ``defocus [nm]``, and without the unit 1."""
        return self.label if self.unit == "1" else f"{self.label} [{self.unit}]"

    def words(self, text: str) -> str:
        """Return a value's text with the unit, such as ``5 nm``, and without the unit 1."""
        return text if self.unit == "1" else f"{text} {self.unit}"

    def named(self, text: str) -> str:
        """Return a value's text with the label and the unit, such as ``defocus 5 nm``."""
        return f"{self.label} {self.words(text)}"

    def format(self, value: float) -> str:
        """Return a value's part of a condition's id, of fixed width, such as ``cs+0001.200``."""
        width = self.digits + 1 + self.decimals + self.signed
        sign = "+" if self.signed else ""
        return f"{self.token}{self.canonical(value):{sign}0{width}.{self.decimals}f}"


#: The keys of the microscope that exit waves follow from and that are axes.
_WAVE_KEYS = ("microscope.energy_kev", "microscope.pixel_size_A")

#: The axes that every study has. Every condition's id has their values.
MAIN_AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis(
            *("defocus_nm", "defocus", "nm", "df", 4, 2, -9999.99, 9999.99),
            description="Defocus. A positive defocus is underfocus.",
        ),
        Axis(
            *("cs_um", "Cs", "µm", "cs", 4, 3, -9999.999, 9999.999),
            description="Spherical aberration C30.",
        ),
        Axis(
            *("aperture_mrad", "aperture", "mrad", "ap", 3, 2, 0.1, 200.0),
            description="Semi-angle of the objective aperture.",
        ),
        Axis(
            *("dose_e_per_A2", "dose", "e/Å²", "ds", 6, 2, 0.01, 999999.99),
            description="Electron dose.",
        ),
    )
}

#: The axes that a study may have in addition. A condition's id has a value of such an axis only if
#: the value differs from the study's own value, which is in the block `microscope` or `specimens`.
#: So the ids of a study stay the same if it gets one more axis.
FURTHER_AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis(
            *("astigmatism_nm", "astigmatism", "nm", "as", 4, 3, 0.0, 1000.0),
            *("microscope.aberrations.astigmatism_nm", "Two-fold astigmatism C12."),
        ),
        Axis(
            *("astigmatism_deg", "azimuth of astigmatism", "°", "az", 3, 2, -360.0, 360.0),
            *("microscope.aberrations.astigmatism_deg", "Azimuth of two-fold astigmatism."),
        ),
        Axis(
            *("coma_nm", "coma", "nm", "co", 6, 2, 0.0, 100_000.0),
            *("microscope.aberrations.coma_nm", "Axial coma C21."),
        ),
        Axis(
            *("coma_deg", "azimuth of coma", "°", "cz", 3, 2, -360.0, 360.0),
            *("microscope.aberrations.coma_deg", "Azimuth of axial coma."),
        ),
        Axis(
            *("threefold_nm", "three-fold astigmatism", "nm", "tf", 6, 2, 0.0, 100_000.0),
            *("microscope.aberrations.threefold_nm", "Three-fold astigmatism C23."),
        ),
        Axis(
            *("threefold_deg", "azimuth of three-fold astigmatism", "°", "tz", 3, 2, -360.0, 360.0),
            *("microscope.aberrations.threefold_deg", "Azimuth of three-fold astigmatism."),
        ),
        Axis(
            *("focal_spread_nm", "focal spread", "nm", "fs", 3, 3, 0.0, 100.0),
            *("microscope.focal_spread_nm", "1/e width of the distribution of the focus."),
        ),
        Axis(
            *("source_spread_mrad", "source spread", "mrad", "ss", 2, 4, 0.0, 10.0),
            *("microscope.source_spread_mrad", "Angular spread of the illumination."),
        ),
        Axis(
            *("vibration_A", "vibration", "Å", "vb", 2, 3, 0.0, 10.0),
            *("microscope.vibration_A", "Standard deviation of the vibration of the image."),
        ),
        Axis(
            *("mtf_nyquist", "MTF at the Nyquist frequency", "1", "mt", 1, 3, 0.001, 1.0),
            *("microscope.detector.mtf_nyquist", "The MTF at the Nyquist frequency."),
        ),
        Axis(
            *("aperture_edge_mrad", "edge of the aperture", "mrad", "ae", 2, 3, 0.0, 10.0),
            *("microscope.aperture_edge_mrad", "Width of the edge of the objective aperture."),
        ),
        Axis(
            *("energy_kev", "beam energy", "keV", "en", 4, 2, 20.0, 2000.0),
            *("microscope.energy_kev", "Energy of the beam's electrons."),
        ),
        Axis(
            *("pixel_size_A", "pixel size", "Å", "px", 1, 4, 0.02, 2.0),
            *("microscope.pixel_size_A", "Side of a pixel. `field_px` stays the same."),
        ),
        Axis(
            *("substrate_thickness_nm", "substrate", "nm", "th", 2, 3, 0.0, 50.0),
            *("specimens.substrate.thickness_nm", "Mean thickness of the substrate."),
        ),
        Axis(
            *("temperature_K", "temperature", "K", "tk", 4, 1, 0.0, 2000.0),
            *("specimens.thermal.temperature_K", "Temperature of the specimen."),
        ),
        Axis(
            *("mean_diameter_nm", "mean diameter", "nm", "dm", 3, 3, 0.1, 100.0),
            *("specimens.diameter_nm.mean", "Mean diameter of particles before truncation."),
        ),
        Axis(
            *("roughness", "roughness", "1", "rg", 1, 3, 0.0, 0.5),
            *("specimens.roughness", "Fraction of the surface atoms that are removed."),
        ),
        Axis(
            *("slope_sd", "slope of the light", "sd", "sl", 2, 3, 0.0, 20.0),
            *("microscope.background.slope_sd", "Slope of the brightness over the image."),
        ),
        Axis(
            *("vignette_sd", "vignette", "sd", "vg", 2, 3, -20.0, 20.0),
            *("microscope.background.vignette_sd", "How much darker the corners are."),
        ),
        Axis(
            *("noise_kernel_A", "kernel of the noise", "Å", "nk", 2, 3, 0.0, 20.0),
            *("microscope.detector.noise.width_A", "Kernel of the noise; 0 is white noise."),
        ),
        Axis(
            *("gain", "gain", "counts/electron", "ga", 7, 3, 0.001, 1e6),
            *("microscope.detector.gain", "Number of counts per electron."),
        ),
        Axis(
            *("clip_high", "clipped bright pixels", "1", "cl", 1, 4, 0.0, 0.25),
            *("microscope.detector.clip_high", "Share of the pixels that are too bright."),
        ),
    )
}

#: All axes, by name. Wherever axes are in an order, they are in this order.
AXES: dict[str, Axis] = MAIN_AXES | FURTHER_AXES

#: The axes that act behind the counts of electrons. The transfer function does not have them.
BEHIND_COUNTS = ("slope_sd", "vignette_sd", "noise_kernel_A", "gain", "clip_high")

#: The axes that act behind the exit wave. A finished study can be asked about any of their values.
#: On other axes, it can be asked about values only that it has exit waves for.
BEHIND_WAVE: dict[str, Axis] = {name: axis for name, axis in AXES.items() if not axis.needs_waves}
