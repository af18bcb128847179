"""What slopes, vignettes, blurs and a wrong filter cost a network that gets its images as they are.

    python -m findings.background.alone                     # fields on the seed of the report
    python -m findings.background.alone --hrtem FOLDER      # five real patches
    python -m findings.background.alone --preparation       # what preparation adds: tuning fields
    python -m findings.background.alone --network FILE      # another network

The network is `general-2026b`, which was the package's `general` until commit `260902b1`. Alone
means `--no-flat-field`, `--no-filter-noise`, and no bar cut off. Beside it are the network before,
`general-2026`, and a blur with Otsu's threshold: the blur and the sign that are best on undisturbed
images of other seeds, or for FOLDER on its own patches. Disturbances are those of
:mod:`findings.background.disturbances`. A wrong filter is `--filter-noise` on images that are
averaged already. The loss is the mean over images, each with the mean over directions and centres,
with its 90% interval (Student's t over images).

The fields are those of `studies/real-general.yaml`, the study of the network before. With
`--preparation`, kernels, white noise and clipping are those of a detector, and a wide field has
twice the side. For each preparation, the table has the mean Dice. The preparation with the best
mean over all rows is chosen among those that lose no more than 0.005 of undisturbed images.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.special import stdtrit

from docs.scripts.real import PIXEL_A as PATCH_A
from docs.scripts.real import Patch, otsu, read
from findings.background.disturbances import (
    CONDITION,
    FIELD_PX,
    blurred,
    clipped,
    sloped,
    study,
    vignetted,
)
from findings.background.disturbances import fields as could_be_uneven
from passband import PassbandError
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import Network, open_networks
from passband.micrographs.images import background, own_noise, preparation
from passband.micrographs.images.bars import Box
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.reports import markdown
from passband.scores import dice_of_masks
from passband.specimens import exit_waves

#: Seeds of fields on which things are chosen, and of those that are looked at once, at the end.
TUNING = 4101
REPORT = 4102
FIELDS = 24
#: Number of wide fields, and of each kind of fields that can be taken for uneven ones.
WIDE = 6
HARD = "particles over more than half", "carbon from 1 to 8 nm"
#: Side of a pixel of the fields [Å].
FIELD_A = 0.5
OLD = "general-2026"
#: The network that was trained over uneven light, and its name on the page.
NEW = Path(__file__).with_name("general-2026b.safetensors")
#: Standard deviations of the blurs that are tried before the threshold [pixels].
BLURS = 1, 2, 3, 4, 6, 8, 10
#: The most that a preparation may lose of undisturbed images.
MOST = 0.005
COVERAGE = 0.9
#: The keys of white noise in all that the pixels of a field show.
WHITE = {"form": "white", "stored_pixel_A": 0.0}
#: An image, its mask, and the side of its pixels [Å].
Field = tuple[np.ndarray, np.ndarray, float]
#: A method: the mask of an image with pixels of so many Å, filtered as in the training or not.
Method = Callable[[np.ndarray, float, bool], np.ndarray]


@dataclass(frozen=True)
class Disturbance:
    """What is done to an image: the variants, of which the mean counts, or a wrong filter.

    Attributes:
        variants: Functions of an image with its mask, of :mod:`findings.background.disturbances`.
        aim: The most that it should cost `general-2026b`; None if there is no aim.
    """

    name: str
    variants: tuple[Callable, ...]
    aim: float | None = None
    is_filtered: bool = False

    def of(self, field: Field) -> Iterator[np.ndarray]:
        """Yield the disturbed images of a field."""
        image, mask, _ = field
        for change in self.variants:
            other, *_ = change(image, mask)
            yield np.ascontiguousarray(other, np.float32)


def disturbances(pixel_A: float) -> list[Disturbance]:
    """Return all disturbances of images with such pixels; the first leaves them as they are."""
    angles = 0.3, 1.9, 3.5, 5.0

    def slopes(height: float) -> tuple[Callable, ...]:
        return tuple(sloped(height, angle) for angle in angles)

    def vignettes(height: float) -> tuple[Callable, ...]:
        return vignetted(height), vignetted(height, 0.3, -0.2)

    same = (lambda image, mask: (image, mask, pixel_A),)
    return [
        Disturbance("none", same),
        Disturbance("slope of 1 sd", slopes(1), 0.03),
        Disturbance("slope of 2 sd", slopes(2)),
        Disturbance("slope of 4 sd", slopes(4)),
        Disturbance("vignette of 1 sd", vignettes(1)),
        Disturbance("vignette of 2 sd", vignettes(2), 0.10),
        Disturbance("vignette of 4 sd", vignettes(4)),
        Disturbance("bright corners, 2 sd", (vignetted(-2),)),
        # A blur is given in the pixels of the patches.
        Disturbance("blur of 0.5 Å", (blurred(0.5 * PATCH_A / pixel_A),), 0.03),
        Disturbance("a wrong filter", same, 0.05, is_filtered=True),
        Disturbance("clipping of 2%", (clipped(0.02),)),
    ]


# ── Simulated fields ─────────────────────────────────────────────────────────────────────────────


def waves(seed: int, number: int, side_px: int = FIELD_PX) -> Split:
    """Return the exit waves of structures of `general-2026`, drawn from a seed."""
    of = study(side_px)
    found = exit_waves.simulate(
        "gold", of.specimens["gold"], of.microscope, seed, "test", range(number), "cpu"
    )
    structures = Structures(seed, "gold", "test", of.microscope)
    return Split.from_dataset(found, structures, torch.device("cpu"))


def fields(
    split: Split, noise: Mapping[str, object] | None = None, condition: Condition = CONDITION
) -> list[Field]:
    """Return the images of structures; `noise` has keys of the detector's noise that differ."""
    microscope = study(split.masks.shape[-1]).microscope
    for key, value in (noise or {}).items():
        microscope = microscope.replaced(f"detector.noise.{key}", value)
    camera = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu"))
    counts = torch.cat(list(camera.counts(split, condition))).numpy()
    masks = split.masks[:, 0].numpy() > 0.5
    return [(image, mask, FIELD_A) for image, mask in zip(counts, masks, strict=True)]


# ── What is lost ─────────────────────────────────────────────────────────────────────────────────


def real(patches: Iterable[Patch]) -> list[Field]:
    """Return the patches with particles."""
    full = (each for each in patches if not each.is_empty)
    return [(each.image.astype(np.float32), each.mask, PATCH_A) for each in full]


def alone(network: Network) -> Method:
    """Return the method of a network that gets its images as they are."""

    def found(image: np.ndarray, pixel_A: float, is_filtered: bool) -> np.ndarray:
        whole = str(Box.whole(image.shape))
        settings = Settings(flat_field=False, filter_noise=is_filtered, crop=whole)
        return segment(image, pixel_A, [network], settings).mask

    return found


def blur_and_threshold(of: Sequence[Field], network: Network) -> tuple[str, Method]:
    """Return the best blur with Otsu's threshold on images, in words, and its method.

    A wrong filter is that of the network's training.
    """

    def method(sigma: float, sign: int) -> Method:
        def found(image: np.ndarray, pixel_A: float, is_filtered: bool) -> np.ndarray:
            if is_filtered:
                noise = network.microscope.detector.noise.middle
                image = preparation.filter_noise(image.astype(np.float32), pixel_A, noise)
            return otsu(sign * ndimage.gaussian_filter(image, sigma))

        return found

    settings = [*product(BLURS, (-1, 1))]
    dice = [mean_dice(method(*each), of) for each in settings]
    sigma, sign = settings[int(np.argmax(dice))]
    words = f"blur of {sigma} px, {'bright' if sign > 0 else 'dark'} particles"
    return words, method(sigma, sign)


def mean_dice(method: Method, of: Sequence[Field]) -> float:
    return float(np.mean([dice_of_masks(method(i, a, False), mask) for i, mask, a in of]))


def dice_of(method: Method, disturbance: Disturbance, of: Sequence[Field]) -> np.ndarray:
    """Return the Dice of each image, the mean over the variants of a disturbance."""
    dice = [
        np.mean(
            [
                dice_of_masks(method(image, field[2], disturbance.is_filtered), field[1])
                for image in disturbance.of(field)
            ]
        )
        for field in of
    ]
    return np.array(dice)


def interval(values: np.ndarray) -> str:
    """Return the mean over images with its interval, in words."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = stdtrit(len(values) - 1, (1 + COVERAGE) / 2) * error
    return f"{values.mean():+.3f} ({values.mean() - half:+.3f} to {values.mean() + half:+.3f})"


def losses(methods: dict[str, Method], of: Sequence[Field]) -> Iterator[list[str]]:
    """Yield a row for each disturbance: the aim, and for each method Dice, and what is lost."""
    first: dict[str, np.ndarray] = {}
    for disturbance in disturbances(of[0][2]):
        aim = "" if disturbance.aim is None else f"{disturbance.aim:.2f}"
        cells = [disturbance.name, aim]
        for name, method in methods.items():
            dice = dice_of(method, disturbance, of)
            before = first.setdefault(name, dice)
            lost = markdown.NONE if before is dice else interval(before - dice)
            cells += [f"{dice.mean():.3f}", lost]
        yield cells


def table_of_losses(
    networks: Mapping[str, Network], of: Sequence[Field], chosen: Sequence[Field]
) -> str:
    """Return the table of what networks lose on images, beside a blur and a threshold.

    Args:
        chosen: The images on which the blur is chosen.
    """
    methods = {name: alone(network) for name, network in networks.items()}
    words, threshold = blur_and_threshold(chosen, networks[OLD])
    methods[words] = threshold
    head = ["disturbance", "aim"]
    for name in methods:
        head += [name, "lost"]
    return markdown.table(head, losses(methods, of))


# ── What preparation adds ────────────────────────────────────────────────────────────────────────


def prepared(network: Network, takes_off: bool, filters: bool) -> Method:
    """Return the method of a network whose images lose their background, or are filtered.

    The background is that of `passband predict`. White noise is filtered as if all training images
    had a kernel: the middle one of the study's.
    """
    noise = network.microscope.detector.noise
    noise = noise.replaced("form", noise.filter_form)

    def found(image: np.ndarray, pixel_A: float, is_filtered: bool) -> np.ndarray:
        wanted, _ = own_noise.treatment(noise, pixel_A, own_noise.slope(image, pixel_A))
        if takes_off:
            image = without_background(image, pixel_A, network)
        if filters and wanted:
            image = preparation.filter_noise(image, pixel_A, wanted)
        return alone(network)(image, pixel_A, is_filtered)

    return found


def without_background(image: np.ndarray, pixel_A: float, network: Network) -> np.ndarray:
    """Return an image as :func:`background.take_off` leaves it for networks of even light."""
    wide_A = network.microscope.field_px * network.pixel_size_A * background.FLATTENED
    if min(image.shape) * pixel_A >= wide_A:
        return background.flatten_field(image)
    return background.subtract(image, max(1, round(network.finest_A / pixel_A)))[0]


def kinds(seed: int, number: int, wide: int) -> Iterator[tuple[str, Disturbance, list[Field]]]:
    """Yield the rows of the table of preparations: a name, the disturbance, and the fields."""
    split = waves(seed, number)
    usual = fields(split)
    none, *others = disturbances(FIELD_A)
    for disturbance in (none, *others):
        if not disturbance.is_filtered:
            yield disturbance.name, disturbance, usual
    for width in (0.7, 1.6):
        yield f"kernel of {width:g} Å", none, fields(split, {"width_A": width})
    for dose in (200, 50):
        condition = replace(CONDITION, dose_e_per_A2=dose)
        yield f"white noise, {dose} e/Å²", none, fields(split, WHITE, condition)
    # Fields whose particles or carbon can be taken for a background.
    for name, pairs in could_be_uneven(wide):
        if name in HARD:
            yield name, none, [(image, mask, FIELD_A) for image, mask in pairs]
    broad = fields(waves(seed + 10, wide, 2 * FIELD_PX))
    for disturbance in (none, *others):
        if disturbance.name in ("none", "slope of 2 sd", "vignette of 2 sd"):
            yield f"wide field: {disturbance.name}", disturbance, broad


def preparations(network: Network, seed: int, number: int, wide: int) -> tuple[str, str]:
    """Return the table of four preparations, and which is chosen."""
    ways = {
        "nothing": prepared(network, takes_off=False, filters=False),
        "background": prepared(network, takes_off=True, filters=False),
        "noise": prepared(network, takes_off=False, filters=True),
        "both": prepared(network, takes_off=True, filters=True),
    }
    rows = []
    for name, disturbance, of in kinds(seed, number, wide):
        dice = [float(dice_of(method, disturbance, of).mean()) for method in ways.values()]
        print(name, *(f"{each:.3f}" for each in dice), flush=True)
        rows.append((name, dice))
    return table_of(list(ways), rows)


def table_of(ways: list[str], rows: list[tuple[str, list[float]]]) -> tuple[str, str]:
    """Return the table of preparations, and which is chosen, by the rule in this file's head."""
    dice = np.array([values for _, values in rows])
    means = dice.mean(0)
    undisturbed = dice[0]
    allowed = undisturbed >= undisturbed.max() - MOST
    best = ways[int(np.argmax(np.where(allowed, means, -np.inf)))]
    cells = [[name, *(f"{each:.3f}" for each in values)] for name, values in rows]
    cells.append(["mean", *(f"{each:.3f}" for each in means)])
    return markdown.table(["images", *ways], cells), f"chosen: {best}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", type=Path, default=NEW, metavar="FILE")
    parser.add_argument("--hrtem", type=Path, metavar="FOLDER")
    parser.add_argument("--preparation", action="store_true")
    parser.add_argument("--tuning", action="store_true", help="the losses of tuning fields")
    parser.add_argument("--fields", type=int, default=FIELDS)
    options = parser.parse_args()
    try:
        (network,) = open_networks(options.network)
        if options.preparation:
            print(*preparations(network, TUNING, options.fields, WIDE), sep="\n\n")
            return
        (old,) = open_networks(OLD)
        if options.hrtem:
            chosen = of = real(read(options.hrtem))
        else:
            chosen = fields(waves(TUNING, options.fields))
            of = chosen if options.tuning else fields(waves(REPORT, options.fields))
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    print(table_of_losses({options.network.stem: network, OLD: old}, of, chosen))


if __name__ == "__main__":
    main()
