"""The study's configuration: one model per block, every key with default, description and unit.

``load`` reads a file and ``validate`` checks what Snakemake read. Both raise :class:`ConfigError`,
a line for each mistake naming key, value and what is allowed. The JSON schema and
``docs/configuration.md`` are made from these models by ``make docs``.
"""

import difflib
import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from passband import PassbandError, architectures, ctf, units
from passband.grid import AXES, Condition, conditions
from passband.materials import MATERIALS
from passband.sampling import Sampling
from passband.seeds import digest

SPLITS = ("train", "val", "test")


class ConfigError(PassbandError):
    """A mistake in the configuration."""


class Block(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )


def key(default: Any, description: str, unit: str | None = None, **constraints: Any) -> Any:
    """Return a pydantic field with its description and unit."""
    extra = {"unit": unit} if unit else None
    kind = "default_factory" if callable(default) else "default"
    return Field(**{kind: default}, description=description, json_schema_extra=extra, **constraints)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,39}$")]


class Structures(Block):
    """Number of random structures in each split. No structure is in two splits."""

    train: int = key(96, "to train on", ge=2, le=1_000_000)
    val: int = key(24, "to choose the best epoch by", ge=1, le=1_000_000)
    test: int = key(24, "to test on", ge=1, le=1_000_000)


class StudyBlock(Block):
    """The study as a whole."""

    name: Name = key("demo", "Results go to `results/<name>`.")
    seed: int = key(2512, "All random numbers derive from this one.", ge=0, le=2**63 - 1)
    structures: Structures = key(Structures, "Structures per specimen and split.")
    structures_per_shard: int = key(
        64, "Structures that one simulate job makes and one file holds.", ge=1, le=100_000
    )
    replicas: int = key(
        1,
        "Networks per cell of the grid, alike but for initial weights, order and augmentation.",
        ge=1,
        le=999,
    )
    replicas_per_job: int = key(
        1,
        "Replicas that one train job and one evaluate job take on. Another number makes other jobs "
        "of the networks, and trains them again.",
        ge=1,
        le=999,
    )
    allow_incomplete: bool = key(
        False,
        "Make the table from the records that exist, missing networks as NaN, instead of "
        "finishing the grid first.",
    )


class Aberrations(Block):
    """Aberrations that are not round, the same under every condition.

    An azimuth is where the phase is highest, from the images' first axis towards the second.
    """

    astigmatism_nm: float = key(0.0, "Two-fold astigmatism C12.", "nm", ge=0, le=1000)
    astigmatism_deg: float = key(0.0, "Its azimuth.", "°", ge=-360, le=360)
    coma_nm: float = key(0.0, "Axial coma C21; three times B2.", "nm", ge=0, le=100_000)
    coma_deg: float = key(0.0, "Its azimuth.", "°", ge=-360, le=360)
    threefold_nm: float = key(0.0, "Three-fold astigmatism C23 (A2).", "nm", ge=0, le=100_000)
    threefold_deg: float = key(0.0, "Its azimuth.", "°", ge=-360, le=360)


class Spread(Block):
    """How much images under one condition differ: what makes it a narrow distribution.

    Every image has a draw of its own, from its specimen, split, structure, condition and the number
    of the draw. A spread of 0 changes nothing. Information metrics are expectations over spreads.
    """

    focus_nm: float = key(
        0.0, "Standard deviation of the defocus, normally distributed.", "nm", ge=0, le=100
    )
    dose: float = key(
        0.0,
        "Standard deviation of an image's dose over the condition's, lognormally distributed about "
        "a mean of 1.",
        ge=0,
        le=1,
    )
    astigmatism_nm: float = key(
        0.0,
        "Root mean square length of what is added to two-fold astigmatism, in any direction.",
        "nm",
        ge=0,
        le=100,
    )
    coma_nm: float = key(0.0, "The same of axial coma.", "nm", ge=0, le=10_000)
    threefold_nm: float = key(0.0, "The same of three-fold astigmatism.", "nm", ge=0, le=10_000)


def _curve(pairs: list[list[float]]) -> list[list[float]]:
    """Return a tabulated MTF whose points make sense."""
    for pair in pairs:
        if len(pair) != 2 or not 0 <= pair[0] <= 1.5 or not 0 <= pair[1] <= 1:
            raise ValueError(
                f"{pair}: must be a pair of a fraction of the Nyquist frequency between 0 and 1.5 "
                "and an MTF between 0 and 1"
            )
    if pairs and pairs[0] != [0, 1]:
        raise ValueError(f"{pairs[0]}: the first pair must be [0, 1]")
    for (before, _), (after, _) in pairwise(pairs):
        if after <= before:
            raise ValueError(f"{after:g} after {before:g}: fractions must ascend")
    return pairs


class Detector(Block):
    """The detector: a counting one, whose noise is white (see `passband.detector`)."""

    mtf: Literal["none", "gaussian", "lorentzian", "table"] = key(
        "none",
        "Modulation transfer function, pixels included, over f, the frequency over Nyquist's: 1, "
        "m^(f²), 1/(1 + (1/m − 1)f²), or `mtf_table`. It blurs the expected counts, before they "
        "are drawn.",
    )
    mtf_nyquist: float = key(
        0.5, "m, the MTF at the Nyquist frequency, if gaussian or lorentzian.", gt=0, le=1
    )
    mtf_table: Annotated[list[list[float]], AfterValidator(_curve)] = key(
        list,
        "Pairs of f and MTF, if `mtf` is `table`; between them it is interpolated linearly, and "
        "constant beyond the last. Corners of the spectrum lie at f = 1.41.",
    )
    gain: float = key(1.0, "Counts per electron.", "counts/electron", gt=0, le=1e6)

    @model_validator(mode="after")
    def _table_where_it_counts(self) -> Self:
        if self.mtf == "table" and not self.mtf_table:
            raise ValueError("mtf_table = []: must have pairs such as [[0, 1], [1, 0.4]]")
        if self.mtf != "table" and self.mtf_table:
            raise ValueError(f"mtf = {self.mtf!r}: must be 'table', since there is an mtf_table")
        return self


class Microscope(Block):
    """What is fixed in the study: the microscope less the imaging grid, and the pixels."""

    energy_kev: float = key(300.0, "Beam energy.", "keV", ge=20, le=2000)
    pixel_size_A: float = key(0.3, "Side of a pixel at the specimen.", "Å", ge=0.02, le=2)
    field_px: int = key(
        128,
        "Pixels along each side of an image; no prime factor above 7.",
        "pixels",
        ge=16,
        le=8192,
    )
    coherence: Literal["focal-series", "quasi-coherent"] = key(
        "focal-series",
        "How focal spread enters an image: `focal-series` sums a weighted incoherent series, "
        "`quasi-coherent` multiplies the wave by the temporal envelope, faster and wrong for "
        "thick specimens.",
    )
    focal_members: int = key(5, "Members of the focal series.", ge=1, le=99)
    focal_spread_nm: float = key(
        3.0, "1/e width of the focal distribution, √2 × its standard deviation.", "nm", ge=0, le=100
    )
    source_spread_mrad: float = key(
        0.1, "Angular spread of the illumination, as abTEM's `angular_spread`.", "mrad", ge=0, le=10
    )
    aperture_edge_mrad: float = key(
        0.0, "Width of the aperture's edge; 0 is a hard edge.", "mrad", ge=0, le=10
    )
    aberrations: Aberrations = key(Aberrations, "Aberrations that are not round.")
    spread: Spread = key(Spread, "How much images under one condition differ.")
    vibration_A: float = key(
        0.0,
        "Vibration of the image against the detector: standard deviation along any direction.",
        "Å",
        ge=0,
        le=10,
    )
    detector: Detector = key(Detector, "The detector.")

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.field_px, self.pixel_size_A)

    @model_validator(mode="after")
    def _smooth_field(self) -> Self:
        rest = self.field_px
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest > 1:
            raise ValueError(
                f"microscope.field_px = {self.field_px}: has the prime factor {rest}; allowed are "
                "numbers whose prime factors are 2, 3, 5 and 7"
            )
        return self


class Diameter(Block):
    """Distribution of particle diameters, cut off at both ends."""

    distribution: Literal["normal", "uniform", "lognormal"] = key(
        "normal", "Its form; of `uniform`, `min` and `max` alone count."
    )
    mean: float = key(1.8, "Mean, before the ends are cut off.", "nm", gt=0, le=100)
    std: float = key(0.3, "Standard deviation, before the ends are cut off.", "nm", ge=0, le=100)
    min: float = key(1.2, "Smallest.", "nm", gt=0, le=100)
    max: float = key(2.4, "Largest.", "nm", gt=0, le=100)


class Particles(Block):
    """Number of particles in a structure, drawn uniformly."""

    min: int = key(1, "Fewest.", ge=1, le=100)
    max: int = key(2, "Most.", ge=1, le=100)


class Substrate(Block):
    """Amorphous carbon under the particles."""

    thickness_nm: float = key(
        1.0, "(Mean) thickness; 0 leaves the particles in vacuum.", "nm", ge=0, le=50
    )
    thickness_std_nm: float = key(
        0.0,
        "Standard deviation of the thickness: normal from structure to structure, cut off at 0.",
        "nm",
        ge=0,
        le=50,
    )
    faces: Literal["top", "both"] = key(
        "top",
        "Where particles lie: on the face the beam leaves by, or on either. Particles on "
        "opposite faces may overlap in projection.",
    )
    density_g_per_cm3: float = key(2.0, "Mass density.", "g/cm³", ge=0.5, le=3.0)
    minimum_distance_A: float = key(1.4, "No two carbon atoms are closer.", "Å", ge=0.5, le=1.6)

    @model_validator(mode="after")
    def _something_to_lie_on(self) -> Self:
        if self.thickness_nm == 0 and self.thickness_std_nm > 0:
            raise ValueError(
                f"thickness_std_nm = {self.thickness_std_nm:g}: must be 0 where thickness_nm is 0, "
                "vacuum"
            )
        if self.thickness_nm == 0 and self.faces == "both":
            raise ValueError("faces = 'both': must be 'top' where thickness_nm is 0, vacuum")
        return self


class Planes(Block):
    """Number of planar defects in a particle, drawn uniformly.

    All of a particle's lie on the same family of {111} planes, each between two other layers.
    """

    min: int = key(0, "Fewest.", ge=0, le=20)
    max: int = key(0, "Most.", ge=0, le=20)


class Thermal(Block):
    """Thermal motion: atoms displaced independently, by a normal distribution in each direction.

    Masks are those of the resting structure.
    """

    temperature_K: float = key(
        0.0,
        "Temperature; 0 leaves atoms at rest, without zero-point motion. Mean square displacements "
        "follow by Debye's model from the B factors of the metals and, for the substrate, of "
        "graphite; compounds and crystal files need `msd_A2`.",
        "K",
        ge=0,
        le=2000,
    )
    msd_A2: dict[str, float] = key(
        dict,
        "Mean square displacement along one direction, B/8π², by chemical symbol, such as "
        "{Ce: 0.003, O: 0.006}, instead of what the temperature gives.",
        "Å²",
    )
    configurations: int = key(
        1,
        "Frozen configurations of each structure, whose images are averaged in intensity; 1 is a "
        "snapshot. Time and memory grow with it.",
        ge=1,
        le=1000,
    )

    @property
    def moves(self) -> bool:
        """Whether any atom does."""
        return self.temperature_K > 0 or any(self.msd_A2.values())

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for element, square in self.msd_A2.items():
            if not re.fullmatch("[A-Z][a-z]?", element):
                raise ValueError(f"msd_A2 = {element!r}: must be a chemical symbol, such as Au")
            # More would throw atoms out of the cell, or the crystal has molten.
            if not 0 <= square <= 0.1:
                raise ValueError(f"msd_A2.{element} = {square:g}: must be between 0 and 0.1 Å²")
        if self.configurations > 1 and not self.moves:
            raise ValueError(
                f"configurations = {self.configurations}: must be 1 where atoms are at rest, "
                "temperature_K = 0"
            )
        return self


class Orientation(Block):
    """How the crystal lies to the beam."""

    zone: list[int] = key(
        list,
        "Zone axis along the beam, such as [1, 1, 0], with a random rotation about it; [] is a "
        "uniformly random orientation.",
    )
    within_deg: float = key(
        5.0, "Largest angle between zone axis and beam; of [], unused.", "°", ge=0, le=180
    )

    @model_validator(mode="after")
    def _direction(self) -> Self:
        if self.zone and (len(self.zone) != 3 or not any(self.zone)):
            raise ValueError(
                f"zone = {self.zone}: must be three integers, not all 0, or [] for random"
            )
        return self


def miller(text: str) -> tuple[int, int, int]:
    """Return the Miller indices in a text such as "111" or "1-10".

    Raises
    ------
    ValueError
        If it holds none, or zeros alone.
    """
    found = re.fullmatch(r"(-?\d)(-?\d)(-?\d)", text)
    if not found or not any(map(int, found.groups())):
        raise ValueError("must be three Miller indices of a digit each, such as 111 or 1-10")
    return tuple(map(int, found.groups()))


class Specimen(Block):
    """A distribution of atomic structures."""

    material: str = key(
        "Au",
        f"Crystal, one of {', '.join(sorted(MATERIALS))}, or the path of a crystal file that ASE "
        "reads, such as a CIF, relative to the working directory.",
    )
    shape: Literal[
        "sphere", "wulff", "truncated-octahedron", "cube", "decahedron", "icosahedron"
    ] = key(
        "wulff",
        "Ball cut from the crystal, Wulff construction from its surface energies, or a named "
        "form. Files' crystals take the first two and `cube`, {100} faces; the last two are for "
        "fcc.",
    )
    surface_energies: dict[Annotated[str, BeforeValidator(str)], float] = key(
        dict,
        'Of a Wulff shape, by Miller indices, such as {"111": 1.28, "100": 1.63}; {} takes those '
        "known of the material, which compounds and files have none of. Equivalent faces count "
        "as alike.",
        "J/m²",
    )
    diameter_nm: Diameter = key(
        Diameter, "Diameters; of a shape other than the ball, of the ball of equal volume."
    )
    roughness: float = key(
        0.0, "Fraction of each particle's surface atoms that is missing, at random.", ge=0, le=0.5
    )
    twins: Planes = key(Planes, "Twin planes in a particle of fcc, zincblende or fluorite.")
    stacking_faults: Planes = key(
        Planes,
        "Stacking faults in a particle of fcc or zincblende; in fluorite every glide puts ions on "
        "top of each other.",
    )
    orientation: Orientation = key(Orientation, "How particles lie to the beam.")
    thermal: Thermal = key(Thermal, "Thermal motion.")
    particles: Particles = key(Particles, "Particles in a structure.")
    gap_nm: float = key(
        0.3,
        "Smallest gap between particles on the same face, in projection.",
        "nm",
        ge=0,
        le=10,
    )
    substrate: Substrate = key(Substrate, "What the particles lie on.")
    trained: bool = key(
        True,
        "Whether networks are trained on it. If not, it is only tested on: its test structures are "
        "simulated, and the networks of the other specimens meet them.",
    )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that a study needs of it."""
        return SPLITS if self.trained else ("test",)

    @property
    def structure(self) -> str:
        """The crystal structure, "file" of a crystal file."""
        return MATERIALS[self.material].structure if self.material in MATERIALS else "file"

    @property
    def settled(self) -> bool:
        """Whether what may be wrong shows here, before ASE reads a file or grows a particle.

        Of the others :func:`passband.specimen.check` draws some.
        """
        planes = self.twins.max + self.stacking_faults.max
        return self.structure != "file" and not self.surface_energies and not planes

    @property
    def content(self) -> str:
        """Sixteen hexadecimal digits that stand for what is in a crystal file; "" if there is none.

        With them, a file that is edited counts as another specimen.
        """
        if self.structure != "file":
            return ""
        return hashlib.blake2b(Path(self.material).read_bytes(), digest_size=8).hexdigest()

    @model_validator(mode="after")
    def _known_and_ordered(self) -> Self:
        if self.material not in MATERIALS:
            _check_crystal_file(self.material)
        for name, block in (
            ("diameter_nm", self.diameter_nm),
            ("particles", self.particles),
            ("twins", self.twins),
            ("stacking_faults", self.stacking_faults),
        ):
            if block.min > block.max:
                raise ValueError(f"{name}.min = {block.min}: must not exceed max = {block.max}")
        d = self.diameter_nm
        if d.distribution != "uniform" and not d.min <= d.mean <= d.max:
            raise ValueError(
                f"diameter_nm.mean = {d.mean}: must lie between min = {d.min} and max = {d.max}"
            )
        self._check_shape()
        self._check_thermal()
        return self

    def _check_thermal(self) -> None:
        """Refuse motion of unknown size, and sizes of what is not there."""
        thermal, material = self.thermal, MATERIALS.get(self.material)
        if not thermal.moves:
            return
        carbon = ["C"] if self.substrate.thickness_nm else []
        # What a file holds shows when ASE reads it.
        elements = [*(material.elements if material else []), *carbon]
        known = [*thermal.msd_A2]
        if thermal.temperature_K:
            known += carbon + (material.elements if material and material.b_A2 else [])
        lacking = [element for element in elements if element not in known]
        if not material and not thermal.msd_A2:
            lacking = ["every element"]
        if lacking:
            raise ValueError(
                f"thermal.msd_A2 = {thermal.msd_A2}: lacks {', '.join(lacking)}, which "
                f"temperature_K = {thermal.temperature_K:g} does not give for material "
                f"{self.material!r}"
            )
        if material and (other := [e for e in thermal.msd_A2 if e not in elements]):
            raise ValueError(
                f"thermal.msd_A2.{other[0]} = {thermal.msd_A2[other[0]]:g}: must be of "
                f"{_one_of(elements)}, the elements of this specimen"
            )

    def _check_shape(self) -> None:
        """Refuse what makes no sense together."""
        of, multiple = f"of material {self.material!r}", ("decahedron", "icosahedron")
        if self.shape in multiple and self.structure != "fcc":
            raise ValueError(f"shape = {self.shape!r}: is for fcc elements only, not {of}")
        if self.shape == "truncated-octahedron" and self.structure == "file":
            raise ValueError(
                f"shape = {self.shape!r}: is for named, cubic materials, not {of}; give wulff "
                "with surface_energies"
            )
        for indices, energy in self.surface_energies.items():
            try:
                miller(indices)
            except ValueError as error:
                raise ValueError(f"surface_energies = {indices!r}: {error}") from None
            if energy <= 0:
                raise ValueError(f"surface_energies.{indices} = {energy:g}: must be above 0 J/m²")
        if self.surface_energies and self.shape != "wulff":
            raise ValueError(
                f"surface_energies = {{...}}: are for shape = 'wulff', not {self.shape!r}"
            )
        known = self.material in MATERIALS and MATERIALS[self.material].surface_energies
        if self.shape == "wulff" and not (self.surface_energies or known):
            raise ValueError(
                f"surface_energies = {{}}: a Wulff shape {of} needs them, such as "
                '{"111": 1.0, "100": 1.2}'
            )
        for name, planes, allowed_in in (
            ("twins", self.twins, ("fcc", "zincblende", "fluorite")),
            ("stacking_faults", self.stacking_faults, ("fcc", "zincblende")),
        ):
            if planes.max and self.structure not in allowed_in:
                raise ValueError(
                    f"{name}.max = {planes.max}: must be 0 but for {', '.join(allowed_in)}, "
                    f"not {of}"
                )
            if planes.max and self.shape in multiple:
                raise ValueError(
                    f"{name}.max = {planes.max}: must be 0 for shape = {self.shape!r}, which is "
                    "multiply twinned already"
                )
        if self.orientation.zone and self.shape in multiple:
            raise ValueError(
                f"orientation.zone = {self.orientation.zone}: must be [] for shape = "
                f"{self.shape!r}, which has no single crystal axes"
            )


def _check_crystal_file(path: str) -> None:
    """Refuse what is neither a known material nor a file; whether ASE reads it shows later."""
    if not Path(path).is_file():
        raise ValueError(
            f"material = {path!r}: allowed are {', '.join(sorted(MATERIALS))}, or the path of a "
            "crystal file, which this is not"
        )
    if path.lower().endswith(".cif"):
        text = Path(path).read_text(encoding="utf-8", errors="replace").lower()
        for word in ("_cell_length_a", "_atom_site_fract_x"):
            if word not in text:
                raise ValueError(f"material = {path!r}: not a CIF of a crystal: has no {word}")


#: Widths of particles in projection over the diameter of their balls, where above 1.2.
_WIDEST = {"cube": 1.4, "decahedron": 1.4, "icosahedron": 1.4}


class Range(Block):
    """Evenly spaced values, rounded to the axis's resolution."""

    start: float = Field(description="First value.")
    stop: float = Field(description="Last value.")
    num: int = Field(description="Number of values.", ge=1, le=1000)
    spacing: Literal["linear", "geometric"] = key("linear", "Equal differences or equal ratios.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.num == 1 and self.start != self.stop:
            raise ValueError(f"num = 1: start = {self.start:g} and stop = {self.stop:g} need 2")
        if self.spacing == "geometric" and self.start * self.stop <= 0:
            raise ValueError(
                f"start = {self.start:g}, stop = {self.stop:g}: a geometric range needs two "
                "values of the same sign, neither of them 0"
            )
        return self

    def values(self) -> list[float]:
        space = np.geomspace if self.spacing == "geometric" else np.linspace
        return space(self.start, self.stop, self.num).tolist()


Values = Annotated[
    Annotated[list[float], Tag("list")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "range" if isinstance(value, dict | Range) else "list"),
]


def _distinct(values: list[str]) -> list[str]:
    """Return a list whose values all differ."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{values}: {value} stands twice")
    return values


def _axis(name: str) -> Any:
    """Return the type of an axis: a list or a range, checked against the axis's limits."""
    axis = AXES[name]

    def check(given: list[float] | Range) -> list[float] | Range:
        values = given.values() if isinstance(given, Range) else given
        if not values:
            raise ValueError("[]: an axis needs at least one value")
        canonical = [axis.canonical(value) for value in values]
        for value, rounded in zip(values, canonical, strict=True):
            if not axis.minimum <= value <= axis.maximum:
                raise ValueError(
                    f"{value:g}: must be between {axis.minimum} and {axis.maximum} {axis.unit}"
                )
            if not isinstance(given, Range) and abs(value - rounded) > 1e-9 * max(1, abs(value)):
                raise ValueError(
                    f"{value!r}: finer than the axis's resolution of "
                    f"{10**-axis.decimals:g} {axis.unit}"
                )
        if duplicates := sorted({v for v in canonical if canonical.count(v) > 1}):
            raise ValueError(
                f"{duplicates[0]:g}: stands twice; values must differ by "
                f"{10**-axis.decimals:g} {axis.unit} or more"
            )
        return given

    return Annotated[Values, AfterValidator(check)]


class Grid(Block):
    """The imaging conditions to train under: every combination of the four axes.

    An axis is a list, or `{start, stop, num}` with `spacing: linear` or `geometric`.
    """

    defocus_nm: _axis("defocus_nm") = key(
        lambda: [5.0, 20.0], "Defocus; positive is underfocus.", "nm"
    )
    cs_um: _axis("cs_um") = key(lambda: [1.2, 60.0], "Spherical aberration C30.", "µm")
    aperture_mrad: _axis("aperture_mrad") = key(
        lambda: [10.0, 18.0], "Objective aperture's semi-angle.", "mrad"
    )
    dose_e_per_A2: _axis("dose_e_per_A2") = key(lambda: [100.0, 1000.0], "Electron dose.", "e/Å²")

    def axes(self) -> dict[str, list[float]]:
        """Return each axis's canonical values, sorted."""
        return {name: self._values(name) for name in AXES}

    def _values(self, name: str) -> list[float]:
        given = getattr(self, name)
        values = given.values() if isinstance(given, Range) else given
        return sorted(AXES[name].canonical(value) for value in values)


class TestGrid(Block):
    """The imaging conditions to test under. An axis left out is the training grid's."""

    __test__ = False  # not a test of pytest's

    defocus_nm: _axis("defocus_nm") | None = key(None, "Defocus; positive is underfocus.", "nm")
    cs_um: _axis("cs_um") | None = key(None, "Spherical aberration C30.", "µm")
    aperture_mrad: _axis("aperture_mrad") | None = key(
        None, "Objective aperture's semi-angle.", "mrad"
    )
    dose_e_per_A2: _axis("dose_e_per_A2") | None = key(None, "Electron dose.", "e/Å²")


#: Named presets of the training: what stands for the keys that a study does not give.
RECIPES = {
    "none": {},
    "group-2024": {
        "architectures": ["unet-resnet18"],
        "epochs": 25,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "schedule": "exponential",
        "decay": 0.8,
        "entropy_weight": 1.0,
        "focal_gamma": 0.0,
        "dice_weight": 1.0,
        "normalisation": "minmax",
        "augment": True,
        "patience": 0,
    },
}


class Training(Block):
    """How networks are trained. The loss is weighted cross-entropy plus weighted Dice loss."""

    recipe: Literal["none", "group-2024"] = key(
        "none",
        "A preset for the keys that are not given: `group-2024` is the U-Net on a ResNet-18 with "
        "Adam at 0.001, times 0.8 each of 25 epochs, batches of 16, images scaled to 0–1, turns "
        "and flips.",
    )

    architectures: list[str] = key(
        lambda: ["compact-w8-d3"],
        "Networks by name: `compact-w<width>-d<depth>` is Passband's U-Net; "
        "`<decoder>-<encoder>`, such as `unet-resnet18`, is segmentation_models_pytorch's.",
        min_length=1,
    )
    epochs: int = key(12, "Passes over the training structures.", "epochs", ge=1, le=10_000)
    batch_size: int = key(8, "Images in an optimizer step.", "images", ge=2, le=4096)
    optimizer: Literal["adam", "adamw", "sgd"] = key(
        "adam", "Adam, Adam with decoupled weight decay, or gradient descent with momentum."
    )
    learning_rate: float = key(0.004, "The (highest) learning rate.", gt=0, le=1)
    momentum: float = key(
        0.9, "Of `sgd`; under `one-cycle` it goes from 0.95 to 0.85 and back instead.", ge=0, lt=1
    )
    weight_decay: float = key(0.0, "Of every optimizer.", ge=0, le=1)
    schedule: Literal["one-cycle", "exponential", "cosine", "constant"] = key(
        "one-cycle",
        "How the learning rate changes: up and down, by `decay` per epoch, down to 0 along half a "
        "cosine, or not at all.",
    )
    decay: float = key(0.8, "Factor per epoch of the exponential schedule.", gt=0, le=1)
    entropy_weight: float = key(1.0, "Weight of cross-entropy in the loss.", ge=0, le=100)
    focal_gamma: float = key(
        0.0,
        "γ of the focal loss that stands for cross-entropy; 0 is cross-entropy.",
        ge=0,
        le=10,
    )
    dice_weight: float = key(1.0, "Weight of the Dice loss beside it.", ge=0, le=100)
    patience: int = key(
        0,
        "Epochs without a lower validation loss after which a network's training ends; 0: never.",
        "epochs",
        ge=0,
        le=10_000,
    )
    normalisation: Literal["zscore", "minmax", "vacuum"] = key(
        "zscore",
        "What a network sees of the counts: zero mean and unit variance per image, 0 to 1 per "
        "image, or the deviation from what vacuum would count.",
    )
    noise: Literal["fresh", "fixed"] = key(
        "fresh", "Whether a structure's training image is drawn anew every epoch or once."
    )
    augment: bool = key(True, "Random quarter turns and flips.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = key(
        "auto", "`auto` takes what the processor or the GPU is built to compute fast."
    )
    replicas_together: Literal["auto", "always", "never"] = key(
        "auto",
        "Whether a job's replicas are stacked and trained as one program or one after another; "
        "`auto` times a few steps of both. It changes no more than rounding.",
    )
    compile: Literal["auto", "always", "never"] = key(
        "auto", "Whether torch compiles networks; `auto` on a GPU, in long trainings."
    )
    save_every_s: float = key(
        120.0,
        "Seconds between saves of the state that an interrupted job goes on from.",
        "s",
        ge=0,
        le=86_400,
    )

    @model_validator(mode="before")
    @classmethod
    def _recipe_for_what_is_not_given(cls, given: Any) -> Any:
        name = given.get("recipe") if isinstance(given, dict) else None
        return {**RECIPES[name], **given} if isinstance(name, str) and name in RECIPES else given

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.entropy_weight == self.dice_weight == 0:
            raise ValueError("dice_weight = 0: must be above 0 where entropy_weight is 0")
        return self

    @model_validator(mode="after")
    def _known_architectures(self) -> Self:
        for i, name in enumerate(self.architectures):
            try:
                architectures.parse(name)
            except ValueError as error:
                raise ValueError(f"training.architectures[{i}] = {name!r}: {error}") from None
            if self.architectures.count(name) > 1:
                raise ValueError(f"training.architectures[{i}] = {name!r}: stands twice")
        return self


class Evaluation(Block):
    """How networks are tested."""

    batch_size: int = key(32, "Images in a forward pass.", "images", ge=1, le=65536)
    bootstrap: int = key(
        200, "Bootstrap draws for confidence intervals; 0 leaves them out.", ge=0, le=100_000
    )
    confidence: float = key(0.95, "Coverage of confidence intervals.", gt=0, lt=1)


def _bands(edges: list[float]) -> list[float]:
    """Return edges of bands that ascend."""
    for before, after in pairwise([0.0, *edges]):
        if not before < after <= 100:
            raise ValueError(
                f"{after:g} after {before:g}: edges must ascend, from above 0 to at most 100 per Å"
            )
    return edges


class Information(Block):
    """How the contrast transfer functions are compared."""

    weights: Annotated[list[Literal["flat", "specimen"]], AfterValidator(_distinct)] = key(
        lambda: ["flat", "specimen"],
        "Weights w(q): the same everywhere, or the specimen's mean power spectrum.",
        min_length=1,
    )
    bands_per_A: Annotated[list[float], AfterValidator(_bands)] = key(
        lambda: [0.25, 0.6],
        "Frequencies that divide the specimen's spectrum into bands, each of which is a weight of "
        "its own too; [] for none. By default they are the shapes of particles, the widest lattice "
        "spacings, and all that is finer.",
        "1/Å",
    )
    flat_power_A2: float = key(
        0.005,
        "Power spectral density of the wave's linear contrast that the flat weight stands for, "
        "where metrics know of the dose. The default is near that of 2 nm of gold on 1 nm of "
        "carbon, over its band.",
        "Å²",
        gt=0,
        le=1000,
    )
    samples: int = key(
        2048, "Radial frequencies between 0 and the band limit.", ge=64, le=1_000_000
    )
    draws: int = key(
        32,
        "Pairs of lenses and doses drawn to average metrics over, of a microscope with spreads.",
        ge=1,
        le=10_000,
    )


class Distances(Block):
    """How distances other than the transfer functions' are measured, where they are asked for."""

    structures: int = key(
        16, "Test structures of each specimen; all, if there are fewer.", ge=2, le=1_000_000
    )
    conditions_per_job: int = key(
        32, "Test conditions that one job takes on, images of all in its memory.", ge=1, le=100_000
    )


class Figures(Block):
    """How figures look. Nothing here makes a network train again."""

    formats: Annotated[list[Literal["png", "svg"]], AfterValidator(_distinct)] = key(
        lambda: ["png", "svg"], "File formats.", min_length=1
    )
    dpi: int = key(150, "Resolution of PNG files.", "dots/inch", ge=30, le=1200)
    palette: Literal["viridis", "cividis", "magma", "mako", "rocket", "crest", "flare"] = key(
        "viridis", "Colours, by matplotlib's or seaborn's name."
    )
    examples: int = key(3, "Test structures in the figure of examples.", ge=1, le=20)


#: Fewest training and test conditions of a study whose matrix is worth predicting.
FEWEST_PREDICTED = 24


class Study(Block):
    """A study's whole configuration."""

    study: StudyBlock = key(StudyBlock, "The study as a whole.")
    microscope: Microscope = key(Microscope, "What is fixed in the study.")
    specimens: dict[Name, Specimen] = key(
        lambda: {"gold": Specimen()}, "Distributions of atomic structures by name.", min_length=1
    )
    grid: Grid = key(Grid, "The conditions to train under.")
    test_grid: TestGrid = key(TestGrid, "The conditions to test under.")
    training: Training = key(Training, "How networks are trained.")
    evaluation: Evaluation = key(Evaluation, "How networks are tested.")
    information: Information = key(Information, "How transfer functions are compared.")
    distances: Distances = key(Distances, "How other distances are measured.")
    figures: Figures = key(Figures, "How figures look.")

    @property
    def settled(self) -> bool:
        """Whether all specimens are."""
        return all(specimen.settled for specimen in self.specimens.values())

    @property
    def predictable(self) -> bool:
        """Whether the grid is large enough for predictions of its matrix to be judged."""
        return min(len(self.train_conditions), len(self.test_conditions)) >= FEWEST_PREDICTED

    @property
    def trained_specimens(self) -> dict[str, Specimen]:
        """The specimens that networks are trained on."""
        return {name: specimen for name, specimen in self.specimens.items() if specimen.trained}

    @property
    def train_conditions(self) -> list[Condition]:
        return conditions(self.grid.axes())

    @property
    def test_axes(self) -> dict[str, list[float]]:
        """Each test axis's canonical values, sorted; the training grid's where none are given."""
        own = {name: getattr(self.test_grid, name) or getattr(self.grid, name) for name in AXES}
        return Grid.model_construct(**own).axes()

    @property
    def test_conditions(self) -> list[Condition]:
        return conditions(self.test_axes)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for the configuration and its crystal files."""
        files = {name: s.content for name, s in self.specimens.items() if s.structure == "file"}
        return digest(self.model_dump(mode="json"), *([files] if files else []))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.trained_specimens:
            name = next(iter(self.specimens))
            raise ValueError(
                f"specimens.{name}.trained = False: must be true of one specimen or more"
            )
        self._check_field()
        self._check_optics("grid", self.grid.axes())
        if any(getattr(self.test_grid, name) for name in AXES):
            self._check_optics("test_grid", self.test_axes)
        if self.study.replicas_per_job > self.study.replicas:
            raise ValueError(
                f"study.replicas_per_job = {self.study.replicas_per_job}: must not exceed "
                f"study.replicas = {self.study.replicas}"
            )
        return self

    def _check_field(self) -> None:
        if "flat" in self.specimens:
            raise ValueError(
                "specimens.flat = {...}: the name is taken by the flat weight of information "
                "metrics; allowed is any other"
            )
        field_nm = self.microscope.sampling.field_A / units.A_PER_NM
        for name, specimen in self.specimens.items():
            # A faceted particle is wider than the ball of its volume, and its image must not touch
            # its own periodic copy.
            # Each stacking fault may shift a part of it by a/6⟨112⟩.
            steps = specimen.stacking_faults.max
            if steps:
                steps *= MATERIALS[specimen.material].lattice_A / 6**0.5 / units.A_PER_NM
            largest = max(0.0, field_nm - 0.3 - steps) / _WIDEST.get(specimen.shape, 1.2)
            if specimen.diameter_nm.max > largest:
                raise ValueError(
                    f"specimens.{name}.diameter_nm.max = {specimen.diameter_nm.max:g}: must not "
                    f"exceed {largest:.2f} nm, what fits the field of view of {field_nm:g} nm "
                    "(microscope.field_px × microscope.pixel_size_A)"
                )
        for i, name in enumerate(self.training.architectures):
            architecture = architectures.parse(name)
            px, least = self.microscope.field_px, architecture.smallest_px
            if px % architecture.divisor or px < least:
                raise ValueError(
                    f"microscope.field_px = {px}: must be a multiple of {architecture.divisor}, "
                    f"{least} or more, for training.architectures[{i}] = {name!r}"
                )

    def _check_optics(self, block: str, axes: dict[str, list[float]]) -> None:
        microscope, sampling = self.microscope, self.microscope.sampling
        widest = axes["aperture_mrad"][-1]
        cutoff = sampling.cutoff * ctf.wavelength(units.energy(microscope)) * 1e3
        limit = cutoff - microscope.aperture_edge_mrad / 2
        if widest > limit:
            raise ValueError(
                f"{block}.aperture_mrad = {widest:g}: must not exceed {limit:.2f} mrad, the band "
                f"limit of pixels of {microscope.pixel_size_A:g} Å at {microscope.energy_kev:g} "
                "keV; take smaller pixels or a smaller aperture"
            )
        if microscope.coherence == "focal-series":
            optics = units.optics(Condition(0, 0, widest, 1), microscope)
            needed = ctf.members_needed(optics, sampling.cutoff)
            if needed > microscope.focal_members:
                raise ValueError(
                    f"microscope.focal_members = {microscope.focal_members}: must be at least "
                    f"{needed} to represent a focal spread of {microscope.focal_spread_nm:g} nm "
                    f"up to {widest:g} mrad"
                )
        # Displacement is convex in defocus and in Cs, so a corner of the grid has the largest.
        corners = product(*((axes[name][0], axes[name][-1]) for name in ("defocus_nm", "cs_um")))
        spread = units.spread(microscope)
        for defocus, cs in corners:
            optics = units.optics(Condition(defocus, cs, widest, 1), microscope)
            ends = (spread.extreme(optics, sign) for sign in ((-1, 1) if spread.of_lens else (1,)))
            displaced = max(ctf.displacement(end) for end in ends)
            if displaced > sampling.field_A / 2:
                raise ValueError(
                    f"{block}.cs_um = {cs:g} with defocus_nm = {defocus:g} and aperture_mrad = "
                    f"{widest:g}: displaces image detail by up to {displaced:.0f} Å, which must "
                    f"not exceed half the field of view, {sampling.field_A / 2:.0f} Å; take more "
                    f"pixels{'' if optics.round else ', smaller microscope.aberrations'}"
                    f"{', a smaller microscope.spread' if spread.of_lens else ''} or a "
                    "smaller aperture"
                )


def validate(config: dict, source: str = "config") -> Study:
    """Return the study that a configuration describes.

    Parameters
    ----------
    config : dict
        What the YAML file holds.
    source : str
        What error messages call the file.

    Raises
    ------
    ConfigError
        If anything is wrong; the message has a line for each mistake.
    """
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        lines = dict.fromkeys(f"{source}: {_line(details)}" for details in error.errors())
        raise ConfigError("\n".join(lines)) from None


def load(path: str | Path) -> Study:
    """Return the study in a YAML file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or describes no valid study.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"study file {str(path)!r}: {error.strerror}; give a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"study file {str(path)!r}: not YAML: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(config, dict):
        raise ConfigError(f"study file {str(path)!r}: not a mapping of keys to values")
    return validate(config, str(path))


#: What pydantic's ``Name`` pattern says, in words.
NAME_IN_WORDS = "1 to 40 letters, digits, '.' or '-', beginning with a letter or a digit"


def allowed(name: str, annotation: Any, metadata: Sequence = (), unit: str = "") -> str:
    """Return in words what values a key may have.

    Parameters
    ----------
    name : str
        The key's last part; the grid's axes are known by it.
    annotation, metadata
        The field's, as pydantic keeps them.
    unit : str
        Unit of the value; it follows a bound, if there is one.
    """
    if name in AXES:
        axis = AXES[name]
        return (
            "a list such as [5, 20] or a range such as {start: 5, stop: 40, num: 8}, of values "
            f"between {axis.minimum} and {axis.maximum} {axis.unit}"
        )
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return allowed(name, annotation, inner, unit)
    if get_origin(annotation) is Literal:
        return _one_of([repr(value) for value in get_args(annotation)])
    if name == "zone":
        return "three integers such as [1, 1, 0], or [] for a random orientation"
    if name == "surface_energies":
        return 'a block of Miller indices and numbers, such as {"111": 1.28, "100": 1.63}'
    if name == "msd_A2":
        return "a block of chemical symbols and numbers, such as {Ce: 0.003, O: 0.006}"
    if get_origin(annotation) is list:
        (item,) = get_args(annotation)
        if get_origin(item) is list:
            return "a list of pairs such as [[0, 1], [1, 0.4]]"
        if item is float:
            return "a list of ascending numbers such as [0.25, 0.6], or [] for none"
        return f"a list of {'names' if item is str else allowed('', item)}, not empty"
    if get_origin(annotation) is dict:
        return "a block of named blocks, not empty"
    if block_of(annotation):
        return "a block of keys"
    if any(getattr(item, "pattern", None) for item in metadata):
        return NAME_IN_WORDS
    kind = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
    words = kind[annotation]
    bounds = {
        sign: getattr(item, sign)
        for sign in ("ge", "gt", "le", "lt")
        for item in metadata
        if getattr(item, sign, None) is not None
    }
    if {"ge", "le"} <= bounds.keys():
        words += f" between {bounds['ge']} and {bounds['le']}"
    elif bounds:
        says = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        words += " " + " and ".join(f"{says[sign]} {value}" for sign, value in bounds.items())
    return f"{words} {unit}" if bounds and unit else words


def _line(details: dict) -> str:
    """Return one line for one of pydantic's errors: key = value: what is allowed."""
    loc, in_range = _place(details["loc"])
    name, value = _dotted(loc) or "the study", details["input"]
    if details["loc"][-1:] == ("[key]",):
        return f"{_dotted(loc[:-1])} = {_short(value)}: a name here must be {NAME_IN_WORDS}"
    match details["type"]:
        case "extra_forbidden":
            keys = sorted(_keys(loc[:-1]))
            near = difflib.get_close_matches(str(loc[-1]), keys, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            return f"{name} = {_short(value)}: unknown key; {hint}allowed: {', '.join(keys)}"
        case "invalid_key":
            keys = ", ".join(sorted(_keys(loc[:-1])))
            return f"{_dotted(loc[:-1]) or 'key'} = {_short(loc[-1])}: unknown key; allowed: {keys}"
        case "value_error":
            message = str(details["ctx"]["error"])
            if message.startswith(tuple(f"{block}." for block in Study.model_fields)):
                return message  # a rule across blocks names its own key
            if in_range or (isinstance(value, dict) and loc[-1] not in AXES):
                return f"{name}.{message}"  # a rule within a block names its own key there
            return f"{name} = {message}"
        case "missing":
            return f"{name}: missing; it has no default"
        case "finite_number":
            return f"{name} = {_short(value)}: must be a finite number"
    words = _allowed_at(loc)
    if _is_number_in_text(value) and words.startswith(("a number", "an integer")):
        # YAML takes 1e-3 for text: its numbers want a point and a signed exponent.
        words += ", not text; write it without quotes, and 1e-3 as 1.0e-3"
    return f"{name} = {_short(value)}: must be {words}"


def _place(loc: tuple) -> tuple[list, bool]:
    """Return where an error is, without pydantic's marks, and whether it is about a whole range."""
    parts, after_axis = [], False
    for part in loc:
        if not (part == "[key]" or (after_axis and part in ("list", "range"))):
            parts.append(part)
        after_axis = part in AXES
    return parts, loc[-1:] == ("range",) and parts[-1] in AXES


def _dotted(loc: list) -> str:
    """Return a place as a user writes it, such as ``training.architectures[0]``."""
    parts = [
        f"[{part}]"
        if isinstance(part, int)
        else f".{part}"
        if re.fullmatch(r"[\w.-]+", part)
        else f".{part!r}"
        for part in loc
    ]
    return "".join(parts).lstrip(".")


def _allowed_at(loc: list) -> str:
    """Return in words what may stand at a place in the configuration."""
    _, field = _field(loc)
    if field is None or loc[-2:-1] == ["specimens"]:
        return "a block of keys"
    if _field(loc[:-1])[1] is field and get_origin(field.annotation) is dict:
        return allowed("", get_args(field.annotation)[1])
    if not isinstance(loc[-1], int):
        return allowed(loc[-1], field.annotation, field.metadata, _unit(loc))
    if axis := AXES.get(loc[-2]):
        return f"a number between {axis.minimum} and {axis.maximum} {axis.unit}"
    (item,) = get_args(field.annotation)
    return "a pair of numbers such as [1, 0.4]" if get_origin(item) is list else allowed("", item)


def _one_of(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else values[0]


def _is_number_in_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _field(loc: list) -> tuple[type[Block] | None, Any]:
    """Return the model and the field at a place in the configuration."""
    model, field = Study, None
    for part in loc:
        if model is None or isinstance(part, int):
            continue
        if field is not None and model is Specimen and part not in Specimen.model_fields:
            continue  # a specimen's own name
        field = model.model_fields.get(part)
        if field is None:
            return model, None
        model = block_of(field.annotation)
    return model, field


def block_of(annotation: Any) -> type[Block] | None:
    """Return the model inside an annotation such as dict[Name, Specimen]."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    inner = [block_of(argument) for argument in getattr(annotation, "__args__", ())]
    return next((model for model in inner if model is not None), None)


def _keys(loc: list) -> list[str]:
    model, _ = _field(loc)
    return list(model.model_fields) if model else []


def _unit(loc: list) -> str:
    _, field = _field(loc)
    return (field.json_schema_extra or {}).get("unit", "") if field is not None else ""
