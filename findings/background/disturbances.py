"""What uneven light, bars and other disturbances cost, and what of it is repaired or flagged.

    python -m findings.background.disturbances                 # simulated fields, not to suffer
    python -m findings.background.disturbances --hrtem FOLDER  # disturbed real patches

The network is `general-2026`. The simulated fields are hard for a rule about the background: one
particle of a third of the width in the middle, particles over more than half of the field, one
particle that an edge cuts, and carbon that grows from 1 to 8 nm over the field; and fields like
those of the training. In the table are the mean Dice as `passband predict` prepares an image and
without its rules (`--no-flat-field`, `--crop` of the whole image), the images from which something
was taken off, those that lose more than 0.02 by it, and how many of these are flagged.

FOLDER has the folders `images` and `masks`, with pixels of 0.776 Å. A change is harmful if it costs
a Dice of 0.1 without the rules. It is repaired if it costs less with them.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from docs.scripts.real import PIXEL_A as PATCH_A
from docs.scripts.real import Patch, read
from passband import PassbandError
from passband.config import Study, loading, study_file
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import open_networks
from passband.micrographs.images.bars import Box
from passband.micrographs.images.segmentation import Segmentation, segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust import trust_files
from passband.micrographs.trust.trust import Assessor
from passband.reports import markdown
from passband.scores import dice_of_masks
from passband.specimens import exit_waves
from passband.specimens.structures import Structure

#: The study of `general-2026`, whose specimens and microscope the simulated fields have.
GENERAL = Path("studies/real-general.yaml")
SEED = 77
#: Sides of a field, and of the field from which it is cut where it must not be periodic [pixels].
FIELD_PX = 192
WIDE_PX = 288
#: A change is harmful if it costs this Dice.
HARM = 0.1
CONDITION = Condition(defocus_nm=25, cs_um=0, aperture_mrad=26, dose_e_per_A2=200)
(NETWORK,) = open_networks("general-2026")
TRUST = trust_files.open_trust([NETWORK])
#: The columns of the tables of simulated fields, and of disturbed patches.
OF_FIELDS = (
    *("field", "Dice", "Dice without the rules"),
    *("taken off", "lose 0.02", "of these flagged"),
)
OF_CHANGES = (
    *("change", "images", "Dice", "Dice without the rules", "flagged"),
    *("harmful", "of these repaired or flagged", "harmless", "of these flagged"),
)
#: An image (height, width) float32 in 8-bit grey values, its mask, and its pixel size [Å].
Changed = tuple[np.ndarray, np.ndarray, float]


def found(
    image: np.ndarray, pixel_A: float, filtered: bool | None = None
) -> tuple[Segmentation, bool, Segmentation]:
    """Return the segmentation with the rules, whether it is flagged, and that without the rules."""
    image = image.astype(np.float32)
    assessor = Assessor([TRUST], [NETWORK])
    settings = Settings(filter_noise=filtered)
    result = segment(image, pixel_A, [NETWORK], settings, watch=assessor.watch)
    flagged = bool(result.flags) or assessor.finish().is_flagged
    if not result.repairs:
        return result, flagged, result
    bare = replace(settings, flat_field=False, crop=str(Box.whole(image.shape)))
    return result, flagged, segment(image, pixel_A, [NETWORK], bare)


# ── Simulated fields ─────────────────────────────────────────────────────────────────────────────


def study(side_px: int, **specimen: object) -> Study:
    """Return the study of `general-2026` with other specimens, in a field of so many pixels."""
    written = study_file.read(GENERAL)
    written["microscope"]["field_px"] = side_px
    written["specimens"]["gold"] |= specimen
    return loading.validate(written)


def images(
    of: Study,
    indices: range,
    structure: Callable[..., Structure] = exit_waves.structure,
    seed: int = SEED,
    conditions: Sequence[Condition] = (CONDITION,),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of structures, each under all conditions, and their masks."""
    gold = of.specimens["gold"]
    cpu = torch.device("cpu")
    with patch.object(exit_waves, "structure", structure):
        waves = exit_waves.simulate("gold", gold, of.microscope, seed, "test", indices, "cpu")
    split = Split.from_dataset(waves, Structures(seed, "gold", "test", of.microscope), cpu)
    camera = Acquisition.from_microscope(of.microscope, "zscore", cpu)
    under = [torch.cat(list(camera.counts(split, each))).numpy() for each in conditions]
    masks = split.masks[:, 0].numpy() > 0.5
    counts = np.stack(under, 1).reshape(-1, *masks.shape[1:])
    return counts, np.repeat(masks, len(conditions), axis=0)


def moved(image: np.ndarray, mask: np.ndarray, place: tuple[int, int]) -> list[np.ndarray]:
    """Return a periodic image and its mask with the centre of the one particle at a place."""
    side = len(mask)
    turns = np.exp(2j * np.pi * np.arange(side) / side)
    centre = [np.angle((mask.sum(1 - k) * turns).sum()) / (2 * np.pi) * side for k in (0, 1)]
    shift = [round(to - at) for to, at in zip(place, centre, strict=True)]
    return [np.roll(each, shift, (0, 1)) for each in (image, mask)]


def on_wedge(*names, **options) -> Structure:
    """Return a structure whose carbon grows from 1 to 8 nm over a field, and falls behind it."""
    drawn = _drawn(*names, **options)
    atoms = drawn.atoms
    field_A = drawn.atoms.cell[0, 0]
    is_carbon = atoms.arrays["particle"] == 0
    y = atoms.positions[:, 1]
    z = atoms.positions[:, 2]
    end = field_A * FIELD_PX / WIDE_PX
    thickness = np.interp(y, [0, end, field_A], [10, 80, 10])
    kept = ~is_carbon | (z - z[is_carbon].min() < thickness)
    return replace(drawn, atoms=atoms[kept])


_drawn = exit_waves.structure


def fields(number: int) -> Iterator[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]:
    """Yield the kinds of simulated fields, each with its images and masks."""

    def uniform(low: float, high: float) -> dict:
        return {"distribution": "uniform", "min": low, "max": high}

    one = {"min": 1, "max": 1}
    yield (
        "like those of the training",
        list(zip(*images(study(FIELD_PX), range(number)), strict=True)),
    )
    single = study(FIELD_PX, particles=one, diameter_nm=uniform(3.1, 3.3))
    middle = FIELD_PX // 2, FIELD_PX // 2
    yield (
        "one particle of a third of the width",
        [tuple(moved(*each, middle)) for each in zip(*images(single, range(number)), strict=True)],
    )
    wide = study(WIDE_PX, particles=one, diameter_nm=uniform(3.0, 6.0))
    first = (WIDE_PX - FIELD_PX) // 2
    part = np.s_[first : first + FIELD_PX, :FIELD_PX]
    cut = (
        moved(*each, (WIDE_PX // 2, 0)) for each in zip(*images(wide, range(number)), strict=True)
    )
    yield "one particle that an edge cuts", [(image[part], mask[part]) for image, mask in cut]
    many = study(FIELD_PX, particles={"min": 4, "max": 4}, diameter_nm=uniform(5.0, 7.2))
    full: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, 4 * number, 8):
        drawn = zip(*images(many, range(start, start + 8)), strict=True)
        full += [(image, mask) for image, mask in drawn if mask.mean() > 0.5]
        if len(full) >= number:
            break
    yield "particles over more than half", full[:number]
    thick = {"thickness_nm": 8.0, "thickness_std_nm": 0.0, "faces": "both"}
    few = {"min": 2, "max": 5}
    wedges = study(WIDE_PX, particles=few, diameter_nm=uniform(2.0, 4.0), substrate=thick)
    drawn = zip(*images(wedges, range(number), on_wedge), strict=True)
    part = np.s_[:FIELD_PX, :FIELD_PX]
    yield "carbon from 1 to 8 nm", [(image[part], mask[part]) for image, mask in drawn]


def simulated(number: int) -> Iterator[list[str]]:
    """Yield a row for each kind of simulated field."""
    for name, pairs in fields(number):
        rows = []
        for image, mask in pairs:
            ours, flagged, bare = found(image, NETWORK.pixel_size_A, filtered=False)
            dice, before = (dice_of_masks(each.mask, mask) for each in (ours, bare))
            rows.append((dice, before, bool(ours.repairs), before - dice > 0.02, flagged))
        dice, before, off, loses, flagged = np.array(rows).T
        dices = f"{dice.mean():.3f}", f"{before.mean():.3f}"
        off_of = f"{off.sum():.0f} of {len(rows)}"
        yield [name, *dices, off_of, f"{loses.sum():.0f}", f"{(loses * flagged).sum():.0f}"]


# ── Disturbed real patches ───────────────────────────────────────────────────────────────────────


def sloped(height: float, angle: float) -> Callable[[np.ndarray, np.ndarray], Changed]:
    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in image.shape), indexing="ij")
        slope = np.cos(angle) * x + np.sin(angle) * y
        return image + height * image.std() * slope / np.ptp(slope), mask, PATCH_A

    return change


def vignetted(height: float, y0: float = 0.0, x0: float = 0.0):
    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
        light = (y - y0) ** 2 + (x - x0) ** 2
        return image - height * image.std() * light / np.ptp(light), mask, PATCH_A

    return change


def waved(height: float, periods: float):
    """A background that is neither a plane nor of degree 2."""

    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        x = np.linspace(0, 1, image.shape[1])
        wave = np.sin(2 * np.pi * periods * x) / 2
        return image + height * image.std() * wave, mask, PATCH_A

    return change


def stepped(height: float):
    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        step = np.linspace(-1, 1, image.shape[1]) > 0.2
        return image + height * image.std() * step, mask, PATCH_A

    return change


def barred(value: int, letters: bool, quality: int = 0, edge: int = 0):
    """A data bar of an eighth of the image."""

    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        image, mask = (np.rot90(each, edge) for each in (image, mask))
        height, width = image.shape
        bar = Image.new("L", (width, height // 8), value)
        if letters:
            draw = ImageDraw.Draw(bar)
            colour = 255 - value
            draw.text((4, 2), "300 kV", fill=colour, font=ImageFont.load_default(10))
            draw.rectangle((width // 2, height // 16, width - 8, height // 16 + 2), fill=colour)
        image = np.concatenate([image, np.asarray(bar, np.float32)])
        if quality:
            image, *_ = jpeg(quality)(image, mask)
        mask = np.concatenate([mask, np.zeros((height // 8, width), bool)])
        return np.rot90(image, -edge), np.rot90(mask, -edge), PATCH_A

    return change


def framed(width: int, value: int):
    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        return np.pad(image, width, constant_values=value), np.pad(mask, width), PATCH_A

    return change


def of_values(function: Callable[[np.ndarray], np.ndarray]):
    """A change of the grey values alone."""
    return lambda image, mask: (function(image), mask, PATCH_A)


def clipped(part: float):
    def change(image: np.ndarray) -> np.ndarray:
        return np.clip(image, *np.quantile(image, (part / 2, 1 - part / 2)))

    return of_values(change)


def with_gamma(gamma: float):
    return of_values(lambda image: 255 * (np.clip(image, 0, 255) / 255) ** gamma)


def jpeg(quality: int):
    def change(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        grey = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).astype(np.float32)

    return of_values(change)


def turned(degrees: float):
    """The middle of an image that is rotated by spline interpolation."""

    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        angle = np.radians(degrees)
        side = int(min(image.shape) / (abs(np.cos(angle)) + abs(np.sin(angle))))
        parts = [
            ndimage.rotate(each, degrees, reshape=False, order=order, mode="mirror")
            for each, order in ((image, 3), (mask.astype(np.uint8), 0))
        ]
        first = [(n - side) // 2 for n in image.shape]
        place = np.s_[first[0] : first[0] + side, first[1] : first[1] + side]
        return parts[0][place], parts[1][place] > 0, PATCH_A

    return change


def enlarged(factor: float, how: str, quality: int = 0):
    def change(image: np.ndarray, mask: np.ndarray) -> Changed:
        sides = [round(n * factor) for n in image.shape[::-1]]
        grey = Image.fromarray(image.astype(np.float32))
        larger = np.asarray(grey.resize(sides, Image.Resampling[how]))
        marks = Image.fromarray(mask.astype(np.uint8))
        if quality:
            larger, *_ = jpeg(quality)(larger, mask)
        true = np.asarray(marks.resize(sides, Image.Resampling.NEAREST)) > 0
        return larger, true, PATCH_A / factor

    return change


def in_pixels(factor: float):
    """The same image with a wrong pixel size."""
    return lambda image, mask: (image, mask, PATCH_A * factor)


def noisy(deviation: float):
    def change(image: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).standard_normal(image.shape)
        return image + deviation * image.std() * noise

    return of_values(change)


def blurred(width_A: float):
    return of_values(lambda image: ndimage.gaussian_filter(image, width_A / PATCH_A))


def changes() -> dict[str, list[Callable[[np.ndarray, np.ndarray], Changed]]]:
    """Return the kinds of changes, each with its variants."""
    angles = 0.3, 1.9, 3.5, 5.0
    return {
        **{f"slope of {h:g} sd": [sloped(h, angle) for angle in angles] for h in (0.5, 1, 2, 4)},
        **{f"vignette of {h:g} sd": [vignetted(h), vignetted(h, 0.3, -0.2)] for h in (1, 2, 4)},
        "bright corners, 2 sd": [vignetted(-2.0)],
        "bar": [barred(0, False), barred(0, False, edge=1), barred(255, True), barred(0, True)],
        "bar, JPEG 75": [barred(0, False, 75), barred(0, True, 75), barred(255, True, 75, 2)],
        "frame": [framed(1, 0), framed(1, 255), framed(2, 0)],
        "waves of 1 and 2 sd": [waved(1, 1.5), waved(2, 1.5), waved(1, 3), waved(2, 3)],
        "step of 1 and 2 sd": [stepped(1.0), stepped(2.0)],
        "repeated pixels": [enlarged(f, "NEAREST") for f in (1.5, 2, 3)],
        "repeated pixels, JPEG 75": [enlarged(f, "NEAREST", 75) for f in (2, 3)],
        "enlarged smoothly": [enlarged(2, "BICUBIC"), enlarged(1.5, "LANCZOS")],
        "blur of 0.3 and 0.5 Å": [blurred(0.3), blurred(0.5)],
        "white noise of 0.3 and 1 sd": [noisy(0.3), noisy(1.0)],
        "wrong pixel size": [in_pixels(f) for f in (0.5, 0.7, 1.4, 2.0)],
        "contrast inverted": [of_values(lambda image: 255 - image)],
        "quarter turns and mirrors": [
            lambda image, mask: (np.rot90(image), np.rot90(mask), PATCH_A),
            lambda image, mask: (image[::-1], mask[::-1], PATCH_A),
        ],
        "rotation": [turned(d) for d in (10, 30, 45)],
        "JPEG": [jpeg(q) for q in (50, 75, 90)],
        "clipping": [clipped(p) for p in (0.005, 0.02, 0.1)],
        "gamma": [with_gamma(g) for g in (0.5, 0.7, 1.5, 2.0)],
        "16 and 32 grey levels": [
            of_values(lambda image, n=n: np.floor(image / 256 * n) * (256 / n)) for n in (16, 32)
        ],
        "dark and pale": [of_values(lambda i: i / 4), of_values(lambda i: 180 + i / 4)],
        "half of the image": [
            lambda image, mask: (image[: len(image) // 2], mask[: len(mask) // 2], PATCH_A)
        ],
    }


def disturbed(patches: Sequence[Patch]) -> Iterator[list[str]]:
    """Yield a row for each kind of change of the real patches with particles, and their sums."""
    pairs = [(patch.image, patch.mask) for patch in patches if not patch.is_empty]
    first = [found(image, PATCH_A) for image, _ in pairs]
    own = [dice_of_masks(f[0].mask, mask) for f, (_, mask) in zip(first, pairs, strict=True)]
    unlike = sum(flagged for _, flagged, _ in first)
    mean = f"{np.mean(own):.3f}"
    yield ["none", f"{len(pairs)}", mean, mean, f"{unlike}", *[markdown.NONE] * 4]
    total = np.zeros(4, int)
    for name, variants in changes().items():
        rows = []
        for change in variants:
            for dice, (image, mask) in zip(own, pairs, strict=True):
                other, true, pixel_A = change(image, mask)
                ours, flagged, bare = found(np.ascontiguousarray(other), pixel_A)
                of = [dice_of_masks(each.mask, true) for each in (ours, bare)]
                is_harmful, is_left = (dice - each >= HARM for each in of[::-1])
                rows.append((*of, flagged, is_harmful, is_left))
        now, before, flagged, harmful, left = np.array(rows).T
        flagged, harmful, left = (each > 0 for each in (flagged, harmful, left))
        counts = [harmful.sum(), (harmful & (flagged | ~left)).sum()]
        counts += [(~harmful).sum(), (~harmful & flagged).sum()]
        total += counts
        dices = f"{now.mean():.3f}", f"{before.mean():.3f}"
        yield [name, f"{len(rows)}", *dices, f"{flagged.sum()}", *map(str, counts)]
    yield ["all", *[markdown.NONE] * 4, *map(str, total)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--hrtem", type=Path, metavar="FOLDER")
    parser.add_argument("--fields", type=int, default=24, help="number of each kind (default: 24)")
    options = parser.parse_args()
    if options.hrtem is None:
        print(markdown.table(OF_FIELDS, simulated(options.fields)))
        return
    try:
        patches = read(options.hrtem)
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    print(markdown.table(OF_CHANGES, disturbed(patches)))


if __name__ == "__main__":
    main()
