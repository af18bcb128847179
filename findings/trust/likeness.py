"""How well the Dice of an image without ground truth is known, for all networks of a study.

    python -m findings.trust.likeness demo                      # 10 s of processor time a network
    python -m findings.trust.likeness demo --hrtem FOLDER       # also real images with masks
    python -m findings.trust.likeness demo --materials Fe CdSe  # also particles of other materials
    python -m findings.trust.likeness real --hrtem FOLDER --only-hrtem  # only the real images
    python -m findings.trust.likeness demo --networks 4         # fewer networks

The first two tables are about the study's own matrix, with conditions left out: `one condition`
leaves out all test images of one condition, `a value of an axis` leaves out all test images with
this value. Each row uses other scores; the simplest method predicts the mean. MAE is the mean
absolute error of Dice, ρ is Spearman's correlation, and the risk is the area under the curve of
risk over coverage, which the row `Dice itself` limits from below. All numbers are over images.

The third table is about the flag. Then come images outside the matrix: noise, shuffled pixels,
wrong pixel sizes, and with `--materials`, the first specimen in a wide field, and with another
material (compounds as spheres). With `--hrtem`, a folder with the folders `images` and `masks`,
with pixels of 0.776 Å, the expected Dice of real images is compared with the measured Dice. The
interval of ρ is a bootstrap over images.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from passband import PassbandError
from passband.answers import trust
from passband.answers.likeness import Measured, calibrate
from passband.config.crystals import MATERIALS
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import Network, finished_networks, open_networks
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.trust.trust import LOWEST, Assessment, Assessor, Trust
from passband.micrographs.truth import score
from passband.prediction.recommend import image_dice
from passband.results import Results
from passband.specimens import exit_waves

HRTEM_PIXEL_A = 0.776
#: Real images that are nearly empty: their Dice is about 0 for every network.
EMPTY = ("au10nm_2",)
#: A name for each score.
LABELS = {
    "confidence": "soft Dice confidence",
    "disagreement": "disagreement of replicas",
    "symmetry": "disagreement with the mirror image",
    "spectrum": "distance of the spectrum",
    "values": "distance of the pixel values",
    "features": "distance of the network's features",
    "area": "excess of predicted area",
    "excess": "excess of the largest distance",
    "ctf": "transfer function",
}
#: The scores that need no images of the new condition.
NEED_NO_IMAGES = ("ctf",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", help="a finished study, by name or folder of results")
    parser.add_argument("--networks", type=int, help="number of training conditions")
    parser.add_argument("--materials", nargs="+", default=[], metavar="SYMBOL")
    parser.add_argument("--hrtem", type=Path, help="folder with real images and their masks")
    parser.add_argument("--only-hrtem", action="store_true", help="only the table of --hrtem")
    options = parser.parse_args()
    if options.only_hrtem and options.hrtem is None:
        parser.error("--only-hrtem needs --hrtem")
    try:
        results = Results.find(options.study).existing()
        ids = finished_networks(results)[: options.networks]
        groups = [open_networks(results, id) for id in ids]
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    measured = [trust.measured(group) for group in groups]
    if options.only_hrtem:
        real(groups, [calibrate(each) for each in measured], options.hrtem)
        return
    ctf = [_ctf(each, group) for each, group in zip(measured, groups, strict=True)]
    print(f"{len(groups)} training conditions, {len(measured[0].dice)} images each\n")
    matrix(measured, ctf, "one condition")
    matrix(measured, [None] * len(measured), "a value of an axis")
    trusts = [calibrate(each) for each in measured]
    flags(measured, trusts)
    outside(results, groups, trusts)
    if options.materials:
        materials(groups, trusts, options.materials)
    if options.hrtem is not None:
        real(groups, trusts, options.hrtem)


def _ctf(measured: Measured, group: list[Network]) -> np.ndarray | None:
    try:
        return trust.expected_left_out(measured, group)
    except PassbandError as error:
        print(f"without the transfer function's prediction: {error}")
        return None


def matrix(measured: list[Measured], ctf: list[np.ndarray | None], left: str) -> None:
    """Print the table of scores, for images of the matrix that were left out."""
    print(f"Left out: {left}\n\n| scores | images of the new condition | MAE | ρ | risk |")
    print("|---|---|---|---|---|")
    with_ctf = ctf[0] is not None
    chosen = list(measured_names(measured[0]))
    rows: dict[str, list[str]] = {"the mean (simplest method)": []}
    rows |= {LABELS[name]: [name] for name in chosen}
    if with_ctf:
        rows[LABELS["ctf"]] = ["ctf"]
    rows["together"] = chosen
    if with_ctf:
        rows["together, with the transfer function"] = [*chosen, "ctf"]
    for label, names in rows.items():
        expected, dice = _left_out(measured, ctf, names, left)
        images = "no" if set(names) <= set(NEED_NO_IMAGES) else "yes"
        print(f"| {label} | {images} | {_numbers(expected, dice)} |")
    print(f"| Dice itself | yes | {_numbers(dice, dice)} |\n")


def measured_names(measured: Measured) -> tuple[str, ...]:
    """Return the names of the scores that the model uses for these networks."""
    return calibrate(measured).calibrations["plain"].names


def risk_coverage(expected: np.ndarray, dice: np.ndarray) -> float:
    """Return the area under the curve of risk over coverage.

    The images are sorted by expected Dice. The risk at the coverage n/N is the mean of 1 − Dice
    over the n images with the highest expected Dice (El-Yaniv & Wiener, *JMLR* 11, 1605, 2010).
    Images with the same expected Dice share their mean risk.

    Args:
        expected, dice: (n,), expected and measured Dice of each image.
    """
    _, tied = np.unique(-np.asarray(expected), return_inverse=True)
    means = np.bincount(tied, 1 - np.asarray(dice)) / np.bincount(tied)
    sorted_risk = means[np.sort(tied)]
    return float((np.cumsum(sorted_risk) / np.arange(1, len(sorted_risk) + 1)).mean())


def _numbers(expected: np.ndarray, dice: np.ndarray) -> str:
    constant = np.ptp(expected) < 1e-9
    rho = "–" if constant else f"{spearmanr(expected, dice).statistic:.2f}"
    risk = risk_coverage(expected, dice)
    return f"{np.abs(expected - dice).mean():.3f} | {rho} | {risk:.3f}"


def _of_conditions(measured: Measured) -> list[np.ndarray]:
    """Return the images of each test specimen and test condition, each a (n,) bool array."""
    matrix = [place for place in dict.fromkeys(measured.places) if not place[2]]
    return [np.array([own == place for own in measured.places]) for place in matrix]


def _left_out(measured, ctf, names, left) -> tuple[np.ndarray, np.ndarray]:
    """Return expected and measured Dice of all images of the matrix that were left out."""
    expected, dice = [], []
    for each, of_ctf in zip(measured, ctf, strict=True):
        own = np.full(len(each.dice), each.own.dice)
        folds = _of_conditions(each) if left == "one condition" else each.folds()
        # Distorted images are known in every fit, but the errors are those of the matrix.
        folds = [fold & each.in_matrix for fold in folds]
        folds = [fold for fold in folds if fold.any()]

        def scores(included, each=each, of_ctf=of_ctf, own=own):
            found = each.scores(included)
            if of_ctf is not None:
                found["ctf"] = image_dice.ctf_score(own, of_ctf)
            return found

        if names:
            rows = image_dice.left_out(names, own, scores, each.dice, folds)
        else:
            rows = [np.where(fold, each.dice[~fold].mean(), np.nan) for fold in folds]
        for row in rows:
            known = np.isfinite(row)
            expected.append(row[known])
            dice.append(each.dice[known])
    return np.concatenate(expected), np.concatenate(dice)


def flags(measured: list[Measured], trusts: list[Trust]) -> None:
    """Print how many images are flagged."""
    print("| images | number | flagged | mean Dice | expected |\n|---|---|---|---|---|")
    rows: dict[str, list[np.ndarray]] = {}
    for each, known in zip(measured, trusts, strict=True):
        found = [
            known.assess({name: values[k] for name, values in each.raw.items()})
            for k in range(len(each.dice))
        ]
        table = np.array(
            [(a.is_flagged, d, a.dice.value) for a, d in zip(found, each.dice, strict=True)]
        )
        bad = each.dice < LOWEST * each.own.dice
        first = np.array([place == each.places[0] for place in each.places])
        kinds = {
            "under the training condition": first,
            f"matrix, Dice at least {LOWEST:g} of the network's own": each.in_matrix & ~bad,
            f"matrix, Dice below {LOWEST:g} of the network's own": each.in_matrix & bad,
        }
        for distortion in dict.fromkeys(place[2] for place in each.places if place[2]):
            own = np.array([place[2] == distortion for place in each.places])
            kinds[f"distorted: {distortion}"] = own
        for kind, which in kinds.items():
            rows.setdefault(kind, []).append(table[which])
    for kind, parts in rows.items():
        every = np.concatenate(parts)
        flagged, dice, expected = every.mean(0) if len(every) else [np.nan] * 3
        print(f"| {kind} | {len(every)} | {flagged:.1%} | {dice:.3f} | {expected:.3f} |")
    print()


def assess(image: np.ndarray, pixel_A: float, group: list[Network], known: Trust):
    """Return the segmentation of an image and its assessment."""
    assessor = Assessor([known], group)
    found = segment(image, pixel_A, group, watch=assessor.watch)
    return found, assessor.finish()


def outside(results: Results, groups: list[list[Network]], trusts: list[Trust]) -> None:
    """Print how many images without particles, or with a wrong pixel size, are flagged."""
    print("| image | flagged | expected Dice |\n|---|---|---|")
    found: dict[str, list[Assessment]] = {}
    for group, known in zip(groups, trusts, strict=True):
        for name, image, pixel_A in _unlike(results, group[0]):
            found.setdefault(name, []).append(assess(image, pixel_A, group, known)[1])
    for name, every in found.items():
        mean = np.mean([each.dice.value for each in every])
        print(f"| {name} | {sum(a.is_flagged for a in every)} of {len(every)} | {mean:.2f} |")
    print()


def _unlike(results: Results, network: Network) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield names, images and pixel sizes of images that must be flagged."""
    size = network.pixel_size_A
    rng = np.random.default_rng(0)
    first = network.metadata
    images = trust.StudyImages(
        Results(network.study, results.folder), first.normalisation, first.architecture
    )
    counts, *_ = images.images(network.metadata.specimen, "test", network.condition)
    mean = float(counts.mean())
    yield "noise", rng.poisson(mean, counts.shape[1:]).astype(np.float32), size
    for image in counts[:4]:
        shuffled = rng.permutation(image.ravel()).reshape(image.shape)
        yield "shuffled pixels", shuffled, size
        yield "twice the pixel size", image, 2 * size
        binned = image.reshape(len(image) // 2, 2, -1, 2).sum((1, 3))
        yield "binned 2 × 2, with its pixel size", binned, 2 * size


def materials(groups: list[list[Network]], trusts: list[Trust], names: list[str]) -> None:
    """Print how many images of other specimens are flagged, under each training condition."""
    study, cpu = groups[0][0].study, torch.device("cpu")
    specimen = next(iter(study.specimens.values()))
    print("| specimen | images | mean Dice | expected | flagged, Dice low | flagged, others |")
    print("|---|---|---|---|---|---|")
    microscope, seed = study.microscope, study.study.seed
    wide = microscope.model_copy(update={"field_px": 2 * microscope.field_px})
    single = specimen.particles.model_copy(update={"min": 1, "max": 1})
    others = {
        "one particle in a field of twice the width": (
            specimen.model_copy(update={"particles": single}),
            wide,
        )
    }
    for name in names:
        changes = {"material": name, "surface_energies": {}}
        if not MATERIALS[name].surface_energies:
            changes["shape"] = "sphere"
        others[name] = specimen.model_copy(update=changes), microscope
    for name, (changed, microscope) in others.items():
        waves = exit_waves.simulate(name, changed, microscope, seed, "test", range(8), "cpu")
        split = Split.from_dataset(waves, Structures(seed, name, "test", microscope), cpu)
        masks = split.masks[:, 0].numpy() > 0.5
        rows = []
        for group, known in zip(groups, trusts, strict=True):
            first = group[0]
            camera = Acquisition.from_microscope(microscope, first.normalisation, cpu)
            counts = torch.cat(list(camera.counts(split, first.condition))).numpy()
            for image, mask in zip(counts, masks, strict=True):
                found, assessed = assess(image, first.pixel_size_A, group, known)
                dice = score(found.mask, mask, first.pixel_size_A).dice
                low = dice < LOWEST * known.own.dice
                rows.append((dice, assessed.dice.value, assessed.is_flagged, low))
        dice, expected, flagged, low = np.array(rows).T
        low = low > 0
        parts = [
            f"{int(flagged[which].sum())} of {int(which.sum())}" if which.any() else "–"
            for which in (low, ~low)
        ]
        print(
            f"| {name} | {len(rows)} | {dice.mean():.3f} | {expected.mean():.3f} | {parts[0]} | "
            f"{parts[1]} |"
        )
    print()


def real(groups: list[list[Network]], trusts: list[Trust], folder: Path) -> None:
    """Print expected and measured Dice on real images."""
    rows, flagged = [], []
    for path in readers.find([folder / "images"]):
        mask = readers.read_mask(folder / "masks" / path.name)[0]
        for k, (group, known) in enumerate(zip(groups, trusts, strict=True)):
            image = readers.read(path, HRTEM_PIXEL_A).images[0]
            found, assessed = assess(image, HRTEM_PIXEL_A, group, known)
            flagged.append((path.stem, assessed.is_flagged))
            if path.stem not in EMPTY:
                dice = score(found.mask, mask, HRTEM_PIXEL_A).dice
                expected = assessed.dice
                rows.append((path.stem, k, dice, expected.value, expected.low, expected.high))
    names, networks, *values = zip(*rows, strict=True)
    dice, expected, low, high = map(np.array, values)
    different = list(dict.fromkeys(name for name, _ in flagged))
    share = np.mean([is_flagged for _, is_flagged in flagged])
    print(f"{len(different)} real images × {len(groups)} networks: {share:.0%} flagged\n")
    print("| image | flagged | measured Dice | expected |\n|---|---|---|---|")
    for name in different:
        own, number = np.array(names) == name, sum(each for of, each in flagged if of == name)
        means = [f"{values[own].mean():.3f}" if own.any() else "" for values in (dice, expected)]
        print(f"| {name} | {number} | {' | '.join(means)} |")
    print("\n| training condition | measured Dice | expected |\n|---|---|---|")
    for k, group in enumerate(groups):
        own = np.array(networks) == k
        print(f"| {group[0].condition.id} | {dice[own].mean():.3f} | {expected[own].mean():.3f} |")
    print()
    rho = spearmanr(expected, dice).statistic
    rng, different = np.random.default_rng(0), list(dict.fromkeys(names))
    of_image = {name: np.flatnonzero(np.array(names) == name) for name in different}
    drawn = []
    for _ in range(1000):
        places = np.concatenate([of_image[name] for name in rng.choice(different, len(different))])
        drawn.append(spearmanr(expected[places], dice[places]).statistic)
    low_rho, high_rho = np.quantile(drawn, [0.05, 0.95])
    within = [
        spearmanr(expected[own], dice[own]).statistic
        for own in (np.array(names) == name for name in dict.fromkeys(names))
    ]
    of_networks = [
        [values[np.array(networks) == k].mean() for k in range(len(groups))]
        for values in (expected, dice)
    ]
    print(
        f"mean Dice {dice.mean():.3f}, expected {expected.mean():.3f}, MAE "
        f"{np.abs(dice - expected).mean():.3f}, in the interval "
        f"{np.mean((low <= dice) & (dice <= high)):.0%}; ρ over all pairs {rho:.2f} "
        f"({low_rho:.2f} to {high_rho:.2f}), mean ρ over "
        f"networks for one image {np.mean(within):.2f}, of the networks' means "
        f"{spearmanr(*of_networks).statistic:.2f}"
    )


if __name__ == "__main__":
    main()
