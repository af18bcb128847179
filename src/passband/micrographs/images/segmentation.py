"""Networks segment an image: preparation, the network's pixels, probabilities, and particles."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from passband.errors import PassbandError
from passband.learning.heads.found import Found, opened
from passband.micrographs.images import (
    background,
    bars,
    found_by_head,
    own_noise,
    preparation,
    tiles,
)
from passband.micrographs.images import particles as measured
from passband.micrographs.images.background import Background
from passband.micrographs.images.bars import Box
from passband.micrographs.images.particles import Particle
from passband.micrographs.images.settings import Settings
from passband.outcomes import Outcome
from passband.units import A_PER_NM
from passband.words import listed, number_of

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network
    from passband.prediction.recommend.network_dice import Dice

#: The largest ratio of the pixel sizes of an image and of a network. Larger pixels do not show the
#: detail that networks need.
MOST_ENLARGED = 5.0
#: The largest ratio of the pixel sizes of a network and of an image.
MOST_REDUCED = 50.0
#: A function that receives what a network made of an image, see :func:`segment`.
Watch = Callable[["Network", np.ndarray, Callable[[np.ndarray], np.ndarray], np.ndarray], None]


@dataclass(frozen=True)
class Segmentation(Outcome):
    """The result for one image. All arrays have the shape of the image.

    Attributes:
        probability: (height, width) float32, the probability that a pixel is in a particle: the
            mean over the networks.
        disagreement: (height, width) float32, the standard deviation of the probability over the
            networks. None with one network.
        labels: (height, width) int32, 0 in the background, and the particle's label in each
            particle.
        particles: The particles, in the order of their labels.
        factor: The ratio of the pixel sizes of image and network: above 1 if the image was
            enlarged.
        notes: What the user should know about the result, one line each.
        done: How the image was prepared for the networks, one phrase for each step.
        repairs: The steps of `done` that took a background or the edges off.
        background: What was taken off the image.
        box: The part of the image that was used, if bars, frames or the user's `crop` cut it.
            Outside, the probability is 0.
        expected_dice: The Dice to expect, with its 90% interval; None if it is not known.
        flags: Why the image is unlike the training images: do not trust the mask. Empty if it is
            like them, or if this is not known.
        unassessed: Why the expected Dice is not known; empty if it is.
        head: The name of the head that found the particles; empty if they are those of the mask.
    """

    probability: np.ndarray
    disagreement: np.ndarray | None
    labels: np.ndarray
    particles: list[Particle]
    pixel_size_A: float
    factor: float
    notes: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    background: Background = background.NONE
    box: Box | None = None
    expected_dice: "Dice | None" = None
    flags: tuple[str, ...] = ()
    unassessed: str = "this was not asked for"
    head: str = ""

    def __str__(self) -> str:
        spread = None if self.disagreement is None else float(self.disagreement.mean(dtype="f8"))
        lines = [in_words(self.particles, self.confidence, spread, self.flags), self.verdict]
        if self.particles and (command := new_study(self.flags)):
            lines.append(f"to train a network for such images: {command}")
        return "\n".join(lines)

    def values(self) -> dict[str, Any]:
        """Return the content for JSON, without the arrays."""
        return {
            "verdict": self.verdict,
            "expected_dice": self.expected_dice,
            "flags": self.flags,
            "confidence": self.confidence,
            "particles": self.particles,
            "pixel_size_A": self.pixel_size_A,
            "done": self.done,
            "notes": self.notes,
        }

    @property
    def verdict(self) -> str:
        """Whether to trust the mask, in one sentence."""
        return verdict(self.expected_dice, self.flags, self.unassessed)

    @property
    def mask(self) -> np.ndarray:
        """The pixels whose probability is above ½: (height, width) bool array."""
        return self.probability > 0.5

    @property
    def confidence(self) -> float:
        """The mean over the image of max(p, 1 − p), from ½ to 1; over the part that was used."""
        p = self.probability
        if self.box is not None:
            p = p[self.box.place]
        bands = preparation.bands(p.shape)
        return 0.5 + sum(np.abs(p[band] - 0.5).sum(dtype=np.float64) for band in bands) / p.size

    @property
    def mean_diameter_nm(self) -> float:
        """See :func:`passband.micrographs.images.particles.mean_diameter`."""
        return measured.mean_diameter(self.particles)


def in_words(
    particles: Sequence[Particle],
    confidence: float | None,
    disagreement: float | None,
    flags: Collection[str] = (),
) -> str:
    """Return in one line what was found in an image; no numbers if it is flagged.

    Args:
        confidence: None if a person has labelled the particles.
        disagreement: The mean over the image; None with one network.
    """
    if flags:
        return "particles that are not to be trusted" if particles else "no particle"
    uncertain = measured.number_uncertain(particles)
    certain = len(particles) - uncertain
    words = [number_of(certain, "particle")]
    if known := measured.sizes(particles):
        words.append(f"mean diameter {fmean(known):.3g} nm of {len(known)} whole")
    elif certain:
        words.append("none whole")
    if uncertain:
        words.append(f"{uncertain} uncertain left out")
    if confidence is not None:
        words.append(f"confidence {confidence:.3f}")
    if disagreement is not None:
        words.append(f"disagreement {disagreement:.3f}")
    return ", ".join(words)


def verdict(expected: "Dice | None", flags: Sequence[str], unassessed: str = "") -> str:
    """Return in one sentence whether to trust a mask, see :class:`Segmentation`."""
    if flags:
        return f"unlike the training images, because of {listed(flags)}: do not trust the mask"
    if expected is None:
        return f"not assessed, because {unassessed}"
    return f"looks like the training images; expected Dice {expected.short_words}"


def new_study(flags: Collection[str], image: str = "FILE") -> str:
    """Return the command that makes a study for images like a flagged one.

    It is empty for an image without a flag, and for one that it cannot take.
    """
    takes = flags and not {own_noise.REPEATED, own_noise.BLANK} & set(flags)
    return f"passband new mine --like general --like-image {image}" if takes else ""


def segment(
    image: np.ndarray,
    pixel_size_A: float,
    networks: Sequence["Network"],
    settings: Settings | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    watch: Watch | None = None,
) -> Segmentation:
    """Segment one image with one or several networks.

    The image is prepared, resampled to the pixel size of each network, and normalised as the
    network's training images were. The probability is interpolated back to the pixels of the image.
    The image is released as soon as possible: if the caller keeps no reference to a large image,
    less memory is needed.

    Args:
        image: (height, width) float32.
        watch: Receives each network, the image with the network's pixels, the function that
            normalises parts of it, and the network's probability.

    Raises:
        PassbandError: If the image does not fit the networks, or a setting is wrong.
    """
    settings = settings or Settings()
    settings.check(networks)
    whole = image.shape
    box = bars.used(image, settings.crop)
    image = image[box.place]
    for network in networks:
        check_image(image.shape, pixel_size_A, network)
    shape = image.shape
    notes: list[str] = []
    flags = (own_noise.REPEATED,) if own_noise.is_repeated(image) else ()
    flags += (own_noise.BLANK,) if own_noise.is_blank(image) else ()
    slope = None
    noises = [network.noise for network in networks]
    if settings.filter_noise is None and not all(noise.is_white for noise in noises):
        slope = own_noise.slope(image, pixel_size_A)
    repairs = [*box.cut(whole)]
    is_cut = bool(repairs)
    done = [*repairs]
    if settings.hot_pixels:
        before = image
        image = preparation.remove_hot_pixels(before)
        if hot := int(np.count_nonzero(before != image)):
            done.append(f"{number_of(hot, 'hot pixel')} replaced")
        del before
    image, taken = background.take_off(image, pixel_size_A, networks, settings.flat_field)
    if taken.kind != "none":
        repairs.append(str(taken))
        done.append(str(taken))
    # All networks of one pixel size and one filter work on the same resampled image.
    kinds = []
    said = []
    for network, noise in zip(networks, noises, strict=True):
        wanted, line = own_noise.treatment(noise, pixel_size_A, slope, settings.filter_noise)
        kinds.append((network.pixel_size_A, wanted))
        if line:
            said.append(line)
    pixel_nm = pixel_size_A / A_PER_NM

    part = settings.head(networks)
    head = None if part is None else opened(part)
    outputs = 1 if head is None else networks[0].outputs

    def found(probability: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, Found | None]:
        """Return the labels of particles, and what the head says of them."""
        if head is None:
            return measured.instances(probability, pixel_nm, settings.smallest_nm), None
        stated = found_by_head.found(
            head,
            seen,
            probability,
            network_nm=networks[0].pixel_size_A / A_PER_NM,
            pixel_nm=pixel_nm,
            smallest_nm=settings.smallest_nm,
        )
        return stated.labels, stated

    distinct = [kind for k, kind in enumerate(kinds) if kind not in kinds[:k]]
    mean = _Mean(len(networks))
    mean_seen = np.zeros(())  # in the pixels of the networks, if there is a head
    for size, noise in distinct:
        same = abs(size / pixel_size_A - 1) <= 1e-6
        resampled = image if same else preparation.resample(image, pixel_size_A, size)
        if not same:
            done.append(f"pixels of {pixel_size_A:g} Å resampled to {size:g} Å")
        if (size, noise) == distinct[-1]:
            del image
        if noise:
            resampled = preparation.filter_noise(resampled, size, noise)
        for network, kind in zip(networks, kinds, strict=True):
            if kind != (size, noise):
                continue
            seen, lines = _outputs(resampled, network, outputs, settings, progress, watch)
            notes += lines
            probability = preparation.to_grid(seen[0], shape, size / pixel_size_A)
            if head is not None:
                alone = len(networks) == 1
                mean_seen = seen if alone else mean_seen + seen / len(networks)
            mean.add(probability)
        del resampled, probability, seen
    probability, disagreement = mean.result()
    labels, stated = found(probability, mean_seen)
    del mean_seen
    particles = measured.measure(labels, pixel_nm, probability, stated)
    if is_cut:
        probability = _placed(probability, box, whole)
        labels = _placed(labels, box, whole)
        disagreement = None if disagreement is None else _placed(disagreement, box, whole)
        particles = [each.moved(box.x0 * pixel_nm, box.y0 * pixel_nm) for each in particles]
    return Segmentation(
        probability=probability,
        disagreement=disagreement,
        labels=labels,
        particles=particles,
        pixel_size_A=pixel_size_A,
        factor=pixel_size_A / networks[0].pixel_size_A,
        notes=tuple(dict.fromkeys(notes)),
        done=tuple(dict.fromkeys((*done, *said))),
        repairs=tuple(repairs),
        background=taken,
        box=box if is_cut else None,
        flags=flags,
        head="" if part is None else part.name,
    )


class _Mean:
    """The mean of the probabilities of several networks, and their disagreement, in few arrays."""

    def __init__(self, networks: int):
        self._networks = networks
        self._sum: np.ndarray | None = None
        self._squares: np.ndarray | None = None

    def add(self, probability: np.ndarray) -> None:
        """Add a network's probability, an array that is changed."""
        if self._sum is None:
            self._sum = probability
            self._squares = np.square(probability) if self._networks > 1 else None
        else:
            self._sum += probability
            self._squares += np.square(probability, out=probability)

    def result(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean and the standard deviation over networks, which is None for one."""
        mean = self._sum
        if self._squares is None:
            return mean, None
        mean /= self._networks
        variance = self._squares / self._networks - mean**2
        # The variance over a sample of networks, which is divided by their number − 1.
        variance *= self._networks / (self._networks - 1)
        return mean, np.sqrt(np.maximum(variance, 0, out=variance), out=variance)


def _placed(values: np.ndarray, box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Return values of a part of an image in the whole image, with 0 elsewhere."""
    result = np.zeros(shape, values.dtype)
    result[box.place] = values
    return result


def check_image(shape: tuple[int, int], pixel_size_A: float, network: "Network") -> None:
    """Check that an image can be resampled to the pixel size of a network.

    Raises:
        PassbandError: If the pixel sizes differ too much, or if the image is too small.
    """
    size = network.pixel_size_A
    lowest, highest = size / MOST_REDUCED, size * MOST_ENLARGED
    if not lowest <= pixel_size_A <= highest:
        raise PassbandError(
            f"pixel size {pixel_size_A:g} Å: must be between {lowest:g} and {highest:g} Å for a "
            f"network with pixels of {size:g} Å"
        )
    sides = [round(n * pixel_size_A / size) for n in shape]
    if min(sides) < network.smallest_px:
        raise PassbandError(
            f"the image has {sides[0]} × {sides[1]} pixels of {size:g} Å, the network's pixel "
            f"size: must be at least {network.smallest_px} pixels along each side"
        )


def _outputs(
    image: np.ndarray,
    network: "Network",
    outputs: int,
    settings: Settings,
    progress: Callable[[Iterable], Iterable],
    watch: Watch | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Return what a network sees in an image with the network's pixels, and notes.

    It is (outputs, rows, columns) float32: the probability, and the first further outputs.
    """
    model = network.model(settings.precision)
    normalise = normalisation(image, network, settings.dose_e_per_A2)
    tiling = tiles.Tiling.of(image.shape, model, settings.tile)
    notes = []
    if not tiling.exact:
        notes.append(
            f"{model.name} depends on the size of its input, so the result depends on the "
            f"tiles of {tiling.tile[0]} × {tiling.tile[1]} pixels"
        )
    elif settings.tile is not None and settings.tile < min(*tiling.tile, *tiling.padded):
        notes.append(
            f"--tile = {settings.tile}: tiles are {tiling.tile[0]} × {tiling.tile[1]} pixels, "
            f"since {model.name} sees {tiling.halo} pixels beyond a tile"
        )
    result = np.empty((outputs, *image.shape), np.float32)
    for (rows, columns), part in tiles.seen(model, image, tiling, normalise, progress):
        result[:, rows, columns] = part[:outputs]
    if watch is not None:
        watch(network, image, normalise, result[0])
    return result, notes


def normalisation(
    image: np.ndarray, network: "Network", dose_e_per_A2: float | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the network's normalisation, with the statistics of a whole image.

    The result is the same as that of :func:`passband.imaging.noise.normalise`, which cannot be
    applied to single tiles.

    Args:
        image: (height, width) float32, the whole image, with the network's pixels.
        dose_e_per_A2: The dose of the image [e/Å²]. With the normalisation ``vacuum``, the image's
            counts must be numbers of electrons.
    """
    if network.normalisation == "vacuum":
        offset = scale = dose_e_per_A2 * network.pixel_size_A**2
    elif network.normalisation == "minmax":
        offset = float(image.min())
        scale = float(image.max()) - offset
    else:
        offset = float(image.mean(dtype=np.float64))
        bands = (image[band] for band in preparation.bands(image.shape))
        squares = sum(np.square(band.astype(np.float64) - offset).sum() for band in bands)
        scale = math.sqrt(squares / (image.size - 1))
    offset, scale = np.float32(offset), np.float32(max(scale, 1e-12))
    return lambda part: (part - offset) / scale
