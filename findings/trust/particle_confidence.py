"""How well the confidence of a particle tells true particles from false ones, and its area.

    python -m findings.trust.particle_confidence         # the network `general-2026`: 2 minutes
    python -m findings.trust.particle_confidence demo    # the networks of the demo: 2 minutes
    python -m findings.trust.particle_confidence STUDY --replicas

The test images of `general-2026` are 48 structures of `studies/real-general.yaml`, simulated here,
under all its 12 test conditions. Those of a study are its own under all test conditions with the
lowest dose, for the networks that were trained at this dose. These sets were chosen because
networks fail in many of the images. A predicted particle is true if its intersection over union
with a true particle exceeds 0.5. In this truth, the particle on the face where the beam enters is
above the other one. With `--replicas`, the share is that of the replicas; the study in
README.md is the demo with `replicas: 4`, `cs_um: [1.2]` and `aperture_mrad: [10]`, and with the
demo's test conditions.

For each score, a row has the area under the ROC curve (AUROC: the probability that a true particle
has a higher score than a false one), and for the true particles Spearman's ρ of the score and the
relative error of the area, which is negative if errors are ordered well. `both` is a logistic
regression of mean probability and share, for structures that were left out of the fit. In
parentheses are 90% intervals of a bootstrap over structures, each with all its images.
"""

import argparse
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from passband import PassbandError, config
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import devices
from passband.learning.network_files import Network, finished_networks, open_networks
from passband.micrographs.images import particles
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.reports import markdown
from passband.results import Results
from passband.specimens import exit_waves
from passband.units import A_PER_NM

SMALLEST_NM = 0.5
GENERAL, STRUCTURES = Path("studies/real-general.yaml"), 48
DRAWS = 300
SETTINGS = Settings(filter_noise=False)
#: The axes along which an image is reversed: its three mirror images.
MIRRORS = (0,), (1,), (0, 1)
COLUMNS = "structure", "is true", "error", "area", "mean probability", "found in"


def of_general(mirror: bool = True) -> Iterator[np.ndarray]:
    """Yield the particles that `general-2026` finds, with :data:`COLUMNS`."""
    study, device = config.load(GENERAL), devices.device()
    networks = open_networks("general-2026")
    seed = study.study.seed
    waves = exit_waves.simulate(
        "gold", study.specimens["gold"], study.microscope, seed, "test", range(STRUCTURES)
    )
    structures = Structures(seed, "gold", "test", study.microscope)
    split = Split.from_dataset(waves, structures, device)
    yield from measured(networks, split, study, study.test_conditions, mirror)


def of_study(results: Results, mirror: bool) -> Iterator[np.ndarray]:
    """Yield the particles that the replicas of each training condition find together."""
    study = results.study
    lowest = min(each.dose_e_per_A2 for each in study.test_conditions)
    conditions = [each for each in study.test_conditions if each.dose_e_per_A2 == lowest]
    for id in finished_networks(results):
        if Condition.parse(id.condition).dose_e_per_A2 != lowest:
            continue
        specimen = id.specimen
        stored = results.structures(specimen, "test")
        split = stored.load(devices.device(), instances=True).sets[""]
        networks = open_networks(results, id)
        yield from measured(networks, split, study, conditions, mirror)


def measured(
    networks: list[Network],
    split: Split,
    study: config.Study,
    conditions: list[Condition],
    mirror: bool,
) -> Iterator[np.ndarray]:
    """Yield the particles of all test images under each condition, with :data:`COLUMNS`."""
    size = study.microscope.pixel_size_A
    pixel_nm = size / A_PER_NM
    true = [truth(each, pixel_nm) for each in split.instances]
    areas = [np.bincount(each.ravel()) * pixel_nm**2 for each in true]
    camera = Acquisition.from_microscope(
        study.microscope, networks[0].normalisation, split.spectra.device
    )
    for condition in conditions:
        images = np.concatenate([part.cpu().numpy() for part in camera.counts(split, condition)])
        for k, image in enumerate(images):
            result = segment(image, size, networks, SETTINGS)
            in_others = shares_found(result.labels, others(image, size, networks, mirror))
            found = particles.matches(result.labels, true[k])
            for each in result.particles:
                is_true = each.label in found
                right = areas[k][found[each.label]] if is_true else np.nan
                error = abs(each.area_nm2 / right - 1)
                scores = each.area_nm2, each.mean_probability, in_others[each.label]
                yield np.array([k, is_true, error, *scores], float)


def others(
    image: np.ndarray, size: float, networks: list[Network], mirror: bool
) -> Iterator[np.ndarray]:
    """Yield the labels that each network finds in the image, or in its three mirror images.

    Until 0.4.0, `predict --mirror` did it for the column `found_in`.
    """
    for network in networks:
        for axes in MIRRORS if mirror else ((),):
            found = segment(np.flip(image, axes).copy(), size, [network], SETTINGS)
            yield np.flip(found.labels, axes)


def shares_found(labels: np.ndarray, others: Iterable[np.ndarray]) -> dict[int, float]:
    """Return, by label, the share of other label images that have the particle."""
    found = [particles.matches(labels, other) for other in others]
    every = range(1, labels.max(initial=0) + 1)
    return {label: sum(label in each for each in found) / len(found) for label in every}


def truth(instances: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the true particles as one label image, from the label images of both faces.

    The field is periodic, so a particle that leaves it on one side comes back on the other side.
    Each of the two pieces gets its own label.
    """
    labels = np.zeros(instances.shape[1:], np.int32)
    for face in instances:
        for number in np.unique(face[face > 0]):
            pieces, count = ndimage.label(face == number)
            for piece in range(1, count + 1):
                area_nm2 = np.count_nonzero(pieces == piece) * pixel_nm**2
                if area_nm2 >= np.pi / 4 * SMALLEST_NM**2:
                    labels[pieces == piece] = labels.max() + 1
    return labels


def draw(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of structures that are drawn with repetition."""
    known = np.unique(values[:, 0])
    drawn = rng.choice(known, len(known))
    return np.concatenate([values[values[:, 0] == each] for each in drawn])


def with_both(values: np.ndarray) -> np.ndarray:
    """Return the values with one more column: the probability by mean probability and share."""
    model = LogisticRegression(C=1e3)
    given = values[:, 4:6], values[:, 1].astype(int)
    folds = {"groups": values[:, 0], "cv": GroupKFold(8), "method": "predict_proba"}
    return np.column_stack([values, cross_val_predict(model, *given, **folds)[:, 1]])


def rates(values: np.ndarray) -> np.ndarray:
    """Return the AUROC and the ρ of each score: (2, scores)."""
    right = values[:, 1] > 0
    scores = values[:, 3:].T
    auroc = [roc_auc_score(right, score) for score in scores]
    return np.array([auroc, [spearmanr(score[right], values[right, 2])[0] for score in scores]])


def shares(values: np.ndarray) -> Iterator[str]:
    """Yield how many particles are true, by their mean probability, as text."""
    for least, most in pairwise((0.5, 0.8, 0.9, 1.0)):
        chosen = values[(values[:, 4] > least) & (values[:, 4] <= most), 1]
        part = f"{chosen.mean():.1%} of {len(chosen)} true" if len(chosen) else "none"
        yield f"mean probability above {least} to {most}: {part}"


def table(values: np.ndarray) -> tuple[dict[str, list[str]], str]:
    """Return the cells of each score, and the difference of mean probability and area, as text."""
    rng = np.random.default_rng(0)
    best = rates(values)
    drawn = np.stack([rates(draw(values, rng)) for _ in range(DRAWS)])
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    rows = {
        name: [f"{best[i, k]:.3f} ({low[i, k]:.3f} to {high[i, k]:.3f})" for i in range(2)]
        for k, name in enumerate((*COLUMNS[3:], "both"))
    }
    more = np.quantile(drawn[:, 0, 1] - drawn[:, 0, 0], (0.05, 0.95))
    return rows, f"{best[0, 1] - best[0, 0]:.3f} ({more[0]:.3f} to {more[1]:.3f})"


def report(values: np.ndarray) -> None:
    """Print the numbers of particles, and the table."""
    rows, difference = table(values)
    print(f"{len(values)} particles, {np.count_nonzero(values[:, 1] == 0)} of them false")
    print(*shares(values), sep="\n")
    print(f"AUROC of the mean probability less that of the area: {difference}\n")
    head = "score", "AUROC", "ρ with the error of the area"
    print(markdown.table(head, ([name, *cells] for name, cells in rows.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", help="a study with networks (default: `general-2026`)")
    parser.add_argument("--replicas", action="store_true", help="replicas, without mirror images")
    options = parser.parse_args()
    mirror = not options.replicas
    try:
        if options.study:
            found = [*of_study(Results.find(options.study).existing(), mirror)]
        else:
            found = [*of_general(mirror)]
    except PassbandError as error:
        parser.exit(1, f"{error}\n")
    report(with_both(np.stack(found)))


if __name__ == "__main__":
    main()
