"""Fine-tunes a network on labelled images, and tells by left-out images whether that is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from passband.errors import ArgumentError, PassbandError
from passband.learning import network_folder, tuning
from passband.learning.network_files import Network
from passband.learning.tuning import Example, Schedule
from passband.micrographs.images.segmentation import Segmentation, Watch, segment
from passband.micrographs.labelled_images import LabelledImage, without_copies
from passband.outcomes import Outcome, Progress
from passband.scores import dice_of_masks
from passband.seeds import digest
from passband.storage import atomic, integrity, provenance
from passband.storage.weights import CellWeights, fingerprint
from passband.words import number_of

#: With so many images or more, each is left out once, to measure the gain.
TESTED = 4
#: The fewest images.
FEWEST = 2
#: The largest loss of Dice of an image that a tuned network may have.
MOST_LOST = 0.05
#: The card of a tuned network.
CARD = "README.md"


@dataclass(frozen=True)
class LeftOut:
    """The Dice of an image before tuning, and after tuning with all other images.

    Attributes:
        name: The image's file, and those of its copies.
    """

    name: str
    before: float
    after: float

    @property
    def gain(self) -> float:
        """How much the Dice is higher after tuning."""
        return self.after - self.before


@dataclass(frozen=True)
class Tuned(Outcome):
    """What tuning a network has brought.

    Attributes:
        network: The id of the network that was tuned.
        out: The folder for the tuned network.
        images: The number of images, without copies.
        left_out: The Dice of each image that the network was tuned without; none if there are less
            than four images.
    """

    network: str
    out: Path
    images: int
    left_out: tuple[LeftOut, ...]

    @property
    def gain(self) -> float | None:
        """The mean gain in Dice of images that tuning has not seen; None if it was not tested."""
        return float(np.mean([each.gain for each in self.left_out])) if self.left_out else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the gain, by Student's t over the images; None without tests."""
        return t_interval([each.gain for each in self.left_out]) if self.left_out else None

    @property
    def objection(self) -> str:
        """Why the tuned network is not written; empty if it is."""
        gain = self.gain
        if gain is None:
            return ""
        if gain <= 0:
            return f"on average, tuning gains nothing: {gain:+.3f}"
        worst = min(self.left_out, key=lambda each: each.gain)
        if worst.gain < -MOST_LOST:
            return f"{worst.name} loses {-worst.gain:.3f}; must be at most {MOST_LOST}"
        return ""

    @property
    def folder(self) -> Path | None:
        """The folder of the tuned network, or None if it is not written."""
        return None if self.objection else self.out

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "network": self.network,
            "folder": self.folder,
            "images": self.images,
            "gain": self.gain,
            "interval": self.interval,
            "left_out": self.left_out,
            "objection": self.objection,
        }

    @property
    def tested(self) -> str:
        """What is known about the gain, in one line."""
        if self.interval is None:
            return f"not tested: {self.images} images are too few; label {TESTED} or more"
        low, high = self.interval
        return (
            f"mean gain in Dice {self.gain:+.3f} (95% interval {low:+.3f} to {high:+.3f}) over "
            f"{self.images} images, each left out of tuning once"
        )

    def __str__(self) -> str:
        lines = [
            f"{each.name}: Dice {each.before:.3f}, tuned without it {each.after:.3f} "
            f"({each.gain:+.3f})"
            for each in self.left_out
        ]
        lines.append(self.tested)
        if self.objection:
            lines.append(f"{self.out} is not written: {self.objection}")
        else:
            lines.append(
                f"{self.out} is written; use it as a network: passband predict {self.out} FILES"
            )
        return "\n".join(lines)


def t_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of independent values, by Student's t distribution."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + coverage) / 2) * error)
    middle = float(np.mean(values))
    return middle - half, middle + half


@dataclass(frozen=True)
class Prepared:
    """An image as ``predict`` prepares it for a network.

    Attributes:
        before: The Dice of the network's mask.
    """

    source: LabelledImage
    example: Example
    before: float


def check(out: Path, network: Network) -> None:
    """Raise PassbandError if a network cannot be tuned, or if its folder exists."""
    if out.exists() or out.is_symlink():
        raise ArgumentError(f"out = {str(out)!r}: exists; give another name")
    if network.normalisation == "vacuum":
        raise PassbandError(
            f"{network.id}: was trained with the normalisation 'vacuum', which needs the dose of "
            "each image; tune is for networks with another one"
        )


def tune(
    network: Network,
    images: Sequence[LabelledImage],
    out: Path,
    *,
    seed: int = 0,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Tune a network on labelled images, and write it if that is better for left-out images.

    Args:
        out: The folder to write, completely or not at all; see :func:`check`.
        schedule: The steps; by default those that were chosen on simulated microscopes.

    Raises:
        PassbandError: If there are too few images, or if one does not fit the network.
    """
    schedule = schedule or Schedule()
    groups = without_copies(images)
    if len(groups) < FEWEST:
        copies = " that are copies of one image" if len(images) > 1 else ""
        raise PassbandError(
            f"{number_of(len(images), 'labelled image')}{copies}: must be at least {FEWEST}; with "
            f"{TESTED} or more, the gain is measured"
        )
    if tuning.needs_numbers(network):
        _check_numbered(images, network)
    prepared = [prepare(each, network) for each in images]
    tests = len(groups) if len(groups) >= TESTED else 0
    step = _steps(progress, (tests + 1) * schedule.steps)

    def without(left: Sequence[int]) -> Network:
        """Return the network, tuned on all images but some."""
        chosen = [each.example for k, each in enumerate(prepared) if k not in left]
        names = seed, *map(str, left)
        module = tuning.tuned(network, chosen, schedule, names=names, step=step)
        return replace(network, module=module)

    left_out = []
    for group in groups[:tests]:
        other = without(group)
        after = [dice(prepared[k].source, other) for k in group]
        name = " and ".join(prepared[k].source.path.name for k in group)
        before = [prepared[k].before for k in group]
        left_out.append(LeftOut(name, float(np.mean(before)), float(np.mean(after))))
    found = Tuned(network=str(network.id), out=out, images=len(groups), left_out=tuple(left_out))
    if not found.objection:
        write(
            without([]),
            network,
            prepared=prepared,
            found=found,
            seed=seed,
            schedule=schedule,
        )
    return found


def _check_numbered(images: Sequence[LabelledImage], network: Network) -> None:
    """Raise PassbandError if labels are masks, and the network's loss needs single particles."""
    for each in images:
        if not each.is_numbered:
            raise PassbandError(
                f"{each.path}: its labels are a mask, and the loss of {network.id} needs a number "
                "for each particle"
            )


def _steps(progress: Progress | None, total: int) -> Callable[[], object]:
    """Return a function that is called after each step."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, "steps")

    return step


def prepare(source: LabelledImage, network: Network) -> Prepared:
    """Return an image as the network gets it from ``predict``, and the labels on its pixels."""
    seen: list[np.ndarray] = []

    def watch(_: Network, image: np.ndarray, normalise: Callable, __: np.ndarray) -> None:
        seen.append(np.ascontiguousarray(normalise(image), np.float32))

    found = _segmented(source, network, watch)
    labels = source.labels if found.box is None else source.labels[found.box.place]
    (image,) = seen
    scale = network.pixel_size_A / source.pixel_size_A
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * scale).astype(int), of - 1)
        for n, of in zip(image.shape, labels.shape, strict=True)
    )
    example = Example(image, labels[np.ix_(rows, columns)], source.is_numbered)
    return Prepared(source, example, dice_of_masks(found.mask, source.mask))


def dice(source: LabelledImage, network: Network) -> float:
    """Return the Dice of a network's mask of an image."""
    return dice_of_masks(_segmented(source, network).mask, source.mask)


def _segmented(source: LabelledImage, network: Network, watch: Watch | None = None) -> Segmentation:
    try:
        return segment(source.image, source.pixel_size_A, [network], watch=watch)
    except PassbandError as error:
        raise PassbandError(f"{source.path}: {error}") from None


def write(
    tuned: Network,
    network: Network,
    *,
    prepared: Sequence[Prepared],
    found: Tuned,
    seed: int,
    schedule: Schedule,
) -> None:
    """Write the folder of a tuned network, completely or not at all.

    Args:
        tuned: The network after tuning.
        network: The network before.
    """
    metadata = network.metadata
    state = {network.replica: network.module.state_dict()}
    examples = {
        k: {"image": e.example.image, "labels": e.example.labels} for k, e in enumerate(prepared)
    }
    how = {
        "network": CellWeights(state, metadata).identities[network.replica],
        "images": found.images,
        "examples": fingerprint(examples),
        "steps": schedule.steps,
        "rate": schedule.rate,
        "seed": seed,
        "tested": found.tested,
    }
    made = provenance.attributes(
        str(metadata.provenance.get("study", "")),
        str(metadata.provenance.get("config_digest", "")),
        "passband tune",
    )
    metadata = replace(
        metadata,
        recipe_digest=digest(metadata.recipe_digest, how),
        provenance={**metadata.provenance, **made, "tuned": how},
    )
    with atomic.replacing(found.out) as beside:
        beside.mkdir()
        network_folder.write(replace(tuned, metadata=metadata), beside)
        (beside / CARD).write_text(_card(network, found, prepared, schedule), encoding="utf-8")
        integrity.write_checksums(beside, [f for f in beside.rglob("*") if f.is_file()])


def _card(network: Network, found: Tuned, prepared: Sequence[Prepared], schedule: Schedule) -> str:
    """Return the page that describes a tuned network."""
    files = ", ".join(each.source.path.name for each in prepared)
    limits = f"\nBefore tuning: {network.limits}\n" if network.limits else ""
    rows = [f"| {e.name} | {e.before:.3f} | {e.after:.3f} |" for e in found.left_out]
    head = ["| image | Dice before | tuned on the others |", "|---|---|---|"]
    table = "\n".join(["", *head, *rows, ""]) if rows else ""
    return f"""# A tuned network

{network.id}, tuned on {number_of(found.images, "labelled image")}
({files}) with {schedule.steps} steps.
It is for images of the same microscope and the same kind of particles.
{limits}
{found.tested[0].upper()}{found.tested[1:]}.
{table}
Not known: the expected Dice, and how much an image is like the training images. Measurements of the
network before tuning do not hold for it.

    passband predict {found.out.name} FILES
"""
