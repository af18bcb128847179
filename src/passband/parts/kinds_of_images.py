"""The kinds of parts that images are made from, and that read images from files."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from passband.parts.kind import Kind
from passband.words import listed

#: The crystal structures of materials, and how many different elements and atoms a formula has.
STRUCTURES: Mapping[str, tuple[int, int]] = {
    "fcc": (1, 1),
    "bcc": (1, 1),
    "diamond": (1, 1),
    "rocksalt": (2, 2),
    "zincblende": (2, 2),
    "fluorite": (2, 3),
}


@dataclass(frozen=True)
class material(Kind):  # noqa: N801
    """A cubic crystal, as data: ``Pd = material(structure="fcc", lattice_A=3.891)``.

    Attributes:
        structure: The crystal structure, one of :data:`STRUCTURES`.
        lattice_A: Lattice constant at room temperature [Å].
        symbol: Chemical symbol or formula, cations first, such as ``CeO2``; "" is the name of the
            assignment.
        surface_energies: Surface energies by Miller indices [J/m²], which shapes such as ``wulff``
            need.
        b_A2: B factor at 293 K [Å²], from which thermal motion follows; for elements only.
    """

    home: ClassVar = ("config/materials.py",)
    is_data: ClassVar = True
    hyphens: ClassVar = False

    _: KW_ONLY
    structure: str
    lattice_A: float
    symbol: str = ""
    surface_energies: dict[tuple[int, int, int], float] = field(default_factory=dict)
    b_A2: float | None = None

    def check(self) -> None:
        if self.structure not in STRUCTURES:
            raise ValueError(
                f"structure = {self.structure!r}: must be {listed([*STRUCTURES], 'or')}"
            )
        if not 1 <= self.lattice_A <= 50:
            raise ValueError(f"lattice_A = {self.lattice_A:g}: must be between 1 and 50 Å")
        if self.symbol:
            self.check_symbol(self.symbol)
        for face, energy in self.surface_energies.items():
            if len(face) != 3 or not any(face) or not 0 < energy <= 1000:
                raise ValueError(
                    f"surface_energies = {{{face}: {energy:g}}}: must have three Miller indices, "
                    "and an energy above 0 and at most 1000 J/m²"
                )
        if self.b_A2 is not None and (not 0 < self.b_A2 <= 20 or STRUCTURES[self.structure][0] > 1):
            raise ValueError(
                f"b_A2 = {self.b_A2:g}: must be above 0 and at most 20 Å², and is for elements only"
            )

    def check_symbol(self, symbol: str) -> None:
        """Raise ValueError if a formula does not fit the crystal structure."""
        elements, atoms = STRUCTURES[self.structure]
        found = re.findall(r"([A-Z][a-z]?)(\d?)", symbol)
        written = "".join(element + number for element, number in found)
        counted = sum(int(number or 1) for _, number in found)
        if written != symbol or len({e for e, _ in found}) != elements or counted != atoms:
            example = {1: "Pd", 2: "MgO", 3: "CeO2"}[atoms]
            raise ValueError(
                f"symbol = {symbol!r}: must be a chemical formula for {self.structure}, such as "
                f"{example}"
            )


@dataclass(frozen=True)
class shape(Kind):  # noqa: N801
    """The body of a particle: a function of the crystal that returns its faces.

    It returns the distances of faces from the centre by their Miller indices, in any unit, such as
    ``{(1, 1, 1): 1.0, (1, 0, 0): 1.2}``. Equivalent faces are equally far away. Only ratios matter,
    since the size of a particle follows from its diameter. A function may also return a
    :class:`passband.specimens.bodies.Form`.

    Attributes:
        structures: The crystal structures that may have it; ``file`` is a crystal from a file.
        widest: Upper limit of a particle's projected width, divided by the diameter of the ball of
            equal volume.
        surface_energies: Whether the function gets the surface energies, too.
        is_twinned: Whether the form has several sectors, with twin planes between them.
    """

    home: ClassVar = ("specimens/shapes.py",)

    _: KW_ONLY
    structures: tuple[str, ...] = (*STRUCTURES, "file")
    widest: float = 1.2
    surface_energies: bool = False
    is_twinned: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("crystal", "surface_energies") if self.surface_energies else ("crystal",)

    def check(self) -> None:
        known = (*STRUCTURES, "file")
        for each in self.structures:
            if each not in known:
                raise ValueError(f"structures: {each!r}: must be {listed(known, 'or')}")
        if not 1 <= self.widest <= 10:
            raise ValueError(f"widest = {self.widest:g}: must be between 1 and 10")


@dataclass(frozen=True)
class specimen(Kind):  # noqa: N801
    """A function that draws the atoms of a structure.

    It gets the specimen's block of the configuration, the side of the field [Å], and NumPy's
    generator of random numbers, from which it takes all of them. It returns ``ase.Atoms`` whose
    array ``particle`` is 0 for atoms without a mask, 1 for those of the first particle, and so on.
    The beam travels along +z, and atoms that leave the field enter at the opposite side. A function
    may also return a :class:`passband.specimens.structures.Structure`.

    Attributes:
        height_nm: The height of structures, from which times follow. By default, it follows from
            the keys of particles and substrate.
        keeps_particles: Whether it keeps the particles of a structure if an axis changes the
            specimen or the pixels. Then it gets the grid of pixels and not the field, and after the
            generator the specimen and the grid with the study's own values, or None.
    """

    home: ClassVar = ("specimens/particles.py",)

    _: KW_ONLY
    height_nm: float | None = None
    keeps_particles: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        if self.keeps_particles:
            return ("specimen", "sampling", "rng", "own")
        return ("specimen", "field_A", "rng")

    def check(self) -> None:
        if self.height_nm is not None and not 0 < self.height_nm <= 1000:
            raise ValueError(f"height_nm = {self.height_nm:g}: must be above 0 and at most 1000 nm")


@dataclass(frozen=True)
class noise(Kind):  # noqa: N801
    """A function that draws the counts of an image from the expected electrons of its pixels.

    It gets an array (pixels, pixels) and NumPy's generator of random numbers, from which it takes
    all of them, and returns counts of the same shape. They may be any finite numbers.

    Attributes:
        batches: Whether it draws the counts of many images at once. Then it gets a tensor of
            intensities (images, pixels, pixels), the electrons in a pixel where the intensity is 1,
            and a seed for each image; the counts of an image depend on nothing else.
    """

    home: ClassVar = ("imaging/noise_models.py",)

    _: KW_ONLY
    batches: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("intensity", "electrons", "seeds") if self.batches else ("electrons", "rng")


@dataclass(frozen=True)
class engine(Kind):  # noqa: N801
    """What computes exit waves: a class, or a function that returns an object.

    It is called with the multislice grid (a :class:`passband.optics.sampling.Sampling`), the beam
    energy [eV], and the device, ``cpu`` or ``gpu``. The object's method ``wave`` gets the atoms of
    a structure (``ase.Atoms``) and returns the complex wave behind them, (pixels, pixels), which is
    1 for vacuum.

    Attributes:
        bytes_per_pixel: Memory for each pixel of the multislice grid [bytes].
        seconds_per_pixel: Time on a slow core, for each pixel and each Å of a structure's height
            [s]. It decides the time limits of jobs.
        pixel_A, pixel_share: With ``multislice_pixel_A: auto``, the largest side of a pixel of the
            multislice grid, in Å and as a share of the image's pixel. Without `pixel_A`, it is that
            of Passband's own multislice, which follows from the energy.
        coarsest: The largest side of a pixel that is allowed, as a share of the image's pixel.
        imports: Modules that it needs, which `passband preflight` tries to import.
    """

    home: ClassVar = ("specimens/engines.py",)

    _: KW_ONLY
    bytes_per_pixel: float = 130
    seconds_per_pixel: float = 6e-7
    pixel_A: float | None = None
    pixel_share: float = 0.7
    coarsest: float = 1.0
    imports: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("sampling", "energy", "device")

    def check(self) -> None:
        for name, most in (
            ("bytes_per_pixel", 1e6),
            ("seconds_per_pixel", 1.0),
            ("pixel_A", 2.0),
            ("pixel_share", 1.0),
            ("coarsest", 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise ValueError(f"{name} = {value:g}: must be above 0 and at most {most:g}")


@dataclass(frozen=True)
class reader(Kind):  # noqa: N801
    """A function that reads the images of a file, and returns a `Content`.

    Attributes:
        suffixes: The ends of the names of its files, such as ``.tif``, in lower case.
        folders: Whether a folder may have such a name, too, and is then read as one file.
    """

    home: ClassVar = ("micrographs/images/formats/*.py",)

    _: KW_ONLY
    suffixes: tuple[str, ...]
    folders: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("path",)

    def check(self) -> None:
        for each in self.suffixes:
            if not re.fullmatch(r"(\.[a-z0-9_-]+)+", each):
                raise ValueError(
                    f"suffixes = {self.suffixes}: {each!r} must be a point and small letters or "
                    "digits, such as '.tif'"
                )
        if not self.suffixes:
            raise ValueError("suffixes = (): must have one at least, such as ('.tif',)")
