"""The kinds of parts: the decorator of each, which says what a part needs and how it is called.

Those of what images are made from, and of readers, are in :mod:`passband.parts.kinds_of_images`.
"""

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from passband.parts.kind import Kind
from passband.parts.kinds_of_images import engine, material, noise, reader, shape, specimen

#: A metric of one condition.
SINGLE = "single"
#: A metric of a pair of conditions.
PAIR = "pair"
#: A metric of a training condition.
TRAIN = "train"

#: What a figure can be drawn from, and what its function gets for it.
INPUTS: Mapping[str, str] = {
    "ood": "matrices",
    "table": "matrices",
    "information": "information",
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
        caption: Paragraphs with ``**bold**`` and ````code````. The title is what is bold at the
            beginning, or else the first sentence.
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
        needs: The name of a variable of the table of results. The metric is left out where a table
            lacks it.
    """

    home: ClassVar = ("analysis/ood_metrics.py",)
    hyphens: ClassVar = False

    of: str
    _: KW_ONLY
    units: str = "1"
    label: str = ""
    limits: tuple[float, ...] = (-float("inf"), float("inf"))
    against: str = ""
    needs: str = ""

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
            are there for a head, or for a loss of one's own. A family whose class takes `outputs`
            gets the number that the head needs.
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


@dataclass(frozen=True)
class head(Kind):  # noqa: N801
    """A head, which finds single particles in further outputs of a network.

    It is a class, or a function that returns an object, called without arguments. The object has
    two methods, see :class:`passband.learning.heads.found.Head`: ``loss``, which is added to that
    of the mask, and ``decode``, which makes particles of the outputs.

    Attributes:
        outputs: Number of outputs that it needs besides the logit of the mask.
    """

    home: ClassVar = ("learning/heads/*.py",)

    _: KW_ONLY
    outputs: int

    def check(self) -> None:
        if self.outputs < 1:
            raise ValueError(f"outputs = {self.outputs}: must be 1 or more")

    @property
    def arguments(self) -> tuple[str, ...]:
        return ()


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


#: All kinds, by the name of their decorator.
KINDS: Mapping[str, type[Kind]] = {
    each.__name__: each
    for each in (
        figure,
        metric,
        ood_metric,
        loss,
        architecture,
        head,
        material,
        shape,
        specimen,
        noise,
        engine,
        reader,
    )
}

#: The constants that a declaration may name.
CONSTANTS: Mapping[str, Any] = {"SINGLE": SINGLE, "PAIR": PAIR, "TRAIN": TRAIN}
