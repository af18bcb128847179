"""Compare the particles of `passband predict` with the instance masks of a study's test images.

    python -m findings.particles.particles microscopes     # a minute on one core

Networks that were trained at 400 e/Å² or more are tested in distribution: on test images under
their own training condition, and on wider fields with more particles, on both faces of the
substrate, under the same condition. The F1 score counts a predicted particle as correct if its
intersection over union with a true particle exceeds 0.5. Predicted and true particles below 0.5 nm
are left out; such particles are pieces that the edge of an image cuts off. A touching pair is two
true particles with at most two pixels between them; one may also lie partly above the other.
Sets of touching particles are in `sets.py`.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from benchmarks.harness import Table
from passband import PassbandError
from passband.config import Microscope, Particles, Specimen, Study
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import devices
from passband.learning.instance_counts import visible
from passband.learning.network_files import Network, finished_networks, open_networks
from passband.micrographs.images import particles
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.results import Results
from passband.scores import dice_of_masks
from passband.specimens import exit_waves
from passband.units import A_PER_NM

SMALLEST_NM = 0.5
DOSE_E_PER_A2 = 400
VARIANTS = {
    "default": Settings(),
    "flattened field": Settings(flat_field=True),
}


def truth(instances: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the true particles as one label image, from the label images of both faces.

    Where two overlap, the one on the face where the beam leaves is seen.
    """
    return pieces(visible(instances), pixel_nm)


def pieces(labels: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return a label image with a label for each connected piece, without small ones.

    The field is periodic, so a particle that leaves it on one side comes back on the other side.
    """
    found = np.zeros(labels.shape, np.int32)
    for label in np.unique(labels[labels > 0]):
        parts = components(labels == label, pixel_nm)
        found = np.where(parts > 0, parts + found.max(), found)
    return found


def touching(labels: np.ndarray) -> set[int]:
    """Return the labels of particles with another particle at most two pixels away."""
    near: set[int] = set()
    for label in range(1, labels.max() + 1):
        around = ndimage.binary_dilation(labels == label, np.ones((3, 3)), iterations=3)
        others = np.unique(labels[around & (labels != label) & (labels > 0)])
        near |= {label, *others.tolist()} if len(others) else set()
    return near


class Score:
    """Counts of matched particles, and diameters of whole particles, over many images."""

    def __init__(self):
        self.matched = self.predicted = self.true = 0
        self.close_matched = self.close_true = 0
        self.diameters: list[float] = []
        self.true_diameters: list[float] = []

    def add(self, labels: np.ndarray, true: np.ndarray, pixel_nm: float) -> None:
        pairs, close = particles.matches(labels, true), touching(true)
        self.matched += len(pairs)
        self.predicted += number_of(labels)
        self.true += number_of(true)
        self.close_matched += len(close & set(pairs.values()))
        self.close_true += len(close)
        for found, into in ((labels, self.diameters), (true, self.true_diameters)):
            rows = particles.measure(found, pixel_nm)
            into += [row.diameter_nm for row in rows if not row.touches_edge]

    @property
    def f1(self) -> float:
        return 2 * self.matched / max(self.predicted + self.true, 1)

    @property
    def diameter_error(self) -> float:
        """The mean diameter of predicted whole particles, relative to that of true ones, less 1."""
        return float(np.mean(self.diameters or [0]) / np.mean(self.true_diameters) - 1)


def blur_and_threshold(image: np.ndarray, sigma: float, sign: int, pixel_nm: float) -> np.ndarray:
    """Return the connected components above Otsu's threshold of a blurred image."""
    blurred = sign * ndimage.gaussian_filter(image, sigma)
    counts, edges = np.histogram(blurred, 256)
    values = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    mean_below = (counts * values).cumsum() / np.maximum(below, 1)
    mean_above = (counts * values)[::-1].cumsum()[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return components(blurred > edges[1:][between.argmax()], pixel_nm)


def components(mask: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the connected components of a mask, without those below :data:`SMALLEST_NM`."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel()) * pixel_nm**2
    labels[(areas < np.pi / 4 * SMALLEST_NM**2)[labels]] = 0
    return labels


def with_particles(specimen: Specimen, least: int, most: int, faces: str) -> Specimen:
    """Return a specimen with other numbers of particles, on one face or on both."""
    substrate = specimen.substrate.model_copy(update={"faces": faces})
    number = Particles(min=least, max=most)
    return specimen.model_copy(update={"particles": number, "substrate": substrate})


def wide_split(study: Study, specimen: str, number: int, device) -> tuple[Split, Microscope]:
    """Return structures of the specimen in fields of twice the width, and their microscope.

    There are more particles, so more of them do not touch the edge. Particles are on both faces of
    the substrate, so that some pairs touch or overlap in projection. Networks are trained with
    particles on one face.
    """
    microscope = study.microscope.model_copy(update={"field_px": 2 * study.microscope.field_px})
    crowded = with_particles(study.specimens[specimen], 6, 8, "both")
    waves = exit_waves.simulate(specimen, crowded, microscope, 0, "wide", range(number))
    structures = Structures(0, specimen, "wide", microscope)
    return Split.from_dataset(waves, structures, device), microscope


def in_distribution(results: Results, most: int) -> Iterator[list[Network]]:
    """Yield the replicas of each training condition with a high dose."""
    known = finished_networks(results)
    high = [id for id in known if Condition.parse(id.condition).dose_e_per_A2 >= DOSE_E_PER_A2]
    for id in high[:most]:
        yield open_networks(results, id)


def measure(
    results: Results, options: argparse.Namespace, wide: bool
) -> tuple[dict[str, Score], dict[str, list[float]]]:
    """Return the scores, and the Dice scores of masks, by the name of a method."""
    device = devices.device()
    simple = {(sigma, sign): Score() for sigma in (2, 4, 8) for sign in (1, -1)}
    scores = {name: Score() for name in (*VARIANTS, "one network", "components of the mask")}
    dice: dict[str, list[float]] = {name: [] for name in VARIANTS}
    splits: dict[str, tuple[Split, Microscope]] = {}
    study = results.study
    for networks in in_distribution(results, options.most):
        first = networks[0]
        specimen, pixel_nm = first.metadata.specimen, first.pixel_size_A / A_PER_NM
        if specimen not in splits and wide:
            splits[specimen] = wide_split(study, specimen, options.wide, device)
        elif specimen not in splits:
            loaded = results.structures(specimen, "test").load(device, instances=True)
            splits[specimen] = loaded.sets[""], study.microscope
        split, microscope = splits[specimen]
        camera = Acquisition.from_microscope(microscope, first.normalisation, device)
        parts = camera.counts(split, first.condition)
        images = np.concatenate([part.cpu().numpy() for part in parts])
        for image, instances in zip(images, split.instances, strict=True):
            true, wanted = truth(instances, pixel_nm), instances.any(0)
            for name, settings in VARIANTS.items():
                result = segment(image, first.pixel_size_A, networks, settings)
                scores[name].add(result.labels, true, pixel_nm)
                dice[name].append(dice_of_masks(result.mask, wanted))
                if name == "default":
                    found = components(result.mask, pixel_nm)
                    scores["components of the mask"].add(found, true, pixel_nm)
            one = segment(image, first.pixel_size_A, networks[:1], VARIANTS["default"])
            scores["one network"].add(one.labels, true, pixel_nm)
            for (sigma, sign), score in simple.items():
                score.add(blur_and_threshold(image, sigma, sign, pixel_nm), true, pixel_nm)
    (sigma, _), best = max(simple.items(), key=lambda item: item[1].f1)
    scores[f"blur of {sigma} px and Otsu's threshold, the best of 6 settings"] = best
    return scores, dice


def number_of(labels: np.ndarray) -> int:
    return len(np.unique(labels[labels > 0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", default="microscopes", help="a study with networks")
    parser.add_argument("--most", type=int, default=16, help="largest number of conditions")
    parser.add_argument("--wide", type=int, default=12, help="number of wide fields")
    options = parser.parse_args()
    try:
        results = Results.find(options.study)
        next(in_distribution(results, 1))
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    except StopIteration:
        parser.exit(1, f"{results}: has no network of {DOSE_E_PER_A2} e/Å² or more\n")
    table = Table()
    for wide, field in ((False, "the training field"), (True, "twice the training field")):
        if wide and not options.wide:
            continue
        scores, dice = measure(results, options, wide)
        for name, score in scores.items():
            has_goal = name == "default" and not wide
            what = f"{name}, {field}"
            table.row(f"F1 at IoU 0.5, {what}", 0.9 if has_goal else None, score.f1, least=True)
            if score.close_true:
                share = score.close_matched / score.close_true
                table.row("    share of touching particles that are found", None, share)
            error = abs(100 * score.diameter_error)
            table.row("    error of the mean diameter [%]", 3.0 if has_goal else None, error)
            if name in dice:
                table.row("    mean Dice of the mask", None, float(np.mean(dice[name])))
        score = scores["default"]
        table.row(f"true particles, {field}", None, score.true)
        table.row("    true particles in touching pairs", None, score.close_true)
        table.row("    true particles that do not touch the edge", None, len(score.true_diameters))


if __name__ == "__main__":
    main()
