"""Example images of a study for the explorer, with the masks of some of its networks."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from passband.config import Study
from passband.figures.style import evenly_spaced
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures
from passband.learning import devices, evaluation, networks
from passband.parts import PartError
from passband.reports.explorer.explorer import Blocks
from passband.results import Results, shown_networks
from passband.scores import dice
from passband.wave_sets import wave_set

#: Largest numbers of networks, test conditions and structures that are shown for a specimen and
#: architecture, and of pixels of all images of the page together. An image takes 1.3 bytes for each
#: pixel, and the masks in it take less than that.
_NETWORKS, _TESTS, _STRUCTURES, _PIXELS = 16, 16, 2, 600_000
#: If images of fewer test conditions fit, the images are binned. They have at least so many pixels
#: on a side.
_FEWEST_TESTS, _SMALLEST_PX = 4, 48


def examples(
    results: Results,
    blocks: Blocks,
    progress: Callable[[Iterable], Iterable] = iter,
    note: Callable[[str], object] = lambda line: None,
) -> list[dict[str, Any]]:
    """Return images of test structures, and the masks of networks in these images.

    Only networks that are tested on their own specimen are shown. Specimens whose exit waves were
    deleted, and networks whose weights were deleted, are left out. Large images are binned, and
    there are images of fewer test conditions, so that all images have at most 600,000 pixels. If
    there are too many specimens and architectures, the last ones have no images. The arrays are
    added to the blocks.

    Args:
        note: Receives a line for each architecture that is a part which is missing, or whose code
            must not run. It has no images.

    Returns:
        For each specimen and architecture: the images (test, structure, x, y) from 0 to 255, the
        true masks (structure, x, y), the predicted masks (train, test, structure, x, y) and their
        Dice (train, test, structure). Masks are packed, eight pixels in a byte. `binning` is the
        number of pixels along a side of the square that is one pixel of an image. Dice is that of
        the images before binning.
    """
    study = results.study
    groups = len(study.trained_specimens) * len(study.training.architectures)
    binning, structures, number = _sizes(
        study.microscope.field_px, min(_STRUCTURES, study.study.structures.test), groups
    )
    field = study.microscope.field_px // binning
    most = _PIXELS // (number * structures * field**2)
    device = devices.device()
    found = []
    for specimen in study.trained_specimens:
        stored = results.structures(specimen, "test", study.tested_waves)
        if not all(Path(file).exists() for file in stored.files):
            continue
        loaded = stored.load(device).first(structures)
        every = _with_the_same_masks(study, loaded)
        for architecture in study.training.architectures:
            try:
                chosen = _networks(results, specimen, architecture)
            except PartError as error:
                note(f"there are no images of {architecture}, since {error}")
                continue
            if not chosen or len(found) == most:
                continue
            tests = _chosen_tests(every, [Condition.parse(id) for id in chosen], number)
            images = []
            masks = []
            scores = []
            for condition in progress(tests):
                _, metadata = next(iter(chosen.values()))
                acquisition = Acquisition.from_microscope(
                    study.microscope, metadata.normalisation, device
                )
                under = loaded.under(condition)
                counts = torch.cat(list(acquisition.counts(under, condition)))
                images.append(_grey(_binned(counts.cpu().numpy(), binning)))
                shown = acquisition.normalised(counts, condition)[:, None]
                predicted = [
                    evaluation.predict(network, shown, known.precision)
                    for network, known in chosen.values()
                ]
                masks.append(
                    [_binned((logits > 0)[:, 0].cpu().numpy(), binning) for logits in predicted]
                )
                scores.append(
                    [dice(evaluation.confusion(p, under.masks).cpu().numpy()) for p in predicted]
                )
            true = _binned(loaded.under(every[0]).masks[:, 0].cpu().numpy(), binning)
            found.append(
                {
                    "specimen": specimen,
                    "architecture": architecture,
                    "train": list(chosen),
                    "test": [condition.id for condition in tests],
                    "structures": structures,
                    "field_px": field,
                    "pixel_size_A": study.microscope.under(every[0]).pixel_size_A * binning,
                    "binning": binning,
                    "images": blocks.bytes(np.stack(images)),
                    "true": blocks.bytes(_packed(true >= 0.5)),
                    "masks": blocks.bytes(_packed(np.stack(masks, 1) >= 0.5)),
                    "dice": np.round(np.stack(scores, 1), 4).tolist(),
                }
            )
    return found


def _chosen_tests(
    every: Sequence[Condition], trained: Sequence[Condition], number: int
) -> list[Condition]:
    """Return a number of test conditions, training conditions first, evenly spaced."""
    known = set(every)
    own = [condition for condition in trained if condition in known]
    tests = evenly_spaced(own or every, number)
    rest = [condition for condition in every if condition not in tests]
    return sorted({*tests, *evenly_spaced(rest, number - len(tests))})


def _with_the_same_masks(study: Study, structures: LoadedStructures) -> list[Condition]:
    """Return those test conditions that have the pixels and the masks of the middle condition.

    The page has one true mask for each structure, and a pixel size or a specimen may be an axis.
    """
    tests = study.test_conditions
    middle = study.middle_condition
    middle = middle if middle in tests else tests[0]
    masks = structures.under(middle).masks
    pixels = study.microscope.under(middle).pixel_size_A
    same: dict[str, bool] = {}
    for condition in tests:
        if (id := wave_set(condition)) not in same:
            pixel = study.microscope.under(condition).pixel_size_A
            same[id] = pixel == pixels and torch.equal(structures.under(condition).masks, masks)
    return [condition for condition in tests if same[wave_set(condition)]]


def _sizes(field_px: int, structures: int, groups: int) -> tuple[int, int, int]:
    """Return the binning, the number of structures and the number of test conditions of a group.

    Args:
        groups: Number of specimens times architectures, which have the same share of all pixels.
    """
    share, binning = _PIXELS // groups, 1

    def number() -> int:
        return share // (structures * (field_px // binning) ** 2)

    while number() < _FEWEST_TESTS and field_px // (binning + 1) >= _SMALLEST_PX:
        binning += 1
    if number() < _FEWEST_TESTS:
        structures = 1
    return binning, structures, int(np.clip(number(), 1, _TESTS))


def _binned(images: np.ndarray, binning: int) -> np.ndarray:
    """Return means (structure, x, y) over squares of pixels; an incomplete square is left out."""
    px = images.shape[-1] // binning
    cut = images[:, : px * binning, : px * binning].astype(np.float32)
    return cut.reshape(-1, px, binning, px, binning).mean((2, 4))


def _networks(results: Results, specimen: str, architecture: str) -> dict[str, tuple]:
    """Return networks with their metadata, by the id of the training condition."""
    files = shown_networks.first_files(results, architecture)
    found = {}
    for condition in evenly_spaced(results.study.train_conditions, _NETWORKS):
        path = files[specimen, condition.id]
        if path.exists():
            expected = {"condition": condition.id}
            found[condition.id] = networks.load_first(path, expected, results.study.known_parts)
    return found


def _grey(counts: np.ndarray) -> np.ndarray:
    """Return images (structure, x, y) as grey levels from 0 to 255; few pixels are clipped."""
    low, high = np.quantile(counts, [0.005, 0.995], axis=(1, 2), keepdims=True)
    return np.clip(255 * (counts - low) / np.maximum(high - low, 1e-9), 0, 255).round()


def _packed(masks: np.ndarray) -> np.ndarray:
    return np.packbits(masks.reshape(*masks.shape[:-2], -1), axis=-1)
