"""How well particles are found that touch or overlap: four sets of simulated fields.

    python -m findings.particles.sets                 # seeds for tuning, a minute of processor time
    python -m findings.particles.sets --report        # seeds that nothing may be chosen with
    python -m findings.particles.sets --network FILE  # a weights file or a published folder

Fields of 9.6 nm of `studies/real-general.yaml`, which differ in their particles alone:

A: 1 to 6 on both faces
B: 6 to 9 on both faces
C: 2 to 6 on one face, of which most touch another one
I: as B, and no particle leaves the field

A network segments their images, and its particles are compared with both truths of
`passband.learning.instance_counts`. If it has a head, so are the particles of its mask alone, and
those of the head alone, without the pixels of the mask that it gives to none. Beside them are two
bounds of every rule that divides the network's mask. One knows the outlines of all particles, and
whose pixels are those where two overlap: of the one on the face where the beam leaves. The other
knows the outlines and not the order, and gives such a pixel to the particle whose centre is nearer,
in units of its radius. The simplest method is a blur and Otsu's threshold, with the best of six
settings.

Particles that touch the edge are not counted, unless the true partner does not. In parentheses are
90% intervals of a bootstrap over fields. The mean diameter is relative to the true one, less 1;
`by field` is the mean of its size in the single fields. The diameter is that of visible areas, and
then, as `predict` prints it, compared with that of whole particles. `AUROC` is the probability that
a right particle has more confidence than a wrong one: the certainty that a head states, or the mean
probability. A particle is right if a complete one on a face has an intersection over union above
0.5 with it, and no other one is for the most part in it.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from findings.particles.particles import blur_and_threshold, pieces
from passband import PassbandError, config
from passband.config import Study
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import devices
from passband.learning.heads.found import Found, Head, opened
from passband.learning.instance_counts import Truth, count, visible
from passband.learning.network_files import Network, open_networks
from passband.micrographs.images.particles import Particle
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.particle_scores import NUMBERS, TRUTHS
from passband.reports import markdown
from passband.scores import dice_of_masks
from passband.specimens import exit_waves
from passband.units import A_PER_NM

STUDY = "studies/real-general.yaml"
NETWORK = "general-2026"
#: Kind of specimen, smallest and largest number of particles, and the faces they are on.
SETS = {
    "A": ("particles", 1, 6, "both"),
    "B": ("particles", 6, 9, "both"),
    "C": ("touching", 2, 6, "top"),
    "I": ("inside", 6, 9, "both"),
}
#: Seeds of the sets, which no study has. What is chosen with those for tuning is reported on the
#: others, once.
SEEDS = {"tuning": 3901, "report": 3902}
FIELDS = 24
DRAWS = 1000
BLURS_PX = (2, 4, 8)
COLUMNS = (
    *("set", "particles of", "F1, both faces", "F1, visible", "found for true"),
    *("merged, split, missed, false", "mean diameter", "by field"),
    *("mean diameter, whole", "by field, whole", "AUROC", "Dice"),
)
SETTINGS = Settings(filter_noise=False, flat_field=False, crop="0:192,0:192")


@dataclass(frozen=True)
class Fields:
    """The fields of a set.

    Attributes:
        images: (fields, height, width), counts of electrons.
        instances: (fields, 2, height, width), the labels of both faces.
        pixel_nm: The size of a pixel [nm].
    """

    images: np.ndarray
    instances: np.ndarray
    pixel_nm: float


def study_of(name: str) -> Study:
    """Return the study of a set, with one specimen."""
    kind, least, most, faces = SETS[name]
    content = config.load(STUDY).written()
    gold = content["specimens"]["gold"]
    gold |= {"kind": kind, "particles": {"min": least, "max": most}, "gap_nm": 0.0}
    gold["substrate"] = {**gold["substrate"], "faces": faces}
    found = config.validate(content, str(Path(__file__).with_name(f"set {name}")))
    found.known_parts.trust()
    return found


def fields(name: str, seeds: str, number: int = FIELDS) -> Fields:
    """Return the first fields of a set."""
    study = study_of(name)
    seed = SEEDS[seeds]
    microscope = study.microscope
    split = f"set {name}"
    waves = exit_waves.simulate(
        "gold", study.specimens["gold"], microscope, seed, split, range(number)
    )
    device = devices.device()
    made = Split.from_dataset(waves, Structures(seed, "gold", split, microscope), device)
    camera = Acquisition.from_microscope(microscope, "zscore", device)
    (condition,) = study.train_conditions
    images = np.concatenate([part.cpu().numpy() for part in camera.counts(made, condition)])
    return Fields(images, made.instances, microscope.pixel_size_A / A_PER_NM)


class Score:
    """The numbers of a method's particles, over fields.

    Attributes:
        numbers: For each field, by each of `TRUTHS`, see `passband.learning.instance_counts`.
        dice: Of each field.
        confidences: Of each particle that does not touch the edge, and whether it is right.
    """

    def __init__(self, pixel_nm: float):
        self.pixel_nm = pixel_nm
        self.numbers: list[np.ndarray] = []
        self.dice: list[float] = []
        self.confidences: list[tuple[float, bool]] = []

    def add(
        self,
        labels: np.ndarray,
        truths: dict[str, Truth],
        mask: np.ndarray,
        diameters_nm: np.ndarray | None = None,
    ) -> None:
        """Add a field.

        Args:
            mask: The true one.
            diameters_nm: Those of whole particles; by default, those of their pixels.
        """
        if diameters_nm is None:
            diameters_nm = 2 * np.sqrt(np.bincount(labels.ravel())[1:] / np.pi) * self.pixel_nm
        self.numbers.append(count(truths, labels, diameters_nm))
        self.dice.append(dice_of_masks(labels > 0, mask))

    def add_found(
        self, labels: np.ndarray, particles: Sequence[Particle], truths: dict[str, Truth], mask
    ) -> None:
        """Add a field whose particles were measured."""
        self.add(labels, truths, mask, np.array([each.diameter_nm for each in particles]))
        for each, right in zip(particles, is_right(truths["faces"], labels), strict=True):
            if not each.touches_edge:
                value = each.mean_probability if each.certainty is None else each.certainty
                self.confidences.append((value, bool(right)))

    @property
    def auroc(self) -> float:
        """The probability that a right particle has more confidence than a wrong one, or NaN."""
        values, right = np.array(self.confidences, float).reshape(-1, 2).T
        pairs = right.sum() * (1 - right).sum()
        ranks = rankdata(values)[right == 1]
        return (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs if pairs else np.nan

    def of(self, truth: str, *names: str) -> np.ndarray:
        """Return numbers of each field, (fields, names)."""
        values = np.stack(self.numbers)[:, TRUTHS.index(truth)]
        return values[:, [NUMBERS.index(name) for name in names]].astype(float)

    def f1(self, truth: str, chosen: np.ndarray | slice = slice(None)) -> float:
        """Return the F1 score of all, or some, fields."""
        sums = self.of(truth, "matched", "true", "found")[chosen].sum(-2)
        return (2 * sums[..., 0] / np.maximum(sums[..., 1:].sum(-1), 1)).tolist()

    def diameter_errors(self, truth: str) -> tuple[float, float]:
        """Return the error of the mean diameter: of all, and its mean size by field."""
        of = self.of(truth, "found_pm", "found_sized", "true_pm", "true_sized")
        every = of.sum(0)
        several = of[(of[:, 1] > 0) & (of[:, 3] > 0)]
        by_field = several[:, 0] / several[:, 1] * several[:, 3] / several[:, 2] - 1
        whole = every[0] / max(every[1], 1) * every[3] / every[2] - 1
        return float(whole), float(np.abs(by_field).mean()) if len(several) else np.nan

    def cells(self) -> list[str]:
        """Return the last of :data:`COLUMNS`."""
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, len(self.numbers), (DRAWS, len(self.numbers)))
        scores = []
        for truth in TRUTHS:
            low, high = np.quantile(self.f1(truth, drawn), (0.05, 0.95))
            scores.append(f"{self.f1(truth):.3f} ({low:.3f} to {high:.3f})")
        sums = dict(zip(NUMBERS, np.stack(self.numbers)[:, 0].sum(0).tolist(), strict=True))
        others = [sums["merged"], sums["split"]]
        others += [sums["true"] - sums["matched"] - sum(others), sums["false"]]
        visible_error, visible_by_field = self.diameter_errors("visible")
        whole_error, whole_by_field = self.diameter_errors("faces")
        auroc = self.auroc
        return [
            *scores,
            f"{sums['found']} for {sums['true']}",
            ", ".join(map(str, others)),
            f"{visible_error:+.3f}",
            f"{visible_by_field:.3f}",
            f"{whole_error:+.3f}",
            f"{whole_by_field:.3f}",
            "" if np.isnan(auroc) else f"{auroc:.2f}",
            f"{np.mean(self.dice):.3f}",
        ]


def is_right(truth: Truth, labels: np.ndarray) -> np.ndarray:
    """Return whether each found particle is one true particle, (found,) bool.

    It is wrong if it has no intersection over union above ½ with a true one, or more than half of a
    second one that is counted: two are merged in it.
    """
    joint = truth.joint(labels, int(labels.max(initial=0)))
    found = np.bincount(labels.ravel(), minlength=len(joint) + 1)[1:, None]
    true = truth.pieces.areas[1:]
    is_partner = 3 * joint > found + true
    is_merged = (2 * joint > true) & truth.counts[1:]
    return is_partner.any(1) & (np.count_nonzero(is_merged | is_partner, axis=1) < 2)


def nearer_centre(instances: np.ndarray) -> np.ndarray:
    """Return one label for each pixel: of the particle whose centre is nearer, in its radii.

    Each piece of a particle that leaves the periodic field has its own centre.
    """
    truth = Truth.of(instances, 1.0)["faces"].pieces
    near = []
    for layer in truth.layers:
        radii = np.full(layer.shape, np.inf)
        for number in np.unique(layer[layer > 0]):
            x, y = np.nonzero(layer == number)
            away = np.hypot(x - x.mean(), y - y.mean())
            radii[x, y] = away / np.sqrt(len(x) / np.pi)
        near.append(radii)
    return np.where(near[0] <= near[1], *truth.layers)


def score(made: Fields, networks: Sequence[Network], name: str) -> dict[str, Score]:
    """Return the scores of networks, of the bounds, and of the simplest method."""
    part = networks[0].architecture.head
    head = None if part is None else opened(part)
    ways = {name: SETTINGS}
    if head is not None:
        ways = {name: replace(SETTINGS, particles="head"), f"{name}, its mask alone": SETTINGS}
    scores: dict[str, Score] = defaultdict(lambda: Score(made.pixel_nm))
    simple = {(sigma, sign): Score(made.pixel_nm) for sigma in BLURS_PX for sign in (1, -1)}
    for image, instances in zip(made.images, made.instances, strict=True):
        truths = Truth.of(instances, made.pixel_nm)
        mask = instances.any(0)
        for way, settings in ways.items():
            result = segment(image, A_PER_NM * made.pixel_nm, networks, settings)
            scores[way].add_found(result.labels, result.particles, truths, mask)
        if head is not None:
            found = alone(image, networks, head, made.pixel_nm)
            scores[f"{name}, its head alone"].add(found.labels, truths, mask, found.diameters_nm)
        for bound, labels in (
            ("true borders, in its mask", visible(instances)),
            ("borders without order, in its mask", nearer_centre(instances)),
        ):
            inside = pieces(np.where(result.mask, labels, 0), made.pixel_nm)
            scores[bound].add(inside, truths, mask)
        for (sigma, sign), each in simple.items():
            each.add(blur_and_threshold(image, sigma, sign, made.pixel_nm), truths, mask)
    return scores | {"a blur and a threshold": max(simple.values(), key=lambda s: s.f1("faces"))}


def alone(image: np.ndarray, networks: Sequence[Network], head: Head, pixel_nm: float) -> Found:
    """Return what the head finds in the mean outputs of networks, as in tests of a study."""
    normalised = torch.from_numpy((image - image.mean()) / image.std(ddof=1))[None, None]
    with torch.inference_mode():
        outputs = [network.module(normalised)[0].numpy() for network in networks]
    return head.decode(np.mean(outputs, 0), pixel_nm)


def rows(
    seeds: str, source: str = NETWORK, sets: Iterable[str] = SETS, number: int = FIELDS
) -> Iterator[list[str]]:
    """Yield the rows of the table, see :data:`COLUMNS`.

    Args:
        source: A weights file, a published folder, or the name of a network of the package.
        number: Of fields in each set.
    """
    networks = open_networks(source)
    for name in sets:
        made = fields(name, seeds, number)
        for method, scored in score(made, networks, f"`{Path(source).stem}`").items():
            yield [name, method, *scored.cells()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="seeds that nothing is chosen with")
    parser.add_argument("--network", default=NETWORK, metavar="FILE", help=f"(default: {NETWORK})")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET")
    parser.add_argument("--fields", type=int, default=FIELDS, metavar="N", help="of each set")
    options = parser.parse_args()
    seeds = "report" if options.report else "tuning"
    table = rows(seeds, options.network, options.sets, options.fields)
    try:
        print(markdown.table(COLUMNS, table))
    except PassbandError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
