"""The kinds of parts: the decorator of each, which says what a part needs and how it is called."""

import re
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, TypeVar

from passband.words import listed

Made = TypeVar("Made")

#: What a metric is of: one condition, a pair of conditions, or a training condition.
SINGLE, PAIR, TRAIN = "single", "pair", "train"


@dataclass(frozen=True)
class Kind:
    """A kind of parts. An instance is the declaration of one part, and its decorator.

    A declaration is read from the text of its file, so its arguments are literals, or the constants
    of :mod:`passband.parts`.

    Attributes:
        home: The files of the package that have its own parts of this kind, below ``passband/``.
        is_data: Whether a part may also be an assignment, ``name = kind(...)``, without code.
        hyphens: Whether "-" replaces "_" in the name of a part.
        families: Whether the name may have placeholders, as ``compact-w<width>-d<depth>`` has.
    """

    home: ClassVar[tuple[str, ...]] = ()
    is_data: ClassVar[bool] = False
    hyphens: ClassVar[bool] = True
    families: ClassVar[bool] = False

    _: KW_ONLY
    #: By what people call the part; "" is the name of its function or class.
    name: str = ""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        """Return a declaration; or what is decorated, if the decorator has no parentheses."""
        if len(given) == 1 and not named and callable(given[0]):
            return given[0]
        return super().__new__(cls)

    def __call__(self, made: Made) -> Made:
        """Return the decorated function or class itself."""
        return made

    def check(self) -> None:
        """Raise ValueError if values do not fit together: ``key = value: what is allowed``."""

    def check_name(self, name: str) -> None:
        """Raise ValueError if a part of this kind cannot have this name: ``name = ...: why``."""

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """What a part is called with, in this order; None if there is no rule."""
        return None


#: What a figure can be drawn from, and what its function gets for it.
INPUTS: Mapping[str, str] = {
    "ood": "matrices",
    "table": "matrices",
    "information": "information",
    "distances": "distances",
    "prediction": "predicted",
    "examples": "examples",
    "study": "study",
}
#: The sections of a study's page that show figures.
PLACES = ("trained", "results", "prediction", "choice", "training")
#: What a figure may depend on besides keys of the study.
SETTINGS = ("training conditions", "test conditions", "lens", "images", "lattice spacings")


@dataclass(frozen=True)
class figure(Kind):  # noqa: N801, a decorator
    """A figure: a function of its inputs and of its width [cm] that returns Matplotlib's figure.

    Attributes:
        caption: Its caption, paragraphs with ``**bold**`` and ````code````, and a bold title first.
        inputs: What the figure is drawn from, each one of :data:`INPUTS`: a store of the study, the
            images of some networks (`examples`), or the study's configuration (`study`).
        place: The section of the study's page that shows it, one of :data:`PLACES`; "" if none
            does.
        settings: What the picture depends on besides its stores: keys of the study by their paths,
            such as ``evaluation.confidence``, or words of :data:`SETTINGS`. If one of them changes,
            the figure is drawn again.
        version: Raise it when the code changes what is drawn, and the figure is drawn again.
        on_request: Whether the figure is drawn only if the user names it.
        memory_mb: Memory of the job that draws it [MB].
    """

    home: ClassVar = ("figures/*.py",)
    hyphens: ClassVar = False

    _: KW_ONLY
    caption: str
    inputs: tuple[str, ...] = ("ood",)
    place: str = "results"
    settings: tuple[str, ...] = ()
    version: int = 1
    on_request: bool = False
    memory_mb: int = 2000

    def check(self) -> None:
        for name in self.inputs:
            _check_one_of("inputs", name, INPUTS)
        if len({*self.inputs}) < len(self.inputs):
            raise ValueError(f"inputs = {self.inputs}: must name each input once")
        if self.place:
            _check_one_of("place", self.place, PLACES)
        for name in self.settings:
            if name not in SETTINGS and name.count(".") != 1:
                raise ValueError(
                    f"settings = {name!r}: must be block.key of the study, or one of "
                    f"{', '.join(SETTINGS)}"
                )
        for name in ("version", "memory_mb"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} = {value}: must be at least 1")
        if not self.caption.strip():
            raise ValueError("caption = '': must say what the figure shows")

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*(INPUTS[name] for name in self.inputs), "width_cm")


def _check_one_of(name: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(allowed)}")


@dataclass(frozen=True)
class metric(Kind):  # noqa: N801
    """An information metric of one condition or of a pair of conditions.

    The function's docstring says what the metric is, in stores and on pages.

    Attributes:
        of: SINGLE, for a function of a `View`, or PAIR, for a function of a `Pair`; see
            :mod:`passband.analysis.views`.
        units: The unit of its values.
        label: What figures and pages call it; "" for its name.
    """

    home: ClassVar = ("analysis/information.py",)
    hyphens: ClassVar = False

    of: str
    _: KW_ONLY
    units: str = "1"
    label: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("view",) if self.of == SINGLE else ("pair",)

    def check(self) -> None:
        if self.of not in (SINGLE, PAIR):
            raise ValueError(f"of = {self.of!r}: must be SINGLE or PAIR")

    def check_name(self, name: str) -> None:
        if self.of == PAIR:  # the variables of others end in _train and _test
            _check_variable(name, ("weight",), ("_train", "_test"))


@dataclass(frozen=True)
class ood_metric(Kind):  # noqa: N801
    """A metric of a training condition, or of a training and a test condition.

    It is a function of a :class:`passband.analysis.rows.Row`, the networks of one training
    condition, and returns its value for each image. The function's docstring says what it is.

    Attributes:
        of: TRAIN for a value (replica, structure), or PAIR for a value (replica, test, structure).
        units: The unit of its values.
        label: What pages call it; "" for its name.
        limits: The smallest and the largest possible value, at which intervals end.
        against: What it is a difference of Dice to: ``home``, the same networks under their own
            condition, or ``ideal``, the networks that were trained under the test condition, whose
            scatter is then in its interval. "" for all else.
    """

    home: ClassVar = ("analysis/ood_metrics.py",)
    hyphens: ClassVar = False

    of: str
    _: KW_ONLY
    units: str = "1"
    label: str = ""
    limits: tuple[float, ...] = (-float("inf"), float("inf"))
    against: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("row",)

    def check(self) -> None:
        if self.of not in (TRAIN, PAIR):
            raise ValueError(f"of = {self.of!r}: must be TRAIN or PAIR")
        if len(self.limits) != 2 or not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits = {self.limits}: must be two numbers, the smaller one first")
        if self.against not in ("", "home", "ideal") or (self.against and self.of == TRAIN):
            raise ValueError(
                f"against = {self.against!r}: must be '', or for PAIR also 'home' or 'ideal'"
            )

    def check_name(self, name: str) -> None:
        _check_variable(name, (), ("_interval",))


@dataclass(frozen=True)
class loss(Kind):  # noqa: N801
    """A loss of networks, which training makes small: a function of logits, targets and settings.

    It is called as ``function(logits, *targets, settings)`` and returns the loss of each network,
    see :mod:`passband.learning.losses`.

    Attributes:
        targets: What the loss compares with: ``mask``, ``instances`` or both.
    """

    home: ClassVar = ("learning/losses.py",)

    _: KW_ONLY
    targets: tuple[str, ...] = ("mask",)

    def check(self) -> None:
        allowed = (("mask",), ("instances",), ("mask", "instances"), ("instances", "mask"))
        if self.targets not in allowed:
            raise ValueError(
                f"targets = {self.targets!r}: must be ('mask',), ('instances',) or "
                "('mask', 'instances')"
            )

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("logits", *self.targets, "settings")


@dataclass(frozen=True)
class architecture(Kind):  # noqa: N801
    """A network from images (N, 1, H, W) to logits (N, outputs, H, W).

    It is a function that returns the module, or the module's class, called without arguments. A
    name with placeholders, such as ``compact-w<width>-d<depth>``, is that of a family. Its class is
    called with their values, has the numbers below that the decorator has for others, and makes
    the module by its method ``build``. It raises ValueError for values that it does not allow.

    Attributes:
        outputs: Number of channels of the output. The first is the logit of the mask; the others
            are there for a loss of one's own.
        divisor: The side of an image must be a multiple of this.
        smallest_px: The smallest side of an image.
        weights: Number of weights. With 0, they are counted.
        bytes_per_pixel: Memory for each pixel of a training batch in float32. With 0, it is counted
            by a training step without numbers.
        example: For a family, the name of one of its architectures.
    """

    home: ClassVar = ("learning/architectures/*.py",)
    families: ClassVar = True

    _: KW_ONLY
    outputs: int = 1
    divisor: int = 1
    smallest_px: int = 1
    weights: int = 0
    bytes_per_pixel: float = 0.0
    example: str = ""

    def check(self) -> None:
        for name in ("outputs", "divisor", "smallest_px"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 1 or more")
        if min(self.weights, self.bytes_per_pixel) < 0:
            raise ValueError("weights and bytes_per_pixel must be 0 or more")

    @property
    def arguments(self) -> tuple[str, ...] | None:
        return None if "<" in self.name else ()


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


#: What stores and pages call other numbers of pairs and rows.
_TAKEN = (
    *("train", "test", "specimen", "architecture", "test_specimen", "bound"),
    *("distance", "dice_std", "dice_selected", "dice_oracle", "effective_robustness"),
    *("low", "high", "range", "predicted", "residual"),
)


def _check_variable(name: str, taken: tuple[str, ...], ends: tuple[str, ...]) -> None:
    """Raise ValueError if a store cannot have a variable of this name beside its others."""
    if name in (*_TAKEN, *taken):
        raise ValueError(f"name = {name!r}: stores and pages call something else so; rename it")
    if name.startswith(("train_", "test_")) or name.endswith(ends):
        raise ValueError(
            f"name = {name!r}: must not begin with train_ or test_, nor end in {' or '.join(ends)}"
        )


def _by_name() -> Mapping[str, type[Kind]]:
    return {each.__name__: each for each in Kind.__subclasses__()}


#: All kinds, by the name of their decorator.
KINDS: Mapping[str, type[Kind]] = _by_name()

#: The constants that a declaration may name.
CONSTANTS: Mapping[str, Any] = {"SINGLE": SINGLE, "PAIR": PAIR, "TRAIN": TRAIN}
