"""Which network of `rings.yaml` segments real micrographs as their published masks do.

    passband run findings/rings/studies/rings.yaml
    passband run findings/rings/studies/rings-general.yaml
    python -m findings.rings.rings FOLDER  # FOLDER has manifest.csv and the folders images, masks
    python -m findings.rings.rings FOLDER --figure findings/rings/rings.png

The published masks are a blur threshold, so the numbers are an agreement (Dice) and no accuracy;
the first row is that threshold. For each image, the condition is measured from its Thon rings, and
`passband recommend` chooses a network. This choice is compared with other choices, at the doses of
the study. Intervals are 90% intervals of the difference from the recommended network, by a
bootstrap over regions of the specimen, since some images overlap.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from docs.scripts.real import outlined, write
from passband import PassbandError
from passband.answers import image_recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.learning.network_files import Network, finished_networks, open_networks
from passband.micrographs.images import readers
from passband.micrographs.images.segmentation import segment
from passband.micrographs.rings.film import otsu_threshold
from passband.micrographs.rings.lens import Known, Lens
from passband.network_id import NetworkId
from passband.results import Results
from passband.scores import dice_of_masks
from passband.units import A_PER_NM

#: What the manifest's defoci assume: pixel size [Å] and Cs [µm].
PIXEL_A, CS_UM = 0.564, 1040.0
#: The blur of the threshold that made the published masks [pixels].
BLUR_PX = 5
#: Side of the part of a micrograph that the figure shows [pixels].
SHOWN_PX = 400


@dataclass(frozen=True)
class Micrograph:
    """A micrograph, its published mask, its region of the specimen, and its stated defocus [nm]."""

    path: Path
    image: np.ndarray
    mask: np.ndarray
    region: str
    stated_nm: float


def read(folder: Path) -> list[Micrograph]:
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        path = folder / "images" / f"{row['image']}.png"
        image = readers.read(path, PIXEL_A).images[0]
        mask = readers.read_mask(folder / "masks" / path.name)[0]
        stated = float(row["defocus_nm_if_200kV_pixel0p0564nm"])
        found.append(Micrograph(path, image, mask, row["region"], stated))
    return found


def mask_of(image: np.ndarray, networks: list[Network]) -> np.ndarray:
    return segment(image, PIXEL_A, networks).mask


def blur_threshold(image: np.ndarray) -> np.ndarray:
    blurred = -ndimage.gaussian_filter(image.astype(float), BLUR_PX)
    return blurred > otsu_threshold(blurred)[0]


def nearest(defocus_nm: float, conditions: list[Condition], dose: float) -> str:
    """Return the id of the training condition with a dose whose defocus is nearest."""
    same = [c for c in conditions if c.dose_e_per_A2 == dose]
    return min(same, key=lambda c: abs(c.defocus_nm - defocus_nm)).id


def interval(difference: np.ndarray, regions: list[str]) -> tuple[float, float]:
    """Return the 90% interval of a mean difference over images, by a bootstrap over regions."""
    names = list(dict.fromkeys(regions))
    of_region = [np.flatnonzero(np.array(regions) == name) for name in names]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        drawn = rng.integers(len(names), size=len(names))
        means.append(difference[np.concatenate([of_region[k] for k in drawn])].mean())
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


def picture(images: list[Micrograph], masks: list[np.ndarray], path: Path) -> None:
    """Write a row of micrographs with the outlines of published and predicted masks."""
    names = [each.path.stem for each in images]
    part = slice(None, SHOWN_PX), slice(None, SHOWN_PX)
    shown, true, found = (
        dict(zip(names, (values[part] for values in of), strict=True))
        for of in ([m.image for m in images], [m.mask for m in images], masks)
    )
    sides = dict.fromkeys(names, PIXEL_A / A_PER_NM)
    words = "published mask", "found by the network"
    write(outlined(shown, [true, found], sides, words), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of micrographs with a manifest")
    parser.add_argument("--study", default="rings")
    parser.add_argument("--general", default="rings-general")
    parser.add_argument("--figure", type=Path, help="draw three micrographs with outlines")
    options = parser.parse_args()
    try:
        compare(options)
    except PassbandError as error:
        parser.exit(1, f"{error}\n")


class Compared:
    """The masks of all networks for all micrographs, and how well they agree."""

    def __init__(self, study: str, general: str, images: list[Micrograph]):
        self.images, self.regions = images, [m.region for m in images]
        results = Results.find(study)
        self.study, self.tested = results.study, TestedNetworks.open(results)
        groups = {id: open_networks(results, id) for id in finished_networks(results)}
        self.names = {group[0].metadata.condition: id for id, group in groups.items()}
        self.conditions = [Condition.parse(name) for name in self.names]
        self.masks = {id: [mask_of(m.image, g) for m in images] for id, g in groups.items()}
        self.scores = {id: self.agreements(found) for id, found in self.masks.items()}
        folder = Results.find(general).existing()
        (id,) = finished_networks(folder)
        self.others = {
            f"blur of {BLUR_PX} px and Otsu's threshold": [blur_threshold(m.image) for m in images]
        }
        for label, group in (
            ("general network of these simulations", open_networks(folder, id)),
            ("`general-2026`, a network of the package", open_networks("general-2026")),
        ):
            self.others[label] = [mask_of(m.image, group) for m in images]

    def agreements(self, masks: list[np.ndarray]) -> np.ndarray:
        return np.array([dice_of_masks(a, m.mask) for a, m in zip(masks, self.images, strict=True)])

    def of(self, chosen: list[NetworkId]) -> np.ndarray:
        """Return the agreement of each image's chosen network."""
        return np.array([self.scores[id][k] for k, id in enumerate(chosen)])

    def table(self, dose: float, lenses: list[Lens]) -> list[NetworkId]:
        """Print the table of choices at a dose, and return the recommended networks."""
        given = {
            "aperture_mrad": f"{self.conditions[0].aperture_mrad:g}",
            "dose_e_per_A2": f"{dose:g}",
        }
        first = [
            image_recommendation.best(image_recommendation.recommend(self.tested, lens, given))[0]
            for lens in lenses
        ]
        chosen = [id if id in self.scores else id.cell for id in first]
        same = [self.names[c.id] for c in self.conditions if c.dose_e_per_A2 == dose]
        rows = {label: self.agreements(found) for label, found in self.others.items()}
        for label, defoci in (
            ("manifest", [m.stated_nm for m in self.images]),
            ("rings", [defocus_nm(lens) for lens in lenses]),
        ):
            ids = [self.names[nearest(defocus, self.conditions, dose)] for defocus in defoci]
            rows[f"nearest in defocus, by the {label}"] = self.of(ids)
        rows["mean of all networks of this dose"] = np.mean([self.scores[id] for id in same], 0)
        rows["best for each image, chosen on its mask"] = np.max(
            [self.scores[id] for id in same], 0
        )
        recommended = self.of(chosen)
        print(f"\nDose {dose:g} e/Å²\n")
        print("| choice | agreement | recommended less this |\n|---|---|---|")
        print(f"| **recommended by the rings** | **{recommended.mean():.3f}** |  |")
        for label, values in rows.items():
            low, high = interval(recommended - values, self.regions)
            less = (recommended - values).mean()
            print(f"| {label} | {values.mean():.3f} | {less:+.3f} ({low:+.3f} to {high:+.3f}) |")
        used = {id: chosen.count(id) for id in dict.fromkeys(chosen)}
        print("\nrecommended: " + ", ".join(f"{id} ({n})" for id, n in sorted(used.items())))
        return chosen


def defocus_nm(lens: Lens) -> float:
    return lens.measurement.defocus_A()[0] / A_PER_NM


def compare(options: argparse.Namespace) -> None:
    """Print the tables, and draw the figure."""
    found = Compared(options.study, options.general, images := read(options.data))
    print(f"{len(images)} images in {len(set(found.regions))} regions\n")
    print("| training condition | mean agreement | least |\n|---|---|---|")
    for name, id in found.names.items():
        print(f"| {name} | {found.scores[id].mean():.3f} | {found.scores[id].min():.3f} |")
    known = Known(cs_um=CS_UM)
    lenses = [image_recommendation.measure(m.path, PIXEL_A, known, found.study) for m in images]
    for dose in sorted({c.dose_e_per_A2 for c in found.conditions}):
        chosen = found.table(dose, lenses)
    if options.figure:
        order = np.argsort([defocus_nm(lens) for lens in lenses])
        shown = [int(order[k]) for k in (0, len(order) // 2, -1)]
        masks = [found.masks[chosen[k]][k] for k in shown]
        picture([images[k] for k in shown], masks, options.figure)
        for k in shown:
            print(f"{images[k].path.stem}: {defocus_nm(lenses[k]):.0f} nm, {chosen[k]}")


if __name__ == "__main__":
    main()
