"""Whether the mask of an image can be trusted: expected Dice, and a warning with its reasons."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from passband.micrographs.models.model import Model
from passband.micrographs.trust import likeness
from passband.micrographs.trust.certainty import evenness, ratio, sureness, symmetry
from passband.micrographs.trust.certainty import probabilities as mirrored
from passband.micrographs.trust.likeness import DESCRIPTIONS, Reference
from passband.network_id import NetworkId
from passband.prediction.json_values import Ids, JsonValues, require
from passband.prediction.recommend.image_dice import Calibration, ctf_score, logit
from passband.prediction.recommend.network_dice import Dice

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network

#: An image is flagged if its expected Dice is below this fraction of the network's own Dice. The
#: number was chosen after looking at the demo's matrix. With 0.6, 0.7, 0.75 and 0.8, these parts of
#: the images with a Dice below 0.6 of the own Dice are flagged: 77%, 85%, 89% and 91%; and of the
#: images of the training condition: 0.3%, 0.3%, 0.6% and 0.6%.
LOWEST = 0.75
#: An image is flagged if its area is below this fraction of the area of a training image: its
#: distances are those of its mirror images too. The number was chosen for one small image of noise.
SMALLEST_FIELD = 0.5
#: A network does well on an image if Dice is at least this fraction of the network's own Dice.
WELL = 0.8
#: An image of at most so many areas of a training image is segmented without its smooth part too.
#: Wider images are divided by their background.
MOST_FIELDS = 16
#: What is said if the masks with and without the smooth part of an image differ too much.
UNEVEN = "its uneven background"
#: What is said if they differ by less, but by more than in even fields: a part of the field is
#: darker, or a smooth spot is. The smallest evenness without a shade was chosen for the network
#: `general`, see `findings/background/shades.py`, and is used for it alone.
SHADED = "a shade of its background"
EVEN = 0.95
#: Largest number of pixels of an image over which probabilities are summed.
MOST_PIXELS = 2**22


@dataclass(frozen=True)
class Own:
    """A network, or replicas together, on images of the training condition.

    Attributes:
        dice: Mean Dice.
        confidence: Median of :func:`passband.micrographs.trust.certainty.windowed_dice`.
        agreement: Median of :func:`passband.micrographs.trust.certainty.agreement_of`; 1 for a
            single network.
        symmetry: Median of the agreement with the mirror image, see
            :func:`passband.micrographs.trust.certainty.symmetry`.
        area: Largest part of a training image that is particle.
    """

    dice: float
    confidence: float
    agreement: float
    symmetry: float
    area: float

    def __post_init__(self):
        for name, value in vars(self).items():
            require(0 <= value <= 1, f"{name} = {value} is not between 0 and 1")


def relative_scores(
    raw: Mapping[str, np.ndarray], own: Own, limits: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Return scores that are 0 for images like the training images.

    Args:
        raw: `confidence`, `agreement`, `symmetry`, `area`, and the distances of
            :data:`passband.micrographs.trust.likeness.DESCRIPTIONS`, each (n,).
        own: The same for images of the training condition.
        limits: The largest distance of each description at which the network does well.

    Returns:
        The scores of :data:`passband.prediction.recommend.image_dice.SCORES`, without `ctf`, each
        (n,).
    """
    distances = {name: np.asarray(raw[name], float) for name in DESCRIPTIONS}
    return {
        "confidence": np.maximum(logit(own.confidence) - logit(raw["confidence"]), 0),
        "disagreement": np.maximum(logit(own.agreement) - logit(raw["agreement"]), 0),
        "symmetry": np.maximum(logit(own.symmetry) - logit(raw["symmetry"]), 0),
        "area": np.maximum(logit(raw["area"]) - logit(own.area), 0),
        **distances,
        "excess": np.max([np.maximum(distances[n] - limits[n], 0) for n in DESCRIPTIONS], axis=0),
    }


@dataclass(frozen=True)
class Assessment:
    """What is known about the mask of an image without its ground truth.

    Attributes:
        dice: The expected Dice, with its interval. None if it is not known.
        reasons: Because of what the image is flagged; empty if the mask can be trusted as the
            expected Dice says.
        scores: The scores that the expected Dice was computed from.
        unassessed: Why the expected Dice is not known; empty if it is.
    """

    dice: Dice | None
    reasons: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    unassessed: str = ""

    @property
    def is_flagged(self) -> bool:
        """Whether the mask must not be trusted."""
        return bool(self.reasons)


def together(assessments: Sequence[Assessment]) -> Assessment:
    """Return the assessment of a mean over networks of several training conditions.

    The expected Dice is the mean of theirs, and the interval covers all their intervals. The image
    is flagged if it is flagged for all of them.
    """
    if len(assessments) == 1:
        return assessments[0]
    known = [each.dice for each in assessments if each.dice is not None]
    dice = None
    if known:
        dice = Dice(
            float(np.mean([each.value for each in known])),
            min(each.low for each in known),
            max(each.high for each in known),
        )
    reasons = dict.fromkeys(reason for each in assessments for reason in each.reasons)
    flagged = all(each.is_flagged for each in assessments)
    (unassessed, *_) = (each.unassessed for each in assessments)
    return Assessment(dice, tuple(reasons) if flagged else (), unassessed=unassessed)


@dataclass(frozen=True)
class Trust(JsonValues):
    """Everything that is needed to assess images of one network, or of replicas together.

    Attributes:
        own: The networks on images of the training condition.
        limits: The largest distance of each description at which the networks do well, and the
            smallest `evenness`.
        calibrations: `plain`, and `ctf` if the condition's expected Dice can be used too.
    """

    networks: Ids
    reference: Reference
    own: Own
    limits: Mapping[str, float]
    calibrations: Mapping[str, Calibration]

    def __post_init__(self):
        require(self.networks, "there is no network")
        require(self.limits.keys() == {*DESCRIPTIONS, "evenness"}, "a limit is missing")
        require(np.isfinite(list(self.limits.values())).all(), "a limit is not finite")
        require("plain" in self.calibrations, "the calibration `plain` is missing")

    def assess(self, raw: Mapping[str, float], ctf: float | None = None) -> Assessment:
        """Return the assessment of an image.

        Args:
            raw: See :func:`relative_scores`. The optional entry `field` is the area of the image,
                divided by the area of a training image, and `evenness` is
                :func:`passband.micrographs.trust.certainty.evenness`.
            ctf: The Dice that the study's model expects under the condition of the image.
        """
        scores = relative_scores(
            {name: np.array([value]) for name, value in raw.items()}, self.own, self.limits
        )
        is_small = raw.get("field", 1.0) < SMALLEST_FIELD
        found = {name: float(each[0]) for name, each in scores.items()}
        kind = "plain"
        if ctf is not None and "ctf" in self.calibrations:
            kind, found["ctf"] = "ctf", float(ctf_score(self.own.dice, ctf))
        beyond = [name for name in DESCRIPTIONS if found[name] > self.limits[name]]
        reasons = [DESCRIPTIONS[name] for name in beyond]
        reasons += ["its small field"] * is_small
        reasons += [UNEVEN] * (raw.get("evenness", 1.0) < self.limits["evenness"])
        dice = self.calibrations[kind].expected(self.own.dice, found, bool(reasons))
        if raw["area"] == 0:
            reasons.append("the lack of particles")
        elif dice.value < LOWEST * self.own.dice:
            reasons.append("its low expected Dice")
        return Assessment(dice, tuple(reasons), found)


@dataclass(frozen=True)
class _Seen:
    """An image, as the networks of one :class:`Trust` have seen it.

    Attributes:
        windows: (n, side, side) float32, with the networks' pixels.
        inputs: The networks' inputs there.
        whole: Their input for the whole image; None if it is wide.
        step: Each so-many-th row and column of the probabilities is kept.
        field: The image's area in areas of a training image.
    """

    windows: np.ndarray
    inputs: np.ndarray
    whole: np.ndarray | None
    step: int
    field: float


class Assessor:
    """Assesses images while they are segmented.

    Args:
        trusts: For the networks of each training condition.
        ctf: The Dice that the study's model expects of networks under the condition of the images.
        flags_shades: Whether an evenness below :data:`EVEN` is a reason.
    """

    def __init__(
        self,
        trusts: Sequence[Trust],
        networks: Sequence["Network"],
        ctf: Mapping[NetworkId, float] | None = None,
        flags_shades: bool = False,
    ):
        self._trusts = trusts
        self._ctf = ctf or {}
        self._flags_shades = flags_shades
        self._networks = {network.id: network for network in networks}
        #: By the first network of a trust.
        self._seen: dict[NetworkId, _Seen] = {}
        self._probabilities: dict[NetworkId, np.ndarray] = {}

    @property
    def values(self) -> tuple:
        """What assessments depend on, for a digest."""
        known = [trust.to_values() for trust in self._trusts]
        even = (EVEN,) if self._flags_shades else ()
        return known, {str(id): dice for id, dice in self._ctf.items()}, *even

    def begin(self) -> None:
        """Forget an image whose segmentation has failed."""
        self._seen.clear()
        self._probabilities.clear()

    def watch(
        self,
        network: "Network",
        image: np.ndarray,
        normalise: Callable[[np.ndarray], np.ndarray],
        probability: np.ndarray,
    ) -> None:
        """Keep what is needed of an image that a network has segmented.

        Args:
            image, probability: (height, width) float32, the image with the network's pixels, and
                the probability.
            normalise: Returns the network's input for a part of the image.
        """
        (trust,) = (each for each in self._trusts if network.id in each.networks)
        # Sums over the pixels of a wide image hardly change if rows and columns are left out.
        step = max(1, math.ceil((probability.size / MOST_PIXELS) ** 0.5))
        self._probabilities[network.id] = probability[::step, ::step].copy()
        if trust.networks[0] not in self._seen:
            side = trust.reference.side
            windows = likeness.windows(image, side)
            is_wide = image.size > MOST_FIELDS * side**2
            self._seen[trust.networks[0]] = _Seen(
                windows=windows,
                inputs=normalise(windows),
                whole=None if is_wide else normalise(image),
                step=step,
                field=image.size / side**2,
            )

    def finish(self) -> Assessment:
        """Return the assessment of the image that all networks have segmented."""
        found = []
        for trust in self._trusts:
            seen = self._seen.pop(trust.networks[0])
            models = [self._networks[id].model() for id in trust.networks]
            raw = raw_scores(
                models,
                trust.reference,
                seen.windows,
                seen.inputs,
                probabilities=[self._probabilities.pop(id) for id in trust.networks],
                step=seen.step,
            )
            raw["field"] = seen.field
            if seen.whole is not None:
                raw["evenness"] = evenness(models, seen.whole, trust.reference.side)
            expected = [self._ctf[id] for id in trust.networks if id in self._ctf]
            ctf = float(np.mean(expected)) if expected else None
            assessment = trust.assess(raw, ctf)
            is_shaded = self._flags_shades and raw.get("evenness", 1.0) < EVEN
            if is_shaded and UNEVEN not in assessment.reasons:
                assessment = replace(assessment, reasons=(*assessment.reasons, SHADED))
            found.append(assessment)
        return together(found)


class Unassessed:
    """Takes the place of an :class:`Assessor` where images cannot be assessed, and says why."""

    watch = None

    def __init__(self, why: str):
        self._why = why
        #: What assessments depend on, for a digest.
        self.values = why

    def begin(self) -> None:
        """Do nothing."""

    def finish(self) -> Assessment:
        """Return an assessment without an expected Dice."""
        return Assessment(None, (), unassessed=self._why)


def raw_scores(
    models: Sequence[Model],
    reference: Reference,
    windows: np.ndarray,
    inputs: np.ndarray,
    probabilities: Sequence[np.ndarray],
    step: int = 1,
) -> dict[str, float]:
    """Return the scores of one image, which :func:`relative_scores` compares with the training.

    Args:
        models: The networks that are used together.
        windows: (n, side, side) float32, parts of the image with the networks' pixels.
        inputs: (n, side, side) float32, the networks' inputs there.
        probabilities: The probability of each network, for the whole image, (height, width)
            float32.
        step: Only each so-many-th row and column of the probabilities is there.
    """
    distances = reference.distances(likeness.describe(models, windows, inputs))
    products, squares = symmetry(mirrored(models, inputs))
    return {
        **{name: likeness.of_windows(each) for name, each in distances.items()},
        **sureness(probabilities, max(1, reference.side // step)),
        "symmetry": float(ratio(products.sum(), squares.sum())),
    }
