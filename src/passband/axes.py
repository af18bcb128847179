"""The axes of the grid: the imaging parameters of a study, with their units and limits."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
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
        """How a command names the axis: ``--defocus-nm``, or ``--axis coma_nm`` for a further one.

        A further axis has no option of its own: it may have any name, also that of another option.
        """
        return f"--axis {self.name}" if self.key else f"--{self.name.replace('_', '-')}"

    def on_command_line(self, value: str = "") -> str:
        """Return the words with a value: ``--defocus-nm 5``, or ``--axis coma_nm=5``."""
        return f"{self.option}{'=' if self.key else ' '}{value}"

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
            name="defocus_nm",
            label="defocus",
            unit="nm",
            token="df",
            digits=4,
            decimals=2,
            minimum=-9999.99,
            maximum=9999.99,
            description="Defocus. A positive defocus is underfocus.",
        ),
        Axis(
            name="cs_um",
            label="Cs",
            unit="µm",
            token="cs",
            digits=4,
            decimals=3,
            minimum=-9999.999,
            maximum=9999.999,
            description="Spherical aberration C30.",
        ),
        Axis(
            name="aperture_mrad",
            label="aperture",
            unit="mrad",
            token="ap",
            digits=3,
            decimals=2,
            minimum=0.1,
            maximum=200.0,
            description="Semi-angle of the objective aperture.",
        ),
        Axis(
            name="dose_e_per_A2",
            label="dose",
            unit="e/Å²",
            token="ds",
            digits=6,
            decimals=2,
            minimum=0.01,
            maximum=999999.99,
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
            name="astigmatism_nm",
            label="astigmatism",
            unit="nm",
            token="as",
            digits=4,
            decimals=3,
            minimum=0.0,
            maximum=1000.0,
            key="microscope.aberrations.astigmatism_nm",
            description="Two-fold astigmatism C12.",
        ),
        Axis(
            name="astigmatism_deg",
            label="azimuth of astigmatism",
            unit="°",
            token="az",
            digits=3,
            decimals=2,
            minimum=-360.0,
            maximum=360.0,
            key="microscope.aberrations.astigmatism_deg",
            description="Azimuth of two-fold astigmatism.",
        ),
        Axis(
            name="coma_nm",
            label="coma",
            unit="nm",
            token="co",
            digits=6,
            decimals=2,
            minimum=0.0,
            maximum=100_000.0,
            key="microscope.aberrations.coma_nm",
            description="Axial coma C21.",
        ),
        Axis(
            name="coma_deg",
            label="azimuth of coma",
            unit="°",
            token="cz",
            digits=3,
            decimals=2,
            minimum=-360.0,
            maximum=360.0,
            key="microscope.aberrations.coma_deg",
            description="Azimuth of axial coma.",
        ),
        Axis(
            name="threefold_nm",
            label="three-fold astigmatism",
            unit="nm",
            token="tf",
            digits=6,
            decimals=2,
            minimum=0.0,
            maximum=100_000.0,
            key="microscope.aberrations.threefold_nm",
            description="Three-fold astigmatism C23.",
        ),
        Axis(
            name="threefold_deg",
            label="azimuth of three-fold astigmatism",
            unit="°",
            token="tz",
            digits=3,
            decimals=2,
            minimum=-360.0,
            maximum=360.0,
            key="microscope.aberrations.threefold_deg",
            description="Azimuth of three-fold astigmatism.",
        ),
        Axis(
            name="focal_spread_nm",
            label="focal spread",
            unit="nm",
            token="fs",
            digits=3,
            decimals=3,
            minimum=0.0,
            maximum=100.0,
            key="microscope.focal_spread_nm",
            description="1/e width of the distribution of the focus.",
        ),
        Axis(
            name="source_spread_mrad",
            label="source spread",
            unit="mrad",
            token="ss",
            digits=2,
            decimals=4,
            minimum=0.0,
            maximum=10.0,
            key="microscope.source_spread_mrad",
            description="Angular spread of the illumination.",
        ),
        Axis(
            name="vibration_A",
            label="vibration",
            unit="Å",
            token="vb",
            digits=2,
            decimals=3,
            minimum=0.0,
            maximum=10.0,
            key="microscope.vibration_A",
            description="Standard deviation of the vibration of the image.",
        ),
        Axis(
            name="mtf_nyquist",
            label="MTF at the Nyquist frequency",
            unit="1",
            token="mt",
            digits=1,
            decimals=3,
            minimum=0.001,
            maximum=1.0,
            key="microscope.detector.mtf_nyquist",
            description="The MTF at the Nyquist frequency.",
        ),
        Axis(
            name="aperture_edge_mrad",
            label="edge of the aperture",
            unit="mrad",
            token="ae",
            digits=2,
            decimals=3,
            minimum=0.0,
            maximum=10.0,
            key="microscope.aperture_edge_mrad",
            description="Width of the edge of the objective aperture.",
        ),
        Axis(
            name="energy_kev",
            label="beam energy",
            unit="keV",
            token="en",
            digits=4,
            decimals=2,
            minimum=20.0,
            maximum=2000.0,
            key="microscope.energy_kev",
            description="Energy of the beam's electrons.",
        ),
        Axis(
            name="pixel_size_A",
            label="pixel size",
            unit="Å",
            token="px",
            digits=1,
            decimals=4,
            minimum=0.02,
            maximum=2.0,
            key="microscope.pixel_size_A",
            description="Side of a pixel. `field_px` stays the same.",
        ),
        Axis(
            name="substrate_thickness_nm",
            label="substrate",
            unit="nm",
            token="th",
            digits=2,
            decimals=3,
            minimum=0.0,
            maximum=50.0,
            key="specimens.substrate.thickness_nm",
            description="Mean thickness of the substrate.",
        ),
        Axis(
            name="temperature_K",
            label="temperature",
            unit="K",
            token="tk",
            digits=4,
            decimals=1,
            minimum=0.0,
            maximum=2000.0,
            key="specimens.thermal.temperature_K",
            description="Temperature of the specimen.",
        ),
        Axis(
            name="mean_diameter_nm",
            label="mean diameter",
            unit="nm",
            token="dm",
            digits=3,
            decimals=3,
            minimum=0.1,
            maximum=100.0,
            key="specimens.diameter_nm.mean",
            description="Mean diameter of particles before truncation.",
        ),
        Axis(
            name="roughness",
            label="roughness",
            unit="1",
            token="rg",
            digits=1,
            decimals=3,
            minimum=0.0,
            maximum=0.5,
            key="specimens.roughness",
            description="Fraction of the surface atoms that are removed.",
        ),
        Axis(
            name="slope_sd",
            label="slope of the light",
            unit="sd",
            token="sl",
            digits=2,
            decimals=3,
            minimum=0.0,
            maximum=20.0,
            key="microscope.background.slope_sd",
            description="Slope of the brightness over the image.",
        ),
        Axis(
            name="vignette_sd",
            label="vignette",
            unit="sd",
            token="vg",
            digits=2,
            decimals=3,
            minimum=-20.0,
            maximum=20.0,
            key="microscope.background.vignette_sd",
            description="How much darker the corners are.",
        ),
        Axis(
            name="noise_kernel_A",
            label="kernel of the noise",
            unit="Å",
            token="nk",
            digits=2,
            decimals=3,
            minimum=0.0,
            maximum=20.0,
            key="microscope.detector.noise.width_A",
            description="Kernel of the noise; 0 is white noise.",
        ),
        Axis(
            name="gain",
            label="gain",
            unit="counts/electron",
            token="ga",
            digits=7,
            decimals=3,
            minimum=0.001,
            maximum=1_000_000.0,
            key="microscope.detector.gain",
            description="Number of counts per electron.",
        ),
        Axis(
            name="clip_high",
            label="clipped bright pixels",
            unit="1",
            token="cl",
            digits=1,
            decimals=4,
            minimum=0.0,
            maximum=0.25,
            key="microscope.detector.clip_high",
            description="Share of the pixels that are too bright.",
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
